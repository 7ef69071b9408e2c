//! A lock at which a thread pauses, so that others come in between its critical sections.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::cell::RefCell;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};

use linux_aio::reactor::Lock;

thread_local! {
    static PAUSE: RefCell<Option<Pause>> = const { RefCell::new(None) };
}

/// Where a thread pauses: before it takes a lock.
pub(crate) struct Pause {
    /// The number of locks that it takes before.
    skip: usize,
    at: Sender<()>,
    go: Receiver<()>,
}

impl Pause {
    /// Creates a pause behind this number of locks, and the end that others have.
    pub(crate) fn after(skip: usize) -> (Pause, Paused) {
        let ((at, paused), (resume, go)) = (channel(), channel());
        (Pause { skip, at, go }, Paused { paused, resume })
    }

    /// Pauses this thread from now on.
    pub(crate) fn here(self) {
        PAUSE.set(Some(self));
    }

    fn pass(&mut self) {
        if self.skip > 0 {
            self.skip -= 1;
        } else if self.at.send(()).is_ok() {
            // Nobody waits any more after an error.
            let _ = self.go.recv();
        }
    }
}

/// The other end of a pause. The thread does not pause any more once it is dropped.
pub(crate) struct Paused {
    paused: Receiver<()>,
    resume: Sender<()>,
}

impl Paused {
    /// Waits until the thread pauses. Returns `false` if the thread has ended.
    pub(crate) fn wait(&self) -> bool {
        self.paused.recv().is_ok()
    }

    /// Lets the thread go on to its next pause.
    pub(crate) fn resume(&self) {
        let _ = self.resume.send(());
    }
}

/// A mutex with the pauses.
pub(crate) struct Pausing(Mutex<()>);

// SAFETY: the mutex excludes other threads. The pause comes before it.
unsafe impl Lock for Pausing {
    const NEW: Pausing = Pausing(Mutex::new(()));

    fn with<R>(&self, f: impl FnOnce() -> R) -> R {
        PAUSE.with_borrow_mut(|pause| {
            if let Some(pause) = pause {
                pause.pass();
            }
        });
        let _held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        f()
    }
}
