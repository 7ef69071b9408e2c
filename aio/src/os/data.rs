//! The data of files: finding it, and moving it without AIO.

use core::mem::MaybeUninit;

use linux_aio::abi::IoVec;
use linux_aio::syscall::{syscall2, syscall3, syscall4, syscall5, syscall6};
use linux_aio::{Errno, Fd};
use linux_raw_sys::general as k;

use super::{File, Result, page_size};

/// Splits a 64-bit number as 32-bit ABIs pass it: in two words, ordered by the byte
/// order of the machine.
fn words(number: u64) -> [usize; 2] {
    let (low, high) = (number as u32 as usize, (number >> 32) as usize);
    if cfg!(target_endian = "little") {
        [low, high]
    } else {
        [high, low]
    }
}

/// True on x32, whose system calls take a 64-bit number in one register. The library
/// passes 32 bits of each register, so offsets must be below 4 GiB there.
const X32: bool = cfg!(all(target_arch = "x86_64", target_pointer_width = "32"));

/// Checks that a 64-bit number can be passed to a system call.
///
/// # Errors
/// EOVERFLOW for a number that cannot be passed.
fn passed(number: u64) -> Result<()> {
    if X32 && number > u64::from(u32::MAX) {
        return Err(Errno::OVERFLOW);
    }
    Ok(())
}

/// Allocates disk blocks for the file, and sets its size.
pub(crate) fn allocate(file: &File, size: u64) -> Result<()> {
    fallocate(file, 0, 0, size)
}

/// Allocates disk blocks for a range of the file, which may lie beyond its end. Its size
/// stays the same.
pub(crate) fn reserve(file: &File, from: u64, length: u64) -> Result<()> {
    fallocate(file, k::FALLOC_FL_KEEP_SIZE, from, length)
}

fn fallocate(file: &File, mode: u32, from: u64, length: u64) -> Result<()> {
    passed(from)?;
    passed(length)?;
    let [a, b, c, d] = if usize::BITS == 32 && !X32 {
        let ([a, b], [c, d]) = (words(from), words(length));
        [a, b, c, d]
    } else {
        [from as usize, length as usize, 0, 0]
    };
    let (fd, mode) = (file.raw() as usize, mode as usize);
    // SAFETY: no memory is passed.
    Errno::check(unsafe { syscall6(k::__NR_fallocate as usize, fd, mode, a, b, c, d) }).map(drop)
}

/// Sets the size of the file. The part beyond the old end becomes a hole.
pub(crate) fn truncate(file: &File, size: u64) -> Result<()> {
    #[cfg(any(target_pointer_width = "64", target_arch = "x86_64"))]
    const NUMBER: u32 = k::__NR_ftruncate;
    #[cfg(not(any(target_pointer_width = "64", target_arch = "x86_64")))]
    const NUMBER: u32 = k::__NR_ftruncate64;
    // Some ABIs require a pair of words to begin in an even register.
    const EVEN: bool = cfg!(any(
        target_arch = "arm",
        target_arch = "mips",
        target_arch = "mips32r6",
        target_arch = "powerpc",
    ));
    passed(size)?;
    let [a, b, c] = match words(size) {
        _ if cfg!(any(target_pointer_width = "64", target_arch = "x86_64")) => {
            [size as usize, 0, 0]
        }
        [first, second] if EVEN => [0, first, second],
        [first, second] => [first, second, 0],
    };
    // SAFETY: no memory is passed.
    Errno::check(unsafe { syscall4(NUMBER as usize, file.raw() as usize, a, b, c) }).map(drop)
}

/// The target of [`seek`].
#[derive(Clone, Copy)]
pub(crate) enum Seek {
    Data = k::SEEK_DATA as isize,
    Hole = k::SEEK_HOLE as isize,
}

/// Returns the offset of the first byte from `offset` on that is data, or in a hole.
///
/// # Errors
/// ENXIO at the end of the file, and if only a hole follows; ENOSYS on x32.
pub(crate) fn seek(file: &File, offset: u64, what: Seek) -> Result<u64> {
    #[cfg(target_pointer_width = "64")]
    {
        let (fd, offset) = (file.raw() as usize, offset as usize);
        // SAFETY: no memory is passed.
        let result = unsafe { syscall3(k::__NR_lseek as usize, fd, offset, what as usize) };
        Errno::check(result).map(|offset| offset as u64)
    }
    #[cfg(all(target_pointer_width = "32", target_arch = "x86_64"))]
    {
        let _ = (file, offset, what);
        Err(Errno::NOSYS)
    }
    #[cfg(all(target_pointer_width = "32", not(target_arch = "x86_64")))]
    {
        #[cfg(any(target_arch = "csky", target_arch = "hexagon", target_arch = "riscv32"))]
        const NUMBER: u32 = k::__NR_llseek;
        #[cfg(not(any(target_arch = "csky", target_arch = "hexagon", target_arch = "riscv32")))]
        const NUMBER: u32 = k::__NR__llseek;
        let mut found = 0_u64;
        // SAFETY: the kernel writes one number of 64 bits.
        Errno::check(unsafe {
            syscall5(
                NUMBER as usize,
                file.raw() as usize,
                (offset >> 32) as usize,
                offset as usize,
                (&raw mut found).expose_provenance(),
                what as usize,
            )
        })?;
        Ok(found)
    }
}

