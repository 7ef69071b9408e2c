//! Builders that create an [`Iocb`] from a typed operation.
//!
//! Building is safe and has no effect. The promise about the buffer is made at
//! submission ([`Context::submit`](crate::Context::submit)). Operations that the kernel
//! would refuse for their form alone cannot be built: an fsync has no offset, a poll
//! has no buffer, and a priority has no level 9.
//!
//! ```
//! use linux_aio::abi::RwFlags;
//! use linux_aio::opcode::{Fsync, Pread};
//!
//! let mut buffer = [0; 4096];
//! let read = Pread::new(3, buffer.as_mut_ptr(), buffer.len())
//!     .offset(8192)
//!     .rw_flags(RwFlags::NOWAIT)
//!     .build()
//!     .user_data(1);
//! let sync = Fsync::new(3).build().user_data(2);
//! ```

use bitflags::bitflags;

use crate::arch::ABI;
use crate::fd::Fd;
use crate::sys::abi::{
    IOCB_CMD_FDSYNC, IOCB_CMD_FSYNC, IOCB_CMD_POLL, IOCB_CMD_PREAD, IOCB_CMD_PREADV,
    IOCB_CMD_PWRITE, IOCB_CMD_PWRITEV, IoVec, Iocb, IocbFlags,
};

/// A file descriptor's number, converted from an `i32`, an [`Fd`], and with the feature
/// `std` from anything that has a descriptor.
///
/// A `RawFd` does not keep the descriptor open: that is part of the contract of
/// submission ([`Context::submit`](crate::Context::submit)). The kernel looks the
/// descriptor up at submission, and it may be closed afterwards.
///
/// # Examples
/// ```
/// use linux_aio::Fd;
/// use linux_aio::opcode::RawFd;
///
/// assert_eq!(RawFd::from(3), RawFd(3));
/// // SAFETY: standard input stays open.
/// let stdin = unsafe { Fd::borrow_raw(0) };
/// assert_eq!(RawFd::from(stdin), RawFd(0));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct RawFd(pub i32);

impl From<i32> for RawFd {
    fn from(fd: i32) -> RawFd {
        RawFd(fd)
    }
}

impl From<Fd<'_>> for RawFd {
    fn from(fd: Fd<'_>) -> RawFd {
        RawFd(fd.as_raw())
    }
}

#[cfg(feature = "std")]
#[cfg(any(unix, target_os = "wasi"))]
mod std_fd {
    use super::RawFd;
    use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

    impl From<BorrowedFd<'_>> for RawFd {
        fn from(fd: BorrowedFd<'_>) -> RawFd {
            RawFd(fd.as_raw_fd())
        }
    }

    impl<T: AsFd + ?Sized> From<&T> for RawFd {
        fn from(owner: &T) -> RawFd {
            owner.as_fd().into()
        }
    }
}

/// An I/O priority, as defined by `ioprio_set(2)`: a class, and in two of the classes a
/// level from 0 (highest) to 7.
///
/// # Examples
/// ```
/// use linux_aio::Fd;
/// use linux_aio::op::Read;
/// use linux_aio::opcode::IoPriority;
///
/// // SAFETY: standard input stays open.
/// let stdin = unsafe { Fd::borrow_raw(0) };
/// let mut buffer = [0; 512];
/// let background = Read::new(stdin, &mut buffer).ioprio(IoPriority::idle());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IoPriority(pub(crate) i16);

impl IoPriority {
    /// Returns a priority of the real-time class, served before all others, or `None`
    /// for a level over 7. Without CAP_SYS_ADMIN and CAP_SYS_NICE, submission fails with
    /// EPERM; one of them suffices (CAP_SYS_NICE since Linux 5.14, and in late releases of
    /// 5.10). Capabilities in another user namespace than the first do not count.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::opcode::IoPriority;
    ///
    /// assert!(IoPriority::real_time(0).is_some());
    /// assert!(IoPriority::real_time(8).is_none());
    /// ```
    pub const fn real_time(level: u8) -> Option<IoPriority> {
        IoPriority::new(1, level)
    }

