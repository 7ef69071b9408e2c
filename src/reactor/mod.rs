//! Operations as futures, for any executor. This module contains no executor.
//!
//! A [`Reactor`] owns a context and the operations in flight. Its futures ([`OpFuture`])
//! read, write, sync and poll. Completions wake their tasks only when an executor drives
//! the reactor:
//!
//! - An executor that has nothing else to wait for calls [`Reactor::wait`], which
//!   blocks in the kernel until an operation has completed. With a reactor that several
//!   threads share ([`Lock`]), it calls `Reactor::wait_eventfd` (feature `std`).
//! - An executor that waits for other events too calls [`Reactor::turn`] whenever the
//!   eventfd passed to [`Reactor::eventfd`] is readable.
//!
//! # Slots
//! An operation begins when it gets one of the reactor's slots. Tasks that wait for a free
//! slot get one in order of arrival. An operation keeps its slot until its future is
//! polled or dropped, also when it has completed: see [`Reactor::free_slots`].
//!
//! # Blocking
//! The first poll of a future submits its operation, unless the reactor is
//! [batched](Reactor::batched). The poll **blocks where the submission does**: see
//! [`Read`]. The reactor's lock is free during `io_submit(2)`, so other threads are not
//! blocked. In a batched reactor the caller of [`turn`](Reactor::turn) submits, and is
//! blocked in place of the future. A reactor is meant for direct I/O, fsync and polls. A
//! read of data that is in the page cache blocks for microseconds.
//!
//! # Cancellation
//! Dropping the future of an operation in flight does not stop a read, a write or an
//! fsync: the reactor keeps the buffer until the operation has completed, and drops it
//! then. A poll in flight is cancelled. An operation that was not submitted yet is
//! removed, and its buffer is dropped at once.
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
/// - `'r` is the lifetime of the slots, and of the descriptors that operations borrow: a
///   borrowed descriptor must outlive the reactor, because the operation of a leaked
///   future may be submitted later.
/// - `B` is the type of the buffers ([`IoBuf`]).
/// - `L` is the lock: [`Local`] for one thread, `Shared` (feature `std`) for several.
/// - `T` is the type of the user data, a value that is stored with each operation and
///   returned with its completion: the owner of a descriptor, a number, any value.
///
/// Dropping the reactor destroys the context, which **blocks until every operation has
/// completed**, and takes tens of milliseconds even if nothing is in flight
/// ([`into_idle_context`](Reactor::into_idle_context) returns the context for reuse). No
/// future is left by then, because each borrows the reactor or owns a share of it.
///
/// # Fork
/// A forked child cannot use a reactor of its parent
/// ([`Context`](crate::Context#fork)). Operations that begin there have the result EINVAL,
/// and those in flight [`OUTCOME_UNKNOWN`](Errno::OUTCOME_UNKNOWN) when their future is
/// polled. Dropping the reactor there destroys nothing, and leaks the buffers of the
/// operations in flight.
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
    /// Those of [`Context::new`], for as many operations as there are slots. EINVAL if
    /// there is no slot.
    pub fn new(slots: &'r mut [ReactorSlot<B, T>]) -> Result<Reactor<'r, B, L, T>, Errno> {
        let nr = u32::try_from(slots.len()).map_err(|_| Errno::INVAL)?;
        Ok(Reactor::with_context(IdleContext::new(nr)?, slots))
    }

    /// Creates a reactor with this number of slots on the heap, which it owns, and a new
    /// context for as many operations.
    ///
    /// # Errors
    /// Those of [`Context::new`]. ENOMEM also if the slots cannot be allocated.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::Errno;
    /// use linux_aio::reactor::Reactor;
    ///
    /// # if let Err(Errno::NOSYS) = linux_aio::Context::new(1) { return Ok(()) }
    /// let reactor = Reactor::<'static, Vec<u8>>::with_capacity(64)?;
    /// assert_eq!((reactor.capacity(), reactor.free_slots()), (64, 64));
    /// # Ok::<(), Errno>(())
    /// ```
    #[cfg(feature = "alloc")]
    pub fn with_capacity(capacity: u32) -> Result<Reactor<'r, B, L, T>, Errno> {
        let context = IdleContext::new(capacity)?;
        let engine = Engine::with_capacity(context.capacity(), context.into_backend())?;
        Ok(Reactor::from_engine(engine, capacity))
    }

    /// Creates a reactor in these slots on an existing context.
    ///
    /// The reactor uses no more slots than the number of operations that the context was
    /// set up for ([`IdleContext::capacity`]).
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

    /// Sets an eventfd that is signalled (its counter is incremented) whenever
    /// [`turn`](Reactor::turn) has work.
    ///
    /// There is work when an operation has completed, when operations are to be submitted
    /// (in a [batched](Reactor::batched) reactor, or because the context had no free entry
    /// before), and when a task was woken for a free slot and has not taken it while others
    /// wait for one. The eventfd may also be readable without work. Reset it by a read of 8
    /// bytes before the turn, not after it: a completion in between signals it again.
    ///
    /// An iocb has a field for one eventfd, which is the reactor's. An eventfd that is set
    /// on an operation ([`Read::eventfd`](crate::op::Read::eventfd)) is therefore signalled
    /// by the reactor, when it finds the completion, and not by the kernel.
    ///
    /// If the descriptor is not an eventfd, every operation is refused with EINVAL.
    ///
    /// # Kernel
    /// The reactor writes only to a descriptor that `statx(2)` (Linux 4.11) identifies as
    /// an anonymous file, as an eventfd is. Where that is missing or forbidden, only
    /// completions signal the reactor's eventfd, and only those of operations without an
    /// eventfd of their own. Call [`turn`](Reactor::turn) also whenever no task is runnable
    /// there.
    ///
    /// # Examples
    /// A reactor in an event loop of `poll(2)`, `epoll(7)` or another executor:
    /// ```
    /// use linux_aio::Errno;
    /// use linux_aio::reactor::Reactor;
    /// use std::fs::File;
    /// use std::io::Read;
    ///
    /// /// Runs when the eventfd, which is non-blocking, is readable.
    /// fn on_readable(
    ///     mut eventfd: &File,
    ///     reactor: &Reactor<'_, &'static mut [u8]>,
    /// ) -> Result<(), Errno> {
    ///     // An error means that the counter is zero already.
    ///     let _ = eventfd.read(&mut [0; 8]);
    ///     reactor.turn()?;
    ///     Ok(())
    /// }
    /// ```
    #[must_use]
    pub fn eventfd(mut self, eventfd: impl Into<Fd<'r>>) -> Reactor<'r, B, L, T> {
        self.eventfd = Some(eventfd.into());
        self.inner.get_mut().has_eventfd = true;
        self
    }

    /// Sets an eventfd that the reactor owns and keeps open, such as an `Arc` of it or a
    /// duplicate. Otherwise as [`eventfd`](Reactor::eventfd).
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
    /// Up to 32 operations are submitted with each `io_submit(2)`. This suits an executor
    /// that calls one of these functions whenever no task is runnable. The eventfd is
    /// signalled for the first operation of each batch.
    #[must_use]
    pub fn batched(mut self) -> Reactor<'r, B, L, T> {
        self.inner.get_mut().batched = true;
        self
    }

    /// Sets the number of operations that may complete in the poll that begins them
    /// before a future yields; the default is 128.
    ///
    /// An operation on cached data completes while it is submitted, in the first poll of
    /// its future. A task that begins one such operation after the other would never
    /// return to its executor, and no timeout around it would fire. Therefore, when
    /// `operations` of them have completed since the last [`turn`](Reactor::turn) or
    /// [`wait`](Reactor::wait), the next future returns `Pending` once and wakes its task.
    /// `u32::MAX` turns this off in practice.
    #[must_use]
    pub fn budget(mut self, operations: u32) -> Reactor<'r, B, L, T> {
        let inner = self.inner.get_mut();
        (inner.budget, inner.left) = (operations, operations);
        self
    }

    /// Converts an operation into a future.
    ///
    /// The operation begins when the future is polled and a slot is free. If every slot is
    /// taken, the future waits for one. If the kernel refuses the operation, the error is
    /// its result ([`Completion::refused`](crate::Completion::refused)).
    ///
    /// # Examples
    /// ```
    /// use linux_aio::op::Write;
    /// use linux_aio::reactor::Reactor;
    /// use linux_aio::{Errno, Fd};
    ///
    /// /// Writes a line, with a number that the completion returns.
    /// async fn log(
    ///     reactor: &Reactor<'_, &'static [u8], linux_aio::reactor::Local, u32>,
    ///     to: Fd<'static>,
    /// ) -> Result<usize, Errno> {
    ///     let done = reactor.push(Write::new(to, &b"hello\n"[..]).data(42)).await;
    ///     assert_eq!(done.data, 42);
    ///     done.result
    /// }
    /// ```
    #[inline]
    pub fn push<O: Operation<'r, B, T>>(&self, op: O) -> OpFuture<&Self, O::Kind> {
        let (iocb, own, payload) = self.prepare(op.into_op());
        // SAFETY: the operation is of its own kind.
        unsafe { OpFuture::new(self, iocb, own, payload) }
    }

    /// Begins an operation at once, if a slot is free, and returns its future.
    ///
    /// [`push`](Reactor::push) begins an operation when its future is first polled. This
    /// function submits it (unless the reactor is [batched](Reactor::batched)) before it
    /// returns. If the future is dropped, polled or not, the buffer stays in the reactor
    /// until the operation has completed.
    ///
    /// # Errors
    /// Returns [`Full`] with the operation if every slot is taken, or if the free ones are
    /// reserved for futures that wait for a slot.
    ///
    /// # Examples
    /// Load shedding, in place of a wait for a slot:
    /// ```
    /// use linux_aio::op::Read;
    /// use linux_aio::reactor::Reactor;
    /// use linux_aio::{Errno, Fd};
    ///
    /// async fn serve(
    ///     reactor: &Reactor<'_, &'static mut [u8]>,
    ///     file: Fd<'static>,
    ///     buffer: &'static mut [u8],
    /// ) -> Result<usize, Errno> {
    ///     match reactor.try_push(Read::new(file, buffer)) {
    ///         Ok(read) => read.await.result,
    ///         Err(_full) => Err(Errno::BUSY),
    ///     }
    /// }
    /// ```
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
    /// reactor, and spawned. Otherwise as [`push`](Reactor::push). If the future is the
    /// last owner of the reactor, dropping it drops the reactor, which blocks.
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
    /// thread. Otherwise as `push_arc`.
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

    /// Submits the staged operations, takes the available completions without waiting, and
    /// wakes their tasks.
    ///
    /// Returns the number of completed operations that this call has handled. Operations
    /// whose future was dropped count; operations whose future found the completion itself,
    /// by a poll, do not.
    ///
    /// # Errors
    /// None while the ring is mapped and valid. Otherwise those of [`Context::wait`]
    /// except EINTR; EINVAL in a forked child. Tasks are woken also after an error.
    pub fn turn(&self) -> Result<usize, Errno> {
        self.notify_all(0, WaitOptions::poll())
    }

    /// Returns whether a [`turn`](Reactor::turn) has work that no completion announces: an
    /// operation to be submitted, one that was refused, or a free slot that the task which
    /// was woken for it has not taken.
    ///
    /// An executor that asks after each poll and drop of a future, and after each turn,
    /// needs no eventfd of the reactor: it turns when this returns `true`, and when an
    /// operation's own [eventfd](crate::op::Op::eventfd) is signalled.
    pub fn needs_turn(&self) -> bool {
        self.with(|inner| inner.needs_turn())
    }

    /// Returns the number of slots.
    pub fn capacity(&self) -> usize {
        self.with(|inner| inner.engine.slots.len())
    }

    /// Returns the number of free slots.
    ///
    /// An operation keeps its slot **until its future is polled or dropped**, also when it
    /// has completed. A task that begins operations and then waits for something else
    /// keeps their slots meanwhile. If it waits for a further operation of the same
    /// reactor, and no slot is left, it waits for ever. Give a reactor more slots than such
    /// tasks keep at the same time.
    pub fn free_slots(&self) -> usize {
        self.with(|inner| inner.engine.slots.free())
    }

    /// Returns the number of operations that have begun and whose completions have not been
    /// found yet. It makes no poll itself.
    pub fn in_flight(&self) -> usize {
        self.with(|inner| {
            let slots = &inner.engine.slots;
            slots.in_flight() + slots.staged()
        })
    }

    /// Returns a future that is ready when the reactor is idle: no operation is staged or
    /// in flight, and the tasks of all completed operations have been woken. Operations
    /// whose future was dropped count as well.
    ///
    /// The future does not block the thread. The thread that calls
    /// [`turn`](Reactor::turn) or [`wait`](Reactor::wait) meanwhile wakes the task. Other
    /// tasks may begin operations again afterwards.
    ///
    /// [`into_idle_context`](Reactor::into_idle_context) does not block if the reactor is
    /// idle. Dropping a reactor takes tens of milliseconds also then.
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

    /// Cancels the polls, **blocks until no operation is in flight**, and returns the
    /// context for reuse.
    ///
    /// No future of the reactor exists at this point, as each borrows it or owns a share
    /// of it. The buffers and data of the operations whose futures were dropped before are
    /// dropped here. Signals do not end the wait.
    ///
    /// # Errors
    /// Those of [`Context::wait`] except EINTR.
    /// [`OUTCOME_UNKNOWN`](Errno::OUTCOME_UNKNOWN) if a poll could not be cancelled, so
    /// that the context had to be destroyed. The reactor is dropped after every error.
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
        // SAFETY: `notify_all`, the only caller, fills it from this reactor.
        unsafe { inner::submit_all(&self, submission) }
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
    /// Reads into `buffer`, from the byte at `offset` in the file.
    ///
    /// The result may be fewer bytes than the buffer holds:
    /// [`read_exact_at`](Reactor::read_exact_at) continues. For flags, priorities, data and
    /// owned descriptors, use [`push`](Reactor::push) with a [`Read`].
    #[inline]
    pub fn read(&self, fd: impl Into<Fd<'r>>, buffer: B, offset: u64) -> OpFuture<&Self>
    where
        B: IoBufMut,
    {
        self.push(Read::new(fd, buffer).offset(offset))
    }

    /// Writes `buffer` to the file, from the byte at `offset`.
    ///
    /// The result may be fewer bytes than the buffer holds:
    /// [`write_all_at`](Reactor::write_all_at) continues. For flags, priorities, data and
    /// owned descriptors, use [`push`](Reactor::push) with a [`Write`].
    pub fn write(&self, fd: impl Into<Fd<'r>>, buffer: B, offset: u64) -> OpFuture<&Self> {
        self.push(Write::new(fd, buffer).offset(offset))
    }

    /// Writes a file's cached data and metadata to the disk (Linux 4.18; the result is
    /// EINVAL before). It covers the writes that have completed before, not those in
    /// flight at the same time.
    pub fn fsync(&self, fd: impl Into<Fd<'r>>) -> OpFuture<&Self, WithoutBuffer> {
        self.push(Fsync::new(fd))
    }

    /// Writes a file's cached data to the disk, without metadata that is not needed to read
    /// it. Otherwise as [`fsync`](Reactor::fsync).
    pub fn fdsync(&self, fd: impl Into<Fd<'r>>) -> OpFuture<&Self, WithoutBuffer> {
        self.push(Fdsync::new(fd))
    }

    /// Waits until a descriptor is ready for one of the events in `mask` (Linux 4.19; the
    /// result is EINVAL before). [`PollMask::from_result`] converts the result into the set
    /// of the events that occurred. Dropping the future cancels the poll.
    pub fn poll(&self, fd: impl Into<Fd<'r>>, mask: PollMask) -> OpFuture<&Self, WithoutBuffer> {
        self.push(Poll::new(fd, mask))
    }
}

