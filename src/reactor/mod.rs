//! Operations as futures, for any executor; this module brings no runtime.
//!
//! A [`Reactor`] owns a context and the operations in flight. Its futures read, write,
//! sync and poll. They are woken when a call polls the completion ring:
//!
//! - An executor that has nothing else to wait for calls [`Reactor::wait`], which
//!   blocks in the kernel until an operation has completed. With a reactor that several
//!   threads share, it calls `Reactor::wait_eventfd` (feature `std`).
//! - An executor that waits for other events too calls [`Reactor::turn`] whenever the
//!   eventfd passed to [`Reactor::eventfd`] is readable.
//!
//! Tasks that wait for a free slot get one in order of arrival. An operation keeps its
//! slot until its future is polled or dropped ([`Reactor::free_slots`]).
//!
//! The poll of a future submits its operation (unless the reactor is
//! [batched](Reactor::batched)), and **blocks where the submission does**: see
//! [`Read`]. With a lock between threads, only the thread that submits is blocked: the
//! lock is free during `io_submit(2)`. In a batched reactor that is the thread that calls
//! [`turn`](Reactor::turn). A reactor is for direct I/O, fsync and polls; data that is in
//! the page cache takes microseconds.
//!
//! Dropping a future does not stop its operation: the reactor keeps the buffer until
//! the operation has completed, and drops it then. Polls, and operations that were not
//! submitted yet, are cancelled.
//!
//! # User code
//! Wakers, and destructors of buffers and data, run while the reactor's lock is free
//! and the state of every operation is consistent. They may call the reactor and its
//! futures, and they may panic. A panic propagates to the caller of `turn`, `wait`,
//! `poll` or `drop`; no other task's wake-up is lost.
//!
//! Without the feature `std` a panic ends that `turn`. The next one wakes the other
//! tasks; the eventfd is signalled for it.

mod deferred;
mod eventfd;
mod future;
mod handle;
mod inner;
mod lock;
mod wait_idle;
mod waiters;
mod whole;

use core::cell::UnsafeCell;
use core::fmt;
use core::mem::MaybeUninit;

use crate::buffer::{IoBuf, IoBufMut};
use crate::completion::Full;
#[cfg(doc)]
use crate::context::Context;
use crate::context::IdleContext;
use crate::context::WaitOptions;
use crate::engine::{ContextBackend, Engine, Submission, slot_type};
use crate::fd::Fd;
use crate::op::{Fdsync, Fsync, Op, Operation, Poll, Read, WithoutBuffer, Write};
use crate::opcode::{PollMask, RawFd};
use crate::sys::abi::Iocb;
use crate::sys::errno::Errno;

use eventfd::Signals;
pub use future::OpFuture;
use handle::Access;
pub use handle::Handle;
use inner::{Awaited, Inner, Notice, Payload};
#[cfg(feature = "std")]
pub use lock::Shared;
pub use lock::{Local, Lock};
pub use wait_idle::WaitIdle;

slot_type! {
    /// The storage of one operation of a [`Reactor`], with space for its buffer `B` and for
    /// data `T` that the caller chooses.
    ///
    /// Dropping a slot does not drop what is in it: if the reactor was leaked, the kernel
    /// may still be writing to the buffer.
    ReactorSlot<B, T = ()> = (Option<B>, T), Awaited;
}

