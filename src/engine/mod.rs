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
//!            stage            batch, submitted          take_event
//!    free ──────────▶ staged ──────────────────▶ in flight ──────────────┐
//!     ▲               │    ▲ │              leave_flight (abandon)       │
//!     │               │    └─┘ batch, refused                            │
//!     │               │        (those not taken)                         │
//!     │               │ unstage, unstage_first                           │
//!     │               ▼                                                  │
//!     └──────────── unlisted ◀───────────────────────────────────────────┘
//!         release     │    ▲
//!      push_completed │    │ pop_completed, take_result
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
//! - An operation that [`pop`](Engine::pop) or [`pop_own`](Engine::pop_own) returns goes from
//!   in flight to free without being *completed* in between: the layer releases it at once. A detached one
//!   ([`Extra::is_detached`]) does so too, in [`complete`](Engine::complete).
//!   *notified* occurs in the reactor only. Its turns take most operations there from in
//!   flight at once ([`Slots::notify`]), and [`Slots::release_notified`] from there to free.
//! - **Cancel** ([`Engine::cancel`]). In flight: the state does not change; the event
//!   that follows completes it. Staged: `unstage`, then `push_completed` with
//!   ECANCELED. Completed or notified: EINVAL.
//! - **Refusal by the kernel.** [`Engine::submit`]: `refused` makes the operation and
//!   all behind it staged again; [`Queue::unstage`](crate::Queue::unstage) takes it out
//!   (`unstage_first`, `release`). [`Engine::flush`]: `unstage_first`, then
//!   `push_completed` with the error. EAGAIN while something is in flight leaves it
//!   staged.
//! - **Destroyed context, or forked child** ([`Engine::abandon`]): `leave_flight`, then
//!   `push_completed` with [`OUTCOME_UNKNOWN`](Errno::OUTCOME_UNKNOWN) for everything
//!   in flight.
//!
//! # The path of a completion
//! In the order of the calls: [`Queue::pop`](crate::Queue::pop), [`Engine::pop`],
//! [`Backend::poll`] (the next event of the ring), [`Slots::take_event`] (the slot whose
//! tag it has), [`Slots::release`] (the buffer and the data). In a scope and in a reactor
//! [`Engine::pop_own`] takes the event of the operation that is waited for, if it is the next
//! one. For all others [`Engine::wait`] takes the place of the first two, and
//! [`Slots::push_completed`] keeps the result until its owner takes it. A turn of a reactor
//! takes events by [`Engine::pop`] too, and leaves the result in the slot
//! ([`Slots::notify`]).
//!
//! # Invariants
//! - An event completes an operation only if its `data` equals the tag of a slot in
//!   flight.
//! - Completions are in the order of their events. An operation that is completed
//!   without an event comes after every event that was found before.
//! - A payload stays in its slot from `stage` to `release`. An operation in flight is
//!   released only by [`Slots::clear`], which leaks the payload if the kernel may still
//!   use its buffer, and by a reactor in a forked child, which leaks the payload always.
//!
//! # Invariant: user code never runs inside
//! Wakers (their `clone`, `wake` and `drop`), destructors of buffers and data,
//! `IoBuf::region`, `OwnsFd::raw_fd`, `Into<Op>` and implementations of `Lock` are user
//! code. They may panic, and they may call the queue, scope or reactor that called
//! them. None of them runs while an engine is borrowed, except in [`Slots::clear`], in the
//! destructor of the engine, where nothing else can reach it. A destructor that panics does
//! not keep the others from running.
//!
//! Everywhere else payloads and wakers are only moved: in by [`stage`](Slots::stage),
//! which drops nothing, and out by [`release`](Slots::release), which leaves nothing in
//! the slot. The layers drop, wake and return what came out after they have released
//! the engine, and they update the state of the operation before. So a panic loses no
//! slot, no operation and no other task's wake-up.

