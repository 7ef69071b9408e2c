//! File names: opening, examining, renaming, linking and removing.

use core::ffi::CStr;

use linux_aio::Errno;
use linux_aio::syscall::{syscall3, syscall4, syscall5};
use linux_raw_sys::general as k;

use super::{At, CWD, File, Result, Stat, statx};
use crate::path::Path;

pub(crate) fn open(at: At, path: &CStr, flags: u32, mode: u32) -> Result<File> {
    // Without O_LARGEFILE a 32-bit program cannot open files over 2 GiB.
    let flags = flags | k::O_CLOEXEC | k::O_LARGEFILE;
    // SAFETY: `path` ends in a zero byte and lives through the call.
    File::from_result(unsafe {
        syscall4(
            k::__NR_openat as usize,
            at.0 as usize,
            path.as_ptr().expose_provenance(),
            flags as usize,
            mode as usize,
        )
    })
}

/// Returns the status of the name itself: a symbolic link is not followed.
pub(crate) fn stat_name(at: At, path: &CStr) -> Result<Stat> {
    statx(at, path, k::STATX_BASIC_STATS, k::AT_SYMLINK_NOFOLLOW)
}

/// The links that the resolution of a name may follow.
#[derive(Clone, Copy)]
pub(crate) enum Follow {
    /// All but the magic links in `/proc`, whose targets need not have a name.
    Named = k::RESOLVE_NO_MAGICLINKS as isize,
    None = k::RESOLVE_NO_SYMLINKS as isize,
}

/// Opens a file with O_PATH only: opening neither touches a device nor waits for the
/// other end of a pipe.
///
/// # Errors
/// ELOOP if the name leads through a link that `follow` excludes; ENOSYS before Linux
/// 5.6.
pub(crate) fn hold(at: At, path: &CStr, follow: Follow) -> Result<File> {
    let how = k::open_how {
        flags: u64::from(k::O_PATH | k::O_CLOEXEC),
        mode: 0,
        resolve: follow as u64,
    };
    // SAFETY: `path` ends in a zero byte; the kernel reads the structure, whose size is
    // passed.
    File::from_result(unsafe {
        syscall4(
            k::__NR_openat2 as usize,
            at.0 as usize,
            path.as_ptr().expose_provenance(),
            (&raw const how).expose_provenance(),
            size_of_val(&how),
        )
    })
}

/// Returns the name of an open file in `/proc`, which is valid even if the name that it
/// was opened by no longer is.
pub(crate) fn proc_name(file: &File) -> Result<Path> {
    let mut name = Path::new(b"/proc/self/fd/")?;
    name.push_number(file.raw() as u32)?;
    Ok(name)
}

/// Returns whether the open file has a name in `/proc`, that is, whether `/proc` is
/// mounted.
pub(crate) fn is_in_proc(file: &File) -> bool {
    proc_name(file).is_ok_and(|name| stat_name(CWD, name.as_c()).is_ok())
}

/// Opens exactly the file that an O_PATH descriptor holds.
///
/// # Errors
/// The errors of open(2); ENOENT without `/proc`.
pub(crate) fn open_held(held: &File, flags: u32) -> Result<File> {
    open(CWD, proc_name(held)?.as_c(), flags, 0)
}

/// Returns whether a file has extended attributes (which include access lists) besides
/// the label that every file has under SELinux; true if that is unknown.
pub(crate) fn has_attributes(held: &File) -> bool {
    let mut names = [0_u8; 1024];
    let Ok(path) = proc_name(held) else {
        return true;
    };
    // SAFETY: the name ends in a zero byte; at most the buffer's length is written.
    let length = Errno::check(unsafe {
        syscall3(
            k::__NR_listxattr as usize,
            path.as_c().as_ptr().expose_provenance(),
            names.as_mut_ptr().expose_provenance(),
            names.len(),
        )
    });
    match length {
        Ok(length) => {
            let mut names = names[..length].split(|&byte| byte == 0);
            names.any(|name| !matches!(name, b"" | b"security.selinux"))
        }
        Err(errno) => !matches!(errno, Errno::OPNOTSUPP | Errno::NOSYS),
    }
}

/// The treatment of a new name that already exists.
#[derive(Clone, Copy)]
pub(crate) enum Rename {
    /// The name stays, and the rename fails with EEXIST.
    Refuse = k::RENAME_NOREPLACE as isize,
    /// The two files exchange their names.
    Exchange = k::RENAME_EXCHANGE as isize,
    Replace = 0,
}

