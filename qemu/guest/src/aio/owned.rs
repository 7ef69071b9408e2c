//! An owned buffer for the safe layers, which counts when it is dropped. All modules
//! use one type: each further type would instantiate all code of the layers once more.

use linux_aio::Errno;
use linux_aio::buffer::{IoBuf, IoBufMut};

use super::tally::Tally;
use crate::os::{self, Pages};

/// The content of a watched buffer before a read. The data that is read contains no
/// such byte.
pub(super) const UNTOUCHED: u8 = 0x77;

/// Memory that is accessible only through this value.
pub(super) struct Owned {
    start: *mut u8,
    length: usize,
    /// Indicates that the buffer is to be read into, and contains [`UNTOUCHED`] before.
    watched: bool,
}

/// The number of dropped buffers, and of those dropped before data was read into them.
static DROPPED: Tally = Tally::new();
static TOO_EARLY: Tally = Tally::new();

impl Owned {
    /// Creates a buffer of `length` bytes that live for ever.
    pub(super) fn new(length: usize) -> os::Result<Owned> {
        let start = Pages::new(length)?.leak().as_mut_ptr();
        Ok(Owned {
            start,
            length,
            watched: false,
        })
    }

    /// Creates a buffer from existing memory.
    ///
    /// # Safety
    /// The memory is valid, and no other code accesses it, until the returned value has
    /// been dropped and all operations on it have completed.
    pub(super) unsafe fn of(start: *mut u8, length: usize, watched: bool) -> Owned {
        Owned {
            start,
            length,
            watched,
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: by the contract of `new` and `of` the memory is valid and no other
        // code writes it. The kernel writes it only while a layer owns this buffer, and
        // then `bytes` cannot be called.
        unsafe { core::slice::from_raw_parts(self.start, self.length) }
    }
}

// SAFETY: the memory is accessible through this value only. It lives for ever if `new`
// made it; otherwise the caller of `of` promised that it lives until all operations on
// it have completed.
unsafe impl IoBuf for Owned {
    fn region(&mut self) -> (*mut u8, usize) {
        (self.start, self.length)
    }
}
// SAFETY: the same memory, in which every byte is a valid value.
unsafe impl IoBufMut for Owned {}

impl Drop for Owned {
    fn drop(&mut self) {
        DROPPED.add(1);
        if self.watched && is_untouched(self.start) {
            TOO_EARLY.add(1);
        }
    }
}

/// Returns whether no data has been read into the buffer yet. The byte is read as
/// memory that may change.
pub(super) fn is_untouched(start: *mut u8) -> bool {
    // SAFETY: all callers pass the start of a buffer of this program. A device may be
    // writing to it; the byte decides only whether a drop was too early.
    unsafe { start.read_volatile() == UNTOUCHED }
}

/// Returns the number of buffers dropped since the last call, and resets both counts.
pub(super) fn dropped() -> u32 {
    TOO_EARLY.take();
    DROPPED.take()
}

/// Returns the number of dropped buffers without resetting it.
pub(super) fn dropped_so_far() -> u32 {
    DROPPED.get()
}

/// Returns `Ok` if `count` buffers have been dropped and none of them too early.
pub(super) fn all_dropped(count: usize) -> Result<(), Errno> {
    if DROPPED.get() != count as u32 {
        Err(Errno::BUSY)
    } else if TOO_EARLY.get() != 0 {
        Err(Errno::FAULT)
    } else {
        Ok(())
    }
}
