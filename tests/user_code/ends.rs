//! What is left of futures that are leaked, or dropped while their operation is
//! in flight.

use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use linux_aio::buffer::{Aligned, Buffer, BufferMut};
#[cfg(feature = "std")]
use linux_aio::reactor::Shared;
use linux_aio::reactor::{Local, Lock, Reactor, ReactorSlot};

use crate::hooks::*;
use crate::support::tasks::{LONG, poll};
use crate::support::{TempFile, fd, pattern};
use crate::world::{Entry, SIMPLE, SLOTS, Setup, World};

/// The end of a reactor that still has operations of leaked futures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Drop,
    IntoDrained,
    /// It is leaked itself, and another one gets its slots.
    NewOwner,
}

/// The leaked futures are staged, in flight, completed, and completed and
/// notified of it. Their wakers and what they carry are dropped when the reactor
/// ends; a panic of one keeps no other from it.
fn leaked_futures<L: Lock + 'static>(setup: Setup, action: Action, end: End, call: Call) {
    let other = World::<L>::new(setup, Action::Reenter);
    other.fill();
    let w = World::<L>::new(setup, action);
    w.fill();
    if setup.batched {
        w.discard("b");
        w.turn_until(|| w.reactor.in_flight() < SLOTS);
        w.reactor.turn().unwrap();
    }
    w.finish("d");
    w.release("c");
    let deadline = Instant::now() + LONG;
    let found = w.reactor.in_flight() - 1;
    while w.reactor.in_flight() > found {
        w.poll("a");
        assert!(Instant::now() < deadline);
    }
    if setup.batched {
        w.add_read("b");
        assert!(!w.poll("b"));
    }
    let tasks = w.tasks.take();
    assert_eq!(tasks.len(), SLOTS);
    let leak = |task: Entry<L>| {
        std::mem::forget(task.future);
        task.waker
    };
    let wakers: Vec<_> = tasks.into_iter().map(leak).collect();

    let reenter = {
        let other = other.clone();
        move || other.reenter()
    };
    let at = ("a", call);
    // SAFETY: its futures are leaked, and nobody uses the reference again.
    let reactor = unsafe { Box::from_raw((&raw const *w.reactor).cast_mut()) };
    let mut next = None;
    match end {
        End::Drop => during(action, at, reenter, || drop(reactor)),
        End::IntoDrained => during(action, at, reenter, || {
            let _ = reactor.into_drained().unwrap().into_context().into_raw();
        }),
        End::NewOwner => {
            std::mem::forget(reactor);
            // The kernel may still be using what its operations carry.
            other.leaked.set(ALIVE.get() - SLOTS as isize);
            // SAFETY: the only other user of the array is leaked.
            let slots = || unsafe { &mut *w.slots };
            during(action, at, reenter, || {
                next = Some(World::<L>::within(slots(), setup, action));
            });
            // After the panic the slots have no owner, and may have one.
            next = next.or_else(|| Some(World::within(slots(), setup, action)));
        }
    }
    for waker in &wakers {
        assert_eq!(Arc::strong_count(waker), 1, "{}'s waker", waker.name);
    }
    other.end();
    if let Some(next) = next {
        next.fill();
        next.add_waiter("e");
        next.end();
    }
}

#[test]
fn leaked_futures_end_with_the_reactor() {
    for (end, call) in [
        (End::Drop, Call::WakerDrop),
        (End::Drop, Call::DataDrop),
        (End::IntoDrained, Call::WakerDrop),
        (End::IntoDrained, Call::DataDrop),
        (End::NewOwner, Call::WakerDrop),
    ] {
        for action in [Action::Reenter, Action::Panic] {
            for batched in [false, true] {
                let setup = Setup {
                    batched,
                    eventfd: batched,
                };
                leaked_futures::<Local>(setup, action, end, call);
                #[cfg(feature = "std")]
                leaked_futures::<Shared>(setup, action, end, call);
            }
        }
    }
}

/// A direct read that is in flight when its future is dropped: its buffer is
/// dropped by a turn, when the read has completed.
#[test]
fn the_buffer_of_a_read_in_flight_is_dropped_at_completion() {
    const BLOCK: usize = 1 << 20;

    /// Aligned memory, and one whose destructor is noted.
    struct Block {
        bytes: Aligned<'static, 4096>,
        _memory: Memory,
    }
    // SAFETY: the aligned memory's own promise.
    unsafe impl Buffer for Block {
        fn region(&mut self) -> (*mut u8, usize) {
            self.bytes.region()
        }
    }
    // SAFETY: as above.
    unsafe impl BufferMut for Block {}

    let content = pattern(BLOCK);
    let file = TempFile::with(&content);
    let direct = file.direct();
    let mut proved = [false; 2];
    // More than once: a fast disk may have read all before the drop.
    for round in 0..100 {
        let action = [Action::Reenter, Action::Panic][round % 2];
        let memory: &'static mut [u8] = Box::leak(vec![0; BLOCK + 4096].into());
        let block = Block {
            bytes: Aligned::within(memory),
            _memory: Memory::new("read"),
        };
        let other = World::<Local>::new(SIMPLE, Action::Reenter);
        other.fill();
        let mut slots = ReactorSlot::array::<2>();
        let reactor = Reactor::<Block, Watched<Local>>::new(&mut slots).unwrap();
        let mut read = Box::pin(reactor.read(fd(&direct), block, 0));
        let pending = poll(read.as_mut(), Waker::noop()).is_none();
        drop(read);
        // Dropped with its future already, if the read had completed.
        let in_flight = pending && ALIVE.get() > SLOTS as isize;
        if in_flight {
            proved[round % 2] = true;
            let reenter = {
                let other = other.clone();
                move || other.reenter()
            };
            during(action, ("read", Call::BufferDrop), reenter, || {
                let deadline = Instant::now() + LONG;
                while !CAME.get() {
                    reactor.turn().unwrap();
                    assert!(Instant::now() < deadline);
                }
            });
        }
        assert_eq!(reactor.in_flight(), 0);
        let _ = reactor.into_drained().unwrap().into_context().into_raw();
        other.end();
        if proved == [true; 2] {
            return;
        }
    }
    panic!("no read was ever in flight: the test shows nothing");
}
