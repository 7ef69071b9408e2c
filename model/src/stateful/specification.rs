//! The specification of a queue: a list of operations and the state of each.

use std::collections::{HashMap, VecDeque};

use super::MOST_SLOTS;
use super::buffer::{self, FRESH, Held};
use super::harness::Harness;
use super::user::Data;
use crate::fake_kernel::LoggedEvent;
use crate::sys::abi::AioContext;
use crate::{Completion, Errno, Ticket};

pub(super) type Outcome<T = ()> = Result<T, String>;

/// Returns an error with a message unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err(format!($($message)+));
        }
    };
}
pub(super) use ensure;

/// Returns an error unless both values are equal.
macro_rules! same {
    ($left:expr, $right:expr, $($message:tt)+) => {{
        let (left, right) = (&$left, &$right);
        if left != right {
            return Err(format!("{}: {left:?}, and not {right:?}", format_args!($($message)+)));
        }
    }};
}
pub(super) use same;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Staged,
    /// In flight, or completed and not returned.
    Out,
    /// Returned, or ended with its queue.
    Completed,
    /// In a queue that was leaked.
    Leaked,
}

#[derive(Clone, Debug)]
pub(super) enum What {
    Read {
        file: usize,
        at: usize,
        expected: Vec<u8>,
    },
    Write {
        file: usize,
        at: usize,
        data: Vec<u8>,
    },
    Sync,
    Poll(usize),
    Refused(Errno),
}

#[derive(Debug)]
pub(super) struct Operation {
    pub(super) ticket: Ticket,
    pub(super) what: What,
    /// The numbers of the parts of its memory.
    pub(super) parts: Vec<usize>,
    /// The number of its data, which owns its descriptor or is only sent along.
    pub(super) data: usize,
    /// The number of the descriptor.
    pub(super) fd: i32,
    /// The number of bytes.
    pub(super) len: usize,
    pub(super) place: Place,
    /// True for a poll that was cancelled.
    pub(super) cancelled: bool,
    /// The possible errors of an operation that was not submitted and never will be.
    /// Empty: it was submitted, or may be.
    pub(super) never: Vec<Errno>,
    /// True if it was in flight when its context was destroyed.
    pub(super) unknown: bool,
    /// The result in its event, if the model has made one.
    pub(super) res: Option<i64>,
}

impl Operation {
    /// Returns how often each part of its memory, and its data, was dropped.
    pub(super) fn drops(&self) -> Vec<u32> {
        let data = core::iter::once(self.data);
        let all: Vec<usize> = self.parts.iter().copied().chain(data).collect();
        buffer::drops(&all)
    }
}

#[derive(Default)]
pub(super) struct Specification {
    pub(super) operations: Vec<Operation>,
    pub(super) staged: VecDeque<usize>,
    /// The number of operations out whose completions the queue has taken from the
    /// ring.
    pub(super) done: usize,
    /// The order of the done operations, known on the kernel model only.
    pub(super) order: Order,
    /// True if the context was destroyed.
    pub(super) dead: bool,
    /// True if the kernel accepts fewer operations than its ring has space for.
    pub(super) limited: bool,
    /// The `data` words of the operations submitted to the model that have not completed.
    words: HashMap<u64, usize>,
    /// The lengths of the parts of the model's log that have been read: of submitted
    /// operations, and of events.
    given: usize,
    completed: usize,
    /// The number of events that the queue has taken, up to the last one that belongs
    /// to an operation. The queue publishes the ring's head later.
    pub(super) taken: usize,
    /// The expected content of the files.
    pub(super) files: [Vec<u8>; 2],
    pub(super) ready: [bool; super::POLLED],
    pub(super) bytes: u64,
}

/// The done operations, as groups: each group was done before the next one.
#[derive(Default)]
pub(super) struct Order(VecDeque<Group>);

/// Operations found to be done by a single call.
#[derive(Default)]
struct Group {
    /// In the order of their events.
    completed: VecDeque<usize>,
    /// In the order in which they were staged.
    refused: VecDeque<usize>,
    /// In any order.
    unknown: Vec<usize>,
}

impl Order {
    fn push(&mut self, completed: &[usize], refused: &[usize], unknown: &[usize]) {
        if completed.len() + refused.len() + unknown.len() > 0 {
            self.0.push_back(Group {
                completed: completed.iter().copied().collect(),
                refused: refused.iter().copied().collect(),
                unknown: unknown.to_vec(),
            });
        }
    }

