//! [`AlignedBox`]: heap-allocated memory, aligned for direct I/O.

use alloc::alloc::{Layout, alloc_zeroed, dealloc};
use core::fmt;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;

use super::{IoBuf, IoBufMut};

/// Heap-allocated memory whose address and length are multiples of `A`, a power of two.
///
/// A file opened with O_DIRECT requires such buffers.
/// [`Alignment`](crate::direct_io::Alignment) reports the exact requirements of a file;
/// 4096 suits most. Blocks of a mebibyte are transferred faster in
/// [huge pages](crate::guide::asynchronous#memory-of-large-blocks).
///
/// ```
/// use linux_aio::buffer::AlignedBox;
///
/// let mut buffer = AlignedBox::<4096>::zeroed(10_000).expect("memory");
/// assert_eq!(buffer.as_ptr().addr() % 4096, 0);
/// assert_eq!(buffer.len(), 12_288);
/// buffer[0] = 7;
/// ```
pub struct AlignedBox<const A: usize> {
    /// The owned memory, allocated if `len` is not 0.
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: the value is the only owner of plain bytes, like a `Box<[u8]>`, which is
// `Send`.
unsafe impl<const A: usize> Send for AlignedBox<A> {}
// SAFETY: `&self` only reads the bytes, which are plain `u8`s, like a `Box<[u8]>`.
unsafe impl<const A: usize> Sync for AlignedBox<A> {}

impl<const A: usize> AlignedBox<A> {
    /// Allocates at least `len` bytes, rounded up to a multiple of `A`, all of them 0.
    /// Returns `None` if the allocation fails.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::buffer::AlignedBox;
    ///
    /// let buffer = AlignedBox::<512>::zeroed(1000).expect("memory");
    /// assert_eq!(buffer[..], [0; 1024]);
    /// ```
    pub fn zeroed(len: usize) -> Option<AlignedBox<A>> {
        const { assert!(A.is_power_of_two(), "an alignment is a power of two") };
        let layout = Layout::from_size_align(len, A).ok()?.pad_to_align();
        let start = if layout.size() == 0 {
            nowhere::<A>()
        } else {
            // SAFETY: the size is not 0.
            NonNull::new(unsafe { alloc_zeroed(layout) })?
        };
        Some(AlignedBox {
            start,
            len: layout.size(),
        })
    }
}

/// Returns an aligned, non-null address for an allocation of no bytes.
fn nowhere<const A: usize>() -> NonNull<u8> {
    NonNull::new(core::ptr::without_provenance_mut(A)).unwrap_or(NonNull::dangling())
}

impl<const A: usize> Drop for AlignedBox<A> {
    fn drop(&mut self) {
        if self.len == 0 {
            return;
        }
        // SAFETY: `zeroed` has built this layout, with the same size and alignment, and
        // checked it.
        let layout = unsafe { Layout::from_size_align_unchecked(self.len, A) };
        // SAFETY: the memory was allocated with this layout, and `self` is its only
        // owner.
        unsafe { dealloc(self.start.as_ptr(), layout) };
    }
}

impl<const A: usize> Deref for AlignedBox<A> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `self` owns `len` bytes at `start`, and `alloc_zeroed` has
        // initialized them.
        unsafe { core::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl<const A: usize> DerefMut for AlignedBox<A> {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: `self` owns `len` initialized bytes at `start` and is exclusively
        // borrowed.
        unsafe { core::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

// SAFETY: the memory is on the heap, so it does not move with the value, and it is
// reached only through its owner.
unsafe impl<const A: usize> IoBuf for AlignedBox<A> {
    fn region(&mut self) -> (*mut u8, usize) {
        (self.start.as_ptr(), self.len)
    }
}
// SAFETY: the memory is writable and owned by the value, and every byte is a valid
// `u8`.
unsafe impl<const A: usize> IoBufMut for AlignedBox<A> {}

impl<const A: usize> fmt::Debug for AlignedBox<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AlignedBox<{A}>({} bytes)", self.len)
    }
}
