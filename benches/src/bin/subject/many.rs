//! Many operations at once: the cases of [`growth`](crate::growth) that only the clock
//! measures, as the kernel has a part in them.

use std::io::{PipeReader, PipeWriter};
use std::pin::Pin;
use std::task::{Context as Task, Waker};

use linux_aio::op::WithoutBuffer;
use linux_aio::opcode::PollMask;
use linux_aio::reactor::{OpFuture, Reactor, ReactorSlot};
use linux_aio::{IdleContext, ScopeSlot, scope_with_context};

use crate::meter::Meter;

/// Performs about `meter.count` operations, `nr` at a time.
pub(crate) fn many(baseline: &str, nr: usize, meter: &mut Meter) -> Option<()> {
    // Never closed, as the operations of a leaked reactor may refer to it.
    let pipe: &'static _ = Box::leak(Box::new(std::io::pipe().ok()?));
    let rounds = (meter.count / nr as u64).max(1);
    match baseline {
        "scope-order" => scope(rounds, nr, &pipe.1, meter),
        "poll-order" => drop_polls(rounds, (0..nr).collect(), &pipe.0, meter),
        "poll-reverse" => drop_polls(rounds, (0..nr).rev().collect(), &pipe.0, meter),
        _ => return None,
    }
    meter.count = rounds * nr as u64;
    Some(())
}

/// Polls that are ready at once are begun, and waited for in order.
fn scope(rounds: u64, nr: usize, ready: &PipeWriter, meter: &mut Meter) {
    let mut context = IdleContext::new(nr as u32).unwrap();
    let mut slots: Vec<ScopeSlot> = (0..nr).map(|_| ScopeSlot::NEW).collect();
    meter.time(|| {
        for _ in 0..rounds {
            scope_with_context(&mut context, &mut slots, |s| {
                let begin = |_| s.poll(ready, PollMask::OUT).unwrap();
                let polls: Vec<_> = (0..nr).map(begin).collect();
                for poll in polls {
                    assert!(poll.wait().result.unwrap() > 0);
                }
            });
        }
    });
}

type Polling<'r> = OpFuture<&'r Reactor<'r, ()>, WithoutBuffer>;

/// The futures of polls in flight are dropped, which cancels them.
fn drop_polls(rounds: u64, order: Vec<usize>, idle: &'static PipeReader, meter: &mut Meter) {
    let slots: Vec<ReactorSlot<()>> = order.iter().map(|_| ReactorSlot::NEW).collect();
    let reactor: Reactor<'static, ()> = Reactor::new(slots.leak()).unwrap().batched();
    let reactor: &'static Reactor<'static, ()> = Box::leak(Box::new(reactor));
    let mut task = Task::from_waker(Waker::noop());
    for _ in 0..rounds {
        let begin = |_: &usize| {
            let mut future: Pin<Box<Polling<'static>>> = Box::pin(reactor.poll(idle, PollMask::IN));
            assert!(future.as_mut().poll(&mut task).is_pending());
            Some(future)
        };
        let mut futures: Vec<_> = order.iter().map(begin).collect();
        reactor.turn().unwrap();
        meter.time(|| {
            for &at in &order {
                futures[at] = None;
            }
        });
        while reactor.in_flight() > 0 {
            reactor.turn().unwrap();
        }
        assert_eq!(reactor.free_slots(), order.len());
    }
}
