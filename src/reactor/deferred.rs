//! [`Deferred`]: user code that is to run when the lock is free again.

use core::task::Waker;

/// Wakers to be dropped, and one to be woken. Whatever panics, all of it is
/// done: a panic goes on when the rest has been.
///
/// (Where the crate is built without `std`, a second panic aborts the process,
/// as in any destructor that runs because of the first.)
#[derive(Default)]
pub(super) struct Deferred {
    /// Replaced, or not needed.
    pub(super) drop: [Option<Waker>; 3],
    pub(super) wake: Option<Waker>,
}

impl Deferred {
    #[inline]
    pub(super) fn run(self) {
        if self.wake.is_some() || self.drop.iter().any(Option::is_some) {
            self.run_all();
        }
    }

    #[cfg(feature = "std")]
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
    fn run_all(self) {
        // What is not dropped yet when this panics is dropped after it.
        let _rest = self.drop;
        if let Some(waker) = self.wake {
            waker.wake();
        }
    }
}

/// The first of several panics, until the rest has been done.
#[cfg(feature = "std")]
#[derive(Default)]
pub(super) struct Panics(Option<std::boxed::Box<dyn core::any::Any + Send>>);

#[cfg(feature = "std")]
impl Panics {
    /// Runs user code, and keeps what it panics with, if it is the first.
    pub(super) fn catch(&mut self, f: impl FnOnce()) {
        use core::panic::AssertUnwindSafe;
        // Unwind safe: what the caller touches afterwards is the reactor, which
        // the code does not run within.
        if let Err(payload) = std::panic::catch_unwind(AssertUnwindSafe(f)) {
            match &self.0 {
                None => self.0 = Some(payload),
                // Its destructor is user code, too, and may panic in its turn.
                Some(_) => core::mem::forget(payload),
            }
        }
    }

    /// Goes on with the panic, if there was one.
    pub(super) fn resume(self) {
        if let Some(payload) = self.0 {
            std::panic::resume_unwind(payload);
        }
    }
}
