//! Memory straight from the kernel: pages that a ring can be in.

use core::ptr::NonNull;

/// Readable and writable pages, zero at first.
pub struct Pages {
    start: NonNull<u8>,
    bytes: usize,
}

impl Pages {
    /// At least so many bytes, anywhere.
    pub fn new(bytes: usize) -> Pages {
        Pages::map(core::ptr::null_mut(), bytes, 0)
    }

    /// At least so many bytes, at this address, where nothing is.
    pub fn at(address: usize, bytes: usize) -> Pages {
        let address = core::ptr::with_exposed_provenance_mut(address);
        Pages::map(address, bytes, libc::MAP_FIXED_NOREPLACE)
    }

    fn map(address: *mut libc::c_void, bytes: usize, flags: i32) -> Pages {
        let bytes = bytes.next_multiple_of(page());
        // SAFETY: fresh memory, nobody's.
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

    /// Where they are.
    pub fn start(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    /// How many bytes there are.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: mapped by `map`, and nobody's any more.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}

/// Bytes of a page.
pub fn page() -> usize {
    // SAFETY: a question.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) as usize }
}