mod backend;
mod defaults;
mod drain;
mod fields;
mod offset;
mod slot;
mod storage;
mod submission;
mod submit;
mod table;
mod tag;
#[cfg(test)]
mod tests;
mod ticket;

use core::ptr::NonNull;
use core::time::Duration;

pub(crate) use backend::{Backend, ContextBackend};
use defaults::Defaults;
pub(crate) use fields::IocbFields;
pub(crate) use offset::{OpState, SlotOffset};
pub(crate) use slot::{Extra, RawSlot, slot_type};
use storage::OwnedSlots;
pub(crate) use submission::{Submission, Submitted};
pub(crate) use table::{Released, Slots, Taken};
pub use ticket::Ticket;

use crate::context::IdleContext;
use crate::context::WaitOptions;
use crate::ring::Polled;
use crate::sys::abi::Event;
use crate::sys::errno::Errno;

/// The most operations that are submitted in the short way, and the number of events in a
/// wait for no more than these.
pub(crate) const BATCH: usize = 32;

/// The number of events in one system call of a wait for more than [`BATCH`]. They are on
/// the stack: 8 KiB.
const MANY: usize = 256;

/// The time after which a submission is tried again that the kernel had no room for.
const ROOM: Duration = Duration::from_millis(1);

/// Operations in slots, and the kernel context that runs them.
///
/// Dropping an engine destroys the context first, and drops the buffers then. Buffers
/// that the kernel may still use (a forked child cannot find out) are leaked.
pub(crate) struct Engine<'s, P, X: Extra, K: Backend> {
    pub(crate) slots: Slots<'s, P, X>,
    pub(crate) backend: K,
    defaults: Defaults,
    /// The array of the slots, if the engine owns it. Freed last.
    storage: OwnedSlots<P, X>,
}

