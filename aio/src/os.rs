//! The system calls beyond AIO that the tool needs, with one thin function for each.
//!
//! Numbers and structures come from `linux-raw-sys`; only system calls that every Linux
//! architecture has are used, so that a new architecture needs no change here.

use core::ffi::CStr;
use core::mem::MaybeUninit;

use linux_aio::Errno;
use linux_aio::syscall::{syscall1, syscall2, syscall3, syscall5, syscall6};
use linux_raw_sys::general as k;

pub(crate) use linux_raw_sys::general::{
    O_CREAT, O_DIRECT, O_DIRECTORY, O_EXCL, O_NOCTTY, O_NONBLOCK, O_PATH, O_RDONLY, O_RDWR,
    O_TMPFILE, O_TRUNC, O_WRONLY, statx as Stat,
};
pub(crate) use linux_raw_sys::system::new_utsname as Names;

mod attributes;
mod child;
mod data;
mod names;
mod process;
mod thread;

pub(crate) use attributes::*;
pub(crate) use child::*;
pub(crate) use data::*;
pub(crate) use names::*;
pub(crate) use process::*;
pub(crate) use thread::*;

pub(crate) const STDOUT: i32 = 1;
pub(crate) const STDERR: i32 = 2;

type Result<T> = core::result::Result<T, Errno>;

/// An open file, closed when dropped.
pub(crate) struct File(i32);

/// The directory to which a name is relative.
#[derive(Clone, Copy)]
pub(crate) struct At(i32);

/// The working directory.
pub(crate) const CWD: At = At(k::AT_FDCWD);

impl File {
    fn from_result(result: isize) -> Result<File> {
        Errno::check(result).map(|fd| File(fd as i32))
    }

    pub(crate) fn raw(&self) -> i32 {
        self.0
    }

    pub(crate) fn at(&self) -> At {
        At(self.0)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // SAFETY: this value owns the descriptor, which is not used again. The result
        // of close(2) is ignored: data that must reach the disk was synced before.
        let _ = unsafe { syscall1(k::__NR_close as usize, self.0 as usize) };
    }
}

/// Returns the status of an open file, with the alignment that O_DIRECT requires.
pub(crate) fn stat_file(file: &File) -> Result<Stat> {
    stat_descriptor(file.raw())
}

/// Returns the status of a descriptor that this program does not own.
pub(crate) fn stat_descriptor(fd: i32) -> Result<Stat> {
    let mask = k::STATX_BASIC_STATS | k::STATX_DIOALIGN;
    statx(At(fd), c"", mask, k::AT_EMPTY_PATH)
}

fn statx(at: At, path: &CStr, mask: u32, flags: u32) -> Result<Stat> {
    let mut stat = MaybeUninit::<Stat>::zeroed();
    // SAFETY: `path` ends in a zero byte, `stat` has the size that the kernel writes,
    // and both live through the call.
    Errno::check(unsafe {
        syscall5(
            k::__NR_statx as usize,
            at.0 as usize,
            path.as_ptr().expose_provenance(),
            flags as usize,
            mask as usize,
            stat.as_mut_ptr().expose_provenance(),
        )
    })?;
    // SAFETY: the kernel has filled the structure, and zero bytes are valid for fields
    // that an older kernel left out: all fields are integers.
    Ok(unsafe { stat.assume_init() })
}

pub(crate) fn fchmod(file: &File, mode: u32) -> Result<()> {
    // SAFETY: no memory is passed.
    Errno::check(unsafe { syscall2(k::__NR_fchmod as usize, file.0 as usize, mode as usize) })
        .map(drop)
}

/// Sets the user and group that own the file.
pub(crate) fn fchown(file: &File, user: u32, group: u32) -> Result<()> {
    // SAFETY: the empty name ends in a zero byte.
    Errno::check(unsafe {
        syscall5(
            k::__NR_fchownat as usize,
            file.0 as usize,
            c"".as_ptr().expose_provenance(),
            user as usize,
            group as usize,
            k::AT_EMPTY_PATH as usize,
        )
    })
    .map(drop)
}

pub(crate) fn fsync(file: &File) -> Result<()> {
    // SAFETY: no memory is passed.
    Errno::check(unsafe { syscall1(k::__NR_fsync as usize, file.0 as usize) }).map(drop)
}

