//! [`File`]: an owned descriptor, for the safe layers.

use core::ffi::CStr;

use linux_aio::opcode::RawFd;
use linux_aio::{Fd, OwnsFd};

use super::{Result, close, eventfd, memfd, open, pipe};
use crate::nr;

/// An open file, closed when dropped. Its number may be used besides, but not
/// [closed](close).
pub(crate) struct File(i32);

/// A descriptor that is never open: every operation on it is refused.
// SAFETY: no descriptor has a negative number.
pub(crate) const NO_FILE: Fd<'static> = unsafe { Fd::borrow_raw(-1) };

impl File {
    pub(crate) fn memory(name: &CStr) -> Result<File> {
        memfd(name).map(File)
    }

    pub(crate) fn eventfd() -> Result<File> {
        eventfd().map(File)
    }

    /// Creates a pipe and returns its reading and its writing end.
    pub(crate) fn pipe(flags: u32) -> Result<[File; 2]> {
        pipe(flags).map(|ends| ends.map(File))
    }

    pub(crate) fn open(name: &CStr, flags: u32) -> Result<File> {
        open(nr::AT_FDCWD, name, flags, 0).map(File)
    }

    pub(crate) fn number(&self) -> i32 {
        self.0
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = close(self.0);
    }
}

// SAFETY: the number does not change, and is closed when the file is dropped. It was
// opened for this `File` alone, and no code closes the number of a `File` in another
// way.
unsafe impl OwnsFd for File {
    fn raw_fd(&self) -> i32 {
        self.0
    }
}

impl<'fd> From<&'fd File> for Fd<'fd> {
    fn from(file: &'fd File) -> Fd<'fd> {
        Fd::of(file)
    }
}

impl From<&File> for RawFd {
    fn from(file: &File) -> RawFd {
        RawFd(file.0)
    }
}
