//! Tests futures that are leaked, or dropped while their operation is in flight.

use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use linux_aio::buffer::{Aligned, IoBuf, IoBufMut};
use linux_aio::op::Read;
#[cfg(feature = "std")]
use linux_aio::reactor::Shared;
use linux_aio::reactor::{Local, Lock, Reactor, ReactorSlot};
use linux_aio::{AioContext, Context, Errno, IdleContext, Queue, Slot, sys};

use crate::fixture::{CONTENT, Entry, Fixture, SIMPLE, SLOTS, Setup};
use crate::hooks::*;
use crate::support::tasks::{LONG, poll};
use crate::support::{self, TempFile, fd, pattern};

/// The end of a reactor that still has operations of leaked futures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Drop,
    IntoDrained,
    /// It is leaked itself, and another reactor gets its slots.
    NewOwner,
}

/// Tests leaked futures in four states: staged, in flight, completed, and completed and
/// notified. Their wakers, buffers and data are dropped when the reactor ends, even if
/// one of the destructors panics. If it is leaked, they stay leaked, also when another
/// reactor uses the slots.
fn leaked_futures<L: Lock + 'static>(setup: Setup, action: Action, end: End, call: Call) {
    let other = Fixture::<L>::new(setup, Action::Reenter);
    other.fill();
    let fixture = Fixture::<L>::new(setup, action);
    fixture.fill();
    if setup.batched {
        fixture.discard("b");
        fixture.turn_until(|| fixture.reactor.in_flight() < SLOTS);
        fixture.reactor.turn().unwrap();
    }
    fixture.finish("d");
    fixture.release("c");
    let deadline = Instant::now() + LONG;
    let found = fixture.reactor.in_flight() - 1;
    while fixture.reactor.in_flight() > found {
        fixture.poll("a");
        assert!(Instant::now() < deadline);
    }
    if setup.batched {
        fixture.add_read("b");
        assert!(!fixture.poll("b"));
    }
    let tasks = fixture.tasks.take();
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
    // SAFETY: its futures are leaked, and the reference is not used again.
    let reactor = unsafe { Box::from_raw((&raw const *fixture.reactor).cast_mut()) };
    let mut next = None;
    match end {
        End::Drop => during(action, at, reenter, || drop(reactor)),
        End::IntoDrained => during(action, at, reenter, || {
            let _ = reactor
                .into_idle_context()
                .unwrap()
                .into_context()
                .into_raw();
        }),
        End::NewOwner => {
            std::mem::forget(reactor);
            // The kernel may still access the buffers of its operations.
            other.leaked.set(ALIVE.get() - SLOTS as isize);
            // SAFETY: the only other user of the array is leaked.
            let slots = unsafe { &mut *fixture.slots };
            next = Some(Fixture::<L>::within(slots, setup, action));
        }
    }
    let counts = || -> Vec<_> { wakers.iter().map(Arc::strong_count).collect() };
    let left = counts();
    let leaked = left.iter().filter(|&&count| count == 2).count();
    match end {
        End::Drop | End::IntoDrained => assert_eq!(left, [1; SLOTS]),
        // Those that a turn has woken are not in their slots.
        End::NewOwner => assert!(leaked > 0 && left.iter().all(|&count| count <= 2)),
    }
    other.end();
    if let Some(next) = next {
        next.fill();
        next.add_waiter("e");
        next.end();
    }
    assert_eq!(counts(), left, "a destructor ran");
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

