//! The process id, the signal mask, and the system's names and clock.

use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicUsize, Ordering};

use linux_aio::syscall::{syscall0, syscall1, syscall2, syscall4};
use linux_aio::{Errno, SigSet};
use linux_raw_sys::general as k;
use linux_raw_sys::system::new_utsname as Names;

use super::Result;

pub(crate) fn process_id() -> u32 {
    // SAFETY: no memory is passed.
    unsafe { syscall0(k::__NR_getpid as usize) as u32 }
}

/// The size of a page, from the auxiliary vector.
static PAGE: AtomicUsize = AtomicUsize::new(4096);

/// Records the size of a page.
pub(crate) fn set_page_size(size: usize) {
    PAGE.store(size, Ordering::Relaxed);
}

/// Returns the size of a page.
pub(crate) fn page_size() -> u64 {
    PAGE.load(Ordering::Relaxed) as u64
}

/// Returns the kernel release, the machine and the other names of uname(2).
pub(crate) fn names() -> Result<Names> {
    let mut names = MaybeUninit::<Names>::zeroed();
    // SAFETY: the kernel writes one `struct new_utsname`.
    Errno::check(unsafe {
        syscall1(
            k::__NR_uname as usize,
            names.as_mut_ptr().expose_provenance(),
        )
    })?;
    // SAFETY: the structure consists of character arrays, for which zeros are valid,
    // and the kernel has filled it.
    Ok(unsafe { names.assume_init() })
}

/// A clock of clock_gettime(2).
#[derive(Clone, Copy)]
pub(crate) enum Clock {
    Monotonic = k::CLOCK_MONOTONIC as isize,
    /// The processor time of this process.
    Processor = k::CLOCK_PROCESS_CPUTIME_ID as isize,
}

/// Returns the nanoseconds of a clock.
pub(crate) fn nanoseconds(clock: Clock) -> u64 {
    // The structure has two kernel `long`s, also in the old system call of 32-bit ABIs;
    // seconds since boot fit in 32 bits.
    #[cfg(not(target_arch = "riscv32"))]
    type Word = linux_aio::abi::Long;
    #[cfg(not(target_arch = "riscv32"))]
    const NUMBER: u32 = k::__NR_clock_gettime;
    #[cfg(target_arch = "riscv32")]
    type Word = i64;
    #[cfg(target_arch = "riscv32")]
    const NUMBER: u32 = k::__NR_clock_gettime64;
    let mut time: [Word; 2] = [0; 2];
    // SAFETY: the kernel writes one time of two words.
    let _ = unsafe {
        syscall2(
            NUMBER as usize,
            clock as usize,
            (&raw mut time).expose_provenance(),
        )
    };
    time[0] as u64 * 1_000_000_000 + time[1] as u64
}

/// Returns the milliseconds of the monotonic clock.
pub(crate) fn milliseconds() -> u64 {
    nanoseconds(Clock::Monotonic) / 1_000_000
}

/// The change that [`mask_signals`] makes to the set of blocked signals.
#[derive(Clone, Copy)]
pub(crate) enum Mask {
    Block = k::SIG_BLOCK as isize,
    Unblock = k::SIG_UNBLOCK as isize,
    Set = k::SIG_SETMASK as isize,
}

pub(crate) fn mask_signals(how: Mask, set: &SigSet) {
    // SAFETY: the kernel reads the set, whose size is passed.
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

/// Returns the blocked signals.
pub(crate) fn blocked_signals() -> SigSet {
    let mut set = SigSet::empty();
    // SAFETY: no new set is passed; the kernel writes one set, whose size is passed.
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

/// Returns the blocked signals that are pending.
pub(crate) fn pending_signals() -> SigSet {
    let mut set = SigSet::empty();
    // SAFETY: the kernel writes one set, whose size is passed.
    let _ = unsafe {
        syscall2(
            k::__NR_rt_sigpending as usize,
            (&raw mut set).expose_provenance(),
            SigSet::BYTES,
        )
    };
    set
}

/// Returns whether the process was started with the signal ignored, as by nohup.
pub(crate) fn is_ignored(signal: u32) -> bool {
    const SIG_IGN: usize = 1;
    // The handler is the first word of the structure.
    let mut action = [0_usize; 16];
    // SAFETY: no new action is passed; the kernel writes one structure, which fits.
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

/// Returns how often this thread has waited for something, or 0 where a sandbox hides it.
pub(crate) fn waits() -> k::__kernel_long_t {
    let mut usage = MaybeUninit::<k::rusage>::zeroed();
    let at = usage.as_mut_ptr().expose_provenance();
    // SAFETY: the kernel writes one structure at `at`, which is a local variable.
    let _ = unsafe { syscall2(k::__NR_getrusage as usize, k::RUSAGE_THREAD as usize, at) };
    // SAFETY: all fields are numbers, and zero before the call.
    unsafe { usage.assume_init() }.ru_nvcsw
}
