//! Kernel structures and constants of AIO, with the kernel's layout.
//!
//! Source: the kernel's `include/uapi/linux/aio_abi.h`, `fs/aio.c` (the ring) and
//! `include/uapi/linux/time_types.h`. The assertions below check sizes and offsets on
//! every target. The test `layout` checks them against the kernel header through a C
//! compiler.

use core::ffi::c_void;
use core::mem::offset_of;

use bitflags::bitflags;

use crate::arch::target;
use crate::sys::errno::Errno;

pub use crate::sys::sigset::{SigSet, SigsetArg};

/// The kernel's identifier of a context: the address of its ring.
///
/// A plain number without ownership, which can be copied freely. Zero and garbage are
/// allowed: the kernel refuses them with EINVAL. [`Context`](crate::Context) is the
/// owning type.
///
/// # Examples
/// ```
/// use linux_aio::{AioContext, Errno, sys};
///
/// // A number without ownership, which the kernel refuses if it names no context.
/// // SAFETY: no context has this number, so nothing is destroyed.
/// let destroyed = unsafe { sys::io_destroy(AioContext::NONE) };
/// assert!(matches!(destroyed, Err(Errno::INVAL | Errno::NOSYS)));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
#[doc(alias = "aio_context_t")]
pub struct AioContext(pub usize);

impl AioContext {
    /// The identifier of no context, which [`io_setup`](crate::sys::io_setup) requires
    /// as the initial value.
    pub const NONE: AioContext = AioContext(0);
}

/// An operation in the layout that the kernel reads.
///
/// The builders in [`opcode`](crate::opcode) create it, and express only operations
/// that the kernel can accept. The fields are public for code that uses
/// [`sys`](crate::sys) directly.
///
/// # Examples
/// ```
/// use linux_aio::Iocb;
/// use linux_aio::abi::IOCB_CMD_FSYNC;
/// use linux_aio::opcode::Fsync;
///
/// let iocb = Iocb { opcode: IOCB_CMD_FSYNC, fildes: 3, data: 42, ..Iocb::EMPTY };
/// // The builder creates the same.
/// assert_eq!(iocb, Fsync::new(3).build().user_data(42));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(8))]
#[doc(alias("iocb", "io_iocb_common"))]
pub struct Iocb {
    /// A value that is returned unchanged in the event's [`data`](Event::data).
    #[doc(alias = "aio_data")]
    pub data: u64,
    /// The key: written by the kernel at submission (always 0), checked by io_cancel.
    #[cfg(target_endian = "little")]
    #[doc(alias = "aio_key")]
    pub key: u32,
    /// `RWF_*` flags, for reads and writes only. On big-endian machines this field
    /// precedes `key`.
    #[doc(alias = "aio_rw_flags")]
    pub rw_flags: RwFlags,
    /// The key: written by the kernel at submission (always 0), checked by io_cancel.
    #[cfg(target_endian = "big")]
    #[doc(alias = "aio_key")]
    pub key: u32,
    /// The operation code, one of `IOCB_CMD_*`.
    #[doc(alias("aio_lio_opcode", "io_iocb_cmd", "io_iocb_cmd_t"))]
    pub opcode: u16,
    /// The I/O priority, used only with [`IocbFlags::IOPRIO`].
    #[doc(alias = "aio_reqprio")]
    pub reqprio: i16,
    /// The file descriptor.
    #[doc(alias = "aio_fildes")]
    pub fildes: u32,
    /// The address of the buffer or of the `iovec` array; for a poll, its mask.
    #[doc(alias = "aio_buf")]
    pub buf: u64,
    /// The length of the buffer in bytes, or the number of entries of the `iovec`
    /// array.
    #[doc(alias = "aio_nbytes")]
    pub nbytes: u64,
    /// The byte offset in the file; never negative.
    #[doc(alias = "aio_offset")]
    pub offset: i64,
    /// A reserved field, which must be zero.
    #[doc(alias = "aio_reserved2")]
    pub reserved2: u64,
    /// Flags that enable `resfd` and `reqprio`.
    #[doc(alias = "aio_flags")]
    pub flags: IocbFlags,
    /// The eventfd to signal, used only with [`IocbFlags::RESFD`].
    #[doc(alias = "aio_resfd")]
    pub resfd: u32,
}

