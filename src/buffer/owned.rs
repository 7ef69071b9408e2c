//! Heap-allocated types of the standard library that are buffers themselves. The memory
//! is on the heap, so it stays in place when the value is moved.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::String;
#[cfg(target_has_atomic = "ptr")]
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{IoBuf, IoBufMut};

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

/// A read overwrites the `len()` bytes. It fills an **empty vector** up to its capacity
/// and sets its length. To read behind the bytes of a vector, use
/// [`Append`](super::Append).
// SAFETY: the memory is on the heap, so it does not move with the value, and it is
// reached only through its owner. The vector cannot be reallocated before the operation
// has completed, since the operation owns it.
unsafe impl IoBuf for Vec<u8> {
    const GROWS: bool = true;

    fn region(&mut self) -> (*mut u8, usize) {
        (self.as_mut_ptr(), self.len())
    }

    fn region_mut(&mut self) -> (*mut u8, usize) {
        if self.is_empty() {
            (self.as_mut_ptr(), self.capacity())
        } else {
            self.region()
        }
    }

    unsafe fn set_filled(&mut self, count: usize) {
        if self.is_empty() {
            // SAFETY: the caller promises that the first `count` bytes of the capacity,
            // which is the region of an empty vector, are initialised.
            unsafe { self.set_len(count.min(self.capacity())) };
        }
    }
}
// SAFETY: the memory is writable and owned by the value, and every byte is a valid
// `u8`.
unsafe impl IoBufMut for Vec<u8> {}

// SAFETY: the memory is on the heap, so it does not move with the value, and it is
// reached only through its owner.
unsafe impl<const N: usize> IoBuf for Box<[u8; N]> {
    fn region(&mut self) -> (*mut u8, usize) {
        (self.as_mut_ptr(), N)
    }
}
// SAFETY: the memory is writable and owned by the value, and every byte is a valid
// `u8`.
unsafe impl<const N: usize> IoBufMut for Box<[u8; N]> {}

/// The bytes of the string, for writes. A read could make it invalid.
// SAFETY: the memory is on the heap, so it does not move with the value, and it is
// reached only through its owner.
unsafe impl IoBuf for String {
    fn region(&mut self) -> (*mut u8, usize) {
        (self.as_mut_ptr(), self.len())
    }
}

/// Bytes that others may read as well, for writes.
// SAFETY: the memory is on the heap, so it does not move with the value. It is shared, so
// no code writes it, and each of the shares keeps it allocated.
unsafe impl IoBuf for Rc<[u8]> {
    fn region(&mut self) -> (*mut u8, usize) {
        (self.as_ptr().cast_mut(), self.len())
    }
}

/// Bytes that others may read as well, for writes.
// SAFETY: the memory is on the heap, so it does not move with the value. It is shared, so
// no code writes it, and each of the shares keeps it allocated.
#[cfg(target_has_atomic = "ptr")]
unsafe impl IoBuf for Arc<[u8]> {
    fn region(&mut self) -> (*mut u8, usize) {
        (self.as_ptr().cast_mut(), self.len())
    }
}
