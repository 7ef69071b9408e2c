//! The execution of a scenario: reactors, one after the other, in the same slots.

use core::cell::{Cell, RefCell};
use std::os::fd::{AsRawFd, OwnedFd};

use super::super::buffer;
use super::super::fork::in_child;
use super::super::harness::{content, event_counter};
use super::super::refuse::Refuse;
use super::super::specification::{Outcome, ensure};
use super::super::user::{self, Data, Entered, Guarded, Inject, Watched, injectable};
use super::super::{BLOCK, POLLED};
use super::tasks::{Fate, Operation, Place, Task};
use super::{Begin, End, Lock, Plan, Step, Totals, What};
use crate::fake_kernel::{self, Kernel, Verdict};
use crate::reactor::{self, Local, Reactor, ReactorSlot, Shared};
use crate::sys::abi::AioContext;
use crate::{Errno, Fd, IdleContext, WaitOptions};

pub(super) type Watcher<'r, L> = Reactor<'r, Guarded, L, Data>;
type Slots = [ReactorSlot<Guarded, Data>];

/// The differences between the locks.
pub(super) trait Kind: reactor::Lock + Sized + 'static {
    /// Waits, if the reactor supports it.
    fn wait(reactor: &Watcher<'_, Self>, wait: WaitOptions<'_>) -> Option<Result<usize, Errno>>;
}

impl Kind for Local {
    fn wait(reactor: &Watcher<'_, Local>, wait: WaitOptions<'_>) -> Option<Result<usize, Errno>> {
        Some(reactor.wait(wait))
    }
}

impl<L: reactor::Lock + 'static> Kind for Watched<L> {
    fn wait(_: &Watcher<'_, Self>, _: WaitOptions<'_>) -> Option<Result<usize, Errno>> {
        None
    }
}

/// The state that outlives a reactor.
pub(super) struct Scenario<'p> {
    plan: &'p Plan,
    pub(super) files: [Vec<u8>; 2],
    pub(super) operations: RefCell<Vec<Operation>>,
    pub(super) totals: Cell<Totals>,
    /// The reactor's eventfd, followed by the eventfd of operations.
    eventfd: OwnedFd,
    pub(super) own: OwnedFd,
    /// True in a forked child.
    pub(super) child: Cell<bool>,
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
    let scenario = Scenario {
        plan,
        files,
        operations: RefCell::default(),
        totals: Cell::default(),
        eventfd: event_counter(),
        own: event_counter(),
        child: Cell::new(false),
    };
    let outcome = match plan.lock {
        Lock::Local => scenario.run::<Local>(),
        Lock::Watched => scenario.run::<Watched<Local>>(),
        Lock::Shared => scenario.run::<Watched<Shared>>(),
    };
    fake_kernel::uninstall();
    outcome?;
    scenario.count(|totals| {
        totals.injected = user::injected();
        totals.user_calls = user::calls();
    });
    Ok(scenario.totals.get())
}

