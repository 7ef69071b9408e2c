//! Child processes.

use linux_aio::syscall::{syscall0, syscall1, syscall2, syscall3, syscall5};
use linux_aio::{Errno, SigSet};
use linux_raw_sys::general as k;

use super::{Result, process_id};

/// The way in which a child process ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Exited(i32),
    Signal(i32),
}

/// A process identifier in the process that forked; `None` in the child.
pub(crate) type Child = Option<u32>;

/// Creates a child process with a copy of the memory and of the descriptors.
///
/// SIGCHLD gets its default action: where the parent of this process ignores it, and
/// this one with it, nothing could be learned from the end of a child.
pub(crate) fn fork() -> Result<Child> {
    // Zeros are the default action, and no flags, in every layout of the structure.
    let action = [0_usize; 16];
    // SPARC takes a restorer before the size of a set.
    let sparc = cfg!(any(target_arch = "sparc", target_arch = "sparc64"));
    let mut rest = [SigSet::BYTES, 0];
    if sparc {
        rest.reverse();
    }
    // SAFETY: the kernel reads one structure, which is smaller; no old action is
    // requested.
    let _ = unsafe {
        syscall5(
            k::__NR_rt_sigaction as usize,
            k::SIGCHLD as usize,
            (&raw const action).expose_provenance(),
            0,
            rest[0],
            rest[1],
        )
    };
    let parent = process_id();
    // s390x takes the stack first, and the flags second.
    let mut arguments = [k::SIGCHLD as usize, 0];
    if cfg!(target_arch = "s390x") {
        arguments.reverse();
    }
    let [a, b] = arguments;
    // SAFETY: without CLONE_VM the child has its own copy of the memory, its stack
    // included, and continues here. No other thread of this process holds a lock or
    // half-changed state: the tool has one thread (`thread.rs` starts another, which uses
    // no memory).
    let result = unsafe { syscall5(k::__NR_clone as usize, a, b, 0, 0, 0) };
    let id = Errno::check(result)? as u32;
    // SPARC returns the parent's identifier in the child.
    let is_child = if sparc {
        process_id() != parent
    } else {
        id == 0
    };
    Ok((!is_child).then_some(id))
}

/// Waits until the child has ended, and returns how.
pub(crate) fn wait_for(child: u32) -> Result<Ended> {
    // `siginfo_t` has 128 bytes. Three words of 32 bits are followed by the fields for
    // SIGCHLD: process, user, status. On 64-bit ABIs they are aligned to eight bytes.
    const FIELDS: usize = if size_of::<usize>() == 8 { 4 } else { 3 };
    const P_PID: usize = 1;
    const WEXITED: usize = 4;
    const CLD_EXITED: i32 = 1;
    let mips = cfg!(any(
        target_arch = "mips",
        target_arch = "mips32r6",
        target_arch = "mips64",
        target_arch = "mips64r6"
    ));
    let mut info = [0_u64; 16];
    loop {
        // SAFETY: the kernel writes one `siginfo_t`, which fits.
        let result = Errno::check(unsafe {
            syscall5(
                k::__NR_waitid as usize,
                P_PID,
                child as usize,
                (&raw mut info).expose_provenance(),
                WEXITED,
                0,
            )
        });
        match result {
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
            Ok(_) => break,
        }
    }
    let word = |index: usize| {
        let bytes = info[index / 2].to_ne_bytes();
        let half = &bytes[index % 2 * 4..][..4];
        i32::from_ne_bytes([half[0], half[1], half[2], half[3]])
    };
    // MIPS exchanges the code and the error number.
    let code = word(if mips { 1 } else { 2 });
    let status = word(FIELDS + 2);
    Ok(if code == CLD_EXITED {
        Ended::Exited(status)
    } else {
        Ended::Signal(status)
    })
}

/// Sends a signal to a child.
pub(crate) fn kill(child: u32, signal: u32) {
    // SAFETY: no memory is passed. The child was not waited for yet, so its identifier
    // is not that of another process.
    let _ = unsafe { syscall2(k::__NR_kill as usize, child as usize, signal as usize) };
}

/// Ends this process by SIGKILL when `parent`, its parent, ends, or now if it has ended.
pub(crate) fn end_with_parent(parent: u32) {
    let signal = k::SIGKILL as usize;
    // SAFETY: no memory is passed.
    let _ = unsafe {
        syscall5(
            k::__NR_prctl as usize,
            linux_raw_sys::prctl::PR_SET_PDEATHSIG as usize,
            signal,
            0,
            0,
            0,
        )
    };
    // It may have ended before the call above.
    // SAFETY: no memory is passed.
    let now = unsafe { syscall0(k::__NR_getppid as usize) };
    if now as u32 != parent {
        linux_aio::rt::exit(1);
    }
}

/// Returns the seccomp mode of this process without `/proc`: 0 none, 2 a filter.
pub(crate) fn seccomp_mode() -> Result<usize> {
    // SAFETY: no memory is passed.
    Errno::check(unsafe {
        syscall5(
            k::__NR_prctl as usize,
            linux_raw_sys::prctl::PR_GET_SECCOMP as usize,
            0,
            0,
            0,
            0,
        )
    })
}

/// Ends this process by SIGALRM after some seconds.
pub(crate) fn end_after(seconds: linux_aio::abi::Long) {
    // The interval and the first time, each in seconds and microseconds.
    let time: [linux_aio::abi::Long; 4] = [0, 0, seconds, 0];
    // SAFETY: the kernel reads two times of two words each.
    let _ = unsafe {
        syscall3(
            k::__NR_setitimer as usize,
            k::ITIMER_REAL as usize,
            (&raw const time).expose_provenance(),
            0,
        )
    };
}

/// Closes a descriptor, one of the standard ones or of a child that is about to exit.
pub(crate) fn close(fd: i32) {
    // SAFETY: the callers use the descriptor no more.
    let _ = unsafe { syscall1(k::__NR_close as usize, fd as usize) };
}

/// Returns the user who runs the tool.
pub(crate) fn user() -> u32 {
    // SAFETY: no memory is passed.
    unsafe { linux_aio::syscall::syscall0(k::__NR_geteuid as usize) as u32 }
}
