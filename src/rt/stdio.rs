//! Standard input, output and error at process start.

use crate::arch::{ABI, stubs};
use crate::files::{self, O_RDONLY, O_RDWR, open};
use crate::sys::abi::OldTimespec;

/// The highest of the three standard descriptors.
const STDERR: i32 = 2;

/// Opens `/dev/null` as each of the descriptors 0, 1 and 2 that is not open.
///
/// A file that the program opens gets the lowest free descriptor. If that were 2, the
/// file would receive the text written to standard error.
///
/// Where there is no `/dev/null`, as in an empty root directory, the root directory is
/// opened for reading instead: writes to it fail with EBADF and reads with EISDIR.
///
/// Nothing is opened if all three are open, so that a sandbox may end the process for
/// openat(2). Where ppoll(2) is missing or refused, openat(2) finds out.
pub(super) fn reserve() {
    if all_open() {
        return;
    }
    // open(2) returns the lowest free descriptor. A descriptor above these three
    // therefore means that they are all open.
    let (mut path, mut flags) = (c"/dev/null", O_RDWR);
    loop {
        match open(path, flags) {
            Err(_) if flags == O_RDWR => (path, flags) = (c"/", O_RDONLY),
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

/// Returns whether the descriptors 0, 1 and 2 are known to be open.
///
/// ppoll(2) counts those that are not, and those with an error or a hang-up.
#[inline(never)]
fn all_open() -> bool {
    let Some(ppoll) = ABI.base.ppoll else {
        return false;
    };
    // Three `struct pollfd`: a descriptor, and two halves for events, of which none.
    let mut entries = [0, 0, 1, 0, STDERR, 0];
    let mut time = OldTimespec { sec: 0, nsec: 0 };
    // SAFETY: the kernel reads and writes the entries, whose number is passed, and the
    // time; both live through the call. No signal mask is passed.
    let count = unsafe {
        stubs::syscall5(
            ppoll as usize,
            entries.as_mut_ptr().expose_provenance(),
            entries.len() / 2,
            (&raw mut time).expose_provenance(),
            0,
            0,
        )
    };
    count == 0
}
