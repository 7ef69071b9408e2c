//! Waiting for events: which of the kernel's three calls, and what stands in for one
//! that is missing.
//!
//! A call is missing where the kernel has none (ENOSYS), and where a sandbox forbids it
//! (EPERM): both mean "not this call", and both fall back. All fall-backs are here.
//!
//! | of | to | where |
//! |---|---|---|
//! | io_getevents, 32-bit time | io_pgetevents_time64 without a mask | this module |
//! | io_pgetevents_time64 | the call with 32-bit time | this module, `typed` |
//! | io_pgetevents, for its restart after signals | io_getevents | `call` |
//! | io_pgetevents, for its mask | `ppoll(2)` and io_getevents | `masked` |
//! | the mask's argument of 32-bit ABIs | its padded form | `call` |
//!
//! This module is what a C library offers: any thread waits on any context with raw
//! arguments, the ring is read where that is safe without an owner
//! ([`ring_is_empty`]), and bad arguments are left for the kernel to refuse. `typed` is
//! what [`Context`](crate::Context) and [`Ring`](crate::Ring) use.
//!
//! `typed` chooses:
//!
//! - 64-bit ABIs: io_getevents for a poll. For a wait io_pgetevents, also without a mask:
//!   the kernel restarts it after a signal that ran no handler (ERESTARTNOHAND), where
//!   io_getevents returns EINTR. Without a mask, io_getevents is the fall-back.
//! - 32-bit ABIs: io_pgetevents_time64 first, which is restarted as well (Linux 5.1; the
//!   only one on riscv32 and on kernels without 32-bit time), then the older call.
//!
//! It has no fall-back for the mask: to change it with a call of its own would lose the
//! signals that arrive in between.

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
use time::{narrowed, widened};
pub(crate) use typed::get_events as wait_for_events;

/// A relative timeout, as the caller has it. A null pointer waits for ever,
/// and so does a negative time.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Timeout {
    /// C's `struct timespec` where time has the width of the kernel's `long`.
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

    /// Whether it says not to wait.
    ///
    /// # Safety
    /// The pointer is valid.
    #[inline(always)]
    unsafe fn is_zero(self) -> bool {
        // SAFETY: the caller's promise, in both arms.
        unsafe {
            match self {
                Timeout::Old(time) => ((*time).sec | (*time).nsec) == 0,
                // C's structure has 32 bits of nanoseconds there, and the
                // rest is padding that may hold anything.
                Timeout::Time64(time) => (*time).sec == 0 && (*time).nsec as i32 == 0,
            }
        }
    }
}

/// `io_getevents(2)`, and at once 0 where nothing is to be waited for and the
/// ring is empty.
///
/// # Errors
/// As [`sys::io_getevents`]. EINVAL and EFAULT are not told by an answer from
/// the ring, which looks at nothing but the ring.
///
/// # Safety
/// `events` is valid for writes of `nr` events, or nothing the program can
/// reach. `timeout` is valid or null. `ctx` is a context or zero, and is not
/// destroyed meanwhile, where the timeout is zero: the ring is read.
#[inline(always)]
pub unsafe fn get_events(
    ctx: AioContext,
    min_nr: isize,
    nr: isize,
    events: *mut Event,
    timeout: Timeout,
) -> Result<usize, Errno> {
    // SAFETY: the caller's promise is the same.
    unsafe { get_events_masked(ctx, min_nr, nr, events, timeout, null()) }
}

/// `io_pgetevents(2)`: [`get_events`] with the thread's signal mask replaced
/// while it waits; a null `sigmask` leaves it alone.
///
/// An answer from the ring lets no signal in, as there is no wait. Where the
/// call is missing, its work is done with `ppoll(2)`: no signal is lost, an
/// event is seen a millisecond late at the worst.
///
/// # Errors
/// As [`sys::io_pgetevents`].
///
/// # Safety
/// As [`get_events`], and `sigmask` is valid or null, or nothing the program
/// can reach.
#[inline(always)]
pub unsafe fn get_events_masked(
    ctx: AioContext,
    min_nr: isize,
    nr: isize,
    events: *mut Event,
    timeout: Timeout,
    sigmask: *const SigSet,
) -> Result<usize, Errno> {
    // A null context and what is no context by its address are left to the
    // kernel; in this order, which costs two instructions less than another.
    if ctx != AioContext::NONE && !timeout.is_null() {
        // SAFETY: the caller's promise.
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
    // SAFETY: the caller's promise.
    match unsafe { call.in_time(timeout) } {
        Err(Errno::NOSYS | Errno::PERM) if !sigmask.is_null() => {
            // SAFETY: the caller's promise; no event was taken.
            unsafe { masked::get_events(call, timeout) }
        }
        answer => answer,
    }
}

/// EFAULT where the kernel would have said so of the timeout, before a fall-back
/// reads it here. (riscv32, which has no io_getevents to ask, faults.) It is read
/// before the context is looked at, of which there is none.
fn kernel_reads(timeout: Timeout) -> Result<(), Errno> {
    let time: *const OldTimespec = match timeout {
        Timeout::Old(time) => time,
        Timeout::Time64(time) => time.cast(),
    };
    // SAFETY: there is no such context, so nothing is taken; the address of the
    // time is the kernel's to judge.
    match unsafe { sys::io_getevents(AioContext::NONE, 0, 0, null_mut(), time) } {
        Err(Errno::FAULT) => Err(Errno::FAULT),
        _ => Ok(()),
    }
}

/// As rings do; the smallest pages are of 4 KiB.
#[inline(always)]
fn starts_page(ctx: AioContext) -> bool {
    ctx.0 % 4096 == 0
}

/// The second call's answer where the first is missing or forbidden. Where
/// both are, the first has said why.
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
    /// With the call of the time's width, or else with the other.
    ///
    /// # Safety
    /// See [`Call`].
    #[inline(always)]
    unsafe fn in_time(self, timeout: Timeout) -> Result<usize, Errno> {
        // SAFETY: the caller's promise.
        unsafe {
            match timeout {
                // Nothing to fall back on; not even a comparison.
                Timeout::Old(time) if nr::IO_PGETEVENTS_TIME64.is_none() => self.old(time),
                Timeout::Old(time) => or_else(self.old(time), || self.time64_of_old(time)),
                Timeout::Time64(time) => or_else(self.time64(time), || self.old_of_time64(time)),
            }
        }
    }

    /// riscv32, and kernels without 32-bit time.
    ///
    /// # Safety
    /// See [`Call`].
    #[cold]
    unsafe fn time64_of_old(self, time: *const OldTimespec) -> Result<usize, Errno> {
        kernel_reads(Timeout::Old(time))?;
        // SAFETY: the caller's promise, also of the copy.
        unsafe {
            let time = time.as_ref().map(widened);
            self.time64(time.as_ref().map_or(null(), core::ptr::from_ref))
        }
    }

    /// Kernels before 5.1.
    ///
    /// # Safety
    /// See [`Call`].
    #[cold]
    unsafe fn old_of_time64(self, time: *const Timespec) -> Result<usize, Errno> {
        kernel_reads(Timeout::Time64(time))?;
        // SAFETY: the caller's promise, also of the copy.
        unsafe {
            let time = time.as_ref().map(narrowed);
            self.old(time.as_ref().map_or(null(), core::ptr::from_ref))
        }
    }
}
