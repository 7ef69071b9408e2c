//! Tests the safe layers in a sandbox that refuses some of the system calls. The layers
//! can still be dropped, and the results that they return are correct.
#![cfg(all(feature = "std", any(target_os = "linux", target_os = "android")))]

mod support;

use std::fs::File;
use std::future::Future;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::task::{Context as Task, Waker};

use linux_aio::op::{Poll, Read};
use linux_aio::opcode::PollMask;
use linux_aio::reactor::{Reactor, ReactorSlot};
use linux_aio::{Context, Errno, Queue, ScopeSlot, Slot, WaitOptions, nr, scope};
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

/// Runs `body` in a child that has ten seconds, with io_destroy refused, and io_cancel as
/// well where `cancel` is true. Returns the exit status of the child.
fn without_destroy(cancel: bool, errno: Errno, body: impl Fn(&Things)) -> i32 {
    let things = Things::new();
    support::in_child(|| {
        // SAFETY: the alarm ends only the child, if it hangs.
        unsafe { libc::alarm(10) };
        let cancel = nr::IO_CANCEL.filter(|_| cancel);
        forbid(&[nr::IO_DESTROY, cancel], errno.raw_os_error());
        body(&things);
        7
    })
}

/// The kernel may still use the buffer of an operation whose event was not taken, so the
/// buffer is leaked. Without a filter it is dropped.
#[test]
fn buffers_in_flight_are_leaked_without_io_destroy() {
    // A read so long is in flight for some milliseconds. On a busy machine it may have ended
    // before the next step, and is repeated.
    const LONG: usize = 16 << 20;
    const TRIES: usize = 5;
    let file = TempFile::with(&pattern(LONG));
    let direct = file.direct();
    let count = Rc::new(());
    let buffer = || (Block::zeroed(LONG).unwrap(), Rc::clone(&count));
    let drop_queue = || {
        let mut slots = Slot::<(Block, Rc<()>)>::array::<4>();
        let mut queue = Queue::new(&mut slots).unwrap();
        queue.push(Read::new(&direct, buffer())).unwrap();
        queue.submit().unwrap();
    };
    let drop_reactor = || {
        let task = &mut Task::from_waker(Waker::noop());
        let mut slots = ReactorSlot::<(Block, Rc<()>)>::array::<2>();
        let reactor = Reactor::<(Block, Rc<()>)>::new(&mut slots).unwrap();
        let mut read = Box::pin(reactor.read(&direct, buffer(), 0));
        let _ = read.as_mut().poll(task);
    };
    let run = |leaked: usize| {
        for end in [&drop_queue as &dyn Fn(), &drop_reactor] {
            let before = Rc::strong_count(&count);
            let mut counts = (0..TRIES).map(|_| {
                end();
                Rc::strong_count(&count)
            });
            assert!(counts.any(|count| count == before + leaked));
        }
    };
    run(0);
    for errno in [Errno::NOSYS, Errno::PERM] {
        let status = without_destroy(false, errno, |_| {
            run(1);
            let context = Context::new(1).unwrap();
            let raw = context.as_raw();
            assert_eq!(context.destroy(), Err(errno));
            // SAFETY: the context was not destroyed, and nothing else uses it.
            let context = unsafe { Context::from_raw(raw) };
            assert_eq!(context.check(), Ok(()), "it lives on");
        });
        assert_eq!(status, 7, "{errno}");
    }
}

/// A scope waits for its operations. Where it can neither wait for them nor destroy the
/// context, the process is aborted, because the borrows would end.
#[test]
fn a_scope_aborts_only_where_nothing_else_ends_its_operations() {
    extern "C" fn aborted(_: libc::c_int) {
        // SAFETY: the function may be called in a signal handler.
        unsafe { libc::_exit(9) }
    }
    for errno in [Errno::NOSYS, Errno::PERM] {
        let status = without_destroy(true, errno, |things| {
            let mut memory = block();
            scope(&mut ScopeSlot::array::<1>(), |s| {
                drop(s.read(&things.direct, &mut memory, 0).unwrap());
            })
            .unwrap();
            assert!(memory[..] == pattern(BLOCK)[..]);
        });
        assert_eq!(status, 7, "{errno}: a read");
        let status = without_destroy(true, errno, |things| {
            std::panic::set_hook(Box::new(|_| ()));
            // SAFETY: the handler ends the child.
            unsafe { libc::signal(libc::SIGABRT, aborted as *const () as usize) };
            scope(&mut ScopeSlot::array::<1>(), |s| {
                drop(s.poll(&things.reader, PollMask::IN).unwrap());
            })
            .unwrap();
        });
        assert_eq!(status, 9, "{errno}: a poll that cannot be cancelled");
    }
}
