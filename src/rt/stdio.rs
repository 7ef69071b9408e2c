//! Standard input, output and error at process start.

use crate::arch::{ABI, stubs};
use crate::files::{self, O_RDONLY, O_RDWR};

/// The highest of the three standard descriptors.
const STDERR: i32 = 2;

/// The command of fcntl(2) that returns the flags of a descriptor, the same on every
/// architecture.
const F_GETFD: usize = 1;

/// The statement that the standard descriptors are open when the process starts.
///
/// Given to [`entry!`](crate::entry), it leaves out the code that opens `/dev/null` as each
/// standard descriptor that is closed: some hundred bytes, and the three system calls that
/// look for one.
///
/// # Examples
/// ```rs
/// use linux_aio::rt::OpenDescriptors;
///
/// // SAFETY: the container runtime, which alone starts this program, opens all three.
/// linux_aio::entry!(main, unsafe { OpenDescriptors::assume() });
/// ```
#[derive(Clone, Copy, Debug)]
pub struct OpenDescriptors(());

impl OpenDescriptors {
    /// States that the descriptors 0, 1 and 2 are open when the process starts.
    ///
    /// # Safety
    /// The three descriptors are open then. Otherwise a file that the program opens receives what goes to
    /// [`Stdout`](crate::rt::Stdout) or [`Stderr`](crate::rt::Stderr), as the message of a
    /// panic.
    ///
    /// The program that starts this one makes sure of it: service managers, container
    /// runtimes and shells do unless configured not to. Those of PID 1 are closed where the
    /// kernel found no `/dev/console`.
    ///
    /// # Examples
    /// ```rs
    /// // SAFETY: init.sh opens the three descriptors before it starts this program.
    /// linux_aio::rt::start!(main, unsafe { OpenDescriptors::assume() });
    /// ```
    pub const unsafe fn assume() -> OpenDescriptors {
        OpenDescriptors(())
    }
}

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
