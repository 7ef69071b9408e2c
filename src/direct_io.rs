//! The alignment requirements of a file for direct I/O (O_DIRECT), checked before an
//! operation is submitted.
//!
//! The kernel reports a violation only as EINVAL in the event. Since Linux 6.1
//! `statx(2)` returns the alignments, of block devices and of files on most local file
//! systems. [`Alignment::of`] reads them, and [`Alignment::check`] returns the
//! requirement that an operation violates.
//!
//! ```
//! use linux_aio::buffer::Aligned;
//! use linux_aio::direct_io::Alignment;
//! use linux_aio::op::{Op, Read};
//!
//! let wanted = Alignment::new(512, 4096);
//! let mut memory = [0; 16384];
//! let mut buffer = Aligned::<4096>::within(&mut memory);
//!
//! # // SAFETY: nothing is submitted.
//! # let file = unsafe { linux_aio::Fd::borrow_raw(3) };
//! let mut read = Op::from(Read::new(file, &mut buffer[..]).offset(1000));
//! let problem = wanted.check(&mut read).unwrap_err();
//! assert_eq!(
//!     problem.to_string(),
//!     "direct I/O on this file wants a file offset that is a multiple of 4096, not 1000"
//! );
//! ```

use core::fmt;

use crate::arch::{ABI, stubs};
use crate::buffer::IoBuf;
use crate::fd::Fd;
use crate::op::{Op, region_for};
use crate::sys::abi::{
    IOCB_CMD_PREAD, IOCB_CMD_PREADV, IOCB_CMD_PWRITE, IOCB_CMD_PWRITEV, IoVec, Iocb,
};
use crate::sys::errno::Errno;

/// The alignments that direct I/O on a file requires, in bytes.
///
/// # Examples
/// A buffer for direct I/O on a file, with the file's own alignment:
/// ```
/// # #[cfg(not(feature = "std"))] fn main() {}
/// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
/// use linux_aio::buffer::AlignedBuf;
/// use linux_aio::direct_io::Alignment;
/// use linux_aio::op::{Op, Read};
/// use std::fs::File;
///
/// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
/// # if Alignment::of(&File::open("/proc/self/exe").unwrap()).is_err() { return Ok(()) }
/// let file = File::open("/proc/self/exe").unwrap();
/// let Some(alignment) = Alignment::of(&file)? else {
///     println!("the kernel does not report the alignment of this file");
///     return Ok(());
/// };
/// if alignment.memory() == 0 {
///     println!("this file has no direct I/O");
///     return Ok(());
/// }
/// let buffer = AlignedBuf::zeroed(alignment.offset(), alignment.memory()).expect("memory");
/// let mut read = Op::from(Read::new(&file, buffer));
/// assert_eq!(alignment.check(&mut read), Ok(()));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alignment {
    memory: u32,
    offset: u32,
    read_offset: u32,
}

impl Alignment {
    /// Creates the alignments of buffer addresses (`memory`), and of file offsets and
    /// lengths (`offset`). Both are 0 if the file has no direct I/O.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::direct_io::Alignment;
    ///
    /// let alignment = Alignment::new(4, 512);
    /// assert_eq!((alignment.memory(), alignment.offset()), (4, 512));
    /// ```
    pub const fn new(memory: u32, offset: u32) -> Alignment {
        Alignment {
            memory,
            offset,
            read_offset: offset,
        }
    }