    /// Returns a priority of the best-effort class, the default class, or `None` for a
    /// level over 7.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::opcode::IoPriority;
    ///
    /// // The default level of a thread with the nice value 0.
    /// const DEFAULT: IoPriority = IoPriority::best_effort(4).unwrap();
    /// assert!(IoPriority::best_effort(8).is_none());
    /// ```
    pub const fn best_effort(level: u8) -> Option<IoPriority> {
        IoPriority::new(2, level)
    }

    /// Returns a priority of the idle class, served only when the disk has no other work.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::abi::IocbFlags;
    /// use linux_aio::opcode::{IoPriority, Pread};
    ///
    /// # let (file, memory) = (3, std::ptr::null_mut());
    /// let read = Pread::new(file, memory, 512).ioprio(IoPriority::idle()).build();
    /// assert_eq!(read.flags, IocbFlags::IOPRIO);
    /// ```
    pub const fn idle() -> IoPriority {
        IoPriority(3 << 13)
    }

    const fn new(class: i16, level: u8) -> Option<IoPriority> {
        if level > 7 {
            return None;
        }
        Some(IoPriority(class << 13 | level as i16))
    }
}

bitflags! {
    /// The events to wait for, or those that occurred: the bits of `poll(2)`. ERR and
    /// HUP are reported even if not requested. `PollMask::from_bits_retain` sets other
    /// bits.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::opcode::PollMask;
    ///
    /// let wanted = PollMask::IN | PollMask::RDHUP;
    /// let ready = PollMask::IN | PollMask::HUP;
    /// assert_eq!(wanted & ready, PollMask::IN);
    /// assert!(ready.contains(PollMask::HUP));
    /// ```
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct PollMask: u16 {
        /// `POLLIN`: data to read.
        #[doc(alias = "POLLIN")]
        const IN = 0x0001;
        /// `POLLPRI`: urgent data.
        #[doc(alias = "POLLPRI")]
        const PRI = 0x0002;
        /// `POLLOUT`: space to write.
        #[doc(alias = "POLLOUT")]
        const OUT = 0x0004;
        /// `POLLERR`: an error.
        #[doc(alias = "POLLERR")]
        const ERR = 0x0008;
        /// `POLLHUP`: the peer has hung up.
        #[doc(alias = "POLLHUP")]
        const HUP = 0x0010;
        /// `POLLRDHUP`: the peer will send no more data. The value depends on the
        /// architecture.
        #[doc(alias = "POLLRDHUP")]
        const RDHUP = ABI.pollrdhup;
        const _ = !0;
    }
}

impl PollMask {
    /// Returns the mask in a poll's [`Event::result`](crate::Event::result).
    ///
    /// It may contain events that were not requested: for a Unix socket that receives data
    /// while it is polled, the kernel reports PRI with IN (measured on Linux 6.18).
    ///
    /// # Examples
    /// ```
    /// use linux_aio::opcode::PollMask;
    ///
    /// // The result of a poll, from its completion.
    /// let result = 0x11;
    /// assert_eq!(PollMask::from_result(result), PollMask::IN | PollMask::HUP);
    /// ```
    pub const fn from_result(result: usize) -> PollMask {
        PollMask::from_bits_retain(result as u16)
    }
}

/// Returns whether an opcode is that of a read.
#[inline(always)]
pub(crate) const fn is_read(opcode: u16) -> bool {
    matches!(opcode, IOCB_CMD_PREAD | IOCB_CMD_PREADV)
}

impl Iocb {
    /// Sets `user_data`, which is returned in the event. Use an index and a generation
    /// rather than a pointer: an address read from an event must never be dereferenced.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::opcode::Fsync;
    ///
    /// // The slot 7 of a table, in its third generation.
    /// let (index, generation) = (7, 3);
    /// let iocb = Fsync::new(3).build().user_data(generation << 32 | index);
    /// assert_eq!(iocb.data & u64::from(u32::MAX), 7);
    /// ```
    #[must_use]
    #[doc(alias("io_set_callback", "io_callback_t"))]
    pub const fn user_data(mut self, user_data: u64) -> Iocb {
        self.data = user_data;
        self
    }

