//! mips64 (n64), both byte orders, up to release 5 and release 6. Also the
//! numbers of n32, its ABI with 32-bit pointers, for which rustc has no target.
//!
//! Its `asm!` is experimental: this target needs a nightly compiler.
//!
//! - Instruction, registers and their names, error convention, clobbers: see
//!   `mips.rs`, whose stubs are used here too.
//! - Source: as for mips.

use super::{Abi, BaseNumbers, HeaderSource, Numbers, mips};

pub(crate) use super::errno_mips as errno;
#[cfg(any(target_arch = "mips64", target_arch = "mips64r6"))]
pub(crate) use super::mips::stubs;

/// The kernel's `long`.
pub(crate) type Long = i64;

pub(crate) const ABIS: &[Abi] = &[ABI, N32];

pub(crate) const ABI: Abi = Abi {
    headers: HeaderSource::new(
        "mips",
        "-m64",
        &[
            "__mips__",
            "_MIPS_SIM=_MIPS_SIM_ABI64",
            "_MIPS_SZLONG=64",
            "__MIPSEB__",
        ],
    )
    .big_endian(),
    aio: Numbers {
        abi: "mips64",
        io_setup: Some(5200),
        io_destroy: Some(5201),
        io_submit: Some(5203),
        io_cancel: Some(5204),
        io_getevents: Some(5202),
        io_pgetevents: Some(5328),
        io_pgetevents_time64: None,
    },
    base: BaseNumbers {
        madvise: 5027,
        ppoll: Some(5261),
        write: 5001,
        exit_group: 5205,
        statx: 5326,
        mmap: 5009,
        getpid: 5038,
        openat: 5247,
        close: 5003,
        fcntl: 5070,
        mprotect: 5010,
        rt_sigaction: 5013,
        rt_sigprocmask: 5014,
    },
    stack_align: 16,
    ..mips::ABI
};

const N32: Abi = Abi {
    headers: HeaderSource::new(
        "mips",
        "-m32",
        &[
            "__mips__",
            "_MIPS_SIM=_MIPS_SIM_NABI32",
            "_MIPS_SZLONG=32",
            "__MIPSEB__",
        ],
    )
    .big_endian(),
    aio: Numbers {
        abi: "mips-n32",
        io_setup: Some(6200),
        io_destroy: Some(6201),
        io_submit: Some(6203),
        io_cancel: Some(6204),
        io_getevents: Some(6202),
        io_pgetevents: Some(6332),
        io_pgetevents_time64: Some(6416),
    },
    base: BaseNumbers {
        madvise: 6027,
        ppoll: Some(6265),
        write: 6001,
        exit_group: 6205,
        statx: 6330,
        mmap: 6009,
        getpid: 6038,
        openat: 6251,
        close: 6003,
        fcntl: 6070,
        mprotect: 6010,
        rt_sigaction: 6013,
        rt_sigprocmask: 6014,
    },
    stack_align: 16,
    ..mips::ABI
};

/// Emits `_start`, the process entry. `$29` (sp) points at argc; the ABI requires it
/// 16-byte aligned. A function expects its own address in `$25` (t9). Frame pointer
/// and return address are zeroed to end the chain of frames.
#[cfg(all(feature = "rt", any(target_arch = "mips64", target_arch = "mips64r6")))]
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
            ".set push",
            ".set noreorder",
            ".set noat",
            "move $30, $0", // fp
            "move $31, $0", // ra
            "move $4, $29", // a0 = sp
            "addiu $8, $0, -16", // a4
            "and $29, $29, $8", // sp
            "lui $25, %highest({rust})", // t9
            "daddiu $25, $25, %higher({rust})",
            "dsll $25, $25, 16",
            "daddiu $25, $25, %hi({rust})",
            "dsll $25, $25, 16",
            "daddiu $25, $25, %lo({rust})",
            "jalr $25", // t9
            "nop",
            "break",
            ".set pop",
            ".size _start, . - _start",
            ".popsection",
            rust = sym $rust,
        );
    };
}

/// Emits a function that starts a thread (see `arch/mod.rs`).
#[cfg(all(feature = "rt", any(target_arch = "mips64", target_arch = "mips64r6")))]
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
            ".set push",
            ".set noreorder",
            ".set noat",
            "move $7, $6", // a3 = a2
            "move $8, $6", // a4 = a2
            "addiu $2, $0, {clone}", // v0
            "syscall",
            "bne $7, $0, 2f", // a3: an error
            "nop",
            "beq $2, $0, 3f", // v0: the child
            "nop",
            "jr $31", // ra
            "nop",
            "2:",
            "jr $31", // ra
            "dsubu $2, $0, $2", // v0
            "3:",
            "move $30, $0", // fp
            "move $31, $0", // ra
            "move $4, $29", // a0 = sp
            "lui $25, %highest({begin})", // t9
            "daddiu $25, $25, %higher({begin})",
            "dsll $25, $25, 16",
            "daddiu $25, $25, %hi({begin})",
            "dsll $25, $25, 16",
            "daddiu $25, $25, %lo({begin})",
            "jalr $25", // t9
            "nop",
            "break",
            ".set pop",
            ".size {start}, . - {start}",
            ".popsection",
            start = sym $start,
            clone = const $clone,
            begin = sym $begin,
        );
    };
}
