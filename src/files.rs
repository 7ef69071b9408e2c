//! The system calls on files that the library opens itself: openat(2) and close(2).

use core::ffi::CStr;

use crate::arch::{ABI, stubs};
use crate::sys::errno::Errno;

/// The flag value, the same on every architecture.
pub(crate) const O_RDONLY: usize = 0;
/// The flag value, the same on every architecture.
#[cfg(feature = "rt")]
pub(crate) const O_RDWR: usize = 2;
/// The flag by which the descriptor is closed at execve(2).
pub(crate) const O_CLOEXEC: usize = ABI.o_cloexec as usize;
const AT_FDCWD: isize = -100;

/// Opens an existing file, and returns the lowest free descriptor. (openat(2) has a fourth
/// argument, the mode, which it reads only with `O_CREAT` and `O_TMPFILE`.)
pub(crate) fn open(path: &CStr, flags: usize) -> Result<i32, Errno> {
    // SAFETY: `path` ends in a zero byte and lives until the call returns.
    let result = unsafe {
        stubs::syscall3(
            ABI.base.openat as usize,
            AT_FDCWD as usize,
            path.as_ptr().expose_provenance(),
            flags,
        )
    };
    Errno::check_count(result).map(|fd| fd as i32)
}

/// Closes a descriptor. Linux releases the number even if it returns an error.
///
/// # Safety
/// The caller owns the descriptor, and no other code uses its number.
pub(crate) unsafe fn close(fd: i32) {
    // SAFETY: close(2) accesses no memory of the program. The caller promises that no
    // other code uses the descriptor, so no file of other code is closed.
    let _ = unsafe { stubs::syscall1(ABI.base.close as usize, fd as usize) };
}
