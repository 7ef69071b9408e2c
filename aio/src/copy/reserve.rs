//! Blocks of the disk that are reserved for a draft before its data is written.
//!
//! On ext4, which reserves long parts at less cost than single blocks. Without a reservation,
//! it accounts for each block of 4 KiB twice: when the block is written to the page cache, and
//! when the block gets its place on the disk.

use crate::os::{self, File};

/// The number of bytes reserved at a time. A reservation cannot be interrupted.
const LENGTH: u64 = 1 << 30;

/// What is reserved of a draft.
pub(super) struct Reserve<'a> {
    /// `None` if nothing can be reserved, or no more.
    draft: Option<&'a File>,
    /// The end of all reservations, attempted ones included.
    to: u64,
}

impl<'a> Reserve<'a> {
    /// `draft` is a new file that is removed if the copy fails; `None` reserves nothing.
    pub(super) fn new(draft: Option<&'a File>) -> Reserve<'a> {
        Reserve { draft, to: 0 }
    }

    /// Reserves what follows in a part that has been copied up to `at` and ends at `to`,
    /// if it is long.
    ///
    /// An error has no consequences: a full disk may yet suffice for a file that is shorter
    /// than its size says, and a write determines whether it does.
    pub(super) fn ahead(&mut self, at: u64, to: u64) {
        if at < self.to {
            return;
        }
        let length = to.saturating_sub(at).min(LENGTH);
        let Some(draft) = self.draft.filter(|_| length > 0) else {
            return;
        };
        if self.to == 0 && os::file_system(draft) != Ok(os::EXT4) {
            self.draft = None;
            return;
        }
        // A full disk may reserve some of it.
        self.to = at + length;
        if os::reserve(draft, at, length).is_err() {
            self.draft = None;
        }
    }

    /// Returns whether bytes beyond the end of the copy may be reserved.
    pub(super) fn exceeds(&self, end: u64) -> bool {
        self.to > end
    }
}
