//! A program without libc: process entry, arguments, exit, panic handler, signal handlers
//! and memory functions (feature `rt`).
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
//! The linker must leave out the startup files and libraries of C. The package
//! `linux-aio-build` passes it the arguments for that; in the program's `build.rs`:
//!
//! ```rs
//! fn main() {
//!     linux_aio_build::link_static();
//! }
//! ```
//!
//! In its `Cargo.toml`, because no code here unwinds:
//!
//! ```toml
//! [dependencies]
//! linux-aio = { version = "0.1", features = ["rt"] }
//!
//! [build-dependencies]
//! linux-aio-build = "0.1"
//!
//! [profile.dev]
//! panic = "abort"
//!
//! [profile.release]
//! panic = "abort"
//! ```
//!
//! [`guide::static_binaries`](crate::guide::static_binaries) has the whole project, the
//! settings for other architectures, and complete programs.
//!
//! The program is position-independent and relocates itself, so the kernel maps it at a
//! random address. The architectures without this (csky, hexagon, m68k, mips, powerpc,
//! sparc, x32 and some others) and the programs that select it have a fixed address.
//! Without that package, four linker arguments suffice: `-nostartfiles`, `-nostdlib`,
//! `-static` and `-no-pie`, or `-static-pie` in place of the last two. But then a
//! dependency that needs libc is detected only when the program starts.
//!
//! Every symbol is defined in the binary that calls a macro: the feature adds nothing to a
//! program that uses the standard library. (A program that sets a signal handler on x86 or
//! sparc has one hidden symbol of this library.) The parts of `entry!` are available one by
//! one, for programs that define some of the symbols themselves: [`start!`],
//! [`panic_handler!`], [`memory_functions!`] and [`unwind_symbols!`]. In a crate's own unit
//! tests (`cfg(test)`) all of them are empty, as the standard library has its own.
//!
//! There is no allocator and no thread-local storage, constructors (`.init_array`) do not
//! run, and nothing runs after `main`. [`signal`] sets signal handlers.
//!
//! Before `main`, `/dev/null` is opened as each of the descriptors 0, 1 and 2 that was not
//! open at process start. Otherwise a file that the program opens could receive the text
//! written to standard error. fcntl(2) finds them, and a sandbox has to allow it, or to
//! return an error; then, and for one that was not open, openat(2) and close(2) are used. A
//! position-independent program with relocated constants also calls mprotect(2) once, to
//! make them read-only; an error has no other effect than that they stay writable.
//! [`entry!`](crate::entry) can leave the descriptors as they are, on a promise.

use core::fmt;

use crate::Errno;
use crate::arch::{self, ABI, stubs};
use crate::fd::Fd;

#[doc(hidden)]
pub mod mem;
mod panic;
mod process;
mod relocate;
pub mod signal;
mod stdio;

pub use panic::panicked;
pub use process::{Auxv, Process, Strings};
#[doc(hidden)]
pub use relocate::relocate as __relocate;
pub use stdio::OpenDescriptors;

#[doc(inline)]
pub use crate::__rt_memory_functions as memory_functions;
#[doc(inline)]
pub use crate::__rt_panic_handler as panic_handler;
#[doc(inline)]
pub use crate::__rt_stack_protector as stack_protector;
#[doc(inline)]
pub use crate::__rt_start as start;
#[doc(inline)]
pub use crate::__rt_unwind_symbols as unwind_symbols;

/// Ends the process and all its threads with this status.
///
/// The kernel keeps the low eight bits of the status. Nothing is dropped or flushed.
///
/// On a target without Linux, it waits for ever.
///
/// # Examples
/// ```no_run
/// use linux_aio::rt::{Stderr, exit, write_all};
///
/// fn fail(message: &str) -> ! {
///     let _ = write_all(Stderr, message.as_bytes());
///     exit(1)
/// }
/// ```
#[doc(alias = "exit_group")]
pub fn exit(status: i32) -> ! {
    terminate(status)
}

