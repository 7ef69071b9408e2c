//! The eventfd by which the kernel notifies a runtime of completions.

use std::fs::File;
use std::io::{Error, Result};
use std::os::fd::{FromRawFd, OwnedFd};

/// Creates a non-blocking eventfd.
///
/// # Errors
/// Those of `eventfd(2)`: too many open files.
pub(crate) fn eventfd() -> Result<File> {
    // SAFETY: the call has no pointers.
    match unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) } {
        -1 => Err(Error::last_os_error()),
        // SAFETY: the descriptor was just created, so it has no other owner.
        fd => Ok(unsafe { OwnedFd::from_raw_fd(fd) }.into()),
    }
}
