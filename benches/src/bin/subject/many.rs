//! Many operations at once: does the cost of one depend on their number?

use std::hint::black_box;
use std::io::{PipeReader, PipeWriter};
use std::pin::Pin;
use std::task::{Context as Task, Waker};

use linux_aio::op::{Poll, WithoutBuffer};
use linux_aio::opcode::PollMask;
use linux_aio::reactor::{OpFuture, Reactor, ReactorSlot};
use linux_aio::{Errno, IdleContext, Queue, ScopeSlot, Slot, Ticket, scope_with_context};

use crate::meter::Meter;

/// The buffer type of polls, which have no memory.
type NoBuffer = &'static mut [u8];

/// The order in which operations are waited for, cancelled or dropped.
enum Order {
    Ascending,
    Descending,
    Random,
}

impl Order {
    fn named(name: &str) -> Option<Order> {
        match name {
            "order" => Some(Order::Ascending),
            "reverse" => Some(Order::Descending),
            "random" => Some(Order::Random),
            _ => None,
        }
    }

    /// Returns the numbers below `nr`.
    fn numbers(&self, nr: usize) -> Vec<usize> {
        let mut numbers: Vec<usize> = (0..nr).collect();
        match self {
            Order::Ascending => {}
            Order::Descending => numbers.reverse(),
            Order::Random => {
                let mut random = 1_u64;
                for at in (1..nr).rev() {
                    random = random
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407);
                    numbers.swap(at, (random >> 33) as usize % (at + 1));
                }
            }
        }
        numbers
    }
}

/// Performs about `meter.count` operations, `nr` at a time.
pub(crate) fn growth(baseline: &str, nr: usize, meter: &mut Meter) -> Option<()> {
    let rounds = (meter.count / nr as u64).max(1);
    // Never closed, as the operations of a leaked reactor may refer to it.
    let pipe: &'static _ = Box::leak(Box::new(std::io::pipe().ok()?));
    if let Some(owner) = baseline.strip_prefix("new-") {
        return create(owner, nr, meter);
    }
    let (case, order) = baseline.rsplit_once('-')?;
    let order = Order::named(order)?.numbers(nr);
    meter.count = rounds * nr as u64;
    match case {
        "scope" => scope(rounds, &order, &pipe.1, meter),
        "cancel" => cancel(rounds, &order, &pipe.0, meter),
        "drop-staged" => drop_futures(rounds, &order, &pipe.0, meter, false),
        "drop-flying" => drop_futures(rounds, &order, &pipe.0, meter, true),
        _ => return None,
    }
    Some(())
}

/// Polls that are ready at once are begun, and waited for.
fn scope(rounds: u64, order: &[usize], ready: &PipeWriter, meter: &mut Meter) {
    let mut context = IdleContext::new(order.len() as u32).unwrap();
    let mut slots: Vec<ScopeSlot> = order.iter().map(|_| ScopeSlot::NEW).collect();
    for _ in 0..rounds {
        scope_with_context(&mut context, &mut slots, |s| {
            let mut pending = Vec::with_capacity(order.len());
            meter.time(|| {
                let begin = |_: &usize| Some(s.poll(ready, PollMask::OUT).unwrap());
                pending.extend(order.iter().map(begin));
                for &at in order {
                    let done = pending[at].take().unwrap().wait();
                    assert!(done.result.unwrap() > 0);
                }
            });
        });
    }
}

/// Operations are staged, cancelled before they are submitted, and taken.
fn cancel(rounds: u64, order: &[usize], idle: &PipeReader, meter: &mut Meter) {
    let mut slots: Vec<Slot<NoBuffer>> = order.iter().map(|_| Slot::NEW).collect();
    let mut queue = Queue::new(&mut slots).unwrap();
    let mut tickets: Vec<Ticket> = Vec::with_capacity(order.len());
    for _ in 0..rounds {
        tickets.clear();
        meter.time(|| {
            let poll = |_: &usize| queue.push(Poll::new(idle, PollMask::IN)).unwrap();
            tickets.extend(order.iter().map(poll));
            for &at in order {
                queue.cancel(tickets[at]).unwrap();
            }
            for _ in order {
                let done = queue.pop().unwrap().unwrap();
                assert_eq!(done.result, Err(Errno::CANCELED));
            }
        });
    }
}

type Polling<'r> = OpFuture<&'r Reactor<'r, NoBuffer>, WithoutBuffer>;

/// Futures are dropped: of operations that are staged, or of polls in flight, which are
/// cancelled.
fn drop_futures(
    rounds: u64,
    order: &[usize],
    idle: &'static PipeReader,
    meter: &mut Meter,
    submitted: bool,
) {
    let slots: Vec<ReactorSlot<NoBuffer>> = order.iter().map(|_| ReactorSlot::NEW).collect();
    let reactor: Reactor<'static, NoBuffer> = Reactor::new(slots.leak()).unwrap().batched();
    let reactor: &'static Reactor<'static, NoBuffer> = Box::leak(Box::new(reactor));
    let mut task = Task::from_waker(Waker::noop());
    for _ in 0..rounds {
        let begin = |_: &usize| {
            let mut future: Pin<Box<Polling<'static>>> = Box::pin(reactor.poll(idle, PollMask::IN));
            assert!(future.as_mut().poll(&mut task).is_pending());
            Some(future)
        };
        let mut futures: Vec<_> = order.iter().map(begin).collect();
        if submitted {
            reactor.turn().unwrap();
        }
        meter.time(|| {
            for &at in order {
                futures[at] = None;
            }
        });
        while reactor.in_flight() > 0 {
            reactor.turn().unwrap();
        }
        assert_eq!(reactor.free_slots(), order.len());
    }
}

/// An owner of `nr` slots is created on an idle context, and returns the context.
fn create(owner: &str, nr: usize, meter: &mut Meter) -> Option<()> {
    let mut context = IdleContext::new(nr as u32).unwrap();
    let count = meter.count;
    match owner {
        "queue" => {
            let mut slots: Vec<Slot<NoBuffer>> = (0..nr).map(|_| Slot::NEW).collect();
            meter.time(|| {
                (0..count).fold(context, |context, _| {
                    let queue = black_box(Queue::with_context(context, &mut slots));
                    queue.into_idle_context().unwrap()
                })
            });
        }
        "reactor" => {
            let mut slots: Vec<ReactorSlot<NoBuffer>> = Vec::new();
            slots.resize_with(nr, || ReactorSlot::NEW);
            meter.time(|| {
                (0..count).fold(context, |context, _| {
                    let reactor = Reactor::<NoBuffer>::with_context(context, &mut slots);
                    black_box(reactor).into_idle_context().unwrap()
                })
            });
        }
        "scope" => {
            let mut slots: Vec<ScopeSlot> = (0..nr).map(|_| ScopeSlot::NEW).collect();
            meter.time(|| {
                for _ in 0..count {
                    scope_with_context(&mut context, &mut slots, |s| {
                        black_box(s);
                    });
                }
            });
        }
        _ => return None,
    }
    Some(())
}
