//! The protocol for reading the ring, independent of the memory that holds it.
//!
//! The reader loads `tail`, copies the events before it, and stores `head`. Both are
//! indices below `nr`, wrapped by comparison (`nr` is not a power of two). The ring is
//! empty if `head == tail`. The memory orderings are in `index`.
//!
//! Invariants: only the reader stores `head`, only the kernel stores `tail`, and the
//! kernel does not write the slots from `head` up to `tail`.

use super::index::{Index, kernel_tail, own_head, publish_head};
use crate::ring::Polled;
use crate::sys::abi::Event;

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
    fn location(&self, index: u32) -> Self::Location;

    /// Returns the index of a slot.
    fn index(&self, location: Self::Location) -> u32;

    /// Returns the number of slots from one location to another, which is not before it.
    fn distance(&self, from: Self::Location, to: Self::Location) -> u32 {
        self.index(to) - self.index(from)
    }

    /// Returns the location after this one, which may be the end of the ring.
    fn after(&self, location: Self::Location) -> Self::Location;

    /// Returns the event in a slot.
    ///
    /// # Safety
    /// `location` is that of a slot of this ring, and the kernel does not write it now.
    unsafe fn event(&self, location: Self::Location) -> Event;
}

/// The range of indices of the available events.
struct Ready {
    /// The index of the first event. It is below `slots`, as is `tail`.
    head: u32,
    tail: u32,
}

/// Returns the range of the available events.
#[inline(always)]
fn ready(ring: &impl Memory) -> Polled<Ready> {
    let head = own_head(ring.head());
    let tail = kernel_tail(ring.tail());
    let slots = ring.slots();
    if head >= slots {
        return Polled::NeedsSyscall;
    }
    if head == tail {
        return Polled::Empty;
    }
    if tail >= slots {
        return Polled::NeedsSyscall;
    }
    Polled::Found(Ready { head, tail })
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

/// Takes one event.
///
/// # Safety
/// The memory of the ring is mapped, and no other code reads the ring.
#[inline]
pub(crate) unsafe fn take_one(ring: &impl Memory) -> Polled<Event> {
    let head = match ready(ring) {
        Polled::Found(Ready { head, .. }) => head,
        Polled::Empty => return Polled::Empty,
        Polled::NeedsSyscall => return Polled::NeedsSyscall,
    };
    // SAFETY: `head` is below `slots`, and the kernel does not write this slot before
    // the head is stored.
    let event = unsafe { ring.event(ring.location(head)) };
    publish_head(ring.head(), behind(ring, head));
    Polled::Found(event)
}

/// Takes up to `events.len()` events and returns their number. `None` means that there
/// is no ring, or that its indices are out of range.
///
/// # Safety
/// The memory of the ring is mapped, and no other code reads the ring.
#[inline]
pub(crate) unsafe fn take(ring: &impl Memory, events: &mut [Event]) -> Option<usize> {
    let (mut head, tail) = match ready(ring) {
        Polled::Found(Ready { head, tail }) => (head, tail),
        Polled::Empty => return Some(0),
        Polled::NeedsSyscall => return None,
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
        publish_head(ring.head(), head);
    }
    Some(taken)
}
