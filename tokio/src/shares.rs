//! [`Shares`]: a reactor, its eventfd, and the requests to turn it.
//!
//! The reactor is batched: an operation is staged at the first poll of its future, and a
//! turn submits all that are staged. The first of a batch requests a turn from the driver's
//! task, which runs after the other runnable tasks. An operation that is alone, in that no
//! other has a slot, is submitted at once.
//!
//! The kernel signals the eventfd for each completion. The reactor itself does not know the
//! eventfd, so that it makes no system call to request a turn.
//!
//! # Invariant
//! Whenever the reactor needs a turn that no completion announces, `requested` is set and
//! the driver has been woken: every poll, drop and turn ends with that check.

use std::fs::File;
use std::future::poll_fn;
use std::io::Write as _;
use std::os::fd::AsRawFd;
use std::panic::{AssertUnwindSafe, RefUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};

use linux_aio::op::{BufferKind, Fdsync, Fsync, Read, WithBuffer, WithoutBuffer, Write};
use linux_aio::reactor::{OpFuture, Reactor, Shared};
use linux_aio::{Completion, Errno, Fd};
use tokio::sync::oneshot;
use tokio::task::coop::cooperative;

use crate::erased::Erased;

/// A reactor whose operations own their file, with its eventfd.
#[derive(Debug)]
pub(crate) struct Shares {
    /// Dropped before the eventfd.
    reactor: Operations,
    eventfd: Arc<File>,
    /// A turn is needed, and the driver has been woken for it.
    requested: AtomicBool,
    driver: Mutex<Task>,
    /// The driver's task has ended, and nothing waits for the eventfd but the tasks that poll an
    /// operation. Dropped after the reactor: the receiver is notified of its destruction.
    turned_by_tasks: OnceLock<oneshot::Sender<()>>,
}

// No user code runs inside the reactor's lock, so a panic leaves its state consistent.
impl RefUnwindSafe for Shares {}

/// The state of the driver's task.
#[derive(Debug)]
enum Task {
    /// It polls `requested` before it waits.
    Active,
    Waiting(Waker),
    /// It has ended: a thread waits for the eventfd, or the tasks do.
    Ended,
}

/// A reactor whose operations own their file.
type Operations = Reactor<'static, Erased, Shared, Arc<File>>;

/// A completed read or write.
pub(crate) type Done = Completion<Erased, Arc<File>>;

/// The future of an operation.
pub(crate) type Begun<'a, K = WithBuffer> = OpFuture<&'a Operations, K>;

impl Shares {
    /// Creates a reactor with this number of slots.
    ///
    /// # Errors
    /// Those of io_setup.
    pub(crate) fn new(capacity: u32, eventfd: &Arc<File>) -> Result<Shares, Errno> {
        let reactor = Reactor::with_capacity(capacity)?;
        Ok(Shares {
            // The tasks yield by tokio's budget.
            reactor: reactor.batched().budget(u32::MAX),
            eventfd: Arc::clone(eventfd),
            requested: AtomicBool::new(false),
            driver: Mutex::new(Task::Active),
            turned_by_tasks: OnceLock::new(),
        })
    }

    pub(crate) fn capacity(&self) -> usize {
        self.reactor.capacity()
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.reactor.in_flight()
    }

