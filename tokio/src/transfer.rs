//! Reads and writes by system calls of this thread: on the blocking pool, and those that
//! return at once from the page cache (`RWF_NOWAIT`).

use std::ffi::c_long;
use std::fs::File;
use std::io::{Error, ErrorKind, Result};
use std::os::fd::AsRawFd;

use linux_aio::buffer::{IoBuf, IoBufMut};

/// Whether a transfer may wait for the disk.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waits {
    Yes,
    /// It fails with EAGAIN instead. Linux 4.14, and only some file systems: EOPNOTSUPP.
    No,
}

/// Reads into the buffer at `offset`, as `preadv2(2)`.
pub(crate) fn read<B: IoBufMut>(
    file: &File,
    buffer: &mut B,
    offset: u64,
    waits: Waits,
) -> Result<usize> {
    let region = if B::GROWS {
        buffer.region_mut()
    } else {
        buffer.region()
    };
    let vectored = buffer.is_vectored();
    // SAFETY: the region of an `IoBufMut` is valid for writes, and exclusively borrowed.
    let count = unsafe { transfer(Call::Read, file, region, vectored, offset, waits) }?;
    if B::GROWS {
        // SAFETY: the kernel has written as many bytes at the beginning of `region_mut`,
        // and the buffer was not changed since.
        unsafe { buffer.set_filled(count) };
    }
    Ok(count)
}

/// Writes the buffer at `offset`, as `pwritev2(2)`.
pub(crate) fn write<B: IoBuf>(
    file: &File,
    buffer: &mut B,
    offset: u64,
    waits: Waits,
) -> Result<usize> {
    let (region, vectored) = (buffer.region(), buffer.is_vectored());
    // SAFETY: the region of an `IoBuf` is valid for reads while it is borrowed.
    unsafe { transfer(Call::Write, file, region, vectored, offset, waits) }
}

#[derive(Clone, Copy)]
enum Call {
    Read,
    Write,
}

/// # Safety
/// The region is that of an `IoBuf`: bytes, or segments if it is `vectored`. For a read it
/// is valid for writes.
unsafe fn transfer(
    call: Call,
    file: &File,
    (start, len): (*mut u8, usize),
    vectored: bool,
    offset: u64,
    waits: Waits,
) -> Result<usize> {
    let one = libc::iovec {
        iov_base: start.cast(),
        iov_len: len,
    };
    // An `IoVec` has the layout of the kernel's `struct iovec`.
    let (segments, count) = if vectored {
        (start.cast_const().cast::<libc::iovec>(), len)
    } else {
        (&raw const one, 1)
    };
    let count = libc::c_int::try_from(count).map_err(|_| ErrorKind::InvalidInput)?;
    let position = i64::try_from(offset).map_err(|_| ErrorKind::InvalidInput)?;
    // x32 passes the offset in one register, which `syscall(2)` cannot.
    if waits == Waits::No && cfg!(all(target_arch = "x86_64", target_pointer_width = "32")) {
        return Err(Error::from_raw_os_error(libc::EOPNOTSUPP));
    }
    loop {
        let fd = file.as_raw_fd();
        // SAFETY: the segments are `one` or those of the caller's region, and the caller
        // promises that they are valid.
        let moved = unsafe {
            match (call, waits) {
                (Call::Read, Waits::Yes) => libc::preadv64(fd, segments, count, position),
                (Call::Write, Waits::Yes) => libc::pwritev64(fd, segments, count, position),
                (Call::Read, Waits::No) => {
                    at_once(libc::SYS_preadv2, fd, segments, count, position) as isize
                }
                (Call::Write, Waits::No) => {
                    at_once(libc::SYS_pwritev2, fd, segments, count, position) as isize
                }
            }
        };
        if let Ok(moved) = usize::try_from(moved) {
            return Ok(moved);
        }
        let error = Error::last_os_error();
        if error.kind() != ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// Calls preadv2 or pwritev2 with `RWF_NOWAIT`. Not every C library has the functions.
///
/// # Safety
/// The segments are valid for the call.
unsafe fn at_once(
    call: c_long,
    fd: i32,
    segments: *const libc::iovec,
    count: i32,
    position: i64,
) -> c_long {
    // The offset has two arguments of a register each. Where a register holds all of it,
    // the kernel ignores the second.
    let (low, high) = (position as c_long, (position >> 32) as c_long);
    // SAFETY: the caller promises that the segments are valid.
    unsafe { libc::syscall(call, fd, segments, count, low, high, libc::RWF_NOWAIT) }
}
