//! [`Engine`]: slots and a kernel, and what passes between them. The layers
//! above ([`queue`](crate::queue), [`scope`](crate::scope()),
//! [`reactor`](crate::reactor)) differ in how they hand buffers in and out.
//!
//! # Invariant: user code never runs inside
//! Wakers (their `clone`, `wake` and `drop`), destructors of buffers and data,
//! `IoBuf::region`, `OwnsFd::raw_fd`, `Into<Op>` and implementations of `Lock`
//! are user code. They may panic, and they may call the queue, scope or reactor
//! that called them. None of them runs while an engine is borrowed, except at
//! two points where nothing else can reach it:
//!
//! - in [`Slots::new`], before the engine exists: it drops what the previous
//!   owner of the slots left in them (the owner was leaked), slot by slot;
//! - in [`Slots::clear`], in the destructor of the engine. A destructor that
//!   panics does not keep the others from running.
//!
//! Everywhere else payloads and wakers are only moved: in by
//! [`stage`](Slots::stage), which drops nothing, and out by
//! [`release`](Slots::release), which leaves nothing in the slot. The layers
//! drop, wake and return what came out after they have released the engine, and
//! they update the state of the operation before. So a panic loses no slot, no
//! operation and no other task's wake-up.

mod backend;
mod slot;
mod table;
mod tag;
#[cfg(test)]
mod tests;

use core::mem::MaybeUninit;
use core::ptr::null;
use core::time::Duration;

pub(crate) use backend::{Backend, ContextBackend, Polled};
#[allow(unreachable_pub, reason = "see there")]
pub use slot::Extra;
pub use slot::{RawSlot, Slot, Ticket};
pub(crate) use table::{OpState, Released, SlotOffset, Slots};

use crate::context::IdleContext;
use crate::context::SubmitError;
use crate::context::WaitOptions;
use crate::sys::abi::{Event, IOCB_CMD_POLL};
use crate::sys::errno::Errno;

/// Operations that one io_submit is given, and events that one wait takes.
pub(crate) const BATCH: usize = 32;

/// The time after which a submission is tried again for which the kernel had no
/// room.
const ROOM: Duration = Duration::from_millis(1);

/// The time to wait for the event of a poll that is completing, which a busy
/// kernel thread delivers.
const EVENT: Duration = Duration::from_millis(100);

/// The number of such waits that may end without an event, by a signal or as
/// the time is over. A timer that sends signals without end must not make them
/// endless.
const ATTEMPTS: u32 = 100;

/// Operations in slots, and the kernel that runs them. Dropping it destroys
/// the kernel's side first and the buffers then; those that the kernel may
/// still hold (a forked child cannot know) are leaked.
pub(crate) struct Engine<'s, P, X: Extra, K: Backend> {
    pub(crate) slots: Slots<'s, P, X>,
    pub(crate) backend: K,
}