/// Switches O_DIRECT on or off for an open file. The other flags that this changes
/// (O_APPEND, O_NONBLOCK) have no effect on the files copied here.
pub(crate) fn set_direct(file: &File, direct: bool) -> Result<()> {
    let flags = if direct {
        O_DIRECT | k::O_LARGEFILE
    } else {
        k::O_LARGEFILE
    };
    // SAFETY: F_SETFL takes a number and no memory.
    Errno::check(unsafe {
        syscall3(
            k::__NR_fcntl as usize,
            file.0 as usize,
            k::F_SETFL as usize,
            flags as usize,
        )
    })
    .map(drop)
}

pub(crate) fn read(file: &File, buffer: &mut [u8]) -> Result<usize> {
    loop {
        // SAFETY: the kernel writes at most the buffer's length into it.
        let result = Errno::check(unsafe {
            syscall3(
                k::__NR_read as usize,
                file.0 as usize,
                buffer.as_mut_ptr().expose_provenance(),
                buffer.len(),
            )
        });
        if result != Err(Errno::INTR) {
            return result;
        }
    }
}

/// Reads as many directory entries as fit, and returns their bytes; 0 at the end.
pub(crate) fn read_directory(file: &File, buffer: &mut [u64]) -> Result<usize> {
    // SAFETY: the kernel writes at most the buffer's bytes into it, and its
    // entries are aligned to eight.
    Errno::check(unsafe {
        syscall3(
            k::__NR_getdents64 as usize,
            file.0 as usize,
            buffer.as_mut_ptr().expose_provenance(),
            size_of_val(buffer),
        )
    })
}

/// Zeroed memory of whole pages, unmapped when dropped. It takes the place of a heap.
pub(crate) struct Memory {
    address: *mut u8,
    bytes: usize,
}

impl Memory {
    pub(crate) fn new(bytes: usize) -> Result<Memory> {
        let address = map(bytes, k::MAP_PRIVATE)?;
        Ok(Memory { address, bytes })
    }

    /// Returns memory that children share with this process.
    pub(crate) fn shared(bytes: usize) -> Result<Memory> {
        let address = map(bytes, k::MAP_SHARED)?;
        Ok(Memory { address, bytes })
    }

    pub(crate) fn address(&self) -> *mut u8 {
        self.address
    }

    /// Returns the memory, which stays mapped until the process exits.
    pub(crate) fn leak(self) -> *mut u8 {
        let address = self.address;
        core::mem::forget(self);
        address
    }
}

/// Leaves the memory out of children (MADV_DONTFORK).
pub(crate) fn keep_from_children(memory: &Memory) -> Result<()> {
    advise(memory, k::MADV_DONTFORK)
}

/// Asks for huge pages, so that few pieces of memory make up a block: the kernel and
/// many disks take a time for each.
pub(crate) fn prefer_huge_pages(memory: &Memory) {
    let _ = advise(memory, k::MADV_HUGEPAGE);
}

fn advise(memory: &Memory, advice: u32) -> Result<()> {
    // SAFETY: neither advice that this module gives changes the data.
    Errno::check(unsafe {
        syscall3(
            k::__NR_madvise as usize,
            memory.address.expose_provenance(),
            memory.bytes,
            advice as usize,
        )
    })
    .map(drop)
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: this value owns the mapping, and its users are dropped before it.
        let _ = unsafe {
            syscall2(
                k::__NR_munmap as usize,
                self.address.expose_provenance(),
                self.bytes,
            )
        };
    }
}

fn map(bytes: usize, kind: u32) -> Result<*mut u8> {
    #[cfg(any(target_pointer_width = "64", target_arch = "x86_64"))]
    const NUMBER: u32 = k::__NR_mmap;
    // The plain mmap of many 32-bit ABIs takes one pointer to its arguments.
    #[cfg(not(any(target_pointer_width = "64", target_arch = "x86_64")))]
    const NUMBER: u32 = k::__NR_mmap2;
    let arguments = [
        0,
        bytes,
        (k::PROT_READ | k::PROT_WRITE) as usize,
        (kind | k::MAP_ANONYMOUS) as usize,
        usize::MAX,
        0,
    ];
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: the kernel chooses unused addresses; the array lives through the call.
    let address = Errno::check(unsafe {
        if cfg!(target_arch = "s390x") {
            // s390x is the one 64-bit ABI whose mmap takes its arguments from memory.
            syscall1(NUMBER as usize, arguments.as_ptr().expose_provenance())
        } else {
            syscall6(NUMBER as usize, a, b, c, d, e, f)
        }
    })?;
    Ok(core::ptr::with_exposed_provenance_mut(address))
}

