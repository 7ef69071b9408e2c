//! The set of names in a directory that the copies of this run have taken.

use linux_aio::Errno;

use super::target::last_name;
use crate::os::Memory;

/// A set of names, each stored as a hash of its bytes. If two names have the same hash,
/// which practically does not occur, the second copy is refused.
pub(super) struct Names {
    memory: Memory,
    filled: usize,
    capacity: usize,
}

impl Names {
    /// Creates an empty set for `capacity` names.
    ///
    /// # Errors
    /// ENOMEM.
    pub(super) fn new(capacity: usize) -> Result<Names, Errno> {
        Ok(Names {
            memory: Memory::new(capacity * size_of::<u64>())?,
            filled: 0,
            capacity,
        })
    }

    pub(super) fn has(&self, path: &[u8]) -> bool {
        // SAFETY: the memory is zeroed, page-aligned, and holds at least `filled`
        // numbers.
        let all = unsafe {
            core::slice::from_raw_parts(self.memory.address().cast::<u64>(), self.filled)
        };
        all.contains(&number(last_name(path)))
    }

    pub(super) fn add(&mut self, path: &[u8]) {
        if self.filled < self.capacity {
            let numbers = self.memory.address().cast::<u64>();
            // SAFETY: `filled` is less than `capacity`, so the number is within the memory,
            // which is page-aligned.
            unsafe { numbers.add(self.filled).write(number(last_name(path))) };
            self.filled += 1;
        }
    }
}

/// Returns the FNV-1a hash of a name.
fn number(name: &[u8]) -> u64 {
    name.iter().fold(0xcbf2_9ce4_8422_2325, |number, &byte| {
        (number ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}
