//! sparc (32-bit, V8+). `sparc64.rs` uses the same stubs.
//!
//! Its `asm!` is experimental: this target needs a nightly compiler.
//!
//! - Instruction: `ta 0x10`; on sparc64 `ta 0x6d`.
//! - Number: `%g1`, which cannot be an operand: the compiler never uses it.
//! - Arguments: `%o0` to `%o5`.
//! - Result: `%o0`; where the carry bit is set (of `%icc`, on sparc64 of
//!   `%xcc`) it is an error number, positive, and the stub negates it. So the stub
//!   returns −4095 to −1 as everywhere.
//! - Clobbers: `%o1`, the second result of a few calls (pipe, fork), and the
//!   condition codes. The kernel gives back every other register; the windows
//!   below this one belong to the stack. The compiler keeps comparisons in the
//!   condition codes across `asm!` (LLVM 22 does not know them as a clobber),
//!   so the stubs save and restore them. glibc and the kernel's own vDSO also
//!   declare the floating-point registers as clobbered, for which `asm!` has no
//!   names. Linux 2.4 clobbered them. Current kernels save them, including `%gsr`
//!   and the registers that VIS uses, before using them (`VISsave`, by
//!   `TI_FPDEPTH`).
//! - Other registers: `%sp` is `%o6`, `%fp` is `%i6`, and `%o7` holds the
//!   return address.
//! - Stack: 8-byte aligned at a call, on sparc64 16-byte aligned (System V ABI,
//!   SPARC Processor Supplement; SPARC Compliance Definition 2.4).
//! - Source: the kernel's `arch/sparc/kernel/syscalls.S` (`ret_sys_call`),
//!   `etrap_64.S`, `rtrap_64.S`, `entry.S`,
//!   `arch/sparc/lib/VISsave.S` and `arch/sparc/kernel/syscalls/syscall.tbl`.

use super::{Abi, BaseNumbers, HeaderSource, Numbers, Relative, SignalAbi};

pub(crate) use super::errno_sparc as errno;

/// The macro without which the headers define the 32 signals of SunOS.
pub(crate) const POSIX_SIGNALS: &str = "__WANT_POSIX1B_SIGNALS__";

/// The kernel's `long`.
pub(crate) type Long = i32;

pub(crate) const ABIS: &[Abi] = &[ABI];

pub(crate) const ABI: Abi = Abi {
    headers: HeaderSource::new("sparc", "-m32", &["__sparc__", POSIX_SIGNALS]).big_endian(),
    aio: Numbers {
        abi: "sparc",
        io_setup: Some(268),
        io_destroy: Some(269),
        io_submit: Some(270),
        io_cancel: Some(271),
        io_getevents: Some(272),
        io_pgetevents: Some(361),
        io_pgetevents_time64: Some(416),
    },
    base: BaseNumbers {
        madvise: 75,
        ppoll: Some(298),
        write: 4,
        exit_group: 188,
        statx: 360,
        mmap: 56,
        getpid: 20,
        openat: 284,
        close: 6,
        fcntl: 92,
        mprotect: 74,
        rt_sigaction: 102,
        rt_sigprocmask: 103,
    },
    errnos: errno::TABLE,
    sigset_bytes: 8,
    stack_align: 8,
    pollrdhup: 0x0800,
    map_anonymous: 0x20,
    o_cloexec: 0x40_0000,
    signals: SignalAbi {
        set_mask: 4,
        restart: 2,
        siginfo: 0x200,
        restorer_field: true,
        restorer_argument: true,
        ..SignalAbi::GENERIC
    },
    relative: Relative::None,
};

#[cfg(any(target_arch = "sparc", target_arch = "sparc64"))]
pub(crate) mod stubs {
    use core::arch::asm;

    /// The `ta` instruction, and the branch over the negation if the carry bit is
    /// clear.
    #[cfg(target_arch = "sparc")]
    macro_rules! trap_and_branch {
        () => {
            "ta 0x10\nbcc 2f"
        };
    }

