//! The types that a safe operation can use as its buffer.
//!
//! An operation takes its buffer by value and returns it with the completion. Until
//! then the kernel accesses the memory, which must neither move nor be reached in
//! another way. [`IoBuf`] is the promise for memory that the kernel reads, [`IoBufMut`]
//! for memory that it writes.

mod aligned;
#[cfg(feature = "alloc")]
mod aligned_box;
#[cfg(feature = "alloc")]
mod owned;
mod pieces;

pub use aligned::Aligned;
#[cfg(feature = "alloc")]
pub use aligned_box::AlignedBox;
#[cfg(feature = "alloc")]
pub use owned::Vectored;
pub use pieces::{IoSlice, IoSliceMut};

/// Memory that an operation can use, and that no other code can modify until the
/// operation has completed.
///
/// The value itself is moved meanwhile (into a slot, and back to the caller); the
/// memory that it refers to must not move.
///
/// # Safety
/// - `region` returns memory that is valid for reads. It stays valid, at the same
///   address, until the value is dropped, wherever the value is moved. If the value is
///   never dropped, it stays valid for as long as the type lives (`'static` for a
///   queue).
/// - The memory can be reached only through the value. If the type is not an
///   [`IoBufMut`], other code may read it.
/// - If `VECTORED`, the region is an array of [`IoVec`](crate::sys::abi::IoVec), and
///   its length is the number of *elements*. The same requirements hold for the memory
///   to which they point.
pub unsafe trait IoBuf {
    /// The kind of the region: `true` for an array of pieces, `false` for bytes.
    const VECTORED: bool = false;

    /// Returns the address of the memory, and its length in bytes or, if `VECTORED`, in
    /// pieces.
    fn region(&mut self) -> (*mut u8, usize);
}

/// An [`IoBuf`] that the kernel may write to, as a read requires.
///
/// # Safety
/// The region is valid for writes, it can be reached only through the value, and every
/// content of it is valid.
pub unsafe trait IoBufMut: IoBuf {}

// SAFETY: the reference borrows the memory exclusively for its lifetime. The memory
// does not move when the reference does.
unsafe impl IoBuf for &mut [u8] {
    fn region(&mut self) -> (*mut u8, usize) {
        (self.as_mut_ptr(), self.len())
    }
}
// SAFETY: the memory is writable and exclusively borrowed, and every byte is a valid
// `u8`.
unsafe impl IoBufMut for &mut [u8] {}

// SAFETY: the memory is borrowed for the lifetime of the reference, so no code writes
// it and it does not move.
unsafe impl IoBuf for &[u8] {
    fn region(&mut self) -> (*mut u8, usize) {
        (self.as_ptr().cast_mut(), self.len())
    }
}

// SAFETY: the reference borrows the array exclusively for its lifetime. The array does
// not move when the reference does.
unsafe impl<const N: usize> IoBuf for &mut [u8; N] {
    fn region(&mut self) -> (*mut u8, usize) {
        (self.as_mut_ptr(), N)
    }
}
// SAFETY: the array is writable and exclusively borrowed, and every byte is a valid
// `u8`.
unsafe impl<const N: usize> IoBufMut for &mut [u8; N] {}

// SAFETY: the array is borrowed for the lifetime of the reference, so no code writes it
// and it does not move.
unsafe impl<const N: usize> IoBuf for &[u8; N] {
    fn region(&mut self) -> (*mut u8, usize) {
        (self.as_ptr().cast_mut(), N)
    }
}

/// No memory, for operations without a buffer.
// SAFETY: the region is empty, so there is no memory to reach.
unsafe impl IoBuf for () {
    fn region(&mut self) -> (*mut u8, usize) {
        (core::ptr::null_mut(), 0)
    }
}

/// A buffer and any other value, which is returned with it.
// SAFETY: the region is that of the first element, whose `IoBuf` implementation makes
// the promise. The second element is not accessed.
unsafe impl<B: IoBuf, T> IoBuf for (B, T) {
    const VECTORED: bool = B::VECTORED;

    fn region(&mut self) -> (*mut u8, usize) {
        self.0.region()
    }
}
// SAFETY: the region is that of the first element, whose `IoBufMut` implementation
// makes the promise.
unsafe impl<B: IoBufMut, T> IoBufMut for (B, T) {}
