//! [`Engine`]: operations in slots, and the kernel context that runs them. It stages,
//! submits, cancels and completes operations. The layers above
//! ([`queue`](crate::queue), [`scope`](crate::scope()), [`reactor`](crate::reactor))
//! differ in how they take buffers in and return them.
//!
//! # The states of an operation
//! The state is stored in the [`Tag`](tag::Tag) of the slot; [`table`] describes the
//! lists.
//!
//! ```text
//!            stage            batch, submitted            ended (an event)
//!    free ──────────▶ staged ──────────────────▶ in flight ──────────────┐
//!     ▲               │    ▲ │                   end (abandon)           │
//!     │               │    └─┘ batch, refused                            │
//!     │               │        (those not taken)                         │
//!     │               │ unstage, unstage_first                           │
//!     │               ▼                                                  │
//!     └──────────── unlisted ◀───────────────────────────────────────────┘
//!         release     │    ▲
//!      push_completed │    │ take_done, take_result
//!                     ▼    │
//!                   completed
//!                     │
//!         notify_next │
//!                     ▼       take_result
//!                   notified ─────────────▶ unlisted
//! ```
//!
//! - *unlisted* is a transition: it lasts for one function of this module or of the
//!   layer above, which either completes the operation or releases its slot.
//! - An operation that [`pop`](Engine::pop) returns goes from in flight to free without
//!   being *completed* in between: the layer releases it at once. A detached one
//!   ([`Extra::is_detached`]) does so too, in [`complete`](Engine::complete).
//!   *notified* occurs in the reactor only.
//! - **Cancel** ([`Engine::cancel`]). In flight: the state does not change; the event
//!   that follows completes it. Staged: `unstage`, then `push_completed` with
//!   ECANCELED. Completed or notified: EINVAL.
//! - **Refusal by the kernel.** [`Engine::submit`]: `refused` makes the operation and
//!   all behind it staged again; [`Queue::unstage`](crate::Queue::unstage) takes it out
//!   (`unstage_first`, `release`). [`Engine::flush`]: `unstage_first`, then
//!   `push_completed` with the error. EAGAIN while something is in flight leaves it
//!   staged.
//! - **Destroyed context, or forked child** ([`Engine::abandon`]): `end`, then
//!   `push_completed` with [`OUTCOME_UNKNOWN`](Errno::OUTCOME_UNKNOWN) for everything
//!   in flight.
//!
//! # Invariants
//! - An event completes an operation only if its `data` equals the tag of a slot in
//!   flight.
//! - Completions are in the order of their events. An operation that is completed
//!   without an event comes after every event that was found before.
//! - A payload stays in its slot from `stage` to `release`. An operation in flight is
//!   released only by [`Slots::clear`], which leaks the payload if the kernel may still
//!   use its buffer.
//!
//! # Invariant: user code never runs inside
//! Wakers (their `clone`, `wake` and `drop`), destructors of buffers and data,
//! `IoBuf::region`, `OwnsFd::raw_fd`, `Into<Op>` and implementations of `Lock` are user
//! code. They may panic, and they may call the queue, scope or reactor that called
//! them. None of them runs while an engine is borrowed, except at two points where
//! nothing else can reach it:
//!
//! - in [`Slots::new`], before the engine exists: it drops the contents that the
//!   previous, leaked owner of the slots left in them, slot by slot;
//! - in [`Slots::clear`], in the destructor of the engine. A destructor that panics
//!   does not keep the others from running.
//!
//! Everywhere else payloads and wakers are only moved: in by [`stage`](Slots::stage),
//! which drops nothing, and out by [`release`](Slots::release), which leaves nothing in
//! the slot. The layers drop, wake and return what came out after they have released
//! the engine, and they update the state of the operation before. So a panic loses no
//! slot, no operation and no other task's wake-up.

mod backend;
mod slot;
mod storage;
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
use storage::OwnedSlots;
pub(crate) use table::{OpState, Released, SlotOffset, Slots};

use crate::context::IdleContext;
use crate::context::SubmitError;
use crate::context::WaitOptions;
use crate::sys::abi::{Event, IOCB_CMD_POLL};
use crate::sys::errno::Errno;

/// The maximum number of operations in one io_submit, and of events in one wait.
pub(crate) const BATCH: usize = 32;

/// The time after which a submission is tried again that the kernel had no room for.
const ROOM: Duration = Duration::from_millis(1);

/// The time to wait for the event of a poll that is completing. A kernel thread, which
/// may be busy, delivers it.
const EVENT: Duration = Duration::from_millis(100);

/// The number of such waits that may return without an event, by a signal or by
/// timeout. It bounds them even if a timer sends signals without end.
const ATTEMPTS: u32 = 100;

