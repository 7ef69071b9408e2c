//! [`generation`]: whether this process is a forked child of the one that started a driver.

use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// The number of forks between the first use of this crate and this process.
static GENERATION: AtomicU32 = AtomicU32::new(0);

extern "C" fn in_child() {
    GENERATION.fetch_add(1, Relaxed);
}

/// Counts the forks from now on.
pub(crate) fn watch() {
    static WATCH: Once = Once::new();
    WATCH.call_once(|| {
        // Without memory for the handler (ENOMEM), a child finds out by the errors of its
        // operations.
        // SAFETY: the handler changes an atomic number alone, which is async-signal-safe.
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    });
}

/// Returns a number that differs in a forked child.
#[inline]
pub(crate) fn generation() -> u32 {
    GENERATION.load(Relaxed)
}
