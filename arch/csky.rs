//! csky (ABI v2).
//!
//! Its `asm!` is experimental: this target needs a nightly compiler.
//!
//! - Instruction: `trap32 0`.
//! - Number: `r7`, which cannot be an operand: the stubs keep it in `r12`.
//! - Arguments: `r0` to `r5`.
//! - Result: `r0`; −4095 to −1 is an error. A number beyond the kernel's table
//!   is none: the first argument comes back. Of ours that is
//!   io_pgetevents_time64, before Linux 5.1.
//! - Clobbers: none; the kernel gives back every other register. It uses no
//!   floating-point or VDSP register, and saves them when it switches.
//! - Nothing here has a linker or an emulator for it: it was compiled, and its
//!   bytes were read.
//! - Source: the kernel's `arch/csky/kernel/entry.S` (`csky_systemcall`),
//!   `arch/csky/abiv2/inc/abi/entry.h`, `arch/csky/abiv2/fpu.c`
//!   (`save_to_user_fp`) and `include/uapi/asm-generic/unistd.h`.

use super::{Abi, GENERIC_32, Numbers};

pub(crate) use super::errno_generic as errno;

/// The kernel's `long`.
pub(crate) type Long = i32;

pub(crate) const ABIS: &[Abi] = &[ABI];

pub(crate) const ABI: Abi = Abi {
    aio: Numbers {
        abi: "csky",
        ..GENERIC_32.aio
    },
    ..GENERIC_32
};

#[cfg(target_arch = "csky")]
pub(crate) mod stubs {
    use core::arch::asm;

    /// One `trap32`, with the operands that every arity shares.
    macro_rules! trap32 {
        // The kernel reads no argument; r0 only has to be an output.
        ($number:ident) => {
            trap32!(@ $number, 0_usize)
        };
        ($number:ident, "r0": $first:ident $($rest:tt)*) => {
            trap32!(@ $number, $first $($rest)*)
        };
        (@ $number:ident, $first:expr $(, $register:tt: $argument:ident)*) => {{
            let result: isize;
            // SAFETY: the caller vouches for the call itself. `r7` is given
            // back before the compiler can look at it; the other operands are
            // all that the kernel reads, `r0` all that it changes; nothing is
            // pushed.
            unsafe {
                asm!(
                    "mov16 r12, r7",
                    "mov16 r7, r13",
                    "trap32 0",
                    "mov16 r7, r12",
                    in("r13") $number,
                    inlateout("r0") $first => result,
                    $(in($register) $argument,)*
                    out("r12") _,
                    options(nostack),
                );
            }
            result
        }};
    }

    stubs!(trap32, "r0" "r1" "r2" "r3" "r4" "r5");
}

/// Process entry: `r14`, the stack pointer, points at argc. Frame pointer and
/// return address are zeroed: the chain of frames ends here.
#[cfg(all(feature = "rt", target_arch = "csky"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __process_entry {
    ($rust:path) => {
        ::core::arch::global_asm!(
            ".pushsection .text._start, \"ax\", @progbits",
            ".globl _start",
            ".type _start, @function",
            "_start:",
            "movi16 r0, 0",
            "mov16 r8, r0",
            "mov16 r15, r0",
            "mov16 r0, r14",
            "bsr {rust}",
            "bkpt",
            ".size _start, . - _start",
            ".popsection",
            rust = sym $rust,
        );
    };
}
