//! The execution of a scenario: its steps one after the other, and the checks after
//! each.

use super::buffer::{self, Held, Tracked};
use super::harness::Harness;
use super::refuse::Refuse;
use super::specification::{Operation, Outcome, Place, Specification, What, ensure, same};
use super::steps::Known;
use super::user::{self, Data};
use super::{POLLED, Plan, Step, Totals};
use crate::buffer::Vectored;
use crate::fake_kernel::{Faults, Verdict};
use crate::op::{Fdsync, Fsync, Poll};
use crate::opcode::PollMask;
use crate::sys::abi::AioContext;
use crate::{Errno, Queue, Slot};

/// Runs a scenario, and returns its counters.
///
/// # Errors
/// The failed check, and the step at which it failed.
pub fn perform(plan: &Plan, harness: &mut Harness) -> Result<Totals, String> {
    if plan.vectored {
        Stage::<Vectored<Tracked>>::run(plan, harness)
    } else {
        Stage::<Tracked>::run(plan, harness)
    }
}

/// The way in which a queue ends before the scenario does.
enum End {
    Renew(Refuse),
    Drop,
    Forget,
}

pub(super) struct Stage<'w, B: Held> {
    pub(super) harness: &'w mut Harness,
    pub(super) ctx: AioContext,
    pub(super) it: Specification,
    pub(super) totals: Totals,
    leaked: Vec<AioContext>,
    buffers: core::marker::PhantomData<B>,
}

impl<'w, B: Held> Stage<'w, B> {
    fn run(plan: &Plan, harness: &'w mut Harness) -> Result<Totals, String> {
        buffer::begin();
        user::begin(&[]);
        let files = harness.begin(plan);
        let mut stage = Stage::<B> {
            harness,
            ctx: AioContext::NONE,
            it: Specification::new(files),
            totals: Totals {
                scenarios: 1,
                steps: plan.steps.len() as u64,
                ..Totals::default()
            },
            leaked: Vec::new(),
            buffers: core::marker::PhantomData,
        };
        let outcome = stage.steps(plan);
        for ctx in core::mem::take(&mut stage.leaked) {
            stage.harness.destroy(ctx);
        }
        let files = stage.harness.end();
        outcome.and_then(|()| stage.epilogue(&files))
    }

    fn steps(&mut self, plan: &Plan) -> Outcome {
        let mut slots: Vec<Slot<B, Data>> = (0..plan.slots).map(|_| Slot::NEW).collect();
        let mut steps = plan.steps.iter().enumerate();
        let mut idle = None;
        loop {
            let on = match idle.take() {
                Some(idle) => idle,
                None => {
                    let context = self.harness.context(plan.slots);
                    let context = context.map_err(|errno| format!("no context: {errno}"))?;
                    self.ctx = self.harness.newest();
                    self.it.renew();
                    context
                }
            };
            let capacity = on.capacity();
            let mut queue = Queue::with_context(on, &mut slots);
            same!(queue.capacity(), plan.slots, "the capacity");
            let end = loop {
                let Some((number, step)) = steps.next() else {
                    self.harness.faults(Faults::default());
                    self.it.limited = false;
                    break None;
                };
                let end = self.step(&mut queue, step).and_then(|end| {
                    if end.is_none() {
                        self.compare(&mut queue)?;
                    }
                    Ok(end)
                });
                let end = end.map_err(|fault| format!("step {number}, {step:?}: {fault}"))?;
                if end.is_some() {
                    break end;
                }
            };
            let busy = self.it.in_flight() + self.it.staged.len() + self.it.done > 0;
            self.totals.ends += u64::from(busy && !matches!(end, Some(End::Renew(_)) | None));
            match end {
                Some(End::Drop) => {
                    drop(queue);
                    self.it.end_all()?;
                }
                Some(End::Forget) => {
                    core::mem::forget(queue);
                    self.leaked.push(self.ctx);
                    self.it.leak_all();
                }
                Some(End::Renew(_)) | None => {
                    let refuse = match end {
                        Some(End::Renew(refuse)) => refuse,
                        _ => Refuse::default(),
                    };
                    let context = queue.into_idle_context();
                    // All staged operations were submitted, or refused.
                    let staged = self.it.staged.len();
                    self.it.leave(self.harness, self.ctx, staged)?;
                    self.it.end_all()?;
                    let gone = self.harness.is_gone(self.ctx);
                    let may = refuse.cancel.is_some() || refuse.wait.is_some() || self.it.dead;
                    ensure!(!gone || may, "the context was destroyed");
                    let context = match context {
                        Err(errno) if refuse.wait.is_some() && errno != Errno::OUTCOME_UNKNOWN => {
                            continue;
                        }
                        Err(Errno::OUTCOME_UNKNOWN) if self.harness.is_gone(self.ctx) => {
                            if end.is_none() {
                                return Ok(());
                            }
                            continue;
                        }
                        other => other.map_err(|errno| format!("not idle: {errno}"))?,
                    };
                    self.it.go_on(self.harness, self.ctx)?;
                    same!(context.capacity(), capacity, "the context's capacity");
                    if end.is_none() {
                        self.harness.give_back(context);
                        return Ok(());
                    }
                    idle = Some(context);
                }
            }
        }
    }

