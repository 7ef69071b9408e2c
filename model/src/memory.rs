//! Page-aligned memory mapped from the kernel, which can hold a ring.

use core::ptr::NonNull;

/// Readable and writable pages, initially zero.
pub struct Pages {
    start: NonNull<u8>,
    bytes: usize,
}

impl Pages {
    /// Maps at least `bytes` bytes at any address.
    pub fn new(bytes: usize) -> Pages {
        Pages::map(core::ptr::null_mut(), bytes, 0)
    }

    /// Maps at least `bytes` bytes at `address`, where nothing may be mapped yet.
    pub fn at(address: usize, bytes: usize) -> Pages {
        let address = core::ptr::with_exposed_provenance_mut(address);
        Pages::map(address, bytes, libc::MAP_FIXED_NOREPLACE)
    }

    fn map(address: *mut libc::c_void, bytes: usize, flags: i32) -> Pages {
        let bytes = bytes.next_multiple_of(page());
        // SAFETY: the mapping is new and replaces no other: the address is either
        // chosen by the kernel or given with MAP_FIXED_NOREPLACE.
        let start = unsafe {
            libc::mmap(
                address,
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | flags,
                -1,
                0,
            )
        };
        assert_ne!(
            start,
            libc::MAP_FAILED,
            "{}",
            std::io::Error::last_os_error()
        );
        Pages {
            start: NonNull::new(start.cast()).expect("not at zero"),
            bytes,
        }
    }

    /// Returns the address of the first byte.
    pub fn start(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    /// Returns the number of bytes, a multiple of the page size.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: mapped by `map`, and no reference to it remains.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}

/// Returns the size of a page in bytes.
pub fn page() -> usize {
    // SAFETY: `sysconf` has no preconditions.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) as usize }
}
