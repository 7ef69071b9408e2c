//! [`Running`]: one operation as a future.

use core::fmt;
use core::future::Future;
use core::mem::MaybeUninit;
use core::pin::Pin;
use core::ptr::NonNull;
use core::task::{Context as Task, Poll, Waker};

use super::lock::Lock;
use super::room::Place;
use super::{Awaited, Inside, Reactor};
use crate::abi::{IOCB_CMD_POLL, Iocb};
use crate::buffer::Buffer;
use crate::completion::{Finished, result};
use crate::engine::{Extra, Place as Where, Ticket};

/// An operation of a [`Reactor`]'s, as a future: its result, and its buffer if
/// it has one.
///
/// It begins when it is first polled. Dropped before that, it gives up its
/// buffer at once; dropped later, the reactor keeps the buffer until the kernel
/// has let go of it.
#[must_use = "futures do nothing unless polled"]
pub struct Running<'r, 's, B: Buffer + 'static, L: Lock> {
    reactor: &'r Reactor<'s, B, L>,
    state: State<B>,
    place: Place,
}

enum State<B> {
    /// Not begun.
    Ready(Iocb, MaybeUninit<Option<B>>),
    Begun(Ticket),
    Over,
}

// SAFETY: the place is touched under the reactor's lock alone; all else may be
// sent if the buffer may, and the reactor shared.
unsafe impl<B: Buffer + Send + 'static, L: Lock + Sync> Send for Running<'_, '_, B, L> {}

impl<'r, 's, B: Buffer + 'static, L: Lock> Running<'r, 's, B, L> {
    pub(super) fn new(
        reactor: &'r Reactor<'s, B, L>,
        iocb: Iocb,
        buffer: MaybeUninit<Option<B>>,
    ) -> Running<'r, 's, B, L> {
        Running {
            reactor,
            state: State::Ready(iocb, buffer),
            place: Place::new(),
        }
    }
}

/// What a poll came to, for what is done outside the lock.
enum Step<B> {
    Wait,
    Begun(Ticket),
    Done(i64, Option<B>),
}

impl<B: Buffer + 'static, L: Lock> Future for Running<'_, '_, B, L> {
    type Output = Finished<B>;

    fn poll(self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Finished<B>> {
        // SAFETY: nothing is moved out of it but what need not be pinned; the
        // place stays.
        let this = unsafe { self.get_unchecked_mut() };
        let place = NonNull::from(&this.place);
        // Outside the lock: both are the executor's code.
        let mut waker = Some(task.waker().clone());
        let (reactor, state) = (this.reactor, &mut this.state);
        let (step, old, callee) = reactor.with(|inside| {
            let (step, old) = match state {
                // SAFETY: the place is this future's, which is pinned and
                // leaves the list when it is dropped.
                State::Ready(iocb, buffer) => unsafe {
                    inside.begin(iocb, buffer, place, &mut waker, reactor.batched)
                },
                State::Begun(ticket) => inside.step(*ticket, &mut waker),
                State::Over => (Step::Wait, None),
            };
            let freed = matches!(step, Step::Done(..));
            let callee = if freed { inside.room.call() } else { None };
            (step, old, callee)
        });
        // A slot that was just taken for this one has its buffer now, and a
        // finished one is over: `State` has no destructor that could run twice.
        match &step {
            Step::Wait => {}
            Step::Begun(ticket) => this.state = State::Begun(*ticket),
            Step::Done(..) => this.state = State::Over,
        }
        drop(old);
        drop(waker);
        if let Some(callee) = callee {
            callee.wake();
        }
        match step {
            Step::Done(res, buffer) => Poll::Ready(Finished {
                result: result(res),
                buffer,
            }),
            Step::Wait | Step::Begun(_) => Poll::Pending,
        }
    }
}

