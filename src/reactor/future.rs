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
use crate::sys::abi::Iocb;

/// An operation of a [`Reactor`], as a future.
///
/// Its output is the result, with the buffer and the data.
///
/// The operation begins when the future is first polled. A future that is dropped
/// before its first poll drops its buffer at once. A future that is dropped later
/// leaves the buffer to the reactor until the operation has completed.
///
/// # Panics
/// Polling panics once the future has returned its output.
#[must_use = "futures do nothing unless polled"]
pub struct OpFuture<'a, 'r, B: IoBuf + 'static, L: Lock, T = ()> {
    reactor: &'a Reactor<'r, B, L, T>,
    state: State<B, T>,
    waiter: Waiter,
}

/// The buffer and the data of an operation.
type Payload<B, T> = (Option<B>, T);

/// The contents of a released slot.
type Ended<B, T> = Released<Payload<B, T>, Awaited>;

/// The state of the operation.
///
/// It has no destructor, so assigning it runs no user code.
enum State<B, T> {
    /// Not begun. The second field is the operation's own eventfd, if the reactor
    /// signals it.
    Ready(Iocb, Option<i32>, MaybeUninit<Payload<B, T>>),
    Begun(Ticket),
    /// Completed, with a result that has not been returned yet.
    Done(Ticket, i64, MaybeUninit<Payload<B, T>>),
    Returned,
}