/// A context, its operations, and the futures that wait for them.
///
/// `T` is user data that travels with each operation: the owner of its descriptor, a
/// number, any value. A borrowed descriptor must outlive the reactor (`'r`), because
/// the operation of a leaked future may be submitted later.
///
/// Dropping the reactor destroys the context, which **blocks until every operation has
/// completed**. No future is left by then, because each borrows the reactor or owns a
/// share of it.
///
/// # Examples
/// ```
/// use linux_aio::reactor::{Reactor, ReactorSlot};
/// use linux_aio::{Errno, WaitOptions};
/// use std::task::{Context, Poll, Waker};
/// use std::{fs::File, pin::pin};
///
/// # #[cfg(not(feature = "std"))] fn main() {}
/// # #[cfg(feature = "std")] fn main() -> Result<(), Errno> {
/// # if let Err(Errno::NOSYS) = linux_aio::Context::new(1) { return Ok(()) }
/// let file = File::open("/proc/self/exe").unwrap();
/// let memory: &'static mut [u8] = Box::leak(Box::new([0; 4]));
///
/// let mut slots = ReactorSlot::array::<8>();
/// let reactor = Reactor::<&mut [u8]>::new(&mut slots)?;
/// let mut task = pin!(reactor.read(&file, memory, 0));
/// // The smallest executor: one task, and nothing but the reactor to wait for.
/// let done = loop {
///     if let Poll::Ready(done) = task.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
///         break done;
///     }
///     reactor.wait(WaitOptions::new())?;
/// };
/// assert_eq!(done.result?, 4);
/// assert_eq!(done.buffer, b"\x7fELF");
/// # Ok(())
/// # }
/// ```
pub struct Reactor<'r, B: IoBuf + 'static, L: Lock = Local, T = ()> {
    lock: L,
    /// The cell makes the reactor invariant in `'r`: a shared reference cannot
    /// shorten it and accept a descriptor that is closed too early.
    inner: UnsafeCell<Inner<'r, B, T>>,
    eventfd: Option<Fd<'r>>,
    /// The owners of the owned eventfds.
    #[cfg(feature = "alloc")]
    _eventfd_owner: Option<alloc::boxed::Box<dyn crate::fd::OwnsFd + Send + Sync>>,
}

// SAFETY: the waiters that the reactor links are accessed under the lock alone. None is
// polled any more when the reactor can be moved, because each future borrows it or owns a
// share that keeps it in place. The lock, the buffers and the data are `Send`.
unsafe impl<B: IoBuf + Send + 'static, L: Lock + Send, T: Send> Send for Reactor<'_, B, L, T> {}
// SAFETY: `inner` is accessed under the lock alone, which excludes other threads.
// Buffers and data are moved in and out, and never shared.
unsafe impl<B: IoBuf + Send + 'static, L: Lock + Sync, T: Send> Sync for Reactor<'_, B, L, T> {}

