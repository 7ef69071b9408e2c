//! The loop of a worker thread.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Instant;

use linux_aio::op::Poll as PollOp;
use linux_aio::opcode::PollMask;

use crate::workload::Workload;
use crate::{Common, STALLED, os};

/// The number of waits that a signal has interrupted.
pub(crate) static INTERRUPTED: AtomicU64 = AtomicU64::new(0);
/// The number of futures that were dropped in flight.
pub(crate) static DROPPED: AtomicU64 = AtomicU64::new(0);

/// The number of operations submitted together.
const BATCH: u64 = 16;

/// Runs operations until no numbers are left.
pub(crate) fn work(number: usize, mut own: Workload<'_>, common: &Common<'_, '_>) {
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
        // This blocks until a signal arrives or some milliseconds have passed.
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

/// Submits operations to the shared queue. Another thread may take their completions.
fn in_the_shared_queue(ids: std::ops::Range<u64>, common: &Common<'_, '_>) {
    let mut workload = common.shared.lock().unwrap_or_else(PoisonError::into_inner);
    ids.for_each(|id| workload.push(id, common.ledger));
    workload.submit(common.ledger);
    drop(workload);
    let mut workload = common.shared.lock().unwrap_or_else(PoisonError::into_inner);
    workload.end_polls();
    workload.reap(common.ledger);
}

/// Runs operations in the shared reactor one after the other, and then a poll whose
/// future is dropped in flight.
fn by_the_reactor(ids: std::ops::Range<u64>, own: &mut Workload<'_>, common: &Common<'_, '_>) {
    let mut task = Context::from_waker(Waker::noop());
    for id in ids {
        let (op, job) = own.prepare(id, false);
        let mut future = pin!(common.reactor.push(op));
        let done = loop {
            match future.as_mut().poll(&mut task) {
                Poll::Ready(done) => break done,
                Poll::Pending => {
                    common.reactor.turn().unwrap();
                    // Other threads may take the completion, so they get time to run.
                    thread::yield_now();
                }
            }
        };
        common.ledger.submitted(1);
        own.settle(job, done.result, done.buffer, done.data, common.ledger);
    }
    // The operation keeps the eventfd open.
    let never = PollOp::owned((Arc::new(os::eventfd()), u64::MAX), PollMask::IN);
    let mut leaked = pin!(common.reactor.push(never));
    if leaked.as_mut().poll(&mut task).is_pending() {
        DROPPED.fetch_add(1, Relaxed);
    }
}

/// Completes the operations of the shared queue and reactor, after the threads have
/// ended.
pub(crate) fn finish(common: &Common<'_, '_>) {
    let mut workload = common.shared.lock().unwrap_or_else(PoisonError::into_inner);
    workload.finish(common.ledger);
    let begin = Instant::now();
    while common.reactor.in_flight() > 0 {
        assert!(begin.elapsed() < STALLED, "the reactor has lost something");
        common.reactor.turn().unwrap();
        thread::yield_now();
    }
}
