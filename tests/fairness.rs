//! Tests that tasks that wait for a free slot get one in the order of their arrival,
//! with any executor and whatever happens to the tasks before them.
#![cfg(all(feature = "std", any(target_os = "linux", target_os = "android")))]

mod support;

use std::cell::Cell;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::Waker;
use std::time::Instant;

use linux_aio::WaitOptions;
use linux_aio::buffer::AlignedBox;
use linux_aio::op::{Fsync, Op, Poll, Read};
use linux_aio::opcode::PollMask;
use linux_aio::reactor::{Local, Lock, Reactor, ReactorSlot, Shared};
use support::TempFile;
use support::tasks::{
    Counter, Executor, LONG, Order, Patience, await_eventfd, is_readable, poll, read_eventfd,
    yield_now,
};

type Bytes = AlignedBox<4096>;
type Place = ReactorSlot<Bytes>;

/// The way in which the executor takes completions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Drive {
    /// It turns the reactor after every poll.
    Turn,
    /// It waits in a blocking call when no task is woken.
    Wait,
    /// It turns the reactor when the eventfd is readable, and only if no task is woken.
    Eventfd,
}

const DRIVES: [Drive; 3] = [Drive::Turn, Drive::Wait, Drive::Eventfd];

/// The operation that the tasks await.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A read that has completed when it is submitted.
    Read,
    /// A poll that has completed when it is submitted.
    Ready,
    /// A sync that completes later: a kernel thread does it, which may take some time.
    Later,
}

/// The files and descriptors of the operations.
struct Stage {
    file: TempFile,
    memory: OwnedFd,
    pipe: (OwnedFd, OwnedFd),
    eventfd: OwnedFd,
}

impl Stage {
    fn new() -> Stage {
        Stage {
            file: TempFile::with(&[7; 4096]),
            memory: support::memory_file(),
            pipe: support::pipe(),
            eventfd: support::eventfd(),
        }
    }

    /// Returns a reactor, which has an eventfd only if the executor waits for it.
    fn reactor<'r, L: Lock>(
        &'r self,
        slots: &'r mut [Place],
        (drive, batched): (Drive, bool),
    ) -> Reactor<'r, Bytes, L> {
        let mut reactor = Reactor::new(slots).unwrap();
        if drive == Drive::Eventfd {
            reactor = reactor.eventfd(&self.eventfd);
        }
        if batched { reactor.batched() } else { reactor }
    }

    fn op(&self, kind: Kind) -> Op<'_, Bytes> {
        let buffer = || AlignedBox::zeroed(4096).unwrap();
        match kind {
            Kind::Read => Read::new(&self.file.file, buffer()).into(),
            Kind::Ready => Poll::new(&self.pipe.1, PollMask::OUT).into(),
            Kind::Later => Fsync::new(&self.memory).into(),
        }
    }

    /// Returns an operation that never completes.
    fn never(&self) -> Op<'_, Bytes> {
        Poll::new(&self.pipe.0, PollMask::IN).into()
    }

    /// Polls the woken tasks until `left` returns 0.
    fn drive(
        &self,
        executor: &mut Executor<'_>,
        reactor: &Reactor<'_, Bytes>,
        drive: Drive,
        mut left: impl FnMut(&Executor<'_>) -> usize,
    ) {
        let mut patience = Patience::new();
        loop {
            match left(executor) {
                0 => break,
                left => patience.check(left),
            }
            let polled = executor.poll_one();
            match drive {
                Drive::Turn => drop(reactor.turn().unwrap()),
                _ if polled => {}
                Drive::Wait => drop(reactor.wait(WaitOptions::new()).unwrap()),
                Drive::Eventfd => {
                    await_eventfd(&self.eventfd);
                    reactor.turn().unwrap();
                }
            }
        }
    }
}

/// Turns the reactor until this waker has been woken.
fn turn_until_woken(reactor: &Reactor<'_, Bytes, impl Lock>, waker: &Counter) {
    let mut patience = Patience::new();
    while waker.count() == 0 {
        patience.check(1);
        reactor.turn().unwrap();
    }
}

/// Runs one operation after the other, for ever.
async fn repeat<'r, L: Lock>(
    reactor: &Reactor<'r, Bytes, L>,
    op: impl Fn() -> Op<'r, Bytes>,
    yields: bool,
    done: impl Fn(),
) {
    loop {
        reactor.push(op()).await.result.unwrap();
        done();
        if yields {
            yield_now().await;
        }
    }
}

