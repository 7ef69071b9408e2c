//! The memory functions with words.
//!
//! Regions longer than a few bytes are processed one word at a time: writes are
//! aligned. Of a read that need not be, some compilers make single bytes, so reads are
//! aligned where both regions have the same distance from an aligned address.

use core::mem::MaybeUninit;

pub use super::length_bytewise as length;
use super::{Unaligned, fence};

type Byte = MaybeUninit<u8>;
type Word = MaybeUninit<usize>;

const WORD: usize = size_of::<usize>();

/// The length below which aligning the pointers costs more than it saves.
const SHORT: usize = 2 * WORD;

/// Reads a word from any address. If it is aligned, this is one access on every
/// architecture.
///
/// # Safety
/// `address` is valid to read for a word, and aligned if `aligned` is true.
#[inline(always)]
unsafe fn load(address: *const u8, aligned: bool) -> Word {
    if aligned {
        // SAFETY: the `# Safety` section covers the word and its alignment.
        unsafe { *address.cast::<Word>() }
    } else {
        // SAFETY: the `# Safety` section covers the word, and the type has no alignment.
        unsafe { (*address.cast::<Unaligned<Word>>()).0 }
    }
}

/// Copies `n` bytes, the first byte first.
///
/// The regions may overlap if `dst` lies below `src`, or at or beyond the end of `src`.
///
/// # Safety
/// `src` is valid to read and `dst` to write for `n` bytes, and `dst` is not
/// inside the region at `src` except at its start.
#[inline]
pub unsafe fn copy_forward(mut dst: *mut u8, mut src: *const u8, n: usize) {
    // A step only overwrites source bytes that it or an earlier step has read: they lie
    // below the end of the bytes read so far.
    let end = dst.wrapping_add(n);
    if n >= SHORT {
        let aligned = dst.wrapping_add(dst.addr().wrapping_neg() % WORD);
        while dst != aligned {
            // SAFETY: less than a word, and so less than `n`, was copied: both bytes
            // are in the regions that the `# Safety` section covers.
            unsafe { *dst.cast::<Byte>() = *src.cast::<Byte>() };
            dst = dst.wrapping_add(1);
            src = src.wrapping_add(1);
            fence();
        }
        let aligned = src.addr() % WORD == 0;
        let last = end.wrapping_sub((end.addr().wrapping_sub(dst.addr())) % WORD);
        while dst != last {
            // SAFETY: a whole number of words lies between `dst` and `last`, inside
            // the regions, and `dst` is aligned.
            unsafe { *dst.cast::<Word>() = load(src, aligned) };
            dst = dst.wrapping_add(WORD);
            src = src.wrapping_add(WORD);
            fence();
        }
    }
    while dst != end {
        // SAFETY: below `end`, so in the regions that the `# Safety` section covers.
        unsafe { *dst.cast::<Byte>() = *src.cast::<Byte>() };
        dst = dst.wrapping_add(1);
        src = src.wrapping_add(1);
        fence();
    }
}

/// Copies `n` bytes, the last byte first.
///
/// The regions may overlap if `dst` lies above `src`, or if `dst` ends at or before the
/// start of `src`.
///
/// # Safety
/// `src` is valid to read and `dst` to write for `n` bytes, and the end of
/// `dst` is not inside the region at `src` except at its end.
#[inline]
unsafe fn copy_backward(dst: *mut u8, src: *const u8, n: usize) {
    // `copy_forward` in reverse: both pointers point just behind the next byte.
    let start = dst;
    let mut dst = dst.wrapping_add(n);
    let mut src = src.wrapping_add(n);
    if n >= SHORT {
        let aligned = dst.wrapping_sub(dst.addr() % WORD);
        while dst != aligned {
            dst = dst.wrapping_sub(1);
            src = src.wrapping_sub(1);
            // SAFETY: less than a word, and so less than `n`, was copied: both bytes
            // are in the regions that the `# Safety` section covers.
            unsafe { *dst.cast::<Byte>() = *src.cast::<Byte>() };
            fence();
        }
        let aligned = src.addr() % WORD == 0;
        let last = start.wrapping_add((dst.addr().wrapping_sub(start.addr())) % WORD);
        while dst != last {
            dst = dst.wrapping_sub(WORD);
            src = src.wrapping_sub(WORD);
            // SAFETY: a whole number of words lay between `last` and `dst`, inside the
            // regions, and `dst` is aligned.
            unsafe { *dst.cast::<Word>() = load(src, aligned) };
            fence();
        }
    }
    while dst != start {
        dst = dst.wrapping_sub(1);
        src = src.wrapping_sub(1);
        // SAFETY: at `start` or above, so in the regions that the `# Safety` section
        // covers.
        unsafe { *dst.cast::<Byte>() = *src.cast::<Byte>() };
        fence();
    }
}

