//! [`Slots`]: the slots of one owner, and the lists that they are in. Each slot keeps
//! the payload of its operation (the buffer and the data) in a fixed place until the
//! operation has completed. The state of a slot is in its [`Tag`].
//!
//! # The lists
//!
//! ```text
//!   the chain: the staged operations in order, then the free slots
//!
//!    first_staged         last_staged   first_free
//!         │                    │            │
//!         ▼                    ▼            ▼
//!      staged ──▶ staged ──▶ staged ──▶   free ──▶ free ──▶ free ──▶ END
//!      ╰──── `staged` is their number
//!
//!   the completed list: in order of completion
//!
//!     first_completed             last_completed
//!         │                             │
//!         ▼                             ▼
//!     completed ─▶ completed ─▶ completed ─▶ END
//!      ╰──── `completed` is their number
//!
//!   in no list, only counted: in flight (`in_flight`), notified (`notified`)
//!   in no list, not counted:  between two states, within one function
//! ```
//!
//! Staging an operation moves the border between the two parts of the chain:
//! `last_staged` becomes `first_free`, and `first_free` its successor. Submitting moves
//! `first_staged`. Neither writes a forward link. A released slot is linked in at the
//! border.
//!
//! Slots are made ready when one is needed: the rest of the array is untouched, so creating
//! an owner takes the same time for any number of slots. If no ready slot is free,
//! [`reserve`](Slots::reserve) appends further ones to the chain, at most as many as there
//! are already.
//!
//! Operations leave the staged part and the completed list out of order, in constant time,
//! by a back link in a field that is unused in that state: the `result` of a staged slot,
//! the `offset` of a completed one's iocb. The back link of the first is meaningless.
//!
//! # Invariants
//! - The chain consists of `staged` slots with the tag flag of staged ones, and behind
//!   them of all slots in use with the flags of free ones. Its last link is
//!   [`END`](SlotOffset::END).
//! - If nothing is staged, `first_staged` equals `first_free`, and `last_staged` is
//!   meaningless. If no slot is free, `first_free` is `END`.
//! - The completed list consists of `completed` slots with the flag of completed ones.
//!   If it is empty, `first_completed` and `last_completed` are meaningless.
//! - A slot in flight has no flag and a meaningless `next`. It leaves that state only
//!   by [`take_event`](Slots::take_event), whose event equals its tag, or by
//!   [`leave_flight`](Slots::leave_flight). A slot between two states has no flag either, so no event is processed while there
//!   is one: between [`batch`](Slots::batch) and [`submitted`](Slots::submitted) or
//!   [`refused`](Slots::refused), and from leaving a list or the in-flight state to
//!   [`push_completed`](Slots::push_completed) or [`release`](Slots::release).
//! - `staged + in_flight + completed + notified`, and the free slots, add up to `len`
//!   whenever no slot is between two states.
//! - A payload is initialised from [`stage`](Slots::stage) to
//!   [`release`](Slots::release); `extra` is [`Extra::NEW`] in a free slot.
//! - Every [`SlotOffset`] is that of a slot of this array, or `END`: an index from a
//!   ticket or an event is compared with `used` first. The future of a reactor keeps the
//!   offset of its slot, from staging to release.

use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ptr::NonNull;

use super::offset::{MOST_BYTES, OpState, SlotOffset};
use super::slot::{Extra, RawSlot};
use super::tag::{MOST, Tag};
use super::ticket::{OwnerId, Ticket};
use crate::opcode::{RawFd, is_read};
use crate::sys::abi::{Event, Iocb};

pub(crate) use futures::Taken;

/// A batch of operations to be submitted with one system call.
pub(crate) struct Batch<'b> {
    pub(crate) iocbs: &'b [*mut Iocb],
    /// The slot behind the batch in the chain.
    after: SlotOffset,
}

/// The number of slots that are made ready one at a time, which is cheaper for an owner of a
/// single operation.
const FEW: u32 = 2;

