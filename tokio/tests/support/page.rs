//! [`Page`]: an application-defined buffer, aligned for direct I/O.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use linux_aio::buffer::{IoBuf, IoBufMut};

/// The length of a page in bytes.
pub(crate) const CHUNK: usize = 16 << 10;

#[repr(align(4096))]
struct Aligned([u8; CHUNK]);

/// Aligned memory.
pub(crate) struct Page {
    memory: Box<Aligned>,
}

static ALIVE: AtomicUsize = AtomicUsize::new(0);

impl Page {
    /// Creates a page of zeros.
    pub(crate) fn new() -> Page {
        ALIVE.fetch_add(1, Relaxed);
        Page {
            memory: Box::new(Aligned([0; CHUNK])),
        }
    }

    /// Returns the number of pages that exist, to verify that none is lost.
    pub(crate) fn alive() -> usize {
        ALIVE.load(Relaxed)
    }
}

impl Default for Page {
    fn default() -> Page {
        Page::new()
    }
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page").finish_non_exhaustive()
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        ALIVE.fetch_sub(1, Relaxed);
    }
}

// SAFETY: the memory is owned and on the heap, so it does not move with the `Page`, and
// it is accessible only through the `Page`.
unsafe impl IoBuf for Page {
    fn region(&mut self) -> (*mut u8, usize) {
        (self.memory.0.as_mut_ptr(), CHUNK)
    }
}
// SAFETY: any byte value is valid, and `region` returns owned heap memory that may be
// written.
unsafe impl IoBufMut for Page {}
