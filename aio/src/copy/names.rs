//! Which names in a directory the copies of this run have taken.

use linux_aio::Errno;

use super::target::last_name;
use crate::os::Memory;

/// Of each, a number that is made of its bytes: two names with one number do not
/// occur, or else the second copy is refused.
pub(super) struct Names {
    memory: Memory,
    filled: usize,
    room: usize,
}

impl Names {
    /// # Errors
    /// ENOMEM.
    pub(super) fn new(room: usize) -> Result<Names, Errno> {
        Ok(Names {
            memory: Memory::new(room * size_of::<u64>())?,
            filled: 0,
            room,
        })
    }

    pub(super) fn has(&self, path: &[u8]) -> bool {
        // SAFETY: zeroed memory of so many numbers and more.
        let all = unsafe {
            core::slice::from_raw_parts(self.memory.address().cast::<u64>(), self.filled)
        };
        all.contains(&number(last_name(path)))
    }

    pub(super) fn add(&mut self, path: &[u8]) {
        if self.filled < self.room {
            let numbers = self.memory.address().cast::<u64>();
            // SAFETY: within the memory, which is aligned to a page.
            unsafe { numbers.add(self.filled).write(number(last_name(path))) };
            self.filled += 1;
        }
    }
}

/// FNV-1a.
fn number(name: &[u8]) -> u64 {
    name.iter().fold(0xcbf2_9ce4_8422_2325, |number, &byte| {
        (number ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}
