//! Tests of a queue in two halves.
#![cfg(all(feature = "std", any(target_os = "linux", target_os = "android")))]

#[path = "support/block.rs"]
mod block;
mod support;

use std::collections::HashSet;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use block::while_blocked;
use linux_aio::buffer::AlignedBuf;
use linux_aio::op::{Fsync, Poll, Read};
use linux_aio::opcode::PollMask;
use linux_aio::reactor::Shared;
use linux_aio::split::SplitQueue;
use linux_aio::{Completion, Errno, IdleContext, Queue, Slot, WaitOptions};
use support::inject::{fill, shared_context};
use support::{TempFile, eventfd, in_child, pattern, pipe};

type Plain<'q> = SplitQueue<'q, Vec<u8>, Shared, usize>;

/// Every wait ends by this time, so that a lost completion fails the test.
fn limit() -> WaitOptions<'static> {
    WaitOptions::new().timeout(Duration::from_secs(20))
}

const BLOCK: usize = 4096;

/// Reads `count` blocks with three submitting threads and one that reaps, and compares
/// each with the file.
fn reads(queue: Queue<'_, AlignedBuf, usize>, file: &File, content: &[u8], count: usize) {
    let mut split = SplitQueue::<_, Shared, _>::new(queue);
    let (submit, mut reap) = split.halves();
    let next = AtomicUsize::new(0);
    let blocks = content.len() / BLOCK;
    thread::scope(|scope| {
        for _ in 0..3 {
            let (submit, next) = (submit.clone(), &next);
            scope.spawn(move || {
                loop {
                    let number = next.fetch_add(1, SeqCst);
                    if number >= count {
                        return;
                    }
                    let buffer = AlignedBuf::zeroed(BLOCK, BLOCK).unwrap();
                    let offset = number % blocks * BLOCK;
                    let read = Read::new(file, buffer).offset(offset as u64).data(number);
                    let mut op = read.into();
                    while let Err(full) = submit.push(op) {
                        op = full.0;
                        submit.submit().unwrap();
                        thread::yield_now();
                    }
                    if number % 3 == 0 {
                        submit.submit().unwrap();
                    }
                }
            });
        }
        let mut seen = HashSet::new();
        let (mut tickets, mut taken) = (HashSet::new(), 0);
        while taken < count {
            // The last operations may be staged still.
            let done = reap.wait(WaitOptions::new().timeout(Duration::from_millis(50)));
            let Some(done) = done.unwrap() else {
                submit.submit().unwrap();
                continue;
            };
            assert_eq!(done.result, Ok(BLOCK));
            assert!(seen.insert(done.data) && tickets.insert(done.ticket));
            let from = done.data % blocks * BLOCK;
            assert_eq!(done.buffer.unwrap()[..], content[from..from + BLOCK]);
            taken += 1;
        }
        assert!(reap.pop().unwrap().is_none());
    });
    assert_eq!((submit.staged(), reap.in_flight()), (0, 0));
    assert_eq!(submit.free_slots(), submit.capacity());
}

#[test]
fn every_operation_of_three_threads_comes_back_once() {
    let content = pattern(16 * BLOCK);
    let file = TempFile::with(&content);
    let queue = Queue::with_capacity(8).unwrap();
    reads(queue, &file.direct(), &content, 1_000);
    let queue = Queue::with_capacity(64).unwrap();
    reads(queue, &file.file, &content, 5_000);
}

/// Without the mapped ring every completion is taken by a system call.
#[test]
fn an_unmapped_ring_is_reaped_by_system_calls() {
    let content = pattern(16 * BLOCK);
    let file = TempFile::with(&content);
    let mut slots = Slot::array::<16>();
    let context = IdleContext::new_unmapped(16).unwrap();
    reads(
        Queue::with_context(context, &mut slots),
        &file.file,
        &content,
        1_000,
    );
}