/// The same, for the process entry.
#[inline(always)]
fn terminate(status: i32) -> ! {
    loop {
        // The kernel reads 32 bits.
        let status = status as u32 as usize;
        // SAFETY: exit_group(2) accesses no memory of the process, and the process
        // ends. On a target without Linux the call does nothing.
        let _ = unsafe { stubs::syscall1(ABI.base.exit_group as usize, status) };
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        core::hint::spin_loop();
    }
}

/// Writes all bytes to a file. It continues after a short write, and after one that a
/// signal interrupted.
///
/// [`Stdout`] and [`Stderr`] are the standard descriptors. A descriptor that is known by
/// its number alone needs `unsafe` ([`Fd::borrow_raw`]).
///
/// # Errors
/// Those of `write(2)`; the number of bytes written before the error is not known. A
/// `write(2)` that writes no byte, for which the kernel has no error, is [`Errno::IO`].
///
/// # Examples
/// ```
/// use linux_aio::rt::{Stdout, write_all};
///
/// assert_eq!(write_all(Stdout, b"hello\n"), Ok(()));
/// ```
pub fn write_all<'fd>(fd: impl Into<Fd<'fd>>, bytes: &[u8]) -> Result<(), Errno> {
    write_all_to(fd.into(), bytes)
}

fn write_all_to(fd: Fd<'_>, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        // SAFETY: the kernel reads no more than the slice, and writes no memory. The
        // descriptor is borrowed, so no file of other code is written to.
        let result = unsafe {
            stubs::syscall3(
                ABI.base.write as usize,
                fd.as_raw() as usize,
                bytes.as_ptr().expose_provenance(),
                bytes.len(),
            )
        };
        // A write has 2,147,479,552 bytes at most, on every architecture.
        match Errno::check_count(result) {
            Ok(written) => match bytes.get(written..) {
                Some(rest) if written != 0 => bytes = rest,
                _ => return Err(Errno::IO),
            },
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Standard output, unbuffered: each piece of a formatted text is a separate write.
///
/// An error of the write is [`fmt::Error`], without its number; [`write_all`] returns it.
///
/// # Examples
/// ```
/// use core::fmt::Write;
/// use linux_aio::rt::Stdout;
///
/// writeln!(Stdout, "{} bytes", 4096).unwrap();
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Stdout;

impl From<Stdout> for Fd<'static> {
    fn from(_: Stdout) -> Fd<'static> {
        // SAFETY: process entry opens each standard descriptor that is closed, unless it was
        // given the promise that none is, and so does std in other programs. Closing it later
        // needs unsafe code.
        unsafe { Fd::borrow_raw(1) }
    }
}

impl fmt::Write for Stdout {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        write_all(Stdout, s.as_bytes()).map_err(|_| fmt::Error)
    }
}

/// Standard error, unbuffered: each piece of a formatted text is a separate write.
///
/// # Examples
/// ```
/// use core::fmt::Write;
/// use linux_aio::Errno;
/// use linux_aio::rt::Stderr;
///
/// writeln!(Stderr, "read: {}", Errno::IO).unwrap();
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Stderr;

impl From<Stderr> for Fd<'static> {
    fn from(_: Stderr) -> Fd<'static> {
        // SAFETY: as for `Stdout`.
        unsafe { Fd::borrow_raw(2) }
    }
}

impl fmt::Write for Stderr {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        write_all(Stderr, s.as_bytes()).map_err(|_| fmt::Error)
    }
}

/// The alignment in bytes of the stack pointer at a call, which `_start` has to
/// provide.
#[doc(hidden)]
pub const __STACK_ALIGN: usize = ABI.stack_align;

