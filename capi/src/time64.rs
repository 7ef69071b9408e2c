//! The waiting functions with 64-bit time, for 32-bit programs built with
//! `_TIME_BITS=64`.
//!
//! `libaio.h` gives them these names, as the header of Debian's libaio1t64 does.

use core::ffi::{c_int, c_long};

use linux_aio::abi::Timespec;
use linux_aio::sys::getevents::{self, Timeout};
use linux_aio::{AioContext, Event, SigSet};

use crate::count;

/// Waits for at least `min_nr` events and takes up to `nr`; see
/// [`getevents::get_events`].
///
/// # Safety
/// `events` is valid for writes of `nr` events, or the program cannot access it.
/// `timeout` is valid or null. If the timeout is zero, `ctx` is a context or zero
/// and is not destroyed during the call, because the ring is read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn io_getevents_time64(
    ctx: AioContext,
    min_nr: c_long,
    nr: c_long,
    events: *mut Event,
    timeout: *const Timespec,
) -> c_int {
    let (min_nr, nr, timeout) = (min_nr as isize, nr as isize, Timeout::Time64(timeout));
    // SAFETY: the caller promises the validity of `events`, `timeout` and `ctx`
    // that `get_events` requires; the values are passed unchanged.
    count(unsafe { getevents::get_events(ctx, min_nr, nr, events, timeout) })
}

/// Waits for events as [`io_getevents_time64`] does, with the signal mask replaced
/// meanwhile; see [`getevents::get_events_masked`].
///
/// # Safety
/// `events`, `timeout` and `ctx` obey the contract of [`io_getevents_time64`].
/// `sigmask` is valid or null, or the program cannot access it.
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
    // SAFETY: the caller promises that `events`, `timeout`, `ctx` and `sigmask`
    // are valid as `get_events_masked` requires; they are passed unchanged.
    count(unsafe { getevents::get_events_masked(ctx, min_nr, nr, events, timeout, sigmask) })
}
