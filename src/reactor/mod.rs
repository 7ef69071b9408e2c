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
//! tasks; the eventfd is signalled for it, and [`needs_turn`](Reactor::needs_turn) is `true`.

mod awaited;
mod conditions;
mod deferred;
mod eventfd;
mod future;
mod handle;
mod inner;
mod lock;
mod push;
mod turn;
mod wait_idle;
mod waiters;
mod whole;

use core::cell::UnsafeCell;
use core::fmt;

use crate::buffer::IoBuf;
#[cfg(doc)]
use crate::context::Context;
use crate::context::IdleContext;
use crate::engine::{ContextBackend, Engine, slot_type};
use crate::fd::{DefaultEventfd, Fd};
#[cfg(doc)]
use crate::op::Read;
use crate::sys::errno::Errno;

use awaited::Awaited;
pub use future::OpFuture;
pub use handle::Handle;
use inner::Inner;
#[cfg(feature = "std")]
pub use lock::Shared;
pub use lock::{Local, Lock};
pub use wait_idle::WaitIdle;

slot_type! {
    /// The storage of one operation of a [`Reactor`], with space for its buffer `B` and for
    /// data `T` that the caller chooses.
    ///
    /// Dropping a slot does not drop the buffer in it: if the reactor was leaked, the kernel
    /// may still be writing to it.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::reactor::{Reactor, ReactorSlot};
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let mut slots = ReactorSlot::array::<64>();
    /// let reactor = Reactor::<&'static mut [u8]>::new(&mut slots)?;
    /// # Ok::<(), linux_aio::Errno>(())
    /// ```
    ReactorSlot<B, T = ()> = (Option<B>, T), Awaited;
    example "reactor::ReactorSlot::<&'static mut [u8]>";
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
/// future is left by then, because each borrows the reactor or owns a share of it. Where a
/// sandbox forbids `io_destroy(2)`, nothing is waited for, and the buffers of the operations
/// in flight are leaked.
///
/// A reactor that is leaked (`mem::forget`) leaks its context, and the buffers, data and
/// wakers of its operations; the slots may be used again.
///
/// # Fork
/// A forked child cannot use a reactor of its parent
/// ([`Context`](crate::Context#fork)). Operations that begin there have the result EINVAL,
/// and those in flight [`OUTCOME_UNKNOWN`](Errno::OUTCOME_UNKNOWN) when their future is
/// polled. Dropping the reactor there destroys nothing, and leaks the buffers of the
/// operations in flight. One whose future was dropped has no result: the next
/// [`turn`](Reactor::turn) there, which returns EINVAL, frees its slot and leaks its buffer and
/// data, so that [`wait_idle`](Reactor::wait_idle) is ready when no other is left. Before
/// Linux 4.14 it keeps its slot.
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
    /// Turns submit the operations.
    /// [`UNBATCHED`] and [`WITH_EVENTFD`], so that one comparison covers both.
    mode: u8,
    /// It follows `inner`, because it is dropped after the context has been destroyed.
    eventfd: DefaultEventfd<'r>,
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
    ///
    /// # Examples
    /// ```
    /// use linux_aio::reactor::{Reactor, ReactorSlot};
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let mut slots = ReactorSlot::array::<8>();
    /// let reactor = Reactor::<&'static mut [u8]>::new(&mut slots)?;
    /// assert_eq!(reactor.capacity(), 8);
    /// # Ok::<(), linux_aio::Errno>(())
    /// ```
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
    ///
    /// # Examples
    /// ```
    /// use linux_aio::IdleContext;
    /// use linux_aio::reactor::{Reactor, ReactorSlot};
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let context = IdleContext::new(4)?;
    /// let mut slots = ReactorSlot::array::<8>();
    /// let reactor = Reactor::<&'static mut [u8]>::with_context(context, &mut slots);
    /// assert_eq!(reactor.capacity(), 4);
    /// let context = reactor.into_idle_context()?;
    /// # Ok::<(), linux_aio::Errno>(())
    /// ```
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
            mode: UNBATCHED,
            eventfd: DefaultEventfd::NONE,
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
    /// Set the eventfd before the first operation: one that was begun before signals none.
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
    /// # #[cfg(not(all(feature = "std", target_os = "linux")))] fn main() {}
    /// # #[cfg(all(feature = "std", target_os = "linux"))] fn main() -> Result<(), linux_aio::Errno> {
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// # use std::os::fd::FromRawFd;
    /// # // SAFETY: eventfd(2) accesses no memory.
    /// # let raw = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
    /// # assert!(raw >= 0);
    /// # // SAFETY: the descriptor is new, and nothing else owns it.
    /// # let eventfd = unsafe { File::from_raw_fd(raw) };
    /// # let file = File::open("/dev/null").unwrap();
    /// # let mut slots = linux_aio::reactor::ReactorSlot::array::<4>();
    /// # let reactor = Reactor::new(&mut slots)?.eventfd(&eventfd);
    /// # let read = linux_aio::op::Read::new(&file, &mut [][..]);
    /// # let _read = reactor.try_push(read).unwrap();
    /// # on_readable(&eventfd, &reactor)?;
    /// # assert_eq!(reactor.in_flight(), 0);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn eventfd(mut self, eventfd: impl Into<Fd<'r>>) -> Reactor<'r, B, L, T> {
        self.eventfd.borrow(eventfd.into());
        self.mode |= WITH_EVENTFD;
        self.inner.get_mut().conditions.set_eventfd();
        self
    }

    /// Sets an eventfd that the reactor owns and keeps open, such as an `Arc` of it or a
    /// duplicate. Otherwise as [`eventfd`](Reactor::eventfd).
    ///
    /// # Examples
    /// ```
    /// # #[cfg(not(all(feature = "std", target_os = "linux")))] fn main() {}
    /// # #[cfg(all(feature = "std", target_os = "linux"))] fn main() -> Result<(), linux_aio::Errno> {
    /// use linux_aio::reactor::Reactor;
    /// use std::os::fd::OwnedFd;
    /// use std::sync::Arc;
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// # use std::os::fd::FromRawFd;
    /// # // SAFETY: eventfd(2) accesses no memory.
    /// # let raw = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
    /// # assert!(raw >= 0);
    /// # // SAFETY: the descriptor is new, and nothing else owns it.
    /// # let eventfd = unsafe { OwnedFd::from_raw_fd(raw) };
    /// let eventfd: Arc<OwnedFd> = Arc::new(eventfd);
    /// let reactor = Reactor::<'static, Vec<u8>>::with_capacity(4)?.eventfd_owned(eventfd.clone());
    /// // An event loop waits for `eventfd`, and the reactor can be stored anywhere.
    /// # drop((eventfd, reactor));
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "alloc")]
    #[must_use]
    pub fn eventfd_owned(
        mut self,
        eventfd: impl crate::fd::OwnsFd + Send + Sync + 'static,
    ) -> Reactor<'r, B, L, T> {
        self.eventfd.own(eventfd);
        self.mode |= WITH_EVENTFD;
        self.inner.get_mut().conditions.set_eventfd();
        self
    }

    /// Submits operations in batches, when [`turn`](Reactor::turn) or
    /// [`wait`](Reactor::wait) is called, instead of each at its future's first poll.
    ///
    /// Up to 32 operations are submitted with each `io_submit(2)`. This suits an executor
    /// that calls one of these functions whenever no task is runnable. The eventfd is
    /// signalled for the first operation of each batch.
    ///
    /// # Examples
    /// ```
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
    /// # fn block_on<B: linux_aio::buffer::IoBuf, T, F: Future>(
    /// #     reactor: &Reactor<'_, B, linux_aio::reactor::Local, T>,
    /// #     task: F,
    /// # ) -> Result<F::Output, linux_aio::Errno> {
    /// #     use std::task::{Context, Poll, Waker};
    /// #     let mut task = std::pin::pin!(task);
    /// #     loop {
    /// #         let polled = task.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    /// #         if let Poll::Ready(output) = polled { return Ok(output) }
    /// #         reactor.wait(linux_aio::WaitOptions::new())?;
    /// #     }
    /// # }
    /// use linux_aio::reactor::Reactor;
    /// use std::fs::File;
    /// use std::future::Future;
    /// use std::pin::pin;
    /// use std::task::{Context, Waker};
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let file = File::open("/proc/self/exe").unwrap();
    /// let reactor = Reactor::<Vec<u8>>::with_capacity(4)?.batched();
    /// let mut first = pin!(reactor.read(&file, vec![0; 4], 0));
    /// let mut second = pin!(reactor.read(&file, vec![0; 4], 4));
    /// let mut task = Context::from_waker(Waker::noop());
    /// assert!(first.as_mut().poll(&mut task).is_pending());
    /// assert!(second.as_mut().poll(&mut task).is_pending());
    /// // One system call submits both.
    /// reactor.turn()?;
    /// # block_on(&reactor, async {
    /// assert_eq!(first.await.result, Ok(4));
    /// assert_eq!(second.await.result, Ok(4));
    /// # })?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn batched(mut self) -> Reactor<'r, B, L, T> {
        self.mode &= !UNBATCHED;
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
    ///
    /// # Examples
    /// ```
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
    /// use linux_aio::reactor::Reactor;
    /// use std::fs::File;
    /// use std::future::Future;
    /// use std::pin::pin;
    /// use std::task::{Context, Waker};
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let file = File::open("/dev/null").unwrap();
    /// // Each operation yields to the other tasks of the executor.
    /// let reactor = Reactor::<Vec<u8>>::with_capacity(4)?.budget(0);
    /// let mut read = pin!(reactor.read(&file, vec![0; 4], 0));
    /// let mut task = Context::from_waker(Waker::noop());
    /// assert!(read.as_mut().poll(&mut task).is_pending());
    /// assert!(read.as_mut().poll(&mut task).is_ready());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn budget(mut self, operations: u32) -> Reactor<'r, B, L, T> {
        let inner = self.inner.get_mut();
        (inner.budget, inner.left) = (operations, operations);
        self
    }

    /// Returns whether a [`turn`](Reactor::turn) has work that no completion announces: an
    /// operation to be submitted, one that was refused, or a free slot that the task which
    /// was woken for it has not taken.
    ///
    /// An executor that asks after each poll and drop of a future, and after each turn,
    /// needs no eventfd of the reactor: it turns when this returns `true`, and when an
    /// operation's own [eventfd](crate::op::Op::eventfd) is signalled.
    ///
    /// # Examples
    /// ```
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
    /// use linux_aio::reactor::Reactor;
    /// use std::fs::File;
    /// use std::future::Future;
    /// use std::pin::pin;
    /// use std::task::{Context, Waker};
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let file = File::open("/dev/null").unwrap();
    /// let reactor = Reactor::<Vec<u8>>::with_capacity(4)?.batched();
    /// let mut read = pin!(reactor.read(&file, vec![0; 4], 0));
    /// let _ = read.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    /// // The read is staged, and a turn submits it.
    /// assert!(reactor.needs_turn());
    /// reactor.turn()?;
    /// assert!(!reactor.needs_turn());
    /// # Ok(())
    /// # }
    /// ```
    pub fn needs_turn(&self) -> bool {
        self.with(|inner| inner.needs_turn())
    }

    /// Returns the number of slots.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::reactor::{Reactor, ReactorSlot};
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let mut slots = ReactorSlot::<()>::array::<8>();
    /// let reactor = Reactor::<()>::new(&mut slots)?;
    /// assert_eq!(reactor.capacity(), 8);
    /// # Ok::<(), linux_aio::Errno>(())
    /// ```
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
    ///
    /// # Examples
    /// ```
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
    /// use linux_aio::op::Read;
    /// use linux_aio::reactor::Reactor;
    /// use std::fs::File;
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let file = File::open("/dev/null").unwrap();
    /// let reactor = Reactor::<Vec<u8>>::with_capacity(4)?;
    /// let read = reactor.try_push(Read::new(&file, vec![0; 4])).unwrap();
    /// // The read has completed, but its future exists.
    /// reactor.turn()?;
    /// assert_eq!((reactor.in_flight(), reactor.free_slots()), (0, 3));
    /// drop(read);
    /// assert_eq!(reactor.free_slots(), 4);
    /// # Ok(())
    /// # }
    /// ```
    pub fn free_slots(&self) -> usize {
        self.with(|inner| inner.engine.slots.free())
    }

    /// Returns the number of operations that have begun and whose completions have not been
    /// found yet. It makes no poll itself.
    ///
    /// # Examples
    /// ```
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
    /// use linux_aio::op::Read;
    /// use linux_aio::reactor::Reactor;
    /// use std::fs::File;
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let file = File::open("/dev/null").unwrap();
    /// let reactor = Reactor::<Vec<u8>>::with_capacity(4)?.batched();
    /// let read = reactor.try_push(Read::new(&file, vec![0; 4])).unwrap();
    /// assert_eq!(reactor.in_flight(), 1);
    /// reactor.turn()?;
    /// assert_eq!(reactor.in_flight(), 0);
    /// # Ok(())
    /// # }
    /// ```
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
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
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
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// # use std::task::{Context, Poll, Waker};
    /// # let reactor = Arc::new(Shares::with_capacity(4)?);
    /// # let mut closed = std::pin::pin!(close(reactor, async || ()));
    /// # match closed.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
    /// #     Poll::Ready(context) => assert_eq!(context.unwrap()?.capacity(), 4),
    /// #     Poll::Pending => unreachable!(),
    /// # }
    /// # Ok(())
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
    /// dropped here. Signals do not end the wait. After
    /// [`wait_idle`](Reactor::wait_idle), nothing is waited for, and with the feature `std`
    /// [`IdleContext`]'s `destroy_later` destroys the context in the background.
    ///
    /// # Errors
    /// Those of [`Context::wait`] except EINTR.
    /// [`OUTCOME_UNKNOWN`](Errno::OUTCOME_UNKNOWN) if a poll could not be cancelled, so
    /// that the context had to be destroyed. The reactor is dropped after every error.
    ///
    /// # Panics
    /// Panics if a destructor of a buffer, of data or of the eventfd's owner panics.
    /// The context is destroyed then.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::IdleContext;
    /// use linux_aio::reactor::{Reactor, ReactorSlot};
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let mut context = IdleContext::new(8)?;
    /// for _ in 0..3 {
    ///     let mut slots = ReactorSlot::array::<8>();
    ///     let reactor = Reactor::<&'static mut [u8]>::with_context(context, &mut slots);
    ///     // Run tasks that use the reactor.
    ///     context = reactor.into_idle_context()?;
    /// }
    /// # Ok::<(), linux_aio::Errno>(())
    /// ```
    pub fn into_idle_context(mut self) -> Result<IdleContext, Errno> {
        let inner = self.inner.get_mut();
        let drained = inner.engine.drain();
        let idle = drained.and_then(|()| inner.engine.idle(inner.capacity));
        // This runs user code while `idle` is a local variable: a panic would leak the
        // return value (rust-lang/rust#47949).
        drop(self);
        idle
    }

    #[inline(always)]
    fn with<R>(&self, f: impl FnOnce(&mut Inner<'r, B, T>) -> R) -> R {
        self.lock.with(|| {
            // SAFETY: the lock excludes other threads. No closure that is passed here
            // runs user code, so this thread does not nest calls either: the reference
            // is unique.
            f(unsafe { &mut *self.inner.get() })
        })
    }
}

/// A reactor that submits each operation in the first poll of its future.
const UNBATCHED: u8 = 1;
/// A reactor that has an eventfd.
const WITH_EVENTFD: u8 = 1 << 1;

/// The default of [`Reactor::budget`].
const BUDGET: u32 = 128;

impl<B: IoBuf + 'static, L: Lock, T> fmt::Debug for Reactor<'_, B, L, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reactor")
            .field("in_flight", &self.in_flight())
            .finish_non_exhaustive()
    }
}
