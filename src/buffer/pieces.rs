//! [`IoSlice`] and [`IoSliceMut`]: borrowed pieces of one vectored operation.

use core::marker::PhantomData;

use super::{IoBuf, IoBufMut};
use crate::sys::abi::IoVec;

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
unsafe impl<'a> IoBuf for &'a mut [IoSliceMut<'a>] {
    const VECTORED: bool = true;

    fn region(&mut self) -> (*mut u8, usize) {
        (self.as_mut_ptr().cast(), self.len())
    }
}
// SAFETY: as above.
unsafe impl<'a> IoBufMut for &'a mut [IoSliceMut<'a>] {}

// SAFETY: the pieces are `&[u8]`, and nobody writes to them or their array.
unsafe impl<'a> IoBuf for &'a [IoSlice<'a>] {
    const VECTORED: bool = true;

    fn region(&mut self) -> (*mut u8, usize) {
        (self.as_ptr().cast_mut().cast(), self.len())
    }
}
