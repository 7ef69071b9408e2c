//! `strlen`.

use super::{BLOCK, CHUNK, fence, vectors};

/// Returns the number of bytes before the first zero byte.
///
/// Reads whole chunks and blocks at aligned addresses, and so bytes outside the string,
/// but none outside its pages, whose size is a multiple of a block. `asm!` makes these
/// reads, as they have no meaning in Rust.
///
/// # Safety
/// `string` is valid to read up to and including a zero byte.
#[inline]
pub unsafe fn length(string: *const u8) -> usize {
    let before = string.addr() % CHUNK;
    let mut chunk = string.wrapping_sub(before);
    // SAFETY: the aligned chunk contains the first byte of the string, which is readable.
    let zeros = unsafe { vectors::zeros(chunk) } >> (before as u32 * vectors::MASK_BITS);
    if zeros != 0 {
        return first(zeros);
    }
    loop {
        chunk = chunk.wrapping_add(CHUNK);
        if chunk.addr() % BLOCK == 0 {
            // SAFETY: no byte of the string before the aligned block was zero, so its
            // first byte is one of the string's and readable.
            while !unsafe { vectors::any_zero(chunk) } {
                chunk = chunk.wrapping_add(BLOCK);
                fence();
            }
        }
        // SAFETY: no byte of the string before the aligned chunk was zero, so its first
        // byte is one of the string's and readable.
        let zeros = unsafe { vectors::zeros(chunk) };
        if zeros != 0 {
            return chunk.addr().wrapping_sub(string.addr()) + first(zeros);
        }
        fence();
    }
}

/// Returns the index of the first zero byte in a mask that is not zero.
#[inline(always)]
fn first(zeros: u64) -> usize {
    (zeros.trailing_zeros() / vectors::MASK_BITS) as usize
}
