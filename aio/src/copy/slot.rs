//! The state of one block in the pipeline: its next step, and the operation for it.

use linux_aio::Iocb;
use linux_aio::opcode::{Pread, Pwrite};

/// The state of a slot. In `Read` and `Write` its operation is ready to be submitted.
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
    /// The offset of the block in both files.
    pub(super) offset: u64,
    /// The number of bytes to read; then the numbers of bytes read and written so far.
    pub(super) wanted: usize,
    pub(super) filled: usize,
    pub(super) written: usize,
    /// True if the block may reach beyond the end of the file.
    pub(super) probes_end: bool,
}

impl Step {
    /// Returns whether an operation is ready to be submitted.
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
    /// Builds the operation for the next step, on the rest of the block.
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