impl<B: Buffer + 'static> Inside<'_, B> {
    /// Takes a slot and begins, or waits for one. The waker that this one
    /// replaces comes back.
    ///
    /// # Safety
    /// As for `Room::enter`. If the step is `Begun` or `Done`, the buffer has
    /// been moved out.
    unsafe fn begin(
        &mut self,
        iocb: &Iocb,
        buffer: &mut MaybeUninit<Option<B>>,
        place: NonNull<Place>,
        waker: &mut Option<Waker>,
        batched: bool,
    ) -> (Step<B>, Option<Waker>) {
        if self.engine.slots.is_full() {
            let Some(waker) = waker.take() else {
                return (Step::Wait, None);
            };
            // SAFETY: the caller's promise.
            return (Step::Wait, unsafe { self.room.enter(place, waker) });
        }
        // SAFETY: the caller's promise.
        let (old, _) = unsafe { self.room.leave(place) };
        let buffer = core::mem::replace(buffer, MaybeUninit::uninit());
        let ticket = self.engine.slots.stage(iocb, buffer, Awaited::NEW);
        if !batched {
            self.flush();
        }
        match self.step(ticket, waker) {
            (Step::Wait, _) => (Step::Begun(ticket), old),
            (done, _) => (done, old),
        }
    }

    /// Whether the operation is done; if not, who is to be woken then.
    fn step(&mut self, ticket: Ticket, waker: &mut Option<Waker>) -> (Step<B>, Option<Waker>) {
        let mut place = self.engine.slots.find(ticket);
        if let Some(Where::InFlight(_)) = place {
            // It may have ended since somebody looked. What else has is news
            // for the next `turn`. An error will be told there, too.
            let _ = self.engine.wait(0, crate::Wait::poll());
            place = self.engine.slots.find(ticket);
        }
        match place {
            Some(Where::Done(at)) => {
                let old = self.engine.slots.extra(at).waker.take();
                let (res, buffer) = self.take(at);
                (Step::Done(res, buffer), old)
            }
            Some(Where::Staged(at) | Where::InFlight(at)) => {
                let awaited = self.engine.slots.extra(at);
                let old = core::mem::replace(&mut awaited.waker, waker.take());
                (Step::Wait, old)
            }
            // Not known to happen: who polls has not taken it yet.
            None => (Step::Wait, None),
        }
    }

    /// Nobody waits for the operation any more. What is left of it comes back,
    /// to be dropped outside the lock, and whether a slot was freed.
    fn forsake(&mut self, ticket: Ticket) -> (Option<Option<B>>, Option<Waker>, bool) {
        match self.engine.slots.find(ticket) {
            Some(Where::InFlight(at)) => {
                let awaited = self.engine.slots.extra(at);
                awaited.dropped = true;
                let old = awaited.waker.take();
                if self.engine.slots.iocb(at).opcode == IOCB_CMD_POLL {
                    // One that has just ended refuses, and its event comes.
                    let _ = self.engine.cancel(ticket);
                }
                (None, old, false)
            }
            Some(Where::Staged(at)) => {
                let old = self.engine.slots.extra(at).waker.take();
                self.engine.slots.unstage(at);
                (Some(self.engine.slots.release(at).buffer), old, true)
            }
            Some(Where::Done(at)) => {
                let old = self.engine.slots.extra(at).waker.take();
                (Some(self.take(at).1), old, true)
            }
            None => (None, None, false),
        }
    }
}

impl<B: Buffer + 'static, L: Lock> Drop for Running<'_, '_, B, L> {
    fn drop(&mut self) {
        let place = NonNull::from(&self.place);
        let state = &mut self.state;
        let (rest, old, callee) = self.reactor.with(|inside| match state {
            State::Ready(..) => {
                // SAFETY: the place is this future's, and this its last use.
                let (waker, called) = unsafe { inside.room.leave(place) };
                // A slot that was meant for this one is the next one's.
                let callee = if called { inside.room.call() } else { None };
                (None, waker, callee)
            }
            State::Begun(ticket) => {
                let (rest, waker, freed) = inside.forsake(*ticket);
                let callee = if freed { inside.room.call() } else { None };
                (rest, waker, callee)
            }
            State::Over => (None, None, None),
        });
        drop((rest, old));
        if let Some(callee) = callee {
            callee.wake();
        }
        if let State::Ready(_, buffer) = &mut self.state {
            // SAFETY: written at the beginning, and not moved out yet.
            unsafe { buffer.assume_init_drop() };
        }
    }
}

impl<B: Buffer + 'static, L: Lock> fmt::Debug for Running<'_, '_, B, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Ready(..) => "ready",
            State::Begun(_) => "begun",
            State::Over => "over",
        };
        f.debug_struct("Running")
            .field("state", &state)
            .finish_non_exhaustive()
    }
}
