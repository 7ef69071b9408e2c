//! The vectors of x86_64 and x86 with SSE2, for `rt::mem`.
//!
//! An access inside a cache line costs the same at every address. A mask has one bit for
//! each byte.

use core::arch::asm;
#[cfg(target_arch = "x86")]
use core::arch::x86 as vectors;
#[cfg(target_arch = "x86_64")]
use core::arch::x86_64 as vectors;

/// An address as an operand of `asm!`: on x32, registers are wider than pointers.
#[cfg(target_arch = "x86_64")]
type Address = u64;
#[cfg(target_arch = "x86")]
type Address = u32;

/// A vector of 16 bytes.
pub(crate) type Chunk = vectors::__m128i;

/// Returns a chunk with this value in every byte.
#[inline(always)]
pub(crate) fn splat(value: u8) -> Chunk {
    // SAFETY: this module is for targets with SSE2.
    unsafe { vectors::_mm_set1_epi8(value as i8) }
}

/// Returns whether all bytes are equal.
#[inline(always)]
pub(crate) fn is_equal(a: Chunk, b: Chunk) -> bool {
    // SAFETY: this module is for targets with SSE2.
    unsafe { vectors::_mm_movemask_epi8(vectors::_mm_cmpeq_epi8(a, b)) == 0xffff }
}

/// Returns a chunk whose bits are 1 where `a` and `b` differ.
#[inline(always)]
pub(crate) fn xor(a: Chunk, b: Chunk) -> Chunk {
    // SAFETY: this module is for targets with SSE2.
    unsafe { vectors::_mm_xor_si128(a, b) }
}

/// Returns a chunk whose bits are 1 where those of `a` or `b` are.
#[inline(always)]
pub(crate) fn or(a: Chunk, b: Chunk) -> Chunk {
    // SAFETY: this module is for targets with SSE2.
    unsafe { vectors::_mm_or_si128(a, b) }
}

/// The number of bits that a byte has in a mask.
pub(crate) const MASK_BITS: u32 = 1;

/// Returns the mask of the zero bytes among 16 bytes. The lowest bits are those of the
/// first byte.
///
/// # Safety
/// `address` is a multiple of 16, and at least one of the bytes is readable.
#[inline(always)]
pub(crate) unsafe fn zeros(address: *const u8) -> u64 {
    let mask: u32;
    // SAFETY: the block reads 16 bytes at an aligned address. They are in one page, which
    // is readable by the `# Safety` section. Bytes that belong to other objects do not
    // affect the result of the function that calls this one. No flag is changed.
    unsafe {
        asm!(
            "pxor {vector}, {vector}",
            "pcmpeqb {vector}, xmmword ptr [{address}]",
            "pmovmskb {mask:e}, {vector}",
            vector = out(xmm_reg) _,
            address = in(reg) address.expose_provenance() as Address,
            mask = lateout(reg) mask,
            options(nostack, readonly, preserves_flags),
        );
    }
    u64::from(mask)
}

/// Returns whether one of 64 bytes is zero.
///
/// # Safety
/// `address` is a multiple of 64, and at least one of the bytes is readable.
#[inline(always)]
pub(crate) unsafe fn any_zero(address: *const u8) -> bool {
    let mask: u32;
    // SAFETY: the block reads 64 bytes at an aligned address. They are in one page, which
    // is readable by the `# Safety` section. The minimum of four bytes is zero if one of
    // them is. No flag is changed.
    unsafe {
        asm!(
            "movdqa {a}, xmmword ptr [{address}]",
            "movdqa {b}, xmmword ptr [{address} + 32]",
            "pminub {a}, xmmword ptr [{address} + 16]",
            "pminub {b}, xmmword ptr [{address} + 48]",
            "pminub {a}, {b}",
            "pxor {b}, {b}",
            "pcmpeqb {a}, {b}",
            "pmovmskb {mask:e}, {a}",
            a = out(xmm_reg) _,
            b = out(xmm_reg) _,
            address = in(reg) address.expose_provenance() as Address,
            mask = lateout(reg) mask,
            options(nostack, readonly, preserves_flags),
        );
    }
    mask != 0
}
