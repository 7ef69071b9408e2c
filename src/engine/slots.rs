//! [`Slots`]: operations in fixed places, each with the buffer that it owns
//! until its event has come.
//!
//! A slot's state is in its iocb's `data`, which comes back in the event: the
//! index below, the generation above, and a flag while the slot is free, staged
//! or done. In flight it has none, so an event is an operation's if and only
//! if it equals the slot's word; whatever else a ring may hold, it cannot name
//! a slot that the kernel does not have.

use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ptr::NonNull;

use super::slot::{Slot, Ticket};
use crate::abi::{Event, Iocb};

/// No operation: neither buffer nor iocb mean anything.
const FREE: u64 = 1 << 31;
/// Ready to be submitted.
const STAGED: u64 = 1 << 30;
/// The result is here, and not yet taken.
const DONE: u64 = 1 << 29;
/// One more in the generation.
const GENERATION: u64 = 1 << 32;
/// What is left for the index; no context can hold more operations (4,194,304).
const MOST: usize = 1 << 24;

/// The end of a list.
const END: u32 = u32::MAX;

/// Where a ticket's operation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Staged,
    InFlight,
    Done,
}

/// A list of slots, in order.
#[derive(Clone, Copy)]
struct List {
    first: u32,
    last: u32,
    len: u32,
}

impl List {
    const EMPTY: List = List {
        first: END,
        last: END,
        len: 0,
    };
}

/// Operations on their way to the kernel.
pub(crate) struct Batch<'b> {
    pub(crate) iocbs: &'b [*mut Iocb],
    /// The first that is staged behind them.
    after: u32,
}

/// What a slot gives back.
pub(crate) struct Released<B> {
    pub(crate) ticket: Ticket,
    pub(crate) buffer: Option<B>,
}

/// The slots of one owner, who has the array to himself.
pub(crate) struct Slots<'s, B, X> {
    base: NonNull<Slot<B, X>>,
    len: u32,
    free: u32,
    staged: List,
    done: List,
    in_flight: u32,
    array: PhantomData<&'s mut [Slot<B, X>]>,
}

// SAFETY: the array is exclusively borrowed, and its elements may be sent.
unsafe impl<B: Send, X: Send> Send for Slots<'_, B, X> {}

