//! `memcmp` and `bcmp`.

use super::{CHUNK, Chunk, fence, load, vectors};

/// Compares `n` bytes as unsigned numbers.
///
/// Returns zero if all are equal, else a number with the sign of the first difference.
///
/// # Safety
/// `a` and `b` are valid to read for `n` bytes, all of them initialised.
#[inline]
pub unsafe fn compare(a: *const u8, b: *const u8, n: usize) -> i32 {
    if n < CHUNK {
        // SAFETY: both regions are valid for `n` initialised bytes by the `# Safety` section.
        return unsafe { compare_short(a, b, n) };
    }
    let last = n - CHUNK;
    let mut at = 0;
    while at < last {
        // SAFETY: `at` is below `last`, so a chunk of initialised bytes begins there.
        let (x, y) = unsafe {
            (
                load::<Chunk>(a.wrapping_add(at)).assume_init(),
                load::<Chunk>(b.wrapping_add(at)).assume_init(),
            )
        };
        if !vectors::is_equal(x, y) {
            break;
        }
        at += CHUNK;
        fence();
    }
    // The unequal chunk, or the last one. It may overlap the one before it.
    if at > last {
        at = last;
    }
    // SAFETY: `at` is at most `last`, so a chunk of initialised bytes begins there.
    unsafe { compare_ends(a.wrapping_add(at), b.wrapping_add(at), CHUNK) }
}

/// Compares less than a chunk.
///
/// # Safety
/// `a` and `b` are valid to read for `n` bytes, all of them initialised.
#[inline(always)]
unsafe fn compare_short(a: *const u8, b: *const u8, n: usize) -> i32 {
    if n >= 8 {
        // SAFETY: `n` is at least eight, and the regions are valid for `n` initialised bytes.
        return unsafe { compare_ends(a, b, n) };
    }
    for i in 0..n {
        // SAFETY: `i` is below `n`, for which the `# Safety` section covers the regions.
        let (x, y) = unsafe { (*a.wrapping_add(i), *b.wrapping_add(i)) };
        if x != y {
            return i32::from(x) - i32::from(y);
        }
        fence();
    }
    0
}

/// Compares the first and the last eight bytes of two regions, which contain all bytes that
/// may differ.
///
/// # Safety
/// `a` and `b` are valid to read for `n` bytes, all of them initialised, and `n` is at least
/// eight.
#[inline]
unsafe fn compare_ends(a: *const u8, b: *const u8, n: usize) -> i32 {
    let last = n - size_of::<u64>();
    let mut at = 0;
    loop {
        // SAFETY: eight of the bytes that the `# Safety` section covers begin at the start, and
        // at `last`.
        let (x, y) = unsafe {
            (
                load::<u64>(a.wrapping_add(at)).assume_init(),
                load::<u64>(b.wrapping_add(at)).assume_init(),
            )
        };
        if x != y {
            // The first byte in memory becomes the most significant one.
            return if x.to_be() < y.to_be() { -1 } else { 1 };
        }
        if at == last {
            return 0;
        }
        at = last;
        fence();
    }
}
