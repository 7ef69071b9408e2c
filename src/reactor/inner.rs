//! [`Inner`]: the part of a reactor that its lock protects. No user code runs here.

use core::mem::MaybeUninit;
use core::ptr::NonNull;
use core::task::{Context as Task, Waker};

use super::awaited::Awaited;
use super::conditions::Conditions;
use super::deferred::Deferred;
use super::eventfd::{OwnEventfd, Signals};
use super::handle::{Handle, Token};
use super::waiters::Waiter;
use crate::buffer::IoBuf;
use crate::context::WaitOptions;
use crate::engine::{
    Backend, ContextBackend, Engine, IocbFields, OpState, Released, SlotOffset, Submission,
    Submitted, Taken, Ticket,
};
use crate::ring::Polled;
use crate::sys::errno::Errno;

/// The buffer and the data of an operation.
pub(super) type Payload<B, T> = (Option<B>, T);

/// The contents of a released slot.
pub(super) type Ended<B, T> = Released<Payload<B, T>, Awaited>;

/// The engine, the list of waiters, and the state of the eventfd.
#[allow(
    unreachable_pub,
    reason = "in a method of a public trait, which no other crate can name"
)]
pub struct Inner<'r, B, T> {
    pub(super) engine: Engine<'r, (Option<B>, T), Awaited, ContextBackend>,
    /// The number of operations that the context was set up for, which may exceed the
    /// number of slots.
    pub(super) capacity: u32,
    /// The waiting futures among others.
    pub(super) conditions: Conditions,
    /// The number of operations that may complete in the poll that begins them, and
    /// `left` of these until the next turn.
    pub(super) budget: u32,
    pub(super) left: u32,
    /// The reactor has signalled its eventfd since the last turn.
    pub(super) signalled: bool,
    /// The number of submissions that run outside the lock now.
    submitting: u32,
    /// A future was dropped while a submission ran, which may hold its operation.
    detached: bool,
}

/// User code to be run outside the lock.
pub(super) enum Notice<B, T> {
    Wake(Waker),
    Drop(Option<B>, T, Option<Waker>),
    Nothing,
}

impl<B, T> Notice<B, T> {
    /// Runs the user code.
    #[inline(never)]
    pub(super) fn run(self) {
        match self {
            Notice::Nothing => {}
            Notice::Wake(waker) => waker.wake(),
            Notice::Drop(buffer, data, waker) => drop((buffer, data, waker)),
        }
    }
}

/// The next notification.
pub(super) enum Next {
    Wake(Waker),
    Other,
    Nothing,
}

/// The first notification of a turn.
pub(super) enum First {
    /// The waker of the only operation that has completed.
    Only(Waker),
    /// The waker of the first operation, and the number of those that follow.
    Next(Waker, usize),
    /// The turn has to poll.
    Unknown,
}

/// The state of an operation that has begun, to the poll of its future.
pub(super) enum Look<B, T> {
    /// Completed and notified.
    Taken(Taken<Payload<B, T>>),
    Closer(Closer),
}

/// The same, where there is more to do.
pub(super) enum Closer {
    /// Completed and notified: its state is [`State::Done`] now. `signals` says whether the
    /// reactor must signal its eventfd.
    Done {
        signals: bool,
    },
    /// The waker is kept already.
    Waits {
        signals: bool,
    },
    Other,
}

/// The state of the operation.
///
/// It has no destructor, so assigning it runs no user code. The discriminant is a field of its
/// own: each poll reads it, and one in a niche takes several instructions to decode. `Returned`
/// has the lowest one, and `None` of an `Option` is before it: one comparison covers both, which
/// have nothing to drop.
#[repr(u8)]
pub(super) enum State<B, T> {
    Returned = 1,
    /// Not begun, and has not waited for a slot: the waiter of the future is uninitialised, and
    /// the operation does not have the reactor's eventfd yet.
    Ready(IocbFields, MaybeUninit<Payload<B, T>>),
    /// Not begun, and has waited for a slot: the waiter of the future is initialised.
    Waited(OwnEventfd, IocbFields, MaybeUninit<Payload<B, T>>),
    /// The operation is in this slot, which nothing but the future releases.
    Begun(SlotOffset),
    /// Completed: the result, which has not been returned yet, and whether it is that of a
    /// read.
    Done(bool, Ticket, i64, MaybeUninit<Payload<B, T>>),
}

