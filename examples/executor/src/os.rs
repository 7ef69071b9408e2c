//! The system calls beside those of AIO.

use core::ffi::CStr;

use linux_aio::Errno;
use linux_aio::fd::{Fd, OwnsFd};
use linux_aio::syscall::{syscall1, syscall2, syscall3, syscall4};
use linux_raw_sys::{general as k, net};

/// A file descriptor, closed when dropped.
pub(crate) struct Descriptor(i32);

// SAFETY: the number is private and never changes, and only the drop closes the
// descriptor.
unsafe impl OwnsFd for Descriptor {
    fn raw_fd(&self) -> i32 {
        self.0
    }
}

impl<'fd> From<&'fd Descriptor> for Fd<'fd> {
    fn from(owner: &'fd Descriptor) -> Fd<'fd> {
        Fd::of(owner)
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        // SAFETY: this value owns the descriptor, which is not used after the drop.
        let _ = unsafe { syscall1(k::__NR_close as usize, self.0 as usize) };
    }
}

/// Opens a file for reading, past the page cache if the file system supports that.
pub(crate) fn open(path: &CStr) -> Result<Descriptor, Errno> {
    let open = |flags| {
        let flags = flags | k::O_CLOEXEC | k::O_LARGEFILE;
        let (at, path) = (k::AT_FDCWD as usize, path.as_ptr().expose_provenance());
        // SAFETY: `path` ends in a zero byte and lives through the call.
        let fd = unsafe { syscall4(k::__NR_openat as usize, at, path, flags as usize, 0) };
        Errno::check(fd).map(|fd| Descriptor(fd as i32))
    };
    open(k::O_DIRECT).or_else(|_| open(0))
}

/// Creates two sockets that are connected with each other and never block.
pub(crate) fn socketpair() -> Result<[Descriptor; 2], Errno> {
    let kind = net::SOCK_STREAM | k::O_NONBLOCK | k::O_CLOEXEC;
    let mut fds = [0_i32; 2];
    let out = fds.as_mut_ptr().expose_provenance();
    // SAFETY: the kernel writes two integers, for which `fds` has space.
    Errno::check(unsafe {
        syscall4(
            k::__NR_socketpair as usize,
            net::AF_UNIX as usize,
            kind as usize,
            0,
            out,
        )
    })?;
    Ok(fds.map(Descriptor))
}

/// Shuts a socket down in both directions; its other end reads an end of file.
pub(crate) fn shutdown(socket: &Descriptor) {
    const BOTH: usize = 2;
    // An error is ignored: the other end has closed the connection already.
    // SAFETY: shutdown(2) reads and writes no memory of the program.
    let _ = unsafe { syscall2(k::__NR_shutdown as usize, socket.0 as usize, BOTH) };
}

/// Reads bytes from a descriptor.
///
/// # Errors
/// EAGAIN: a read would have to wait.
pub(crate) fn read(fd: &Descriptor, bytes: &mut [u8]) -> Result<usize, Errno> {
    let (start, len) = (bytes.as_mut_ptr().expose_provenance(), bytes.len());
    // SAFETY: the kernel writes at most the length of the slice, which is borrowed
    // exclusively.
    Errno::check(unsafe { syscall3(k::__NR_read as usize, fd.0 as usize, start, len) })
}

/// Writes bytes to a descriptor.
///
/// # Errors
/// EAGAIN: a write would have to wait.
pub(crate) fn write(fd: &Descriptor, bytes: &[u8]) -> Result<usize, Errno> {
    let (start, len) = (bytes.as_ptr().expose_provenance(), bytes.len());
    // SAFETY: the kernel reads at most the length of the slice.
    Errno::check(unsafe { syscall3(k::__NR_write as usize, fd.0 as usize, start, len) })
}
