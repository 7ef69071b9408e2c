//! Tests of submissions that block: the reactor's lock is free meanwhile.
#![cfg(all(feature = "std", any(target_os = "linux", target_os = "android")))]

#[path = "support/block.rs"]
mod block;
mod support;

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context as Task, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use block::while_blocked;
use linux_aio::op::{Fsync, Poll as PollOp, Read, Write};
use linux_aio::opcode::PollMask;
use linux_aio::reactor::{Reactor, Shared};
use linux_aio::{Errno, WaitOptions};
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

fn poll<F: Future>(future: Pin<&mut F>, waker: &Waker) -> Poll<F::Output> {
    future.poll(&mut Task::from_waker(waker))
}

#[test]
fn reads_turns_and_drops_go_on_while_a_pipe_read_blocks() {
    let content = pattern(512);
    let file = TempFile::with(&content);
    let (reader, writer) = pipe();
    let reactor = Shares::with_capacity(4).unwrap();
    let block = || {
        let mut read = pin!(reactor.read(&reader, vec![0; 1], 0));
        loop {
            if let Poll::Ready(done) = poll(read.as_mut(), Waker::noop()) {
                return done;
            }
            reactor.turn().unwrap();
        }
    };
    let done = while_blocked(block, &writer, || {
        assert_eq!(reactor.in_flight(), 1);
        assert_eq!(reactor.free_slots(), 3);
        for _ in 0..100 {
            let mut read = pin!(reactor.read(&file.file, vec![0; 512], 0));
            let done = loop {
                if let Poll::Ready(done) = poll(read.as_mut(), Waker::noop()) {
                    break done;
                }
                reactor.turn().unwrap();
            };
            assert_eq!(done.buffer, content);
            drop(reactor.try_push(Read::new(&file.file, vec![0; 4])).unwrap());
            let mut dropped = Box::pin(reactor.poll(&reader, PollMask::IN));
            assert!(poll(dropped.as_mut(), Waker::noop()).is_pending());
            drop(dropped);
        }
        while reactor.in_flight() > 1 {
            reactor.turn().unwrap();
        }
    });
    assert_eq!(done.result, Ok(1));
    assert_eq!(done.buffer, b"x");
    assert_eq!(reactor.in_flight(), 0);
}

/// A poll and a write are in the batch behind the read that blocks, and their futures are
/// dropped meanwhile. The poll must not stay in flight for ever.
#[test]
fn what_is_dropped_during_its_submission_ends() {
    let file = TempFile::with(&[]);
    let (reader, writer) = pipe();
    let (never, _open) = pipe();
    let reactor = Reactor::<Vec<u8>, Shared, Arc<()>>::with_capacity(4)
        .unwrap()
        .batched();
    let data = Arc::new(());
    let mut first = pin!(reactor.push(Read::new(&reader, vec![0; 1]).data(data.clone())));
    let ready = PollOp::new(&never, PollMask::IN).data(data.clone());
    let mut ready = Box::pin(reactor.push(ready));
    let write = Write::new(&file.file, b"written".to_vec()).data(data.clone());
    let mut write = Box::pin(reactor.push(write));
    assert!(poll(first.as_mut(), Waker::noop()).is_pending());
    assert!(poll(ready.as_mut(), Waker::noop()).is_pending());
    assert!(poll(write.as_mut(), Waker::noop()).is_pending());
    while_blocked(
        || reactor.turn().unwrap(),
        &writer,
        || {
            drop(ready);
            drop(write);
            assert_eq!(Arc::strong_count(&data), 4);
        },
    );
    let begin = Instant::now();
    while reactor.in_flight() > 0 {
        assert!(begin.elapsed() < Duration::from_secs(20), "the poll stays");
        reactor.turn().unwrap();
    }
    reactor.turn().unwrap();
    assert!(matches!(
        poll(first.as_mut(), Waker::noop()),
        Poll::Ready(done) if done.result == Ok(1)
    ));
    assert_eq!(Arc::strong_count(&data), 1);
    assert_eq!(std::fs::read(&file.path).unwrap(), b"written");
}

/// The operation behind the one that is refused is staged again. Its future was dropped
/// before: it is not submitted, and its data is dropped.
#[test]
fn what_was_dropped_is_not_submitted_after_a_refusal() {
    let file = TempFile::with(&[]);
    let (reader, writer) = pipe();
    let reactor = Reactor::<Vec<u8>, Shared, Arc<()>>::with_capacity(4)
        .unwrap()
        .batched();
    let data = Arc::new(());
    let count = Arc::new(Count::default());
    let waker = Waker::from(count.clone());
    let mut first = pin!(reactor.push(Read::new(&reader, vec![0; 1]).data(data.clone())));
    // A pipe cannot be synced.
    let mut refused = pin!(reactor.push(Fsync::new(&reader).data(data.clone())));
    let write = Write::new(&file.file, b"written".to_vec()).data(data.clone());
    let mut write = Box::pin(reactor.push(write));
    assert!(poll(first.as_mut(), Waker::noop()).is_pending());
    assert!(poll(refused.as_mut(), &waker).is_pending());
    assert!(poll(write.as_mut(), Waker::noop()).is_pending());
    let notified = while_blocked(|| reactor.turn().unwrap(), &writer, || drop(write));
    assert_eq!((notified, reactor.in_flight()), (3, 0));
    assert_eq!(count.0.load(SeqCst), 1);
    assert!(matches!(
        poll(refused.as_mut(), &waker),
        Poll::Ready(done) if done.result == Err(Errno::INVAL) && done.refused
    ));
    assert!(poll(first.as_mut(), Waker::noop()).is_ready());
    assert_eq!(Arc::strong_count(&data), 1);
    assert_eq!(std::fs::read(&file.path).unwrap(), b"");
}

/// The futures of one thread are woken by the other one's eventfd although the turn that
/// submits blocks.
#[test]
fn a_blocked_turn_keeps_no_completion_from_other_turns() {
    let content = pattern(64);
    let file = TempFile::with(&content);
    let (reader, writer) = pipe();
    let eventfd = eventfd();
    let reactor = Shares::with_capacity(8)
        .unwrap()
        .eventfd(&eventfd)
        .batched();
    let mut first = pin!(reactor.read(&reader, vec![0; 1], 0));
    assert!(poll(first.as_mut(), Waker::noop()).is_pending());
    while_blocked(
        || reactor.turn().unwrap(),
        &writer,
        || {
            for _ in 0..10 {
                let mut read = pin!(reactor.read(&file.file, vec![0; 64], 0));
                let done = loop {
                    if let Poll::Ready(done) = poll(read.as_mut(), Waker::noop()) {
                        break done;
                    }
                    let wait = WaitOptions::new().timeout(Duration::from_secs(20));
                    assert_ne!(reactor.wait_eventfd(wait), Ok(0), "no signal came");
                };
                assert_eq!(done.buffer, content);
            }
        },
    );
    assert!(poll(first.as_mut(), Waker::noop()).is_ready());
}
