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
use super::eventfd::{OwnEventfd, Signals, is_anonymous};
use super::handle::{Handle, Token};
use super::inner::{Closer, Look, Payload, Remains, State, submit, submit_all};
use super::waiters::Waiter;
use crate::completion::{Completion, fill, is_refusal, result};
use crate::engine::{IocbFields, SlotOffset, Submission, Ticket};
use crate::op::{BufferKind, WithBuffer};
use crate::opcode::RawFd;

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
    /// Initialised in the state `Waited` alone. In no other state it is in a list or has a
    /// waker, so it is never dropped.
    waiter: MaybeUninit<Waiter>,
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
    #[inline(always)]
    pub(super) unsafe fn new(
        reactor: R,
        fields: IocbFields,
        payload: MaybeUninit<Payload<R::Buffer, R::Data>>,
    ) -> OpFuture<R, K> {
        OpFuture {
            state: State::Ready(fields, payload),
            waiter: MaybeUninit::uninit(),
            kind: PhantomData,
            reactor,
        }
    }
}

impl<R: Handle, K: BufferKind> OpFuture<R, K> {
    /// Begins the operation, before the first poll, if a slot is free. Returns its payload
    /// otherwise; the future is empty then.
    pub(super) fn begin_now(&mut self) -> Option<MaybeUninit<Payload<R::Buffer, R::Data>>> {
        let own = self.use_eventfd();
        let state = &mut self.state;
        let mut signals = Signals::default();
        let mut submission = Submission::new();
        let batched = self.reactor.is_batched();
        self.reactor.with(Token(()), |inner| {
            inner.begin_now(state, own);
            if !batched && matches!(state, State::Begun(_)) {
                inner.take_submission(&mut submission);
            }
            // A submission may block, so the signal is not kept until after it.
            signals.reactor = submission.is_empty() && inner.signals_turn();
        });
        while !submission.is_empty() {
            // SAFETY: `Inner::begin_now` filled it from this reactor, which the handle
            // keeps.
            let result = unsafe { submit(&submission) };
            self.reactor.with(Token(()), |inner| {
                signals.reactor = inner.finish_submission(&mut submission, result)
                    || (submission.is_empty() && inner.signals_turn());
            });
            core::mem::take(&mut signals).send(self.reactor.eventfd());
        }
        signals.send(self.reactor.eventfd());
        self.state.take_back()
    }
}

impl<R: Handle, K: BufferKind> OpFuture<R, K> {
    /// Gives the operation the reactor's eventfd, if there is one, before it begins or waits
    /// for a slot. Returns the operation's own one, which the reactor signals then.
    fn use_eventfd(&mut self) -> OwnEventfd {
        let (State::Ready(fields, _), Some(eventfd)) = (&mut self.state, self.reactor.eventfd())
        else {
            return OwnEventfd::NONE;
        };
        let own = fields.signals().map(|RawFd(own)| own);
        // Anything but an eventfd stays in the iocb, and the kernel refuses the operation
        // (EINVAL).
        if !own.is_none_or(is_anonymous) {
            return OwnEventfd::NONE;
        }
        fields.signal(RawFd::from(eventfd));
        OwnEventfd::new(own)
    }
}

