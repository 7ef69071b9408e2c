//! What keeps a reactor's users apart.

use core::cell::Cell;
use core::marker::PhantomData;

/// How the threads that share a reactor take turns: [`Local`] for one thread,
/// `Shared` (feature `std`) for many, or a lock of yours.
///
/// What runs inside is short but for buffered file I/O, which the kernel does
/// within `io_submit`. The reactor never nests its calls, and calls nothing of
/// yours inside: no waker, no destructor.
///
/// # Safety
/// - While one `f` runs, none of another thread does by the same lock, and what
///   one wrote the next sees.
/// - `with` calls `f` exactly once and returns what it returned. It never
///   panics: a future that is dropped could not leave the reactor's lists then.
pub unsafe trait Lock {
    /// Free.
    const NEW: Self;

    /// Runs `f` alone.
    fn with<R>(&self, f: impl FnOnce() -> R) -> R;
}

/// No lock: the reactor, and all its futures, belong to one thread at a time.
#[derive(Debug)]
pub struct Local(PhantomData<Cell<()>>);

// SAFETY: it is not `Sync`, so there is no other thread.
unsafe impl Lock for Local {
    const NEW: Local = Local(PhantomData);

    #[inline(always)]
    fn with<R>(&self, f: impl FnOnce() -> R) -> R {
        f()
    }
}

/// A mutex: the reactor and its futures may be anywhere.
#[cfg(feature = "std")]
#[derive(Debug)]
pub struct Shared(std::sync::Mutex<()>);

#[cfg(feature = "std")]
// SAFETY: the mutex is held while `f` runs. Locking one that this thread does
// not hold does not panic, and the reactor never nests.
unsafe impl Lock for Shared {
    const NEW: Shared = Shared(std::sync::Mutex::new(()));

    fn with<R>(&self, f: impl FnOnce() -> R) -> R {
        // Nothing of the user's panics inside, so poison means nothing.
        let _held = self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        f()
    }
}
