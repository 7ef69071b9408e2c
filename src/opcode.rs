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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IoPriority(pub(crate) i16);

impl IoPriority {
    /// Returns a priority of the real-time class, served before all others, or `None`
    /// for a level over 7. Without CAP_SYS_ADMIN and CAP_SYS_NICE, submission fails with
    /// EPERM; one of them suffices (CAP_SYS_NICE since Linux 5.14, and in late releases of
    /// 5.10). Capabilities in another user namespace than the first do not count.
    pub const fn real_time(level: u8) -> Option<IoPriority> {
        IoPriority::new(1, level)
    }

    /// Returns a priority of the best-effort class, the default class, or `None` for a
    /// level over 7.
    pub const fn best_effort(level: u8) -> Option<IoPriority> {
        IoPriority::new(2, level)
    }

    /// Returns a priority of the idle class, served only when the disk has no other work.
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
    pub const fn from_result(result: usize) -> PollMask {
        PollMask::from_bits_retain(result as u16)
    }
}

impl Iocb {
    /// Sets `user_data`, which is returned in the event. Use an index and a generation
    /// rather than a pointer: an address read from an event must never be dereferenced.
    #[must_use]
    #[doc(alias("io_set_callback", "io_callback_t"))]
    pub const fn user_data(mut self, user_data: u64) -> Iocb {
        self.data = user_data;
        self
    }