    /// Runs a step. Returns how the queue ends, if the step ends it.
    fn step(&mut self, queue: &mut Queue<'_, B, Data>, step: &Step) -> Outcome<Option<End>> {
        self.harness.faults(Faults::default());
        self.it.limited = false;
        let modelled = self.harness.is_model();
        match *step {
            Step::Transfer { .. } => self.transfer(queue, step)?,
            Step::Sync {
                direct,
                data,
                owned,
            } => {
                let fd = self.harness.file(direct.into());
                let owner = self.harness.data(fd);
                let known = Known::new(What::Sync, fd, &owner, owned);
                let op = match (data, owned) {
                    (true, true) => Fdsync::owned(owner).into(),
                    (true, false) => Fdsync::new(fd).data(owner).into(),
                    (false, true) => Fsync::owned(owner).into(),
                    (false, false) => Fsync::new(fd).data(owner).into(),
                };
                self.push(queue, op, known)?;
            }
            Step::Poll { which, owned } => {
                let which = usize::from(which) % POLLED;
                let fd = self.harness.polled(which);
                let owner = self.harness.data(fd);
                let known = Known::new(What::Poll(which), fd, &owner, owned);
                let op = if owned {
                    Poll::owned(owner, PollMask::IN).into()
                } else {
                    Poll::new(fd, PollMask::IN).data(owner).into()
                };
                self.push(queue, op, known)?;
            }
            Step::Refused { invalid } => {
                // The pollable descriptors do not support fsync.
                let (fd, errno) = if invalid {
                    (self.harness.polled(0), Errno::INVAL)
                } else {
                    (self.harness.none(), Errno::BADF)
                };
                let data = self.harness.data(fd);
                let known = Known::new(What::Refused(errno), fd, &data, false);
                self.push(queue, Fsync::new(fd).data(data).into(), known)?;
            }
            Step::Submit { capacity, short } => {
                self.harness.faults(Faults {
                    capacity: capacity.map(usize::from),
                    short: short.map(usize::from),
                    ..Faults::default()
                });
                self.submit(queue)?;
            }
            Step::Pop(times) => {
                for _ in 0..times {
                    self.pop(queue)?;
                }
            }
            Step::Wait {
                min,
                patience,
                refuse,
            } => {
                let refuse = self.refuse(refuse);
                self.wait(queue, min.into(), patience, refuse)?;
            }
            Step::One(refuse) => {
                let refuse = self.refuse(refuse);
                self.one(queue, refuse)?;
            }
            Step::Cancel(pick, refuse) => {
                let refuse = self.refuse(refuse);
                self.cancel(queue, pick, refuse)?;
            }
            Step::Unstage => self.unstage(queue)?,
            Step::Ready(which) => {
                let which = usize::from(which) % POLLED;
                if !self.it.ready[which] {
                    self.harness.make_ready(which);
                    self.it.ready[which] = true;
                }
            }
            Step::Complete { pick, broken } => {
                let verdict = if broken {
                    Verdict::Broken
                } else {
                    Verdict::Whole
                };
                self.harness.complete(self.ctx, pick.into(), verdict);
                self.it.read_events(self.harness, self.ctx)?;
            }
            Step::ForeignEvent { pick, add } => {
                let word = self
                    .it
                    .foreign_word(self.harness, self.ctx, pick.into(), add);
                if let (Some(word), true) = (word, modelled) {
                    self.harness.add_foreign(self.ctx, word);
                }
            }
            Step::Drain(refuse) => {
                let refuse = self.refuse(refuse);
                self.drain(queue, refuse)?;
            }
            Step::Fork => self.fork(queue)?,
            Step::Renew(refuse) => return Ok(Some(End::Renew(self.refuse(refuse)))),
            // On the real kernel, a leaked context and its polls would never end.
            Step::Forget if modelled => return Ok(Some(End::Forget)),
            Step::Drop | Step::Forget => return Ok(Some(End::Drop)),
        }
        Ok(None)
    }

