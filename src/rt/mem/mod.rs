//! The memory functions that compiled code calls implicitly.
//!
//! LLVM turns moves of structures, slices and arrays into calls of `memcpy`, `memmove`,
//! `memset`, `memcmp` and `bcmp`, and `core` itself calls `strlen`. Without a libc the
//! program must define them: [`memory_functions!`](crate::rt::memory_functions) makes
//! these functions the program's symbols.
//!
//! LLVM also turns a *loop* that copies, fills or compares into such a call, and a
//! `memcpy` that calls `memcpy` never returns. So every iteration of every loop here
//! ends with a compiler fence. It separates the accesses of one iteration from those of
//! the next, so that they cannot be merged, and emits no instruction. The code here
//! also must not move a value wider than a register, or call a function of `core` that
//! does.
//!
//! Where every processor of the target has vectors of 16 bytes, `vectors` uses them at
//! any address. Elsewhere `words` uses words at aligned addresses. Nothing is selected at
//! run time. Bytes are copied as `MaybeUninit`, as they may be padding or a part of a
//! pointer.
//!
//! The same source is to be small in a program that is optimised for size. So the source
//! unrolls no loop: the simple number of iterations lets the compiler do it, which it
//! does where it optimises for speed. A loop that ends at an address was not unrolled.

use core::sync::atomic::{Ordering, compiler_fence};

cfg_if::cfg_if! {
    // The condition of `arch::vectors`.
    if #[cfg(any(
        target_feature = "sse2",
        all(target_feature = "neon", target_pointer_width = "64"),
    ))] {
        mod vectors;
        #[cfg(test)]
        #[allow(unreachable_pub, reason = "the tests are its only users here")]
        mod words;
        pub use vectors::{compare, copy, copy_forward, fill, length};
    } else {
        mod words;
        pub use words::{compare, copy, copy_forward, fill, length};
    }
}
#[cfg(test)]
mod tests;

/// A value at any address, aligned or not.
#[repr(C, packed)]
struct Unaligned<T>(T);

/// Keeps the compiler from merging the accesses before and after it.
#[inline(always)]
fn fence() {
    compiler_fence(Ordering::SeqCst);
}

/// Returns the number of bytes before the first zero byte, with the least
/// code: for short strings that are read once.
///
/// # Safety
/// `string` is valid to read up to and including a zero byte.
#[inline]
pub unsafe fn length_bytewise(string: *const u8) -> usize {
    let mut n = 0;
    loop {
        // SAFETY: no byte before this one was zero, so the zero byte of the `# Safety`
        // section is here or further on.
        if unsafe { *string.wrapping_add(n) } == 0 {
            return n;
        }
        n += 1;
        fence();
    }
}
