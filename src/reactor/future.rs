//! [`OpFuture`]: one operation as a future.

use core::fmt;
use core::future::Future;
use core::mem::MaybeUninit;
use core::pin::Pin;
use core::ptr::NonNull;
use core::task::{Context as Task, Poll, Waker};

use super::deferred::Deferred;
use super::eventfd::Signals;
use super::lock::Lock;
use super::waiters::Waiter;
use super::{Awaited, Inside, Reactor};
use crate::buffer::IoBuf;
use crate::completion::{Completion, result};
use crate::engine::{Backend, OpState, Released, Ticket};
use crate::sys::abi::{IOCB_CMD_POLL, Iocb};

/// An operation of a [`Reactor`] as a future. Its output is the result, with the
/// buffer and the data.
///
/// The operation begins when the future is first polled. A future that is
/// dropped before that drops its buffer at once; one that is dropped later leaves
/// it to the reactor until the operation has completed.
///
/// # Panics
/// Polling panics after the future was ready.
#[must_use = "futures do nothing unless polled"]
pub struct OpFuture<'a, 'r, B: IoBuf + 'static, L: Lock, T = ()> {
    reactor: &'a Reactor<'r, B, L, T>,
    state: State<B, T>,
    waiter: Waiter,
}

/// What an operation carries.
type Payload<B, T> = (Option<B>, T);

/// What its slot gives back.
type Ended<B, T> = Released<Payload<B, T>, Awaited>;

/// The state of the operation. It has no destructor, so assigning it runs no
/// user code.
enum State<B, T> {
    /// Not begun; with the operation's own eventfd, if the reactor signals it.
    Ready(Iocb, Option<i32>, MaybeUninit<Payload<B, T>>),
    Begun(Ticket),
    /// Completed, and the result was not returned yet.
    Done(Ticket, i64, MaybeUninit<Payload<B, T>>),
    Over,
}

// SAFETY: the waiter is touched under the reactor's lock alone; all else may be
// sent if buffer and data may, and the reactor shared.
unsafe impl<B: IoBuf + Send + 'static, L: Lock + Sync, T: Send> Send for OpFuture<'_, '_, B, L, T> {}

impl<'a, 'r, B: IoBuf + 'static, L: Lock, T> OpFuture<'a, 'r, B, L, T> {
    pub(super) fn new(
        reactor: &'a Reactor<'r, B, L, T>,
        iocb: Iocb,
        own_eventfd: Option<i32>,
        payload: MaybeUninit<Payload<B, T>>,
    ) -> OpFuture<'a, 'r, B, L, T> {
        OpFuture {
            reactor,
            state: State::Ready(iocb, own_eventfd, payload),
            waiter: Waiter::new(),
        }
    }
}

impl<B: IoBuf + 'static, L: Lock, T> Future for OpFuture<'_, '_, B, L, T> {
    type Output = Completion<B, T>;

    fn poll(self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Completion<B, T>> {
        // SAFETY: nothing is moved out of it but what need not be pinned; the
        // waiter stays.
        let this = unsafe { self.get_unchecked_mut() };
        let waiter = NonNull::from(&this.waiter);
        // Outside the lock: it is the executor's code.
        let mut waker = Some(task.waker().clone());
        let (reactor, state) = (this.reactor, &mut this.state);
        let (mut deferred, mut signals) = (Deferred::default(), Signals::default());
        reactor.with(|inside| {
            inside.waiters.count_poll();
            // A batched operation is not submitted here, so it cannot be done.
            let mut staged = false;
            if let State::Ready(..) = state {
                // SAFETY: the waiter is this future's, which is pinned and
                // leaves the lists when it is dropped.
                deferred.drop[0] = unsafe { inside.begin(state, waiter, &mut waker) };
                staged = inside.batched;
            }
            match *state {
                State::Begun(ticket) if !staged => match inside.find_after_poll(ticket) {
                    Some(OpState::Staged(at) | OpState::InFlight(at)) => {
                        // One that has just begun has its waker already.
                        if let Some(waker) = waker.take() {
                            let awaited = inside.engine.slots.extra(at);
                            deferred.drop[0] = awaited.waker.replace(waker);
                        }
                    }
                    Some(OpState::Done(at)) => {
                        let result = inside.engine.slots.take_result(at);
                        let ended = inside.engine.slots.release(at);
                        *state = State::Done(ticket, result, MaybeUninit::new(ended.payload));
                        signals.own = ended.extra.own_eventfd;
                        deferred.drop[1] = ended.extra.waker;
                        deferred.wake = inside.call();
                    }
                    None => {}
                },
                _ => {}
            }
            signals.reactor = inside.asks_for_turn(false);
        });
        // User code follows. The state of the operation is up to date.
        deferred.drop[2] = waker;
        signals.send(reactor.eventfd);
        deferred.run();
        match &mut this.state {
            State::Done(ticket, res, payload) => {
                let (ticket, res) = (*ticket, *res);
                let payload = core::mem::replace(payload, MaybeUninit::uninit());
                this.state = State::Over;
                // SAFETY: written when the slot was released, and read here
                // alone: the state is `Over` now.
                let (buffer, data) = unsafe { payload.assume_init() };
                Poll::Ready(Completion {
                    ticket,
                    result: result(res),
                    buffer,
                    data,
                })
            }
            State::Over => panic!("a future of a reactor was polled after it was ready"),
            State::Ready(..) | State::Begun(_) => Poll::Pending,
        }
    }
}