/// Copies data from one file to the same offset in the other, in the kernel.
pub(crate) fn copy_range(from: &File, to: &File, offset: u64, length: usize) -> Result<usize> {
    let (mut read_at, mut write_at) = (offset, offset);
    // SAFETY: the kernel reads and writes two numbers of 64 bits.
    Errno::check(unsafe {
        syscall6(
            k::__NR_copy_file_range as usize,
            from.raw() as usize,
            (&raw mut read_at).expose_provenance(),
            to.raw() as usize,
            (&raw mut write_at).expose_provenance(),
            length,
            0,
        )
    })
}

/// Starts writing back a range of the page cache to the disk.
///
/// This is a hint: it neither waits nor guarantees anything. It is left out on 32-bit
/// ABIs, which pass the arguments in various ways.
pub(crate) fn begin_writing(fd: i32, offset: u64, length: u64) {
    #[cfg(target_pointer_width = "64")]
    {
        const FLAGS: usize = k::SYNC_FILE_RANGE_WRITE as usize;
        let (fd, offset, length) = (fd as usize, offset as usize, length as usize);
        #[cfg(target_arch = "powerpc64")]
        let (number, arguments) = (k::__NR_sync_file_range2, [FLAGS, offset, length]);
        #[cfg(not(target_arch = "powerpc64"))]
        let (number, arguments) = (k::__NR_sync_file_range, [offset, length, FLAGS]);
        let [a, b, c] = arguments;
        // SAFETY: no memory is passed.
        let _ = unsafe { syscall4(number as usize, fd, a, b, c) };
    }
    #[cfg(target_pointer_width = "32")]
    let _ = (fd, offset, length);
}

/// Reads from the current position.
pub(crate) fn read_from(fd: i32, buffer: &mut [u8]) -> Result<usize> {
    let (memory, length) = (buffer.as_mut_ptr().expose_provenance(), buffer.len());
    // SAFETY: the kernel writes at most the buffer's length into it.
    Errno::check(unsafe { syscall3(k::__NR_read as usize, fd as usize, memory, length) })
}

/// Writes all or the first part of the bytes at the current position.
pub(crate) fn write_to(fd: i32, bytes: &[u8]) -> Result<usize> {
    let (memory, length) = (bytes.as_ptr().expose_provenance(), bytes.len());
    // SAFETY: the kernel reads at most the slice's length from it.
    Errno::check(unsafe { syscall3(k::__NR_write as usize, fd as usize, memory, length) })
}

/// Writes all bytes at the current position.
pub(crate) fn write_all(fd: i32, bytes: &[u8]) -> Result<()> {
    // SAFETY: each caller has the descriptor open, or it is a standard one.
    linux_aio::rt::write_all(unsafe { Fd::borrow_raw(fd) }, bytes)
}

/// Waits until a descriptor can be read or written, for a tenth of a second at most.
///
/// Returns false if it still cannot, and if a signal interrupts the wait.
pub(crate) fn wait_ready(fd: i32, to_write: bool) -> bool {
    let mut entry = [k::pollfd {
        fd,
        events: if to_write { k::POLLOUT } else { k::POLLIN } as i16,
        revents: 0,
    }];
    let count = poll(&mut entry, 100);
    // A descriptor that cannot be polled never blocks.
    count != Ok(0) && count != Err(Errno::INTR)
}

/// Returns whether a write of a line to the descriptor would not wait.
pub(crate) fn is_writable(fd: i32) -> bool {
    let mut entry = [k::pollfd {
        fd,
        events: k::POLLOUT as i16,
        revents: 0,
    }];
    poll(&mut entry, 0) == Ok(1)
}

/// Waits for some time, or until a signal arrives.
pub(crate) fn sleep(milliseconds: u32) {
    let _ = poll(&mut [], milliseconds);
}

