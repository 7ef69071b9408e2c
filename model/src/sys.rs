//! The seam: the six calls in front of two kernels. A context that the model
//! has made is the model's; all else goes to the real one.

/// The library's own.
#[path = "../../src/sys.rs"]
pub mod real;

use crate::abi::{AioContext, Event, Iocb, OldTimespec, SigsetArg};
use crate::errno::Errno;
use crate::kernel::{self, Time};

pub use real::io_pgetevents_time64;

/// As the library's own. The model makes the context if this thread has one.
///
/// # Safety
/// As the library's own.
pub unsafe fn io_setup(nr_events: u32, ctxp: *mut AioContext) -> Result<(), Errno> {
    match kernel::with_next(|kernel| kernel.setup(nr_events)) {
        // SAFETY: the caller's `ctxp`.
        Some(made) => made.map(|name| unsafe { ctxp.write(name) }),
        // SAFETY: the caller's promise.
        None => unsafe { real::io_setup(nr_events, ctxp) },
    }
}

/// As the library's own.
///
/// # Safety
/// As the library's own.
pub unsafe fn io_destroy(ctx: AioContext) -> Result<(), Errno> {
    match kernel::with(ctx, |kernel| kernel.destroy(ctx)) {
        Some(answer) => answer,
        // SAFETY: the caller's promise.
        None => unsafe { real::io_destroy(ctx) },
    }
}

/// As the library's own.
///
/// # Safety
/// As the library's own.
pub unsafe fn io_submit(
    ctx: AioContext,
    nr: isize,
    iocbpp: *const *mut Iocb,
) -> Result<usize, Errno> {
    let model = kernel::with(ctx, |kernel| {
        // SAFETY: the caller's array, of so many pointers to iocbs.
        unsafe { kernel.submit(ctx, core::slice::from_raw_parts(iocbpp, nr as usize)) }
    });
    match model {
        Some(answer) => answer,
        // SAFETY: the caller's promise.
        None => unsafe { real::io_submit(ctx, nr, iocbpp) },
    }
}

/// As the library's own.
///
/// # Safety
/// As the library's own.
pub unsafe fn io_cancel(
    ctx: AioContext,
    iocb: *const Iocb,
    result: *mut Event,
) -> Result<(), Errno> {
    match kernel::with(ctx, |kernel| kernel.cancel(ctx, iocb)) {
        Some(answer) => answer,
        // SAFETY: the caller's promise.
        None => unsafe { real::io_cancel(ctx, iocb, result) },
    }
}

/// As the library's own.
///
/// # Safety
/// As the library's own.
pub unsafe fn io_getevents(
    ctx: AioContext,
    min_nr: isize,
    nr: isize,
    events: *mut Event,
    timeout: *const OldTimespec,
) -> Result<usize, Errno> {
    // SAFETY: the caller's promise.
    match unsafe { getevents(ctx, min_nr, nr, events, timeout) } {
        Some(answer) => answer,
        // SAFETY: the caller's promise.
        None => unsafe { real::io_getevents(ctx, min_nr, nr, events, timeout) },
    }
}

/// As the library's own. The model has no signal masks: a call with one goes to
/// the real kernel, which knows no context of the model's.
///
/// # Safety
/// As the library's own.
pub unsafe fn io_pgetevents(
    ctx: AioContext,
    min_nr: isize,
    nr: isize,
    events: *mut Event,
    timeout: *const OldTimespec,
    sigmask: *const SigsetArg,
) -> Result<usize, Errno> {
    let model = if sigmask.is_null() {
        // SAFETY: the caller's promise.
        unsafe { getevents(ctx, min_nr, nr, events, timeout) }
    } else {
        None
    };
    match model {
        Some(answer) => answer,
        // SAFETY: the caller's promise.
        None => unsafe { real::io_pgetevents(ctx, min_nr, nr, events, timeout, sigmask) },
    }
}

/// Both calls without a mask, which differ after signals that run no handler:
/// the model's signals run one. `None`: not a context of the model's.
///
/// # Safety
/// As the library's own [`io_getevents`](real::io_getevents).
unsafe fn getevents(
    ctx: AioContext,
    min_nr: isize,
    nr: isize,
    events: *mut Event,
    timeout: *const OldTimespec,
) -> Option<Result<usize, Errno>> {
    kernel::with(ctx, |kernel| {
        // SAFETY: the caller's time, or null.
        let time = match unsafe { timeout.as_ref() } {
            None => Time::ForEver,
            Some(time) if time.sec == 0 && time.nsec == 0 => Time::None,
            Some(_) => Time::Some,
        };
        let room = match nr {
            // SAFETY: the caller's array of so many events.
            1.. => unsafe { core::slice::from_raw_parts_mut(events, nr as usize) },
            _ => &mut [],
        };
        if min_nr < 0 || nr < min_nr {
            return Err(Errno::INVAL);
        }
        kernel.getevents(ctx, min_nr as usize, room, time)
    })
}
