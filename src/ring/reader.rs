//! The protocol for reading the ring, independent of the memory that holds it.
//!
//! The kernel (`fs/aio.c`) writes an event, then a write barrier, then `tail`. The
//! reader loads `tail` with acquire, copies the events, and stores `head` with release.
//! Both are indices below `nr`, wrapped by comparison (`nr` is not a power of two). The
//! ring is empty if `head == tail`.
//!
//! All orderings of the protocol are in this file and in `batch_reader`, nowhere else,
//! so that a model checker can run these functions against a producer that behaves as
//! the kernel does.
//!
//! Invariants: only the reader stores `head`, only the kernel stores `tail`, and the
//! kernel does not write the slots from `head` up to `tail`.

use core::sync::atomic::{AtomicU32, Ordering};

use crate::sys::abi::Event;

/// An index shared by the kernel and the reader.
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
/// `slots` never changes, and `copy` and `event` read only the requested slots.
pub(crate) unsafe trait Memory {
    type Index: Index;

    /// The location of a slot, from which its event is read directly.
    type Location: Copy + PartialEq;

    /// Returns the number of slots: at least 2, or 0 if there is no ring.
    fn slots(&self) -> u32;

    /// Returns the index of the next event to take. Only the reader writes it.
    fn head(&self) -> &Self::Index;

    /// Returns the index one past the last event. Only the kernel writes it.
    fn tail(&self) -> &Self::Index;

    /// Copies `count` events, from the slot `first` on, to `to`.
    ///
    /// # Safety
    /// `first + count` is at most `slots`, the kernel does not write those
    /// slots now, and `to` is valid for writes of as many events.
    unsafe fn copy(&self, first: u32, count: u32, to: *mut Event);

    /// Returns the location of the slot with this index; with `slots`, the end of the
    /// ring.
    fn place(&self, index: u32) -> Self::Location;

    /// Returns the index of a slot.
    fn index(&self, place: Self::Location) -> u32;

    /// Returns the location after this one, which may be the end of the ring.
    fn after(&self, place: Self::Location) -> Self::Location;

    /// Returns the event in a slot.
    ///
    /// # Safety
    /// `place` is a slot of this ring, and the kernel does not write it now.
    unsafe fn event(&self, place: Self::Location) -> Event;
}

/// The range of indices of the available events.
struct Ready {
    /// The index of the first event. It is below `slots`, as is `tail`.
    head: u32,
    tail: u32,
}

/// Returns the range of the available events. The inner `None` means that there are
/// none, the outer one that there is no ring or that its indices are out of range.
#[inline(always)]
fn ready(ring: &impl Memory) -> Option<Option<Ready>> {
    // Relaxed: only the reader writes `head`, and this is the only one.
    let head = ring.head().load(Ordering::Relaxed);
    // Acquire: the events before `tail`, and the data that the kernel wrote into the
    // buffers of their operations, are visible.
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

/// Returns whether a ring that other threads may be reading holds no event.
///
/// `true` applies to the moment when `tail` was read; the one exception is a whole
/// round of the ring between the two loads.
#[inline(always)]
pub(crate) fn looks_empty(head: &impl Index, tail: &impl Index) -> bool {
    // Acquire, and first: `head` only follows `tail`, so a thread that reads a `head`
    // reads a `tail` that is not behind it. No event is read, so `tail` needs no
    // ordering.
    let head = head.load(Ordering::Acquire);
    head == tail.load(Ordering::Relaxed)
}

/// Returns the index after this one, wrapped at the end of the ring.
#[inline(always)]
pub(super) fn behind(ring: &impl Memory, index: u32) -> u32 {
    if index + 1 == ring.slots() {
        0
    } else {
        index + 1
    }
}

/// Takes one event. The outer `None` means that there is no ring, or that its indices
/// are out of range.
///
/// # Safety
/// The memory of the ring is mapped, and no other code reads the ring.
#[inline]
pub(crate) unsafe fn take_one(ring: &impl Memory) -> Option<Option<Event>> {
    let Some(Ready { head, .. }) = ready(ring)? else {
        return Some(None);
    };
    // SAFETY: `head` is below `slots`, and the kernel does not write this slot before
    // the head is stored.
    let event = unsafe { ring.event(ring.place(head)) };
    let next = behind(ring, head);
    // Release: the copy above is done before the kernel may write to the slot
    // again.
    ring.head().store(next, Ordering::Release);
    Some(Some(event))
}

/// Takes up to `events.len()` events and returns their number. `None` means that there
/// is no ring, or that its indices are out of range.
///
/// # Safety
/// The memory of the ring is mapped, and no other code reads the ring.
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
        // SAFETY: `head + run` is within the ring's slots, `taken + run` within
        // `events`. The kernel does not write the slots from head to tail before the
        // head is stored.
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
