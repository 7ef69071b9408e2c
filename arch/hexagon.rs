//! hexagon.
//!
//! Its `asm!` is experimental: this target needs a nightly compiler.
//!
//! - Instruction: `trap0(#1)`.
//! - Number: `r6`.
//! - Arguments: `r0` to `r5`.
//! - Result: `r0`; −4095 to −1 is an error.
//! - Clobbers: none; the kernel gives back every other register. It neither uses
//!   nor saves the HVX registers, not even when it switches between threads. A
//!   second thread that uses HVX can change them at any instruction, which no
//!   clobber can express.
//! - Other registers: `r29` is the stack pointer, `r30` the frame pointer, and
//!   `r31` holds the return address.
//! - Stack: 8-byte aligned at a call (Qualcomm Hexagon Application Binary
//!   Interface).
//! - Source: the kernel's `arch/hexagon/kernel/vm_entry.S`, `vm_switch.S` and
//!   `traps.c` (`do_trap0`), `include/uapi/asm-generic/unistd.h`.

use super::{Abi, GENERIC_32, HeaderSource, Numbers};

pub(crate) use super::errno_generic as errno;

/// The kernel's `long`.
pub(crate) type Long = i32;

pub(crate) const ABIS: &[Abi] = &[ABI];

pub(crate) const ABI: Abi = Abi {
    headers: HeaderSource::GENERIC_32,
    aio: Numbers {
        abi: "hexagon",
        ..GENERIC_32.aio
    },
    stack_align: 8,
    ..GENERIC_32
};

#[cfg(target_arch = "hexagon")]
pub(crate) mod stubs {
    use core::arch::asm;

    /// Emits one `trap0` with the operands that every arity shares.
    macro_rules! trap0 {
        // The kernel reads no argument; r0 only has to be an output.
        ($number:ident) => {
            trap0!(@ $number, 0_usize)
        };
        ($number:ident, "r0": $first:ident $($rest:tt)*) => {
            trap0!(@ $number, $first $($rest)*)
        };
        (@ $number:ident, $first:expr $(, $register:tt: $argument:ident)*) => {{
            let result: isize;
            // SAFETY: the caller promises that this system call is sound with
            // these arguments. The operands name every register that the kernel
            // reads, and it changes only the result register. Nothing is
            // pushed, as `nostack` requires.
            unsafe {
                asm!(
                    "trap0(#1)",
                    in("r6") $number,
                    inlateout("r0") $first => result,
                    $(in($register) $argument,)*
                    options(nostack),
                );
            }
            result
        }};
    }

    stubs!(trap0, "r0" "r1" "r2" "r3" "r4" "r5");
}

/// Emits `_start`, the process entry. `r29`, the stack pointer, points at argc; the
/// ABI requires it 8-byte aligned. Frame pointer and return address are zeroed to
/// end the chain of frames.
#[cfg(all(feature = "rt", target_arch = "hexagon"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __process_entry {
    ($rust:path) => {
        ::core::arch::global_asm!(
            ".pushsection .text._start, \"ax\", @progbits",
            ".globl __linux_aio_start",
            ".weak _start",
            ".type __linux_aio_start, @function",
            ".type _start, @function",
            "_start:",
            "__linux_aio_start:",
            "{{ r0 = r29 }}",
            "{{ r30 = #0; r31 = #0 }}",
            "{{ r29 = and(r29, #-8) }}",
            "{{ call {rust} }}",
            "{{ trap0(#0xdb) }}",
            ".size _start, . - _start",
            ".popsection",
            rust = sym $rust,
        );
    };
}

/// Emits a function that starts a thread (see `arch/mod.rs`).
#[cfg(all(feature = "rt", target_arch = "hexagon"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __thread_start {
    ($start:path, $clone:expr, $begin:path) => {
        ::core::arch::global_asm!(
            ".pushsection .text.thread_start, \"ax\", @progbits",
            ".p2align 2",
            ".globl {start}",
            ".type {start}, @function",
            "{start}:",
            "{{ r3 = r2; r4 = r2; r6 = #{clone} }}",
            "{{ trap0(#1) }}",
            "{{ p0 = cmp.eq(r0, #0) }}",
            "{{ if (!p0) jumpr r31 }}",
            "{{ r0 = r29 }}",
            "{{ r30 = #0; r31 = #0 }}",
            "{{ call {begin} }}",
            "{{ trap0(#0xdb) }}",
            ".size {start}, . - {start}",
            ".popsection",
            start = sym $start,
            clone = const $clone,
            begin = sym $begin,
        );
    };
}
