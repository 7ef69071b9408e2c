//! [`Aligned`]: a part of borrowed memory, aligned for direct I/O.

use core::fmt;
use core::ops::{Deref, DerefMut};

use super::{IoBuf, IoBufMut};

/// Borrowed memory whose address and length are multiples of `A`, a power of two.
///
/// A file opened with O_DIRECT requires such buffers.
/// [`Alignment`](crate::direct_io::Alignment) reports the exact requirements of a file;
/// 4096 suits most.
///
/// ```
/// use linux_aio::buffer::Aligned;
///
/// // A program without an allocator has a static of its own here.
/// let memory: &'static mut [u8] = Box::leak(Box::new([0; 65536]));
/// // For a queue: `'static` memory in buffers of 8 KiB. What lies before the
/// // first multiple of 4096 is lost.
/// let mut buffers = Aligned::<4096>::within(memory).chunks(8192);
/// let buffer = buffers.next().unwrap();
/// assert_eq!(buffer.as_ptr().addr() % 4096, 0);
/// assert_eq!(buffer.len(), 8192);
/// assert!(buffers.count() >= 6);
/// ```
///
/// `A` must be a power of two, otherwise the program does not compile:
/// ```compile_fail,E0080
/// # use linux_aio::buffer::Aligned;
/// let mut memory = [0; 64];
/// Aligned::<12>::within(&mut memory);
/// ```
pub struct Aligned<'m, const A: usize> {
    /// Invariant: its address and length are multiples of `A`.
    bytes: &'m mut [u8],
}

impl<'m, const A: usize> Aligned<'m, A> {
    /// Returns the largest aligned part of `memory`, which may be empty.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::buffer::Aligned;
    ///
    /// let mut memory = [0; 3 * 512];
    /// let aligned = Aligned::<512>::within(&mut memory);
    /// assert_eq!(aligned.as_ptr().addr() % 512, 0);
    /// // At most 511 bytes are lost at each end.
    /// assert!(aligned.len() >= 2 * 512);
    /// ```
    pub fn within(memory: &'m mut [u8]) -> Aligned<'m, A> {
        const { assert!(A.is_power_of_two(), "an alignment is a power of two") };
        let before = memory.as_ptr().addr().wrapping_neg() % A;
        let bytes = memory.get_mut(before..).unwrap_or_default();
        let whole = bytes.len() - bytes.len() % A;
        Aligned {
            bytes: &mut bytes[..whole],
        }
    }

    /// Splits the memory into buffers of `len` bytes each, rounded up to a multiple of
    /// `A`. Memory after the last buffer is unused.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::buffer::Aligned;
    ///
    /// let mut memory = [0; 5 * 512];
    /// let mut buffers = Aligned::<512>::within(&mut memory).chunks(1000);
    /// assert_eq!(buffers.next().unwrap().len(), 1024);
    /// assert_eq!(buffers.len(), 1);
    /// ```
    pub fn chunks(self, len: usize) -> impl ExactSizeIterator<Item = Aligned<'m, A>> {
        let len = len.max(1).checked_next_multiple_of(A);
        // No slice has usize::MAX bytes, so the iterator is empty then.
        let len = len.unwrap_or(usize::MAX);
        let chunks = self.bytes.chunks_exact_mut(len);
        chunks.map(|bytes| Aligned { bytes })
    }

    /// Returns the memory.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::buffer::Aligned;
    ///
    /// let mut memory = [7; 1024];
    /// let bytes: &mut [u8] = Aligned::<512>::within(&mut memory).into_slice();
    /// assert_eq!(bytes[0], 7);
    /// ```
    pub fn into_slice(self) -> &'m mut [u8] {
        self.bytes
    }
}

impl<const A: usize> Deref for Aligned<'_, A> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes
    }
}

impl<const A: usize> DerefMut for Aligned<'_, A> {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.bytes
    }
}

// SAFETY: `bytes` borrows its memory exclusively for `'m`. The memory does not move
// with the value and is reached only through it.
unsafe impl<const A: usize> IoBuf for Aligned<'_, A> {
    fn region(&mut self) -> (*mut u8, usize) {
        self.bytes.region()
    }
}
// SAFETY: the memory is writable and exclusively borrowed, and every byte is a valid
// `u8`.
unsafe impl<const A: usize> IoBufMut for Aligned<'_, A> {}

impl<const A: usize> fmt::Debug for Aligned<'_, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Aligned<{A}>({} bytes)", self.bytes.len())
    }
}
