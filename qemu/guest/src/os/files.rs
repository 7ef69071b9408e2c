//! System calls on descriptors and files.

use core::ffi::{CStr, c_void};

use linux_aio::Errno;
use linux_aio::abi::IoVec;
use linux_aio::syscall::{syscall1, syscall2, syscall3, syscall4, syscall5, syscall6};

use super::{NOWHERE, Result, number};
use crate::nr;

pub(crate) fn close(fd: i32) -> Result<usize> {
    // SAFETY: the program opened all its descriptors itself, and no code relies on a
    // closed one.
    Errno::check(unsafe { syscall1(nr::__NR_close as usize, number(fd)) })
}

pub(crate) fn dup(fd: i32) -> Result<i32> {
    // SAFETY: dup touches no memory.
    Errno::check(unsafe { syscall1(nr::__NR_dup as usize, number(fd)) }).map(|fd| fd as i32)
}

pub(crate) fn dup3(fd: i32, to: i32, flags: u32) -> Result<usize> {
    // SAFETY: dup3 touches no memory; `to` is unused, or a descriptor that the caller
    // owns.
    Errno::check(unsafe {
        syscall3(
            nr::__NR_dup3 as usize,
            number(fd),
            number(to),
            flags as usize,
        )
    })
}

/// Calls fcntl(2) with F_GETFD.
pub(crate) fn descriptor_flags(fd: i32) -> Result<usize> {
    // SAFETY: F_GETFD touches no memory.
    Errno::check(unsafe { syscall2(nr::FCNTL as usize, number(fd), nr::F_GETFD as usize) })
}

/// Calls fcntl(2) with F_SETFL.
pub(crate) fn set_status_flags(fd: i32, flags: u32) -> Result<usize> {
    // SAFETY: F_SETFL touches no memory.
    Errno::check(unsafe {
        syscall3(
            nr::FCNTL as usize,
            number(fd),
            nr::F_SETFL as usize,
            flags as usize,
        )
    })
}

/// Creates a pipe and returns its reading and its writing end.
pub(crate) fn pipe(flags: u32) -> Result<[i32; 2]> {
    let mut ends = [-1; 2];
    // SAFETY: `ends` holds two descriptors, as many as the kernel writes.
    Errno::check(unsafe {
        syscall2(
            nr::__NR_pipe2 as usize,
            (&raw mut ends).expose_provenance(),
            flags as usize,
        )
    })?;
    Ok(ends)
}

/// Creates a file in memory, for which no file system is needed.
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
    // SAFETY: eventfd2 touches no memory.
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

/// Calls write(2) for a byte at an address that is not mapped.
pub(crate) fn write_from_nowhere(fd: i32) -> Result<usize> {
    write_from(fd, NOWHERE, 1)
}

/// Calls write(2) for an address that may not be mapped.
pub(crate) fn write_from(fd: i32, address: usize, length: usize) -> Result<usize> {
    // SAFETY: the kernel checks whether the memory can be read, and only reads it.
    Errno::check(unsafe { syscall3(nr::__NR_write as usize, number(fd), address, length) })
}

/// The structure that statx(2) fills, with names for the fields that are used.
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

/// Returns the status of an open file, by a statx(2) that needs all its five arguments.
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

/// Returns the low and the high half of an offset, as preadv(2) takes them in two
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
    // SAFETY: the vector describes the buffer, and both live through the call.
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
    // SAFETY: the vector describes the buffer, and both live through the call.
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

/// Calls pread64(2) or pwrite64(2). The offset takes one register where registers are
/// 64 bits wide, else two, in the order in which memory would hold the halves. Some
/// ABIs require the pair to start at an even register, so that a register before it may
/// stay unused.
///
/// # Safety
/// `length` bytes at `buffer` are valid for the access that the call makes to them.
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
        // SAFETY: the caller promises that `length` bytes at `buffer` are valid for the
        // access of this call, which touches no other memory.
        return Errno::check(unsafe { syscall4(call, fd, buffer, length, low) });
    }
    let high = (offset >> 32) as usize;
    let [first, second] = if cfg!(target_endian = "little") {
        [low, high]
    } else {
        [high, low]
    };
    // SAFETY: the caller promises that `length` bytes at `buffer` are valid for the
    // access of this call, which touches no other memory.
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

/// Moves the position of the file and returns the new one.
pub(crate) fn seek(fd: i32, offset: i64, whence: u32) -> Result<u64> {
    let whence = whence as usize;
    if nr::MMAP_SHIFT == 0 {
        // SAFETY: lseek touches no memory.
        let position = Errno::check(unsafe {
            syscall3(nr::SEEK as usize, number(fd), offset as usize, whence)
        });
        return position.map(|position| position as u64);
    }
    let mut position = 0_u64;
    // SAFETY: `position` has the size that the kernel writes.
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

/// Copies between files, and advances both offsets.
pub(crate) fn copy_file_range(
    from: i32,
    from_offset: &mut u64,
    to: i32,
    to_offset: &mut u64,
    length: usize,
    flags: usize,
) -> Result<usize> {
    // SAFETY: both offsets are exclusively borrowed; no other memory is touched.
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

/// Calls getsockname(2), which needs a socket.
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
