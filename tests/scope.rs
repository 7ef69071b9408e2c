//! Tests of scopes, whose operations borrow their buffers.
#![cfg(any(target_os = "linux", target_os = "android"))]

mod support;

use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use linux_aio::buffer::{IoSlice, IoSliceMut};
use linux_aio::op::{Read, Write};
use linux_aio::opcode::PollMask;
use linux_aio::{Errno, Event, IdleContext, ScopeSlot, WaitOptions, scope, scope_with_context};
use support::{TempFile, fd, no_fd, pattern};

#[test]
fn many_operations_at_once_write_and_read_back() {
    let content = pattern(32 * 512);
    let file = TempFile::with(b"");
    let mut read = vec![0; content.len()];
    let mut slots = ScopeSlot::array::<32>();
    scope(&mut slots, |s| {
        for (number, part) in content.chunks(512).enumerate() {
            // The operation is not awaited; the scope waits for it at its end.
            drop(s.write(file.fd(), part, number as u64 * 512).unwrap());
        }
    })
    .unwrap();
    let sum = scope(&mut slots, |s| {
        let parts = read.chunks_mut(512).enumerate();
        let pending: Vec<_> = parts
            .map(|(number, part)| s.read(file.fd(), part, number as u64 * 512).unwrap())
            .collect();
        let done = pending.into_iter().map(|one| one.wait());
        done.map(|done| done.result.unwrap()).sum::<usize>()
    });
    assert_eq!(sum, Ok(content.len()));
    assert!(read == content);
}

#[test]
fn vectored_operations_and_a_refusal() {
    let file = TempFile::with(b"");
    let (mut a, mut b) = ([0; 3], [0; 4]);
    let write = [IoSlice::new(b"seven"), IoSlice::new(b"th")];
    {
        let mut read = [IoSliceMut::new(&mut a), IoSliceMut::new(&mut b)];
        scope(&mut ScopeSlot::array::<4>(), |s| {
            let bad = s.read(no_fd(), &mut [], 0).unwrap();
            let put = s.push(Write::new(file.fd(), &write[..])).unwrap();
            assert_eq!(put.wait().result, Ok(7));
            assert_eq!(
                bad.wait().result,
                Err(Errno::BADF),
                "the refusal is the result"
            );
            assert_eq!(s.fsync(file.fd()).unwrap().wait().result, Ok(0));
            let get = s.push(Read::new(file.fd(), &mut read[..])).unwrap();
            assert_eq!(get.wait().result, Ok(7));
        })
        .unwrap();
    }
    assert_eq!((&a, &b), (b"sev", b"enth"));
}

/// A poll that never completes is in flight. Waiting for a refused operation must not
/// wait for the poll. (After a while the poll is completed, so that a failing test does
/// not hang.)
#[test]
fn a_refusal_does_not_wait() {
    let (reader, writer) = support::pipe();
    std::thread::scope(|threads| {
        let (done, finished) = std::sync::mpsc::channel::<()>();
        threads.spawn(move || {
            let _ = finished.recv_timeout(Duration::from_secs(3));
            let _ = std::fs::File::from(writer).write_all(b"x");
        });
        scope(&mut ScopeSlot::array::<2>(), |s| {
            let never = s.poll(fd(&reader), PollMask::IN).unwrap();
            let bad = s.read(no_fd(), &mut [], 0).unwrap();
            assert_eq!(bad.wait().result, Err(Errno::BADF));
            assert!(!never.is_finished());
        })
        .unwrap();
        drop(done);
    });
}

/// Direct reads are in flight when `end` leaves the scope. Every byte must have been
/// read afterwards.
fn ends_only_when_the_reads_have(end: impl Fn(), raised: bool) {
    const BLOCK: usize = 1 << 20;
    let content = pattern(16 * BLOCK);
    let file = TempFile::with(&content);
    let direct = file.direct();
    let mut memory = vec![0_u8; content.len() + 4096];
    let shift = memory.as_ptr().align_offset(4096);
    let mut slots = ScopeSlot::array::<16>();
    let mut context = IdleContext::new(16).unwrap();
    let mut proved = false;
    for _ in 0..20 {
        memory.fill(0);
        let buffer = &mut memory[shift..][..content.len()];
        let last = (&raw const buffer[content.len() - 1]).cast::<u8>();
        let left = catch_unwind(AssertUnwindSafe(|| {
            scope_with_context(&mut context, &mut slots, |s| {
                for (number, block) in buffer.chunks_mut(BLOCK).enumerate() {
                    let fd = fd(&direct);
                    drop(s.read(fd, block, (number * BLOCK) as u64).unwrap());
                }
                s.submit();
                // SAFETY: the byte is within the memory. The kernel may write it, so it
                // is read as volatile memory.
                proved |= unsafe { last.read_volatile() } == 0;
                end();
            });
        }));
        assert_eq!(left.is_err(), raised);
        // The byte that is read last is compared first: comparing all of them takes as
        // long as reading them.
        assert_ne!(memory[shift + content.len() - 1], 0);
        assert!(memory[shift..][..content.len()] == content[..]);
        if proved {
            return;
        }
    }
    panic!("no read was ever in flight: the test shows nothing");
}

