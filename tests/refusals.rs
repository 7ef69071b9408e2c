//! Tests the layers with many operations in flight while system calls are refused (see
//! also sandbox.rs). Known results are correct, the others are reported as unknown, and
//! no operation is lost or leaked. Also tests io_submit under a scope when the context
//! is full.
#![cfg(all(feature = "std", any(target_os = "linux", target_os = "android")))]

mod support;

use std::cell::Cell;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use linux_aio::buffer::AlignedBox;
use linux_aio::op::{Poll, Read, Write};
use linux_aio::opcode::PollMask;
use linux_aio::reactor::{Local, Reactor, ReactorSlot};
use linux_aio::{
    Errno, IdleContext, Queue, ScopeSlot, Slot, WaitOptions, nr, scope, scope_with_context,
};
use support::inject::{fill, shared_context};
use support::tasks::poll;
use support::{TempFile, WAITS, forbid, in_child, inject, pattern};

const BLOCK: usize = 1 << 16;
const READS: usize = 8;

type Block = AlignedBox<4096>;
/// The data of each operation, whose reference count reveals whether it was dropped.
type Load = Rc<()>;

/// A file whose direct reads are in flight for a while, and a pipe whose poll never
/// completes.
struct Files {
    content: Vec<u8>,
    _file: TempFile,
    direct: File,
    pipe: (OwnedFd, OwnedFd),
}

impl Files {
    fn new() -> Files {
        let content = pattern(READS * BLOCK);
        let file = TempFile::with(&content);
        Files {
            content,
            direct: file.direct(),
            _file: file,
            pipe: support::pipe(),
        }
    }

    fn read(&self, number: usize) -> Read<'_, Block> {
        let buffer = AlignedBox::zeroed(BLOCK).unwrap();
        Read::new(&self.direct, buffer).offset((number * BLOCK) as u64)
    }

    fn never(&self) -> Poll<'_> {
        Poll::new(&self.pipe.0, PollMask::IN)
    }

    fn is_block(&self, number: usize, bytes: &[u8]) -> bool {
        self.content[number * BLOCK..][..BLOCK] == *bytes
    }
}

/// Forbids system calls in a child, and runs `body` there. An alarm ends a child that
/// hangs. The alarm is shorter than the time that the library waits after an EINVAL of
/// the kernel rather than of a sandbox.
fn without(calls: &[Option<u32>], errno: Errno, body: impl FnOnce(&Files)) {
    let files = Files::new();
    let status = in_child(|| {
        // SAFETY: the alarm ends only the child.
        unsafe { libc::alarm(9) };
        forbid(calls, errno.raw_os_error());
        body(&files);
        7
    });
    assert_eq!(status, 7);
}

const CANCEL: [Option<u32>; 1] = [nr::IO_CANCEL];
const REFUSALS: [Errno; 3] = [Errno::NOSYS, Errno::PERM, Errno::INVAL];

type Jobs<'q> = Queue<'q, Block, Load>;
type Tasks<'r> = Reactor<'r, Block, Local, Load>;

/// Submits reads, and among them `polls` polls that never complete.
fn push_all<'q>(queue: &mut Jobs<'q>, files: &'q Files, polls: usize, load: &Load) {
    for number in 0..READS {
        let read = files.read(number).data(load.clone());
        assert!(queue.push(read).is_ok());
        for _ in 0..polls / READS {
            assert!(queue.push(files.never().data(load.clone())).is_ok());
        }
    }
    for _ in 0..polls % READS {
        assert!(queue.push(files.never().data(load.clone())).is_ok());
    }
    queue.submit().unwrap();
}

/// Takes all completions after the queue was drained. The results of the reads are
/// known, those of the polls are unknown.
fn pop_all(queue: &mut Jobs<'_>, files: &Files, polls: usize) {
    let mut found = (0, 0);
    while let Some(done) = queue.pop().unwrap() {
        match done.buffer {
            Some(buffer) => {
                assert_eq!(done.result, Ok(BLOCK));
                let is_there = (0..READS).any(|number| files.is_block(number, &buffer));
                assert!(is_there);
                found.0 += 1;
            }
            None => {
                assert_eq!(done.result, Err(Errno::OUTCOME_UNKNOWN));
                found.1 += 1;
            }
        }
    }
    assert_eq!(found, (READS, polls));
}

