//! The way around the page cache: which file allows it, with what alignment.

use linux_aio::Errno;
use linux_raw_sys::general::STATX_DIOALIGN;

use super::Options;
use crate::os::{self, File, Stat};
use crate::path::Shown;
use crate::print::complain;

/// Opens both files' way around the page cache, as far as they allow it, and
/// gives the alignment that they ask for; `None` if both refuse. The second
/// value tells whether the source took it, so that its size is a true one.
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

/// Gives the draft its blocks and its size beforehand: a direct write that
/// makes a file longer waits for those before it, so that nothing would be in
/// flight together. Tells whether the file system can.
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

/// What offsets and lengths must be multiples of. A kernel that does not tell
/// (before 6.1) is given 4096, which serves every disk.
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
    complain(format_args!(
        "copy: {}: O_DIRECT refused by the file system ({errno}); going through the page cache",
        Shown(name)
    ));
}
