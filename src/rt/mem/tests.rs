//! Tests both implementations wherever they compile, against functions of the standard
//! library.

extern crate std;

use std::vec::Vec;

macro_rules! tests {
    ($($implementation:ident)+) => {$(
        mod $implementation {
            use super::Functions;
            use crate::rt::mem::$implementation::{compare, copy, copy_forward, fill, length};

            const FUNCTIONS: Functions = Functions {
                compare,
                copy,
                copy_forward,
                fill,
                length,
            };

            #[test]
            fn copies_between_all_alignments() {
                super::copies_between_all_alignments(FUNCTIONS);
            }

            #[test]
            fn moves_over_all_overlaps() {
                super::moves_over_all_overlaps(FUNCTIONS);
            }

            #[test]
            fn fills_at_all_alignments() {
                super::fills_at_all_alignments(FUNCTIONS);
            }

            #[test]
            fn compares_like_slices() {
                super::compares_like_slices(FUNCTIONS);
            }

            #[test]
            fn compares_every_pair_of_bytes_unsigned() {
                super::compares_every_pair_of_bytes_unsigned(FUNCTIONS);
            }

            #[test]
            fn nothing_is_touched_for_zero_bytes() {
                super::nothing_is_touched_for_zero_bytes(FUNCTIONS);
            }

            #[test]
            fn lengths() {
                super::lengths(FUNCTIONS);
            }

            #[test]
            fn lengths_at_all_alignments() {
                super::lengths_at_all_alignments(FUNCTIONS);
            }

            #[test]
            fn random_calls_match_the_standard_library() {
                super::random_calls_match_the_standard_library(FUNCTIONS);
            }

            #[test]
            #[cfg(target_os = "linux")]
            fn guard_pages_are_not_touched() {
                super::guard_pages_are_not_touched(FUNCTIONS);
            }
        }
    )+};
}

cfg_if::cfg_if! {
    if #[cfg(any(
        target_feature = "sse2",
        all(target_feature = "neon", target_pointer_width = "64"),
    ))] {
        tests! { vectors words }
    } else {
        tests! { words }
    }
}

type Copy = unsafe fn(*mut u8, *const u8, usize);

/// The functions of an implementation.
#[derive(Clone, Copy)]
struct Functions {
    compare: unsafe fn(*const u8, *const u8, usize) -> i32,
    copy: Copy,
    copy_forward: Copy,
    fill: unsafe fn(*mut u8, u8, usize),
    length: unsafe fn(*const u8) -> usize,
}

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

