//! arm (EABI, 32-bit), both byte orders, ARM and Thumb code.
//!
//! - Instruction: `svc 0`. The zero is required by kernels that also support the
//!   old ABI: they take any other value as an old system call.
//! - Number: `r7`.
//! - Arguments: `r0` to `r5`.
//! - Result: `r0`; −4095 to −1 is an error.
//! - Clobbers: none; the kernel gives back every other register and the flags.
//!   It saves the VFP and NEON registers whole before it uses them itself.
//! - In Thumb code `r7` is the frame pointer and cannot be an operand, and the
//!   mode is hidden from `cfg`: the stubs save it in `r12` around the `svc`.
//!   Nothing is pushed, and the instructions are the same from ARMv4T's ARM
//!   and Thumb code to Thumb-2 (`movs` where `mov` between low registers is
//!   not in all of them).
//! - Stack: 8-byte aligned at a call (Procedure Call Standard for the Arm
//!   Architecture, "Stack constraints at a public interface").
//! - Source: the kernel's `arch/arm/kernel/entry-common.S` (`vector_swi`,
//!   `ret_fast_syscall`), `entry-header.S`, `arch/arm/vfp/vfpmodule.c`
//!   (`kernel_neon_begin`) and `arch/arm/tools/syscall.tbl`.

use super::{Abi, BaseNumbers, HeaderSource, Numbers, Relative, SignalAbi};

pub(crate) use super::errno_generic as errno;

/// The kernel's `long`.
pub(crate) type Long = i32;

pub(crate) const ABIS: &[Abi] = &[ABI];

pub(crate) const ABI: Abi = Abi {
    headers: HeaderSource::new("arm", "-m32", &["__arm__", "__ARM_EABI__"]),
    aio: Numbers {
        abi: "arm",
        io_setup: Some(243),
        io_destroy: Some(244),
        io_submit: Some(246),
        io_cancel: Some(247),
        io_getevents: Some(245),
        io_pgetevents: Some(399),
        io_pgetevents_time64: Some(416),
    },
    base: BaseNumbers {
        madvise: 220,
        ppoll: Some(336),
        write: 4,
        exit_group: 248,
        statx: 397,
        mmap: 192,
        getpid: 20,
        openat: 322,
        close: 6,
        fcntl: 55,
        mprotect: 125,
        rt_sigaction: 174,
        rt_sigprocmask: 175,
    },
    errnos: errno::TABLE,
    sigset_bytes: 8,
    stack_align: 8,
    pollrdhup: 0x2000,
    map_anonymous: 0x20,
    o_cloexec: 0x8_0000,
    signals: SignalAbi::WITH_RESTORER,
    relative: Relative::Rel(23),
};

#[cfg(target_arch = "arm")]
pub(crate) mod stubs {
    use core::arch::asm;

    /// Emits one `svc` with the operands that every arity shares.
    macro_rules! svc {
        // The kernel reads no argument; r0 only has to be an output.
        ($number:ident) => {
            svc!(@ $number, 0_usize)
        };
        ($number:ident, "r0": $first:ident $($rest:tt)*) => {
            svc!(@ $number, $first $($rest)*)
        };
        (@ $number:ident, $first:expr $(, $register:tt: $argument:ident)*) => {{
            let result: isize;
            // SAFETY: the caller promises that this system call is sound with
            // these arguments. `r7` is restored before the block ends. In ARM
            // code the compiler may choose it for the number; the number is
            // read before `r7` is written, and `r7` is restored likewise.
            // `r12` and the flags are declared as clobbered (the flags by
            // default). The kernel changes only `r0`. Nothing is pushed, as
            // `nostack` requires.
            unsafe {
                asm!(
                    "mov r12, r7",
                    "movs r7, {number}",
                    "svc 0",
                    "mov r7, r12",
                    number = in(reg) $number,
                    inlateout("r0") $first => result,
                    $(in($register) $argument,)*
                    out("r12") _,
                    options(nostack),
                );
            }
            result
        }};
    }

    stubs!(svc, "r0" "r1" "r2" "r3" "r4" "r5");
}

/// Emits `_start`, the process entry. `sp` points at argc. The kernel aligns it to
/// 16 bytes; the ABI requires 8. The frame pointers of ARM and of Thumb code are
/// zeroed to end the chain of frames.
///
/// The instructions are valid in both modes. A directive that selected one mode
/// would also apply to the other assembly of the program. The kernel starts in
/// Thumb mode only if the lowest bit of the symbol is set. That bit is computed
/// from the length of the first instruction: 4 bytes in ARM code, 2 in Thumb.
#[cfg(all(feature = "rt", target_arch = "arm"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __process_entry {
    ($rust:path) => {
        ::core::arch::global_asm!(
            ".pushsection .text._start, \"ax\", %progbits",
            ".p2align 2",
            ".globl __linux_aio_start",
            ".weak _start",
            ".type __linux_aio_start, %function",
            ".type _start, %function",
            ".L_start:",
            "movs r7, #0",
            ".L_start_second:",
            "mov r11, r7",
            "mov r0, sp",
            "bl {rust}",
            "udf #0",
            ".set __linux_aio_start, .L_start + (4 - (.L_start_second - .L_start)) / 2",
            ".set _start, __linux_aio_start",
            ".size _start, . - .L_start",
            ".popsection",
            rust = sym $rust,
        );
    };
}

/// Emits a function that starts a thread (see `arch/mod.rs`). As at
/// `__process_entry!`, the instructions are valid in both modes, and the lowest bit
/// of the symbol is computed from the length of the first one.
#[cfg(all(feature = "rt", target_arch = "arm"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __thread_start {
    ($start:path, $clone:expr, $begin:path) => {
        ::core::arch::global_asm!(
            ".pushsection .text.thread_start, \"ax\", %progbits",
            ".p2align 2",
            ".globl {start}",
            ".type {start}, %function",
            ".Lthread_start:",
            "push {{r4, r7}}",
            ".Lthread_start_second:",
            "movs r3, r2",
            "movs r4, r2",
            "movs r7, #{clone}",
            "svc 0",
            "cmp r0, #0",
            "beq 2f",
            "pop {{r4, r7}}",
            "mov pc, lr",
            "2:",
            "movs r7, #0",
            "mov r11, r7",
            "mov r0, sp",
            "bl {begin}",
            "udf #0",
            ".set {start}, .Lthread_start + (4 - (.Lthread_start_second - .Lthread_start)) / 2",
            ".size {start}, . - .Lthread_start",
            ".popsection",
            start = sym $start,
            clone = const $clone,
            begin = sym $begin,
        );
    };
}
