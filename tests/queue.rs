//! Tests of queues, whose operations own their buffers.
#![cfg(all(feature = "alloc", any(target_os = "linux", target_os = "android")))]

mod support;

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use linux_aio::buffer::{IoBuf, IoBufMut, Vectored};
use linux_aio::op::{Fsync, Poll, Read, Write};
use linux_aio::opcode::{self, PollMask};
use linux_aio::{Completion, Context, Errno, IdleContext, Queue, SigSet, Slot, WaitOptions, sys};
use support::{TempFile, fd, no_fd, pattern};

type Bytes = Box<[u8]>;

fn zeroed(len: usize) -> Bytes {
    vec![0; len].into()
}

/// A buffer that counts its drop.
struct CountedBuffer(Bytes, &'static AtomicUsize);

impl Drop for CountedBuffer {
    fn drop(&mut self) {
        self.1.fetch_add(1, SeqCst);
    }
}

// SAFETY: the memory is that of the box, which keeps the promise of `IoBuf`.
unsafe impl IoBuf for CountedBuffer {
    fn region(&mut self) -> (*mut u8, usize) {
        self.0.region()
    }
}
// SAFETY: the memory is that of the box, which keeps the promise of `IoBufMut`.
unsafe impl IoBufMut for CountedBuffer {}

fn counter() -> &'static AtomicUsize {
    Box::leak(Box::new(AtomicUsize::new(0)))
}

#[test]
fn every_operation_comes_back_once_with_its_buffer() {
    let content = pattern(64 * 100);
    let file = TempFile::with(&content);
    let mut slots = Slot::<(Bytes, usize)>::array::<16>();
    let mut queue = Queue::new(&mut slots).unwrap();
    let mut seen = vec![0; 64];
    let mut next = 0;
    while next < 64 || queue.in_flight() > 0 {
        while next < 64 {
            let read = Read::new(file.fd(), (zeroed(100), next));
            match queue.push(read.offset(next as u64 * 100)) {
                Ok(_) => next += 1,
                Err(full) => {
                    let (_, number) = full.0.into_buffer().unwrap();
                    assert_eq!(number, next, "the operation comes back");
                    break;
                }
            }
        }
        queue.submit().unwrap();
        while let Some(done) = queue.pop().unwrap() {
            let (buffer, number) = done.buffer.unwrap();
            assert_eq!(done.result, Ok(100));
            assert!(buffer[..] == content[number * 100..][..100]);
            seen[number] += 1;
        }
    }
    assert!(seen.iter().all(|&times| times == 1));
}

#[test]
fn a_batch_that_is_partly_taken_stays_in_order() {
    let file = TempFile::with(&[1, 2, 3]);
    let mut slots = Slot::<Bytes>::array::<64>();
    let mut queue = Queue::new(&mut slots).unwrap();
    // More operations than one system call submits come before the bad one.
    let tickets: Vec<_> = (0..50)
        .map(|n| {
            let fd = if n == 40 { no_fd() } else { file.fd() };
            queue.push(Read::new(fd, zeroed(3))).unwrap()
        })
        .collect();
    let error = queue.submit().unwrap_err();
    assert_eq!((error.submitted, error.errno), (40, Errno::BADF));
    assert_eq!((queue.staged(), queue.in_flight()), (10, 40));
    let (ticket, buffer, ()) = queue.unstage().unwrap();
    assert_eq!((ticket, buffer.unwrap().len()), (tickets[40], 3));
    assert!(queue.is_staged(tickets[41]));
    assert!(!queue.is_staged(tickets[0]));
    assert_eq!(queue.submit(), Ok(9));
    assert_eq!(queue.unstage(), None);
    let mut completed = Vec::new();
    while let Some(done) = queue.wait().unwrap() {
        assert_eq!(done.buffer.as_deref(), Some(&[1, 2, 3][..]));
        completed.push(done.ticket);
    }
    let expected: Vec<_> = tickets.iter().copied().filter(|&t| t != ticket).collect();
    assert_eq!(completed, expected);
}

#[test]
fn a_ticket_never_names_a_later_operation() {
    let (reader, writer) = support::pipe();
    let mut slots = Slot::<()>::array::<1>();
    let mut queue = Queue::new(&mut slots).unwrap();
    let mut old = Vec::new();
    for _ in 0..10 {
        let ready = Poll::new(fd(&writer), PollMask::OUT);
        let ticket = queue.push(ready).unwrap();
        queue.submit().unwrap();
        let done = queue.wait().unwrap().unwrap();
        assert_eq!(done.ticket, ticket);
        old.push(ticket);
    }
    let never = queue.push(Poll::new(fd(&reader), PollMask::IN)).unwrap();
    queue.submit().unwrap();
    for ticket in old {
        assert!(!queue.contains(ticket));
        assert_eq!(queue.cancel(ticket), Err(Errno::INVAL));
    }
    assert_eq!(queue.in_flight(), 1, "the operation of today is untouched");
    assert_eq!(queue.cancel(never), Ok(()));
    let done = queue.wait().unwrap().unwrap();
    assert_eq!((done.ticket, done.result), (never, Ok(0)));
}

