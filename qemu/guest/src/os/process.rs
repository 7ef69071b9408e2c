//! Processes: copies of this one, and their ends.

use core::ffi::CStr;

use linux_aio::Errno;
use linux_aio::rt::exit;
use linux_aio::syscall::{syscall0, syscall2, syscall4, syscall5};

use super::Result;
use crate::nr;

pub(crate) fn getpid() -> Result<usize> {
    // SAFETY: touches no memory.
    Errno::check(unsafe { syscall0(nr::__NR_getpid as usize) })
}

pub(crate) fn gettid() -> Result<usize> {
    // SAFETY: touches no memory.
    Errno::check(unsafe { syscall0(nr::__NR_gettid as usize) })
}

pub(crate) fn kill(pid: usize, signal: u32) -> Result<usize> {
    // SAFETY: no handler is installed anywhere; a signal ends a process or
    // does nothing to it.
    Errno::check(unsafe { syscall2(nr::__NR_kill as usize, pid, signal as usize) })
}

/// How large this process's files may become from now on, in bytes.
pub(crate) fn limit_files(bytes: u64) -> Result<usize> {
    // The soft and the hard limit, of 64 bits each everywhere.
    let limit = [bytes; 2];
    // SAFETY: the limit lives through the call and is only read.
    Errno::check(unsafe {
        syscall4(
            nr::__NR_prlimit64 as usize,
            0,
            nr::RLIMIT_FSIZE,
            (&raw const limit).expose_provenance(),
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

/// Runs the function in a forked child and exits with what it returns. The
/// status that [`wait`] gives.
pub(crate) fn in_child(child: impl FnOnce() -> usize) -> Result<usize> {
    wait(spawn(child)?)
}

/// The same, without waiting for its end. The child's number.
pub(crate) fn spawn(child: impl FnOnce() -> usize) -> Result<usize> {
    match branch()? {
        Some(pid) => Ok(pid),
        None => exit(child() as i32),
    }
}

/// Goes on as two processes: in the parent the child's number, in the child
/// `None`.
pub(crate) fn branch() -> Result<Option<usize>> {
    let parent = getpid()?;
    let pid = fork()?;
    // Not by what fork returned: on sparc that is the parent's number in the
    // child.
    Ok((getpid()? == parent).then_some(pid))
}

/// Becomes the program that is open here, with these arguments, of which the
/// first is its name; returns only if that failed.
pub(crate) fn exec<const N: usize>(program: i32, arguments: [&CStr; N]) -> Result<usize> {
    // The last is null.
    let mut pointers = [core::ptr::null(); 8];
    if N >= pointers.len() {
        return Err(Errno::TOOBIG);
    }
    for (pointer, argument) in pointers.iter_mut().zip(arguments) {
        *pointer = argument.as_ptr();
    }
    let environment = [core::ptr::null::<u8>()];
    // SAFETY: both arrays end with a null pointer, all strings with a zero
    // byte; if the call succeeds, nothing of this program goes on.
    Errno::check(unsafe {
        syscall5(
            nr::__NR_execveat as usize,
            super::number(program),
            c"".as_ptr().expose_provenance(),
            pointers.as_ptr().expose_provenance(),
            environment.as_ptr().expose_provenance(),
            nr::AT_EMPTY_PATH as usize,
        )
    })
}
