//! How the ring is read: the protocol alone, over whatever memory holds it.
//!
//! The kernel (`fs/aio.c`) writes an event, then a write barrier, then `tail`;
//! the reader loads `tail` with acquire, copies, and stores `head` with
//! release. Both are indices below `nr`, wrapped by comparison (`nr` is no
//! power of two), and `head == tail` is empty.
//!
//! The orderings stand here and nowhere else, so that a model checker can run
//! these very functions against a producer that behaves as the kernel does.

use core::sync::atomic::{AtomicU32, Ordering};

use crate::sys::abi::Event;

/// An index that two sides share.
pub(crate) trait Index {
    fn load(&self, order: Ordering) -> u32;
    fn store(&self, value: u32, order: Ordering);
}

impl Index for AtomicU32 {
    #[inline(always)]
    fn load(&self, order: Ordering) -> u32 {
        AtomicU32::load(self, order)
    }

    #[inline(always)]
    fn store(&self, value: u32, order: Ordering) {
        AtomicU32::store(self, value, order);
    }
}

/// The memory of a ring.
///
/// # Safety
/// `slots` never changes, and `copy` and `event` read nothing but the slots
/// they are asked for.
pub(crate) unsafe trait Memory {
    type Index: Index;

    /// Names a slot, so that its event is found at once.
    type Location: Copy + PartialEq;

    /// How many slots there are: at least 2. Or 0, and there is no ring.
    fn slots(&self) -> u32;

    /// The next event to take. Only the reader writes it.
    fn head(&self) -> &Self::Index;

    /// One past the last event. Only the kernel writes it.
    fn tail(&self) -> &Self::Index;

    /// Copies `count` events, from the slot `first` on, to `to`.
    ///
    /// # Safety
    /// `first + count` is at most `slots`, the kernel does not write those
    /// slots now, and `to` is valid for writes of as many events.
    unsafe fn copy(&self, first: u32, count: u32, to: *mut Event);

    /// The slot with this index; with `slots`, the end behind the last.
    fn place(&self, index: u32) -> Self::Location;

    /// The index of a slot.
    fn index(&self, place: Self::Location) -> u32;

    /// The slot behind this one, or the end.
    fn after(&self, place: Self::Location) -> Self::Location;

    /// The event in a slot.
    ///
    /// # Safety
    /// The slot is one of this ring's, and the kernel does not write it now.
    unsafe fn event(&self, place: Self::Location) -> Event;
}

/// Where the events are.
struct Ready {
    /// Below `slots`, as `tail` is.
    head: u32,
    tail: u32,
}

/// What is ready; the inner `None` if nothing is, the outer one if there is no
/// ring or its indices make no sense.
#[inline(always)]
fn ready(ring: &impl Memory) -> Option<Option<Ready>> {
    // Only readers write `head`, and we are the only one.
    let head = ring.head().load(Ordering::Relaxed);
    // Acquire: the events before `tail`, and what the kernel wrote into the
    // buffers of their operations, are seen as it wrote them.
    let tail = ring.tail().load(Ordering::Acquire);
    let slots = ring.slots();
    if head >= slots {
        return None;
    }
    if head == tail {
        return Some(None);
    }
    if tail >= slots {
        return None;
    }
    Some(Some(Ready { head, tail }))
}

/// Whether a ring that others may be reading holds no event. `true` is told of
/// the moment when `tail` was read; the one exception is a whole round of the
/// ring between the two loads.
#[inline(always)]
pub(crate) fn looks_empty(head: &impl Index, tail: &impl Index) -> bool {
    // Acquire, and first: `head` only follows `tail`, so whoever sees a `head`
    // sees a `tail` that is not behind it. Nothing that the events tell is
    // looked at, so `tail` needs no order.
    let head = head.load(Ordering::Acquire);
    head == tail.load(Ordering::Relaxed)
}

/// The index behind this one.
#[inline(always)]
pub(super) fn behind(ring: &impl Memory, index: u32) -> u32 {
    if index + 1 == ring.slots() {
        0
    } else {
        index + 1
    }
}

/// Takes one event. The outer `None`: there is no ring, or its indices make no
/// sense.
///
/// # Safety
/// Nobody else reads the ring.
#[inline]
pub(crate) unsafe fn take_one(ring: &impl Memory) -> Option<Option<Event>> {
    let Some(Ready { head, .. }) = ready(ring)? else {
        return Some(None);
    };
    // SAFETY: `head` is below `slots`, and the kernel does not write this slot
    // before it sees a new head.
    let event = unsafe { ring.event(ring.place(head)) };
    let next = behind(ring, head);
    // Release: the copy above is done before the kernel may write to the slot
    // again.
    ring.head().store(next, Ordering::Release);
    Some(Some(event))
}

/// Takes up to `events.len()` events. `None`: there is no ring, or its indices
/// make no sense.
///
/// # Safety
/// Nobody else reads the ring.
#[inline]
pub(crate) unsafe fn take(ring: &impl Memory, events: &mut [Event]) -> Option<usize> {
    let Some(Ready { mut head, tail }) = ready(ring)? else {
        return Some(0);
    };
    let mut taken = 0;
    // In at most two runs: up to the end of the ring, then from its start.
    while head != tail && taken < events.len() {
        let end = if head < tail { tail } else { ring.slots() };
        let run = ((end - head) as usize).min(events.len() - taken) as u32;
        // SAFETY: `head + run` is within the ring's slots, `taken + run`
        // within `events`. The kernel does not write slots from head to tail
        // before it sees a new head.
        unsafe { ring.copy(head, run, events.as_mut_ptr().add(taken)) };
        taken += run as usize;
        head += run;
        if head == ring.slots() {
            head = 0;
        }
    }
    if taken != 0 {
        // Release: the copies above are done before the kernel may write to
        // these slots again.
        ring.head().store(head, Ordering::Release);
    }
    Some(taken)
}
