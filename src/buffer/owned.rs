//! Heap-allocated buffers.
//!
//! `Box<[u8]>` and `Vec<u8>` are buffers themselves; [`Vectored`] combines several
//! buffers for one vectored operation. The memory is on the heap, so it stays in place
//! when the value is moved.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::{IoBuf, IoBufMut};
use crate::sys::abi::IoVec;

// SAFETY: the memory is on the heap, so it does not move with the value, and it is
// reached only through its owner.
unsafe impl IoBuf for Box<[u8]> {
    fn region(&mut self) -> (*mut u8, usize) {
        (self.as_mut_ptr(), self.len())
    }
}
// SAFETY: the memory is writable and owned by the value, and every byte is a valid
// `u8`.
unsafe impl IoBufMut for Box<[u8]> {}

/// The initialized `len()` bytes, which a read overwrites, without the spare capacity.
// SAFETY: the memory is on the heap, so it does not move with the value, and it is
// reached only through its owner. The vector cannot be reallocated before the operation
// has completed, since the operation owns it.
unsafe impl IoBuf for Vec<u8> {
    fn region(&mut self) -> (*mut u8, usize) {
        (self.as_mut_ptr(), self.len())
    }
}
// SAFETY: the memory is writable and owned by the value, and every byte is a valid
// `u8`.
unsafe impl IoBufMut for Vec<u8> {}

/// Several owned buffers as the pieces of one vectored operation.
#[derive(Debug)]
pub struct Vectored<B> {
    parts: Box<[B]>,
    array: Box<[IoVec]>,
}

// SAFETY: the addresses in the array point to the memory of the parts, which the value
// owns and which are `Send`.
unsafe impl<B: Send> Send for Vectored<B> {}
// SAFETY: the addresses in the array point to the memory of the parts, which the value
// owns and which are `Sync`.
unsafe impl<B: Sync> Sync for Vectored<B> {}

impl<B: IoBuf> Vectored<B> {
    /// Creates a vectored buffer of these buffers, in this order. The kernel accepts at
    /// most 1024 (EINVAL).
    pub fn new(parts: impl Into<Vec<B>>) -> Vectored<B> {
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
        Vectored { parts, array }
    }

    /// Returns the buffers.
    pub fn parts(&self) -> &[B] {
        &self.parts
    }

    /// Returns the buffers by value.
    pub fn into_parts(self) -> Vec<B> {
        self.parts.into_vec()
    }
}

// SAFETY: the array is on the heap and owned. It points to the memory of the parts,
// whose `IoBuf` implementation makes the promise; no method returns a `&mut` to the
// parts.
unsafe impl<B: IoBuf> IoBuf for Vectored<B> {
    const VECTORED: bool = true;

    fn region(&mut self) -> (*mut u8, usize) {
        (self.array.as_mut_ptr().cast(), self.array.len())
    }
}
// SAFETY: the array points to the memory of the parts, whose `IoBufMut` implementation
// promises that it may be written.
unsafe impl<B: IoBufMut> IoBufMut for Vectored<B> {}