/// Calls ppoll(2).
pub(crate) fn poll(entries: &mut [k::pollfd], milliseconds: u32) -> Result<usize> {
    #[cfg(not(target_arch = "riscv32"))]
    type Word = linux_aio::abi::Long;
    #[cfg(not(target_arch = "riscv32"))]
    const NUMBER: u32 = k::__NR_ppoll;
    // riscv32 is the one ABI that never had 32-bit times.
    #[cfg(target_arch = "riscv32")]
    type Word = i64;
    #[cfg(target_arch = "riscv32")]
    const NUMBER: u32 = k::__NR_ppoll_time64;
    let mut time: [Word; 2] = [
        (milliseconds / 1000) as Word,
        (milliseconds % 1000 * 1_000_000) as Word,
    ];
    // SAFETY: the kernel reads and writes one time and the entries, which live through
    // the call; no signal set is passed.
    Errno::check(unsafe {
        syscall5(
            NUMBER as usize,
            entries.as_mut_ptr().expose_provenance(),
            entries.len(),
            (&raw mut time).expose_provenance(),
            0,
            0,
        )
    })
}

/// Reads at an offset, for the files that AIO cannot read.
///
/// # Safety
/// `length` bytes at `buffer` must be valid for writes, and nothing else may access
/// them during the call.
pub(crate) unsafe fn read_at(
    fd: i32,
    buffer: *mut u8,
    length: usize,
    offset: u64,
) -> Result<usize> {
    // SAFETY: the caller guarantees that `length` bytes at `buffer` are valid for writes
    // and not accessed otherwise, as preadv(2) requires.
    unsafe { positioned(k::__NR_preadv, fd, buffer, length, offset) }
}

/// Returns whether the file's pages from `from` to `to`, which is greater, are in the page
/// cache; false where the kernel does not tell (cachestat(2), since Linux 6.5).
pub(crate) fn is_cached(file: &File, from: u64, to: u64) -> bool {
    let range = k::cachestat_range {
        off: from,
        len: to - from,
    };
    let mut found = MaybeUninit::<k::cachestat>::zeroed();
    // SAFETY: the kernel reads one range and writes one result, which live through the
    // call.
    let result = Errno::check(unsafe {
        syscall4(
            k::__NR_cachestat as usize,
            file.raw() as usize,
            (&raw const range).expose_provenance(),
            found.as_mut_ptr().expose_provenance(),
            0,
        )
    });
    // SAFETY: the structure consists of integers, for which zeros are valid.
    let found = unsafe { found.assume_init() };
    let pages = to.div_ceil(page_size()) - from / page_size();
    result.is_ok() && found.nr_cache >= pages
}

/// Calls preadv(2) or pwritev(2) with one buffer.
///
/// These take the offset in two words on every architecture. pread64 and pwrite64 take
/// it in one or two words, in registers that differ.
///
/// # Safety
/// `length` bytes at `buffer` must be valid for writes if `number` is preadv(2), and
/// for reads if it is pwritev(2). Nothing else may access them conflictingly during the
/// call.
unsafe fn positioned(
    number: u32,
    fd: i32,
    buffer: *mut u8,
    length: usize,
    offset: u64,
) -> Result<usize> {
    passed(offset)?;
    let vector = IoVec {
        base: buffer.cast(),
        len: length,
    };
    let high = (offset >> 32) as usize * usize::from(usize::BITS == 32 && !X32);
    // SAFETY: the vector lives through the call. It names exactly the `length` bytes at
    // `buffer` that, by the function's contract, the kernel may write or read.
    Errno::check(unsafe {
        syscall5(
            number as usize,
            fd as usize,
            (&raw const vector).expose_provenance(),
            1,
            offset as usize,
            high,
        )
    })
}

/// Writes at an offset.
///
/// # Safety
/// `length` bytes at `buffer` must be valid for reads, and nothing may write to them
/// during the call.
pub(crate) unsafe fn write_at(
    fd: i32,
    buffer: *mut u8,
    length: usize,
    offset: u64,
) -> Result<usize> {
    // SAFETY: the caller guarantees that `length` bytes at `buffer` are valid for reads
    // and not written to meanwhile, as pwritev(2) requires.
    unsafe { positioned(k::__NR_pwritev, fd, buffer, length, offset) }
}

/// The magic number of ext2, ext3 and ext4.
pub(crate) const EXT4: u64 = 0xef53;
/// The magic number of overlayfs.
pub(crate) const OVERLAY: u64 = 0x794c_7630;

/// Returns the magic number of the file's file system.
pub(crate) fn file_system(file: &File) -> Result<u64> {
    let mut status = MaybeUninit::<k::statfs>::zeroed();
    // SAFETY: the kernel writes one `struct statfs`.
    Errno::check(unsafe {
        syscall2(
            k::__NR_fstatfs as usize,
            file.raw() as usize,
            status.as_mut_ptr().expose_provenance(),
        )
    })?;
    // SAFETY: the structure consists of integers, for which zeros are valid, and the
    // kernel has filled it.
    let status = unsafe { status.assume_init() };
    // Some ABIs extend the sign.
    Ok(u64::from(status.f_type as u32))
}
