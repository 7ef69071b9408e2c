//! The execution of a scenario: scopes, one after the other, on one context.

use core::cell::{Cell, RefCell};

use super::super::harness::content;
use super::super::reactor::{Begin, What};
use super::super::refuse::Refuse;
use super::super::specification::{Outcome, ensure, same};
use super::super::user::{self, Entered, Inject, injectable};
use super::super::{BLOCK, BLOCKS, POLLED, buffer, fork};
use super::operations::{Operation, Started};
use super::{Part, Plan, Step, Totals};
use crate::fake_kernel::{self, Kernel, Verdict};
use crate::sys::abi::AioContext;
use crate::{Errno, IdleContext, Scope, ScopeSlot, WaitOptions, scope_with_context};

/// Counters with shared access.
#[derive(Default)]
pub(super) struct Counters(Cell<Totals>);

impl Counters {
    pub(super) fn count(&self, change: impl FnOnce(&mut Totals)) {
        let mut totals = self.0.get();
        change(&mut totals);
        self.0.set(totals);
    }
}

/// Runs a scenario.
///
/// # Errors
/// The failed check, and the step at which it failed.
pub fn perform(plan: &Plan) -> Result<Totals, String> {
    buffer::begin();
    user::begin(&plan.injections);
    let files = [content(0), content(1)];
    let mut kernel = Kernel::new(files.clone(), POLLED, 2, plan.chance);
    kernel.opaque = plan.opaque;
    fake_kernel::install(kernel);
    let totals = Counters::default();
    let outcome = run(plan, &files, &totals);
    fake_kernel::uninstall();
    totals.count(|totals| totals.injected = user::injected());
    outcome.map(|()| totals.0.get())
}

fn run(plan: &Plan, files: &[Vec<u8>; 2], totals: &Counters) -> Outcome {
    let mut slots: Vec<ScopeSlot> = (0..plan.slots).map(|_| ScopeSlot::NEW).collect();
    let mut context = None;
    for (number, part) in plan.parts.iter().enumerate() {
        let on = match &mut context {
            Some(on) => on,
            none => none.insert(IdleContext::new(plan.slots as u32).map_err(|e| e.to_string())?),
        };
        let ctx = fake_kernel::with_next(|kernel| kernel.newest()).flatten();
        let ctx = ctx.unwrap_or(AioContext::NONE);
        let described = |fault| format!("scope {number}: {fault}");
        perform_one(part, on, &mut slots, files, totals, ctx).map_err(described)?;
        // A destroyed context is sometimes used for another scope.
        if fake_kernel::with_next(|kernel| !kernel.has(ctx)) == Some(true) && part.tidy {
            context = None;
        }
    }
    let faults = [buffer::faults(), user::faults()].concat();
    ensure!(faults.is_empty(), "{faults:?}");
    buffer::check_buffers().map(drop)
}

