//! [`Conditions`]: what a poll or a turn has to consider besides its own operation.
//!
//! These are the futures that wait for a slot or for an idle reactor, the reactor's eventfd,
//! and operations that were completed without an event. In the common case there is none of
//! them, which one comparison of one word detects.
//!
//! # Layout
//!
//! ```text
//!    usize::BITS - 1                          2    1          0
//!   ┌──────────────────────────────────────────┬──────────┬─────────┐
//!   │ number of waiters in the lists           │UNNOTIFIED│ EVENTFD │
//!   └──────────────────────────────────────────┴──────────┴─────────┘
//! ```
//!
//! The number fits, because a waiter has more than four bytes.
//!
//! `EVENTFD` is set when the reactor is created, before it is shared. `UNNOTIFIED` is set when the
//! kernel refuses an operation and when one is cancelled that was not submitted. The operation
//! enters the completed list, in which it stays until a turn notifies it or its future takes it
//! or is dropped. Each of them clears `UNNOTIFIED` if it leaves the list empty.
//!
//! # Invariants
//! - `word` contains the number of waiters in both lists. They are changed only by
//!   [`slot_mut`](Conditions::slot_mut) and [`idle_mut`](Conditions::idle_mut), which count
//!   them afterwards, and by [`count_poll`](Conditions::count_poll), which links none.
//! - While an operation is in the completed list that has no event, `UNNOTIFIED` is set.

use super::waiters::Waiters;

/// The reactor has an eventfd.
const EVENTFD: usize = 1;
/// An operation was completed without an event, and the completed list has not been empty since.
const UNNOTIFIED: usize = 1 << 1;
/// One waiter.
const WAITER: usize = 1 << 2;

/// The waiting futures, and the conditions of a reactor, in one word.
pub(super) struct Conditions {
    slot: Waiters,
    idle: Waiters,
    word: usize,
}

impl Conditions {
    /// No condition, for a reactor with this number of slots.
    pub(super) const fn new(slots: usize) -> Conditions {
        Conditions {
            slot: Waiters::new(slots),
            idle: Waiters::new(0),
            word: 0,
        }
    }

    /// Returns whether there is none: no future waits, no operation is unnotified, and the
    /// reactor has no eventfd.
    #[inline(always)]
    pub(super) fn is_empty(&self) -> bool {
        self.word == 0
    }

    /// Returns whether there is none but the reactor's eventfd.
    #[inline(always)]
    pub(super) fn is_eventfd_at_most(&self) -> bool {
        self.word & !EVENTFD == 0
    }

    /// Returns whether no future waits for a slot or for an idle reactor.
    #[inline(always)]
    pub(super) fn has_no_waiter(&self) -> bool {
        self.word < WAITER
    }

    #[inline(always)]
    pub(super) fn has_eventfd(&self) -> bool {
        self.word & EVENTFD != 0
    }

    #[inline(always)]
    pub(super) fn is_unnotified(&self) -> bool {
        self.word & UNNOTIFIED != 0
    }

    /// Records that the reactor has an eventfd.
    pub(super) fn set_eventfd(&mut self) {
        self.word |= EVENTFD;
    }

    /// Records that an operation is in the completed list whose completion no event announces.
    pub(super) fn set_unnotified(&mut self) {
        self.word |= UNNOTIFIED;
    }

    /// Records that the completed list is empty.
    pub(super) fn clear_unnotified(&mut self) {
        self.word &= !UNNOTIFIED;
    }

    /// Returns the futures that wait for a free slot.
    #[inline]
    pub(super) fn slot(&self) -> &Waiters {
        &self.slot
    }

    /// Returns the futures that wait until the reactor is idle.
    #[inline]
    pub(super) fn idle(&self) -> &Waiters {
        &self.idle
    }

    /// Changes the list of those that wait for a free slot.
    pub(super) fn slot_mut<R>(&mut self, change: impl FnOnce(&mut Waiters) -> R) -> R {
        let value = change(&mut self.slot);
        self.count();
        value
    }

    /// Changes the list of those that wait until the reactor is idle.
    pub(super) fn idle_mut<R>(&mut self, change: impl FnOnce(&mut Waiters) -> R) -> R {
        let value = change(&mut self.idle);
        self.count();
        value
    }

    /// Records the poll of a future: see [`Waiters::count_poll`].
    #[inline]
    pub(super) fn count_poll(&mut self) {
        self.slot.count_poll();
    }

    fn count(&mut self) {
        let waiters = self.slot.len() + self.idle.len();
        self.word = (self.word & (EVENTFD | UNNOTIFIED)) | (waiters * WAITER);
    }
}
