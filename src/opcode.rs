//! Builders: a typed operation becomes an [`Iocb`].
//!
//! Building is safe and does nothing; submitting
//! ([`Context::submit`](crate::Context::submit)) is where the promise about
//! the buffer is made. What the kernel would refuse by its form alone cannot
//! be built: an fsync has no offset, a poll no buffer, a priority no level 9.
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

/// A file descriptor's number: from an `i32`, an [`Fd`], and with the feature
/// `std` from anything that has one.
///
/// Nothing keeps the descriptor open: whoever submits the operation
/// ([`Context::submit`](crate::Context::submit)) vouches for it. The kernel
/// looks it up at submission, and it may be closed afterwards.
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

/// An I/O priority, as `ioprio_set(2)` defines it: a class and, in two of
/// them, a level from 0 (first) to 7.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IoPriority(pub(crate) i16);

impl IoPriority {
    /// Before everything else. Needs CAP_SYS_ADMIN or CAP_SYS_NICE: EPERM at
    /// submission without. `None` for a level over 7.
    pub const fn real_time(level: u8) -> Option<IoPriority> {
        IoPriority::new(1, level)
    }

    /// The usual class. `None` for a level over 7.
    pub const fn best_effort(level: u8) -> Option<IoPriority> {
        IoPriority::new(2, level)
    }

    /// Only when the disk has nothing else to do.
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
    /// What to wait for, or what has come: the bits of `poll(2)`. ERR and HUP
    /// come unasked. Others go through `PollMask::from_bits_retain`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct PollMask: u16 {
        /// `POLLIN`: something to read.
        const IN = 0x0001;
        /// `POLLPRI`: something urgent.
        const PRI = 0x0002;
        /// `POLLOUT`: room to write.
        const OUT = 0x0004;
        /// `POLLERR`: an error.
        const ERR = 0x0008;
        /// `POLLHUP`: the other side is gone.
        const HUP = 0x0010;
        /// `POLLRDHUP`: the other side will send no more. The value is the
        /// architecture's.
        const RDHUP = ABI.pollrdhup;
        const _ = !0;
    }
}

impl PollMask {
    /// The mask in a poll's [`Event::result`](crate::Event::result).
    pub const fn from_result(result: usize) -> PollMask {
        PollMask::from_bits_retain(result as u16)
    }
}

impl Iocb {
    /// With a number of the caller's, which comes back in the event. Best a
    /// slot and a generation: an address read from an event must never be
    /// followed.
    #[must_use]
    pub const fn user_data(mut self, user_data: u64) -> Iocb {
        self.data = user_data;
        self
    }

    pub(crate) const fn new(opcode: u16, fd: RawFd) -> Iocb {
        Iocb {
            opcode,
            fildes: fd.0 as u32,
            ..Iocb::EMPTY
        }
    }

    /// Signals this eventfd when the operation has ended.
    pub(crate) fn signal(&mut self, RawFd(eventfd): RawFd) {
        self.flags |= IocbFlags::RESFD;
        self.resfd = eventfd as u32;
    }

    /// The eventfd that is signalled, if one is.
    pub(crate) fn signals(&self) -> Option<RawFd> {
        let signals = self.flags.contains(IocbFlags::RESFD);
        signals.then_some(RawFd(self.resfd as i32))
    }
}

/// What every builder has: an eventfd.
macro_rules! builder {
    ($($name:ident)+) => {$(
        impl $name {
            /// Signals this eventfd when the operation has ended (its counter
            /// goes up by one). Anything but an eventfd: EINVAL at submission.
            pub fn eventfd(mut self, eventfd: impl Into<RawFd>) -> Self {
                self.0.signal(eventfd.into());
                self
            }
        }
    )+};
}

/// What reads and writes have besides. The builder's iocb is its field `$iocb`.
macro_rules! read_or_write {
    ($($name:ident [$($generics:tt)*] . $iocb:tt;)+) => {$(
        impl<$($generics)*> $name<$($generics)*> {
            /// Where in the file, in bytes; 0 unless set. An offset over
            /// `i64::MAX` is EINVAL at submission. Ignored by pipes and such.
            pub const fn offset(mut self, offset: u64) -> Self {
                self.$iocb.offset = offset as i64;
                self
            }

            /// Flags for this operation alone. One that the kernel does not
            /// know is EOPNOTSUPP at submission.
            pub const fn rw_flags(mut self, flags: $crate::sys::abi::RwFlags) -> Self {
                self.$iocb.rw_flags = flags;
                self
            }

            /// With this I/O priority instead of the thread's (Linux 4.18).
            pub const fn ioprio(mut self, priority: $crate::opcode::IoPriority) -> Self {
                self.$iocb.flags = self.$iocb.flags.union($crate::sys::abi::IocbFlags::IOPRIO);
                self.$iocb.reqprio = priority.0;
                self
            }
        }
    )+};
}

pub(crate) use read_or_write;

/// An operation whose builder holds nothing but its iocb.
macro_rules! build {
    ($($name:ident)+) => {$(
        impl $name {
            /// The operation, ready to be submitted.
            pub const fn build(self) -> Iocb {
                self.0
            }
        }
    )+};
}

