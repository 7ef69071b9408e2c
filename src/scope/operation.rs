//! [`ScopedOp`]: one operation of a scope's.

use core::cell::RefCell;
use core::fmt;
use core::mem::MaybeUninit;

use super::{Detached, ScopeEngine, end_by_force, flush};
use crate::completion::{Completion, result};
use crate::context::WaitOptions;
use crate::engine::{OpState, SlotOffset, Ticket};
use crate::sys::errno::Errno;

/// An operation that was begun in a [`Scope`](super::Scope), and the borrow of its buffer.
///
/// Dropping it lets the operation go on by itself, to the scope's end at the
/// latest; the buffer stays borrowed by the scope. (What is owned, buffer and
/// data, is leaked, unless the operation has ended.)
#[must_use = "dropping it lets the operation go on by itself"]
pub struct ScopedOp<'scope, B, T = ()> {
    engine: &'scope RefCell<ScopeEngine>,
    /// `None`: refused, as the last slot was taken while it was begun.
    ticket: Option<Ticket>,
    /// Plain bytes, which say nothing of the memory that the kernel has.
    payload: MaybeUninit<(Option<B>, T)>,
}

impl<'scope, B, T> ScopedOp<'scope, B, T> {
    pub(super) fn new(
        engine: &'scope RefCell<ScopeEngine>,
        ticket: Option<Ticket>,
        payload: MaybeUninit<(Option<B>, T)>,
    ) -> ScopedOp<'scope, B, T> {
        ScopedOp {
            engine,
            ticket,
            payload,
        }
    }

    /// Waits for the operation to end. Signals do not interrupt it:
    /// [`Scope::wait_with`](super::Scope::wait_with) does the waiting that they shall.
    pub fn wait(self) -> Completion<B, T> {
        loop {
            if let Some(result) = self.take() {
                let mut this = core::mem::ManuallyDrop::new(self);
                let payload = core::mem::replace(&mut this.payload, MaybeUninit::uninit());
                // SAFETY: written by `Scope::push`, read here alone; the
                // operation has ended, so the memory is the program's.
                let (buffer, data) = unsafe { payload.assume_init() };
                return Completion {
                    ticket: this.ticket.unwrap_or(Ticket::NONE),
                    result,
                    buffer,
                    data,
                };
            }
            let mut engine = self.engine.borrow_mut();
            let wanted = engine.slots.done() + 1;
            flush(&mut engine);
            if engine.slots.done() >= wanted {
                // The kernel has refused one, and need not be waited for.
                continue;
            }
            // SAFETY: as in `flush`: what is staged came by `Scope::push`.
            match unsafe { engine.submit_and_wait(wanted, WaitOptions::new()) } {
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => end_by_force(&mut engine),
            }
        }
    }

    /// Whether the operation has ended. Looks at the ring, without a system
    /// call where that is mapped; begins what has been started.
    pub fn is_finished(&self) -> bool {
        let mut engine = self.engine.borrow_mut();
        flush(&mut engine);
        // An error will come again where it can be told.
        let _ = engine.wait(0, WaitOptions::poll());
        match self.ticket {
            Some(ticket) => matches!(engine.slots.find(ticket), Some(OpState::Done(_))),
            None => true,
        }
    }

    /// Asks for the operation to end early; it ends all the same.
    ///
    /// # Errors
    /// As [`Queue::cancel`](crate::Queue::cancel).
    pub fn cancel(&self) -> Result<(), Errno> {
        let ticket = self.ticket.ok_or(Errno::INVAL)?;
        self.engine.borrow_mut().cancel(ticket)
    }

    /// The result, if it is there; its slot is free then.
    fn take(&self) -> Option<Result<usize, Errno>> {
        let Some(ticket) = self.ticket else {
            return Some(Err(Errno::AGAIN));
        };
        let mut engine = self.engine.borrow_mut();
        let Some(OpState::Done(at)) = engine.slots.find(ticket) else {
            return None;
        };
        Some(result(finish(&mut engine, at)))
    }
}

/// The result of a done operation, whose slot is free then. Apart, as most
/// looks find nothing done.
#[inline(never)]
fn finish(engine: &mut ScopeEngine, at: SlotOffset) -> i64 {
    let result = engine.slots.take_result(at);
    engine.slots.release(at);
    result
}

impl<B, T> Drop for ScopedOp<'_, B, T> {
    fn drop(&mut self) {
        if self.take().is_some() {
            // SAFETY: as in `wait`.
            unsafe { self.payload.assume_init_drop() };
            return;
        }
        let mut engine = self.engine.borrow_mut();
        let place = self.ticket.and_then(|ticket| engine.slots.find(ticket));
        if let Some(OpState::Staged(at) | OpState::InFlight(at)) = place {
            *engine.slots.extra(at) = Detached(true);
        }
    }
}

impl<B, T> fmt::Debug for ScopedOp<'_, B, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopedOp")
            .field("ticket", &self.ticket)
            .finish_non_exhaustive()
    }
}
