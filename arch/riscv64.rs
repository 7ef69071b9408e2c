//! riscv64. `riscv32.rs` uses the same stubs and process entry.
//!
//! - Instruction: `ecall`.
//! - Number: `a7`.
//! - Arguments: `a0` to `a5`.
//! - Result: `a0`; −4095 to −1 is an error.
//! - Clobbers: no other integer or floating-point register. The vector
//!   registers and their state are clobbered by a system call (the kernel
//!   discards them on purpose since 6.5). So all 32 are named, in every build:
//!   a program may enable V for one function. The compiler treats `vl`, `vtype`
//!   and `vxsat` as clobbered by any `asm!`.
//! - Stack: 16-byte aligned at a call (RISC-V ELF psABI, "Integer Calling
//!   Convention").
//! - Source: the kernel's `arch/riscv/kernel/entry.S`,
//!   `Documentation/arch/riscv/vector.rst` and
//!   `include/uapi/asm-generic/unistd.h`.

use super::{Abi, GENERIC_64, HeaderSource, Numbers, Relative};

pub(crate) use super::errno_generic as errno;

/// The kernel's `long`.
pub(crate) type Long = i64;

pub(crate) const ABIS: &[Abi] = &[ABI];

pub(crate) const ABI: Abi = Abi {
    headers: HeaderSource::new("riscv", "-m64", &["__riscv_xlen=64"]),
    aio: Numbers {
        abi: "riscv64",
        ..GENERIC_64.aio
    },
    stack_align: 16,
    relative: Relative::Rela(3),
    ..GENERIC_64
};

#[cfg(any(target_arch = "riscv32", target_arch = "riscv64"))]
pub(crate) mod stubs {
    use core::arch::asm;

    /// Emits one `ecall` with the operands that every arity shares.
    macro_rules! ecall {
        // The kernel reads no argument; a0 only has to be an output.
        ($number:ident) => {
            ecall!(@ $number, 0_usize)
        };
        ($number:ident, "a0": $first:ident $($rest:tt)*) => {
            ecall!(@ $number, $first $($rest)*)
        };
        (@ $number:ident, $first:expr $(, $register:tt: $argument:ident)*) => {{
            let result: isize;
            // SAFETY: the caller promises that this system call is sound with
            // these arguments. The operands name every register that the kernel
            // reads and every one that it changes (see the top of this file).
            // Nothing is pushed, as `nostack` requires.
            unsafe {
                asm!(
                    "ecall",
                    in("a7") $number,
                    inlateout("a0") $first => result,
                    $(in($register) $argument,)*
                    lateout("v0") _, lateout("v1") _, lateout("v2") _, lateout("v3") _,
                    lateout("v4") _, lateout("v5") _, lateout("v6") _, lateout("v7") _,
                    lateout("v8") _, lateout("v9") _, lateout("v10") _, lateout("v11") _,
                    lateout("v12") _, lateout("v13") _, lateout("v14") _, lateout("v15") _,
                    lateout("v16") _, lateout("v17") _, lateout("v18") _, lateout("v19") _,
                    lateout("v20") _, lateout("v21") _, lateout("v22") _, lateout("v23") _,
                    lateout("v24") _, lateout("v25") _, lateout("v26") _, lateout("v27") _,
                    lateout("v28") _, lateout("v29") _, lateout("v30") _, lateout("v31") _,
                    options(nostack),
                );
            }
            result
        }};
    }

    stubs!(ecall, "a0" "a1" "a2" "a3" "a4" "a5");
}

/// Emits `_start`, the process entry. `sp` points at argc and is 16-byte aligned. The
/// global pointer is set before any code that the linker may have relaxed to use it.
#[cfg(all(feature = "rt", any(target_arch = "riscv32", target_arch = "riscv64")))]
#[doc(hidden)]
#[macro_export]
macro_rules! __process_entry {
    ($rust:path) => {
        ::core::arch::global_asm!(
            ".pushsection .text._start, \"ax\", @progbits",
            ".p2align 2",
            ".globl __linux_aio_start",
            ".weak _start",
            ".type __linux_aio_start, @function",
            ".type _start, @function",
            "_start:",
            "__linux_aio_start:",
            ".cfi_startproc",
            ".cfi_undefined ra",
            ".option push",
            ".option norelax",
            "la gp, __global_pointer$",
            ".option pop",
            "li s0, 0",
            "li ra, 0",
            "mv a0, sp",
            "andi sp, sp, -16",
            "call {rust}",
            "ebreak",
            ".cfi_endproc",
            ".size _start, . - _start",
            ".popsection",
            rust = sym $rust,
        );
    };
}

/// Emits a function that starts a thread (see `arch/mod.rs`). The child keeps the
/// global pointer.
#[cfg(all(feature = "rt", any(target_arch = "riscv32", target_arch = "riscv64")))]
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
            "mv a3, a2",
            "mv a4, a2",
            "li a7, {clone}",
            "ecall",
            "beqz a0, 2f",
            "ret",
            "2:",
            "li s0, 0",
            "li ra, 0",
            "mv a0, sp",
            "call {begin}",
            "ebreak",
            ".size {start}, . - {start}",
            ".popsection",
            start = sym $start,
            clone = const $clone,
            begin = sym $begin,
        );
    };
}
