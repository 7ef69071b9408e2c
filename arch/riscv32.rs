//! riscv32: the stubs and the process entry of riscv64, in 32-bit registers.
//!
//! - Instruction, registers, error convention, clobbers: see `riscv64.rs`.
//! - The ABI began with 64-bit time: io_getevents, io_pgetevents and ppoll do
//!   not exist, only io_pgetevents_time64 and the other calls with 64-bit time.
//! - Source: as for riscv64; `arch/riscv/include/uapi/asm/unistd.h`, which
//!   does not enable the calls with 32-bit time.

use super::{Abi, BaseNumbers, GENERIC_64, HeaderSource, Numbers, Relative};

pub(crate) use super::errno_generic as errno;
#[cfg(target_arch = "riscv32")]
pub(crate) use super::riscv64::stubs;

/// The kernel's `long`.
pub(crate) type Long = i32;

pub(crate) const ABIS: &[Abi] = &[ABI];

pub(crate) const ABI: Abi = Abi {
    headers: HeaderSource::new("riscv", "-m32", &["__riscv_xlen=32"]),
    aio: Numbers {
        abi: "riscv32",
        io_getevents: None,
        io_pgetevents: None,
        io_pgetevents_time64: Some(416),
        ..GENERIC_64.aio
    },
    base: BaseNumbers {
        ppoll: None,
        ..GENERIC_64.base
    },
    stack_align: 16,
    relative: Relative::Rela(3),
    ..GENERIC_64
};