/// Runs the program: `_start` calls it with the initial stack pointer.
///
/// # Safety
/// `stack` is the stack pointer that the kernel gave the process.
#[doc(hidden)]
#[inline(always)]
pub unsafe fn __enter(
    stack: *const usize,
    main: fn(Process) -> i32,
    open: Option<OpenDescriptors>,
) -> ! {
    // SAFETY: the `# Safety` section is that of `run`.
    terminate(unsafe { run(stack, main, open) })
}

/// Prepares the process, and runs `main`. (A function of its own, because the compiler
/// does not inline calls before one that never returns.)
///
/// # Safety
/// `stack` is the stack pointer that the kernel gave the process.
#[inline]
unsafe fn run(stack: *const usize, main: fn(Process) -> i32, open: Option<OpenDescriptors>) -> i32 {
    // SAFETY: the `# Safety` section requires the initial stack pointer, which is the
    // condition of `enter`. The layout stays unchanged: the library exposes no way
    // to write to it, and the stack grows downwards from it.
    let process = unsafe { Process::enter(stack) };
    arch::started(|kind| process.aux(kind));
    if open.is_none() {
        stdio::reserve();
    }
    main(process)
}

/// Makes `main`, a `fn(`[`Process`](crate::rt::Process)`) -> i32`, the program's entry
/// point.
///
/// It defines everything that a `no_std`, `no_main` binary needs to link with nothing
/// else.
///
/// The value that `main` returns is the exit status. See [`rt`](crate::rt) for a
/// complete project, and for the parts of this macro one by one.
///
/// `entry!(main, unsafe { OpenDescriptors::assume() })` leaves out the code that opens
/// `/dev/null` as each standard descriptor that is closed: see
/// [`OpenDescriptors`](crate::rt::OpenDescriptors).
///
/// # Examples
/// A whole program, which is also in the folder `examples/hello-static`:
/// ```rs
/// #![no_std]
/// #![no_main]
///
/// use linux_aio::rt::{Process, Stdout, write_all};
///
/// linux_aio::entry!(main);
///
/// fn main(_process: Process) -> i32 {
///     match write_all(Stdout, b"hello\n") {
///         Ok(()) => 0,
///         Err(errno) => errno.raw_os_error(),
///     }
/// }
/// ```
#[macro_export]
macro_rules! entry {
    ($main:path $(, $open:expr)?) => {
        $crate::rt::start!($main $(, $open)?);
        $crate::rt::panic_handler!();
        $crate::rt::memory_functions!();
        $crate::rt::unwind_symbols!();
    };
}

/// Defines only the process entry, which calls the given
/// `fn(`[`Process`](crate::rt::Process)`) -> i32` and exits with the value it returns. Takes
/// what [`entry!`](crate::entry) takes.
///
/// The entry has two symbols. `_start`, which linkers look for, is weak: where the
/// compiler adds the start files of a C library (as for `*-linux-musl`), these define it,
/// and the linker argument `--entry=__linux_aio_start` selects the entry.
///
/// # Examples
/// ```no_run,standalone_crate
/// use linux_aio::rt::Process;
///
/// linux_aio::rt::start!(run);
///
/// fn run(process: Process) -> i32 {
///     process.args().count() as i32
/// }
/// # fn main() {}
/// ```
#[cfg(any(target_os = "linux", target_os = "android"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __rt_start {
    ($main:path) => {
        $crate::__rt_start!(@ $main, ::core::option::Option::None);
    };
    ($main:path, $open:expr) => {
        $crate::__rt_start!(@ $main, ::core::option::Option::Some($open));
    };
    (@ $main:path, $open:expr) => {
        // This is not in a block as in the other macros, because `global_asm!` is
        // allowed as an item only.
        #[cfg(not(test))]
        #[allow(unexpected_cfgs)]
        unsafe extern "C" fn __linux_aio_enter(stack: *const usize) -> ! {
            // The package `linux-aio-build` sets this `cfg` for a program with a fixed
            // address.
            // SAFETY: the process entry passes the stack pointer that the kernel gave
            // the process, and nothing has run before.
            #[cfg(not(linux_aio_fixed))]
            unsafe {
                $crate::rt::__relocate(stack)
            };
            // SAFETY: the process entry passes the stack pointer that the kernel gave
            // the process, unchanged.
            unsafe { __linux_aio_run(stack) }
        }

        // A function of its own: the address of `main` may be read from a table that the
        // compiler regards as constant, and which is relocated only now.
        #[cfg(not(test))]
        #[allow(unexpected_cfgs)]
        #[cfg_attr(linux_aio_fixed, inline(always))]
        #[cfg_attr(not(linux_aio_fixed), inline(never))]
        unsafe extern "C" fn __linux_aio_run(stack: *const usize) -> ! {
            // SAFETY: `__linux_aio_enter`, the only caller, passes the stack pointer that
            // the kernel gave the process.
            unsafe { $crate::rt::__enter(stack, $main, __LINUX_AIO_OPEN) }
        }

        #[cfg(not(test))]
        $crate::__process_entry!(__linux_aio_enter);

        // Type-checked and used in tests too.
        const _: fn($crate::rt::Process) -> i32 = $main;
        #[cfg_attr(test, allow(dead_code))]
        const __LINUX_AIO_OPEN: ::core::option::Option<$crate::rt::OpenDescriptors> = $open;
    };
}