/// Operations in slots, and the kernel context that runs them.
///
/// Dropping an engine destroys the context first, and drops the buffers then. Buffers
/// that the kernel may still use (a forked child cannot find out) are leaked.
pub(crate) struct Engine<'s, P, X: Extra, K: Backend> {
    pub(crate) slots: Slots<'s, P, X>,
    pub(crate) backend: K,
    /// The array of the slots, if the engine owns it. Freed last.
    storage: OwnedSlots<P, X>,
}

impl<'s, P, X: Extra, K: Backend> Engine<'s, P, X, K> {
    /// Creates an engine. `backend` has nothing in flight and no event.
    pub(crate) fn new(array: &'s mut [RawSlot<P, X>], backend: K) -> Engine<'s, P, X, K> {
        Engine {
            slots: Slots::new(array),
            backend,
            storage: OwnedSlots::NONE,
        }
    }

    /// Creates an engine with this number of slots on the heap. The backend has nothing
    /// in flight and no event.
    ///
    /// # Errors
    /// ENOMEM.
    #[cfg(feature = "alloc")]
    pub(crate) fn with_capacity(count: usize, backend: K) -> Result<Self, Errno> {
        let mut storage = OwnedSlots::new(count)?;
        // SAFETY: `Slots` uses the array no longer than the engine exists, which drops
        // `storage` last, and nothing else asks for it.
        let slots = Slots::new(unsafe { storage.slots() });
        Ok(Engine {
            slots,
            backend,
            storage,
        })
    }

    /// Submits the staged operations in order, until all are taken or the kernel
    /// refuses one. The refused operation and all behind it stay staged.
    ///
    /// # Safety
    /// For each staged operation, the memory that its iocb describes stays valid and is
    /// not accessed in conflict with the operation until the operation has completed.
    /// Either the payload in the slot owns that memory, or the caller guarantees it
    /// otherwise.
    #[inline]
    pub(crate) unsafe fn submit(&mut self) -> Result<usize, SubmitError> {
        let staged = self.slots.staged();
        if staged == 0 {
            return Ok(0);
        }
        // SAFETY: this function requires the promise of `Engine::submit`. It covers
        // every staged operation, and no other is submitted.
        match unsafe { self.submit_batch() } {
            Ok(_) if self.slots.staged() == 0 => Ok(staged),
            // SAFETY: this function requires the promise of `Engine::submit`. It covers
            // every staged operation, and no other is submitted.
            first => unsafe { self.submit_rest(first) },
        }
    }

    /// Continues after a first system call that did not take everything. It is rare, so
    /// it stays out of line.
    ///
    /// # Safety
    /// As [`Engine::submit`].
    #[cold]
    unsafe fn submit_rest(&mut self, first: Result<u32, Errno>) -> Result<usize, SubmitError> {
        let (mut submitted, mut last) = (0, first);
        loop {
            let errno = match last {
                // This is not known to happen; without the error it would be an endless
                // loop.
                Ok(0) => Errno::AGAIN,
                Ok(taken) => {
                    submitted += taken as usize;
                    if self.slots.staged() == 0 {
                        return Ok(submitted);
                    }
                    // SAFETY: this function requires the promise of `Engine::submit`.
                    // It covers every staged operation, and no other is submitted.
                    last = unsafe { self.submit_batch() };
                    continue;
                }
                // Events that were taken may not have been published to the kernel yet;
                // that makes room.
                Err(Errno::AGAIN) if self.backend.make_room() => {
                    // SAFETY: this function requires the promise of `Engine::submit`.
                    // It covers every staged operation, and no other is submitted.
                    last = unsafe { self.submit_batch() };
                    continue;
                }
                Err(errno) => errno,
            };
            return Err(SubmitError { submitted, errno });
        }
    }

    /// Submits the first [`BATCH`] staged operations with one system call. Returns the
    /// number taken as a `u32`, so that the result fits into a register.
    ///
    /// # Safety
    /// As [`Engine::submit`].
    #[inline(always)]
    unsafe fn submit_batch(&mut self) -> Result<u32, Errno> {
        let mut places = [const { MaybeUninit::uninit() }; BATCH];
        let batch = self.slots.batch(&mut places);
        // SAFETY: `batch` returns pointers to iocbs in the slots, which are exclusively
        // borrowed. The operations were staged, so the promise of `Engine::submit`
        // covers the memory that they describe.
        let result = unsafe { self.backend.submit(batch.iocbs) };
        // An unchecked error is less than any count, so one comparison covers both.
        if Errno::uncheck_count(result) >= batch.iocbs.len() as i32 {
            self.slots.submitted(&batch);
            return Ok(batch.iocbs.len() as u32);
        }
        let taken = result.unwrap_or(0);
        self.slots.refused(&batch, taken);
        result.map(|_| taken as u32)
    }

    /// Submits the staged operations. An operation that the kernel refuses is completed
    /// with the error as its result. It stops early only if the kernel has no room
    /// while something is in flight, whose completion makes room.
    ///
    /// # Safety
    /// As [`Engine::submit`].
    #[inline]
    pub(crate) unsafe fn flush(&mut self) {
        if self.slots.staged() > 0 {
            // SAFETY: this function requires the promise of `Engine::submit`. It covers
            // every staged operation, and no other is submitted.
            unsafe { self.flush_staged() };
        }
    }

    /// Submits as [`flush`](Engine::flush) does, with at least one operation staged.
    ///
    /// # Safety
    /// As [`Engine::submit`].
    unsafe fn flush_staged(&mut self) {
        // SAFETY: this function requires the promise of `Engine::submit`. It covers
        // every staged operation, and no other is submitted.
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

    /// Takes the next event from memory. Returns:
    ///
    /// - `Some(Some((slot, result)))`: an operation has completed. Its slot is out of
    ///   flight and in no list.
    /// - `Some(None)`: no operation has completed.
    /// - `None`: the next one may be in the completed list, or found by
    ///   [`poll_via_syscall`](Engine::poll_via_syscall).
    #[inline(always)]
    pub(crate) fn pop(&mut self) -> Option<Option<(SlotOffset, i64)>> {
        self.pop_after(|slots| slots.done() > 0)
    }

    /// Moves an operation to the completed list if one has completed, where the ring
    /// cannot be read in memory, or where it contains foreign events. It is a separate
    /// function so that reading the ring inlines to a few instructions.
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

    /// Submits the staged operations, and waits until an operation has completed.
    /// Returns at once if there is no operation. Signals do not end the wait.
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
            // SAFETY: this function requires the promise of `Engine::submit`. It covers
            // every staged operation, and no other is submitted.
            match unsafe { self.submit_and_wait(1, WaitOptions::new()) } {
                Ok(0) if self.slots.in_flight() > 0 => {}
                Err(Errno::INTR) => {}
                answer => return answer.map(drop),
            }
        }
    }

