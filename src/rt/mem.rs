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
//! Regions longer than a few bytes are processed one word at a time: writes are
//! aligned, reads need not be. Bytes are copied as `MaybeUninit`, as they may be
//! padding or a part of a pointer.

use core::mem::MaybeUninit;
use core::sync::atomic::{Ordering, compiler_fence};

type Byte = MaybeUninit<u8>;
type Word = MaybeUninit<usize>;

const WORD: usize = size_of::<usize>();

/// The length below which aligning the pointers costs more than it saves.
const SHORT: usize = 2 * WORD;

/// A word at any address, aligned or not.
#[repr(C, packed)]
struct Unaligned<T>(T);

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
            compiler_fence(Ordering::SeqCst);
        }
        let last = end.wrapping_sub((end.addr().wrapping_sub(dst.addr())) % WORD);
        while dst != last {
            // SAFETY: a whole number of words lies between `dst` and `last`,
            // inside the regions; `dst` is aligned, `src` is read unaligned.
            unsafe { *dst.cast::<Word>() = (*src.cast::<Unaligned<Word>>()).0 };
            dst = dst.wrapping_add(WORD);
            src = src.wrapping_add(WORD);
            compiler_fence(Ordering::SeqCst);
        }
    }
    while dst != end {
        // SAFETY: below `end`, so in the regions that the `# Safety` section covers.
        unsafe { *dst.cast::<Byte>() = *src.cast::<Byte>() };
        dst = dst.wrapping_add(1);
        src = src.wrapping_add(1);
        compiler_fence(Ordering::SeqCst);
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
            compiler_fence(Ordering::SeqCst);
        }
        let last = start.wrapping_add((dst.addr().wrapping_sub(start.addr())) % WORD);
        while dst != last {
            dst = dst.wrapping_sub(WORD);
            src = src.wrapping_sub(WORD);
            // SAFETY: a whole number of words lay between `last` and `dst`,
            // inside the regions; `dst` is aligned, `src` is read unaligned.
            unsafe { *dst.cast::<Word>() = (*src.cast::<Unaligned<Word>>()).0 };
            compiler_fence(Ordering::SeqCst);
        }
    }
    while dst != start {
        dst = dst.wrapping_sub(1);
        src = src.wrapping_sub(1);
        // SAFETY: at `start` or above, so in the regions that the `# Safety` section
        // covers.
        unsafe { *dst.cast::<Byte>() = *src.cast::<Byte>() };
        compiler_fence(Ordering::SeqCst);
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
            compiler_fence(Ordering::SeqCst);
        }
        // The value repeated in every byte of the word.
        let word = (usize::MAX / 0xff) * value as usize;
        let last = end.wrapping_sub((end.addr().wrapping_sub(dst.addr())) % WORD);
        while dst != last {
            // SAFETY: a whole number of words lies between `dst` and `last`,
            // inside the region, and `dst` is aligned.
            unsafe { *dst.cast::<usize>() = word };
            dst = dst.wrapping_add(WORD);
            compiler_fence(Ordering::SeqCst);
        }
    }
    while dst != end {
        // SAFETY: below `end`, so in the region that the `# Safety` section covers.
        unsafe { *dst = value };
        dst = dst.wrapping_add(1);
        compiler_fence(Ordering::SeqCst);
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
        compiler_fence(Ordering::SeqCst);
    }
    while a != end {
        // SAFETY: below `end`, so in the regions that the `# Safety` section covers.
        let (x, y) = unsafe { (*a, *b) };
        if x != y {
            return x as i32 - y as i32;
        }
        a = a.wrapping_add(1);
        b = b.wrapping_add(1);
        compiler_fence(Ordering::SeqCst);
    }
    0
}

