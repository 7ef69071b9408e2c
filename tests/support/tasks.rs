//! A small executor: it polls only the tasks that were woken, in a chosen order.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::collections::VecDeque;
use std::future::Future;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context as Task, Poll, Wake, Waker};
use std::time::{Duration, Instant};

/// The longest time without progress. A test that exceeds it has lost a wake-up.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// A deadline that panics if nothing changes for a [`LONG`] time.
pub(crate) struct Patience {
    last: usize,
    since: Instant,
}

impl Patience {
    pub(crate) fn new() -> Patience {
        Patience {
            last: usize::MAX,
            since: Instant::now(),
        }
    }

    pub(crate) fn check(&mut self, left: usize) {
        if left != self.last {
            (self.last, self.since) = (left, Instant::now());
        }
        assert!(self.since.elapsed() < LONG, "no progress: {left} left");
    }
}

/// A waker that counts its wake-ups.
#[derive(Default)]
pub(crate) struct Counter(AtomicUsize);

impl Counter {
    pub(crate) fn new() -> (Arc<Counter>, Waker) {
        let counter = Arc::new(Counter::default());
        (counter.clone(), counter.into())
    }

    pub(crate) fn count(&self) -> usize {
        self.0.load(SeqCst)
    }
}

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// Polls a future once.
pub(crate) fn poll<F: Future + ?Sized>(future: Pin<&mut F>, waker: &Waker) -> Option<F::Output> {
    match future.poll(&mut Task::from_waker(waker)) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

/// Yields to the executor once.
pub(crate) async fn yield_now() {
    let mut yielded = false;
    std::future::poll_fn(move |task| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        task.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// The order in which woken tasks are polled.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Order {
    /// The task that was woken first.
    Fifo,
    /// The task that was woken last.
    Lifo,
    /// A random task; the value is the seed.
    Random(u64),
}

/// Tasks, and the list of those that were woken.
pub(crate) struct Executor<'a> {
    tasks: Vec<Option<Pin<Box<dyn Future<Output = ()> + 'a>>>>,
    wakers: Vec<Waker>,
    woken: Arc<Mutex<VecDeque<usize>>>,
    order: Order,
    left: usize,
}

struct Number(usize, Arc<Mutex<VecDeque<usize>>>);

impl Wake for Number {
    fn wake(self: Arc<Self>) {
        let mut woken = self.1.lock().unwrap();
        if !woken.contains(&self.0) {
            woken.push_back(self.0);
        }
    }
}

impl<'a> Executor<'a> {
    pub(crate) fn new(order: Order) -> Executor<'a> {
        Executor {
            tasks: Vec::new(),
            wakers: Vec::new(),
            woken: Arc::default(),
            order,
            left: 0,
        }
    }

    pub(crate) fn spawn(&mut self, task: impl Future<Output = ()> + 'a) {
        let number = self.tasks.len();
        self.tasks.push(Some(Box::pin(task)));
        let waker = Arc::new(Number(number, self.woken.clone()));
        self.wakers.push(waker.into());
        self.woken.lock().unwrap().push_back(number);
        self.left += 1;
    }

    /// Returns the number of tasks that have not finished.
    pub(crate) fn left(&self) -> usize {
        self.left
    }

    /// Drops a task, whatever it waits for.
    pub(crate) fn drop_task(&mut self, number: usize) {
        self.left -= usize::from(self.tasks[number].take().is_some());
    }

    /// Leaks a task: it is never polled again and not dropped.
    pub(crate) fn leak_task(&mut self, number: usize) {
        self.left -= usize::from(self.tasks[number].is_some());
        std::mem::forget(self.tasks[number].take());
    }

    /// Polls one of the woken tasks. Returns `false` if no task was woken.
    pub(crate) fn poll_one(&mut self) -> bool {
        let mut woken = self.woken.lock().unwrap();
        let number = match &mut self.order {
            Order::Fifo => woken.pop_front(),
            Order::Lifo => woken.pop_back(),
            Order::Random(state) => {
                *state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                let len = woken.len().max(1);
                woken.remove((*state >> 33) as usize % len)
            }
        };
        drop(woken);
        let Some(number) = number else { return false };
        if let Some(task) = &mut self.tasks[number] {
            if poll(task.as_mut(), &self.wakers[number]).is_some() {
                self.tasks[number] = None;
                self.left -= 1;
            }
        }
        true
    }
}

/// Waits until an eventfd is readable, and reads it, like an executor that also waits
/// for other descriptors. Returns its counter. Panics after a [`LONG`] time.
pub(crate) fn await_eventfd(eventfd: &impl AsRawFd) -> u64 {
    let deadline = Instant::now() + LONG;
    while !is_readable(eventfd, 100) {
        assert!(Instant::now() < deadline, "the eventfd stays silent");
    }
    read_eventfd(eventfd)
}

/// Returns whether a descriptor is readable within `milliseconds`.
pub(crate) fn is_readable(fd: &impl AsRawFd, milliseconds: i32) -> bool {
    let mut wanted = libc::pollfd {
        fd: fd.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one structure is passed, which may be written.
    unsafe { libc::poll(&raw mut wanted, 1, milliseconds) == 1 }
}

/// Returns an eventfd's counter, and resets it to 0.
pub(crate) fn read_eventfd(eventfd: &impl AsRawFd) -> u64 {
    let mut count = [0_u8; 8];
    // SAFETY: at most eight bytes are written.
    let read = unsafe { libc::read(eventfd.as_raw_fd(), count.as_mut_ptr().cast(), 8) };
    // On EAGAIN the counter is 0 and the eventfd is non-blocking.
    if read == 8 {
        u64::from_ne_bytes(count)
    } else {
        0
    }
}