#[test]
fn staged_operations_are_cancelled_in_the_queue() {
    let file = TempFile::with(b"x");
    let mut slots = Slot::<Bytes>::array::<4>();
    let mut queue = Queue::new(&mut slots).unwrap();
    let tickets = [0; 3].map(|_| queue.push(Read::new(file.fd(), zeroed(1))).unwrap());
    assert_eq!(queue.cancel(tickets[1]), Ok(()));
    let done = queue.wait().unwrap().unwrap();
    assert_eq!(
        (done.ticket, done.result),
        (tickets[1], Err(Errno::CANCELED))
    );
    assert!(done.buffer.is_some());
    assert_eq!(queue.submit(), Ok(2));
}

/// Tests that the order of operations holds whatever is staged, cancelled, unstaged and
/// freed in between, as staged and free slots share their links. Buffered reads
/// complete inside the submission, in order, so the expected order of all completions
/// is known.
#[test]
fn the_order_is_kept_across_random_calls() {
    const SLOTS: usize = 7;
    let file = TempFile::with(&pattern(64));
    let mut slots = Slot::<(Bytes, usize)>::array::<SLOTS>();
    let mut queue = Queue::new(&mut slots).unwrap();
    // The expected order: first the cancelled operations and those that the queue had
    // already found to have completed, then the other completed ones.
    let mut staged = Vec::new();
    let (mut done_first, mut completed) = (VecDeque::new(), VecDeque::new());
    let (mut next, mut random) = (0, 1_u64);
    let mut done = [0; 6];
    for _ in 0..20_000 {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let action = (random >> 33) as usize;
        let number = |buffer: Option<(Bytes, usize)>| buffer.unwrap().1;
        match action % 9 {
            0..4 => match queue.push(Read::new(file.fd(), (zeroed(8), next))) {
                Ok(ticket) => {
                    staged.push((ticket, next));
                    next += 1;
                    done[0] += 1;
                }
                Err(_) => {
                    let taken = staged.len() + done_first.len() + completed.len();
                    assert_eq!(taken, SLOTS, "full only if it is");
                }
            },
            4 if !staged.is_empty() => {
                let (ticket, number) = staged.remove(action / 9 % staged.len());
                queue.cancel(ticket).unwrap();
                let found = completed.len() - queue.in_flight();
                done_first.extend(completed.drain(..found));
                done_first.push_back(number);
                done[5] += found;
                done[1] += 1;
            }
            5 => match queue.unstage() {
                Some((ticket, buffer, ())) => {
                    assert_eq!((ticket, number(buffer)), staged.remove(0));
                    done[2] += 1;
                }
                None => assert!(staged.is_empty()),
            },
            6 => {
                assert_eq!(queue.submit(), Ok(staged.len()));
                completed.extend(staged.drain(..).map(|(_, number)| number));
                done[3] += 1;
            }
            _ => {
                let expected = done_first.pop_front().or_else(|| completed.pop_front());
                let popped = queue.pop().unwrap();
                assert_eq!(popped.map(|done| number(done.buffer)), expected);
                done[4] += 1;
            }
        }
        assert_eq!(queue.staged(), staged.len());
        assert_eq!(queue.in_flight(), completed.len());
        for &(ticket, _) in &staged {
            assert!(queue.is_staged(ticket));
        }
    }
    assert!(done.iter().all(|&times| times > 500), "{done:?}");
}

#[test]
fn waiting_is_bounded_by_what_is_in_flight_and_by_time() {
    let (reader, writer) = support::pipe();
    let mut slots = Slot::<()>::array::<4>();
    let mut queue = Queue::new(&mut slots).unwrap();
    assert_eq!(queue.wait(), Ok(None), "nothing is in flight");
    queue.push(Poll::new(fd(&writer), PollMask::OUT)).unwrap();
    queue.push(Poll::new(fd(&reader), PollMask::IN)).unwrap();
    queue.submit().unwrap();
    let begin = Instant::now();
    let short = WaitOptions::new().timeout(Duration::from_millis(30));
    assert_eq!(queue.wait_with(9, short), Ok(1));
    assert!(begin.elapsed() >= Duration::from_millis(30));
    let done = queue.pop().unwrap().unwrap();
    assert_eq!(done.result.map(PollMask::from_result), Ok(PollMask::OUT));
    assert_eq!(queue.pop(), Ok(None));
}

