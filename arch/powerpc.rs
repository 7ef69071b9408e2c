//! powerpc (32-bit), with or without SPE. `powerpc64.rs` uses the same stubs.
//!
//! Its `asm!` is stable since Rust 1.95, which this crate needs on this target.
//!
//! - Instruction: `sc`.
//! - Number: `r0`.
//! - Arguments: `r3` to `r8`.
//! - Result: `r3`; where the summary overflow bit of `cr0` is set, it is an
//!   error number, positive, and the stub negates it. So the stub returns
//!   −4095 to −1 as everywhere.
//! - Clobbers: `r0`, `r4` to `r12`, `cr0`, `ctr`, `xer`. The kernel gives back
//!   `lr`, the other condition fields, and the floating-point, vector
//!   (AltiVec, VSX) and control registers; it touches no part of the caller's
//!   stack frame. The upper halves of the general registers (SPE) are kept too:
//!   the kernel saves them before it uses SPE or switches to another thread.
//!   The MMA accumulators overlap VSX registers, and Rust has no type for them.
//! - Other registers: `r1` is the stack pointer. On powerpc64 `r2` is the TOC
//!   pointer, and `r12` holds the address of a function at its entry. In the
//!   assembly a register is its number alone.
//! - Stack: 16-byte aligned at a call (Power Architecture 32-bit ABI
//!   Supplement, and both 64-bit ABIs).
//! - Source: the kernel's `Documentation/arch/powerpc/syscall64-abi.rst`,
//!   `arch/powerpc/kernel/interrupt_64.S` (which zeroes exactly these),
//!   `entry_32.S`, `process.c` (`giveup_all`) and
//!   `arch/powerpc/kernel/syscalls/syscall.tbl`.

use super::{Abi, BaseNumbers, HeaderSource, Numbers, Relative, SignalAbi};

pub(crate) use super::errno_generic as errno;

/// The kernel's `long`.
pub(crate) type Long = i32;

pub(crate) const ABIS: &[Abi] = &[ABI];

pub(crate) const ABI: Abi = Abi {
    headers: HeaderSource::new("powerpc", "-m32", &["__powerpc__"]).big_endian(),
    aio: Numbers {
        abi: "powerpc",
        io_setup: Some(227),
        io_destroy: Some(228),
        io_submit: Some(230),
        io_cancel: Some(231),
        io_getevents: Some(229),
        io_pgetevents: Some(388),
        io_pgetevents_time64: Some(416),
    },
    base: BaseNumbers {
        madvise: 205,
        ppoll: Some(281),
        write: 4,
        exit_group: 234,
        statx: 383,
        mmap: 192,
        getpid: 20,
        openat: 286,
        close: 6,
        fcntl: 55,
        mprotect: 125,
        rt_sigaction: 173,
        rt_sigprocmask: 174,
    },
    errnos: errno::TABLE,
    sigset_bytes: 8,
    stack_align: 16,
    pollrdhup: 0x2000,
    map_anonymous: 0x20,
    o_cloexec: 0x8_0000,
    signals: SignalAbi::WITH_RESTORER,
    relative: Relative::None,
};

#[cfg(any(target_arch = "powerpc", target_arch = "powerpc64"))]
pub(crate) mod stubs {
    use core::arch::asm;

    /// Emits one `sc`. All argument registers are clobbered, used or not, so each
    /// arity also names those that it does not use.
    macro_rules! sc {
        // The kernel reads no argument; r3 only has to be an output.
        ($number:ident) => {
            sc!(@ $number, 0_usize; "r4" "r5" "r6" "r7" "r8")
        };
        ($number:ident, "r3": $a:ident) => {
            sc!(@ $number, $a; "r4" "r5" "r6" "r7" "r8")
        };
        ($number:ident, "r3": $a:ident, "r4": $b:ident) => {
            sc!(@ $number, $a, "r4": $b; "r5" "r6" "r7" "r8")
        };
        ($number:ident, "r3": $a:ident, "r4": $b:ident, "r5": $c:ident) => {
            sc!(@ $number, $a, "r4": $b, "r5": $c; "r6" "r7" "r8")
        };
        ($number:ident, "r3": $a:ident, "r4": $b:ident, "r5": $c:ident, "r6": $d:ident) => {
            sc!(@ $number, $a, "r4": $b, "r5": $c, "r6": $d; "r7" "r8")
        };
        ($number:ident, "r3": $a:ident, "r4": $b:ident, "r5": $c:ident, "r6": $d:ident,
         "r7": $e:ident) => {
            sc!(@ $number, $a, "r4": $b, "r5": $c, "r6": $d, "r7": $e; "r8")
        };
        ($number:ident, "r3": $a:ident, "r4": $b:ident, "r5": $c:ident, "r6": $d:ident,
         "r7": $e:ident, "r8": $f:ident) => {
            sc!(@ $number, $a, "r4": $b, "r5": $c, "r6": $d, "r7": $e, "r8": $f;)
        };
        (@ $number:ident, $first:expr $(, $register:tt: $argument:ident)*; $($lost:tt)*) => {{
            let result: isize;
            // SAFETY: the caller promises that this system call is sound with
            // these arguments. The operands name every register that the kernel
            // reads and every one that it changes (see the top of this file).
            // The branch stays inside the block. Nothing is pushed, as `nostack`
            // requires.
            unsafe {
                asm!(
                    "sc",
                    "bns+ 2f",
                    "neg 3, 3",
                    "2:",
                    inlateout("r0") $number => _,
                    inlateout("r3") $first => result,
                    $(inlateout($register) $argument => _,)*
                    $(lateout($lost) _,)*
                    lateout("r9") _, lateout("r10") _, lateout("r11") _, lateout("r12") _,
                    lateout("cr0") _, lateout("ctr") _, lateout("xer") _,
                    options(nostack),
                );
            }
            result
        }};
    }

    stubs!(sc, "r3" "r4" "r5" "r6" "r7" "r8");
}

/// Emits `_start`, the process entry. `r1` points at argc. The ABI requires it
/// 16-byte aligned, and below it a frame with space for the caller's link register.
/// The back chain of that frame is zero, which ends the chain of frames.
#[cfg(all(feature = "rt", target_arch = "powerpc"))]
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
            "mr 3, 1", // r3 = r1
            "clrrwi 1, 1, 4",
            "li 0, 0",
            "stwu 0, -16(1)", // r1 -= 16, [r1] = r0
            "bl {rust}",
            "trap",
            ".size _start, . - _start",
            ".popsection",
            rust = sym $rust,
        );
    };
}

/// Emits a function that starts a thread (see `arch/mod.rs`). Below `stack`, the
/// frame of `__process_entry!` is allocated for the child.
#[cfg(all(feature = "rt", target_arch = "powerpc"))]
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
            "mr 6, 5", // r6 = r5
            "mr 7, 5", // r7 = r5
            "li 0, {clone}",
            "sc",
            "bns+ 2f",
            "neg 3, 3",
            "blr",
            "2:",
            "cmpwi 3, 0",
            "beq 3f",
            "blr",
            "3:",
            "mr 3, 1", // r3 = r1
            "li 0, 0",
            "stwu 0, -16(1)", // r1 -= 16, [r1] = r0
            "bl {begin}",
            "trap",
            ".size {start}, . - {start}",
            ".popsection",
            start = sym $start,
            clone = const $clone,
            begin = sym $begin,
        );
    };
}
