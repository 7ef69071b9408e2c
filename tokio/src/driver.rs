//! [`Driver`]: the reactor of one runtime, and the task that turns it.
//!
//! The kernel adds to an eventfd for each completion. The eventfd is registered with the
//! runtime's poller, which is edge-triggered: each addition is an event, so that the
//! driver never reads it. The task turns the reactor at each event, which wakes the tasks
//! whose operations have completed, and when a task has requested it ([`Shares`]).
//!
//! ```text
//!            start                    close
//!  (new) ─────────► Running ─────────────────────► Closed
//!    │                 │ forbidden by a sandbox       ▲
//!    │ AIO is absent   ▼                              │
//!    └─────────────► Absent ─────────────────────────-┘
//! ```
//!
//! An operation takes a share of the reactor while the driver is `Running`, through a weak
//! pointer and without the lock. `close` clears the flag `running`, so that no further operation
//! begins, and leaves the driver's own share to a thread ([`linger`]) that turns the reactor
//! until that share is the last and then destroys the context. The thread takes the last share
//! atomically: it is the last owner, and no task waits for the destruction.
//! Without a thread the tasks turn the reactor themselves.

use std::fs::File;
use std::future::poll_fn;
use std::io::{Error, Result};
use std::sync::atomic::{
    AtomicBool,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};

use linux_aio::{AioContext, Errno, sys};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::oneshot;
use tokio::task::yield_now;

use crate::builder::{Builder, Fallback};
use crate::eventfd::eventfd;
use crate::shares::Shares;
use crate::{fork, linger, registry};

/// The least number of operations for which a context is set up.
const LEAST: u32 = 8;

#[derive(Debug)]
pub(crate) struct Driver {
    pub(crate) runtime: Handle,
    fallback: Fallback,
    logs: bool,
    state: Mutex<State>,
    /// The reactor of the state `Running`, for [`route`](Driver::route) without the lock.
    shares: Weak<Shares>,
    /// The state is `Running`. Changed under the lock.
    running: AtomicBool,
    /// The generation of the process that started the driver. A forked child cannot use its
    /// context.
    generation: u32,
    capacity: usize,
}

/// How an operation of a driver is performed.
#[derive(Debug)]
pub(crate) enum Route {
    /// By AIO, with this share of the reactor.
    Reactor(Arc<Shares>),
    /// On the blocking pool.
    Pool,
    /// Not at all: the driver was shut down, or its runtime has ended.
    Closed(Closed),
}

/// The reason why a driver is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closed {
    /// `Aio::shutdown` was called.
    ShutDown,
    /// Its runtime was dropped.
    RuntimeEnded,
}

#[derive(Debug)]
enum State {
    Running(Arc<Shares>),
    Absent(Errno),
    Closed(Closed),
}

impl Driver {
    /// Creates a driver and registers it with the current runtime, unless that has one.
    /// Returns the registered driver, and whether it is the new one.
    ///
    /// # Errors
    /// Those of `eventfd(2)` and `epoll_ctl(2)`, and of `io_setup(2)` where the fall-back
    /// is off.
    pub(crate) fn start(builder: &Builder, runtime: Handle) -> Result<(Arc<Driver>, bool)> {
        fork::watch();
        let (state, ready, capacity) = match reactor(builder.capacity) {
            Ok((reactor, eventfd)) => {
                #[allow(deprecated, reason = "its replacement came with tokio 1.54")]
                let ready = AsyncFd::with_interest(eventfd, Interest::READABLE)?;
                let capacity = reactor.capacity();
                (State::Running(Arc::new(reactor)), Some(ready), capacity)
            }
            // The caller's capacity is wrong, or memory is short for now.
            Err(Failure::Aio(errno @ (Errno::INVAL | Errno::NOMEM))) => return Err(errno.into()),
            Err(Failure::Aio(errno)) if builder.fallback == Fallback::BlockingPool => {
                (State::Absent(errno), None, 0)
            }
            Err(Failure::Aio(errno)) => return Err(errno.into()),
            Err(Failure::Other(error)) => return Err(error),
        };
        let shares = match &state {
            State::Running(shares) => Arc::downgrade(shares),
            State::Absent(_) | State::Closed(_) => Weak::new(),
        };
        let driver = Arc::new(Driver {
            runtime: runtime.clone(),
            fallback: builder.fallback,
            logs: builder.logs,
            running: AtomicBool::new(shares.strong_count() > 0),
            shares,
            state: Mutex::new(state),
            generation: fork::generation(),
            capacity,
        });
        let registered = registry::insert(runtime.id(), &driver);
        if let Some(other) = registered {
            driver.close(Closed::ShutDown);
            return Ok((other, false));
        }
        if let State::Absent(errno) = *driver.state() {
            driver.log(errno);
        }
        // The task owns the driver, also where it has nothing to turn: the driver lives as
        // long as its runtime.
        let guard = CloseOnDrop(Arc::clone(&driver));
        runtime.spawn(async move {
            match ready {
                Some(ready) => drive(guard, ready).await,
                None => keep(guard).await,
            }
        });
        Ok((driver, true))
    }

