//! What each of the threads does.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Instant;

use linux_aio::op::Poll as PollOp;
use linux_aio::opcode::PollMask;

use crate::lane::Lane;
use crate::{Common, STALLED, os};

/// Waits that a signal has ended.
pub(crate) static INTERRUPTED: AtomicU64 = AtomicU64::new(0);
/// Futures in flight that nobody waited for any more.
pub(crate) static DROPPED: AtomicU64 = AtomicU64::new(0);

/// Operations that are submitted together.
const BATCH: u64 = 16;

/// Works until there are no numbers left.
pub(crate) fn work(number: usize, mut own: Lane<'_>, common: &Common<'_, '_>) {
    common.threads[number].store(os::thread_id(), Relaxed);
    let ledger = common.ledger;
    for round in 0_u64.. {
        let ids = ledger.take(BATCH);
        if ids.is_empty() {
            break;
        }
        match round % 32 {
            0..4 => in_the_shared_queue(ids, common),
            4 => by_the_reactor(ids, &mut own, common),
            _ => {
                ids.for_each(|id| own.push(id, ledger));
                own.submit(ledger);
            }
        }
        own.reap(ledger);
        // Blocked until a signal comes, or some milliseconds are over.
        if round % 64 == 63 && own.has_endless_polls() && own.wait() {
            INTERRUPTED.fetch_add(1, Relaxed);
        }
        if round % 4 == 3 {
            own.end_polls();
        }
    }
    own.finish(ledger);
    common.threads[number].store(0, Relaxed);
}

/// What one thread submits there, another may find ended.
fn in_the_shared_queue(ids: std::ops::Range<u64>, common: &Common<'_, '_>) {
    let mut lane = common.shared.lock().unwrap_or_else(PoisonError::into_inner);
    ids.for_each(|id| lane.push(id, common.ledger));
    lane.submit(common.ledger);
    drop(lane);
    let mut lane = common.shared.lock().unwrap_or_else(PoisonError::into_inner);
    lane.end_polls();
    lane.reap(common.ledger);
}

/// One after the other, and between them a poll that is forgotten in flight.
fn by_the_reactor(ids: std::ops::Range<u64>, own: &mut Lane<'_>, common: &Common<'_, '_>) {
    let mut task = Context::from_waker(Waker::noop());
    for id in ids {
        let (op, job) = own.prepare(id, false);
        let mut future = pin!(common.reactor.push(op));
        let done = loop {
            match future.as_mut().poll(&mut task) {
                Poll::Ready(done) => break done,
                Poll::Pending => {
                    common.reactor.turn().unwrap();
                    // For the threads that end what it waits for.
                    thread::yield_now();
                }
            }
        };
        common.ledger.submitted(1);
        own.settle(job, done.result, done.buffer, done.data, common.ledger);
    }
    // The operation keeps the eventfd open.
    let never = PollOp::owned((Arc::new(os::eventfd()), u64::MAX), PollMask::IN);
    let mut forgotten = pin!(common.reactor.push(never));
    if forgotten.as_mut().poll(&mut task).is_pending() {
        DROPPED.fetch_add(1, Relaxed);
    }
}

/// What all share ends, when the threads have.
pub(crate) fn finish(common: &Common<'_, '_>) {
    let mut lane = common.shared.lock().unwrap_or_else(PoisonError::into_inner);
    lane.finish(common.ledger);
    let begin = Instant::now();
    while common.reactor.in_flight() > 0 {
        assert!(begin.elapsed() < STALLED, "the reactor has lost something");
        common.reactor.turn().unwrap();
        thread::yield_now();
    }
}
