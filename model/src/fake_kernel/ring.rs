//! The kernel's side of a context's ring.

use core::sync::atomic::{AtomicU32, Ordering};

use crate::memory::Pages;
use crate::sys::abi::{AioContext, Event, RingHeader};

pub(super) struct KernelRing {
    pages: Pages,
    nr: u32,
    tail: u32,
    completed: u32,
    available: u32,
}

impl KernelRing {
    pub(super) fn new(nr: u32, opaque: bool) -> KernelRing {
        let bytes = size_of::<RingHeader>() + nr as usize * size_of::<Event>();
        let pages = Pages::new(bytes);
        let header = RingHeader {
            id: 0,
            nr,
            head: 0,
            tail: 0,
            magic: if opaque { 0 } else { RingHeader::MAGIC },
            compat_features: 1,
            incompat_features: 0,
            header_length: size_of::<RingHeader>() as u32,
        };
        // SAFETY: the pages are newly mapped and large enough.
        unsafe { pages.start().cast::<RingHeader>().write(header) };
        KernelRing {
            pages,
            nr,
            tail: 0,
            completed: 0,
            available: nr - 1,
        }
    }

    pub(super) fn name(&self) -> AioContext {
        AioContext(self.pages.start().expose_provenance())
    }

    fn header(&self) -> *mut RingHeader {
        self.pages.start().cast()
    }

    fn head(&self) -> &AtomicU32 {
        // SAFETY: within the pages, and only ever accessed atomically.
        unsafe { AtomicU32::from_ptr(&raw mut (*self.header()).head) }
    }

    fn slot(&self, index: u32) -> *mut Event {
        assert!(index < self.nr);
        // SAFETY: the index is below the number of slots, so the slot is within the
        // pages.
        unsafe { self.header().add(1).cast::<Event>().add(index as usize) }
    }

    /// Returns the number of events that have not been taken.
    pub(super) fn len(&self) -> usize {
        let head = self.head().load(Ordering::Acquire) % self.nr;
        (if head <= self.tail {
            self.tail - head
        } else {
            self.nr - (head - self.tail)
        }) as usize
    }

    /// Frees the slots of events that have been taken (`refill_reqs_available`).
    fn refill(&mut self) {
        let free = self.completed.saturating_sub(self.len() as u32);
        self.completed -= free;
        self.available += free;
    }

    /// Claims a slot for an operation (`get_reqs_available`).
    pub(super) fn claim(&mut self) -> bool {
        if self.available == 0 && self.completed > 0 {
            self.refill();
        }
        let claimed = self.available > 0;
        self.available -= u32::from(claimed);
        claimed
    }

    /// Returns the number of claims that would succeed now.
    pub(super) fn available(&mut self) -> usize {
        self.refill();
        self.available as usize
    }

    /// Returns the claim of an operation that is not started.
    pub(super) fn unclaim(&mut self) {
        self.available += 1;
    }

    /// Adds the event of an operation that has a claim (`aio_complete`).
    pub(super) fn complete(&mut self, event: Event) {
        // SAFETY: within the pages; the claim guarantees that the slot holds no event.
        unsafe { self.slot(self.tail).write(event) };
        self.tail = if self.tail + 1 == self.nr {
            0
        } else {
            self.tail + 1
        };
        // SAFETY: within the pages, and only ever accessed atomically.
        let tail = unsafe { AtomicU32::from_ptr(&raw mut (*self.header()).tail) };
        tail.store(self.tail, Ordering::Release);
        self.completed += 1;
        if self.completed > 1 {
            self.refill();
        }
    }

    /// Takes events as the kernel does (`aio_read_events_ring`).
    pub(super) fn read(&mut self, events: &mut [Event]) -> usize {
        let mut head = self.head().load(Ordering::Relaxed) % self.nr;
        let mut count = 0;
        while head != self.tail && count < events.len() {
            // SAFETY: within the pages; a slot between head and tail holds an event.
            events[count] = unsafe { self.slot(head).read() };
            count += 1;
            head = (head + 1) % self.nr;
        }
        self.head().store(head, Ordering::Release);
        count
    }
}