impl<'r, B: IoBuf + 'static, L: Lock, T> Reactor<'r, B, L, T> {
    /// Creates a reactor in these slots, with a new context for as many operations.
    ///
    /// # Errors
    /// Those of [`Context::new`]. EINVAL if there are no slots, or millions.
    pub fn new(slots: &'r mut [ReactorSlot<B, T>]) -> Result<Reactor<'r, B, L, T>, Errno> {
        let nr = u32::try_from(slots.len()).map_err(|_| Errno::INVAL)?;
        Ok(Reactor::with_context(IdleContext::new(nr)?, slots))
    }

    /// Creates a reactor with this number of slots on the heap, which it owns, and a new
    /// context for as many operations.
    ///
    /// # Errors
    /// Those of [`Context::new`]; ENOMEM.
    #[cfg(feature = "alloc")]
    pub fn with_capacity(capacity: u32) -> Result<Reactor<'r, B, L, T>, Errno> {
        let context = IdleContext::new(capacity)?;
        let engine = Engine::with_capacity(context.capacity(), context.into_backend())?;
        Ok(Reactor::from_engine(engine, capacity))
    }

    /// Creates a reactor on an existing context.
    ///
    /// It uses as many slots as the context was set up for.
    pub fn with_context(
        context: IdleContext,
        slots: &'r mut [ReactorSlot<B, T>],
    ) -> Reactor<'r, B, L, T> {
        let capacity = context.capacity();
        let len = slots.len().min(capacity);
        let engine = Engine::new(ReactorSlot::raw(&mut slots[..len]), context.into_backend());
        Reactor::from_engine(engine, capacity as u32)
    }

    fn from_engine(
        engine: Engine<'r, (Option<B>, T), Awaited, ContextBackend>,
        capacity: u32,
    ) -> Reactor<'r, B, L, T> {
        Reactor {
            lock: L::NEW,
            inner: UnsafeCell::new(Inner::new(engine, capacity, BUDGET)),
            eventfd: None,
            #[cfg(feature = "alloc")]
            _eventfd_owner: None,
        }
    }

    /// Signals this eventfd whenever [`turn`](Reactor::turn) has work.
    ///
    /// There is work when an operation has completed, when an operation could not be
    /// submitted because the kernel had no free entry, and when a task was woken for a
    /// free slot and has not taken it. The eventfd may also be readable without work.
    /// Read it before the turn, not after it: events in between signal it again.
    ///
    /// The reactor signals an operation's own eventfd when it finds the
    /// completion.
    #[must_use]
    pub fn eventfd(mut self, eventfd: impl Into<Fd<'r>>) -> Reactor<'r, B, L, T> {
        self.eventfd = Some(eventfd.into());
        self.inner.get_mut().has_eventfd = true;
        self
    }

    /// Signals an eventfd that the reactor keeps open: an `Arc` of it, or a duplicate.
    ///
    /// Otherwise as [`eventfd`](Reactor::eventfd).
    #[cfg(feature = "alloc")]
    #[must_use]
    pub fn eventfd_owned(
        mut self,
        eventfd: impl crate::fd::OwnsFd + Send + Sync + 'static,
    ) -> Reactor<'r, B, L, T> {
        // SAFETY: the owner keeps the descriptor open until it is dropped. That happens
        // with the reactor, after which nothing is submitted or signalled.
        let borrowed = unsafe { Fd::borrow_raw(eventfd.raw_fd()) };
        // An earlier eventfd stays open: the operation of a leaked future may be
        // staged with it.
        let before = self._eventfd_owner.take();
        self._eventfd_owner = Some(alloc::boxed::Box::new((eventfd, before)));
        self.eventfd(borrowed)
    }

    /// Submits operations in batches, when [`turn`](Reactor::turn) or
    /// [`wait`](Reactor::wait) is called, instead of each at its future's first poll.
    ///
    /// This takes fewer system calls. It suits an executor that calls one of these
    /// whenever no task is runnable. The eventfd is signalled for the first operation
    /// of each batch.
    #[must_use]
    pub fn batched(mut self) -> Reactor<'r, B, L, T> {
        self.inner.get_mut().batched = true;
        self
    }

    /// Sets the number of operations that may complete in the poll that begins them
    /// before a future yields; the default is 128.
    ///
    /// An operation on cached data completes while it is submitted, in the first poll of
    /// its future. A task that begins one after the other would never return to its
    /// executor: no timeout around it would fire. So when as many have completed since the
    /// last [`turn`](Reactor::turn), the next future returns `Pending` once and wakes its
    /// task. With `u32::MAX` it practically never does.
    #[must_use]
    pub fn budget(mut self, operations: u32) -> Reactor<'r, B, L, T> {
        let inner = self.inner.get_mut();
        (inner.budget, inner.left) = (operations, operations);
        self
    }

    /// Converts an operation into a future.
    ///
    /// The operation begins when the future is first polled and a slot is free.
    ///
    /// If the kernel refuses the operation, the error is its result.
    #[inline]
    pub fn push<O: Operation<'r, B, T>>(&self, op: O) -> OpFuture<&Self, O::Kind> {
        let (iocb, own, payload) = self.prepare(op.into_op());
        // SAFETY: the operation is of its own kind.
        unsafe { OpFuture::new(self, iocb, own, payload) }
    }

    /// Begins an operation now, if a slot is free.
    ///
    /// Unlike that of [`push`](Reactor::push) the operation has begun before the future is
    /// first polled. A future that is dropped unpolled leaves its buffer to the reactor, as
    /// one in flight does.
    ///
    /// # Errors
    /// Returns [`Full`] with the operation if every slot is taken, or if other futures
    /// wait for one.
    pub fn try_push<O: Operation<'r, B, T>>(&self, op: O) -> Begun<'r, &Self, O::Kind> {
        let op = op.into_op();
        if self.with(|inner| inner.is_full()) {
            return Err(Full(op));
        }
        // User code runs in `prepare`, so the slot may be taken afterwards.
        let before = *op.iocb();
        let (iocb, own, payload) = self.prepare(op);
        // SAFETY: the operation is of its own kind.
        let mut future = unsafe { OpFuture::new(self, iocb, own, payload) };
        match future.begin_now() {
            None => Ok(future),
            // SAFETY: the iocb and the payload are those of one operation, whose
            // descriptor outlives `'r`.
            Some(payload) => Err(Full(unsafe { Op::restore(before, payload) })),
        }
    }

    /// Converts an operation into a future that owns a share of the reactor.
    ///
    /// With a `Reactor<'static, …>` the future is `'static`: it can be stored beside the
    /// reactor and spawned.
    ///
    /// Otherwise as [`push`](Reactor::push). The last owner of the reactor destroys its
    /// context, which blocks.
    ///
    /// # Examples
    /// ```
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
    /// # use linux_aio::Errno;
    /// use linux_aio::op::Read;
    /// use linux_aio::reactor::{OpFuture, Reactor, Shared};
    /// use std::fs::File;
    /// use std::sync::Arc;
    ///
    /// # if let Err(Errno::NOSYS) = linux_aio::Context::new(1) { return Ok(()) }
    /// type Shares = Reactor<'static, Vec<u8>, Shared, Arc<File>>;
    ///
    /// /// A file and the read in flight, without a lifetime.
    /// struct Reader {
    ///     file: Arc<File>,
    ///     reactor: Arc<Shares>,
    ///     read: Option<OpFuture<Arc<Shares>>>,
    /// }
    ///
    /// let reactor = Arc::new(Shares::with_capacity(64)?);
    /// let file = Arc::new(File::open("/proc/self/exe").unwrap());
    /// let read = reactor.push_arc(Read::owned(file.clone(), vec![0; 4]));
    /// let reader = Reader { file, reactor, read: Some(read) };
    /// # drop(reader);
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
    pub fn push_arc<O: Operation<'r, B, T>>(
        self: &alloc::sync::Arc<Self>,
        op: O,
    ) -> OpFuture<alloc::sync::Arc<Self>, O::Kind> {
        let (iocb, own, payload) = self.prepare(op.into_op());
        // SAFETY: the operation is of its own kind.
        unsafe { OpFuture::new(self.clone(), iocb, own, payload) }
    }

    /// Converts an operation into a future that owns a share of the reactor, for one
    /// thread.
    ///
    /// Otherwise as `push_arc`.
    #[cfg(feature = "alloc")]
    pub fn push_rc<O: Operation<'r, B, T>>(
        self: &alloc::rc::Rc<Self>,
        op: O,
    ) -> OpFuture<alloc::rc::Rc<Self>, O::Kind> {
        let (iocb, own, payload) = self.prepare(op.into_op());
        // SAFETY: the operation is of its own kind.
        unsafe { OpFuture::new(self.clone(), iocb, own, payload) }
    }

    /// Returns the iocb of an operation, its own eventfd if the reactor signals it, and
    /// its payload.
    #[inline]
    fn prepare(&self, mut op: Op<'r, B, T>) -> Prepared<B, T> {
        let mut own = None;
        if let Some(eventfd) = self.eventfd {
            own = op.signals().map(|RawFd(own)| own);
            // Anything but an eventfd stays in the iocb, and the kernel refuses
            // the operation (EINVAL).
            if own.is_none_or(eventfd::is_anonymous) {
                op.signal(eventfd);
            } else {
                own = None;
            }
        }
        let (iocb, payload) = op.prepare();
        (iocb, own, payload)
    }

    /// Submits the staged operations, polls for completions and wakes their futures.
    ///
    /// Returns the number of operations that completed.
    ///
    /// # Errors
    /// None while the ring is mapped and valid. Otherwise those of [`Context::wait`].
    pub fn turn(&self) -> Result<usize, Errno> {
        self.notify_all(0, WaitOptions::poll())
    }

    /// Returns the number of slots.
    pub fn capacity(&self) -> usize {
        self.with(|inner| inner.engine.slots.len())
    }

    /// Returns the number of free slots.
    ///
    /// An operation keeps its slot **until its future is polled or dropped**, also when it
    /// has completed. A task that begins operations and then waits for something else
    /// keeps their slots meanwhile; if it waits for an operation of the same reactor, with
    /// no slot left, it waits for ever. Give a reactor more slots than such tasks hold.
    pub fn free_slots(&self) -> usize {
        self.with(|inner| inner.engine.slots.free())
    }

    /// Returns the number of operations whose completions have not been found yet.
    pub fn in_flight(&self) -> usize {
        self.with(|inner| {
            let slots = &inner.engine.slots;
            slots.in_flight() + slots.staged()
        })
    }

    /// Waits until nothing is staged or in flight, and everything that has completed has
    /// been notified. Operations of dropped futures count.
    ///
    /// It does not block the thread: whatever calls [`turn`](Reactor::turn) meanwhile wakes
    /// the task. Nothing keeps other tasks from beginning operations afterwards. When the
    /// last owner of an idle reactor calls
    /// [`into_idle_context`](Reactor::into_idle_context), that does not block; dropping it
    /// waits for an RCU grace period in any case.
    ///
    /// # Examples
    /// ```
    /// # #[cfg(feature = "std")] mod hidden {
    /// use linux_aio::reactor::{Reactor, Shared};
    /// use linux_aio::{Errno, IdleContext};
    /// use std::sync::Arc;
    ///
    /// type Shares = Reactor<'static, Vec<u8>, Shared>;
    ///
    /// /// Closes a reactor whose driver, another task, calls `turn` until it is stopped.
    /// async fn close(reactor: Arc<Shares>, stop: impl AsyncFnOnce())
    ///     -> Option<Result<IdleContext, Errno>> {
    ///     reactor.wait_idle().await;
    ///     stop().await;
    ///     Some(Arc::into_inner(reactor)?.into_idle_context())
    /// }
    /// # }
    /// ```
    pub fn wait_idle(&self) -> WaitIdle<&Self> {
        WaitIdle::new(self)
    }

    /// Waits for the operations in flight, and returns the context for reuse.
    ///
    /// The futures of these operations have been dropped. Their buffers and data are
    /// dropped here.
    ///
    /// # Errors
    /// Those of [`Context::wait`] except EINTR.
    /// [`OUTCOME_UNKNOWN`](Errno::OUTCOME_UNKNOWN) where a poll could not be cancelled
    /// and the context was destroyed to end it. The reactor has been dropped in both
    /// cases.
    ///
    /// # Panics
    /// Panics if a destructor of a buffer, of data or of the eventfd's owner panics.
    /// The context is destroyed then.
    pub fn into_idle_context(mut self) -> Result<IdleContext, Errno> {
        let inner = self.inner.get_mut();
        let drained = inner.engine.drain();
        let idle = drained.and_then(|()| inner.engine.idle(inner.capacity));
        // This runs user code while `idle` is a local variable: a panic would leak the
        // return value (rust-lang/rust#47949).
        drop(self);
        idle
    }

    #[inline]
    fn with<R>(&self, f: impl FnOnce(&mut Inner<'r, B, T>) -> R) -> R {
        self.lock.with(|| {
            // SAFETY: the lock excludes other threads. No closure that is passed here
            // runs user code, so this thread does not nest calls either: the reference
            // is unique.
            f(unsafe { &mut *self.inner.get() })
        })
    }

    /// Submits operations while the lock is free, until the submission is empty.
    #[inline]
    fn submit(&self, submission: &mut Submission) {
        while !submission.is_empty() {
            // SAFETY: `Inner::take_submission` filled it from this reactor, which is
            // borrowed: its context and its slots exist until the call returns.
            let result = unsafe { inner::submit(submission) };
            self.with(|inner| inner.finish_submission(submission, result));
        }
    }

    /// Polls for completions or waits for them, and runs the resulting user code
    /// outside the lock.
    ///
    /// It takes one operation at a time out of the completed list, so that a panic
    /// leaves the others there.
    fn notify_all(&self, min_nr: usize, wait: WaitOptions<'_>) -> Result<usize, Errno> {
        let mut submission = Submission::new();
        self.with(|inner| {
            inner.begin_turn();
            inner.take_submission(&mut submission);
        });
        self.submit(&mut submission);
        let (polled, mut left) = self.with(|inner| {
            let polled = inner.poll(min_nr, wait);
            // The completions may have freed entries for operations that the kernel did
            // not accept before.
            inner.take_submission(&mut submission);
            (polled, inner.engine.slots.completed())
        });
        if !submission.is_empty() {
            self.submit(&mut submission);
            left = self.with(|inner| inner.engine.slots.completed());
        }
        let mut notification = Notification {
            reactor: self,
            left,
            count: 0,
        };
        #[cfg(feature = "std")]
        {
            let mut panics = deferred::Panics::default();
            let mut more = true;
            while more {
                // A panic in between leaves `more` unchanged.
                panics.catch(|| {
                    while notification.notify_next() {}
                    more = false;
                });
            }
            let count = notification.finish();
            panics.resume();
            polled.map(|()| count)
        }
        #[cfg(not(feature = "std"))]
        {
            while notification.notify_next() {}
            let count = notification.finish();
            polled.map(|()| count)
        }
    }
}

