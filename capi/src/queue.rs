//! The `io_queue_*` helpers of libaio.

use core::ffi::{c_int, c_long};
use core::ptr::{null_mut, with_exposed_provenance_mut};

use linux_aio::abi::OldTimespec;
use linux_aio::{AioContext, Errno, Event, Iocb};

use crate::symbol;

/// The C type `io_callback_t`, as stored in the `data` of an iocb. `None` is null.
type Callback = Option<unsafe extern "C" fn(AioContext, *mut Iocb, c_long, c_long)>;

/// Creates a context with [`io_setup`](crate::io_setup). The previous value of
/// `*ctxp` is ignored.
///
/// # Errors
/// EINVAL if `maxevents` is not positive; `*ctxp` is then unchanged.
///
/// # Safety
/// `ctxp` is valid for writes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn io_queue_init(maxevents: c_int, ctxp: *mut AioContext) -> c_int {
    if maxevents <= 0 {
        return -Errno::INVAL.raw_os_error();
    }
    // SAFETY: the caller promises that `ctxp` is valid for writes, which the
    // assignment and `io_setup` require.
    unsafe {
        *ctxp = AioContext::NONE;
        symbol::io_setup(maxevents, ctxp)
    }
}

/// Destroys a context with [`io_destroy`](crate::io_destroy).
///
/// # Safety
/// Nothing reads the context's ring afterwards, and nothing relies on events
/// still to come.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn io_queue_release(ctx: AioContext) -> c_int {
    // SAFETY: the caller promises that the ring and its events are not used
    // afterwards, as `io_destroy` requires.
    unsafe { symbol::io_destroy(ctx) }
}

/// Returns whether the context exists, as 0 or a negated error number.
///
/// Despite its name it does not wait: it requests between zero and zero events.
///
/// # Safety
/// `timeout` and `ctx` obey the contract of [`io_getevents`](crate::io_getevents).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn io_queue_wait(ctx: AioContext, timeout: *const OldTimespec) -> c_int {
    // SAFETY: the caller promises that `timeout` and `ctx` obey the contract of
    // `io_getevents`. No event is written, so a null `events` suffices.
    unsafe { symbol::io_getevents(ctx, 0, 0, null_mut(), timeout) }
}

/// Returns whether the context exists: the old version of [`io_queue_wait`], which
/// behaves the same.
///
/// # Safety
/// `timeout` and `ctx` obey the contract of [`io_getevents`](crate::io_getevents).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn io_queue_wait_0_1(ctx: AioContext, timeout: *const OldTimespec) -> c_int {
    // SAFETY: the caller promises that `timeout` and `ctx` obey the contract of
    // `io_getevents`. No event is written, so a null `events` suffices.
    unsafe { symbol::io_getevents(ctx, 0, 0, null_mut(), timeout) }
}

/// Takes the available events one by one and calls the callback of each: the
/// address in the `data` of its iocb.
///
/// An event whose `data` is null is discarded. Returns 0 when no event is left.
///
/// # Safety
/// The `data` of each event is null or the address of an `io_callback_t` that may
/// be called now. `ctx` is a context or zero, and is not destroyed while events are
/// taken.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn io_queue_run(ctx: AioContext) -> c_int {
    let now = OldTimespec { sec: 0, nsec: 0 };
    loop {
        let mut event = Event::EMPTY;
        // SAFETY: the event and the timeout are local variables, and the caller
        // promises that `ctx` is a context or zero and not destroyed meanwhile.
        let taken = unsafe { symbol::io_getevents(ctx, 0, 1, &raw mut event, &now) };
        if taken != 1 {
            return taken;
        }
        let address = with_exposed_provenance_mut::<()>(event.data as usize);
        // SAFETY: the caller promises that `data` is null or the address of a
        // callback, and null is a valid `Callback`.
        let callback = unsafe { core::mem::transmute::<*mut (), Callback>(address) };
        if let Some(callback) = callback {
            let iocb = with_exposed_provenance_mut(event.obj as usize);
            // SAFETY: the caller promises that the callback may be called now.
            unsafe { callback(ctx, iocb, event.res as c_long, event.res2 as c_long) };
        }
    }
}