#[test]
fn returning_waits_for_the_reads() {
    ends_only_when_the_reads_have(|| {}, false);
}

#[test]
fn a_panic_waits_for_the_reads() {
    ends_only_when_the_reads_have(|| panic!("on purpose"), true);
}

/// This test does not depend on the speed of the disk. A pending poll cannot complete
/// by itself. If the scope had left it in flight, its event would arrive now.
fn leaves_nothing_in_flight(end: impl Fn(), raised: bool) {
    let (reader, writer) = support::pipe();
    let mut context = IdleContext::new(4).unwrap();
    let mut slots = ScopeSlot::array::<4>();
    let left = catch_unwind(AssertUnwindSafe(|| {
        scope_with_context(&mut context, &mut slots, |s| {
            drop(s.poll(fd(&reader), PollMask::IN).unwrap());
            s.submit();
            assert_eq!(s.in_flight(), 1);
            end();
        });
    }));
    assert_eq!(left.is_err(), raised);
    std::fs::File::from(writer).write_all(b"x").unwrap();
    let mut events = [Event::EMPTY; 4];
    let long = WaitOptions::new().timeout(Duration::from_millis(200));
    let context = context.into_context();
    assert_eq!(context.wait_with(1, &mut events, long), Ok(&mut [][..]));
    assert_eq!(context.destroy(), Ok(()), "it was not destroyed either");
}

#[test]
fn returning_leaves_nothing_in_flight() {
    leaves_nothing_in_flight(|| {}, false);
}

#[test]
fn a_panic_leaves_nothing_in_flight() {
    leaves_nothing_in_flight(|| panic!("on purpose"), true);
}

/// Signals interrupt the waits inside the library, and end none of them early.
#[test]
fn signals_do_not_end_a_wait() {
    let (reader, writer) = support::pipe();
    let guard = support::pester(libc::SIGUSR1);
    let result = std::thread::scope(|threads| {
        threads.spawn(|| {
            std::thread::sleep(Duration::from_millis(200));
            std::fs::File::from(writer).write_all(b"x").unwrap();
        });
        scope(&mut ScopeSlot::array::<2>(), |s| {
            let poll = s.poll(fd(&reader), PollMask::IN).unwrap();
            // This is the wait that signals do interrupt.
            assert_eq!(s.wait_with(1, WaitOptions::new()), Err(Errno::INTR));
            poll.wait().result
        })
    });
    drop(guard);
    let found = result.unwrap().map(PollMask::from_result).unwrap();
    assert!(found.contains(PollMask::IN));
}

#[test]
fn signals_do_not_end_the_scope() {
    let guard = support::pester(libc::SIGUSR1);
    ends_only_when_the_reads_have(|| {}, false);
    drop(guard);
}

/// The most recent completion is taken first, and others complete after it.
#[test]
fn completions_may_be_taken_in_any_order() {
    let file = TempFile::with(&pattern(64));
    // The order in which the three operations are waited for.
    for order in [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ] {
        let mut bytes = [[0_u8; 8]; 5];
        scope(&mut ScopeSlot::array::<4>(), |s| {
            let mut bytes = bytes.iter_mut();
            let mut start = |offset| s.read(file.fd(), bytes.next().unwrap(), offset).unwrap();
            let mut reads = [0, 8, 16].map(|offset| Some(start(offset)));
            assert_eq!(s.wait_with(3, WaitOptions::new()), Ok(3));
            let mut later = Vec::new();
            for number in order {
                let read = reads[number].take().unwrap();
                assert_eq!(read.wait().result, Ok(8));
                if later.len() < 2 {
                    // The new completion is appended to the list, which contains three
                    // again.
                    later.push(start(24));
                    assert_eq!(s.wait_with(3, WaitOptions::new()), Ok(3));
                }
            }
            for read in later.into_iter().rev() {
                assert_eq!(read.wait().result, Ok(8));
            }
            assert_eq!(s.wait_with(1, WaitOptions::new()), Ok(0));
        })
        .unwrap();
        for (number, bytes) in bytes.iter().enumerate() {
            let offset = [0, 8, 16, 24, 24][number];
            assert_eq!(bytes[..], pattern(64)[offset..][..8]);
        }
    }
}