/// A future that has begun, or an operation that found no free slot.
type Begun<'r, R, K> =
    Result<OpFuture<R, K>, Full<Op<'r, <R as Access>::Buffer, <R as Access>::Data>>>;

/// The default of [`Reactor::budget`].
const BUDGET: u32 = 128;

/// An operation that is ready to be staged: its iocb, its own eventfd, its payload.
type Prepared<B, T> = (Iocb, Option<i32>, MaybeUninit<Payload<B, T>>);

/// The notifications of one turn.
struct Notification<'a, 'r, B: IoBuf + 'static, L: Lock, T> {
    reactor: &'a Reactor<'r, B, L, T>,
    /// The number of completed operations whose futures are to be notified. Operations
    /// that complete meanwhile are left to the next turn; otherwise a waker that begins
    /// operations could prolong this one without end.
    left: usize,
    count: usize,
}

impl<B: IoBuf + 'static, L: Lock, T> Notification<'_, '_, B, L, T> {
    /// Runs one notification. Returns `false` if there is none left.
    fn notify_next(&mut self) -> bool {
        let (left, count) = (&mut self.left, &mut self.count);
        let (notice, own) = self.reactor.with(|inner| inner.notice(left, count));
        Signals {
            reactor: false,
            own,
        }
        .send(None);
        match notice {
            None => false,
            Some(Notice::Nothing) => true,
            Some(Notice::Wake(waker)) => {
                waker.wake();
                true
            }
            Some(Notice::Drop(buffer, data, waker)) => {
                drop((buffer, data, waker));
                true
            }
        }
    }

    /// Returns the number of notified operations. The destructor signals the eventfd.
    fn finish(self) -> usize {
        self.count
    }
}