/// Returns the number of bytes before the first zero byte.
///
/// # Safety
/// `string` is valid to read up to and including a zero byte.
#[inline]
pub unsafe fn length(string: *const u8) -> usize {
    let mut n = 0;
    loop {
        // SAFETY: no byte before this one was zero, so the zero byte of the `# Safety`
        // section is here or further on.
        if unsafe { *string.wrapping_add(n) } == 0 {
            return n;
        }
        n += 1;
        compiler_fence(Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::{compare, copy, copy_forward, fill, length};
    use std::vec::Vec;

    const SIZES: usize = 300;
    /// The margin before and behind the target, which must stay unchanged.
    const MARGIN: usize = 16;

    /// No two neighbours, and no two bytes a word apart, are the same.
    fn pattern(length: usize) -> Vec<u8> {
        (0..length)
            .map(|i| (i * 7 + i / 256 * 3 + 1) as u8)
            .collect()
    }

    /// A buffer whose start is aligned to 16, so that an index is an alignment.
    #[repr(align(16))]
    struct IoBuf([u8; 1024]);

    #[test]
    fn copies_between_all_alignments() {
        let source = IoBuf(pattern(1024).try_into().unwrap());
        let mut target = IoBuf([0; 1024]);
        for size in 0..=SIZES {
            for from in 0..16 {
                for to in 0..16 {
                    for function in [copy_forward, copy] {
                        target.0[..size + 3 * MARGIN].fill(0xa5);
                        let at = MARGIN + to;
                        // SAFETY: two arrays, both longer than index plus size.
                        unsafe {
                            function(
                                target.0.as_mut_ptr().add(at),
                                source.0.as_ptr().add(from),
                                size,
                            );
                        }
                        assert_eq!(target.0[at..at + size], source.0[from..from + size]);
                        assert!(target.0[..at].iter().all(|&byte| byte == 0xa5));
                        assert!(
                            target.0[at + size..size + 3 * MARGIN]
                                .iter()
                                .all(|&byte| byte == 0xa5)
                        );
                    }
                }
            }
        }
    }

    /// Tests every distance at which regions of up to `SIZES` bytes overlap, and one
    /// more, in both directions, from every alignment.
    #[test]
    fn moves_over_all_overlaps() {
        let fresh = pattern(1024);
        let mut buffer = IoBuf([0; 1024]);
        let mut expected = fresh.clone();
        for size in 0..=SIZES {
            for distance in 0..=size + 1 {
                for lower in 0..16 {
                    let (low, high) = (MARGIN + lower, MARGIN + lower + distance);
                    for (from, to) in [(low, high), (high, low)] {
                        let used = high + size + MARGIN;
                        buffer.0[..used].copy_from_slice(&fresh[..used]);
                        expected[..used].copy_from_slice(&fresh[..used]);
                        expected[to..to + size].copy_from_slice(&fresh[from..from + size]);
                        let start = buffer.0.as_mut_ptr();
                        // SAFETY: both regions are inside the buffer.
                        unsafe { copy(start.add(to), start.add(from), size) };
                        assert!(
                            buffer.0[..used] == expected[..used],
                            "{size} bytes from {from} to {to}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn fills_at_all_alignments() {
        let mut buffer = IoBuf([0; 1024]);
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            for size in 0..=SIZES {
                for to in 0..16 {
                    let at = MARGIN + to;
                    buffer.0[..size + 3 * MARGIN].fill(0x5a);
                    // SAFETY: inside the buffer.
                    unsafe { fill(buffer.0.as_mut_ptr().add(at), value, size) };
                    for (i, &byte) in buffer.0[..size + 3 * MARGIN].iter().enumerate() {
                        let inside = (at..at + size).contains(&i);
                        assert_eq!(byte, if inside { value } else { 0x5a }, "{size} at {to}");
                    }
                }
            }
        }
    }

    #[test]
    fn compares_like_slices() {
        let left = IoBuf(pattern(1024).try_into().unwrap());
        for size in 0..=SIZES {
            for a in 0..16 {
                for b in [0, 1, 7, 8, 15] {
                    let mut right = left.0[a..a + size + b].to_vec();
                    right[b..].copy_from_slice(&left.0[a..a + size]);
                    let check = |right: &[u8]| {
                        // SAFETY: both slices are at least `size` long.
                        let sign =
                            unsafe { compare(left.0.as_ptr().add(a), right[b..].as_ptr(), size) };
                        let slices = left.0[a..a + size].cmp(&right[b..]);
                        assert_eq!(sign.cmp(&0), slices, "{size} bytes at {a} and {b}");
                    };
                    check(&right);
                    // A difference at the first, a middle, the last byte, with
                    // an opposite difference behind it that must not count.
                    for at in [0, size / 2, size.saturating_sub(1)] {
                        if at < size {
                            let end = right.len() - 1;
                            let (first, last) = (right[b + at], right[end]);
                            right[end] = !last;
                            right[b + at] = first.wrapping_add(0x80);
                            check(&right);
                            right[b + at] = first.wrapping_sub(1);
                            check(&right);
                            right[end] = last;
                            right[b + at] = first;
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn compares_every_pair_of_bytes_unsigned() {
        for x in 0..=255_u8 {
            for y in 0..=255_u8 {
                // SAFETY: one byte each.
                let sign = unsafe { compare(&x, &y, 1) };
                assert_eq!(sign.cmp(&0), x.cmp(&y), "{x} and {y}");
                let (a, b) = ([9, x, 0, 0, 0, 0, 0, 0, 1], [9, y, 0xff, 0, 0, 0, 0, 0, 1]);
                // SAFETY: nine bytes each.
                let sign = unsafe { compare(a.as_ptr(), b.as_ptr(), 9) };
                assert_eq!(sign.cmp(&0), a.cmp(&b), "{x} and {y}");
            }
        }
    }

    #[test]
    fn nothing_is_touched_for_zero_bytes() {
        let (dangling, null) = (16 as *mut u8, core::ptr::null_mut());
        // SAFETY: no byte is read or written.
        unsafe {
            copy(dangling, null, 0);
            copy(null, dangling, 0);
            copy_forward(null, null, 0);
            fill(null, 1, 0);
            assert_eq!(compare(null, dangling, 0), 0);
        }
    }

    #[test]
    fn lengths() {
        for size in 0..=SIZES {
            let mut string = pattern(size);
            string.iter_mut().for_each(|byte| *byte |= 1);
            string.push(0);
            // SAFETY: the last byte is zero.
            assert_eq!(unsafe { length(string.as_ptr()) }, size);
        }
    }
}
