//! [`Fd`] and [`OwnsFd`]: descriptors in the safe layers, by the rules of I/O
//! safety (RFC 3128).
//!
//! The kernel looks a descriptor up when the operation is submitted, not when
//! it is built, and takes its own reference to the file then. So a descriptor
//! must stay open from the operation's construction to its submission. There
//! are three ways to say so, all of them without `std`:
//!
//! - **borrowed**: [`Fd<'fd>`](Fd), from a reference to whatever has the
//!   descriptor. It outlives the queue, the scope or the reactor that submits
//!   the operation;
//! - **owned**: a value that [owns](OwnsFd) the descriptor travels in the
//!   operation's slot, and comes back with the completion
//!   ([`Read::owned`](crate::op::Read::owned));
//! - **`unsafe`**: [`Fd::borrow_raw`], from a number.

use core::marker::PhantomData;

/// A borrowed file descriptor: a number that stays open for `'fd`.
///
/// With the feature `std` it is made from a reference to anything that is
/// `AsFd`, or from a `BorrowedFd`. A type without `std` implements
/// `From<&'fd Type> for Fd<'fd>`, by [`Fd::of`] if it [owns](OwnsFd) its
/// descriptor.
///
/// ```
/// use linux_aio::Fd;
///
/// // SAFETY: standard input is open for as long as the program runs.
/// let stdin = unsafe { Fd::borrow_raw(0) };
/// assert_eq!(stdin.as_raw(), 0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Fd<'fd> {
    number: i32,
    owner: PhantomData<&'fd ()>,
}

impl<'fd> Fd<'fd> {
    /// Borrows a descriptor by its number.
    ///
    /// # Safety
    /// The descriptor stays open, and stays the same open file, for `'fd`; or
    /// no descriptor has this number for `'fd`, and every operation on it is
    /// refused (EBADF).
    pub const unsafe fn borrow_raw(number: i32) -> Fd<'fd> {
        Fd {
            number,
            owner: PhantomData,
        }
    }

    /// Borrows the descriptor of its owner.
    pub fn of<T: OwnsFd + ?Sized>(owner: &'fd T) -> Fd<'fd> {
        Fd {
            number: owner.raw_fd(),
            owner: PhantomData,
        }
    }

    /// Returns the number.
    pub const fn as_raw(self) -> i32 {
        self.number
    }
}

/// A value that keeps a descriptor open for as long as it exists, wherever it
/// is moved.
///
/// With the feature `std`: `File`, `OwnedFd`, the sockets, and references,
/// `Rc`, `Arc` and `Box` of anything that is `AsFd`. `(T, U)` owns what `T`
/// owns, and carries `U` along.
///
/// # Safety
/// [`raw_fd`](OwnsFd::raw_fd) returns the same number each time, and the
/// descriptor stays open, and stays the same open file, until the value is
/// dropped or leaves the caller's hands through a method that consumes it:
/// moving the value, and anything that a shared reference allows, changes
/// neither.
pub unsafe trait OwnsFd {
    /// Returns the descriptor's number.
    fn raw_fd(&self) -> i32;
}

// SAFETY: the first's own promise; the second is not looked at.
unsafe impl<T: OwnsFd, U> OwnsFd for (T, U) {
    fn raw_fd(&self) -> i32 {
        self.0.raw_fd()
    }
}

#[cfg(feature = "std")]
#[cfg(any(unix, target_os = "wasi"))]
mod with_std {
    use super::{Fd, OwnsFd};
    use std::boxed::Box;
    use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
    use std::rc::Rc;
    use std::sync::Arc;

    impl<'fd> From<BorrowedFd<'fd>> for Fd<'fd> {
        fn from(fd: BorrowedFd<'fd>) -> Fd<'fd> {
            // SAFETY: a `BorrowedFd` promises the same for the same lifetime.
            unsafe { Fd::borrow_raw(fd.as_raw_fd()) }
        }
    }

    impl<'fd, T: AsFd + ?Sized> From<&'fd T> for Fd<'fd> {
        fn from(owner: &'fd T) -> Fd<'fd> {
            owner.as_fd().into()
        }
    }

    macro_rules! owners {
        ($($owner:ty)+) => {$(
            // SAFETY: of std's owners: each has one descriptor, which nothing
            // but consuming or dropping the value closes or replaces, and
            // moving the value does not change.
            unsafe impl OwnsFd for $owner {
                fn raw_fd(&self) -> i32 {
                    self.as_raw_fd()
                }
            }
        )+};
    }

    owners!(std::fs::File OwnedFd);
    #[cfg(not(target_os = "wasi"))]
    owners! {
        std::net::TcpStream std::net::TcpListener std::net::UdpSocket
    }
    #[cfg(unix)]
    owners! {
        std::os::unix::net::UnixStream std::os::unix::net::UnixListener
        std::os::unix::net::UnixDatagram
        std::process::ChildStdin std::process::ChildStdout std::process::ChildStderr
    }

    macro_rules! pointers {
        ($($pointer:ty)+) => {$(
            // SAFETY: what it points to stays where it is and is only shared
            // for as long as the pointer exists, so a borrow of it may last as
            // long; `as_fd` promises that the descriptor stays open for the
            // borrow.
            unsafe impl<T: AsFd + ?Sized> OwnsFd for $pointer {
                fn raw_fd(&self) -> i32 {
                    T::as_fd(self).as_raw_fd()
                }
            }
        )+};
    }

    pointers!(&T Rc<T> Arc<T> Box<T>);
}
