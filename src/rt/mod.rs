//! A program without libc: process entry, arguments, exit, panic handler and
//! memory functions (feature `rt`).
//!
//! [`entry!`](crate::entry) makes a `no_std` binary that links nothing else:
//!
//! ```rs
//! #![no_std]
//! #![no_main]
//!
//! use linux_aio::rt::{Process, Stderr};
//! use core::fmt::Write;
//!
//! linux_aio::entry!(main);
//!
//! fn main(process: Process) -> i32 {
//!     match process.args().nth(1) {
//!         Some(_) => 0,
//!         None => {
//!             let _ = writeln!(Stderr, "an argument is missing");
//!             2
//!         }
//!     }
//! }
//! ```
//!
//! The linker must leave out what a C program would get, and give the program
//! a fixed address, as nothing here relocates it. In the binary's `build.rs`:
//!
//! ```rs
//! fn main() {
//!     for argument in ["-nostartfiles", "-nostdlib", "-static", "-no-pie"] {
//!         println!("cargo::rustc-link-arg-bins={argument}");
//!     }
//! }
//! ```
//!
//! and in its `Cargo.toml`, as nothing here unwinds:
//!
//! ```toml
//! [profile.dev]
//! panic = "abort"
//!
//! [profile.release]
//! panic = "abort"
//! ```
//!
//! Every symbol goes into the binary that calls a macro, none into this
//! library: the feature adds nothing to a program of the standard library that
//! happens to be built with it. The parts of `entry!` come apart for programs
//! that bring some of them along: [`start!`], [`panic_handler!`],
//! [`memory_functions!`] and [`unwind_symbols!`]. In a crate's own unit tests
//! (`cfg(test)`) all of them are empty, as the standard library has its own.
//!
//! There is no allocator, no thread-local storage and no signal handler, and
//! nothing runs after `main`. Before it, `/dev/null` is opened as every one of the
//! descriptors 0, 1 and 2 that the program was started without, so that no file of
//! its own gets what is written to standard error (openat(2) and close(2), which a
//! sandbox has to allow).

use core::fmt;

use crate::Errno;
use crate::arch::{ABI, stubs};

#[doc(hidden)]
pub mod mem;
mod panic;
mod process;
mod stdio;

pub use panic::panicked;
pub use process::{Auxv, Process, Strings};

#[doc(inline)]
pub use crate::__rt_memory_functions as memory_functions;
#[doc(inline)]
pub use crate::__rt_panic_handler as panic_handler;
#[doc(inline)]
pub use crate::__rt_start as start;
#[doc(inline)]
pub use crate::__rt_unwind_symbols as unwind_symbols;

/// Ends the process, all its threads, with this status; the kernel keeps its
/// low eight bits. Nothing is dropped or flushed.
///
/// Where there is no Linux under the target, it waits for ever.
#[doc(alias = "exit_group")]
pub fn exit(status: i32) -> ! {
    loop {
        // SAFETY: the process ends, and with it everything that could be
        // relied on; elsewhere the call does nothing.
        let _ = unsafe { stubs::syscall1(ABI.base.exit_group as usize, status as usize) };
        core::hint::spin_loop();
    }
}

/// Writes all bytes to a file descriptor. A short write goes on, and so does
/// one that a signal interrupted.
///
/// # Errors
/// What `write(2)` says; how much was written before is not known. A write of
/// no byte, which the kernel has no error for, is [`Errno::IO`].
pub fn write_all(fd: i32, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        // SAFETY: the kernel reads no more than the slice, and writes nothing.
        // A descriptor that is not open, or not the caller's, harms no memory.
        let result = unsafe {
            stubs::syscall3(
                ABI.base.write as usize,
                fd as usize,
                bytes.as_ptr().expose_provenance(),
                bytes.len(),
            )
        };
        match Errno::check(result) {
            Ok(0) => return Err(Errno::IO),
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Standard error, unbuffered: each piece of a formatted text is a write.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stderr;

impl fmt::Write for Stderr {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        write_all(2, s.as_bytes()).map_err(|_| fmt::Error)
    }
}

/// Where `_start` goes on.
///
/// # Safety
/// `stack` is the stack pointer that the kernel gave the process.
#[doc(hidden)]
pub unsafe fn __enter(stack: *const usize, main: fn(Process) -> i32) -> ! {
    stdio::reserve();
    // SAFETY: the caller's promise; the library gives nobody a way to write
    // there, and the stack grows downwards from it.
    exit(main(unsafe { Process::from_stack(stack) }))
}

/// Makes `main`, a `fn(`[`Process`](crate::rt::Process)`) -> i32`, the program:
/// all that a `no_std`, `no_main` binary needs to link with nothing else.
///
/// The value that `main` returns is the exit status. See [`rt`](crate::rt) for
/// the whole of a program, and for the parts of this macro one by one.
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        $crate::rt::start!($main);
        $crate::rt::panic_handler!();
        $crate::rt::memory_functions!();
        $crate::rt::unwind_symbols!();
    };
}

