//! Ordinary system calls, through the library's raw stubs: what the checks
//! need to make files, pipes and memory. Each takes its arguments apart just
//! as the kernel wants them on the target.

use linux_aio::Errno;
use linux_aio::syscall::{syscall0, syscall1, syscall4};

use crate::nr;

mod boot;
mod clone;
mod file;
mod files;
mod memory;
mod process;
mod seccomp;
mod threads;
mod time;

pub(crate) use boot::*;
pub(crate) use file::*;
pub(crate) use files::*;
pub(crate) use memory::*;
pub(crate) use process::*;
pub(crate) use seccomp::*;
pub(crate) use threads::*;
pub(crate) use time::*;

pub(crate) type Result<T> = core::result::Result<T, Errno>;

/// An address that is never mapped.
pub(crate) const NOWHERE: usize = 16;

/// The last 64 bytes of all addresses: the kernel's, if anybody's.
pub(crate) const LAST: usize = usize::MAX - 63;

/// The number that a file descriptor is passed as.
pub(crate) fn number(fd: i32) -> usize {
    fd as usize
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

/// A call that no kernel has.
pub(crate) fn no_call() -> Result<usize> {
    // SAFETY: there is nothing that could be done.
    Errno::check(unsafe { syscall0(nr::NO_CALL as usize) })
}
