//! A turn that begins where a poll has left events that it found.
#![cfg(all(feature = "std", any(target_os = "linux", target_os = "android")))]

mod support;

use std::cell::Cell;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::time::Duration;

use linux_aio::op::{Op, Poll, Read};
use linux_aio::opcode::PollMask;
use linux_aio::reactor::{Local, Lock, Reactor};
use support::tasks::{Counter, await_eventfd, poll};
use support::{eventfd, pipe};

thread_local! {
    /// The number of critical sections before that in front of which this file is written.
    static BEFORE: Cell<Option<(u32, File)>> = const { Cell::new(None) };
}

/// A lock that lets something happen before a critical section, as another thread could.
struct Between(Local);

// SAFETY: `f` is called once, by `Local`, which keeps the promises. What comes before does not
// use the reactor.
unsafe impl Lock for Between {
    const NEW: Between = Between(Local::NEW);

    fn with<R>(&self, f: impl FnOnce() -> R) -> R {
        match BEFORE.take() {
            Some((0, mut file)) => {
                file.write_all(b"x").unwrap();
                // The kernel may deliver the event of a poll by a thread of its own.
                std::thread::sleep(Duration::from_millis(20));
            }
            Some((sections, file)) => BEFORE.set(Some((sections - 1, file))),
            None => {}
        }
        self.0.with(f)
    }
}

/// Returns the operation with its own eventfd, if there is one.
fn signals<'fd>(op: Op<'fd, Vec<u8>>, own: Option<&'fd OwnedFd>) -> Op<'fd, Vec<u8>> {
    match own {
        Some(own) => op.eventfd(own),
        None => op,
    }
}

/// The poll of a future takes the event of its own operation and finds another behind it, which
/// it leaves to the turn. A third one comes before the turn, and the executor resets the eventfd
/// that it has signalled. So this turn takes it too: nothing announces it again.
#[test]
fn a_turn_takes_what_came_after_events_found_earlier() {
    // The sections of the poll: it begins, records the submission, and takes the result.
    for (sections, owned) in [(1, false), (2, false), (1, true), (2, true)] {
        let zero = File::open("/dev/zero").unwrap();
        let ((first, to_first), (second, to_second)) = (pipe(), pipe());
        let signal = eventfd();
        // The eventfd is that of the reactor or of each operation.
        let mut reactor = Reactor::<Vec<u8>, Between>::with_capacity(8).unwrap();
        if !owned {
            reactor = reactor.eventfd(&signal);
        }
        let [
            (first_count, first_waker),
            (second_count, second_waker),
            (read_count, read_waker),
        ] = [(); 3].map(|()| Counter::new());
        let mut polls = [&first, &second].map(|end| {
            let op = Poll::new(end, PollMask::IN);
            Box::pin(reactor.push(signals(op.into(), owned.then_some(&signal))))
        });
        for (future, waker) in polls.iter_mut().zip([&first_waker, &second_waker]) {
            assert!(poll(future.as_mut(), waker).is_none());
        }
        let read = Read::new(&zero, vec![0; 4]);
        let mut read = pin!(reactor.push(signals(read.into(), owned.then_some(&signal))));
        BEFORE.replace(Some((sections, File::from(to_first))));
        assert!(poll(read.as_mut(), &read_waker).is_some());
        assert!(BEFORE.take().is_none());
        let mut signals = 0;
        // The read and the first poll have signalled.
        while signals < 2 {
            signals += await_eventfd(&signal);
        }
        File::from(to_second).write_all(b"x").unwrap();
        while signals < 3 {
            signals += await_eventfd(&signal);
        }
        reactor.turn().unwrap();
        let woken = [first_count, second_count, read_count].map(|counter| counter.count());
        assert_eq!(woken, [1, 1, 0], "after {sections} sections, {owned}");
    }
}
