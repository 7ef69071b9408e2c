//! Time, as seconds and nanoseconds: nothing here divides.

use linux_aio::Errno;
use linux_aio::abi::Timespec;
use linux_aio::syscall::{syscall2, syscall6};

use super::Result;
use crate::nr;

const SECOND: i64 = 1_000_000_000;

/// A moment of the monotonic clock.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment {
    seconds: i64,
    nanoseconds: i64,
}

impl Moment {
    /// Returns the current time. Every kernel has the clock.
    pub(crate) fn now() -> Moment {
        const CLOCK_MONOTONIC: usize = 1;
        let mut time = Timespec { sec: 0, nsec: 0 };
        // SAFETY: `time` has the layout that the call writes, as `CLOCK` is the variant
        // with 64-bit time.
        let _ = unsafe {
            syscall2(
                nr::CLOCK as usize,
                CLOCK_MONOTONIC,
                (&raw mut time).expose_provenance(),
            )
        };
        Moment {
            seconds: time.sec,
            nanoseconds: time.nsec,
        }
    }

    /// Returns the moment `milliseconds` later.
    pub(crate) fn plus(self, milliseconds: u32) -> Moment {
        let mut later = self;
        for _ in 0..milliseconds {
            later.nanoseconds += 1_000_000;
            if later.nanoseconds >= SECOND {
                later.nanoseconds -= SECOND;
                later.seconds += 1;
            }
        }
        later
    }

    /// Returns the time since this moment in nanoseconds. The moment may be at most
    /// some seconds ago.
    pub(crate) fn elapsed(self) -> i64 {
        let now = Moment::now();
        let mut elapsed = now.nanoseconds - self.nanoseconds;
        for _ in self.seconds..now.seconds {
            elapsed += SECOND;
        }
        elapsed
    }

    /// Returns whether this moment is in the past.
    pub(crate) fn has_expired(self) -> bool {
        Moment::now() >= self
    }
}

/// Sleeps until the time has passed. No thread wakes the word, so the result is
/// ETIMEDOUT.
pub(crate) fn futex_wait(nanoseconds: i64) -> Result<usize> {
    let word = 0_u32;
    // Two 64-bit numbers: `FUTEX` is the variant with 64-bit time.
    let time = [0, nanoseconds];
    // SAFETY: word and time live through the call and are only read.
    Errno::check(unsafe {
        syscall6(
            nr::FUTEX as usize,
            (&raw const word).expose_provenance(),
            nr::FUTEX_WAIT as usize,
            0,
            (&raw const time).expose_provenance(),
            0,
            0,
        )
    })
}

/// Sleeps for less than a second.
pub(crate) fn sleep(milliseconds: u32) {
    let _ = futex_wait(i64::from(milliseconds * 1_000_000));
}
