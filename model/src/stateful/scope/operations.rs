//! The operations of a scope, and their expected results.

use super::super::reactor::{Begin, What};
use super::super::user::{self, Borrowed, Data, injectable};
use super::super::{BLOCK, BLOCKS};
use super::stage::Stage;
use crate::completion::Completion;
use crate::op::{self, AnyBuffer, Op};
use crate::opcode::PollMask;
use crate::scope::ScopedOp;
use crate::{Errno, Fd};

pub(super) type Owned<'scope> = ScopedOp<'scope, Borrowed<'scope>, Data, AnyBuffer>;

/// The expected state of an operation.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    pub(super) what: What,
    /// The numbers of its buffer and its data.
    pub(super) owned: Vec<usize>,
    /// The index of its buffer among those of the scope.
    pub(super) memory: Option<usize>,
    /// True if the kernel may have had no space for it.
    pub(super) limited: bool,
    /// True if its cancellation was requested.
    pub(super) cancelled: bool,
    /// The result, if it was waited for. A forked child may have waited for it.
    pub(super) result: Option<Result<usize, Errno>>,
    /// The least and the greatest number of drops of its buffer and data.
    pub(super) drops: (u32, u32),
}

/// A started operation, while the program holds it.
pub(super) struct Started<'scope> {
    pub(super) operation: usize,
    pub(super) pending: Option<Owned<'scope>>,
    /// True if it holds its slot: until it is waited for, or forever.
    pub(super) holds: bool,
    /// True if it certainly has a slot: user code may have taken the last one.
    has_slot: bool,
}

