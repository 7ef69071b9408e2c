//! A ring with arbitrary contents, before and while it is read.
//!
//! The ring ends at a page boundary, and nothing is mapped behind it: a read beyond the
//! end faults. The result is compared with a reader that takes one slot at a time.

use super::Source;
use crate::memory::{Pages, page};
use crate::ring::{BatchReader, Polled, RingMap};
use crate::sys::abi::{AioContext, Event, RingHeader};
use crate::{Context, Errno, Ring, WaitOptions};

/// An address below all that the kernel chooses, with nothing mapped behind it.
const ADDRESS: usize = 0x2000_0000;

/// The number of words in the header.
const WORDS: usize = size_of::<RingHeader>() / size_of::<u32>();
const NR: usize = 1;
const HEAD: usize = 2;
const TAIL: usize = 3;

/// Builds a ring from the bytes and reads it as they specify.
pub fn run(data: &[u8]) {
    let source = &mut Source { bytes: data };
    let memory = Memory {
        pages: Pages::at(ADDRESS, page() * (1 + source.below(2))),
    };
    let right = [
        0,
        0,
        0,
        0,
        RingHeader::MAGIC,
        1,
        0,
        size_of::<RingHeader>() as u32,
    ];
    for (at, right) in right.into_iter().enumerate() {
        let word = match source.below(8) {
            0 => source.word(),
            _ if (NR..=TAIL).contains(&at) => memory.index(source),
            _ => right,
        };
        memory.set(at, word);
    }
    for slot in 0..memory.most() {
        memory.set_event(slot, event(slot as u64));
    }

    let fits = memory.is_a_ring();
    let nr = memory.get(NR);
    // SAFETY: the pages begin with readable memory of a header's size and are used by
    // this thread alone. The kernel has no such context and refuses every system call
    // on it.
    let mut context = unsafe { Context::from_raw(AioContext(memory.name())) };
    let map = *context.map();
    let mut ring = context.ring();
    assert_eq!(ring.slots(), fits.then_some(nr), "{:x?}", memory.header());
    for _ in 0..64 {
        if source.is_empty() {
            break;
        }
        step(source, &memory, &map, &mut ring);
    }
    // The kernel has no context of that address to destroy.
    let _ = context.into_raw();
}

fn event(number: u64) -> Event {
    Event {
        data: number,
        obj: !number,
        res: number as i64,
        res2: !number as i64,
    }
}

fn step(source: &mut Source<'_>, memory: &Memory, map: &RingMap, ring: &mut Ring<'_>) {
    match source.below(8) {
        0 => memory.set(HEAD, memory.index(source)),
        1 => memory.set(TAIL, memory.index(source)),
        // The remaining header words were read once, and later changes have no effect.
        2 => {
            let at = source.below(WORDS);
            let word = source.word();
            if at != HEAD && at != TAIL {
                memory.set(at, word);
            }
        }
        3 => {
            let slot = source.word() as usize % memory.most();
            let number = source.long();
            memory.set_event(slot, event(number));
        }
        // An owner of the context, whose batch reader may have found more events than
        // it takes.
        7 => {
            let space = 1 + source.below(130);
            check(memory, ring, space, |_| take_of_run(map, space));
        }
        4 => check(memory, ring, 1, |ring| ring.pop().map(Vec::from_iter)),
        5 => {
            let space = source.below(130);
            check(memory, ring, space, |ring| {
                let mut events = vec![Event::EMPTY; space];
                ring.reap(&mut events).map(|taken| taken.to_vec())
            });
        }
        _ => {
            let space = source.below(10);
            let min = source.below(space + 1);
            check(memory, ring, space, |ring| {
                let mut events = vec![Event::EMPTY; space];
                let taken = ring.wait_with(min, &mut events, WaitOptions::poll());
                taken.map(|taken| taken.to_vec())
            });
        }
    }
}

