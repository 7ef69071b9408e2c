//! Tests of futures on a minimal executor.
#![cfg(all(feature = "std", any(target_os = "linux", target_os = "android")))]

mod support;

use std::fs::File;
use std::future::Future;
use std::io::Write as _;
use std::os::fd::{AsRawFd, OwnedFd};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context as Task, Poll, Wake, Waker};
use std::time::Instant;

use linux_aio::buffer::{IoBuf, IoBufMut};
use linux_aio::op::Read;
use linux_aio::opcode::PollMask;
use linux_aio::reactor::{Lock, Reactor, ReactorSlot, Shared};
use linux_aio::{Errno, WaitOptions};
use support::tasks::LONG;
use support::{TempFile, no_fd, pattern};

type Bytes = Box<[u8]>;

#[derive(Default)]
struct Counter(AtomicUsize);

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

fn poll<F: Future>(future: Pin<&mut F>, waker: &Waker) -> Option<F::Output> {
    match future.poll(&mut Task::from_waker(waker)) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

#[test]
fn more_futures_than_slots_all_finish() {
    let content = pattern(100 * 50);
    let file = TempFile::with(&content);
    let mut slots = ReactorSlot::array::<4>();
    let reactor = Reactor::<Bytes>::new(&mut slots).unwrap().batched();
    let counters: Vec<_> = (0..50).map(|_| Arc::new(Counter::default())).collect();
    let mut tasks: Vec<_> = (0..50)
        .map(|n| {
            Some(Box::pin(reactor.read(
                file.fd(),
                vec![0; 100].into(),
                n * 100,
            )))
        })
        .collect();
    let mut left = 50;
    let mut woken: Vec<usize> = (0..50).collect();
    while left > 0 {
        for &n in &woken {
            counters[n].0.store(0, SeqCst);
            let Some(task) = &mut tasks[n] else { continue };
            if let Some(done) = poll(task.as_mut(), &counters[n].clone().into()) {
                assert_eq!(done.result, Ok(100));
                assert!(done.buffer[..] == content[n * 100..][..100]);
                tasks[n] = None;
                left -= 1;
            }
        }
        reactor.wait(WaitOptions::new()).unwrap();
        // Only woken tasks are polled again: a lost wake-up makes the test hang.
        woken = (0..50)
            .filter(|&n| counters[n].0.load(SeqCst) > 0)
            .collect();
        assert!(!woken.is_empty() || left == 0, "no task was woken");
    }
}

/// More operations complete at once than one acquisition of the lock notifies. Notified
/// futures may be polled in any order, dropped, or leaked.
#[test]
fn each_completed_operation_is_notified_once() {
    let content = pattern(100 * 64);
    let file = TempFile::with(&content);
    let mut slots = ReactorSlot::array::<64>();
    let reactor = Reactor::<(Bytes, Arc<()>)>::new(&mut slots)
        .unwrap()
        .batched();
    let (counter, alive) = (Arc::new(Counter::default()), Arc::new(()));
    let waker = counter.clone().into();
    let mut tasks: Vec<_> = (0..64)
        .map(|n| {
            let buffer = (vec![0; 100].into(), alive.clone());
            Box::pin(reactor.read(file.fd(), buffer, n * 100))
        })
        .collect();
    for task in &mut tasks {
        assert!(poll(task.as_mut(), &waker).is_none());
    }
    let mut notified = 0;
    while notified < 64 {
        notified += reactor.wait(WaitOptions::new()).unwrap();
    }
    assert_eq!((notified, counter.0.load(SeqCst)), (64, 64));
    assert_eq!((reactor.turn(), counter.0.load(SeqCst)), (Ok(0), 64));

    drop(tasks.pop());
    std::mem::forget(tasks.pop());
    assert_eq!(Arc::strong_count(&alive), 64);
    for (n, task) in tasks.iter_mut().enumerate().rev() {
        let done = poll(task.as_mut(), &waker).unwrap();
        assert_eq!(done.result, Ok(100));
        assert!(done.buffer.0[..] == content[n * 100..][..100]);
    }
    assert_eq!(Arc::strong_count(&alive), 2);
    // There is nothing to wait for: notified operations are no longer in flight.
    assert_eq!(reactor.wait(WaitOptions::new()), Ok(0));
    drop(tasks);
    drop(reactor);
    assert_eq!(Arc::strong_count(&alive), 1);
}

/// Futures of std panic in the same way.
#[test]
#[should_panic(expected = "polled after it was ready")]
fn a_future_that_was_ready_panics_when_it_is_polled_again() {
    let file = TempFile::with(b"x");
    let mut slots = ReactorSlot::<Bytes>::array::<1>();
    let reactor = Reactor::<Bytes>::new(&mut slots).unwrap();
    let mut read = pin!(reactor.read(file.fd(), vec![0].into(), 0));
    while poll(read.as_mut(), Waker::noop()).is_none() {
        reactor.wait(WaitOptions::new()).unwrap();
    }
    poll(read, Waker::noop());
}

/// A future whose operation has completed or is staged is dropped without another poll:
/// the next waiter gets the slot.
#[test]
fn a_future_that_is_dropped_gives_its_slot_to_the_next() {
    let file = TempFile::with(b"x");
    for turn in [true, false] {
        let mut slots = ReactorSlot::<Bytes>::array::<1>();
        let reactor = Reactor::<Bytes>::new(&mut slots).unwrap().batched();
        let read = || Box::pin(reactor.read(file.fd(), vec![0].into(), 0));
        let (mut first, mut second) = (read(), read());
        assert!(poll(first.as_mut(), Waker::noop()).is_none());
        let counter = Arc::new(Counter::default());
        let waker = counter.clone().into();
        assert!(poll(second.as_mut(), &waker).is_none());
        if turn {
            reactor.wait(WaitOptions::new()).unwrap();
        }
        assert_eq!(counter.0.load(SeqCst), 0, "there is no slot");
        drop(first);
        assert_eq!(counter.0.load(SeqCst), 1);
        assert!(poll(second.as_mut(), &waker).is_none(), "it is staged");
        reactor.wait(WaitOptions::new()).unwrap();
        assert_eq!(poll(second.as_mut(), &waker).unwrap().result, Ok(1));
    }
}

/// Tests different numbers of completed operations in one turn.
/// The ring has an end, at which the completions of a turn continue at its start.
#[test]
fn one_turn_notifies_of_all_wherever_the_ring_ends() {
    const COUNT: usize = 24;
    let file = TempFile::with(&pattern(100));
    for wait in [false, true] {
        let mut slots = ReactorSlot::array::<COUNT>();
        let reactor = Reactor::<Bytes>::new(&mut slots).unwrap().batched();
        // A ring of 64 KiB pages has 2,047 entries.
        for round in 0..2 * 2047 / COUNT {
            let mut tasks: Vec<_> = (0..COUNT)
                .map(|_| Box::pin(reactor.read(file.fd(), vec![0; 100].into(), 0)))
                .collect();
            for task in &mut tasks {
                assert!(poll(task.as_mut(), Waker::noop()).is_none());
            }
            let notified = match wait {
                true => reactor.wait(WaitOptions::new()),
                false => reactor.turn(),
            };
            assert_eq!(notified, Ok(COUNT), "round {round}");
            for task in &mut tasks {
                assert_eq!(poll(task.as_mut(), Waker::noop()).unwrap().result, Ok(100));
            }
        }
    }
}

#[test]
fn one_turn_notifies_of_all_that_have_completed() {
    let file = TempFile::with(&pattern(100 * 64));
    for count in [1, 15, 16, 17, 31, 32, 33, 64] {
        let mut slots = ReactorSlot::array::<64>();
        let reactor = Reactor::<Bytes>::new(&mut slots).unwrap().batched();
        let counters: Vec<_> = (0..count).map(|_| Arc::new(Counter::default())).collect();
        let mut tasks: Vec<_> = (0..count)
            .map(|n| Box::pin(reactor.read(file.fd(), vec![0; 100].into(), n * 100)))
            .collect();
        for (task, counter) in tasks.iter_mut().zip(&counters) {
            assert!(poll(task.as_mut(), &counter.clone().into()).is_none());
        }
        // Buffered reads have completed when they are submitted.
        assert_eq!(reactor.turn(), Ok(count as usize));
        assert!(counters.iter().all(|counter| counter.0.load(SeqCst) == 1));
        assert_eq!(reactor.turn(), Ok(0));
        for task in &mut tasks {
            assert_eq!(poll(task.as_mut(), Waker::noop()).unwrap().result, Ok(100));
        }
    }
}

#[test]
fn an_eventfd_signals_when_to_turn() {
    let (reader, writer) = support::pipe();
    let eventfd = support::eventfd();
    let mut slots = ReactorSlot::array::<4>();
    let reactor = Reactor::<(), Shared>::new(&mut slots)
        .unwrap()
        .eventfd(&eventfd);
    let counter = Arc::new(Counter::default());
    let waker = counter.clone().into();
    let mut ready = pin!(reactor.poll(&reader, PollMask::IN));
    assert!(poll(ready.as_mut(), &waker).is_none());
    assert_eq!(reactor.turn(), Ok(0));
    std::fs::File::from(writer).write_all(b"x").unwrap();
    let mut count = [0_u8; 8];
    // SAFETY: at most eight bytes are written.
    let read = unsafe { libc::read(eventfd.as_raw_fd(), count.as_mut_ptr().cast(), 8) };
    assert_eq!((read, u64::from_ne_bytes(count)), (8, 1));
    assert_eq!(reactor.turn(), Ok(1));
    assert_eq!(counter.0.load(SeqCst), 1);
    let done = poll(ready.as_mut(), &waker).unwrap();
    assert!(PollMask::from_result(done.result.unwrap()).contains(PollMask::IN));
}

#[test]
fn a_dropped_future_cancels_its_poll_and_frees_its_slot_for_the_next() {
    let (reader, writer) = support::pipe();
    let mut slots = ReactorSlot::array::<1>();
    let reactor = Reactor::<()>::new(&mut slots).unwrap();
    let counter = Arc::new(Counter::default());
    let waker: Waker = counter.clone().into();
    let mut never = Box::pin(reactor.poll(&reader, PollMask::IN));
    assert!(poll(never.as_mut(), Waker::noop()).is_none());
    let mut first = Box::pin(reactor.poll(&writer, PollMask::OUT));
    let mut second = Box::pin(reactor.poll(&writer, PollMask::OUT));
    assert!(
        poll(first.as_mut(), Waker::noop()).is_none(),
        "no slot is free"
    );
    assert!(poll(second.as_mut(), &waker).is_none(), "no slot is free");
    drop(never);
    reactor.wait(WaitOptions::new()).unwrap();
    // The slot was offered to the first, which is dropped. The second gets it.
    drop(first);
    assert_eq!(counter.0.load(SeqCst), 1);
    assert!(poll(second.as_mut(), &waker).is_some());
    assert_eq!(reactor.in_flight(), 0);
}

const BLOCK: usize = 1 << 20;

/// A block of memory that is never freed. It counts its drops, and separately the drops
/// that come before the block was read.
struct Block {
    start: *mut u8,
    dropped: Arc<[AtomicUsize; 2]>,
}

impl Block {
    /// Returns whether the last byte has been read: the pattern has no zero byte.
    fn is_read(start: *mut u8) -> bool {
        // SAFETY: the byte is within the block. The kernel may be writing it, so it is
        // read as volatile memory.
        unsafe { start.add(BLOCK - 1).read_volatile() != 0 }
    }
}

// SAFETY: the blocks are disjoint and never freed; apart from this value, only
// `is_read` accesses them.
unsafe impl IoBuf for Block {
    fn region(&mut self) -> (*mut u8, usize) {
        (self.start, BLOCK)
    }
}
// SAFETY: the blocks are disjoint; apart from this value, only `is_read` accesses them.
unsafe impl IoBufMut for Block {}
// SAFETY: the value owns its block, which no other thread accesses.
unsafe impl Send for Block {}

impl Drop for Block {
    fn drop(&mut self) {
        self.dropped[0].fetch_add(1, SeqCst);
        let early = !Block::is_read(self.start);
        self.dropped[1].fetch_add(early.into(), SeqCst);
    }
}

/// Direct reads are in flight when their futures are dropped. The reactor drops each
/// buffer once, and not before its read has completed.
#[test]
fn a_dropped_read_keeps_its_buffer_until_it_has_completed() {
    const READS: usize = 8;
    let file = TempFile::with(&pattern(READS * BLOCK));
    let direct = file.direct();
    let memory: &'static mut [u8] = Box::leak(vec![0; READS * BLOCK + 4096].into());
    let shift = memory.as_ptr().align_offset(4096);
    let start = memory[shift..].as_mut_ptr();
    let dropped = Arc::new([0, 0].map(AtomicUsize::new));
    let counts = || [0, 1].map(|at: usize| dropped[at].load(SeqCst));
    // A fast disk may have read a block before its future is dropped.
    let mut in_flight = 0;
    for round in 1..=20 {
        // SAFETY: this is the memory of the blocks, and no operation is in flight.
        unsafe { start.write_bytes(0, READS * BLOCK) };
        let mut slots = ReactorSlot::array::<READS>();
        let reactor = Reactor::<Block, Shared>::new(&mut slots).unwrap();
        for number in 0..READS {
            let start = start.wrapping_add(number * BLOCK);
            let block = Block {
                start,
                dropped: dropped.clone(),
            };
            let offset = (number * BLOCK) as u64;
            let mut read = Box::pin(reactor.read(&direct, block, offset));
            let _ = poll(read.as_mut(), Waker::noop());
            drop(read);
            in_flight += usize::from(!Block::is_read(start));
        }
        while reactor.in_flight() > 0 {
            reactor.turn().unwrap();
            std::thread::yield_now();
        }
        assert_eq!(
            counts(),
            [round * READS, 0],
            "dropped once each, none early"
        );
        let idle = reactor.into_idle_context().unwrap();
        assert_eq!(idle.into_context().ring().pop(), Ok(None));
        if in_flight > 0 {
            return;
        }
    }
    panic!("no read was ever in flight: the test shows nothing");
}

#[test]
fn refusals_are_results_and_threads_may_share() {
    fn shareable<T: Send + Sync>(value: T) -> T {
        value
    }
    let mut slots = ReactorSlot::array::<2>();
    let reactor = shareable(Reactor::<Bytes, Shared>::new(&mut slots).unwrap());
    let mut bad = pin!(reactor.read(no_fd(), vec![0; 8].into(), 0));
    let done = poll(bad.as_mut(), Waker::noop()).unwrap();
    assert_eq!(done.result, Err(Errno::BADF));
    assert_eq!(done.buffer.len(), 8);
    let _ = <Shared as Lock>::NEW;
}

/// Threads poll, drop and turn on one reactor with fewer slots than futures.
/// (ThreadSanitizer checks the lists of waiters and slots here.)
#[test]
fn threads_share_a_reactor() {
    const THREADS: u64 = 4;
    let content = pattern(64 * 16);
    let file = TempFile::with(&content);
    let mut slots = ReactorSlot::array::<2>();
    let reactor = Reactor::<Bytes, Shared>::new(&mut slots).unwrap();
    std::thread::scope(|threads| {
        for thread in 0..THREADS {
            let (reactor, file, content) = (&reactor, &file, &content);
            threads.spawn(move || {
                let counter = Arc::new(Counter::default());
                let waker = counter.clone().into();
                for round in 0..100 {
                    let offset = (thread + THREADS * round) % 16 * 64;
                    let read = |_| Box::pin(reactor.read(file.fd(), vec![0; 64].into(), offset));
                    let [mut first, mut second] = [0, 1].map(read);
                    // The operation was started or is in the list of waiters, and is
                    // then dropped.
                    let _ = poll(first.as_mut(), &waker);
                    let polled = poll(second.as_mut(), &waker);
                    drop(first);
                    let done = polled.unwrap_or_else(|| {
                        loop {
                            reactor.turn().unwrap();
                            if let Some(done) = poll(second.as_mut(), &waker) {
                                break done;
                            }
                            std::thread::yield_now();
                        }
                    });
                    assert_eq!(done.result, Ok(64));
                    assert!(done.buffer[..] == content[offset as usize..][..64]);
                }
            });
        }
    });
    reactor.turn().unwrap();
    assert_eq!(reactor.in_flight(), 0);
}

/// An iocb can name one eventfd, which is the reactor's. The reactor signals the
/// operation's own eventfd when it finds the completion.
#[test]
fn an_operations_own_eventfd_is_signalled_as_well() {
    let count = |eventfd: &OwnedFd| {
        let mut count = [0_u8; 8];
        // SAFETY: at most eight bytes are written.
        let read = unsafe { libc::read(eventfd.as_raw_fd(), count.as_mut_ptr().cast(), 8) };
        (read == 8).then(|| u64::from_ne_bytes(count))
    };
    let file = TempFile::with(b"x");
    let (eventfd, own) = (support::eventfd(), support::eventfd());
    let mut slots = ReactorSlot::array::<2>();
    let reactor = Reactor::<Bytes>::new(&mut slots)
        .unwrap()
        .eventfd(&eventfd)
        .batched();
    let read = || Read::new(&file.file, Bytes::from([0])).eventfd(&own);
    let mut first = Box::pin(reactor.push(read()));
    let mut second = Box::pin(reactor.push(read()));
    assert!(poll(first.as_mut(), Waker::noop()).is_none());
    assert_eq!(count(&eventfd), Some(1), "it is staged");
    assert!(poll(second.as_mut(), Waker::noop()).is_none());
    assert_eq!((count(&eventfd), count(&own)), (None, None));
    assert_eq!(reactor.turn(), Ok(2));
    assert_eq!((count(&eventfd), count(&own)), (Some(2), Some(2)));
    for read in [&mut first, &mut second] {
        assert_eq!(poll(read.as_mut(), Waker::noop()).unwrap().result, Ok(1));
    }
    // Each is signalled once. A descriptor that is no eventfd, and the eventfd of an
    // operation that was never submitted, are not written to.
    let mut refused = Box::pin(reactor.push(read().eventfd(&file.file)));
    assert!(poll(refused.as_mut(), Waker::noop()).is_none());
    let mut dropped = Box::pin(reactor.push(read()));
    assert!(poll(dropped.as_mut(), Waker::noop()).is_none());
    drop(dropped);
    reactor.turn().unwrap();
    let done = poll(refused.as_mut(), Waker::noop()).unwrap();
    assert_eq!(done.result, Err(Errno::INVAL));
    assert_eq!(count(&own), None);
    assert_eq!(std::fs::read(&file.path).unwrap(), b"x");
}

/// A waker that lets another operation complete, and polls until its event is found.
struct Chain {
    reactor: &'static Reactor<'static, Bytes, Shared>,
    next: OwnedFd,
    /// The number of operations in flight when the event is found.
    in_flight: usize,
}

impl Wake for Chain {
    fn wake(self: Arc<Self>) {
        File::from(self.next.try_clone().unwrap())
            .write_all(b"x")
            .unwrap();
        let (never, writer) = support::pipe();
        let never: &'static OwnedFd = Box::leak(Box::new(never));
        // Polling an operation in flight polls for events, and takes them all.
        let mut other = Box::pin(self.reactor.poll(never, PollMask::IN));
        assert!(poll(other.as_mut(), Waker::noop()).is_none());
        let begin = Instant::now();
        while self.reactor.in_flight() > self.in_flight {
            assert!(poll(other.as_mut(), Waker::noop()).is_none());
            assert!(begin.elapsed() < LONG, "it is not found");
        }
        // Dropping them would cause one more completion: of a cancelled poll, or of a
        // pipe without a writer.
        core::mem::forget((other, writer));
    }
}

/// Two operations have completed when the turn begins, and the waker of the first one lets a
/// third complete.
#[test]
fn a_turn_wakes_two_that_had_completed_when_it_began() {
    let reactor: &'static Reactor<'static, Bytes, Shared> =
        Box::leak(Box::new(Reactor::with_capacity(4).unwrap()));
    let signal: &'static OwnedFd = Box::leak(Box::new(support::eventfd()));
    let [(first, to_first), (second, to_second), (third, to_third)] = [(); 3].map(|()| {
        let (reader, writer) = support::pipe();
        let reader: &'static OwnedFd = Box::leak(Box::new(reader));
        let op = linux_aio::op::Poll::new(reader, PollMask::IN).eventfd(signal);
        (Box::pin(reactor.push(op)), writer)
    });
    let chain = Arc::new(Chain {
        reactor,
        next: to_third,
        // This is the operation that the waker starts.
        in_flight: 1,
    });
    let counters = [(); 2].map(|()| Arc::new(Counter::default()));
    let mut futures = [first, second, third];
    let wakers = [
        chain.into(),
        counters[0].clone().into(),
        counters[1].clone().into(),
    ];
    for (future, waker) in futures.iter_mut().zip(&wakers) {
        assert!(poll(future.as_mut(), waker).is_none());
    }
    let mut signals = 0;
    for (writer, expected) in [(to_first, 1), (to_second, 2)] {
        File::from(writer).write_all(b"x").unwrap();
        while signals < expected {
            signals += support::tasks::await_eventfd(signal);
        }
    }
    let woken = || counters.each_ref().map(|counter| counter.0.load(SeqCst));
    assert_eq!((reactor.turn(), woken()), (Ok(2), [1, 0]));
    assert_eq!((reactor.turn(), woken()), (Ok(1), [1, 1]));
}

/// Otherwise wakers that start operations could keep a turn from returning.
#[test]
fn a_turn_wakes_what_had_completed_when_it_began() {
    let slots = Box::leak(Box::new(ReactorSlot::array::<4>()));
    let reactor: &'static Reactor<'static, Bytes, Shared> =
        Box::leak(Box::new(Reactor::new(slots).unwrap()));
    let (first_reader, first_writer) = support::pipe();
    let (second_reader, second_writer) = support::pipe();
    let [first_reader, second_reader] = [first_reader, second_reader]
        .map(|reader| -> &'static OwnedFd { Box::leak(Box::new(reader)) });
    let mut first = Box::pin(reactor.poll(first_reader, PollMask::IN));
    let mut second = Box::pin(reactor.poll(second_reader, PollMask::IN));
    let chain = Arc::new(Chain {
        reactor,
        next: second_writer,
        // This is the operation that the waker starts.
        in_flight: 1,
    });
    let counter = Arc::new(Counter::default());
    assert!(poll(first.as_mut(), &chain.into()).is_none());
    assert!(poll(second.as_mut(), &counter.clone().into()).is_none());
    File::from(first_writer).write_all(b"x").unwrap();
    let mut woken = 0;
    let begin = Instant::now();
    while woken == 0 {
        woken = reactor.turn().unwrap();
        assert!(begin.elapsed() < LONG, "it never completes");
    }
    assert_eq!((woken, counter.0.load(SeqCst)), (1, 0));
    assert_eq!(reactor.turn(), Ok(1));
    assert_eq!(counter.0.load(SeqCst), 1);
}
