//! [`Deferred`]: user code that runs after the lock was released.

use core::task::Waker;

/// Wakers to be dropped, and one to be woken. If one panics, the others are still
/// dropped and woken before the panic propagates.
///
/// Without the feature `std` a second panic aborts the process, as it does in any
/// destructor that runs during unwinding.
#[derive(Default)]
pub(super) struct Deferred {
    /// Wakers that were replaced or not needed.
    pub(super) drop: [Option<Waker>; 3],
    pub(super) wake: Option<Waker>,
}

impl Deferred {
    #[inline]
    pub(super) fn run(self) {
        let [a, b, c] = &self.drop;
        if self.wake.is_some() || b.is_some() || (a.is_some() && c.is_some()) {
            return self.run_all();
        }
        // There is at most one waker, so its panic cannot prevent another from running.
        let [a, _, c] = self.drop;
        drop(a.or(c));
    }

    #[cfg(feature = "std")]
    #[cold]
    fn run_all(self) {
        let mut panics = Panics::default();
        if let Some(waker) = self.wake {
            panics.catch(|| waker.wake());
        }
        for waker in self.drop {
            panics.catch(|| drop(waker));
        }
        panics.resume();
    }

    #[cfg(not(feature = "std"))]
    #[cold]
    fn run_all(self) {
        // Dropped at the end, also during unwinding.
        let _rest = self.drop;
        if let Some(waker) = self.wake {
            waker.wake();
        }
    }
}

/// The first of several panics.
#[cfg(feature = "std")]
#[derive(Default)]
pub(super) struct Panics(Option<std::boxed::Box<dyn core::any::Any + Send>>);

#[cfg(feature = "std")]
impl Panics {
    /// Runs user code and stores its panic if it is the first.
    #[inline(always)]
    pub(super) fn catch(&mut self, f: impl FnOnce()) {
        use core::panic::AssertUnwindSafe;
        // Unwind safe: the caller uses the reactor afterwards, whose state is
        // consistent whenever user code runs.
        if let Err(payload) = std::panic::catch_unwind(AssertUnwindSafe(f)) {
            match &self.0 {
                None => self.0 = Some(payload),
                // The payload's destructor is user code and may panic as well.
                Some(_) => core::mem::forget(payload),
            }
        }
    }

    /// Resumes the panic, if there was one.
    #[inline(always)]
    pub(super) fn resume(self) {
        if let Some(payload) = self.0 {
            std::panic::resume_unwind(payload);
        }
    }
}