    /// Signals this eventfd when the operation has completed (its counter is incremented by
    /// one), as the setter of the builders does. A descriptor that is not an eventfd is
    /// refused at submission with EINVAL.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::Iocb;
    /// use linux_aio::abi::IocbFlags;
    /// use linux_aio::opcode::Fsync;
    ///
    /// // The eventfd has the number 4.
    /// let iocb: Iocb = Fsync::new(3).build().eventfd(4).user_data(7);
    /// assert_eq!((iocb.flags, iocb.resfd), (IocbFlags::RESFD, 4));
    /// ```
    #[must_use]
    #[doc(alias = "io_set_eventfd")]
    pub fn eventfd(mut self, eventfd: impl Into<RawFd>) -> Iocb {
        self.signal(eventfd.into());
        self
    }

    /// Returns whether this is a read.
    #[inline]
    pub(crate) const fn is_read(&self) -> bool {
        is_read(self.opcode)
    }

    pub(crate) const fn new(opcode: u16, fd: RawFd) -> Iocb {
        Iocb {
            opcode,
            fildes: fd.0 as u32,
            ..Iocb::EMPTY
        }
    }

    /// Signals this eventfd when the operation has completed.
    pub(crate) fn signal(&mut self, RawFd(eventfd): RawFd) {
        self.flags |= IocbFlags::RESFD;
        self.resfd = eventfd as u32;
    }

    /// Returns the eventfd that is signalled on completion, if any.
    pub(crate) fn signals(&self) -> Option<RawFd> {
        let signals = self.flags.contains(IocbFlags::RESFD);
        signals.then_some(RawFd(self.resfd as i32))
    }
}

/// Returns the example of a method that all builders or several have, for the
/// documentation.
macro_rules! example {
    ($name:ident, eventfd) => {
        example!(
            $name,
            ".eventfd(eventfd)",
            "(iocb.flags, iocb.resfd)",
            "(IocbFlags::RESFD, 4)"
        )
    };
    ($name:ident, offset) => {
        example!($name, ".offset(4096)", "iocb.offset", "4096")
    };
    ($name:ident, rw_flags) => {
        example!(
            $name,
            ".rw_flags(RwFlags::HIPRI)",
            "iocb.rw_flags",
            "RwFlags::HIPRI"
        )
    };
    ($name:ident, ioprio) => {
        example!(
            $name,
            ".ioprio(IoPriority::idle())",
            "iocb.flags",
            "IocbFlags::IOPRIO"
        )
    };
    ($name:ident, $opcode:ident) => {
        example!($name, "", "iocb.opcode", stringify!($opcode))
    };
    ($name:ident, $setter:literal, $field:literal, $value:expr) => {
        concat!(
            "# Examples\n```\n",
            "use linux_aio::opcode::",
            stringify!($name),
            ";\n",
            "# use linux_aio::{abi::*, opcode::*};\n\n",
            "# let (file, eventfd) = (3, 4);\n",
            "# let (memory, segments) = (std::ptr::null_mut(), std::ptr::null());\n",
            "# let _: (*mut u8, *const IoVec) = (memory, segments);\n",
            "let iocb = ",
            example!($name),
            $setter,
            ".build();\n",
            "assert_eq!(",
            $field,
            ", ",
            $value,
            ");\n",
            "```",
        )
    };
    (Pread) => {
        "Pread::new(file, memory, 512)"
    };
    (Pwrite) => {
        "Pwrite::new(file, memory, 512)"
    };
    (Preadv) => {
        "Preadv::new(file, segments, 2)"
    };
    (Pwritev) => {
        "Pwritev::new(file, segments, 2)"
    };
    (Fsync) => {
        "Fsync::new(file)"
    };
    (Fdsync) => {
        "Fdsync::new(file)"
    };
    (Poll) => {
        "Poll::new(file, PollMask::IN)"
    };
}

/// Implements the setter that every builder has: the eventfd.
macro_rules! builder {
    ($($name:ident)+) => {$(
        impl $name {
            /// Signals this eventfd when the operation has completed (its counter is
            /// incremented by one). A descriptor that is not an eventfd is refused at
            /// submission with EINVAL.
            ///
            #[doc = example!($name, eventfd)]
            #[doc(alias = "io_set_eventfd")]
            pub fn eventfd(mut self, eventfd: impl Into<RawFd>) -> Self {
                self.0.signal(eventfd.into());
                self
            }
        }
    )+};
}

