//! A queue whose two halves belong to two threads: one submits, the other takes the
//! completions.
//!
//! A [`SplitQueue`] is created from a [`Queue`]. Its halves borrow it
//! ([`halves`](SplitQueue::halves)) or share its ownership (`into_halves`, feature
//! `alloc`). A [`SubmitHalf`] stages, submits and cancels operations, and can be cloned
//! for more threads. The [`ReapHalf`], of which there is one, takes completions.
//!
//! Each half takes a [`Lock`] for its access to the slots. The lock is free during
//! `io_submit(2)`, which blocks where an operation does ([`Read`](crate::op::Read)), and
//! during the wait for completions.
//!
//! # Invariants
//! - Only the reaping half reads the ring, and it is not `Clone`. Where the context has no
//!   free entry, the submitting half stores the ring's head, which returns the entries of
//!   the events that were taken. It does not during a wait of the reaping half, because
//!   the kernel stores the head in that system call.
//! - No user code runs under the lock.
//!
//! # Examples
//! ```
//! # #[cfg(not(feature = "std"))] fn main() {}
//! # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
//! use linux_aio::op::Read;
//! use linux_aio::reactor::Shared;
//! use linux_aio::split::SplitQueue;
//! use linux_aio::{Errno, Queue, WaitOptions};
//! use std::fs::File;
//! use std::sync::Arc;
//!
//! # if let Err(Errno::NOSYS) = linux_aio::Context::new(1) { return Ok(()) }
//! let queue = Queue::<Vec<u8>, Arc<File>>::with_capacity(64)?;
//! let (submit, mut reap) = SplitQueue::<_, Shared, _>::new(queue).into_halves();
//! let reaper = std::thread::spawn(move || {
//!     let done = reap.wait(WaitOptions::new()).unwrap().unwrap();
//!     (done.result, done.buffer.unwrap())
//! });
//! let file = Arc::new(File::open("/proc/self/exe").unwrap());
//! submit.push(Read::owned(file, vec![0; 4])).unwrap();
//! submit.submit()?;
//! assert_eq!(reaper.join().unwrap(), (Ok(4), b"\x7fELF".to_vec()));
//! # Ok(())
//! # }
//! ```

use core::cell::UnsafeCell;
use core::fmt;

use crate::buffer::IoBuf;
use crate::queue::Queue;
use crate::reactor::Lock;

mod reap;
mod submit;

pub use reap::ReapHalf;
pub use submit::SubmitHalf;

/// A queue that is used through its halves: see the [module](self).
///
/// `L` is the lock between them: `Shared` (feature `std`), or a custom [`Lock`]. The other
/// parameters are those of [`Queue`].
///
/// Dropping it drops the queue, which **blocks until every submitted operation has
/// completed**.
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
/// // With the lock `Local` both halves stay in one thread.
/// let queue = Queue::<Vec<u8>>::with_capacity(4)?;
/// let mut split = SplitQueue::<_, Local>::new(queue);
/// let (submit, mut reap) = split.halves();
/// assert_eq!(submit.submit(), Ok(0));
/// assert!(reap.pop()?.is_none());
/// # Ok(())
/// # }
/// ```
pub struct SplitQueue<'q, B: IoBuf + 'static, L: Lock, T = ()> {
    lock: L,
    inner: UnsafeCell<Inner<'q, B, T>>,
}

/// The part that the lock protects.
struct Inner<'q, B: IoBuf + 'static, T> {
    queue: Queue<'q, B, T>,
    /// The reaping half waits in the kernel, which moves the ring's head.
    waits: bool,
    /// The number of submissions that run outside the lock now.
    submitting: usize,
}

// SAFETY: the queue is `Send` if its buffers and data are. `inner` is accessed under the
// lock alone, which excludes other threads. Buffers and data are moved in and out, and
// never shared.
unsafe impl<B: IoBuf + Send + 'static, L: Lock + Sync, T: Send> Sync for SplitQueue<'_, B, L, T> {}

