//! O_DIRECT: whether each file allows it and needs it, and the alignment that it
//! requires.

use linux_aio::Errno;
use linux_raw_sys::general::STATX_DIOALIGN;

use super::{Options, Part};
use crate::os::{self, File, Stat};
use crate::path::Shown;
use crate::print::notice;
use crate::proc;

/// How the files are accessed.
pub(super) struct Access {
    /// The alignment that O_DIRECT requires; `None` if both files refuse it.
    pub(super) align: Option<usize>,
    /// True if the source was found in the page cache, so that it is read from there.
    pub(super) cached: bool,
    /// True if the source accepted O_DIRECT or is cached, so that its size is reliable.
    pub(super) sized: bool,
}

/// Switches on O_DIRECT for both files, as far as they allow it. A source that is in
/// the page cache is read from there.
pub(super) fn go_direct(
    options: &Options,
    source: &File,
    source_stat: &Stat,
    target: &File,
) -> Result<Access, Errno> {
    let target_stat = os::stat_file(target)?;
    let cached = is_cached(source, source_stat);
    let mut access = Access {
        align: None,
        cached,
        sized: cached,
    };
    for (file, stat, name) in [
        (source, source_stat, options.source),
        (target, &target_stat, options.target),
    ] {
        let is_source = file.raw() == source.raw();
        if is_source && cached {
            continue;
        }
        let wanted = match alignment(stat) {
            Some(wanted) => os::set_direct(file, true).map(|()| wanted),
            None => Err(Errno::INVAL),
        };
        match wanted {
            Ok(wanted) => {
                access.align = access.align.max(Some(wanted));
                access.sized |= is_source;
            }
            Err(errno) => say_refused(name, errno),
        }
    }
    Ok(access)
}

/// Returns whether all data of a file is in the page cache. Holes need not be there.
///
/// Pages of holes can be there, too, so that a comparison of the whole file's pages with
/// its blocks would not suffice.
fn is_cached(file: &File, stat: &Stat) -> bool {
    let size = stat.stx_size;
    // A sandbox may kill the process for a system call that is newer than the sandbox.
    if stat.stx_blocks == 0 || proc::seccomp() != Some(0) {
        return false;
    }
    let mut at = 0;
    while at < size {
        match Part::next(file, at, size) {
            Ok(Some(part)) if part.from < size => {
                let to = part.to.unwrap_or(size);
                if !os::is_cached(file, part.from, to) {
                    return false;
                }
                at = to;
            }
            // Only a hole follows.
            Ok(None) => break,
            // The file became shorter.
            Ok(Some(_)) | Err(_) => return false,
        }
    }
    at > 0
}

/// Allocates the blocks of the draft and sets its size, before data is written.
///
/// A direct write that extends a file waits for the writes before it, so that no two
/// writes would be in flight together. Returns whether the file system supports it.
pub(super) fn allocate(file: &File, size: u64) -> Result<bool, Errno> {
    if size == 0 {
        return Ok(false);
    }
    match os::allocate(file, size) {
        Ok(()) => Ok(true),
        Err(errno @ (Errno::NOSPC | Errno::DQUOT | Errno::FBIG | Errno::IO)) => Err(errno),
        Err(_) => Ok(false),
    }
}

/// Returns the alignment of offsets and lengths for O_DIRECT; `None` if the file does
/// not support it. If the kernel does not report the alignment (before 6.1), it is
/// 4096, which suits every disk.
fn alignment(stat: &Stat) -> Option<usize> {
    if stat.stx_mask & STATX_DIOALIGN == 0 {
        return Some(4096);
    }
    match stat.stx_dio_offset_align.max(stat.stx_dio_mem_align) {
        0 => None,
        align => Some(align as usize),
    }
}

pub(super) fn say_refused(name: &[u8], errno: Errno) {
    notice(format_args!(
        "copy: {}: O_DIRECT refused by the file system ({errno}); going through the page cache",
        Shown(name)
    ));
}