#[test]
fn the_other_half_goes_on_while_a_submission_blocks() {
    let content = pattern(512);
    let file = TempFile::with(&content);
    let (reader, writer) = pipe();
    let mut split = Plain::new(Queue::with_capacity(4).unwrap());
    let (submit, mut reap) = split.halves();
    submit.push(Read::new(&reader, vec![0; 1]).data(7)).unwrap();
    let submitted = while_blocked(
        || submit.submit(),
        &writer,
        || {
            for number in 0..100 {
                let read = Read::new(&file.file, vec![0; 512]).data(number);
                submit.push(read).unwrap();
                assert_eq!(submit.submit(), Ok(1));
                let done = reap.wait(limit()).unwrap().unwrap();
                assert_eq!((done.data, done.buffer.unwrap()), (number, content.clone()));
            }
            assert_eq!((reap.in_flight(), submit.free_slots()), (1, 3));
        },
    );
    assert_eq!(submitted, Ok(1));
    let done = reap.wait(limit()).unwrap().unwrap();
    assert_eq!((done.data, done.result), (7, Ok(1)));
}

/// The batch is refused after the kernel has taken a part that has completed meanwhile, and
/// whose slots hold other operations.
#[test]
fn a_refused_operation_stays_staged_in_its_place() {
    let content = pattern(8);
    let file = TempFile::with(&content);
    let (reader, writer) = pipe();
    let mut split = Plain::new(Queue::with_capacity(4).unwrap());
    let (submit, mut reap) = split.halves();
    submit
        .push(Read::new(&file.file, vec![0; 8]).data(0))
        .unwrap();
    submit.push(Read::new(&reader, vec![0; 1]).data(1)).unwrap();
    // A pipe cannot be synced.
    let refused = submit.push(Fsync::new(&reader).data(2)).unwrap();
    let last = submit
        .push(Read::new(&file.file, vec![0; 8]).data(3))
        .unwrap();
    let submitted = while_blocked(
        || submit.submit(),
        &writer,
        || {
            let done = reap.wait(limit()).unwrap().unwrap();
            assert_eq!(done.data, 0);
            // In the slot of the first, while its submission runs.
            submit
                .push(Read::new(&file.file, vec![0; 4]).data(4))
                .unwrap();
        },
    );
    let error = submitted.unwrap_err();
    assert_eq!((error.submitted, error.errno), (2, Errno::INVAL));
    assert_eq!(submit.staged(), 3);
    assert_eq!(submit.cancel(refused), Err(Errno::BUSY));
    assert_eq!(submit.cancel(last), Err(Errno::BUSY));
    assert_eq!(submit.unstage(), Some((refused, None, 2)));
    assert_eq!(submit.cancel(refused), Err(Errno::INVAL));
    assert_eq!(submit.submit(), Ok(2));
    let mut next = || reap.wait(limit()).unwrap().unwrap().data;
    assert_eq!([next(), next(), next()], [1, 3, 4]);
}

#[test]
fn a_wait_ends_by_completion_timeout_or_not_at_all() {
    let ready = eventfd();
    let mut split = Plain::new(Queue::with_capacity(2).unwrap());
    let (submit, mut reap) = split.halves();
    let short = WaitOptions::new().timeout(Duration::from_millis(5));
    assert_eq!(reap.wait(short), Ok(None));
    assert_eq!(reap.wait(WaitOptions::poll()), Ok(None));
    let poll = submit
        .push(Poll::new(&ready, PollMask::IN).data(1))
        .unwrap();
    assert_eq!(submit.submit(), Ok(1));
    assert_eq!(reap.wait(short), Ok(None));
    // A wait without a limit is ended by the other half.
    thread::scope(|scope| {
        let wait = scope.spawn(|| reap.wait(WaitOptions::new()));
        submit.cancel(poll).unwrap();
        let done = wait.join().unwrap().unwrap().unwrap();
        assert_eq!((done.ticket, done.data), (poll, 1));
    });
    assert_eq!(submit.cancel(poll), Err(Errno::INVAL));
}