/// Waits for polls of three pipes: 40, 60 and 300. The first `ready` of these pipes become
/// readable one after the other during the wait. Returns the result of the wait, and the
/// number of operations that are in flight then.
fn wait_for_polls(
    min_nr: usize,
    wait: WaitOptions<'_>,
    ready: usize,
) -> (Result<usize, Errno>, usize) {
    let pipes = [40, 60, 300].map(|count| (count, support::pipe()));
    let mut queue = Queue::<Bytes>::with_capacity(400).unwrap();
    for (count, (reader, _)) in &pipes {
        for _ in 0..*count {
            queue.push(Poll::new(fd(reader), PollMask::IN)).unwrap();
        }
    }
    std::thread::scope(|threads| {
        threads.spawn(|| {
            for (_, (_, writer)) in &pipes[..ready] {
                std::thread::sleep(Duration::from_millis(30));
                let mut writer = File::from(writer.try_clone().unwrap());
                writer.write_all(b"x").unwrap();
            }
        });
        let waited = queue.wait_with(min_nr, wait);
        let in_flight = queue.in_flight();
        for _ in 0..waited.unwrap_or(0) {
            assert!(queue.pop().unwrap().unwrap().result.is_ok());
        }
        assert_eq!(queue.in_flight(), in_flight);
        (waited, in_flight)
    })
}

/// A wait for more completions than one system call usually takes ends with all of them, or
/// by its timeout.
#[test]
fn a_wait_for_many_completions_is_one_wait() {
    let long = WaitOptions::new().timeout(Duration::from_secs(20));
    assert_eq!(wait_for_polls(100, long, 2), (Ok(100), 300));
    assert_eq!(wait_for_polls(100, WaitOptions::new(), 2), (Ok(100), 300));
    assert_eq!(wait_for_polls(400, WaitOptions::new(), 3), (Ok(400), 0));
    // With a timeout there is one system call, which takes 256.
    assert_eq!(wait_for_polls(400, long, 3), (Ok(256), 144));
    let begin = Instant::now();
    let short = WaitOptions::new().timeout(Duration::from_millis(200));
    assert_eq!(wait_for_polls(100, short, 1), (Ok(40), 360));
    assert!(begin.elapsed() >= Duration::from_millis(200));
}

/// Staged operations are submitted by a wait. A refusal is then a completion, and no
/// operation behind it is lost.
#[test]
fn waiting_submits_what_is_staged() {
    let (_reader, writer) = support::pipe();
    let mut slots = Slot::<()>::array::<4>();
    let mut queue = Queue::new(&mut slots).unwrap();
    let ready = Poll::new(fd(&writer), PollMask::OUT);
    let good = queue.push(ready).unwrap();
    let done = queue.wait().unwrap().unwrap();
    assert_eq!((done.ticket, done.result.is_ok()), (good, true));
    let bad = queue.push(Fsync::new(no_fd())).unwrap();
    let good = queue.push(ready).unwrap();
    assert_eq!(queue.wait_with(2, WaitOptions::new()), Ok(2));
    let done = [0; 2].map(|_| queue.pop().unwrap().unwrap());
    let right = [(bad, Some(Errno::BADF)), (good, None)];
    assert_eq!(done.map(|done| (done.ticket, done.result.err())), right);
    assert_eq!(queue.wait(), Ok(None));

    // `into_idle_context` submits them as well: the file contains the pushed bytes.
    let file = TempFile::with(b"");
    let mut slots = Slot::<Bytes>::array::<1>();
    let mut queue = Queue::new(&mut slots).unwrap();
    let write = Write::new(file.fd(), b"staged".as_slice().into());
    queue.push(write).unwrap();
    queue.into_idle_context().unwrap();
    assert_eq!(std::fs::read(&file.path).unwrap(), b"staged");
}

/// The signal mask of a wait unblocks a signal even if the wait need not block.
#[test]
fn a_poll_with_a_mask_admits_a_signal() {
    let signal = libc::SIGUSR2;
    support::block(signal);
    let (reader, _writer) = support::pipe();
    let mut slots = Slot::<()>::array::<1>();
    let mut queue = Queue::new(&mut slots).unwrap();
    queue.push(Poll::new(fd(&reader), PollMask::IN)).unwrap();
    queue.submit().unwrap();
    support::send_here(signal);
    assert_eq!(queue.wait_with(0, WaitOptions::poll()), Ok(0), "blocked");
    let open = SigSet::full().without(signal as u32);
    let poll = WaitOptions::poll().sigmask(&open);
    assert_eq!(queue.wait_with(0, poll), Err(Errno::INTR));
    assert_eq!(queue.wait_with(0, poll), Ok(0), "it came once");
}