    /// Returns the future of a read, for [`perform`](Shares::perform) of these shares.
    #[inline]
    pub(crate) fn read(&self, file: Arc<File>, buffer: Erased, offset: u64) -> Begun<'_> {
        let read = Read::owned(file, buffer).offset(offset);
        self.reactor.push(read.eventfd(self.announced()))
    }

    /// The same of a write.
    #[inline]
    pub(crate) fn write(&self, file: Arc<File>, buffer: Erased, offset: u64) -> Begun<'_> {
        let write = Write::owned(file, buffer).offset(offset);
        self.reactor.push(write.eventfd(self.announced()))
    }

    /// The same of a sync.
    pub(crate) fn fsync(&self, file: Arc<File>) -> Begun<'_, WithoutBuffer> {
        let sync = Fsync::owned(file);
        self.reactor.push(sync.eventfd(self.announced()))
    }

    /// The same of a sync of the data.
    pub(crate) fn fdsync(&self, file: Arc<File>) -> Begun<'_, WithoutBuffer> {
        let sync = Fdsync::owned(file);
        self.reactor.push(sync.eventfd(self.announced()))
    }

    /// Returns the eventfd, for an operation of this reactor alone.
    fn announced(&self) -> Fd<'static> {
        // SAFETY: the operations of this module are pushed to `self.reactor` alone, by
        // futures that borrow `self`. The eventfd is open until the reactor has been
        // dropped, after which nothing is submitted. A future that is leaked keeps the
        // borrow, and so `self` is never dropped then.
        unsafe { Fd::borrow_raw(self.eventfd.as_raw_fd()) }
    }

    /// Polls the future of an operation of these shares, which is submitted and takes one unit
    /// of tokio's budget. The caller drops the future, and then a [`Checked`].
    #[inline]
    pub(crate) fn perform<'a, K: BufferKind>(
        &'a self,
        future: Pin<&'a mut Begun<'_, K>>,
    ) -> impl Future<Output = Completion<K::Buffer<Erased>, Arc<File>>> + Send {
        // The future is borrowed, because it is large and would be moved at each call.
        let (mut future, mut begins) = (future, true);
        poll_fn(move |task| {
            if begins {
                begins = false;
                // It is pending, because a batched reactor submits nothing in a poll. So the
                // task returns to the runtime, and no budget is needed.
                let polled = future.as_mut().poll(task);
                debug_assert!(polled.is_pending());
                self.submit();
                self.turn_if_none_does(task);
                return polled;
            }
            let polled = Pin::new(&mut cooperative(future.as_mut())).poll(task);
            // An operation that has waited for its slot begins in a later poll.
            if polled.is_pending() {
                if self.reactor.needs_turn() {
                    self.submit();
                }
                self.turn_if_none_does(task);
            }
            polled
        })
    }

    /// Polls the task again where nothing else turns the reactor for it.
    #[inline]
    fn turn_if_none_does(&self, task: &Context<'_>) {
        if self.turned_by_tasks.get().is_some() {
            self.turn_for_task(task);
        }
    }

    /// The wait is short, because other tasks of this thread may have to free slots.
    #[cold]
    fn turn_for_task(&self, task: &Context<'_>) {
        // An error is found again in the next poll, after a wait.
        let _ = self.wait(1);
        task.waker().wake_by_ref();
    }

    /// Lets the tasks turn the reactor, from their next polls on, because no thread does. The
    /// receiver of `destroyed` is notified when the context has been destroyed.
    pub(crate) fn without_thread(&self, destroyed: oneshot::Sender<()>) {
        let _ = self.turned_by_tasks.set(destroyed);
    }

    /// Returns a guard that is dropped after the future of an operation. The future may have
    /// left a slot to another.
    pub(crate) fn checked(&self) -> Checked<'_> {
        Checked(self)
    }

    /// Submits the operation that has just been staged, with those that other tasks stage
    /// meanwhile.
    fn submit(&self) {
        if self.requested.load(SeqCst) {
            // The turn that was requested follows, and submits it.
            return;
        }
        // A task that was woken keeps the slot of its completed operation until it runs, and
        // then is likely to begin the next: it is waited for.
        if self.reactor.free_slots() + 1 == self.reactor.capacity() {
            // It is alone. An error is found again by the driver.
            let _ = self.turn();
        } else {
            self.request();
        }
    }

    /// Turns the reactor. A panic of user code, a waker or the destructor of a buffer, has
    /// been reported by its hook, and ends here.
    ///
    /// # Errors
    /// Those of [`Reactor::turn`].
    pub(crate) fn turn(&self) -> Result<usize, Errno> {
        let turned = match catch_unwind(AssertUnwindSafe(|| self.reactor.turn())) {
            Ok(turned) => turned,
            Err(panic) => {
                drop_quietly(panic);
                // There may be more to notify.
                self.request();
                Ok(1)
            }
        };
        self.check();
        turned
    }

    /// Requests a turn if one is needed.
    fn check(&self) {
        // A turn that was requested begins later than this, and ends with a check.
        if !self.requested.load(SeqCst) && self.reactor.needs_turn() {
            self.request();
        }
    }

    fn request(&self) {
        if self.requested.swap(true, SeqCst) {
            return;
        }
        let mut driver = self.driver();
        match &*driver {
            Task::Active => {}
            Task::Waiting(_) => {
                let before = std::mem::replace(&mut *driver, Task::Active);
                drop(driver);
                if let Task::Waiting(waker) = before {
                    waker.wake();
                }
            }
            Task::Ended => self.signal(),
        }
    }

    fn driver(&self) -> MutexGuard<'_, Task> {
        self.driver.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Signals the eventfd.
    pub(crate) fn signal(&self) {
        // An error is impossible unless the counter is at its maximum, and then the eventfd
        // is readable.
        let _ = (&*self.eventfd).write(&1_u64.to_ne_bytes());
    }

    /// Is ready if a turn is requested; otherwise the task is woken when one is.
    pub(crate) fn poll_request(&self, task: &mut Context<'_>) -> Poll<()> {
        let mut driver = self.driver();
        if self.requested.load(SeqCst) {
            return Poll::Ready(());
        }
        match &*driver {
            Task::Waiting(known) if known.will_wake(task.waker()) => {}
            Task::Ended => {}
            _ => *driver = Task::Waiting(task.waker().clone()),
        }
        Poll::Pending
    }

    /// Takes the requests that a turn serves which begins afterwards.
    pub(crate) fn take_request(&self) {
        self.requested.store(false, SeqCst);
    }

    /// Ends the driver's task: requests signal the eventfd from now on.
    pub(crate) fn without_driver(&self) {
        let before = std::mem::replace(&mut *self.driver(), Task::Ended);
        drop(before);
        self.signal();
    }

    /// Waits until the eventfd is signalled, at most this number of milliseconds, and turns
    /// the reactor. Returns the number of completions.
    ///
    /// # Errors
    /// Those of [`Reactor::turn`].
    pub(crate) fn wait(&self, milliseconds: i32) -> Result<usize, Errno> {
        let mut polled = libc::pollfd {
            fd: self.eventfd.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: one `pollfd`, a local variable, is read and written.
        if unsafe { libc::poll(&raw mut polled, 1, milliseconds) } > 0 {
            // The eventfd is non-blocking: an error means that it is reset already.
            let _ = std::io::Read::read(&mut &*self.eventfd, &mut [0; 8]);
        }
        self.take_request();
        self.turn()
    }
}

/// Requests a turn where the end of an operation makes one necessary.
pub(crate) struct Checked<'a>(&'a Shares);

impl Drop for Checked<'_> {
    fn drop(&mut self) {
        self.0.check();
    }
}

/// Drops the payload of a panic, whose destructor may panic as well.
pub(crate) fn drop_quietly(panic: Box<dyn std::any::Any + Send>) {
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        std::mem::forget(again);
    }
}
