//! [`BatchReader`]: a ring reader that publishes its head once for many events.
//!
//! The protocol is that of `reader`, with a head of its own that runs ahead of the
//! ring's head. A poll loads the tail and records the events before it, up to the end
//! of the ring. They are taken one at a time, without further loads of shared memory.
//! The ring's head is stored at the next poll, or by [`publish`](BatchReader::publish).
//!
//! Invariants:
//! - The slots from the ring's head up to the tail of the last poll stay reserved until
//!   the head is stored: the kernel writes to none of them.
//! - The ring's own head is read once, at the start. The tail is compared with the
//!   number of slots before it is used.

use super::index::{kernel_tail, own_head, publish_head};
use super::reader::{Memory, behind};
use crate::ring::Polled;
use crate::sys::abi::Event;

/// A reader's position in a ring, and the events that the last poll found and that have
/// not been taken yet.
///
/// The ring's own head follows later: at the next poll that finds a different state, or
/// by [`publish`](BatchReader::publish). Until then the kernel writes to none of these
/// slots, and has as many fewer free slots.
///
/// A `BatchReader` is the only reader of its ring. It reads the ring's own head once,
/// when it is created, and keeps the current position itself. It compares a tail with
/// the number of slots.
pub(crate) struct BatchReader<M: Memory> {
    next: M::Location,
    /// The location after the last of them; equal to `next` if there is none.
    end: M::Location,
    /// The index after the last of them, below the number of slots.
    head: u32,
    /// The value last stored in the ring's head.
    published: u32,
}

impl<M: Memory> BatchReader<M> {
    /// Creates a reader at the ring's head. Returns `None` if the head is not below the
    /// number of slots.
    pub(crate) fn new(ring: &M) -> Option<BatchReader<M>> {
        let head = own_head(ring.head());
        (head < ring.slots()).then(|| BatchReader::at(ring, head))
    }

    /// Creates a reader at `head` that has found no events. `head` is below the number
    /// of slots, or 0.
    pub(crate) fn at(ring: &M, head: u32) -> BatchReader<M> {
        let location = ring.location(head);
        BatchReader {
            next: location,
            end: location,
            head,
            published: head,
        }
    }

    /// Returns whether all events that were found have been taken.
    #[inline(always)]
    pub(crate) fn is_empty(&self) -> bool {
        self.next == self.end
    }

    /// Takes the next of the events that were found.
    ///
    /// # Safety
    /// `ring` is the ring that this reader was created for, it is still mapped, and no
    /// other code reads it.
    #[inline(always)]
    pub(crate) unsafe fn next(&mut self, ring: &M) -> Option<Event> {
        if self.is_empty() {
            return None;
        }
        // SAFETY: `next` is a slot between the published head and the tail of the last
        // poll, so the kernel does not write it now. The caller promises that the ring
        // is mapped and has no other reader.
        let event = unsafe { ring.event(self.next) };
        self.next = ring.after(self.next);
        Some(event)
    }

    /// Returns the number of events that are left of those that the last poll has found, and of
    /// those at the start of the ring if it found events up to the end.
    ///
    /// # Safety
    /// The ring is mapped.
    #[inline(always)]
    pub(crate) unsafe fn left(&self, ring: &M) -> u32 {
        let found = ring.distance(self.next, self.end);
        if self.head != 0 {
            return found;
        }
        let tail = kernel_tail(ring.tail());
        if tail < ring.slots() {
            found + tail
        } else {
            found
        }
    }

    /// Takes the next event if it has this `data`: one that was found, or one that a poll
    /// finds now.
    ///
    /// # Safety
    /// As [`next`](BatchReader::next).
    #[inline(always)]
    pub(crate) unsafe fn next_if(&mut self, ring: &M, data: u64) -> Option<Event> {
        if self.is_empty() {
            let tail = kernel_tail(ring.tail());
            let next = behind(ring, self.head);
            if tail == next {
                // SAFETY: the caller makes the promise of `next`, and the ring has an event
                // at `head`, as `tail` is behind it.
                return unsafe { self.take_single(ring, next, |event| event.data == data) };
            }
            if tail == self.head || !self.find(ring, tail) {
                return None;
            }
        }
        // SAFETY: `next` is a slot between the published head and the tail of the last
        // poll, so the kernel does not write it now. The caller promises that the ring
        // is mapped and has no other reader.
        let event = unsafe { ring.event(self.next) };
        if event.data != data {
            return None;
        }
        self.next = ring.after(self.next);
        Some(event)
    }