    /// Returns the alignments of an open file (`statx(2)`, `STATX_DIOALIGN`), or `None`
    /// if the kernel does not report them. The file need not be open for direct I/O.
    ///
    /// # Errors
    /// - EBADF: no such descriptor.
    /// - ENOSYS: Linux before 4.11, or a system other than Linux.
    /// - EACCES, EPERM and others from sandboxes and security modules.
    ///
    /// # Kernel
    /// Linux 6.1; for reads with a separate offset alignment (XFS), Linux 6.14.
    ///
    /// # Examples
    /// ```
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
    /// use linux_aio::direct_io::Alignment;
    /// use std::fs::File;
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// # // A sandbox, or a kernel before 4.11.
    /// # if Alignment::of(&File::open("/proc/self/exe").unwrap()).is_err() { return Ok(()) }
    /// let file = File::open("/proc/self/exe").unwrap();
    /// match Alignment::of(&file)? {
    ///     None => println!("unknown: a kernel before 6.1, or another kind of file"),
    ///     Some(alignment) => println!("{alignment:?}"),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "statx")]
    pub fn of<'fd>(fd: impl Into<Fd<'fd>>) -> Result<Option<Alignment>, Errno> {
        let wanted = STATX_DIOALIGN | STATX_DIO_READ_ALIGN;
        Ok(Statx::of(fd.into().as_raw(), wanted)?.alignment())
    }

    /// Returns the alignment of a buffer's address, or 0 where the file has no direct
    /// I/O.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::direct_io::Alignment;
    ///
    /// assert_eq!(Alignment::new(4, 512).memory(), 4);
    /// ```
    #[doc(alias = "stx_dio_mem_align")]
    pub const fn memory(self) -> usize {
        self.memory as usize
    }

    /// Returns the alignment of a file offset and of the length of a buffer or a segment,
    /// or 0 where the file has no direct I/O.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::direct_io::Alignment;
    ///
    /// assert_eq!(Alignment::new(4, 512).offset(), 512);
    /// ```
    #[doc(alias = "stx_dio_offset_align")]
    pub const fn offset(self) -> usize {
        self.offset as usize
    }

    /// Returns the alignment of file offsets and lengths for reads, which is smaller on
    /// some files.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::direct_io::Alignment;
    ///
    /// // Equal to `offset`, unless the kernel reports another alignment of a file.
    /// assert_eq!(Alignment::new(4, 512).read_offset(), 512);
    /// ```
    #[doc(alias = "stx_dio_read_offset_align")]
    pub const fn read_offset(self) -> usize {
        self.read_offset as usize
    }

    /// Checks whether the kernel would accept this operation if the file is open for
    /// direct I/O.
    ///
    /// # Errors
    /// The first requirement that the operation violates. An operation that transfers
    /// no bytes (fsync, poll) violates none.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::Fd;
    /// use linux_aio::direct_io::{Alignment, Misaligned};
    /// use linux_aio::op::{Op, Write};
    ///
    /// let alignment = Alignment::new(1, 512);
    /// // SAFETY: standard output stays open.
    /// let stdout = unsafe { Fd::borrow_raw(1) };
    /// let mut write = Op::from(Write::new(stdout, "too short"));
    /// let problem = Misaligned::Length { len: 9, multiple_of: 512 };
    /// assert_eq!(alignment.check(&mut write), Err(problem));
    /// ```
    pub fn check<B: IoBuf, T>(self, op: &mut Op<'_, B, T>) -> Result<(), Misaligned> {
        let (iocb, buffer) = op.parts();
        let Some(buffer) = buffer else {
            return Ok(());
        };
        let offset = self.offset_for(iocb)?;
        let (start, len) = region_for(buffer, iocb);
        if !buffer.is_vectored() {
            return self.segment(start.addr(), len, offset);
        }
        for index in 0..len {
            // SAFETY: `IoBuf` promises that a vectored region is an array of `len`
            // readable `IoVec`s, and `index` is below `len`.
            let segment = unsafe { start.cast::<IoVec>().add(index).read() };
            self.segment(segment.base.addr(), segment.len, offset)?;
        }
        Ok(())
    }

    /// Checks an operation in the kernel's form, as [`check`](Alignment::check). The
    /// segments of a vectored operation are not checked.
    ///
    /// # Errors
    /// As [`check`](Alignment::check).
    ///
    /// # Examples
    /// ```
    /// use linux_aio::direct_io::{Alignment, Misaligned};
    /// use linux_aio::opcode::Pread;
    ///
    /// # let memory = std::ptr::without_provenance_mut(4096);
    /// let read = Pread::new(3, memory, 512).offset(100).build();
    /// let problem = Misaligned::Offset { offset: 100, multiple_of: 512 };
    /// assert_eq!(Alignment::new(4, 512).check_iocb(&read), Err(problem));
    /// ```
    pub fn check_iocb(self, iocb: &Iocb) -> Result<(), Misaligned> {
        match iocb.opcode {
            IOCB_CMD_PREAD | IOCB_CMD_PWRITE => {
                let offset = self.offset_for(iocb)?;
                self.segment(iocb.buf as usize, iocb.nbytes as usize, offset)
            }
            IOCB_CMD_PREADV | IOCB_CMD_PWRITEV => self.offset_for(iocb).map(|_| ()),
            _ => Ok(()),
        }
    }

    /// Checks the file offset of this operation, and returns the alignment of its
    /// lengths.
    fn offset_for(self, iocb: &Iocb) -> Result<usize, Misaligned> {
        let reads = matches!(iocb.opcode, IOCB_CMD_PREAD | IOCB_CMD_PREADV);
        let wanted = if reads { self.read_offset } else { self.offset };
        if wanted == 0 || self.memory == 0 {
            return Err(Misaligned::Unsupported);
        }
        let offset = iocb.offset;
        if offset % i64::from(wanted) != 0 {
            return Err(Misaligned::Offset {
                offset,
                multiple_of: wanted as usize,
            });
        }
        Ok(wanted as usize)
    }

    fn segment(self, address: usize, len: usize, wanted: usize) -> Result<(), Misaligned> {
        let memory = self.memory as usize;
        if address % memory != 0 {
            return Err(Misaligned::Memory {
                address,
                multiple_of: memory,
            });
        }
        if len % wanted != 0 {
            return Err(Misaligned::Length {
                len,
                multiple_of: wanted,
            });
        }
        Ok(())
    }
}

