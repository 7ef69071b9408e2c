//! libaio's functions, by their C names and conventions.
//!
//! Names and conversions only: what a call does is the library's. A result is
//! a count, or a negated error number; `errno` does not exist here, and so is
//! left alone.
//!
//! `cargo capi-install` makes `libaio.so.1` and `libaio.a` of this crate.
//! Symbol versions are given there, in `capi/install/src/abi.rs`: a function
//! whose name ends in `_0_1` is the old generation of the name before it.
//!
//! Source of names, signatures and conventions: `libaio.h` of libaio 0.3.113,
//! and its manual pages.
#![no_std]

use core::ffi::{c_int, c_long};

use linux_aio::sys::getevents::{self, Timeout};
use linux_aio::{AioContext, Errno, Event, Iocb, SigSet, abi::OldTimespec, sys};

pub mod queue;
#[cfg(target_pointer_width = "32")]
pub mod time64;

linux_aio::rt::memory_functions!();

/// No panic is reachable; a library must not write a message.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    linux_aio::rt::exit(101)
}

/// C's convention. A count is at most a ring's, and fits.
#[inline(always)]
fn count(result: Result<usize, Errno>) -> c_int {
    match result {
        Ok(count) => count as c_int,
        Err(errno) => -errno.raw_os_error(),
    }
}

/// C's convention, of what has no count.
#[inline(always)]
fn status(result: Result<(), Errno>) -> c_int {
    match result {
        Ok(()) => 0,
        Err(errno) => -errno.raw_os_error(),
    }
}

/// [`sys::io_setup`]. A negative number becomes one that is too large.
///
/// # Safety
/// As [`sys::io_setup`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn io_setup(maxevents: c_int, ctxp: *mut AioContext) -> c_int {
    // SAFETY: the caller's promise.
    status(unsafe { sys::io_setup(maxevents as u32, ctxp) })
}

/// [`sys::io_destroy`].
///
/// # Safety
/// As [`sys::io_destroy`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn io_destroy(ctx: AioContext) -> c_int {
    // SAFETY: the caller's promise.
    status(unsafe { sys::io_destroy(ctx) })
}

/// [`sys::io_submit`].
///
/// # Safety
/// As [`sys::io_submit`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn io_submit(ctx: AioContext, nr: c_long, iocbs: *const *mut Iocb) -> c_int {
    // SAFETY: the caller's promise.
    count(unsafe { sys::io_submit(ctx, nr as isize, iocbs) })
}

/// [`sys::io_cancel`].
///
/// # Safety
/// As [`sys::io_cancel`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn io_cancel(ctx: AioContext, iocb: *const Iocb, event: *mut Event) -> c_int {
    // SAFETY: the caller's promise.
    status(unsafe { sys::io_cancel(ctx, iocb, event) })
}

/// [`io_cancel`] as it was: the event goes nowhere. (Today's kernels put it
/// into the ring.)
///
/// # Safety
/// As [`sys::io_cancel`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn io_cancel_0_1(ctx: AioContext, iocb: *const Iocb) -> c_int {
    let mut event = Event::EMPTY;
    // SAFETY: the caller's promise; the event is ours.
    unsafe { io_cancel(ctx, iocb, &raw mut event) }
}

/// [`getevents::get_events`].
///
/// # Safety
/// As [`getevents::get_events`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn io_getevents(
    ctx: AioContext,
    min_nr: c_long,
    nr: c_long,
    events: *mut Event,
    timeout: *const OldTimespec,
) -> c_int {
    let timeout = Timeout::Old(timeout);
    // SAFETY: the caller's promise.
    count(unsafe { getevents::get_events(ctx, min_nr as isize, nr as isize, events, timeout) })
}

/// [`io_getevents`] as it was: it waits for one event.
///
/// # Safety
/// As [`getevents::get_events`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn io_getevents_0_1(
    ctx: AioContext,
    nr: c_long,
    events: *mut Event,
    timeout: *const OldTimespec,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { io_getevents(ctx, 1, nr, events, timeout) }
}

/// [`getevents::get_events_masked`]: io_getevents with a signal mask. C's `sigset_t`
/// starts with the kernel's.
///
/// # Safety
/// As [`getevents::get_events_masked`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn io_pgetevents(
    ctx: AioContext,
    min_nr: c_long,
    nr: c_long,
    events: *mut Event,
    timeout: *const OldTimespec,
    sigmask: *const SigSet,
) -> c_int {
    let (min_nr, nr, timeout) = (min_nr as isize, nr as isize, Timeout::Old(timeout));
    // SAFETY: the caller's promise.
    count(unsafe { getevents::get_events_masked(ctx, min_nr, nr, events, timeout, sigmask) })
}
