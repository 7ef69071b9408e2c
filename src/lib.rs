//! Linux native AIO, from `io_setup` to `io_destroy`, with no libc.
//!
//! AIO is the asynchronous disk I/O that is left where io_uring is switched
//! off: in containers, on phones, on hardened hosts. This crate speaks it from
//! pure Rust: hand-written traps for each architecture, the kernel's
//! structures, and a typed layer that owns contexts and reads the completion
//! ring without a system call. It is `no_std`, allocates nothing, and has no
//! build script.
//!
//! # A first example
//! ```
//! use linux_aio::{Context, Errno, Event, opcode::PRead};
//! use std::{fs::File, os::fd::AsRawFd};
//!
//! # if let Err(Errno::NOSYS) = Context::new(1) { return Ok(()) }
//! let file = File::open("Cargo.toml").unwrap();
//! let mut buffer = [0_u8; 4096];
//!
//! let context = Context::new(32)?;
//! let mut read = PRead::new(file.as_raw_fd(), buffer.as_mut_ptr(), buffer.len())
//!     .offset(0)
//!     .build()
//!     .user_data(42);
//! // SAFETY: the buffer outlives the wait below and is not touched before it.
//! unsafe { context.submit(&mut [&mut read]) }?;
//!
//! let mut events = [Event::EMPTY; 32];
//! for event in context.wait(1, &mut events)? {
//!     println!("{}: {} bytes", event.user_data(), event.result()?);
//! }
//! // Blocks until the kernel has let go of every buffer.
//! context.destroy()?;
//! # Ok::<(), Errno>(())
//! ```
//!
//! # The map
//! | from the top | |
//! |---|---|
//! | [`Context`], [`Submitter`], [`Ring`], [`Wait`] | owns a kernel context: submit, wait, cancel, reap, destroy |
//! | [`opcode`] | builders: a typed operation becomes an [`Iocb`] |
//! | [`sys`] | the seven calls as the kernel has them |
//! | [`syscall`], [`nr`] | the bare traps, and the numbers of every ABI |
//! | [`abi`], [`Errno`] | the kernel's structures and error numbers |
//! | `rt` (feature) | process entry, arguments, exit and panic for binaries without libc |
//!
//! # No AIO here
//! A target without Linux, a kernel without AIO, a sandbox and QEMU's user
//! mode look the same to a program: [`Errno::NOSYS`] (or, from some sandboxes,
//! [`Errno::PERM`]). The crate builds for every target; where there is no
//! Linux every call answers ENOSYS without a trap.
//!
//! # Compilers
//! Rust 1.85 or later; powerpc and powerpc64 from 1.95, where their `asm!`
//! became stable. On csky, hexagon, m68k, mips, mips64, sparc and sparc64 it is
//! not yet: there this crate needs a nightly compiler, and so does a binary
//! that uses `rt`'s `entry!`, with `#![feature(asm_experimental_arch)]`.
//!
//! # Features
//! None is on by default.
//! - `rt`: `entry!` makes a static binary of a `main`, with nothing else
//!   linked. The feature alone adds no symbol.
//! - `sc`: issue the traps through the `sc` crate, on 64-bit x86_64, aarch64
//!   and riscv64; elsewhere our own go on serving.
//! - `std`: `From<Errno> for std::io::Error`, and anything that is `AsFd` where
//!   a descriptor is wanted.
#![no_std]
// These architectures' `asm!` is not stable yet.
#![cfg_attr(
    all(
        target_os = "linux",
        any(
            target_arch = "csky",
            target_arch = "hexagon",
            target_arch = "m68k",
            target_arch = "mips",
            target_arch = "mips32r6",
            target_arch = "mips64",
            target_arch = "mips64r6",
            target_arch = "sparc",
            target_arch = "sparc64"
        )
    ),
    feature(asm_experimental_arch)
)]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

#[path = "../arch/mod.rs"]
mod arch;

pub mod abi;
pub mod buffer;
mod context;
mod drained;
mod engine;
mod errno;
pub mod nr;
pub mod op;
pub mod opcode;
mod queue;
pub mod reactor;
mod ring;
#[cfg(feature = "rt")]
pub mod rt;
mod scope;
mod sigset;
pub mod sys;
pub mod syscall;
mod wait;

pub use abi::{AioContext, Event, Iocb, SigSet};
pub use context::{Context, SubmitError, Submitter};
#[cfg(feature = "std")]
pub use drained::destroy_all;
pub use drained::{DrainError, Drained, Pool};
pub use engine::{Slot, Ticket};
pub use errno::Errno;
pub use queue::{Completion, Full, Queue};
pub use ring::Ring;
pub use scope::{Finished, Pending, Scope, ScopeSlot, scope, scope_on};
pub use wait::Wait;

/// The README's examples, compiled and run with the documentation's.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
