//! [`OpFuture`]: one operation as a future.

use core::fmt;
use core::future::Future;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::pin::Pin;
use core::ptr::NonNull;
use core::task::{Context as Task, Poll, Waker};

#[cfg(doc)]
use super::Reactor;
use super::deferred::Deferred;
use super::eventfd::Signals;
use super::handle::{Handle, Token};
use super::inner::{Look, Payload, Remains, State, submit, submit_all};
use super::waiters::Waiter;
use crate::buffer::IoBuf;
use crate::completion::{Completion, fill, is_refusal, result};
use crate::engine::{Submission, Ticket};
use crate::op::{BufferKind, WithBuffer};
use crate::sys::abi::Iocb;

/// An operation of a [`Reactor`], as a future.
///
/// Its output is the [`Completion`], with the result, the buffer and the data. `R` is the
/// reference to the reactor ([`Handle`]). `K` is the kind of the operation, which
/// determines the type of the completion's `buffer` for buffers of type `B`:
///
/// | operation | future | `buffer` |
/// |---|---|---|
/// | [`Read`](crate::op::Read), [`Write`](crate::op::Write) | `OpFuture<R>` | `B` |
/// | [`Fsync`](crate::op::Fsync), [`Fdsync`](crate::op::Fdsync), [`Poll`](crate::op::Poll) | `OpFuture<R, WithoutBuffer>` | `()` |
/// | [`Op`](crate::op::Op) | `OpFuture<R, AnyBuffer>` | `Option<B>` |
///
/// The operation begins when the future is polled and a slot is free. That of
/// [`Reactor::try_push`] has begun already. A future that is dropped before drops its
/// buffer at once. A future that is dropped afterwards leaves the buffer to the reactor
/// until the operation has completed.
///
/// # Panics
/// Polling panics once the future has returned its output.
///
/// # Examples
/// ```
/// # #[cfg(not(feature = "std"))] fn main() {}
/// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
/// # fn block_on<B: linux_aio::buffer::IoBuf, T, F: Future>(
/// #     reactor: &Reactor<'_, B, linux_aio::reactor::Local, T>,
/// #     task: F,
/// # ) -> Result<F::Output, linux_aio::Errno> {
/// #     use std::task::{Context, Poll, Waker};
/// #     let mut task = std::pin::pin!(task);
/// #     loop {
/// #         let polled = task.as_mut().poll(&mut Context::from_waker(Waker::noop()));
/// #         if let Poll::Ready(output) = polled { return Ok(output) }
/// #         reactor.wait(linux_aio::WaitOptions::new())?;
/// #     }
/// # }
/// use linux_aio::op::WithoutBuffer;
/// use linux_aio::reactor::{OpFuture, Reactor};
/// use std::fs::File;
///
/// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
/// type Local<'a> = Reactor<'a, Vec<u8>>;
///
/// let file = File::open("/proc/self/exe").unwrap();
/// let reactor = Local::with_capacity(4)?;
/// let read: OpFuture<&Local<'_>> = reactor.read(&file, vec![0; 4], 0);
/// let sync: OpFuture<&Local<'_>, WithoutBuffer> = reactor.fsync(&file);
/// # block_on(&reactor, async {
/// let (buffer, ()) = (read.await.buffer, sync.await.buffer);
/// assert_eq!(buffer, b"\x7fELF");
/// # })?;
/// # Ok(())
/// # }
/// ```
#[must_use = "futures do nothing unless polled"]
pub struct OpFuture<R: Handle, K: BufferKind = WithBuffer> {
    state: State<R::Buffer, R::Data>,
    waiter: Waiter,
    /// A read, into a buffer that grows.
    fills: bool,
    kind: PhantomData<fn() -> K>,
    /// Dropped last: it may be the last owner of the reactor.
    reactor: R,
}

// SAFETY: the waiter is accessed under the reactor's lock alone. The buffer and the
// data are `Send`. The handle is `Send` only if threads may share the reactor.
unsafe impl<R: Handle + Send, K: BufferKind> Send for OpFuture<R, K>
where
    R::Buffer: Send,
    R::Data: Send,
{
}

impl<R: Handle, K: BufferKind> OpFuture<R, K> {
    /// Creates the future of an operation of the kind `K`.
    ///
    /// # Safety
    /// The payload is that of an operation of this kind.
    #[inline]
    pub(super) unsafe fn new(
        reactor: R,
        iocb: Iocb,
        own_eventfd: Option<i32>,
        payload: MaybeUninit<Payload<R::Buffer, R::Data>>,
    ) -> OpFuture<R, K> {
        OpFuture {
            state: State::Ready(iocb, own_eventfd, payload),
            waiter: Waiter::new(),
            fills: R::Buffer::GROWS && iocb.is_read(),
            kind: PhantomData,
            reactor,
        }
    }
}

