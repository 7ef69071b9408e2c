//! Ordinary system calls, through the library's raw stubs: what the checks
//! need to make files, pipes and memory. Each takes its arguments apart just
//! as the kernel wants them on the target.

use core::ffi::{CStr, c_void};

use linux_aio::Errno;
use linux_aio::abi::IoVec;
use linux_aio::syscall::{syscall0, syscall1, syscall2, syscall3, syscall4, syscall5, syscall6};

use crate::nr;

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

pub(crate) fn close(fd: i32) -> Result<usize> {
    // SAFETY: the program's descriptors are its own; nothing relies on one
    // that is closed.
    Errno::check(unsafe { syscall1(nr::__NR_close as usize, number(fd)) })
}

pub(crate) fn dup(fd: i32) -> Result<i32> {
    // SAFETY: touches no memory.
    Errno::check(unsafe { syscall1(nr::__NR_dup as usize, number(fd)) }).map(|fd| fd as i32)
}

pub(crate) fn dup3(fd: i32, to: i32, flags: u32) -> Result<usize> {
    // SAFETY: touches no memory; `to` is free, or the caller's.
    Errno::check(unsafe {
        syscall3(
            nr::__NR_dup3 as usize,
            number(fd),
            number(to),
            flags as usize,
        )
    })
}

/// fcntl(2) with F_GETFD.
pub(crate) fn descriptor_flags(fd: i32) -> Result<usize> {
    // SAFETY: touches no memory.
    Errno::check(unsafe { syscall2(nr::FCNTL as usize, number(fd), nr::F_GETFD as usize) })
}

pub(crate) fn kill(pid: usize, signal: u32) -> Result<usize> {
    // SAFETY: no handler is installed anywhere; a signal ends a process or
    // does nothing to it.
    Errno::check(unsafe { syscall2(nr::__NR_kill as usize, pid, signal as usize) })
}

/// The reading and the writing end.
pub(crate) fn pipe(flags: u32) -> Result<[i32; 2]> {
    let mut ends = [-1; 2];
    // SAFETY: `ends` has room for two descriptors.
    Errno::check(unsafe {
        syscall2(
            nr::__NR_pipe2 as usize,
            (&raw mut ends).expose_provenance(),
            flags as usize,
        )
    })?;
    Ok(ends)
}

/// A file in memory: no file system is needed.
pub(crate) fn memfd(name: &CStr) -> Result<i32> {
    // SAFETY: the name ends with a zero byte.
    Errno::check(unsafe {
        syscall2(
            nr::__NR_memfd_create as usize,
            name.as_ptr().expose_provenance(),
            nr::MFD_CLOEXEC as usize,
        )
    })
    .map(|fd| fd as i32)
}

pub(crate) fn eventfd() -> Result<i32> {
    // SAFETY: touches no memory.
    Errno::check(unsafe { syscall2(nr::__NR_eventfd2 as usize, 0, nr::O_NONBLOCK as usize) })
        .map(|fd| fd as i32)
}

pub(crate) fn open(at: i32, name: &CStr, flags: u32, mode: u32) -> Result<i32> {
    // SAFETY: the name ends with a zero byte.
    Errno::check(unsafe {
        syscall4(
            nr::__NR_openat as usize,
            number(at),
            name.as_ptr().expose_provenance(),
            flags as usize,
            mode as usize,
        )
    })
    .map(|fd| fd as i32)
}

pub(crate) fn read(fd: i32, buffer: &mut [u8]) -> Result<usize> {
    // SAFETY: the kernel writes at most the buffer's length into it.
    Errno::check(unsafe {
        syscall3(
            nr::__NR_read as usize,
            number(fd),
            buffer.as_mut_ptr().expose_provenance(),
            buffer.len(),
        )
    })
}

pub(crate) fn write(fd: i32, buffer: &[u8]) -> Result<usize> {
    // SAFETY: the kernel reads at most the buffer's length from it.
    Errno::check(unsafe {
        syscall3(
            nr::__NR_write as usize,
            number(fd),
            buffer.as_ptr().expose_provenance(),
            buffer.len(),
        )
    })
}

