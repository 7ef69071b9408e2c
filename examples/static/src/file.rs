//! Files of rustix as descriptors of `linux-aio`.
//!
//! With the standard library, `linux-aio` takes its files as they are. Without it, a type
//! of one's own promises that the descriptor stays open.

use linux_aio::{Errno, Fd, OwnsFd};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::path::Arg;

/// An open file.
#[derive(Debug)]
pub struct File(OwnedFd);

impl File {
    /// Opens a file, which is closed when the value is dropped.
    ///
    /// # Errors
    /// Those of `open(2)`.
    pub fn open(path: impl Arg, flags: OFlags) -> Result<File, Errno> {
        let opened = rustix::fs::open(path, flags | OFlags::CLOEXEC, Mode::empty());
        opened.map(File).map_err(errno)
    }
}

// SAFETY: the descriptor is open until the value is dropped. No method closes or replaces
// it, and moving the value changes nothing.
unsafe impl OwnsFd for File {
    fn raw_fd(&self) -> i32 {
        self.0.as_raw_fd()
    }
}

impl<'fd> From<&'fd File> for Fd<'fd> {
    fn from(file: &'fd File) -> Fd<'fd> {
        Fd::of(file)
    }
}

impl AsFd for File {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Converts an error of rustix.
pub fn errno(errno: rustix::io::Errno) -> Errno {
    Errno::from_raw_os_error(errno.raw_os_error()).unwrap_or(Errno::IO)
}
