//! Standard input, output and error, whoever started the program.

use core::ffi::CStr;

use crate::Errno;
use crate::arch::{ABI, stubs};

/// The last of the three.
const STDERR: isize = 2;

/// Opens `/dev/null` as every one of the descriptors 0, 1 and 2 that is not open.
/// A file that the program opens gets the lowest free descriptor: as 2, it would
/// be written what is meant for the user.
///
/// Where there is no `/dev/null`, as in an empty root directory, it is the root
/// directory, opened for reading: what is written there fails with EBADF and what
/// is read with EISDIR.
pub(super) fn reserve() {
    // The lowest free descriptor is what open(2) gives, so one that is beyond
    // these tells that they are taken.
    loop {
        let opened = open(c"/dev/null", O_RDWR).or_else(|_| open(c"/", O_RDONLY));
        match opened {
            // Without any descriptor left, none can land there.
            Err(_) => return,
            Ok(fd) if fd <= STDERR => {}
            Ok(fd) => {
                // SAFETY: it was opened here, and nobody else knows of it.
                let _ = unsafe { stubs::syscall1(ABI.base.close as usize, fd as usize) };
                return;
            }
        }
    }
}

/// As on every architecture.
const O_RDONLY: usize = 0;
const O_RDWR: usize = 2;
const AT_FDCWD: isize = -100;

fn open(path: &CStr, flags: usize) -> Result<isize, Errno> {
    // SAFETY: `path` ends in a zero byte and lives through the call.
    let result = unsafe {
        stubs::syscall4(
            ABI.base.openat as usize,
            AT_FDCWD as usize,
            path.as_ptr().expose_provenance(),
            flags,
            0,
        )
    };
    Errno::check(result).map(|fd| fd as isize)
}
