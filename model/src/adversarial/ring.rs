//! A ring of anybody's making, before and while it is read.
//!
//! It ends where its pages do, and nothing is mapped behind: to read on is to
//! die. What is read is compared with a reader that looks at one slot at a time.

use super::Source;
use crate::memory::{Pages, page};
use crate::ring::{BatchReader, RingMap};
use crate::sys::abi::{AioContext, Event, RingHeader};
use crate::{Context, Errno, Ring, WaitOptions};

/// Below everything that the kernel places by itself, with nothing behind it.
const ADDRESS: usize = 0x2000_0000;

/// Words of the header, in order.
const WORDS: usize = size_of::<RingHeader>() / size_of::<u32>();
const NR: usize = 1;
const HEAD: usize = 2;
const TAIL: usize = 3;

/// Makes a ring of the bytes and reads it as they say.
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
    // SAFETY: no context, but as much of one as the kernel can be asked about;
    // nobody else has it.
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
    // The kernel knows none of that name.
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
        // The rest of the header was read once, and is nothing to a reader.
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
        // An owner, who may have found more than he takes.
        7 => {
            let room = 1 + source.below(130);
            check(memory, ring, room, |_| take_of_run(map, room));
        }
        4 => check(memory, ring, 1, |ring| ring.pop().map(Vec::from_iter)),
        5 => {
            let room = source.below(130);
            check(memory, ring, room, |ring| {
                let mut events = vec![Event::EMPTY; room];
                ring.reap(&mut events).map(|taken| taken.to_vec())
            });
        }
        _ => {
            let room = source.below(10);
            let min = source.below(room + 1);
            check(memory, ring, room, |ring| {
                let mut events = vec![Event::EMPTY; room];
                let taken = ring.wait_with(min, &mut events, WaitOptions::poll());
                taken.map(|taken| taken.to_vec())
            });
        }
    }
}

/// Takes as an owner does, who has the error from a call then.
fn take_of_run(map: &RingMap, room: usize) -> Result<Vec<Event>, Errno> {
    let mut run = BatchReader::new(map).ok_or(Errno::INVAL)?;
    let mut taken = Vec::new();
    while taken.len() < room {
        // SAFETY: the memory is there, and this thread's.
        let found = unsafe { run.next(map) };
        // SAFETY: as above.
        let looked = found.map_or_else(|| unsafe { run.look(map) }, |event| Some(Some(event)));
        match looked.ok_or(Errno::INVAL)? {
            Some(event) => taken.push(event),
            None => break,
        }
    }
    run.publish(map);
    Ok(taken)
}

/// Holds what `take` gives against what there is, up to `room` events.
fn check(
    memory: &Memory,
    ring: &mut Ring<'_>,
    room: usize,
    take: impl FnOnce(&mut Ring<'_>) -> Result<Vec<Event>, Errno>,
) {
    let (mut head, tail) = (memory.get(HEAD), memory.get(TAIL));
    let slots = ring.slots();
    let taken = take(ring);
    let Some(slots) = slots.filter(|&slots| head < slots && tail < slots) else {
        // The kernel was asked, which knows better.
        assert!(taken.is_err(), "{taken:?} with head {head} and tail {tail}");
        assert_eq!((memory.get(HEAD), memory.get(TAIL)), (head, tail));
        return;
    };
    let mut right = Vec::new();
    while head != tail && right.len() < room {
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

    /// Slots that fit.
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
        // SAFETY: as above.
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
        // SAFETY: as above.
        unsafe { self.slot(slot).read_volatile() }
    }

    fn set_event(&self, slot: usize, event: Event) {
        // SAFETY: as above.
        unsafe { self.slot(slot).write_volatile(event) };
    }

    /// A number that could be an index or the number of slots, or nearly.
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

    /// Whether the header tells a ring that is all there.
    fn is_a_ring(&self) -> bool {
        let [_, nr, _, _, magic, _, incompatible, length] = self.header();
        // What is mapped is mapped by pages.
        let bytes = size_of::<RingHeader>() + nr as usize * size_of::<Event>();
        magic == RingHeader::MAGIC
            && incompatible == 0
            && length as usize == size_of::<RingHeader>()
            && nr >= 2
            && bytes.next_multiple_of(page()) <= self.pages.bytes()
    }
}
