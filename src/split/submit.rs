//! [`SubmitHalf`]: stages and submits operations.

use core::fmt;
use core::ops::Deref;

use super::SplitQueue;
use crate::buffer::IoBuf;
use crate::completion::Full;
use crate::context::SubmitError;
use crate::engine::{OpState, Submission, Ticket};
use crate::op::Op;
#[cfg(doc)]
use crate::queue::Queue;
use crate::reactor::Lock;
use crate::sys::errno::Errno;

/// The half of a [`SplitQueue`] that stages, submits and cancels operations. Its clones use
/// the same queue.
///
/// # Examples
/// ```
/// # #[cfg(not(feature = "std"))] fn main() {}
/// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
/// use linux_aio::Queue;
/// use linux_aio::op::Read;
/// use linux_aio::reactor::Shared;
/// use linux_aio::split::SplitQueue;
/// use std::fs::File;
///
/// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
/// let file = File::open("/dev/null").unwrap();
/// let mut split = SplitQueue::<_, Shared>::new(Queue::<Vec<u8>>::with_capacity(4)?);
/// let (submit, reap) = split.halves();
/// // Two threads that submit.
/// std::thread::scope(|threads| {
///     for submit in [submit.clone(), submit] {
///         let file = &file;
///         threads.spawn(move || {
///             submit.push(Read::new(file, vec![0; 4])).unwrap();
///             submit.submit().unwrap();
///         });
///     }
/// });
/// assert_eq!(reap.in_flight(), 2);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct SubmitHalf<S>(pub(super) S);

