//! The conformance program: checks the library and its runtime from inside the process,
//! on every architecture. It uses no libc and no std, so it runs in three environments:
//! under QEMU's user mode (where AIO returns ENOSYS), on a host, and as the only
//! process of a kernel.
//!
//! It prints one line per check and a last line with the counts (see [`check`]). Run as
//! `guest one "two words" ""`, it also checks its arguments. As a kernel's first
//! process it follows a plan (see [`init`]).
//!
//! Without the feature `kernel` it has only the checks that run under QEMU's user mode: the
//! compiler checks the others, but does not translate them. Its build then takes a third of
//! the time.
//!
//! Numbers are printed without a division: LLVM miscompiles division by ten for m68k.
#![no_std]
#![no_main]
// `_start` and the system call stubs are `asm!`, which is not stable everywhere.
#![cfg_attr(
    any(
        target_arch = "mips",
        target_arch = "mips64",
        target_arch = "mips32r6",
        target_arch = "mips64r6",
        target_arch = "sparc",
        target_arch = "sparc64",
        target_arch = "m68k",
        target_arch = "csky",
        target_arch = "hexagon"
    ),
    feature(asm_experimental_arch)
)]
// Enabling V for a single function is not stable either.
#![cfg_attr(
    any(target_arch = "riscv32", target_arch = "riscv64"),
    feature(riscv_target_feature)
)]

use linux_aio::rt::Process;

mod aio;
mod check;
mod copies;
mod entry;
mod errors;
mod init;
mod line;
#[cfg(target_arch = "m68k")]
mod m68k;
mod nr;
mod numbers;
mod os;
mod registers;
#[cfg(any(
    target_arch = "aarch64",
    target_arch = "riscv32",
    target_arch = "riscv64"
))]
mod scalable;
mod signals;
mod stubs;
mod threads;

linux_aio::entry!(main);

fn main(process: Process) -> i32 {
    let check = &mut check::Check::new();
    if cfg!(feature = "kernel") {
        if os::is_first_process() {
            init::run(process);
        }
        if let Some(status) = aio::obeyed(check, process) {
            return status;
        }
    }
    conform(check, process);
    check.verdict()
}

/// Runs all checks that need no resource but a kernel.
fn conform(check: &mut check::Check, process: Process) {
    init::report_to_kernel();
    entry::run(check, process);
    stubs::run(check, process);
    errors::run(check);
    numbers::run(check);
    registers::run(check);
    #[cfg(any(
        target_arch = "aarch64",
        target_arch = "riscv32",
        target_arch = "riscv64"
    ))]
    scalable::run(check, process);
    signals::run(check);
    threads::run(check);
    aio::run(check, process);
}