impl<'s, P, X: Extra, K: Backend> Engine<'s, P, X, K> {
    /// Creates an engine. `backend` has nothing in flight and no event.
    pub(crate) fn new(array: &'s mut [RawSlot<P, X>], backend: K) -> Engine<'s, P, X, K> {
        Engine {
            slots: Slots::new(array),
            backend,
            defaults: Defaults::NONE,
            storage: OwnedSlots::NONE,
        }
    }

    /// Creates an engine in these slots. `backend` has nothing in flight and no event.
    ///
    /// # Safety
    /// The slots are valid for reads and writes for `'s`, accessed by nothing else, and
    /// initialised unless they are `fresh`. An initialised slot has no `extra` to drop.
    #[inline]
    pub(crate) unsafe fn in_memory(
        slots: NonNull<[RawSlot<P, X>]>,
        fresh: bool,
        backend: K,
    ) -> Engine<'s, P, X, K> {
        Engine {
            // SAFETY: this function requires that the slots are valid for `'s`, accessed by
            // nothing else, and initialised or `fresh`.
            slots: unsafe { Slots::of_memory(slots, fresh) },
            backend,
            defaults: Defaults::NONE,
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
        // `storage` last, and nothing else accesses it. It is uninitialised.
        let slots = unsafe { Slots::of_memory(storage.slots(), true) };
        Ok(Engine {
            slots,
            backend,
            defaults: Defaults::NONE,
            storage,
        })
    }

    /// Takes the next completed operation from memory: its slot, which is out of flight
    /// and in no list, and its result. After [`NeedsSyscall`](Polled::NeedsSyscall) the
    /// next one may be in the completed list, or found by
    /// [`poll_via_syscall`](Engine::poll_via_syscall).
    #[inline(always)]
    pub(crate) fn pop(&mut self) -> Polled<(SlotOffset, i64)> {
        self.pop_after(|slots| slots.completed() > 0)
    }

    /// Moves an operation to the completed list if one has completed, where the ring
    /// cannot be read in memory, or where it contains foreign events. It is a separate
    /// function so that reading the ring inlines to a few instructions.
    #[cold]
    #[inline(never)]
    pub(crate) fn poll_via_syscall(&mut self) -> Result<(), Errno> {
        while self.slots.completed() == 0 && self.slots.in_flight() > 0 {
            let Some(event) = self.backend.pop()? else {
                break;
            };
            if let Some((at, result)) = self.operation_of(&event) {
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
            if self.slots.completed() > 0 {
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
            let completed = self.wait(min_nr, slice)?;
            // SAFETY: this function requires the promise of `Engine::submit`. It covers
            // every staged operation, and no other is submitted.
            unsafe { self.flush() };
            if !forever || completed >= min_nr {
                return Ok(self.slots.completed());
            }
        }
    }

    /// Takes the next event as [`pop`](Engine::pop) does. `completed_first` returns whether
    /// the completed list takes precedence over events that have not been found yet.
    #[inline(always)]
    fn pop_after(
        &mut self,
        completed_first: impl FnOnce(&Slots<'s, P, X>) -> bool,
    ) -> Polled<(SlotOffset, i64)> {
        // Events that were found earlier precede every operation in the completed list:
        // all of them are taken before an operation enters the list. Events found later
        // come after it.
        let event = match self.backend.poll_found() {
            Polled::Found(event) => event,
            Polled::NeedsSyscall => return Polled::NeedsSyscall,
            Polled::Empty => {
                if completed_first(&self.slots) {
                    return Polled::NeedsSyscall;
                }
                if self.slots.in_flight() == 0 {
                    return Polled::Empty;
                }
                match self.backend.poll() {
                    Polled::Found(event) => event,
                    Polled::NeedsSyscall => return Polled::NeedsSyscall,
                    Polled::Empty => return Polled::Empty,
                }
            }
        };
        match self.operation_of(&event) {
            Some(completed) => Polled::Found(completed),
            // Behind a foreign event there may be others.
            None => Polled::NeedsSyscall,
        }
    }

    #[inline(always)]
    fn operation_of(&mut self, event: &Event) -> Option<(SlotOffset, i64)> {
        let at = self.slots.take_event(event)?;
        Some((at, event.res))
    }

    /// Waits until at least `min_nr` operations are in the completed list, or until the
    /// timeout or the signal that `wait` allows. `min_nr` is limited to the operations
    /// that are in flight or completed and, with a timeout, to [`MANY`] more than are
    /// completed already. Returns the number of completed operations.
    pub(crate) fn wait(&mut self, min_nr: usize, wait: WaitOptions<'_>) -> Result<usize, Errno> {
        let Gathered { any, all } = self.gather();
        let missing = min_nr
            .saturating_sub(self.slots.completed())
            .min(self.slots.in_flight());
        let enough = any && missing == 0;
        if self.slots.in_flight() > 0 && !(all && (enough || wait.is_poll())) {
            match self.wait_by_call(missing, wait) {
                // The events already taken are returned; the next wait returns the
                // error again.
                Err(errno) if !any => return Err(errno),
                _ => {}
            }
        }
        Ok(self.slots.completed())
    }

    /// Completes every operation whose event can be read from memory.
    fn gather(&mut self) -> Gathered {
        let mut any = false;
        loop {
            match self.pop_after(|_| false) {
                Polled::Found((at, result)) => self.complete(at, result),
                Polled::Empty => return Gathered { any, all: true },
                Polled::NeedsSyscall => return Gathered { any, all: false },
            }
            any = true;
        }
    }

    /// Takes the only completed operation as [`pop`](Engine::pop) does. `None` says nothing
    /// about the number of completed operations.
    #[inline(always)]
    pub(crate) fn pop_single(&mut self) -> Option<(SlotOffset, i64)> {
        if self.slots.completed() > 0 {
            return None;
        }
        let event = self.backend.poll_single()?;
        self.operation_of(&event)
    }

    /// Takes the next event from memory if it is that of the operation in this slot, which
    /// is in flight. Returns the result: the slot is out of flight then, and in no list.
    /// `None` says nothing about the operation.
    #[inline(always)]
    pub(crate) fn pop_own(&mut self, at: SlotOffset) -> Option<i64> {
        let result = self.backend.poll_own(self.slots.event_data(at))?;
        self.slots.leave_flight(at);
        Some(result)
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
        let Gathered { any, all } = self.gather();
        if any || (all && min_nr == 0) {
            return Ok(any);
        }
        Ok(self.wait_by_call(min_nr, wait)? > 0)
    }

    /// Waits by system call. It is a separate function so that polling the ring does
    /// not initialise the array.
    #[inline(never)]
    fn wait_by_call(&mut self, missing: usize, wait: WaitOptions<'_>) -> Result<usize, Errno> {
        if missing > BATCH {
            return self.wait_for_many(missing, wait);
        }
        let mut events = [Event::EMPTY; BATCH];
        let count = self.backend.wait(missing, &mut events, wait)?;
        self.take_returned(events.iter().take(count));
        Ok(count)
    }

    /// Waits as [`wait_by_call`](Engine::wait_by_call) does, for more than [`BATCH`] events.
    ///
    /// A wait without a timeout takes several system calls if necessary. One with a timeout
    /// takes only one, because without a clock the rest of the time is unknown.
    #[cold]
    #[inline(never)]
    fn wait_for_many(&mut self, missing: usize, wait: WaitOptions<'_>) -> Result<usize, Errno> {
        let mut events = [Event::EMPTY; MANY];
        let mut taken = 0;
        loop {
            let wanted = (missing - taken).min(MANY);
            let count = match self.backend.wait(wanted, &mut events, wait) {
                Ok(count) => count,
                // The next wait returns the error again.
                Err(_) if taken > 0 => return Ok(taken),
                Err(errno) => return Err(errno),
            };
            self.take_returned(events.iter().take(count));
            taken += count;
            // Fewer than wanted: a signal has ended the wait, or its time is over.
            if count < wanted || taken >= missing || !wait.is_forever() {
                return Ok(taken);
            }
        }
    }

    /// Completes the operations of events that a system call has returned.
    pub(crate) fn take_returned<'e>(&mut self, events: impl Iterator<Item = &'e Event>) {
        for event in events {
            if let Some((at, result)) = self.operation_of(event) {
                self.complete(at, result);
            }
        }
    }

    /// Completes the operations whose events have been found. It is called before an
    /// operation is completed without submission, because the found events precede it.
    fn complete_found(&mut self) {
        while let Polled::Found(event) = self.backend.poll_found() {
            if let Some((at, result)) = self.operation_of(&event) {
                self.complete(at, result);
            }
        }
    }

    /// Appends a completed operation to the completed list, or frees its slot if the
    /// operation is detached. Only a scope detaches operations, and its slots hold
    /// nothing that has a destructor.
    pub(crate) fn complete(&mut self, at: SlotOffset, result: i64) {
        if self.slots.extra(at).is_detached() {
            core::mem::forget(self.slots.release(at));
        } else {
            self.slots.push_completed(at, result);
        }
    }
}

impl<P, X: Extra> Engine<'_, P, X, ContextBackend> {
    /// Takes the context, which has nothing in flight, for reuse.
    ///
    /// # Errors
    /// - `OUTCOME_UNKNOWN`: the context had to be destroyed.
    /// - EINVAL: in a forked child.
    pub(crate) fn idle(&mut self, capacity: u32) -> Result<IdleContext, Errno> {
        let backend = self.backend.take();
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

/// The result of [`Engine::gather`].
struct Gathered {
    /// An operation has completed.
    any: bool,
    /// No event is left.
    all: bool,
}

pub(crate) fn negated(errno: Errno) -> i64 {
    -i64::from(errno.raw_os_error())
}