pub(crate) fn rename(at: At, from: &CStr, to: &CStr, taken: Rename) -> Result<()> {
    // renameat2 is the one rename that every architecture has.
    // SAFETY: both names end in a zero byte and live through the call.
    Errno::check(unsafe {
        syscall5(
            k::__NR_renameat2 as usize,
            at.0 as usize,
            from.as_ptr().expose_provenance(),
            at.0 as usize,
            to.as_ptr().expose_provenance(),
            taken as usize,
        )
    })
    .map(drop)
}

/// Links an unnamed file (`O_TMPFILE`) into a directory.
///
/// # Errors
/// EEXIST if the name exists.
pub(crate) fn link(file: &File, at: At, name: &CStr) -> Result<()> {
    // Linking by the descriptor requires privileges; linking by /proc does not.
    match link_from(file.at(), c"", at, name, k::AT_EMPTY_PATH) {
        Err(Errno::NOENT | Errno::PERM | Errno::INVAL) => {
            link_from(CWD, proc_name(file)?.as_c(), at, name, k::AT_SYMLINK_FOLLOW)
        }
        other => other,
    }
}

/// Gives a file a second name in the same directory.
///
/// # Errors
/// EEXIST if the name exists; EPERM if the file system has no hard links.
pub(crate) fn link_name(at: At, old: &CStr, new: &CStr) -> Result<()> {
    link_from(at, old, at, new, 0)
}

fn link_from(from: At, old: &CStr, to: At, new: &CStr, flags: u32) -> Result<()> {
    // SAFETY: both names end in a zero byte and live through the call.
    Errno::check(unsafe {
        syscall5(
            k::__NR_linkat as usize,
            from.0 as usize,
            old.as_ptr().expose_provenance(),
            to.0 as usize,
            new.as_ptr().expose_provenance(),
            flags as usize,
        )
    })
    .map(drop)
}

/// Returns an unpredictable number.
pub(crate) fn random() -> u64 {
    let mut random = 0_u64;
    // SAFETY: the kernel writes at most eight bytes.
    let filled = Errno::check(unsafe {
        syscall3(
            k::__NR_getrandom as usize,
            (&raw mut random).expose_provenance(),
            size_of_val(&random),
            k::GRND_NONBLOCK as usize,
        )
    });
    match filled {
        Ok(8) => random,
        // The kernel has no random numbers yet only early in the boot, when no other
        // user runs.
        _ => super::milliseconds() << 22 ^ u64::from(super::process_id()),
    }
}

/// Checks that the process may write to a file that an O_PATH descriptor holds.
pub(crate) fn may_write(held: &File) -> Result<()> {
    const W_OK: usize = 2;
    // SAFETY: the empty name ends in a zero byte.
    let answer = Errno::check(unsafe {
        syscall4(
            k::__NR_faccessat2 as usize,
            held.raw() as usize,
            c"".as_ptr().expose_provenance(),
            W_OK,
            (k::AT_EMPTY_PATH | k::AT_EACCESS) as usize,
        )
    });
    // Some sandboxes return EPERM for unknown system calls.
    if !matches!(answer, Err(Errno::NOSYS | Errno::PERM)) {
        return answer.map(drop);
    }
    // Linux before 5.8 has no faccessat2(2).
    let name = proc_name(held)?;
    // SAFETY: the name ends in a zero byte and lives through the call.
    Errno::check(unsafe {
        syscall3(
            k::__NR_faccessat as usize,
            CWD.0 as usize,
            name.as_c().as_ptr().expose_provenance(),
            W_OK,
        )
    })
    .map(drop)
}

/// Reads the target of a symbolic link, which is not zero-terminated.
pub(crate) fn read_link<'a>(at: At, path: &CStr, buffer: &'a mut [u8]) -> Result<&'a [u8]> {
    // SAFETY: the kernel writes at most the buffer's length into it.
    let length = Errno::check(unsafe {
        syscall4(
            k::__NR_readlinkat as usize,
            at.0 as usize,
            path.as_ptr().expose_provenance(),
            buffer.as_mut_ptr().expose_provenance(),
            buffer.len(),
        )
    })?;
    Ok(&buffer[..length])
}

pub(crate) fn unlink(at: At, path: &CStr) -> Result<()> {
    // SAFETY: `path` ends in a zero byte and lives through the call.
    Errno::check(unsafe {
        syscall3(
            k::__NR_unlinkat as usize,
            at.0 as usize,
            path.as_ptr().expose_provenance(),
            0,
        )
    })
    .map(drop)
}