    /// Takes the only event of the ring if it is `wanted`. This is the common case when
    /// events arrive one at a time.
    ///
    /// # Safety
    /// As [`next`](BatchReader::next). No event is left that was found, `next` is the index
    /// after `head`, and there is an event at `head`.
    #[inline(always)]
    unsafe fn take_single(
        &mut self,
        ring: &M,
        next: u32,
        wanted: impl FnOnce(&Event) -> bool,
    ) -> Option<Event> {
        // SAFETY: `head` is below `slots`, as an event is there, and the kernel does not
        // write this slot before the head is stored.
        let event = unsafe { ring.event(ring.location(self.head)) };
        if !wanted(&event) {
            return None;
        }
        self.head = next;
        self.published = next;
        publish_head(ring.head(), next);
        Some(event)
    }

    /// Takes the event of the ring if it has exactly one.
    ///
    /// # Safety
    /// As [`next`](BatchReader::next), which has no event.
    #[inline(always)]
    pub(crate) unsafe fn poll_single(&mut self, ring: &M) -> Option<Event> {
        let tail = kernel_tail(ring.tail());
        let next = behind(ring, self.head);
        if tail != next {
            return None;
        }
        // SAFETY: the caller makes the promise of `next`, and the ring has an event at
        // `head`, as `tail` is behind it.
        unsafe { self.take_single(ring, next, |_| true) }
    }

    /// Polls for more events, where [`next`](BatchReader::next) has none, and takes the
    /// first. It needs a system call if there is no ring, or if the tail is out of range.
    ///
    /// # Safety
    /// As [`next`](BatchReader::next).
    #[inline(always)]
    pub(crate) unsafe fn poll(&mut self, ring: &M) -> Polled<Event> {
        let tail = kernel_tail(ring.tail());
        if tail == self.head {
            self.publish_own(ring);
            return Polled::Empty;
        }
        let next = behind(ring, self.head);
        if tail != next {
            if !self.find(ring, tail) {
                return Polled::NeedsSyscall;
            }
            // SAFETY: the caller makes the promise of `next`: this is the reader's own
            // ring, mapped, and without another reader.
            return match unsafe { self.next(ring) } {
                Some(event) => Polled::Found(event),
                None => Polled::Empty,
            };
        }
        // SAFETY: the caller makes the promise of `next`, and the ring has an event at
        // `head`, as `tail` is behind it.
        match unsafe { self.take_single(ring, next, |_| true) } {
            Some(event) => Polled::Found(event),
            None => Polled::Empty,
        }
    }

    /// Records the events before `tail`, up to the end of the ring, because locations
    /// do not wrap around. Returns whether `tail` is in range.
    #[inline(always)]
    fn find(&mut self, ring: &M, tail: u32) -> bool {
        if tail >= ring.slots() {
            return false;
        }
        // The events recorded below are not taken yet, so the head is stored first.
        self.publish_own(ring);
        self.next = ring.location(self.head);
        if self.head < tail {
            self.end = ring.location(tail);
            self.head = tail;
        } else {
            self.end = ring.location(ring.slots());
            self.head = 0;
        }
        true
    }

    /// Returns whether the ring's head is the reader's position.
    #[inline(always)]
    pub(crate) fn is_published(&self) -> bool {
        self.is_empty() && self.published == self.head
    }

    /// Stores the reader's position in the ring's head. Events that were found but not
    /// taken stay in the ring. Returns whether the ring's head changed.
    pub(crate) fn publish(&mut self, ring: &M) -> bool {
        if self.next != self.end {
            self.head = ring.index(self.next);
            self.end = self.next;
        }
        self.publish_own(ring)
    }

    /// Stores the head only if it has changed, because the kernel's processor shares
    /// this cache line. Returns whether it has changed.
    #[inline(always)]
    fn publish_own(&mut self, ring: &M) -> bool {
        let changed = self.published != self.head;
        if changed {
            self.published = self.head;
            publish_head(ring.head(), self.head);
        }
        changed
    }
}
