//! The functions of libaio, with their C names and calling conventions.
//!
//! This crate contains only names and conversions; `linux_aio` implements the
//! calls. A result is a count or a negated error number. `errno` is never set.
//!
//! `cargo capi-install` builds `libaio.so.1` and `libaio.a` from this crate.
//! It assigns the symbol versions, which `capi/install/src/abi.rs` lists. A
//! function whose name ends in `_0_1` is the old version of the function with
//! the name before that suffix.
//!
//! A function calls another one by its symbol, through [`symbol`], so that a program or a
//! library that was loaded before can replace it.
//!
//! Source of names, signatures and conventions: `libaio.h` of libaio 0.3.113,
//! and its manual pages.
#![no_std]

use core::ffi::{c_int, c_long};

use linux_aio::sys::getevents::{self, Timeout};
use linux_aio::{AioContext, Errno, Event, Iocb, SigSet, abi::OldTimespec, sys};

pub mod queue;
pub mod symbol;
#[cfg(target_pointer_width = "32")]
pub mod time64;

linux_aio::rt::memory_functions!();

/// Exits with status 101 and without a message, because a library must not write
/// one. No panic is reachable.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    linux_aio::rt::exit(101)
}

/// Converts a count or an error to the C convention. A count is at most the
/// size of a ring and fits into a `c_int`.
#[inline(always)]
fn count(result: Result<usize, Errno>) -> c_int {
    match result {
        Ok(count) => count as c_int,
        Err(errno) => -errno.raw_os_error(),
    }
}

/// Converts success or an error to the C convention: 0 or a negated error number.
#[inline(always)]
fn status(result: Result<(), Errno>) -> c_int {
    match result {
        Ok(()) => 0,
        Err(errno) => -errno.raw_os_error(),
    }
}

/// Creates a context; see [`sys::io_setup`]. A negative `maxevents` is converted
/// to a number that is too large.
///
/// # Safety
/// `ctxp` points at an [`AioContext`] that may be written, or at an address that
/// the program cannot access (then EFAULT).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn io_setup(maxevents: c_int, ctxp: *mut AioContext) -> c_int {
    // SAFETY: the caller promises that `ctxp` may be written or is inaccessible,
    // which is all that `sys::io_setup` requires.
    status(unsafe { sys::io_setup(maxevents as u32, ctxp) })
}

/// Destroys a context; see [`sys::io_destroy`].
///
/// # Safety
/// Nothing reads the context's ring afterwards, and nothing relies on events
/// still to come.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn io_destroy(ctx: AioContext) -> c_int {
    // SAFETY: the caller promises that the ring and its events are not used
    // afterwards, which is all that `sys::io_destroy` requires.
    status(unsafe { sys::io_destroy(ctx) })
}

/// Submits `nr` operations; see [`sys::io_submit`].
///
/// # Safety
/// Until the event of an accepted operation has been taken or [`io_destroy`] has
/// returned, its buffers stay valid and are not freed. Other code does not read
/// them (reads) or write them (writes). Iocbs that the kernel can reach may be
/// written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn io_submit(ctx: AioContext, nr: c_long, iocbs: *const *mut Iocb) -> c_int {
    // SAFETY: the caller promises that the iocbs and the buffers obey
    // `sys::io_submit`; the arguments are passed unchanged.
    count(unsafe { sys::io_submit(ctx, nr as isize, iocbs) })
}

/// Requests the cancellation of an operation; see [`sys::io_cancel`].
///
/// # Safety
/// `event` is valid for a write of an event, or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn io_cancel(ctx: AioContext, iocb: *const Iocb, event: *mut Event) -> c_int {
    // SAFETY: the caller promises that `event` is valid for a write or null,
    // which is all that `sys::io_cancel` requires.
    status(unsafe { sys::io_cancel(ctx, iocb, event) })
}

/// Requests the cancellation of an operation: the old version of [`io_cancel`],
/// which discards the event. (Current kernels deliver it through the ring.)
///
/// # Safety
/// No promise is needed: [`sys::io_cancel`] only requires a valid event, and this
/// function passes a local variable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn io_cancel_0_1(ctx: AioContext, iocb: *const Iocb) -> c_int {
    let mut event = Event::EMPTY;
    // SAFETY: `event` is a local variable, so it is valid for a write.
    unsafe { symbol::io_cancel(ctx, iocb, &raw mut event) }
}

/// Waits for at least `min_nr` events and takes up to `nr`; see
/// [`getevents::get_events`].
///
/// # Safety
/// `events` is valid for writes of `nr` events, or the program cannot access it.
/// `timeout` is valid or null. If the timeout is zero, `ctx` is a context or zero
/// and is not destroyed during the call, because the ring is read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn io_getevents(
    ctx: AioContext,
    min_nr: c_long,
    nr: c_long,
    events: *mut Event,
    timeout: *const OldTimespec,
) -> c_int {
    let timeout = Timeout::Old(timeout);
    // SAFETY: the caller promises the validity of `events`, `timeout` and `ctx`
    // that `get_events` requires; the values are passed unchanged.
    count(unsafe { getevents::get_events(ctx, min_nr as isize, nr as isize, events, timeout) })
}

/// Waits for one event and takes up to `nr`: the old version of [`io_getevents`].
///
/// # Safety
/// `events`, `timeout` and `ctx` obey the contract of [`io_getevents`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn io_getevents_0_1(
    ctx: AioContext,
    nr: c_long,
    events: *mut Event,
    timeout: *const OldTimespec,
) -> c_int {
    // SAFETY: the caller promises that `events`, `timeout` and `ctx` obey the
    // contract of `io_getevents`; `min_nr` is not part of it.
    unsafe { symbol::io_getevents(ctx, 1, nr, events, timeout) }
}

/// Waits for events as [`io_getevents`] does, with the signal mask replaced
/// meanwhile; see [`getevents::get_events_masked`].
///
/// The C type `sigset_t` starts with the bytes of the kernel's `sigset_t`.
///
/// # Safety
/// `events`, `timeout` and `ctx` obey the contract of [`io_getevents`]. `sigmask`
/// is valid or null, or the program cannot access it.
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
    // SAFETY: the caller promises that `events`, `timeout`, `ctx` and `sigmask`
    // are valid as `get_events_masked` requires; they are passed unchanged.
    count(unsafe { getevents::get_events_masked(ctx, min_nr, nr, events, timeout, sigmask) })
}
