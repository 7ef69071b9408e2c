//! Registers: the registers that are live around a stub must be unchanged after it.
//!
//! Each function holds more values than the machine has registers of a class. So the
//! compiler fills every register that it assumes to survive the system call, and keeps
//! the remaining values in memory. Then come the system call, inlined, and the
//! comparison. A register that the system call changes and that the stub does not
//! declare as clobbered then holds a wrong value. This holds for optimised builds only:
//! in other builds all values live in memory.
//!
//! Condition codes are checked too: a comparison made before the system call must
//! decide a branch after it.
//!
//! Not covered: the registers reserved by the compiler (stack, frame, global, thread),
//! the parts of vectors beyond 128 bits, and vectors at all where the language has no
//! stable type for them (for SVE and V, see [`scalable`](crate::scalable)). Single
//! floats lie in the same registers as doubles. QEMU's user mode changes only the
//! result and the error flag: other changes occur only under a kernel.

use core::hint::black_box;

use linux_aio::syscall::{syscall0, syscall1, syscall2, syscall3, syscall4, syscall5, syscall6};

use crate::check::Check;
use crate::nr;

/// Values of a class of registers. Any number of different ones can be made.
trait Value: Copy {
    fn new(index: u32) -> Self;
    fn same(self, other: Self) -> bool;
}

impl Value for usize {
    #[inline(always)]
    fn new(index: u32) -> usize {
        // Every byte of every value differs from its neighbours.
        (0x0123_4567_89ab_cdef_u64 as usize).wrapping_add(index as usize * (usize::MAX / 0xff))
    }

    #[inline(always)]
    fn same(self, other: usize) -> bool {
        self == other
    }
}

impl Value for f64 {
    #[inline(always)]
    fn new(index: u32) -> f64 {
        // From bits: converting an integer to a double is a function call on some
        // targets.
        f64::from_bits(0x3ff8_0123_4567_89ab + u64::from(index))
    }

    #[inline(always)]
    fn same(self, other: f64) -> bool {
        // Compares bits, which is stricter, and which LLVM compiles correctly for the
        // sixth release of MIPS.
        self.to_bits() == other.to_bits()
    }
}

#[cfg(target_arch = "x86_64")]
mod vector {
    pub(super) use core::arch::x86_64::__m128i as Vector;
    use core::arch::x86_64::{_mm_cmpeq_epi8, _mm_movemask_epi8, _mm_set_epi64x};

    #[inline(always)]
    pub(super) fn new(index: i64) -> Vector {
        // SAFETY: every x86_64 target of Linux has SSE2.
        unsafe { _mm_set_epi64x(0x1122_3344_5566_7788 ^ index, 0x0fed_cba9_8765_4321 + index) }
    }

    #[inline(always)]
    pub(super) fn same(one: Vector, other: Vector) -> bool {
        // SAFETY: every x86_64 target of Linux has SSE2.
        unsafe { _mm_movemask_epi8(_mm_cmpeq_epi8(one, other)) == 0xffff }
    }
}

#[cfg(target_arch = "aarch64")]
mod vector {
    pub(super) use core::arch::aarch64::uint64x2_t as Vector;
    use core::arch::aarch64::{vceqq_u64, vcombine_u64, vcreate_u64, vgetq_lane_u64};

    #[inline(always)]
    pub(super) fn new(index: i64) -> Vector {
        let index = index as u64;
        // SAFETY: every aarch64 target of Linux has NEON.
        unsafe {
            vcombine_u64(
                vcreate_u64(0x1122_3344_5566_7788 ^ index),
                vcreate_u64(0x0fed_cba9_8765_4321 + index),
            )
        }
    }

    #[inline(always)]
    pub(super) fn same(one: Vector, other: Vector) -> bool {
        // SAFETY: every aarch64 target of Linux has NEON.
        let lanes = unsafe {
            let equal = vceqq_u64(one, other);
            vgetq_lane_u64::<0>(equal) & vgetq_lane_u64::<1>(equal)
        };
        lanes == u64::MAX
    }
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
impl Value for vector::Vector {
    #[inline(always)]
    fn new(index: u32) -> Self {
        vector::new(index.into())
    }