/// The reason why direct I/O would be refused with EINVAL.
///
/// # Examples
/// ```
/// use linux_aio::direct_io::Misaligned;
///
/// let problem = Misaligned::Memory { address: 0x1001, multiple_of: 512 };
/// assert_eq!(
///     problem.to_string(),
///     "direct I/O on this file wants memory at a multiple of 512, not at 0x1001"
/// );
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Misaligned {
    /// The file has no direct I/O.
    Unsupported,
    /// The address of a buffer, or of a segment, is not aligned.
    Memory {
        /// The address.
        address: usize,
        /// The required alignment in bytes.
        multiple_of: usize,
    },
    /// The length of a buffer, or of a segment, is not a multiple of the alignment.
    Length {
        /// The length in bytes.
        len: usize,
        /// The required alignment in bytes.
        multiple_of: usize,
    },
    /// The file offset is not a multiple of the alignment.
    Offset {
        /// The file offset in bytes.
        offset: i64,
        /// The required alignment in bytes.
        multiple_of: usize,
    },
}

impl fmt::Display for Misaligned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wants = "direct I/O on this file wants";
        match self {
            Misaligned::Unsupported => f.write_str("this file has no direct I/O"),
            Misaligned::Memory {
                address,
                multiple_of,
            } => write!(
                f,
                "{wants} memory at a multiple of {multiple_of}, not at {address:#x}"
            ),
            Misaligned::Length { len, multiple_of } => write!(
                f,
                "{wants} a length that is a multiple of {multiple_of}, not {len}"
            ),
            Misaligned::Offset {
                offset,
                multiple_of,
            } => write!(
                f,
                "{wants} a file offset that is a multiple of {multiple_of}, not {offset}"
            ),
        }
    }
}

impl core::error::Error for Misaligned {}

pub(crate) const STATX_TYPE: u32 = 1;
pub(crate) const AT_EMPTY_PATH: usize = 0x1000;
pub(crate) const STATX_DIOALIGN: u32 = 0x2000;
pub(crate) const STATX_DIO_READ_ALIGN: u32 = 0x2_0000;

/// The `struct statx` as an array of 32-bit words (`include/uapi/linux/stat.h`). It is
/// the same in every ABI.
#[repr(C, align(8))]
pub(crate) struct Statx([u32; 64]);

impl Statx {
    pub(crate) const MASK: usize = 0;
    const MODE: usize = 7;
    pub(crate) const DIO_MEM_ALIGN: usize = 38;
    pub(crate) const DIO_OFFSET_ALIGN: usize = 39;
    pub(crate) const DIO_READ_OFFSET_ALIGN: usize = 45;

    /// Returns the attributes of an open file, with the fields of the mask `wanted`.
    pub(crate) fn of(fd: i32, wanted: u32) -> Result<Statx, Errno> {
        let mut found = Statx([0; 64]);
        // The path is empty, so the system call refers to the descriptor itself.
        // SAFETY: the path is a NUL-terminated string, the structure is as long as the
        // kernel's, and both live longer than the system call.
        Errno::check(unsafe {
            stubs::syscall5(
                ABI.base.statx as usize,
                fd as usize,
                c"".as_ptr().expose_provenance(),
                AT_EMPTY_PATH,
                wanted as usize,
                (&raw mut found).expose_provenance(),
            )
        })?;
        Ok(found)
    }

    /// Returns whether the file has no type: an eventfd or another anonymous file of
    /// the kernel. Requires [`STATX_TYPE`].
    pub(crate) fn is_untyped(&self) -> bool {
        const S_IFMT: u16 = 0o170_000;
        let Statx(words) = self;
        // The mode is a u16 at byte 28.
        let [low, high, ..] = words[Statx::MODE].to_ne_bytes();
        u16::from_ne_bytes([low, high]) & S_IFMT == 0
    }

    fn alignment(&self) -> Option<Alignment> {
        let Statx(words) = self;
        let mask = words[Statx::MASK];
        if mask & STATX_DIOALIGN == 0 {
            return None;
        }
        let found = Alignment::new(words[Statx::DIO_MEM_ALIGN], words[Statx::DIO_OFFSET_ALIGN]);
        let reads = words[Statx::DIO_READ_OFFSET_ALIGN];
        if mask & STATX_DIO_READ_ALIGN == 0 || reads == 0 {
            return Some(found);
        }
        Some(Alignment {
            read_offset: reads,
            ..found
        })
    }
}
