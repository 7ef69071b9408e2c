//! [`WaitOptions`]: for how long to wait, and with which signal mask.

use core::time::Duration;

use crate::sys::abi::{Event, SigSet};

/// How long to wait for events, and with which signals blocked.
///
/// # Signals
/// A wait ends when a signal handler has run, whether it was installed with
/// SA_RESTART or not. A signal that runs no handler does not end a wait that
/// has no event yet: SIGSTOP and SIGCONT, Ctrl-Z and `fg`, a debugger or `strace`
/// that attaches. The kernel restarts the wait then, and **its timeout begins
/// anew**: a program that has to stop at a fixed time takes the time itself.
///
/// # Kernel
/// The restart needs io_pgetevents (Linux 4.18), on 32-bit ABIs
/// io_pgetevents_time64 (Linux 5.1). Where that call is missing (ENOSYS) or a
/// sandbox forbids it (EPERM), a wait without a mask is made by the older call,
/// and each of these signals ends it with EINTR. A sandbox that kills the
/// process for a forbidden call has to permit the newer one as well.
///
/// # Examples
/// ```
/// use core::time::Duration;
/// use linux_aio::{SigSet, WaitOptions};
///
/// const SIGTERM: u32 = 15;
/// // Up to a second, with SIGTERM let through and everything else held back.
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
    /// Zero, which need not be put together for each call.
    Now,
    /// Never zero.
    After(Duration),
}

impl<'a> WaitOptions<'a> {
    /// For ever, with the thread's own signal mask.
    pub const fn new() -> WaitOptions<'a> {
        WaitOptions {
            limit: Limit::Never,
            sigmask: None,
        }
    }

    /// Not at all: take what is there.
    pub const fn poll() -> WaitOptions<'a> {
        WaitOptions {
            limit: Limit::Now,
            sigmask: None,
        }
    }

    /// For this long at the most, counted again from zero when the kernel
    /// restarts the wait ([Signals](WaitOptions#signals)). More seconds than the
    /// kernel's type can hold are cut to its maximum.
    pub const fn timeout(mut self, timeout: Duration) -> WaitOptions<'a> {
        self.limit = if timeout.is_zero() {
            Limit::Now
        } else {
            Limit::After(timeout)
        };
        self
    }

    /// With this as the thread's signal mask while it waits, put in place and
    /// taken back by the kernel in one step with the wait (io_pgetevents,
    /// Linux 4.18).
    pub const fn sigmask(mut self, mask: &'a SigSet) -> WaitOptions<'a> {
        self.sigmask = Some(mask);
        self
    }

    /// Neither waits nor lets signals in.
    pub(crate) fn is_poll(&self) -> bool {
        matches!(self.limit, Limit::Now) && !self.has_mask()
    }

    /// Waits for ever.
    pub(crate) fn is_forever(&self) -> bool {
        matches!(self.limit, Limit::Never)
    }

    pub(crate) fn has_mask(&self) -> bool {
        self.sigmask.is_some()
    }
}

/// The first `count` events; never more than there are.
#[inline]
pub(crate) fn front(events: &mut [Event], count: usize) -> &mut [Event] {
    let count = count.min(events.len());
    &mut events[..count]
}