/// Returns whether the descriptor is a terminal: only terminals have settings to read.
pub(crate) fn is_terminal(fd: i32) -> bool {
    // Larger than `struct termios` on any architecture.
    let mut settings = [0_u64; 16];
    // SAFETY: TCGETS writes one `struct termios`, which fits.
    Errno::check(unsafe {
        syscall3(
            k::__NR_ioctl as usize,
            fd as usize,
            linux_raw_sys::ioctl::TCGETS as usize,
            (&raw mut settings).expose_provenance(),
        )
    })
    .is_ok()
}

/// Returns the number of columns of the terminal; 80 if it is not known.
pub(crate) fn columns(fd: i32) -> usize {
    let mut size = [0_u16; 4];
    // SAFETY: TIOCGWINSZ writes four numbers of 16 bits: rows, columns, and two unused.
    let _ = unsafe {
        syscall3(
            k::__NR_ioctl as usize,
            fd as usize,
            linux_raw_sys::ioctl::TIOCGWINSZ as usize,
            (&raw mut size).expose_provenance(),
        )
    };
    match size[1] {
        0 => 80,
        columns => columns.into(),
    }
}

/// Returns the size of a block device in bytes.
pub(crate) fn device_size(file: &File) -> Result<u64> {
    let mut size = 0_u64;
    // SAFETY: BLKGETSIZE64 writes 64 bits.
    Errno::check(unsafe {
        syscall3(
            k::__NR_ioctl as usize,
            file.0 as usize,
            linux_raw_sys::ioctl::BLKGETSIZE64 as usize,
            (&raw mut size).expose_provenance(),
        )
    })?;
    Ok(size)
}

/// Returns the attributes that chattr(1) sets and statx(2) does not report: synchronous
/// writes, journaled data, no access times, no copy on write, and similar ones.
pub(crate) fn more_attributes(file: &File) -> u32 {
    const OF_USERS: u32 = k::FS_SECRM_FL
        | k::FS_UNRM_FL
        | k::FS_SYNC_FL
        | k::FS_NOATIME_FL
        | k::FS_NOCOMP_FL
        | k::FS_JOURNAL_DATA_FL
        | k::FS_NOTAIL_FL
        | k::FS_NOCOW_FL;
    flags(file).map_or(0, |flags| flags & OF_USERS)
}

/// Returns whether the file's data is mapped by extents, as ext4 does by default, and not by
/// blocks as in ext2 and ext3; false if that is not known.
pub(crate) fn has_extents(file: &File) -> bool {
    flags(file).is_ok_and(|flags| flags & k::FS_EXTENT_FL != 0)
}

/// Returns the attributes of the file that lsattr(1) shows.
fn flags(file: &File) -> Result<u32> {
    let mut flags = 0_u64;
    // SAFETY: the kernel writes an `int`, although the request number encodes a `long`.
    Errno::check(unsafe {
        syscall3(
            k::__NR_ioctl as usize,
            file.0 as usize,
            linux_raw_sys::ioctl::FS_IOC_GETFLAGS as usize,
            (&raw mut flags).expose_provenance(),
        )
    })?;
    let first_half = flags.to_ne_bytes().first_chunk().copied();
    Ok(u32::from_ne_bytes(first_half.unwrap_or_default()))
}

/// Creates an anonymous file in memory.
pub(crate) fn memory_file(name: &CStr) -> Result<File> {
    // SAFETY: `name` ends in a zero byte and lives through the call.
    File::from_result(unsafe {
        syscall2(
            k::__NR_memfd_create as usize,
            name.as_ptr().expose_provenance(),
            k::MFD_CLOEXEC as usize,
        )
    })
}

/// Creates a pipe, and returns its read end and its write end.
pub(crate) fn pipe() -> Result<(File, File)> {
    let mut ends = [-1_i32; 2];
    // SAFETY: the kernel writes two descriptors.
    Errno::check(unsafe {
        syscall2(
            k::__NR_pipe2 as usize,
            (&raw mut ends).expose_provenance(),
            k::O_CLOEXEC as usize,
        )
    })?;
    Ok((File(ends[0]), File(ends[1])))
}
