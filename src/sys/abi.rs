//! The kernel's structures, byte for byte.
//!
//! Source: the kernel's `include/uapi/linux/aio_abi.h`, `fs/aio.c` (the ring)
//! and `include/uapi/linux/time_types.h`. The assertions below hold sizes and
//! offsets on every target; the test `layout` holds them to the kernel's own
//! header through a C compiler.

use core::ffi::c_void;
use core::mem::offset_of;

use bitflags::bitflags;

use crate::arch::target;
use crate::sys::errno::Errno;

pub use crate::sys::sigset::{PaddedSigsetArg, SigSet, SigsetArg};

/// The kernel's name for a context: the address of its ring.
///
/// A plain number, copied freely and with no promise: zero and garbage are
/// allowed, and the kernel answers EINVAL to them. [`Context`](crate::Context)
/// is the owner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
#[doc(alias = "aio_context_t")]
pub struct AioContext(pub usize);

impl AioContext {
    /// No context. [`io_setup`](crate::sys::io_setup) wants this in its place.
    pub const NONE: AioContext = AioContext(0);
}

/// One operation, as the kernel reads it.
///
/// Made by the builders in [`opcode`](crate::opcode), which express only what
/// the kernel can accept. The fields are public for code that speaks to
/// [`sys`](crate::sys) directly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(8))]
#[doc(alias = "iocb")]
pub struct Iocb {
    /// Comes back in the event's [`data`](Event::data), untouched.
    pub data: u64,
    /// Written by the kernel at submission (always 0), checked by io_cancel.
    #[cfg(target_endian = "little")]
    pub key: u32,
    /// `RWF_*` flags, of reads and writes only. Trades places with `key` on
    /// big-endian machines.
    pub rw_flags: RwFlags,
    /// Written by the kernel at submission (always 0), checked by io_cancel.
    #[cfg(target_endian = "big")]
    pub key: u32,
    /// One of `IOCB_CMD_*`.
    pub opcode: u16,
    /// I/O priority, counted only with [`IocbFlags::IOPRIO`].
    pub reqprio: i16,
    /// File descriptor.
    pub fildes: u32,
    /// Address of the buffer or of the `iovec` array; for a poll, its mask.
    pub buf: u64,
    /// Bytes of the buffer, or entries of the `iovec` array.
    pub nbytes: u64,
    /// Byte offset in the file; never negative.
    pub offset: i64,
    /// Must be zero.
    pub reserved2: u64,
    /// Which of `resfd` and `reqprio` count.
    pub flags: IocbFlags,
    /// The eventfd to signal, counted only with [`IocbFlags::RESFD`].
    pub resfd: u32,
}

impl Iocb {
    /// All fields zero: a read of nothing from standard input.
    pub const EMPTY: Iocb = Iocb {
        data: 0,
        key: 0,
        rw_flags: RwFlags::empty(),
        opcode: 0,
        reqprio: 0,
        fildes: 0,
        buf: 0,
        nbytes: 0,
        offset: 0,
        reserved2: 0,
        flags: IocbFlags::empty(),
        resfd: 0,
    };
}

/// `IOCB_CMD_PREAD`
pub const IOCB_CMD_PREAD: u16 = 0;
/// `IOCB_CMD_PWRITE`
pub const IOCB_CMD_PWRITE: u16 = 1;
/// `IOCB_CMD_FSYNC` (Linux 4.18)
pub const IOCB_CMD_FSYNC: u16 = 2;
/// `IOCB_CMD_FDSYNC` (Linux 4.18)
pub const IOCB_CMD_FDSYNC: u16 = 3;
/// `IOCB_CMD_POLL` (Linux 4.19)
pub const IOCB_CMD_POLL: u16 = 5;
/// `IOCB_CMD_NOOP`: defined by the header, refused by every kernel (EINVAL).
pub const IOCB_CMD_NOOP: u16 = 6;
/// `IOCB_CMD_PREADV`
pub const IOCB_CMD_PREADV: u16 = 7;
/// `IOCB_CMD_PWRITEV`
pub const IOCB_CMD_PWRITEV: u16 = 8;

bitflags! {
    /// The bits of [`Iocb::flags`].
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    #[repr(transparent)]
    pub struct IocbFlags: u32 {
        /// `resfd` names an eventfd.
        const RESFD = 1;
        /// `reqprio` holds an I/O priority (Linux 4.18).
        const IOPRIO = 2;
        // The kernel takes unknown bits without a word.
        const _ = !0;
    }
}

bitflags! {
    /// Per-operation flags of reads and writes, as in `preadv2(2)`.
    ///
    /// The kernel refuses a bit it does not know with EOPNOTSUPP; any bit can
    /// be tried with `RwFlags::from_bits_retain`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    #[repr(transparent)]
    pub struct RwFlags: u32 {
        /// High priority. Accepted (Linux 4.13), without effect in AIO.
        const HIPRI = 0x01;
        /// A write as if the file were open with O_DSYNC (Linux 4.13).
        const DSYNC = 0x02;
        /// A write as if the file were open with O_SYNC (Linux 4.13).
        const SYNC = 0x04;
        /// Fail with EAGAIN, in the event, rather than wait for allocation,
        /// locks or the device's queue (Linux 4.14).
        const NOWAIT = 0x08;
        /// Append, whatever the offset says (Linux 4.16).
        const APPEND = 0x10;
        /// Use the offset, although the file is open with O_APPEND (Linux 6.9).
        const NOAPPEND = 0x20;
        /// Write all or nothing, with O_DIRECT where the device can
        /// (Linux 6.11).
        const ATOMIC = 0x40;
        /// Buffered, but dropped from the page cache afterwards (Linux 6.14).
        const DONTCACHE = 0x80;
        const _ = !0;
    }
}

