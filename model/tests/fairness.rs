//! Tasks that wait for a slot of a reactor get one in the order in which they came,
//! whatever order the executor uses, as long as they are polled when they are woken.
#![cfg(feature = "properties")]

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, Wake, Waker};

use model::fake_kernel::{self, BUFFERED, DIRECT, Kernel};
use model::op::{Fsync, WithoutBuffer};
use model::reactor::{Local, OpFuture, Reactor, ReactorSlot};
use model::{AioContext, Fd};

/// A waker that records that it was woken, and its position in the order of wake-ups.
#[derive(Default)]
struct Flag(AtomicBool, AtomicUsize);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        static WAKES: AtomicUsize = AtomicUsize::new(0);
        self.0.store(true, Relaxed);
        self.1.store(WAKES.fetch_add(1, Relaxed), Relaxed);
    }
}

type Future1<'a, 'r> = OpFuture<&'a Reactor<'r, (), Local>, WithoutBuffer>;

/// A task that performs one operation after the other, forever.
struct Looping<'a, 'r> {
    reactor: &'a Reactor<'r, ()>,
    future: Pin<Box<Future1<'a, 'r>>>,
    flag: Arc<Flag>,
    rounds: u32,
    /// The number of operations that each other task has begun since this one began to
    /// wait for a slot. `None` while it does not wait.
    waits: Option<Vec<u32>>,
    begun: u32,
}

impl<'a, 'r> Looping<'a, 'r> {
    fn new(reactor: &'a Reactor<'r, ()>) -> Looping<'a, 'r> {
        Looping {
            reactor,
            future: Box::pin(sync(reactor, DIRECT)),
            flag: Arc::new(Flag(AtomicBool::new(true), AtomicUsize::new(0))),
            rounds: 0,
            waits: None,
            begun: 0,
        }
    }

    /// Polls the task until it is pending, if it was woken.
    fn poll(&mut self) {
        if !self.flag.0.swap(false, Relaxed) {
            return;
        }
        let waker = Waker::from(self.flag.clone());
        let mut new = self.waits.is_some() || self.rounds == 0;
        while poll(&mut self.future, &waker).is_some() {
            self.rounds += 1;
            self.future = Box::pin(sync(self.reactor, DIRECT));
            new = true;
        }
        self.begun += u32::from(new && format!("{:?}", self.future).contains("begun"));
    }
}

/// Borrows a descriptor of the kernel model.
fn fd(number: i32) -> Fd<'static> {
    // SAFETY: the model's descriptors stay open.
    unsafe { Fd::borrow_raw(number) }
}

fn sync<'a, 'r>(reactor: &'a Reactor<'r, ()>, file: i32) -> Future1<'a, 'r> {
    reactor.push(Fsync::new(fd(file)))
}

fn poll(future: &mut Pin<Box<Future1<'_, '_>>>, waker: &Waker) -> Option<usize> {
    match future.as_mut().poll(&mut Context::from_waker(waker)) {
        Poll::Ready(finished) => Some(finished.result.expect("a sync")),
        Poll::Pending => None,
    }
}

fn install(chance: u64) {
    fake_kernel::install(Kernel::new([vec![0; 8192], vec![0; 8192]], 1, 2, chance));
}

fn context() -> AioContext {
    fake_kernel::with_next(|kernel| kernel.newest())
        .flatten()
        .expect("a context")
}

fn complete_all() {
    let ctx = context();
    fake_kernel::with_next(|kernel| kernel.complete_all(ctx));
}

/// The order in which an executor polls woken tasks before it turns the reactor.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Order {
    Forwards,
    Backwards,
    /// Beginning with a different task each time.
    Round,
    /// The order in which they were woken.
    Woken,
}

#[test]
fn while_a_task_waits_each_other_task_begins_at_most_once() {
    for order in [
        Order::Forwards,
        Order::Backwards,
        Order::Round,
        Order::Woken,
    ] {
        for slots in 1..4 {
            for tasks in slots..8 {
                for batched in [false, true] {
                    loop_tasks(order, slots, tasks, batched);
                }
            }
        }
    }
}