    /// Returns whether this is a read.
    #[inline]
    pub(crate) const fn is_read(&self) -> bool {
        matches!(self.opcode, IOCB_CMD_PREAD | IOCB_CMD_PREADV)
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

/// Implements the setter that every builder has: the eventfd.
macro_rules! builder {
    ($($name:ident)+) => {$(
        impl $name {
            /// Signals this eventfd when the operation has completed (its counter is
            /// incremented by one). A descriptor that is not an eventfd is refused at
            /// submission with EINVAL.
            #[doc(alias = "io_set_eventfd")]
            pub fn eventfd(mut self, eventfd: impl Into<RawFd>) -> Self {
                self.0.signal(eventfd.into());
                self
            }
        }
    )+};
}

/// Implements the setters of reads and writes. The builder's iocb is its field `$iocb`.
macro_rules! read_or_write {
    ($($name:ident [$($generics:tt)*] . $iocb:tt;)+) => {$(
        impl<$($generics)*> $name<$($generics)*> {
            /// Sets the offset in the file, in bytes; the default is 0. An offset over
            /// `i64::MAX` is refused at submission with EINVAL. Pipes and other files
            /// without a position ignore it.
            pub const fn offset(mut self, offset: u64) -> Self {
                self.$iocb.offset = offset as i64;
                self
            }

            /// Sets the flags of this operation. A flag that the kernel does not
            /// support is refused at submission with EOPNOTSUPP.
            #[doc(alias("preadv2", "pwritev2"))]
            pub const fn rw_flags(mut self, flags: $crate::sys::abi::RwFlags) -> Self {
                self.$iocb.rw_flags = flags;
                self
            }

            /// Sets the I/O priority, which replaces the thread's (Linux 4.18).
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
    ($($name:ident)+) => {$(
        impl $name {
            /// Returns the operation, ready to be submitted.
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
#[derive(Clone, Copy, Debug)]
#[must_use]
#[doc(alias = "io_prep_pread")]
pub struct Pread(Iocb);

impl Pread {
    /// Creates a read of up to `len` bytes into memory at `buf`. The kernel may write
    /// that memory until the operation has completed.
    pub fn new(fd: impl Into<RawFd>, buf: *mut u8, len: usize) -> Pread {
        Pread(transfer(IOCB_CMD_PREAD, fd.into(), buf, len as u64))
    }
}

/// A write of one buffer, as `pwrite(2)`: `IOCB_CMD_PWRITE`.
#[derive(Clone, Copy, Debug)]
#[must_use]
#[doc(alias = "io_prep_pwrite")]
pub struct Pwrite(Iocb);

impl Pwrite {
    /// Creates a write of up to `len` bytes of memory at `buf`, which must not change
    /// until the operation has completed.
    pub fn new(fd: impl Into<RawFd>, buf: *const u8, len: usize) -> Pwrite {
        Pwrite(transfer(IOCB_CMD_PWRITE, fd.into(), buf, len as u64))
    }
}

/// A read into several buffers, as `preadv(2)`: `IOCB_CMD_PREADV`.
#[derive(Clone, Copy, Debug)]
#[must_use]
#[doc(alias = "io_prep_preadv")]
#[doc(alias("io_prep_preadv2", "io_iocb_vector"))]
pub struct Preadv(Iocb);

impl Preadv {
    /// Creates a read into the `count` buffers of the array at `iov`. A `count` over
    /// 1024 is refused with EINVAL. The array is copied at submission. The kernel may
    /// write the buffers until the operation has completed.
    pub fn new(fd: impl Into<RawFd>, iov: *const IoVec, count: u32) -> Preadv {
        Preadv(transfer(IOCB_CMD_PREADV, fd.into(), iov, count.into()))
    }
}

/// A write of several buffers, as `pwritev(2)`: `IOCB_CMD_PWRITEV`.
#[derive(Clone, Copy, Debug)]
#[must_use]
#[doc(alias = "io_prep_pwritev")]
#[doc(alias("io_prep_pwritev2", "io_iocb_vector"))]
pub struct Pwritev(Iocb);

impl Pwritev {
    /// Creates a write of the `count` buffers of the array at `iov`. A `count` over
    /// 1024 is refused with EINVAL. The array is copied at submission. The buffers must
    /// not change until the operation has completed.
    pub fn new(fd: impl Into<RawFd>, iov: *const IoVec, count: u32) -> Pwritev {
        Pwritev(transfer(IOCB_CMD_PWRITEV, fd.into(), iov, count.into()))
    }
}

/// A write of a file's cached data and metadata to the disk, as `fsync(2)`:
/// `IOCB_CMD_FSYNC` (Linux 4.18; EINVAL at submission before). It covers the writes
/// that have completed before, not those in flight at the same time.
#[derive(Clone, Copy, Debug)]
#[must_use]
#[doc(alias = "io_prep_fsync")]
#[doc(alias = "io_fsync")]
pub struct Fsync(Iocb);

impl Fsync {
    /// Creates an fsync of this file.
    pub fn new(fd: impl Into<RawFd>) -> Fsync {
        Fsync(Iocb::new(IOCB_CMD_FSYNC, fd.into()))
    }
}

/// A sync like [`Fsync`], without metadata that is not needed to read the data:
/// `IOCB_CMD_FDSYNC` (Linux 4.18).
#[derive(Clone, Copy, Debug)]
#[must_use]
#[doc(alias = "io_prep_fdsync")]
#[doc(alias = "io_fdsync")]
pub struct Fdsync(Iocb);

impl Fdsync {
    /// Creates an fdatasync of this file.
    pub fn new(fd: impl Into<RawFd>) -> Fdsync {
        Fdsync(Iocb::new(IOCB_CMD_FDSYNC, fd.into()))
    }
}

/// A one-shot wait until a descriptor is ready, as `poll(2)`: `IOCB_CMD_POLL` (Linux
/// 4.19; EINVAL at submission before). It is the only operation on files that can be
/// cancelled.
#[derive(Clone, Copy, Debug)]
#[must_use]
#[doc(alias = "io_prep_poll")]
#[doc(alias("io_poll", "io_iocb_poll"))]
pub struct Poll(Iocb);

impl Poll {
    /// Creates a wait for any of `mask`. The event's result is the mask of the events
    /// that occurred: [`PollMask::from_result`].
    pub fn new(fd: impl Into<RawFd>, mask: PollMask) -> Poll {
        let mut iocb = Iocb::new(IOCB_CMD_POLL, fd.into());
        iocb.buf = mask.bits().into();
        Poll(iocb)
    }
}

builder!(Pread Pwrite Preadv Pwritev Fsync Fdsync Poll);
read_or_write! { Pread[].0; Pwrite[].0; Preadv[].0; Pwritev[].0; }
build!(Pread Pwrite Preadv Pwritev Fsync Fdsync Poll);

/// Creates a read or a write. In this module only this function stores a pointer in a
/// field. Its provenance is exposed because the kernel reconstructs the pointer from a
/// number.
fn transfer<T>(opcode: u16, fd: RawFd, memory: *const T, nbytes: u64) -> Iocb {
    let mut iocb = Iocb::new(opcode, fd);
    iocb.buf = memory.expose_provenance() as u64;
    iocb.nbytes = nbytes;
    iocb
}
