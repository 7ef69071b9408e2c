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
    ..sparc::ABI
};

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
            ".globl _start",
            ".type _start, @function",
            "_start:",
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
