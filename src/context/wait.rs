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
/// system call has to permit the newer one as well.
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
    pub const fn new() -> WaitOptions<'a> {
        WaitOptions {
            limit: Limit::Never,
            sigmask: None,
        }
    }

    /// Creates options that do not wait: only the available events are taken.
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
    /// is missing or forbidden, the wait fails with ENOSYS or EPERM.
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