impl<B, T> State<B, T> {
    /// Takes the payload of an operation in the state `Ready`. The state is `Returned` then.
    pub(super) fn take_back(&mut self) -> Option<MaybeUninit<Payload<B, T>>> {
        let State::Ready(_, payload) = self else {
            return None;
        };
        let payload = core::mem::replace(payload, MaybeUninit::uninit());
        *self = State::Returned;
        Some(payload)
    }
}

/// The remaining values of an operation whose future was dropped.
pub(super) enum Remains<B, T> {
    Waker(Option<Waker>),
    Ended(Ended<B, T>),
}

/// Submits operations while the lock is free, until the submission is empty.
///
/// # Safety
/// [`Inner::take_submission`] of this reactor filled it.
#[inline]
pub(super) unsafe fn submit_all<R: Handle>(reactor: &R, submission: &mut Submission) {
    while !submission.is_empty() {
        // SAFETY: the caller promises that it is of this reactor, which the handle keeps.
        let result = unsafe { submit(submission) };
        let signals = Signals {
            reactor: reactor.with(Token(()), |inner| {
                inner.finish_submission(submission, result)
            }),
            own: None,
        };
        signals.send(reactor.eventfd());
    }
}

/// Submits a batch of operations while the lock is free.
///
/// # Safety
/// [`Inner::take_submission`] filled it. The reactor exists until this function returns.
#[inline]
pub(super) unsafe fn submit(submission: &Submission) -> Result<usize, Errno> {
    // SAFETY: operations are staged only for futures of the reactor, so each iocb
    // describes the region of an `IoBuf`. The buffer is in the slot, inaccessible, until
    // the operation has completed. If the reactor is leaked, the buffer lives for ever
    // (`'static`). The descriptor is borrowed for `'r`, or owned by the data in the slot.
    // The caller promises that the reactor exists, which keeps its slots and its context
    // until it is dropped.
    unsafe { submission.submit() }
}