/// The symbol `_start` alone, which calls the given
/// `fn(`[`Process`](crate::rt::Process)`) -> i32` and exits with what it
/// returns.
#[doc(hidden)]
#[macro_export]
macro_rules! __rt_start {
    ($main:path) => {
        // Not in a block like the others': `global_asm!` is an item only.
        #[cfg(not(test))]
        unsafe extern "C" fn __linux_aio_enter(stack: *const usize) -> ! {
            // SAFETY: `_start` passes the stack pointer on as it was.
            unsafe { $crate::rt::__enter(stack, $main) }
        }

        #[cfg(not(test))]
        $crate::__process_entry!(__linux_aio_enter);

        // Checked, and used, in tests too.
        const _: fn($crate::rt::Process) -> i32 = $main;
    };
}

/// The `#[panic_handler]` alone: message and place go to standard error, and
/// the process exits with status 101
/// ([`panicked`](crate::rt::panicked)).
#[doc(hidden)]
#[macro_export]
macro_rules! __rt_panic_handler {
    () => {
        const _: () = {
            #[cfg(not(test))]
            #[panic_handler]
            fn panic(info: &::core::panic::PanicInfo<'_>) -> ! {
                $crate::rt::panicked(info)
            }
        };
    };
}

/// The memory functions alone, which compiled code calls by itself: `memcpy`,
/// `memmove`, `memset`, `memcmp`, `bcmp` and `strlen`. The linker drops those
/// that nothing calls.
#[doc(hidden)]
#[macro_export]
macro_rules! __rt_memory_functions {
    () => {
        #[cfg(not(test))]
        const _: () = {
            #[unsafe(no_mangle)]
            unsafe extern "C" fn memcpy(dst: *mut u8, src: *const u8, n: usize) -> *mut u8 {
                // SAFETY: C's contract is the same: valid, and no overlap (or
                // the same place, as compiled code may ask for).
                unsafe { $crate::rt::mem::copy_forward(dst, src, n) };
                dst
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn memmove(dst: *mut u8, src: *const u8, n: usize) -> *mut u8 {
                // SAFETY: C's contract is the same.
                unsafe { $crate::rt::mem::copy(dst, src, n) };
                dst
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn memset(dst: *mut u8, value: i32, n: usize) -> *mut u8 {
                // SAFETY: C's contract is the same; the value's low byte counts.
                unsafe { $crate::rt::mem::fill(dst, value as u8, n) };
                dst
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, n: usize) -> i32 {
                // SAFETY: C's contract is the same.
                unsafe { $crate::rt::mem::compare(a, b, n) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, n: usize) -> i32 {
                // SAFETY: C's contract is the same; the sign is not asked for.
                unsafe { $crate::rt::mem::compare(a, b, n) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn strlen(string: *const u8) -> usize {
                // SAFETY: C's contract is the same.
                unsafe { $crate::rt::mem::length(string) }
            }
        };
    };
}

/// The symbols of unwinding alone. `core` as it is delivered was compiled to
/// unwind, and an unoptimised link asks for two of them; on 32-bit Arm the
/// table of every function asks for one of the last three, which GNU's linker
/// wants to see. Nothing calls them in a program whose panics do not unwind.
#[doc(hidden)]
#[macro_export]
macro_rules! __rt_unwind_symbols {
    () => {
        #[cfg(not(test))]
        const _: () = {
            #[unsafe(no_mangle)]
            extern "C" fn rust_eh_personality() -> ! {
                $crate::rt::exit(101)
            }

            #[unsafe(no_mangle)]
            extern "C" fn _Unwind_Resume() -> ! {
                $crate::rt::exit(101)
            }

            #[cfg(target_arch = "arm")]
            #[unsafe(no_mangle)]
            extern "C" fn __aeabi_unwind_cpp_pr0() -> ! {
                $crate::rt::exit(101)
            }

            #[cfg(target_arch = "arm")]
            #[unsafe(no_mangle)]
            extern "C" fn __aeabi_unwind_cpp_pr1() -> ! {
                $crate::rt::exit(101)
            }

            #[cfg(target_arch = "arm")]
            #[unsafe(no_mangle)]
            extern "C" fn __aeabi_unwind_cpp_pr2() -> ! {
                $crate::rt::exit(101)
            }
        };
    };
}
