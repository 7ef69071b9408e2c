//! Tests of submissions that block: the reactor's lock is free meanwhile.
#![cfg(all(feature = "std", any(target_os = "linux", target_os = "android")))]

#[path = "support/block.rs"]
mod block;
#[path = "support/pause.rs"]
mod pause;
mod support;

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context as Task, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use block::while_blocked;
use linux_aio::op::{Fsync, Poll as PollOp, Read, Write};
use linux_aio::opcode::PollMask;
use linux_aio::reactor::{Reactor, Shared};
use linux_aio::{Errno, WaitOptions};
use pause::{Pause, Pausing};
use support::tasks::{is_readable, read_eventfd};
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

/// The turn goes on with the operations behind the refused one, and blocks. The refused
/// one's future must be notified by another turn.
#[test]
fn a_refusal_is_signalled_before_the_next_submission_blocks() {
    let (reader, writer) = pipe();
    let eventfd = eventfd();
    let reactor = Shares::with_capacity(4).unwrap();
    let reactor = reactor.eventfd(&eventfd).batched();
    let count = Arc::new(Count::default());
    // A pipe cannot be synced.
    let mut refused = pin!(reactor.fsync(&reader));
    assert!(poll(refused.as_mut(), &Waker::from(count.clone())).is_pending());
    let mut read = pin!(reactor.read(&reader, vec![0; 1], 0));
    assert!(poll(read.as_mut(), Waker::noop()).is_pending());
    assert_eq!(read_eventfd(&eventfd), 1);
    let mut signalled = false;
    while_blocked(
        || reactor.turn().unwrap(),
        &writer,
        || {
            signalled = is_readable(&eventfd, 0);
            reactor.turn().unwrap();
        },
    );
    assert!(signalled);
    assert_eq!(count.0.load(SeqCst), 1);
}

/// A thread that begins a read which blocks must not keep a signal for itself meanwhile.
#[test]
fn a_submission_that_blocks_holds_no_signal_back() {
    let (reader, writer) = pipe();
    let eventfd = eventfd();
    let reactor = Reactor::<Vec<u8>, Pausing>::with_capacity(3).unwrap();
    let reactor = reactor.eventfd(&eventfd);
    // Another thread's operation has just been refused, and its future has not taken it.
    let (pause, paused) = Pause::after(2);
    thread::scope(|scope| {
        let other = scope.spawn(|| {
            pause.here();
            poll(pin!(reactor.fsync(&reader)), Waker::noop()).is_ready()
        });
        assert!(paused.wait());
        let mut signalled = false;
        let read = while_blocked(
            || reactor.try_push(Read::new(&reader, vec![0; 1])),
            &writer,
            || {
                drop(paused);
                assert!(other.join().unwrap());
                // Refused, and not polled: only a turn can notify it.
                let refused = reactor.try_push(Fsync::new(&reader)).unwrap();
                signalled = is_readable(&eventfd, 0);
                drop(refused);
            },
        );
        assert!(signalled);
        assert!(poll(pin!(read.unwrap()), Waker::noop()).is_ready());
    });
}

/// Other threads begin operations as fast as the turn submits them.
#[test]
fn a_turn_submits_only_what_was_staged_before() {
    const ENDLESS: usize = 1_000;
    let file = TempFile::with(&pattern(8));
    let reactor = Reactor::<Vec<u8>, Pausing>::with_capacity(8)
        .unwrap()
        .batched();
    let read = || {
        let mut read = Box::pin(reactor.read(&file.file, vec![0; 8], 0));
        assert!(poll(read.as_mut(), Waker::noop()).is_pending());
        read
    };
    let (pause, paused) = Pause::after(0);
    thread::scope(|scope| {
        let turn = scope.spawn(|| {
            pause.here();
            reactor.turn().unwrap()
        });
        let (mut last, mut begun) = (read(), 1);
        while paused.wait() && begun < ENDLESS {
            if poll(last.as_mut(), Waker::noop()).is_ready() {
                last = read();
                begun += 1;
            }
            paused.resume();
        }
        drop(paused);
        turn.join().unwrap();
        assert!(begun < 5, "the turn has submitted {begun}");
    });
}
