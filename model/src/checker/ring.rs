//! [`Ring`]: a ring in loom's memory, with the library's reader on one side and the
//! kernel's writer on the other.

use core::sync::atomic::Ordering;

use loom::cell::UnsafeCell;
use loom::sync::Mutex;
use loom::sync::atomic::AtomicU32;

use super::batch_reader::BatchReader;
use super::index::{self, Index};
use super::reader::{self, Memory};
use crate::ring::Polled;
use crate::sys::abi::Event;

/// The kernel's state for a ring beside the ring itself, protected by
/// `completion_lock`.
struct Completion {
    tail: u32,
    /// The number of events added to the ring whose slots have not yet been found free
    /// again.
    completed: u32,
    /// The number of slots that no operation has claimed.
    available: u32,
}

/// A ring and the kernel's side of it.
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

// SAFETY: the number of slots never changes, and only those slots are read.
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
            // SAFETY: `to` is valid for writes, by the contract of `copy`; loom
            // verifies that no thread writes to the slot.
            slot.with(|event| unsafe { to.add(place as usize).write(*event) });
        }
    }

    fn location(&self, index: u32) -> u32 {
        index
    }

    fn index(&self, location: u32) -> u32 {
        location
    }

    fn after(&self, location: u32) -> u32 {
        location + 1
    }

    unsafe fn event(&self, location: u32) -> Event {
        let slot = &self.slots[location as usize];
        // SAFETY: loom verifies that no thread writes to the slot.
        slot.with(|event| unsafe { *event })
    }
}

impl Ring {
    /// Creates an empty ring of `nr` slots whose indices begin at `start`, as if it had
    /// been used before.
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

    /// Takes one event with the library's reader.
    pub fn take_one(&self) -> Option<Event> {
        // SAFETY: each program has a single reader thread.
        in_range(unsafe { reader::take_one(self) })
    }

    /// Takes events with the library's reader.
    pub fn take(&self, events: &mut [Event]) -> usize {
        // SAFETY: each program has a single reader thread.
        unsafe { reader::take(self, events) }.expect("indices in range")
    }

    /// Returns the library's batch reader, which publishes the head after a batch.
    pub(super) fn run(&self) -> BatchReader<Ring> {
        BatchReader::new(self).expect("a head in range")
    }

    /// Takes the next event with a batch reader of this ring.
    pub(super) fn take_of(&self, run: &mut BatchReader<Ring>) -> Option<Event> {
        // SAFETY: each program has a single reader thread.
        let found = unsafe { run.next(self) };
        // SAFETY: each program has a single reader thread.
        found.or_else(|| in_range(unsafe { run.poll(self) }))
    }

    /// Takes the next event with a batch reader of this ring if it has this `data`.
    pub(super) fn take_own(&self, run: &mut BatchReader<Ring>, data: u64) -> Option<Event> {
        // SAFETY: each program has a single reader thread.
        unsafe { run.next_if(self, data) }
    }

    /// Returns whether the ring appears empty to a thread that does not own it.
    pub fn reads_as_empty(&self) -> bool {
        index::is_empty(&self.head, &self.tail)
    }

    /// Returns whether the ring holds two events. Only the reader thread may call it.
    pub fn has_two(&self) -> bool {
        let head = self.head.load(Ordering::Relaxed);
        let tail = self.tail.load(Ordering::Acquire);
        (head + 2) % self.slots() == tail
    }

    /// Claims a slot for an operation (`get_reqs_available`). Fails only if every slot
    /// is claimed or holds an event that has not been taken.
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

    /// Adds the event of an operation that has a claim (`aio_complete`).
    pub fn complete(&self, event: Event) {
        let mut completion = self.completion.lock().unwrap();
        let tail = completion.tail;
        // SAFETY: the kernel writes under its lock; loom verifies that no thread reads
        // the slot.
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

    /// Frees the slots of events that the reader has taken (`refill_reqs_available`).
    fn refill(&self, completion: &mut Completion) {
        // Acquire: a plain load in the kernel. The value decides whether a slot is
        // written again. No processor makes a store visible before the branch that it
        // depends on (a control dependency); loom does not model that order.
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

/// Returns the event, if there is one. The model's indices are always in range.
fn in_range(polled: Polled) -> Option<Event> {
    match polled {
        Polled::Found(event) => Some(event),
        Polled::Empty => None,
        Polled::NeedsSyscall => panic!("an index is out of range"),
    }
}
