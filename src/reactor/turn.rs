//! Turns and waits: they submit, take completions, and wake tasks outside the lock.

use core::task::Waker;

#[cfg(feature = "std")]
use super::deferred;
#[cfg(feature = "std")]
use super::eventfd;
use super::eventfd::Signals;
use super::inner::{self, First, Next, Notice};
use super::{Local, Lock, Reactor};
use crate::buffer::IoBuf;
#[cfg(doc)]
use crate::context::Context;
use crate::context::WaitOptions;
use crate::engine::Submission;
use crate::sys::errno::Errno;

impl<B: IoBuf + 'static, L: Lock, T> Reactor<'_, B, L, T> {
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
    /// assert_eq!(reactor.turn()?, 1);
    /// assert_eq!(reactor.turn()?, 0);
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "io_queue_run")]
    #[inline]
    pub fn turn(&self) -> Result<usize, Errno> {
        match self.begin_turn() {
            0 => self.notify_all(0, WaitOptions::poll()),
            completed => Ok(completed),
        }
    }

    /// Submits the staged operations, and notifies the completed ones if the first is found at
    /// once. Returns their number: 0 if the caller has to poll.
    #[inline(never)]
    fn begin_turn(&self) -> usize {
        let mut submission = Submission::new();
        let mut first = self.with(|inner| {
            inner.begin_turn();
            inner.take_submission(&mut submission);
            match submission.is_empty() {
                true => inner.first_waker(),
                false => First::Unknown,
            }
        });
        if !submission.is_empty() {
            self.submit(&mut submission);
            first = self.with(|inner| inner.first_waker());
        }
        self.notify_from(first)
    }

    /// Notifies the completed operations of a turn from the first on. Returns their number:
    /// 0 if it is unknown whether there is one.
    #[inline(always)]
    fn notify_from(&self, first: First) -> usize {
        match first {
            First::Only(waker) => {
                waker.wake();
                match self.with(|inner| inner.conditions.is_empty()) {
                    true => 1,
                    // The waker has left other work to this turn.
                    false => self.notify(None, 0, 1),
                }
            }
            First::Next(waker, left) => self.notify(Some(waker), left, left + 1),
            First::Unknown => 0,
        }
    }

    /// Submits operations while the lock is free, until the submission is empty.
    #[inline]
    fn submit(&self, submission: &mut Submission) {
        // SAFETY: `turn` and `poll_all`, the only callers, fill it from this reactor.
        unsafe { inner::submit_all(&self, submission) }
    }

    /// Polls for completions or waits for them. Returns the number of completed operations.
    #[inline(never)]
    fn poll_all(&self, min_nr: usize, wait: WaitOptions<'_>) -> (Result<(), Errno>, usize) {
        let mut submission = Submission::new();
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
        (polled, left)
    }

    /// Polls for completions or waits for them, and notifies the completed operations.
    #[inline(never)]
    fn notify_all(&self, min_nr: usize, wait: WaitOptions<'_>) -> Result<usize, Errno> {
        let (polled, left) = self.poll_all(min_nr, wait);
        let count = self.notify(None, left, left);
        polled.map(|()| count)
    }

    /// Takes the next notification, and signals the operation's own eventfd. `left` is the
    /// number of completed operations that this turn notifies, before and after it.
    #[inline(never)]
    fn take_notice(&self, mut left: usize) -> (Option<Notice<B, T>>, usize) {
        let (notice, own) = self.with(|inner| inner.notice(&mut left));
        let signals = Signals {
            reactor: false,
            own,
        };
        signals.send(None);
        (notice, left)
    }

    /// Runs the user code of a turn outside the lock, and returns the number of notified
    /// operations. `first` is the waker of the first one, which `total` contains, as it does
    /// the number of those that are `left`.
    ///
    /// It takes one operation at a time out of the ring or the completed list, so that a panic
    /// leaves the others there.
    #[inline(never)]
    fn notify(&self, mut first: Option<Waker>, left: usize, total: usize) -> usize {
        let mut notification = Notification {
            reactor: self,
            left,
            total,
        };
        #[cfg(feature = "std")]
        {
            let mut panics = deferred::Panics::default();
            let mut more = true;
            while more {
                // A panic in between leaves `more` unchanged.
                panics.catch(|| {
                    if let Some(waker) = first.take() {
                        waker.wake();
                    }
                    while notification.notify_next() {}
                    more = false;
                });
            }
            let count = notification.finish();
            panics.resume();
            count
        }
        #[cfg(not(feature = "std"))]
        {
            if let Some(waker) = first.take() {
                waker.wake();
            }
            while notification.notify_next() {}
            notification.finish()
        }
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
    ///
    /// # Examples
    /// ```
    /// use core::time::Duration;
    /// use linux_aio::WaitOptions;
    /// use linux_aio::reactor::{Reactor, ReactorSlot};
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let mut slots = ReactorSlot::<()>::array::<8>();
    /// let reactor = Reactor::<()>::new(&mut slots)?;
    /// // An executor with a timer that expires in 10 milliseconds.
    /// let wait = WaitOptions::new().timeout(Duration::from_millis(10));
    /// assert_eq!(reactor.wait(wait)?, 0);
    /// # Ok::<(), linux_aio::Errno>(())
    /// ```
    #[inline]
    pub fn wait(&self, wait: WaitOptions<'_>) -> Result<usize, Errno> {
        match self.begin_wait() {
            0 => self.notify_all(1, wait),
            completed => Ok(completed),
        }
    }

    /// Submits the staged operations under the lock, and notifies the completed ones as
    /// [`begin_turn`](Reactor::begin_turn) does.
    #[inline(never)]
    fn begin_wait(&self) -> usize {
        let first = self.with(|inner| {
            inner.begin_turn();
            inner.submit_staged();
            inner.first_waker()
        });
        self.notify_from(first)
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
    /// thread needs wakers that also signal the eventfd, and must be the only one that waits:
    /// the wait of another thread could take the signal. Otherwise, let one thread do
    /// nothing but wait, as in the example.
    ///
    /// The wait resets the eventfd for this reactor alone. A second reactor with the same
    /// eventfd could miss its completions. Make the eventfd non-blocking (`EFD_NONBLOCK`). If
    /// several threads reset a blocking one, a wait can last until the next signal, past its
    /// timeout.
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
    /// # #[cfg(not(all(feature = "std", target_os = "linux")))] fn main() {}
    /// # #[cfg(all(feature = "std", target_os = "linux"))] fn main() -> Result<(), linux_aio::Errno> {
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// # use std::os::fd::{AsFd, FromRawFd};
    /// # // SAFETY: eventfd(2) accesses no memory.
    /// # let raw = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
    /// # assert!(raw >= 0);
    /// # // SAFETY: the descriptor is new, and nothing else owns it.
    /// # let eventfd = unsafe { std::fs::File::from_raw_fd(raw) };
    /// # let reactor = Reactor::<Vec<u8>, Shared>::with_capacity(4)?.eventfd(&eventfd);
    /// # let stop = AtomicBool::new(false);
    /// # std::thread::scope(|threads| {
    /// #     let driver = threads.spawn(|| drive(&reactor, &stop));
    /// #     stop.store(true, Ordering::Release);
    /// #     std::io::Write::write_all(&mut &eventfd, &1_u64.to_ne_bytes()).unwrap();
    /// #     driver.join().unwrap()
    /// # })?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn wait_eventfd(&self, wait: WaitOptions<'_>) -> Result<usize, Errno> {
        let eventfd = self.eventfd.get().ok_or(Errno::INVAL)?;
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

/// The notifications of one turn.
struct Notification<'a, 'r, B: IoBuf + 'static, L: Lock, T> {
    reactor: &'a Reactor<'r, B, L, T>,
    /// The number of completed operations whose futures are to be notified. Operations
    /// that complete meanwhile are left to the next turn; otherwise a waker that begins
    /// operations could prolong this one without end.
    left: usize,
    /// The number of those that are notified or still `left`.
    total: usize,
}

impl<B: IoBuf + 'static, L: Lock, T> Notification<'_, '_, B, L, T> {
    /// Runs one notification. Returns `false` if there is none left.
    #[inline(always)]
    fn notify_next(&mut self) -> bool {
        let left = self.left;
        match self.reactor.with(|inner| inner.next_waker(left)) {
            Next::Wake(waker) => {
                self.left = left - 1;
                waker.wake();
                true
            }
            Next::Nothing => {
                self.end();
                false
            }
            Next::Other => self.notify_any(),
        }
    }

    /// Runs one notification of any kind.
    #[inline(always)]
    fn notify_any(&mut self) -> bool {
        let (notice, left) = self.reactor.take_notice(self.left);
        self.left = left;
        match notice {
            None => {
                self.end();
                return false;
            }
            Some(notice) => notice.run(),
        }
        true
    }

    /// Records that no operation is left to be notified.
    #[inline(always)]
    fn end(&mut self) {
        self.total -= core::mem::take(&mut self.left);
    }

    /// Returns the number of notified operations. The destructor signals the eventfd.
    fn finish(self) -> usize {
        self.total - self.left
    }
}

impl<B: IoBuf + 'static, L: Lock, T> Drop for Notification<'_, '_, B, L, T> {
    fn drop(&mut self) {
        #[cfg(not(feature = "std"))]
        if self.left > 0 {
            self.reactor.with(|inner| inner.leave_to_next_turn());
        }
        if self.reactor.eventfd.get().is_none() {
            return;
        }
        let signals = Signals {
            reactor: self.reactor.with(|inner| inner.signals_turn()),
            own: None,
        };
        signals.send(self.reactor.eventfd.get());
    }
}
