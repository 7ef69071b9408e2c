//! [`Call`]: the arguments of a wait for events, and the three system calls that
//! perform it.
//!
//! The methods are [`long_time`](Call::long_time), with the kernel's `long` as the width
//! of time, and [`time64`](Call::time64), with 64-bit time. The kernel restarts both
//! after a signal that ran no handler. No method reads the ring in user space.

use core::ptr::null;

use crate::sys;
use crate::sys::abi::{AioContext, Event, OldTimespec, SigSet, SigsetArg, Timespec};
use crate::sys::errno::Errno;
use crate::sys::sigset::PaddedSigsetArg;

/// Whether a wait without a mask is `io_getevents(2)`. The filter of Android's applications
/// permits this call and kills for the newer two ([SECCOMP_ALLOWLIST_COMMON.TXT]).
///
/// [SECCOMP_ALLOWLIST_COMMON.TXT]: https://android.googlesource.com/platform/bionic/+/refs/heads/main/libc/SECCOMP_ALLOWLIST_COMMON.TXT
pub(super) const OLD_ALONE: bool = cfg!(target_os = "android");

/// The arguments of a wait for events, except the time.
///
/// # Safety
/// The contract of its methods: `events` is valid for writes of `nr` events, or an
/// address that the program cannot access. The time and the mask are valid, null, or
/// addresses that the program cannot access. No other code takes events from the
/// context's ring in user space.
#[derive(Clone, Copy)]
pub(crate) struct Call {
    pub(crate) ctx: AioContext,
    pub(crate) min_nr: isize,
    pub(crate) nr: isize,
    pub(crate) events: *mut Event,
    /// The signal mask during the wait; null leaves the thread's mask unchanged.
    pub(crate) sigmask: *const SigSet,
}

impl Call {
    /// Calls `io_pgetevents(2)`, with a mask or without (but see [`OLD_ALONE`]). Without a
    /// mask, it falls back to
    /// `io_getevents(2)`, which is not restarted, where `io_pgetevents(2)` is missing or
    /// forbidden. If both are, it returns the error of the first.
    ///
    /// A missing `io_pgetevents(2)` is not remembered: a seccomp filter applies to one
    /// thread, and the waits of other threads would no longer be restarted.
    ///
    /// # Safety
    /// The caller upholds the contract of [`Call`].
    #[inline(always)]
    pub(crate) unsafe fn long_time(self, time: *const OldTimespec) -> Result<usize, Errno> {
        let Call {
            ctx,
            min_nr,
            nr,
            events,
            sigmask,
        } = self;
        if OLD_ALONE && sigmask.is_null() {
            // SAFETY: the caller upholds the contract of `Call` for `events`, `time` and
            // the ring, which is the contract of `io_getevents`.
            return unsafe { sys::io_getevents(ctx, min_nr, nr, events, time) };
        }
        let restarted = with_mask(sigmask, |mask| {
            // SAFETY: the caller upholds the contract of `Call`, and `with_mask` passes
            // an argument that is null or valid during this closure.
            unsafe { sys::io_pgetevents(ctx, min_nr, nr, events, time, mask) }
        });
        match restarted {
            Err(first @ (Errno::NOSYS | Errno::PERM)) if sigmask.is_null() => {
                // SAFETY: the caller upholds the contract of `Call` for `events`,
                // `time` and the ring. The first system call failed, so it wrote no
                // event.
                let answer = unsafe { not_restarted(ctx, min_nr, nr, events, time, first) };
                Errno::check_count(answer as isize)
            }
            answer => answer,
        }
    }

    /// Calls `io_pgetevents_time64`, with a mask or without.
    ///
    /// # Safety
    /// The caller upholds the contract of [`Call`].
    #[inline(always)]
    pub(crate) unsafe fn time64(self, time: *const Timespec) -> Result<usize, Errno> {
        let Call {
            ctx,
            min_nr,
            nr,
            events,
            sigmask,
        } = self;
        with_mask(sigmask, |mask| {
            // SAFETY: the caller upholds the contract of `Call`, and `with_mask` passes
            // an argument that is null or valid during this closure.
            unsafe { sys::io_pgetevents_time64(ctx, min_nr, nr, events, time, mask) }
        })
    }
}

/// Calls `io_getevents(2)` after `io_pgetevents(2)` has failed with `first`. Returns a
/// count or a negated error. The function is out of line, with its arguments and its
/// result in registers, so that a caller needs no stack frame for it.
///
/// # Safety
/// The caller upholds the contract of [`Call`].
#[cold]
#[inline(never)]
unsafe fn not_restarted(
    ctx: AioContext,
    min_nr: isize,
    nr: isize,
    events: *mut Event,
    time: *const OldTimespec,
    first: Errno,
) -> i32 {
    // SAFETY: the caller upholds the contract of `Call` for `events`, `time` and the
    // ring, which is the contract of `io_getevents`.
    Errno::uncheck_count(
        match unsafe { sys::io_getevents(ctx, min_nr, nr, events, time) } {
            Err(Errno::NOSYS | Errno::PERM) => Err(first),
            answer => answer,
        },
    )
}

/// Runs `call` with the argument for the mask, which is null for a null mask.
///
/// On 32-bit ABIs it retries with the padded layout where the kernel refuses the
/// correct one with EINVAL, as an unfixed 64-bit kernel does (see [`PaddedSigsetArg`]).
/// If EINVAL has another cause, the retry returns it again. The refused system call
/// took no event.
#[inline(always)]
fn with_mask(
    mask: *const SigSet,
    call: impl Fn(*const SigsetArg) -> Result<usize, Errno>,
) -> Result<usize, Errno> {
    let argument;
    let pointer = if mask.is_null() {
        null()
    } else {
        argument = SigsetArg::from_ptr(mask);
        &raw const argument
    };
    match call(pointer) {
        Err(Errno::INVAL) if cfg!(target_pointer_width = "32") && !mask.is_null() => {
            let padded = PaddedSigsetArg::from_ptr(mask);
            // For the kernel both layouts are 16 bytes of plain numbers.
            call((&raw const padded).cast())
        }
        answer => answer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unmended_kernel_is_asked_again_on_32_bit_only() {
        use core::cell::Cell;
        let calls = Cell::new(0);
        let answer = with_mask(&SigSet::empty(), |argument| {
            calls.set(calls.get() + 1);
            // An unfixed kernel reads a 64-bit pointer, then the length, which has the
            // program's width.
            // SAFETY: both layouts are at least 16 bytes and hold no padding.
            let length = unsafe { argument.byte_add(8).cast::<usize>().read() };
            if length == SigSet::BYTES {
                Ok(7)
            } else {
                Err(Errno::INVAL)
            }
        });
        if cfg!(target_pointer_width = "32") {
            assert_eq!((answer, calls.get()), (Ok(7), 2));
        } else {
            // On 64-bit ABIs the correct layout is the same as the padded one.
            assert_eq!((answer, calls.get()), (Ok(7), 1));
        }
    }
}
