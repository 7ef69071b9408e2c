//! Waiting for events: the choice among the three system calls that return events, and
//! the fall-backs where one is missing.
//!
//! A system call is missing where the kernel does not implement it (ENOSYS) or a
//! sandbox forbids it (EPERM). Both errors lead to the fall-back. All fall-backs are
//! here:
//!
//! | of | to | where |
//! |---|---|---|
//! | io_pgetevents without a mask | io_getevents | `call` |
//! | both, with 32-bit time | io_pgetevents_time64 | this module |
//! | io_pgetevents_time64 | the calls with 32-bit time | this module, `typed` |
//! | io_pgetevents, for its mask | `ppoll(2)` and io_getevents | `masked` |
//! | the mask's argument of 32-bit ABIs | its padded form | `call` |
//!
//! This module implements the interface of a C library: any thread waits on any context
//! with raw arguments, the ring is read where that is safe without ownership of the
//! context ([`ring_is_empty`]), and the kernel refuses bad arguments. `typed`
//! implements the waits of [`Context`](crate::Context) and [`Ring`](crate::Ring).
//!
//! The first choice is a system call that the kernel restarts after a signal that ran no
//! handler (ERESTARTNOHAND): io_pgetevents, also without a mask, or
//! io_pgetevents_time64. io_getevents returns EINTR there: after SIGSTOP and SIGCONT, or
//! when a tracer attaches. Polls make the same choice, as such a signal ends a poll of
//! io_getevents too. On Android, `typed` waits by io_getevents alone, unless there is a
//! mask: the filter of its applications kills for the others. Of the two widths of time:
//!
//! - 64-bit ABIs have one.
//! - In this module, the caller's width is tried first. (m68k and riscv32 have no
//!   io_pgetevents with 32-bit time, so 64-bit time is tried first there.)
//! - `typed` tries 64-bit time first: Linux 5.1, and the only one on riscv32 and on
//!   kernels without 32-bit time.
//!
//! Against io_getevents, io_pgetevents costs 3.5 ns of about 175 ns a system call (a poll
//! of an empty ring, x86_64, Linux 6.18; the median of 61 interleaved pairs).
//!
//! `typed` has no fall-back for the mask: changing the mask with a separate system call
//! would lose the signals that arrive in between.

use core::ptr::{null, null_mut};

use crate::sys::abi::{AioContext, Event, OldTimespec, SigSet, Timespec};
use crate::sys::errno::Errno;
use crate::sys::{self, nr};

pub(crate) mod call;
mod masked;
mod time;
mod typed;

pub use crate::ring::ring_is_empty;
use call::Call;
#[cfg(feature = "std")]
pub(crate) use time::old_timespec;
use time::{narrowed, widened};
pub(crate) use typed::get_events as wait_for_events;

/// A relative timeout with the caller's width of time. A null pointer waits without a
/// limit, and so does a negative time.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Timeout {
    /// C's `struct timespec`, where time has the width of the kernel's `long`.
    Old(*const OldTimespec),
    /// The 64-bit time of 32-bit programs (`_TIME_BITS=64`).
    Time64(*const Timespec),
}

impl Timeout {
    #[inline(always)]
    fn is_null(self) -> bool {
        match self {
            Timeout::Old(time) => time.is_null(),
            Timeout::Time64(time) => time.is_null(),
        }
    }

    /// Returns whether the time is zero, so that there is no wait.
    ///
    /// # Safety
    /// The pointer is valid.
    #[inline(always)]
    unsafe fn is_zero(self) -> bool {
        // SAFETY: in both arms the caller promises that the pointer is valid for reads.
        unsafe {
            match self {
                Timeout::Old(time) => ((*time).sec | (*time).nsec) == 0,
                // C's structure has 32 bits of nanoseconds there. The other 32 bits are
                // padding with any contents.
                Timeout::Time64(time) => (*time).sec == 0 && (*time).nsec as i32 == 0,
            }
        }
    }
}

/// Waits for events as `io_getevents(2)` does, and returns 0 without a system call
/// where the timeout is zero and the ring is empty.
///
/// # Errors
/// As [`sys::io_getevents`]. A result from the ring does not report EINVAL and EFAULT,
/// because only the ring is read.
///
/// # Safety
/// `events` is valid for writes of `nr` events, or an address that the program cannot
/// access. `timeout` is valid or null. `ctx` is a context or zero. If the timeout is
/// zero, the context is not destroyed during the call: the ring is read.
#[inline(always)]
pub unsafe fn get_events(
    ctx: AioContext,
    min_nr: isize,
    nr: isize,
    events: *mut Event,
    timeout: Timeout,
) -> Result<usize, Errno> {
    // SAFETY: the caller promises what `get_events_masked` requires of `ctx`, `events`
    // and `timeout`, and a null `sigmask` is allowed.
    unsafe { get_events_masked(ctx, min_nr, nr, events, timeout, null()) }
}

