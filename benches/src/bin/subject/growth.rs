//! Many operations at once, in orders that are hard on a list: what an operation costs must
//! not depend on how many others there are.

use std::fs::File;
use std::hint::black_box;
use std::pin::Pin;
use std::task::{Context as Task, Waker};

use linux_aio::op::Fsync;
use linux_aio::reactor::{Local, OpFuture, Reactor, ReactorSlot};
use linux_aio::{
    Fd, IdleContext, Queue, ScopeSlot, Slot, Ticket, scope_with_capacity, scope_with_context,
};

use crate::meter::Meter;

/// Performs `meter.count` operations, or creates as many owners of slots, `many` at a time.
pub(crate) fn growth(baseline: &str, many: usize, meter: &mut Meter) -> Option<()> {
    let file = File::open(std::env::current_exe().ok()?).ok()?;
    let fd = Fd::from(&file);
    let (what, order) = baseline.split_once('-')?;
    let rounds = meter.count / many as u64;
    match what {
        "scope" => scope(fd, &in_order(order, many)?, rounds, meter),
        "cancel" => cancel(fd, &in_order(order, many)?, rounds, meter),
        "drop" => drop_futures(fd, &in_order(order, many)?, rounds, meter),
        "create" => create(order, many, meter)?,
        _ => return None,
    }
    Some(())
}

/// Returns the numbers below `many`, in reverse or in an order without a pattern.
fn in_order(order: &str, many: usize) -> Option<Vec<usize>> {
    let mut numbers: Vec<_> = (0..many).rev().collect();
    match order {
        "reverse" => {}
        "random" => {
            // A linear congruential generator, so that each run has the same order.
            let mut state = 1_u64;
            for at in (1..many).rev() {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1);
                numbers.swap(at, (state >> 33) as usize % (at + 1));
            }
        }
        _ => return None,
    }
    Some(numbers)
}

/// Waits for the reads of a scope.
fn scope(fd: Fd<'_>, order: &[usize], rounds: u64, meter: &mut Meter) {
    let mut idle = IdleContext::new(order.len() as u32).unwrap();
    let mut slots: Vec<_> = order.iter().map(|_| ScopeSlot::NEW).collect();
    let mut buffers = vec![[0; 8]; order.len()];
    meter.time(|| {
        for _ in 0..rounds {
            scope_with_context(&mut idle, &mut slots, |s| {
                let reads = buffers.iter_mut().map(|buffer| s.read(fd, buffer, 0).ok());
                let mut reads: Vec<_> = reads.collect();
                for &at in order {
                    let done = reads[at].take().unwrap().wait();
                    assert_eq!(done.result, Ok(8));
                }
            });
        }
    });
}

/// Cancels the staged operations of a queue, and takes them.
fn cancel(fd: Fd<'_>, order: &[usize], rounds: u64, meter: &mut Meter) {
    let mut slots: Vec<_> = order.iter().map(|_| Slot::<()>::NEW).collect();
    let mut queue = Queue::new(&mut slots).unwrap();
    let mut tickets: Vec<Ticket> = Vec::with_capacity(order.len());
    meter.time(|| {
        for _ in 0..rounds {
            tickets.clear();
            tickets.extend(order.iter().map(|_| queue.push(Fsync::new(fd)).unwrap()));
            for &at in order {
                queue.cancel(tickets[at]).unwrap();
            }
            for _ in order {
                assert!(queue.pop().unwrap().unwrap().refused);
            }
        }
    });
}

/// Drops the futures of a reactor. One half has begun, and the other waits for slots.
fn drop_futures(fd: Fd<'_>, order: &[usize], rounds: u64, meter: &mut Meter) {
    let count = order.len();
    let mut slots: Vec<_> = (0..count / 2).map(|_| ReactorSlot::NEW).collect();
    let reactor = Reactor::<(), Local>::new(&mut slots).unwrap().batched();
    let mut task = Task::from_waker(Waker::noop());
    meter.time(|| {
        for _ in 0..rounds {
            let mut futures: Vec<Option<Pin<Box<OpFuture<_, _>>>>> = Vec::with_capacity(count);
            futures.extend((0..count).map(|_| Some(Box::pin(reactor.fsync(fd)))));
            for future in futures.iter_mut().flatten() {
                assert!(Future::poll(future.as_mut(), &mut task).is_pending());
            }
            for &at in order {
                futures[at] = None;
            }
        }
    });
}

/// Creates queues, scopes and reactors, `many` slots each.
fn create(what: &str, many: usize, meter: &mut Meter) -> Option<()> {
    let capacity = many as u32;
    match what {
        "queue" => {
            let mut slots: Vec<_> = (0..many).map(|_| Slot::<()>::NEW).collect();
            let mut idle = IdleContext::new(capacity).ok();
            meter.repeat(|| {
                let queue = Queue::with_context(idle.take().unwrap(), black_box(&mut slots));
                idle = queue.into_idle_context().ok();
                idle.is_some()
            });
        }
        "scope" => {
            let mut slots: Vec<_> = (0..many).map(|_| ScopeSlot::NEW).collect();
            let mut idle = IdleContext::new(capacity).ok()?;
            meter.repeat(|| {
                scope_with_context(&mut idle, black_box(&mut slots), |s| {
                    black_box(s);
                    true
                })
            });
        }
        "reactor" => {
            let mut slots: Vec<ReactorSlot<()>> = (0..many).map(|_| ReactorSlot::NEW).collect();
            let mut idle = IdleContext::new(capacity).ok();
            meter.repeat(|| {
                let idle_context = idle.take().unwrap();
                let reactor: Reactor<'_, ()> =
                    Reactor::with_context(idle_context, black_box(&mut slots));
                idle = reactor.into_idle_context().ok();
                idle.is_some()
            });
        }
        "owned" => meter.repeat(|| {
            let scope = scope_with_capacity(capacity, |s| {
                black_box(s);
            });
            let queue = Queue::<()>::with_capacity(capacity).map(Queue::into_idle_context);
            let reactor = Reactor::<()>::with_capacity(capacity).map(Reactor::into_idle_context);
            scope.is_ok() && queue.is_ok() && reactor.is_ok()
        }),
        _ => return None,
    }
    Some(())
}
