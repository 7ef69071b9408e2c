//! [`WaitIdle`]: waits, without blocking a thread, until a reactor has nothing to do.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::ptr::NonNull;
use core::task::{Context as Task, Poll};

use super::handle::{Handle, Token};
use super::waiters::Waiter;

/// A future that is ready when its reactor is idle: see
/// [`Reactor::wait_idle`](super::Reactor::wait_idle).
///
/// Several tasks may wait. Polling it again after it was ready waits again.
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
/// use linux_aio::op::Read;
/// use linux_aio::reactor::{Reactor, WaitIdle};
/// use std::fs::File;
///
/// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
/// let file = File::open("/proc/self/exe").unwrap();
/// let reactor = Reactor::<Vec<u8>>::with_capacity(4)?;
/// // The result of this read is not wanted.
/// drop(reactor.try_push(Read::new(&file, vec![0; 4])));
/// # block_on(&reactor, async {
/// let idle: WaitIdle<_> = reactor.wait_idle();
/// idle.await;
/// assert_eq!(reactor.in_flight(), 0);
/// # })?;
/// # Ok(())
/// # }
/// ```
#[must_use = "futures do nothing unless polled"]
pub struct WaitIdle<R: Handle> {
    waiter: Waiter,
    reactor: R,
}

// SAFETY: the waiter is accessed under the reactor's lock alone. The handle is `Send` only
// if threads may share the reactor.
unsafe impl<R: Handle + Send> Send for WaitIdle<R> {}

impl<R: Handle> WaitIdle<R> {
    pub(super) fn new(reactor: R) -> WaitIdle<R> {
        WaitIdle {
            waiter: Waiter::new(),
            reactor,
        }
    }
}

impl<R: Handle> Future for WaitIdle<R> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<()> {
        let waiter = NonNull::from(&self.waiter);
        // Cloned outside the lock, because this is the executor's code.
        let mut waker = Some(task.waker().clone());
        let mut old = None;
        let idle = self.reactor.with(Token(()), |inner| {
            if inner.is_idle() {
                // SAFETY: the waiter belongs to this future, which is pinned. It is in the
                // list of this reactor alone, and the future's destructor removes it.
                old = inner
                    .conditions
                    .idle_mut(|idle| unsafe { idle.leave(waiter) });
                return true;
            }
            if let Some(waker) = waker.take() {
                // SAFETY: the waiter belongs to this future, which is pinned. It is in the
                // list of this reactor alone, and the future's destructor removes it.
                old = inner
                    .conditions
                    .idle_mut(|idle| unsafe { idle.enter(waiter, waker) });
            }
            false
        });
        drop((waker, old));
        if idle { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl<R: Handle> Drop for WaitIdle<R> {
    fn drop(&mut self) {
        let waiter = NonNull::from(&self.waiter);
        let old = self.reactor.with(Token(()), |inner| {
            // SAFETY: the waiter belongs to this future, is pinned with it and is still
            // alive. This is its last use.
            inner
                .conditions
                .idle_mut(|idle| unsafe { idle.leave(waiter) })
        });
        drop(old);
    }
}

impl<R: Handle> fmt::Debug for WaitIdle<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitIdle").finish_non_exhaustive()
    }
}