/// Runs `tasks` looping tasks on `slots` slots until each of them has completed
/// `rounds` operations. `check` is called with the counts after each poll.
fn loop_tasks(
    (slots, tasks, rounds): (usize, usize, usize),
    (order, drive, kind, batched): (Order, Drive, Kind, bool),
    check: impl Fn(&[usize]),
) {
    // A task whose operations complete at their first poll would keep the executor.
    let yields = !batched && kind != Kind::Later;
    let stage = Stage::new();
    let mut slots: Vec<Place> = (0..slots).map(|_| Place::NEW).collect();
    let reactor = stage.reactor(&mut slots, (drive, batched));
    let counts: Vec<_> = (0..tasks).map(|_| Cell::new(0_usize)).collect();
    let mut executor = Executor::new(order);
    for count in &counts {
        let op = || stage.op(kind);
        let done = || count.set(count.get() + 1);
        executor.spawn(repeat(&reactor, op, yields, done));
    }
    stage.drive(&mut executor, &reactor, drive, |_| {
        let now: Vec<_> = counts.iter().map(Cell::get).collect();
        check(&now);
        missing(now, rounds)
    });
    drop(executor);
    // This takes tens of milliseconds less than dropping the context.
    let context = reactor.into_idle_context().unwrap().into_context();
    let _ = context.into_raw();
}

/// Returns the number of missing operations until each task has completed `rounds`.
fn missing(counts: impl IntoIterator<Item = usize>, rounds: usize) -> usize {
    let counts = counts.into_iter();
    counts.map(|count| rounds.saturating_sub(count)).sum()
}

fn every_case(mut case: impl FnMut((usize, usize), (Drive, Kind, bool))) {
    for (slots, tasks) in [(1, 2), (1, 5), (2, 3), (2, 8), (4, 5), (4, 9), (3, 20)] {
        for drive in DRIVES {
            for kind in [Kind::Read, Kind::Ready, Kind::Later] {
                for batched in [false, true] {
                    case((slots, tasks), (drive, kind, batched));
                }
            }
        }
    }
}

#[test]
fn tasks_of_a_fifo_executor_stay_within_a_round() {
    every_case(|(slots, tasks), (drive, kind, batched)| {
        let case = (Order::Fifo, drive, kind, batched);
        loop_tasks((slots, tasks, 20), case, |counts| {
            let (least, most) = (counts.iter().min(), counts.iter().max());
            let apart = most.unwrap() - least.unwrap();
            let limited = kind != Kind::Later;
            assert!(
                apart <= 1 || !limited,
                "{slots} slots, {case:?}: {counts:?}"
            );
        });
    });
}

#[test]
fn no_order_of_the_executor_starves_a_task() {
    for order in [Order::Lifo, Order::Random(1), Order::Random(2)] {
        every_case(|(slots, tasks), (drive, kind, batched)| {
            let case = (order, drive, kind, batched);
            let yields = !batched && kind != Kind::Later;
            if matches!(order, Order::Lifo) && (yields || drive == Drive::Turn) {
                // The most recently woken task monopolises the executor.
                return;
            }
            loop_tasks((slots, tasks, 5), case, |counts| {
                let most = *counts.iter().max().unwrap();
                let limited = kind != Kind::Later;
                assert!(
                    most < 1000 || !limited,
                    "{slots} slots, {case:?}: {counts:?}"
                );
            });
        });
    }
}

