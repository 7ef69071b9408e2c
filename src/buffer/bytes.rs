//! The types of the `bytes` crate as buffers.

use bytes::{Bytes, BytesMut};

use super::{IoBuf, IoBufMut};

/// Bytes that others may read as well, for writes.
// SAFETY: the memory does not move with the value. It is shared and immutable, and each
// of the shares keeps it allocated.
unsafe impl IoBuf for Bytes {
    fn region(&mut self) -> (*mut u8, usize) {
        (self.as_ptr().cast_mut(), self.len())
    }
}

/// A read overwrites the `len()` bytes. It fills an **empty buffer** up to its capacity
/// and sets its length.
// SAFETY: the memory does not move with the value, and the value is the only handle to
// this part of it. It is not reallocated before the operation has completed, since the
// operation owns the value.
unsafe impl IoBuf for BytesMut {
    const GROWS: bool = true;

    fn region(&mut self) -> (*mut u8, usize) {
        (self.as_mut_ptr(), self.len())
    }

    fn region_mut(&mut self) -> (*mut u8, usize) {
        if self.is_empty() {
            let spare = self.spare_capacity_mut();
            (spare.as_mut_ptr().cast(), spare.len())
        } else {
            self.region()
        }
    }

    unsafe fn set_filled(&mut self, count: usize) {
        if self.is_empty() {
            // SAFETY: the caller promises that the first `count` bytes of the capacity,
            // which is the region of an empty buffer, are initialised.
            unsafe { self.set_len(count.min(self.capacity())) };
        }
    }
}
// SAFETY: the memory is writable and owned by the value, and every byte is a valid
// `u8`.
unsafe impl IoBufMut for BytesMut {}
