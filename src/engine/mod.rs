//! [`Engine`]: slots and a kernel, and what passes between them. The layers
//! above ([`queue`](crate::queue), [`scope`](crate::scope()),
//! [`reactor`](crate::reactor)) differ in how they hand buffers in and out.

mod kernel;
mod slot;
mod slots;
mod word;

use core::mem::MaybeUninit;

pub(crate) use kernel::{Kernel, Reaper};
#[allow(unreachable_pub, reason = "see there")]
pub use slot::Extra;
pub use slot::{Slot, Ticket};
pub(crate) use slots::{At, Place, Slots};

use crate::abi::{Event, IOCB_CMD_POLL};
use crate::context::SubmitError;
use crate::errno::Errno;
use crate::wait::Wait;

/// Operations that one io_submit is given, and events that one wait takes.
pub(crate) const BATCH: usize = 32;

/// Operations in slots, and the kernel that runs them. Dropping it destroys
/// the kernel's side first and the buffers then; those that the kernel may
/// still hold (a forked child cannot know) are leaked.
pub(crate) struct Engine<'s, B, X, K: Kernel> {
    pub(crate) slots: Slots<'s, B, X>,
    pub(crate) kernel: K,
}

impl<'s, B, X: Extra, K: Kernel> Engine<'s, B, X, K> {
    /// `kernel` has nothing in flight and no event.
    pub(crate) fn new(array: &'s mut [Slot<B, X>], kernel: K) -> Engine<'s, B, X, K> {
        Engine {
            slots: Slots::new(array),
            kernel,
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
            Ok(taken) if taken as usize == staged => Ok(staged),
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
                Err(Errno::AGAIN) if self.kernel.make_room() => {
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
        match unsafe { self.kernel.submit(batch.iocbs) } {
            Ok(taken) if taken >= batch.iocbs.len() => {
                self.slots.submitted(&batch);
                Ok(batch.iocbs.len() as u32)
            }
            result => {
                let taken = result.unwrap_or(0);
                self.slots.refused(&batch, taken);
                result.map(|_| taken as u32)
            }
        }
    }

    /// Submits what is staged; an operation that is refused is done with the
    /// refusal as its result. Only for want of room in the kernel does it stop
    /// early, and that only while something is in flight, whose end makes
    /// room.
    ///
    /// # Safety
    /// As [`Engine::submit`].
    #[inline]
    pub(crate) unsafe fn flush(&mut self) {
        if self.slots.staged() > 0 {
            // SAFETY: the caller's promise.
            unsafe { self.flush_staged() }
        }
    }

    /// # Safety
    /// As [`Engine::flush`].
    unsafe fn flush_staged(&mut self) {
        // SAFETY: the caller's promise.
        while let Err(SubmitError { errno, .. }) = unsafe { self.submit() } {
            if errno == Errno::AGAIN && self.slots.in_flight() > 0 {
                return;
            }
            self.settle_found();
            if let Some(at) = self.slots.unstage_first() {
                self.settle(at, negated(errno));
            }
        }
    }

    /// An operation that has ended, if memory tells of one: its slot, out of
    /// flight and in no list, and its result. The outer `None`: there may be one
    /// among the done ones, or after [`look_otherwise`](Engine::look_otherwise).
    #[inline(always)]
    pub(crate) fn pop(&mut self) -> Option<Option<(At, i64)>> {
        self.pop_after(self.slots.done())
    }

    /// Sees to it that an operation is done, if one has ended, with a kernel
    /// whose ring cannot be read, or holds what is not ours. Apart, so that
    /// reading the ring is a few instructions in line.
    #[cold]
    #[inline(never)]
    pub(crate) fn look_otherwise(&mut self) -> Result<(), Errno> {
        while self.slots.done() == 0 {
            let Some(event) = self.kernel.pop()? else {
                break;
            };
            if let Some((at, result)) = self.ended(&event) {
                self.settle(at, result);
            }
        }
        Ok(())
    }

    /// The same, waiting for it as long as anything is in flight.
    #[cold]
    #[inline(never)]
    pub(crate) fn wait_for_one(&mut self) -> Result<(), Errno> {
        loop {
            self.look_otherwise()?;
            if self.slots.done() > 0 || self.slots.in_flight() == 0 {
                return Ok(());
            }
            self.wait(1, Wait::new())?;
        }
    }

    /// The same as [`pop`](Engine::pop), if nothing is done that comes before.
    #[inline(always)]
    fn pop_after(&mut self, done: usize) -> Option<Option<(At, i64)>> {
        let event = match self.kernel.next() {
            // It ended before anything that is done: to be done, all that was
            // found is taken first.
            Some(event) => event,
            None if done > 0 => return None,
            None if self.slots.in_flight() == 0 => return Some(None),
            None => match self.kernel.read()? {
                Some(event) => event,
                None => return Some(None),
            },
        };
        // Where it is nobody's, nothing of ours is in the ring's memory.
        self.ended(&event).map(Some)
    }

    #[inline(always)]
    fn ended(&mut self, event: &Event) -> Option<(At, i64)> {
        let at = self.slots.ended(event)?;
        Some((at, event.res))
    }

    /// Waits until at least `min_nr` operations are done (no more than are in
    /// flight or done, and no more than [`BATCH`] besides those done already),
    /// or what `wait` lets through. How many are done.
    pub(crate) fn wait(&mut self, min_nr: usize, wait: Wait<'_>) -> Result<usize, Errno> {
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
            match self.pop_after(0) {
                Some(Some((at, result))) => self.settle(at, result),
                Some(None) => return (taken, true),
                None => return (taken, false),
            }
            taken = true;
        }
    }

    /// Apart, so that a look at the ring has no array to clear.
    #[inline(never)]
    fn wait_by_call(&mut self, missing: usize, wait: Wait<'_>) -> Result<(), Errno> {
        let mut events = [Event::EMPTY; BATCH];
        let count = self.kernel.wait(missing, &mut events, wait)?;
        for event in events.iter().take(count) {
            if let Some((at, result)) = self.ended(event) {
                self.settle(at, result);
            }
        }
        Ok(())
    }

    /// Settles those that were found to have ended, before one that will not be
    /// submitted is: they came first.
    fn settle_found(&mut self) {
        while let Some(event) = self.kernel.next() {
            if let Some((at, result)) = self.ended(&event) {
                self.settle(at, result);
            }
        }
    }

    /// Keeps the result of an operation that is over, or drops what nobody
    /// waits for.
    fn settle(&mut self, at: At, result: i64) {
        if self.slots.extra(at).is_detached() {
            drop(self.slots.release(at));
        } else {
            self.slots.keep(at, result);
        }
    }

    /// Asks for an operation to end early. One that was not submitted yet is
    /// done, with ECANCELED.
    pub(crate) fn cancel(&mut self, ticket: Ticket) -> Result<(), Errno> {
        match self.slots.find(ticket) {
            Some(Place::InFlight(at)) => {
                let iocb = core::ptr::from_ref(self.slots.iocb(at));
                self.kernel.cancel(iocb)
            }
            Some(Place::Staged(at)) => {
                // First, as an operation that is in no list and not settled yet
                // looks like one in flight.
                self.settle_found();
                self.slots.unstage(at);
                self.settle(at, negated(Errno::CANCELED));
                Ok(())
            }
            Some(Place::Done(_)) | None => Err(Errno::INVAL),
        }
    }

    /// Waits until nothing is in flight. Signals do not interrupt it. Polls
    /// are cancelled first: nothing may ever end them.
    ///
    /// # Errors
    /// Those of the wait, and the rest is still in flight. EINVAL in a forked
    /// child, where the ring is not mapped and must not be looked at.
    pub(crate) fn drain(&mut self) -> Result<(), Errno> {
        if self.slots.in_flight() == 0 {
            return Ok(());
        }
        self.kernel.check()?;
        let mut last = None;
        while let Some(at) = self.slots.in_flight_after(last) {
            if self.slots.iocb(at).opcode == IOCB_CMD_POLL {
                // One that has just ended refuses, and its event comes.
                let iocb = core::ptr::from_ref(self.slots.iocb(at));
                let _ = self.kernel.cancel(iocb);
            }
            last = Some(at);
        }
        while self.slots.in_flight() > 0 {
            let wanted = self.slots.done() + self.slots.in_flight();
            match self.wait(wanted, Wait::new()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }

    /// Ends the kernel's side. What was in flight is done then, with
    /// ECANCELED. An error: the kernel may still be at the buffers.
    pub(crate) fn destroy(&mut self) -> Result<(), Errno> {
        self.kernel.destroy()?;
        let mut last = None;
        while let Some(at) = self.slots.in_flight_after(last) {
            self.slots.end(at);
            self.settle(at, negated(Errno::CANCELED));
            last = Some(at);
        }
        Ok(())
    }
}

impl<B, X, K: Kernel> Engine<'_, B, X, K> {
    /// The kernel's side, with nothing in flight; the engine is dead.
    pub(crate) fn take(&mut self) -> K {
        self.kernel.take()
    }
}

impl<B, X, K: Kernel> Drop for Engine<'_, B, X, K> {
    fn drop(&mut self) {
        let idle = self.slots.in_flight() == 0;
        let destroyed = self.kernel.destroy();
        self.slots.clear(idle || destroyed.is_ok());
    }
}

pub(crate) fn negated(errno: Errno) -> i64 {
    -i64::from(errno.raw())
}
