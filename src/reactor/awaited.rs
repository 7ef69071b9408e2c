//! [`Awaited`]: what is to be done when an operation has completed.

use core::hint::assert_unchecked;
use core::task::Waker;

use super::eventfd::OwnEventfd;
use crate::engine::Extra;

/// The task that waits for an operation, and the operation's own eventfd.
///
/// # Invariant
/// While an operation is staged, in flight or completed, and `is_plain`, it has a waker, no
/// eventfd of its own, and its future exists. A free slot and one that was notified have
/// neither a waker nor an eventfd.
pub(crate) struct Awaited {
    /// Absent once the operation is notified or its future was dropped, and before the first
    /// poll.
    waker: Option<Waker>,
    /// Absent once the operation is notified.
    own_eventfd: OwnEventfd,
    dropped: bool,
    /// There is nothing to do but to wake the task: one comparison covers the three fields
    /// above.
    is_plain: bool,
}

impl Extra for Awaited {
    const NEW: Awaited = Awaited {
        waker: None,
        own_eventfd: OwnEventfd::NONE,
        dropped: false,
        is_plain: true,
    };
}

impl Awaited {
    /// Sets the waker of an operation that is being staged, in a slot that was free.
    #[inline(always)]
    pub(super) fn begin_plain(&mut self, waker: Waker) {
        // The slot has none: this drops nothing.
        core::mem::forget(self.waker.replace(waker));
    }

    /// Sets the waker and the eventfd of an operation that is being staged, in a slot that was
    /// free.
    #[inline]
    pub(super) fn begin(&mut self, waker: Option<Waker>, own_eventfd: OwnEventfd) {
        self.is_plain = waker.is_some() && !own_eventfd.is_some();
        // The slot has none: this drops nothing.
        core::mem::forget(core::mem::replace(&mut self.waker, waker));
        self.own_eventfd = own_eventfd;
    }

    /// Takes the waker if there is nothing else to do.
    ///
    /// # Safety
    /// An operation was staged in the slot, and was not notified since.
    #[inline(always)]
    pub(super) unsafe fn take_plain(&mut self) -> Option<Waker> {
        if !self.is_plain {
            return None;
        }
        let waker = self.waker.take();
        // SAFETY: the caller promises that the operation was staged and not notified, and it
        // is plain, so it has a waker (the invariant of this type).
        unsafe { assert_unchecked(waker.is_some()) };
        waker
    }

    /// Takes the waker and the eventfd, because the operation is notified.
    #[inline]
    pub(super) fn notify(&mut self) -> (Option<Waker>, Option<i32>) {
        let notified = core::mem::replace(self, Awaited::NEW);
        notified.into_parts()
    }

    /// Returns the waker and the eventfd.
    #[inline]
    pub(super) fn into_parts(mut self) -> (Option<Waker>, Option<i32>) {
        (self.waker.take(), self.own_eventfd.take())
    }

    /// Replaces the waker of an operation that is staged or in flight, and returns the old one.
    #[inline]
    pub(super) fn replace_waker(&mut self, waker: Waker) -> Option<Waker> {
        self.is_plain = !self.own_eventfd.is_some();
        self.waker.replace(waker)
    }

    /// Returns whether the waker wakes the same task as this one.
    #[inline]
    pub(super) fn will_wake(&self, waker: &Waker) -> bool {
        // It compares pointers, and runs no user code.
        self.waker
            .as_ref()
            .is_some_and(|kept| kept.will_wake(waker))
    }

    /// Records that the future of an operation in flight was dropped, and returns the waker.
    #[inline]
    pub(super) fn detach(&mut self) -> Option<Waker> {
        self.dropped = true;
        self.is_plain = false;
        self.waker.take()
    }

    /// Returns whether the future was dropped.
    #[inline]
    pub(super) fn is_dropped(&self) -> bool {
        self.dropped
    }

    /// Forgets the eventfd, because the operation was not submitted.
    #[inline]
    pub(super) fn clear_eventfd(&mut self) {
        self.own_eventfd = OwnEventfd::NONE;
    }
}