#[test]
fn a_queue_without_io_cancel_drains() {
    for errno in REFUSALS {
        // 40 is more than one system call takes.
        for polls in [0, 1, 40] {
            without(&CANCEL, errno, |files| {
                let load = Rc::new(());
                let mut slots = Slot::array::<64>();
                let mut queue = Jobs::new(&mut slots).unwrap();
                push_all(&mut queue, files, polls, &load);
                queue.drain().unwrap();
                assert_eq!(queue.in_flight(), 0);
                pop_all(&mut queue, files, polls);
                assert_eq!(Rc::strong_count(&load), 1);
                // The context was destroyed if polls had to be ended.
                let ticket = queue.push(files.read(0).data(load)).unwrap();
                let done = queue.wait().unwrap().unwrap();
                let right = if polls == 0 {
                    Ok(BLOCK)
                } else {
                    Err(Errno::INVAL)
                };
                assert_eq!((done.ticket, done.result), (ticket, right));
            });
        }
    }
}

#[test]
fn a_queue_without_io_cancel_reports_it_and_ends() {
    for errno in REFUSALS {
        for drain in [false, true] {
            without(&CANCEL, errno, |files| {
                let load = Rc::new(());
                let mut slots = Slot::array::<64>();
                let mut queue = Jobs::new(&mut slots).unwrap();
                let never = files.never().data(load.clone());
                let ticket = queue.push(never).unwrap();
                push_all(&mut queue, files, 40, &load);
                assert_eq!(queue.cancel(ticket), Err(errno));
                assert!(queue.contains(ticket));
                if drain {
                    let ended = queue.into_idle_context().map(drop);
                    assert_eq!(ended, Err(Errno::OUTCOME_UNKNOWN));
                } else {
                    drop(queue);
                }
                assert_eq!(Rc::strong_count(&load), 1);
            });
        }
    }
}

#[test]
fn a_scope_without_io_cancel_ends() {
    for errno in REFUSALS {
        for panics in [false, true] {
            without(&CANCEL, errno, |files| {
                let mut memory = AlignedBox::<4096>::zeroed(READS * BLOCK).unwrap();
                let mut context = IdleContext::new(64).unwrap();
                let mut slots = ScopeSlot::array::<64>();
                let mut true_result = None;
                let left = catch_unwind(AssertUnwindSafe(|| {
                    scope_with_context(&mut context, &mut slots, |s| {
                        let blocks = memory.chunks_mut(BLOCK).enumerate();
                        let mut reads = blocks.map(|(number, block)| {
                            let offset = (number * BLOCK) as u64;
                            s.read(&files.direct, block, offset).unwrap()
                        });
                        true_result = Some(reads.next().unwrap().wait().result);
                        let never = s.push(files.never()).unwrap();
                        for _ in 0..40 {
                            drop(s.push(files.never()).unwrap());
                        }
                        s.submit();
                        assert_eq!(never.cancel(), Err(errno));
                        assert!(!never.is_finished());
                        // They complete, but their completions are not found before the
                        // end of the scope.
                        reads.for_each(drop);
                        s.submit();
                        std::thread::sleep(Duration::from_millis(20));
                        if panics {
                            resume_unwind(Box::new(()));
                        }
                    });
                }));
                assert_eq!(left.is_err(), panics);
                assert_eq!(true_result, Some(Ok(BLOCK)));
                assert!(memory[..] == files.content[..]);
                // Nothing is in flight, as the context was destroyed.
                let refused = scope_with_context(&mut context, &mut slots, |s| {
                    let read = s.read(&files.direct, &mut [], 0);
                    read.unwrap().wait().result
                });
                assert_eq!(refused, Err(Errno::INVAL));
            });
        }
    }
}

#[test]
fn a_reactor_without_io_cancel_ends() {
    for errno in REFUSALS {
        for (polls, drain) in [(0, true), (1, true), (40, true), (40, false)] {
            without(&CANCEL, errno, |files| {
                let load = Rc::new(());
                let mut slots = ReactorSlot::array::<64>();
                let reactor = Tasks::new(&mut slots).unwrap();
                for number in 0..READS {
                    let read = files.read(number).data(load.clone());
                    let mut read = Box::pin(reactor.push(read));
                    let _ = poll(read.as_mut(), Waker::noop());
                }
                for number in 0..polls {
                    let never = files.never().data(load.clone());
                    let mut never = Box::pin(reactor.push(never));
                    assert!(poll(never.as_mut(), Waker::noop()).is_none());
                    if number % 2 == 0 {
                        std::mem::forget(never);
                    }
                }
                if drain {
                    let ended = reactor.into_idle_context().map(drop);
                    let right = if polls == 0 {
                        Ok(())
                    } else {
                        Err(Errno::OUTCOME_UNKNOWN)
                    };
                    assert_eq!(ended, right);
                } else {
                    drop(reactor);
                }
                assert_eq!(Rc::strong_count(&load), 1);
            });
        }
    }
}

