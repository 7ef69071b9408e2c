//! What a safe operation may use as its buffer.

use core::marker::PhantomData;

use crate::abi::IoVec;

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
///   and that only if the type is not a [`BufferMut`].
/// - If `VECTORED`, the region is an array of [`IoVec`], of so many *elements*,
///   and the same holds for the memory that they name.
pub unsafe trait Buffer {
    /// Whether the region is an array of pieces.
    const VECTORED: bool = false;

    /// Where the memory is, and its length: bytes, or pieces.
    fn region(&mut self) -> (*mut u8, usize);
}

/// A [`Buffer`] that the kernel may write to: what a read wants.
///
/// # Safety
/// The region is valid for writes, nobody else can reach it at all, and every
/// content of it is a valid one.
pub unsafe trait BufferMut: Buffer {}

// SAFETY: exclusive for as long as the reference lives, which is where it is
// and not where the reference is moved to; any byte will do.
unsafe impl Buffer for &mut [u8] {
    fn region(&mut self) -> (*mut u8, usize) {
        (self.as_mut_ptr(), self.len())
    }
}
// SAFETY: as above.
unsafe impl BufferMut for &mut [u8] {}

// SAFETY: nobody writes there for as long as the reference lives.
unsafe impl Buffer for &[u8] {
    fn region(&mut self) -> (*mut u8, usize) {
        (self.as_ptr().cast_mut(), self.len())
    }
}

// SAFETY: as for slices.
unsafe impl<const N: usize> Buffer for &mut [u8; N] {
    fn region(&mut self) -> (*mut u8, usize) {
        (self.as_mut_ptr(), N)
    }
}
// SAFETY: as for slices.
unsafe impl<const N: usize> BufferMut for &mut [u8; N] {}

// SAFETY: as for slices.
unsafe impl<const N: usize> Buffer for &[u8; N] {
    fn region(&mut self) -> (*mut u8, usize) {
        (self.as_ptr().cast_mut(), N)
    }
}

/// No memory, for operations that have none.
// SAFETY: there is none.
unsafe impl Buffer for () {
    fn region(&mut self) -> (*mut u8, usize) {
        (core::ptr::null_mut(), 0)
    }
}

/// A buffer, and beside it anything of the caller's that shall come back with
/// it.
// SAFETY: the first's own promise; the second is not touched.
unsafe impl<B: Buffer, T> Buffer for (B, T) {
    const VECTORED: bool = B::VECTORED;

    fn region(&mut self) -> (*mut u8, usize) {
        self.0.region()
    }
}
// SAFETY: as above.
unsafe impl<B: BufferMut, T> BufferMut for (B, T) {}

/// A piece of a vectored read: a `&mut [u8]` in the kernel's form.
#[derive(Debug)]
#[repr(transparent)]
pub struct IoSliceMut<'a> {
    piece: IoVec,
    bytes: PhantomData<&'a mut [u8]>,
}

// SAFETY: as a `&mut [u8]`.
unsafe impl Send for IoSliceMut<'_> {}
// SAFETY: as a `&mut [u8]`.
unsafe impl Sync for IoSliceMut<'_> {}

impl<'a> IoSliceMut<'a> {
    /// The piece that is these bytes.
    pub const fn new(bytes: &'a mut [u8]) -> IoSliceMut<'a> {
        IoSliceMut {
            piece: IoVec {
                base: bytes.as_mut_ptr().cast(),
                len: bytes.len(),
            },
            bytes: PhantomData,
        }
    }
}

impl core::ops::Deref for IoSliceMut<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: made of a `&mut [u8]` that lives as long as this.
        unsafe { core::slice::from_raw_parts(self.piece.base.cast(), self.piece.len) }
    }
}

impl core::ops::DerefMut for IoSliceMut<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as for `deref`, and `self` is exclusively borrowed.
        unsafe { core::slice::from_raw_parts_mut(self.piece.base.cast(), self.piece.len) }
    }
}

/// A piece of a vectored write: a `&[u8]` in the kernel's form.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub struct IoSlice<'a> {
    piece: IoVec,
    bytes: PhantomData<&'a [u8]>,
}

// SAFETY: as a `&[u8]`.
unsafe impl Send for IoSlice<'_> {}
// SAFETY: as a `&[u8]`.
unsafe impl Sync for IoSlice<'_> {}

