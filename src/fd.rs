//! File descriptors in the safe layers: [`Fd`] and [`OwnsFd`].
//!
//! The kernel looks a descriptor up when the operation is submitted, and takes its own
//! reference to the file then. The descriptor must stay open from the construction of
//! the operation to its submission (I/O safety, [RFC 3128]). There are three ways to
//! pass a descriptor, all of them without `std`:
//!
//! - **borrowed**: [`Fd<'fd>`](Fd), from a reference to the owner. The owner must
//!   outlive the queue, the scope or the reactor that submits the operation;
//! - **owned**: a value that [owns](OwnsFd) the descriptor is stored in the operation
//!   and returned with the completion ([`Read::owned`](crate::op::Read::owned));
//! - **`unsafe`**: [`Fd::borrow_raw`], from a number.
//!
//! [RFC 3128]: https://rust-lang.github.io/rfcs/3128-io-safety.html

use core::marker::PhantomData;

/// A borrowed file descriptor, which stays open for `'fd`.
///
/// With the feature `std`, `From` converts references to all types that implement
/// `AsFd`, and `BorrowedFd`. A type without `std` can implement
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
    ///
    /// # Examples
    /// ```
    /// use linux_aio::Fd;
    ///
    /// // SAFETY: standard output stays open, and is not replaced by another file.
    /// let stdout = unsafe { Fd::borrow_raw(1) };
    /// ```
    pub const unsafe fn borrow_raw(number: i32) -> Fd<'fd> {
        Fd {
            number,
            owner: PhantomData,
        }
    }

    /// Borrows the descriptor that `owner` owns.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::{Fd, OwnsFd};
    ///
    /// struct Stdin;
    ///
    /// // SAFETY: standard input stays open as long as the program runs.
    /// unsafe impl OwnsFd for Stdin {
    ///     fn raw_fd(&self) -> i32 {
    ///         0
    ///     }
    /// }
    ///
    /// assert_eq!(Fd::of(&Stdin).as_raw(), 0);
    /// ```
    pub fn of<T: OwnsFd + ?Sized>(owner: &'fd T) -> Fd<'fd> {
        Fd {
            number: owner.raw_fd(),
            owner: PhantomData,
        }
    }

    /// Returns the descriptor's number.
    ///
    /// # Examples
    /// ```
    /// # #[cfg(feature = "std")] {
    /// use linux_aio::Fd;
    /// use std::fs::File;
    /// use std::os::fd::AsRawFd;
    ///
    /// let file = File::open("/dev/null").unwrap();
    /// assert_eq!(Fd::from(&file).as_raw(), file.as_raw_fd());
    /// # }
    /// ```
    pub const fn as_raw(self) -> i32 {
        self.number
    }
}

/// A value that keeps a descriptor open for as long as it exists.
///
/// With the feature `std` it is implemented for `File`, `OwnedFd`, the sockets, and
/// references, `Rc`, `Arc` and `Box` of all types that implement `AsFd`. A pair `(T,
/// U)` owns the descriptor of its `T`.
///
/// # Safety
/// The descriptor whose number [`raw_fd`](OwnsFd::raw_fd) returns stays open, and
/// refers to the same open file, until the value is dropped or consumed by a method.
/// Neither moving the value nor any operation through a shared reference changes that.
///
/// # Examples
/// A type that owns a descriptor, in a program without `std`:
/// ```
/// use linux_aio::op::Read;
/// use linux_aio::{Fd, OwnsFd, Queue, Slot};
///
/// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
/// struct Descriptor(i32);
///
/// # impl Descriptor {
/// #     fn open(path: &std::ffi::CStr) -> Descriptor {
/// #         // SAFETY: the path ends with a zero byte.
/// #         Descriptor(unsafe { libc::open(path.as_ptr(), libc::O_RDONLY) })
/// #     }
/// # }
/// #
/// impl Drop for Descriptor {
///     fn drop(&mut self) {
///         // Closes the descriptor.
/// #         // SAFETY: this value owns the descriptor.
/// #         unsafe { libc::close(self.0) };
///     }
/// }
///
/// // SAFETY: only the destructor closes the descriptor.
/// unsafe impl OwnsFd for Descriptor {
///     fn raw_fd(&self) -> i32 {
///         self.0
///     }
/// }
///
/// impl<'fd> From<&'fd Descriptor> for Fd<'fd> {
///     fn from(owner: &'fd Descriptor) -> Fd<'fd> {
///         Fd::of(owner)
///     }
/// }
///
/// let null = Descriptor::open(c"/dev/null");
/// let memory: &'static mut [u8] = Box::leak(Box::new([0; 16]));
/// let mut slots = Slot::<&'static mut [u8], Descriptor>::array::<4>();
/// let mut queue = Queue::new(&mut slots)?;
/// // The operation owns the descriptor, and the completion returns it.
/// queue.push(Read::owned(null, memory)).unwrap();
/// let null: Descriptor = queue.wait()?.unwrap().data;
/// # Ok::<(), linux_aio::Errno>(())
/// ```
pub unsafe trait OwnsFd {
    /// Returns the descriptor's number.
    ///
    /// # Examples
    /// ```
    /// # #[cfg(feature = "std")] {
    /// use linux_aio::OwnsFd;
    /// use std::fs::File;
    /// use std::os::fd::AsRawFd;
    ///
    /// let file = File::open("/dev/null").unwrap();
    /// let number = file.as_raw_fd();
    /// // A pair owns the descriptor of its first element.
    /// assert_eq!((file, "null").raw_fd(), number);
    /// # }
    /// ```
    fn raw_fd(&self) -> i32;
}

