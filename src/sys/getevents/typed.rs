//! The choice that the typed layers make: a wait that the kernel restarts where one
//! exists.

use core::ptr::{null, null_mut};
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::call::Call;
use super::time::{old_timespec, timespec};
use crate::context::{Limit, WaitOptions};
use crate::sys::abi::{AioContext, Event, OldTimespec, Timespec};
use crate::sys::errno::Errno;
use crate::sys::nr;

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
    wait: WaitOptions<'_>,
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
