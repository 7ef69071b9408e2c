//! loongarch64.
//!
//! - Instruction: `syscall 0`.
//! - Number: `$a7`.
//! - Arguments: `$a0` to `$a5`.
//! - Result: `$a0`; −4095 to −1 is an error.
//! - Clobbers: `$t0` to `$t8`, which the kernel does not save. It gives back
//!   every other integer register, and saves the floating-point and vector
//!   registers (LSX, LASX) whole before it uses them itself.
//! - Stack: 16-byte aligned at a call (LoongArch Procedure Call Standard).
//! - Source: the kernel's `arch/loongarch/kernel/entry.S` (`handle_syscall`),
//!   `arch/loongarch/kernel/kfpu.c` and `include/uapi/asm-generic/unistd.h`.

use super::{Abi, GENERIC_64, HeaderSource, Numbers, Relative};

pub(crate) use super::errno_generic as errno;

/// The kernel's `long`.
pub(crate) type Long = i64;

pub(crate) const ABIS: &[Abi] = &[ABI];

pub(crate) const ABI: Abi = Abi {
    headers: HeaderSource::new("loongarch", "-m64", &["__loongarch__"]),
    aio: Numbers {
        abi: "loongarch64",
        ..GENERIC_64.aio
    },
    stack_align: 16,
    relative: Relative::Rela(3),
    ..GENERIC_64
};

#[cfg(target_arch = "loongarch64")]
pub(crate) mod stubs {
    use core::arch::asm;

    /// Emits one `syscall 0` with the operands that every arity shares.
    macro_rules! syscall {
        // The kernel reads no argument; $a0 only has to be an output.
        ($number:ident) => {
            syscall!(@ $number, 0_usize)
        };
        ($number:ident, "$a0": $first:ident $($rest:tt)*) => {
            syscall!(@ $number, $first $($rest)*)
        };
        (@ $number:ident, $first:expr $(, $register:tt: $argument:ident)*) => {{
            let result: isize;
            // SAFETY: the caller promises that this system call is sound with
            // these arguments. The operands name every register that the kernel
            // reads and every one that it changes (see the top of this file).
            // Nothing is pushed, as `nostack` requires.
            unsafe {
                asm!(
                    "syscall 0",
                    in("$a7") $number,
                    inlateout("$a0") $first => result,
                    $(in($register) $argument,)*
                    lateout("$t0") _, lateout("$t1") _, lateout("$t2") _,
                    lateout("$t3") _, lateout("$t4") _, lateout("$t5") _,
                    lateout("$t6") _, lateout("$t7") _, lateout("$t8") _,
                    options(nostack),
                );
            }
            result
        }};
    }

    stubs!(syscall, "$a0" "$a1" "$a2" "$a3" "$a4" "$a5");
}

/// Emits `_start`, the process entry. `$sp` points at argc; the ABI requires it
/// 16-byte aligned. The frame pointer is zeroed to end the chain of frames.
#[cfg(all(feature = "rt", target_arch = "loongarch64"))]
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
            ".cfi_undefined 1",
            "move $fp, $zero",
            "move $a0, $sp",
            "bstrins.d $sp, $zero, 3, 0",
            "bl {rust}",
            "break 0",
            ".cfi_endproc",
            ".size _start, . - _start",
            ".popsection",
            rust = sym $rust,
        );
    };
}

/// Emits a function that starts a thread (see `arch/mod.rs`).
#[cfg(all(feature = "rt", target_arch = "loongarch64"))]
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
            "move $a3, $a2",
            "move $a4, $a2",
            "li.w $a7, {clone}",
            "syscall 0",
            "beqz $a0, 2f",
            "ret",
            "2:",
            "move $fp, $zero",
            "move $a0, $sp",
            "bl {begin}",
            "break 0",
            ".size {start}, . - {start}",
            ".popsection",
            start = sym $start,
            clone = const $clone,
            begin = sym $begin,
        );
    };
}
