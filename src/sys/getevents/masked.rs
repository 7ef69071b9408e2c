//! A wait with a signal mask where io_pgetevents is missing: on kernels before
//! 4.18, and in sandboxes that do not know it.
//!
//! To change the mask with a call of its own and then to wait would lose the
//! signal that comes in between: its handler runs, and the wait goes on. But
//! ppoll(2), which is much older, changes the mask and sleeps in one step, as
//! io_pgetevents does. It cannot be woken by the ring; so it sleeps in steps of
//! at most a millisecond, and the ring is looked at after each. No signal is
//! lost, an event is seen a millisecond late at the worst, and a timeout takes
//! longer by what the kernel adds to each sleep (some 50 µs).

use core::ptr::null;

use super::{Call, Timeout, kernel_reads};
use crate::arch::{ABI, stubs};
use crate::sys::abi::{Long, OldTimespec, SigSet};
use crate::sys::errno::Errno;

/// Nanoseconds of the first sleep; each is twice the one before it.
const SHORTEST: u64 = 16_000;
const LONGEST: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;

/// Waits as io_pgetevents does.
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
    // SAFETY: the kernel has just read it, or it is null.
    let mut left = unsafe { nanoseconds(timeout) };
    let mut taken = 0;
    // The first time it only lets in what is pending.
    let (mut sleep, mut next) = (0, SHORTEST);
    loop {
        // SAFETY: the caller's promise of the mask.
        let signal = match unsafe { sleep_masked(ppoll, sleep, call.sigmask) } {
            Err(Errno::INTR) => true,
            Err(errno) if taken == 0 => return Err(errno),
            Err(_) => return Ok(taken),
            Ok(()) => false,
        };
        left = left.map(|left| left - sleep);
        // SAFETY: the caller's promise of as many events as there is room for.
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
    /// The call for what is still wanted.
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

    /// What is there.
    ///
    /// # Safety
    /// As [`get_events_masked`](super::get_events_masked).
    unsafe fn now(self) -> Result<usize, Errno> {
        let now = OldTimespec { sec: 0, nsec: 0 };
        // SAFETY: the caller's promise.
        unsafe { self.in_time(Timeout::Old(&raw const now)) }
    }
}

/// Sleeps with the mask. EINTR: a signal was let in.
///
/// # Safety
/// `mask` is valid, or nothing the program can reach.
unsafe fn sleep_masked(ppoll: u32, nanoseconds: u64, mask: *const SigSet) -> Result<(), Errno> {
    let mut time = OldTimespec {
        sec: 0,
        nsec: nanoseconds as Long,
    };
    // SAFETY: no descriptor is polled; the kernel writes what is left to
    // `time`, and reads the mask, whose address is its to judge.
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

/// How long to wait; `None` is for ever. A negative time is, too, as the kernel
/// has it.
///
/// # Safety
/// The pointer is valid or null.
unsafe fn nanoseconds(timeout: Timeout) -> Option<u64> {
    // SAFETY: the caller's promise, in both arms.
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

/// From the kernel's `long`, which is 32 bits on some ABIs.
#[allow(clippy::useless_conversion, reason = "elsewhere it is 64")]
fn wide(number: Long) -> i64 {
    number.into()
}
