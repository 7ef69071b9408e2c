//! The memory functions with vectors of 16 bytes.
//!
//! A region of [`CHUNK`] bytes or more is copied and filled in two parts:
//!
//! 1. The first and the last chunk, at any address. A copy reads both before it writes.
//! 2. Between them, chunks at aligned addresses of the target. The first of them may
//!    overlap the first chunk of part 1, and the last chunk may overlap them.
//!
//! A shorter region consists of two values that may overlap.

mod compare;
mod copy;
mod fill;
mod length;

use core::mem::MaybeUninit;

use super::{Unaligned, fence};
use crate::arch::vectors::{self, Chunk};

pub use compare::compare;
pub use copy::{copy, copy_forward};
pub use fill::fill;
pub use length::length;

/// The size in bytes of a vector.
const CHUNK: usize = size_of::<Chunk>();
/// The number of bytes that one step of the inner loops of `memcmp` and `strlen` reads.
const BLOCK: usize = 4 * CHUNK;

/// Reads a value, initialised or not, from any address.
///
/// # Safety
/// `address` is valid to read for the size of `T`.
#[inline(always)]
unsafe fn load<T: Copy>(address: *const u8) -> MaybeUninit<T> {
    // SAFETY: the `# Safety` section covers the bytes, and the type has no alignment.
    unsafe { (*address.cast::<Unaligned<MaybeUninit<T>>>()).0 }
}

/// Writes a value to any address.
///
/// # Safety
/// `address` is valid to write for the size of `T`.
#[inline(always)]
unsafe fn store<T: Copy>(address: *mut u8, value: MaybeUninit<T>) {
    // SAFETY: the `# Safety` section covers the bytes, and the type has no alignment.
    unsafe { (*address.cast::<Unaligned<MaybeUninit<T>>>()).0 = value };
}
