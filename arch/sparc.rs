//! sparc (32-bit, V8+). The trap is sparc64's too.
//!
//! Its `asm!` is experimental: this target needs a nightly compiler.
//!
//! - Instruction: `ta 0x10`; on sparc64 `ta 0x6d`.
//! - Number: `%g1`, which cannot be an operand: the compiler never uses it.
//! - Arguments: `%o0` to `%o5`.
//! - Result: `%o0`; where the carry bit is set (of `%icc`, on sparc64 of
//!   `%xcc`) it is an error number, positive, and the stub negates it. The
//!   caller so sees −4095 to −1 as everywhere.
//! - Clobbers: `%o1`, the second result of a few calls (pipe, fork), and the
//!   condition codes. The kernel gives back every other register; the windows
//!   below this one are the stack's. The compiler keeps comparisons in the
//!   condition codes across `asm!` (LLVM 22 does not know them as a clobber),
//!   so the stubs give them back. glibc and the kernel's own vDSO call floating
//!   point lost too, for which `asm!` has no names: Linux 2.4 lost it, today's
//!   kernel saves it, `%gsr` and what VIS uses of it included, before it uses it
//!   itself (`VISsave`, by `TI_FPDEPTH`).
//! - Source: the kernel's `arch/sparc/kernel/syscalls.S` (`ret_sys_call`),
//!   `etrap_64.S`, `rtrap_64.S`, `entry.S`,
//!   `arch/sparc/lib/VISsave.S` and `arch/sparc/kernel/syscalls/syscall.tbl`.

use super::{Abi, BaseNumbers, Numbers};

pub(crate) use super::errno_sparc as errno;

/// The kernel's `long`.
pub(crate) type Long = i32;

pub(crate) const ABIS: &[Abi] = &[ABI];

pub(crate) const ABI: Abi = Abi {
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
    },
    errnos: errno::TABLE,
    sigset_bytes: 8,
    pollrdhup: 0x0800,
    map_anonymous: 0x20,
};

#[cfg(any(target_arch = "sparc", target_arch = "sparc64"))]
pub(crate) mod stubs {
    use core::arch::asm;

    /// The trap, and the branch over the negation where it left no carry.
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

    /// One trap. The kernel reads no argument that a call does not have: `o0`
    /// and `o1` only have to be outputs.
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
            // SAFETY: the caller vouches for the call itself. The operands
            // are all that the kernel reads and all that it changes (see the
            // top of this file); the branch stays inside; nothing is pushed.
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

/// Process entry: argc lies behind the 64 bytes at `%sp` in which the register
/// window is saved. Below goes the frame that every caller owes, 96 bytes. The
/// frame pointer is zeroed: the chain of frames ends here.
#[cfg(all(feature = "rt", target_arch = "sparc"))]
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
