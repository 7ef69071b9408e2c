//! [`Submission`]: a batch of operations that is submitted while others use the slots.
//!
//! `io_submit(2)` blocks where an operation does: a read of a pipe, a cold buffered file.
//! A layer whose slots several threads share takes a batch under its lock
//! ([`Engine::take_submission`]), submits it without the lock
//! ([`Submission::submit`]), and records the result under the lock
//! ([`Engine::finish_submission`]).
//!
//! # Invariants
//! - The operations of a submission are in flight from the moment they are taken, so
//!   their slots are neither released nor used again without an event.
//! - The kernel may complete an accepted operation, and another thread may release and
//!   use its slot again, before the result is recorded. So only operations that were not
//!   accepted are touched, and only if the slot still has the tag that it had.

use core::mem::MaybeUninit;

use super::tag::Tag;
use super::{BATCH, Backend, ContextBackend, Engine, Extra, OpState, SlotOffset, Slots};
use crate::completion::refusal;
use crate::sys;
use crate::sys::abi::{AioContext, Iocb};
use crate::sys::errno::Errno;

/// A batch of operations that have left the list of staged ones.
pub(crate) struct Submission {
    iocbs: [MaybeUninit<*mut Iocb>; BATCH],
    tags: [MaybeUninit<Tag>; BATCH],
    len: usize,
    /// The number of operations that are to be submitted, in this batch and later ones.
    /// Those that are staged meanwhile are left to others: an endless stream of them would
    /// keep this thread submitting.
    pub(crate) left: usize,
    /// `None` in a forked child.
    context: Option<AioContext>,
}

impl Submission {
    /// Creates an empty submission.
    #[inline]
    pub(crate) const fn new() -> Submission {
        Submission {
            iocbs: [const { MaybeUninit::uninit() }; BATCH],
            tags: [const { MaybeUninit::uninit() }; BATCH],
            len: 0,
            left: 0,
            context: None,
        }
    }

    #[inline]
    pub(crate) fn clear(&mut self) {
        self.len = 0;
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[inline]
    pub(super) fn iocbs(&self) -> &[*mut Iocb] {
        // SAFETY: `Slots::take_batch` initialised the first `len` elements.
        unsafe { core::slice::from_raw_parts(self.iocbs.as_ptr().cast(), self.len) }
    }

    #[inline]
    fn tags(&self) -> &[Tag] {
        // SAFETY: `Slots::take_batch` initialised the first `len` elements.
        unsafe { core::slice::from_raw_parts(self.tags.as_ptr().cast(), self.len) }
    }

    /// Submits the batch. Returns the number of operations accepted from its front.
    ///
    /// # Errors
    /// Those of io_submit for the first operation. EINVAL in a forked child.
    ///
    /// # Safety
    /// The promise of [`Engine::submit`] holds for each operation of the batch. The
    /// context and the slots exist until this function returns.
    #[inline]
    pub(crate) unsafe fn submit(&self) -> Result<usize, Errno> {
        let context = self.context.ok_or(Errno::INVAL)?;
        let iocbs = self.iocbs();
        // SAFETY: the caller promises that the slots, to which the pointers lead, and the
        // context exist, and the promise of `Engine::submit` for the memory. A slice has
        // no more than isize::MAX elements.
        unsafe { sys::io_submit(context, iocbs.len() as isize, iocbs.as_ptr()) }
    }
}

impl<P, X: Extra> Slots<'_, P, X> {
    /// Takes the first staged operations, at most [`BATCH`]. They count as in flight from
    /// here on. The caller checks that there is one.
    #[inline]
    pub(super) fn take_batch(&mut self, submission: &mut Submission) {
        let count = self.staged().min(BATCH);
        let mut put = |(iocb, tag): (&mut MaybeUninit<*mut Iocb>, &mut MaybeUninit<Tag>)| {
            let (taken, first) = self.take_first_staged();
            iocb.write(first);
            tag.write(taken);
        };
        let mut places = submission.iocbs.iter_mut().zip(&mut submission.tags);
        // The first one is separate, as in `batch`.
        places.by_ref().take(1).for_each(&mut put);
        places.take(count - 1).for_each(put);
        submission.len = count;
    }
}

