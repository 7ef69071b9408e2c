//! Futures: begun, polled, dropped and leaked; and the order in which they get their
//! slots.

use core::pin::Pin;
use core::task::{Context, Poll};
use std::os::fd::AsRawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::super::user::{self, Data, Guarded, injectable};
use super::super::{BLOCK, BLOCKS};
use super::stage::{Kind, Stage, block};
use super::{Begin, What};
use crate::completion::Completion;
use crate::op::{self, AnyBuffer, Op};
use crate::opcode::PollMask;
use crate::reactor::{OpFuture, Reactor};
use crate::{Errno, Fd};

/// The fate of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Its future exists.
    Live,
    Resolved,
    /// Its future was dropped.
    Dropped,
    /// Its future was leaked.
    Leaked {
        begun: bool,
    },
    /// User code panicked before there was a future.
    Lost,
}

pub(super) struct Operation {
    pub(super) what: What,
    /// The numbers of its buffer and its data.
    pub(super) owned: Vec<usize>,
    pub(super) fate: Fate,
    /// True if the kernel may have had no space for it.
    pub(super) limited: bool,
    /// The wakers with which its future was polled.
    pub(super) wakers: Vec<usize>,
    pub(super) keeps_waker: bool,
    /// The least and the greatest number of drops of its buffer and data.
    pub(super) drops: (u32, u32),
}

/// The state of a future.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Not polled.
    New,
    /// Waiting for a slot.
    Waiting,
    /// Its operation has begun.
    Begun,
    /// The result is available.
    Done,
    Completed,
}

/// A future of the scenario's reactor.
type Future<'a, 'r, L> = OpFuture<&'a Reactor<'r, Guarded, L, Data>, AnyBuffer>;

pub(super) struct Task<'a, 'r, L: Kind> {
    pub(super) operation: usize,
    /// `None` after the future was dropped, and while it is polled.
    pub(super) future: Option<Pin<Box<Future<'a, 'r, L>>>>,
    pub(super) place: Place,
    pub(super) leaked: bool,
    /// The waker of the last poll.
    waker: Option<usize>,
    /// True if the last poll panicked, so that it is unknown which waker the future
    /// holds.
    unsure: bool,
    /// The time at which it began to wait for a slot.
    arrival: u64,
}

impl<L: Kind> Task<'_, '_, L> {
    fn is_woken(&self) -> bool {
        self.waker.is_some_and(user::is_woken)
    }

    /// Returns whether an executor would poll it now.
    pub(super) fn wants_poll(&self) -> bool {
        self.future.is_some() && (self.waker.is_none() || self.unsure || self.is_woken())
    }

    /// Returns whether it has completed, was dropped or was leaked.
    pub(super) fn is_gone(&self) -> bool {
        self.leaked || self.place == Place::Completed
    }

    /// Returns whether it waits for a slot and has not been woken for one.
    fn waits(&self) -> bool {
        self.place == Place::Waiting && !self.is_woken() && !self.unsure
    }
}