/// Another submitter uses the queue's context. Its event belongs to no operation of the
/// queue. Completions taken before that event are not counted again when the queue
/// waits by system call.
#[test]
fn a_foreign_event_ends_no_wait() {
    let (reader, writer) = support::pipe();
    let context = Context::new(8).unwrap();
    let name = context.as_raw();
    // SAFETY: the context was just created, and no operation was submitted to it.
    let idle = unsafe { IdleContext::from_context(context, 8) };
    let mut slots = Slot::<()>::array::<8>();
    let mut queue = Queue::with_context(idle, &mut slots);
    let ready = Poll::new(fd(&writer), PollMask::OUT);
    queue.push(ready).unwrap();
    queue.submit().unwrap();
    let mut iocb = opcode::Poll::new(fd(&writer), PollMask::OUT)
        .build()
        .user_data(u64::MAX);
    let mut foreign = &raw mut iocb;
    // SAFETY: a poll has no memory, and no operation of the queue has its user data.
    let taken = unsafe { sys::io_submit(name, 1, &raw mut foreign) };
    assert_eq!(taken, Ok(1));
    queue.push(ready).unwrap();
    queue.push(Poll::new(fd(&reader), PollMask::IN)).unwrap();
    queue.submit().unwrap();
    // This is the first of three available events; the foreign event is behind it.
    assert!(queue.pop().unwrap().is_some());
    let begin = Instant::now();
    let short = WaitOptions::new().timeout(Duration::from_millis(30));
    assert_eq!(queue.wait_with(2, short), Ok(1));
    assert!(begin.elapsed() >= Duration::from_millis(30));
    assert!(queue.pop().unwrap().is_some());
    assert_eq!(queue.pop(), Ok(None));
    assert_eq!(queue.in_flight(), 1);
}

#[test]
fn segments_are_one_operation() {
    let file = TempFile::with(b"");
    let mut slots = Slot::<Vectored<Bytes>>::array::<2>();
    let mut queue = Queue::new(&mut slots).unwrap();
    let segments: Vec<Bytes> = vec![b"one".as_slice().into(), b"three".as_slice().into()];
    queue
        .push(Write::new(file.fd(), Vectored::new(segments)))
        .unwrap();
    queue.submit().unwrap();
    assert_eq!(queue.wait().unwrap().unwrap().result, Ok(8));
    let segments = vec![zeroed(5), zeroed(3)];
    queue
        .push(Read::new(file.fd(), Vectored::new(segments)))
        .unwrap();
    queue.push(Fsync::new(file.fd())).unwrap();
    queue.submit().unwrap();
    let segments = loop {
        let Completion { buffer, result, .. } = queue.wait().unwrap().unwrap();
        if let Some(vectored) = buffer {
            assert_eq!(result, Ok(8));
            break vectored.into_segments();
        }
        assert_eq!(result, Ok(0));
    };
    assert_eq!(
        (&segments[0][..], &segments[1][..]),
        (&b"oneth"[..], &b"ree"[..])
    );
}

