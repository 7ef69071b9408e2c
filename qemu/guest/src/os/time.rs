//! Time, as seconds and nanoseconds: nothing here divides.

use linux_aio::Errno;
use linux_aio::abi::Timespec;
use linux_aio::syscall::{syscall2, syscall6};

use super::Result;
use crate::nr;

const SECOND: i64 = 1_000_000_000;

/// A moment of the clock that only goes on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment {
    seconds: i64,
    nanoseconds: i64,
}

impl Moment {
    /// Now; the clock is one that every kernel has.
    pub(crate) fn now() -> Moment {
        const CLOCK_MONOTONIC: usize = 1;
        let mut time = Timespec { sec: 0, nsec: 0 };
        // SAFETY: `time` is what the call writes, wherever `CLOCK` is the one
        // that is used here.
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

    /// So many milliseconds later.
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

    /// How long it lies behind, in nanoseconds; at most some seconds.
    pub(crate) fn elapsed(self) -> i64 {
        let now = Moment::now();
        let mut elapsed = now.nanoseconds - self.nanoseconds;
        for _ in self.seconds..now.seconds {
            elapsed += SECOND;
        }
        elapsed
    }

    /// Whether it lies behind.
    pub(crate) fn is_over(self) -> bool {
        Moment::now() >= self
    }
}

/// Sleeps until the time is over, as nobody wakes it: ETIMEDOUT.
pub(crate) fn futex_wait(nanoseconds: i64) -> Result<usize> {
    let word = 0_u32;
    // Two 64-bit numbers wherever `FUTEX` is the call that is used here.
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

/// Sleeps, less than a second.
pub(crate) fn sleep(milliseconds: u32) {
    let _ = futex_wait(i64::from(milliseconds * 1_000_000));
}
