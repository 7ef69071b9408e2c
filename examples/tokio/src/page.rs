//! [`Page`]: a buffer of the program's own, as direct I/O wants it.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use linux_aio::buffer::{IoBuf, IoBufMut};

/// Bytes of a page.
pub const CHUNK: usize = 16 << 10;

#[repr(align(4096))]
struct Aligned([u8; CHUNK]);

/// Aligned memory, of which a part is used.
pub struct Page {
    memory: Box<Aligned>,
    used: usize,
}

static ALIVE: AtomicUsize = AtomicUsize::new(0);

impl Page {
    /// All of it is used, and zero.
    pub fn new() -> Page {
        ALIVE.fetch_add(1, Relaxed);
        Page {
            memory: Box::new(Aligned([0; CHUNK])),
            used: CHUNK,
        }
    }

    /// How many there are, to show that none is lost.
    pub fn alive() -> usize {
        ALIVE.load(Relaxed)
    }

    /// Uses so much of it, at the most all.
    #[must_use]
    pub fn used(mut self, bytes: usize) -> Page {
        self.used = bytes.min(CHUNK);
        self
    }
}

impl Default for Page {
    fn default() -> Page {
        Page::new()
    }
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page")
            .field("used", &self.used)
            .finish_non_exhaustive()
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        ALIVE.fetch_sub(1, Relaxed);
    }
}

// SAFETY: on the heap, owned, and never moved there; nobody can reach it but
// through this. The part is no longer than the whole.
unsafe impl IoBuf for Page {
    fn region(&mut self) -> (*mut u8, usize) {
        (self.memory.0.as_mut_ptr(), self.used)
    }
}
// SAFETY: as above; any byte is valid.
unsafe impl IoBufMut for Page {}
