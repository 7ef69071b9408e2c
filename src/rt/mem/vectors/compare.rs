//! `memcmp` and `bcmp`.

use super::{BLOCK, CHUNK, Chunk, fence, load, vectors};

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
    if n >= BLOCK {
        // SAFETY: the `# Safety` section covers the regions, which have a block or more.
        at = unsafe { compare_blocks(a, b, n) };
        if at == n {
            return 0;
        }
    }
    while at < last {
        // SAFETY: `at` is below `last`, so a chunk of initialised bytes begins there.
        let (x, y) = unsafe { chunks(a.wrapping_add(at), b.wrapping_add(at)) };
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

/// Compares blocks of four chunks, up to one with a difference. Returns the offset of that
/// block, or `n` if there is none.
///
/// # Safety
/// `a` and `b` are valid to read for `n` bytes, all of them initialised, and `n` is at least
/// a block.
#[inline]
unsafe fn compare_blocks(a: *const u8, b: *const u8, n: usize) -> usize {
    // SAFETY: the regions are at least a block long.
    if !unsafe { is_equal_block(a, b) } {
        return 0;
    }
    // The blocks between the first and the last are aligned in `a`. The first of them and
    // the last block may overlap the one before them.
    let last = n - BLOCK;
    let mut at = BLOCK - a.addr() % CHUNK;
    while at < last {
        // SAFETY: `at` is below `last`, so a block of initialised bytes begins there.
        if !unsafe { is_equal_block(a.wrapping_add(at), b.wrapping_add(at)) } {
            return at;
        }
        at += BLOCK;
        fence();
    }
    // SAFETY: a block of initialised bytes begins at `last`.
    if unsafe { is_equal_block(a.wrapping_add(last), b.wrapping_add(last)) } {
        n
    } else {
        last
    }
}

/// Returns whether two blocks are equal.
///
/// # Safety
/// `a` and `b` are valid to read for a block, all of it initialised.
#[inline]
unsafe fn is_equal_block(a: *const u8, b: *const u8) -> bool {
    let mut different = vectors::splat(0);
    for index in 0..BLOCK / CHUNK {
        let at = index * CHUNK;
        // SAFETY: the index is below the number of chunks in a block, so a chunk of
        // initialised bytes begins at `at`.
        let (x, y) = unsafe { chunks(a.wrapping_add(at), b.wrapping_add(at)) };
        different = vectors::or(different, vectors::xor(x, y));
    }
    vectors::is_equal(different, vectors::splat(0))
}

/// Reads a chunk of each region.
///
/// # Safety
/// `a` and `b` are valid to read for a chunk, all of it initialised.
#[inline(always)]
unsafe fn chunks(a: *const u8, b: *const u8) -> (Chunk, Chunk) {
    // SAFETY: the `# Safety` section covers the chunks.
    unsafe {
        (
            load::<Chunk>(a).assume_init(),
            load::<Chunk>(b).assume_init(),
        )
    }
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
