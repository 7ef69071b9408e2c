//! Single cases that random scenarios meet too rarely to rely on: the effect of one
//! call, and the number of system calls that it makes.
#![cfg(feature = "properties")]

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::task::{Context, Poll, Wake, Waker};

use model::fake_kernel::{self, DIRECT, Faults, Kernel, POLLED, Verdict};
use model::op::{self, Fsync};
use model::opcode::PollMask;
use model::reactor::{Reactor, ReactorSlot};
use model::{AioContext, Errno, Fd, Queue, ScopeSlot, Slot, WaitOptions, scope};

/// Installs a kernel model with a ring of at least 64 slots, which cannot be read if
/// `opaque` is set.
fn install(opaque: bool) {
    let mut kernel = Kernel::new([vec![0; 8192], vec![0; 8192]], 2, 64, 5);
    kernel.opaque = opaque;
    fake_kernel::install(kernel);
}

fn fd(number: i32) -> Fd<'static> {
    // SAFETY: the model's descriptors stay open, and −1 is no descriptor.
    unsafe { Fd::borrow_raw(number) }
}

fn with<T>(call: impl FnOnce(&mut Kernel, AioContext) -> T) -> T {
    let called = fake_kernel::with_next(|kernel| {
        let ctx = kernel.newest().expect("a context");
        call(kernel, ctx)
    });
    called.expect("a kernel")
}

/// Returns the numbers of system calls made by `during`: to submit, to cancel, to wait.
fn calls(during: impl FnOnce()) -> [u64; 3] {
    let before = with(|kernel, _| kernel.calls);
    during();
    let after = with(|kernel, _| kernel.calls);
    core::array::from_fn(|at| after[at] - before[at])
}

#[derive(Default)]
struct Count(AtomicU32);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// More operations than a single poll takes from a ring that cannot be read.
#[test]
fn one_turn_wakes_all_that_have_completed() {
    for (opaque, count) in [(false, 20), (false, 40), (true, 20), (true, 40)] {
        install(opaque);
        let mut slots: Vec<_> = (0..count).map(|_| ReactorSlot::NEW).collect();
        let reactor = Reactor::<()>::new(&mut slots).expect("a context");
        let woken = Arc::new(Count::default());
        let waker = Waker::from(woken.clone());
        let mut futures: Vec<_> = (0..count)
            .map(|_| Box::pin(reactor.push(Fsync::new(fd(DIRECT)))))
            .collect();
        for future in &mut futures {
            assert!(
                future
                    .as_mut()
                    .poll(&mut Context::from_waker(&waker))
                    .is_pending()
            );
        }
        with(|kernel, ctx| kernel.complete_all(ctx));
        assert_eq!(reactor.turn(), Ok(count), "{opaque}");
        assert_eq!(woken.0.load(Relaxed) as usize, count);
        drop(futures);
        drop(reactor);
        fake_kernel::uninstall();
    }
}

/// A refused operation completes a wait, although a poll in flight never completes.
#[test]
fn a_refusal_ends_a_wait() {
    install(false);
    let mut slots = ReactorSlot::array::<4>();
    let reactor = Reactor::<()>::new(&mut slots).expect("a context").batched();
    let mut endless = pin!(reactor.poll(fd(POLLED), PollMask::IN));
    let mut refused = pin!(reactor.fsync(fd(-1)));
    let task = &mut Context::from_waker(Waker::noop());
    assert!(endless.as_mut().poll(task).is_pending());
    assert!(refused.as_mut().poll(task).is_pending());
    let waits = calls(|| assert_eq!(reactor.wait(WaitOptions::new()), Ok(1)))[2];
    assert!(waits <= 1, "{waits} waits");
    match refused.as_mut().poll(task) {
        Poll::Ready(finished) => assert_eq!(finished.result, Err(Errno::BADF)),
        Poll::Pending => panic!("it was refused"),
    }
    fake_kernel::uninstall();
}

/// The same, where the poll of another future meets the refusal.
#[test]
fn a_completion_found_by_another_poll_ends_a_wait() {
    install(false);
    let mut slots = ReactorSlot::array::<4>();
    let reactor = Reactor::<()>::new(&mut slots).expect("a context");
    let mut endless = pin!(reactor.poll(fd(POLLED), PollMask::IN));
    let mut done = pin!(reactor.fsync(fd(DIRECT)));
    let woken = Arc::new(Count::default());
    let waker = Waker::from(woken.clone());
    let noop = &mut Context::from_waker(Waker::noop());
    assert!(
        done.as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
    );
    assert!(endless.as_mut().poll(noop).is_pending());
    with(|kernel, ctx| kernel.complete_all(ctx));
    // It polls the ring for its own operation, and finds the event of the other one.
    assert!(endless.as_mut().poll(noop).is_pending());
    assert_eq!(reactor.wait(WaitOptions::new()), Ok(1));
    assert_eq!(woken.0.load(Relaxed), 1);
    fake_kernel::uninstall();
}