/// Implements the setters of reads and writes. The builder's iocb is its field `$iocb`.
/// The macro `$example` returns the example of a setter.
macro_rules! read_or_write {
    ($example:ident; $($name:ident [$($generics:tt)*] . $iocb:tt;)+) => {$(
        impl<$($generics)*> $name<$($generics)*> {
            /// Sets the offset in the file, in bytes; the default is 0. An offset over
            /// `i64::MAX` is refused at submission with EINVAL. Pipes and other files
            /// without a position ignore it.
            ///
            #[doc = $example!($name, offset)]
            pub const fn offset(mut self, offset: u64) -> Self {
                self.$iocb.offset = offset as i64;
                self
            }

            /// Sets the flags of this operation. A flag that the kernel does not
            /// support is refused at submission with EOPNOTSUPP.
            ///
            #[doc = $example!($name, rw_flags)]
            #[doc(alias("preadv2", "pwritev2"))]
            pub const fn rw_flags(mut self, flags: $crate::sys::abi::RwFlags) -> Self {
                self.$iocb.rw_flags = flags;
                self
            }

            /// Sets the I/O priority, which replaces the thread's (Linux 4.18).
            ///
            #[doc = $example!($name, ioprio)]
            #[doc(alias = "ioprio_set")]
            pub const fn ioprio(mut self, priority: $crate::opcode::IoPriority) -> Self {
                self.$iocb.flags = self.$iocb.flags.union($crate::sys::abi::IocbFlags::IOPRIO);
                self.$iocb.reqprio = priority.0;
                self
            }
        }
    )+};
}

pub(crate) use read_or_write;

/// Implements `build` for an operation whose builder holds only its iocb.
macro_rules! build {
    ($($name:ident = $opcode:ident;)+) => {$(
        impl $name {
            /// Returns the operation, ready to be submitted.
            ///
            #[doc = example!($name, $opcode)]
            pub const fn build(self) -> Iocb {
                self.0
            }
        }
    )+};
}

/// A read into one buffer, as `pread(2)`: `IOCB_CMD_PREAD`.
///
/// A direct read (O_DIRECT) across the end of a file may write more of the buffer than
/// its result indicates: ext4 clears the remainder of the last block (measured on Linux
/// 6.18).
///
/// # Examples
/// ```
/// use linux_aio::opcode::Pread;
/// use linux_aio::{Context, Event};
/// use std::{fs::File, os::fd::AsRawFd};
///
/// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
/// let file = File::open("/proc/self/exe").unwrap();
/// let mut buffer = [0_u8; 3];
/// let read = Pread::new(file.as_raw_fd(), buffer.as_mut_ptr(), buffer.len());
/// let context = Context::new(4)?;
/// // SAFETY: the file is open, and the buffer is not accessed before the event is taken.
/// unsafe { context.submit(&mut [&mut read.offset(1).build()]) }?;
/// assert_eq!(context.wait(1, &mut [Event::EMPTY])?[0].result(), Ok(3));
/// assert_eq!(&buffer, b"ELF");
/// # Ok::<(), linux_aio::Errno>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use]
#[doc(alias = "io_prep_pread")]
pub struct Pread(Iocb);

impl Pread {
    /// Creates a read of up to `len` bytes into memory at `buf`. The kernel may write
    /// that memory until the operation has completed.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::abi::IOCB_CMD_PREAD;
    /// use linux_aio::opcode::Pread;
    ///
    /// let mut buffer = [0_u8; 512];
    /// let read = Pread::new(3, buffer.as_mut_ptr(), buffer.len()).build();
    /// assert_eq!((read.opcode, read.fildes, read.nbytes), (IOCB_CMD_PREAD, 3, 512));
    /// ```
    pub fn new(fd: impl Into<RawFd>, buf: *mut u8, len: usize) -> Pread {
        Pread(transfer(IOCB_CMD_PREAD, fd.into(), buf, len as u64))
    }
}