// SAFETY: the waiter is accessed under the reactor's lock alone. The buffer and the
// data are `Send`. The reactor is `Sync` under these bounds, so a reference to it may
// be sent.
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
        // SAFETY: the waiter, which must stay pinned, is not moved. The other fields do
        // not need pinning.
        let this = unsafe { self.get_unchecked_mut() };
        let waiter = NonNull::from(&this.waiter);
        // Cloned outside the lock, because this is the executor's code.
        let mut waker = Some(task.waker().clone());
        let (reactor, state) = (this.reactor, &mut this.state);
        let (mut deferred, mut signals) = (Deferred::default(), Signals::default());
        reactor.with(|inside| {
            inside.waiters.count_poll();
            // A batched operation is not submitted here, so it cannot have completed.
            let mut staged = false;
            if let State::Ready(..) = state {
                // SAFETY: the waiter belongs to this future, which is pinned. It is in
                // the lists of this reactor alone, and the future's destructor removes
                // it from them.
                deferred.drop[0] = unsafe { inside.begin(state, waiter, &mut waker) };
                staged = inside.batched;
            }
            match *state {
                State::Begun(ticket) if !staged => match inside.find_after_poll(ticket) {
                    Some(OpState::Staged(at) | OpState::InFlight(at)) => {
                        // An operation that has just begun has its waker already.
                        if let Some(waker) = waker.take() {
                            let awaited = inside.engine.slots.extra(at);
                            deferred.drop[0] = awaited.waker.replace(waker);
                        }
                    }
                    Some(OpState::Completed(at)) => {
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
            signals.reactor = inside.signals_turn(false);
        });
        // User code follows; the state of the operation is up to date.
        deferred.drop[2] = waker;
        signals.send(reactor.eventfd);
        deferred.run();
        match &mut this.state {
            State::Done(ticket, res, payload) => {
                let (ticket, res) = (*ticket, *res);
                let payload = core::mem::replace(payload, MaybeUninit::uninit());
                this.state = State::Returned;
                // SAFETY: the payload was written when the slot was released. It is
                // read only here: the state is `Returned` now.
                let (buffer, data) = unsafe { payload.assume_init() };
                Poll::Ready(Completion {
                    ticket,
                    result: result(res),
                    buffer,
                    data,
                })
            }
            State::Returned => panic!("a future of a reactor was polled after it was ready"),
            State::Ready(..) | State::Begun(_) => Poll::Pending,
        }
    }
}

impl<B: IoBuf + 'static, T> Inside<'_, B, T> {
    /// Takes a slot and begins the operation, or enters the list of waiters.
    ///
    /// Returns the waker that was replaced.
    ///
    /// # Safety
    /// `waiter` is in no lists but those of `self.waiters`. It stays alive and in place
    /// until it has left them, or for ever.
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
            // SAFETY: the `# Safety` section requires that `waiter` is in no other
            // lists and stays alive and in place, which is the condition of `Waiters`.
            match unsafe { self.waiters.arrive(waiter, free) } {
                (true, old) => old,
                (false, _) => {
                    let waker = waker.take()?;
                    // SAFETY: the `# Safety` section requires that `waiter` is in no
                    // other lists and stays alive and in place, which is the condition
                    // of `Waiters`.
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
        // This comes before anything else: the payload is in the slot now.
        *state = State::Begun(ticket);
        if !self.batched {
            self.flush();
        }
        old
    }

    /// Finds an operation, and polls for completions first if it is in flight.
    ///
    /// The next `turn` notifies the futures of other completed operations, and also
    /// reports an error.
    fn find_after_poll(&mut self, ticket: Ticket) -> Option<OpState> {
        let state = self.engine.slots.find(ticket);
        if let Some(OpState::InFlight(_)) = state {
            let polled = self.engine.wait(0, crate::WaitOptions::poll());
            if polled.is_err() && self.engine.backend.is_copy() {
                // In a forked child no event will ever arrive.
                self.engine.abandon();
            }
            return self.engine.slots.find(ticket);
        }
        state
    }

    /// Takes the result of a completed operation and the contents of its slot, and
    /// frees the slot.
    fn take_completed(&mut self, ticket: Ticket) -> Option<(i64, Ended<B, T>)> {
        match self.engine.slots.find(ticket) {
            Some(OpState::Completed(at)) => {
                let res = self.engine.slots.take_result(at);
                Some((res, self.engine.slots.release(at)))
            }
            _ => None,
        }
    }

    /// Detaches the operation from its future.
    ///
    /// Returns the remaining values, to be dropped outside the lock.
    fn detach(&mut self, ticket: Ticket) -> Remains<B, T> {
        match self.engine.slots.find(ticket) {
            Some(OpState::InFlight(at)) => {
                let awaited = self.engine.slots.extra(at);
                awaited.dropped = true;
                let waker = awaited.waker.take();
                // The event of a poll arrives in either case.
                let _ = self.engine.cancel_if_poll(at);
                Remains::Waker(waker)
            }
            Some(OpState::Staged(at)) => {
                self.engine.slots.unstage(at);
                let mut ended = self.engine.slots.release(at);
                // The operation was not submitted, so its eventfd must not be
                // signalled.
                ended.extra.own_eventfd = None;
                Remains::Ended(ended)
            }
            Some(OpState::Completed(_)) => match self.take_completed(ticket) {
                Some((_, ended)) => Remains::Ended(ended),
                None => Remains::Waker(None),
            },
            None => Remains::Waker(None),
        }
    }
}

/// The remaining values of an operation whose future was dropped.
enum Remains<B, T> {
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
        match core::mem::replace(&mut self.state, State::Returned) {
            State::Returned => {}
            // SAFETY: the payload was written when the slot was released, and was not
            // returned since.
            State::Done(_, _, left) => _payload = Some(unsafe { left.assume_init() }),
            State::Ready(_, _, left) => {
                // SAFETY: the payload was written when the future was created, and was
                // not moved to a slot.
                _payload = Some(unsafe { left.assume_init() });
                reactor.with(|inside| {
                    // SAFETY: the waiter belongs to this future, is pinned with it and
                    // is still alive. This is its last use.
                    deferred.drop[0] = unsafe { inside.waiters.leave(waiter) };
                    // A slot that this future had a claim to goes to the next waiter.
                    deferred.wake = inside.call();
                    signals.reactor = inside.signals_turn(false);
                });
            }
            State::Begun(ticket) => reactor.with(|inside| {
                match inside.detach(ticket) {
                    Remains::Waker(waker) => deferred.drop[0] = waker,
                    Remains::Ended(ended) => {
                        _payload = Some(ended.payload);
                        deferred.drop[0] = ended.extra.waker;
                        signals.own = ended.extra.own_eventfd;
                    }
                }
                deferred.wake = inside.call();
                signals.reactor = inside.signals_turn(false);
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
            State::Returned => "returned",
        };
        f.debug_struct("OpFuture")
            .field("state", &state)
            .finish_non_exhaustive()
    }
}
