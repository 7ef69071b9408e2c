//! sparc64.
//!
//! Its `asm!` is experimental: this target needs a nightly compiler.
//!
//! - Instruction, registers, error convention, clobbers: see `sparc.rs`, whose
//!   stubs are used here too.
//! - Source: as for sparc.

use super::{Abi, BaseNumbers, HeaderSource, Numbers, sparc};

pub(crate) use super::errno_sparc as errno;
#[cfg(target_arch = "sparc64")]
pub(crate) use super::sparc::stubs;

/// The kernel's `long`.
pub(crate) type Long = i64;

pub(crate) const ABIS: &[Abi] = &[ABI];

/// The numbers of sparc, without the call that only 32-bit ABIs need.
pub(crate) const ABI: Abi = Abi {
    headers: HeaderSource::new(
        "sparc",
        "-m64",
        &["__sparc__", "__arch64__", super::sparc::POSIX_SIGNALS],
    )
    .big_endian(),
    aio: Numbers {
        abi: "sparc64",
        io_pgetevents_time64: None,
        ..sparc::ABI.aio
    },
    base: BaseNumbers {
        mmap: 71,
        ..sparc::ABI.base
    },
    stack_align: 16,
    ..sparc::ABI
};

#[cfg(all(
    feature = "rt",
    any(target_os = "linux", target_os = "android"),
    target_arch = "sparc64"
))]
::core::arch::global_asm!(
    ".pushsection .text.__linux_aio_restorer, \"ax\", @progbits",
    ".weak __linux_aio_restorer",
    ".hidden __linux_aio_restorer",
    ".type __linux_aio_restorer, @function",
    "__linux_aio_restorer:",
    "nop",
    "nop",
    "mov 101, %g1",
    "ta 0x6d",
    "ta 5",
    ".size __linux_aio_restorer, . - __linux_aio_restorer",
    ".popsection",
);

#[cfg(all(
    feature = "rt",
    any(target_os = "linux", target_os = "android"),
    target_arch = "sparc64"
))]
unsafe extern "C" {
    /// Returns from a signal handler: rt_sigreturn(2). A handler returns to the
    /// address 8 bytes after the given one.
    pub(crate) fn __linux_aio_restorer();
}

/// Emits `_start`, the process entry. `%sp` is 2047 bytes below the end of the stack,
/// and argc lies behind the 128 bytes in which the register window is saved. Below,
/// the 176-byte frame is allocated that every calling function provides. The frame
/// pointer is zeroed to end the chain of frames.
#[cfg(all(feature = "rt", target_arch = "sparc64"))]
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
            "mov %g0, %fp",
            "add %sp, 2047 + 128, %o0",
            "sub %sp, 176, %sp",
            "call {rust}",
            "nop",
            "ta 5",
            ".size _start, . - _start",
            ".popsection",
            rust = sym $rust,
        );
    };
}

/// Emits a function that starts a thread (see `arch/mod.rs`), as on sparc. Stack
/// pointers are 2047 bytes below the address that they refer to.
#[cfg(all(feature = "rt", target_arch = "sparc64"))]
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
            "mov %o1, %o5",
            "sub %o1, 2047, %o1",
            "mov %o2, %o3",
            "mov %o2, %o4",
            "mov {clone}, %g1",
            "ta 0x6d",
            "bcs,pn %xcc, 2f",
            "nop",
            "cmp %o1, 0",
            "bne,pn %xcc, 3f",
            "nop",
            "retl",
            "nop",
            "2:",
            "retl",
            "sub %g0, %o0, %o0",
            "3:",
            "mov %g0, %fp",
            "mov %o5, %o0",
            "sub %o5, 2047 + 176, %sp",
            "call {begin}",
            "nop",
            "ta 5",
            ".size {start}, . - {start}",
            ".popsection",
            start = sym $start,
            clone = const $clone,
            begin = sym $begin,
        );
    };
}
