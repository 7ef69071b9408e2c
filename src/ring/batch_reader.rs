//! [`BatchReader`]: the ring for an owner who takes events where they lie, and tells the
//! kernel of many at once.

use core::sync::atomic::Ordering;

use super::reader::{Index, Memory, behind};
use crate::sys::abi::Event;

/// Where an owner is in a ring, and the events that were found there at the last
/// look and are still to be taken.
///
/// The ring's own head follows later: with the next look that finds something
/// else, or by [`publish`](BatchReader::publish). Until then the kernel writes to none
/// of the slots, and has less room by as many.
///
/// Whoever holds one is the ring's only reader. Of the ring's own head it takes
/// no more than the first; where it is now stands here, and a tail is held
/// against the number of slots.
pub(crate) struct BatchReader<M: Memory> {
    next: M::Location,
    /// Behind the last of them, which is `next` if there is none.
    end: M::Location,
    /// The index behind the last of them, below the number of slots.
    head: u32,
    /// What the ring's head was told last.
    told: u32,
}

impl<M: Memory> BatchReader<M> {
    /// At the ring's head. `None` if that is nowhere in it.
    pub(crate) fn new(ring: &M) -> Option<BatchReader<M>> {
        let head = ring.head().load(Ordering::Relaxed);
        (head < ring.slots()).then(|| BatchReader::at(ring, head))
    }

    /// With nothing found. An index below the number of slots, or 0.
    pub(crate) fn at(ring: &M, head: u32) -> BatchReader<M> {
        let place = ring.place(head);
        BatchReader {
            next: place,
            end: place,
            head,
            told: head,
        }
    }

    /// Returns whether no event that was found is left.
    #[inline(always)]
    pub(crate) fn is_empty(&self) -> bool {
        self.next == self.end
    }

    /// The next of the events that were found.
    ///
    /// # Safety
    /// `ring` is the one that this is about, and still there; nobody else reads
    /// it.
    #[inline(always)]
    pub(crate) unsafe fn next(&mut self, ring: &M) -> Option<Event> {
        if self.is_empty() {
            return None;
        }
        // SAFETY: a slot between the head that the kernel knows and the tail
        // that was there at the last look.
        let event = unsafe { ring.event(self.next) };
        self.next = ring.after(self.next);
        Some(event)
    }

    /// Looks for more, where [`next`](BatchReader::next) has none, and takes the first.
    /// The outer `None`: there is no ring, or its tail makes no sense.
    ///
    /// # Safety
    /// As [`next`](BatchReader::next).
    #[inline(always)]
    pub(crate) unsafe fn look(&mut self, ring: &M) -> Option<Option<Event>> {
        // Acquire: the events before `tail`, and what the kernel wrote into the
        // buffers of their operations, are seen as it wrote them.
        let tail = ring.tail().load(Ordering::Acquire);
        if tail == self.head {
            self.tell(ring);
            return Some(None);
        }
        let next = behind(ring, self.head);
        if tail != next {
            if !self.find(ring, tail) {
                return None;
            }
            // SAFETY: the caller's promise.
            return Some(unsafe { self.next(ring) });
        }
        // One alone, as most are that come one at a time.
        // SAFETY: `head` is below `slots`, and the kernel does not write this
        // slot before it sees a new head.
        let event = unsafe { ring.event(ring.place(self.head)) };
        self.head = next;
        self.told = next;
        // Release: as in `tell`.
        ring.head().store(next, Ordering::Release);
        Some(Some(event))
    }

    /// Finds the events before `tail`, up to the ring's end, as places do not
    /// go round: whether it makes sense.
    #[inline(always)]
    fn find(&mut self, ring: &M, tail: u32) -> bool {
        if tail >= ring.slots() {
            return false;
        }
        // What is found now is not taken yet.
        self.tell(ring);
        self.next = ring.place(self.head);
        if self.head < tail {
            self.end = ring.place(tail);
            self.head = tail;
        } else {
            self.end = ring.place(ring.slots());
            self.head = 0;
        }
        true
    }

    /// Tells the kernel of all that was taken, and of nothing else: what was
    /// found besides is in the ring as before. Whether the kernel did not know.
    pub(crate) fn publish(&mut self, ring: &M) -> bool {
        if self.next != self.end {
            self.head = ring.index(self.next);
            self.end = self.next;
        }
        self.tell(ring)
    }

    /// Not for nothing: the kernel's processor has this line, too.
    #[inline(always)]
    fn tell(&mut self, ring: &M) -> bool {
        let is_news = self.told != self.head;
        if is_news {
            self.told = self.head;
            // Release: whatever was taken has been read before the kernel may
            // write to the slots again.
            ring.head().store(self.head, Ordering::Release);
        }
        is_news
    }
}
