//! A number in a static, for code that takes no reference to it: destructors and
//! wakers.

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// A counter that a single thread changes. It is loaded and stored separately, as not
/// every m68k can change memory in one atomic step.
pub(super) struct Tally(AtomicU32);

impl Tally {
    pub(super) const fn new() -> Tally {
        Tally(AtomicU32::new(0))
    }

    pub(super) fn get(&self) -> u32 {
        self.0.load(Relaxed)
    }

    pub(super) fn add(&self, number: u32) {
        self.0.store(self.get() + number, Relaxed);
    }

    /// Sets the bits of a number.
    pub(super) fn mark(&self, bits: u32) {
        self.0.store(self.get() | bits, Relaxed);
    }

    /// Returns the number and resets it to zero.
    pub(super) fn take(&self) -> u32 {
        let number = self.get();
        self.0.store(0, Relaxed);
        number
    }
}
