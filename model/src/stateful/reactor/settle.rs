//! An executor that polls only woken tasks, and turns the reactor only when its eventfd
//! is readable, if it has one. It brings every future to completion, whatever happened
//! before: so no wake-up was lost.

use super::super::POLLED;
use super::super::specification::{Outcome, ensure, same};
use super::super::user::{self, injectable};
use super::stage::{Kind, Stage, verify};
use super::tasks::Place;
use super::{Begin, What};

/// The number of turns without a completion that pass an unused claim on. With as many
/// leaked waiters as there are, each needs three.
const TURNS: usize = 3;

impl<L: Kind> Stage<'_, '_, L> {
    pub(super) fn settle(&self) -> Outcome {
        self.scenario.count(|totals| totals.settled += 1);
        (0..POLLED).for_each(|which| self.ready(which));
        let mut quiet = 0;
        for _ in 0..10_000 {
            self.before.set(user::injected());
            self.kernel(|kernel| kernel.complete_all(self.ctx));
            let mut progress = self.turn_if_signalled()?;
            progress |= self.poll_woken();
            verify()?;
            if self.tasks.borrow().iter().all(|task| task.is_gone()) {
                return Ok(());
            }
            quiet = if progress { 0 } else { quiet + 1 };
            let leaked = self.tasks.borrow().iter().filter(|t| t.leaked).count();
            if quiet > TURNS * (leaked + 1) {
                let waiting: Vec<_> = {
                    let tasks = self.tasks.borrow();
                    let there = tasks.iter().filter(|task| !task.is_gone());
                    there.map(|task| (task.operation, task.place)).collect()
                };
                return Err(format!("never woken: {waiting:?}"));
            }
        }
        Err("no end of turns".into())
    }

    /// Turns the reactor if its eventfd is readable. Returns whether it was readable;
    /// without an eventfd, always turns and returns whether the turn had an effect.
    fn turn_if_signalled(&self) -> Outcome<bool> {
        let Some(eventfd) = self.eventfd else {
            let answer = injectable(|| self.reactor.turn());
            return match answer {
                Some(answer) => Ok(answer.map_err(|errno| format!("turn: {errno}"))? > 0),
                None => Ok(true),
            };
        };
        if !take(eventfd) {
            return Ok(false);
        }
        if let Some(answer) = injectable(|| self.reactor.turn()) {
            answer.map_err(|errno| format!("turn: {errno}"))?;
        }
        Ok(true)
    }

    fn poll_woken(&self) -> bool {
        let mut progress = false;
        let mut index = 0;
        while index < self.tasks.borrow().len() {
            let wants = self.tasks.borrow()[index].wants_poll();
            if wants {
                self.poll(index);
                progress = true;
            }
            index += 1;
        }
        progress
    }

    /// Verifies that as many operations can begin as there are slots that no leaked
    /// future holds. Called after [`settle`](Stage::settle).
    pub(super) fn capacity(&self) -> Outcome {
        // Operations left by dropped futures.
        self.kernel(|kernel| kernel.complete_all(self.ctx));
        while self.turn_if_signalled()? {}
        same!(
            self.reactor.in_flight(),
            0,
            "in flight when all have completed"
        );
        let free = self.slots - self.occupied.get();
        let begin = Begin {
            what: What::Read {
                direct: true,
                block: 1,
            },
            owned: false,
            resfd: false,
        };
        let begun: Vec<usize> = (0..free).filter_map(|_| self.begin(begin)).collect();
        begun.iter().for_each(|&task| self.poll(task));
        // Leaked waiters may have claims.
        let leaked = self.tasks.borrow().iter().filter(|t| t.leaked).count();
        for _ in 0..TURNS * (leaked + 1) {
            self.turn_if_signalled()?;
            self.poll_woken();
        }
        for &task in &begun {
            let place = self.tasks.borrow()[task].place;
            ensure!(place == Place::Begun, "a slot was lost: {place:?}");
        }
        same!(self.reactor.in_flight(), free, "in flight");
        self.settle()
    }
}

/// Reads an eventfd's count, and returns whether there was one.
fn take(eventfd: i32) -> bool {
    let mut count = [0_u8; 8];
    // SAFETY: `count` is valid for writes of eight bytes.
    unsafe { libc::read(eventfd, count.as_mut_ptr().cast(), count.len()) == 8 }
}