/// Three threads with four tasks each share four slots. Each thread turns the reactor
/// when no task is woken, or a fourth thread does so when the eventfd is readable.
#[test]
fn tasks_of_several_threads_all_get_on() {
    const THREADS: usize = 3;
    const TASKS: usize = 4;
    for kind in [Kind::Read, Kind::Ready, Kind::Later] {
        for (batched, by_eventfd) in [(false, false), (true, false), (false, true), (true, true)] {
            let stage = Stage::new();
            let mut slots: Vec<Place> = (0..4).map(|_| Place::NEW).collect();
            let drive = if by_eventfd {
                Drive::Eventfd
            } else {
                Drive::Turn
            };
            let reactor = stage.reactor::<Shared>(&mut slots, (drive, batched));
            let (stage, reactor) = (&stage, &reactor);
            let counts: Vec<_> = (0..THREADS * TASKS).map(|_| AtomicUsize::new(0)).collect();
            let missing = || missing(counts.iter().map(|count| count.load(SeqCst)), 30);
            let is_completed = || missing() == 0;
            std::thread::scope(|threads| {
                if by_eventfd {
                    threads.spawn(|| {
                        let mut patience = Patience::new();
                        while !is_completed() {
                            patience.check(missing());
                            if is_readable(&stage.eventfd, 10) {
                                read_eventfd(&stage.eventfd);
                                reactor.turn().unwrap();
                            }
                        }
                    });
                }
                for counts in counts.chunks(TASKS) {
                    threads.spawn(move || {
                        let mut executor = Executor::new(Order::Fifo);
                        for count in counts {
                            let done = || _ = count.fetch_add(1, SeqCst);
                            executor.spawn(repeat(reactor, || stage.op(kind), true, done));
                        }
                        let mut patience = Patience::new();
                        while !is_completed() {
                            patience.check(missing());
                            if executor.poll_one() {
                                continue;
                            }
                            if !by_eventfd {
                                reactor.turn().unwrap();
                            }
                            std::thread::yield_now();
                        }
                    });
                }
            });
        }
    }
}

/// The behaviour of a waiter that does not take its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It is leaked before its slot is free.
    LeakedWaiting,
    /// It is leaked when it was woken for its slot.
    LeakedCalled,
    /// It is not polled until all other tasks have finished.
    Late,
}

/// Polls that never complete occupy all slots, one or two. Other tasks wait before and
/// behind waiters that never take the slots assigned to them.
#[test]
fn the_slot_of_a_waiter_that_does_not_come_goes_to_the_next() {
    for fate in [Fate::LeakedWaiting, Fate::LeakedCalled, Fate::Late] {
        for (slots, absent, drive) in [1, 2]
            .into_iter()
            .flat_map(|slots| [1, 2, 5].map(|absent| (slots, absent)))
            .flat_map(|(slots, absent)| DRIVES.map(|drive| (slots, absent, drive)))
        {
            for batched in [false, true] {
                pass_slots_on((slots, absent), fate, drive, batched);
            }
        }
    }
}

fn pass_slots_on((slots, absent): (usize, usize), fate: Fate, drive: Drive, batched: bool) {
    let stage = Stage::new();
    let mut slots: Vec<Place> = (0..slots).map(|_| Place::NEW).collect();
    let count = slots.len();
    let reactor = stage.reactor(&mut slots, (drive, batched));
    let mut holders: Vec<_> = (0..count)
        .map(|_| {
            let mut never = Box::pin(reactor.push(stage.never()));
            assert!(poll(never.as_mut(), Waker::noop()).is_none());
            never
        })
        .collect();
    let mut absent: Vec<_> = (0..absent)
        .map(|_| {
            let (counter, waker) = Counter::new();
            let mut waiter = Box::pin(reactor.push(stage.op(Kind::Read)));
            assert!(poll(waiter.as_mut(), &waker).is_none());
            (waiter, counter)
        })
        .collect();
    if fate == Fate::LeakedWaiting {
        absent.drain(..).for_each(std::mem::forget);
    }
    let mut executor = Executor::new(Order::Fifo);
    for _ in 0..3 {
        executor.spawn(async {
            for _ in 0..3 {
                let done = reactor.push(stage.op(Kind::Read)).await;
                assert_eq!(done.result, Ok(4096));
            }
        });
    }
    // These wait behind the absent waiters.
    while executor.poll_one() {}
    assert_eq!(executor.left(), 3);
    drop(holders.pop());
    stage.drive(&mut executor, &reactor, drive, |executor| {
        if fate == Fate::LeakedCalled {
            let is_called = |(_, counter): &(_, Arc<Counter>)| counter.count() > 0;
            while let Some(called) = absent.iter().position(is_called) {
                std::mem::forget(absent.remove(called));
            }
        }
        executor.left()
    });
    // A free slot remains for these.
    for (mut waiter, _) in absent {
        let deadline = Instant::now() + LONG;
        loop {
            if let Some(done) = poll(waiter.as_mut(), Waker::noop()) {
                assert_eq!(done.result, Ok(4096));
                break;
            }
            reactor.turn().unwrap();
            assert!(Instant::now() < deadline, "a late waiter has no slot");
        }
    }
    drop(executor);
    drop(holders);
    let context = reactor.into_idle_context().unwrap().into_context();
    let _ = context.into_raw();
}