    /// Returns whether this is the process that started the driver.
    fn is_own(&self) -> bool {
        fork::generation() == self.generation
    }

    /// Returns how the next operation is performed.
    #[inline]
    pub(crate) fn route(&self) -> Route {
        if !self.is_own() {
            return Route::Pool;
        }
        // An operation that finds the driver running while it is closed has begun before.
        if self.running.load(Acquire) {
            if let Some(reactor) = self.shares.upgrade() {
                return Route::Reactor(reactor);
            }
        }
        self.route_by_state()
    }

    #[cold]
    fn route_by_state(&self) -> Route {
        match &*self.state() {
            State::Running(reactor) => Route::Reactor(Arc::clone(reactor)),
            State::Absent(_) => Route::Pool,
            State::Closed(reason) => Route::Closed(*reason),
        }
    }

    /// Returns a share of the reactor, if there is one.
    pub(crate) fn reactor(&self) -> Option<Arc<Shares>> {
        match self.route() {
            Route::Reactor(reactor) => Some(reactor),
            Route::Pool | Route::Closed(_) => None,
        }
    }

    /// Returns the error that keeps the driver from AIO, if there is one.
    pub(crate) fn absent(&self) -> Option<Errno> {
        match &*self.state() {
            State::Absent(errno) => Some(*errno),
            State::Running(_) | State::Closed(_) => None,
        }
    }

    /// Returns the runtime whose blocking pool is used: the current one. The driver's own
    /// may have ended.
    pub(crate) fn pool(&self) -> Handle {
        Handle::try_current().unwrap_or_else(|_| self.runtime.clone())
    }

    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Returns whether an operation that the kernel refused with this error, and that has
    /// had no effect, is performed on the pool.
    ///
    /// A sandbox that began after the driver answers EPERM or ENOSYS. Then the following
    /// operations go to the pool as well.
    #[cold]
    pub(crate) fn refused(&self, errno: Errno) -> bool {
        if errno == Errno::INVAL {
            return !self.is_own();
        }
        if self.fallback != Fallback::BlockingPool || !is_absence(errno) {
            return false;
        }
        // A security module may forbid this file alone (EPERM).
        // SAFETY: no context has this name and there are no iocbs, so nothing is submitted.
        let probed = unsafe { sys::io_submit(AioContext::NONE, 0, std::ptr::null()) };
        if let Err(errno) = probed {
            if is_absence(errno) && self.stop(errno) {
                self.log(errno);
            }
        }
        true
    }

    /// Ends the driver: no operation begins any more. Those in flight are completed.
    ///
    /// The receiver is notified when the context has been destroyed.
    pub(crate) fn close(self: &Arc<Self>, reason: Closed) -> oneshot::Receiver<()> {
        registry::remove(self.runtime.id(), self);
        let (destroyed, waits) = oneshot::channel();
        self.leave(State::Closed(reason), destroyed);
        waits
    }

    /// Ends the use of AIO, because of this error. Returns `false` if it had ended.
    fn stop(&self, errno: Errno) -> bool {
        self.leave(State::Absent(errno), oneshot::channel().0)
    }

