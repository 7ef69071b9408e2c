//! Tests what a caller learns of an operation: whether it was refused or has failed,
//! whether a reactor is full, and when a future yields.
#![cfg(all(feature = "std", any(target_os = "linux", target_os = "android")))]

mod support;

use std::future::Future;
use std::task::{Context as Task, Poll, Waker};
use std::time::Instant;

use linux_aio::buffer::RawBuf;
use linux_aio::op::{Op, Poll as PollOp, Read};
use linux_aio::opcode::PollMask;
use linux_aio::reactor::Reactor;
use linux_aio::{Errno, Queue, ScopeSlot, WaitOptions, scope};
use support::tasks::{Counter, read_eventfd};
use support::{TempFile, no_fd};

type Bytes = Box<[u8]>;

/// After a refusal nothing has happened.
#[test]
fn a_refused_operation_is_no_failed_one() {
    let file = TempFile::with(b"x");
    let (reader, _writer) = support::pipe();
    let mut queue = Queue::<Bytes>::with_capacity(8).unwrap();
    // SAFETY: nothing is mapped at this address.
    let nowhere = unsafe { RawBuf::new(std::ptr::without_provenance_mut(1), 1) };
    let mut raw = Queue::<RawBuf<'_>>::with_capacity(1).unwrap();
    let never = queue.push(PollOp::new(&reader, PollMask::IN)).unwrap();
    let bad = queue.push(Read::new(no_fd(), vec![0; 1].into())).unwrap();
    let good = queue
        .push(Read::new(&file.file, vec![0; 1].into()))
        .unwrap();
    while queue.wait_with(2, WaitOptions::new()).unwrap() < 2 {}
    queue.cancel(never).unwrap();
    let staged = queue
        .push(Read::new(&file.file, vec![0; 1].into()))
        .unwrap();
    queue.cancel(staged).unwrap();
    let mut refused = Vec::new();
    while let Some(done) = queue.wait().unwrap() {
        assert!(!done.refused || done.result.is_err());
        if done.refused {
            refused.push((done.ticket, done.result));
        } else {
            assert!(done.ticket == good || done.ticket == never);
            assert!(done.result.is_ok());
        }
    }
    let expected = [(bad, Err(Errno::BADF)), (staged, Err(Errno::CANCELED))];
    assert_eq!(refused, expected);
    // The kernel accepts a bad address, and fails later.
    raw.push(Read::new(&file.file, nowhere)).unwrap();
    let done = raw.wait().unwrap().unwrap();
    assert_eq!((done.result, done.refused), (Err(Errno::FAULT), false));

    scope(&mut ScopeSlot::array::<2>(), |s| {
        let bad = s.fsync(no_fd()).unwrap().wait();
        assert_eq!((bad.result, bad.refused), (Err(Errno::BADF), true));
        let good = s.fsync(&file.file).unwrap().wait();
        assert_eq!((good.result, good.refused), (Ok(0), false));
    })
    .unwrap();
}

/// `try_push` begins the operation, or returns it as it was.
#[test]
fn a_reactor_that_is_full_returns_the_operation() {
    let file = TempFile::with(b"x");
    let (reader, _writer) = support::pipe();
    let (own, eventfd) = (support::eventfd(), support::eventfd());
    let reactor = Reactor::<Bytes>::with_capacity(1)
        .unwrap()
        .eventfd(&eventfd);
    let never = reactor
        .try_push(PollOp::new(&reader, PollMask::IN))
        .unwrap();
    assert_eq!(reactor.in_flight(), 1, "it has begun");
    let read = Read::new(&file.file, vec![7; 1].into()).eventfd(&own);
    let full = reactor.try_push(read).unwrap_err();
    drop(never);
    let start = Instant::now();
    let mut op = full.0;
    let mut read = loop {
        reactor.turn().unwrap();
        match reactor.try_push(op) {
            Ok(read) => break Box::pin(read),
            Err(full) => op = full.0,
        }
        assert!(start.elapsed().as_secs() < 60);
    };
    let task = &mut Task::from_waker(Waker::noop());
    let done = loop {
        if let Poll::Ready(done) = Future::poll(read.as_mut(), task) {
            break done;
        }
        reactor.turn().unwrap();
    };
    assert_eq!((done.result, &done.buffer.unwrap()[..]), (Ok(1), &b"x"[..]));
    assert_eq!(read_eventfd(&own), 1, "its own eventfd");
}

/// A task that reads cached data one read after the other returns to its executor.
#[test]
fn a_reactor_yields_after_its_budget() {
    let file = TempFile::with(b"x");
    for budget in [0, 1, 5] {
        let reactor = Reactor::<Bytes>::with_capacity(2).unwrap().budget(budget);
        let (counter, waker) = Counter::new();
        let task = &mut Task::from_waker(&waker);
        let mut ready = 0;
        let pending = loop {
            let mut read = Box::pin(reactor.read(&file.file, vec![0; 1].into(), 0));
            match Future::poll(read.as_mut(), task) {
                Poll::Ready(_) => ready += 1,
                Poll::Pending => break read,
            }
            assert!(ready <= budget);
        };
        assert_eq!((ready, counter.count()), (budget, 1), "woken at once");
        let mut pending = pending;
        let polled = Future::poll(pending.as_mut(), task);
        assert!(matches!(polled, Poll::Ready(done) if done.result == Ok(1)));
        // A turn renews it.
        reactor.turn().unwrap();
        let mut read = Box::pin(reactor.read(&file.file, vec![0; 1].into(), 0));
        let polled = Future::poll(read.as_mut(), task);
        assert_eq!(polled.is_ready(), budget > 0);
    }
}