impl<B: IoBuf + 'static, L: Lock, T> Drop for Notification<'_, '_, B, L, T> {
    fn drop(&mut self) {
        let signals = Signals {
            reactor: self.reactor.with(|inner| {
                // Some operations are not notified yet because of a panic.
                inner.signals_turn(self.left > 0)
            }),
            own: None,
        };
        signals.send(self.reactor.eventfd);
    }
}

impl<'r, B: IoBuf + 'static, L: Lock> Reactor<'r, B, L> {
    /// Reads into `buffer`, from `offset` in bytes.
    ///
    /// For flags, priorities, data and owned descriptors, use [`push`](Reactor::push)
    /// with a [`Read`].
    #[inline]
    pub fn read(&self, fd: impl Into<Fd<'r>>, buffer: B, offset: u64) -> OpFuture<&Self>
    where
        B: IoBufMut,
    {
        self.push(Read::new(fd, buffer).offset(offset))
    }

    /// Writes `buffer` at `offset` in bytes.
    ///
    /// For flags, priorities, data and owned descriptors, use [`push`](Reactor::push)
    /// with a [`Write`].
    pub fn write(&self, fd: impl Into<Fd<'r>>, buffer: B, offset: u64) -> OpFuture<&Self> {
        self.push(Write::new(fd, buffer).offset(offset))
    }

    /// Syncs a file's data and metadata. It covers the writes that have completed.
    pub fn fsync(&self, fd: impl Into<Fd<'r>>) -> OpFuture<&Self, WithoutBuffer> {
        self.push(Fsync::new(fd))
    }

    /// Syncs a file's data. It covers the writes that have completed.
    pub fn fdsync(&self, fd: impl Into<Fd<'r>>) -> OpFuture<&Self, WithoutBuffer> {
        self.push(Fdsync::new(fd))
    }

    /// Waits until a descriptor is ready. [`PollMask::from_result`] converts the result
    /// into the set of ready events.
    pub fn poll(&self, fd: impl Into<Fd<'r>>, mask: PollMask) -> OpFuture<&Self, WithoutBuffer> {
        self.push(Poll::new(fd, mask))
    }
}

