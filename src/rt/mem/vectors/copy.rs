//! `memcpy` and `memmove`.

use super::{CHUNK, Chunk, fence, load, store};

/// Copies `n` bytes, the first byte first.
///
/// The regions may overlap if `dst` lies below `src`, or at or beyond the end of `src`.
///
/// # Safety
/// `src` is valid to read and `dst` to write for `n` bytes, and `dst` is not inside the
/// region at `src` except at its start, or `n` is less than `CHUNK`.
#[inline]
pub unsafe fn copy_forward(dst: *mut u8, src: *const u8, n: usize) {
    if n < CHUNK {
        // SAFETY: both regions are valid for `n` bytes by the `# Safety` section.
        return unsafe { copy_short(dst, src, n) };
    }
    // A step only overwrites source bytes that it or an earlier step has read: they lie
    // below the end of the bytes read so far. The first and the last chunk are written
    // when all others were read.
    //
    // SAFETY: `n` is at least a chunk, so both are in the region at `src`.
    let (first, last) = unsafe {
        (
            load::<Chunk>(src),
            load::<Chunk>(src.wrapping_add(n - CHUNK)),
        )
    };
    let skipped = dst.addr().wrapping_neg() % CHUNK;
    let (to, from) = (dst.wrapping_add(skipped), src.wrapping_add(skipped));
    // The last of the bytes from `to` on, one to a chunk of them, are already read.
    for i in 0..(n - skipped - 1) / CHUNK {
        // SAFETY: at least one byte follows this chunk in the regions that the
        // `# Safety` section covers.
        unsafe {
            store(
                to.wrapping_add(i * CHUNK),
                load::<Chunk>(from.wrapping_add(i * CHUNK)),
            );
        }
        fence();
    }
    // SAFETY: `n` is at least a chunk, so both are in the region at `dst`.
    unsafe {
        store(dst, first);
        store(dst.wrapping_add(n - CHUNK), last);
    }
}

/// Copies `n` bytes, the last byte first.
///
/// The regions may overlap if `dst` lies above `src`, or if `dst` ends at or before the
/// start of `src`.
///
/// # Safety
/// `src` is valid to read and `dst` to write for `n` bytes, the end of `dst` is not
/// inside the region at `src` except at its end, and `n` is at least [`CHUNK`].
#[inline]
unsafe fn copy_backward(dst: *mut u8, src: *const u8, n: usize) {
    // `copy_forward` in reverse.
    //
    // SAFETY: `n` is at least a chunk, so both are in the region at `src`.
    let (first, last) = unsafe {
        (
            load::<Chunk>(src),
            load::<Chunk>(src.wrapping_add(n - CHUNK)),
        )
    };
    // The bytes up to an aligned address. The first of them, one to a chunk of them, are
    // already read.
    let rest = n - dst.wrapping_add(n).addr() % CHUNK;
    let (to, from) = (dst.wrapping_add(rest), src.wrapping_add(rest));
    for i in 0..(rest - 1) / CHUNK {
        // SAFETY: at least one byte precedes this chunk in the regions that the
        // `# Safety` section covers.
        unsafe {
            store(
                to.wrapping_sub(i * CHUNK + CHUNK),
                load::<Chunk>(from.wrapping_sub(i * CHUNK + CHUNK)),
            );
        }
        fence();
    }
    // SAFETY: `n` is at least a chunk, so both are in the region at `dst`.
    unsafe {
        store(dst.wrapping_add(n - CHUNK), last);
        store(dst, first);
    }
}

/// Copies less than a chunk between regions that may overlap in any way.
///
/// # Safety
/// `src` is valid to read and `dst` to write for `n` bytes.
#[inline]
unsafe fn copy_short(dst: *mut u8, src: *const u8, n: usize) {
    if n >= 8 {
        // SAFETY: `n` is at least eight, and the regions are valid for `n` bytes.
        return unsafe { copy_ends::<u64>(dst, src, n) };
    }
    if n >= 4 {
        // SAFETY: `n` is at least four, and the regions are valid for `n` bytes.
        return unsafe { copy_ends::<u32>(dst, src, n) };
    }
    if n > 0 {
        // One to three bytes: the first, the middle and the last one.
        //
        // SAFETY: all three are in the regions of at least one byte that the `# Safety`
        // section covers.
        unsafe {
            let middle = load::<u8>(src.wrapping_add(n / 2));
            copy_ends::<u8>(dst, src, n);
            store(dst.wrapping_add(n / 2), middle);
        }
    }
}

/// Copies the first and the last bytes of two regions that may overlap in any way.
///
/// # Safety
/// `src` is valid to read and `dst` to write for `n` bytes, and `n` is at least the size
/// of `T`.
#[inline(always)]
unsafe fn copy_ends<T: Copy>(dst: *mut u8, src: *const u8, n: usize) {
    let last = n - size_of::<T>();
    // SAFETY: `n` is at least the size of `T`, so the first and the last bytes are in
    // the regions that the `# Safety` section covers.
    unsafe {
        let ends = (load::<T>(src), load::<T>(src.wrapping_add(last)));
        store(dst, ends.0);
        store(dst.wrapping_add(last), ends.1);
    }
}

/// Copies `n` bytes between regions that may overlap in any way.
///
/// # Safety
/// `src` is valid to read and `dst` to write for `n` bytes.
#[inline]
pub unsafe fn copy(dst: *mut u8, src: *const u8, n: usize) {
    // One comparison shows the direction: a `dst` below `src` wraps to a huge distance.
    if n < CHUNK || dst.addr().wrapping_sub(src.addr()) >= n {
        // SAFETY: both regions are valid for `n` bytes by the `# Safety` section. They
        // are short, or the comparison shows that `dst` is not inside the source.
        unsafe { copy_forward(dst, src, n) }
    } else {
        // SAFETY: both regions are valid for `n` bytes by the `# Safety` section, and
        // these are at least a chunk. `dst` starts inside the source, so it ends at the
        // source's end or beyond.
        unsafe { copy_backward(dst, src, n) }
    }
}