impl<B: IoBuf + 'static, T> Inside<'_, B, T> {
    /// Takes a slot and begins the operation, or waits for a slot. Returns the
    /// waker that was replaced.
    ///
    /// # Safety
    /// As for the [`Waiters`](super::waiters::Waiters).
    unsafe fn begin(
        &mut self,
        state: &mut State<B, T>,
        waiter: NonNull<Waiter>,
        waker: &mut Option<Waker>,
    ) -> Option<Waker> {
        let State::Ready(iocb, own_eventfd, payload) = state else {
            return None;
        };
        let old = if self.waiters.is_empty() && !self.engine.slots.is_full() {
            None
        } else {
            let free = self.engine.slots.free();
            // SAFETY: the caller's promise.
            match unsafe { self.waiters.arrive(waiter, free) } {
                (true, old) => old,
                (false, _) => {
                    let waker = waker.take()?;
                    // SAFETY: the caller's promise.
                    return unsafe { self.waiters.enter(waiter, waker) };
                }
            }
        };
        let awaited = Awaited {
            waker: waker.take(),
            dropped: false,
            own_eventfd: *own_eventfd,
        };
        let payload = core::mem::replace(payload, MaybeUninit::uninit());
        let ticket = self.engine.slots.stage(iocb, payload, awaited);
        // Before anything else: the payload is in the slot now.
        *state = State::Begun(ticket);
        if !self.batched {
            self.flush();
        }
        old
    }

    /// Finds an operation. If it is in flight, polls for completions first. Those
    /// of other operations are notified by the next `turn`, which also reports an
    /// error.
    fn find_after_poll(&mut self, ticket: Ticket) -> Option<OpState> {
        let place = self.engine.slots.find(ticket);
        if let Some(OpState::InFlight(_)) = place {
            let looked = self.engine.wait(0, crate::WaitOptions::poll());
            if looked.is_err() && self.engine.backend.is_copy() {
                // A forked child: no event will ever come.
                self.engine.abandon();
            }
            return self.engine.slots.find(ticket);
        }
        place
    }

    /// Takes the result of a completed operation and what its slot held, and
    /// frees the slot.
    fn take_done(&mut self, ticket: Ticket) -> Option<(i64, Ended<B, T>)> {
        match self.engine.slots.find(ticket) {
            Some(OpState::Done(at)) => {
                let res = self.engine.slots.take_result(at);
                Some((res, self.engine.slots.release(at)))
            }
            _ => None,
        }
    }

    /// Detaches the operation from its future. Returns what is left of it, to be
    /// dropped outside the lock.
    fn detach(&mut self, ticket: Ticket) -> Left<B, T> {
        match self.engine.slots.find(ticket) {
            Some(OpState::InFlight(at)) => {
                let awaited = self.engine.slots.extra(at);
                awaited.dropped = true;
                let waker = awaited.waker.take();
                if self.engine.slots.iocb(at).opcode == IOCB_CMD_POLL {
                    // One that has just ended refuses, and its event comes.
                    let _ = self.engine.cancel(ticket);
                }
                Left::Waker(waker)
            }
            Some(OpState::Staged(at)) => {
                self.engine.slots.unstage(at);
                let mut ended = self.engine.slots.release(at);
                // It has not ended, and never will.
                ended.extra.own_eventfd = None;
                Left::Ended(ended)
            }
            Some(OpState::Done(_)) => match self.take_done(ticket) {
                Some((_, ended)) => Left::Ended(ended),
                None => Left::Waker(None),
            },
            None => Left::Waker(None),
        }
    }
}

/// What is left of an operation without its future.
enum Left<B, T> {
    Waker(Option<Waker>),
    Ended(Ended<B, T>),
}

impl<B: IoBuf + 'static, L: Lock, T> Drop for OpFuture<'_, '_, B, L, T> {
    fn drop(&mut self) {
        let waiter = NonNull::from(&self.waiter);
        let reactor = self.reactor;
        let (mut deferred, mut signals) = (Deferred::default(), Signals::default());
        // Dropped last, also if something before it panics.
        let mut _payload = None;
        match core::mem::replace(&mut self.state, State::Over) {
            State::Over => {}
            // SAFETY: written when the slot was released, and not returned.
            State::Done(_, _, left) => _payload = Some(unsafe { left.assume_init() }),
            State::Ready(_, _, left) => {
                // SAFETY: written at the beginning, and not moved to a slot.
                _payload = Some(unsafe { left.assume_init() });
                reactor.with(|inside| {
                    // SAFETY: the waiter is this future's, and this its last
                    // use.
                    deferred.drop[0] = unsafe { inside.waiters.leave(waiter) };
                    // The slot that this one had a claim to is the next one's.
                    deferred.wake = inside.call();
                    signals.reactor = inside.asks_for_turn(false);
                });
            }
            State::Begun(ticket) => reactor.with(|inside| {
                match inside.detach(ticket) {
                    Left::Waker(waker) => deferred.drop[0] = waker,
                    Left::Ended(ended) => {
                        _payload = Some(ended.payload);
                        deferred.drop[0] = ended.extra.waker;
                        signals.own = ended.extra.own_eventfd;
                    }
                }
                deferred.wake = inside.call();
                signals.reactor = inside.asks_for_turn(false);
            }),
        }
        signals.send(reactor.eventfd);
        deferred.run();
    }
}

impl<B: IoBuf + 'static, L: Lock, T> fmt::Debug for OpFuture<'_, '_, B, L, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Ready(..) => "ready",
            State::Begun(_) => "begun",
            State::Done(..) => "done",
            State::Over => "over",
        };
        f.debug_struct("OpFuture")
            .field("state", &state)
            .finish_non_exhaustive()
    }
}