impl<P, X: Extra> Engine<'_, P, X, ContextBackend> {
    /// Takes the next staged operations for a submission outside the lock. Leaves it empty
    /// if nothing is staged.
    #[inline]
    pub(crate) fn take_submission(&mut self, submission: &mut Submission) {
        if self.slots.staged() == 0 {
            submission.len = 0;
            return;
        }
        self.slots.take_batch(submission);
        submission.context = self.backend.own_context();
    }
}

impl<P, X: Extra, K: Backend> Engine<'_, P, X, K> {
    /// Records the result of a submission.
    ///
    /// Operations that the kernel did not accept are staged again, before all others and
    /// in order. One that it refused is completed with the error. After EAGAIN it stays
    /// staged while something is in flight, whose completion makes room.
    #[inline]
    pub(crate) fn finish_submission(
        &mut self,
        submission: &Submission,
        result: Result<usize, Errno>,
    ) -> Submitted {
        let accepted = result.unwrap_or(0);
        if accepted == submission.len {
            return Submitted::All;
        }
        self.finish_partial(submission, accepted, result)
    }

    #[cold]
    fn finish_partial(
        &mut self,
        submission: &Submission,
        accepted: usize,
        result: Result<usize, Errno>,
    ) -> Submitted {
        let first = self.stage_rest_again(submission, accepted);
        let errno = match result {
            Ok(0) => Errno::AGAIN,
            Ok(_) => return Submitted::Part,
            Err(errno) => errno,
        };
        if errno == Errno::AGAIN && self.backend.make_room() {
            return Submitted::Part;
        }
        if self.waits_for_room(errno) {
            return Submitted::NoRoom;
        }
        if let Some(at) = first {
            self.complete_staged(at, errno);
        }
        Submitted::Refused
    }

    /// Stages the operations behind the accepted ones again, before all others and in
    /// order. Returns the slot of the first.
    pub(crate) fn stage_rest_again(
        &mut self,
        submission: &Submission,
        accepted: usize,
    ) -> Option<SlotOffset> {
        let mut first = None;
        let rest = submission.tags().get(accepted..).unwrap_or(&[]);
        for &tag in rest.iter().rev() {
            first = self.slots.stage_again(tag);
        }
        first
    }

    /// Publishes the reader's position, which makes room in the kernel. Returns whether
    /// there was anything to publish.
    pub(crate) fn make_room(&mut self) -> bool {
        self.backend.make_room()
    }

    /// Returns whether an operation that the kernel did not accept stays staged: there is no
    /// free entry now, and something in flight, whose completion frees one.
    pub(super) fn waits_for_room(&self, errno: Errno) -> bool {
        errno == Errno::AGAIN && self.slots.in_flight() > 0
    }

    /// Completes a staged operation with an error.
    pub(crate) fn complete_staged(&mut self, at: SlotOffset, errno: Errno) {
        // This comes first: the tag of an operation that is in no list and not yet
        // completed equals that of one in flight.
        self.complete_found();
        self.slots.unstage(at);
        self.complete(at, refusal(errno));
    }

    /// Returns the state of an operation of a submission, or `None` if its slot has been
    /// released since.
    #[cold]
    pub(crate) fn state_of(&self, submission: &Submission, index: usize) -> Option<OpState> {
        let tag = *submission.tags().get(index)?;
        self.slots.state_of(tag)
    }
}

/// The outcome of a submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Submitted {
    /// The kernel accepted every operation.
    All,
    /// Operations are staged again, and are to be submitted at once.
    Part,
    /// The kernel refused an operation, which is completed; those behind it are to be
    /// submitted.
    Refused,
    /// Operations are staged again, until a completion makes room.
    NoRoom,
}
