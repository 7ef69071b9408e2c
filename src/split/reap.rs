//! [`ReapHalf`]: takes completions.

use core::fmt;
use core::ops::Deref;

use super::{Inner, SplitQueue};
use crate::buffer::IoBuf;
use crate::completion::Completion;
use crate::context::WaitOptions;
use crate::engine::BATCH;
#[cfg(doc)]
use crate::queue::Queue;
use crate::reactor::Lock;
use crate::sys::abi::{AioContext, Event};
use crate::sys::errno::Errno;
use crate::sys::getevents::wait_for_events;

/// The half of a [`SplitQueue`] that takes completions. There is only one, and one thread
/// uses it at a time.
///
/// # Examples
/// ```
/// # #[cfg(not(feature = "std"))] fn main() {}
/// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
/// use linux_aio::reactor::Shared;
/// use linux_aio::split::{ReapHalf, SplitQueue};
/// use linux_aio::{Errno, WaitOptions};
/// use std::sync::Arc;
///
/// type Shares = Arc<SplitQueue<'static, Vec<u8>, Shared>>;
///
/// /// The thread that takes completions, until one of them has the result 0.
/// fn reap_all(mut reap: ReapHalf<Shares>) -> Result<(), Errno> {
///     while let Some(done) = reap.wait(WaitOptions::new())? {
///         println!("{:?}: {:?}", done.ticket, done.result);
///         if done.result == Ok(0) {
///             break;
///         }
///     }
///     Ok(())
/// }
/// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
/// # let file = std::fs::File::open("/dev/null").unwrap();
/// # let mut queue = linux_aio::Queue::<Vec<u8>>::with_capacity(4)?;
/// # let file: &'static std::fs::File = Box::leak(Box::new(file));
/// # queue.push(linux_aio::op::Read::new(file, vec![0; 4])).unwrap();
/// # let (submit, reap) = SplitQueue::new(queue).into_halves();
/// # submit.submit()?;
/// # reap_all(reap)?;
/// # Ok(())
/// # }
/// ```
pub struct ReapHalf<S>(pub(super) S);

