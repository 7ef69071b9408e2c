//! libaio's `io_queue_*` helpers.

use core::ffi::{c_int, c_long};
use core::ptr::{null_mut, with_exposed_provenance_mut};

use linux_aio::abi::OldTimespec;
use linux_aio::{AioContext, Errno, Event, Iocb};

/// C's `io_callback_t`, as it lies in an iocb's `data`; `None` is null.
type Callback = Option<unsafe extern "C" fn(AioContext, *mut Iocb, c_long, c_long)>;

/// [`io_setup`](crate::io_setup), whatever `*ctxp` held.
///
/// # Errors
/// EINVAL if `maxevents` is not positive; then `*ctxp` stays as it is.
///
/// # Safety
/// `ctxp` is valid for writes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn io_queue_init(maxevents: c_int, ctxp: *mut AioContext) -> c_int {
    if maxevents <= 0 {
        return -Errno::INVAL.raw_os_error();
    }
    // SAFETY: the caller's promise.
    unsafe {
        *ctxp = AioContext::NONE;
        crate::io_setup(maxevents, ctxp)
    }
}

/// [`io_destroy`](crate::io_destroy).
///
/// # Safety
/// As `io_destroy`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn io_queue_release(ctx: AioContext) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { crate::io_destroy(ctx) }
}

/// Asks for no event, at the least none: so it does not wait, whatever its
/// name says, and tells only whether there is such a context.
///
/// # Safety
/// As [`io_getevents`](crate::io_getevents).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn io_queue_wait(ctx: AioContext, timeout: *const OldTimespec) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { crate::io_getevents(ctx, 0, 0, null_mut(), timeout) }
}

/// [`io_queue_wait`], which has always been the same.
///
/// # Safety
/// As [`io_getevents`](crate::io_getevents).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn io_queue_wait_0_1(ctx: AioContext, timeout: *const OldTimespec) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { io_queue_wait(ctx, timeout) }
}

/// Takes the events that are there, one by one, and calls each one's callback:
/// the address in its iocb's `data`. An event without one is passed over.
/// Returns 0 when there is none left.
///
/// # Safety
/// Each `data` is null or a callback that may be called now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn io_queue_run(ctx: AioContext) -> c_int {
    let now = OldTimespec { sec: 0, nsec: 0 };
    loop {
        let mut event = Event::EMPTY;
        // SAFETY: the event and the time are ours, the context is the caller's.
        let taken = unsafe { crate::io_getevents(ctx, 0, 1, &raw mut event, &now) };
        if taken != 1 {
            return taken;
        }
        let address = with_exposed_provenance_mut::<()>(event.data as usize);
        // SAFETY: a pointer to a function, or null, by the caller's promise.
        let callback = unsafe { core::mem::transmute::<*mut (), Callback>(address) };
        if let Some(callback) = callback {
            let iocb = with_exposed_provenance_mut(event.obj as usize);
            // SAFETY: the caller's promise.
            unsafe { callback(ctx, iocb, event.res as c_long, event.res2 as c_long) };
        }
    }
}