impl<B: IoBuf + 'static, T> Reactor<'_, B, Local, T> {
    /// Submits the staged operations, waits until an operation has completed, and wakes
    /// the futures.
    ///
    /// `wait` configures the waiting. Returns the number of operations that completed.
    /// Returns 0 at once where nothing is in flight, and where a task was woken for a
    /// free slot and has not taken it.
    ///
    /// # Errors
    /// Those of [`Context::wait_with`]: EINTR after a signal. No completion is lost by
    /// it.
    pub fn wait(&self, wait: WaitOptions<'_>) -> Result<usize, Errno> {
        self.notify_all(1, wait)
    }
}

#[cfg(feature = "std")]
impl<B: IoBuf + 'static, L: Lock, T> Reactor<'_, B, L, T> {
    /// Waits for the reactor's [eventfd](Reactor::eventfd), resets it, polls for
    /// completions and wakes their futures. Other threads use the reactor meanwhile: the
    /// lock is free during the wait.
    ///
    /// `wait` configures the waiting. Returns the number of operations that completed. It
    /// is 0 after the timeout, and also when another thread has found the completions
    /// first or has signalled the eventfd. Unlike [`wait`](Reactor::wait) it waits even if
    /// nothing is in flight, because another thread may begin an operation.
    ///
    /// A task that another thread wakes does not end the wait of its executor. Either one
    /// thread does nothing but wait, or the wakers of the executors signal the eventfd.
    ///
    /// Make the eventfd non-blocking (`EFD_NONBLOCK`). Where several threads reset a
    /// blocking one, a wait can last until the next signal, past its timeout.
    ///
    /// # Errors
    /// - EINVAL: the reactor has no eventfd, or this is a forked child.
    /// - EINTR: a signal handler has run. No completion is lost by it.
    /// - ENOSYS: the ABI has no `ppoll(2)` with the time of io_getevents (riscv32, and
    ///   kernels without 32-bit time).
    /// - Those of [`turn`](Reactor::turn).
    ///
    /// # Examples
    /// ```
    /// use linux_aio::reactor::{Reactor, Shared};
    /// use linux_aio::{Errno, WaitOptions};
    /// use std::sync::atomic::{AtomicBool, Ordering};
    ///
    /// /// Runs a reactor for the executors of other threads until `stop` is set and the
    /// /// eventfd is signalled.
    /// fn drive(reactor: &Reactor<'_, Vec<u8>, Shared>, stop: &AtomicBool) -> Result<(), Errno> {
    ///     while !stop.load(Ordering::Acquire) {
    ///         match reactor.wait_eventfd(WaitOptions::new()) {
    ///             Ok(_) | Err(Errno::INTR) => {}
    ///             Err(errno) => return Err(errno),
    ///         }
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub fn wait_eventfd(&self, wait: WaitOptions<'_>) -> Result<usize, Errno> {
        let eventfd = self.eventfd.ok_or(Errno::INVAL)?;
        // A forked child takes no signal from its parent.
        if !self.with(|inner| inner.engine.backend.is_own()) {
            return Err(Errno::INVAL);
        }
        let completed = self.turn()?;
        if completed > 0 {
            return Ok(completed);
        }
        if eventfd::wait_readable(eventfd, wait)? {
            eventfd::reset(eventfd);
        }
        self.turn()
    }
}

impl<B: IoBuf + 'static, L: Lock, T> fmt::Debug for Reactor<'_, B, L, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reactor")
            .field("in_flight", &self.in_flight())
            .finish_non_exhaustive()
    }
}