impl<R: Handle, K: BufferKind> Future for OpFuture<R, K> {
    type Output = Completion<K::Buffer<R::Buffer>, R::Data>;

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Self::Output> {
        // SAFETY: the waiter, which must stay pinned, is not moved. The other fields do
        // not need pinning.
        let this = unsafe { self.get_unchecked_mut() };
        let ready = match this.state {
            State::Ready(ref fields, ref mut payload) if this.reactor.is_plain() => {
                // Cloned outside the lock, because this is the executor's code.
                let waker = task.waker().clone();
                let staged = this.reactor.with(Token(()), |inner| {
                    inner.stage_at_once(fields, payload, waker)
                });
                match staged {
                    Ok(at) => {
                        this.state = State::Begun(at);
                        return Poll::Pending;
                    }
                    Err(waker) => this.poll_first(task, waker, OwnEventfd::NONE),
                }
            }
            State::Ready(..) => this.poll_ready(task),
            State::Begun(at) => match this.look(task, at) {
                Look::Taken(taken) => {
                    this.state = State::Returned;
                    return Poll::Ready(OpFuture::<R, K>::completion(
                        taken.ticket,
                        taken.result,
                        taken.payload,
                        taken.is_read,
                    ));
                }
                Look::Closer(closer) => this.poll_closer(task, closer),
            },
            _ => this.poll_any(task),
        };
        this.output(ready)
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
    /// Polls in the state `Ready`, for a reactor with an eventfd and one that is not batched.
    /// Returns whether the output is ready.
    #[inline(never)]
    fn poll_ready(&mut self, task: &mut Task<'_>) -> bool {
        // Cloned outside the lock, because this is the executor's code.
        let waker = task.waker().clone();
        let own = self.use_eventfd();
        if !self.reactor.is_batched() {
            return self.poll_first(task, waker, own);
        }
        let state = &mut self.state;
        let begun = self.reactor.with(Token(()), |inner| {
            inner.stage_signalled(state, own, waker)?;
            Ok(inner.signals_turn())
        });
        match begun {
            Ok(reactor) => {
                let signals = Signals { reactor, own: None };
                signals.send(self.reactor.eventfd());
                false
            }
            Err(waker) => self.poll_first(task, waker, own),
        }
    }

    /// Begins the operation, or waits for a slot. In the state `Ready`, `own` is the eventfd of
    /// the operation. Returns whether the output is ready.
    #[inline(never)]
    fn poll_first(&mut self, task: &mut Task<'_>, waker: Waker, own: OwnEventfd) -> bool {
        let waiter = NonNull::from(&self.waiter).cast();
        let mut waker = Some(waker);
        let (mut old, mut signals) = (None, false);
        let mut submission = Submission::new();
        let (state, batched) = (&mut self.state, self.reactor.is_batched());
        self.reactor.with(Token(()), |inner| {
            // SAFETY: the waiter belongs to this future, which is pinned. It is in the
            // lists of this reactor alone, and the future's destructor removes it from
            // them. In the state `Waited` it is initialised.
            old = unsafe { inner.begin(state, own, waiter, &mut waker) };
            if !batched && matches!(state, State::Begun(_)) {
                inner.take_submission(&mut submission);
            }
            if submission.is_empty() {
                signals = inner.signals_turn();
            }
        });
        let mut rest = Unsettled::default();
        rest.deferred.drop[0] = old;
        rest.signals.reactor = signals;
        if submission.is_empty() {
            rest.deferred.drop[2] = waker;
        } else {
            // SAFETY: `Inner::take_submission` filled it from this reactor.
            unsafe { submit_all(&self.reactor, &mut submission) };
            self.settle(true, waker, &mut rest);
        }
        self.finish(task, rest)
    }

    /// Looks whether the operation has completed.
    #[inline(always)]
    fn look(&mut self, task: &mut Task<'_>, at: SlotOffset) -> Look<R::Buffer, R::Data> {
        let state = &mut self.state;
        self.reactor
            .with(Token(()), |inner| inner.look(state, at, task))
    }

    /// Continues a poll that had to look closer. Returns whether the output is ready.
    #[inline(never)]
    fn poll_closer(&mut self, task: &mut Task<'_>, closer: Closer) -> bool {
        let (ready, reactor) = match closer {
            Closer::Done { signals } => (true, signals),
            Closer::Waits { signals } => (false, signals),
            Closer::Other => return self.poll_any(task),
        };
        let signals = Signals { reactor, own: None };
        signals.send(self.reactor.eventfd());
        ready
    }

    /// Polls in any state but `Ready`. Returns whether the output is ready.
    #[inline(never)]
    fn poll_any(&mut self, task: &mut Task<'_>) -> bool {
        let mut rest = Unsettled::default();
        if !matches!(self.state, State::Done(..) | State::Returned) {
            // Cloned outside the lock, because this is the executor's code.
            let waker = task.waker().clone();
            let State::Begun(_) = self.state else {
                return self.poll_first(task, waker, OwnEventfd::NONE);
            };
            self.settle(false, Some(waker), &mut rest);
        }
        self.finish(task, rest)
    }

    #[inline(always)]
    fn settle(&mut self, begins: bool, mut waker: Option<Waker>, rest: &mut Unsettled) {
        let state = &mut self.state;
        self.reactor.with(Token(()), |inner| {
            let (deferred, signals) = (&mut rest.deferred, &mut rest.signals);
            rest.yields = inner.settle(state, begins, &mut waker, deferred, signals);
            signals.reactor = inner.signals_turn();
        });
        rest.deferred.drop[2] = waker;
    }

    /// Runs the user code that remains. Returns whether the operation has completed and the
    /// future does not yield.
    #[inline]
    fn finish(&mut self, task: &mut Task<'_>, rest: Unsettled) -> bool {
        // User code follows; the state of the operation is up to date.
        rest.signals.send(self.reactor.eventfd());
        rest.deferred.run();
        if rest.yields {
            task.waker().wake_by_ref();
            return false;
        }
        match self.state {
            State::Done(..) => true,
            State::Returned => panic!("a future of a reactor was polled after it was ready"),
            State::Ready(..) | State::Waited(..) | State::Begun(_) => false,
        }
    }

    /// Returns the output of an operation in the state `Done`, if it is `ready`.
    #[inline(always)]
    fn output(&mut self, ready: bool) -> Poll<<Self as Future>::Output> {
        let State::Done(is_read, ticket, result, payload) = &mut self.state else {
            return Poll::Pending;
        };
        if !ready {
            return Poll::Pending;
        }
        let (is_read, ticket, result) = (*is_read, *ticket, *result);
        let payload = core::mem::replace(payload, MaybeUninit::uninit());
        self.state = State::Returned;
        // SAFETY: the payload was written when the slot was released. It is read only here: the
        // state is `Returned` now.
        let payload = unsafe { payload.assume_init() };
        Poll::Ready(OpFuture::<R, K>::completion(
            ticket, result, payload, is_read,
        ))
    }

    /// Returns the completion. A buffer that grows is filled here, which is user code.
    #[inline(always)]
    fn completion(
        ticket: Ticket,
        res: i64,
        (mut buffer, data): Payload<R::Buffer, R::Data>,
        is_read: bool,
    ) -> <Self as Future>::Output {
        let (result, refused) = (result(res), is_refusal(res));
        fill(&mut buffer, is_read, result);
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
        let waiter = NonNull::from(&self.waiter).cast::<Waiter>();
        let reactor = &self.reactor;
        let (mut deferred, mut signals) = (Deferred::default(), Signals::default());
        // Dropped last, also if something before it panics.
        let mut _payload = None;
        match core::mem::replace(&mut self.state, State::Returned) {
            State::Returned => {}
            // SAFETY: the payload was written when the slot was released, and was not
            // returned since.
            State::Done(_, _, _, left) => _payload = Some(unsafe { left.assume_init() }),
            // SAFETY: the payload was written when the future was created, and was not moved
            // to a slot.
            State::Ready(_, left) => _payload = Some(unsafe { left.assume_init() }),
            State::Waited(_, _, left) => {
                // SAFETY: the payload was written when the future was created, and was
                // not moved to a slot.
                _payload = Some(unsafe { left.assume_init() });
                reactor.with(Token(()), |inner| {
                    // SAFETY: the waiter belongs to this future, is pinned with it and
                    // is still alive. It is initialised in this state. This is its last
                    // use.
                    deferred.drop[0] = inner
                        .conditions
                        .slot_mut(|waiters| unsafe { waiters.leave(waiter) });
                    // A slot that this future had a claim to goes to the next waiter.
                    deferred.wake = inner.call();
                    signals.reactor = inner.signals_turn();
                });
            }
            State::Begun(at) => reactor.with(Token(()), |inner| {
                match inner.detach(at) {
                    Remains::Waker(waker) => deferred.drop[0] = waker,
                    Remains::Ended(ended) => {
                        _payload = Some(ended.payload);
                        (deferred.drop[0], signals.own) = ended.extra.into_parts();
                    }
                }
                deferred.wake = inner.call();
                signals.reactor = inner.signals_turn();
            }),
        }
        signals.send(reactor.eventfd());
        deferred.run();
    }
}

impl<R: Handle, K: BufferKind> fmt::Debug for OpFuture<R, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Ready(..) | State::Waited(..) => "ready",
            State::Begun(_) => "begun",
            State::Done(..) => "done",
            State::Returned => "returned",
        };
        f.debug_struct("OpFuture")
            .field("state", &state)
            .finish_non_exhaustive()
    }
}