/// A write of one buffer, as `pwrite(2)`: `IOCB_CMD_PWRITE`.
///
/// # Examples
/// ```
/// use linux_aio::opcode::Pwrite;
/// use linux_aio::{Context, Event};
/// use std::{fs::File, os::fd::AsRawFd};
///
/// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
/// let file = File::create("/dev/null").unwrap();
/// let text = "hello";
/// let write = Pwrite::new(file.as_raw_fd(), text.as_ptr(), text.len());
/// let context = Context::new(4)?;
/// // SAFETY: the file is open, and the text never changes.
/// unsafe { context.submit(&mut [&mut write.build()]) }?;
/// assert_eq!(context.wait(1, &mut [Event::EMPTY])?[0].result(), Ok(5));
/// # Ok::<(), linux_aio::Errno>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use]
#[doc(alias = "io_prep_pwrite")]
pub struct Pwrite(Iocb);

impl Pwrite {
    /// Creates a write of up to `len` bytes of memory at `buf`, which must not change
    /// until the operation has completed.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::abi::IOCB_CMD_PWRITE;
    /// use linux_aio::opcode::Pwrite;
    ///
    /// let text = "hello";
    /// let write = Pwrite::new(3, text.as_ptr(), text.len()).build();
    /// assert_eq!((write.opcode, write.fildes, write.nbytes), (IOCB_CMD_PWRITE, 3, 5));
    /// ```
    pub fn new(fd: impl Into<RawFd>, buf: *const u8, len: usize) -> Pwrite {
        Pwrite(transfer(IOCB_CMD_PWRITE, fd.into(), buf, len as u64))
    }
}

/// A read into several buffers, as `preadv(2)`: `IOCB_CMD_PREADV`.
///
/// # Examples
/// ```
/// use linux_aio::abi::IoVec;
/// use linux_aio::opcode::Preadv;
/// use linux_aio::{Context, Event};
/// use std::{fs::File, os::fd::AsRawFd};
///
/// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
/// let file = File::open("/proc/self/exe").unwrap();
/// let (mut first, mut second) = ([0_u8; 1], [0_u8; 3]);
/// let segments = [
///     IoVec { base: first.as_mut_ptr().cast(), len: first.len() },
///     IoVec { base: second.as_mut_ptr().cast(), len: second.len() },
/// ];
/// let read = Preadv::new(file.as_raw_fd(), segments.as_ptr(), 2);
/// let context = Context::new(4)?;
/// // SAFETY: the file is open, and the buffers are not accessed before the event is taken.
/// unsafe { context.submit(&mut [&mut read.build()]) }?;
/// assert_eq!(context.wait(1, &mut [Event::EMPTY])?[0].result(), Ok(4));
/// assert_eq!(&second, b"ELF");
/// # Ok::<(), linux_aio::Errno>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use]
#[doc(alias = "io_prep_preadv")]
#[doc(alias("io_prep_preadv2", "io_iocb_vector"))]
pub struct Preadv(Iocb);

impl Preadv {
    /// Creates a read into the `count` buffers of the array at `iov`. A `count` over
    /// 1024 is refused with EINVAL. The array is copied at submission. The kernel may
    /// write the buffers until the operation has completed.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::abi::{IOCB_CMD_PREADV, IoVec};
    /// use linux_aio::opcode::Preadv;
    ///
    /// let mut buffer = [0_u8; 512];
    /// let segments = [IoVec { base: buffer.as_mut_ptr().cast(), len: buffer.len() }];
    /// let read = Preadv::new(3, segments.as_ptr(), segments.len() as u32).build();
    /// assert_eq!((read.opcode, read.fildes, read.nbytes), (IOCB_CMD_PREADV, 3, 1));
    /// ```
    pub fn new(fd: impl Into<RawFd>, iov: *const IoVec, count: u32) -> Preadv {
        Preadv(transfer(IOCB_CMD_PREADV, fd.into(), iov, count.into()))
    }
}

