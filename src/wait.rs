//! How to wait: which of the kernel's three calls, with which time and mask.
//!
//! - 64-bit ABIs: io_getevents for a poll. For a wait io_pgetevents, also
//!   without a mask: the kernel restarts it after a signal that ran no handler
//!   (ERESTARTNOHAND), where io_getevents returns EINTR. Without a mask,
//!   io_getevents is the fall-back.
//! - 32-bit ABIs: io_pgetevents_time64 first, which is restarted as well (Linux
//!   5.1; the only one on riscv32 and on kernels without 32-bit time). Where it
//!   is missing, or a sandbox forbids it, the older call with 32-bit time.
//!
//! A sandbox says EPERM where an older kernel says ENOSYS: both mean "not this
//! call", and both fall back. There is no fall-back for the mask itself here: to
//! change it with a call of its own would lose the signals in between (`raw` has
//! one that does not).

use core::ptr::{null, null_mut};
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use core::time::Duration;

use crate::abi::{AioContext, Event, Long, OldTimespec, SigSet, Timespec};
use crate::call::Call;
use crate::errno::Errno;
use crate::nr;

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
/// use linux_aio::{SigSet, Wait};
///
/// const SIGTERM: u32 = 15;
/// // Up to a second, with SIGTERM let through and everything else held back.
/// let mask = SigSet::full().without(SIGTERM);
/// let wait = Wait::new().timeout(Duration::from_secs(1)).sigmask(&mask);
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[must_use]
pub struct Wait<'a> {
    limit: Limit,
    sigmask: Option<&'a SigSet>,
}

#[derive(Clone, Copy, Debug, Default)]
enum Limit {
    #[default]
    Never,
    /// Zero, which need not be put together for each call.
    Now,
    /// Never zero.
    After(Duration),
}

impl<'a> Wait<'a> {
    /// For ever, with the thread's own signal mask.
    pub const fn new() -> Wait<'a> {
        Wait {
            limit: Limit::Never,
            sigmask: None,
        }
    }

    /// Not at all: take what is there.
    pub const fn poll() -> Wait<'a> {
        Wait {
            limit: Limit::Now,
            sigmask: None,
        }
    }

    /// For this long at the most, counted again from zero when the kernel
    /// restarts the wait ([Signals](Wait#signals)). More seconds than the
    /// kernel's type can hold are cut to its maximum.
    pub const fn timeout(mut self, timeout: Duration) -> Wait<'a> {
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
    pub const fn sigmask(mut self, mask: &'a SigSet) -> Wait<'a> {
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

/// Set once the 64-bit time call has turned out to be missing while the older
/// one works. A filter or a kernel does not give a call back, so this never
/// has to be unset, and threads need no order between them.
static TIME64_MISSING: AtomicBool = AtomicBool::new(false);

/// Takes up to `events.len()` events, waiting for `min_nr` of them. Returns
/// how many were written to the front of `events`.
///
/// In line, as all of the way to the trap is: on processors that forget their
/// callers in the kernel (most that are guarded against Spectre's kind), every
/// return after the trap costs tens of nanoseconds.
///
/// # Safety
/// No other code may be reading the context's ring in user space.
#[inline(always)]
pub(crate) unsafe fn get_events(
    ctx: AioContext,
    min_nr: usize,
    events: &mut [Event],
    wait: Wait<'_>,
) -> Result<usize, Errno> {
    // Numbers over isize::MAX become negative, which the kernel refuses.
    let min_nr = min_nr as isize;
    let call = Call {
        ctx,
        min_nr,
        nr: events.len() as isize,
        // Null and dangling pointers are one to the kernel where nr is 0.
        events: if events.is_empty() {
            null_mut()
        } else {
            events.as_mut_ptr()
        },
        sigmask: wait.sigmask.map_or(null(), core::ptr::from_ref),
    };
    // SAFETY: `call` writes to `events` alone, as many as it holds; its mask is
    // null or borrowed by `wait`; and the caller promises that no other code
    // reads the ring.
    unsafe {
        if nr::IO_PGETEVENTS_TIME64.is_some() {
            time64_or_old(call, wait.limit)
        } else if wait.is_poll() {
            call.old(OLD_NOW)
        } else {
            with_old_time(wait.limit, |time| call.restarted(time))
        }
    }
}

/// The first `count` events; never more than there are.
#[inline]
pub(crate) fn front(events: &mut [Event], count: usize) -> &mut [Event] {
    let count = count.min(events.len());
    &mut events[..count]
}

/// The new call, or the old one where that is missing.
///
/// # Safety
/// As [`Call`].
unsafe fn time64_or_old(call: Call, limit: Limit) -> Result<usize, Errno> {
    // m68k has no old call that takes a mask: there the new one's answer is
    // the true one.
    let new_alone = !call.sigmask.is_null() && nr::IO_PGETEVENTS.is_none();
    if TIME64_MISSING.load(Relaxed) && !new_alone {
        // SAFETY: the caller's promise.
        return unsafe { old(call, limit) };
    }
    let time;
    let time = match limit {
        Limit::Never => null(),
        Limit::Now => &raw const *NOW,
        Limit::After(after) => {
            time = timespec(after);
            &raw const time
        }
    };
    // SAFETY: the caller's promise, and the time is alive here.
    match unsafe { call.time64(time) } {
        Err(first @ (Errno::NOSYS | Errno::PERM)) => {
            // SAFETY: the caller's promise; the first call took no event.
            match unsafe { old(call, limit) } {
                Err(Errno::NOSYS | Errno::PERM) => Err(first),
                answer => {
                    TIME64_MISSING.store(true, Relaxed);
                    answer
                }
            }
        }
        answer => answer,
    }
}

/// # Safety
/// As [`Call`].
#[inline]
unsafe fn old(call: Call, limit: Limit) -> Result<usize, Errno> {
    // SAFETY: what `call` needs is the caller's promise; the time is null or
    // alive here.
    with_old_time(limit, |time| unsafe { call.old(time) })
}

/// Calls with a pointer to the limit as the older calls take it, null for none.
#[inline(always)]
fn with_old_time(
    limit: Limit,
    call: impl FnOnce(*const OldTimespec) -> Result<usize, Errno>,
) -> Result<usize, Errno> {
    let time;
    let time = match limit {
        Limit::Never => null(),
        Limit::Now => &raw const *OLD_NOW,
        Limit::After(after) => {
            time = old_timespec(after);
            &raw const time
        }
    };
    call(time)
}

const NOW: &Timespec = &Timespec { sec: 0, nsec: 0 };
const OLD_NOW: &OldTimespec = &OldTimespec { sec: 0, nsec: 0 };

fn timespec(time: Duration) -> Timespec {
    Timespec {
        sec: time.as_secs().try_into().unwrap_or(i64::MAX),
        nsec: time.subsec_nanos().into(),
    }
}

#[inline]
fn old_timespec(time: Duration) -> OldTimespec {
    OldTimespec {
        sec: time.as_secs().try_into().unwrap_or(Long::MAX),
        nsec: time.subsec_nanos() as Long,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_too_long_is_cut_not_turned_negative() {
        let time = timespec(Duration::MAX);
        assert_eq!((time.sec, time.nsec), (i64::MAX, 999_999_999));
        let time = old_timespec(Duration::MAX);
        assert_eq!((time.sec, time.nsec), (Long::MAX, 999_999_999));
    }
}