/// The kernel does not know the poll yet, so the other thread has to try again.
#[test]
fn an_operation_that_is_being_submitted_can_be_cancelled_later() {
    let (reader, writer) = pipe();
    let (never, _open) = pipe();
    let mut split = Plain::new(Queue::with_capacity(2).unwrap());
    let (submit, mut reap) = split.halves();
    submit.push(Read::new(&reader, vec![0; 1]).data(1)).unwrap();
    let poll = Poll::new(&never, PollMask::IN).data(2);
    let poll = submit.push(poll).unwrap();
    let mut cancelled = Ok(());
    let submitted = while_blocked(
        || submit.submit(),
        &writer,
        || {
            cancelled = submit.cancel(poll);
            // In a forked child nothing will change.
            let in_child = in_child(|| i32::from(submit.cancel(poll) != Err(Errno::INVAL)));
            assert_eq!(in_child, 0);
        },
    );
    assert_eq!((cancelled, submitted), (Err(Errno::BUSY), Ok(2)));
    assert_eq!(submit.cancel(poll), Ok(()));
    let mut next = || reap.wait(limit()).unwrap().unwrap().data;
    assert_eq!([next(), next()], [1, 2]);
    assert_eq!(submit.cancel(poll), Err(Errno::INVAL));
}

/// A submitter outside the library has filled the context with operations that complete.
#[test]
fn foreign_events_do_not_end_a_wait_without_a_limit() {
    let (foreign, own) = (eventfd(), eventfd());
    let signal = |eventfd: &OwnedFd| {
        let mut file = File::from(eventfd.try_clone().unwrap());
        file.write_all(&1_u64.to_ne_bytes()).unwrap();
    };
    let (context, name) = shared_context(2);
    let mut slots = Slot::array::<2>();
    let mut split = Plain::new(Queue::with_context(context, &mut slots));
    let (submit, mut reap) = split.halves();
    submit.push(Poll::new(&own, PollMask::IN).data(7)).unwrap();
    assert_eq!(submit.submit(), Ok(1));
    assert_ne!(fill(name, &foreign), 0);
    thread::scope(|scope| {
        let wait = scope.spawn(|| reap.wait(WaitOptions::new()));
        thread::sleep(Duration::from_millis(20));
        signal(&foreign);
        thread::sleep(Duration::from_millis(20));
        signal(&own);
        let done = wait.join().unwrap().unwrap();
        assert_eq!(done.expect("a completion").data, 7);
    });
}

#[test]
fn the_last_owner_gets_the_queue_back() {
    let file = Arc::new(TempFile::with(&pattern(8)).file.try_clone().unwrap());
    let queue = Queue::<Vec<u8>, Arc<File>>::with_capacity(4).unwrap();
    let (submit, reap) = SplitQueue::<_, Shared, _>::new(queue).into_halves();
    let mut reap = reap.into_queue().unwrap_err();
    let submitter = thread::spawn(move || {
        submit.push(Read::owned(file, vec![0; 8])).unwrap();
        submit.submit().unwrap();
    });
    let done = reap.wait(limit()).unwrap().unwrap();
    assert_eq!(done.buffer.unwrap(), pattern(8));
    submitter.join().unwrap();
    let queue = reap.into_queue().unwrap();
    queue.into_idle_context().unwrap();
}

/// A forked child gets an error from each half, and takes nothing from its parent.
#[test]
fn a_forked_child_cannot_use_the_halves() {
    let content = pattern(8);
    let file = TempFile::with(&content);
    let mut split = Plain::new(Queue::with_capacity(4).unwrap());
    let (submit, mut reap) = split.halves();
    submit
        .push(Read::new(&file.file, vec![0; 8]).data(1))
        .unwrap();
    assert_eq!(submit.submit(), Ok(1));
    let code = in_child(|| {
        let taken = reap.wait(limit());
        let op = Read::new(&file.file, vec![0; 8]).data(2);
        let pushed = submit.push(op).is_ok();
        let submitted = submit.submit();
        let errno = submitted.map_err(|error| error.errno);
        i32::from(!(taken.err() == Some(Errno::INVAL) && pushed && errno == Err(Errno::INVAL)))
    });
    assert_eq!(code, 0);
    let done: Completion<_, _> = reap.wait(limit()).unwrap().unwrap();
    assert_eq!((done.data, done.buffer.unwrap()), (1, content));
}