/// A poll in flight completes with 0. An operation that was not submitted is cancelled
/// without the kernel. Cancelling a completed operation, or one in flight that is no
/// poll, is refused.
#[test]
fn a_pending_operation_is_cancelled() {
    let (reader, _writer) = support::pipe();
    let file = TempFile::with(b"xy");
    let (mut first, mut second) = ([0; 1], [0; 1]);
    scope(&mut ScopeSlot::array::<4>(), |s| {
        let poll = s.poll(fd(&reader), PollMask::IN).unwrap();
        s.submit();
        assert_eq!(poll.cancel(), Ok(()));
        assert_eq!(poll.wait().result, Ok(0));

        let staged = s.poll(fd(&reader), PollMask::IN).unwrap();
        let read = s.read(file.fd(), &mut first, 0).unwrap();
        assert_eq!(staged.cancel(), Ok(()));
        assert_eq!(staged.cancel(), Err(Errno::INVAL), "it is done");
        assert_eq!(staged.wait().result, Err(Errno::CANCELED));

        assert!(read.is_finished());
        assert_eq!(read.cancel(), Err(Errno::INVAL));
        assert_eq!(read.wait().result, Ok(1));
        let read = s.read(file.fd(), &mut second, 1).unwrap();
        assert_eq!(read.cancel(), Ok(()));
        let done = read.wait();
        assert_eq!(
            (done.result, done.buffer),
            (Err(Errno::CANCELED), &mut [0; 1][..])
        );
        assert_eq!(s.in_flight(), 0);
    })
    .unwrap();
    assert_eq!((first, second), (*b"x", [0]));
}

#[test]
fn polls_do_not_hold_the_scope() {
    let (reader, _writer) = support::pipe();
    let mut context = IdleContext::new(4).unwrap();
    let mut slots = ScopeSlot::array::<2>();
    for _ in 0..3 {
        scope_with_context(&mut context, &mut slots, |s| {
            let poll = s.poll(fd(&reader), PollMask::IN).unwrap();
            let short = WaitOptions::new().timeout(Duration::from_millis(5));
            assert_eq!(s.wait_with(1, short), Ok(0));
            assert!(!poll.is_finished());
        });
    }
    // The context can be used like a new one.
    let mut byte = [0];
    let file = TempFile::with(b"x");
    scope_with_context(&mut context, &mut slots, |s| {
        assert_eq!(
            s.read(file.fd(), &mut byte, 0).unwrap().wait().result,
            Ok(1)
        );
    });
}

#[test]
fn a_full_scope_gives_the_operation_back() {
    let file = TempFile::with(b"xy");
    let (mut a, mut b, mut c) = ([0], [0], [0]);
    scope(&mut ScopeSlot::array::<1>(), |s| {
        let first = s.read(file.fd(), &mut a, 0).unwrap();
        let full = s.read(file.fd(), &mut b, 1).unwrap_err();
        let buffer = full.0.into_buffer().unwrap();
        assert!(first.is_finished());
        drop(first);
        drop(s.read(file.fd(), buffer, 1).unwrap());
        // That operation is not awaited, so its slot is free when it has completed.
        assert_eq!(s.read(file.fd(), &mut c, 0).unwrap().wait().result, Ok(1));
    })
    .unwrap();
    assert_eq!((a, b, c), (*b"x", *b"y", *b"x"));
}

/// The kernel writes to the parent's memory, so a child need not wait. The child leaves
/// the scope, and does not read the ring, which is not mapped.
#[test]
fn a_forked_child_leaves_the_scope() {
    let (reader, _writer) = support::pipe();
    for done in 0..4 {
        let parent = std::process::id();
        let mut status = 0;
        let mut inherited = None;
        let file = TempFile::with(b"x");
        let mut bytes = [[0; 1]; 4];
        scope(&mut ScopeSlot::array::<8>(), |s| {
            let poll = s.poll(fd(&reader), PollMask::IN).unwrap();
            let reads: Vec<_> = bytes
                .iter_mut()
                .take(done)
                .map(|byte| s.read(file.fd(), byte, 0).unwrap())
                .collect();
            s.submit();
            // SAFETY: the child makes system calls and leaves the scope; if it hangs,
            // the alarm ends it.
            unsafe {
                match libc::fork() {
                    0 => {
                        libc::alarm(20);
                        let later = s.poll(fd(&reader), PollMask::IN).unwrap();
                        inherited = Some((poll.wait().result, later.wait().result));
                    }
                    child => {
                        assert!(child > 0);
                        assert_eq!(libc::waitpid(child, &raw mut status, 0), child);
                    }
                }
            }
            drop(reads);
        })
        .unwrap();
        if std::process::id() != parent {
            let right = Some((Err(Errno::OUTCOME_UNKNOWN), Err(Errno::INVAL)));
            let code = if inherited == right { 7 } else { 8 };
            // SAFETY: the child ends here at the latest, and runs no code of the
            // parent.
            unsafe { libc::_exit(code) };
        }
        assert!(libc::WIFEXITED(status), "{done}: {status:#x}");
        assert_eq!(libc::WEXITSTATUS(status), 7, "{done} done");
    }
}
