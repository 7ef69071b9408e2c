//! [`Slots`]: operations in fixed places, each with the buffer that it owns
//! until its event has come.
//!
//! A slot's state is in its [`Tag`].
//!
//! Staged and free slots are one chain: the staged ones in order, then the free
//! ones. To stage the first free slot moves the border between them, and no
//! link.

use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ptr::NonNull;

use super::slot::{Extra, OwnerId, RawSlot, Ticket};
use super::tag::{MOST, Tag};
use crate::sys::abi::{Event, Iocb};

/// A slot of the array's: how many bytes behind its start. Only an array that
/// has the slot makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlotOffset(u32);

/// All slots begin below.
const MOST_BYTES: usize = 1 << 31;

impl SlotOffset {
    /// The end of a list.
    pub(super) const END: SlotOffset = SlotOffset(u32::MAX);

    /// Whether it is a slot's.
    #[inline(always)]
    fn is_slot(self) -> bool {
        self.0 < MOST_BYTES as u32
    }
}

/// Where a ticket's operation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OpState {
    Staged(SlotOffset),
    InFlight(SlotOffset),
    Done(SlotOffset),
}

/// Operations on their way to the kernel.
pub(crate) struct Batch<'b> {
    pub(crate) iocbs: &'b [*mut Iocb],
    /// The first that is staged behind them.
    after: SlotOffset,
}

/// What a slot gives back.
pub(crate) struct Released<P, X> {
    pub(crate) ticket: Ticket,
    pub(crate) payload: P,
    pub(crate) extra: X,
}

/// The slots of one owner, who has the array to himself.
///
/// Of a list without elements only the length means something, and the chain's
/// first is then its first free one.
pub(crate) struct Slots<'s, P, X> {
    base: NonNull<RawSlot<P, X>>,
    len: u32,
    owner: OwnerId,
    first_staged: SlotOffset,
    last_staged: SlotOffset,
    staged: u32,
    first_free: SlotOffset,
    in_flight: u32,
    first_done: SlotOffset,
    last_done: SlotOffset,
    done: u32,
    /// Done, and in no list.
    told: u32,
    array: PhantomData<&'s mut [RawSlot<P, X>]>,
}

// SAFETY: the array is exclusively borrowed, and its elements may be sent.
unsafe impl<P: Send, X: Send> Send for Slots<'_, P, X> {}
// SAFETY: `&Slots` gives numbers alone, and no reference to a payload or to what a
// layer keeps beside it; slots are written through `&mut Slots` alone.
unsafe impl<P: Send, X: Send> Sync for Slots<'_, P, X> {}

impl<'s, P, X: Extra> Slots<'s, P, X> {
    /// From one slot to the next. An array of slots that are too large for
    /// this has none that is used.
    const SIZE: u32 = size_of::<RawSlot<P, X>>() as u32;