/// Waits for events as `io_pgetevents(2)` does: [`get_events`] with the thread's signal
/// mask replaced during the wait. A null `sigmask` leaves the mask unchanged.
///
/// A result from the ring delivers no signal, as there is no wait. Where the system
/// call is missing, `ppoll(2)` replaces it: no signal is lost, and an event is returned
/// at most a millisecond late.
///
/// # Errors
/// As [`sys::io_pgetevents`].
///
/// # Safety
/// As [`get_events`], and `sigmask` is valid, null, or an address that the program
/// cannot access.
#[inline(always)]
pub unsafe fn get_events_masked(
    ctx: AioContext,
    min_nr: isize,
    nr: isize,
    events: *mut Event,
    timeout: Timeout,
    sigmask: *const SigSet,
) -> Result<usize, Errno> {
    // The kernel refuses a null context and an address that cannot be a context's. The
    // order of these conditions costs two instructions less than another order.
    if ctx != AioContext::NONE && !timeout.is_null() {
        // SAFETY: the timeout is not null here, and the caller promises that it is then
        // valid. If it is zero, the caller also promises that `ctx`, which is not zero,
        // is a context that is not destroyed during the call.
        if unsafe { timeout.is_zero() && starts_page(ctx) && ring_is_empty(ctx) } {
            return Ok(0);
        }
    }
    let call = Call {
        ctx,
        min_nr,
        nr,
        events,
        sigmask,
    };
    // SAFETY: the caller promises of `events`, `timeout` and `sigmask` that they are
    // valid, null where allowed, or inaccessible: the contract of `Call`.
    match unsafe { call.in_time(timeout) } {
        Err(Errno::NOSYS | Errno::PERM) if !sigmask.is_null() => {
            // SAFETY: the caller promises of `events`, `timeout` and `sigmask` what
            // `masked::get_events` requires, and the mask is not null. The failed
            // system call took no event.
            unsafe { masked::get_events(call, timeout) }
        }
        answer => answer,
    }
}

/// Returns EFAULT if the kernel cannot read the timeout, before a fall-back reads it in
/// user space.
///
/// riscv32 has no io_getevents for this check, and an invalid address faults there. The
/// kernel reads the time before it looks up the context, which does not exist.
fn kernel_reads(timeout: Timeout) -> Result<(), Errno> {
    let time: *const OldTimespec = match timeout {
        Timeout::Old(time) => time,
        Timeout::Time64(time) => time.cast(),
    };
    // SAFETY: there is no such context, so no event is taken and nothing is written.
    // The kernel checks the address of the time.
    match unsafe { sys::io_getevents(AioContext::NONE, 0, 0, null_mut(), time) } {
        Err(Errno::FAULT) => Err(Errno::FAULT),
        _ => Ok(()),
    }
}

/// Returns whether the address is aligned to 4 KiB, the smallest page size: rings start
/// at a page.
#[inline(always)]
fn starts_page(ctx: AioContext) -> bool {
    ctx.0 % 4096 == 0
}

/// Returns `first`, or the result of `second` where the first system call is missing or
/// forbidden. If both are, it returns the error of the first.
#[inline(always)]
fn or_else(
    first: Result<usize, Errno>,
    second: impl FnOnce() -> Result<usize, Errno>,
) -> Result<usize, Errno> {
    match first {
        Err(missing @ (Errno::NOSYS | Errno::PERM)) => match second() {
            Err(Errno::NOSYS | Errno::PERM) => Err(missing),
            answer => answer,
        },
        answer => answer,
    }
}

impl Call {
    /// Waits with the system call of the time's width, or with the other one if that is
    /// missing.
    ///
    /// # Safety
    /// The caller upholds the contract of [`Call`].
    #[inline(always)]
    unsafe fn in_time(self, timeout: Timeout) -> Result<usize, Errno> {
        // SAFETY: the caller upholds the contract of `Call`, which is that of each
        // method called here; `timeout` has the type that the method takes.
        unsafe {
            match timeout {
                // There is no fall-back on this target, so even the comparison is
                // omitted.
                Timeout::Old(time) if nr::IO_PGETEVENTS_TIME64.is_none() => self.long_time(time),
                // m68k and riscv32 have no io_pgetevents with 32-bit time.
                Timeout::Old(time) if nr::IO_PGETEVENTS.is_none() => {
                    or_else(self.time64_of_old(time), || self.long_time(time))
                }
                Timeout::Old(time) => or_else(self.long_time(time), || self.time64_of_old(time)),
                Timeout::Time64(time) => or_else(self.time64(time), || self.old_of_time64(time)),
            }
        }
    }

    /// Waits with 64-bit time, where the older system calls are missing: on riscv32 and
    /// m68k, and on kernels without 32-bit time.
    ///
    /// # Safety
    /// The caller upholds the contract of [`Call`].
    #[cold]
    unsafe fn time64_of_old(self, time: *const OldTimespec) -> Result<usize, Errno> {
        kernel_reads(Timeout::Old(time))?;
        // SAFETY: the caller upholds the contract of `Call`. The time comes from
        // `get_events_masked`, whose caller promises that it is valid or null, or from
        // a local variable. The copy is a local variable, alive during the system call.
        unsafe {
            let time = time.as_ref().map(widened);
            self.time64(time.as_ref().map_or(null(), core::ptr::from_ref))
        }
    }

    /// Waits with the older width of time, on kernels before 5.1.
    ///
    /// # Safety
    /// The caller upholds the contract of [`Call`].
    #[cold]
    unsafe fn old_of_time64(self, time: *const Timespec) -> Result<usize, Errno> {
        kernel_reads(Timeout::Time64(time))?;
        // SAFETY: the caller upholds the contract of `Call`. The time comes from
        // `get_events_masked`, whose caller promises that it is valid or null. The copy
        // is a local variable, alive during the system call.
        unsafe {
            let time = time.as_ref().map(narrowed);
            self.long_time(time.as_ref().map_or(null(), core::ptr::from_ref))
        }
    }
}