/// One completion, as the kernel writes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(8))]
#[doc(alias = "io_event")]
pub struct Event {
    /// The operation's [`Iocb::data`].
    pub data: u64,
    /// The address that its iocb had at submission.
    pub obj: u64,
    /// Bytes moved, or a poll's mask; negative: a negated error number.
    pub res: i64,
    /// Zero, except from a few USB gadget drivers.
    pub res2: i64,
}

impl Event {
    /// An empty event, to make the array that a wait fills.
    pub const EMPTY: Event = Event {
        data: 0,
        obj: 0,
        res: 0,
        res2: 0,
    };

    /// The number given by [`Iocb::user_data`].
    pub const fn user_data(&self) -> u64 {
        self.data
    }

    /// How the operation ended: the bytes moved, which may be fewer than
    /// asked; for a poll the mask of what is ready, 0 if it was cancelled; 0
    /// for fsync.
    ///
    /// # Errors
    /// What reading or writing that file may answer: EIO, ENOSPC, EFAULT (the
    /// buffer), EINVAL (O_DIRECT alignment), EAGAIN (with
    /// [`RwFlags::NOWAIT`]), …
    pub const fn result(&self) -> Result<usize, Errno> {
        if self.res < 0 {
            Err(Errno::from_negated(self.res as i32))
        } else {
            Ok(self.res as usize)
        }
    }
}

/// One piece of memory of a vectored operation, as in `readv(2)`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
#[doc(alias = "iovec")]
pub struct IoVec {
    /// Where it starts.
    pub base: *mut c_void,
    /// Bytes.
    pub len: usize,
}

/// The head of the ring that the kernel maps at a context's address. The
/// events follow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
#[doc(alias = "aio_ring")]
pub struct RingHeader {
    /// The kernel's index of the context; a program must not write it.
    pub id: u32,
    /// Slots; one is always kept empty.
    pub nr: u32,
    /// The next event to take, below `nr`.
    pub head: u32,
    /// One past the last event, below `nr`; written by the kernel.
    pub tail: u32,
    /// [`RingHeader::MAGIC`]
    pub magic: u32,
    /// 1
    pub compat_features: u32,
    /// 0; anything else would be a ring this crate cannot read.
    pub incompat_features: u32,
    /// Bytes of this header.
    pub header_length: u32,
}

impl RingHeader {
    /// What `magic` holds where the kernel offers a ring to user space.
    pub const MAGIC: u32 = 0xa10a_10a1;
}

/// Time as the 64-bit calls take it, on every ABI.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
#[doc(alias = "__kernel_timespec")]
pub struct Timespec {
    /// Seconds.
    pub sec: i64,
    /// Nanoseconds; the kernel does not refuse 10⁹ and more.
    pub nsec: i64,
}

/// The kernel's `long`: as wide as a pointer, on x32 wider.
pub type Long = target::Long;

/// Time as the older calls take it: two of the kernel's `long`. Where that is
/// 64 bits wide, the same as [`Timespec`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
#[doc(alias = "old_timespec32")]
pub struct OldTimespec {
    /// Seconds.
    pub sec: Long,
    /// Nanoseconds.
    pub nsec: Long,
}

// The structures are the kernel's on every target.
const _: () = {
    assert!(size_of::<Iocb>() == 64);
    assert!(offset_of!(Iocb, data) == 0);
    assert!(
        offset_of!(Iocb, key)
            == if cfg!(target_endian = "little") {
                8
            } else {
                12
            }
    );
    assert!(
        offset_of!(Iocb, rw_flags)
            == if cfg!(target_endian = "little") {
                12
            } else {
                8
            }
    );
    assert!(offset_of!(Iocb, opcode) == 16);
    assert!(offset_of!(Iocb, reqprio) == 18);
    assert!(offset_of!(Iocb, fildes) == 20);
    assert!(offset_of!(Iocb, buf) == 24);
    assert!(offset_of!(Iocb, nbytes) == 32);
    assert!(offset_of!(Iocb, offset) == 40);
    assert!(offset_of!(Iocb, reserved2) == 48);
    assert!(offset_of!(Iocb, flags) == 56);
    assert!(offset_of!(Iocb, resfd) == 60);

    assert!(size_of::<Event>() == 32);
    assert!(offset_of!(Event, data) == 0);
    assert!(offset_of!(Event, obj) == 8);
    assert!(offset_of!(Event, res) == 16);
    assert!(offset_of!(Event, res2) == 24);

    assert!(size_of::<RingHeader>() == 32);
    assert!(offset_of!(RingHeader, head) == 8);
    assert!(offset_of!(RingHeader, tail) == 12);

    assert!(size_of::<Timespec>() == 16);
    assert!(size_of::<OldTimespec>() == 2 * size_of::<Long>());
};