/// No wait is possible. Events that can be read from the ring are still found, and each
/// way of ending the queue destroys the context.
#[test]
fn a_queue_without_the_calls_that_wait_ends() {
    for (errno, drain) in [(Errno::PERM, false), (Errno::NOSYS, true)] {
        without(&WAITS, errno, |files| {
            let load = Rc::new(());
            let mut slots = Slot::array::<64>();
            let mut queue = Jobs::new(&mut slots).unwrap();
            push_all(&mut queue, files, 1, &load);
            let mut found = 0;
            while found < READS {
                found += usize::from(queue.pop().unwrap().is_some());
            }
            assert_eq!(queue.wait().map(drop), Err(errno));
            assert_eq!(queue.wait_with(1, WaitOptions::new()), Err(errno));
            assert_eq!(queue.drain(), Err(errno));
            assert_eq!(queue.in_flight(), 1, "nothing is lost by it");
            if drain {
                assert_eq!(queue.into_idle_context().map(drop), Err(errno));
            } else {
                drop(queue);
            }
            assert_eq!(Rc::strong_count(&load), 1);
        });
    }
}

#[test]
fn a_scope_without_the_calls_that_wait_ends() {
    let both: Vec<_> = WAITS.into_iter().chain(CANCEL).collect();
    for (calls, errno) in [
        (&WAITS[..], Errno::PERM),
        (&WAITS, Errno::NOSYS),
        (&both, Errno::PERM),
    ] {
        without(calls, errno, |files| {
            let mut memory = AlignedBox::<4096>::zeroed(READS * BLOCK).unwrap();
            scope(&mut ScopeSlot::array::<64>(), |s| {
                let mut reads = Vec::new();
                for (number, block) in memory.chunks_mut(BLOCK).enumerate() {
                    let offset = (number * BLOCK) as u64;
                    reads.push(s.read(&files.direct, block, offset).unwrap());
                }
                let never = s.poll(&files.pipe.0, PollMask::IN).unwrap();
                s.submit();
                // Waiting destroys the context. Results found before that are known,
                // and the other operations have completed.
                for (number, read) in reads.into_iter().enumerate() {
                    let done = read.wait();
                    let known = done.result != Err(Errno::OUTCOME_UNKNOWN);
                    assert!(!known || done.result == Ok(BLOCK));
                    assert!(files.is_block(number, done.buffer));
                }
                // The context still exists if all reads had been found.
                if never.is_finished() {
                    assert_eq!(never.wait().result, Err(Errno::OUTCOME_UNKNOWN));
                }
            })
            .unwrap();
            assert!(memory[..] == files.content[..]);
        });
    }
}

#[test]
fn a_reactor_without_the_calls_that_wait_ends() {
    for (errno, drain) in [(Errno::PERM, false), (Errno::NOSYS, true)] {
        without(&WAITS, errno, |files| {
            let load = Rc::new(());
            let mut slots = ReactorSlot::array::<16>();
            let reactor = Tasks::new(&mut slots).unwrap();
            let mut never = Box::pin(reactor.push(files.never().data(load.clone())));
            assert!(poll(never.as_mut(), Waker::noop()).is_none());
            let mut read = Box::pin(reactor.push(files.read(0).data(load.clone())));
            let done = loop {
                if let Some(done) = poll(read.as_mut(), Waker::noop()) {
                    break done;
                }
                reactor.turn().unwrap();
            };
            assert_eq!(done.result, Ok(BLOCK));
            assert!(files.is_block(0, &done.buffer));
            drop(done.data);
            drop(read);
            assert_eq!(reactor.wait(WaitOptions::new()), Err(errno));
            std::mem::forget(never);
            if drain {
                assert_eq!(reactor.into_idle_context().map(drop), Err(errno));
            } else {
                drop(reactor);
            }
            assert_eq!(Rc::strong_count(&load), 1);
        });
    }
}