/// Direct reads are in flight when the queue is dropped. No buffer is dropped before
/// its read completes.
#[test]
fn dropping_waits_and_then_drops_every_buffer() {
    const BLOCK: usize = 1 << 20;
    let file = TempFile::with(&pattern(16 * BLOCK));
    let direct = file.direct();
    let dropped = counter();
    let memory: &'static mut [u8] = Box::leak(zeroed(16 * BLOCK + 4096));
    let shift = memory.as_ptr().align_offset(4096);
    let start = memory[shift..].as_mut_ptr();

    /// A block of that memory. Its drop counts whether the block had been read by then.
    struct Block(*mut u8, &'static AtomicUsize);
    // SAFETY: the blocks are disjoint, live until the process exits, and are accessed
    // only through this value.
    unsafe impl IoBuf for Block {
        fn region(&mut self) -> (*mut u8, usize) {
            (self.0, BLOCK)
        }
    }
    // SAFETY: the blocks are disjoint, and are accessed only through this value.
    unsafe impl IoBufMut for Block {}
    impl Drop for Block {
        fn drop(&mut self) {
            // SAFETY: this is the last byte of the block, which stays allocated. The
            // pattern has no zero byte.
            if unsafe { self.0.add(BLOCK - 1).read_volatile() } != 0 {
                self.1.fetch_add(1, SeqCst);
            }
        }
    }

    // Several rounds are run, as a fast disk may complete all reads before the drop.
    for round in 1..=8 {
        // SAFETY: this is the memory of the blocks, and no operation is in flight.
        unsafe { start.write_bytes(0, 16 * BLOCK) };
        let mut slots = Slot::<Block>::array::<16>();
        let mut queue = Queue::new(&mut slots).unwrap();
        for number in 0..16 {
            let block = Block(start.wrapping_add(number * BLOCK), dropped);
            let read = Read::new(fd(&direct), block).offset((number * BLOCK) as u64);
            queue.push(read).unwrap();
        }
        queue.submit().unwrap();
        drop(queue);
        let count = dropped.load(SeqCst);
        assert_eq!(count, 16 * round, "dropped once each, after its read");
    }
}

#[test]
fn a_leaked_queue_leaks_and_the_slots_may_be_used_again() {
    let (reader, writer) = support::pipe();
    let dropped = counter();
    let file = TempFile::with(b"x");
    let mut slots = Slot::<CountedBuffer>::array::<2>();
    let mut queue = Queue::new(&mut slots).unwrap();
    let old = queue
        .push(Read::new(file.fd(), CountedBuffer(zeroed(1), dropped)))
        .unwrap();
    queue.submit().unwrap();
    std::mem::forget(queue);
    let mut queue = Queue::new(&mut slots).unwrap();
    assert!(!queue.contains(old));
    queue.push(Poll::new(fd(&reader), PollMask::IN)).unwrap();
    queue.push(Poll::new(fd(&writer), PollMask::OUT)).unwrap();
    queue.submit().unwrap();
    drop(queue);
    assert_eq!(dropped.load(SeqCst), 0);
}

/// A child cannot know whether a read that its parent submitted has completed, so it
/// does not drop that buffer. The buffer of a staged operation is the child's own copy.
#[test]
fn a_child_leaks_what_its_parent_has_in_flight() {
    let file = TempFile::with(b"x");
    let (in_flight, staged) = (counter(), counter());
    let mut slots = Slot::<CountedBuffer>::array::<2>();
    let mut queue = Queue::new(&mut slots).unwrap();
    let read = |counter| Read::new(file.fd(), CountedBuffer(zeroed(1), counter));
    queue.push(read(in_flight)).unwrap();
    queue.submit().unwrap();
    queue.push(read(staged)).unwrap();
    assert_eq!((queue.in_flight(), queue.staged()), (1, 1));
    let status = support::in_child(|| {
        // SAFETY: this is the child's own copy; the parent's memory does not change.
        drop(unsafe { std::ptr::read(&raw const queue) });
        let dropped = [in_flight, staged].map(|counter| counter.load(SeqCst));
        if dropped == [0, 1] { 7 } else { 8 }
    });
    assert_eq!(status, 7);
    let done = queue.wait().unwrap().unwrap();
    assert_eq!(done.result, Ok(1), "the parent's read is untouched");
    assert_eq!(done.buffer.as_ref().map(|buffer| buffer.0[0]), Some(b'x'));
    drop((done, queue));
    let dropped = [in_flight, staged].map(|counter| counter.load(SeqCst));
    assert_eq!(dropped, [1, 1]);
}

#[test]
fn no_slots_is_an_error_not_a_panic() {
    assert_eq!(Queue::<Bytes>::new(&mut []).map(drop), Err(Errno::INVAL));
}

/// Errors convert to errors of the standard library and keep their cause.
#[cfg(feature = "std")]
#[test]
fn errors_convert_and_have_a_source() {
    fn submit(queue: &mut Queue<'_, Vec<u8>>) -> std::io::Result<usize> {
        Ok(queue.submit()?)
    }
    let mut slots = Slot::array::<2>();
    let mut queue = Queue::new(&mut slots).unwrap();
    let ticket = queue.push(Read::new(no_fd(), vec![0; 8])).unwrap();
    let shared = &queue;
    assert!(shared.contains(ticket) && shared.is_staged(ticket));
    let error = queue.submit().unwrap_err();
    let source = std::error::Error::source(&error).unwrap();
    assert_eq!(source.to_string(), Errno::BADF.to_string());
    assert_eq!(Errno::from(error), Errno::BADF);
    let error = submit(&mut queue).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(Errno::BADF.raw_os_error()));
}

/// A queue can be shared between threads: its methods on `&self` only read.
#[test]
fn a_queue_is_sync() {
    fn is_sync<T: Sync>() {}
    is_sync::<Queue<'_, Vec<u8>>>();
}
