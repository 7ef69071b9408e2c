//! [`AlignedBox`]: memory of the allocator's, as direct I/O wants it.

use alloc::alloc::{Layout, alloc_zeroed, dealloc};
use core::fmt;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;

use super::{IoBuf, IoBufMut};

/// Memory of the allocator's whose address and length are multiples of `A`, a
/// power of two: what a file opened with O_DIRECT wants of a buffer. What a
/// file wants exactly is told by
/// [`Alignment`](crate::direct_io::Alignment); 4096 suits most.
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
    /// Owned, and from the allocator if `len` is not 0.
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: the only owner of plain bytes, like a `Box<[u8]>`.
unsafe impl<const A: usize> Send for AlignedBox<A> {}
// SAFETY: as above; `&self` only reads them.
unsafe impl<const A: usize> Sync for AlignedBox<A> {}

impl<const A: usize> AlignedBox<A> {
    /// At least `len` bytes, rounded up to a multiple of `A`; all are 0. `None`:
    /// the allocator has no such memory.
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

/// An address for no bytes.
fn nowhere<const A: usize>() -> NonNull<u8> {
    NonNull::new(core::ptr::without_provenance_mut(A)).unwrap_or(NonNull::dangling())
}

impl<const A: usize> Drop for AlignedBox<A> {
    fn drop(&mut self) {
        if self.len == 0 {
            return;
        }
        // SAFETY: `zeroed` has made this very layout.
        let layout = unsafe { Layout::from_size_align_unchecked(self.len, A) };
        // SAFETY: allocated with it, and nobody else frees it.
        unsafe { dealloc(self.start.as_ptr(), layout) };
    }
}

impl<const A: usize> Deref for AlignedBox<A> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: ours, of this length, and written when it was allocated.
        unsafe { core::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl<const A: usize> DerefMut for AlignedBox<A> {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as for `deref`, and `self` is exclusively borrowed.
        unsafe { core::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

// SAFETY: on the heap, and owned.
unsafe impl<const A: usize> IoBuf for AlignedBox<A> {
    fn region(&mut self) -> (*mut u8, usize) {
        (self.start.as_ptr(), self.len)
    }
}
// SAFETY: as above, and any byte will do.
unsafe impl<const A: usize> IoBufMut for AlignedBox<A> {}

impl<const A: usize> fmt::Debug for AlignedBox<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AlignedBox<{A}>({} bytes)", self.len)
    }
}