    /// Adds an operation that was done after all others.
    pub(super) fn push_last(&mut self, at: usize) {
        self.push(&[at], &[], &[]);
    }

    /// Removes an operation. Returns `false` if it is not among those that may be next.
    pub(super) fn take(&mut self, at: usize) -> bool {
        let Some(group) = self.0.front_mut() else {
            return false;
        };
        let taken = if group.completed.front() == Some(&at) {
            group.completed.pop_front()
        } else if group.refused.front() == Some(&at) {
            group.refused.pop_front()
        } else {
            let found = group.unknown.iter().position(|&other| other == at);
            found.map(|found| group.unknown.swap_remove(found))
        };
        if group.completed.len() + group.refused.len() + group.unknown.len() == 0 {
            self.0.pop_front();
        }
        taken.is_some()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().flat_map(|group| {
            let listed = group.completed.iter().chain(&group.refused);
            listed.chain(&group.unknown).copied()
        })
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

/// The effect of a call.
pub(super) struct Change {
    /// The number of operations found to have completed.
    pub(super) completed: usize,
    /// True if there were foreign events.
    pub(super) foreign: bool,
}

impl Specification {
    /// Creates a specification without operations, and with these files.
    pub(super) fn new(files: [Vec<u8>; 2]) -> Specification {
        Specification {
            files,
            ..Specification::default()
        }
    }

    pub(super) fn out(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.operations.len()).filter(|&at| self.operations[at].place == Place::Out)
    }

    pub(super) fn in_flight(&self) -> usize {
        self.out().count() - self.done
    }

    /// Returns whether an operation that has not been settled accesses these bytes, in
    /// a way that conflicts with another operation that reads or writes them.
    pub(super) fn is_busy(&self, file: usize, start: usize, end: usize, write: bool) -> bool {
        self.operations.iter().any(|operation| {
            let (its, at, writes) = match &operation.what {
                What::Read { file, at, .. } => (*file, *at, false),
                What::Write { file, at, .. } => (*file, *at, true),
                _ => return false,
            };
            let live = operation.place != Place::Completed;
            live && its == file && (write || writes) && at < end && start < at + operation.len
        })
    }

    /// Returns the number of polls that nothing will complete, of those staged or of
    /// those out.
    pub(super) fn stuck(&self, staged: bool) -> usize {
        let stuck = |operation: &Operation| match operation.what {
            What::Poll(which) => {
                let ends = operation.cancelled || self.ready[which] || operation.unknown;
                !ends && operation.never.is_empty() && operation.res.is_none()
            }
            _ => false,
        };
        let of = if staged {
            Vec::from_iter(self.staged.iter().copied())
        } else {
            Vec::from_iter(self.out())
        };
        let operations = of.iter().map(|&at| &self.operations[at]);
        operations.filter(|&operation| stuck(operation)).count()
    }

    /// Resets the state for another queue, on this context.
    pub(super) fn renew(&mut self) {
        self.words.clear();
        (self.given, self.completed, self.taken) = (0, 0, 0);
        self.dead = false;
    }

    /// Continues the same context with another queue: foreign events behind the last
    /// event of an operation may still be in the ring.
    pub(super) fn go_on(&mut self, harness: &Harness, ctx: AioContext) -> Outcome {
        self.read_events(harness, ctx)?;
        self.words.clear();
        let events = harness.logged(ctx, 0);
        let ours = events.iter().rposition(|event| !event.is_foreign);
        self.taken = ours.map_or(0, |at| at + 1).max(harness.taken(ctx));
        Ok(())
    }

    /// Records that the first `count` staged operations were submitted.
    pub(super) fn submitted(&mut self, count: usize) {
        for _ in 0..count {
            if let Some(at) = self.staged.pop_front() {
                self.operations[at].place = Place::Out;
            }
        }
    }

    /// Removes the first `count` staged operations: each was submitted, or else
    /// refused, and is done. Returns the refused ones.
    pub(super) fn leave(
        &mut self,
        harness: &Harness,
        ctx: AioContext,
        count: usize,
    ) -> Outcome<Vec<usize>> {
        let mut given = harness.given(ctx, self.given).into_iter().peekable();
        let (mut expected, mut refused) = (Vec::new(), Vec::new());
        let died = !self.dead && harness.is_gone(ctx);
        for _ in 0..count {
            let Some(at) = self.staged.pop_front() else {
                return Err("more were submitted than were staged".into());
            };
            let operation = &mut self.operations[at];
            operation.place = Place::Out;
            let refusal = match operation.what {
                _ if self.dead => vec![Errno::INVAL],
                What::Refused(errno) if died => vec![errno, Errno::INVAL],
                What::Refused(errno) if self.limited => vec![errno, Errno::AGAIN],
                What::Refused(errno) => vec![errno],
                _ if !harness.is_model() || given.next().is_some() => Vec::new(),
                _ if died => vec![Errno::INVAL],
                _ if self.limited => vec![Errno::AGAIN],
                _ => return Err(format!("operation {at} was not submitted")),
            };
            if refusal.is_empty() {
                expected.push(at);
            } else {
                refused.push(at);
            }
            operation.never = refusal;
        }
        if harness.is_model() {
            self.given(harness, ctx, &expected)?;
        }
        Ok(refused)
    }

    /// Updates the state after a call to the queue, which now has these numbers of
    /// operations staged and in flight.
    pub(super) fn learn(
        &mut self,
        harness: &Harness,
        ctx: AioContext,
        staged: usize,
        in_flight: usize,
    ) -> Outcome<Change> {
        let count = self.staged.len().checked_sub(staged);
        let refused = self.leave(
            harness,
            ctx,
            count.ok_or("more are staged than there were")?,
        )?;
        self.done += refused.len();
        let count = self.in_flight().checked_sub(in_flight);
        let count = count.ok_or("more in flight than there were")?;
        if !harness.is_model() {
            self.done += count;
            return Ok(Change {
                completed: count,
                foreign: false,
            });
        }
        self.cancelled(harness, ctx);
        let (completed, unknown, foreign) = if !self.dead && harness.is_gone(ctx) {
            self.dead = true;
            same!(in_flight, 0, "in flight in a context that was destroyed");
            self.die(harness, ctx)?
        } else {
            let (completed, foreign) = self.take(harness, ctx, count)?;
            (completed, Vec::new(), foreign)
        };
        self.done += completed.len() + unknown.len();
        self.order.push(&completed, &refused, &unknown);
        Ok(Change {
            completed: completed.len(),
            foreign,
        })
    }

    /// Records which polls in flight are cancelled.
    fn cancelled(&mut self, harness: &Harness, ctx: AioContext) {
        for word in harness.cancelled(ctx) {
            if let Some(&at) = self.words.get(&word) {
                self.operations[at].cancelled = true;
            }
        }
    }

    /// Records that the context was destroyed. Returns the operations that had
    /// completed before, in order; those whose outcome is unknown; and whether there
    /// were foreign events.
    fn die(
        &mut self,
        harness: &Harness,
        ctx: AioContext,
    ) -> Outcome<(Vec<usize>, Vec<usize>, bool)> {
        let events = harness.logged(ctx, self.taken);
        let ours = events.iter().filter(|event| !event.is_foreign).count();
        let (completed, foreign) = self.take(harness, ctx, ours)?;
        let unknown: Vec<usize> = self.words.drain().map(|(_, at)| at).collect();
        for &at in &unknown {
            let operation = &mut self.operations[at];
            operation.unknown = true;
            let poll = matches!(operation.what, What::Poll(_));
            ensure!(poll, "the outcome of {operation:?} is unknown");
        }
        Ok((completed, unknown, foreign))
    }

    /// Compares the operations submitted to the model with the expected ones, in order,
    /// and reads the model's events.
    pub(super) fn given(
        &mut self,
        harness: &Harness,
        ctx: AioContext,
        expected: &[usize],
    ) -> Outcome {
        let given = harness.given(ctx, self.given);
        self.given += given.len();
        same!(
            given.len(),
            expected.len(),
            "operations that the kernel was given"
        );
        for (iocb, &at) in given.iter().zip(expected) {
            let offset = match &self.operations[at].what {
                What::Read { at, .. } | What::Write { at, .. } => *at,
                What::Poll(_) | What::Sync | What::Refused(_) => 0,
            };
            let fd = self.operations[at].fd;
            let has = (iocb.offset as usize, iocb.fildes as i32);
            same!(
                has,
                (offset, fd),
                "the kernel was given, in place of operation {at}"
            );
            let other = self.words.insert(iocb.data, at);
            ensure!(
                other.is_none(),
                "operations {at} and {other:?} have one name"
            );
        }
        self.read_events(harness, ctx)
    }

    /// Reads the model's events.
    pub(super) fn read_events(&mut self, harness: &Harness, ctx: AioContext) -> Outcome {
        let completed = harness.logged(ctx, self.completed);
        self.completed += completed.len();
        for event in completed.iter().filter(|event| !event.is_foreign) {
            let Some(&at) = self.words.get(&event.data) else {
                return Err("the model completed what was not submitted".into());
            };
            self.operations[at].res = Some(event.res);
        }
        Ok(())
    }

    /// Records that the queue has taken the events of `count` more operations. Returns
    /// these operations in order, and whether there were foreign events.
    pub(super) fn take(
        &mut self,
        harness: &Harness,
        ctx: AioContext,
        count: usize,
    ) -> Outcome<(Vec<usize>, bool)> {
        self.read_events(harness, ctx)?;
        let events: Vec<LoggedEvent> = harness.logged(ctx, self.taken);
        let foreign = events.iter().any(|event| event.is_foreign);
        let ours = events.iter().enumerate().filter(|(_, e)| !e.is_foreign);
        let ours: Vec<_> = ours.take(count).collect();
        same!(
            ours.len(),
            count,
            "events that were taken, of those there are"
        );
        if let Some((last, _)) = ours.last() {
            self.taken += last + 1;
        }
        let published = harness.taken(ctx);
        // The head may have been published beyond foreign events behind them.
        let known = harness.logged(ctx, self.taken.min(published));
        let ahead = published.saturating_sub(self.taken);
        ensure!(
            known[..ahead].iter().all(|event| event.is_foreign),
            "the head was published beyond the taken events"
        );
        let words = &mut self.words;
        let found = ours
            .iter()
            .filter_map(|(_, event)| words.remove(&event.data));
        Ok((found.collect(), foreign))
    }

    /// Returns the number of foreign events in the model's ring before the next event
    /// of an operation.
    pub(super) fn foreign_next(&self, harness: &Harness, ctx: AioContext) -> usize {
        let events = harness.logged(ctx, self.taken);
        events.iter().take_while(|event| event.is_foreign).count()
    }

    /// Returns the next operation in the model's ring whose event the queue has not
    /// taken.
    pub(super) fn next_in_ring(&self, harness: &Harness, ctx: AioContext) -> Option<usize> {
        let mut events = harness.logged(ctx, self.taken).into_iter();
        let next = events.find(|event| !event.is_foreign)?;
        self.words.get(&next.data).copied()
    }

    /// Returns a `data` word similar to that of an operation, which no operation in
    /// flight has or will have: of an old operation, or of no slot.
    pub(super) fn foreign_word(
        &self,
        harness: &Harness,
        ctx: AioContext,
        pick: usize,
        add: u64,
    ) -> Option<u64> {
        let given = harness.given(ctx, 0);
        let like = match given.len() {
            0 => 0,
            len => given[pick % len].data,
        };
        let word = like.wrapping_add(add);
        let old = given.iter().any(|iocb| iocb.data == word) && !self.words.contains_key(&word);
        let of_no_slot = word as u32 as usize >= MOST_SLOTS;
        (old || of_no_slot).then_some(word)
    }

    /// Compares a completion with its operation, and settles the operation.
    pub(super) fn complete<B: Held>(
        &mut self,
        completion: &Completion<Option<B>, Data>,
    ) -> Outcome<usize> {
        let found = self
            .out()
            .find(|&at| self.operations[at].ticket == completion.ticket);
        let Some(at) = found else {
            return Err("a completion of an operation that is not in flight".into());
        };
        self.result(at, completion.result)?;
        same!(
            completion.data.id(),
            self.operations[at].data,
            "the data that came with operation {at}"
        );
        let submitted = self.operations[at].never.is_empty();
        let partly = match (&self.operations[at].what, completion.result) {
            (What::Read { .. }, Ok(moved)) if submitted => Some(moved),
            (What::Read { .. }, _) if submitted => None,
            _ => Some(0),
        };
        self.buffer(at, completion.buffer.as_ref(), partly)?;
        self.settle(at, completion.result.is_ok());
        Ok(at)
    }

    /// Compares the buffer of a completion: `read` bytes of it have been read into;
    /// `None` means an unknown number.
    pub(super) fn buffer<B: Held>(
        &mut self,
        at: usize,
        buffer: Option<&B>,
        read: Option<usize>,
    ) -> Outcome {
        let operation = &self.operations[at];
        let Some(buffer) = buffer else {
            ensure!(
                operation.parts.is_empty(),
                "operation {at} came without its buffer"
            );
            return Ok(());
        };
        let parts: Vec<_> = buffer.parts().iter().map(|part| part.id()).collect();
        same!(
            parts,
            operation.parts,
            "the buffer that came with operation {at}"
        );
        let content = buffer.content();
        self.bytes += content.len() as u64;
        match (&operation.what, read) {
            (What::Write { data, .. }, _) => {
                ensure!(content == *data, "the buffer of write {at} was changed");
            }
            (What::Read { expected, file, .. }, Some(read)) => {
                let (front, rest) = content.split_at(read.min(content.len()));
                ensure!(*front == expected[..read], "read {at} has the wrong bytes");
                // A direct read across the end may write more.
                let plain = *file == 0 || read == 0 && !operation.never.is_empty();
                ensure!(
                    !plain || rest.iter().all(|&byte| byte == FRESH),
                    "read {at} wrote more than its result"
                );
            }
            _ => {}
        }
        Ok(())
    }

    fn result(&self, at: usize, result: Result<usize, Errno>) -> Outcome {
        let operation = &self.operations[at];
        let right = match &operation.what {
            _ if operation.unknown => result == Err(Errno::OUTCOME_UNKNOWN),
            _ if !operation.never.is_empty() => {
                operation.never.iter().any(|&errno| result == Err(errno))
            }
            // The device failed.
            What::Read { .. } if operation.res.is_some_and(|res| res < 0) => {
                result == Err(Errno::IO)
            }
            What::Read { expected, .. } => result == Ok(expected.len()),
            What::Write { data, .. } => result == Ok(data.len()),
            What::Sync => result == Ok(0),
            What::Poll(which) => {
                let can_be_ready = self.ready[*which];
                (result == Ok(0) && operation.cancelled) || (result == Ok(1) && can_be_ready)
            }
            What::Refused(_) => false,
        };
        ensure!(right, "operation {at} ({operation:?}) came with {result:?}");
        if let (Some(res), true) = (operation.res, operation.never.is_empty()) {
            let event = match result {
                Ok(count) => count as i64,
                Err(errno) => -i64::from(errno.raw_os_error()),
            };
            same!(event, res, "the result of operation {at}");
        }
        Ok(())
    }

    /// Marks an operation as settled.
    pub(super) fn settle(&mut self, at: usize, wrote: bool) {
        let operation = &mut self.operations[at];
        operation.place = Place::Completed;
        if let (What::Write { file, at, data }, true) = (&operation.what, wrote) {
            self.files[*file][*at..][..data.len()].copy_from_slice(data);
        }
    }

    /// Verifies, after the queue has ended and its operations have completed, that
    /// every buffer was dropped once.
    pub(super) fn end_all(&mut self) -> Outcome {
        self.staged.clear();
        self.order.clear();
        self.done = 0;
        for at in 0..self.operations.len() {
            let operation = &self.operations[at];
            let wrote = operation.place == Place::Out && operation.never.is_empty();
            if matches!(operation.place, Place::Out | Place::Staged) {
                let drops = operation.drops();
                ensure!(
                    drops.iter().all(|&n| n == 1),
                    "operation {at}: drops {drops:?}"
                );
                self.settle(at, wrote);
            }
        }
        Ok(())
    }

    /// Records that the queue is leaked. No buffer was or will be dropped.
    pub(super) fn leak_all(&mut self) {
        self.staged.clear();
        self.order.clear();
        self.done = 0;
        for operation in &mut self.operations {
            match operation.place {
                Place::Out => operation.place = Place::Leaked,
                Place::Staged => {
                    operation.place = Place::Leaked;
                    operation.never = vec![Errno::CANCELED];
                }
                _ => {}
            }
        }
    }
}
