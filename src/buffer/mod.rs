//! What a safe operation may use as its buffer.

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

/// Memory that an operation may be given, and that is out of everybody's reach
/// while the kernel has it.
///
/// The value itself is moved about meanwhile (into a slot, back to the caller);
/// what it stands for must stay where it is.
///
/// # Safety
/// - `region` tells memory that is valid for reads, and stays so and at its
///   address until the value is dropped, wherever the value is moved; also if
///   the value is never dropped, for as long as the type lives (`'static` for
///   a queue).
/// - Nobody can reach that memory but through the value, except to read it,
///   and that only if the type is not a [`IoBufMut`].
/// - If `VECTORED`, the region is an array of
///   [`IoVec`](crate::sys::abi::IoVec), of so many *elements*,
///   and the same holds for the memory that they name.
pub unsafe trait IoBuf {
    /// Whether the region is an array of pieces.
    const VECTORED: bool = false;

    /// Where the memory is, and its length: bytes, or pieces.
    fn region(&mut self) -> (*mut u8, usize);
}

/// A [`IoBuf`] that the kernel may write to: what a read wants.
///
/// # Safety
/// The region is valid for writes, nobody else can reach it at all, and every
/// content of it is a valid one.
pub unsafe trait IoBufMut: IoBuf {}

// SAFETY: exclusive for as long as the reference lives, which is where it is
// and not where the reference is moved to; any byte will do.
unsafe impl IoBuf for &mut [u8] {
    fn region(&mut self) -> (*mut u8, usize) {
        (self.as_mut_ptr(), self.len())
    }
}
// SAFETY: as above.
unsafe impl IoBufMut for &mut [u8] {}

// SAFETY: nobody writes there for as long as the reference lives.
unsafe impl IoBuf for &[u8] {
    fn region(&mut self) -> (*mut u8, usize) {
        (self.as_ptr().cast_mut(), self.len())
    }
}

// SAFETY: as for slices.
unsafe impl<const N: usize> IoBuf for &mut [u8; N] {
    fn region(&mut self) -> (*mut u8, usize) {
        (self.as_mut_ptr(), N)
    }
}
// SAFETY: as for slices.
unsafe impl<const N: usize> IoBufMut for &mut [u8; N] {}

// SAFETY: as for slices.
unsafe impl<const N: usize> IoBuf for &[u8; N] {
    fn region(&mut self) -> (*mut u8, usize) {
        (self.as_ptr().cast_mut(), N)
    }
}

/// No memory, for operations that have none.
// SAFETY: there is none.
unsafe impl IoBuf for () {
    fn region(&mut self) -> (*mut u8, usize) {
        (core::ptr::null_mut(), 0)
    }
}

/// A buffer, and beside it anything of the caller's that shall come back with
/// it.
// SAFETY: the first's own promise; the second is not touched.
unsafe impl<B: IoBuf, T> IoBuf for (B, T) {
    const VECTORED: bool = B::VECTORED;

    fn region(&mut self) -> (*mut u8, usize) {
        self.0.region()
    }
}
// SAFETY: as above.
unsafe impl<B: IoBufMut, T> IoBufMut for (B, T) {}
