//! One operation in flight.

use super::Kernel;
use crate::sys::abi::{
    Event, IOCB_CMD_FDSYNC, IOCB_CMD_FSYNC, IOCB_CMD_POLL, IOCB_CMD_PREAD, IOCB_CMD_PREADV,
    IOCB_CMD_PWRITE, IOCB_CMD_PWRITEV, IoVec, Iocb, IocbFlags,
};
use crate::sys::errno::Errno;

/// The descriptor of the file whose I/O runs inside io_submit.
pub const BUFFERED: i32 = 1000;
/// The descriptor of the file whose I/O runs after io_submit has returned.
pub const DIRECT: i32 = 1001;
/// The first of the pollable descriptors.
pub const POLLED: i32 = 2000;

/// POLLIN
const READABLE: i64 = 1;
/// The content of the buffer of a direct read in flight.
const UNFINISHED: u8 = 0xee;

/// The result of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The correct result.
    Whole,
    /// A device error (EIO), if the operation reads from the device.
    Broken,
}

pub(super) struct Running {
    iocb: Iocb,
    /// The address of the submitted iocb.
    obj: usize,
    /// The memory as address and length pairs, copied at submission.
    pieces: Vec<(usize, usize)>,
    pub(super) cancelled: bool,
}

impl Running {
    pub(super) fn begin(iocb: *const Iocb, copy: Iocb) -> Result<Running, Errno> {
        let (buf, nbytes) = (copy.buf as usize, copy.nbytes as usize);
        let pieces = match copy.opcode {
            IOCB_CMD_PREAD | IOCB_CMD_PWRITE => vec![(buf, nbytes)],
            IOCB_CMD_PREADV | IOCB_CMD_PWRITEV => {
                let array = core::ptr::with_exposed_provenance::<IoVec>(buf);
                // SAFETY: the iocb points to an array of `nbytes` vectors, by the
                // contract of io_submit.
                let array = unsafe { core::slice::from_raw_parts(array, nbytes) };
                array.iter().map(|v| (v.base.addr(), v.len)).collect()
            }
            IOCB_CMD_FSYNC | IOCB_CMD_FDSYNC | IOCB_CMD_POLL => Vec::new(),
            _ => return Err(Errno::INVAL),
        };
        let running = Running {
            iocb: copy,
            obj: iocb.addr(),
            pieces,
            cancelled: false,
        };
        if running.is_read() && copy.fildes as i32 == DIRECT {
            // The device has begun to write to the buffer.
            for &(start, len) in &running.pieces {
                let start = core::ptr::with_exposed_provenance_mut::<u8>(start);
                // SAFETY: the buffer is valid until the operation has completed, by the
                // contract of io_submit.
                unsafe { start.write_bytes(UNFINISHED, len) };
            }
        }
        Ok(running)
    }

    fn is_read(&self) -> bool {
        matches!(self.iocb.opcode, IOCB_CMD_PREAD | IOCB_CMD_PREADV)
    }

    pub(super) fn is_poll(&self) -> bool {
        self.iocb.opcode == IOCB_CMD_POLL
    }

    pub(super) fn is_at(&self, iocb: *const Iocb) -> bool {
        self.obj == iocb.addr()
    }

    pub(super) fn data(&self) -> u64 {
        self.iocb.data
    }

    pub(super) fn ends_at_once(&self) -> bool {
        self.iocb.fildes as i32 == BUFFERED
            && !matches!(self.iocb.opcode, IOCB_CMD_FSYNC | IOCB_CMD_FDSYNC)
    }

    pub(super) fn can_end(&self, ready: &[bool]) -> bool {
        !self.is_poll() || self.cancelled || ready[(self.iocb.fildes as i32 - POLLED) as usize]
    }

    pub(super) fn touches(&self, start: usize, len: usize) -> bool {
        let overlaps = |&(at, size): &(usize, usize)| at < start + len && start < at + size;
        self.pieces.iter().any(overlaps)
    }

    /// Performs the operation and returns its event.
    pub(super) fn run(self, kernel: &mut Kernel, verdict: Verdict) -> Event {
        let file = usize::from(self.iocb.fildes as i32 == DIRECT);
        let res = match self.iocb.opcode {
            IOCB_CMD_POLL if self.cancelled => 0,
            IOCB_CMD_POLL => READABLE,
            IOCB_CMD_FSYNC | IOCB_CMD_FDSYNC => 0,
            _ if self.is_read() && file == 1 && verdict == Verdict::Broken => {
                -i64::from(Errno::IO.raw_os_error())
            }
            _ => self.transfer(&mut kernel.files[file]),
        };
        if self.iocb.flags.contains(IocbFlags::RESFD) {
            signal(self.iocb.resfd as i32);
        }
        Event {
            data: self.iocb.data,
            obj: self.obj as u64,
            res,
            res2: 0,
        }
    }

    fn transfer(&self, file: &mut [u8]) -> i64 {
        let (mut at, end) = (self.iocb.offset as usize, file.len());
        let mut moved = 0;
        for &(start, len) in &self.pieces {
            let len = len.min(file.len().saturating_sub(at));
            let memory = core::ptr::with_exposed_provenance_mut::<u8>(start);
            // SAFETY: the buffer is valid until the operation has completed, by the
            // contract of io_submit.
            let memory = unsafe { core::slice::from_raw_parts_mut(memory, len) };
            let place = &mut file[at.min(end)..][..len];
            if self.is_read() {
                memory.copy_from_slice(place);
            } else {
                place.copy_from_slice(memory);
            }
            at += len;
            moved += len as i64;
        }
        moved
    }
}

/// Adds one to an eventfd, which is a real descriptor.
fn signal(eventfd: i32) {
    let one = 1_u64.to_ne_bytes();
    // SAFETY: `one` is valid for reads of eight bytes.
    unsafe { libc::write(eventfd, one.as_ptr().cast(), one.len()) };
}
