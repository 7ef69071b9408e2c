//! m68k.
//!
//! Its `asm!` is experimental: this target needs a nightly compiler.
//!
//! - Instruction: `trap #0`.
//! - Number: `d0`.
//! - Arguments: `d1` to `d5`, `a0`.
//! - Result: `d0`; −4095 to −1 is an error.
//! - Clobbers: none; the kernel gives back every other register.
//! - There is no io_pgetevents, only io_pgetevents_time64.
//! - Other registers: `a6` is the frame pointer, and `a7` (`sp`) the stack
//!   pointer.
//! - Stack: 2-byte aligned at a call (`STACK_BOUNDARY` of GCC's m68k port).
//! - Source: the kernel's `arch/m68k/kernel/entry.S` and
//!   `arch/m68k/kernel/syscalls/syscall.tbl`.

use super::{Abi, BaseNumbers, HeaderSource, Numbers, Relative, SignalAbi};

pub(crate) use super::errno_generic as errno;

/// The kernel's `long`.
pub(crate) type Long = i32;

pub(crate) const ABIS: &[Abi] = &[ABI];

pub(crate) const ABI: Abi = Abi {
    headers: HeaderSource::new("m68k", "-m32", &["__m68k__", "__mc68000__"]).big_endian(),
    aio: Numbers {
        abi: "m68k",
        io_setup: Some(241),
        io_destroy: Some(242),
        io_submit: Some(244),
        io_cancel: Some(245),
        io_getevents: Some(243),
        io_pgetevents: None,
        io_pgetevents_time64: Some(416),
    },
    base: BaseNumbers {
        madvise: 238,
        ppoll: Some(302),
        write: 4,
        exit_group: 247,
        statx: 379,
        mmap: 192,
        getpid: 20,
        openat: 288,
        close: 6,
        fcntl: 55,
        mprotect: 125,
        rt_sigaction: 174,
        rt_sigprocmask: 175,
    },
    errnos: errno::TABLE,
    sigset_bytes: 8,
    stack_align: 2,
    pollrdhup: 0x2000,
    map_anonymous: 0x20,
    o_cloexec: 0x8_0000,
    signals: SignalAbi::WITH_RESTORER,
    relative: Relative::None,
};

#[cfg(target_arch = "m68k")]
pub(crate) mod stubs {
    use core::arch::asm;

    /// Emits one `trap #0` with the operands that every arity shares.
    macro_rules! trap {
        ($number:ident $(, $register:tt: $argument:ident)*) => {{
            let result: isize;
            // SAFETY: the caller promises that this system call is sound with
            // these arguments. The operands name every register that the kernel
            // reads, and it changes only the result register. Nothing is
            // pushed, as `nostack` requires.
            unsafe {
                asm!(
                    "trap #0",
                    inlateout("d0") $number => result,
                    $(in($register) $argument,)*
                    options(nostack),
                );
            }
            result
        }};
    }

    stubs!(trap, "d1" "d2" "d3" "d4" "d5" "a0");
}

/// Emits `_start`, the process entry. `sp` points at argc; arguments are passed on
/// the stack. The frame pointer is zeroed to end the chain of frames.
#[cfg(all(feature = "rt", target_arch = "m68k"))]
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
            "suba.l %a6, %a6",
            "move.l %sp, %d0",
            "move.l %d0, -(%sp)",
            "jsr {rust}",
            "trap #7",
            ".size _start, . - _start",
            ".popsection",
            rust = sym $rust,
        );
    };
}

/// Emits a function that starts a thread (see `arch/mod.rs`). Arguments are on the
/// stack, above the four registers that it saves and the return address.
#[cfg(all(feature = "rt", target_arch = "m68k"))]
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
            "movem.l %d2-%d5, -(%sp)",
            "move.l (20,%sp), %d1",
            "move.l (24,%sp), %d2",
            "move.l (28,%sp), %d3",
            "move.l %d3, %d4",
            "move.l %d3, %d5",
            "move.l #{clone}, %d0",
            "trap #0",
            "cmpi.l #0, %d0",
            "beq 2f",
            "movem.l (%sp)+, %d2-%d5",
            "rts",
            "2:",
            "suba.l %a6, %a6",
            "move.l %sp, %d0",
            "move.l %d0, -(%sp)",
            "jsr {begin}",
            "trap #7",
            ".size {start}, . - {start}",
            ".popsection",
            start = sym $start,
            clone = const $clone,
            begin = sym $begin,
        );
    };
}