impl<R: Handle, K: BufferKind> OpFuture<R, K> {
    /// Begins the operation, before the first poll, if a slot is free. Returns its payload
    /// otherwise; the future is empty then.
    pub(super) fn begin_now(&mut self) -> Option<MaybeUninit<Payload<R::Buffer, R::Data>>> {
        let state = &mut self.state;
        let mut signals = Signals::default();
        let mut submission = Submission::new();
        self.reactor.with(Token(()), |inner| {
            inner.begin_now(state, &mut submission);
            // A submission may block, so the signal is not kept until after it.
            signals.reactor = submission.is_empty() && inner.signals_turn(false);
        });
        while !submission.is_empty() {
            // SAFETY: `Inner::begin_now` filled it from this reactor, which the handle
            // keeps.
            let result = unsafe { submit(&submission) };
            self.reactor.with(Token(()), |inner| {
                signals.reactor = inner.finish_submission(&mut submission, result)
                    || (submission.is_empty() && inner.signals_turn(false));
            });
            core::mem::take(&mut signals).send(self.reactor.eventfd());
        }
        signals.send(self.reactor.eventfd());
        if let State::Ready(_, _, payload) = &mut self.state {
            let payload = core::mem::replace(payload, MaybeUninit::uninit());
            self.state = State::Returned;
            return Some(payload);
        }
        None
    }
}

impl<R: Handle, K: BufferKind> Future for OpFuture<R, K> {
    type Output = Completion<K::Buffer<R::Buffer>, R::Data>;

    fn poll(self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Self::Output> {
        // SAFETY: the waiter, which must stay pinned, is not moved. The other fields do
        // not need pinning.
        let this = unsafe { self.get_unchecked_mut() };
        match this.state {
            State::Ready(..) => this.poll_first(task),
            State::Begun(ticket) => this.poll_begun(task, ticket),
            State::Done(..) | State::Returned => this.finish(task, Unsettled::default()),
        }
    }
}

/// What a poll has not finished under the lock.
#[derive(Default)]
struct Unsettled {
    deferred: Deferred,
    signals: Signals,
    yields: bool,
}

impl<R: Handle, K: BufferKind> OpFuture<R, K> {
    /// Begins the operation, or waits for a slot.
    #[inline(always)]
    fn poll_first(&mut self, task: &mut Task<'_>) -> Poll<<Self as Future>::Output> {
        let waiter = NonNull::from(&self.waiter);
        // Cloned outside the lock, because this is the executor's code.
        let mut waker = Some(task.waker().clone());
        let (mut old, mut signals) = (None, false);
        let mut submission = Submission::new();
        let state = &mut self.state;
        self.reactor.with(Token(()), |inner| {
            inner.waiters.count_poll();
            // SAFETY: the waiter belongs to this future, which is pinned. It is in the
            // lists of this reactor alone, and the future's destructor removes it from
            // them.
            old = unsafe { inner.begin(state, waiter, &mut waker, &mut submission) };
            if submission.is_empty() {
                signals = inner.signals_turn(false);
            }
        });
        if submission.is_empty() && old.is_none() && waker.is_none() {
            self.signal(signals);
            return Poll::Pending;
        }
        let mut rest = Unsettled::default();
        rest.deferred.drop[0] = old;
        rest.signals.reactor = signals;
        self.poll_submitted(task, waker, rest, &mut submission)
    }

    /// Submits the operation, if the submission is not empty, and takes its result if it has
    /// completed. A batched operation is not submitted here, so it cannot have completed.
    #[inline(never)]
    fn poll_submitted(
        &mut self,
        task: &mut Task<'_>,
        waker: Option<Waker>,
        mut rest: Unsettled,
        submission: &mut Submission,
    ) -> Poll<<Self as Future>::Output> {
        if submission.is_empty() {
            rest.deferred.drop[2] = waker;
        } else {
            // SAFETY: `Inner::begin` filled it from this reactor.
            unsafe { submit_all(&self.reactor, submission) };
            self.settle(true, waker, &mut rest);
        }
        self.finish(task, rest)
    }

    /// Takes the result of the operation, or keeps the waker.
    #[inline(always)]
    fn poll_begun(
        &mut self,
        task: &mut Task<'_>,
        ticket: Ticket,
    ) -> Poll<<Self as Future>::Output> {
        let mut signals = false;
        let look = self.reactor.with(Token(()), |inner| {
            let look = inner.look(ticket, task.waker());
            if !matches!(look, Look::Other) {
                inner.waiters.count_poll();
                signals = inner.signals_turn(false);
            }
            look
        });
        match look {
            Look::Taken(result, payload) => {
                self.state = State::Returned;
                self.signal(signals);
                Poll::Ready(self.completion(ticket, result, payload))
            }
            Look::Waits => {
                self.signal(signals);
                Poll::Pending
            }
            Look::Other => self.poll_other(task),
        }
    }

