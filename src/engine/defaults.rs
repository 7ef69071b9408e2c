//! [`Defaults`]: what a submission adds to operations that do not have it.

use core::hint::assert_unchecked;

use super::{BATCH, Backend, Engine, Extra};
use crate::fd::Fd;
use crate::opcode::RawFd;

/// The eventfd of operations that have none of their own.
pub(super) struct Defaults {
    /// Meaningful only if `short` is 0.
    eventfd: RawFd,
    /// The number of staged operations that are submitted in the short way: [`BATCH`], or 0
    /// if they have to be given the eventfd. So one comparison covers both.
    short: u32,
}

impl Defaults {
    pub(super) const NONE: Defaults = Defaults {
        eventfd: RawFd(0),
        short: BATCH as u32,
    };

    pub(super) fn eventfd(&self) -> Option<RawFd> {
        (self.short == 0).then_some(self.eventfd)
    }

    /// Returns whether so many staged operations need nothing but one system call for
    /// [`BATCH`] operations.
    #[inline(always)]
    pub(super) fn is_short(&self, staged: usize) -> bool {
        let short = self.short as usize;
        // SAFETY: both functions that write the field write 0 or `BATCH`.
        unsafe { assert_unchecked(short <= BATCH) };
        staged <= short
    }
}

impl<P, X: Extra, K: Backend> Engine<'_, P, X, K> {
    /// Sets an eventfd for the operations that [`submit`](Engine::submit) submits from here
    /// on, except those that have one. The caller keeps it open until the context has been
    /// destroyed or has nothing in flight.
    pub(crate) fn signal_by_default(&mut self, eventfd: Fd<'_>) {
        self.defaults = Defaults {
            eventfd: RawFd::from(eventfd),
            short: 0,
        };
    }

    /// Gives the default eventfd to all staged operations that have none, for a submission
    /// by other ways than [`submit`](Engine::submit).
    pub(crate) fn signal_staged(&mut self) {
        if let Some(eventfd) = self.defaults.eventfd() {
            self.slots.signal_staged(eventfd);
        }
    }

    /// Gives the default eventfd to the operation that was staged last, if it has none.
    #[inline]
    pub(crate) fn signal_last_staged(&mut self) {
        if let Some(eventfd) = self.defaults.eventfd() {
            self.slots.signal_last_staged(eventfd);
        }
    }
}
