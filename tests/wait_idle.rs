//! Tests of the wait for an idle reactor, which blocks no thread.
#![cfg(all(feature = "std", any(target_os = "linux", target_os = "android")))]

#[path = "support/pause.rs"]
mod pause;
mod support;

use std::future::Future;
use std::os::fd::{AsRawFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context as Task, Poll, Wake, Waker};
use std::time::Duration;

use linux_aio::WaitOptions;
use linux_aio::opcode::PollMask;
use linux_aio::reactor::{Reactor, Shared, WaitIdle};
use pause::{Pause, Pausing};
use support::tasks::is_readable;
use support::{TempFile, eventfd, pattern, pipe};

type Shares<'r> = Reactor<'r, Vec<u8>, Shared>;

/// Counts how often it is woken.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

fn counted() -> (Arc<Count>, Waker) {
    let count = Arc::new(Count::default());
    (count.clone(), Waker::from(count))
}

fn poll<F: Future>(future: Pin<&mut F>, waker: &Waker) -> Poll<F::Output> {
    future.poll(&mut Task::from_waker(waker))
}

fn signal(eventfd: &OwnedFd) {
    let one = 1_u64.to_ne_bytes();
    // SAFETY: write(2) reads eight bytes, the length of `one`.
    let written = unsafe { libc::write(eventfd.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    assert_eq!(written, 8);
}

#[test]
fn an_idle_reactor_is_ready_at_once() {
    let reactor = Shares::with_capacity(2).unwrap();
    assert!(poll(pin!(reactor.wait_idle()), Waker::noop()).is_ready());
}

/// The operations of dropped futures count too. Several tasks wait, and all are woken by
/// one turn.
#[test]
fn every_waiter_is_woken_once_nothing_is_in_flight() {
    let ready = eventfd();
    let eventfd = eventfd();
    let reactor = Shares::with_capacity(2).unwrap().eventfd(&eventfd);
    let mut first = Box::pin(reactor.poll(&ready, PollMask::IN));
    assert!(poll(first.as_mut(), Waker::noop()).is_pending());
    let mut second = Box::pin(reactor.poll(&ready, PollMask::IN));
    assert!(poll(second.as_mut(), Waker::noop()).is_pending());

    let wakers = [counted(), counted(), counted()];
    let mut waits: Vec<Pin<Box<WaitIdle<_>>>> = wakers
        .iter()
        .map(|_| Box::pin(reactor.wait_idle()))
        .collect();
    for (wait, (_, waker)) in waits.iter_mut().zip(&wakers) {
        assert!(poll(wait.as_mut(), waker).is_pending());
    }
    // One gives up.
    drop(waits.remove(1));
    drop(second);
    reactor.turn().unwrap();
    assert!(wakers.iter().all(|(count, _)| count.0.load(SeqCst) == 0));

    signal(&ready);
    let wait = WaitOptions::new().timeout(Duration::from_secs(20));
    while wakers[0].0.0.load(SeqCst) == 0 {
        reactor.wait_eventfd(wait).unwrap();
    }
    let woken = wakers.each_ref().map(|(count, _)| count.0.load(SeqCst));
    assert_eq!(woken, [1, 0, 1]);
    for wait in &mut waits {
        assert!(poll(wait.as_mut(), Waker::noop()).is_ready());
    }
    drop(waits);
    assert!(poll(first.as_mut(), Waker::noop()).is_ready());
    drop(first);
    reactor.into_idle_context().unwrap();
}

/// The future that ends the last operation without a turn wakes one waiter. The turn that
/// its staging requested wakes the others.
#[test]
fn an_operation_that_ends_without_an_event_wakes_the_waiters() {
    let file = TempFile::with(&pattern(8));
    let eventfd = eventfd();
    let mut reactor = Shares::with_capacity(2).unwrap().eventfd(&eventfd);
    reactor = reactor.batched();
    let mut read = Box::pin(reactor.read(&file.file, vec![0; 8], 0));
    assert!(poll(read.as_mut(), Waker::noop()).is_pending());
    let (count, waker) = counted();
    let (mut one, mut other) = (pin!(reactor.wait_idle()), pin!(reactor.wait_idle()));
    assert!(poll(one.as_mut(), &waker).is_pending());
    assert!(poll(other.as_mut(), &waker).is_pending());
    drop(read);
    assert_eq!(count.0.load(SeqCst), 1);
    let limit = WaitOptions::new().timeout(Duration::from_secs(20));
    reactor.wait_eventfd(limit).unwrap();
    assert_eq!(count.0.load(SeqCst), 2);
    assert!(poll(one.as_mut(), &waker).is_ready());
    assert!(poll(other.as_mut(), &waker).is_ready());
}

/// The operation is refused, and its own future takes it: no event and no turn follow.
#[test]
fn a_refusal_that_its_future_takes_wakes_every_waiter() {
    let (reader, _writer) = pipe();
    let eventfd = eventfd();
    let reactor = Reactor::<Vec<u8>, Pausing>::with_capacity(2).unwrap();
    let reactor = reactor.eventfd(&eventfd);
    let (pause, paused) = Pause::after(1);
    std::thread::scope(|scope| {
        let refused = scope.spawn(|| {
            pause.here();
            poll(pin!(reactor.fsync(&reader)), Waker::noop()).is_ready()
        });
        // The submission runs.
        assert!(paused.wait());
        let (count, waker) = counted();
        let (mut one, mut other) = (pin!(reactor.wait_idle()), pin!(reactor.wait_idle()));
        assert!(poll(one.as_mut(), &waker).is_pending());
        assert!(poll(other.as_mut(), &waker).is_pending());
        drop(paused);
        assert!(refused.join().unwrap());
        assert_eq!(count.0.load(SeqCst), 1);
        assert!(is_readable(&eventfd, 0));
        reactor.turn().unwrap();
        assert_eq!(count.0.load(SeqCst), 2);
    });
}

/// Panics when it is woken.
struct Bomb;

impl Wake for Bomb {
    fn wake(self: Arc<Self>) {
        panic!("woken");
    }
}

#[test]
fn a_waker_that_panics_keeps_no_other_waiter_asleep() {
    let ready = eventfd();
    let reactor = Shares::with_capacity(2).unwrap();
    let mut operation = pin!(reactor.poll(&ready, PollMask::IN));
    assert!(poll(operation.as_mut(), Waker::noop()).is_pending());
    let (count, waker) = counted();
    let (mut one, mut other) = (pin!(reactor.wait_idle()), pin!(reactor.wait_idle()));
    assert!(poll(one.as_mut(), &Waker::from(Arc::new(Bomb))).is_pending());
    assert!(poll(other.as_mut(), &waker).is_pending());
    signal(&ready);
    let mut panicked = false;
    while count.0.load(SeqCst) == 0 {
        let turn = catch_unwind(AssertUnwindSafe(|| reactor.turn()));
        panicked |= turn.is_err();
    }
    assert!(panicked);
    assert!(poll(one.as_mut(), Waker::noop()).is_ready());
    assert!(poll(other.as_mut(), Waker::noop()).is_ready());
}

/// A waiting future can be moved to another thread, and outlives what it waits for.
#[test]
fn a_waiter_is_woken_by_the_turn_of_another_thread() {
    let file = TempFile::with(&pattern(4096));
    let reactor = Shares::with_capacity(4).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for _ in 0..200 {
                    let mut read = pin!(reactor.read(&file.file, vec![0; 4096], 0));
                    while poll(read.as_mut(), Waker::noop()).is_pending() {
                        reactor.turn().unwrap();
                    }
                }
            });
        }
        scope.spawn(|| {
            for _ in 0..200 {
                let (_, waker) = counted();
                let mut wait = pin!(reactor.wait_idle());
                while poll(wait.as_mut(), &waker).is_pending() {
                    reactor.turn().unwrap();
                }
            }
        });
    });
    assert!(poll(pin!(reactor.wait_idle()), Waker::noop()).is_ready());
}

#[test]
fn the_memory_of_a_waiter_that_is_leaked_stays_in_place() {
    let ready = eventfd();
    let reactor = Shares::with_capacity(2).unwrap();
    let mut operation = pin!(reactor.poll(&ready, PollMask::IN));
    assert!(poll(operation.as_mut(), Waker::noop()).is_pending());
    let (count, waker) = counted();
    let mut wait = Box::pin(reactor.wait_idle());
    assert!(poll(wait.as_mut(), &waker).is_pending());
    std::mem::forget(wait);
    signal(&ready);
    while count.0.load(SeqCst) == 0 {
        reactor.turn().unwrap();
    }
}