/// A write of several buffers, as `pwritev(2)`: `IOCB_CMD_PWRITEV`.
///
/// # Examples
/// ```
/// use linux_aio::abi::IoVec;
/// use linux_aio::opcode::Pwritev;
/// use linux_aio::{Context, Event};
/// use std::{fs::File, os::fd::AsRawFd};
///
/// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
/// let file = File::create("/dev/null").unwrap();
/// let segments = ["hello, ", "world"].map(|text| IoVec {
///     base: text.as_ptr().cast_mut().cast(),
///     len: text.len(),
/// });
/// let write = Pwritev::new(file.as_raw_fd(), segments.as_ptr(), 2);
/// let context = Context::new(4)?;
/// // SAFETY: the file is open, and the texts never change.
/// unsafe { context.submit(&mut [&mut write.build()]) }?;
/// assert_eq!(context.wait(1, &mut [Event::EMPTY])?[0].result(), Ok(12));
/// # Ok::<(), linux_aio::Errno>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use]
#[doc(alias = "io_prep_pwritev")]
#[doc(alias("io_prep_pwritev2", "io_iocb_vector"))]
pub struct Pwritev(Iocb);

impl Pwritev {
    /// Creates a write of the `count` buffers of the array at `iov`. A `count` over
    /// 1024 is refused with EINVAL. The array is copied at submission. The buffers must
    /// not change until the operation has completed.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::abi::{IOCB_CMD_PWRITEV, IoVec};
    /// use linux_aio::opcode::Pwritev;
    ///
    /// let text = "hello";
    /// let segments = [IoVec { base: text.as_ptr().cast_mut().cast(), len: text.len() }];
    /// let write = Pwritev::new(3, segments.as_ptr(), segments.len() as u32).build();
    /// assert_eq!((write.opcode, write.fildes, write.nbytes), (IOCB_CMD_PWRITEV, 3, 1));
    /// ```
    pub fn new(fd: impl Into<RawFd>, iov: *const IoVec, count: u32) -> Pwritev {
        Pwritev(transfer(IOCB_CMD_PWRITEV, fd.into(), iov, count.into()))
    }
}

/// A write of a file's cached data and metadata to the disk, as `fsync(2)`:
/// `IOCB_CMD_FSYNC` (Linux 4.18; EINVAL at submission before). It covers the writes
/// that have completed before, not those in flight at the same time.
///
/// # Examples
/// ```
/// use linux_aio::opcode::Fsync;
/// use linux_aio::{Context, Event};
/// use std::{fs::File, os::fd::AsRawFd};
///
/// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
/// # if !linux_aio::Probe::new()?.supports(linux_aio::abi::IOCB_CMD_FSYNC) { return Ok(()) }
/// let file = File::open("/proc/self/exe").unwrap();
/// let context = Context::new(4)?;
/// // SAFETY: the file is open, and an fsync has no buffer.
/// unsafe { context.submit(&mut [&mut Fsync::new(file.as_raw_fd()).build()]) }?;
/// assert_eq!(context.wait(1, &mut [Event::EMPTY])?[0].result(), Ok(0));
/// # Ok::<(), linux_aio::Errno>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use]
#[doc(alias = "io_prep_fsync")]
#[doc(alias = "io_fsync")]
pub struct Fsync(Iocb);

impl Fsync {
    /// Creates an fsync of this file.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::abi::IOCB_CMD_FSYNC;
    /// use linux_aio::opcode::Fsync;
    ///
    /// let sync = Fsync::new(3).build();
    /// assert_eq!((sync.opcode, sync.fildes), (IOCB_CMD_FSYNC, 3));
    /// ```
    pub fn new(fd: impl Into<RawFd>) -> Fsync {
        Fsync(Iocb::new(IOCB_CMD_FSYNC, fd.into()))
    }
}

/// A sync like [`Fsync`], without metadata that is not needed to read the data:
/// `IOCB_CMD_FDSYNC` (Linux 4.18).
///
/// # Examples
/// ```
/// use linux_aio::opcode::Fdsync;
/// use linux_aio::{Context, Event};
/// use std::{fs::File, os::fd::AsRawFd};
///
/// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
/// # if !linux_aio::Probe::new()?.supports(linux_aio::abi::IOCB_CMD_FSYNC) { return Ok(()) }
/// let file = File::open("/proc/self/exe").unwrap();
/// let context = Context::new(4)?;
/// // SAFETY: the file is open, and an fdatasync has no buffer.
/// unsafe { context.submit(&mut [&mut Fdsync::new(file.as_raw_fd()).build()]) }?;
/// assert_eq!(context.wait(1, &mut [Event::EMPTY])?[0].result(), Ok(0));
/// # Ok::<(), linux_aio::Errno>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use]
#[doc(alias = "io_prep_fdsync")]
#[doc(alias = "io_fdsync")]
pub struct Fdsync(Iocb);

