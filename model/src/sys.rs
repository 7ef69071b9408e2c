//! The seam: the six calls in front of two kernels. A context that the model
//! has made is the model's; all else goes to the real one.

#[path = "../../src/sys/abi.rs"]
pub mod abi;
#[path = "../../src/sys/errno.rs"]
pub mod errno;
#[path = "../../src/sys/getevents/mod.rs"]
pub mod getevents;
#[path = "../../src/sys/nr.rs"]
pub mod nr;
/// The library's own.
#[path = "../../src/sys/calls.rs"]
pub mod real;
#[path = "../../src/sys/sigset.rs"]
mod sigset;
#[path = "../../src/sys/syscall.rs"]
pub mod syscall;

use core::time::Duration;

use crate::fake_kernel::{self, Time};
use crate::sys::abi::{AioContext, Event, Iocb, OldTimespec, SigsetArg, Timespec};
use crate::sys::errno::Errno;

/// In less than this nothing need happen.
const MOMENT: Duration = Duration::from_millis(10);

/// As the library's own. The model makes the context if this thread has one.
///
/// # Safety
/// As the library's own.
pub unsafe fn io_setup(nr_events: u32, ctxp: *mut AioContext) -> Result<(), Errno> {
    match fake_kernel::with_next(|kernel| kernel.setup(nr_events)) {
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
    match fake_kernel::with(ctx, |kernel| kernel.destroy(ctx)) {
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
    let model = fake_kernel::with(ctx, |kernel| {
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
    match fake_kernel::with(ctx, |kernel| kernel.cancel(ctx, iocb)) {
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
    // SAFETY: the caller's time, or null.
    let time =
        unsafe { timeout.as_ref() }.map(|time| Duration::new(time.sec as u64, time.nsec as u32));
    // SAFETY: the caller's array.
    match unsafe { getevents(ctx, min_nr, nr, events, time) } {
        Some(answer) => answer,
        // SAFETY: the caller's promise.
        None => unsafe { real::io_getevents(ctx, min_nr, nr, events, timeout) },
    }
}

/// As the library's own. The model has no signal masks: what it is told of
/// signals says whether one comes.
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
    // SAFETY: the caller's time, or null.
    let time =
        unsafe { timeout.as_ref() }.map(|time| Duration::new(time.sec as u64, time.nsec as u32));
    // SAFETY: the caller's array.
    match unsafe { getevents(ctx, min_nr, nr, events, time) } {
        Some(answer) => answer,
        // SAFETY: the caller's promise.
        None => unsafe { real::io_pgetevents(ctx, min_nr, nr, events, timeout, sigmask) },
    }
}

/// As the library's own.
///
/// # Safety
/// As the library's own.
pub unsafe fn io_pgetevents_time64(
    ctx: AioContext,
    min_nr: isize,
    nr: isize,
    events: *mut Event,
    timeout: *const Timespec,
    sigmask: *const SigsetArg,
) -> Result<usize, Errno> {
    // SAFETY: the caller's time, or null.
    let time =
        unsafe { timeout.as_ref() }.map(|time| Duration::new(time.sec as u64, time.nsec as u32));
    // SAFETY: the caller's array.
    match unsafe { getevents(ctx, min_nr, nr, events, time) } {
        Some(answer) => answer,
        // SAFETY: the caller's promise.
        None => unsafe { real::io_pgetevents_time64(ctx, min_nr, nr, events, timeout, sigmask) },
    }
}

/// The model's answer, if the context is one of its own. `time`: none for ever,
/// else this long.
///
/// # Safety
/// `events` may be written, `nr` of them.
unsafe fn getevents(
    ctx: AioContext,
    min_nr: isize,
    nr: isize,
    events: *mut Event,
    time: Option<Duration>,
) -> Option<Result<usize, Errno>> {
    fake_kernel::with(ctx, |kernel| {
        let time = match time {
            None => Time::ForEver,
            Some(Duration::ZERO) => Time::None,
            Some(time) if time < MOMENT => Time::Moment,
            Some(_) => Time::While,
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
