//! A number in a static, for what cannot be handed down: destructors and
//! wakers.

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// One thread alone counts: it is loaded and stored, and never changed in one
/// step, which not every m68k can.
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

    /// What it is, and zero from now on.
    pub(super) fn take(&self) -> u32 {
        let number = self.get();
        self.0.store(0, Relaxed);
        number
    }
}