impl Fdsync {
    /// Creates an fdatasync of this file.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::abi::IOCB_CMD_FDSYNC;
    /// use linux_aio::opcode::Fdsync;
    ///
    /// let sync = Fdsync::new(3).build();
    /// assert_eq!((sync.opcode, sync.fildes), (IOCB_CMD_FDSYNC, 3));
    /// ```
    pub fn new(fd: impl Into<RawFd>) -> Fdsync {
        Fdsync(Iocb::new(IOCB_CMD_FDSYNC, fd.into()))
    }
}

/// A one-shot wait until a descriptor is ready, as `poll(2)`: `IOCB_CMD_POLL` (Linux
/// 4.19; EINVAL at submission before). It is the only operation on files that can be
/// cancelled.
///
/// # Examples
/// ```
/// use linux_aio::opcode::{Poll, PollMask};
/// use linux_aio::{Context, Event};
/// use std::{io::Write, os::fd::AsRawFd, os::unix::net::UnixStream};
///
/// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
/// # if !linux_aio::Probe::new()?.supports(linux_aio::abi::IOCB_CMD_POLL) { return Ok(()) }
/// let (socket, mut peer) = UnixStream::pair().unwrap();
/// let context = Context::new(4)?;
/// // SAFETY: the socket is open, and a poll has no buffer.
/// unsafe { context.submit(&mut [&mut Poll::new(socket.as_raw_fd(), PollMask::IN).build()]) }?;
/// peer.write_all(b"hello").unwrap();
/// let ready = context.wait(1, &mut [Event::EMPTY])?[0].result()?;
/// assert!(PollMask::from_result(ready).contains(PollMask::IN));
/// # Ok::<(), linux_aio::Errno>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use]
#[doc(alias = "io_prep_poll")]
#[doc(alias("io_poll", "io_iocb_poll"))]
pub struct Poll(Iocb);

impl Poll {
    /// Creates a wait for any of `mask`. The event's result is the mask of the events
    /// that occurred: [`PollMask::from_result`].
    ///
    /// # Examples
    /// ```
    /// use linux_aio::abi::IOCB_CMD_POLL;
    /// use linux_aio::opcode::{Poll, PollMask};
    ///
    /// let poll = Poll::new(3, PollMask::IN | PollMask::OUT).build();
    /// assert_eq!((poll.opcode, poll.fildes, poll.buf), (IOCB_CMD_POLL, 3, 5));
    /// ```
    pub fn new(fd: impl Into<RawFd>, mask: PollMask) -> Poll {
        let mut iocb = Iocb::new(IOCB_CMD_POLL, fd.into());
        iocb.buf = mask.bits().into();
        Poll(iocb)
    }
}

builder!(Pread Pwrite Preadv Pwritev Fsync Fdsync Poll);
read_or_write! { example; Pread[].0; Pwrite[].0; Preadv[].0; Pwritev[].0; }
build! {
    Pread = IOCB_CMD_PREAD;
    Pwrite = IOCB_CMD_PWRITE;
    Preadv = IOCB_CMD_PREADV;
    Pwritev = IOCB_CMD_PWRITEV;
    Fsync = IOCB_CMD_FSYNC;
    Fdsync = IOCB_CMD_FDSYNC;
    Poll = IOCB_CMD_POLL;
}

/// Creates a read or a write. In this module only this function stores a pointer in a
/// field. Its provenance is exposed because the kernel reconstructs the pointer from a
/// number.
fn transfer<T>(opcode: u16, fd: RawFd, memory: *const T, nbytes: u64) -> Iocb {
    let mut iocb = Iocb::new(opcode, fd);
    iocb.buf = memory.expose_provenance() as u64;
    iocb.nbytes = nbytes;
    iocb
}
