//! Mappings.

use linux_aio::Errno;
use linux_aio::syscall::{syscall1, syscall2, syscall5, syscall6};

use super::{Result, number};
use crate::nr;

/// Maps memory, or a file at an offset that is a multiple of the page.
///
/// # Safety
/// With MAP_FIXED nothing that the program relies on is at `address`.
pub(crate) unsafe fn mmap(
    address: usize,
    length: usize,
    protection: u32,
    flags: u32,
    fd: i32,
    offset: u64,
) -> Result<usize> {
    let arguments = [
        address,
        length,
        protection as usize,
        flags as usize,
        number(fd),
        (offset >> nr::MMAP_SHIFT) as usize,
    ];
    let call = nr::MMAP as usize;
    // SAFETY: the caller's promise; elsewhere nothing is there yet. The array
    // lives through the call.
    Errno::check(unsafe {
        if cfg!(target_arch = "s390x") {
            // The one ABI whose mmap(2) takes its six arguments from memory.
            syscall1(call, arguments.as_ptr().expose_provenance())
        } else {
            let [a, b, c, d, e, f] = arguments;
            syscall6(call, a, b, c, d, e, f)
        }
    })
}

/// # Safety
/// Nothing that the program relies on is mapped there.
pub(crate) unsafe fn munmap(address: usize, length: usize) -> Result<usize> {
    // SAFETY: the caller's promise.
    Errno::check(unsafe { syscall2(nr::__NR_munmap as usize, address, length) })
}

/// Moves a mapping to `to`, of the same length.
///
/// # Safety
/// Nothing that the program relies on is mapped at either place.
pub(crate) unsafe fn mremap(from: usize, length: usize, to: usize) -> Result<usize> {
    let flags = (nr::MREMAP_MAYMOVE | nr::MREMAP_FIXED) as usize;
    // SAFETY: the caller's promise.
    Errno::check(unsafe { syscall5(nr::__NR_mremap as usize, from, length, length, flags, to) })
}

/// Memory of its own: zeroed, aligned to a page, given back when dropped.
pub(crate) struct Pages {
    address: usize,
    length: usize,
}

impl Pages {
    /// At least so many bytes.
    pub(crate) fn new(length: usize) -> Result<Pages> {
        let flags = nr::MAP_PRIVATE | nr::MAP_ANONYMOUS;
        // SAFETY: a new mapping.
        let address = unsafe { mmap(0, length, nr::PROT_READ_WRITE, flags, -1, 0) }?;
        Ok(Pages { address, length })
    }

    /// The first byte, to be given to the kernel. None of the memory may be
    /// looked at through [`bytes`](Pages::bytes) while the kernel writes.
    pub(crate) fn start(&self) -> *mut u8 {
        core::ptr::with_exposed_provenance_mut(self.address)
    }

    /// For ever.
    pub(crate) fn leak(self) -> &'static mut [u8] {
        let leaked = core::mem::ManuallyDrop::new(self);
        // SAFETY: mapped for good now, and nobody else has it.
        unsafe { core::slice::from_raw_parts_mut(leaked.start(), leaked.length) }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: mapped as long as this lives; written by `bytes_mut`, which
        // borrows it, and by the kernel, as `start` says.
        unsafe { core::slice::from_raw_parts(self.start(), self.length) }
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and exclusively borrowed.
        unsafe { core::slice::from_raw_parts_mut(self.start(), self.length) }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: nobody borrows it any more.
        let _ = unsafe { munmap(self.address, self.length) };
    }
}