impl Scenario<'_> {
    pub(super) fn count(&self, change: impl FnOnce(&mut Totals)) {
        let mut totals = self.totals.get();
        change(&mut totals);
        self.totals.set(totals);
    }

    fn run<L: Kind>(&self) -> Outcome {
        let mut slots: Vec<_> = (0..self.plan.slots).map(|_| ReactorSlot::NEW).collect();
        let mut steps = self.plan.steps.iter().enumerate();
        let mut leaked = Vec::new();
        loop {
            let first = self.operations.borrow().len();
            let reactor = self.owner::<L>(&mut slots)?;
            self.released_wakers(first)?;
            self.count(|totals| totals.owners += 1);
            let ctx = fake_kernel::with_next(|kernel| kernel.newest()).flatten();
            let stage = Stage {
                scenario: self,
                reactor: &reactor,
                ctx: ctx.unwrap_or(AioContext::NONE),
                eventfd: (self.plan.eventfd > 0).then(|| self.eventfd.as_raw_fd()),
                slots: self.plan.slots,
                tasks: RefCell::default(),
                arrivals: Cell::new(0),
                before: Cell::new(0),
                occupied: Cell::new(0),
                refuse: Cell::default(),
            };
            // SAFETY: the stage outlives the guard, which is dropped first.
            let entered = unsafe { Entered::new(&stage) };
            let end = loop {
                let Some((number, (step, refuse))) = steps.next() else {
                    break None;
                };
                if let Step::End(end) = step {
                    break Some(*end);
                }
                let done = stage.step(step, *refuse);
                done.map_err(|fault| {
                    user::calm();
                    format!("step {number}, {step:?}: {fault}")
                })?;
            };
            stage.refuse(Refuse::default());
            if end.is_none() {
                user::calm();
                stage.settle()?;
                stage.capacity()?;
            }
            stage.leave(matches!(end, Some(End::Leak { futures: true })));
            let ctx = stage.ctx;
            drop(entered);
            drop(stage);
            let leaked_owner = matches!(end, Some(End::Leak { .. }));
            match end {
                Some(End::Leak { .. }) => {
                    leaked.push(ctx);
                    core::mem::forget(reactor);
                }
                Some(End::Drain) => {
                    if let Some(idle) = injectable(|| reactor.into_idle_context()) {
                        idle.map_err(|errno| format!("not idle: {errno}"))?;
                    }
                }
                Some(End::Drop) | None => drop(injectable(|| drop(reactor))),
            }
            self.check_buffers(first, leaked_owner)?;
            if end.is_none() {
                break;
            }
        }
        for ctx in leaked {
            fake_kernel::with_next(|kernel| kernel.destroy(ctx).ok());
        }
        self.all_ended()
    }

    /// Creates a reactor in the slots.
    fn owner<'r, L: Kind>(&self, slots: &'r mut Slots) -> Outcome<Watcher<'r, L>> {
        let capacity = slots.len() as u32;
        let idle = IdleContext::new(capacity).map_err(|errno| format!("{errno}"))?;
        let mut reactor = Watcher::<L>::with_context(idle, slots);
        if self.plan.batched {
            reactor = reactor.batched();
        }
        Ok(match self.plan.eventfd {
            0 => reactor,
            // SAFETY: the eventfd stays open for as long as the scenario lasts.
            1 => reactor.eventfd(unsafe { Fd::borrow_raw(self.eventfd.as_raw_fd()) }),
            _ => reactor.eventfd_owned(self.eventfd.try_clone().map_err(|e| e.to_string())?),
        })
    }

    /// Verifies that the slots hold no waker of an owner that has ended and was not leaked.
    fn released_wakers(&self, before: usize) -> Outcome {
        for (at, operation) in self.operations.borrow()[..before].iter().enumerate() {
            if operation.keeps_waker {
                continue;
            }
            for &waker in &operation.wakers {
                let clones = user::clones(waker);
                ensure!(clones == 0, "operation {at}: a waker has {clones} clones");
            }
        }
        Ok(())
    }

    /// Verifies, after the reactor has ended, that each buffer was dropped once or
    /// leaked as expected.
    fn check_buffers(&self, first: usize, leaked_owner: bool) -> Outcome {
        for operation in &mut self.operations.borrow_mut()[first..] {
            operation.drops = match operation.fate {
                Fate::Live => return Err("a future outlived its reactor".into()),
                Fate::Resolved => (1, 1),
                Fate::Dropped if leaked_owner => (0, 1),
                Fate::Leaked { begun: true } if leaked_owner => (0, 0),
                Fate::Dropped | Fate::Leaked { begun: true } => (1, 1),
                Fate::Leaked { begun: false } => (0, 0),
                Fate::Lost => (0, 1),
            };
            // The wakers in the slots of a leaked owner are leaked as well.
            operation.keeps_waker =
                leaked_owner || matches!(operation.fate, Fate::Leaked { begun: false });
        }
        self.all_ended()
    }

    fn all_ended(&self) -> Outcome {
        for (at, operation) in self.operations.borrow().iter().enumerate() {
            let (least, most) = operation.drops;
            let drops = buffer::drops(&operation.owned);
            ensure!(
                drops.iter().all(|drops| (least..=most).contains(drops)),
                "operation {at}, {:?}: drops {drops:?}, and not {least} to {most}",
                operation.fate
            );
        }
        verify()?;
        buffer::check_buffers().map(drop)
    }
}