/// A direct read is in flight when its future is dropped. A turn drops its buffer when
/// the read has completed.
#[test]
fn the_buffer_of_a_read_in_flight_is_dropped_at_completion() {
    const BLOCK: usize = 1 << 20;

    /// Aligned memory, and a buffer that records its drop.
    struct Block {
        bytes: Aligned<'static, 4096>,
        _memory: Memory,
    }
    // SAFETY: the aligned memory keeps the promise of `IoBuf`.
    unsafe impl IoBuf for Block {
        fn region(&mut self) -> (*mut u8, usize) {
            self.bytes.region()
        }
    }
    // SAFETY: the aligned memory keeps the promise of `IoBufMut`.
    unsafe impl IoBufMut for Block {}

    let content = pattern(BLOCK);
    let file = TempFile::with(&content);
    let direct = file.direct();
    let mut proved = [false; 2];
    // Several rounds are run, as a fast disk may complete the read before the drop.
    for round in 0..100 {
        let action = [Action::Reenter, Action::Panic][round % 2];
        let memory: &'static mut [u8] = Box::leak(vec![0; BLOCK + 4096].into());
        let block = Block {
            bytes: Aligned::within(memory),
            _memory: Memory::new("read"),
        };
        let other = Fixture::<Local>::new(SIMPLE, Action::Reenter);
        other.fill();
        let mut slots = ReactorSlot::array::<2>();
        let reactor = Reactor::<Block, Watched<Local>>::new(&mut slots).unwrap();
        let mut read = Box::pin(reactor.read(fd(&direct), block, 0));
        let pending = poll(read.as_mut(), Waker::noop()).is_none();
        drop(read);
        // If the read had completed, the buffer was dropped with the future.
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
        let _ = reactor
            .into_idle_context()
            .unwrap()
            .into_context()
            .into_raw();
        other.end();
        if proved == [true; 2] {
            return;
        }
    }
    panic!("no read was ever in flight: the test shows nothing");
}

/// A panic prevents the idle context from being returned, and the context is destroyed.
#[test]
fn a_panic_of_into_idle_context_destroys_the_context() {
    /// Returns a context and its name.
    fn context() -> (IdleContext, AioContext) {
        let context = Context::new(1).unwrap();
        let name = context.as_raw();
        // SAFETY: no operation was submitted to it.
        (unsafe { IdleContext::from_context(context, 1) }, name)
    }
    fn exists(name: AioContext) -> bool {
        // SAFETY: no operation is submitted.
        unsafe { sys::io_submit(name, 0, core::ptr::null()) }.is_ok()
    }
    fn panics(f: impl FnOnce() -> Result<IdleContext, Errno>) -> bool {
        catch_unwind(AssertUnwindSafe(|| drop(f()))).is_err()
    }
    // No other test runs in this process, so no other context gets the name.
    let test = "ends::a_panic_of_into_idle_context_destroys_the_context";
    support::again::alone(test, || {
        let file = Arc::new(OwnedFd::from(
            TempFile::with(&CONTENT).file.try_clone().unwrap(),
        ));
        let read = || Read::owned(Load::new("read", file.clone()), Memory::new("read"));
        for call in [Call::BufferDrop, Call::DataDrop] {
            let (idle, name) = context();
            let mut slots = Slot::array::<1>();
            let mut queue = Queue::with_context(idle, &mut slots);
            assert!(queue.push(read()).is_ok());
            panic_at("read", call);
            assert!(exists(name));
            assert!(panics(|| queue.into_idle_context()));
            assert!(!exists(name), "a queue's context is left");

            let (idle, name) = context();
            let mut slots = ReactorSlot::array::<1>();
            let reactor = Reactor::<_, Local, _>::with_context(idle, &mut slots).batched();
            let mut leaked = Box::pin(reactor.push(read()));
            assert!(poll(leaked.as_mut(), Waker::noop()).is_none());
            std::mem::forget(leaked);
            panic_at("read", call);
            assert!(exists(name));
            assert!(panics(|| reactor.into_idle_context()));
            assert!(!exists(name), "a reactor's context is left");
        }
    });
}

/// The buffer is dropped even if the destructor of the data panics.
#[test]
fn into_buffer_leaks_no_buffer() {
    let (reader, _writer) = support::pipe();
    let op: Begun = Read::owned(Load::new("op", reader), Memory::new("op")).into();
    let before = ALIVE.get();
    during(
        Action::Panic,
        ("op", Call::DataDrop),
        || (),
        || {
            drop(op.into_buffer());
        },
    );
    assert_eq!(ALIVE.get(), before - 2);
}