/// Takes events as an owner of the context does. EINVAL stands for the error that an
/// owner would get from a system call.
fn take_of_run(map: &RingMap, space: usize) -> Result<Vec<Event>, Errno> {
    let mut run = BatchReader::new(map).ok_or(Errno::INVAL)?;
    let mut taken = Vec::new();
    while taken.len() < space {
        // SAFETY: the pages are mapped, and this thread alone reads the ring.
        let found = unsafe { run.next(map) };
        // SAFETY: the pages are mapped, and this thread alone reads the ring.
        let polled = found.map_or_else(|| unsafe { run.poll(map) }, Polled::Found);
        match polled {
            Polled::Found(event) => taken.push(event),
            Polled::Empty => break,
            Polled::NeedsSyscall => return Err(Errno::INVAL),
        }
    }
    run.publish(map);
    Ok(taken)
}

/// Compares the events that `take` returns with those in the ring, up to `space` events.
fn check(
    memory: &Memory,
    ring: &mut Ring<'_>,
    space: usize,
    take: impl FnOnce(&mut Ring<'_>) -> Result<Vec<Event>, Errno>,
) {
    let (mut head, tail) = (memory.get(HEAD), memory.get(TAIL));
    let slots = ring.slots();
    let taken = take(ring);
    let Some(slots) = slots.filter(|&slots| head < slots && tail < slots) else {
        // The ring is corrupted, so the system call was made, which returned an error.
        assert!(taken.is_err(), "{taken:?} with head {head} and tail {tail}");
        assert_eq!((memory.get(HEAD), memory.get(TAIL)), (head, tail));
        return;
    };
    let mut right = Vec::new();
    while head != tail && right.len() < space {
        right.push(memory.event(head as usize));
        head = (head + 1) % slots;
    }
    assert_eq!(taken, Ok(right));
    assert_eq!((memory.get(HEAD), memory.get(TAIL)), (head, tail));
}

struct Memory {
    pages: Pages,
}

impl Memory {
    fn name(&self) -> usize {
        self.pages.start().expose_provenance()
    }

    /// Returns the number of slots that fit.
    fn most(&self) -> usize {
        (self.pages.bytes() - size_of::<RingHeader>()) / size_of::<Event>()
    }

    fn word(&self, at: usize) -> *mut u32 {
        assert!(at < WORDS);
        self.pages.start().cast::<u32>().wrapping_add(at)
    }

    fn get(&self, at: usize) -> u32 {
        // SAFETY: within the pages, which this thread alone uses.
        unsafe { self.word(at).read_volatile() }
    }

    fn set(&self, at: usize, word: u32) {
        // SAFETY: within the pages, which this thread alone uses.
        unsafe { self.word(at).write_volatile(word) };
    }

    fn header(&self) -> [u32; WORDS] {
        core::array::from_fn(|at| self.get(at))
    }

    fn slot(&self, slot: usize) -> *mut Event {
        assert!(slot < self.most());
        let events = self.pages.start().wrapping_add(size_of::<RingHeader>());
        events.cast::<Event>().wrapping_add(slot)
    }

    fn event(&self, slot: usize) -> Event {
        // SAFETY: within the pages, which this thread alone uses.
        unsafe { self.slot(slot).read_volatile() }
    }

    fn set_event(&self, slot: usize, event: Event) {
        // SAFETY: within the pages, which this thread alone uses.
        unsafe { self.slot(slot).write_volatile(event) };
    }

    /// Returns a number that may be a valid index, the number of slots, or close to
    /// either.
    fn index(&self, source: &mut Source<'_>) -> u32 {
        let most = self.most() as u32;
        match source.below(8) {
            0 => source.word(),
            1 => most + 1,
            2 => most,
            3 => most - 1,
            4 => self.get(NR),
            5 => self.get(NR).wrapping_sub(1),
            _ => u32::from(source.byte()),
        }
    }

    /// Returns whether the header describes a ring that is mapped completely.
    fn is_a_ring(&self) -> bool {
        let [_, nr, _, _, magic, _, incompatible, length] = self.header();
        // Memory is mapped in whole pages.
        let bytes = size_of::<RingHeader>() + nr as usize * size_of::<Event>();
        magic == RingHeader::MAGIC
            && incompatible == 0
            && length as usize == size_of::<RingHeader>()
            && nr >= 2
            && bytes.next_multiple_of(page()) <= self.pages.bytes()
    }
}