/// write(2) of a byte at an address with nothing behind it.
pub(crate) fn write_from_nowhere(fd: i32) -> Result<usize> {
    // SAFETY: the kernel finds nothing to read.
    Errno::check(unsafe { syscall3(nr::__NR_write as usize, number(fd), NOWHERE, 1) })
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

/// What statx(2) fills, as far as it is looked at.
#[repr(C)]
pub(crate) struct Stat {
    pub(crate) mask: u32,
    head: [u32; 6],
    pub(crate) mode: u16,
    head_2: u16,
    head_3: u64,
    pub(crate) size: u64,
    rest: [u64; 26],
}

const _: () = assert!(size_of::<Stat>() == 256);
const _: () = assert!(core::mem::offset_of!(Stat, mode) == 28);
const _: () = assert!(core::mem::offset_of!(Stat, size) == 40);

/// Of an open file: a statx(2) that needs all its five arguments.
pub(crate) fn stat(fd: i32) -> Result<Stat> {
    let mut stat = Stat {
        mask: 0,
        head: [0; 6],
        mode: 0,
        head_2: 0,
        head_3: 0,
        size: 0,
        rest: [0; 26],
    };
    // SAFETY: the name ends with a zero byte, and `stat` has the kernel's size.
    Errno::check(unsafe {
        syscall5(
            nr::__NR_statx as usize,
            number(fd),
            c"".as_ptr().expose_provenance(),
            nr::AT_EMPTY_PATH as usize,
            nr::STATX_BASIC_STATS as usize,
            (&raw mut stat).expose_provenance(),
        )
    })?;
    Ok(stat)
}

fn vector(buffer: *const u8, len: usize) -> IoVec {
    IoVec {
        base: buffer.cast_mut().cast::<c_void>(),
        len,
    }
}

/// The low and the high half of an offset, as preadv(2) takes them in two
/// registers: in this order on every architecture.
fn halves(offset: u64) -> [usize; 2] {
    let high = if cfg!(target_pointer_width = "32") {
        (offset >> 32) as usize
    } else {
        0
    };
    [offset as usize, high]
}

pub(crate) fn preadv(fd: i32, buffer: &mut [u8], offset: u64) -> Result<usize> {
    let vector = vector(buffer.as_ptr(), buffer.len());
    let [low, high] = halves(offset);
    // SAFETY: the vector names the buffer, and both live through the call.
    Errno::check(unsafe {
        syscall5(
            nr::__NR_preadv as usize,
            number(fd),
            (&raw const vector).expose_provenance(),
            1,
            low,
            high,
        )
    })
}

pub(crate) fn pwritev(fd: i32, buffer: &[u8], offset: u64) -> Result<usize> {
    let vector = vector(buffer.as_ptr(), buffer.len());
    let [low, high] = halves(offset);
    // SAFETY: the vector names the buffer, and both live through the call.
    Errno::check(unsafe {
        syscall5(
            nr::__NR_pwritev as usize,
            number(fd),
            (&raw const vector).expose_provenance(),
            1,
            low,
            high,
        )
    })
}

/// pread64(2) or pwrite64(2): the offset takes one register where registers
/// are wide; else two, the one first that memory would have first, and on some
/// ABIs an even one first, so that a register before it stays empty.
///
/// # Safety
/// `length` bytes at `buffer` are valid for what the call does with them.
unsafe fn at_offset(
    call: u32,
    fd: i32,
    buffer: *const u8,
    length: usize,
    offset: u64,
) -> Result<usize> {
    const EVEN_PAIRS: bool = cfg!(any(
        target_arch = "arm",
        target_arch = "hexagon",
        target_arch = "mips",
        target_arch = "mips32r6",
        target_arch = "powerpc",
    ));
    let (call, fd) = (call as usize, number(fd));
    let buffer = buffer.expose_provenance();
    let low = offset as usize;
    if nr::MMAP_SHIFT == 0 {
        // SAFETY: the caller vouches for the buffer.
        return Errno::check(unsafe { syscall4(call, fd, buffer, length, low) });
    }
    let high = (offset >> 32) as usize;
    let [first, second] = if cfg!(target_endian = "little") {
        [low, high]
    } else {
        [high, low]
    };
    // SAFETY: the caller vouches for the buffer.
    Errno::check(unsafe {
        if EVEN_PAIRS {
            syscall6(call, fd, buffer, length, 0, first, second)
        } else {
            syscall5(call, fd, buffer, length, first, second)
        }
    })
}

pub(crate) fn pread(fd: i32, buffer: &mut [u8], offset: u64) -> Result<usize> {
    // SAFETY: the kernel writes at most the buffer's length into it.
    unsafe {
        at_offset(
            nr::__NR_pread64,
            fd,
            buffer.as_mut_ptr(),
            buffer.len(),
            offset,
        )
    }
}

pub(crate) fn pwrite(fd: i32, buffer: &[u8], offset: u64) -> Result<usize> {
    // SAFETY: the kernel reads at most the buffer's length from it.
    unsafe { at_offset(nr::__NR_pwrite64, fd, buffer.as_ptr(), buffer.len(), offset) }
}

/// Moves the file's position; where that is.
pub(crate) fn seek(fd: i32, offset: i64, whence: u32) -> Result<u64> {
    let whence = whence as usize;
    if nr::MMAP_SHIFT == 0 {
        // SAFETY: touches no memory.
        let position = Errno::check(unsafe {
            syscall3(nr::SEEK as usize, number(fd), offset as usize, whence)
        });
        return position.map(|position| position as u64);
    }
    let mut position = 0_u64;
    // SAFETY: `position` has the size that is written.
    Errno::check(unsafe {
        syscall5(
            nr::SEEK as usize,
            number(fd),
            (offset >> 32) as usize,
            offset as usize,
            (&raw mut position).expose_provenance(),
            whence,
        )
    })?;
    Ok(position)
}

/// Maps memory, or a file at an offset that is a multiple of the page.
///
/// # Safety
/// With MAP_FIXED nothing that the program relies on is at `address`.
pub(crate) unsafe fn mmap(
    address: usize,
    length: usize,
    protection: u32,
    flags: u32,
    fd: i32,
    offset: u64,
) -> Result<usize> {
    let arguments = [
        address,
        length,
        protection as usize,
        flags as usize,
        number(fd),
        (offset >> nr::MMAP_SHIFT) as usize,
    ];
    let call = nr::MMAP as usize;
    // SAFETY: the caller's promise; elsewhere nothing is there yet. The array
    // lives through the call.
    Errno::check(unsafe {
        if cfg!(target_arch = "s390x") {
            // The one ABI whose mmap(2) takes its six arguments from memory.
            syscall1(call, arguments.as_ptr().expose_provenance())
        } else {
            let [a, b, c, d, e, f] = arguments;
            syscall6(call, a, b, c, d, e, f)
        }
    })
}

/// # Safety
/// Nothing that the program relies on is mapped there.
pub(crate) unsafe fn munmap(address: usize, length: usize) -> Result<usize> {
    // SAFETY: the caller's promise.
    Errno::check(unsafe { syscall2(nr::__NR_munmap as usize, address, length) })
}

/// Moves a mapping to `to`, of the same length.
///
/// # Safety
/// Nothing that the program relies on is mapped at either place.
pub(crate) unsafe fn mremap(from: usize, length: usize, to: usize) -> Result<usize> {
    let flags = (nr::MREMAP_MAYMOVE | nr::MREMAP_FIXED) as usize;
    // SAFETY: the caller's promise.
    Errno::check(unsafe { syscall5(nr::__NR_mremap as usize, from, length, length, flags, to) })
}

/// Copies between files, from and to offsets that are moved on.
pub(crate) fn copy_file_range(
    from: i32,
    from_offset: &mut u64,
    to: i32,
    to_offset: &mut u64,
    length: usize,
    flags: usize,
) -> Result<usize> {
    // SAFETY: both offsets may be written; no other memory is touched.
    Errno::check(unsafe {
        syscall6(
            nr::__NR_copy_file_range as usize,
            number(from),
            core::ptr::from_mut(from_offset).expose_provenance(),
            number(to),
            core::ptr::from_mut(to_offset).expose_provenance(),
            length,
            flags,
        )
    })
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
/// child's number.
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

/// getsockname(2), which wants a socket.
pub(crate) fn getsockname(fd: i32) -> Result<usize> {
    let mut address = [0_u8; 128];
    let mut length = 128_u32;
    // SAFETY: `address` is as long as `length` says, and both may be written.
    Errno::check(unsafe {
        syscall3(
            nr::__NR_getsockname as usize,
            number(fd),
            (&raw mut address).expose_provenance(),
            (&raw mut length).expose_provenance(),
        )
    })
}

/// A call that no kernel has.
pub(crate) fn no_call() -> Result<usize> {
    // SAFETY: there is nothing that could be done.
    Errno::check(unsafe { syscall0(nr::NO_CALL as usize) })
}
