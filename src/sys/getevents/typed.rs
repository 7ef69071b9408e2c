//! The choice of the system call for the typed layers: one that the kernel restarts
//! after a signal, where it exists.

use core::ptr::{null, null_mut};
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::call::{Call, OLD_ALONE};
use super::time::{old_timespec, timespec};
use crate::context::{Limit, WaitOptions};
use crate::sys::abi::{AioContext, Event, OldTimespec, Timespec};
use crate::sys::errno::Errno;
use crate::sys::nr;

/// Set once the 64-bit time system call has turned out to be missing while the older
/// one works. A missing system call does not become available later, neither through a
/// filter nor through the kernel, so the flag is never reset. Threads need no ordering
/// between them.
static TIME64_MISSING: AtomicBool = AtomicBool::new(false);

/// Takes up to `events.len()` events, waiting for `min_nr` of them. Returns the number
/// of events written to the front of `events`.
///
/// Inlined, as is all code up to the system call instruction. On processors whose
/// return-stack buffer is cleared on kernel entry (most with mitigations against the
/// Spectre class of attacks), every return after the system call costs tens of
/// nanoseconds.
///
/// # Safety
/// No other code reads the context's ring in user space during the call.
#[inline(always)]
pub(crate) unsafe fn get_events(
    ctx: AioContext,
    min_nr: usize,
    events: &mut [Event],
    wait: WaitOptions<'_>,
) -> Result<usize, Errno> {
    // Numbers over isize::MAX become negative, which the kernel refuses.
    let min_nr = min_nr as isize;
    let call = Call {
        ctx,
        min_nr,
        nr: events.len() as isize,
        // The kernel treats null and dangling pointers alike where nr is 0.
        events: if events.is_empty() {
            null_mut()
        } else {
            events.as_mut_ptr()
        },
        sigmask: wait.sigmask.map_or(null(), core::ptr::from_ref),
    };
    // SAFETY: `call` writes only to `events`, at most as many as it holds. Its mask is
    // null or borrowed by `wait`. The caller promises that no other code reads the
    // ring.
    unsafe {
        if nr::IO_PGETEVENTS_TIME64.is_some() && !(OLD_ALONE && wait.sigmask.is_none()) {
            time64_or_old(call, wait.limit)
        } else {
            old(call, wait.limit)
        }
    }
}

/// Waits with the 64-bit time system call, or with the older one where that is missing.
///
/// # Safety
/// The caller upholds the contract of [`Call`].
unsafe fn time64_or_old(call: Call, limit: Limit) -> Result<usize, Errno> {
    // m68k has no older system call that takes a mask, so only the result of the new
    // one is meaningful.
    let new_alone = !call.sigmask.is_null() && nr::IO_PGETEVENTS.is_none();
    if TIME64_MISSING.load(Relaxed) && !new_alone {
        // SAFETY: the caller upholds the contract of `Call`, which is that of `old`.
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
    // SAFETY: the caller upholds the contract of `Call`; `time` is null, static, or a
    // local variable that lives until the return.
    match unsafe { call.time64(time) } {
        Err(first @ (Errno::NOSYS | Errno::PERM)) => {
            // SAFETY: the caller upholds the contract of `Call`, and the first system
            // call took no event.
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

/// Waits with the older system call, in the kernel's `long` as the width of time.
///
/// # Safety
/// The caller upholds the contract of [`Call`].
#[inline]
unsafe fn old(call: Call, limit: Limit) -> Result<usize, Errno> {
    // SAFETY: the caller upholds the contract of `Call`; `time` is null, or valid
    // during this closure.
    with_old_time(limit, |time| unsafe { call.long_time(time) })
}

/// Runs `call` with a pointer to the limit in the layout of the older system calls;
/// null is no limit.
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
