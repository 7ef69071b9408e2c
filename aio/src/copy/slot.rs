//! One block on its way: what a slot does next, and the operation for it.

use linux_aio::Iocb;
use linux_aio::opcode::{Pread, Pwrite};

/// Where a slot is. In `Read` and `Write` its operation is to be submitted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Idle,
    Read,
    Reading,
    Write,
    Writing,
}

pub(super) struct Slot {
    pub(super) iocb: Iocb,
    pub(super) step: Step,
    /// Where the block lies in both files.
    pub(super) offset: u64,
    /// Bytes to read, read, and written.
    pub(super) wanted: usize,
    pub(super) filled: usize,
    pub(super) written: usize,
    /// Its block may reach beyond the end.
    pub(super) probes_end: bool,
}

impl Step {
    /// To be submitted.
    pub(super) fn is_ready(self) -> bool {
        matches!(self, Step::Read | Step::Write)
    }

    pub(super) fn submitted(self) -> Step {
        match self {
            Step::Read => Step::Reading,
            Step::Write => Step::Writing,
            other => other,
        }
    }
}

impl Slot {
    /// What is next for this slot, for what is left of its block.
    pub(super) fn operation(&self, source: i32, target: i32, buffer: *mut u8) -> Iocb {
        if self.step == Step::Read {
            let offset = self.offset + self.filled as u64;
            Pread::new(
                source,
                buffer.wrapping_add(self.filled),
                self.wanted - self.filled,
            )
            .offset(offset)
            .build()
        } else {
            let offset = self.offset + self.written as u64;
            let buffer = buffer.wrapping_add(self.written);
            Pwrite::new(target, buffer, self.filled - self.written)
                .offset(offset)
                .build()
        }
    }
}
