//! [`Vectored`]: several owned buffers as the segments of one operation, and [`Mixed`],
//! for a queue of vectored and other operations.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::{IoBuf, IoBufMut};
use crate::sys::abi::IoVec;

/// Several owned buffers as the segments of one vectored operation.
#[derive(Debug)]
pub struct Vectored<B> {
    segments: Box<[B]>,
    /// As many elements as there are segments. They are written before each use.
    array: Box<[IoVec]>,
}

// SAFETY: the addresses in the array are only used together with the segments, which the
// value owns and which are `Send`.
unsafe impl<B: Send> Send for Vectored<B> {}
// SAFETY: `&Vectored` gives access to the segments, which are `Sync`, and not to the
// array.
unsafe impl<B: Sync> Sync for Vectored<B> {}

impl<B: IoBuf> Vectored<B> {
    /// Creates a vectored buffer of these buffers, in this order. The kernel accepts at
    /// most 1024 (EINVAL).
    pub fn new(segments: impl Into<Vec<B>>) -> Vectored<B> {
        const { assert!(!B::VECTORED, "a segment has no segments") };
        let segments = segments.into().into_boxed_slice();
        let empty = |_: &B| IoVec {
            base: core::ptr::null_mut(),
            len: 0,
        };
        let array = segments.iter().map(empty).collect();
        Vectored { segments, array }
    }

    /// Returns the buffers.
    pub fn segments(&self) -> &[B] {
        &self.segments
    }

    /// Returns the buffers by value.
    pub fn into_segments(self) -> Vec<B> {
        self.segments.into_vec()
    }

    /// Writes the regions of the segments into the array, and returns the array.
    fn regions(&mut self, region: fn(&mut B) -> (*mut u8, usize)) -> (*mut u8, usize) {
        for (segment, element) in self.segments.iter_mut().zip(&mut self.array) {
            let (base, len) = region(segment);
            *element = IoVec {
                base: base.cast(),
                len,
            };
        }
        (self.array.as_mut_ptr().cast(), self.array.len())
    }
}

// SAFETY: the array is on the heap and owned. It points to the memory of the segments,
// whose `IoBuf` implementation makes the promise; no method returns a `&mut` to them.
unsafe impl<B: IoBuf> IoBuf for Vectored<B> {
    const VECTORED: bool = true;
    const GROWS: bool = B::GROWS;

    fn region(&mut self) -> (*mut u8, usize) {
        self.regions(B::region)
    }

    fn region_mut(&mut self) -> (*mut u8, usize) {
        self.regions(B::region_mut)
    }

    unsafe fn set_filled(&mut self, mut count: usize) {
        for (segment, element) in self.segments.iter_mut().zip(&self.array) {
            let filled = count.min(element.len);
            // SAFETY: the kernel fills the segments in order, each to its end before the
            // next. The caller promises that `count` bytes were filled and that nothing
            // has changed since `region_mut` wrote the array.
            unsafe { segment.set_filled(filled) };
            count -= filled;
        }
    }
}
// SAFETY: the array points to the memory of the segments, whose `IoBufMut`
// implementation promises that it may be written.
unsafe impl<B: IoBufMut> IoBufMut for Vectored<B> {}

/// One buffer, or several for a vectored operation: the buffer type of a queue that has
/// operations of both kinds.
#[derive(Debug)]
pub enum Mixed<B> {
    /// One buffer.
    Single(B),
    /// The segments of a vectored operation.
    Vectored(Vectored<B>),
}

// SAFETY: both variants are buffers, whose implementations make the promise. `IoBuf` has
// no method that changes the variant.
unsafe impl<B: IoBuf> IoBuf for Mixed<B> {
    const VECTORED: bool = true;
    const GROWS: bool = B::GROWS;

    fn region(&mut self) -> (*mut u8, usize) {
        match self {
            Mixed::Single(buffer) => buffer.region(),
            Mixed::Vectored(buffers) => buffers.region(),
        }
    }

    fn is_vectored(&self) -> bool {
        match self {
            Mixed::Single(buffer) => buffer.is_vectored(),
            Mixed::Vectored(_) => true,
        }
    }

    fn region_mut(&mut self) -> (*mut u8, usize) {
        match self {
            Mixed::Single(buffer) => buffer.region_mut(),
            Mixed::Vectored(buffers) => buffers.region_mut(),
        }
    }

    unsafe fn set_filled(&mut self, count: usize) {
        // SAFETY: the caller makes this promise for the region of the variant.
        unsafe {
            match self {
                Mixed::Single(buffer) => buffer.set_filled(count),
                Mixed::Vectored(buffers) => buffers.set_filled(count),
            }
        }
    }
}
// SAFETY: both variants are buffers that the kernel may write to.
unsafe impl<B: IoBufMut> IoBufMut for Mixed<B> {}
