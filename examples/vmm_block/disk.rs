//! [`Disk`]: the block backend of a virtual-machine monitor. It transfers between guest
//! memory and an image without a copy. It has no lifetime, and an eventfd wakes its event
//! loop.

use std::sync::Arc;
use std::{collections::VecDeque, fs::File, io::Error, io::Read as _, mem, ptr};

use linux_aio::op::{Fdsync, Op, Read, Write};
use linux_aio::{Errno, Queue, WaitOptions, abi::IoVec, buffer::RawVectored};

// The types and the statuses of requests: VIRTIO_BLK_T_*, VIRTIO_BLK_S_*.
pub(crate) const IN: u32 = 0;
pub(crate) const OUT: u32 = 1;
pub(crate) const FLUSH: u32 = 4;
pub(crate) const OK: u8 = 0;
pub(crate) const IOERR: u8 = 1;
pub(crate) const UNSUPP: u8 = 2;

/// An address in guest memory, and a length.
pub(crate) type Segment = (u64, u32);
/// The owner of an operation's descriptor, the guest's request id, and the expected result.
pub(crate) type Data = (Arc<File>, (u16, u64));

/// Guest memory. It is never unmapped, and no reference to it exists.
pub(crate) struct Memory(*mut [u8]);

impl Memory {
    pub(crate) fn map(len: usize) -> Result<Memory, Error> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: the kernel chooses an unused address for the new mapping.
        match unsafe { libc::mmap(ptr::null_mut(), len, access, flags, -1, 0) } {
            libc::MAP_FAILED => Err(Error::last_os_error()),
            start => Ok(Memory(ptr::slice_from_raw_parts_mut(start.cast(), len))),
        }
    }

    /// Returns a range of guest memory, or `None` if a part of it is outside.
    fn range(&self, (address, len): Segment) -> Option<IoVec> {
        let (at, len) = (usize::try_from(address).ok()?, len as usize);
        let base = self.0.cast::<u8>().wrapping_add(at).cast();
        (at.checked_add(len)? <= self.0.len()).then_some(IoVec { base, len })
    }

    fn buffer(&self, segments: &[Segment]) -> Option<RawVectored<'static>> {
        let ranges: Option<Box<[_]>> = segments.iter().map(|&s| self.range(s)).collect();
        // SAFETY: `range` returns memory that stays mapped for writing until the process
        // ends. The program accesses it only in `swap`, by volatile accesses.
        Some(unsafe { RawVectored::new(ranges?) })
    }

    /// Stores a byte as the guest does, and returns the previous one.
    pub(crate) fn swap(&self, address: u64, value: u8) -> u8 {
        let byte = self.range((address, 1)).unwrap().base.cast::<u8>();
        // SAFETY: `range` returns memory that is mapped for reading and writing.
        unsafe { (byte.read_volatile(), byte.write_volatile(value)).0 }
    }
}

/// The backend.
pub(crate) struct Disk {
    pub(crate) file: Arc<File>,
    pub(crate) size: u64,
    pub(crate) memory: Memory,
    pub(crate) queue: Queue<'static, RawVectored<'static>, Data>,
    /// Operations that wait for a free slot of the queue.
    pub(crate) backlog: VecDeque<Op<'static, RawVectored<'static>, Data>>,
    /// The eventfd that completions signal. Operations borrow it for `'static`.
    pub(crate) event: &'static File,
    /// Completed requests, for the used ring.
    pub(crate) used: Vec<(u16, u8)>,
}

impl Disk {
    /// Accepts a request, which `turn` submits. Returns the status of an invalid one.
    pub(crate) fn push(
        &mut self,
        id: u16,
        kind: u32,
        sector: u64,
        to: &[Segment],
    ) -> Result<(), u8> {
        let buffer = self.memory.buffer(to).ok_or(IOERR)?;
        let at = sector.saturating_mul(512);
        let len = to.iter().map(|&(_, len)| u64::from(len)).sum();
        if len % 512 != 0 || at.checked_add(len).is_none_or(|end| end > self.size) {
            return Err(IOERR);
        }
        let data = (self.file.clone(), (id, len));
        let op: Op<'_, _, _> = match kind {
            IN => Read::owned(data, buffer).offset(at).into(),
            OUT => Write::owned(data, buffer).offset(at).into(),
            FLUSH => Fdsync::owned(data).into(),
            _ => return Err(UNSUPP),
        };
        self.backlog.push_back(op.eventfd(self.event));
        Ok(())
    }

    /// Takes completions, and submits as much of the backlog as has slots. The event loop
    /// calls it after `push`, and after the eventfd was signalled. It does not wait.
    fn turn(&mut self) -> Result<(), Errno> {
        loop {
            while let Some(done) = self.queue.pop()? {
                let (id, len) = done.data.1;
                let whole = done.result.is_ok_and(|count| count as u64 == len);
                self.used.push((id, if whole { OK } else { IOERR }));
            }
            while let Some(operation) = self.backlog.pop_front() {
                if let Err(full) = self.queue.push(operation) {
                    self.backlog.push_front(full.0);
                    break;
                }
            }
            // Submits. A refused operation completes without signalling the eventfd.
            if self.queue.wait_with(0, WaitOptions::poll())? == 0 {
                return Ok(());
            }
        }
    }

    /// Runs the event loop until all requests have completed. A monitor that has other
    /// descriptors waits with epoll instead.
    pub(crate) fn serve(&mut self) -> Result<Vec<(u16, u8)>, Error> {
        self.turn()?;
        while self.queue.in_flight() > 0 {
            self.event.read_exact(&mut [0; 8])?;
            self.turn()?;
        }
        Ok(mem::take(&mut self.used))
    }

    /// Completes all requests, without the event loop.
    pub(crate) fn shut_down(mut self) -> Result<Vec<(u16, u8)>, Errno> {
        self.turn()?;
        while self.queue.in_flight() > 0 {
            self.queue.drain()?;
            self.turn()?;
        }
        Ok(self.used)
    }
}