/// EINVAL from the kernel means that the poll is completing. Its event may be delayed,
/// and the context is not destroyed for it.
#[test]
fn a_poll_that_completes_slowly_has_its_result() {
    let test = "a_poll_that_completes_slowly_has_its_result";
    inject::with_each(test, &["io_cancel:error=EINVAL:when=1"], || {
        let (reader, writer) = support::pipe();
        let mut slots = Slot::<()>::array::<2>();
        let mut queue = Queue::new(&mut slots).unwrap();
        let _ = queue.push(Poll::new(&reader, PollMask::HUP)).unwrap();
        queue.submit().unwrap();
        let closer = std::thread::spawn(|| {
            std::thread::sleep(Duration::from_millis(350));
            drop(writer);
        });
        queue.drain().unwrap();
        let done = queue.pop().unwrap().unwrap();
        assert_eq!(done.result.map(PollMask::from_result), Ok(PollMask::HUP));
        queue.into_idle_context().unwrap();
        closer.join().unwrap();
    });
}

/// Other submitters have filled the context. Operations that a scope has started are
/// submitted when the context has free capacity: while the scope waits, or at its end.
#[test]
fn a_scope_waits_for_capacity() {
    let file = TempFile::with(b"");
    for waits in [false, true] {
        let (mut context, name) = shared_context(4);
        let (reader, writer) = support::pipe();
        let (held, _writer) = support::pipe();
        let mut slots = ScopeSlot::array::<4>();
        let turns = Cell::new(0);
        scope_with_context(&mut context, &mut slots, |s| {
            let poll = s.poll(&held, PollMask::IN).unwrap();
            s.submit();
            fill(name, &reader);
            let text: &[u8] = if waits { b"waited" } else { b"left" };
            let write = s.push(Write::new(&file.file, text)).unwrap();
            s.submit();
            assert_eq!(s.in_flight(), 2);
            assert!(!write.is_finished(), "there is no free capacity");
            assert_eq!(s.wait_with(1, WaitOptions::poll()), Ok(0));
            let closer = std::thread::spawn(|| {
                std::thread::sleep(Duration::from_millis(50));
                drop(writer);
            });
            if waits {
                assert_eq!(write.wait().result, Ok(text.len()));
            } else {
                // The foreign poll has completed by then, and the operation can use its
                // capacity.
                closer.join().unwrap();
            }
            drop(poll);
            turns.set(1);
        });
        assert_eq!(turns.get(), 1);
        let right: &[u8] = if waits { b"waited" } else { b"left" };
        assert_eq!(std::fs::read(&file.path).unwrap()[..right.len()], *right);
    }
}

/// With nothing in flight, no capacity will become free, so the result is EAGAIN.
#[test]
fn an_operation_without_any_capacity_results_in_eagain() {
    without(&[nr::IO_SUBMIT], Errno::AGAIN, |files| {
        scope(&mut ScopeSlot::array::<2>(), |s| {
            let never = s.push(files.never()).unwrap();
            assert_eq!(never.wait().result, Err(Errno::AGAIN));
            // At the end of the scope it is refused as well, and completes no other
            // operation.
            drop(s.push(files.never()).unwrap());
        })
        .unwrap();
        let mut slots = ReactorSlot::array::<2>();
        let reactor = Reactor::<Block>::new(&mut slots).unwrap();
        let mut read = Box::pin(reactor.push(files.read(0)));
        let done = poll(read.as_mut(), Waker::noop()).unwrap();
        assert_eq!(done.result, Err(Errno::AGAIN));
        assert!(!done.buffer.is_empty());
    });
}

/// A poll is in flight, and from then on there is no free capacity. A staged operation
/// completes at the end of the scope, as soon as nothing is in flight.
#[test]
fn an_operation_without_capacity_completes_at_the_end_of_the_scope() {
    let files = Files::new();
    let status = in_child(|| {
        scope(&mut ScopeSlot::array::<2>(), |s| {
            drop(s.push(files.never()).unwrap());
            s.submit();
            forbid(&[nr::IO_SUBMIT], Errno::AGAIN.raw_os_error());
            drop(s.push(files.never()).unwrap());
            s.submit();
            assert_eq!(s.in_flight(), 2);
        })
        .unwrap();
        7
    });
    assert_eq!(status, 7);
}