/// If a waiter is dropped after it was woken for its slot, the next waiter is woken
/// immediately, without a turn in between.
#[test]
fn a_called_waiter_that_is_dropped_passes_its_slot_on_at_once() {
    let stage = Stage::new();
    let mut slots = [Place::NEW; 1];
    let reactor = stage.reactor::<Shared>(&mut slots, (Drive::Eventfd, false));
    let mut holder = Box::pin(reactor.push(stage.never()));
    assert!(poll(holder.as_mut(), Waker::noop()).is_none());
    let mut waiters: Vec<_> = (0..10)
        .map(|_| {
            let (counter, waker) = Counter::new();
            let mut waiter = Box::pin(reactor.push(stage.op(Kind::Read)));
            assert!(poll(waiter.as_mut(), &waker).is_none());
            (Some(waiter), counter)
        })
        .collect();
    drop(holder);
    turn_until_woken(&reactor, &waiters[0].1);
    // A waiter that was dropped while it waited is skipped.
    waiters[5].0 = None;
    for number in [0, 1, 2, 3, 4, 6, 7, 8] {
        let woken: Vec<_> = waiters.iter().map(|(_, counter)| counter.count()).collect();
        let right: Vec<_> = (0..10)
            .map(|other| usize::from(other <= number && other != 5))
            .collect();
        assert_eq!(woken, right);
        waiters[number].0 = None;
    }
    let (last, counter) = &mut waiters[9];
    assert_eq!(counter.count(), 1);
    let last = last.as_mut().unwrap();
    assert_eq!(poll(last.as_mut(), Waker::noop()).unwrap().result, Ok(4096));
}

/// A waiter that is polled too late for its slot keeps its position: it gets the next
/// slot.
#[test]
fn a_late_waiter_is_before_those_that_came_later() {
    let stage = Stage::new();
    let mut slots = [Place::NEW; 1];
    let reactor = stage.reactor::<Shared>(&mut slots, (Drive::Eventfd, false));
    let wait_for_slot = |op| {
        let (counter, waker) = Counter::new();
        let mut waiter = Box::pin(reactor.push(op));
        assert!(poll(waiter.as_mut(), &waker).is_none());
        (waiter, counter, waker)
    };
    let (holder, ..) = wait_for_slot(stage.never());
    let (mut late, late_count, waker) = wait_for_slot(stage.op(Kind::Read));
    let (mut second, second_count, _) = wait_for_slot(stage.never());
    let (mut third, third_count, _) = wait_for_slot(stage.op(Kind::Read));
    drop(holder);
    turn_until_woken(&reactor, &second_count);
    assert_eq!((late_count.count(), third_count.count()), (1, 0));
    assert!(poll(second.as_mut(), Waker::noop()).is_none());
    // It is polled now, and its slot is taken.
    assert!(poll(late.as_mut(), &waker).is_none());
    // A new waiter does not precede those that already wait.
    let (_new, new_count, _) = wait_for_slot(stage.op(Kind::Read));
    drop(second);
    while late_count.count() == 1 {
        reactor.turn().unwrap();
    }
    assert_eq!((third_count.count(), new_count.count()), (0, 0));
    assert_eq!(poll(late.as_mut(), Waker::noop()).unwrap().result, Ok(4096));
    assert_eq!((third_count.count(), new_count.count()), (1, 0));
    assert_eq!(
        poll(third.as_mut(), Waker::noop()).unwrap().result,
        Ok(4096)
    );
    assert_eq!(new_count.count(), 1);
}

/// Two slots become free at once. The first waiter is leaked. The second takes a slot
/// for an operation that never completes. The third gets the other slot, although no
/// further operation completes.
#[test]
fn a_claim_that_is_void_leaves_its_slot_to_the_next() {
    for leaked in [1, 2] {
        let stage = Stage::new();
        let mut slots: Vec<Place> = (0..=leaked).map(|_| Place::NEW).collect();
        let reactor = stage.reactor::<Shared>(&mut slots, (Drive::Eventfd, false));
        let start = |op| {
            let (counter, waker) = Counter::new();
            let mut waiter = Box::pin(reactor.push(op));
            assert!(poll(waiter.as_mut(), &waker).is_none());
            (waiter, counter)
        };
        let holders: Vec<_> = (0..=leaked).map(|_| start(stage.never())).collect();
        for _ in 0..leaked {
            std::mem::forget(start(stage.op(Kind::Read)));
        }
        let (mut second, second_count) = start(stage.never());
        let (mut third, third_count) = start(stage.op(Kind::Read));
        drop(holders);
        while second_count.count() == 0 {
            await_eventfd(&stage.eventfd);
            reactor.turn().unwrap();
        }
        assert!(poll(second.as_mut(), Waker::noop()).is_none());
        while third_count.count() == 0 {
            await_eventfd(&stage.eventfd);
            reactor.turn().unwrap();
        }
        let done = poll(third.as_mut(), Waker::noop()).unwrap();
        assert_eq!(done.result, Ok(4096));
    }
}

