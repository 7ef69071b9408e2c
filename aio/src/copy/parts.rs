//! What of a file is data, and not a hole.

use linux_aio::Errno;

use super::pipeline::{Side, Stop};
use crate::os::{self, File, Seek};

/// A part of the source that is data.
#[derive(Clone, Copy)]
pub(super) struct Part {
    pub(super) from: u64,
    /// Where a hole follows; `None` if the file goes on to its end, wherever that
    /// is by then.
    pub(super) to: Option<u64>,
}

impl Part {
    /// Whether it is all of the file.
    pub(super) fn is_whole(self) -> bool {
        self.from == 0 && self.to.is_none()
    }

    /// The first data from `from` on, of a file that was `size` long; `None` if
    /// only a hole follows.
    pub(super) fn next(source: &File, from: u64, size: u64) -> Result<Option<Part>, Stop> {
        let from = match os::seek(source, from, Seek::Data) {
            Ok(from) => from,
            // Nothing follows, or nothing but a hole.
            Err(Errno::NXIO) if from < size => return Ok(None),
            // What cannot tell of holes has none.
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