/// Reads into one buffer, as `pread(2)`: `IOCB_CMD_PREAD`.
///
/// A direct read (O_DIRECT) across a file's end may write more of the buffer
/// than its result tells: ext4 clears the rest of the last block (seen on Linux
/// 6.18).
#[derive(Clone, Copy, Debug)]
#[must_use]
#[doc(alias = "io_prep_pread")]
pub struct Pread(Iocb);

impl Pread {
    /// Reads up to `len` bytes into memory at `buf`, which is the kernel's
    /// until the event has come.
    pub fn new(fd: impl Into<RawFd>, buf: *mut u8, len: usize) -> Pread {
        Pread(transfer(IOCB_CMD_PREAD, fd.into(), buf, len as u64))
    }
}

/// Writes one buffer, as `pwrite(2)`: `IOCB_CMD_PWRITE`.
#[derive(Clone, Copy, Debug)]
#[must_use]
#[doc(alias = "io_prep_pwrite")]
pub struct Pwrite(Iocb);

impl Pwrite {
    /// Writes up to `len` bytes of memory at `buf`, which must not change
    /// until the event has come.
    pub fn new(fd: impl Into<RawFd>, buf: *const u8, len: usize) -> Pwrite {
        Pwrite(transfer(IOCB_CMD_PWRITE, fd.into(), buf, len as u64))
    }
}

/// Reads into several buffers, as `preadv(2)`: `IOCB_CMD_PREADV`.
#[derive(Clone, Copy, Debug)]
#[must_use]
#[doc(alias = "io_prep_preadv")]
pub struct Preadv(Iocb);

impl Preadv {
    /// Reads into the `count` pieces of the array at `iov`: EINVAL over 1024.
    /// The array is copied at submission; the pieces are the kernel's until
    /// the event has come.
    pub fn new(fd: impl Into<RawFd>, iov: *const IoVec, count: u32) -> Preadv {
        Preadv(transfer(IOCB_CMD_PREADV, fd.into(), iov, count.into()))
    }
}

/// Writes several buffers, as `pwritev(2)`: `IOCB_CMD_PWRITEV`.
#[derive(Clone, Copy, Debug)]
#[must_use]
#[doc(alias = "io_prep_pwritev")]
pub struct Pwritev(Iocb);

impl Pwritev {
    /// Writes the `count` pieces of the array at `iov`: EINVAL over 1024. The
    /// array is copied at submission; the pieces must not change until the
    /// event has come.
    pub fn new(fd: impl Into<RawFd>, iov: *const IoVec, count: u32) -> Pwritev {
        Pwritev(transfer(IOCB_CMD_PWRITEV, fd.into(), iov, count.into()))
    }
}

/// Writes a file's data and metadata to the disk, as `fsync(2)`:
/// `IOCB_CMD_FSYNC` (Linux 4.18; EINVAL at submission before). It covers the
/// writes whose events have come, not those in flight beside it.
#[derive(Clone, Copy, Debug)]
#[must_use]
#[doc(alias = "io_prep_fsync")]
pub struct Fsync(Iocb);

impl Fsync {
    /// Syncs this file.
    pub fn new(fd: impl Into<RawFd>) -> Fsync {
        Fsync(Iocb::new(IOCB_CMD_FSYNC, fd.into()))
    }
}

/// As [`Fsync`], without metadata that reading the data does not need:
/// `IOCB_CMD_FDSYNC` (Linux 4.18).
#[derive(Clone, Copy, Debug)]
#[must_use]
#[doc(alias = "io_prep_fdsync")]
pub struct Fdsync(Iocb);

impl Fdsync {
    /// Syncs this file's data.
    pub fn new(fd: impl Into<RawFd>) -> Fdsync {
        Fdsync(Iocb::new(IOCB_CMD_FDSYNC, fd.into()))
    }
}

/// Waits once until a descriptor is ready, as `poll(2)`: `IOCB_CMD_POLL`
/// (Linux 4.19; EINVAL at submission before). The one operation on files that
/// can be cancelled.
#[derive(Clone, Copy, Debug)]
#[must_use]
#[doc(alias = "io_prep_poll")]
pub struct Poll(Iocb);

impl Poll {
    /// Waits for any of `mask`. The event's result is what has come:
    /// [`PollMask::from_result`].
    pub fn new(fd: impl Into<RawFd>, mask: PollMask) -> Poll {
        let mut iocb = Iocb::new(IOCB_CMD_POLL, fd.into());
        iocb.buf = mask.bits().into();
        Poll(iocb)
    }
}

builder!(Pread Pwrite Preadv Pwritev Fsync Fdsync Poll);
read_or_write! { Pread[].0; Pwrite[].0; Preadv[].0; Pwritev[].0; }
build!(Pread Pwrite Preadv Pwritev Fsync Fdsync Poll);

/// A read or a write. The one place where a pointer becomes a field: its
/// provenance is exposed, because the kernel takes it up again from a number.
fn transfer<T>(opcode: u16, fd: RawFd, memory: *const T, nbytes: u64) -> Iocb {
    let mut iocb = Iocb::new(opcode, fd);
    iocb.buf = memory.expose_provenance() as u64;
    iocb.nbytes = nbytes;
    iocb
}
