//! The transitions of an operation of the reactor. Its future keeps the [`SlotOffset`], and
//! the slot stays that of the operation until the future or the reactor releases it.

use core::mem::MaybeUninit;

use super::{Extra, Slots};
use crate::engine::fields::IocbFields;
use crate::engine::offset::{OpState, SlotOffset};
use crate::engine::tag::Tag;
use crate::engine::ticket::Ticket;

/// The contents of a slot whose operation was notified.
pub(crate) struct Taken<P> {
    pub(crate) ticket: Ticket,
    pub(crate) result: i64,
    pub(crate) payload: P,
    /// The operation was a read.
    pub(crate) is_read: bool,
}

impl<P, X: Extra> Slots<'_, P, X> {
    /// Returns the slot that is used next, if one is ready: see [`reserve`](Slots::reserve).
    #[inline(always)]
    pub(crate) fn first_free(&self) -> Option<SlotOffset> {
        self.first_free.is_slot().then_some(self.first_free)
    }

    /// Stages an operation in the [first free](Slots::first_free) slot, behind those already
    /// staged. `fill` sets its `extra`, which is [`Extra::NEW`].
    #[inline(always)]
    pub(crate) fn stage_first_free(
        &mut self,
        at: SlotOffset,
        fields: &IocbFields,
        payload: MaybeUninit<P>,
        fill: impl FnOnce(&mut X),
    ) {
        debug_assert_eq!(at, self.first_free);
        let before = self.last_staged;
        let slot = self.slot(at);
        slot.change(Tag::staged);
        fields.put(&mut slot.iocb);
        slot.payload = payload;
        slot.set_staged_before(before);
        fill(&mut slot.extra);
        self.first_free = slot.next;
        self.last_staged = at;
        self.staged += 1;
    }

    /// Returns the state of the operation in this slot.
    #[inline]
    pub(crate) fn state(&self, at: SlotOffset) -> OpState {
        self.tag(at).state_at(at)
    }

    /// Marks an operation as notified whose event was taken, with its result: as
    /// [`push_completed`](Slots::push_completed) and [`notify_next`](Slots::notify_next) do.
    #[inline(always)]
    pub(crate) fn notify(&mut self, at: SlotOffset, result: i64) {
        let slot = self.slot(at);
        slot.result = result;
        slot.change(Tag::notified_at_once);
        self.notified += 1;
    }

    /// Releases the slot of a notified operation, as [`take_result`](Slots::take_result) and
    /// [`release`](Slots::release) do. Returns `None` in all other states. The notification
    /// has left nothing in `extra`, which is [`Extra::NEW`].
    #[inline(always)]
    pub(crate) fn release_notified(&mut self, at: SlotOffset) -> Option<Taken<P>> {
        let (next, owner) = (self.first_free, self.owner);
        let tag = self.tag(at);
        if !tag.is_notified() {
            return None;
        }
        let slot = self.slot(at);
        let taken = tag.unnotified();
        let wraps = slot.wraps;
        slot.free(taken);
        slot.next = next;
        // SAFETY: the slot held an operation, so it was staged with an initialised payload.
        // It is read once, because the slot is free now.
        let payload = unsafe { slot.payload.assume_init_read() };
        let (result, is_read) = (slot.result, slot.iocb.is_read());
        // The slot is linked in between the staged slots and the free ones.
        self.first_free = at;
        self.notified -= 1;
        if self.staged == 0 {
            self.first_staged = at;
        } else {
            self.slot(self.last_staged).next = at;
        }
        Some(Taken {
            ticket: Ticket {
                tag: taken,
                wraps,
                owner,
            },
            result,
            payload,
            is_read,
        })
    }
}
