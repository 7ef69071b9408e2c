//! Standard input, output and error at process start.

use crate::files::{self, O_RDONLY, O_RDWR, open};

/// The highest of the three standard descriptors.
const STDERR: i32 = 2;

/// Opens `/dev/null` as each of the descriptors 0, 1 and 2 that is not open.
///
/// A file that the program opens gets the lowest free descriptor. If that were 2, the
/// file would receive the text written to standard error.
///
/// Where there is no `/dev/null`, as in an empty root directory, the root directory is
/// opened for reading instead: writes to it fail with EBADF and reads with EISDIR.
pub(super) fn reserve() {
    // open(2) returns the lowest free descriptor. A descriptor above these three
    // therefore means that they are all open.
    loop {
        let opened = open(c"/dev/null", O_RDWR).or_else(|_| open(c"/", O_RDONLY));
        match opened {
            // If no descriptor is left, no file can get one of these three.
            Err(_) => return,
            Ok(fd) if fd <= STDERR => {}
            Ok(fd) => {
                // SAFETY: the descriptor was opened here, and no other code has its
                // number.
                unsafe { files::close(fd) };
                return;
            }
        }
    }
}
