//! O_DIRECT: whether each file allows it, and the alignment that it requires.

use linux_aio::Errno;
use linux_raw_sys::general::STATX_DIOALIGN;

use super::Options;
use crate::os::{self, File, Stat};
use crate::path::Shown;
use crate::print::notice;

/// Switches on O_DIRECT for both files, as far as they allow it.
///
/// Returns the alignment that they require; `None` if both refuse. The second value is
/// true if the source accepted O_DIRECT, so that its size is reliable.
pub(super) fn go_direct(
    options: &Options,
    source: &File,
    source_stat: &Stat,
    target: &File,
) -> Result<(Option<usize>, bool), Errno> {
    let target_stat = os::stat_file(target)?;
    let (mut align, mut source_took) = (None, false);
    for (file, stat, name) in [
        (source, source_stat, options.source),
        (target, &target_stat, options.target),
    ] {
        let wanted = match alignment(stat) {
            Some(wanted) => os::set_direct(file, true).map(|()| wanted),
            None => Err(Errno::INVAL),
        };
        match wanted {
            Ok(wanted) => {
                align = align.max(Some(wanted));
                source_took |= file.raw() == source.raw();
            }
            Err(errno) => say_refused(name, errno),
        }
    }
    Ok((align, source_took))
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
