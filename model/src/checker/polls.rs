//! A program whose ring is never empty while it is observed: the ring holds one event,
//! a second is added, and only then is one taken. A thread that does not own the ring
//! must not find it empty at any time.

use loom::sync::Arc;
use loom::thread;

use super::Ring;
use crate::sys::abi::Event;

fn event(data: u64) -> Event {
    Event {
        data,
        ..Event::EMPTY
    }
}

/// Runs the program once, with a ring of `nr` slots whose indices begin at `start`.
pub fn run(nr: u32, start: u32) {
    let ring = Arc::new(Ring::new(nr, start));
    assert!(ring.reads_as_empty());
    assert!(ring.claim() && ring.claim());
    ring.complete(event(1));
    let kernel = thread::spawn({
        let ring = ring.clone();
        move || ring.complete(event(2))
    });
    let reader = thread::spawn({
        let ring = ring.clone();
        move || {
            if ring.has_two() {
                assert_eq!(ring.take_one().map(|event| event.data), Some(1));
            }
        }
    });
    for _ in 0..2 {
        assert!(!ring.reads_as_empty(), "an event was there");
    }
    kernel.join().unwrap();
    reader.join().unwrap();
    assert!(!ring.reads_as_empty());
    while ring.take_one().is_some() {}
    assert!(ring.reads_as_empty());
}
