//! [`Call`]: the kernel's three calls that give events, as two, which differ in
//! the width of time.

use core::ptr::null;

use crate::sys;
use crate::sys::abi::{
    AioContext, Event, OldTimespec, PaddedSigsetArg, SigSet, SigsetArg, Timespec,
};
use crate::sys::errno::Errno;

/// All but the time.
///
/// # Safety
/// Of its methods: `events` is valid for writes of `nr` events, or nothing the
/// program can reach; so are the time, the mask and null. No other code takes
/// events from the context's ring in user space.
#[derive(Clone, Copy)]
pub(crate) struct Call {
    pub(crate) ctx: AioContext,
    pub(crate) min_nr: isize,
    pub(crate) nr: isize,
    pub(crate) events: *mut Event,
    /// Null: the thread's mask stays.
    pub(crate) sigmask: *const SigSet,
}

impl Call {
    /// `io_getevents(2)`, or with a mask `io_pgetevents(2)`.
    ///
    /// # Safety
    /// See [`Call`].
    #[inline(always)]
    pub(crate) unsafe fn old(self, time: *const OldTimespec) -> Result<usize, Errno> {
        let Call {
            ctx,
            min_nr,
            nr,
            events,
            sigmask,
        } = self;
        if sigmask.is_null() {
            // SAFETY: the caller's promise.
            return unsafe { sys::io_getevents(ctx, min_nr, nr, events, time) };
        }
        with_mask(sigmask, |mask| {
            // SAFETY: the caller's promise; the argument is alive here.
            unsafe { sys::io_pgetevents(ctx, min_nr, nr, events, time, mask) }
        })
    }

    /// `io_pgetevents(2)`, with a mask or without: the kernel restarts it after
    /// a signal that ran no handler. Without a mask, `io_getevents(2)` where
    /// that call is missing or forbidden; if both are, the error is the first
    /// call's.
    ///
    /// That the first call is missing is not remembered: a seccomp filter
    /// belongs to a thread, and the waits of other threads would no longer be
    /// restarted.
    ///
    /// # Safety
    /// See [`Call`].
    #[inline(always)]
    pub(crate) unsafe fn restarted(self, time: *const OldTimespec) -> Result<usize, Errno> {
        let Call {
            ctx,
            min_nr,
            nr,
            events,
            sigmask,
        } = self;
        let restarted = with_mask(sigmask, |mask| {
            // SAFETY: the caller's promise; the argument is null or alive here.
            unsafe { sys::io_pgetevents(ctx, min_nr, nr, events, time, mask) }
        });
        match restarted {
            Err(first @ (Errno::NOSYS | Errno::PERM)) if sigmask.is_null() => {
                // SAFETY: the caller's promise; the first call failed, so it
                // wrote no event.
                let answer = unsafe { not_restarted(ctx, min_nr, nr, events, time, first) };
                Errno::check_count(answer as isize)
            }
            answer => answer,
        }
    }

    /// `io_pgetevents_time64`, with a mask or without.
    ///
    /// # Safety
    /// See [`Call`].
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
            // SAFETY: the caller's promise; the argument is alive here.
            unsafe { sys::io_pgetevents_time64(ctx, min_nr, nr, events, time, mask) }
        })
    }
}

/// `io_getevents(2)`, where `io_pgetevents(2)` has failed with `first`. Returns a
/// count or a negated error. Out of line, with its arguments and its result in
/// registers, so that a caller needs no stack frame for it.
///
/// # Safety
/// See [`Call`].
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
    // SAFETY: the caller promises of `events` and `time` what this needs.
    Errno::uncheck_count(
        match unsafe { sys::io_getevents(ctx, min_nr, nr, events, time) } {
            Err(Errno::NOSYS | Errno::PERM) => Err(first),
            answer => answer,
        },
    )
}

/// Calls with the mask's argument, which is null for a null mask. On 32-bit
/// ABIs it calls a second time with the padded form where the kernel refuses
/// the right one: an unmended 64-bit kernel (see [`PaddedSigsetArg`]). EINVAL
/// for another reason comes back the second time too, and nothing has been
/// taken by the first.
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
            // Both forms are 16 bytes of plain numbers to the kernel.
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
            // What such a kernel sees: a 64-bit pointer, then the length, of
            // the program's width.
            // SAFETY: both forms are at least 16 bytes and hold no padding.
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
            // Here the right form is that layout already.
            assert_eq!((answer, calls.get()), (Ok(7), 1));
        }
    }
}
