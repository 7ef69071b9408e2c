//! Conversions of times between the layouts of the system calls: seconds as the
//! kernel's `long`, or as 64 bits. A time that does not fit becomes the longest with
//! the same sign.

use core::time::Duration;

use crate::sys::abi::{Long, OldTimespec, Timespec};

/// Returns the time with seconds of 64 bits.
#[allow(clippy::useless_conversion, reason = "on 32-bit ABIs it is none")]
pub(super) fn widened(time: &OldTimespec) -> Timespec {
    Timespec {
        sec: time.sec.into(),
        nsec: time.nsec.into(),
    }
}

/// Returns the time with seconds of a `long`, or the longest time if it does not fit. A
/// negative time stays negative.
#[allow(clippy::useless_conversion, reason = "on 32-bit ABIs it is none")]
pub(super) fn narrowed(time: &Timespec) -> OldTimespec {
    let longest = if time.sec < 0 { Long::MIN } else { Long::MAX };
    OldTimespec {
        sec: time.sec.try_into().unwrap_or(longest),
        // C's structure has 32 bits there.
        nsec: Long::from(time.nsec as i32),
    }
}

/// Returns the duration with seconds of 64 bits.
pub(super) fn timespec(time: Duration) -> Timespec {
    Timespec {
        sec: time.as_secs().try_into().unwrap_or(i64::MAX),
        nsec: time.subsec_nanos().into(),
    }
}

/// Returns the duration with seconds of a `long`, or the longest time if it does not
/// fit.
#[inline]
pub(crate) fn old_timespec(time: Duration) -> OldTimespec {
    OldTimespec {
        sec: time.as_secs().try_into().unwrap_or(Long::MAX),
        nsec: time.subsec_nanos() as Long,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_keep_their_value_in_the_other_width() {
        for (sec, nsec) in [(0, 0), (3, 7), (-1, 999_999_999)] {
            let narrow = OldTimespec { sec, nsec };
            let wide = widened(&narrow);
            assert_eq!(i128::from(wide.sec), i128::from(sec));
            assert_eq!(i128::from(wide.nsec), i128::from(nsec));
            let again = narrowed(&wide);
            assert_eq!((again.sec, again.nsec), (sec, nsec));
        }
    }

    #[test]
    fn what_is_too_long_stays_as_long_as_it_can_be() {
        for (sec, longest) in [(i64::MAX, Long::MAX), (i64::MIN, Long::MIN)] {
            assert_eq!(narrowed(&Timespec { sec, nsec: 1 }).sec, longest);
        }
    }

    #[test]
    fn a_time_too_long_is_cut_not_turned_negative() {
        let time = timespec(Duration::MAX);
        assert_eq!((time.sec, time.nsec), (i64::MAX, 999_999_999));
        let time = old_timespec(Duration::MAX);
        assert_eq!((time.sec, time.nsec), (Long::MAX, 999_999_999));
    }
}