impl<B: IoBuf + 'static, T> Reactor<'_, B, Local, T> {
    /// Submits the staged operations, waits until an operation has completed, and wakes
    /// the tasks of all completed operations. `wait` sets the timeout and the signal mask.
    ///
    /// Returns the number of completed operations, as [`turn`](Reactor::turn) does: 0 after
    /// the timeout. It returns 0 without waiting if nothing is in flight, and if a task was
    /// woken for a free slot and has not taken it while others wait for one.
    ///
    /// A reactor with a lock between threads has no such function, because the lock would
    /// be held during the wait: use `wait_eventfd` (feature `std`).
    ///
    /// # Errors
    /// Those of [`Context::wait_with`], such as EINTR after a signal. No completion is lost
    /// by an error.
    pub fn wait(&self, wait: WaitOptions<'_>) -> Result<usize, Errno> {
        self.notify_all(1, wait)
    }
}

#[cfg(feature = "std")]
impl<B: IoBuf + 'static, L: Lock, T> Reactor<'_, B, L, T> {
    /// Waits for the reactor's [eventfd](Reactor::eventfd) with `ppoll(2)`, resets it,
    /// takes the available completions and wakes their tasks. Other threads use the reactor
    /// meanwhile: the lock is free during the wait.
    ///
    /// `wait` sets the timeout and the signal mask. Returns the number of completed
    /// operations, as [`turn`](Reactor::turn) does. It is 0 after the timeout, and also if
    /// another thread has found the completions first or has signalled the eventfd. Unlike
    /// [`wait`](Reactor::wait) it waits even if nothing is in flight, because another
    /// thread may begin an operation.
    ///
    /// Waking a task does not end this wait. An executor that runs tasks on the waiting
    /// thread needs wakers that also signal the eventfd. Otherwise, let one thread do
    /// nothing but wait, as in the example.
    ///
    /// Make the eventfd non-blocking (`EFD_NONBLOCK`). If several threads reset a blocking
    /// one, a wait can last until the next signal, past its timeout.
    ///
    /// # Errors
    /// - EINVAL: the reactor has no eventfd, or this is a forked child.
    /// - EINTR: a signal handler has run. No completion is lost by it.
    /// - ENOSYS: there is no `ppoll(2)` with 32-bit time, on riscv32 and on 32-bit kernels
    ///   without `CONFIG_COMPAT_32BIT_TIME`.
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
