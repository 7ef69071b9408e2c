//! Standard input, output and error at process start.

use crate::arch::{ABI, stubs};
use crate::files::{self, O_RDONLY, O_RDWR};

/// The highest of the three standard descriptors.
const STDERR: i32 = 2;

/// The command of fcntl(2) that returns the flags of a descriptor, the same on every
/// architecture.
const F_GETFD: usize = 1;

/// Opens `/dev/null` as each of the descriptors 0, 1 and 2 that is not open.
///
/// A file that the program opens gets the lowest free descriptor. If that were 2, the
/// file would receive the text written to standard error.
///
/// Where there is no `/dev/null`, as in an empty root directory, the root directory is
/// opened for reading instead: writes to it fail with EBADF and reads with EISDIR.
///
/// Nothing is opened if all three are open, so that a sandbox may end the process for
/// openat(2). Where fcntl(2) is refused, openat(2) finds out.
#[inline(always)]
pub(super) fn reserve() {
    let mut fd = 0;
    while is_open(fd) {
        if fd == STDERR {
            return;
        }
        fd += 1;
    }
    open_missing();
}

/// Opens files until one has a descriptor above the standard ones, and closes that one.
/// open(2) returns the lowest free descriptor, so all three are open then.
#[cold]
fn open_missing() {
    let (mut path, mut flags) = (c"/dev/null", O_RDWR);
    loop {
        match files::open(path, flags) {
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

/// Returns whether a descriptor is known to be open.
#[inline(always)]
fn is_open(fd: i32) -> bool {
    // SAFETY: the command passes no memory, and changes nothing.
    let flags = unsafe { stubs::syscall2(ABI.base.fcntl as usize, fd as usize, F_GETFD) };
    flags >= 0
}
