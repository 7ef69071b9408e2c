//! Ordinary system calls, through the library's raw stubs: those that the checks need
//! to make files, pipes and memory. Each splits its arguments as the kernel requires on
//! the target.

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

/// The start of the last 64 bytes of the address space: only the kernel could use them.
pub(crate) const LAST: usize = usize::MAX - 63;

/// Returns the register value that passes a file descriptor.
pub(crate) fn number(fd: i32) -> usize {
    fd as usize
}

pub(crate) fn set_tid_address() -> Result<usize> {
    // SAFETY: a null pointer: nothing is written when the thread ends.
    Errno::check(unsafe { syscall1(nr::__NR_set_tid_address as usize, 0) })
}

pub(crate) fn umask(mask: usize) -> Result<usize> {
    // SAFETY: umask touches no memory.
    Errno::check(unsafe { syscall1(nr::__NR_umask as usize, mask) })
}

pub(crate) fn personality(persona: usize) -> Result<usize> {
    // SAFETY: personality touches no memory. It changes the behaviour of later system
    // calls; the caller restores the previous persona before it makes one.
    Errno::check(unsafe { syscall1(nr::__NR_personality as usize, persona) })
}

/// Replaces the thread's signal mask and returns the previous one.
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

/// Makes a system call that no kernel has.
pub(crate) fn no_call() -> Result<usize> {
    // SAFETY: no kernel implements the number, so nothing is done.
    Errno::check(unsafe { syscall0(nr::NO_CALL as usize) })
}
