//! Offsets in no order: xorshift64, which is not for secrets.

use crate::os::{self, Clock};

pub(crate) struct Random(u64);

impl Random {
    /// Creates a generator, seeded by the clock and the process.
    pub(crate) fn new() -> Random {
        let seed = os::nanoseconds(Clock::Monotonic) ^ (u64::from(os::process_id()) << 40);
        Random(seed | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Returns a number below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        // The high half of the product is uniform enough.
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }
}
