//! A context's ring, as the kernel sees it.

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
        // SAFETY: fresh pages, large enough.
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
        // SAFETY: in the pages, and only ever accessed atomically.
        unsafe { AtomicU32::from_ptr(&raw mut (*self.header()).head) }
    }

    fn slot(&self, index: u32) -> *mut Event {
        assert!(index < self.nr);
        // SAFETY: within the pages.
        unsafe { self.header().add(1).cast::<Event>().add(index as usize) }
    }

    /// Events that have not been taken.
    pub(super) fn len(&self) -> usize {
        let head = self.head().load(Ordering::Acquire) % self.nr;
        (if head <= self.tail {
            self.tail - head
        } else {
            self.nr - (head - self.tail)
        }) as usize
    }

    /// `refill_reqs_available`
    fn refill(&mut self) {
        let free = self.completed.saturating_sub(self.len() as u32);
        self.completed -= free;
        self.available += free;
    }

    /// `get_reqs_available`: a claim on a slot, for an operation.
    pub(super) fn claim(&mut self) -> bool {
        if self.available == 0 && self.completed > 0 {
            self.refill();
        }
        let claimed = self.available > 0;
        self.available -= u32::from(claimed);
        claimed
    }

    /// Claims that could be had now.
    pub(super) fn room(&mut self) -> usize {
        self.refill();
        self.available as usize
    }

    /// The operation will not be.
    pub(super) fn unclaim(&mut self) {
        self.available += 1;
    }

    /// `aio_complete`: the event of an operation with a claim.
    pub(super) fn complete(&mut self, event: Event) {
        // SAFETY: a slot that no event is in, by the claim.
        unsafe { self.slot(self.tail).write(event) };
        self.tail = if self.tail + 1 == self.nr {
            0
        } else {
            self.tail + 1
        };
        // SAFETY: in the pages, and only ever accessed atomically.
        let tail = unsafe { AtomicU32::from_ptr(&raw mut (*self.header()).tail) };
        tail.store(self.tail, Ordering::Release);
        self.completed += 1;
        if self.completed > 1 {
            self.refill();
        }
    }

    /// `aio_read_events_ring`: the kernel's own reader.
    pub(super) fn read(&mut self, events: &mut [Event]) -> usize {
        let mut head = self.head().load(Ordering::Relaxed) % self.nr;
        let mut count = 0;
        while head != self.tail && count < events.len() {
            // SAFETY: an event is there.
            events[count] = unsafe { self.slot(head).read() };
            count += 1;
            head = (head + 1) % self.nr;
        }
        self.head().store(head, Ordering::Release);
        count
    }
}
