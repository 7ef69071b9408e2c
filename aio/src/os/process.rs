//! The process itself: its id, its signals, the machine's names and clock.

use core::mem::MaybeUninit;

use linux_aio::syscall::{syscall0, syscall1, syscall2, syscall4};
use linux_aio::{Errno, SigSet};
use linux_raw_sys::general as k;
use linux_raw_sys::system::new_utsname as Names;

use super::Result;

pub(crate) fn process_id() -> u32 {
    // SAFETY: no memory is passed.
    unsafe { syscall0(k::__NR_getpid as usize) as u32 }
}

/// Kernel release, machine and the rest of uname(2).
pub(crate) fn names() -> Result<Names> {
    let mut names = MaybeUninit::<Names>::zeroed();
    // SAFETY: the kernel writes one `struct new_utsname`.
    Errno::check(unsafe {
        syscall1(
            k::__NR_uname as usize,
            names.as_mut_ptr().expose_provenance(),
        )
    })?;
    // SAFETY: arrays of characters, zeroed and then filled.
    Ok(unsafe { names.assume_init() })
}

/// Milliseconds of the clock that nobody sets.
pub(crate) fn milliseconds() -> u64 {
    // Two of the kernel's `long`, in the old call of 32-bit ABIs too; seconds
    // since boot fit in 32 bits.
    let mut time: [linux_aio::abi::Long; 2] = [0; 2];
    // SAFETY: the kernel writes one `struct timespec`.
    let _ = unsafe {
        syscall2(
            k::__NR_clock_gettime as usize,
            k::CLOCK_MONOTONIC as usize,
            (&raw mut time).expose_provenance(),
        )
    };
    time[0] as u64 * 1000 + time[1] as u64 / 1_000_000
}

/// How [`mask_signals`] changes the set of blocked signals.
#[derive(Clone, Copy)]
pub(crate) enum Mask {
    Block = k::SIG_BLOCK as isize,
    Unblock = k::SIG_UNBLOCK as isize,
    Set = k::SIG_SETMASK as isize,
}

pub(crate) fn mask_signals(how: Mask, set: &SigSet) {
    // SAFETY: the kernel reads the set, of the size that it is told.
    let _ = unsafe {
        syscall4(
            k::__NR_rt_sigprocmask as usize,
            how as usize,
            core::ptr::from_ref(set).expose_provenance(),
            0,
            SigSet::BYTES,
        )
    };
}

/// Those that are blocked.
pub(crate) fn blocked_signals() -> SigSet {
    let mut set = SigSet::empty();
    // SAFETY: nothing is set; the kernel writes a set, of the size that it is told.
    let _ = unsafe {
        syscall4(
            k::__NR_rt_sigprocmask as usize,
            k::SIG_BLOCK as usize,
            0,
            (&raw mut set).expose_provenance(),
            SigSet::BYTES,
        )
    };
    set
}

/// The blocked signals that have arrived.
pub(crate) fn pending_signals() -> SigSet {
    let mut set = SigSet::empty();
    // SAFETY: the kernel writes a set, of the size that it is told.
    let _ = unsafe {
        syscall2(
            k::__NR_rt_sigpending as usize,
            (&raw mut set).expose_provenance(),
            SigSet::BYTES,
        )
    };
    set
}

/// Whether the process was started with the signal ignored, as nohup does.
pub(crate) fn is_ignored(signal: u32) -> bool {
    const SIG_IGN: usize = 1;
    // The handler is the first word of the structure.
    let mut action = [0_usize; 16];
    // SAFETY: nothing is set; the kernel writes one structure, which fits.
    let _ = unsafe {
        syscall4(
            k::__NR_rt_sigaction as usize,
            signal as usize,
            0,
            (&raw mut action).expose_provenance(),
            SigSet::BYTES,
        )
    };
    action[0] == SIG_IGN
}
