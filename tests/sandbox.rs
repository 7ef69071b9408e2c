//! Tests the safe layers in a sandbox that refuses some of the system calls. The layers
//! can still be dropped, and the results that they return are correct.
#![cfg(all(feature = "std", any(target_os = "linux", target_os = "android")))]

mod support;

use std::fs::File;
use std::future::Future;
use std::os::fd::OwnedFd;
use std::task::{Context as Task, Waker};

use linux_aio::op::{Poll, Read};
use linux_aio::opcode::PollMask;
use linux_aio::reactor::{Reactor, ReactorSlot};
use linux_aio::{Errno, Queue, ScopeSlot, Slot, WaitOptions, nr, scope};
use support::{TempFile, WAITS, forbid, pattern};

const BLOCK: usize = 4096;

/// The files and descriptors that the tests read and poll.
struct Things {
    direct: File,
    reader: OwnedFd,
    _writer: OwnedFd,
    _file: TempFile,
}

impl Things {
    fn new() -> Things {
        let file = TempFile::with(&pattern(BLOCK));
        let (reader, writer) = support::pipe();
        Things {
            direct: file.direct(),
            reader,
            _writer: writer,
            _file: file,
        }
    }

    /// Returns a poll that never completes by itself.
    fn poll(&self) -> Poll<'_> {
        Poll::new(&self.reader, PollMask::IN)
    }
}

fn block() -> linux_aio::buffer::AlignedBox<BLOCK> {
    linux_aio::buffer::AlignedBox::zeroed(BLOCK).unwrap()
}

type Block = linux_aio::buffer::AlignedBox<BLOCK>;

/// Runs `body` in a child that has ten seconds, with io_cancel refused in each way.
fn without_cancel(body: impl Fn(&Things, Errno)) {
    for errno in [Errno::NOSYS, Errno::PERM, Errno::INVAL] {
        let things = Things::new();
        let status = support::in_child(|| {
            // SAFETY: the alarm ends only the child, if it hangs.
            unsafe { libc::alarm(10) };
            forbid(&[nr::IO_CANCEL], errno.raw_os_error());
            body(&things, errno);
            7
        });
        assert_eq!(status, 7, "{errno}");
    }
}

#[test]
fn a_queue_is_drained_without_io_cancel() {
    without_cancel(|things, errno| {
        let mut slots = Slot::<Block>::array::<4>();
        let mut queue = Queue::new(&mut slots).unwrap();
        let poll = queue.push(things.poll()).unwrap();
        queue.submit().unwrap();
        assert_eq!(queue.cancel(poll), Err(errno));
        let read = queue.push(Read::new(&things.direct, block())).unwrap();
        assert_eq!(queue.drain(), Ok(()));
        for _ in 0..2 {
            let done = queue.pop().unwrap().unwrap();
            let right = if done.ticket == read {
                Ok(BLOCK)
            } else {
                Err(Errno::OUTCOME_UNKNOWN)
            };
            assert_eq!(done.result, right);
        }
        // The context was destroyed.
        queue.push(things.poll()).unwrap();
        assert_eq!(queue.submit().unwrap_err().errno, Errno::INVAL);
        let done = queue.wait().unwrap().unwrap();
        assert_eq!(done.result, Err(Errno::INVAL));
        assert_eq!(
            queue.into_idle_context().err(),
            Some(Errno::OUTCOME_UNKNOWN)
        );
    });
}

#[test]
fn a_queue_ends_without_io_cancel() {
    without_cancel(|things, _| {
        let mut slots = Slot::<Block>::array::<4>();
        let mut queue = Queue::new(&mut slots).unwrap();
        queue.push(things.poll()).unwrap();
        queue.submit().unwrap();
        assert_eq!(
            queue.into_idle_context().err(),
            Some(Errno::OUTCOME_UNKNOWN)
        );
        let mut queue = Queue::new(&mut slots).unwrap();
        queue.push(things.poll()).unwrap();
        queue.submit().unwrap();
        drop(queue);
    });
}

#[test]
fn a_scope_ends_without_io_cancel() {
    without_cancel(|things, errno| {
        let mut memory = block();
        let read = scope(&mut ScopeSlot::array::<4>(), |s| {
            let poll = s.poll(&things.reader, PollMask::IN).unwrap();
            s.submit();
            assert_eq!(poll.cancel(), Err(errno));
            assert!(!poll.is_finished());
            s.read(&things.direct, &mut memory, 0)
                .unwrap()
                .wait()
                .result
        });
        assert_eq!(read.unwrap(), Ok(BLOCK));
        assert!(memory[..] == pattern(BLOCK)[..]);
        scope(&mut ScopeSlot::array::<1>(), |s| {
            // An operation that was dropped and only occupies its slot is not awaited
            // either.
            drop(s.poll(&things.reader, PollMask::IN).unwrap());
        })
        .unwrap();
    });
}

#[test]
fn a_reactor_ends_without_io_cancel() {
    without_cancel(|things, _| {
        let task = &mut Task::from_waker(Waker::noop());
        let mut slots = ReactorSlot::<Block>::array::<2>();
        for drain in [true, false] {
            let reactor = Reactor::<Block>::new(&mut slots).unwrap();
            let mut poll = Box::pin(reactor.poll(&things.reader, PollMask::IN));
            assert!(poll.as_mut().poll(task).is_pending());
            drop(poll);
            assert_eq!(reactor.in_flight(), 1);
            if drain {
                let error = reactor.into_idle_context().err();
                assert_eq!(error, Some(Errno::OUTCOME_UNKNOWN));
            }
        }
    });
}

/// A wait is forbidden while an operation is in flight. No call waits for ever, and no
/// completion that can be read in memory is lost.
#[test]
fn everything_ends_where_waits_are_refused() {
    for errno in [Errno::NOSYS, Errno::PERM] {
        let things = Things::new();
        let status = support::in_child(|| {
            // SAFETY: the alarm ends only the child, if it hangs.
            unsafe { libc::alarm(10) };
            forbid(&WAITS, errno.raw_os_error());
            let mut slots = Slot::<Block>::array::<4>();
            let mut queue = Queue::new(&mut slots).unwrap();
            queue.push(things.poll()).unwrap();
            queue.submit().unwrap();
            assert_eq!(queue.wait().map(drop), Err(errno));
            assert_eq!(queue.wait_with(1, WaitOptions::new()), Err(errno));
            assert_eq!(queue.drain(), Err(errno));
            assert_eq!(queue.in_flight(), 1, "it is still tracked");
            assert_eq!(queue.into_idle_context().err(), Some(errno));
            let mut memory = block();
            scope(&mut ScopeSlot::array::<4>(), |s| {
                drop(s.poll(&things.reader, PollMask::IN).unwrap());
                drop(s.read(&things.direct, &mut memory, 0).unwrap());
                s.submit();
            })
            .unwrap();
            7
        });
        assert_eq!(status, 7, "{errno}");
    }
}