/// The most slots that are made ready at once.
const GROUP: u32 = 16;

/// The contents of a released slot, and the ticket of its operation.
pub(crate) struct Released<P, X> {
    pub(crate) ticket: Ticket,
    pub(crate) payload: P,
    pub(crate) extra: X,
}

/// The slots of one owner, which has the array exclusively.
///
/// Only the length of an empty list is meaningful. If nothing is staged, `first_staged`
/// is the first free slot.
pub(crate) struct Slots<'s, P, X> {
    base: NonNull<RawSlot<P, X>>,
    len: u32,
    /// The number of slots in use so far. Those behind are untouched.
    used: u32,
    /// The memory of untouched slots is uninitialised.
    fresh: bool,
    owner: OwnerId,
    first_staged: SlotOffset,
    last_staged: SlotOffset,
    staged: u32,
    first_free: SlotOffset,
    in_flight: u32,
    first_completed: SlotOffset,
    last_completed: SlotOffset,
    completed: u32,
    /// The number of operations that are completed and notified, and in no list.
    notified: u32,
    array: PhantomData<&'s mut [RawSlot<P, X>]>,
}

// SAFETY: the array is exclusively borrowed, and its elements may be sent (`P: Send`
// and `X: Send`).
unsafe impl<P: Send, X: Send> Send for Slots<'_, P, X> {}
// SAFETY: `&Slots` returns only numbers, and no reference to a payload or an `extra`.
// Slots are written only through `&mut Slots`.
unsafe impl<P: Send, X: Send> Sync for Slots<'_, P, X> {}

impl<'s, P, X: Extra> Slots<'s, P, X> {
    /// The distance in bytes from one slot to the next. If a slot is too large for this
    /// type, no slot of the array is used.
    const SIZE: u32 = size_of::<RawSlot<P, X>>() as u32;

    /// The limit of the number of slots.
    const LIMIT: usize = {
        let most = MOST_BYTES / size_of::<RawSlot<P, X>>();
        if most < MOST { most } else { MOST }
    };

