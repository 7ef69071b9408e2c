//! [`Pending`]: one operation of a scope's.

use core::cell::RefCell;
use core::fmt;
use core::mem::MaybeUninit;

use super::{Detached, ScopeEngine, end_by_force};
use crate::completion::{Finished, result};
use crate::engine::{At, Place, Ticket};
use crate::errno::Errno;
use crate::wait::Wait;

/// An operation that was begun in a [`Scope`](super::Scope), and the borrow of its buffer.
///
/// Dropping it lets the operation go on by itself, to the scope's end at the
/// latest; the buffer stays borrowed by the scope. (An owned one is leaked, unless
/// the operation has ended.)
#[must_use = "dropping it lets the operation go on by itself"]
pub struct Pending<'scope, B> {
    engine: &'scope RefCell<ScopeEngine>,
    ticket: Ticket,
    /// Plain bytes, which say nothing of the memory that the kernel has.
    buffer: MaybeUninit<Option<B>>,
}

impl<'scope, B> Pending<'scope, B> {
    pub(super) fn new(
        engine: &'scope RefCell<ScopeEngine>,
        ticket: Ticket,
        buffer: MaybeUninit<Option<B>>,
    ) -> Pending<'scope, B> {
        Pending {
            engine,
            ticket,
            buffer,
        }
    }

    /// Waits for the operation to end. Signals do not interrupt it:
    /// [`Scope::wait_with`](super::Scope::wait_with) does the waiting that they shall.
    pub fn wait(self) -> Finished<B> {
        loop {
            if let Some(result) = self.take() {
                let mut this = core::mem::ManuallyDrop::new(self);
                let buffer = core::mem::replace(&mut this.buffer, MaybeUninit::uninit());
                return Finished {
                    result,
                    // SAFETY: written by `Scope::start`, read here alone; the
                    // operation has ended, so the memory is the program's.
                    buffer: unsafe { buffer.assume_init() },
                };
            }
            let mut engine = self.engine.borrow_mut();
            // SAFETY: as in `Scope::submit`.
            unsafe { engine.flush() };
            if let Some(Place::Done(_)) = engine.slots.find(self.ticket) {
                // The kernel has refused it, and need not be waited for.
                continue;
            }
            let wanted = engine.slots.done() + 1;
            match engine.wait(wanted, Wait::new()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => end_by_force(&mut engine),
            }
        }
    }

    /// Whether the operation has ended. Looks at the ring, without a system
    /// call where that is mapped; begins what has been started.
    pub fn is_finished(&self) -> bool {
        let mut engine = self.engine.borrow_mut();
        // SAFETY: as in `Scope::submit`.
        unsafe { engine.flush() };
        // An error will come again where it can be told.
        let _ = engine.wait(0, Wait::poll());
        matches!(engine.slots.find(self.ticket), Some(Place::Done(_)))
    }

    /// Asks for the operation to end early; it ends all the same.
    ///
    /// # Errors
    /// As [`Queue::cancel`](crate::Queue::cancel).
    pub fn cancel(&self) -> Result<(), Errno> {
        self.engine.borrow_mut().cancel(self.ticket)
    }

    /// The result, if it is there; its slot is free then.
    fn take(&self) -> Option<Result<usize, Errno>> {
        let mut engine = self.engine.borrow_mut();
        let Some(Place::Done(at)) = engine.slots.find(self.ticket) else {
            return None;
        };
        Some(result(finish(&mut engine, at)))
    }
}

/// The result of a done operation, whose slot is free then. Apart, as most
/// looks find nothing done.
#[inline(never)]
fn finish(engine: &mut ScopeEngine, at: At) -> i64 {
    let result = engine.slots.take_done_at(at);
    engine.slots.release(at);
    result
}

impl<B> Drop for Pending<'_, B> {
    fn drop(&mut self) {
        if self.take().is_some() {
            // SAFETY: as in `wait`.
            unsafe { self.buffer.assume_init_drop() };
            return;
        }
        let mut engine = self.engine.borrow_mut();
        if let Some(Place::Staged(at) | Place::InFlight(at)) = engine.slots.find(self.ticket) {
            *engine.slots.extra(at) = Detached(true);
        }
    }
}

impl<B> fmt::Debug for Pending<'_, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending")
            .field("ticket", &self.ticket)
            .finish_non_exhaustive()
    }
}
