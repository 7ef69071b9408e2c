//! Raw system calls, for those beyond AIO that a program without libc needs.
//!
//! Arguments are `usize` and results `isize`. On every architecture the result follows
//! one convention: −4095 to −1 is a negated error number, and
//! [`Errno::check`](crate::Errno::check) converts it. Each function is inlined to the bare
//! system call instruction (with the feature `sc` on aarch64 and riscv64, and on x86, to a
//! call of it: x86 enters the kernel in the vDSO). Where the target is not Linux, every
//! function returns −ENOSYS.
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
    ($($(#[$example:meta])* $name:ident($($argument:ident),*) $count:literal;)+) => {$(
        #[doc = concat!("Calls the kernel with number `nr` and ", $count, ".")]
        ///
        /// # Safety
        /// The system call is sound with these arguments: memory that the kernel reads
        /// is valid, and the kernel does not write, unmap, close or take over anything
        /// that the program relies on.
        ///
        $(#[$example])*
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
    /// # Examples
    /// ```
    /// # #[cfg(all(target_os = "linux", target_arch = "x86_64", target_pointer_width = "64"))] {
    /// use linux_aio::{Errno, syscall::syscall0};
    ///
    /// const GETPID: usize = 39; // x86_64
    /// // SAFETY: getpid(2) accesses no memory.
    /// let pid = Errno::check(unsafe { syscall0(GETPID) });
    /// assert_eq!(pid, Ok(std::process::id() as usize));
    /// # }
    /// ```
    syscall0() "no argument";
    /// # Examples
    /// ```
    /// # #[cfg(all(target_os = "linux", target_arch = "x86_64", target_pointer_width = "64"))] {
    /// use linux_aio::{Errno, syscall::syscall1};
    ///
    /// const CLOSE: usize = 3; // x86_64
    /// // SAFETY: no descriptor has the number -1, so nothing is closed.
    /// let closed = Errno::check(unsafe { syscall1(CLOSE, usize::MAX) });
    /// assert_eq!(closed, Err(Errno::BADF));
    /// # }
    /// ```
    syscall1(a) "one argument";
    /// # Examples
    /// ```
    /// # #[cfg(all(target_os = "linux", target_arch = "x86_64", target_pointer_width = "64"))] {
    /// use linux_aio::{Errno, syscall::syscall2};
    ///
    /// const KILL: usize = 62; // x86_64
    /// let pid = std::process::id() as usize;
    /// // SAFETY: the signal 0 is not sent: the kernel only checks that the process exists.
    /// let exists = Errno::check(unsafe { syscall2(KILL, pid, 0) });
    /// assert_eq!(exists, Ok(0));
    /// # }
    /// ```
    syscall2(a, b) "two arguments";
    /// # Examples
    /// ```
    /// # #[cfg(all(target_os = "linux", target_arch = "x86_64", target_pointer_width = "64"))] {
    /// use linux_aio::{Errno, syscall::syscall3};
    ///
    /// const WRITE: usize = 1; // x86_64
    /// let text = "hello\n";
    /// // SAFETY: the kernel reads the text alone, and writes no memory.
    /// let written = Errno::check(unsafe {
    ///     syscall3(WRITE, 1, text.as_ptr().expose_provenance(), text.len())
    /// });
    /// assert_eq!(written, Ok(6));
    /// # }
    /// ```
    syscall3(a, b, c) "three arguments";
    /// # Examples
    /// ```
    /// # #[cfg(all(target_os = "linux", target_arch = "x86_64", target_pointer_width = "64"))] {
    /// use linux_aio::{Errno, syscall::syscall4};
    /// use std::{fs::File, os::fd::AsRawFd};
    ///
    /// const PREAD64: usize = 17; // x86_64
    /// let file = File::open("/proc/self/exe").unwrap();
    /// let mut buffer = [0_u8; 3];
    /// let (fd, start) = (file.as_raw_fd() as usize, buffer.as_mut_ptr().expose_provenance());
    /// // SAFETY: the kernel writes only the buffer.
    /// let read = Errno::check(unsafe { syscall4(PREAD64, fd, start, buffer.len(), 1) });
    /// assert_eq!((read, &buffer), (Ok(3), b"ELF"));
    /// # }
    /// ```
    syscall4(a, b, c, d) "four arguments";
    /// # Examples
    /// ```
    /// # #[cfg(all(target_os = "linux", target_arch = "x86_64", target_pointer_width = "64"))] {
    /// use linux_aio::{Errno, syscall::syscall5};
    ///
    /// const PRCTL: usize = 157; // x86_64
    /// const PR_GET_DUMPABLE: usize = 3;
    /// // SAFETY: this prctl(2) accesses no memory and changes nothing.
    /// let dumpable = Errno::check(unsafe { syscall5(PRCTL, PR_GET_DUMPABLE, 0, 0, 0, 0) });
    /// assert!(dumpable.unwrap() <= 2);
    /// # }
    /// ```
    syscall5(a, b, c, d, e) "five arguments";
    /// # Examples
    /// ```
    /// # #[cfg(all(target_os = "linux", target_arch = "x86_64", target_pointer_width = "64"))] {
    /// use linux_aio::{Errno, syscall::syscall6};
    /// use std::sync::atomic::AtomicU32;
    ///
    /// const FUTEX: usize = 202; // x86_64
    /// const FUTEX_WAKE: usize = 1;
    /// let word = AtomicU32::new(0);
    /// let address = word.as_ptr().expose_provenance();
    /// // SAFETY: this futex(2) accesses no memory of the program.
    /// let woken = Errno::check(unsafe { syscall6(FUTEX, address, FUTEX_WAKE, 1, 0, 0, 0) });
    /// // No thread waits.
    /// assert_eq!(woken, Ok(0));
    /// # }
    /// ```
    syscall6(a, b, c, d, e, f) "six arguments";
}