impl<'r, L: Kind> Stage<'_, 'r, L> {
    /// Calls `run` with one of the existing futures.
    pub(super) fn pick(&self, pick: u8, run: impl FnOnce(&Self, usize)) {
        let there: Vec<usize> = {
            let tasks = self.tasks.borrow();
            let all = 0..tasks.len();
            all.filter(|&at| tasks[at].future.is_some()).collect()
        };
        if let Some(&task) = there.get(usize::from(pick) % there.len().max(1)) {
            run(self, task);
        }
    }

    /// Creates a future. Returns `None` if user code panicked.
    pub(super) fn begin(&self, begin: Begin) -> Option<usize> {
        let buffer = matches!(begin.what, What::Read { .. }).then(|| Guarded::new(BLOCK));
        let data = Data::new(begin.what.descriptor());
        let operation = {
            let ids = buffer.iter().map(Guarded::id).chain([data.id()]);
            let mut operations = self.scenario.operations.borrow_mut();
            operations.push(Operation {
                what: begin.what,
                owned: ids.collect(),
                fate: Fate::Lost,
                limited: self.refuse.get().capacity.is_some(),
                wakers: Vec::new(),
                keeps_waker: false,
                drops: (0, 0),
            });
            operations.len() - 1
        };
        self.scenario.count(|totals| totals.operations += 1);
        let future = injectable(|| {
            let op = self.op(begin, buffer, data);
            Box::pin(self.reactor.push(op))
        })?;
        self.set_fate(operation, Fate::Live);
        let mut tasks = self.tasks.borrow_mut();
        tasks.push(Task {
            operation,
            future: Some(future),
            place: Place::New,
            leaked: false,
            waker: None,
            unsure: false,
            arrival: 0,
        });
        Some(tasks.len() - 1)
    }

    fn op(&self, begin: Begin, buffer: Option<Guarded>, data: Data) -> Op<'r, Guarded, Data> {
        // SAFETY: the model's descriptors stay open; −1 is no descriptor; the eventfd
        // is open for as long as the scenario lasts.
        let (fd, own) = unsafe {
            let own = self.scenario.own.as_raw_fd();
            (Fd::borrow_raw(begin.what.descriptor()), Fd::borrow_raw(own))
        };
        macro_rules! op {
            ($op:expr) => {{
                let op = $op;
                if begin.resfd {
                    op.eventfd(own).into()
                } else {
                    op.into()
                }
            }};
        }
        match (begin.what, buffer, begin.owned) {
            (What::Read { block, .. }, Some(buffer), owned) => {
                let offset = (usize::from(block) % BLOCKS * BLOCK) as u64;
                if owned {
                    op!(op::Read::owned(data, buffer).offset(offset))
                } else {
                    op!(op::Read::new(fd, buffer).offset(offset).data(data))
                }
            }
            (What::Poll(_), _, true) => op!(op::Poll::owned(data, PollMask::IN)),
            (What::Poll(_), _, false) => op!(op::Poll::new(fd, PollMask::IN).data(data)),
            (What::Sync { data: true }, _, true) => op!(op::Fdsync::owned(data)),
            (What::Sync { data: true }, _, false) => op!(op::Fdsync::new(fd).data(data)),
            (_, _, true) => op!(op::Fsync::owned(data)),
            (_, _, false) => op!(op::Fsync::new(fd).data(data)),
        }
    }

    fn set_fate(&self, operation: usize, fate: Fate) {
        self.scenario.operations.borrow_mut()[operation].fate = fate;
    }

    pub(super) fn poll(&self, index: usize) {
        let (mut future, before, was_woken) = {
            let task = &mut self.tasks.borrow_mut()[index];
            let Some(future) = task.future.take() else {
                return;
            };
            (future, task.place, task.is_woken() || task.unsure)
        };
        let (waker, number) = user::waker();
        {
            let operation = self.tasks.borrow()[index].operation;
            let operation = &mut self.scenario.operations.borrow_mut()[operation];
            operation.wakers.push(number);
        }
        let polled = injectable(|| future.as_mut().poll(&mut Context::from_waker(&waker)));
        let place = place(&future, polled.is_none());
        let waited = matches!(before, Place::New | Place::Waiting);
        let arrival = self.tasks.borrow()[index].arrival;
        if waited && !was_woken && !matches!(place, Place::New | Place::Waiting) {
            self.in_order(arrival, "has begun");
        }
        match polled {
            Some(Poll::Ready(finished)) => {
                self.tasks.borrow_mut()[index].place = Place::Completed;
                self.finished(index, finished);
                if number % 8 == 0 {
                    let again = AssertUnwindSafe(|| {
                        let _ = future.as_mut().poll(&mut Context::from_waker(&waker));
                    });
                    if catch_unwind(again).is_ok() {
                        user::fault("a completed future can be polled again".into());
                    }
                }
                injectable(|| drop(future));
            }
            polled @ (Some(Poll::Pending) | None) => {
                let task = &mut self.tasks.borrow_mut()[index];
                task.future = Some(future);
                task.place = place;
                task.waker = Some(number);
                task.unsure = polled.is_none();
                if place == Place::Waiting && task.arrival == 0 {
                    self.arrivals.set(self.arrivals.get() + 1);
                    task.arrival = self.arrivals.get();
                }
            }
        }
    }

    /// Compares a result with the operation.
    fn finished(&self, index: usize, finished: Completion<Option<Guarded>, Data>) {
        let index = self.tasks.borrow()[index].operation;
        {
            let operation = &mut self.scenario.operations.borrow_mut()[index];
            operation.fate = Fate::Resolved;
            let ids = finished.buffer.iter().map(Guarded::id);
            let ids: Vec<usize> = ids.chain([finished.data.id()]).collect();
            if ids != operation.owned {
                user::fault(format!("operation {index} came with another buffer"));
            }
            let result = finished.result;
            let right = match operation.what {
                _ if operation.limited && result == Err(Errno::AGAIN) => true,
                _ if self.scenario.child.get() && is_inherited(result) => true,
                What::Read { .. } => result == Ok(BLOCK),
                What::Sync { .. } => result == Ok(0),
                What::Poll(_) => result == Ok(1),
                What::Refused => result == Err(Errno::BADF),
            };
            if !right {
                user::fault(format!("operation {index} came with {result:?}"));
            }
            if let (What::Read { direct, block: at }, Some(buffer), Ok(_)) =
                (operation.what, &finished.buffer, result)
            {
                let file = &self.scenario.files[usize::from(direct)];
                if buffer.bytes() != block(file, usize::from(at) % BLOCKS) {
                    user::fault(format!("operation {index} has the wrong bytes"));
                }
            }
        }
        self.scenario.count(|totals| totals.resolved += 1);
        injectable(|| drop(finished));
    }

    pub(super) fn drop(&self, index: usize) {
        let taken = {
            let task = &mut self.tasks.borrow_mut()[index];
            let taken = task.future.take();
            if taken.is_some() {
                task.place = Place::Completed;
                self.set_fate(task.operation, Fate::Dropped);
            }
            taken
        };
        injectable(|| drop(taken));
    }

    /// Leaks a future, unless that would leave no slot.
    pub(super) fn leak(&self, index: usize) {
        let begun = self.tasks.borrow()[index].place == Place::Begun;
        if begun && self.occupied.get() + 1 >= self.slots {
            return;
        }
        self.leak_anyway(index);
    }

    fn leak_anyway(&self, index: usize) {
        let task = &mut self.tasks.borrow_mut()[index];
        let Some(future) = task.future.take() else {
            return;
        };
        let begun = task.place == Place::Begun;
        self.occupied.set(self.occupied.get() + usize::from(begun));
        self.set_fate(task.operation, Fate::Leaked { begun });
        self.scenario.count(|totals| totals.leaked += 1);
        task.leaked = true;
        core::mem::forget(future);
    }

    /// Drops or leaks the futures of a reactor that ends.
    pub(super) fn leave(&self, leak: bool) {
        // Destructors may begin other futures.
        let mut index = 0;
        while index < self.tasks.borrow().len() {
            if leak {
                self.leak_anyway(index);
            } else {
                self.drop(index);
            }
            index += 1;
        }
    }

    /// Verifies, when a waker is woken whose task waits for a slot, that the tasks that
    /// came before it have been woken.
    pub(super) fn called(&self, waker: usize) {
        let arrival = {
            let tasks = self.tasks.borrow();
            let task = tasks.iter().find(|task| task.waker == Some(waker));
            let waiting = task.filter(|task| task.place == Place::Waiting);
            waiting.map(|task| task.arrival)
        };
        if let Some(arrival) = arrival {
            self.in_order(arrival, "was called");
        }
    }

    /// Verifies that no task that came before this arrival (zero: it comes now) still
    /// waits without having been woken. The check is skipped if user code has called
    /// back: woken tasks and called ones are then not the same at every moment.
    fn in_order(&self, arrival: u64, what: &str) {
        if !self.is_calm() {
            return;
        }
        let tasks = self.tasks.borrow();
        let older = |task: &&Task<'_, '_, L>| arrival == 0 || task.arrival < arrival;
        if let Some(task) = tasks.iter().filter(older).find(|task| task.waits()) {
            user::fault(format!(
                "a task {what} before operation {}, which came first",
                task.operation
            ));
        }
    }
}

/// Returns whether this may be the result of a future in a forked child.
fn is_inherited(result: Result<usize, Errno>) -> bool {
    matches!(result, Err(Errno::INVAL | Errno::OUTCOME_UNKNOWN))
}

/// Returns the state of a future according to its `Debug` output. `panicked` is set if
/// its poll has panicked.
fn place<L: Kind>(
    future: &OpFuture<&Reactor<'_, Guarded, L, Data>, AnyBuffer>,
    panicked: bool,
) -> Place {
    let text = format!("{future:?}");
    if text.contains("\"ready\"") {
        if panicked { Place::New } else { Place::Waiting }
    } else if text.contains("\"begun\"") {
        Place::Begun
    } else if text.contains("\"done\"") {
        Place::Done
    } else {
        Place::Completed
    }
}
