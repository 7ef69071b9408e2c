//! The six system calls, routed to one of two kernels. A context created by the kernel
//! model is served by the model; every other context is served by the real kernel.

#[path = "../../src/sys/abi.rs"]
pub mod abi;
#[path = "../../src/sys/errno.rs"]
pub mod errno;
#[path = "../../src/sys/getevents/mod.rs"]
pub mod getevents;
#[path = "../../src/sys/nr.rs"]
pub mod nr;
/// The library's system call wrappers.
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

/// The timeout below which no operation need complete in the model.
const MOMENT: Duration = Duration::from_millis(10);

/// Creates a context: in the kernel model if this thread has installed one, otherwise
/// in the real kernel.
///
/// # Safety
/// The conditions of [`real::io_setup`] apply.
pub unsafe fn io_setup(nr_events: u32, ctxp: *mut AioContext) -> Result<(), Errno> {
    match fake_kernel::with_next(|kernel| kernel.setup(nr_events)) {
        // SAFETY: `ctxp` is valid for writes, by the contract of this function.
        Some(made) => made.map(|name| unsafe { ctxp.write(name) }),
        // SAFETY: the contract is that of `real::io_setup`.
        None => unsafe { real::io_setup(nr_events, ctxp) },
    }
}

/// Destroys a context.
///
/// # Safety
/// The conditions of [`real::io_destroy`] apply.
pub unsafe fn io_destroy(ctx: AioContext) -> Result<(), Errno> {
    match fake_kernel::with(ctx, |kernel| kernel.destroy(ctx)) {
        Some(answer) => answer,
        // SAFETY: the contract is that of `real::io_destroy`.
        None => unsafe { real::io_destroy(ctx) },
    }
}

/// Submits operations.
///
/// # Safety
/// The conditions of [`real::io_submit`] apply.
pub unsafe fn io_submit(
    ctx: AioContext,
    nr: isize,
    iocbpp: *const *mut Iocb,
) -> Result<usize, Errno> {
    let model = fake_kernel::with(ctx, |kernel| {
        // SAFETY: `iocbpp` is an array of `nr` pointers to valid iocbs, by the contract
        // of this function.
        unsafe { kernel.submit(ctx, core::slice::from_raw_parts(iocbpp, nr as usize)) }
    });
    match model {
        Some(answer) => answer,
        // SAFETY: the contract is that of `real::io_submit`.
        None => unsafe { real::io_submit(ctx, nr, iocbpp) },
    }
}

/// Requests the cancellation of an operation.
///
/// # Safety
/// The conditions of [`real::io_cancel`] apply.
pub unsafe fn io_cancel(
    ctx: AioContext,
    iocb: *const Iocb,
    result: *mut Event,
) -> Result<(), Errno> {
    match fake_kernel::with(ctx, |kernel| kernel.cancel(ctx, iocb)) {
        Some(answer) => answer,
        // SAFETY: the contract is that of `real::io_cancel`.
        None => unsafe { real::io_cancel(ctx, iocb, result) },
    }
}

/// Waits for events and takes them.
///
/// # Safety
/// The conditions of [`real::io_getevents`] apply.
pub unsafe fn io_getevents(
    ctx: AioContext,
    min_nr: isize,
    nr: isize,
    events: *mut Event,
    timeout: *const OldTimespec,
) -> Result<usize, Errno> {
    // SAFETY: `timeout` is null or valid for reads, by the contract of this function.
    let time =
        unsafe { timeout.as_ref() }.map(|time| Duration::new(time.sec as u64, time.nsec as u32));
    // SAFETY: `events` has space for `nr` events, by the contract of this function.
    match unsafe { getevents(ctx, min_nr, nr, events, time) } {
        Some(answer) => answer,
        // SAFETY: the contract is that of `real::io_getevents`.
        None => unsafe { real::io_getevents(ctx, min_nr, nr, events, timeout) },
    }
}

/// Waits for events and takes them, with a signal mask. The kernel model has no signal
/// masks: [`Faults::signal`](fake_kernel::Faults::signal) decides whether a signal
/// arrives.
///
/// # Safety
/// The conditions of [`real::io_pgetevents`] apply.
pub unsafe fn io_pgetevents(
    ctx: AioContext,
    min_nr: isize,
    nr: isize,
    events: *mut Event,
    timeout: *const OldTimespec,
    sigmask: *const SigsetArg,
) -> Result<usize, Errno> {
    // SAFETY: `timeout` is null or valid for reads, by the contract of this function.
    let time =
        unsafe { timeout.as_ref() }.map(|time| Duration::new(time.sec as u64, time.nsec as u32));
    // SAFETY: `events` has space for `nr` events, by the contract of this function.
    match unsafe { getevents(ctx, min_nr, nr, events, time) } {
        Some(answer) => answer,
        // SAFETY: the contract is that of `real::io_pgetevents`.
        None => unsafe { real::io_pgetevents(ctx, min_nr, nr, events, timeout, sigmask) },
    }
}

/// Waits for events and takes them, with a signal mask and a 64-bit timeout.
///
/// # Safety
/// The conditions of [`real::io_pgetevents_time64`] apply.
pub unsafe fn io_pgetevents_time64(
    ctx: AioContext,
    min_nr: isize,
    nr: isize,
    events: *mut Event,
    timeout: *const Timespec,
    sigmask: *const SigsetArg,
) -> Result<usize, Errno> {
    // SAFETY: `timeout` is null or valid for reads, by the contract of this function.
    let time =
        unsafe { timeout.as_ref() }.map(|time| Duration::new(time.sec as u64, time.nsec as u32));
    // SAFETY: `events` has space for `nr` events, by the contract of this function.
    match unsafe { getevents(ctx, min_nr, nr, events, time) } {
        Some(answer) => answer,
        // SAFETY: the contract is that of `real::io_pgetevents_time64`.
        None => unsafe { real::io_pgetevents_time64(ctx, min_nr, nr, events, timeout, sigmask) },
    }
}

/// Calls the kernel model, if it created the context; otherwise returns `None`. A
/// `time` of `None` waits without a limit.
///
/// # Safety
/// `events` is valid for writes of `nr` events.
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
        let space = match nr {
            // SAFETY: `events` is valid for `nr` events, by the contract of this
            // function.
            1.. => unsafe { core::slice::from_raw_parts_mut(events, nr as usize) },
            _ => &mut [],
        };
        if min_nr < 0 || nr < min_nr {
            return Err(Errno::INVAL);
        }
        kernel.getevents(ctx, min_nr as usize, space, time)
    })
}