fn copies_between_all_alignments(is: Functions) {
    let source = IoBuf(pattern(1024).try_into().unwrap());
    let mut target = IoBuf([0; 1024]);
    for size in 0..=SIZES {
        for from in 0..16 {
            for to in 0..16 {
                for function in [is.copy_forward, is.copy] {
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
fn moves_over_all_overlaps(is: Functions) {
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
                    unsafe { (is.copy)(start.add(to), start.add(from), size) };
                    assert!(
                        buffer.0[..used] == expected[..used],
                        "{size} bytes from {from} to {to}"
                    );
                }
            }
        }
    }
}

fn fills_at_all_alignments(is: Functions) {
    let mut buffer = IoBuf([0; 1024]);
    for value in [0, 1, 0x7f, 0x80, 0xff] {
        for size in 0..=SIZES {
            for to in 0..16 {
                let at = MARGIN + to;
                buffer.0[..size + 3 * MARGIN].fill(0x5a);
                // SAFETY: inside the buffer.
                unsafe { (is.fill)(buffer.0.as_mut_ptr().add(at), value, size) };
                for (i, &byte) in buffer.0[..size + 3 * MARGIN].iter().enumerate() {
                    let inside = (at..at + size).contains(&i);
                    assert_eq!(byte, if inside { value } else { 0x5a }, "{size} at {to}");
                }
            }
        }
    }
}

fn compares_like_slices(is: Functions) {
    let left = IoBuf(pattern(1024).try_into().unwrap());
    for size in 0..=SIZES {
        for a in 0..16 {
            for b in [0, 1, 7, 8, 15] {
                let mut right = left.0[a..a + size + b].to_vec();
                right[b..].copy_from_slice(&left.0[a..a + size]);
                let check = |right: &[u8]| {
                    // SAFETY: both slices are at least `size` long.
                    let sign =
                        unsafe { (is.compare)(left.0.as_ptr().add(a), right[b..].as_ptr(), size) };
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

fn compares_every_pair_of_bytes_unsigned(is: Functions) {
    for x in 0..=255_u8 {
        for y in 0..=255_u8 {
            // SAFETY: one byte each.
            let sign = unsafe { (is.compare)(&x, &y, 1) };
            assert_eq!(sign.cmp(&0), x.cmp(&y), "{x} and {y}");
            let (a, b) = ([9, x, 0, 0, 0, 0, 0, 0, 1], [9, y, 0xff, 0, 0, 0, 0, 0, 1]);
            // SAFETY: nine bytes each.
            let sign = unsafe { (is.compare)(a.as_ptr(), b.as_ptr(), 9) };
            assert_eq!(sign.cmp(&0), a.cmp(&b), "{x} and {y}");
        }
    }
}

fn nothing_is_touched_for_zero_bytes(is: Functions) {
    let (dangling, null) = (16 as *mut u8, core::ptr::null_mut());
    // SAFETY: no byte is read or written.
    unsafe {
        (is.copy)(dangling, null, 0);
        (is.copy)(null, dangling, 0);
        (is.copy_forward)(null, null, 0);
        (is.fill)(null, 1, 0);
        assert_eq!((is.compare)(null, dangling, 0), 0);
    }
}

fn lengths(is: Functions) {
    for size in 0..=SIZES {
        let mut string = pattern(size);
        string.iter_mut().for_each(|byte| *byte |= 1);
        string.push(0);
        // SAFETY: the last byte is zero.
        assert_eq!(unsafe { (is.length)(string.as_ptr()) }, size);
    }
}

/// The bytes before the string are zero in turn, and so are those behind its end.
fn lengths_at_all_alignments(is: Functions) {
    let mut buffer = IoBuf([0; 1024]);
    for size in 0..=SIZES {
        for at in 0..80 {
            for around in [0, 1] {
                buffer.0.fill(around);
                buffer.0[at..at + size].fill(0x80);
                buffer.0[at + size] = 0;
                // SAFETY: the buffer has a zero byte at `at + size`.
                let length = unsafe { (is.length)(buffer.0.as_ptr().add(at)) };
                assert_eq!(length, size, "at {at}");
            }
        }
    }
}

/// A generator of numbers (xorshift64).
struct Random(u64);

impl Random {
    /// Returns a number below a limit.
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }

    /// Returns a size: each order of magnitude is as likely.
    fn size(&mut self) -> usize {
        let order = self.below(14);
        self.below(1 << order)
    }
}

fn random_calls_match_the_standard_library(is: Functions) {
    const SPACE: usize = 40_000;
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut buffer = pattern(SPACE);
    let mut expected = buffer.clone();
    for _ in 0..3000 {
        let size = random.size();
        let from = random.below(SPACE - size);
        // Close to the source, or anywhere.
        let to = match random.below(2) {
            0 => (from + random.below(300)).saturating_sub(150),
            _ => random.below(SPACE - size),
        };
        let to = to.min(SPACE - size - 1);
        let start = buffer.as_mut_ptr();
        let value = random.below(256) as u8;
        // SAFETY: both regions are inside the buffer. For `copy_forward` the target does
        // not begin inside the source.
        unsafe {
            match random.below(3) {
                0 => {
                    (is.fill)(start.add(to), value, size);
                    expected[to..to + size].fill(value);
                }
                1 if to <= from || to >= from + size => {
                    (is.copy_forward)(start.add(to), start.add(from), size);
                    expected.copy_within(from..from + size, to);
                }
                _ => {
                    (is.copy)(start.add(to), start.add(from), size);
                    expected.copy_within(from..from + size, to);
                }
            }
            assert!(buffer == expected, "{size} bytes from {from} to {to}");
            let (a, b) = (&expected[from..from + size], &expected[to..to + size]);
            let sign = (is.compare)(a.as_ptr(), b.as_ptr(), size);
            assert_eq!(sign.cmp(&0), a.cmp(b), "{size} bytes at {from} and {to}");
        }
        // No long runs of one value: they would hide a wrong place.
        for _ in 0..size / 8 {
            let at = random.below(SPACE);
            buffer[at] = random.below(256) as u8;
            expected[at] = buffer[at];
        }
    }
}

/// Two readable and writable pages between two that fault.
#[cfg(target_os = "linux")]
struct Guarded {
    start: *mut u8,
    page: usize,
}

#[cfg(target_os = "linux")]
impl Guarded {
    fn new() -> Guarded {
        // SAFETY: a new mapping; `mprotect` changes pages of this mapping only.
        unsafe {
            let page = libc::sysconf(libc::_SC_PAGESIZE) as usize;
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            let none = core::ptr::null_mut();
            let map = libc::mmap(none, 4 * page, libc::PROT_NONE, flags, -1, 0);
            assert_ne!(map, libc::MAP_FAILED);
            let start = map.cast::<u8>().add(page);
            let access = libc::PROT_READ | libc::PROT_WRITE;
            assert_eq!(libc::mprotect(start.cast(), 2 * page, access), 0);
            Guarded { start, page }
        }
    }

    /// Returns the first place of a region that touches the first or the last byte.
    fn place(&self, size: usize, at_end: bool) -> *mut u8 {
        let offset = if at_end { 2 * self.page - size } else { 0 };
        self.start.wrapping_add(offset)
    }
}

#[cfg(target_os = "linux")]
impl Drop for Guarded {
    fn drop(&mut self) {
        // SAFETY: the mapping that `new` made, to which no pointer remains.
        let done = unsafe {
            let map = self.start.wrapping_sub(self.page);
            libc::munmap(map.cast(), 4 * self.page)
        };
        assert_eq!(done, 0);
    }
}

/// Every function at the first and the last bytes of a mapping, in every combination for
/// two regions. A byte that it accesses outside faults.
#[cfg(target_os = "linux")]
fn guard_pages_are_not_touched(is: Functions) {
    let (left, right) = (Guarded::new(), Guarded::new());
    let sizes = (0..=SIZES).chain([1000, 4079, 4080, 4095, 4096, 4097, 8000]);
    for size in sizes.filter(|size| *size < 2 * left.page) {
        for (a, b) in [(false, false), (false, true), (true, false), (true, true)] {
            let (a, b) = (left.place(size, a), right.place(size, b));
            // SAFETY: both regions are inside their mapping, and a string ends inside.
            unsafe {
                (is.fill)(a, 0x5a, size);
                (is.copy_forward)(b, a, size);
                assert_eq!((is.compare)(a, b, size), 0, "{size} bytes");
                (is.fill)(b, 0xa5, size);
                assert_eq!((is.compare)(a, b, size).signum(), -i32::from(size != 0));
                (is.copy)(a, b, size);
                assert_eq!((is.compare)(a, b, size), 0, "{size} bytes");
                if let Some(last) = size.checked_sub(1) {
                    *b.add(last) = 0;
                    assert_eq!((is.length)(b), last);
                    // Regions that overlap, in both directions.
                    (is.copy)(a, a.add(1), last);
                    (is.copy)(a.add(1), a, last);
                }
            }
        }
    }
}
