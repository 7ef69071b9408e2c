//! Raw system calls, for those beyond AIO that a program without libc needs.
//!
//! Arguments are `usize` and results `isize`. On every architecture the result follows
//! one convention: −4095 to −1 is a negated error number. Each function is inlined to
//! the bare system call instruction (with the feature `sc` on aarch64 and riscv64, and on
//! x86, to a call of it: x86 enters the kernel in the vDSO). [`Errno::check`](crate::Errno::check) converts the result. Where the
//! target is not Linux, every function returns −ENOSYS.
//!
//! ```
//! # #[cfg(all(target_os = "linux", target_arch = "x86_64"))] {
//! use linux_aio::{Errno, syscall::syscall0};
//!
//! const GETPID: usize = 39; // x86_64
//! // SAFETY: getpid touches no memory of the program.
//! let pid = Errno::check(unsafe { syscall0(GETPID) });
//! assert_eq!(pid, Ok(std::process::id() as usize));
//! # }
//! ```

use crate::arch::stubs;

macro_rules! public {
    ($($name:ident($($argument:ident),*) $count:literal;)+) => {$(
        #[doc = concat!("Calls the kernel with number `nr` and ", $count, ".")]
        ///
        /// # Safety
        /// The system call is sound with these arguments: memory that the kernel reads
        /// is valid, and the kernel does not write, unmap, close or take over anything
        /// that the program relies on.
        #[inline(always)]
        #[must_use]
        pub unsafe fn $name(nr: usize $(, $argument: usize)*) -> isize {
            // SAFETY: the caller promises that this system call is sound with these
            // arguments, which is all that the stub requires; the arguments are passed
            // unchanged.
            unsafe { stubs::$name(nr $(, $argument)*) }
        }
    )+};
}

public! {
    syscall0() "no argument";
    syscall1(a) "one argument";
    syscall2(a, b) "two arguments";
    syscall3(a, b, c) "three arguments";
    syscall4(a, b, c, d) "four arguments";
    syscall5(a, b, c, d, e) "five arguments";
    syscall6(a, b, c, d, e, f) "six arguments";
}