    /// Creates the slots of a new owner, all of them free. If a previous owner was
    /// leaked, its payloads stay leaked, and its tickets stay invalid. So do its extras
    /// (wakers) in the slots that the new owner uses: their destructors are user code, which
    /// must not run when a slot is taken into use.
    pub(crate) fn new(array: &'s mut [RawSlot<P, X>]) -> Slots<'s, P, X> {
        // SAFETY: every slot of the array is initialised, and the array is exclusively
        // borrowed for `'s`.
        unsafe { Slots::of_memory(NonNull::from(array), false) }
    }

    /// Creates the slots of a new owner, all of them free, in an array that may be
    /// uninitialised (`fresh`).
    ///
    /// # Safety
    /// The array is valid for reads and writes for `'s`, and accessed by nothing else. Its
    /// slots are initialised unless it is `fresh`.
    #[inline(always)]
    pub(super) unsafe fn of_memory(array: NonNull<[RawSlot<P, X>]>, fresh: bool) -> Self {
        let len = array.len().min(Self::LIMIT);
        Slots {
            base: array.cast(),
            len: len as u32,
            used: 0,
            fresh,
            owner: OwnerId::next(),
            first_staged: SlotOffset::END,
            last_staged: SlotOffset::END,
            staged: 0,
            first_free: SlotOffset::END,
            in_flight: 0,
            first_completed: SlotOffset::END,
            last_completed: SlotOffset::END,
            completed: 0,
            notified: 0,
            array: PhantomData,
        }
    }

    /// Makes untouched slots free, while no other slot is. The caller checks that there is
    /// one.
    #[cold]
    #[inline(never)]
    fn use_untouched(&mut self) {
        let index = self.used;
        if index >= FEW {
            return self.use_group();
        }
        // The slot comes last: it ends with a call, which then needs no stack.
        self.append(index, 1);
        self.make_ready(index, SlotOffset::END);
    }

    /// Makes as many untouched slots free as are in use already, at most [`GROUP`].
    #[inline(never)]
    fn use_group(&mut self) {
        let first = self.used;
        let count = first.min(GROUP).min(self.len - first);
        let mut next = SlotOffset::END;
        for index in (first..first + count).rev() {
            next = self.make_ready(index, next);
        }
        self.append(first, count);
    }

    /// Initialises an untouched slot as a free one, and returns its place.
    #[inline(always)]
    fn make_ready(&mut self, index: u32, next: SlotOffset) -> SlotOffset {
        let at = SlotOffset(index * Self::SIZE);
        // SAFETY: the callers pass an index below `len`, so the slot is one of the array,
        // which is exclusively borrowed and valid for writes. It is initialised unless the
        // array is `fresh`. Nothing is lost then.
        let slot = unsafe {
            let slot = self.base.byte_add(at.0 as usize);
            if self.fresh {
                slot.write(RawSlot::NEW);
            }
            &mut *slot.as_ptr()
        };
        // A previous owner that was leaked may have left a value.
        core::mem::forget(core::mem::replace(&mut slot.extra, X::NEW));
        slot.next = next;
        slot.free(slot.tag().at(index));
        at
    }

    /// Appends slots that were made ready to the chain, which has no free one.
    #[inline(always)]
    fn append(&mut self, first: u32, count: u32) {
        let at = SlotOffset(first * Self::SIZE);
        self.used = first + count;
        if self.staged == 0 {
            self.first_staged = at;
        } else {
            self.slot(self.last_staged).next = at;
        }
        self.first_free = at;
    }

    pub(crate) fn len(&self) -> usize {
        self.len as usize
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight as usize
    }

    pub(crate) fn staged(&self) -> usize {
        self.staged as usize
    }

    pub(crate) fn completed(&self) -> usize {
        self.completed as usize
    }

    /// Returns the number of free slots.
    pub(crate) fn free(&self) -> usize {
        (self.len - self.staged - self.in_flight - self.completed - self.notified) as usize
    }

    /// Makes a slot ready for [`stage`](Slots::stage). Returns whether there is one.
    #[inline]
    pub(crate) fn reserve(&mut self) -> bool {
        if !self.first_free.is_slot() {
            if self.used == self.len {
                return false;
            }
            self.use_untouched();
        }
        true
    }

    /// Returns a slot whose iocb no submission uses. Another thread may be inside
    /// io_submit(2), where the kernel writes the key of an iocb: for an operation in flight
    /// there are [`tag`](Slots::tag), [`opcode`](Slots::opcode) and
    /// [`extra`](Slots::extra), which do not access the key.
    #[inline]
    fn slot(&mut self, at: SlotOffset) -> &mut RawSlot<P, X> {
        debug_assert!(at.0 < self.used * Self::SIZE && at.0 % Self::SIZE == 0);
        // SAFETY: the array is exclusively borrowed for `'s`, and `at` is one of its
        // slots in use, which are initialised: no other was put into the lists, and an
        // index from outside (a ticket, an event) becomes a `SlotOffset` only after it was
        // compared with `used`.
        unsafe { self.base.byte_add(at.0 as usize).as_mut() }
    }

    /// Returns the address of a slot. A reference to the whole slot would include the key
    /// of the iocb, which the kernel may be writing.
    #[inline(always)]
    fn address(&self, at: SlotOffset) -> *mut RawSlot<P, X> {
        debug_assert!(at.0 < self.used * Self::SIZE && at.0 % Self::SIZE == 0);
        // SAFETY: as in `slot`, `at` is a slot of the array, so the result is within it.
        unsafe { self.base.byte_add(at.0 as usize) }.as_ptr()
    }

    /// Returns the tag of a slot, in any state.
    #[inline(always)]
    fn tag(&self, at: SlotOffset) -> Tag {
        // SAFETY: as in `slot`, `at` is an initialised slot of the array, which is
        // exclusively borrowed for `'s`. Slots are written only through `&mut self`, and of
        // an iocb the kernel writes the key alone.
        Tag(unsafe { (*self.address(at)).iocb.data })
    }

    /// Returns the opcode of the operation in this slot.
    #[inline(always)]
    pub(crate) fn opcode(&self, at: SlotOffset) -> u16 {
        // SAFETY: as in `tag`, the slot is initialised, and neither the kernel nor another
        // reference writes the field.
        unsafe { (*self.address(at)).iocb.opcode }
    }

    /// Returns the slot with the index of this tag, if there is one.
    #[inline]
    fn at(&self, tag: Tag) -> Option<SlotOffset> {
        let index = tag.index();
        (index < self.used).then(|| SlotOffset(index * Self::SIZE))
    }

    /// Stages an operation in a free slot, behind those already staged. If no slot is free,
    /// the payload is leaked, and the ticket identifies no operation. No destructor runs.
    #[inline]
    pub(crate) fn stage(&mut self, iocb: &Iocb, payload: MaybeUninit<P>, extra: X) -> Ticket {
        self.reserve();
        self.stage_reserved(iocb, payload, extra)
    }

    /// Stages an operation as [`stage`](Slots::stage) does, in a slot that
    /// [`reserve`](Slots::reserve) has made ready.
    #[inline]
    pub(crate) fn stage_reserved(
        &mut self,
        iocb: &Iocb,
        payload: MaybeUninit<P>,
        extra: X,
    ) -> Ticket {
        let (at, owner, before) = (self.first_free, self.owner, self.last_staged);
        if !at.is_slot() {
            core::mem::forget(extra);
            return Ticket::NONE;
        }
        let slot = self.slot(at);
        let staged = slot.tag().staged();
        slot.iocb = Iocb {
            data: staged.0,
            // Never written: it stays zero.
            reserved2: slot.iocb.reserved2,
            ..*iocb
        };
        slot.payload = payload;
        slot.set_staged_before(before);
        // The replaced value is `Extra::NEW`, which has nothing to drop.
        core::mem::forget(core::mem::replace(&mut slot.extra, extra));
        let (tag, next, wraps) = (staged.unstaged(), slot.next, slot.wraps);
        self.first_free = next;
        self.last_staged = at;
        self.staged += 1;
        Ticket { tag, wraps, owner }
    }

    /// Sets the eventfd of the operation that was staged last, unless it has one.
    #[cold]
    pub(super) fn signal_last_staged(&mut self, eventfd: RawFd) {
        if self.staged > 0 {
            self.slot(self.last_staged).signal(eventfd);
        }
    }

    /// Sets the eventfd of all staged operations that have none.
    #[cold]
    pub(super) fn signal_staged(&mut self, eventfd: RawFd) {
        let mut at = self.first_staged;
        for _ in 0..self.staged {
            let slot = self.slot(at);
            slot.signal(eventfd);
            at = slot.next;
        }
    }

    /// Returns the first staged operations, as many as fit into `batch`, ready to be
    /// submitted. They have no flag from here on, and `eventfd` unless they have one of their
    /// own. The next call is [`submitted`](Slots::submitted) or [`refused`](Slots::refused),
    /// which records the result; no other may come before.
    #[inline]
    pub(crate) fn batch<'b>(
        &mut self,
        batch: &'b mut [MaybeUninit<*mut Iocb>],
        eventfd: Option<RawFd>,
    ) -> Batch<'b> {
        let count = (self.staged as usize).min(batch.len());
        let mut at = self.first_staged;
        let mut put = |place: &mut MaybeUninit<*mut Iocb>| {
            let slot = self.slot(at);
            slot.change(Tag::unstaged);
            if let Some(eventfd) = eventfd {
                slot.signal(eventfd);
            }
            place.write(&raw mut slot.iocb);
            at = slot.next;
        };
        // The first one is separate: the compiler unrolls the loop, which then begins
        // with comparisons that a single operation does not need.
        if let Some((first, rest)) = batch[..count].split_first_mut() {
            put(first);
            rest.iter_mut().for_each(put);
        }
        // SAFETY: the first `count` elements have just been written.
        let iocbs = unsafe { core::slice::from_raw_parts(batch.as_ptr().cast(), count) };
        Batch { iocbs, after: at }
    }

    /// Records that the kernel took the whole batch.
    #[inline]
    pub(crate) fn submitted(&mut self, batch: &Batch<'_>) {
        let count = batch.iocbs.len() as u32;
        self.first_staged = batch.after;
        self.in_flight += count;
        self.staged -= count;
    }

    /// Records that the kernel took only the first `taken` of a batch of `nr` operations. The
    /// rest is staged again, in its old place.
    #[cold]
    pub(crate) fn refused(&mut self, nr: usize, taken: usize) {
        let mut at = self.first_staged;
        for place in 0..nr {
            if place == taken {
                self.first_staged = at;
            }
            let slot = self.slot(at);
            if place >= taken {
                slot.change(Tag::staged_again);
            }
            at = slot.next;
        }
        self.in_flight += taken as u32;
        self.staged -= taken as u32;
    }

    /// Removes the first staged operation, which counts as in flight from here on. The
    /// caller checks that there is one. Returns its tag and its iocb.
    #[inline]
    pub(super) fn take_first_staged(&mut self) -> (Tag, *mut Iocb) {
        let at = self.first_staged;
        let slot = self.slot(at);
        slot.change(Tag::unstaged);
        let (tag, next) = (slot.tag(), slot.next);
        // The pointer is derived from the array's: one derived from a reference to the
        // slot would be invalid once the slot is used again, which may be before the
        // kernel uses the pointer.
        // SAFETY: the array is exclusively borrowed for `'s`, and `at` is one of its slots.
        let iocb = unsafe { &raw mut (*self.base.byte_add(at.0 as usize).as_ptr()).iocb };
        self.first_staged = next;
        self.staged -= 1;
        self.in_flight += 1;
        (tag, iocb)
    }

    /// Stages an operation in flight again, before all others, because the kernel did not
    /// accept it. Does nothing and returns `None` if the slot has another tag.
    #[cold]
    pub(super) fn stage_again(&mut self, tag: Tag) -> Option<SlotOffset> {
        let (at, first) = (self.at(tag)?, self.first_staged);
        let slot = self.slot(at);
        if slot.tag() != tag {
            return None;
        }
        slot.change(Tag::staged_again);
        slot.next = first;
        self.first_staged = at;
        if self.staged == 0 {
            self.last_staged = at;
        } else {
            self.slot(first).set_staged_before(at);
        }
        self.staged += 1;
        self.in_flight -= 1;
        Some(at)
    }

    /// Returns the state of the operation that had this tag in flight, or `None` if its
    /// slot was released.
    #[cold]
    pub(super) fn state_of(&self, tag: Tag) -> Option<OpState> {
        let at = self.at(tag)?;
        tag.state(self.tag(at), at)
    }

    /// Takes the operation of this event out of flight, and returns its slot. Returns
    /// `None` for a foreign event, which matches no slot.
    #[inline]
    pub(crate) fn take_event(&mut self, event: &Event) -> Option<SlotOffset> {
        let tag = Tag(event.data);
        let at = self.at(tag)?;
        if self.tag(at) != tag {
            return None;
        }
        self.leave_flight(at);
        Some(at)
    }

    /// Returns whether the operation in this slot, which is staged, in flight or completed, is
    /// in flight.
    #[inline]
    pub(crate) fn is_in_flight(&self, at: SlotOffset) -> bool {
        self.tag(at).is_in_flight()
    }

    /// Returns whether the operation in this slot, which is staged, in flight or completed,
    /// has completed.
    pub(crate) fn is_completed(&self, at: SlotOffset) -> bool {
        self.tag(at).is_completed()
    }

    /// Takes the operation in this slot out of flight.
    #[inline]
    pub(crate) fn leave_flight(&mut self, _at: SlotOffset) {
        self.in_flight -= 1;
    }

    /// Appends an operation to the completed list, with its result. It is in no list,
    /// and no longer in flight or never was.
    pub(crate) fn push_completed(&mut self, at: SlotOffset, result: i64) {
        let before = self.last_completed;
        let slot = self.slot(at);
        slot.result = result;
        slot.set_completed_before(before);
        slot.change(Tag::completed);
        slot.next = SlotOffset::END;
        if self.completed == 0 {
            self.first_completed = at;
        } else {
            self.slot(self.last_completed).next = at;
        }
        self.last_completed = at;
        self.completed += 1;
    }

    /// Removes the first operation from the completed list, in order of completion.
    /// Returns its slot and its result.
    #[inline(always)]
    pub(crate) fn pop_completed(&mut self) -> Option<(SlotOffset, i64)> {
        let at = self.unlink_first_completed()?;
        Some((at, self.unlink_completed(at)))
    }

    /// Takes the result of a completed operation out of order, or of a notified one.
    /// The slot is in no list then.
    pub(crate) fn take_result(&mut self, at: SlotOffset) -> i64 {
        if self.tag(at).is_notified() {
            return self.take_notified(at);
        }
        let slot = self.slot(at);
        let (before, next) = (slot.completed_before(), slot.next);
        if self.first_completed == at {
            self.first_completed = next;
        } else {
            self.slot(before).next = next;
        }
        if self.last_completed == at {
            self.last_completed = before;
        } else {
            self.slot(next).set_completed_before(before);
        }
        self.completed -= 1;
        self.unlink_completed(at)
    }

    /// Takes the result of a notified operation, whose slot is in no list.
    #[inline]
    pub(crate) fn take_notified(&mut self, at: SlotOffset) -> i64 {
        self.notified -= 1;
        self.unlink_completed(at)
    }

    /// Removes the first operation from the completed list and marks it as notified.
    /// The caller notifies its waiter, which [takes](Slots::take_result) the result.
    /// Until then its state is [`OpState::Completed`].
    pub(crate) fn notify_next(&mut self) -> Option<SlotOffset> {
        let at = self.unlink_first_completed()?;
        self.slot(at).change(Tag::notified);
        self.notified += 1;
        Some(at)
    }

    #[inline(always)]
    fn unlink_first_completed(&mut self) -> Option<SlotOffset> {
        if self.completed == 0 {
            return None;
        }
        let at = self.first_completed;
        self.first_completed = self.slot(at).next;
        self.completed -= 1;
        Some(at)
    }

    fn unlink_completed(&mut self, at: SlotOffset) -> i64 {
        let slot = self.slot(at);
        slot.change(Tag::taken);
        slot.result
    }

    /// Returns the slot of the first staged operation.
    pub(crate) fn first_staged(&self) -> Option<SlotOffset> {
        (self.staged > 0).then_some(self.first_staged)
    }

    /// Removes the first staged operation, which will not be submitted.
    pub(crate) fn unstage_first(&mut self) -> Option<SlotOffset> {
        let at = self.first_staged()?;
        self.unstage(at);
        Some(at)
    }

    /// Removes a staged operation that will not be submitted.
    pub(crate) fn unstage(&mut self, at: SlotOffset) {
        let slot = self.slot(at);
        let (before, next) = (slot.staged_before(), slot.next);
        if self.first_staged == at {
            self.first_staged = next;
        } else {
            self.slot(before).next = next;
        }
        if self.last_staged == at {
            self.last_staged = before;
        } else {
            self.slot(next).set_staged_before(before);
        }
        self.staged -= 1;
        self.slot(at).change(Tag::unstaged);
    }

    /// Frees the slot of an operation that is in no list and not in flight, and returns
    /// its contents. The slot is empty then.
    #[inline]
    pub(crate) fn release(&mut self, at: SlotOffset) -> Released<P, X> {
        let (next, owner) = (self.first_free, self.owner);
        let slot = self.slot(at);
        let (tag, wraps) = (slot.tag(), slot.wraps);
        slot.free(tag);
        slot.next = next;
        // SAFETY: the slot held an operation, so `stage` wrote the payload. It is read
        // once, because the slot is free now.
        let payload = unsafe { slot.payload.assume_init_read() };
        let extra = core::mem::replace(&mut slot.extra, X::NEW);
        // The slot is linked in between the staged slots and the free ones.
        self.first_free = at;
        if self.staged == 0 {
            self.first_staged = at;
        } else {
            self.slot(self.last_staged).next = at;
        }
        Released {
            ticket: Ticket { tag, wraps, owner },
            payload,
            extra,
        }
    }

    /// Returns the state of a ticket's operation, or `None` if its slot was released.
    #[inline]
    pub(crate) fn find(&self, ticket: Ticket) -> Option<OpState> {
        let at = self.slot_of(ticket)?;
        ticket.tag.state(self.tag(at), at)
    }

    /// Returns the slot that a ticket's operation is in or was in.
    #[inline(always)]
    fn slot_of(&self, ticket: Ticket) -> Option<SlotOffset> {
        let at = self.at(ticket.tag)?;
        // SAFETY: as in `tag`, the slot is initialised. The field is written only through
        // `&mut self`.
        let wraps = unsafe { (*self.address(at)).wraps };
        (wraps == ticket.wraps && self.owner == ticket.owner).then_some(at)
    }

    /// Returns the `data` of the event that completes the operation in this slot, which is
    /// in flight.
    #[inline(always)]
    pub(crate) fn event_data(&self, at: SlotOffset) -> u64 {
        self.tag(at).0
    }

    /// Returns the address of the iocb in this slot, which identifies the operation for
    /// io_cancel(2).
    pub(crate) fn iocb(&self, at: SlotOffset) -> *const Iocb {
        // SAFETY: as in `tag`, `at` is a slot of the array, so its field is within it.
        unsafe { &raw const (*self.address(at)).iocb }
    }

    /// Returns whether the operation in this slot is a read.
    #[inline(always)]
    pub(crate) fn is_read(&self, at: SlotOffset) -> bool {
        is_read(self.opcode(at))
    }

    #[inline]
    pub(crate) fn extra(&mut self, at: SlotOffset) -> &mut X {
        // SAFETY: as in `tag`, the slot is initialised. The kernel does not access the
        // field, and the result borrows `self` exclusively.
        unsafe { &mut (*self.address(at)).extra }
    }

    /// Returns the next slot in flight behind `at`, or the first one for `None`.
    pub(crate) fn in_flight_after(&mut self, at: Option<SlotOffset>) -> Option<SlotOffset> {
        self.next_after(at, Tag::is_in_flight)
    }

    /// Returns the next slot behind `at`, or the first one for `None`, whose tag
    /// satisfies `is`.
    fn next_after(&mut self, at: Option<SlotOffset>, is: fn(Tag) -> bool) -> Option<SlotOffset> {
        let mut next = SlotOffset(at.map_or(0, |at| at.0 + Self::SIZE));
        while next.0 < self.used * Self::SIZE {
            if is(self.tag(next)) {
                return Some(next);
            }
            next.0 += Self::SIZE;
        }
        None
    }
}

mod clear;
mod futures;
#[cfg(test)]
mod tests;
