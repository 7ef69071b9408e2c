//! [`WaitOptions`]: the timeout and the signal mask of a wait.

use core::time::Duration;

use crate::sys::abi::{Event, SigSet};

/// The timeout and the signal mask of a wait for events.
///
/// # Signals
/// A wait ends when a signal handler has run, whether it was installed with SA_RESTART
/// or not. A signal that runs no handler (SIGSTOP and SIGCONT, Ctrl-Z and `fg`, a debugger
/// or `strace` that attaches) does not end a wait that has no event yet. The kernel
/// restarts the wait then, and **its timeout starts again**. A program that must stop at a
/// fixed time has to measure the time itself. If some events have been taken, a signal of
/// either kind ends the wait, which returns them.
///
/// # Kernel
/// The restart needs io_pgetevents (Linux 4.18), on 32-bit ABIs io_pgetevents_time64
/// (Linux 5.1). Where that system call is missing (ENOSYS) or a sandbox forbids it
/// (EPERM), a wait without a mask uses io_getevents, and signals without a
/// handler end it with EINTR, too. A wait with a mask needs one of these two system calls,
/// and otherwise fails with that error. A sandbox that kills the process for a forbidden
/// system call has to permit the newer one as well. Android's applications are in such a
/// sandbox: on Android a wait without a mask uses io_getevents alone, and one with a mask
/// ends an application with SIGSYS.
///
/// # Examples
/// ```
/// use core::time::Duration;
/// use linux_aio::{SigSet, WaitOptions};
///
/// const SIGTERM: u32 = 15;
/// // A timeout of a second, with all signals blocked except SIGTERM.
/// let mask = SigSet::full().without(SIGTERM);
/// let wait = WaitOptions::new().timeout(Duration::from_secs(1)).sigmask(&mask);
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[must_use]
pub struct WaitOptions<'a> {
    pub(crate) limit: Limit,
    pub(crate) sigmask: Option<&'a SigSet>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Limit {
    #[default]
    Never,
    /// A timeout of zero, a constant that need not be built for each system call.
    Now,
    /// A timeout, which is never zero.
    After(Duration),
}

impl<'a> WaitOptions<'a> {
    /// Creates options for a wait without a timeout, with the thread's current signal
    /// mask.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::{Context, Event, WaitOptions};
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let context = Context::new(8)?;
    /// # // An event, so that the wait ends.
    /// # let file = std::fs::File::open("/dev/null").unwrap();
    /// # let fd = std::os::fd::AsRawFd::as_raw_fd(&file);
    /// # let mut empty = linux_aio::opcode::Pread::new(fd, std::ptr::null_mut(), 0).build();
    /// # // SAFETY: the read has no buffer.
    /// # unsafe { context.submit(&mut [&mut empty]) }?;
    /// // Returns when there is an event, or after a signal handler has run.
    /// let mut events = [Event::EMPTY; 8];
    /// assert_eq!(context.wait_with(1, &mut events, WaitOptions::new())?.len(), 1);
    /// # Ok::<(), linux_aio::Errno>(())
    /// ```
    pub const fn new() -> WaitOptions<'a> {
        WaitOptions {
            limit: Limit::Never,
            sigmask: None,
        }
    }

    /// Creates options that do not wait: only the available events are taken.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::{Context, Event, WaitOptions};
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let context = Context::new(8)?;
    /// let mut events = [Event::EMPTY; 8];
    /// assert!(context.wait_with(1, &mut events, WaitOptions::poll())?.is_empty());
    /// # Ok::<(), linux_aio::Errno>(())
    /// ```
    pub const fn poll() -> WaitOptions<'a> {
        WaitOptions {
            limit: Limit::Now,
            sigmask: None,
        }
    }

    /// Sets the timeout, relative to the start of the wait, with a resolution of
    /// nanoseconds. Zero does not wait, as [`poll`](WaitOptions::poll).
    ///
    /// The timeout never expires early: a wait that ends by it has taken at least this long,
    /// by the monotonic clock. It expires late by up to the thread's timer slack (50 µs
    /// unless changed with `prctl(2)`), and by the time until the thread runs again.
    ///
    /// The timeout starts again when the kernel restarts the wait
    /// ([Signals](WaitOptions#signals)). A timeout of more seconds than the kernel's type
    /// can hold is reduced to its maximum.
    ///
    /// # Examples
    /// ```
    /// use core::time::Duration;
    /// use linux_aio::{Context, Event, WaitOptions};
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let context = Context::new(8)?;
    /// let mut events = [Event::EMPTY; 8];
    /// let wait = WaitOptions::new().timeout(Duration::from_millis(1));
    /// assert!(context.wait_with(1, &mut events, wait)?.is_empty());
    /// # Ok::<(), linux_aio::Errno>(())
    /// ```
    pub const fn timeout(mut self, timeout: Duration) -> WaitOptions<'a> {
        self.limit = if timeout.is_zero() {
            Limit::Now
        } else {
            Limit::After(timeout)
        };
        self
    }

    /// Sets the thread's signal mask during the wait. The kernel installs and restores
    /// it atomically with the wait (`io_pgetevents(2)`, Linux 4.18). Where that system call
    /// is missing or forbidden, the wait fails with ENOSYS or EPERM. In an application of
    /// Android it ends the process.
    ///
    /// # Examples
    /// ```
    /// use core::time::Duration;
    /// use linux_aio::{Context, Errno, Event, SigSet, WaitOptions};
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// const SIGTERM: u32 = 15;
    /// // Only SIGTERM ends the wait before its timeout.
    /// let mask = SigSet::full().without(SIGTERM);
    /// let wait = WaitOptions::new().timeout(Duration::from_millis(1)).sigmask(&mask);
    ///
    /// let context = Context::new(8)?;
    /// match context.wait_with(1, &mut [Event::EMPTY], wait) {
    ///     Ok(events) => assert!(events.is_empty()),
    ///     Err(Errno::INTR) => println!("SIGTERM"),
    ///     // A kernel before 4.18, or a sandbox.
    ///     Err(Errno::NOSYS | Errno::PERM) => println!("no wait can set a mask"),
    ///     Err(errno) => return Err(errno),
    /// }
    /// # Ok::<(), linux_aio::Errno>(())
    /// ```
    pub const fn sigmask(mut self, mask: &'a SigSet) -> WaitOptions<'a> {
        self.sigmask = Some(mask);
        self
    }

    /// Returns whether these options neither wait nor set a signal mask.
    pub(crate) fn is_poll(&self) -> bool {
        matches!(self.limit, Limit::Now) && !self.has_mask()
    }

    /// Returns whether these options wait without a timeout.
    pub(crate) fn is_forever(&self) -> bool {
        matches!(self.limit, Limit::Never)
    }

    pub(crate) fn has_mask(&self) -> bool {
        self.sigmask.is_some()
    }
}

/// Returns the first `count` events, or all of them if there are fewer.
#[inline]
pub(crate) fn front(events: &mut [Event], count: usize) -> &mut [Event] {
    let count = count.min(events.len());
    &mut events[..count]
}