impl Iocb {
    /// An iocb with all fields zero: a read of zero bytes from standard input.
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

/// The opcode of a read into one buffer.
#[doc(alias = "IO_CMD_PREAD")]
pub const IOCB_CMD_PREAD: u16 = 0;
/// The opcode of a write of one buffer.
#[doc(alias = "IO_CMD_PWRITE")]
pub const IOCB_CMD_PWRITE: u16 = 1;
/// The opcode of an fsync (Linux 4.18).
#[doc(alias = "IO_CMD_FSYNC")]
pub const IOCB_CMD_FSYNC: u16 = 2;
/// The opcode of an fdatasync (Linux 4.18).
#[doc(alias = "IO_CMD_FDSYNC")]
pub const IOCB_CMD_FDSYNC: u16 = 3;
/// The opcode of a poll (Linux 4.19).
#[doc(alias = "IO_CMD_POLL")]
pub const IOCB_CMD_POLL: u16 = 5;
/// An opcode that the header defines and every kernel refuses (EINVAL).
#[doc(alias = "IO_CMD_NOOP")]
pub const IOCB_CMD_NOOP: u16 = 6;
/// The opcode of a read into several buffers.
#[doc(alias = "IO_CMD_PREADV")]
pub const IOCB_CMD_PREADV: u16 = 7;
/// The opcode of a write of several buffers.
#[doc(alias = "IO_CMD_PWRITEV")]
pub const IOCB_CMD_PWRITEV: u16 = 8;

bitflags! {
    /// The bits of [`Iocb::flags`].
    ///
    /// # Examples
    /// ```
    /// use linux_aio::abi::IocbFlags;
    /// use linux_aio::opcode::{Fsync, IoPriority, Pread};
    ///
    /// assert_eq!(Fsync::new(3).eventfd(4).build().flags, IocbFlags::RESFD);
    /// let read = Pread::new(3, std::ptr::null_mut(), 0).ioprio(IoPriority::idle()).eventfd(4);
    /// assert_eq!(read.build().flags, IocbFlags::RESFD | IocbFlags::IOPRIO);
    /// ```
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    #[repr(transparent)]
    pub struct IocbFlags: u32 {
        /// `resfd` holds an eventfd.
        #[doc(alias = "IOCB_FLAG_RESFD")]
        const RESFD = 1;
        /// `reqprio` holds an I/O priority (Linux 4.18).
        #[doc(alias = "IOCB_FLAG_IOPRIO")]
        const IOPRIO = 2;
        // The kernel ignores unknown bits.
        const _ = !0;
    }
}

bitflags! {
    /// Flags of one read or write, as in `preadv2(2)`.
    ///
    /// The kernel refuses an unknown bit with EOPNOTSUPP. `RwFlags::from_bits_retain`
    /// sets any bit.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::abi::RwFlags;
    ///
    /// let durable = RwFlags::DSYNC | RwFlags::APPEND;
    /// assert_eq!(durable.bits(), 0x12);
    /// assert!(!durable.contains(RwFlags::NOWAIT));
    /// ```
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    #[repr(transparent)]
    #[doc(alias("__kernel_rwf_t", "RWF_SUPPORTED"))]
    pub struct RwFlags: u32 {
        /// High priority. Accepted (Linux 4.13), but without effect in AIO.
        #[doc(alias = "RWF_HIPRI")]
        const HIPRI = 0x01;
        /// Writes as if the file were open with O_DSYNC (Linux 4.13).
        #[doc(alias = "RWF_DSYNC")]
        const DSYNC = 0x02;
        /// Writes as if the file were open with O_SYNC (Linux 4.13).
        #[doc(alias = "RWF_SYNC")]
        const SYNC = 0x04;
        /// Completes with EAGAIN, in the event, instead of waiting for allocation,
        /// locks or the device's queue (Linux 4.14).
        #[doc(alias = "RWF_NOWAIT")]
        const NOWAIT = 0x08;
        /// Appends to the file and ignores the offset (Linux 4.16). As with every operation
        /// of AIO, the position of the file (`lseek(2)`) does not change, and the result is
        /// the number of bytes written.
        #[doc(alias = "RWF_APPEND")]
        const APPEND = 0x10;
        /// Uses the offset although the file is open with O_APPEND (Linux 6.9).
        #[doc(alias = "RWF_NOAPPEND")]
        const NOAPPEND = 0x20;
        /// Writes all or nothing, with O_DIRECT where the device supports it (Linux
        /// 6.11).
        #[doc(alias = "RWF_ATOMIC")]
        const ATOMIC = 0x40;
        /// Uses the page cache and drops the pages afterwards (Linux 6.14).
        #[doc(alias = "RWF_DONTCACHE")]
        const DONTCACHE = 0x80;
        const _ = !0;
    }
}

/// A completion in the layout that the kernel writes.
///
/// # Examples
/// ```
/// use linux_aio::{Errno, Event};
///
/// // As the kernel writes it: 4096 bytes were transferred.
/// let event = Event { data: 42, res: 4096, ..Event::EMPTY };
/// assert_eq!((event.user_data(), event.result()), (42, Ok(4096)));
/// // A negated error number.
/// let failed = Event { res: -i64::from(Errno::IO.raw_os_error()), ..event };
/// assert_eq!(failed.result(), Err(Errno::IO));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(8))]
#[doc(alias = "io_event")]
pub struct Event {
    /// The operation's [`Iocb::data`].
    pub data: u64,
    /// The address of the operation's iocb at submission.
    pub obj: u64,
    /// The number of bytes transferred, or a poll's mask. A negative value is a negated
    /// error number.
    pub res: i64,
    /// A second result: zero, except from a few USB gadget drivers.
    pub res2: i64,
}

impl Event {
    /// An empty event, to initialize the array that a wait fills.
    pub const EMPTY: Event = Event {
        data: 0,
        obj: 0,
        res: 0,
        res2: 0,
    };

