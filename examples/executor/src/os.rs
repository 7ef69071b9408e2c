//! The system calls beyond AIO.

use core::ffi::CStr;

use linux_aio::Errno;
use linux_aio::syscall::{syscall1, syscall3, syscall4};
use linux_raw_sys::{general as k, net};

/// A descriptor, closed when dropped.
pub(crate) struct Fd(i32);

impl Fd {
    pub(crate) fn raw(&self) -> i32 {
        self.0
    }
}

impl Drop for Fd {
    fn drop(&mut self) {
        // SAFETY: the descriptor is this value's own, and it is used no more.
        let _ = unsafe { syscall1(k::__NR_close as usize, self.0 as usize) };
    }
}

/// For reading; past the page cache, where the file system can.
pub(crate) fn open(path: &CStr) -> Result<Fd, Errno> {
    let open = |flags| {
        let flags = flags | k::O_CLOEXEC | k::O_LARGEFILE;
        let (at, path) = (k::AT_FDCWD as usize, path.as_ptr().expose_provenance());
        // SAFETY: `path` ends in a zero byte and lives through the call.
        let fd = unsafe { syscall4(k::__NR_openat as usize, at, path, flags as usize, 0) };
        Errno::check(fd).map(|fd| Fd(fd as i32))
    };
    open(k::O_DIRECT).or_else(|_| open(0))
}

/// Two sockets, connected with each other, that never block.
pub(crate) fn socketpair() -> Result<[Fd; 2], Errno> {
    let kind = net::SOCK_STREAM | k::O_NONBLOCK | k::O_CLOEXEC;
    let mut fds = [0_i32; 2];
    let out = fds.as_mut_ptr().expose_provenance();
    // SAFETY: the kernel writes two integers.
    Errno::check(unsafe {
        syscall4(
            k::__NR_socketpair as usize,
            net::AF_UNIX as usize,
            kind as usize,
            0,
            out,
        )
    })?;
    Ok(fds.map(Fd))
}

/// # Errors
/// EAGAIN: a read would have to wait.
pub(crate) fn read(fd: &Fd, bytes: &mut [u8]) -> Result<usize, Errno> {
    let (start, len) = (bytes.as_mut_ptr().expose_provenance(), bytes.len());
    // SAFETY: the kernel writes no more than the slice.
    Errno::check(unsafe { syscall3(k::__NR_read as usize, fd.0 as usize, start, len) })
}

/// # Errors
/// EAGAIN: a write would have to wait.
pub(crate) fn write(fd: &Fd, bytes: &[u8]) -> Result<usize, Errno> {
    let (start, len) = (bytes.as_ptr().expose_provenance(), bytes.len());
    // SAFETY: the kernel reads no more than the slice.
    Errno::check(unsafe { syscall3(k::__NR_write as usize, fd.0 as usize, start, len) })
}
