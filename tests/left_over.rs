//! A turn that begins where a poll has left events that it found.
#![cfg(all(feature = "std", any(target_os = "linux", target_os = "android")))]

mod support;

use std::cell::Cell;
use std::fs::File;
use std::future::Future;
use std::io::Write as _;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context as Task, Poll, Wake, Waker};
use std::time::Duration;

use linux_aio::opcode::PollMask;
use linux_aio::reactor::{Local, Lock, Reactor};
use support::tasks::await_eventfd;
use support::{eventfd, pipe};

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

/// The poll of a future takes the event of its own operation and finds another behind it, which
/// it leaves to the turn. A third one comes before the turn, and the executor resets the eventfd
/// that it has signalled. So this turn takes it too: nothing announces it again.
#[test]
fn a_turn_takes_what_came_after_events_found_earlier() {
    // The sections of the poll: it begins, records the submission, and takes the result.
    for sections in [1, 2] {
        let zero = File::open("/dev/zero").unwrap();
        let ((first, to_first), (second, to_second)) = (pipe(), pipe());
        let signal = eventfd();
        let reactor = Reactor::<Vec<u8>, Between>::with_capacity(8)
            .unwrap()
            .eventfd(&signal);
        let counters = [(); 3].map(|()| Arc::new(Counter::default()));
        let wakers = counters
            .each_ref()
            .map(|counter| Waker::from(Arc::clone(counter)));
        let mut polls = [&first, &second].map(|end| Box::pin(reactor.poll(end, PollMask::IN)));
        for (future, waker) in polls.iter_mut().zip(&wakers) {
            assert!(poll(future.as_mut(), waker).is_none());
        }
        let mut read = pin!(reactor.read(&zero, vec![0; 4], 0));
        BEFORE.replace(Some((sections, File::from(to_first))));
        assert!(poll(read.as_mut(), &wakers[2]).is_some());
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
        let woken = counters.each_ref().map(|counter| counter.0.load(SeqCst));
        assert_eq!(woken, [1, 1, 0], "after {sections} sections");
    }
}
