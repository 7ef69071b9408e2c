//! How operations end before their time: [`cancel`](Engine::cancel),
//! [`drain`](Engine::drain), and the destruction of the context.
//!
//! # Polls
//! Only a poll can be cancelled, and only a poll may never complete. So a function that
//! ends operations cancels those in flight that are polls
//! ([`cancel_if_poll`](Engine::cancel_if_poll)) and waits for the rest. Where the kernel
//! refuses to cancel, the destruction of the context ends the polls.

use core::ptr::null;
use core::time::Duration;

use super::{Backend, Engine, Extra, OpState, SlotOffset, Ticket, negated};
use crate::context::WaitOptions;
use crate::ring::Polled;
use crate::sys::abi::IOCB_CMD_POLL;
use crate::sys::errno::Errno;

/// The time to wait for the event of a poll that is completing. A kernel thread, which
/// may be busy, delivers it.
const EVENT: Duration = Duration::from_millis(100);

/// The number of such waits that may return without an event, by a signal or by
/// timeout. It bounds them even if a timer sends signals without end.
pub(super) const ATTEMPTS: u32 = 100;

impl<P, X: Extra, K: Backend> Engine<'_, P, X, K> {
    /// Cancels an operation. A staged one is completed with ECANCELED.
    pub(crate) fn cancel(&mut self, ticket: Ticket) -> Result<(), Errno> {
        match self.slots.find(ticket) {
            Some(OpState::InFlight(at)) => self.cancel_in_flight(at),
            Some(OpState::Staged(at)) => {
                self.complete_staged(at, Errno::CANCELED);
                Ok(())
            }
            Some(OpState::Completed(_)) | None => Err(Errno::INVAL),
        }
    }

    fn cancel_in_flight(&mut self, at: SlotOffset) -> Result<(), Errno> {
        self.backend.cancel(self.slots.iocb(at))
    }

    /// Cancels the operation in this slot, which is in flight, if it is a poll. Its event
    /// follows in any case: the kernel refuses to cancel a poll that is just completing
    /// (EINVAL).
    pub(crate) fn cancel_if_poll(&mut self, at: SlotOffset) -> Result<(), Errno> {
        if self.is_poll(at) {
            self.cancel_in_flight(at)
        } else {
            Ok(())
        }
    }

    fn is_poll(&mut self, at: SlotOffset) -> bool {
        self.slots.opcode(at) == IOCB_CMD_POLL
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
    #[inline]
    pub(crate) fn drain(&mut self) -> Result<(), Errno> {
        if self.slots.in_flight() == 0 {
            return Ok(());
        }
        self.drain_in_flight()
    }

    /// Waits as [`drain`](Engine::drain) does, with something in flight.
    fn drain_in_flight(&mut self) -> Result<(), Errno> {
        self.backend.check()?;
        let refusal = self.cancel_polls();
        while self.slots.in_flight() > 0 {
            if refusal.is_some() && self.only_polls_in_flight() {
                return self.end_polls(refusal == Some(Errno::INVAL));
            }
            let waited = match refusal {
                None => {
                    let wanted = self.slots.completed() + self.slots.in_flight();
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
            if let Err(errno) = self.cancel_if_poll(at) {
                if errno != Errno::INVAL || refusal.is_none() {
                    refusal = Some(errno);
                }
            }
            last = Some(at);
        }
        refusal
    }

    fn only_polls_in_flight(&mut self) -> bool {
        let mut last = None;
        while let Some(at) = self.slots.in_flight_after(last) {
            if !self.is_poll(at) {
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
            let wanted = self.slots.completed() + self.slots.in_flight();
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
            match self.backend.poll() {
                Polled::Found(event) => {
                    if let Some((at, result)) = self.operation_of(&event) {
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
            self.slots.leave_flight(at);
            self.complete(at, negated(Errno::OUTCOME_UNKNOWN));
            last = Some(at);
        }
    }
}
