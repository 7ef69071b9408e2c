//! The parts of a file that are data rather than holes.

use linux_aio::Errno;

use super::pipeline::{Side, Stop};
use crate::os::{self, File, Seek};

/// A part of the source that is data.
#[derive(Clone, Copy)]
pub(super) struct Part {
    pub(super) from: u64,
    /// The offset of the hole that follows; `None` if the part extends to the end of
    /// the file, wherever that is when it is reached.
    pub(super) to: Option<u64>,
}

/// Writes the source to the disk if the kernel may otherwise call its data a hole.
///
/// ext4 does so, by SEEK_DATA, with data that has no place on the disk yet, in a file that is
/// mapped by blocks: one of ext3, or after `chattr -e` (seen on Linux 6.18). An overlay may
/// lie on such a file system.
pub(super) fn settle(source: &File, size: u64) -> Result<(), Stop> {
    let whole = Part::next(source, 0, size)?.is_some_and(Part::is_whole);
    let may_hide = || matches!(os::file_system(source), Ok(os::EXT4 | os::OVERLAY));
    if whole || !may_hide() || os::has_extents(source) {
        return Ok(());
    }
    os::fsync(source).map_err(|errno| Stop::At(Side::Source, errno))
}

impl Part {
    /// Returns whether the part is the whole file.
    pub(super) fn is_whole(self) -> bool {
        self.from == 0 && self.to.is_none()
    }

    /// Returns the first data from `from` on, in a file that was `size` bytes long;
    /// `None` if only a hole follows.
    pub(super) fn next(source: &File, from: u64, size: u64) -> Result<Option<Part>, Stop> {
        let from = match os::seek(source, from, Seek::Data) {
            Ok(from) => from,
            // Only a hole follows.
            Err(Errno::NXIO) if from < size => return Ok(None),
            // At the end of the file, and where holes cannot be found, the rest is one
            // part.
            Err(Errno::NXIO | Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS | Errno::SPIPE) => {
                return Ok(Some(Part { from, to: None }));
            }
            Err(errno) => return Err(Stop::At(Side::Source, errno)),
        };
        let hole = os::seek(source, from, Seek::Hole).ok();
        // Every file ends in a hole.
        let to = hole.filter(|&hole| hole > from && hole < size);
        Ok(Some(Part { from, to }))
    }
}
