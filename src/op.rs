//! Operations together with their buffers, for the safe layers: what
//! [`opcode`](crate::opcode) is for [`Context`](crate::Context).
//!
//! ```
//! use linux_aio::op::{FSync, Read, Write};
//!
//! let mut buffer = [0_u8; 512];
//! let read = Read::new(3, &mut buffer).offset(8192);
//! let write = Write::new(4, b"hello").offset(4096);
//! let sync = FSync::new(4);
//! ```

use core::mem::MaybeUninit;

use crate::abi::{
    IOCB_CMD_PREAD, IOCB_CMD_PREADV, IOCB_CMD_PWRITE, IOCB_CMD_PWRITEV, Iocb, IocbFlags,
};
use crate::buffer::{Buffer, BufferMut};
use crate::opcode::{Fd, builder, read_or_write};

pub use crate::opcode::{FDSync, FSync, Poll};

/// Reads into a buffer, or into its pieces (`pread(2)`, `preadv(2)`).
///
/// A direct read (O_DIRECT) across a file's end may write more of the buffer
/// than its result tells.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Read<B> {
    iocb: Iocb,
    buffer: B,
}

impl<B: BufferMut> Read<B> {
    /// Reads as much as fits into `buffer`, from the file's start.
    pub fn new(fd: impl Into<Fd>, buffer: B) -> Read<B> {
        let opcode = if B::VECTORED {
            IOCB_CMD_PREADV
        } else {
            IOCB_CMD_PREAD
        };
        Read {
            iocb: Iocb::new(opcode, fd.into()),
            buffer,
        }
    }
}

/// Writes a buffer, or its pieces (`pwrite(2)`, `pwritev(2)`).
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Write<B> {
    iocb: Iocb,
    buffer: B,
}

impl<B: Buffer> Write<B> {
    /// Writes all of `buffer`, at the file's start.
    pub fn new(fd: impl Into<Fd>, buffer: B) -> Write<B> {
        let opcode = if B::VECTORED {
            IOCB_CMD_PWRITEV
        } else {
            IOCB_CMD_PWRITE
        };
        Write {
            iocb: Iocb::new(opcode, fd.into()),
            buffer,
        }
    }
}

builder! { <B> Read.iocb; <B> Write.iocb; }
read_or_write! { <B> Read.iocb; <B> Write.iocb; }

/// Any operation, with its buffer if it has one.
///
/// Made of the others by `From`; where one is wanted, they are taken.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Op<B> {
    iocb: Iocb,
    buffer: Option<B>,
}

impl<B> Op<B> {
    /// The buffer, of an operation that will not be.
    pub fn into_buffer(self) -> Option<B> {
        self.buffer
    }

    pub(crate) fn parts(&mut self) -> (&Iocb, Option<&mut B>) {
        (&self.iocb, self.buffer.as_mut())
    }

    pub(crate) fn signal(&mut self, eventfd: Option<Fd>) {
        match eventfd {
            Some(fd) if !self.iocb.flags.contains(IocbFlags::RESFD) => {
                self.iocb.flags |= IocbFlags::RESFD;
                self.iocb.resfd = fd.0 as u32;
            }
            _ => {}
        }
    }
}

impl<B: Buffer> Op<B> {
    /// The operation in the kernel's form, and its buffer, in a wrapping that
    /// is moved as plain bytes: the address was taken, and stays the last word
    /// on that memory.
    #[inline]
    pub(crate) fn prepare(self) -> (Iocb, MaybeUninit<Option<B>>) {
        let Op { mut iocb, buffer } = self;
        let mut buffer = MaybeUninit::new(buffer);
        // SAFETY: written a line before.
        if let Some(buffer) = unsafe { buffer.assume_init_mut() } {
            let (start, len) = buffer.region();
            // Exposed: the kernel takes it up again from a number.
            iocb.buf = start.expose_provenance() as u64;
            iocb.nbytes = len as u64;
        }
        (iocb, buffer)
    }
}

impl<B: BufferMut> From<Read<B>> for Op<B> {
    #[inline]
    fn from(read: Read<B>) -> Op<B> {
        Op {
            iocb: read.iocb,
            buffer: Some(read.buffer),
        }
    }
}

impl<B: Buffer> From<Write<B>> for Op<B> {
    #[inline]
    fn from(write: Write<B>) -> Op<B> {
        Op {
            iocb: write.iocb,
            buffer: Some(write.buffer),
        }
    }
}

macro_rules! without_buffer {
    ($($name:ident)+) => {$(
        impl<B> From<$name> for Op<B> {
            #[inline]
            fn from(op: $name) -> Op<B> {
                Op {
                    iocb: op.build(),
                    buffer: None,
                }
            }
        }
    )+};
}

without_buffer!(FSync FDSync Poll);
