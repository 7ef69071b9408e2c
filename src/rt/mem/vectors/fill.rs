//! `memset`.

use core::mem::MaybeUninit;

use super::{CHUNK, fence, store, vectors};

/// Sets `n` bytes to `value`.
///
/// # Safety
/// `dst` is valid to write for `n` bytes.
#[inline]
pub unsafe fn fill(dst: *mut u8, value: u8, n: usize) {
    if n < CHUNK {
        // SAFETY: `dst` is valid for `n` bytes by the `# Safety` section.
        return unsafe { fill_short(dst, value, n) };
    }
    let chunk = MaybeUninit::new(vectors::splat(value));
    // SAFETY: `n` is at least a chunk, so both are in the region at `dst`.
    unsafe {
        store(dst, chunk);
        store(dst.wrapping_add(n - CHUNK), chunk);
    }
    let skipped = dst.addr().wrapping_neg() % CHUNK;
    let to = dst.wrapping_add(skipped);
    // The last of the bytes from `to` on, one to a chunk of them, are already set.
    for i in 0..(n - skipped - 1) / CHUNK {
        // SAFETY: at least one byte follows this chunk in the region that the
        // `# Safety` section covers.
        unsafe { store(to.wrapping_add(i * CHUNK), chunk) };
        fence();
    }
}

/// Sets less than a chunk.
///
/// # Safety
/// `dst` is valid to write for `n` bytes.
#[inline(always)]
unsafe fn fill_short(dst: *mut u8, value: u8, n: usize) {
    let word = (u64::MAX / 0xff) * u64::from(value);
    if n >= 8 {
        // SAFETY: `n` is at least eight, and the region is valid for `n` bytes.
        return unsafe { fill_ends(dst, word, n) };
    }
    if n >= 4 {
        // SAFETY: `n` is at least four, and the region is valid for `n` bytes.
        return unsafe { fill_ends(dst, word as u32, n) };
    }
    if n > 0 {
        // One to three bytes: the first, the middle and the last one.
        //
        // SAFETY: all three are in the region of at least one byte that the `# Safety`
        // section covers.
        unsafe {
            store(dst.wrapping_add(n / 2), MaybeUninit::new(value));
            fill_ends(dst, value, n);
        }
    }
}

/// Writes a value at the start and at the end of a region.
///
/// # Safety
/// `dst` is valid to write for `n` bytes, and `n` is at least the size of `T`.
#[inline(always)]
unsafe fn fill_ends<T: Copy>(dst: *mut u8, value: T, n: usize) {
    // SAFETY: `n` is at least the size of `T`, so the first and the last bytes are in
    // the region that the `# Safety` section covers.
    unsafe {
        store(dst, MaybeUninit::new(value));
        store(
            dst.wrapping_add(n - size_of::<T>()),
            MaybeUninit::new(value),
        );
    }
}
