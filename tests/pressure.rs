//! Tests several threads and one eventfd, while other submitters fill the context.
//! Operations are staged because the context is full, and the polls of other tasks
//! submit them and get the refusals. No wake-up is lost.
#![cfg(all(feature = "std", any(target_os = "linux", target_os = "android")))]

mod support;

use std::future::Future;
use std::io::Write as _;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::task::{Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use linux_aio::reactor::{Reactor, ReactorSlot, Shared};
use linux_aio::{Errno, Fd};
use support::inject::{fill, shared_context};
use support::tasks::{LONG, is_readable, read_eventfd};
use support::{TempFile, fd, no_fd};

type Bytes = Box<[u8]>;

const TASKS: usize = 3;
const OPERATIONS: usize = 2000;

struct Unpark(Thread, AtomicBool);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.1.store(true, SeqCst);
        self.0.unpark();
    }
}

/// Polls a future when it is woken, and only then.
fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let woken = Arc::new(Unpark(thread::current(), AtomicBool::new(false)));
    let waker = Waker::from(woken.clone());
    let begin = Instant::now();
    loop {
        if let Poll::Ready(value) = future
            .as_mut()
            .poll(&mut std::task::Context::from_waker(&waker))
        {
            return value;
        }
        while !woken.1.swap(false, SeqCst) {
            assert!(begin.elapsed() < LONG, "a wake-up is lost");
            thread::park_timeout(LONG / 10);
        }
    }
}

#[test]
fn threads_lose_no_wake_up_while_others_fill_the_context() {
    let file = TempFile::with(b"here");
    for batched in [false, true] {
        let (idle, name) = shared_context(6);
        let eventfd = support::eventfd();
        let (readable, writer) = support::pipe();
        std::fs::File::from(writer).write_all(b"x").unwrap();
        let mut slots = ReactorSlot::array::<4>();
        let mut reactor =
            Reactor::<Bytes, Shared>::with_context(idle, &mut slots).eventfd(&eventfd);
        if batched {
            reactor = reactor.batched();
        }
        let left = AtomicUsize::new(TASKS * OPERATIONS);
        let task = |first: usize| {
            for number in first..first + OPERATIONS {
                let is_bad = number % 3 == 0;
                let fd: Fd<'_> = if is_bad { no_fd() } else { fd(&file.file) };
                let done = block_on(reactor.read(fd, vec![0; 4].into(), 0));
                match done.result {
                    // The reactor had no operation in flight that would free capacity.
                    Err(Errno::AGAIN) => {}
                    Err(errno) => assert_eq!((errno, is_bad), (Errno::BADF, true)),
                    Ok(bytes) => assert_eq!((bytes, is_bad), (4, false)),
                }
                left.fetch_sub(1, SeqCst);
            }
        };
        thread::scope(|threads| {
            for number in 0..TASKS {
                let task = &task;
                threads.spawn(move || task(number));
            }
            threads.spawn(|| {
                // These polls complete immediately; the turns of the reactor free their
                // capacity.
                while left.load(SeqCst) > 0 {
                    fill(name, &readable);
                    thread::sleep(Duration::from_micros(50));
                }
            });
            while left.load(SeqCst) > 0 {
                // Only the eventfd makes this thread turn the reactor. The last
                // operation needs no signal.
                if is_readable(&eventfd, 100) {
                    read_eventfd(&eventfd);
                    reactor.turn().unwrap();
                }
            }
        });
    }
}