/// The eventfd that the operations of a queue or a reactor signal, and the owner that keeps
/// it open. An owner of operations keeps this value until the context has been destroyed.
pub(crate) struct DefaultEventfd<'fd> {
    fd: Option<Fd<'fd>>,
    /// The owner is used no more, except that it is dropped. An assertion of unwind safety
    /// holds for it, because no panic leaves a value that is accessed later.
    #[cfg(feature = "alloc")]
    owner: Option<Owner>,
}

#[cfg(feature = "alloc")]
type Owner = core::panic::AssertUnwindSafe<alloc::boxed::Box<dyn OwnsFd + Send + Sync>>;

impl<'fd> DefaultEventfd<'fd> {
    /// No eventfd.
    pub(crate) const NONE: DefaultEventfd<'fd> = DefaultEventfd {
        fd: None,
        #[cfg(feature = "alloc")]
        owner: None,
    };

    #[inline]
    pub(crate) fn get(&self) -> Option<Fd<'fd>> {
        self.fd
    }

    /// Sets a borrowed eventfd. An owned one that was set before stays open, because a
    /// staged operation may have it.
    pub(crate) fn borrow(&mut self, eventfd: Fd<'fd>) {
        self.fd = Some(eventfd);
    }

    /// Sets an owned eventfd. Those that were set before stay open.
    #[cfg(feature = "alloc")]
    pub(crate) fn own(&mut self, owner: impl OwnsFd + Send + Sync + 'static) {
        // SAFETY: the owner keeps the descriptor open until it is dropped. That happens
        // when this value is dropped: after the context, when nothing is submitted or
        // signalled any more. If this value is leaked, the owner is leaked as well.
        let borrowed = unsafe { Fd::borrow_raw(owner.raw_fd()) };
        let before = self.owner.take();
        let owner = alloc::boxed::Box::new((owner, before));
        self.owner = Some(core::panic::AssertUnwindSafe(owner));
        self.fd = Some(borrowed);
    }
}

// SAFETY: `T: OwnsFd` promises that the descriptor of the first element stays open, and
// the pair keeps that element until it is dropped or consumed.
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
            // SAFETY: a `BorrowedFd` guarantees that its descriptor stays open for the
            // same lifetime.
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
            // SAFETY: an owning type of std has one descriptor. Only dropping or
            // consuming the value closes it, and moving the value does not change
            // the number.
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
            // SAFETY: the target does not move and is not mutably borrowed
            // while the pointer is in an operation, so a shared borrow of it may
            // last as long as the pointer. `as_fd` promises that the descriptor
            // stays open for the borrow.
            unsafe impl<T: AsFd + ?Sized> OwnsFd for $pointer {
                fn raw_fd(&self) -> i32 {
                    T::as_fd(self).as_raw_fd()
                }
            }
        )+};
    }

    pointers!(&T Rc<T> Arc<T> Box<T>);
}