impl<'r, B: IoBuf + 'static, T> Inner<'r, B, T> {
    /// Creates the state of a reactor that has no operation.
    pub(super) fn new(
        engine: Engine<'r, Payload<B, T>, Awaited, ContextBackend>,
        capacity: u32,
        budget: u32,
    ) -> Inner<'r, B, T> {
        let slots = engine.slots.len();
        Inner {
            engine,
            capacity,
            conditions: Conditions::new(slots),
            budget,
            left: budget,
            signalled: false,
            submitting: 0,
            detached: false,
        }
    }

    /// Begins a turn: user code has been requested until here.
    #[inline]
    pub(super) fn begin_turn(&mut self) {
        self.left = self.budget;
        if !self.conditions.is_empty() {
            self.renew_conditions();
        }
    }

    /// Begins a turn of a reactor that has an eventfd, waiters or an unnotified operation, which
    /// stays unnotified until it is notified: the submission of the turn may block before that.
    #[inline(never)]
    fn renew_conditions(&mut self) {
        self.signalled = false;
        // Nothing is passed on without waiters.
        if !self.conditions.slot().is_empty() {
            self.conditions.slot_mut(|waiters| waiters.pass_on());
        }
    }

    /// Takes the staged operations for a submission outside the lock. The caller submits
    /// them, and calls [`finish_submission`](Inner::finish_submission) then.
    #[inline]
    pub(super) fn take_submission(&mut self, submission: &mut Submission) {
        submission.left = self.engine.slots.staged();
        self.take_batch(submission);
    }

    #[inline]
    fn take_batch(&mut self, submission: &mut Submission) {
        self.engine.take_submission(submission);
        self.submitting += u32::from(!submission.is_empty());
    }

    /// Records the result of a submission. Takes the next operations if some are to be
    /// submitted at once; otherwise the submission is empty then.
    ///
    /// Returns whether the reactor must signal its eventfd before that next submission,
    /// which may block.
    #[inline]
    pub(super) fn finish_submission(
        &mut self,
        submission: &mut Submission,
        result: Result<usize, Errno>,
    ) -> bool {
        self.submitting -= 1;
        let len = submission.len();
        if result == Ok(len) && submission.left <= len && !self.detached {
            submission.clear();
            return false;
        }
        self.finish_some(submission, result)
    }

    /// Records the result of a submission after which others follow, or futures are detached.
    #[inline(never)]
    fn finish_some(&mut self, submission: &mut Submission, result: Result<usize, Errno>) -> bool {
        let staged = self.engine.slots.staged();
        let submitted = self.engine.finish_submission(submission, result);
        if self.detached {
            self.end_detached(submission);
        }
        if submitted == Submitted::Refused {
            self.conditions.set_unnotified();
        }
        let again = self.engine.slots.staged().saturating_sub(staged);
        let ended = submission.len().saturating_sub(again);
        submission.left = submission.left.saturating_sub(ended);
        if submitted == Submitted::NoRoom || submission.left == 0 {
            submission.clear();
            return false;
        }
        self.take_batch(submission);
        self.conditions.is_unnotified() && self.signals_turn()
    }

    /// Ends the operations of a submission whose futures were dropped while it ran: what is
    /// staged again will not be submitted, and polls in flight are cancelled.
    #[cold]
    fn end_detached(&mut self, submission: &Submission) {
        for index in 0..submission.len() {
            let Some(state) = self.engine.state_of(submission, index) else {
                continue;
            };
            let (OpState::Staged(at) | OpState::InFlight(at) | OpState::Completed(at)) = state;
            if !self.engine.slots.extra(at).is_dropped() {
                continue;
            }
            match state {
                OpState::Staged(at) => {
                    // The operation was not submitted, so its eventfd must not be
                    // signalled.
                    self.engine.slots.extra(at).clear_eventfd();
                    self.engine.complete_staged(at, Errno::CANCELED);
                    self.conditions.set_unnotified();
                }
                OpState::InFlight(at) => {
                    // The event of a poll arrives in either case.
                    let _ = self.engine.cancel_if_poll(at);
                }
                OpState::Completed(_) => {}
            }
        }
        self.detached = self.submitting > 0;
    }

    /// Waits for `min_nr` completions besides those already known, and takes all
    /// available ones. Before a wait that blocks it submits the staged operations.
    #[inline]
    pub(super) fn poll(&mut self, min_nr: usize, wait: WaitOptions<'_>) -> Result<(), Errno> {
        let polled = self.poll_events(min_nr, wait);
        if polled.is_err() && self.engine.backend.is_copy() {
            self.leak_detached();
        }
        polled
    }

    #[inline(always)]
    fn poll_events(&mut self, min_nr: usize, wait: WaitOptions<'_>) -> Result<(), Errno> {
        // Does not wait where a refusal or another future's poll has found a completion
        // already, or where a claim to a slot must be passed on.
        let known = self.engine.slots.completed();
        let ready = known > 0 || self.waiter_needs_turn();
        if ready || wait.is_poll() {
            self.engine.wait(known + min_nr, WaitOptions::poll())?;
        } else {
            // SAFETY: operations are staged only for futures of this reactor, so each
            // iocb describes the region of an `IoBuf`. The buffer is in the slot,
            // inaccessible, until the operation has completed. If the reactor is leaked,
            // the buffer lives for ever (`'static`). The descriptor is borrowed for `'r`,
            // or owned by the data in the slot.
            unsafe { self.engine.submit_and_wait(known + min_nr, wait) }?;
        }
        // Foreign events may precede the last event of this reactor.
        while self.engine.slots.in_flight() > 0 {
            if !self.engine.take_events(0, WaitOptions::poll())? {
                break;
            }
        }
        Ok(())
    }

    /// Releases the slots of the operations in flight whose futures were dropped, in a forked
    /// child, where no event will ever arrive. The buffers are leaked: Linux before 5.10 or so
    /// may have left the child the page to which the operation of the parent transfers.
    #[cold]
    #[inline(never)]
    fn leak_detached(&mut self) {
        let slots = &mut self.engine.slots;
        let mut last = None;
        while let Some(at) = slots.in_flight_after(last) {
            if slots.extra(at).is_dropped() {
                slots.leave_flight(at);
                core::mem::forget(slots.release(at));
            }
            last = Some(at);
        }
    }

    /// Submits the staged operations under the lock, for a reactor of one thread.
    #[inline]
    pub(super) fn submit_staged(&mut self) {
        // SAFETY: operations are staged only for futures of this reactor, so each
        // iocb describes the region of an `IoBuf`. The buffer is in the slot,
        // inaccessible, until the operation has completed. If the reactor is leaked,
        // the buffer lives for ever (`'static`). The descriptor is borrowed for `'r`,
        // or owned by the data in the slot.
        unsafe { self.engine.flush() };
    }

    /// Takes the first waker of a turn, as [`next_waker`](Inner::next_waker) does.
    #[inline(always)]
    pub(super) fn first_waker(&mut self) -> First {
        if self.engine.slots.staged() > 0 {
            return First::Unknown;
        }
        if self.conditions.is_empty() {
            if let Some((at, result)) = self.engine.pop_single() {
                return self
                    .waker_of(at, result)
                    .map_or(First::Unknown, First::Only);
            }
        }
        self.first_of_many()
    }

    /// Takes the first waker, and returns the number of events that are left for the turn
    /// then. Where the turn has more to poll or to submit, [`poll`](Inner::poll) does the work.
    #[inline(never)]
    fn first_of_many(&mut self) -> First {
        // Events that a poll of a future has found and left do not say how many came after
        // them, whose signals of the eventfd may be reset.
        if self.engine.backend.has_found() {
            return First::Unknown;
        }
        match self.next_waker(1) {
            Next::Wake(waker) => First::Next(waker, self.engine.backend.left()),
            Next::Other | Next::Nothing => First::Unknown,
        }
    }

    /// Leaves the completed operations to the next turn, because a panic ends this one. What
    /// announced them does so no more.
    #[cfg(not(feature = "std"))]
    #[cold]
    pub(super) fn leave_to_next_turn(&mut self) {
        // An error is returned by that turn.
        let _ = self.engine.wait(0, WaitOptions::poll());
        if self.engine.slots.completed() > 0 {
            self.conditions.set_unnotified();
        }
    }

    /// Takes all available events if no operation is in the completed list, and some are in
    /// flight. An error is returned by the next turn.
    fn gather(&mut self) {
        while self.engine.slots.completed() == 0 && self.engine.slots.in_flight() > 0 {
            if self.engine.take_events(0, WaitOptions::poll()) != Ok(true) {
                break;
            }
        }
    }

    /// Takes the next notification, and an operation's own eventfd to be signalled.
    ///
    /// `left` counts the completed operations that this turn notifies.
    #[inline]
    pub(super) fn notice(&mut self, left: &mut usize) -> (Option<Notice<B, T>>, Option<i32>) {
        if let Some(waker) = self.call() {
            return (Some(Notice::Wake(waker)), None);
        }
        if *left == 0 {
            return (None, None);
        }
        self.gather();
        let Some(at) = self.engine.slots.notify_next() else {
            return (None, None);
        };
        *left -= 1;
        self.renew_unnotified();
        let awaited = self.engine.slots.extra(at);
        let dropped = awaited.is_dropped();
        let (waker, own) = awaited.notify();
        if dropped {
            self.engine.slots.take_result(at);
            let (buffer, data) = self.engine.slots.release(at).payload;
            return (Some(Notice::Drop(buffer, data, waker)), own);
        }
        (Some(waker.map_or(Notice::Nothing, Notice::Wake)), own)
    }

    /// Takes the event of the next completed operation and its waker, where nothing else is to
    /// be done for it, and no future waits for a slot or for an idle reactor. In all other
    /// cases [`notice`](Inner::notice) does the work.
    #[inline(always)]
    pub(super) fn next_waker(&mut self, left: usize) -> Next {
        if !self.conditions.has_no_waiter() {
            return Next::Other;
        }
        if left == 0 {
            return Next::Nothing;
        }
        let (at, result) = match self.engine.pop() {
            Polled::Found(completed) => completed,
            Polled::Empty => return Next::Nothing,
            Polled::NeedsSyscall => return Next::Other,
        };
        self.waker_of(at, result).map_or(Next::Other, Next::Wake)
    }

    /// Takes the waker of an operation whose event was taken. If there is more to do for the
    /// operation, it is completed, and [`notice`](Inner::notice) does the work.
    #[inline(always)]
    fn waker_of(&mut self, at: SlotOffset, result: i64) -> Option<Waker> {
        // SAFETY: the event of the operation was just taken, so it was staged, and nothing has
        // notified it.
        let waker = unsafe { self.engine.slots.extra(at).take_plain() };
        if waker.is_none() {
            self.engine.complete(at, result);
            return None;
        }
        self.engine.slots.notify(at, result);
        waker
    }

    /// Returns the waker of the next task that waits for a slot, if one is free for it, or
    /// that waits for an idle reactor.
    #[inline]
    pub(super) fn call(&mut self) -> Option<Waker> {
        if !self.conditions.slot().is_empty() {
            let free = self.engine.slots.free();
            let called = self.conditions.slot_mut(|waiters| waiters.call(free));
            if called.is_some() {
                return called;
            }
        }
        if self.ends_idle_wait() {
            return self.conditions.idle_mut(|waiters| waiters.take_first());
        }
        None
    }

    /// Returns whether no operation is staged, in flight, or completed without its future's
    /// knowledge.
    #[inline]
    pub(super) fn is_idle(&self) -> bool {
        let slots = &self.engine.slots;
        slots.staged() + slots.in_flight() + slots.completed() == 0
    }

    #[inline]
    fn ends_idle_wait(&self) -> bool {
        self.conditions.idle().has_waiting() && self.is_idle()
    }

    /// Returns whether the reactor must signal its eventfd because no completion may
    /// ever do so.
    ///
    /// That is the case for an unnotified completed operation, for a staged operation,
    /// for an unused claim to a slot, and for the futures that wait for an idle reactor:
    /// what makes it idle without a turn wakes only the first.
    ///
    /// The kernel signals no eventfd for a refusal either. An operation is refused in
    /// the poll that begins it, or it was staged before. In the second case a turn has
    /// been requested already. That turn notifies the operation's future, even if the
    /// poll of another future is what submits it.
    #[inline(always)]
    pub(super) fn signals_turn(&mut self) -> bool {
        self.conditions.has_eventfd() && !self.signalled && self.signal_turn()
    }

    #[inline(never)]
    fn signal_turn(&mut self) -> bool {
        self.signalled = self.needs_turn();
        self.signalled
    }

    /// Returns whether a turn has work that no completion announces.
    #[inline]
    pub(super) fn needs_turn(&self) -> bool {
        let waiting = self.waiter_needs_turn() || self.ends_idle_wait();
        self.conditions.is_unnotified() || self.engine.slots.staged() > 0 || waiting
    }

    /// Returns whether a turn calls a future that waits for a slot, or may do so.
    #[inline]
    fn waiter_needs_turn(&self) -> bool {
        self.conditions.slot().needs_turn(self.engine.slots.free())
    }

    /// Stages the operation in the first poll of its future, if a slot is ready for it and
    /// there are no [`Conditions`]. Otherwise returns the waker, and [`begin`](Inner::begin)
    /// does the work.
    ///
    /// The poll is not [counted](Conditions::count_poll), because there is no waiter.
    #[inline(always)]
    pub(super) fn stage_at_once(
        &mut self,
        fields: &IocbFields,
        payload: &mut MaybeUninit<Payload<B, T>>,
        waker: Waker,
    ) -> Result<SlotOffset, Waker> {
        if !self.conditions.is_empty() {
            return Err(waker);
        }
        let Some(at) = self.engine.slots.first_free() else {
            return Err(waker);
        };
        let payload = core::mem::replace(payload, MaybeUninit::uninit());
        let slots = &mut self.engine.slots;
        slots.stage_first_free(at, fields, payload, |awaited| awaited.begin_plain(waker));
        Ok(at)
    }

    /// Stages as [`stage_at_once`](Inner::stage_at_once) does, for a reactor with an eventfd.
    #[inline]
    pub(super) fn stage_signalled(
        &mut self,
        state: &mut State<B, T>,
        own_eventfd: OwnEventfd,
        waker: Waker,
    ) -> Result<(), Waker> {
        if !self.conditions.is_eventfd_at_most() || self.engine.slots.first_free().is_none() {
            return Err(waker);
        }
        self.stage(state, own_eventfd, Some(waker));
        Ok(())
    }

    /// Returns whether a future may take a slot though others have waited for one, or no slot
    /// was free. Otherwise it enters the list of waiters, and the result is an error. Either
    /// has the waker that was replaced.
    ///
    /// # Safety
    /// `waiter` is in no lists but those of `self.conditions`. It stays alive and in place
    /// until it has left them, or for ever.
    unsafe fn arrive(
        &mut self,
        waiter: NonNull<Waiter>,
        waker: &mut Option<Waker>,
    ) -> Result<Option<Waker>, Option<Waker>> {
        let free = self.engine.slots.free();
        // SAFETY: the `# Safety` section requires that `waiter` is in no other lists and
        // stays alive and in place, which is the condition of `Waiters`.
        let arrived = self
            .conditions
            .slot_mut(|waiters| unsafe { waiters.arrive(waiter, free) });
        match arrived {
            (true, old) => Ok(old),
            (false, _) => match waker.take() {
                // SAFETY: the `# Safety` section requires that `waiter` is in no other lists
                // and stays alive and in place, which is the condition of `Waiters`.
                Some(waker) => Err(self
                    .conditions
                    .slot_mut(|waiters| unsafe { waiters.enter(waiter, waker) })),
                None => Err(None),
            },
        }
    }

    /// Takes a slot and stages the operation, or enters the list of waiters. Returns the waker
    /// that was replaced. In the state `Ready`, `own_eventfd` is that of the operation.
    ///
    /// # Safety
    /// `waiter` is valid for writes, and initialised if the state is `Waited`. It is in no
    /// lists but those of `self.conditions`. It stays alive and in place until it has left them,
    /// or for ever.
    #[inline]
    pub(super) unsafe fn begin(
        &mut self,
        state: &mut State<B, T>,
        own_eventfd: OwnEventfd,
        waiter: NonNull<Waiter>,
        waker: &mut Option<Waker>,
    ) -> Option<Waker> {
        let mut old = None;
        self.conditions.count_poll();
        if !(self.engine.slots.reserve() && self.conditions.slot().is_empty()) {
            if let State::Ready(fields, payload) = state {
                // SAFETY: the `# Safety` section requires that `waiter` is valid for writes.
                // Nothing is lost, because it is uninitialised in this state.
                unsafe { waiter.write(Waiter::new()) };
                let payload = core::mem::replace(payload, MaybeUninit::uninit());
                *state = State::Waited(own_eventfd, *fields, payload);
            }
            // SAFETY: the `# Safety` section requires that `waiter` is in no other lists and
            // stays alive and in place. It is initialised.
            match unsafe { self.arrive(waiter, waker) } {
                Ok(replaced) => old = replaced,
                Err(replaced) => return replaced,
            }
        }
        self.stage(state, own_eventfd, waker.take());
        old
    }

    /// Stages an operation that has not begun in the slot that is ready for it. In the state
    /// `Ready`, `own_eventfd` is that of the operation.
    #[inline(always)]
    fn stage(&mut self, state: &mut State<B, T>, own_eventfd: OwnEventfd, waker: Option<Waker>) {
        let slots = &mut self.engine.slots;
        let (own_eventfd, fields, payload, at) = match (&mut *state, slots.first_free()) {
            (State::Ready(fields, payload), Some(at)) => (own_eventfd, fields, payload, at),
            (State::Waited(own, fields, payload), Some(at)) => (*own, fields, payload, at),
            _ => {
                // Not reached: the callers have the operation and the slot. The waker's
                // destructor, which is user code, must not run here.
                core::mem::forget(waker);
                return;
            }
        };
        let payload = core::mem::replace(payload, MaybeUninit::uninit());
        slots.stage_first_free(at, fields, payload, |awaited| {
            awaited.begin(waker, own_eventfd);
        });
        // This comes before anything else: the payload is in the slot now.
        *state = State::Begun(at);
    }

    /// Takes the result of an operation whose future was notified, and the contents of its
    /// slot. Otherwise returns whether the operation has not completed and the slot has a
    /// waker that wakes the same task. `state` is the state of the operation, which is in the
    /// slot `at`.
    ///
    /// A poll without waiters is not [counted](Conditions::count_poll).
    #[inline(always)]
    pub(super) fn look(
        &mut self,
        state: &mut State<B, T>,
        at: SlotOffset,
        task: &Task<'_>,
    ) -> Look<B, T> {
        if self.conditions.is_empty() || self.needs_no_signal() {
            if let Some(taken) = self.engine.slots.release_notified(at) {
                return Look::Taken(taken);
            }
        }
        Look::Closer(self.look_closer(state, at, task))
    }

    /// Looks as [`look`](Inner::look) does, where the operation is not notified, or the reactor
    /// must signal its eventfd.
    #[inline(never)]
    fn look_closer(&mut self, state: &mut State<B, T>, at: SlotOffset, task: &Task<'_>) -> Closer {
        let taken = match self.conditions.is_eventfd_at_most() {
            true => self.engine.slots.release_notified(at),
            false => None,
        };
        if let Some(taken) = taken {
            let payload = MaybeUninit::new(taken.payload);
            *state = State::Done(taken.is_read, taken.ticket, taken.result, payload);
            let signals = self.signals_turn();
            return Closer::Done { signals };
        }
        if self.still_waits(at, task) {
            let signals = self.signals_turn();
            return Closer::Waits { signals };
        }
        Closer::Other
    }

    /// Returns whether the eventfd is the only condition, and
    /// [`signals_turn`](Inner::signals_turn) would not signal it: nothing is staged that was not
    /// announced.
    #[inline(always)]
    fn needs_no_signal(&self) -> bool {
        let announced = self.signalled || self.engine.slots.staged() == 0;
        self.conditions.is_eventfd_at_most() && announced
    }

    fn still_waits(&mut self, at: SlotOffset, task: &Task<'_>) -> bool {
        match self.find_after_poll(at) {
            OpState::Staged(at) | OpState::InFlight(at) => {
                let waits = self.engine.slots.extra(at).will_wake(task.waker());
                if waits {
                    self.conditions.count_poll();
                }
                waits
            }
            OpState::Completed(_) => false,
        }
    }

    /// Takes the result of the operation if it has completed, or keeps the waker if it is
    /// staged or in flight. Returns whether the future must yield first.
    ///
    /// `begins` says that this poll began the operation, which has its waker then.
    #[inline(always)]
    pub(super) fn settle(
        &mut self,
        state: &mut State<B, T>,
        begins: bool,
        waker: &mut Option<Waker>,
        deferred: &mut Deferred,
        signals: &mut Signals,
    ) -> bool {
        if !begins {
            self.conditions.count_poll();
        }
        let State::Begun(at) = *state else {
            return false;
        };
        let own = match self.engine.slots.state(at) {
            // In most cases its event is the next one of the ring.
            OpState::InFlight(at) => self.engine.pop_own(at),
            _ => None,
        };
        let result = match own {
            Some(result) => result,
            None => match self.find_after_poll(at) {
                OpState::Staged(at) | OpState::InFlight(at) => {
                    if let Some(waker) = waker.take() {
                        let awaited = self.engine.slots.extra(at);
                        deferred.drop[0] = awaited.replace_waker(waker);
                    }
                    return false;
                }
                OpState::Completed(at) => self.engine.slots.take_result(at),
            },
        };
        let is_read = self.engine.slots.is_read(at);
        let ended = self.engine.slots.release(at);
        let payload = MaybeUninit::new(ended.payload);
        *state = State::Done(is_read, ended.ticket, result, payload);
        (deferred.drop[1], signals.own) = ended.extra.into_parts();
        deferred.wake = self.call();
        self.renew_unnotified();
        begins && self.yields()
    }

    /// Clears the condition of an unnotified operation if there is none. It is called after one
    /// has left the completed list.
    #[inline]
    fn renew_unnotified(&mut self) {
        if self.conditions.is_unnotified() && self.engine.slots.completed() == 0 {
            self.conditions.clear_unnotified();
        }
    }

    /// Returns whether an operation that begins now would have to wait for a slot: none is
    /// free, or those that are belong to futures that came before.
    pub(super) fn is_full(&mut self) -> bool {
        let free = self.engine.slots.free();
        !self
            .conditions
            .slot_mut(|waiters| waiters.has_unclaimed(free))
    }

    /// Begins the operation of a future that was not polled yet, unless it would have to
    /// wait for a slot.
    pub(super) fn begin_now(&mut self, state: &mut State<B, T>, own_eventfd: OwnEventfd) {
        if self.is_full() || !self.engine.slots.reserve() {
            return;
        }
        self.stage(state, own_eventfd, None);
    }

    /// Returns whether a future whose operation completed in its first poll yields
    /// before it returns its output.
    #[inline]
    pub(super) fn yields(&mut self) -> bool {
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                false
            }
            None => true,
        }
    }

    /// Finds an operation, and polls for completions first if it is in flight.
    ///
    /// The next `turn` notifies the futures of other completed operations, and also
    /// reports an error.
    #[inline]
    pub(super) fn find_after_poll(&mut self, at: SlotOffset) -> OpState {
        let state = self.engine.slots.state(at);
        if let OpState::InFlight(_) = state {
            let polled = self.engine.wait(0, crate::WaitOptions::poll());
            if polled.is_err() && self.engine.backend.is_copy() {
                // In a forked child no event will ever arrive.
                self.leak_detached();
                self.engine.abandon();
            }
            return self.engine.slots.state(at);
        }
        state
    }

    /// Detaches the operation from its future.
    ///
    /// Returns the remaining values, to be dropped outside the lock.
    pub(super) fn detach(&mut self, at: SlotOffset) -> Remains<B, T> {
        match self.engine.slots.state(at) {
            OpState::InFlight(at) => {
                let waker = self.engine.slots.extra(at).detach();
                self.detached |= self.submitting > 0;
                // The event of a poll arrives in either case.
                let _ = self.engine.cancel_if_poll(at);
                Remains::Waker(waker)
            }
            OpState::Staged(at) => {
                self.engine.slots.unstage(at);
                let mut ended = self.engine.slots.release(at);
                // The operation was not submitted, so its eventfd must not be
                // signalled.
                ended.extra.clear_eventfd();
                Remains::Ended(ended)
            }
            OpState::Completed(at) => {
                self.engine.slots.take_result(at);
                self.renew_unnotified();
                Remains::Ended(self.engine.slots.release(at))
            }
        }
    }
}
