//! System calls on processes: fork, exec, signals and waiting for a child.

use core::ffi::CStr;

use linux_aio::Errno;
use linux_aio::rt::exit;
use linux_aio::syscall::{syscall0, syscall2, syscall4, syscall5};

use super::Result;
use crate::nr;

pub(crate) fn getpid() -> Result<usize> {
    // SAFETY: getpid touches no memory.
    Errno::check(unsafe { syscall0(nr::__NR_getpid as usize) })
}

/// Returns whether this is the first process of a kernel. gVisor starts a program as one,
/// without the duties of one.
pub(crate) fn is_first_process() -> bool {
    getpid() == Ok(1) && !super::is_gvisor()
}

pub(crate) fn gettid() -> Result<usize> {
    // SAFETY: gettid touches no memory.
    Errno::check(unsafe { syscall0(nr::__NR_gettid as usize) })
}

pub(crate) fn kill(pid: usize, signal: u32) -> Result<usize> {
    // SAFETY: no signal handler is installed anywhere; a signal ends a process or has
    // no effect on it.
    Errno::check(unsafe { syscall2(nr::__NR_kill as usize, pid, signal as usize) })
}

/// Limits the size of this process's files from now on, in bytes.
pub(crate) fn limit_files(bytes: u64) -> Result<usize> {
    limit(nr::RLIMIT_FSIZE, [bytes; 2])
}

/// Limits the address space of this process, in bytes. The limit can be raised again.
pub(crate) fn limit_address_space(bytes: u64) -> Result<usize> {
    limit(nr::RLIMIT_AS as usize, [bytes, u64::MAX])
}

/// Sets the soft and the hard limit of a resource, of 64 bits each on every
/// architecture.
fn limit(resource: usize, limits: [u64; 2]) -> Result<usize> {
    // SAFETY: the limits live through the call and are only read.
    Errno::check(unsafe {
        syscall4(
            nr::__NR_prlimit64 as usize,
            0,
            resource,
            (&raw const limits).expose_provenance(),
            0,
        )
    })
}

/// Reduces the effective and the permitted capabilities of this process to those of the
/// set, in which each capability is a bit.
pub(crate) fn limit_capabilities(set: u32) -> Result<usize> {
    /// `_LINUX_CAPABILITY_VERSION_3`: two times three words.
    const VERSION: u32 = 0x2008_0522;
    let header = [VERSION, 0];
    let sets = [set, set, 0, 0, 0, 0];
    // SAFETY: the header and the sets have the layout of this version and live through
    // the call.
    Errno::check(unsafe {
        syscall2(
            nr::__NR_capset as usize,
            (&raw const header).expose_provenance(),
            (&raw const sets).expose_provenance(),
        )
    })
}

/// Copies the process and its memory. Returns the number of the child in the parent,
/// and zero in the child. On sparc the child is distinguished by a second result, which
/// the stubs do not pass on.
pub(crate) fn fork() -> Result<usize> {
    let signal = nr::SIGCHLD as usize;
    // s390x takes the stack first; zero keeps the present stack.
    let [a, b] = if cfg!(target_arch = "s390x") {
        [0, signal]
    } else {
        [signal, 0]
    };
    // SAFETY: the child continues on a copy of the stack, and shares no memory.
    Errno::check(unsafe { syscall5(nr::__NR_clone as usize, a, b, 0, 0, 0) })
}

/// Waits until a child ends. Returns the signal that killed it, or else its exit status
/// in the next byte.
pub(crate) fn wait(pid: usize) -> Result<usize> {
    const P_PID: usize = 1;
    const WEXITED: usize = 4;
    const CLD_EXITED: u32 = 1;
    // The layout of siginfo: three numbers, a gap where words are 64 bits wide, then
    // process, user and status.
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
    // Of its family, waitid(2) is the one that all architectures have.
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

/// Runs the function in a forked child, which exits with the returned number. Returns
/// the status as [`wait`] does.
pub(crate) fn in_child(child: impl FnOnce() -> usize) -> Result<usize> {
    wait(spawn(child)?)
}

/// Runs the function in a forked child as [`in_child`] does, without waiting for its
/// end. Returns the number of the child.
pub(crate) fn spawn(child: impl FnOnce() -> usize) -> Result<usize> {
    match branch()? {
        Some(pid) => Ok(pid),
        None => exit(child() as i32),
    }
}

/// Forks the process. Returns the number of the child in the parent, and `None` in the
/// child.
pub(crate) fn branch() -> Result<Option<usize>> {
    let parent = getpid()?;
    let pid = fork()?;
    // The result of fork does not decide: on sparc it is the parent's number in the
    // child.
    Ok((getpid()? == parent).then_some(pid))
}

/// Executes the program that `program` is an open descriptor of. The first argument is
/// its name. Returns only on failure.
pub(crate) fn exec<const N: usize>(program: i32, arguments: [&CStr; N]) -> Result<usize> {
    // The last pointer stays null.
    let mut pointers = [core::ptr::null(); 8];
    if N >= pointers.len() {
        return Err(Errno::TOOBIG);
    }
    for (pointer, argument) in pointers.iter_mut().zip(arguments) {
        *pointer = argument.as_ptr();
    }
    let environment = [core::ptr::null::<u8>()];
    // SAFETY: both arrays end with a null pointer, all strings with a zero byte. If the
    // call succeeds, this program does not continue.
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
