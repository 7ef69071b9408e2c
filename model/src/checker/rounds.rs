//! Programs over the ring alone: kernel threads complete operations while one reader
//! takes the events.

use loom::sync::Arc;
use loom::thread;

use super::Ring;
use super::batch_reader::BatchReader;
use crate::sys::abi::Event;

/// The way in which the reader takes events.
#[derive(Clone, Copy, Debug)]
pub enum Take {
    /// Takes single events with `take_one`.
    One,
    /// Takes into an array of this many events, with `take`.
    Some(usize),
    /// Takes with a batch reader. If set, the head is published after each event;
    /// otherwise never.
    Run(bool),
    /// Takes the events of the first producer with a batch reader.
    Own,
}

/// Runs `producers` threads that complete `each` operations in a ring of `nr` slots
/// whose indices begin at `start`. An operation for which the ring has no space is
/// given up after a second attempt. The reader polls `polls` times meanwhile. Every
/// event arrives once and intact, and the events of one thread arrive in order.
pub fn run(nr: u32, start: u32, producers: u64, each: i64, take: Take, polls: usize) {
    let ring = Arc::new(Ring::new(nr, start));
    let threads: Vec<_> = (0..producers)
        .map(|number| {
            let ring = ring.clone();
            thread::spawn(move || produce(&ring, number, each))
        })
        .collect();
    let mut next = vec![0; producers as usize];
    let mut run = ring.run();
    for _ in 0..polls {
        reap(&ring, take, &mut run, &mut next);
    }
    let completed: Vec<_> = threads.into_iter().map(|t| t.join().unwrap()).collect();
    while reap(&ring, take, &mut run, &mut next) > 0 {}
    assert_eq!(next, completed, "an event was lost");
}

fn produce(ring: &Ring, number: u64, each: i64) -> i64 {
    for at in 0..each {
        if !ring.claim() {
            thread::yield_now();
            if !ring.claim() {
                return at;
            }
        }
        ring.complete(Event {
            data: number,
            obj: !number,
            res: at,
            res2: !at,
        });
    }
    each
}

fn reap(ring: &Ring, take: Take, run: &mut BatchReader<Ring>, next: &mut [i64]) -> usize {
    let mut events = [Event::EMPTY; 4];
    let count = match take {
        Take::One => put(ring.take_one(), &mut events),
        Take::Run(publish) => {
            let count = put(ring.take_of(run), &mut events);
            if publish {
                run.publish(ring);
            }
            count
        }
        Take::Own => put(ring.take_own(run, 0), &mut events),
        Take::Some(places) => ring.take(&mut events[..places]),
    };
    for event in &events[..count] {
        let next = &mut next[event.data as usize];
        assert_eq!((event.res, event.res2), (*next, !*next), "out of order");
        assert_eq!(event.obj, !event.data, "half an event");
        *next += 1;
    }
    count
}

fn put(event: Option<Event>, events: &mut [Event]) -> usize {
    event.map(|event| events[0] = event).into_iter().count()
}