/// Runs one scope.
fn perform_one(
    part: &Part,
    context: &mut IdleContext,
    slots: &mut [ScopeSlot],
    files: &[Vec<u8>; 2],
    totals: &Counters,
    ctx: AioContext,
) -> Outcome {
    totals.count(|totals| totals.scopes += 1);
    // Memory that outlives the scope.
    let mut memory: Vec<Vec<u8>> = part.steps.iter().map(|_| vec![0; BLOCK]).collect();
    let ranges: Vec<_> = memory.iter().map(|bytes| bytes.as_ptr()).collect();
    let operations = RefCell::new(Vec::new());
    let was_gone = fake_kernel::with_next(|kernel| !kernel.has(ctx)) == Some(true);
    let child = Cell::new(false);
    let count = slots.len();
    let given = fake_kernel::with_next(|kernel| kernel.given(ctx, 0).len()).unwrap_or(0);
    let memory_of_scope = RefCell::new(
        memory
            .iter_mut()
            .map(Vec::as_mut_slice)
            .enumerate()
            .collect::<Vec<_>>(),
    );
    let outcome = injectable(|| {
        scope_with_context(context, slots, |scope| {
            let stage = Stage {
                scope,
                ctx,
                files,
                slots: count,
                memory: RefCell::new(memory_of_scope.take()),
                operations: &operations,
                started: RefCell::default(),
                detached: Cell::new(0),
                totals,
                refuse: Cell::default(),
                before: Cell::new(0),
                child: &child,
            };
            // SAFETY: the stage outlives the guard, which is dropped first.
            let entered = unsafe { Entered::new(&stage) };
            let outcome = stage.steps(part);
            stage.set_refuse(part.end);
            drop(entered);
            // The remaining operations are detached.
            injectable(|| drop(stage));
            if part.panics && outcome.is_ok() {
                totals.count(|totals| totals.panics += 1);
                user::panic();
            }
            outcome
        })
    });
    let returned = outcome.is_some();
    fake_kernel::with_next(|kernel| kernel.faults = fake_kernel::Faults::default());
    let verdict = outcome.unwrap_or(Ok(())).and_then(|()| {
        for (number, &start) in ranges.iter().enumerate() {
            let held = fake_kernel::is_held(start, BLOCK);
            ensure!(!held || child.get(), "the kernel holds buffer {number}");
        }
        let operations = operations.borrow();
        let gone = fake_kernel::with_next(|kernel| !kernel.has(ctx)) == Some(true);
        let harness = After {
            files,
            memory: &memory,
            returned,
            gone,
            child: child.get(),
        };
        harness.verify(&operations)?;
        if !gone && !child.get() {
            idle(ctx)?;
            if returned {
                all_given(&operations, ctx, given)?;
            }
        }
        let refused = |refuse: &Refuse| refuse.cancel.is_some() || refuse.wait.is_some();
        let may = refused(&part.end) || part.steps.iter().any(|(_, refuse)| refused(refuse));
        ensure!(!gone || was_gone || may, "the context was destroyed");
        totals.count(|totals| totals.destroyed += u64::from(gone && !was_gone));
        let faults = [buffer::faults(), user::faults()].concat();
        ensure!(faults.is_empty(), "{faults:?}");
        Ok(())
    });
    if child.get() {
        fork::leave(verdict);
    }
    verdict
}

/// Verifies that the context is idle, as a new one is.
fn idle(ctx: AioContext) -> Outcome {
    let found = fake_kernel::with_next(|kernel| {
        let untaken = kernel.logged(ctx, 0).len() - kernel.taken(ctx);
        (kernel.running(ctx), untaken)
    });
    same!(found, Some((0, 0)), "running, and events in the ring");
    Ok(())
}

/// Verifies that every started operation was submitted or refused.
fn all_given(operations: &[Operation], ctx: AioContext, before: usize) -> Outcome {
    let given = fake_kernel::with_next(|kernel| kernel.given(ctx, before).len()).unwrap_or(0);
    let must = |operation: &&Operation| {
        let refused = matches!(operation.what, What::Refused);
        let lost = operation.drops == (0, 1) && operation.result.is_none();
        let failed = matches!(operation.result, Some(Err(_)));
        !refused && !lost && !failed && !operation.limited && !operation.cancelled
    };
    let least = operations.iter().filter(must).count();
    ensure!(
        given >= least,
        "{given} of {least} operations were submitted"
    );
    Ok(())
}

/// The state after a scope has ended.
struct After<'a> {
    files: &'a [Vec<u8>; 2],
    memory: &'a [Vec<u8>],
    returned: bool,
    gone: bool,
    child: bool,
}