/// Refuses the process entry of a target whose kernel is not Linux.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
#[doc(hidden)]
#[macro_export]
macro_rules! __rt_start {
    ($($entry:tt)*) => {
        ::core::compile_error!(
            "linux_aio::entry! defines the entry of a Linux process, and this target is not Linux"
        );
    };
}

/// Defines only the `#[panic_handler]`, which writes message and location to standard
/// error and exits with status 101 ([`panicked`](crate::rt::panicked)).
///
/// # Examples
/// A program with an entry of its own, and memory functions from elsewhere:
/// ```rs
/// linux_aio::rt::panic_handler!();
/// linux_aio::rt::unwind_symbols!();
/// ```
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

/// Defines only the memory functions that compiled code calls implicitly: `memcpy`,
/// `memmove`, `memset`, `memcmp`, `bcmp` and `strlen`.
///
/// The linker drops those that nothing calls.
///
/// # Examples
/// ```no_run,standalone_crate
/// linux_aio::rt::memory_functions!();
/// # fn main() {}
/// ```
#[doc(hidden)]
#[macro_export]
macro_rules! __rt_memory_functions {
    () => {
        #[cfg(not(test))]
        const _: () = {
            #[unsafe(no_mangle)]
            unsafe extern "C" fn memcpy(dst: *mut u8, src: *const u8, n: usize) -> *mut u8 {
                // SAFETY: the contract of C's `memcpy` is that of `copy_forward`: both
                // regions are valid and do not overlap. Compiled code may also pass the
                // same address twice, which `copy_forward` allows.
                unsafe { $crate::rt::mem::copy_forward(dst, src, n) };
                dst
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn memmove(dst: *mut u8, src: *const u8, n: usize) -> *mut u8 {
                // SAFETY: the contract of C's `memmove` is that of `copy`: both regions are
                // valid for `n` bytes.
                unsafe { $crate::rt::mem::copy(dst, src, n) };
                dst
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn memset(dst: *mut u8, value: i32, n: usize) -> *mut u8 {
                // SAFETY: the contract of C's `memset` is that of `fill`: `dst` is
                // valid for `n` bytes. Only the low byte of `value` counts.
                unsafe { $crate::rt::mem::fill(dst, value as u8, n) };
                dst
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, n: usize) -> i32 {
                // SAFETY: the contract of C's `memcmp` is that of `compare`: both regions
                // are valid for `n` bytes and initialised.
                unsafe { $crate::rt::mem::compare(a, b, n) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, n: usize) -> i32 {
                // SAFETY: the contract of `bcmp` is that of `compare`: both regions are
                // valid for `n` bytes. Its callers do not use the sign.
                unsafe { $crate::rt::mem::compare(a, b, n) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn strlen(string: *const u8) -> usize {
                // SAFETY: the contract of C's `strlen` is that of `length`: `string` ends
                // with a zero byte.
                unsafe { $crate::rt::mem::length(string) }
            }
        };
    };
}

/// Ends the process: a stack guard was overwritten.
#[doc(hidden)]
pub fn __stack_overwritten() -> ! {
    let _ = write_all(Stderr, b"stack smashing detected\n");
    exit(134)
}

/// Returns a random word with a zero byte at its lowest address, at which the functions on
/// strings of C stop.
#[doc(hidden)]
pub fn __stack_guard(process: Process) -> usize {
    const AT_RANDOM: usize = 25;
    let random = process.aux(AT_RANDOM).unwrap_or(0);
    let random = core::ptr::with_exposed_provenance::<[[u8; size_of::<usize>()]; 2]>(random);
    if random.is_null() {
        return 0;
    }
    // SAFETY: the kernel gives the address of 16 random bytes, which exist as long as the
    // process and do not change.
    let [mut guard, _] = unsafe { random.read() };
    guard[0] = 0;
    usize::from_ne_bytes(guard)
}

/// Defines `__stack_chk_fail` and `__stack_chk_guard`, for code of other languages that is
/// compiled with stack protectors, and a function with the given name that makes the guard
/// random.
///
/// The function takes the [`Process`](crate::rt::Process) that `main` gets, and `main` calls
/// it before any protected code. `entry!` does not contain this macro.
///
/// C compilers on some architectures (x86, powerpc, s390x) read the guard from thread-local
/// storage instead, which is not set up here: the option `-mstack-protector-guard=global`
/// selects this guard there.
///
/// An overwritten guard ends the process with a message and status 134, that of a shell for
/// SIGABRT.
///
/// ```rs
/// linux_aio::rt::stack_protector!(seed);
///
/// fn main(process: Process) -> i32 {
///     seed(process);
///     // SAFETY: the function of C has no requirements.
///     unsafe { function_of_c() }
/// }
/// ```
#[doc(hidden)]
#[macro_export]
macro_rules! __rt_stack_protector {
    ($seed:ident) => {
        /// Makes the guard of stack protectors random.
        #[cfg(not(test))]
        fn $seed(process: $crate::rt::Process) {
            #[unsafe(no_mangle)]
            static __stack_chk_guard: ::core::sync::atomic::AtomicUsize =
                ::core::sync::atomic::AtomicUsize::new(0);

            #[unsafe(no_mangle)]
            extern "C" fn __stack_chk_fail() -> ! {
                $crate::rt::__stack_overwritten()
            }

            __stack_chk_guard.store(
                $crate::rt::__stack_guard(process),
                ::core::sync::atomic::Ordering::Relaxed,
            );
        }

        /// Does nothing in the crate's own tests, which have the guard of the C library.
        #[cfg(test)]
        fn $seed(_: $crate::rt::Process) {}
    };
}

/// Defines only the symbols of unwinding, and on aarch64 `getauxval`.
///
/// The distributed `core` was compiled to unwind, and an unoptimised link references
/// two of them. On 32-bit Arm the table of every function references one of the last
/// three, which GNU's linker requires. Nothing calls them in a program whose panics do
/// not unwind.
///
/// On aarch64, the atomic operations of an unoptimised program are functions of
/// `compiler_builtins`, and a function beside them references `getauxval`.
///
/// # Examples
/// ```no_run,standalone_crate
/// linux_aio::rt::unwind_symbols!();
/// # fn main() {}
/// ```
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

            #[cfg(target_arch = "aarch64")]
            #[unsafe(no_mangle)]
            extern "C" fn getauxval(kind: usize) -> usize {
                $crate::rt::Process::current()
                    .and_then(|process| process.aux(kind))
                    .unwrap_or(0)
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