/// An operation that has completed keeps its slot until its future is polled or dropped.
#[test]
fn a_completed_operation_keeps_its_slot() {
    let file = TempFile::with(b"x");
    let reactor = Reactor::<Bytes>::with_capacity(2).unwrap().batched();
    assert_eq!((reactor.capacity(), reactor.free_slots()), (2, 2));
    let task = &mut Task::from_waker(Waker::noop());
    let mut sync = Box::pin(reactor.fsync(&file.file));
    assert!(sync.as_mut().poll(task).is_pending());
    while reactor.in_flight() > 0 {
        reactor.wait(WaitOptions::new()).unwrap();
    }
    assert_eq!(reactor.free_slots(), 1);
    assert!(sync.as_mut().poll(task).is_ready());
    assert_eq!(reactor.free_slots(), 2);
}

/// Without a wait: refused operations are completions, and what is behind them is
/// submitted.
#[test]
fn a_queue_is_flushed() {
    let file = TempFile::with(b"x");
    let own = support::eventfd();
    let mut queue = Queue::<Bytes, u8>::with_capacity(3).unwrap();
    for number in 0..3 {
        let fd = if number == 1 { no_fd() } else { file.fd() };
        let op: Op<'_, Bytes> = Read::new(fd, vec![0; 1].into()).into();
        queue.push(op.eventfd(&own).data(number)).unwrap();
    }
    queue.flush();
    assert_eq!(queue.staged(), 0);
    let mut results = Vec::new();
    while let Some(done) = queue.wait().unwrap() {
        results.push((done.data, done.result, done.refused));
    }
    results.sort_by_key(|&(number, ..)| number);
    let expected = [
        (0, Ok(1), false),
        (1, Err(Errno::BADF), true),
        (2, Ok(1), false),
    ];
    assert_eq!(results, expected);
    assert_eq!(read_eventfd(&own), 2, "a refused operation signals none");
}

/// A leaked future keeps no slot from `try_push`: the slots that it has no claim to are
/// free at once, and its claim expires.
#[test]
fn a_leaked_future_does_not_fill_a_reactor() {
    let file = TempFile::with(b"x");
    let (reader, _writer) = support::pipe();
    let reactor = Reactor::<Bytes>::with_capacity(2).unwrap();
    let task = &mut Task::from_waker(Waker::noop());
    let mut held: Vec<_> = (0..2)
        .map(|_| Box::pin(reactor.poll(&reader, PollMask::IN)))
        .collect();
    for poll in &mut held {
        assert!(poll.as_mut().poll(task).is_pending());
    }
    let mut leaked = Box::pin(reactor.read(&file.file, vec![0; 1].into(), 0));
    assert!(leaked.as_mut().poll(task).is_pending());
    std::mem::forget(leaked);
    assert!(
        reactor
            .try_push(Read::new(&file.file, vec![0; 1].into()))
            .is_err()
    );
    drop(held);
    let start = Instant::now();
    while reactor.free_slots() < 2 {
        reactor.turn().unwrap();
        assert!(start.elapsed().as_secs() < 60);
    }
    // One slot is claimed by the leaked future, which was called; the other is free.
    let first = reactor.try_push(Read::new(&file.file, vec![0; 1].into()));
    assert!(first.is_ok());
    let mut attempts = 0;
    while reactor
        .try_push(Read::new(&file.file, vec![0; 1].into()))
        .is_err()
    {
        attempts += 1;
        assert!(attempts < 1000, "the claim never expires");
    }
}

/// A waker that panics where a future yields: the output is returned by the next poll.
#[test]
fn a_waker_that_panics_loses_no_output() {
    struct Panics;
    impl std::task::Wake for Panics {
        fn wake(self: std::sync::Arc<Self>) {
            panic!("a waker");
        }
    }
    let file = TempFile::with(b"x");
    let reactor = Reactor::<Bytes>::with_capacity(1).unwrap().budget(0);
    let waker = Waker::from(std::sync::Arc::new(Panics));
    let mut read = Box::pin(reactor.read(&file.file, vec![0; 1].into(), 0));
    let poll = std::panic::AssertUnwindSafe(|| {
        read.as_mut().poll(&mut Task::from_waker(&waker)).is_ready()
    });
    assert!(std::panic::catch_unwind(poll).is_err());
    let polled = read.as_mut().poll(&mut Task::from_waker(&waker));
    assert!(matches!(polled, Poll::Ready(done) if done.result == Ok(1)));
    assert_eq!(reactor.free_slots(), 1);
}