impl After<'_> {
    fn verify(&self, operations: &[Operation]) -> Outcome {
        for (at, operation) in operations.iter().enumerate() {
            let (least, most) = operation.drops;
            let drops = buffer::drops(&operation.owned);
            ensure!(
                drops.iter().all(|drops| (least..=most).contains(drops)),
                "operation {at}: drops {drops:?}, and not {least} to {most}"
            );
            let (What::Read { direct, block }, Some(memory)) = (operation.what, operation.memory)
            else {
                continue;
            };
            let at_block = usize::from(block) % BLOCKS * BLOCK;
            let right = &self.files[usize::from(direct)][at_block..][..BLOCK];
            // The operation has run, whether it was waited for or not.
            let ran = match operation.result {
                Some(result) => result.is_ok(),
                None => self.returned && !self.gone && !operation.limited && !operation.cancelled,
            };
            let started = operation.drops != (0, 1) || operation.result.is_some();
            if ran && started && !self.child {
                ensure!(self.memory[memory] == right, "read {at} has not run");
            }
        }
        Ok(())
    }
}

/// A scope under test.
pub(super) struct Stage<'scope, 'a> {
    pub(super) scope: &'scope Scope<'scope, 'a>,
    pub(super) ctx: AioContext,
    files: &'a [Vec<u8>; 2],
    pub(super) slots: usize,
    pub(super) memory: RefCell<Vec<(usize, &'scope mut [u8])>>,
    pub(super) operations: &'a RefCell<Vec<Operation>>,
    pub(super) started: RefCell<Vec<Started<'scope>>>,
    /// The number of dropped operations, which may still hold their slots.
    pub(super) detached: Cell<usize>,
    pub(super) totals: &'a Counters,
    pub(super) refuse: Cell<Refuse>,
    before: Cell<u64>,
    pub(super) child: &'a Cell<bool>,
}

impl Stage<'_, '_> {
    fn steps(&self, part: &Part) -> Outcome {
        for (number, (step, refuse)) in part.steps.iter().enumerate() {
            self.set_refuse(*refuse);
            self.before.set(user::injected());
            let done = injectable(|| self.step(step)).unwrap_or(Ok(()));
            done.map_err(|fault| format!("step {number}, {step:?}: {fault}"))?;
            let faults = [buffer::faults(), user::faults()].concat();
            ensure!(faults.is_empty(), "step {number}, {step:?}: {faults:?}");
            if self.child.get() {
                self.finish_all();
                return Ok(());
            }
        }
        if part.tidy {
            self.set_refuse(Refuse::default());
            while let Some((at, operation, pending)) = self.pick(0) {
                self.drop(at, operation, pending);
            }
        }
        Ok(())
    }

    fn step(&self, step: &Step) -> Outcome {
        match *step {
            Step::Start(begin) => self.start(begin),
            Step::Submit => self.scope.submit(),
            Step::WaitWith(min) => self.wait_with(usize::from(min) % 6)?,
            Step::Wait(pick) => {
                if let Some((at, operation, pending)) = self.pick(pick) {
                    if self.ends(operation) {
                        self.lift_limit();
                        self.finish(at, operation, pending);
                    } else {
                        self.put_back(at, pending);
                    }
                }
            }
            Step::IsFinished(pick) => {
                if let Some((at, _, pending)) = self.pick(pick) {
                    pending.is_finished();
                    self.put_back(at, pending);
                }
            }
            Step::Cancel(pick) => {
                if let Some((at, operation, pending)) = self.pick(pick) {
                    let answer = pending.cancel();
                    self.operations.borrow_mut()[operation].cancelled |= answer.is_ok();
                    self.put_back(at, pending);
                }
            }
            Step::Drop(pick) => {
                if let Some((at, operation, pending)) = self.pick(pick) {
                    self.drop(at, operation, pending);
                }
            }
            Step::Leak(pick) => {
                if let Some((_, operation, pending)) = self.pick(pick) {
                    self.operations.borrow_mut()[operation].drops = (0, 0);
                    core::mem::forget(pending);
                }
            }
            Step::Complete(pick, count) => {
                for _ in 0..count {
                    self.kernel(|kernel| kernel.complete(self.ctx, pick.into(), Verdict::Whole));
                }
            }
            Step::Ready(which) => {
                fake_kernel::with_next(|kernel| kernel.ready[usize::from(which) % POLLED] = true);
            }
            Step::Fork => {
                self.totals.count(|totals| totals.forks += 1);
                if fork::split()? {
                    self.child.set(true);
                    user::calm();
                }
            }
        }
        Ok(())
    }

