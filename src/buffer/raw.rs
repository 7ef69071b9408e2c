//! [`RawBuf`] and [`RawVectored`]: memory that the compiler knows nothing of, such as the
//! memory of a guest or a mapping that processes share.

#[cfg(feature = "alloc")]
use alloc::boxed::Box;
use core::marker::PhantomData;

use super::{IoBuf, IoBufMut};
#[cfg(feature = "alloc")]
use crate::sys::abi::IoVec;

/// Memory at an address. `'m` limits how long the value is used.
///
/// It is for memory to which no reference can exist, because code outside the program may
/// change it at any time: a virtual machine's memory, or a mapping that processes share.
/// Any number of these may refer to the same memory.
#[derive(Debug)]
pub struct RawBuf<'m> {
    start: *mut u8,
    len: usize,
    memory: PhantomData<&'m ()>,
}

// SAFETY: `RawBuf::new` requires memory that every thread of the process may use.
unsafe impl Send for RawBuf<'_> {}
// SAFETY: `&RawBuf` gives the address and the length only.
unsafe impl Sync for RawBuf<'_> {}

impl<'m> RawBuf<'m> {
    /// Creates a buffer of `len` bytes at `start`.
    ///
    /// # Safety
    /// In every thread of the process:
    ///
    /// - the memory is mapped until the value is dropped, or for ever if it is leaked (with
    ///   a leaked queue, for example): readable, and writable if an operation reads into
    ///   it. The tuple `(RawBuf, Arc<Mapping>)` is a buffer that keeps its mapping;
    /// - while an operation on it has not completed, the program accesses it only by
    ///   means that tolerate a change at any time (volatile or atomic accesses, other
    ///   system calls). No reference to it exists, and no `Box` or `Vec` of it is used,
    ///   except of atomics and other `UnsafeCell`s, and except shared references during
    ///   operations that only write it to a file.
    pub const unsafe fn new(start: *mut u8, len: usize) -> RawBuf<'m> {
        RawBuf {
            start,
            len,
            memory: PhantomData,
        }
    }

    /// Returns the address.
    pub const fn as_ptr(&self) -> *mut u8 {
        self.start
    }

    /// Returns the length in bytes.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Returns whether there are no bytes.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

// SAFETY: `RawBuf::new` requires memory that stays mapped for `'m`, wherever the value is
// moved, and that is not accessed in conflict with an operation.
unsafe impl IoBuf for RawBuf<'_> {
    fn region(&mut self) -> (*mut u8, usize) {
        (self.start, self.len)
    }
}
// SAFETY: `RawBuf::new` requires that the memory may be written if it is read into, and
// that no reference to it exists meanwhile.
unsafe impl IoBufMut for RawBuf<'_> {}

/// Several pieces of memory at addresses, as the segments of one vectored operation: see
/// [`RawBuf`].
#[cfg(feature = "alloc")]
#[derive(Debug)]
pub struct RawVectored<'m> {
    segments: Box<[IoVec]>,
    memory: PhantomData<&'m ()>,
}

#[cfg(feature = "alloc")]
// SAFETY: `RawVectored::new` requires memory that every thread of the process may use.
unsafe impl Send for RawVectored<'_> {}
#[cfg(feature = "alloc")]
// SAFETY: `&RawVectored` gives addresses and lengths only.
unsafe impl Sync for RawVectored<'_> {}

#[cfg(feature = "alloc")]
impl<'m> RawVectored<'m> {
    /// Creates a vectored buffer. The kernel accepts at most 1024 segments (EINVAL).
    ///
    /// # Safety
    /// As [`RawBuf::new`], for the memory of each segment.
    pub unsafe fn new(segments: impl Into<Box<[IoVec]>>) -> RawVectored<'m> {
        RawVectored {
            segments: segments.into(),
            memory: PhantomData,
        }
    }

    /// Returns the segments.
    pub fn segments(&self) -> &[IoVec] {
        &self.segments
    }
}

#[cfg(feature = "alloc")]
// SAFETY: the array is on the heap and owned. `RawVectored::new` requires memory that
// stays mapped for `'m` and that is not accessed in conflict with an operation.
unsafe impl IoBuf for RawVectored<'_> {
    const VECTORED: bool = true;

    fn region(&mut self) -> (*mut u8, usize) {
        (self.segments.as_mut_ptr().cast(), self.segments.len())
    }
}
#[cfg(feature = "alloc")]
// SAFETY: `RawVectored::new` requires that the memory may be written if it is read into,
// and that no reference to it exists meanwhile.
unsafe impl IoBufMut for RawVectored<'_> {}