    /// Returns the number set by [`Iocb::user_data`].
    ///
    /// # Examples
    /// ```
    /// use linux_aio::Event;
    ///
    /// let event = Event { data: 42, ..Event::EMPTY };
    /// assert_eq!(event.user_data(), 42);
    /// ```
    pub const fn user_data(&self) -> u64 {
        self.data
    }

    /// Returns the operation's result: the number of bytes transferred, which may be
    /// fewer than requested; for a poll the mask of ready events, 0 if it was
    /// cancelled; 0 for fsync.
    ///
    /// # Errors
    /// Any error that reading or writing the file can return: EIO, ENOSPC, EFAULT (the
    /// buffer), EINVAL (O_DIRECT alignment), EAGAIN (with [`RwFlags::NOWAIT`]), EINTR (a
    /// signal ended a read or write that blocked inside io_submit), …
    ///
    /// # Examples
    /// ```
    /// use linux_aio::opcode::Pread;
    /// use linux_aio::{Context, Errno, Event};
    /// use std::{fs::File, os::fd::AsRawFd};
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let file = File::open("/proc/self/exe").unwrap();
    /// let context = Context::new(4)?;
    /// // The kernel checks the memory only when it reads the file.
    /// let mut read = Pread::new(file.as_raw_fd(), std::ptr::null_mut(), 512).build();
    /// // SAFETY: the file is open. No memory is mapped at 0, so the kernel writes nothing.
    /// unsafe { context.submit(&mut [&mut read]) }?;
    /// let mut events = [Event::EMPTY; 4];
    /// assert_eq!(context.wait(1, &mut events)?[0].result(), Err(Errno::FAULT));
    /// # Ok::<(), linux_aio::Errno>(())
    /// ```
    pub const fn result(&self) -> Result<usize, Errno> {
        if self.res < 0 {
            Err(Errno::from_negated(self.res as i32))
        } else {
            Ok(self.res as usize)
        }
    }
}

/// A memory region of a vectored operation, as in `readv(2)`.
///
/// # Examples
/// ```
/// use linux_aio::abi::IoVec;
///
/// let mut buffer = [0_u8; 512];
/// let segment = IoVec { base: buffer.as_mut_ptr().cast(), len: buffer.len() };
/// ```
#[derive(Clone, Copy, Debug)]
#[repr(C)]
#[doc(alias = "iovec")]
pub struct IoVec {
    /// The start address.
    pub base: *mut c_void,
    /// The length in bytes.
    pub len: usize,
}

/// The header of the ring that the kernel maps at a context's address. The events
/// follow it.
///
/// # Examples
/// Reading the header of a context that no other code uses:
/// ```
/// use linux_aio::Context;
/// use linux_aio::abi::RingHeader;
///
/// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
/// let context = Context::new(8)?;
/// // SAFETY: the kernel has mapped the ring at this address, and nothing is in flight.
/// let header = unsafe {
///     std::ptr::with_exposed_provenance::<RingHeader>(context.as_raw().0).read()
/// };
/// # // gVisor maps an empty page.
/// # if header.magic != RingHeader::MAGIC { return Ok(()) }
/// assert_eq!(header.magic, RingHeader::MAGIC);
/// assert_eq!((header.head, header.tail), (0, 0));
/// # Ok::<(), linux_aio::Errno>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
#[doc(alias = "aio_ring")]
pub struct RingHeader {
    /// The kernel's index of the context; a program must not write it.
    pub id: u32,
    /// The number of slots; one is always kept empty.
    pub nr: u32,
    /// The index of the next event to take, below `nr`.
    pub head: u32,
    /// The index one past the last event, below `nr`; written by the kernel.
    pub tail: u32,
    /// The magic number, [`RingHeader::MAGIC`].
    pub magic: u32,
    /// The compatible features: 1.
    pub compat_features: u32,
    /// The incompatible features: 0. This crate cannot read a ring with any other
    /// value.
    pub incompat_features: u32,
    /// The length of this header in bytes.
    pub header_length: u32,
}

impl RingHeader {
    /// The value of `magic` where the kernel provides a ring to user space.
    pub const MAGIC: u32 = 0xa10a_10a1;
}

/// A time in the layout of the 64-bit system calls, on every ABI.
///
/// # Examples
/// ```
/// use linux_aio::abi::Timespec;
/// use std::time::Duration;
///
/// let limit = Duration::from_millis(1500);
/// let time = Timespec { sec: limit.as_secs() as i64, nsec: limit.subsec_nanos().into() };
/// assert_eq!(time, Timespec { sec: 1, nsec: 500_000_000 });
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
#[doc(alias = "__kernel_timespec")]
pub struct Timespec {
    /// Seconds.
    pub sec: i64,
    /// Nanoseconds. The kernel does not refuse 10⁹ and more.
    pub nsec: i64,
}

/// The kernel's `long`: as wide as a pointer, and wider on x32.
///
/// # Examples
/// ```
/// use linux_aio::abi::Long;
///
/// assert!(size_of::<Long>() >= size_of::<usize>());
/// ```
pub type Long = target::Long;

/// A time in the layout of the older system calls: two fields of the kernel's `long`.
/// Where `long` is 64 bits wide, the layout is that of [`Timespec`].
///
/// # Examples
/// ```
/// use linux_aio::abi::{Long, OldTimespec};
///
/// let time = OldTimespec { sec: 1, nsec: 500_000_000 };
/// assert_eq!(size_of_val(&time), 2 * size_of::<Long>());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
#[doc(alias = "old_timespec32")]
pub struct OldTimespec {
    /// Seconds.
    pub sec: Long,
    /// Nanoseconds.
    pub nsec: Long,
}

// The structures have the kernel's layout on every target.
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