/// Copies `n` bytes between regions that may overlap in any way.
///
/// # Safety
/// `src` is valid to read and `dst` to write for `n` bytes.
#[inline]
pub unsafe fn copy(dst: *mut u8, src: *const u8, n: usize) {
    // One comparison suffices: a `dst` below `src` wraps to a huge distance.
    if dst.addr().wrapping_sub(src.addr()) >= n {
        // SAFETY: both regions are valid for `n` bytes by the `# Safety` section, and
        // the comparison shows that `dst` is not inside the source.
        unsafe { copy_forward(dst, src, n) }
    } else {
        // SAFETY: both regions are valid for `n` bytes by the `# Safety` section. `dst`
        // starts inside the source, so it ends at the source's end or beyond.
        unsafe { copy_backward(dst, src, n) }
    }
}

/// Sets `n` bytes to `value`.
///
/// # Safety
/// `dst` is valid to write for `n` bytes.
#[inline]
pub unsafe fn fill(mut dst: *mut u8, value: u8, n: usize) {
    let end = dst.wrapping_add(n);
    if n >= SHORT {
        let aligned = dst.wrapping_add(dst.addr().wrapping_neg() % WORD);
        while dst != aligned {
            // SAFETY: less than a word, and so less than `n`, was filled.
            unsafe { *dst = value };
            dst = dst.wrapping_add(1);
            fence();
        }
        // The value repeated in every byte of the word.
        let word = (usize::MAX / 0xff) * value as usize;
        let last = end.wrapping_sub((end.addr().wrapping_sub(dst.addr())) % WORD);
        while dst != last {
            // SAFETY: a whole number of words lies between `dst` and `last`,
            // inside the region, and `dst` is aligned.
            unsafe { *dst.cast::<usize>() = word };
            dst = dst.wrapping_add(WORD);
            fence();
        }
    }
    while dst != end {
        // SAFETY: below `end`, so in the region that the `# Safety` section covers.
        unsafe { *dst = value };
        dst = dst.wrapping_add(1);
        fence();
    }
}

/// Compares `n` bytes as unsigned numbers.
///
/// Returns zero if all are equal, else a number with the sign of the first difference.
///
/// # Safety
/// `a` and `b` are valid to read for `n` bytes, all of them initialised.
#[inline]
pub unsafe fn compare(mut a: *const u8, mut b: *const u8, n: usize) -> i32 {
    let end = a.wrapping_add(n);
    // Equal words are skipped. The byte loop finds the difference in the first unequal
    // word.
    let last = end.wrapping_sub(n % WORD);
    while a != last {
        // SAFETY: a whole number of words lies between `a` and `last`, inside
        // the regions; both are read unaligned.
        let (x, y) = unsafe {
            (
                (*a.cast::<Unaligned<usize>>()).0,
                (*b.cast::<Unaligned<usize>>()).0,
            )
        };
        if x != y {
            break;
        }
        a = a.wrapping_add(WORD);
        b = b.wrapping_add(WORD);
        fence();
    }
    while a != end {
        // SAFETY: below `end`, so in the regions that the `# Safety` section covers.
        let (x, y) = unsafe { (*a, *b) };
        if x != y {
            return x as i32 - y as i32;
        }
        a = a.wrapping_add(1);
        b = b.wrapping_add(1);
        fence();
    }
    0
}
