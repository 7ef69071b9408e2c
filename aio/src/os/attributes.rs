//! Extended attributes and times of files.

use core::ffi::CStr;

use linux_aio::Errno;
use linux_aio::syscall::{syscall2, syscall3, syscall4, syscall5};
use linux_raw_sys::general as k;

use super::{File, Result, Stat};

/// Reads the names of a file's extended attributes, each terminated by a zero byte.
///
/// # Errors
/// ERANGE if they do not fit; EOPNOTSUPP if the file system has no attributes.
pub(crate) fn attributes<'a>(file: &File, names: &'a mut [u8]) -> Result<&'a [u8]> {
    // SAFETY: the kernel writes at most the buffer's length into it.
    let length = Errno::check(unsafe {
        syscall3(
            k::__NR_flistxattr as usize,
            file.raw() as usize,
            names.as_mut_ptr().expose_provenance(),
            names.len(),
        )
    })?;
    Ok(&names[..length])
}

/// Reads the value of an extended attribute.
///
/// # Errors
/// ENODATA if the file has no attribute of that name; ERANGE if the value does not fit.
pub(crate) fn attribute<'a>(file: &File, name: &CStr, value: &'a mut [u8]) -> Result<&'a [u8]> {
    // SAFETY: the name ends in a zero byte; the kernel writes at most the buffer's
    // length into it.
    let length = Errno::check(unsafe {
        syscall4(
            k::__NR_fgetxattr as usize,
            file.raw() as usize,
            name.as_ptr().expose_provenance(),
            value.as_mut_ptr().expose_provenance(),
            value.len(),
        )
    })?;
    Ok(&value[..length])
}

pub(crate) fn set_attribute(file: &File, name: &CStr, value: &[u8]) -> Result<()> {
    // SAFETY: the name ends in a zero byte; the kernel reads no more than the value's
    // length.
    Errno::check(unsafe {
        syscall5(
            k::__NR_fsetxattr as usize,
            file.raw() as usize,
            name.as_ptr().expose_provenance(),
            value.as_ptr().expose_provenance(),
            value.len(),
            0,
        )
    })
    .map(drop)
}

/// Removes an extended attribute.
///
/// # Errors
/// ENODATA if the file has no attribute of that name.
pub(crate) fn remove_attribute(file: &File, name: &CStr) -> Result<()> {
    // SAFETY: the name ends in a zero byte.
    Errno::check(unsafe {
        syscall2(
            k::__NR_fremovexattr as usize,
            file.raw() as usize,
            name.as_ptr().expose_provenance(),
        )
    })
    .map(drop)
}

/// Sets the file's times of last access and modification to those in `like`.
pub(crate) fn set_times(file: &File, like: &Stat) -> Result<()> {
    #[cfg(any(target_pointer_width = "64", target_arch = "x86_64"))]
    const NUMBER: u32 = k::__NR_utimensat;
    #[cfg(not(any(target_pointer_width = "64", target_arch = "x86_64")))]
    const NUMBER: u32 = k::__NR_utimensat_time64;
    let (read, changed) = (&like.stx_atime, &like.stx_mtime);
    let times: [i64; 4] = [
        read.tv_sec,
        i64::from(read.tv_nsec),
        changed.tv_sec,
        i64::from(changed.tv_nsec),
    ];
    // SAFETY: the kernel reads two times of two 64-bit numbers each; a null name
    // selects the descriptor's file.
    Errno::check(unsafe {
        syscall4(
            NUMBER as usize,
            file.raw() as usize,
            0,
            (&raw const times).expose_provenance(),
            0,
        )
    })
    .map(drop)
}
