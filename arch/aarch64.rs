//! aarch64, both byte orders.
//!
//! - Instruction: `svc #0`.
//! - Number: `x8`.
//! - Arguments: `x0` to `x5`.
//! - Result: `x0`; −4095 to −1 is an error.
//! - Clobbers: no general register and no flag. Of SVE, a system call keeps
//!   the low 128 bits of each vector and clobbers the rest, `p0` to `p15` and
//!   `ffr`. `asm!` has no name for a part of a vector, so all of `v0` to `v31`
//!   are named (`z0` to `z31` with them), and a function that holds a stub
//!   saves `d8` to `d15`. `ffr` is not named: the compiler keeps no value in
//!   it. SME: streaming mode, in which no Rust function is compiled, ends;
//!   `za` and `zt0` are kept.
//! - ILP32 (32-bit pointers) builds and links. No mainline kernel and no
//!   emulator runs it, so its numbers and calls are untested.
//! - Stack: 16-byte aligned at a call (Procedure Call Standard for the Arm
//!   64-bit Architecture, "Stack constraints at a public interface").
//! - Source: the kernel's `arch/arm64/kernel/entry.S`,
//!   `Documentation/arch/arm64/sve.rst` and `sme.rst` ("System call
//!   behaviour"), and `include/uapi/asm-generic/unistd.h`.

use super::{Abi, GENERIC_64, HeaderSource, Numbers, Relative, SignalAbi};

pub(crate) use super::errno_generic as errno;

/// The kernel's `long`.
pub(crate) type Long = i64;

pub(crate) const ABIS: &[Abi] = &[ABI];

pub(crate) const ABI: Abi = Abi {
    headers: HeaderSource::new("arm64", "-m64", &["__aarch64__"]),
    aio: Numbers {
        abi: "aarch64",
        ..GENERIC_64.aio
    },
    stack_align: 16,
    // ILP32 has another set of relocations.
    relative: if cfg!(target_pointer_width = "64") {
        Relative::Rela(1027)
    } else {
        Relative::None
    },
    signals: SignalAbi::WITH_RESTORER,
    ..GENERIC_64
};

#[cfg(target_arch = "aarch64")]
pub(crate) mod stubs {
    use core::arch::asm;

    /// Emits one `svc`. Registers are 64 bits wide on ILP32 too, so arguments are
    /// passed as `u64` (zero-extended on ILP32) and the result is truncated to
    /// `isize`. The SVE registers are named in every build, because a program may
    /// enable SVE for one function, into which the stub is inlined.
    macro_rules! svc {
        // The kernel reads no argument; x0 only has to be an output.
        ($number:ident) => {
            svc!(@ $number, 0_usize)
        };
        ($number:ident, "x0": $first:ident $($rest:tt)*) => {
            svc!(@ $number, $first $($rest)*)
        };
        (@ $number:ident, $first:expr $(, $register:tt: $argument:ident)*) => {{
            let result: u64;
            // SAFETY: the caller promises that this system call is sound with
            // these arguments. The operands name every register that the kernel
            // reads and every one that it changes (see the top of this file).
            // Nothing is pushed, as `nostack` requires.
            unsafe {
                asm!(
                    "svc #0",
                    in("x8") $number as u64,
                    inlateout("x0") $first as u64 => result,
                    $(in($register) $argument as u64,)*
                    lateout("v0") _, lateout("v1") _, lateout("v2") _, lateout("v3") _,
                    lateout("v4") _, lateout("v5") _, lateout("v6") _, lateout("v7") _,
                    lateout("v8") _, lateout("v9") _, lateout("v10") _, lateout("v11") _,
                    lateout("v12") _, lateout("v13") _, lateout("v14") _, lateout("v15") _,
                    lateout("v16") _, lateout("v17") _, lateout("v18") _, lateout("v19") _,
                    lateout("v20") _, lateout("v21") _, lateout("v22") _, lateout("v23") _,
                    lateout("v24") _, lateout("v25") _, lateout("v26") _, lateout("v27") _,
                    lateout("v28") _, lateout("v29") _, lateout("v30") _, lateout("v31") _,
                    lateout("p0") _, lateout("p1") _, lateout("p2") _, lateout("p3") _,
                    lateout("p4") _, lateout("p5") _, lateout("p6") _, lateout("p7") _,
                    lateout("p8") _, lateout("p9") _, lateout("p10") _, lateout("p11") _,
                    lateout("p12") _, lateout("p13") _, lateout("p14") _, lateout("p15") _,
                    options(nostack),
                );
            }
            result as isize
        }};
    }

    stubs!(svc, "x0" "x1" "x2" "x3" "x4" "x5");
}

/// Emits `_start`, the process entry. `sp` points at argc and is 16-byte aligned.
/// Frame pointer and link register are zeroed to end the chain of frames.
#[cfg(all(feature = "rt", target_arch = "aarch64"))]
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
            ".cfi_startproc",
            ".cfi_undefined x30",
            "mov x29, xzr",
            "mov x30, xzr",
            "mov x0, sp",
            "bl {rust}",
            "brk #1",
            ".cfi_endproc",
            ".size _start, . - _start",
            ".popsection",
            rust = sym $rust,
        );
    };
}

/// Emits a function that starts a thread (see `arch/mod.rs`).
#[cfg(all(feature = "rt", target_arch = "aarch64"))]
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
            "mov x3, x2",
            "mov x4, x2",
            "mov x8, {clone}",
            "svc #0",
            "cbz x0, 2f",
            "ret",
            "2:",
            "mov x29, xzr",
            "mov x30, xzr",
            "mov x0, sp",
            "bl {begin}",
            "brk #1",
            ".size {start}, . - {start}",
            ".popsection",
            start = sym $start,
            clone = const $clone,
            begin = sym $begin,
        );
    };
}