    /// Takes the array and makes every slot free. If a previous owner was leaked,
    /// its payloads stay leaked, and its tickets stay invalid.
    ///
    /// Everything else that the previous owner left (wakers) is dropped before
    /// this owner exists. User code runs here.
    pub(crate) fn new(array: &'s mut [RawSlot<P, X>]) -> Slots<'s, P, X> {
        let len = array
            .len()
            .min(MOST)
            .min(MOST_BYTES / size_of::<RawSlot<P, X>>());
        let mut next = SlotOffset(0);
        for (index, slot) in array.iter_mut().take(len).enumerate() {
            slot.vacate();
            slot.free(slot.tag().at(index as u32));
            next.0 += Self::SIZE;
            slot.next = if index + 1 == len {
                SlotOffset::END
            } else {
                next
            };
        }
        let first = if len == 0 {
            SlotOffset::END
        } else {
            SlotOffset(0)
        };
        Slots {
            base: NonNull::from(array).cast(),
            len: len as u32,
            owner: OwnerId::next(),
            first_staged: first,
            last_staged: SlotOffset::END,
            staged: 0,
            first_free: first,
            in_flight: 0,
            first_done: SlotOffset::END,
            last_done: SlotOffset::END,
            done: 0,
            told: 0,
            array: PhantomData,
        }
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

    pub(crate) fn done(&self) -> usize {
        self.done as usize
    }

    /// The number of free slots.
    pub(crate) fn free(&self) -> usize {
        (self.len - self.staged - self.in_flight - self.done - self.told) as usize
    }

    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        !self.first_free.is_slot()
    }

    #[inline]
    fn slot(&mut self, at: SlotOffset) -> &mut RawSlot<P, X> {
        debug_assert!(at.0 < self.len * Self::SIZE && at.0 % Self::SIZE == 0);
        // SAFETY: the array is exclusively ours for 's, and `at` is one of its
        // slots: `new` put no other into the lists, and nothing from outside (a
        // ticket, an event) becomes one before it was compared with `len`.
        unsafe { self.base.byte_add(at.0 as usize).as_mut() }
    }

    /// The slot that this tag would be of, if there is one.
    #[inline]
    fn at(&self, tag: Tag) -> Option<SlotOffset> {
        let index = tag.index();
        (index < self.len).then(|| SlotOffset(index * Self::SIZE))
    }

    /// Takes `at` out of the list that begins with `first`: the new first, and
    /// the one before `at`, the [`END`](SlotOffset::END) if it was the first.
    fn unlink(&mut self, first: SlotOffset, at: SlotOffset) -> (SlotOffset, SlotOffset) {
        let next = self.slot(at).next;
        if first == at {
            return (next, SlotOffset::END);
        }
        let mut before = first;
        while self.slot(before).next != at {
            before = self.slot(before).next;
        }
        self.slot(before).next = next;
        (first, before)
    }

    /// Puts an operation into a free slot, at the end of those to be
    /// submitted. There must be one: see [`is_full`](Slots::is_full). Without,
    /// the payload is leaked, and the ticket names nothing. No destructor runs.
    #[inline]
    pub(crate) fn stage(&mut self, iocb: &Iocb, payload: MaybeUninit<P>, extra: X) -> Ticket {
        let (at, owner) = (self.first_free, self.owner);
        if !at.is_slot() {
            core::mem::forget(extra);
            return Ticket {
                tag: Tag::NONE,
                wraps: 0,
                owner,
            };
        }
        let slot = self.slot(at);
        let staged = slot.tag().staged();
        slot.iocb = Iocb {
            data: staged.0,
            // Nobody writes there: it is zero as it was.
            reserved2: slot.iocb.reserved2,
            ..*iocb
        };
        slot.payload = payload;
        // What it replaces is `Extra::NEW`, which has nothing to be dropped.
        core::mem::forget(core::mem::replace(&mut slot.extra, extra));
        let (tag, next, wraps) = (staged.unstaged(), slot.next, slot.wraps);
        self.first_free = next;
        self.last_staged = at;
        self.staged += 1;
        Ticket { tag, wraps, owner }
    }

    /// The first of the staged operations, as many as fit into `batch`, ready
    /// for the kernel. They count as neither staged nor in flight until
    /// [`submitted`](Slots::submitted) or [`refused`](Slots::refused) is told
    /// what became of them, and nothing else may be done before.
    #[inline]
    pub(crate) fn batch<'b>(&mut self, batch: &'b mut [MaybeUninit<*mut Iocb>]) -> Batch<'b> {
        let count = (self.staged as usize).min(batch.len());
        let mut at = self.first_staged;
        let mut put = |place: &mut MaybeUninit<*mut Iocb>| {
            let slot = self.slot(at);
            slot.change(Tag::unstaged);
            place.write(&raw mut slot.iocb);
            at = slot.next;
        };
        // The first by itself: a loop is unrolled, and begins with questions
        // that a single operation need not be asked.
        if let Some((first, rest)) = batch[..count].split_first_mut() {
            put(first);
            rest.iter_mut().for_each(put);
        }
        // SAFETY: the first `count` have just been written.
        let iocbs = unsafe { core::slice::from_raw_parts(batch.as_ptr().cast(), count) };
        Batch { iocbs, after: at }
    }

    /// The kernel took the whole batch.
    #[inline]
    pub(crate) fn submitted(&mut self, batch: &Batch<'_>) {
        let count = batch.iocbs.len() as u32;
        self.first_staged = batch.after;
        self.in_flight += count;
        self.staged -= count;
    }

    /// The kernel took the first `taken` of the batch, which is not all of it;
    /// the rest is staged again, where it was.
    #[cold]
    pub(crate) fn refused(&mut self, batch: &Batch<'_>, taken: usize) {
        let mut at = self.first_staged;
        for place in 0..batch.iocbs.len() {
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

    /// The slot whose operation this event ends, which is no longer in flight;
    /// `None` if it is nobody's.
    #[inline]
    pub(crate) fn ended(&mut self, event: &Event) -> Option<SlotOffset> {
        let tag = Tag(event.data);
        let at = self.at(tag)?;
        if self.slot(at).tag() != tag {
            return None;
        }
        self.end(at);
        Some(at)
    }

    /// The operation in this slot is no longer in flight.
    #[inline]
    pub(crate) fn end(&mut self, _at: SlotOffset) {
        self.in_flight -= 1;
    }

    /// Keeps the result of an operation that is no longer in flight, or never
    /// was, at the end of the done ones.
    pub(crate) fn push_completed(&mut self, at: SlotOffset, result: i64) {
        let slot = self.slot(at);
        slot.result = result;
        slot.change(Tag::done);
        slot.next = SlotOffset::END;
        if self.done == 0 {
            self.first_done = at;
        } else {
            self.slot(self.last_done).next = at;
        }
        self.last_done = at;
        self.done += 1;
    }

    /// The first of the done operations, in the order in which they ended, and
    /// its result.
    #[inline(always)]
    pub(crate) fn take_done(&mut self) -> Option<(SlotOffset, i64)> {
        let at = self.pop_completed_list()?;
        Some((at, self.unlink_completed(at)))
    }

    /// A done operation, out of order, or one that was told of.
    pub(crate) fn take_result(&mut self, at: SlotOffset) -> i64 {
        if self.slot(at).tag().is_notified() {
            self.told -= 1;
            return self.unlink_completed(at);
        }
        let (first, before) = self.unlink(self.first_done, at);
        self.first_done = first;
        if self.last_done == at {
            self.last_done = before;
        }
        self.done -= 1;
        self.unlink_completed(at)
    }

    /// The first of the done operations leaves their list: whoever waits for it
    /// is told, and [takes](Slots::take_result) it. Until then its place is
    /// `Done`.
    pub(crate) fn notify_next(&mut self) -> Option<SlotOffset> {
        let at = self.pop_completed_list()?;
        self.slot(at).change(Tag::notified);
        self.told += 1;
        Some(at)
    }

    #[inline(always)]
    fn pop_completed_list(&mut self) -> Option<SlotOffset> {
        if self.done == 0 {
            return None;
        }
        let at = self.first_done;
        self.first_done = self.slot(at).next;
        self.done -= 1;
        Some(at)
    }

    fn unlink_completed(&mut self, at: SlotOffset) -> i64 {
        let slot = self.slot(at);
        slot.change(Tag::taken);
        slot.result
    }

    /// The first of the staged operations, which will not be submitted.
    pub(crate) fn unstage_first(&mut self) -> Option<SlotOffset> {
        let at = self.first_staged;
        let any = self.staged > 0;
        any.then(|| {
            self.unstage(at);
            at
        })
    }

    /// A staged operation that will not be submitted.
    pub(crate) fn unstage(&mut self, at: SlotOffset) {
        let (first, before) = self.unlink(self.first_staged, at);
        self.first_staged = first;
        if self.last_staged == at {
            self.last_staged = before;
        }
        self.staged -= 1;
        self.slot(at).change(Tag::unstaged);
    }

    /// Frees the slot of an operation that is in no list and not in flight,
    /// and gives back what it held. It holds nothing then.
    #[inline]
    pub(crate) fn release(&mut self, at: SlotOffset) -> Released<P, X> {
        let (next, owner) = (self.first_free, self.owner);
        let slot = self.slot(at);
        let (tag, wraps) = (slot.tag(), slot.wraps);
        slot.free(tag);
        slot.next = next;
        // SAFETY: the slot held an operation, so the payload was written, and
        // it is read once: the slot is free now.
        let payload = unsafe { slot.payload.assume_init_read() };
        let extra = core::mem::replace(&mut slot.extra, X::NEW);
        // It comes between the staged ones and the free ones.
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

    /// Where the operation of a ticket is; `None` if it is over.
    #[inline]
    pub(crate) fn find(&self, ticket: Ticket) -> Option<OpState> {
        let at = self.at(ticket.tag)?;
        debug_assert!(at.0 < self.len * Self::SIZE && at.0 % Self::SIZE == 0);
        // SAFETY: as in `slot`; this is borrowed, so nobody writes to a slot.
        let slot = unsafe { self.base.byte_add(at.0 as usize).as_ref() };
        if slot.wraps != ticket.wraps || self.owner != ticket.owner {
            return None;
        }
        ticket.tag.place(slot.tag(), at)
    }

    pub(crate) fn iocb(&mut self, at: SlotOffset) -> &Iocb {
        &self.slot(at).iocb
    }

    pub(crate) fn extra(&mut self, at: SlotOffset) -> &mut X {
        &mut self.slot(at).extra
    }

    /// The slots in flight, one by one: the first, or the next one.
    pub(crate) fn in_flight_after(&mut self, at: Option<SlotOffset>) -> Option<SlotOffset> {
        self.next_after(at, Tag::is_in_flight)
    }

    /// The slots of which this is true.
    fn next_after(&mut self, at: Option<SlotOffset>, is: fn(Tag) -> bool) -> Option<SlotOffset> {
        let mut next = SlotOffset(at.map_or(0, |at| at.0 + Self::SIZE));
        while next.0 < self.len * Self::SIZE {
            if is(self.slot(next).tag()) {
                return Some(next);
            }
            next.0 += Self::SIZE;
        }
        None
    }

    /// Empties every slot and drops what the operations carried. The payloads of
    /// operations in flight are leaked unless `completed` says that the kernel no
    /// longer uses their buffers.
    ///
    /// A destructor that panics does not keep the others from running.
    #[inline]
    pub(crate) fn clear(&mut self, completed: bool) {
        if self.staged + self.in_flight + self.done + self.told > 0 {
            self.clear_all(completed);
        }
    }

    fn clear_all(&mut self, completed: bool) {
        struct Rest<'a, 's, P, X: Extra> {
            slots: &'a mut Slots<'s, P, X>,
            completed: bool,
            /// The last slot that was found by the scan.
            last: Option<SlotOffset>,
        }

        impl<P, X: Extra> Rest<'_, '_, P, X> {
            fn drop_all(&mut self) {
                while let Some(at) = self.slots.take_any(&mut self.last) {
                    let owned = self.completed || !at.in_flight;
                    let Released { payload, extra, .. } = self.slots.release(at.slot);
                    let payload = MaybeUninit::new(payload);
                    if owned {
                        // SAFETY: written a line before, and read here alone.
                        drop((unsafe { payload.assume_init() }, extra));
                    }
                }
            }
        }

        impl<P, X: Extra> Drop for Rest<'_, '_, P, X> {
            fn drop(&mut self) {
                self.drop_all();
            }
        }

        let mut rest = Rest {
            slots: self,
            completed,
            last: None,
        };
        rest.drop_all();
    }

    /// Takes any operation out of its list, ready to be released. Operations that
    /// are in no list come last, found by a scan from `last`.
    fn take_any(&mut self, last: &mut Option<SlotOffset>) -> Option<Unlisted> {
        let listed = |slot| Unlisted {
            slot,
            in_flight: false,
        };
        if let Some(at) = self.unstage_first() {
            return Some(listed(at));
        }
        if let Some((at, _)) = self.take_done() {
            return Some(listed(at));
        }
        if self.told + self.in_flight == 0 {
            return None;
        }
        let slot = self.next_after(*last, |tag| tag.is_notified() || tag.is_in_flight())?;
        *last = Some(slot);
        let in_flight = self.slot(slot).tag().is_in_flight();
        if in_flight {
            self.end(slot);
        } else {
            // Notified; its future was leaked.
            self.take_result(slot);
        }
        Some(Unlisted { slot, in_flight })
    }
}

/// An operation that was taken out of its list.
struct Unlisted {
    slot: SlotOffset,
    in_flight: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::opcode::Fsync;

    extern crate std;

    /// Stages an operation and takes it back.
    fn pass(slots: &mut Slots<'_, (), ()>) -> Ticket {
        let ticket = slots.stage(&Fsync::new(0).build(), MaybeUninit::new(()), ());
        assert_eq!(slots.find(ticket), Some(OpState::Staged(SlotOffset(0))));
        let at = slots.unstage_first().unwrap();
        assert_eq!(slots.release(at).ticket, ticket);
        assert_eq!(slots.find(ticket), None);
        ticket
    }

    /// Whatever an event or a ticket says.
    #[test]
    fn no_tag_is_of_a_slot_that_is_not_there() {
        let mut array = [RawSlot::<(), ()>::NEW, RawSlot::NEW];
        let slots = Slots::new(&mut array);
        assert!(slots.at(Tag(1)).is_some());
        for index in [2_u32, 3, u32::MAX] {
            assert_eq!(slots.at(Tag(index.into())), None);
        }
    }

    #[test]
    fn a_generation_that_comes_round_is_of_another_lap() {
        let mut array = [RawSlot::NEW];
        let mut slots = Slots::new(&mut array);
        let first = pass(&mut slots);
        // As if all others but one had been.
        slots.slot(SlotOffset(0)).change(Tag::of_last_generation);
        let last = pass(&mut slots);
        assert_eq!((last.tag, last.wraps), (Tag(0), first.wraps));
        let again = pass(&mut slots);
        assert_eq!((again.tag, again.wraps), (first.tag, first.wraps + 1));
        assert_eq!(slots.find(first), None);
    }

    #[test]
    fn a_generation_comes_round_with_an_operation_in_flight() {
        let mut array = [RawSlot::NEW];
        let mut slots = Slots::new(&mut array);
        pass(&mut slots);
        slots.slot(SlotOffset(0)).change(Tag::of_last_generation);
        let laps = slots.slot(SlotOffset(0)).wraps;
        let mut last: Option<Event> = None;
        for _ in 0..3 {
            let ticket = slots.stage(&Fsync::new(0).build(), MaybeUninit::new(()), ());
            let mut places = [MaybeUninit::uninit(); 1];
            let batch = slots.batch(&mut places);
            slots.submitted(&batch);
            assert_eq!(slots.find(ticket), Some(OpState::InFlight(SlotOffset(0))));
            if let Some(last) = last {
                assert_eq!(slots.ended(&last), None, "it has ended already");
            }
            let event = Event {
                data: slots.iocb(SlotOffset(0)).data,
                res: 7,
                ..Event::EMPTY
            };
            last = Some(event);
            let at = slots.ended(&event).unwrap();
            slots.push_completed(at, event.res);
            assert_eq!(slots.find(ticket), Some(OpState::Done(at)));
            assert_eq!(slots.take_done(), Some((at, 7)));
            assert_eq!(slots.release(at).ticket, ticket);
            assert_eq!(slots.find(ticket), None);
        }
        assert_eq!(slots.slot(SlotOffset(0)).wraps, laps + 1);
    }

    #[test]
    fn a_ticket_of_another_owner_never_matches() {
        let (mut one, mut two) = ([RawSlot::NEW], [RawSlot::NEW]);
        let (mut one, mut two) = (Slots::new(&mut one), Slots::new(&mut two));
        let ticket = one.stage(&Fsync::new(0).build(), MaybeUninit::new(()), ());
        let other = two.stage(&Fsync::new(0).build(), MaybeUninit::new(()), ());
        assert_ne!(ticket, other);
        assert_eq!((one.find(other), two.find(ticket)), (None, None));
    }

    #[test]
    fn a_ticket_never_matches_in_a_slot_that_was_moved() {
        let mut array = [RawSlot::NEW, RawSlot::NEW];
        let mut slots = Slots::new(&mut array);
        let old: std::vec::Vec<_> = (0..4).map(|_| pass(&mut slots)).collect();
        array.swap(0, 1);
        let mut slots = Slots::new(&mut array);
        for _ in 0..8 {
            let ticket = slots.stage(&Fsync::new(0).build(), MaybeUninit::new(()), ());
            assert!(
                old.iter()
                    .all(|&old| old != ticket && slots.find(old).is_none())
            );
            let at = slots.unstage_first().unwrap();
            slots.release(at);
        }
    }
}
