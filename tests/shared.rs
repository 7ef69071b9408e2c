//! Tests of the blocking wait of a reactor that several threads share.
#![cfg(all(feature = "std", any(target_os = "linux", target_os = "android")))]

mod support;

use std::future::Future;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Context as Task, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use linux_aio::op::{Poll as PollOp, Read};
use linux_aio::opcode::PollMask;
use linux_aio::reactor::{Reactor, Shared};
use linux_aio::{Errno, SigSet, WaitOptions};
use support::{TempFile, eventfd, pattern};

type Shares<'r> = Reactor<'r, Vec<u8>, Shared>;

/// A waker that unparks the thread of an executor.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs one task on this thread, which sleeps until it is woken.
fn block_on<F: Future>(task: F) -> F::Output {
    let mut task = pin!(task);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        match task.as_mut().poll(&mut Task::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}

fn signal(eventfd: &OwnedFd) {
    let one = 1_u64.to_ne_bytes();
    // SAFETY: write(2) reads eight bytes, the length of `one`.
    let written = unsafe { libc::write(eventfd.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    assert_eq!(written, 8);
}

/// The threads sleep until their tasks are woken, and one thread does nothing but wait.
/// There are fewer slots than tasks. A lost wake-up makes the test hang.
#[test]
fn one_thread_waits_for_the_tasks_of_others() {
    const TASKS: usize = 6;
    const READS: usize = 200;
    let content = pattern(TASKS * READS);
    let (file, eventfd) = (TempFile::with(&content), eventfd());
    for batched in [false, true] {
        let mut reactor = Shares::with_capacity(4).unwrap().eventfd(&eventfd);
        if batched {
            reactor = reactor.batched();
        }
        let stop = AtomicBool::new(false);
        thread::scope(|threads| {
            let driver = threads.spawn(|| {
                while !stop.load(SeqCst) {
                    match reactor.wait_eventfd(WaitOptions::new()) {
                        Ok(_) | Err(Errno::INTR) => {}
                        Err(errno) => panic!("{errno:?}"),
                    }
                }
            });
            let (reactor, file, content) = (&reactor, &file.file, &content);
            let tasks: Vec<_> = (0..TASKS)
                .map(|task| {
                    threads.spawn(move || {
                        for read in 0..READS {
                            let at = task * READS + read;
                            let done =
                                block_on(reactor.read(file, vec![0], at.try_into().unwrap()));
                            assert_eq!(done.result, Ok(1));
                            assert_eq!(done.buffer, content[at..=at]);
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.join().unwrap();
            }
            stop.store(true, SeqCst);
            signal(&eventfd);
            driver.join().unwrap();
        });
        assert_eq!(reactor.in_flight(), 0);
    }
}

/// The lock is free during the wait: another thread begins an operation, whose
/// completion ends the wait.
#[test]
fn the_wait_does_not_hold_the_lock() {
    let (file, eventfd) = (TempFile::with(b"x"), eventfd());
    let reactor = Shares::with_capacity(2).unwrap().eventfd(&eventfd);
    thread::scope(|threads| {
        let waiting = threads.spawn(|| reactor.wait_eventfd(WaitOptions::new()));
        // It is certainly in the kernel then; if it is not, the test passes too easily.
        thread::sleep(Duration::from_millis(50));
        let mut read = pin!(reactor.read(&file.file, vec![0], 0));
        let task = &mut Task::from_waker(Waker::noop());
        // A cached read completes in the poll that submits it.
        assert!(matches!(read.as_mut().poll(task), Poll::Ready(done) if done.result == Ok(1)));
        waiting.join().unwrap().unwrap();
    });
}

#[test]
fn a_wait_ends_by_timeout_signal_or_eventfd() {
    let eventfd = eventfd();
    let reactor = Shares::with_capacity(2).unwrap().eventfd(&eventfd);
    let start = Instant::now();
    let short = WaitOptions::new().timeout(Duration::from_millis(30));
    assert_eq!(reactor.wait_eventfd(short), Ok(0));
    assert!(start.elapsed() >= Duration::from_millis(30));
    assert_eq!(reactor.wait_eventfd(WaitOptions::poll()), Ok(0));

    // The counter is reset, so that the next wait does not end at once.
    for _ in 0..2 {
        signal(&eventfd);
        signal(&eventfd);
        assert_eq!(reactor.wait_eventfd(WaitOptions::new()), Ok(0));
        let start = Instant::now();
        assert_eq!(reactor.wait_eventfd(short), Ok(0));
        assert!(start.elapsed() >= Duration::from_millis(30));
    }

    // A signal that the mask lets through, pending since before the wait.
    support::catch(libc::SIGUSR1);
    support::block(libc::SIGUSR1);
    support::send_here(libc::SIGUSR1);
    assert_eq!(reactor.wait_eventfd(short), Ok(0), "it is blocked");
    let mask = SigSet::full().without(libc::SIGUSR1.try_into().unwrap());
    let wait = WaitOptions::new().sigmask(&mask);
    assert_eq!(reactor.wait_eventfd(wait), Err(Errno::INTR));
}

/// Completions from before the wait end it, and so do those of operations that the
/// kernel has refused.
#[test]
fn existing_completions_end_a_wait() {
    let (file, eventfd) = (TempFile::with(b"x"), eventfd());
    let reactor = Shares::with_capacity(4)
        .unwrap()
        .eventfd(&eventfd)
        .batched();
    let mut good = pin!(reactor.push(Read::new(&file.file, vec![0])));
    let mut bad = pin!(reactor.push(Read::new(support::no_fd(), vec![0])));
    let task = &mut Task::from_waker(Waker::noop());
    assert!(good.as_mut().poll(task).is_pending());
    assert!(bad.as_mut().poll(task).is_pending());
    let mut completed = 0;
    while completed < 2 {
        completed += reactor.wait_eventfd(WaitOptions::new()).unwrap();
    }
    assert!(matches!(good.as_mut().poll(task), Poll::Ready(done) if done.result == Ok(1)));
    let refused = Err(Errno::BADF);
    assert!(matches!(bad.as_mut().poll(task), Poll::Ready(done) if done.result == refused));
}

#[test]
fn a_wait_without_an_eventfd_is_refused() {
    let reactor = Shares::with_capacity(1).unwrap();
    assert_eq!(reactor.wait_eventfd(WaitOptions::poll()), Err(Errno::INVAL));
}

/// A pipe in place of the eventfd is not read: its bytes belong to the caller.
#[test]
fn nothing_is_read_from_another_kind_of_file() {
    let (reader, writer) = support::pipe();
    signal(&writer);
    let reactor = Shares::with_capacity(1).unwrap().eventfd(&reader);
    assert_eq!(reactor.wait_eventfd(WaitOptions::new()), Ok(0));
    assert!(support::tasks::is_readable(&reader, 0));
}

/// Several threads wait at once. Whichever finds a completion, its task is woken, and no
/// thread is left in a read of the eventfd.
#[test]
fn several_threads_wait_at_once() {
    let eventfd = eventfd();
    let (reader, writer) = support::pipe();
    let reactor = Shares::with_capacity(4).unwrap().eventfd(&eventfd);
    let wait = || reactor.wait_eventfd(WaitOptions::new());
    for round in 0..50 {
        thread::scope(|threads| {
            let waiting: Vec<_> = (0..3).map(|_| threads.spawn(wait)).collect();
            let ready = block_on(async {
                let mut poll = pin!(reactor.push(PollOp::new(&reader, PollMask::IN)));
                let mut begun = false;
                std::future::poll_fn(|task| {
                    let polled = poll.as_mut().poll(task);
                    if !begun {
                        begun = true;
                        signal(&writer);
                    }
                    polled
                })
                .await
            });
            assert!(ready.result.is_ok());
            for waiter in waiting {
                // A thread that began to wait after the reset is still waiting.
                while !waiter.is_finished() {
                    signal(&eventfd);
                    thread::sleep(Duration::from_millis(1));
                }
                let waited = waiter.join().unwrap();
                assert!(waited.unwrap() <= 1, "round {round}");
            }
            // Left over from the signals above.
            let _ = reactor.wait_eventfd(WaitOptions::poll());
        });
        let mut bytes = [0; 8];
        // SAFETY: read(2) writes at most eight bytes, the length of `bytes`.
        let read = unsafe { libc::read(reader.as_raw_fd(), bytes.as_mut_ptr().cast(), 8) };
        assert_eq!(read, 8);
    }
}

/// Two reactors share a blocking eventfd. A thread that blocks in a read of it, because
/// another has reset it, does not hold a lock.
#[test]
fn a_thread_that_resets_the_eventfd_holds_no_lock() {
    // SAFETY: the call has no memory arguments, and the descriptor is new.
    let eventfd = unsafe { OwnedFd::from_raw_fd(libc::eventfd(0, libc::EFD_CLOEXEC)) };
    let reactors = [0, 1].map(|_| Shares::with_capacity(1).unwrap().eventfd(&eventfd));
    let stop = AtomicBool::new(false);
    thread::scope(|threads| {
        for reactor in &reactors {
            let stop = &stop;
            threads.spawn(move || {
                while !stop.load(SeqCst) {
                    let short = WaitOptions::new().timeout(Duration::from_millis(1));
                    reactor.wait_eventfd(short).unwrap();
                }
            });
        }
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(300) {
            signal(&eventfd);
            for reactor in &reactors {
                assert_eq!(reactor.free_slots(), 1, "a lock is free");
            }
        }
        stop.store(true, SeqCst);
        // Each of the threads may need one more.
        for _ in 0..200 {
            signal(&eventfd);
            thread::sleep(Duration::from_millis(1));
        }
    });
}

/// The child would take the signal from its parent.
#[test]
fn a_forked_child_does_not_wait_for_its_parents_eventfd() {
    let eventfd = eventfd();
    let reactor = Shares::with_capacity(1).unwrap().eventfd(&eventfd);
    signal(&eventfd);
    let child = || {
        let waited = reactor.wait_eventfd(WaitOptions::new());
        i32::from(waited != Err(Errno::INVAL))
    };
    assert_eq!(support::in_child(child), 0);
    assert!(support::tasks::is_readable(&eventfd, 0));
}

/// The descriptor was closed behind the reactor's back: an error, and no endless loop.
#[test]
fn a_closed_eventfd_is_reported() {
    let child = || {
        let eventfd = eventfd();
        // SAFETY: the descriptor is open until it is closed on purpose below, in a process
        // of its own.
        let borrowed = unsafe { linux_aio::Fd::borrow_raw(eventfd.as_raw_fd()) };
        let reactor = Shares::with_capacity(1).unwrap().eventfd(borrowed);
        drop(eventfd);
        let waited = reactor.wait_eventfd(WaitOptions::new());
        i32::from(waited != Err(Errno::BADF))
    };
    assert_eq!(support::in_child(child), 0);
}