impl<'q, B: IoBuf + 'static, L: Lock, T> SplitQueue<'q, B, L, T> {
    /// Wraps a queue, which may contain operations. Its tickets stay valid.
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
    /// let mut queue = Queue::<Vec<u8>>::with_capacity(4)?;
    /// let ticket = queue.push(Read::new(&file, vec![0; 4])).unwrap();
    /// let mut split = SplitQueue::<_, Shared>::new(queue);
    /// let (submit, mut reap) = split.halves();
    /// submit.submit().unwrap();
    /// assert_eq!(reap.pop()?.unwrap().ticket, ticket);
    /// # Ok(())
    /// # }
    /// ```
    pub fn new(mut queue: Queue<'q, B, T>) -> SplitQueue<'q, B, L, T> {
        queue.engine.signal_staged();
        SplitQueue {
            lock: L::NEW,
            inner: UnsafeCell::new(Inner {
                queue,
                waits: false,
                submitting: 0,
            }),
        }
    }

    /// Returns the two halves, which borrow the queue. They can be used by scoped threads.
    ///
    /// # Examples
    /// ```
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
    /// use linux_aio::op::Read;
    /// use linux_aio::reactor::Shared;
    /// use linux_aio::split::SplitQueue;
    /// use linux_aio::{Errno, Queue, WaitOptions};
    /// use std::fs::File;
    ///
    /// # if let Err(Errno::NOSYS) = linux_aio::Context::new(1) { return Ok(()) }
    /// let file = File::open("/proc/self/exe").unwrap();
    /// let mut split = SplitQueue::<_, Shared>::new(Queue::<Vec<u8>>::with_capacity(4)?);
    /// let (submit, mut reap) = split.halves();
    /// std::thread::scope(|threads| {
    ///     threads.spawn(|| {
    ///         submit.push(Read::new(&file, vec![0; 4])).unwrap();
    ///         submit.submit().unwrap();
    ///     });
    ///     let done = reap.wait(WaitOptions::new()).unwrap().unwrap();
    ///     assert_eq!(done.result, Ok(4));
    /// });
    /// // The queue can be used as a whole again.
    /// let queue = split.into_queue();
    /// assert_eq!(queue.in_flight(), 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn halves(&mut self) -> (SubmitHalf<&Self>, ReapHalf<&Self>) {
        let this = &*self;
        (SubmitHalf(this), ReapHalf(this))
    }

    /// Returns the two halves, each of which owns a share of the queue. Dropping the last
    /// one drops the queue, which blocks; [`ReapHalf::into_queue`] returns it.
    ///
    /// # Examples
    /// ```
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
    /// use linux_aio::op::Read;
    /// use linux_aio::reactor::Shared;
    /// use linux_aio::split::SplitQueue;
    /// use linux_aio::{Queue, WaitOptions};
    /// use std::fs::File;
    /// use std::sync::Arc;
    /// use std::thread;
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let file = Arc::new(File::open("/dev/null").unwrap());
    /// let queue = Queue::<Vec<u8>, Arc<File>>::with_capacity(4)?;
    /// let (submit, mut reap) = SplitQueue::<_, Shared, _>::new(queue).into_halves();
    /// // Each half can be moved to a thread that is not scoped.
    /// let submitter = thread::spawn(move || {
    ///     submit.push(Read::owned(file, vec![0; 4])).unwrap();
    ///     submit.submit().unwrap()
    /// });
    /// let done = reap.wait(WaitOptions::new())?.unwrap();
    /// assert_eq!((done.result, submitter.join().unwrap()), (Ok(0), 1));
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
    pub fn into_halves(
        self,
    ) -> (
        SubmitHalf<alloc::sync::Arc<Self>>,
        ReapHalf<alloc::sync::Arc<Self>>,
    ) {
        let this = alloc::sync::Arc::new(self);
        (SubmitHalf(this.clone()), ReapHalf(this))
    }

    /// Returns the queue, with its operations.
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
    /// let split = SplitQueue::<_, Local>::new(Queue::<Vec<u8>>::with_capacity(4)?);
    /// let context = split.into_queue().into_idle_context()?;
    /// assert_eq!(context.capacity(), 4);
    /// # Ok(())
    /// # }
    /// ```
    pub fn into_queue(self) -> Queue<'q, B, T> {
        self.inner.into_inner().queue
    }

    /// Runs `f` under the lock. `f` runs no user code and does not nest calls.
    #[inline]
    fn with<O>(&self, f: impl FnOnce(&mut Inner<'q, B, T>) -> O) -> O {
        self.lock.with(|| {
            // SAFETY: the lock excludes other threads. No closure that is passed here
            // runs user code, so this thread does not nest calls either: the reference
            // is unique.
            f(unsafe { &mut *self.inner.get() })
        })
    }
}

impl<B: IoBuf + 'static, L: Lock, T> fmt::Debug for SplitQueue<'_, B, L, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SplitQueue").finish_non_exhaustive()
    }
}