    /// Changes the state to one without a reactor, which is destroyed. Returns `false` if
    /// there was none.
    fn leave(&self, new: State, destroyed: oneshot::Sender<()>) -> bool {
        let mut state = self.state();
        if let (State::Closed(_), _) | (State::Absent(_), State::Absent(_)) = (&*state, &new) {
            return false;
        }
        let old = std::mem::replace(&mut *state, new);
        self.running.store(false, Release);
        drop(state);
        let State::Running(reactor) = old else {
            return false;
        };
        if self.is_own() {
            // The signal ends the driver's task.
            reactor.without_driver();
            linger::end(reactor, destroyed);
        }
        // In a forked child the parent's context is not destroyed.
        true
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reports, once per process, that operations run on the blocking pool.
    fn log(&self, errno: Errno) {
        static LOGGED: AtomicBool = AtomicBool::new(false);
        if self.logs && !LOGGED.swap(true, Relaxed) {
            #[cfg(feature = "log")]
            log::warn!("AIO is unavailable ({errno}): file operations use the blocking pool");
        }
        #[cfg(not(feature = "log"))]
        let _ = errno;
    }
}

/// Returns whether an error means that the kernel or a sandbox has no AIO.
fn is_absence(errno: Errno) -> bool {
    matches!(errno, Errno::NOSYS | Errno::PERM)
}

enum Failure {
    /// The error of io_setup.
    Aio(Errno),
    Other(Error),
}

/// Creates a reactor and its eventfd. It has fewer slots if that many exceed what
/// `fs.aio-max-nr` leaves.
fn reactor(capacity: u32) -> std::result::Result<(Shares, Arc<File>), Failure> {
    let eventfd = Arc::new(eventfd().map_err(Failure::Other)?);
    let mut wanted = capacity;
    loop {
        match Shares::new(wanted, &eventfd) {
            Ok(shares) => return Ok((shares, eventfd)),
            Err(Errno::AGAIN) if wanted > LEAST => wanted = (wanted / 2).max(LEAST),
            Err(errno) => return Err(Failure::Aio(errno)),
        }
    }
}

/// Closes the driver when its task ends: the runtime was dropped.
struct CloseOnDrop(Arc<Driver>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close(Closed::RuntimeEnded);
    }
}

/// Turns the reactor until the driver is closed.
async fn drive(guard: CloseOnDrop, ready: AsyncFd<Arc<File>>) {
    let several = guard.0.runtime.runtime_flavor() != RuntimeFlavor::CurrentThread;
    loop {
        match poll_fn(|task| poll_work(&guard.0, &ready, task)).await {
            // The tasks that can run may begin operations, which one turn submits. A
            // runtime of one thread has run them: this task was queued behind them.
            Work::Requested if several => yield_now().await,
            Work::Requested => {}
            Work::Completed => {}
            Work::Ended => break,
        }
        // A share is held during the turn alone, so that the last one can be found.
        let Some(shares) = guard.0.reactor() else {
            break;
        };
        shares.take_request();
        match shares.turn() {
            Ok(_) => {}
            Err(_) if !guard.0.is_own() => break,
            // The ring was changed by something else, and a sandbox forbids the system
            // call that replaces it. No completion will be found.
            Err(errno) => {
                guard.0.stop(errno);
            }
        }
    }
    drop(ready);
    if guard.0.absent().is_some() {
        keep(guard).await;
    }
}

/// What the driver's task has to do.
enum Work {
    /// The kernel has signalled the eventfd.
    Completed,
    /// A task has requested a turn.
    Requested,
    /// The driver is closed, or the runtime's poller is.
    Ended,
}

fn poll_work(driver: &Driver, ready: &AsyncFd<Arc<File>>, task: &mut Context<'_>) -> Poll<Work> {
    let Some(shares) = driver.reactor() else {
        return Poll::Ready(Work::Ended);
    };
    match ready.poll_read_ready(task) {
        // This comes before the turn: an operation that completes in between is another
        // event.
        Poll::Ready(Ok(mut event)) => {
            event.clear_ready();
            Poll::Ready(Work::Completed)
        }
        Poll::Ready(Err(_)) => Poll::Ready(Work::Ended),
        Poll::Pending => shares.poll_request(task).map(|()| Work::Requested),
    }
}

/// Keeps the driver for as long as the runtime.
async fn keep(guard: CloseOnDrop) {
    std::future::pending::<()>().await;
    drop(guard);
}
