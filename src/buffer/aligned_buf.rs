//! [`AlignedBuf`]: heap-allocated memory with an alignment that is known at run time.

use alloc::alloc::{Layout, alloc_zeroed, dealloc};
use core::fmt;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;

use super::{IoBuf, IoBufMut};

/// Heap-allocated memory whose address and length are multiples of an alignment chosen at
/// run time, as [`Alignment`](crate::direct_io::Alignment) reports it for a file. Blocks of a
/// mebibyte are transferred faster in
/// [huge pages](crate::guide::asynchronous#memory-of-large-blocks).
///
/// ```
/// use linux_aio::buffer::AlignedBuf;
///
/// let mut buffer = AlignedBuf::zeroed(1000, 512).expect("memory");
/// assert_eq!(buffer.as_ptr().addr() % 512, 0);
/// assert_eq!(buffer.len(), 1024);
/// buffer[0] = 7;
/// ```
pub struct AlignedBuf {
    /// The owned memory, allocated with this layout if its size is not 0.
    start: NonNull<u8>,
    layout: Layout,
}

// SAFETY: the value is the only owner of plain bytes, like a `Box<[u8]>`, which is
// `Send`.
unsafe impl Send for AlignedBuf {}
// SAFETY: `&self` only reads the bytes, which are plain `u8`s, like a `Box<[u8]>`.
unsafe impl Sync for AlignedBuf {}

impl AlignedBuf {
    /// Allocates at least `len` bytes, rounded up to a multiple of `align`, all of them 0.
    /// Returns `None` if `align` is not a power of two, or if the allocation fails.
    ///
    /// # Examples
    /// ```
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
    /// use linux_aio::buffer::AlignedBuf;
    /// use linux_aio::direct_io::Alignment;
    /// use std::fs::File;
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// # if Alignment::of(&File::open("/proc/self/exe").unwrap()).is_err() { return Ok(()) }
    /// let file = File::open("/proc/self/exe").unwrap();
    /// // 4096 suits most files whose alignment the kernel does not report.
    /// let align = Alignment::of(&file)?.map_or(4096, |alignment| alignment.memory().max(1));
    /// let buffer = AlignedBuf::zeroed(10_000, align).expect("memory");
    /// assert!(buffer.len() >= 10_000);
    /// # Ok(())
    /// # }
    /// ```
    pub fn zeroed(len: usize, align: usize) -> Option<AlignedBuf> {
        let layout = Layout::from_size_align(len, align).ok()?.pad_to_align();
        let start = if layout.size() == 0 {
            // An aligned address for an allocation of no bytes.
            NonNull::new(core::ptr::without_provenance_mut(align))?
        } else {
            // SAFETY: the size is not 0.
            NonNull::new(unsafe { alloc_zeroed(layout) })?
        };
        Some(AlignedBuf { start, layout })
    }

    /// Returns the alignment.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::buffer::AlignedBuf;
    ///
    /// let buffer = AlignedBuf::zeroed(1000, 512).expect("memory");
    /// assert_eq!((buffer.alignment(), buffer.len()), (512, 1024));
    /// ```
    pub fn alignment(&self) -> usize {
        self.layout.align()
    }
}

impl Drop for AlignedBuf {
    fn drop(&mut self) {
        if self.layout.size() != 0 {
            // SAFETY: the memory was allocated with this layout, and `self` is its only
            // owner.
            unsafe { dealloc(self.start.as_ptr(), self.layout) };
        }
    }
}

impl Deref for AlignedBuf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `self` owns as many bytes at `start`, and `alloc_zeroed` has initialized
        // them.
        unsafe { core::slice::from_raw_parts(self.start.as_ptr(), self.layout.size()) }
    }
}

impl DerefMut for AlignedBuf {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: `self` owns as many initialized bytes at `start` and is exclusively
        // borrowed.
        unsafe { core::slice::from_raw_parts_mut(self.start.as_ptr(), self.layout.size()) }
    }
}

// SAFETY: the memory is on the heap, so it does not move with the value, and it is
// reached only through its owner.
unsafe impl IoBuf for AlignedBuf {
    fn region(&mut self) -> (*mut u8, usize) {
        (self.start.as_ptr(), self.layout.size())
    }
}
// SAFETY: the memory is writable and owned by the value, and every byte is a valid
// `u8`.
unsafe impl IoBufMut for AlignedBuf {}

impl fmt::Debug for AlignedBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (size, align) = (self.layout.size(), self.layout.align());
        write!(f, "AlignedBuf({size} bytes at a multiple of {align})")
    }
}
