//! POSIX AIO, which glibc implements with threads: at most one for each descriptor, and
//! no more than 20 unless `aio_init` permits them.

use std::fs::File;
use std::os::fd::AsRawFd;

use super::{Baseline, Buffer, Op};

pub(super) struct ByPosix {
    blocks: Box<[libc::aiocb]>,
    buffers: Vec<Buffer>,
    /// The descriptor of each slot.
    files: Vec<File>,
    in_flight: Vec<usize>,
    waiting: Vec<*const libc::aiocb>,
}

impl ByPosix {
    /// Creates a baseline whose slots share a descriptor, or have a duplicate each.
    pub(super) fn new(file: &File, buffers: Vec<Buffer>, duplicates: bool) -> ByPosix {
        let nr = if duplicates { buffers.len() } else { 1 };
        // SAFETY: zero is valid for every field, among them null pointers.
        let block = || unsafe { std::mem::zeroed::<libc::aiocb>() };
        ByPosix {
            blocks: buffers.iter().map(|_| block()).collect(),
            buffers,
            files: (0..nr).map(|_| file.try_clone().unwrap()).collect(),
            in_flight: Vec::new(),
            waiting: Vec::new(),
        }
    }
}

impl Baseline for ByPosix {
    fn stage(&mut self, slot: usize, op: Op) {
        let (block, buffer) = (&mut self.blocks[slot], &mut self.buffers[slot]);
        block.aio_fildes = self.files[slot % self.files.len()].as_raw_fd();
        block.aio_buf = buffer.as_mut_ptr().cast();
        block.aio_nbytes = buffer.len();
        block.aio_sigevent.sigev_notify = libc::SIGEV_NONE;
        let block = &raw mut *block;
        // SAFETY: the control block and the buffer are held and not accessed until
        // `aio_error` reports that the operation has completed.
        let begun = unsafe {
            match op {
                Op::Read(offset) => {
                    (*block).aio_offset = offset as libc::off_t;
                    libc::aio_read(block)
                }
                Op::Write(offset) => {
                    (*block).aio_offset = offset as libc::off_t;
                    libc::aio_write(block)
                }
                Op::Fsync => {
                    (*block).aio_nbytes = 0;
                    libc::aio_fsync(libc::O_SYNC, block)
                }
            }
        };
        assert_eq!(begun, 0);
        self.in_flight.push(slot);
    }

    fn submit(&mut self) {}

    fn take(&mut self, each: &mut dyn FnMut(usize)) {
        self.waiting.clear();
        let pointers = self
            .in_flight
            .iter()
            .map(|&slot| &raw const self.blocks[slot]);
        self.waiting.extend(pointers);
        let nr = self.waiting.len() as i32;
        // SAFETY: the list has `nr` pointers to control blocks. A failure (a signal) is
        // followed by the next call.
        unsafe { libc::aio_suspend(self.waiting.as_ptr(), nr, std::ptr::null()) };
        let (blocks, buffers) = (&mut self.blocks, &self.buffers);
        self.in_flight.retain(|&slot| {
            let block = &raw mut blocks[slot];
            // SAFETY: the operation was begun with this control block.
            let error = unsafe { libc::aio_error(block) };
            if error == libc::EINPROGRESS {
                return true;
            }
            // SAFETY: the operation has completed, and its result is taken once.
            let done = unsafe { libc::aio_return(block) };
            // SAFETY: only this thread accesses the completed control block.
            let wanted = unsafe { (*block).aio_nbytes };
            assert_eq!((error, done as usize), (0, wanted.min(buffers[slot].len())));
            each(slot);
            false
        });
    }
}
