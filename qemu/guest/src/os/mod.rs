//! Ordinary system calls, through the library's raw stubs: what the checks
//! need to make files, pipes and memory. Each takes its arguments apart just
//! as the kernel wants them on the target.

use linux_aio::Errno;
use linux_aio::syscall::{syscall0, syscall1, syscall2, syscall4, syscall5, syscall6};

use crate::nr;

mod boot;
mod files;
mod memory;

pub(crate) use boot::*;
pub(crate) use files::*;
pub(crate) use memory::*;

pub(crate) type Result<T> = core::result::Result<T, Errno>;

/// An address that is never mapped.
pub(crate) const NOWHERE: usize = 16;

/// The number that a file descriptor is passed as.
pub(crate) fn number(fd: i32) -> usize {
    fd as usize
}

pub(crate) fn getpid() -> Result<usize> {
    // SAFETY: touches no memory.
    Errno::check(unsafe { syscall0(nr::__NR_getpid as usize) })
}

pub(crate) fn gettid() -> Result<usize> {
    // SAFETY: touches no memory.
    Errno::check(unsafe { syscall0(nr::__NR_gettid as usize) })
}

pub(crate) fn set_tid_address() -> Result<usize> {
    // SAFETY: a null pointer: nothing is written when the thread ends.
    Errno::check(unsafe { syscall1(nr::__NR_set_tid_address as usize, 0) })
}

pub(crate) fn umask(mask: usize) -> Result<usize> {
    // SAFETY: touches no memory.
    Errno::check(unsafe { syscall1(nr::__NR_umask as usize, mask) })
}

pub(crate) fn personality(persona: usize) -> Result<usize> {
    // SAFETY: touches no memory. How later calls behave is put back by the
    // caller before it makes one.
    Errno::check(unsafe { syscall1(nr::__NR_personality as usize, persona) })
}

pub(crate) fn kill(pid: usize, signal: u32) -> Result<usize> {
    // SAFETY: no handler is installed anywhere; a signal ends a process or
    // does nothing to it.
    Errno::check(unsafe { syscall2(nr::__NR_kill as usize, pid, signal as usize) })
}

/// The thread's signal mask: replaced, and what it was.
pub(crate) fn signal_mask(new: &linux_aio::SigSet) -> Result<linux_aio::SigSet> {
    let mut old = linux_aio::SigSet::empty();
    // SAFETY: both sets have the kernel's size and live through the call.
    Errno::check(unsafe {
        syscall4(
            nr::__NR_rt_sigprocmask as usize,
            nr::SIG_SETMASK as usize,
            core::ptr::from_ref(new).expose_provenance(),
            (&raw mut old).expose_provenance(),
            linux_aio::SigSet::BYTES,
        )
    })?;
    Ok(old)
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

/// A copy of the process, with a copy of its memory. In the parent, the
/// child's number; in the child zero, but on sparc, which tells the two apart
/// by a second result that the stubs do not pass on.
pub(crate) fn fork() -> Result<usize> {
    let signal = nr::SIGCHLD as usize;
    // s390x takes the stack first; zero is the one that there is.
    let [a, b] = if cfg!(target_arch = "s390x") {
        [0, signal]
    } else {
        [signal, 0]
    };
    // SAFETY: the child goes on on a copy of the stack, and shares nothing.
    Errno::check(unsafe { syscall5(nr::__NR_clone as usize, a, b, 0, 0, 0) })
}

/// Waits for a child's end. The signal that killed it, or else, in the next
/// byte, what it exited with.
pub(crate) fn wait(pid: usize) -> Result<usize> {
    const P_PID: usize = 1;
    const WEXITED: usize = 4;
    const CLD_EXITED: u32 = 1;
    // siginfo: three numbers, a gap where words are wide, then who, whose and
    // what.
    const STATUS: usize = if cfg!(target_pointer_width = "64") {
        6
    } else {
        5
    };
    const MIPS: bool = cfg!(any(
        target_arch = "mips",
        target_arch = "mips32r6",
        target_arch = "mips64",
        target_arch = "mips64r6",
    ));
    const CODE: usize = if MIPS { 1 } else { 2 };

    let mut info = [0_u32; 32];
    // waitid(2) is the one of its family that all architectures have.
    // SAFETY: `info` has the size of a siginfo.
    Errno::check(unsafe {
        syscall5(
            nr::__NR_waitid as usize,
            P_PID,
            pid,
            (&raw mut info).expose_provenance(),
            WEXITED,
            0,
        )
    })?;
    let status = info[STATUS] as usize;
    Ok(if info[CODE] == CLD_EXITED {
        status << 8
    } else {
        status
    })
}

/// A call that no kernel has.
pub(crate) fn no_call() -> Result<usize> {
    // SAFETY: there is nothing that could be done.
    Errno::check(unsafe { syscall0(nr::NO_CALL as usize) })
}