/// Verifies that no fault was recorded by code that cannot return an error.
pub(super) fn verify() -> Outcome {
    let faults = [buffer::faults(), user::faults()].concat();
    ensure!(faults.is_empty(), "{faults:?}");
    Ok(())
}

/// A reactor under test.
pub(super) struct Stage<'a, 'r, L: Kind> {
    pub(super) scenario: &'a Scenario<'a>,
    pub(super) reactor: &'a Watcher<'r, L>,
    pub(super) ctx: AioContext,
    pub(super) eventfd: Option<i32>,
    pub(super) slots: usize,
    pub(super) tasks: RefCell<Vec<Task<'a, 'r, L>>>,
    pub(super) arrivals: Cell<u64>,
    /// The number of injections before the step.
    pub(super) before: Cell<u64>,
    /// The number of slots that leaked futures hold forever.
    pub(super) occupied: Cell<usize>,
    pub(super) refuse: Cell<Refuse>,
}

impl<L: Kind> Stage<'_, '_, L> {
    fn step(&self, step: &Step, refuse: Refuse) -> Outcome {
        self.refuse(refuse);
        self.before.set(user::injected());
        match *step {
            Step::Begin(begin, polls) => {
                if let Some(task) = self.begin(begin) {
                    (0..polls).for_each(|_| self.poll(task));
                }
            }
            Step::Poll(pick) => self.pick(pick, Self::poll),
            Step::Drop(pick) => self.pick(pick, Self::drop),
            Step::Leak(pick) => self.pick(pick, Self::leak),
            Step::Turn => self.turn()?,
            Step::Wait => self.wait()?,
            Step::Complete(pick, count) => {
                for _ in 0..count {
                    self.kernel(|kernel| kernel.complete(self.ctx, pick.into(), Verdict::Whole));
                }
            }
            Step::Ready(which) => self.ready(usize::from(which) % POLLED),
            Step::Settle => {
                self.refuse(Refuse::default());
                self.settle()?;
            }
            Step::Fork => self.fork()?,
            Step::End(_) => {}
        }
        verify()
    }

    pub(super) fn kernel<T: Default>(&self, call: impl FnOnce(&mut Kernel) -> T) -> T {
        fake_kernel::with_next(call).unwrap_or_default()
    }

    pub(super) fn ready(&self, which: usize) {
        fake_kernel::with_next(|kernel| kernel.ready[which] = true);
    }

    /// Sets the calls that the kernel refuses from now on.
    pub(super) fn refuse(&self, refuse: Refuse) {
        let faults = refuse.faults();
        fake_kernel::with_next(|kernel| kernel.faults = faults);
        if refuse.capacity.is_some() {
            for operation in &mut *self.scenario.operations.borrow_mut() {
                operation.limited = true;
            }
        }
        self.refuse.set(refuse);
    }

    fn turn(&self) -> Outcome {
        let running = self.kernel(|kernel| kernel.running(self.ctx));
        let answer = injectable(|| self.reactor.turn());
        self.turned(answer, running == 0)
    }

    fn wait(&self) -> Outcome {
        let running = self.kernel(|kernel| kernel.running(self.ctx));
        let ends = self.kernel(|kernel| kernel.ending(self.ctx) > 0);
        let wait = if ends {
            WaitOptions::new()
        } else {
            WaitOptions::poll()
        };
        match injectable(|| L::wait(self.reactor, wait)) {
            Some(None) => self.turn(),
            answer => {
                self.scenario.count(|totals| totals.waited += 1);
                self.turned(answer.flatten(), running == 0)
            }
        }
    }

