//! The steps, as performed by the queue and by the specification.

use core::time::Duration;

use super::buffer::{self, Held, Tracked};
use super::fork::in_child;
use super::perform::Stage;
use super::refuse::Refuse;
use super::specification::{Change, Operation, Outcome, Place, What, ensure, same};
use super::user::Data;
use super::{BLOCK, BLOCKS, Step};
use crate::fd::OwnsFd;
use crate::op::{Op, Read, Write};
use crate::{Completion, Errno, Fd, Queue, WaitOptions};

/// The expected values of an operation before it is pushed.
pub(super) struct Known {
    what: What,
    fd: i32,
    data: usize,
    parts: Vec<usize>,
    len: usize,
}

impl Known {
    /// Describes an operation without memory. `owned`: the data owns its descriptor.
    pub(super) fn new(what: What, fd: Fd<'_>, data: &Data, owned: bool) -> Known {
        Known {
            what,
            fd: if owned { data.raw_fd() } else { fd.as_raw() },
            data: data.id(),
            parts: Vec::new(),
            len: 0,
        }
    }
}

impl<B: Held> Stage<'_, B> {
    pub(super) fn transfer(&mut self, queue: &mut Queue<'_, B, Data>, step: &Step) -> Outcome {
        let &Step::Transfer {
            write,
            direct,
            block,
            two,
            skew,
            owned,
        } = step
        else {
            return Ok(());
        };
        // A read may begin at the file's end, and extend beyond it.
        let block = usize::from(block) % if write { BLOCKS } else { BLOCKS + 1 };
        let skew = if direct { 0 } else { usize::from(skew) % BLOCK };
        let at = block * BLOCK + skew;
        let end = (block + 1 + usize::from(two)) * BLOCK;
        let size = BLOCKS * BLOCK;
        let end = if write { end.min(size) } else { end };
        let file = usize::from(direct);
        if self.it.is_busy(file, block * BLOCK, end, write) {
            return Ok(());
        }
        let lengths = B::lengths(end - at);
        let mut parts: Vec<_> = lengths.into_iter().map(Tracked::new).collect();
        let ids: Vec<_> = parts.iter().map(Tracked::id).collect();
        let fd = self.harness.file(file);
        let what = if write {
            let number = self.it.operations.len();
            let mut data = Vec::new();
            for part in &mut parts {
                for byte in part.bytes_mut() {
                    *byte = (data.len() / 253 * 5 + data.len() % 253 + 37 * number) as u8;
                    data.push(*byte);
                }
            }
            What::Write { file, at, data }
        } else {
            let content = &self.it.files[file];
            let expected = content[at.min(size)..end.min(size)].to_vec();
            What::Read { file, at, expected }
        };
        let buffer = B::new(parts);
        let data = self.harness.data(fd);
        let mut known = Known::new(what, fd, &data, owned);
        (known.parts, known.len) = (ids, end - at);
        let offset = at as u64;
        let op = match (write, owned) {
            (true, true) => Write::owned(data, buffer).offset(offset).into(),
            (true, false) => Write::new(fd, buffer).offset(offset).data(data).into(),
            (false, true) => Read::owned(data, buffer).offset(offset).into(),
            (false, false) => Read::new(fd, buffer).offset(offset).data(data).into(),
        };
        self.push(queue, op, known)
    }

    pub(super) fn push(
        &mut self,
        queue: &mut Queue<'_, B, Data>,
        op: Op<'static, B, Data>,
        known: Known,
    ) -> Outcome {
        let full = self.it.staged.len() + self.it.out().count() == queue.capacity();
        match queue.push(op) {
            Ok(ticket) => {
                ensure!(!full, "pushed, with every slot taken");
                let old = self.it.operations.iter().any(|o| o.ticket == ticket);
                ensure!(!old, "a ticket was given twice");
                self.it.staged.push_back(self.it.operations.len());
                self.totals.operations += 1;
                self.it.operations.push(Operation {
                    ticket,
                    what: known.what,
                    parts: known.parts,
                    data: known.data,
                    fd: known.fd,
                    len: known.len,
                    place: Place::Staged,
                    cancelled: false,
                    never: Vec::new(),
                    unknown: false,
                    res: None,
                });
                Ok(())
            }
            Err(back) => {
                ensure!(full, "refused, with a slot free");
                let (buffer, data) = back.0.into_parts();
                let ids = buffer
                    .iter()
                    .flat_map(|b| b.parts().iter().map(Tracked::id));
                same!(
                    (ids.collect::<Vec<_>>(), data.id()),
                    (known.parts, known.data),
                    "the buffer and the data of a refused push"
                );
                Ok(())
            }
        }
    }

    pub(super) fn submit(&mut self, queue: &mut Queue<'_, B, Data>) -> Outcome {
        // Foreign events that come next may have been taken, too.
        let least = self.harness.capacity(self.ctx, self.it.taken);
        let foreign = self.it.foreign_next(self.harness, self.ctx);
        let most = self.harness.capacity(self.ctx, self.it.taken + foreign);
        let answer = queue.submit();
        let answer = answer.map_err(|error| (error.submitted, error.errno));
        let capacity = (least..most).find(|&capacity| self.right_submission(capacity).1 == answer);
        let (expected, right) = self.right_submission(capacity.unwrap_or(most));
        same!(answer, right, "submit");
        self.it.submitted(expected.len());
        if self.harness.is_model() {
            self.it.given(self.harness, self.ctx, &expected)?;
        }
        Ok(())
    }

    /// Returns the operations that are submitted if the kernel has space for `capacity`,
    /// and the expected result.
    fn right_submission(&self, capacity: usize) -> (Vec<usize>, Result<usize, (usize, Errno)>) {
        let mut expected = Vec::new();
        for &at in &self.it.staged {
            let refusal = match self.it.operations[at].what {
                _ if self.it.dead => Some(Errno::INVAL),
                _ if expected.len() == capacity => Some(Errno::AGAIN),
                What::Refused(errno) => Some(errno),
                _ => None,
            };
            if let Some(errno) = refusal {
                let right = Err((expected.len(), errno));
                return (expected, right);
            }
            expected.push(at);
        }
        let right = Ok(expected.len());
        (expected, right)
    }

    pub(super) fn pop(&mut self, queue: &mut Queue<'_, B, Data>) -> Outcome {
        let had = self.it.done;
        let in_flight = self.it.in_flight();
        let right = if had == 0 && in_flight > 0 {
            self.it.next_in_ring(self.harness, self.ctx)
        } else {
            None
        };
        let popped = queue.pop().map_err(|errno| format!("pop: {errno}"))?;
        if had > 0 {
            ensure!(popped.is_some(), "{had} are done, and none came");
            return self.came(popped);
        }
        let got = match &popped {
            Some(completion) => Some(self.it.complete(completion)?),
            None => None,
        };
        if self.harness.is_model() {
            same!(got, right, "pop gave operation");
            let count = right.iter().count();
            let (taken, _) = self.it.take(self.harness, self.ctx, count)?;
            same!(taken, Vec::from_iter(right), "taken from the ring");
        }
        drop(popped);
        self.dropped(got)
    }

    /// Verifies that one of the done operations was returned, with the expected
    /// completion.
    fn came(&mut self, completion: Option<Completion<Option<B>, Data>>) -> Outcome {
        let Some(completion) = completion else {
            return Ok(());
        };
        let at = self.it.complete(&completion)?;
        self.it.done -= 1;
        if self.harness.is_model() {
            ensure!(self.it.order.take(at), "operation {at} came out of order");
        }
        drop(completion);
        self.dropped(Some(at))
    }

    fn dropped(&self, at: Option<usize>) -> Outcome {
        let drops = at.map_or(Vec::new(), |at| self.it.operations[at].drops());
        ensure!(drops.iter().all(|&n| n == 1), "a buffer's drops: {drops:?}");
        Ok(())
    }

    /// Calls `Queue::wait`: signals do not end it.
    pub(super) fn one(&mut self, queue: &mut Queue<'_, B, Data>, refuse: Refuse) -> Outcome {
        let all = self.it.done + self.it.in_flight() + self.it.staged.len();
        let stuck = self.it.stuck(false) + self.it.stuck(true);
        if all > 0 && all == stuck {
            return Ok(());
        }
        self.lift_limit(refuse);
        let answer = queue.wait();
        self.learn(queue)?;
        let completion = match answer {
            Err(_) if refuse.wait.is_some() => {
                same!(self.it.done, 0, "done, when a wait was refused");
                return Ok(());
            }
            answer => answer.map_err(|errno| format!("wait: {errno}"))?,
        };
        ensure!(
            completion.is_some() || all == 0,
            "no completion of {all} operations"
        );
        self.came(completion)
    }

    pub(super) fn learn(&mut self, queue: &Queue<'_, B, Data>) -> Outcome<Change> {
        let (staged, in_flight) = (queue.staged(), queue.in_flight());
        self.it.learn(self.harness, self.ctx, staged, in_flight)
    }

    pub(super) fn wait(
        &mut self,
        queue: &mut Queue<'_, B, Data>,
        min: usize,
        patience: u8,
        refuse: Refuse,
    ) -> Outcome {
        // The operations that will complete if nothing else is submitted. Without stuck
        // polls, all of them will.
        let ending = self.it.done + self.it.in_flight() - self.it.stuck(false);
        let ends = min <= ending || self.it.stuck(false) + self.it.stuck(true) == 0;
        let (wait, for_ever) = match patience {
            0 => (WaitOptions::poll(), false),
            1 => (
                WaitOptions::new().timeout(Duration::from_micros(300)),
                false,
            ),
            _ if !ends => (WaitOptions::poll(), false),
            _ => (WaitOptions::new(), true),
        };
        if for_ever {
            self.lift_limit(refuse);
        }
        let signal = refuse.signal;
        let answer = queue.wait_with(min, wait);
        self.harvested(queue, answer, refuse, |stage, foreign| {
            let all = stage.it.in_flight() + stage.it.staged.len() == 0;
            let cut = signal || foreign || refuse.wait.is_some();
            !for_ever || cut || stage.it.done >= min || all
        })
    }

    /// Lifts the limit on operations if there are polls that never complete: with both,
    /// a wait would never end.
    fn lift_limit(&self, refuse: Refuse) {
        if self.it.stuck(false) + self.it.stuck(true) > 0 {
            let capacity = None;
            self.harness.faults(Refuse { capacity, ..refuse }.faults());
        }
    }

    pub(super) fn drain(&mut self, queue: &mut Queue<'_, B, Data>, refuse: Refuse) -> Outcome {
        let live = self.it.out().chain(self.it.staged.iter().copied());
        let polls: Vec<_> = live
            .filter(|&at| matches!(self.it.operations[at].what, What::Poll(_)))
            .filter(|&at| self.it.operations[at].res.is_none())
            .collect();
        let was_dead = self.it.dead;
        let answer = queue.drain();
        self.learn(queue)?;
        if refuse.wait.is_some() && answer.is_err() {
            ensure!(queue.in_flight() > 0, "refused, with nothing in flight");
            return Ok(());
        }
        answer.map_err(|errno| format!("drain: {errno}"))?;
        let may = was_dead || refuse.cancel.is_some();
        ensure!(!self.it.dead || may, "the context was destroyed");
        for at in polls {
            self.it.operations[at].cancelled |= refuse.cancel.is_none();
        }
        same!(queue.in_flight(), 0, "in flight after drain");
        same!(queue.staged(), 0, "staged after drain");
        Ok(())
    }

    /// Checks the result of a wait: the number of done operations. `enough` receives
    /// whether there were foreign events.
    fn harvested(
        &mut self,
        queue: &Queue<'_, B, Data>,
        answer: Result<usize, Errno>,
        refuse: Refuse,
        enough: impl Fn(&Self, bool) -> bool,
    ) -> Outcome {
        let staged = self.it.staged.len();
        let change = self.learn(queue)?;
        match answer {
            Ok(done) => {
                same!(done, self.it.done, "the result of wait");
                ensure!(
                    enough(self, change.foreign),
                    "wait returned with {done} done"
                );
            }
            Err(errno) => {
                let interrupted = errno == Errno::INTR && refuse.signal;
                ensure!(interrupted || refuse.wait.is_some(), "wait: {errno}");
                // With operations staged, it may have waited before.
                ensure!(
                    change.completed == 0 || staged > 0,
                    "EINTR, with events taken"
                );
            }
        }
        Ok(())
    }

    pub(super) fn cancel(
        &mut self,
        queue: &mut Queue<'_, B, Data>,
        pick: u8,
        refuse: Refuse,
    ) -> Outcome {
        let count = self.it.operations.len();
        if count == 0 {
            return Ok(());
        }
        let at = count - 1 - usize::from(pick) % count;
        let operation = &mut self.it.operations[at];
        let answer = queue.cancel(operation.ticket);
        let place = operation.place;
        match place {
            Place::Staged => {
                same!(answer, Ok(()), "cancel of what is staged");
                let operation = &mut self.it.operations[at];
                operation.place = Place::Out;
                operation.never = vec![Errno::CANCELED];
                self.it.staged.retain(|&staged| staged != at);
                self.it.done += 1;
                // The operations found before come first.
                self.learn(queue)?;
                if self.harness.is_model() {
                    self.it.order.push_last(at);
                }
            }
            Place::Out => {
                let (can, must) = match operation.what {
                    _ if !operation.never.is_empty() || operation.unknown => (false, false),
                    _ if operation.cancelled => (false, false),
                    What::Poll(_) if operation.res.is_some() => (false, false),
                    // It may be completing now.
                    What::Poll(which) if self.it.ready[which] => (true, self.harness.is_model()),
                    What::Poll(_) => (true, true),
                    _ => (false, false),
                };
                let refused = refuse.faults().cancel;
                let right = match answer {
                    Ok(()) => can && refused.is_none(),
                    Err(errno) if refused == Some(errno) => true,
                    Err(errno) => !must && errno == Errno::INVAL,
                };
                ensure!(right, "cancel of {operation:?}: {answer:?}");
                operation.cancelled |= answer.is_ok();
            }
            Place::Completed | Place::Leaked => {
                same!(answer, Err(Errno::INVAL), "cancel of a completed operation");
            }
        }
        self.totals.cancelled += u64::from(answer.is_ok());
        Ok(())
    }

    pub(super) fn unstage(&mut self, queue: &mut Queue<'_, B, Data>) -> Outcome {
        let back = queue.unstage();
        let right = self.it.staged.pop_front();
        match (back, right) {
            (None, None) => Ok(()),
            (Some((ticket, buffer, data)), Some(at)) => {
                same!(data.id(), self.it.operations[at].data, "the data unstaged");
                same!(ticket, self.it.operations[at].ticket, "unstaged");
                self.it.operations[at].never = vec![Errno::CANCELED];
                self.it.buffer(at, buffer.as_ref(), Some(0))?;
                self.it.settle(at, false);
                Ok(())
            }
            (back, _) => Err(format!("unstaged: {:?}", back.map(|b| b.0))),
        }
    }

    /// Drops the copy in a child, which has no effect on the parent.
    pub(super) fn fork(&mut self, queue: &mut Queue<'_, B, Data>) -> Outcome {
        self.totals.forks += 1;
        let in_flight = self.it.in_flight();
        let count = |at: usize| self.it.operations[at].parts.len() as u32 + 1;
        let staged: u32 = self.it.staged.iter().copied().map(count).sum();
        let done: u32 = self.it.order.iter().map(count).sum();
        let mut out: Vec<u32> = self.it.out().map(count).collect();
        out.sort_unstable();
        // The kernel model lists the done operations; of the real kernel, only their
        // number is known.
        let (least, most) = if self.harness.is_model() && in_flight > 0 {
            (done, done)
        } else {
            let least = out.iter().take(self.it.done).sum();
            let most = out.iter().rev().take(self.it.done).sum();
            (least, most)
        };
        let (least, most) = (staged + least, staged + most);
        in_child(|| {
            let drained = queue.drain();
            let right = if in_flight > 0 {
                Err(Errno::INVAL)
            } else {
                Ok(())
            };
            same!(drained, right, "drain in a child");
            let before = buffer::all_drops();
            // SAFETY: the child has a separate copy of the queue, which is not used
            // again.
            drop(unsafe { core::ptr::read(queue) });
            let drops = buffer::all_drops() - before;
            ensure!((least..=most).contains(&drops), "a child dropped {drops}");
            Ok(())
        })
    }
}
