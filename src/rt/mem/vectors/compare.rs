//! `memcmp` and `bcmp`.

use super::{CHUNK, Chunk, fence, load, vectors};

/// Compares `n` bytes as unsigned numbers.
///
/// Returns zero if all are equal, else a number with the sign of the first difference.
///
/// # Safety
/// `a` and `b` are valid to read for `n` bytes, all of them initialised.
#[inline]
pub unsafe fn compare(mut a: *const u8, mut b: *const u8, n: usize) -> i32 {
    let end = a.wrapping_add(n);
    // Equal chunks are skipped. The byte loop finds the difference in the first unequal
    // chunk.
    let last = end.wrapping_sub(n % CHUNK);
    while a != last {
        // SAFETY: a whole number of chunks lies between `a` and `last`, inside the
        // regions; all bytes are initialised.
        let (x, y) = unsafe {
            (
                load::<Chunk>(a).assume_init(),
                load::<Chunk>(b).assume_init(),
            )
        };
        if !vectors::is_equal(x, y) {
            break;
        }
        a = a.wrapping_add(CHUNK);
        b = b.wrapping_add(CHUNK);
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