impl<'s, B, X> Slots<'s, B, X> {
    /// Takes the array, all of it free, whatever it held: a buffer in it is
    /// one whose owner was leaked, and stays leaked. Old tickets stay dead.
    pub(crate) fn new(array: &'s mut [Slot<B, X>]) -> Slots<'s, B, X> {
        let len = array.len().min(MOST) as u32;
        for (index, slot) in array.iter_mut().take(MOST).enumerate() {
            let (generation, carry) =
                (slot.iocb.data & !(GENERATION - 1)).overflowing_add(GENERATION);
            slot.lap = slot.lap.wrapping_add(carry.into());
            slot.iocb.data = generation | FREE | index as u64;
            let next = index as u32 + 1;
            slot.next = if next == len { END } else { next };
        }
        Slots {
            base: NonNull::from(array).cast(),
            len,
            free: if len == 0 { END } else { 0 },
            staged: List::EMPTY,
            done: List::EMPTY,
            in_flight: 0,
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
        self.staged.len as usize
    }

    pub(crate) fn done(&self) -> usize {
        self.done.len as usize
    }

    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        self.free == END
    }

    /// A slot by an index that the lists hold, or that was compared with
    /// `len`.
    #[inline]
    fn slot(&mut self, index: u32) -> &mut Slot<B, X> {
        debug_assert!(index < self.len);
        // SAFETY: the array has `len` elements and is exclusively ours for
        // 's. Every caller's index is below `len`: `new` put no other into the
        // lists, and nothing from outside (a ticket, an event) gets here
        // before it was compared.
        unsafe { self.base.add(index as usize).as_mut() }
    }

    #[inline]
    fn append(&mut self, list: fn(&mut Self) -> &mut List, index: u32) {
        self.slot(index).next = END;
        let List { first, last, .. } = *list(self);
        if first == END {
            list(self).first = index;
        } else {
            self.slot(last).next = index;
        }
        let list = list(self);
        list.last = index;
        list.len += 1;
    }

    #[inline]
    fn take_first(&mut self, list: fn(&mut Self) -> &mut List) -> Option<u32> {
        let index = list(self).first;
        if index == END {
            return None;
        }
        let next = self.slot(index).next;
        let list = list(self);
        list.first = next;
        list.len -= 1;
        Some(index)
    }

    /// Takes `index` out of a list that it is in.
    fn remove(&mut self, list: fn(&mut Self) -> &mut List, index: u32) {
        let next = self.slot(index).next;
        let (mut before, mut at) = (END, list(self).first);
        while at != index && at != END {
            (before, at) = (at, self.slot(at).next);
        }
        if at == END {
            return;
        }
        if before == END {
            list(self).first = next;
        } else {
            self.slot(before).next = next;
        }
        let list = list(self);
        if list.last == index {
            list.last = before;
        }
        list.len -= 1;
    }

    /// Puts an operation into a free slot, at the end of those to be
    /// submitted. There must be one: see [`is_full`](Slots::is_full). Without,
    /// the buffer is leaked, and the ticket names nothing.
    #[inline]
    pub(crate) fn stage(
        &mut self,
        iocb: &Iocb,
        buffer: MaybeUninit<Option<B>>,
        extra: X,
    ) -> Ticket {
        let index = self.free;
        if index == END {
            return Ticket { data: FREE, lap: 0 };
        }
        let slot = self.slot(index);
        let data = slot.iocb.data & !FREE;
        slot.iocb = *iocb;
        slot.iocb.data = data | STAGED;
        slot.buffer = buffer;
        slot.extra = extra;
        let (next, lap) = (slot.next, slot.lap);
        self.free = next;
        self.append(|slots| &mut slots.staged, index);
        Ticket { data, lap }
    }

    /// The first of the staged operations, as many as fit into `batch`, ready
    /// for the kernel. They count as neither staged nor in flight until
    /// [`submitted`](Slots::submitted) is told what became of them, and
    /// nothing else may be done before.
    #[inline]
    pub(crate) fn batch<'b>(&mut self, batch: &'b mut [MaybeUninit<*mut Iocb>]) -> Batch<'b> {
        let (mut at, mut count) = (self.staged.first, 0);
        for place in batch.iter_mut() {
            if at == END {
                break;
            }
            let slot = self.slot(at);
            slot.iocb.data &= !STAGED;
            place.write(&raw mut slot.iocb);
            at = slot.next;
            count += 1;
        }
        // SAFETY: the first `count` have just been written.
        let iocbs = unsafe { core::slice::from_raw_parts(batch.as_ptr().cast(), count) };
        Batch { iocbs, after: at }
    }

    /// Of the batch, the kernel took the first `taken`; the rest is staged
    /// again, where it was.
    #[inline]
    pub(crate) fn submitted(&mut self, batch: &Batch<'_>, taken: usize) {
        let count = batch.iocbs.len();
        let taken = taken.min(count);
        self.in_flight += taken as u32;
        self.staged.len -= taken as u32;
        if taken == count {
            self.staged.first = batch.after;
            return;
        }
        let mut at = self.staged.first;
        for place in 0..count {
            if place == taken {
                self.staged.first = at;
            }
            let slot = self.slot(at);
            if place >= taken {
                slot.iocb.data |= STAGED;
            }
            at = slot.next;
        }
    }

    /// The slot whose operation this event ends, which is no longer in flight;
    /// `None` if it is nobody's.
    #[inline]
    pub(crate) fn ended(&mut self, event: &Event) -> Option<u32> {
        let index = event.data as u32;
        // A word with a flag has an index beyond any array's length.
        if index >= self.len || self.slot(index).iocb.data != event.data {
            return None;
        }
        self.end(index);
        Some(index)
    }

    /// The operation in this slot is no longer in flight.
    #[inline]
    pub(crate) fn end(&mut self, _index: u32) {
        self.in_flight -= 1;
    }

    /// Keeps the result of an operation that is no longer in flight, or never
    /// was, at the end of the done ones.
    pub(crate) fn keep(&mut self, index: u32, result: i64) {
        let slot = self.slot(index);
        slot.result = result;
        slot.iocb.data |= DONE;
        self.append(|slots| &mut slots.done, index);
    }

    /// The first of the done operations, in the order in which they ended, and
    /// its result.
    #[inline(always)]
    pub(crate) fn take_done(&mut self) -> Option<(u32, i64)> {
        let index = self.take_first(|slots| &mut slots.done)?;
        Some((index, self.undone(index)))
    }

    /// A done operation, out of order.
    pub(crate) fn take_done_at(&mut self, index: u32) -> i64 {
        self.remove(|slots| &mut slots.done, index);
        self.undone(index)
    }

    /// The done operations one by one: the first, or the one behind `index`.
    pub(crate) fn done_after(&mut self, index: Option<u32>) -> Option<u32> {
        let next = match index {
            Some(index) => self.slot(index).next,
            None => self.done.first,
        };
        (next != END).then_some(next)
    }

    fn undone(&mut self, index: u32) -> i64 {
        let slot = self.slot(index);
        slot.iocb.data &= !DONE;
        slot.result
    }

    /// The first of the staged operations, which will not be submitted.
    pub(crate) fn unstage_first(&mut self) -> Option<u32> {
        let index = self.take_first(|slots| &mut slots.staged)?;
        self.slot(index).iocb.data &= !STAGED;
        Some(index)
    }

    /// A staged operation that will not be submitted.
    pub(crate) fn unstage(&mut self, index: u32) {
        self.remove(|slots| &mut slots.staged, index);
        self.slot(index).iocb.data &= !STAGED;
    }

    /// Frees the slot of an operation that is in no list and not in flight,
    /// and gives back what it held.
    #[inline]
    pub(crate) fn release(&mut self, index: u32) -> Released<B> {
        let free = self.free;
        let slot = self.slot(index);
        let (data, lap) = (slot.iocb.data, slot.lap);
        slot.iocb.data = data.wrapping_add(GENERATION | FREE);
        if data >= u64::MAX << 32 {
            // The generation begins anew.
            slot.lap = lap.wrapping_add(1);
        }
        slot.next = free;
        // SAFETY: the slot held an operation, so the buffer was written, and
        // it is read once: the slot is free now.
        let buffer = unsafe { slot.buffer.assume_init_read() };
        self.free = index;
        Released {
            ticket: Ticket { data, lap },
            buffer,
        }
    }

    /// Where the operation of a ticket is; `None` if it is over.
    pub(crate) fn find(&mut self, ticket: Ticket) -> Option<Place> {
        let index = ticket.index();
        if index >= self.len {
            return None;
        }
        let slot = self.slot(index);
        if slot.lap != ticket.lap {
            return None;
        }
        match slot.iocb.data ^ ticket.data {
            0 => Some(Place::InFlight),
            STAGED => Some(Place::Staged),
            DONE => Some(Place::Done),
            _ => None,
        }
    }

    pub(crate) fn iocb(&mut self, index: u32) -> &Iocb {
        &self.slot(index).iocb
    }

    pub(crate) fn extra(&mut self, index: u32) -> &mut X {
        &mut self.slot(index).extra
    }

    /// The slots in flight, one after the other: the first at or after `from`.
    pub(crate) fn next_in_flight(&mut self, from: u32) -> Option<u32> {
        (from..self.len).find(|&index| self.slot(index).iocb.data & (FREE | STAGED | DONE) == 0)
    }

    /// Drops the buffers of all operations; of those in flight only if the
    /// kernel has let go of them, else they are leaked.
    pub(crate) fn clear(&mut self, kernel_let_go: bool) {
        while let Some(index) = self.unstage_first() {
            drop(self.release(index));
        }
        while let Some((index, _)) = self.take_done() {
            drop(self.release(index));
        }
        let mut from = 0;
        while let Some(index) = self.next_in_flight(from) {
            self.end(index);
            let released = self.release(index);
            if kernel_let_go {
                drop(released);
            } else {
                core::mem::forget(released);
            }
            from = index + 1;
        }
    }
}