    /// Waits, in a child, for the inherited operations, which returns at once.
    fn finish_all(&self) {
        while let Some((at, operation, pending)) = self.pick(0) {
            self.finish(at, operation, pending);
        }
    }

    /// Returns whether waiting for it ends. It does not for a poll that nothing
    /// completes.
    fn ends(&self, operation: usize) -> bool {
        let operation = &self.operations.borrow()[operation];
        match operation.what {
            What::Poll(which) => self.is_ready(which) || operation.cancelled || self.is_gone(),
            _ => true,
        }
    }

    fn wait_with(&self, min: usize) -> Outcome {
        // Operations that never complete would be waited for.
        let ends = {
            let started = self.started.borrow();
            let operations = started.iter().map(|started| started.operation);
            let all = Vec::from_iter(operations);
            all.into_iter().all(|operation| self.ends(operation))
        };
        let wait = if ends {
            WaitOptions::new()
        } else {
            WaitOptions::poll()
        };
        self.lift_limit();
        let refuse = self.refuse.get();
        match self.scope.wait_with(min, wait) {
            Ok(_) => {}
            Err(Errno::INTR) => ensure!(refuse.signal, "interrupted without a signal"),
            Err(errno) => {
                let may = refuse.wait.is_some() || self.is_gone();
                ensure!(may, "wait_with: {errno}");
            }
        }
        Ok(())
    }

    /// Makes space in the kernel, if polls that never complete would occupy it.
    fn lift_limit(&self) {
        let operations = 0..self.operations.borrow().len();
        if operations
            .into_iter()
            .any(|operation| !self.ends(operation))
        {
            fake_kernel::with_next(|kernel| kernel.faults.capacity = None);
        }
    }

    fn kernel<T: Default>(&self, call: impl FnOnce(&mut Kernel) -> T) -> T {
        fake_kernel::with_next(call).unwrap_or_default()
    }

    pub(super) fn is_gone(&self) -> bool {
        self.kernel(|kernel| !kernel.has(self.ctx))
    }

    pub(super) fn is_ready(&self, which: u8) -> bool {
        self.kernel(|kernel| kernel.ready[usize::from(which) % POLLED])
    }

    pub(super) fn block(&self, direct: bool, block: u8) -> &[u8] {
        &self.files[usize::from(direct)][usize::from(block) % BLOCKS * BLOCK..][..BLOCK]
    }

    pub(super) fn is_calm(&self) -> bool {
        self.before.get() == user::injected()
    }

    fn set_refuse(&self, refuse: Refuse) {
        fake_kernel::with_next(|kernel| kernel.faults = refuse.faults());
        if refuse.capacity.is_some() {
            for operation in &mut *self.operations.borrow_mut() {
                operation.limited = true;
            }
        }
        self.refuse.set(refuse);
    }
}

impl user::Enter for Stage<'_, '_> {
    fn enter(&self, inject: Inject) {
        match inject {
            Inject::Turn => self.scope.submit(),
            Inject::Count => {
                let (count, most) = (self.scope.in_flight(), self.slots);
                if count > most {
                    user::fault(format!("{count} in flight in {most} slots"));
                }
            }
            Inject::Begin => self.start(Begin {
                what: What::Sync { data: false },
                owned: true,
                resfd: false,
            }),
            Inject::Poll(pick) => {
                if let Some((at, _, pending)) = self.pick(pick) {
                    pending.is_finished();
                    self.put_back(at, pending);
                }
            }
            Inject::Drop(pick) => {
                if let Some((at, operation, pending)) = self.pick(pick) {
                    self.drop(at, operation, pending);
                }
            }
            Inject::Nothing | Inject::Panic => {}
        }
    }

    fn woken(&self, _: usize) {}
}