    #[cfg(target_arch = "sparc64")]
    macro_rules! trap_and_branch {
        () => {
            "ta 0x6d\nbcc,pt %xcc, 2f"
        };
    }

    /// Emits one `ta`. The kernel does not read arguments that a system call does
    /// not have, so `o0` and `o1` then only have to be outputs.
    macro_rules! ta {
        ($number:ident) => {
            ta!(@ $number, 0_usize, 0_usize)
        };
        ($number:ident, "o0": $a:ident) => {
            ta!(@ $number, $a, 0_usize)
        };
        ($number:ident, "o0": $a:ident, "o1": $b:ident $($rest:tt)*) => {
            ta!(@ $number, $a, $b $($rest)*)
        };
        (@ $number:ident, $a:expr, $b:expr $(, $register:tt: $argument:ident)*) => {{
            let result: isize;
            // SAFETY: the caller promises that this system call is sound with
            // these arguments. The operands and `%g1`, which the compiler never
            // uses, are all registers that the kernel reads or changes (see the
            // top of this file). The condition codes are restored. The branch
            // stays inside the block. Nothing is pushed, as `nostack` requires.
            unsafe {
                asm!(
                    "rd %ccr, {flags}",
                    "mov {number}, %g1",
                    trap_and_branch!(),
                    "nop",
                    "sub %g0, %o0, %o0",
                    "2:",
                    "wr {flags}, %ccr",
                    flags = out(reg) _,
                    number = in(reg) $number,
                    inlateout("o0") $a => result,
                    inlateout("o1") $b => _,
                    $(in($register) $argument,)*
                    options(nostack),
                );
            }
            result
        }};
    }

    stubs!(ta, "o0" "o1" "o2" "o3" "o4" "o5");
}

#[cfg(all(
    feature = "rt",
    any(target_os = "linux", target_os = "android"),
    target_arch = "sparc"
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
    "ta 0x10",
    "ta 5",
    ".size __linux_aio_restorer, . - __linux_aio_restorer",
    ".popsection",
);

#[cfg(all(
    feature = "rt",
    any(target_os = "linux", target_os = "android"),
    target_arch = "sparc"
))]
unsafe extern "C" {
    /// Returns from a signal handler: rt_sigreturn(2). A handler returns to the
    /// address 8 bytes after the given one.
    pub(crate) fn __linux_aio_restorer();
}

/// Emits `_start`, the process entry. argc lies behind the 64 bytes at `%sp` in which
/// the register window is saved. Below, the 96-byte frame is allocated that every
/// calling function provides. The frame pointer is zeroed to end the chain of frames.
#[cfg(all(feature = "rt", target_arch = "sparc"))]
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
            "add %sp, 64, %o0",
            "and %sp, -8, %sp",
            "sub %sp, 96, %sp",
            "call {rust}",
            "nop",
            "ta 5",
            ".size _start, . - _start",
            ".popsection",
            rust = sym $rust,
        );
    };
}

/// Emits a function that starts a thread (see `arch/mod.rs`). An error sets the carry
/// bit. In the child `%o1` is 1. The kernel copies the parent's frame to the new
/// stack and sets the child's `%sp` below it. Therefore the address of the stack is
/// kept in `%o5`, which is no argument of clone(2).
#[cfg(all(feature = "rt", target_arch = "sparc"))]
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
            "mov %o2, %o3",
            "mov %o2, %o4",
            "mov {clone}, %g1",
            "ta 0x10",
            "bcs 2f",
            "nop",
            "cmp %o1, 0",
            "bne 3f",
            "nop",
            "retl",
            "nop",
            "2:",
            "retl",
            "sub %g0, %o0, %o0",
            "3:",
            "mov %g0, %fp",
            "mov %o5, %o0",
            "sub %o5, 96, %sp",
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
