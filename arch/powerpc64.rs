//! powerpc64, both byte orders, both ELF ABIs.
//!
//! Its `asm!` is stable since Rust 1.95, which this crate needs on this target.
//!
//! - Instruction, registers, error convention, clobbers: see `powerpc.rs`,
//!   whose stubs are used here too. `scv` is not used, because not every
//!   processor has it.
//! - Source: as for powerpc; 64-Bit ELF V2 ABI, "Process Initialization", and
//!   64-bit PowerPC ELF ABI Supplement 1.9, "Function Descriptors".

use super::{Abi, BaseNumbers, HeaderSource, Numbers, Relative, powerpc};

pub(crate) use super::errno_generic as errno;
#[cfg(target_arch = "powerpc64")]
pub(crate) use super::powerpc::stubs;

/// The kernel's `long`.
pub(crate) type Long = i64;

pub(crate) const ABIS: &[Abi] = &[ABI];

/// The numbers of powerpc, without the calls that only 32-bit ABIs need.
pub(crate) const ABI: Abi = Abi {
    headers: HeaderSource::new(
        "powerpc",
        "-m64",
        &["__powerpc__", "__powerpc64__", "__BIG_ENDIAN__"],
    )
    .big_endian(),
    aio: Numbers {
        abi: "powerpc64",
        io_pgetevents_time64: None,
        ..powerpc::ABI.aio
    },
    base: BaseNumbers {
        mmap: 90,
        ..powerpc::ABI.base
    },
    // With function descriptors (ELFv1), the process entry itself is relocated data.
    relative: if cfg!(all(target_endian = "big", target_env = "gnu")) {
        Relative::None
    } else {
        Relative::Rela(22)
    },
    ..powerpc::ABI
};

/// Emits `_start`, the process entry. `r1` points at argc. The ABI requires it
/// 16-byte aligned, and below it a frame. The back chain of that frame is zero,
/// which ends the chain of frames. `r12` holds the address of the entry, from which
/// the TOC pointer is computed.
#[cfg(all(
    feature = "rt",
    target_arch = "powerpc64",
    not(all(target_endian = "big", target_env = "gnu"))
))]
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
            "addis 2, 12, .TOC. - __linux_aio_start@ha", // r2 = r12 + …
            "addi 2, 2, .TOC. - __linux_aio_start@l",
            "mr 3, 1", // r3 = r1
            "clrrdi 1, 1, 4",
            "li 0, 0",
            "stdu 0, -32(1)", // r1 -= 32, [r1] = r0
            "bl {rust}",
            "nop",
            "trap",
            ".size _start, . - _start",
            ".popsection",
            rust = sym $rust,
        );
    };
}

/// Emits `_start`, the process entry, for ELFv1. It differs from the other ABI in
/// two points. The symbol is a descriptor in `.opd`, from which the kernel loads the
/// address of the code and the TOC pointer. The frame has space for eight arguments.
///
/// `target_abi = "elfv1"` is equivalent to this `cfg`, but Rust 1.85 does not know
/// it and warns wherever the crate is built.
#[cfg(all(
    feature = "rt",
    target_arch = "powerpc64",
    all(target_endian = "big", target_env = "gnu")
))]
#[doc(hidden)]
#[macro_export]
macro_rules! __process_entry {
    ($rust:path) => {
        ::core::arch::global_asm!(
            ".pushsection .opd, \"aw\", @progbits",
            ".p2align 3",
            ".globl __linux_aio_start",
            ".weak _start",
            ".type __linux_aio_start, @function",
            ".type _start, @function",
            "_start:",
            "__linux_aio_start:",
            ".quad .L_start, .TOC.@tocbase, 0",
            ".popsection",
            ".pushsection .text._start, \"ax\", @progbits",
            ".p2align 2",
            ".L_start:",
            "mr 3, 1", // r3 = r1
            "clrrdi 1, 1, 4",
            "li 0, 0",
            "stdu 0, -112(1)", // r1 -= 112, [r1] = r0
            "bl {rust}",
            "nop",
            "trap",
            ".size _start, . - .L_start",
            ".popsection",
            rust = sym $rust,
        );
    };
}

/// Emits a function that starts a thread (see `arch/mod.rs`). Below `stack`, the
/// frame of `__process_entry!` is allocated for the child, which keeps the TOC
/// pointer.
#[cfg(all(
    feature = "rt",
    target_arch = "powerpc64",
    not(all(target_endian = "big", target_env = "gnu"))
))]
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
            "cmpdi 3, 0",
            "beq 3f",
            "blr",
            "3:",
            "mr 3, 1", // r3 = r1
            "li 0, 0",
            "stdu 0, -32(1)", // r1 -= 32, [r1] = r0
            "bl {begin}",
            "nop",
            "trap",
            ".size {start}, . - {start}",
            ".popsection",
            start = sym $start,
            clone = const $clone,
            begin = sym $begin,
        );
    };
}

/// Emits a function that starts a thread, for ELFv1. It differs from the other ABI as
/// `__process_entry!` does: the symbol is a descriptor, and the frame is larger.
#[cfg(all(
    feature = "rt",
    target_arch = "powerpc64",
    all(target_endian = "big", target_env = "gnu")
))]
#[doc(hidden)]
#[macro_export]
macro_rules! __thread_start {
    ($start:path, $clone:expr, $begin:path) => {
        ::core::arch::global_asm!(
            ".pushsection .opd, \"aw\", @progbits",
            ".p2align 3",
            ".globl {start}",
            ".type {start}, @function",
            "{start}:",
            ".quad .Lthread_start, .TOC.@tocbase, 0",
            ".popsection",
            ".pushsection .text.thread_start, \"ax\", @progbits",
            ".p2align 2",
            ".Lthread_start:",
            "mr 6, 5", // r6 = r5
            "mr 7, 5", // r7 = r5
            "li 0, {clone}",
            "sc",
            "bns+ 2f",
            "neg 3, 3",
            "blr",
            "2:",
            "cmpdi 3, 0",
            "beq 3f",
            "blr",
            "3:",
            "mr 3, 1", // r3 = r1
            "li 0, 0",
            "stdu 0, -112(1)", // r1 -= 112, [r1] = r0
            "bl {begin}",
            "nop",
            "trap",
            ".size {start}, . - .Lthread_start",
            ".popsection",
            start = sym $start,
            clone = const $clone,
            begin = sym $begin,
        );
    };
}
