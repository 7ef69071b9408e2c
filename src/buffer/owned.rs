//! Buffers of the allocator's.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::{IoBuf, IoBufMut};
use crate::sys::abi::IoVec;

// SAFETY: on the heap, and owned.
unsafe impl IoBuf for Box<[u8]> {
    fn region(&mut self) -> (*mut u8, usize) {
        (self.as_mut_ptr(), self.len())
    }
}
// SAFETY: as above.
unsafe impl IoBufMut for Box<[u8]> {}

/// Its `len()` bytes, which a read overwrites; not its spare capacity.
// SAFETY: on the heap, and owned; nobody can make it grow meanwhile.
unsafe impl IoBuf for Vec<u8> {
    fn region(&mut self) -> (*mut u8, usize) {
        (self.as_mut_ptr(), self.len())
    }
}
// SAFETY: as above.
unsafe impl IoBufMut for Vec<u8> {}

/// Several owned buffers as the pieces of one vectored operation.
#[derive(Debug)]
pub struct Vectored<B> {
    parts: Box<[B]>,
    array: Box<[IoVec]>,
}

// SAFETY: the array's addresses are those of the parts' own memory.
unsafe impl<B: Send> Send for Vectored<B> {}
// SAFETY: as above.
unsafe impl<B: Sync> Sync for Vectored<B> {}

impl<B: IoBuf> Vectored<B> {
    /// These buffers, in this order. The kernel takes 1024 at the most
    /// (EINVAL).
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
unsafe impl<B: IoBuf> IoBuf for Vectored<B> {
    const VECTORED: bool = true;

    fn region(&mut self) -> (*mut u8, usize) {
        (self.array.as_mut_ptr().cast(), self.array.len())
    }
}
// SAFETY: as above, and the parts may be written.
unsafe impl<B: IoBufMut> IoBufMut for Vectored<B> {}