    /// Sets the refusals of the next call. The real kernel refuses nothing.
    fn refuse(&mut self, refuse: Refuse) -> Refuse {
        if !self.harness.is_model() {
            return Refuse::default();
        }
        self.harness.faults(refuse.faults());
        self.it.limited = refuse.capacity.is_some();
        refuse
    }

    /// Compares the queue with the specification.
    fn compare(&mut self, queue: &mut Queue<'_, B, Data>) -> Outcome {
        let it = &self.it;
        same!(queue.staged(), it.staged.len(), "staged");
        same!(queue.in_flight(), it.in_flight(), "in flight");
        for (at, operation) in it.operations.iter().enumerate() {
            let Operation { ticket, place, .. } = operation;
            let live = matches!(place, Place::Staged | Place::Out);
            same!(queue.contains(*ticket), live, "contains operation {at}");
            let staged = *place == Place::Staged;
            same!(
                queue.is_staged(*ticket),
                staged,
                "is_staged of operation {at}"
            );
            if *place != Place::Completed {
                let drops = operation.drops();
                ensure!(
                    drops.iter().all(|&n| n == 0),
                    "operation {at}: drops {drops:?}"
                );
            }
        }
        let faults = buffer::faults();
        ensure!(faults.is_empty(), "{faults:?}");
        Ok(())
    }

    /// Verifies every byte and every buffer after all operations have completed.
    fn epilogue(mut self, files: &[Vec<u8>; 2]) -> Result<Totals, String> {
        for at in 0..self.it.operations.len() {
            let operation = &self.it.operations[at];
            let leaked = operation.place == Place::Leaked;
            let drops = operation.drops();
            let right = u32::from(!leaked);
            ensure!(
                drops.iter().all(|&n| n == right),
                "operation {at}: drops {drops:?}"
            );
            let wrote = leaked && operation.never.is_empty();
            if leaked {
                self.it.settle(at, wrote);
            }
        }
        let faults = buffer::faults();
        ensure!(faults.is_empty(), "{faults:?}");
        for (number, (is, right)) in files.iter().zip(&self.it.files).enumerate() {
            if let Some(at) = (0..right.len()).find(|&at| is[at] != right[at]) {
                return Err(format!("file {number} differs at byte {at}"));
            }
            self.it.bytes += right.len() as u64;
        }
        self.totals.bytes = self.it.bytes + buffer::check_buffers()?;
        Ok(self.totals)
    }
}