/// A drain waits once for all operations in flight, and not at all for none.
#[test]
fn a_drain_waits_once() {
    install(false);
    let mut slots = Slot::<()>::array::<8>();
    let mut queue = Queue::<()>::new(&mut slots).expect("a context");
    assert_eq!(calls(|| queue.drain().expect("nothing")), [0, 0, 0]);
    for _ in 0..5 {
        queue.push(Fsync::new(fd(DIRECT))).expect("a slot");
    }
    queue
        .push(op::Poll::new(fd(POLLED), PollMask::IN))
        .expect("a slot");
    // One system call to submit, one to cancel, and two to wait: one of them verifies
    // that the context exists.
    assert_eq!(calls(|| queue.drain().expect("a drain")), [1, 1, 2]);
    let mut results = Vec::new();
    while let Some(done) = queue.pop().expect("a ring") {
        results.push(done.result);
    }
    assert_eq!(results, [Ok(0); 6]);
    drop(queue);
    fake_kernel::uninstall();
}

/// Waiting for a completed operation makes no system call; the first of several waits
/// makes one.
#[test]
fn a_wait_for_one_calls_at_most_once() {
    install(false);
    let mut slots = Slot::<()>::array::<8>();
    let mut queue = Queue::<()>::new(&mut slots).expect("a context");
    for _ in 0..3 {
        queue.push(Fsync::new(fd(DIRECT))).expect("a slot");
    }
    for left in (0..3).rev() {
        let calls = calls(|| assert!(queue.wait().expect("a wait").is_some()));
        assert!(calls[2] <= 2, "{calls:?}");
        assert_eq!(queue.in_flight(), left);
    }
    assert_eq!(
        calls(|| assert!(queue.wait().expect("a wait").is_none())),
        [0, 0, 0]
    );
    drop(queue);
    fake_kernel::uninstall();
}

/// A context is destroyed while operations are done, have events in the ring and are in
/// flight. Each has the right result, once.
#[test]
fn a_forced_end_distinguishes_completed_from_other_operations() {
    for opaque in [false, true] {
        install(opaque);
        let mut slots: Vec<_> = (0..6).map(|_| ScopeSlot::NEW).collect();
        let results = scope(&mut slots, |s| {
            let done = [0; 2].map(|_| s.fsync(fd(DIRECT)).expect("a slot"));
            s.submit();
            with(|kernel, ctx| kernel.complete_all(ctx));
            // Both are done now, and not taken.
            assert!(done[0].is_finished());
            let completed = s.fsync(fd(DIRECT)).expect("a slot");
            let polls = [0, 1].map(|n| s.poll(fd(POLLED + n), PollMask::IN).expect("a slot"));
            s.submit();
            // Completed, with its event still in the ring.
            with(|kernel, ctx| kernel.complete(ctx, 0, Verdict::Whole));
            with(|kernel, _| {
                kernel.faults = Faults {
                    wait: Some((0, Errno::NOSYS)),
                    ..Faults::default()
                };
            });
            let [first, second] = polls;
            let mut results = vec![first.wait().result];
            // The event in an opaque ring is lost with the ring.
            let late = completed.wait().result;
            assert_eq!(
                late,
                if opaque {
                    Err(Errno::OUTCOME_UNKNOWN)
                } else {
                    Ok(0)
                }
            );
            let [one, two] = done;
            results.extend([two.wait().result, second.wait().result, one.wait().result]);
            assert_eq!(s.in_flight(), 0);
            // Six slots are free again, and the context was destroyed.
            let refused: Vec<_> = (0..6)
                .map(|_| s.fsync(fd(DIRECT)).expect("a slot"))
                .collect();
            for pending in refused {
                assert_eq!(pending.wait().result, Err(Errno::INVAL));
            }
            results
        });
        let unknown = Err(Errno::OUTCOME_UNKNOWN);
        assert_eq!(results, Ok(vec![unknown, Ok(0), unknown, Ok(0)]));
        fake_kernel::uninstall();
    }
}

/// Done operations are taken in any order, the last first, while others complete.
#[test]
fn completed_operations_are_taken_in_any_order() {
    let orders = [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ];
    for order in orders {
        for more_after in 0..3 {
            install(false);
            let mut slots: Vec<_> = (0..6).map(|_| ScopeSlot::NEW).collect();
            scope(&mut slots, |s| {
                let mut all: Vec<_> = (0..3).map(|_| s.fsync(fd(DIRECT)).ok()).collect();
                s.submit();
                with(|kernel, ctx| kernel.complete_all(ctx));
                assert_eq!(s.wait_with(0, WaitOptions::poll()), Ok(3));
                let mut more = None;
                for (number, at) in order.into_iter().enumerate() {
                    let taken = all[at].take().expect("there");
                    assert_eq!(taken.wait().result, Ok(0));
                    if number == more_after {
                        // One more is done, behind the remaining ones.
                        more = s.fsync(fd(-1)).ok();
                        s.submit();
                    }
                }
                assert_eq!(more.map(|m| m.wait().result), Some(Err(Errno::BADF)));
            })
            .expect("a context");
            fake_kernel::uninstall();
        }
    }
}