    #[inline(always)]
    fn same(self, other: Self) -> bool {
        vector::same(self, other)
    }
}

/// Fills the array with the expected values. It works through a pointer: LLVM
/// miscompiles an array on the stack that is written by index for m68k.
#[inline(never)]
fn fill<T: Value>(values: &mut [T; COUNT]) {
    for (index, value) in (0..).zip(values) {
        *value = T::new(index);
    }
}

/// Returns the number of values that have changed.
#[inline(never)]
fn lost<T: Value>(after: &[T; COUNT]) -> u32 {
    let mut lost = 0;
    for (index, &value) in (0..).zip(black_box(after)) {
        lost += u32::from(!value.same(T::new(index)));
    }
    lost
}

/// Runs the expression while each of the names holds a live value of the type.
/// Evaluates to the number of values that have changed.
macro_rules! keep {
    ($value:ty, $call:expr, $($name:ident)+) => {{
        let mut values = [<$value>::new(0); COUNT];
        fill(&mut values);
        // Volatile, so that each value is read once, before the system call, and
        // written after it: in between it has no copy in memory.
        let next = values.as_ptr();
        $(
            // SAFETY: `next` points into `values`, which has as many elements as there
            // are names.
            let ($name, next) = unsafe { (next.read_volatile(), next.add(1)) };
        )+
        let _ = next;
        black_box($call);
        let next = values.as_mut_ptr();
        $(
            // SAFETY: `next` points into `values`, which has as many elements as there
            // are names.
            let next = unsafe {
                next.write_volatile($name);
                next.add(1)
            };
        )+
        let _ = next;
        lost(&values)
    }};
}

/// Defines a function for each arity and one class of registers, and one that runs
/// them. Arguments and numbers are opaque to the compiler too, so that they take
/// registers.
macro_rules! class {
    ($module:ident, $value:ty, $name:literal, $($local:ident)+) => {
        mod $module {
            use super::*;

            pub(super) fn run(check: &mut Check) {
                check.equal(concat!("registers ", $name, " 0"), none(), 0);
                check.equal(concat!("registers ", $name, " 1"), one(), 0);
                check.equal(concat!("registers ", $name, " 2"), two(), 0);
                check.equal(concat!("registers ", $name, " 3"), three(), 0);
                check.equal(concat!("registers ", $name, " 4"), four(), 0);
                check.equal(concat!("registers ", $name, " 5"), five(), 0);
                check.equal(concat!("registers ", $name, " 6"), six(), 0);
            }

            #[inline(never)]
            fn none() -> u32 {
                let n = nr::__NR_getpid as usize;
                // SAFETY: getpid touches no memory.
                keep!($value, unsafe { syscall0(n) }, $($local)+)
            }

            #[inline(never)]
            fn one() -> u32 {
                let n = nr::__NR_close as usize;
                // SAFETY: the descriptor does not exist, so nothing is closed.
                keep!($value, unsafe { syscall1(n, usize::MAX) }, $($local)+)
            }

            #[inline(never)]
            fn two() -> u32 {
                let n = nr::__NR_munmap as usize;
                // SAFETY: the kernel refuses a length of zero.
                keep!($value, unsafe { syscall2(n, 0, 0) }, $($local)+)
            }

            #[inline(never)]
            fn three() -> u32 {
                let n = nr::__NR_read as usize;
                // SAFETY: the descriptor does not exist and the length is zero, so no
                // memory is written.
                keep!($value, unsafe { syscall3(n, usize::MAX, 0, 0) }, $($local)+)
            }

            #[inline(never)]
            fn four() -> u32 {
                let n = nr::__NR_rt_sigprocmask as usize;
                let size = linux_aio::SigSet::BYTES;
                // SAFETY: both pointers are null: the call neither sets nor stores a
                // mask.
                keep!($value, unsafe { syscall4(n, 0, 0, 0, size) }, $($local)+)
            }

            #[inline(never)]
            fn five() -> u32 {
                let n = nr::__NR_mremap as usize;
                // SAFETY: the kernel refuses the address, which is not aligned to a
                // page.
                keep!($value, unsafe { syscall5(n, 1, 0, 0, 0, 0) }, $($local)+)
            }

            #[inline(never)]
            fn six() -> u32 {
                let n = nr::__NR_copy_file_range as usize;
                let none = usize::MAX;
                // SAFETY: the descriptors do not exist, so nothing is copied.
                keep!($value, unsafe { syscall6(n, none, 0, none, 0, 0, 0) }, $($local)+)
            }
        }
    };
}

/// Defines the classes, with as many values in each as there are names.
macro_rules! classes {
    ($($name:ident)+) => {
        const COUNT: usize = [$(stringify!($name)),+].len();

        class! { integers, usize, "integers", $($name)+ }
        class! { doubles, f64, "doubles", $($name)+ }
        #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
        class! { vectors, vector::Vector, "vectors", $($name)+ }
    };
}

// Two more than there are registers.
#[cfg(any(
    target_arch = "x86",
    target_arch = "x86_64",
    target_arch = "s390x",
    target_arch = "m68k"
))]
classes! { a b c d e f g h i j k l m n o p q r }
#[cfg(not(any(
    target_arch = "x86",
    target_arch = "x86_64",
    target_arch = "s390x",
    target_arch = "m68k"
)))]
classes! { a b c d e f g h i j k l m n o p q r s t u v w x y z aa ab ac ad ae af ag ah }

/// Returns whether `a < b`: compared before a system call that succeeds, and decided
/// after it by a branch.
#[inline(never)]
fn less_past_success(a: usize, b: usize) -> bool {
    let less = a < b;
    // SAFETY: getpid touches no memory.
    let result = unsafe { syscall0(nr::__NR_getpid as usize) };
    if less { yes(result) } else { no(result) }
}

/// Returns the same after a system call that fails: architectures with an error flag
/// set it.
#[inline(never)]
fn less_past_failure(a: usize, b: usize) -> bool {
    let less = a < b;
    // SAFETY: the descriptor does not exist, so nothing is closed.
    let result = unsafe { syscall1(nr::__NR_close as usize, usize::MAX) };
    if less { yes(result) } else { no(result) }
}

// Functions, so that there is a branch, and nothing between the system call and the
// branch: where the compiler is free to, it then compares first.
#[inline(never)]
fn yes(result: isize) -> bool {
    black_box((result, true)).1
}

#[inline(never)]
fn no(result: isize) -> bool {
    black_box((result, false)).1
}

fn comparisons(check: &mut Check) {
    let (one, two) = (black_box(1), black_box(2));
    check.holds(
        "registers flags: less, success",
        less_past_success(one, two),
    );
    check.holds(
        "registers flags: more, success",
        !less_past_success(two, one),
    );
    check.holds(
        "registers flags: less, failure",
        less_past_failure(one, two),
    );
    check.holds(
        "registers flags: more, failure",
        !less_past_failure(two, one),
    );
}

pub(crate) fn run(check: &mut Check) {
    comparisons(check);
    integers::run(check);
    doubles::run(check);
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    vectors::run(check);
}
