//! A wait with a signal mask where io_pgetevents is missing: on kernels before 4.18,
//! and in sandboxes that do not permit it.
//!
//! Changing the mask with a separate system call before the wait would lose a signal
//! that arrives in between: its handler runs, and the wait continues. ppoll(2), which
//! is much older than io_pgetevents, changes the mask and sleeps atomically, as
//! io_pgetevents does. The ring cannot wake it, so this module sleeps in steps of at
//! most a millisecond and polls the ring after each.
//!
//! - No signal is lost.
//! - An event is returned at most a millisecond late.
//! - A timeout takes longer by the time that the kernel adds to each sleep (about 50
//!   µs).

use core::ptr::null;

use super::{Call, Timeout, kernel_reads};
use crate::arch::{ABI, stubs};
use crate::sys::abi::{Long, OldTimespec, SigSet};
use crate::sys::errno::Errno;

/// The first sleep that is not zero, in nanoseconds. Each later one is twice as long as
/// the one before it, up to `LONGEST`.
const SHORTEST: u64 = 16_000;
const LONGEST: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;

/// Waits for events as io_pgetevents does.
///
/// # Safety
/// As [`get_events_masked`](super::get_events_masked), with a mask.
#[cold]
#[inline(never)]
pub(super) unsafe fn get_events(call: Call, timeout: Timeout) -> Result<usize, Errno> {
    let Some(ppoll) = ABI.base.ppoll else {
        return Err(Errno::NOSYS);
    };
    kernel_reads(timeout)?;
    // SAFETY: the caller of `get_events_masked` promises that the timeout is valid or
    // null, and the kernel has just read it where io_getevents exists.
    let mut left = unsafe { nanoseconds(timeout) };
    let mut taken = 0;
    // The first sleep has length 0 and only delivers pending signals.
    let (mut sleep, mut next) = (0, SHORTEST);
    loop {
        // SAFETY: the caller promises that the mask is valid or at an address that the
        // program cannot access, which is what `sleep_masked` requires.
        let signal = match unsafe { sleep_masked(ppoll, sleep, call.sigmask) } {
            Err(Errno::INTR) => true,
            Err(errno) if taken == 0 => return Err(errno),
            Err(_) => return Ok(taken),
            Ok(()) => false,
        };
        left = left.map(|left| left - sleep);
        // SAFETY: the caller promises that `events` is valid for `nr` events. `rest`
        // starts behind the `taken` first ones and takes at most `nr - taken`.
        match unsafe { call.rest(taken).now() } {
            Ok(count) => taken += count,
            Err(errno) if taken == 0 => return Err(errno),
            Err(_) => return Ok(taken),
        }
        if signal && taken == 0 {
            return Err(Errno::INTR);
        }
        if signal || taken as isize >= call.min_nr || left == Some(0) {
            return Ok(taken);
        }
        sleep = next.min(left.unwrap_or(u64::MAX));
        next = (2 * next).min(LONGEST);
    }
}

impl Call {
    /// Returns the call for the events that have not been taken yet.
    fn rest(self, taken: usize) -> Call {
        let taken_nr = taken as isize;
        Call {
            min_nr: if taken == 0 { self.min_nr } else { 0 },
            nr: self.nr - taken_nr,
            events: self.events.wrapping_add(taken),
            sigmask: null(),
            ..self
        }
    }

    /// Takes the events that are available, without waiting.
    ///
    /// # Safety
    /// As [`get_events_masked`](super::get_events_masked).
    unsafe fn now(self) -> Result<usize, Errno> {
        let now = OldTimespec { sec: 0, nsec: 0 };
        // SAFETY: the caller promises that `events` is valid for `nr` events or
        // inaccessible and that no other code takes events; the time is a local
        // variable.
        unsafe { self.in_time(Timeout::Old(&raw const now)) }
    }
}

/// Sleeps with the mask in place. Returns EINTR if a signal was delivered.
///
/// # Safety
/// `mask` is valid, or an address that the program cannot access.
unsafe fn sleep_masked(ppoll: u32, nanoseconds: u64, mask: *const SigSet) -> Result<(), Errno> {
    let mut time = OldTimespec {
        sec: 0,
        nsec: nanoseconds as Long,
    };
    // SAFETY: no descriptor is polled. The kernel writes the remaining time to `time`,
    // a local variable, and reads the mask, whose address it checks.
    let result = unsafe {
        stubs::syscall5(
            ppoll as usize,
            0,
            0,
            (&raw mut time).expose_provenance(),
            mask.expose_provenance(),
            SigSet::BYTES,
        )
    };
    Errno::check_unit(result)
}

/// Returns the time to wait in nanoseconds, or `None` to wait without a limit. A
/// negative time is no limit either, as in the kernel.
///
/// # Safety
/// The pointer is valid or null.
unsafe fn nanoseconds(timeout: Timeout) -> Option<u64> {
    // SAFETY: in both arms the caller promises that the pointer is valid or null, which
    // is what `as_ref` requires.
    let (sec, nsec) = unsafe {
        match timeout {
            Timeout::Old(time) => {
                let time = time.as_ref()?;
                (wide(time.sec), wide(time.nsec))
            }
            Timeout::Time64(time) => {
                let time = time.as_ref()?;
                (time.sec, i64::from(time.nsec as i32))
            }
        }
    };
    let nanoseconds = i128::from(sec) * i128::from(SECOND) + i128::from(nsec);
    u64::try_from(nanoseconds).ok()
}

/// Converts from the kernel's `long`, which is 32 bits wide on some ABIs.
#[allow(clippy::useless_conversion, reason = "elsewhere it is 64")]
fn wide(number: Long) -> i64 {
    number.into()
}
