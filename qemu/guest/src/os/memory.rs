//! System calls on mappings, and [`Pages`], an owned one.

use linux_aio::Errno;
use linux_aio::syscall::{syscall1, syscall2, syscall5, syscall6};

use super::{Result, number};
use crate::nr;

/// Maps memory, or a file at an offset that is a multiple of the page.
///
/// # Safety
/// With MAP_FIXED the program does not rely on the previous contents at `address`.
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
    // SAFETY: with MAP_FIXED the caller promises that the program does not rely on the
    // range; without it the kernel chooses an unused one. The array lives through the
    // call.
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

/// Unmaps `length` bytes at `address`.
///
/// # Safety
/// The program does not rely on the memory that is mapped there.
pub(crate) unsafe fn munmap(address: usize, length: usize) -> Result<usize> {
    // SAFETY: the caller promises that the program does not rely on the memory.
    Errno::check(unsafe { syscall2(nr::__NR_munmap as usize, address, length) })
}

/// Moves a mapping to `to`, with the same length.
///
/// # Safety
/// The program does not rely on memory that is mapped at either address.
pub(crate) unsafe fn mremap(from: usize, length: usize, to: usize) -> Result<usize> {
    let flags = (nr::MREMAP_MAYMOVE | nr::MREMAP_FIXED) as usize;
    // SAFETY: the caller promises that the program relies on neither range; no other
    // memory is touched.
    Errno::check(unsafe { syscall5(nr::__NR_mremap as usize, from, length, length, flags, to) })
}

/// An owned mapping: zeroed, aligned to a page, unmapped when dropped.
pub(crate) struct Pages {
    address: usize,
    length: usize,
}

impl Pages {
    /// Maps at least `length` bytes.
    pub(crate) fn new(length: usize) -> Result<Pages> {
        let flags = nr::MAP_PRIVATE | nr::MAP_ANONYMOUS;
        // SAFETY: a new mapping at an address that the kernel chooses.
        let address = unsafe { mmap(0, length, nr::PROT_READ_WRITE, flags, -1, 0) }?;
        Ok(Pages { address, length })
    }

    /// Returns a pointer to the first byte, to be passed to the kernel. None of the
    /// memory may be read through [`bytes`](Pages::bytes) while the kernel writes.
    pub(crate) fn start(&self) -> *mut u8 {
        core::ptr::with_exposed_provenance_mut(self.address)
    }

    /// Returns the memory and never unmaps it.
    pub(crate) fn leak(self) -> &'static mut [u8] {
        let leaked = core::mem::ManuallyDrop::new(self);
        // SAFETY: the mapping is never removed, and this was its only owner.
        unsafe { core::slice::from_raw_parts_mut(leaked.start(), leaked.length) }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: the memory is mapped as long as this lives. `bytes_mut`, which
        // borrows this exclusively, is the only writer besides the kernel, during whose
        // writes `bytes` is not called (see `start`).
        unsafe { core::slice::from_raw_parts(self.start(), self.length) }
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: the memory is mapped as long as this lives, and this is exclusively
        // borrowed.
        unsafe { core::slice::from_raw_parts_mut(self.start(), self.length) }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: this is the only owner of the mapping, and no borrow of it is alive.
        let _ = unsafe { munmap(self.address, self.length) };
    }
}
