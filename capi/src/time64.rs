//! The waits with 64-bit time, for 32-bit programs that have it
//! (`_TIME_BITS=64`): `libaio.h` gives them these names, as the one of Debian's
//! libaio1t64 does.

use core::ffi::{c_int, c_long};

use linux_aio::abi::Timespec;
use linux_aio::sys::getevents::{self, Timeout};
use linux_aio::{AioContext, Event, SigSet};

use crate::count;

/// [`getevents::get_events`].
///
/// # Safety
/// As [`getevents::get_events`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn io_getevents_time64(
    ctx: AioContext,
    min_nr: c_long,
    nr: c_long,
    events: *mut Event,
    timeout: *const Timespec,
) -> c_int {
    let (min_nr, nr, timeout) = (min_nr as isize, nr as isize, Timeout::Time64(timeout));
    // SAFETY: the caller's promise.
    count(unsafe { getevents::get_events(ctx, min_nr, nr, events, timeout) })
}

/// [`getevents::get_events_masked`].
///
/// # Safety
/// As [`getevents::get_events_masked`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn io_pgetevents_time64(
    ctx: AioContext,
    min_nr: c_long,
    nr: c_long,
    events: *mut Event,
    timeout: *const Timespec,
    sigmask: *const SigSet,
) -> c_int {
    let (min_nr, nr, timeout) = (min_nr as isize, nr as isize, Timeout::Time64(timeout));
    // SAFETY: the caller's promise.
    count(unsafe { getevents::get_events_masked(ctx, min_nr, nr, events, timeout, sigmask) })
}