impl<'a> IoSlice<'a> {
    /// The piece that is these bytes.
    pub const fn new(bytes: &'a [u8]) -> IoSlice<'a> {
        IoSlice {
            piece: IoVec {
                base: bytes.as_ptr().cast_mut().cast(),
                len: bytes.len(),
            },
            bytes: PhantomData,
        }
    }
}

impl core::ops::Deref for IoSlice<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: made of a `&[u8]` that lives as long as this.
        unsafe { core::slice::from_raw_parts(self.piece.base.cast(), self.piece.len) }
    }
}

// SAFETY: the pieces are `&mut [u8]`, whose array is exclusively borrowed for
// as long as they are.
unsafe impl<'a> Buffer for &'a mut [IoSliceMut<'a>] {
    const VECTORED: bool = true;

    fn region(&mut self) -> (*mut u8, usize) {
        (self.as_mut_ptr().cast(), self.len())
    }
}
// SAFETY: as above.
unsafe impl<'a> BufferMut for &'a mut [IoSliceMut<'a>] {}

// SAFETY: the pieces are `&[u8]`, and nobody writes to them or their array.
unsafe impl<'a> Buffer for &'a [IoSlice<'a>] {
    const VECTORED: bool = true;

    fn region(&mut self) -> (*mut u8, usize) {
        (self.as_ptr().cast_mut().cast(), self.len())
    }
}

#[cfg(feature = "alloc")]
mod owned {
    use alloc::boxed::Box;
    use alloc::vec::Vec;

    use super::{Buffer, BufferMut, IoVec};

    // SAFETY: on the heap, and owned.
    unsafe impl Buffer for Box<[u8]> {
        fn region(&mut self) -> (*mut u8, usize) {
            (self.as_mut_ptr(), self.len())
        }
    }
    // SAFETY: as above.
    unsafe impl BufferMut for Box<[u8]> {}

    /// Its `len()` bytes, which a read overwrites; not its spare capacity.
    // SAFETY: on the heap, and owned; nobody can make it grow meanwhile.
    unsafe impl Buffer for Vec<u8> {
        fn region(&mut self) -> (*mut u8, usize) {
            (self.as_mut_ptr(), self.len())
        }
    }
    // SAFETY: as above.
    unsafe impl BufferMut for Vec<u8> {}

    /// Several owned buffers as the pieces of one vectored operation.
    #[derive(Debug)]
    pub struct Pieces<B> {
        parts: Box<[B]>,
        array: Box<[IoVec]>,
    }

    // SAFETY: the array's addresses are those of the parts' own memory.
    unsafe impl<B: Send> Send for Pieces<B> {}
    // SAFETY: as above.
    unsafe impl<B: Sync> Sync for Pieces<B> {}

    impl<B: Buffer> Pieces<B> {
        /// These buffers, in this order. The kernel takes 1024 at the most
        /// (EINVAL).
        pub fn new(parts: impl Into<Vec<B>>) -> Pieces<B> {
            const { assert!(!B::VECTORED, "pieces have no pieces") };
            let mut parts = parts.into().into_boxed_slice();
            let piece = |part: &mut B| {
                let (base, len) = part.region();
                IoVec {
                    base: base.cast(),
                    len,
                }
            };
            let array = parts.iter_mut().map(piece).collect();
            Pieces { parts, array }
        }

        /// The buffers.
        pub fn parts(&self) -> &[B] {
            &self.parts
        }

        /// The buffers, given back.
        pub fn into_parts(self) -> Vec<B> {
            self.parts.into_vec()
        }
    }

    // SAFETY: the array is on the heap and owned; it names the memory of the
    // parts, which stay where they are: nothing gives out a `&mut` to them.
    unsafe impl<B: Buffer> Buffer for Pieces<B> {
        const VECTORED: bool = true;

        fn region(&mut self) -> (*mut u8, usize) {
            (self.array.as_mut_ptr().cast(), self.array.len())
        }
    }
    // SAFETY: as above, and the parts may be written.
    unsafe impl<B: BufferMut> BufferMut for Pieces<B> {}
}

#[cfg(feature = "alloc")]
pub use owned::Pieces;