impl<'scope> Stage<'scope, '_> {
    /// Starts an operation, if there is memory for it.
    pub(super) fn start(&self, begin: Begin) {
        let (memory, buffer) = match begin.what {
            What::Read { .. } => match self.memory.borrow_mut().pop() {
                Some((number, memory)) => (Some(number), Some(Borrowed::new(memory))),
                None => return,
            },
            _ => (None, None),
        };
        let data = Data::new(begin.what.descriptor());
        let ids = buffer.iter().map(Borrowed::id).chain([data.id()]);
        let operation = {
            let mut operations = self.operations.borrow_mut();
            operations.push(Operation {
                what: begin.what,
                owned: ids.collect(),
                memory,
                limited: self.refuse.get().capacity.is_some(),
                cancelled: false,
                result: None,
                // Valid until the operation has been started.
                drops: (0, 1),
            });
            operations.len() - 1
        };
        let (least, most) = (self.held(true), self.held(false));
        #[allow(
            clippy::result_large_err,
            reason = "an operation that found no slot comes back whole"
        )]
        let started = injectable(|| {
            let op = op(begin, buffer, data);
            self.scope.push(op)
        });
        let Some(started) = started else {
            return;
        };
        if !self.is_calm() {
            // Its slot may have been taken while it was begun.
            self.operations.borrow_mut()[operation].limited = true;
        }
        match started {
            Ok(pending) => {
                if least >= self.slots && self.is_calm() {
                    user::fault("started, with every slot taken".into());
                }
                self.totals.count(|totals| totals.operations += 1);
                let mut all = self.started.borrow_mut();
                all.push(Started {
                    operation,
                    pending: Some(pending),
                    holds: true,
                    has_slot: self.is_calm(),
                });
            }
            Err(full) => {
                if most + self.detached.get() < self.slots && self.is_calm() {
                    user::fault("refused, with a slot free".into());
                }
                self.operations.borrow_mut()[operation].drops = (1, 1);
                self.operations.borrow_mut()[operation].result = Some(Err(Errno::AGAIN));
                injectable(|| drop(full));
            }
        }
    }

    /// Returns the number of slots that started operations hold (`certain`), or may
    /// hold.
    fn held(&self, certain: bool) -> usize {
        let started = self.started.borrow();
        let holds = |s: &&Started<'_>| s.holds && (s.has_slot || !certain);
        started.iter().filter(holds).count()
    }

    /// Removes and returns one of the pending operations.
    pub(super) fn pick(&self, pick: u8) -> Option<(usize, usize, Owned<'scope>)> {
        let mut started = self.started.borrow_mut();
        let there: Vec<usize> = (0..started.len())
            .filter(|&at| started[at].pending.is_some())
            .collect();
        let at = *there.get(usize::from(pick) % there.len().max(1))?;
        let pending = started[at].pending.take()?;
        Some((at, started[at].operation, pending))
    }

    pub(super) fn put_back(&self, at: usize, pending: Owned<'scope>) {
        self.started.borrow_mut()[at].pending = Some(pending);
    }

    /// Waits for an operation.
    pub(super) fn finish(&self, at: usize, operation: usize, pending: Owned<'scope>) {
        self.started.borrow_mut()[at].holds = false;
        self.operations.borrow_mut()[operation].drops = (1, 1);
        let finished = pending.wait();
        self.totals.count(|totals| totals.waited += 1);
        self.finished(operation, finished);
    }

    /// Compares a result with the operation.
    fn finished(&self, index: usize, finished: Completion<Option<Borrowed<'scope>>, Data>) {
        let result = finished.result;
        let gone = self.is_gone();
        {
            let operation = &mut self.operations.borrow_mut()[index];
            let ids = finished.buffer.iter().map(Borrowed::id);
            let ids: Vec<usize> = ids.chain([finished.data.id()]).collect();
            if ids != operation.owned {
                user::fault(format!("operation {index} came with another buffer"));
            }
            operation.result = Some(result);
            let right = match (operation.what, result) {
                (_, Err(Errno::AGAIN)) => operation.limited,
                (_, Err(Errno::CANCELED)) => operation.cancelled,
                (_, Err(Errno::OUTCOME_UNKNOWN | Errno::INVAL)) => gone || self.child.get(),
                (What::Read { .. }, _) => result == Ok(BLOCK),
                (What::Sync { .. }, _) => result == Ok(0),
                (What::Poll(which), _) => {
                    let ready = self.is_ready(which);
                    (operation.cancelled && result == Ok(0)) || (ready && result == Ok(1))
                }
                (What::Refused, _) => result == Err(Errno::BADF),
            };
            if !right {
                user::fault(format!("operation {index} came with {result:?}"));
            }
            if let (What::Read { direct, block }, Some(buffer), Ok(_)) =
                (operation.what, &finished.buffer, result)
            {
                if buffer.bytes() != self.block(direct, block) {
                    user::fault(format!("operation {index} has the wrong bytes"));
                }
            }
        }
        if result == Err(Errno::OUTCOME_UNKNOWN) {
            self.totals.count(|totals| totals.unknown += 1);
        }
        injectable(|| drop(finished));
    }

    /// Drops a pending operation, which continues in the kernel.
    pub(super) fn drop(&self, at: usize, operation: usize, pending: Owned<'scope>) {
        self.started.borrow_mut()[at].holds = false;
        // Its buffer is dropped if it has completed, and leaked otherwise.
        self.operations.borrow_mut()[operation].drops = (0, 1);
        self.detached.set(self.detached.get() + 1);
        injectable(|| drop(pending));
    }
}

fn op(begin: Begin, buffer: Option<Borrowed<'_>>, data: Data) -> Op<'_, Borrowed<'_>, Data> {
    // SAFETY: the model's descriptors stay open; −1 is no descriptor.
    let fd = unsafe { Fd::borrow_raw(begin.what.descriptor()) };
    match (begin.what, buffer, begin.owned) {
        (What::Read { block, .. }, Some(buffer), owned) => {
            let offset = (usize::from(block) % BLOCKS * BLOCK) as u64;
            if owned {
                op::Read::owned(data, buffer).offset(offset).into()
            } else {
                op::Read::new(fd, buffer).offset(offset).data(data).into()
            }
        }
        (What::Poll(_), _, true) => op::Poll::owned(data, PollMask::IN).into(),
        (What::Poll(_), _, false) => op::Poll::new(fd, PollMask::IN).data(data).into(),
        (What::Sync { data: true }, _, true) => op::Fdsync::owned(data).into(),
        (What::Sync { data: true }, _, false) => op::Fdsync::new(fd).data(data).into(),
        (_, _, true) => op::Fsync::owned(data).into(),
        (_, _, false) => op::Fsync::new(fd).data(data).into(),
    }
}
