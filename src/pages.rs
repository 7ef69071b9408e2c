//! The system calls on mappings that the library makes itself: madvise(2) and mmap(2).

use crate::arch::{ABI, stubs};
use crate::sys::errno::Errno;

pub(crate) const MADV_NORMAL: usize = 0;
pub(crate) const MADV_DONTFORK: usize = 10;
/// The advice to wipe the pages in forked children (since Linux 4.14).
pub(crate) const MADV_WIPEONFORK: usize = 18;
/// The protection `PROT_READ | PROT_WRITE`.
pub(crate) const PROT_READ_WRITE: usize = 3;
pub(crate) const MAP_PRIVATE: usize = 2;

/// Advises the kernel about the pages of `bytes` bytes at `address`, the start of a
/// page.
///
/// # Safety
/// The advice does not change what this process reads there, or which accesses it may
/// make.
pub(crate) unsafe fn madvise(address: usize, bytes: usize, advice: usize) -> Result<(), Errno> {
    let call = ABI.base.madvise as usize;
    // SAFETY: the caller promises that the advice changes neither contents nor
    // permissions for this process, so the system call affects no memory in use. The
    // kernel checks the address.
    Errno::check(unsafe { stubs::syscall3(call, address, bytes, advice) }).map(drop)
}

/// Maps zeroed private memory of `bytes` bytes, rounded up to whole pages, and
/// returns its address.
pub(crate) fn map(bytes: usize) -> Result<usize, Errno> {
    let flags = MAP_PRIVATE | ABI.map_anonymous as usize;
    let (fd, offset) = (usize::MAX, 0);
    let arguments = [0, bytes, PROT_READ_WRITE, flags, fd, offset];
    let call = ABI.base.mmap as usize;
    // SAFETY: without MAP_FIXED the kernel chooses an address where nothing is
    // mapped. `arguments` is alive during the call.
    Errno::check(unsafe {
        if cfg!(target_arch = "s390x") {
            // mmap(2) of s390x reads the six arguments from memory.
            stubs::syscall1(call, arguments.as_ptr().expose_provenance())
        } else {
            let [a, b, c, d, e, f] = arguments;
            stubs::syscall6(call, a, b, c, d, e, f)
        }
    })
}