fn loop_tasks(order: Order, slots: usize, tasks: usize, batched: bool) {
    install(7 + tasks as u64);
    let mut array: Vec<_> = (0..slots).map(|_| ReactorSlot::NEW).collect();
    let reactor = Reactor::<()>::new(&mut array).expect("a context");
    let reactor = if batched { reactor.batched() } else { reactor };
    let mut looping: Vec<_> = (0..tasks).map(|_| Looping::new(&reactor)).collect();
    for turn in 0..60 {
        while let Some(at) = next(&looping, order, turn) {
            let begun = looping[at].begun;
            looping[at].poll();
            if looping[at].begun > begun {
                looping[at].waits = None;
                // A woken task has its slot, and is polled next.
                let waiting = looping.iter_mut();
                let waiting = waiting.filter(|task| !task.flag.0.load(Relaxed));
                for other in waiting.filter_map(|task| task.waits.as_mut()) {
                    other[at] += 1;
                    assert!(
                        other[at] <= 1,
                        "began twice: {order:?}, {tasks} tasks on {slots} slots"
                    );
                }
            } else if looping[at].waits.is_none() {
                let waits = !format!("{:?}", looping[at].future).contains("begun");
                looping[at].waits = waits.then(|| vec![0; tasks]);
            }
        }
        reactor.turn().expect("a turn");
        complete_all();
        reactor.turn().expect("a turn");
        let rounds = looping.iter().map(|task| task.rounds);
        let (least, most) = (rounds.clone().min().unwrap(), rounds.max().unwrap());
        assert!(
            most - least <= 1 || order != Order::Woken,
            "{least} and {most} rounds: {tasks} tasks on {slots} slots"
        );
    }
    let least = looping.iter().map(|task| task.rounds).min().unwrap();
    // A round of all tasks takes this many turns, and one more that begins while a task
    // waits.
    let turns = tasks.div_ceil(slots) as u32 + 1;
    assert!(
        least >= 60 / turns,
        "{least} rounds: {order:?}, {tasks} tasks on {slots} slots"
    );
    drop(looping);
    drop(reactor);
    fake_kernel::uninstall();
}

/// Returns the woken task to be polled next.
fn next(looping: &[Looping<'_, '_>], order: Order, turn: usize) -> Option<usize> {
    let count = looping.len();
    let woken = (0..count).filter(|&at| looping[at].flag.0.load(Relaxed));
    woken.min_by_key(|&at| match order {
        Order::Forwards => at,
        Order::Backwards => count - at,
        Order::Round => (at + turn) % count,
        Order::Woken => looping[at].flag.1.load(Relaxed),
    })
}

/// One slot is taken. Several waiters, called or not, are leaked, and one is polled: it
/// gets the slot within three turns for each of them.
#[test]
fn leaked_waiters_pass_their_slot_on() {
    for leaked in 1..5 {
        install(3);
        let mut array = ReactorSlot::array::<1>();
        let reactor = Reactor::<()>::new(&mut array).expect("a context");
        let mut first = Box::pin(sync(&reactor, DIRECT));
        assert_eq!(poll(&mut first, Waker::noop()), None);
        for _ in 0..leaked {
            let mut waiting = Box::pin(sync(&reactor, DIRECT));
            assert_eq!(poll(&mut waiting, Waker::noop()), None);
            core::mem::forget(waiting);
        }
        let mut last = Looping::new(&reactor);
        last.poll();
        complete_all();
        reactor.turn().expect("a turn");
        assert_eq!(poll(&mut first, Waker::noop()), Some(0));
        let mut turns = 0;
        while !last.flag.0.load(Relaxed) {
            reactor.turn().expect("a turn");
            turns += 1;
            assert!(turns <= 3 * leaked, "{turns} turns for {leaked} leaked");
        }
        last.poll();
        complete_all();
        reactor.turn().expect("a turn");
        last.poll();
        assert_eq!(last.rounds, 1);
        drop((first, last));
        drop(reactor);
        fake_kernel::uninstall();
    }
}

/// A waiter that was called for a slot and is dropped calls the next one at once: the
/// eventfd never becomes readable for it, so the reactor would not be turned.
#[test]
fn a_called_waiter_that_is_dropped_calls_the_next() {
    install(3);
    let mut array = ReactorSlot::array::<1>();
    let reactor = Reactor::<()>::new(&mut array).expect("a context");
    let mut first = Box::pin(sync(&reactor, DIRECT));
    assert_eq!(poll(&mut first, Waker::noop()), None);
    let mut second = Box::pin(sync(&reactor, DIRECT));
    assert_eq!(poll(&mut second, Waker::noop()), None);
    let mut third = Looping::new(&reactor);
    third.poll();
    complete_all();
    // Its completion calls the second.
    assert_eq!(poll(&mut first, Waker::noop()), Some(0));
    drop(second);
    assert!(third.flag.0.load(Relaxed), "the slot is free");
    third.poll();
    assert_eq!(reactor.in_flight(), 1);
    drop((first, third));
    drop(reactor);
    fake_kernel::uninstall();
}

/// A task that comes while others wait for the free slot waits behind them.
#[test]
fn a_later_waiter_is_served_later() {
    install(3);
    let mut array = ReactorSlot::array::<1>();
    let reactor = Reactor::<()>::new(&mut array).expect("a context");
    let mut first = Box::pin(sync(&reactor, DIRECT));
    assert_eq!(poll(&mut first, Waker::noop()), None);
    let mut second = Looping::new(&reactor);
    second.poll();
    complete_all();
    assert_eq!(poll(&mut first, Waker::noop()), Some(0));
    // The slot is free, and reserved for the second task.
    let mut late = Box::pin(sync(&reactor, BUFFERED));
    assert_eq!(poll(&mut late, Waker::noop()), None);
    assert_eq!(reactor.in_flight(), 0);
    assert!(second.flag.0.load(Relaxed), "it was not called");
    second.poll();
    assert_eq!(reactor.in_flight(), 1);
    drop((first, late, second));
    drop(reactor);
    fake_kernel::uninstall();
}
