//! A buffer that has an owner, for the safe layers, and tells when that lets
//! it go. One type serves every room: each other one would be all of their code
//! once more.

use linux_aio::Errno;
use linux_aio::buffer::{IoBuf, IoBufMut};

use super::tally::Tally;
use crate::os::{self, Pages};

/// What is in a buffer before it is read into, where that is watched: no byte
/// of what is read.
pub(super) const UNTOUCHED: u8 = 0x77;

/// Memory that is out of everybody's reach but through this.
pub(super) struct Owned {
    start: *mut u8,
    length: usize,
    /// Whether it is there to be read into, and [`UNTOUCHED`] before.
    watched: bool,
}

/// How many have been dropped, and how many of them before they were read.
static DROPPED: Tally = Tally::new();
static TOO_EARLY: Tally = Tally::new();

impl Owned {
    /// So many bytes that live for ever.
    pub(super) fn new(length: usize) -> os::Result<Owned> {
        let start = Pages::new(length)?.leak().as_mut_ptr();
        Ok(Owned {
            start,
            length,
            watched: false,
        })
    }

    /// # Safety
    /// The memory is there, and nobody else's, until whoever is given this is
    /// gone, and the kernel has let go of it.
    pub(super) unsafe fn of(start: *mut u8, length: usize, watched: bool) -> Owned {
        Owned {
            start,
            length,
            watched,
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: the memory is there, and nobody writes it: the kernel has it
        // only while an owner has this.
        unsafe { core::slice::from_raw_parts(self.start, self.length) }
    }
}

// SAFETY: memory of its own; where it does not live for ever, by the promise of
// `of`.
unsafe impl IoBuf for Owned {
    fn region(&mut self) -> (*mut u8, usize) {
        (self.start, self.length)
    }
}
// SAFETY: as above; any byte will do.
unsafe impl IoBufMut for Owned {}

impl Drop for Owned {
    fn drop(&mut self) {
        DROPPED.add(1);
        if self.watched && is_untouched(self.start) {
            TOO_EARLY.add(1);
        }
    }
}

/// Whether nothing has been read there yet, looked at as memory that may
/// change.
pub(super) fn is_untouched(start: *mut u8) -> bool {
    // SAFETY: of a buffer here. A device may be writing: nothing is concluded
    // from such a byte but that it is early.
    unsafe { start.read_volatile() == UNTOUCHED }
}

/// How many have been dropped since the last look.
pub(super) fn dropped() -> u32 {
    TOO_EARLY.take();
    DROPPED.take()
}

/// How many have been dropped, without forgetting them.
pub(super) fn dropped_so_far() -> u32 {
    DROPPED.get()
}

/// Whether so many have been dropped, and none too early.
pub(super) fn all_dropped(count: usize) -> Result<(), Errno> {
    if DROPPED.get() != count as u32 {
        Err(Errno::BUSY)
    } else if TOO_EARLY.get() != 0 {
        Err(Errno::FAULT)
    } else {
        Ok(())
    }
}
