//! [`Ring`]: a ring in loom's memory, the library's reader on one side and the
//! kernel on the other.

use core::sync::atomic::Ordering;

use loom::cell::UnsafeCell;
use loom::sync::Mutex;
use loom::sync::atomic::AtomicU32;

use super::batch_reader::BatchReader;
use super::reader::{self, Index, Memory};
use crate::sys::abi::Event;

/// What the kernel knows of a ring besides, under its `completion_lock`.
struct Completion {
    tail: u32,
    /// Events that were put into the ring, and whose slots have not been found
    /// free again.
    completed: u32,
    /// Slots that no operation has a claim on.
    available: u32,
}

/// A ring, and the kernel's side of it.
pub struct Ring {
    slots: Vec<UnsafeCell<Event>>,
    head: AtomicU32,
    tail: AtomicU32,
    completion: Mutex<Completion>,
}

impl Index for AtomicU32 {
    fn load(&self, order: Ordering) -> u32 {
        AtomicU32::load(self, order)
    }

    fn store(&self, value: u32, order: Ordering) {
        AtomicU32::store(self, value, order);
    }
}

// SAFETY: the number of slots stays, and those alone are read.
unsafe impl Memory for Ring {
    type Index = AtomicU32;
    type Location = u32;

    fn slots(&self) -> u32 {
        self.slots.len() as u32
    }

    fn head(&self) -> &AtomicU32 {
        &self.head
    }

    fn tail(&self) -> &AtomicU32 {
        &self.tail
    }

    unsafe fn copy(&self, first: u32, count: u32, to: *mut Event) {
        for place in 0..count {
            let slot = &self.slots[(first + place) as usize];
            // SAFETY: the caller's; loom sees to it that nobody writes there.
            slot.with(|event| unsafe { to.add(place as usize).write(*event) });
        }
    }

    fn place(&self, index: u32) -> u32 {
        index
    }

    fn index(&self, place: u32) -> u32 {
        place
    }

    fn after(&self, place: u32) -> u32 {
        place + 1
    }

    unsafe fn event(&self, place: u32) -> Event {
        let slot = &self.slots[place as usize];
        // SAFETY: as for `copy`.
        slot.with(|event| unsafe { *event })
    }
}

impl Ring {
    /// An empty ring of `nr` slots, begun at `start` as if it had been used.
    pub fn new(nr: u32, start: u32) -> Ring {
        Ring {
            slots: (0..nr).map(|_| UnsafeCell::new(Event::EMPTY)).collect(),
            head: AtomicU32::new(start),
            tail: AtomicU32::new(start),
            completion: Mutex::new(Completion {
                tail: start,
                completed: 0,
                available: nr - 1,
            }),
        }
    }

    /// The library's reader.
    pub fn take_one(&self) -> Option<Event> {
        // SAFETY: one thread of each program here reads.
        unsafe { reader::take_one(self) }.expect("indices in range")
    }

    /// The library's reader.
    pub fn take(&self, events: &mut [Event]) -> usize {
        // SAFETY: as above.
        unsafe { reader::take(self, events) }.expect("indices in range")
    }

    /// The library's reader, who is late to tell of what he took.
    pub(super) fn run(&self) -> BatchReader<Ring> {
        BatchReader::new(self).expect("a head in range")
    }

    /// The next event of a run of this ring's.
    pub(super) fn take_of(&self, run: &mut BatchReader<Ring>) -> Option<Event> {
        // SAFETY: as above.
        let found = unsafe { run.next(self) };
        // SAFETY: as above.
        found.or_else(|| unsafe { run.look(self) }.expect("a tail in range"))
    }

    /// Who owns nothing, and looks.
    pub fn looks_empty(&self) -> bool {
        reader::looks_empty(&self.head, &self.tail)
    }

    /// Whether two events are there: for the one reader.
    pub fn has_two(&self) -> bool {
        let head = self.head.load(Ordering::Relaxed);
        let tail = self.tail.load(Ordering::Acquire);
        (head + 2) % self.slots() == tail
    }

    /// `get_reqs_available`: an operation's claim on a slot. None is left only
    /// when every slot is claimed or holds an event that was not taken.
    pub fn claim(&self) -> bool {
        let mut completion = self.completion.lock().unwrap();
        if completion.available == 0 && completion.completed > 0 {
            // `user_refill_reqs_available`
            self.refill(&mut completion);
        }
        let claimed = completion.available > 0;
        completion.available -= u32::from(claimed);
        claimed
    }

    /// `aio_complete`: the event of an operation that has a claim.
    pub fn complete(&self, event: Event) {
        let mut completion = self.completion.lock().unwrap();
        let tail = completion.tail;
        // SAFETY: the kernel writes under its lock; loom sees to it that no
        // reader is there.
        self.slots[tail as usize].with_mut(|slot| unsafe { slot.write(event) });
        completion.tail = if tail + 1 == self.slots() {
            0
        } else {
            tail + 1
        };
        // Release: the kernel has a write barrier between the two stores.
        self.tail.store(completion.tail, Ordering::Release);
        completion.completed += 1;
        if completion.completed > 1 {
            self.refill(&mut completion);
        }
    }

    /// `refill_reqs_available`: slots of events that the reader has taken.
    fn refill(&self, completion: &mut Completion) {
        // Acquire: a plain load in the kernel. What it decides is whether a
        // slot is written again, and no processor shows a store before the
        // branch that it hangs on; loom knows no such order.
        let head = self.head.load(Ordering::Acquire) % self.slots();
        let tail = completion.tail;
        let in_ring = if head <= tail {
            tail - head
        } else {
            self.slots() - (head - tail)
        };
        let free = completion.completed.saturating_sub(in_ring);
        completion.completed -= free;
        completion.available += free;
    }
}