    /// Submits the staged operations, and waits as [`wait`](Engine::wait) does. During
    /// the wait it submits those for which the kernel had no room.
    ///
    /// # Safety
    /// As [`Engine::submit`].
    #[inline]
    pub(crate) unsafe fn submit_and_wait(
        &mut self,
        min_nr: usize,
        wait: WaitOptions<'_>,
    ) -> Result<usize, Errno> {
        // SAFETY: this function requires the promise of `Engine::submit`. It covers
        // every staged operation, and no other is submitted.
        unsafe { self.flush() };
        if self.slots.staged() == 0 {
            return self.wait(min_nr, wait);
        }
        // SAFETY: this function requires the promise of `Engine::submit`. It covers
        // every staged operation, and no other is submitted.
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
            // The operations in flight may be polls that never complete, so the wait
            // has a time limit, and the submission is tried again after it.
            let forever = wait.is_forever();
            let slice = if forever { wait.timeout(ROOM) } else { wait };
            let done = self.wait(min_nr, slice)?;
            // SAFETY: this function requires the promise of `Engine::submit`. It covers
            // every staged operation, and no other is submitted.
            unsafe { self.flush() };
            if !forever || done >= min_nr {
                return Ok(self.slots.done());
            }
        }
    }

    /// Takes the next event as [`pop`](Engine::pop) does. `done_first` returns whether
    /// the completed list takes precedence over events that have not been found yet.
    #[inline(always)]
    fn pop_after(
        &mut self,
        done_first: impl FnOnce(&Slots<'s, P, X>) -> bool,
    ) -> Option<Option<(SlotOffset, i64)>> {
        // Events that were found earlier precede every operation in the completed list:
        // all of them are taken before an operation enters the list. Events found later
        // come after it.
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
        // Behind a foreign event there may be others.
        self.ended(&event).map(Some)
    }

    #[inline(always)]
    fn ended(&mut self, event: &Event) -> Option<(SlotOffset, i64)> {
        let at = self.slots.ended(event)?;
        Some((at, event.res))
    }

    /// Waits until at least `min_nr` operations are in the completed list, or until the
    /// timeout or the signal that `wait` allows. `min_nr` is limited to the operations
    /// that are in flight or completed, and to [`BATCH`] more than are completed
    /// already. Returns the number of completed operations.
    pub(crate) fn wait(&mut self, min_nr: usize, wait: WaitOptions<'_>) -> Result<usize, Errno> {
        let (taken, all) = self.gather();
        let missing = min_nr
            .saturating_sub(self.slots.done())
            .min(self.slots.in_flight())
            .min(BATCH);
        let enough = taken && missing == 0;
        if self.slots.in_flight() > 0 && !(all && (enough || wait.is_poll())) {
            match self.wait_by_call(missing, wait) {
                // The events already taken are returned; the next wait returns the
                // error again.
                Err(errno) if !taken => return Err(errno),
                _ => {}
            }
        }
        Ok(self.slots.done())
    }

    /// Completes every operation whose event can be read from memory. Returns whether
    /// there was any, and whether no event is left.
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

    /// Takes the events that can be read from memory. If there are none, waits for
    /// `min_nr` events as `wait` allows. Returns whether there were any, foreign ones
    /// included.
    ///
    /// Unlike [`wait`](Engine::wait) it does not count completed operations: the last
    /// one may have been detached, so that its slot is already free.
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

    /// Waits by system call. It is a separate function so that polling the ring does
    /// not initialise the array.
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

    /// Completes the operations whose events have been found. It is called before an
    /// operation is completed without submission, because the found events precede it.
    fn complete_found(&mut self) {
        while let Polled::Event(event) = self.backend.poll(false) {
            if let Some((at, result)) = self.ended(&event) {
                self.complete(at, result);
            }
        }
    }

    /// Appends a completed operation to the completed list, or frees its slot if the
    /// operation is detached. Only a scope detaches operations, and its slots hold
    /// nothing that has a destructor.
    fn complete(&mut self, at: SlotOffset, result: i64) {
        if self.slots.extra(at).is_detached() {
            core::mem::forget(self.slots.release(at));
        } else {
            self.slots.push_completed(at, result);
        }
    }

    /// Cancels an operation. A staged one is completed with ECANCELED.
    pub(crate) fn cancel(&mut self, ticket: Ticket) -> Result<(), Errno> {
        match self.slots.find(ticket) {
            Some(OpState::InFlight(at)) => {
                let iocb = core::ptr::from_ref(self.slots.iocb(at));
                self.backend.cancel(iocb)
            }
            Some(OpState::Staged(at)) => {
                // This comes first: the tag of an operation that is in no list and not
                // yet completed equals that of one in flight.
                self.complete_found();
                self.slots.unstage(at);
                self.complete(at, negated(Errno::CANCELED));
                Ok(())
            }
            Some(OpState::Done(_)) | None => Err(Errno::INVAL),
        }
    }

    /// Waits until nothing is in flight. Signals do not end the wait. Polls are
    /// cancelled, since they may never complete. Where io_cancel fails (a sandbox,
    /// gVisor), it waits for everything else and then destroys the context, which
    /// completes the polls. Their result is
    /// [`OUTCOME_UNKNOWN`](Errno::OUTCOME_UNKNOWN).
    ///
    /// # Errors
    /// Those of the wait or of io_destroy; the remaining operations are still in
    /// flight. EINVAL in a forked child.
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

    /// Cancels the polls in flight. Returns an error of io_cancel, if there was one;
    /// EINVAL only if there was no other.
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

    /// Completes polls that could not be cancelled, by destroying the context.
    ///
    /// `completing` means that io_cancel returned EINVAL: the polls are completing, so
    /// it waits for their events first. The wait is short if EINVAL did not come from
    /// the kernel.
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
                // The kernel reads the iocb before it returns EINVAL; a sandbox does
                // not.
                Ok(_) if self.backend.cancel(null()) == Err(Errno::FAULT) => attempts -= 1,
                Ok(_) | Err(_) => break,
            }
        }
        self.destroy()
    }

    /// Destroys the context. The outcome of operations that have not completed before
    /// is unknown. After an error the kernel may still use the buffers.
    pub(crate) fn destroy(&mut self) -> Result<(), Errno> {
        self.take_all();
        self.backend.destroy()?;
        self.abandon();
        Ok(())
    }

    /// Takes all events that are there, including those behind foreign events.
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

    /// Completes every operation in flight with an unknown outcome, because no event
    /// will come: the context was destroyed, or inherited by a forked child.
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
    /// Takes the backend out of the engine, with nothing in flight. The engine keeps a
    /// destroyed one.
    pub(crate) fn take(&mut self) -> K {
        self.backend.take()
    }
}

impl<P, X: Extra> Engine<'_, P, X, ContextBackend> {
    /// Takes the context, which has nothing in flight, for reuse.
    ///
    /// # Errors
    /// - `OUTCOME_UNKNOWN`: the context had to be destroyed.
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
        let completed = idle || destroyed.is_ok();
        if !completed {
            self.storage.leak();
        }
        self.slots.clear(completed);
    }
}

pub(crate) fn negated(errno: Errno) -> i64 {
    -i64::from(errno.raw_os_error())
}