    /// Checks the result of a turn or a wait; `None` means that it panicked. `idle` is
    /// set if no operation was in flight in the kernel before it.
    fn turned(&self, answer: Option<Result<usize, Errno>>, idle: bool) -> Outcome {
        let refuse = self.refuse.get();
        match answer {
            Some(Err(Errno::INTR)) => ensure!(refuse.signal, "interrupted without a signal"),
            Some(Err(errno)) => ensure!(refuse.wait.is_some(), "turn: {errno}"),
            Some(Ok(_)) if idle && self.is_calm() => {
                for task in &*self.tasks.borrow() {
                    let notified =
                        task.place != Place::Begun || task.wants_poll() || task.is_gone();
                    // The operations that it had staged were submitted and are in
                    // flight now.
                    let runs = self.kernel(|kernel| kernel.running(self.ctx)) > 0;
                    ensure!(
                        notified || runs,
                        "a turn has woken some, and not {}",
                        task.operation
                    );
                }
            }
            Some(Ok(_)) | None => {}
        }
        Ok(())
    }

    /// Returns whether no user code has acted in this step.
    pub(super) fn is_calm(&self) -> bool {
        self.before.get() == user::injected()
    }

    /// Drops the copy in a forked child, where no operation of the parent is in flight.
    fn fork(&self) -> Outcome {
        self.scenario.count(|totals| totals.forks += 1);
        in_child(|| {
            user::calm();
            self.scenario.child.set(true);
            match self.reactor.turn() {
                Ok(_) | Err(Errno::INVAL) => {}
                Err(errno) => return Err(format!("turn in a child: {errno}")),
            }
            let count = self.tasks.borrow().len();
            for index in 0..count {
                self.poll(index);
                let place = self.tasks.borrow()[index].place;
                let operation = self.tasks.borrow()[index].operation;
                self.drop(index);
                let drops = buffer::drops(&self.scenario.operations.borrow()[operation].owned);
                let waited = matches!(place, Place::New | Place::Waiting);
                let right =
                    !waited || self.tasks.borrow()[index].leaked || drops.iter().all(|&n| n == 1);
                ensure!(right, "a child has not dropped what was not submitted");
            }
            // SAFETY: the child has a separate copy of the reactor, which is not used
            // again; its futures have been dropped.
            drop(unsafe { core::ptr::read(self.reactor) });
            let drops = buffer::most_drops();
            ensure!(drops <= 1, "a child has dropped a buffer {drops} times");
            verify()
        })
    }

    /// An operation that user code begins.
    pub(super) const INNER: Begin = Begin {
        what: What::Read {
            direct: true,
            block: 3,
        },
        owned: true,
        resfd: false,
    };
}

impl<L: Kind> user::Enter for Stage<'_, '_, L> {
    fn enter(&self, inject: Inject) {
        match inject {
            Inject::Turn => drop(self.reactor.turn()),
            Inject::Count => {
                let most = self.slots;
                let count = self.reactor.in_flight();
                if count > most {
                    user::fault(format!("{count} in flight in {most} slots"));
                }
            }
            Inject::Begin => {
                if let Some(task) = self.begin(Self::INNER) {
                    self.poll(task);
                }
            }
            Inject::Poll(pick) => self.pick(pick, Self::poll),
            Inject::Drop(pick) => self.pick(pick, Self::drop),
            Inject::Nothing | Inject::Panic => {}
        }
    }

    fn woken(&self, waker: usize) {
        self.called(waker);
    }
}

/// Returns the bytes of a block.
pub(super) fn block(bytes: &[u8], block: usize) -> &[u8] {
    &bytes[block * BLOCK..][..BLOCK]
}