/// A leaked waiter delays all waiters behind it once, rather than once each.
#[test]
fn a_leaked_waiter_delays_once() {
    let stage = Stage::new();
    let mut slots = [Place::NEW; 1];
    let reactor = stage.reactor::<Shared>(&mut slots, (Drive::Eventfd, false));
    let start = |op| {
        let (counter, waker) = Counter::new();
        let mut waiter = Box::pin(reactor.push(op));
        assert!(poll(waiter.as_mut(), &waker).is_none());
        (waiter, counter)
    };
    let (holder, _) = start(stage.never());
    std::mem::forget(start(stage.op(Kind::Read)));
    let mut waiters: Vec<_> = (0..5).map(|_| start(stage.op(Kind::Read))).collect();
    drop(holder);
    turn_until_woken(&reactor, &waiters[0].1);
    for (number, (waiter, counter)) in waiters.iter_mut().enumerate() {
        assert_eq!(counter.count(), 1, "{number} waits for a turn");
        assert!(poll(waiter.as_mut(), Waker::noop()).is_some());
    }
}

/// What voids the claims of waiters that were called and never polled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Void {
    /// The first poll of a future, after hundreds of polls of others.
    Arrival,
    /// An operation that does not wait for a slot, after as many polls.
    TryPush,
    /// A waiter that was called after them and takes one of the slots.
    LaterClaim,
}

/// A slot is free and nothing has a claim to it any more, so its next waiter is to be called.
/// Nothing completes. A wait calls that waiter, and does not block.
#[test]
fn a_wait_does_not_block_while_a_free_slot_is_unclaimed() {
    for void in [Void::Arrival, Void::TryPush, Void::LaterClaim] {
        let stage = Stage::new();
        let mut slots = [Place::NEW; 3];
        let leaked = if void == Void::LaterClaim { 2 } else { 1 };
        let reactor = stage.reactor::<Local>(&mut slots[..=leaked], (Drive::Wait, false));
        let start = |op| {
            let (counter, waker) = Counter::new();
            let mut waiter = Box::pin(reactor.push(op));
            assert!(poll(waiter.as_mut(), &waker).is_none());
            (waiter, counter)
        };
        let wait = || reactor.wait(WaitOptions::new().timeout(LONG)).unwrap();
        let mut holders: Vec<_> = (0..=leaked).map(|_| start(stage.never())).collect();
        for _ in 0..leaked {
            std::mem::forget(start(stage.op(Kind::Read)));
        }
        let (mut second, second_count) = start(stage.never());
        let (_third, third_count) = start(stage.op(Kind::Read));
        // One poll stays in flight, so a wait has something to wait for.
        holders.truncate(1);
        let (holder, _) = &mut holders[0];
        let next = if void == Void::LaterClaim {
            while second_count.count() == 0 {
                wait();
            }
            assert!(poll(second.as_mut(), Waker::noop()).is_none());
            third_count
        } else {
            while reactor.free_slots() == 0 {
                wait();
            }
            for _ in 0..1000 {
                assert!(poll(holder.as_mut(), Waker::noop()).is_none());
            }
            if void == Void::Arrival {
                std::mem::forget(start(stage.op(Kind::Read)));
            } else {
                assert!(reactor.try_push(stage.op(Kind::Read)).is_err());
            }
            second_count
        };
        assert_eq!((reactor.free_slots(), next.count()), (1, 0), "{void:?}");
        assert!(reactor.needs_turn(), "{void:?}");
        let start = Instant::now();
        wait();
        assert!(start.elapsed() < LONG / 2, "{void:?}: the wait has blocked");
        assert_eq!(next.count(), 1, "{void:?}");
    }
}