impl<'s, P, X: Extra, K: Backend> Engine<'s, P, X, K> {
    /// `kernel` has nothing in flight and no event.
    pub(crate) fn new(array: &'s mut [RawSlot<P, X>], backend: K) -> Engine<'s, P, X, K> {
        Engine {
            slots: Slots::new(array),
            backend,
        }
    }

    /// Submits what is staged, in order, until all of it is taken or the next
    /// is refused. What was not taken stays staged.
    ///
    /// # Safety
    /// Each staged iocb describes memory that its slot's buffer owns (or
    /// nothing), or that is the kernel's until the operation has ended by
    /// somebody else's promise.
    #[inline]
    pub(crate) unsafe fn submit(&mut self) -> Result<usize, SubmitError> {
        let staged = self.slots.staged();
        if staged == 0 {
            return Ok(0);
        }
        // SAFETY: the caller's promise.
        match unsafe { self.submit_batch() } {
            Ok(_) if self.slots.staged() == 0 => Ok(staged),
            // SAFETY: the caller's promise.
            first => unsafe { self.submit_rest(first) },
        }
    }

    /// Goes on where the first call did not take all of it: apart, as it is
    /// rare.
    ///
    /// # Safety
    /// As [`Engine::submit`].
    #[cold]
    unsafe fn submit_rest(&mut self, first: Result<u32, Errno>) -> Result<usize, SubmitError> {
        let (mut submitted, mut last) = (0, first);
        loop {
            let errno = match last {
                // Not known to happen; it would be an endless loop.
                Ok(0) => Errno::AGAIN,
                Ok(taken) => {
                    submitted += taken as usize;
                    if self.slots.staged() == 0 {
                        return Ok(submitted);
                    }
                    // SAFETY: the caller's promise.
                    last = unsafe { self.submit_batch() };
                    continue;
                }
                // There may be room that the kernel does not know of.
                Err(Errno::AGAIN) if self.backend.make_room() => {
                    // SAFETY: the caller's promise.
                    last = unsafe { self.submit_batch() };
                    continue;
                }
                Err(errno) => errno,
            };
            return Err(SubmitError { submitted, errno });
        }
    }

    /// Submits the first of what is staged, with one call. How many were taken:
    /// a number that comes back in a register.
    ///
    /// # Safety
    /// As [`Engine::submit`].
    #[inline(always)]
    unsafe fn submit_batch(&mut self) -> Result<u32, Errno> {
        let mut places = [const { MaybeUninit::uninit() }; BATCH];
        let batch = self.slots.batch(&mut places);
        // SAFETY: the pointers lead into our slots; the memory is the caller's
        // promise.
        let result = unsafe { self.backend.submit(batch.iocbs) };
        // With an error, less than any count: one comparison for both.
        if Errno::uncheck_count(result) >= batch.iocbs.len() as i32 {
            self.slots.submitted(&batch);
            return Ok(batch.iocbs.len() as u32);
        }
        let taken = result.unwrap_or(0);
        self.slots.refused(&batch, taken);
        result.map(|_| taken as u32)
    }

    /// Submits what is staged; an operation that is refused is done with the
    /// refusal as its result. Only for want of room in the kernel does it stop
    /// early, and that only while something is in flight, whose completion
    /// makes room.
    ///
    /// # Safety
    /// As [`Engine::submit`].
    #[inline]
    pub(crate) unsafe fn flush(&mut self) {
        if self.slots.staged() > 0 {
            // SAFETY: the caller's promise.
            unsafe { self.flush_staged() };
        }
    }

    /// # Safety
    /// As [`Engine::flush`].
    unsafe fn flush_staged(&mut self) {
        // SAFETY: the caller's promise.
        while let Err(SubmitError { errno, .. }) = unsafe { self.submit() } {
            if errno == Errno::AGAIN && self.slots.in_flight() > 0 {
                break;
            }
            self.complete_found();
            if let Some(at) = self.slots.unstage_first() {
                self.complete(at, negated(errno));
            }
        }
    }

    /// An operation that has ended, if memory tells of one: its slot, out of
    /// flight and in no list, and its result. The outer `None`: there may be one
    /// among the done ones, or after [`poll_via_syscall`](Engine::poll_via_syscall).
    #[inline(always)]
    pub(crate) fn pop(&mut self) -> Option<Option<(SlotOffset, i64)>> {
        self.pop_after(|slots| slots.done() > 0)
    }

    /// Sees to it that an operation is done, if one has ended, with a kernel
    /// whose ring cannot be read, or holds what is not ours. Apart, so that
    /// reading the ring is a few instructions in line.
    #[cold]
    #[inline(never)]
    pub(crate) fn poll_via_syscall(&mut self) -> Result<(), Errno> {
        while self.slots.done() == 0 && self.slots.in_flight() > 0 {
            let Some(event) = self.backend.pop()? else {
                break;
            };
            if let Some((at, result)) = self.ended(&event) {
                self.complete(at, result);
            }
        }
        Ok(())
    }

    /// Submits what is staged, and waits until an operation has completed, as
    /// long as there is one. Signals do not end the wait.
    ///
    /// # Safety
    /// As [`Engine::submit`].
    #[cold]
    #[inline(never)]
    pub(crate) unsafe fn wait_for_one(&mut self) -> Result<(), Errno> {
        loop {
            self.poll_via_syscall()?;
            if self.slots.done() > 0 {
                return Ok(());
            }
            // SAFETY: the caller's promise.
            match unsafe { self.submit_and_wait(1, WaitOptions::new()) } {
                Ok(0) if self.slots.in_flight() > 0 => {}
                Err(Errno::INTR) => {}
                answer => return answer.map(drop),
            }
        }
    }

    /// Submits what is staged, and waits as [`wait`](Engine::wait) does. During
    /// the wait it submits what the kernel had no room for.
    ///
    /// # Safety
    /// As [`Engine::submit`].
    #[inline]
    pub(crate) unsafe fn submit_and_wait(
        &mut self,
        min_nr: usize,
        wait: WaitOptions<'_>,
    ) -> Result<usize, Errno> {
        // SAFETY: the caller's promise.
        unsafe { self.flush() };
        if self.slots.staged() == 0 {
            return self.wait(min_nr, wait);
        }
        // SAFETY: the caller's promise.
        unsafe { self.wait_for_room(min_nr, wait) }
    }

    /// Waits, as [`wait`](Engine::wait) does, while operations are staged for
    /// which the kernel has no room.
    ///
    /// # Safety
    /// As [`Engine::submit`].
    #[cold]
    unsafe fn wait_for_room(
        &mut self,
        min_nr: usize,
        wait: WaitOptions<'_>,
    ) -> Result<usize, Errno> {
        loop {
            if self.slots.staged() == 0 {
                return self.wait(min_nr, wait);
            }
            // The operations in flight may be polls that never complete, so the
            // wait is cut, and the submission tried again.
            let forever = wait.is_forever();
            let slice = if forever { wait.timeout(ROOM) } else { wait };
            let done = self.wait(min_nr, slice)?;
            // SAFETY: the caller's promise.
            unsafe { self.flush() };
            if !forever || done >= min_nr {
                return Ok(self.slots.done());
            }
        }
    }

    /// The same as [`pop`](Engine::pop). `done_first` returns whether a done
    /// operation comes before those that have not been found yet.
    #[inline(always)]
    fn pop_after(
        &mut self,
        done_first: impl FnOnce(&Slots<'s, P, X>) -> bool,
    ) -> Option<Option<(SlotOffset, i64)>> {
        // What was found ended before anything that is done: to be done, all
        // that was found is taken first. What comes later does not.
        let event = match self.backend.poll(false) {
            Polled::Event(event) => event,
            Polled::NeedsSyscall => return None,
            Polled::Empty => {
                if done_first(&self.slots) {
                    return None;
                }
                if self.slots.in_flight() == 0 {
                    return Some(None);
                }
                match self.backend.poll(true) {
                    Polled::Event(event) => event,
                    Polled::NeedsSyscall => return None,
                    Polled::Empty => return Some(None),
                }
            }
        };
        // Behind one that is nobody's there may be others.
        self.ended(&event).map(Some)
    }

    #[inline(always)]
    fn ended(&mut self, event: &Event) -> Option<(SlotOffset, i64)> {
        let at = self.slots.ended(event)?;
        Some((at, event.res))
    }

    /// Waits until at least `min_nr` operations are done (no more than are in
    /// flight or done, and no more than [`BATCH`] besides those done already),
    /// or what `wait` lets through. How many are done.
    pub(crate) fn wait(&mut self, min_nr: usize, wait: WaitOptions<'_>) -> Result<usize, Errno> {
        let (taken, all) = self.gather();
        let missing = min_nr
            .saturating_sub(self.slots.done())
            .min(self.slots.in_flight())
            .min(BATCH);
        let enough = taken && missing == 0;
        if self.slots.in_flight() > 0 && !(all && (enough || wait.is_poll())) {
            match self.wait_by_call(missing, wait) {
                // What was taken is handed over; the error will come again.
                Err(errno) if !taken => return Err(errno),
                _ => {}
            }
        }
        Ok(self.slots.done())
    }

    /// Takes what memory tells has ended: whether that was anything, and
    /// whether it was all there is.
    fn gather(&mut self) -> (bool, bool) {
        let mut taken = false;
        loop {
            match self.pop_after(|_| false) {
                Some(Some((at, result))) => self.complete(at, result),
                Some(None) => return (taken, true),
                None => return (taken, false),
            }
            taken = true;
        }
    }

    /// Takes what has completed, or else waits until there are `min_nr` events,
    /// as `wait` lets it. Returns whether there were any, foreign ones included.
    ///
    /// Unlike [`wait`](Engine::wait) it is not about operations that are done:
    /// the last one may have been detached, and so be gone.
    pub(crate) fn take_events(
        &mut self,
        min_nr: usize,
        wait: WaitOptions<'_>,
    ) -> Result<bool, Errno> {
        match self.gather() {
            (true, _) => Ok(true),
            (false, true) if min_nr == 0 => Ok(false),
            (false, _) => Ok(self.wait_by_call(min_nr, wait)? > 0),
        }
    }

    /// Apart, so that a look at the ring has no array to clear.
    #[inline(never)]
    fn wait_by_call(&mut self, missing: usize, wait: WaitOptions<'_>) -> Result<usize, Errno> {
        let mut events = [Event::EMPTY; BATCH];
        let count = self.backend.wait(missing, &mut events, wait)?;
        for event in events.iter().take(count) {
            if let Some((at, result)) = self.ended(event) {
                self.complete(at, result);
            }
        }
        Ok(count)
    }

    /// Settles those that were found to have ended, before one that will not be
    /// submitted is: they came first.
    fn complete_found(&mut self) {
        while let Polled::Event(event) = self.backend.poll(false) {
            if let Some((at, result)) = self.ended(&event) {
                self.complete(at, result);
            }
        }
    }

    /// Keeps the result of an operation that is over, or frees the slot of one
    /// that nobody waits for: a scope's, whose slots hold nothing that has a
    /// destructor.
    fn complete(&mut self, at: SlotOffset, result: i64) {
        if self.slots.extra(at).is_detached() {
            core::mem::forget(self.slots.release(at));
        } else {
            self.slots.push_completed(at, result);
        }
    }

    /// Asks for an operation to end early. One that was not submitted yet is
    /// done, with ECANCELED.
    pub(crate) fn cancel(&mut self, ticket: Ticket) -> Result<(), Errno> {
        match self.slots.find(ticket) {
            Some(OpState::InFlight(at)) => {
                let iocb = core::ptr::from_ref(self.slots.iocb(at));
                self.backend.cancel(iocb)
            }
            Some(OpState::Staged(at)) => {
                // First, as an operation that is in no list and not settled yet
                // looks like one in flight.
                self.complete_found();
                self.slots.unstage(at);
                self.complete(at, negated(Errno::CANCELED));
                Ok(())
            }
            Some(OpState::Done(_)) | None => Err(Errno::INVAL),
        }
    }

    /// Waits until nothing is in flight. Signals do not interrupt it. Polls are
    /// cancelled, since they may never complete. Where io_cancel is refused (a
    /// sandbox, gVisor), it waits for everything else and then destroys the
    /// context, which ends the polls. Their result is
    /// [`OUTCOME_UNKNOWN`](Errno::OUTCOME_UNKNOWN).
    ///
    /// # Errors
    /// Those of the wait or of io_destroy, and the rest is still in flight.
    /// EINVAL in a forked child.
    pub(crate) fn drain(&mut self) -> Result<(), Errno> {
        if self.slots.in_flight() == 0 {
            return Ok(());
        }
        self.backend.check()?;
        let refusal = self.cancel_polls();
        while self.slots.in_flight() > 0 {
            if refusal.is_some() && self.only_polls_in_flight() {
                return self.end_polls(refusal == Some(Errno::INVAL));
            }
            let waited = match refusal {
                None => {
                    let wanted = self.slots.done() + self.slots.in_flight();
                    self.wait(wanted, WaitOptions::new()).map(drop)
                }
                Some(_) => self.take_events(1, WaitOptions::new()).map(drop),
            };
            match waited {
                Ok(()) | Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }

    /// Cancels the polls in flight. Returns an error of io_cancel, if there was
    /// one; EINVAL only if there was no other.
    fn cancel_polls(&mut self) -> Option<Errno> {
        let (mut last, mut refusal) = (None, None);
        while let Some(at) = self.slots.in_flight_after(last) {
            if self.slots.iocb(at).opcode == IOCB_CMD_POLL {
                let iocb = core::ptr::from_ref(self.slots.iocb(at));
                if let Err(errno) = self.backend.cancel(iocb) {
                    if errno != Errno::INVAL || refusal.is_none() {
                        refusal = Some(errno);
                    }
                }
            }
            last = Some(at);
        }
        refusal
    }

    fn only_polls_in_flight(&mut self) -> bool {
        let mut last = None;
        while let Some(at) = self.slots.in_flight_after(last) {
            if self.slots.iocb(at).opcode != IOCB_CMD_POLL {
                return false;
            }
            last = Some(at);
        }
        true
    }

    /// Ends polls that could not be cancelled, by destroying the context.
    /// `completing`: io_cancel gave EINVAL, so they are completing, and their
    /// events are waited for; not for long if it was not the kernel that gave
    /// it.
    #[cold]
    fn end_polls(&mut self, completing: bool) -> Result<(), Errno> {
        let mut attempts = if completing { ATTEMPTS } else { 0 };
        while attempts > 0 {
            let wanted = self.slots.done() + self.slots.in_flight();
            let before = self.slots.in_flight();
            match self.wait(wanted, WaitOptions::new().timeout(EVENT)) {
                Ok(_) if self.slots.in_flight() == 0 => return Ok(()),
                // A signal came after some of the events, or before any.
                Ok(_) if self.slots.in_flight() < before => {}
                Err(Errno::INTR) => attempts -= 1,
                // The kernel reads the iocb before it gives EINVAL; a sandbox
                // does not.
                Ok(_) if self.backend.cancel(null()) == Err(Errno::FAULT) => attempts -= 1,
                Ok(_) | Err(_) => break,
            }
        }
        self.destroy()
    }

    /// Destroys the context. The outcome of what has not ended before is unknown.
    /// After an error the kernel may still use the buffers.
    pub(crate) fn destroy(&mut self) -> Result<(), Errno> {
        self.take_all();
        self.backend.destroy()?;
        self.abandon();
        Ok(())
    }

    /// Takes what has ended, whatever events of others lie between.
    #[cold]
    fn take_all(&mut self) {
        loop {
            match self.backend.poll(true) {
                Polled::Event(event) => {
                    if let Some((at, result)) = self.ended(&event) {
                        self.complete(at, result);
                    }
                }
                Polled::Empty => return,
                Polled::NeedsSyscall => break,
            }
        }
        while let Ok(1..) = self.wait_by_call(0, WaitOptions::poll()) {}
    }

    /// Completes what is in flight with an unknown outcome, because no event will
    /// come: the context was destroyed, or a forked child has inherited it.
    pub(crate) fn abandon(&mut self) {
        let mut last = None;
        while let Some(at) = self.slots.in_flight_after(last) {
            self.slots.end(at);
            self.complete(at, negated(Errno::OUTCOME_UNKNOWN));
            last = Some(at);
        }
    }
}

impl<P, X: Extra, K: Backend> Engine<'_, P, X, K> {
    /// The kernel's side, with nothing in flight; the engine is dead.
    pub(crate) fn take(&mut self) -> K {
        self.backend.take()
    }
}

impl<P, X: Extra> Engine<'_, P, X, ContextBackend> {
    /// Takes the context, which has nothing in flight, for reuse.
    ///
    /// # Errors
    /// - `OUTCOME_UNKNOWN`: it had to be destroyed.
    /// - EINVAL: in a forked child.
    pub(crate) fn idle(&mut self, capacity: u32) -> Result<IdleContext, Errno> {
        let backend = self.take();
        if backend.is_dead() {
            return Err(Errno::OUTCOME_UNKNOWN);
        }
        if !backend.is_own() {
            return Err(Errno::INVAL);
        }
        Ok(IdleContext::from_backend(backend, capacity))
    }
}

impl<P, X: Extra, K: Backend> Drop for Engine<'_, P, X, K> {
    fn drop(&mut self) {
        let idle = self.slots.in_flight() == 0;
        let destroyed = self.backend.destroy();
        self.slots.clear(idle || destroyed.is_ok());
    }
}

pub(crate) fn negated(errno: Errno) -> i64 {
    -i64::from(errno.raw_os_error())
}