impl<'q, B, L, T, S> SubmitHalf<S>
where
    B: IoBuf + 'static,
    L: Lock,
    S: Deref<Target = SplitQueue<'q, B, L, T>>,
    T: 'q,
{
    /// Stages an operation, as [`Queue::push`] does. It is in flight only after
    /// [`submit`](SubmitHalf::submit). It signals the eventfd that the queue was given
    /// ([`Queue::eventfd`]) if it has none of its own.
    ///
    /// # Errors
    /// Returns [`Full`] with the operation if every slot is taken. The reaping half frees a
    /// slot with each completion that it returns.
    ///
    /// # Examples
    /// ```
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
    /// use linux_aio::Queue;
    /// use linux_aio::op::Read;
    /// use linux_aio::reactor::Shared;
    /// use linux_aio::split::SplitQueue;
    /// use std::fs::File;
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let file = File::open("/dev/null").unwrap();
    /// let mut split = SplitQueue::<_, Shared>::new(Queue::<Vec<u8>>::with_capacity(1)?);
    /// let (submit, _reap) = split.halves();
    /// submit.push(Read::new(&file, vec![0; 4])).unwrap();
    /// // The only slot is taken.
    /// assert!(submit.push(Read::new(&file, vec![0; 4])).is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn push(&self, op: impl Into<Op<'q, B, T>>) -> Result<Ticket, Full<Op<'q, B, T>>> {
        let op = op.into();
        let before = *op.iocb();
        // User code runs in `prepare`, so it comes before the lock is taken.
        let (iocb, payload) = op.prepare();
        let staged = self.0.with(|inner| {
            if !inner.queue.engine.slots.reserve() {
                return Err(payload);
            }
            let ticket = inner.queue.stage(&iocb, payload);
            inner.queue.engine.signal_last_staged();
            Ok(ticket)
        });
        // SAFETY: the iocb and the payload are those of one operation, whose descriptor
        // outlives `'q`.
        staged.map_err(|payload| Full(unsafe { Op::restore(before, payload) }))
    }

    /// Submits the staged operations in order, as [`Queue::submit`] does, and returns the
    /// number of operations submitted. The lock is free during the system calls.
    /// Operations that another thread stages meanwhile may stay staged, until that thread
    /// submits.
    ///
    /// # Errors
    /// Returns the number of operations submitted, and the error with which the kernel
    /// refused the next one, which stays staged with all behind it: see [`Queue::submit`].
    /// EAGAIN: the context has no free entry until the other half has taken completions.
    /// EINVAL in a forked child.
    ///
    /// # Examples
    /// A refused operation is removed, and those behind it are submitted:
    /// ```
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
    /// use linux_aio::Errno;
    /// use linux_aio::reactor::Lock;
    /// use linux_aio::split::{SplitQueue, SubmitHalf};
    ///
    /// fn submit_all<L: Lock>(
    ///     half: &SubmitHalf<&SplitQueue<'_, Vec<u8>, L>>,
    /// ) -> Result<(), Errno> {
    ///     while let Err(error) = half.submit() {
    ///         if error.errno == Errno::AGAIN {
    ///             // The reaping half has to take completions first.
    ///             return Err(error.errno);
    ///         }
    ///         if let Some((ticket, _buffer, ())) = half.unstage() {
    ///             println!("{ticket:?} refused: {}", error.errno);
    ///         }
    ///     }
    ///     Ok(())
    /// }
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// # let file = std::fs::File::create("/dev/null").unwrap();
    /// # let queue = linux_aio::Queue::<Vec<u8>>::with_capacity(4)?;
    /// # let mut split = SplitQueue::<_, linux_aio::reactor::Shared>::new(queue);
    /// # let (submit, _reap) = split.halves();
    /// # submit.push(linux_aio::op::Read::new(&file, vec![0; 4])).unwrap();
    /// # submit_all(&submit)?;
    /// # assert_eq!(submit.free_slots(), 4);
    /// # Ok(())
    /// # }
    /// ```
    pub fn submit(&self) -> Result<usize, SubmitError> {
        let (mut submitted, mut wanted) = (0, usize::MAX);
        let mut submission = Submission::new();
        while submitted < wanted {
            self.0.with(|inner| {
                let engine = &mut inner.queue.engine;
                wanted = wanted.min(submitted + engine.slots.staged());
                engine.take_submission(&mut submission);
                inner.submitting += usize::from(!submission.is_empty());
            });
            if submission.is_empty() {
                break;
            }
            // SAFETY: each operation was staged by `push`: its iocb describes only the
            // buffer in its slot, which is inaccessible until the operation has completed,
            // and its descriptor is borrowed for `'q` or owned by the slot. The queue,
            // which has the context and the slots, exists as long as this half.
            let result = unsafe { submission.submit() };
            let accepted = result.unwrap_or(0);
            submitted += accepted;
            let room = self.0.with(|inner| {
                inner.submitting -= 1;
                let engine = &mut inner.queue.engine;
                engine.stage_rest_again(&submission, accepted);
                // Events that were taken may not have been published to the kernel yet;
                // that makes room. A wait has published them.
                result == Err(Errno::AGAIN) && !inner.waits && engine.make_room()
            });
            let errno = match result {
                Ok(0) => Errno::AGAIN,
                Err(errno) if !room => errno,
                _ => continue,
            };
            return Err(SubmitError { submitted, errno });
        }
        Ok(submitted)
    }

    /// Removes the first staged operation, and returns its ticket, its buffer and its
    /// data, as [`Queue::unstage`] does.
    ///
    /// # Examples
    /// ```
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
    /// use linux_aio::Queue;
    /// use linux_aio::op::Read;
    /// use linux_aio::reactor::Shared;
    /// use linux_aio::split::SplitQueue;
    /// use std::fs::File;
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let file = File::open("/dev/null").unwrap();
    /// let mut split = SplitQueue::<_, Shared>::new(Queue::<Vec<u8>>::with_capacity(4)?);
    /// let (submit, _reap) = split.halves();
    /// let ticket = submit.push(Read::new(&file, vec![7; 4])).unwrap();
    /// assert_eq!(submit.unstage(), Some((ticket, Some(vec![7; 4]), ())));
    /// assert_eq!(submit.unstage(), None);
    /// # Ok(())
    /// # }
    /// ```
    pub fn unstage(&self) -> Option<(Ticket, Option<B>, T)> {
        self.0.with(|inner| inner.queue.unstage())
    }

    /// Cancels an operation in flight. The reaping half takes its completion.
    ///
    /// # Errors
    /// - EBUSY: the operation is staged and not submitted. ([`Queue::cancel`] completes it
    ///   with ECANCELED; here a completion without an event would not end a wait of the
    ///   reaping half.) [`unstage`](SubmitHalf::unstage) removes staged operations. Also if a
    ///   [`submit`](SubmitHalf::submit) that another thread runs now may have the operation:
    ///   the kernel may not know it before that has returned.
    /// - Otherwise those of [`Queue::cancel`].
    ///
    /// # Examples
    /// ```
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
    /// use linux_aio::Queue;
    /// use linux_aio::op::Poll;
    /// use linux_aio::opcode::PollMask;
    /// use linux_aio::reactor::Shared;
    /// use linux_aio::split::SplitQueue;
    /// use linux_aio::{Errno, WaitOptions};
    /// use std::os::unix::net::UnixStream;
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// # if !linux_aio::Probe::new()?.supports(linux_aio::abi::IOCB_CMD_POLL) { return Ok(()) }
    /// let (socket, _peer) = UnixStream::pair().unwrap();
    /// let mut split = SplitQueue::<_, Shared>::new(Queue::<Vec<u8>>::with_capacity(4)?);
    /// let (submit, mut reap) = split.halves();
    /// let poll = submit.push(Poll::new(&socket, PollMask::IN)).unwrap();
    /// assert_eq!(submit.cancel(poll), Err(Errno::BUSY));
    /// submit.submit().unwrap();
    /// submit.cancel(poll)?;
    /// assert_eq!(reap.wait(WaitOptions::new())?.unwrap().result, Ok(0));
    /// # Ok(())
    /// # }
    /// ```
    pub fn cancel(&self, ticket: Ticket) -> Result<(), Errno> {
        self.0.with(|inner| {
            let engine = &mut inner.queue.engine;
            let in_flight = match engine.slots.find(ticket) {
                Some(OpState::Staged(_)) => return Err(Errno::BUSY),
                Some(OpState::InFlight(_)) => true,
                Some(OpState::Completed(_)) | None => false,
            };
            let cancelled = engine.cancel(ticket);
            let submitted = inner.submitting > 0 && engine.backend.is_own();
            match cancelled {
                // The kernel may not have it yet.
                Err(Errno::INVAL) if in_flight && submitted => Err(Errno::BUSY),
                cancelled => cancelled,
            }
        })
    }

    /// Returns the number of slots.
    ///
    /// # Examples
    /// ```
    /// # #[cfg(not(feature = "alloc"))] fn main() {}
    /// # #[cfg(feature = "alloc")] fn main() -> Result<(), linux_aio::Errno> {
    /// use linux_aio::Queue;
    /// use linux_aio::reactor::Local;
    /// use linux_aio::split::SplitQueue;
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let mut split = SplitQueue::<_, Local>::new(Queue::<Vec<u8>>::with_capacity(4)?);
    /// let (submit, _reap) = split.halves();
    /// assert_eq!(submit.capacity(), 4);
    /// # Ok(())
    /// # }
    /// ```
    pub fn capacity(&self) -> usize {
        self.0.with(|inner| inner.queue.capacity())
    }

    /// Returns the number of free slots.
    ///
    /// # Examples
    /// ```
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
    /// use linux_aio::Queue;
    /// use linux_aio::op::Read;
    /// use linux_aio::reactor::Shared;
    /// use linux_aio::split::SplitQueue;
    /// use std::fs::File;
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let file = File::open("/dev/null").unwrap();
    /// let mut split = SplitQueue::<_, Shared>::new(Queue::<Vec<u8>>::with_capacity(4)?);
    /// let (submit, mut reap) = split.halves();
    /// submit.push(Read::new(&file, vec![0; 4])).unwrap();
    /// submit.submit().unwrap();
    /// assert_eq!(submit.free_slots(), 3);
    /// // A completion that is returned frees its slot.
    /// reap.pop()?.unwrap();
    /// assert_eq!(submit.free_slots(), 4);
    /// # Ok(())
    /// # }
    /// ```
    pub fn free_slots(&self) -> usize {
        self.0.with(|inner| inner.queue.engine.slots.free())
    }

    /// Returns the number of staged operations.
    ///
    /// # Examples
    /// ```
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
    /// use linux_aio::Queue;
    /// use linux_aio::op::Read;
    /// use linux_aio::reactor::Shared;
    /// use linux_aio::split::SplitQueue;
    /// use std::fs::File;
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let file = File::open("/dev/null").unwrap();
    /// let mut split = SplitQueue::<_, Shared>::new(Queue::<Vec<u8>>::with_capacity(4)?);
    /// let (submit, _reap) = split.halves();
    /// submit.push(Read::new(&file, vec![0; 4])).unwrap();
    /// assert_eq!(submit.staged(), 1);
    /// submit.submit().unwrap();
    /// assert_eq!(submit.staged(), 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn staged(&self) -> usize {
        self.0.with(|inner| inner.queue.staged())
    }
}

impl<S> fmt::Debug for SubmitHalf<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubmitHalf").finish_non_exhaustive()
    }
}