impl<'q, B, L, T, S> ReapHalf<S>
where
    B: IoBuf + 'static,
    L: Lock,
    S: Deref<Target = SplitQueue<'q, B, L, T>>,
    T: 'q,
{
    /// Returns the next completion, if there is one, without waiting, as [`Queue::pop`]
    /// does.
    ///
    /// # Errors
    /// Those of [`Queue::pop`].
    ///
    /// # Examples
    /// ```
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
    /// use linux_aio::op::Read;
    /// use linux_aio::Queue;
    /// use linux_aio::reactor::Shared;
    /// use linux_aio::split::SplitQueue;
    /// use std::fs::File;
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let file = File::open("/dev/null").unwrap();
    /// let mut split = SplitQueue::<_, Shared>::new(Queue::<Vec<u8>>::with_capacity(4)?);
    /// let (submit, mut reap) = split.halves();
    /// assert!(reap.pop()?.is_none());
    /// submit.push(Read::new(&file, vec![0; 4])).unwrap();
    /// submit.submit().unwrap();
    /// assert_eq!(reap.pop()?.unwrap().result, Ok(0));
    /// # Ok(())
    /// # }
    /// ```
    pub fn pop(&mut self) -> Result<Option<Completion<Option<B>, T>>, Errno> {
        let taken = self.0.with(|inner| inner.queue.pop_raw());
        Ok(taken?.map(|taken| taken.into_completion()))
    }

    /// Waits until an operation has completed, and returns its completion. `wait` sets the
    /// timeout and the signal mask. Returns `None` after the timeout.
    ///
    /// The lock is free during the wait, so the other half can submit. There are two
    /// differences to [`Queue::wait`]: staged operations are not submitted, and the
    /// function waits also if nothing is in flight, because the other half may submit. To
    /// end a wait without a timeout, submit an operation that completes at once, such as a
    /// [`Poll`](crate::op::Poll) of an eventfd that is readable.
    ///
    /// # Errors
    /// Those of [`Context::wait_with`](crate::Context::wait_with), such as EINTR after a
    /// signal. No completion is lost by an error. EINVAL in a forked child.
    ///
    /// # Examples
    /// ```
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
    /// use linux_aio::Queue;
    /// use linux_aio::WaitOptions;
    /// use linux_aio::reactor::Shared;
    /// use linux_aio::split::SplitQueue;
    /// use std::time::Duration;
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let mut split = SplitQueue::<_, Shared>::new(Queue::<Vec<u8>>::with_capacity(4)?);
    /// let (_submit, mut reap) = split.halves();
    /// // Nothing is in flight, but the other half could submit: the timeout elapses.
    /// let wait = WaitOptions::new().timeout(Duration::from_millis(1));
    /// assert!(reap.wait(wait)?.is_none());
    /// # Ok(())
    /// # }
    /// ```
    pub fn wait(
        &mut self,
        wait: WaitOptions<'_>,
    ) -> Result<Option<Completion<Option<B>, T>>, Errno> {
        if let Some(completion) = self.pop()? {
            return Ok(Some(completion));
        }
        if wait.is_poll() {
            return Ok(None);
        }
        loop {
            let context = self.0.with(Inner::begin_wait);
            let context = context.ok_or(Errno::INVAL)?;
            let mut events = [Event::EMPTY; BATCH];
            // SAFETY: this is the only reaping half, it is borrowed exclusively, and the
            // submitting half does not write the ring's head while `waits` is set. So
            // nothing reads the ring in user space during the call. The context exists as
            // long as this half.
            let count = unsafe { wait_for_events(context, 1, &mut events, wait) };
            self.0
                .with(|inner| inner.end_wait(events.iter().take(count.unwrap_or(0))));
            let (count, next) = (count?, self.pop()?);
            // Events of foreign operations do not end a wait without a limit.
            if next.is_some() || count == 0 || !wait.is_forever() {
                return Ok(next);
            }
        }
    }

    /// Returns the number of submitted operations whose events have not been taken from
    /// the ring, as [`Queue::in_flight`] does.
    ///
    /// # Examples
    /// ```
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
    /// use linux_aio::op::Read;
    /// use linux_aio::Queue;
    /// use linux_aio::reactor::Shared;
    /// use linux_aio::split::SplitQueue;
    /// use std::fs::File;
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let file = File::open("/dev/null").unwrap();
    /// let mut split = SplitQueue::<_, Shared>::new(Queue::<Vec<u8>>::with_capacity(4)?);
    /// let (submit, reap) = split.halves();
    /// submit.push(Read::new(&file, vec![0; 4])).unwrap();
    /// assert_eq!(reap.in_flight(), 0);
    /// submit.submit().unwrap();
    /// assert_eq!(reap.in_flight(), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn in_flight(&self) -> usize {
        self.0.with(|inner| inner.queue.in_flight())
    }
}

#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
impl<'q, B: IoBuf + 'static, L: Lock, T> ReapHalf<alloc::sync::Arc<SplitQueue<'q, B, L, T>>> {
    /// Returns the queue, with its operations, if every submitting half has been dropped.
    ///
    /// # Errors
    /// Returns this half if a submitting half exists.
    ///
    /// # Examples
    /// ```
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
    /// use linux_aio::Queue;
    /// use linux_aio::reactor::Shared;
    /// use linux_aio::split::SplitQueue;
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let queue = Queue::<Vec<u8>>::with_capacity(4)?;
    /// let (submit, reap) = SplitQueue::<_, Shared>::new(queue).into_halves();
    /// let reap = reap.into_queue().unwrap_err();
    /// drop(submit);
    /// let queue = reap.into_queue().unwrap();
    /// # Ok(())
    /// # }
    /// ```
    pub fn into_queue(self) -> Result<crate::Queue<'q, B, T>, Self> {
        match alloc::sync::Arc::try_unwrap(self.0) {
            Ok(split) => Ok(split.into_queue()),
            Err(share) => Err(ReapHalf(share)),
        }
    }
}

impl<B: IoBuf + 'static, T> Inner<'_, B, T> {
    /// Prepares a wait in the kernel, outside the lock. Returns `None` in a forked child.
    fn begin_wait(&mut self) -> Option<AioContext> {
        let context = self.queue.engine.backend.begin_wait();
        self.waits = context.is_some();
        context
    }

    /// Records the events that the wait has returned.
    fn end_wait<'e>(&mut self, events: impl Iterator<Item = &'e Event>) {
        self.waits = false;
        self.queue.engine.backend.end_wait();
        self.queue.engine.take_returned(events);
    }
}

impl<S> fmt::Debug for ReapHalf<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReapHalf").finish_non_exhaustive()
    }
}
