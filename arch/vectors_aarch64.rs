//! The vectors of aarch64 (Advanced SIMD), for `rt::mem`.
//!
//! An access inside a cache line costs the same at every address. A mask has four bits
//! for each byte: a narrowing shift makes them of two bytes at a time. Loads of single
//! bytes (`ld1` of `16b`) have the same order of bytes on big-endian targets.

use core::arch::aarch64 as vectors;
use core::arch::asm;

/// A vector of 16 bytes.
pub(crate) type Chunk = vectors::uint8x16_t;

/// Returns a chunk with this value in every byte.
#[inline(always)]
pub(crate) fn splat(value: u8) -> Chunk {
    // SAFETY: this module is for targets with Advanced SIMD.
    unsafe { vectors::vdupq_n_u8(value) }
}

/// Returns whether all bytes are equal.
#[inline(always)]
pub(crate) fn is_equal(a: Chunk, b: Chunk) -> bool {
    // SAFETY: this module is for targets with Advanced SIMD.
    unsafe { vectors::vminvq_u8(vectors::vceqq_u8(a, b)) != 0 }
}

/// Returns a chunk whose bits are 1 where `a` and `b` differ.
#[inline(always)]
pub(crate) fn xor(a: Chunk, b: Chunk) -> Chunk {
    // SAFETY: this module is for targets with Advanced SIMD.
    unsafe { vectors::veorq_u8(a, b) }
}

/// Returns a chunk whose bits are 1 where those of `a` or `b` are.
#[inline(always)]
pub(crate) fn or(a: Chunk, b: Chunk) -> Chunk {
    // SAFETY: this module is for targets with Advanced SIMD.
    unsafe { vectors::vorrq_u8(a, b) }
}

/// The number of bits that a byte has in a mask.
pub(crate) const MASK_BITS: u32 = 4;

/// Returns the mask of the zero bytes among 16 bytes. The lowest bits are those of the
/// first byte.
///
/// # Safety
/// `address` is a multiple of 16, and at least one of the bytes is readable.
#[inline(always)]
pub(crate) unsafe fn zeros(address: *const u8) -> u64 {
    let mask: u64;
    // SAFETY: the block reads 16 bytes at an aligned address. They are in one page, which
    // is readable by the `# Safety` section. Bytes that belong to other objects do not
    // affect the result of the function that calls this one. No flag is changed.
    unsafe {
        asm!(
            "ld1 {{{vector:v}.16b}}, [{address}]",
            "cmeq {vector:v}.16b, {vector:v}.16b, #0",
            "shrn {vector:v}.8b, {vector:v}.8h, #4",
            "fmov {mask}, {vector:d}",
            vector = out(vreg) _,
            address = in(reg) address.expose_provenance() as u64,
            mask = lateout(reg) mask,
            options(nostack, readonly, preserves_flags),
        );
    }
    mask
}

/// Returns whether one of 64 bytes is zero.
///
/// # Safety
/// `address` is a multiple of 64, and at least one of the bytes is readable.
#[inline(always)]
pub(crate) unsafe fn any_zero(address: *const u8) -> bool {
    let least: u32;
    // SAFETY: the block reads 64 bytes at an aligned address. They are in one page, which
    // is readable by the `# Safety` section. The minimum of all bytes is zero if one of
    // them is. No flag is changed.
    unsafe {
        asm!(
            "ldp {a:q}, {b:q}, [{address}]",
            "ldp {c:q}, {d:q}, [{address}, #32]",
            "umin {a:v}.16b, {a:v}.16b, {b:v}.16b",
            "umin {c:v}.16b, {c:v}.16b, {d:v}.16b",
            "umin {a:v}.16b, {a:v}.16b, {c:v}.16b",
            "uminv {a:b}, {a:v}.16b",
            "fmov {least:w}, {a:s}",
            a = out(vreg) _,
            b = out(vreg) _,
            c = out(vreg) _,
            d = out(vreg) _,
            address = in(reg) address.expose_provenance() as u64,
            least = lateout(reg) least,
            options(nostack, readonly, preserves_flags),
        );
    }
    least == 0
}