    /// Takes the result of the operation, or keeps the waker, where that takes user code.
    #[inline(never)]
    fn poll_other(&mut self, task: &mut Task<'_>) -> Poll<<Self as Future>::Output> {
        // Cloned outside the lock, because this is the executor's code.
        let waker = Some(task.waker().clone());
        let mut rest = Unsettled::default();
        self.settle(false, waker, &mut rest);
        self.finish(task, rest)
    }

    #[inline(always)]
    fn settle(&mut self, begins: bool, mut waker: Option<Waker>, rest: &mut Unsettled) {
        let state = &mut self.state;
        self.reactor.with(Token(()), |inner| {
            let (deferred, signals) = (&mut rest.deferred, &mut rest.signals);
            rest.yields = inner.settle(state, begins, &mut waker, deferred, signals);
            signals.reactor = inner.signals_turn(false);
        });
        rest.deferred.drop[2] = waker;
    }

    /// Runs the user code that remains, and returns the output if the operation has completed.
    #[inline]
    fn finish(&mut self, task: &mut Task<'_>, rest: Unsettled) -> Poll<<Self as Future>::Output> {
        // User code follows; the state of the operation is up to date.
        rest.signals.send(self.reactor.eventfd());
        rest.deferred.run();
        if rest.yields {
            task.waker().wake_by_ref();
            return Poll::Pending;
        }
        match &mut self.state {
            State::Done(ticket, res, payload) => {
                let (ticket, res) = (*ticket, *res);
                let payload = core::mem::replace(payload, MaybeUninit::uninit());
                self.state = State::Returned;
                // SAFETY: the payload was written when the slot was released. It is
                // read only here: the state is `Returned` now.
                let payload = unsafe { payload.assume_init() };
                Poll::Ready(self.completion(ticket, res, payload))
            }
            State::Returned => panic!("a future of a reactor was polled after it was ready"),
            State::Ready(..) | State::Begun(_) => Poll::Pending,
        }
    }

    /// Returns the completion. A buffer that grows is filled here, which is user code.
    #[inline(always)]
    fn completion(
        &self,
        ticket: Ticket,
        res: i64,
        (mut buffer, data): Payload<R::Buffer, R::Data>,
    ) -> <Self as Future>::Output {
        let (result, refused) = (result(res), is_refusal(res));
        fill(&mut buffer, self.fills, result);
        // SAFETY: `OpFuture::new` requires that the operation is of this kind, and the
        // buffer is the one that it had.
        let buffer = unsafe { K::convert(buffer) };
        Completion {
            ticket,
            result,
            refused,
            buffer,
            data,
        }
    }

    /// Signals the reactor's eventfd if `signals` is `true`.
    #[inline(always)]
    fn signal(&self, signals: bool) {
        if signals {
            let signals = Signals {
                reactor: true,
                own: None,
            };
            signals.send(self.reactor.eventfd());
        }
    }
}

impl<R: Handle, K: BufferKind> Drop for OpFuture<R, K> {
    #[inline]
    fn drop(&mut self) {
        if !matches!(self.state, State::Returned) {
            self.leave();
        }
    }
}

impl<R: Handle, K: BufferKind> OpFuture<R, K> {
    /// Drops the operation, or leaves it to the reactor.
    #[inline(never)]
    fn leave(&mut self) {
        let waiter = NonNull::from(&self.waiter);
        let reactor = &self.reactor;
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
                reactor.with(Token(()), |inner| {
                    // SAFETY: the waiter belongs to this future, is pinned with it and
                    // is still alive. This is its last use.
                    deferred.drop[0] = unsafe { inner.waiters.leave(waiter) };
                    // A slot that this future had a claim to goes to the next waiter.
                    deferred.wake = inner.call();
                    signals.reactor = inner.signals_turn(false);
                });
            }
            State::Begun(ticket) => reactor.with(Token(()), |inner| {
                match inner.detach(ticket) {
                    Remains::Waker(waker) => deferred.drop[0] = waker,
                    Remains::Ended(ended) => {
                        _payload = Some(ended.payload);
                        deferred.drop[0] = ended.extra.waker;
                        signals.own = ended.extra.own_eventfd;
                    }
                }
                deferred.wake = inner.call();
                signals.reactor = inner.signals_turn(false);
            }),
        }
        signals.send(reactor.eventfd());
        deferred.run();
    }
}

impl<R: Handle, K: BufferKind> fmt::Debug for OpFuture<R, K> {
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
