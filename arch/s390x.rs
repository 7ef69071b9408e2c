//! s390x.
//!
//! Its `asm!` is stable since Rust 1.84.
//!
//! - Instruction: `svc 0`. The zero means that the number is in the register.
//! - Number: `%r1`.
//! - Arguments: `%r2` to `%r7`.
//! - Result: `%r2`; −4095 to −1 is an error.
//! - Clobbers: none; every other register is given back, the condition code
//!   too. The kernel saves the vector registers whole before it uses them
//!   itself.
//! - Other registers: `%r14` holds the return address, and `%r15` is the stack
//!   pointer.
//! - Stack: 8-byte aligned at a call (ELF ABI, s390x Supplement).
//! - Source: the kernel's `arch/s390/kernel/entry.S` (`system_call`),
//!   `arch/s390/kernel/syscall.c`, `arch/s390/kernel/fpu.c` (`__kernel_fpu_begin`) and
//!   `arch/s390/kernel/syscalls/syscall.tbl`.

use super::{Abi, BaseNumbers, HeaderSource, Numbers, Relative, SignalAbi};

pub(crate) use super::errno_generic as errno;

/// The kernel's `long`.
pub(crate) type Long = i64;

pub(crate) const ABIS: &[Abi] = &[ABI];

pub(crate) const ABI: Abi = Abi {
    headers: HeaderSource::new("s390", "-m64", &["__s390__", "__s390x__"]).big_endian(),
    aio: Numbers {
        abi: "s390x",
        io_setup: Some(243),
        io_destroy: Some(244),
        io_submit: Some(246),
        io_cancel: Some(247),
        io_getevents: Some(245),
        io_pgetevents: Some(382),
        io_pgetevents_time64: None,
    },
    base: BaseNumbers {
        madvise: 219,
        ppoll: Some(302),
        write: 4,
        exit_group: 248,
        statx: 379,
        mmap: 90,
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
    stack_align: 8,
    pollrdhup: 0x2000,
    map_anonymous: 0x20,
    o_cloexec: 0x8_0000,
    signals: SignalAbi::WITH_RESTORER,
    relative: Relative::Rela(12),
};

#[cfg(target_arch = "s390x")]
pub(crate) mod stubs {
    use core::arch::asm;

    /// Emits one `svc` with the operands that every arity shares.
    macro_rules! svc {
        // The kernel reads no argument; r2 only has to be an output.
        ($number:ident) => {
            svc!(@ $number, 0_usize)
        };
        ($number:ident, "r2": $first:ident $($rest:tt)*) => {
            svc!(@ $number, $first $($rest)*)
        };
        (@ $number:ident, $first:expr $(, $register:tt: $argument:ident)*) => {{
            let result: isize;
            // SAFETY: the caller promises that this system call is sound with
            // these arguments. The operands name every register that the kernel
            // reads, and it changes only the result register. Nothing is
            // pushed, as `nostack` requires.
            unsafe {
                asm!(
                    "svc 0",
                    in("r1") $number,
                    inlateout("r2") $first => result,
                    $(in($register) $argument,)*
                    options(nostack),
                );
            }
            result
        }};
    }

    stubs!(svc, "r2" "r3" "r4" "r5" "r6" "r7");
}

/// Emits `_start`, the process entry. `%r15` points at argc and has the alignment
/// that the ABI requires. Below it, the 160-byte frame is allocated that every
/// calling function provides. Its back chain is zero, which ends the chain of
/// frames.
#[cfg(all(feature = "rt", target_arch = "s390x"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __process_entry {
    ($rust:path) => {
        ::core::arch::global_asm!(
            ".pushsection .text._start, \"ax\", @progbits",
            ".p2align 1",
            ".globl __linux_aio_start",
            ".weak _start",
            ".type __linux_aio_start, @function",
            ".type _start, @function",
            "_start:",
            "__linux_aio_start:",
            ".cfi_startproc",
            ".cfi_undefined %r14",
            "lgr %r2, %r15",
            "aghi %r15, -160",
            "xc 0(8, %r15), 0(%r15)",
            "brasl %r14, {rust}",
            // Jumps to a zero halfword, which is no valid instruction.
            "j .+2",
            ".cfi_endproc",
            ".size _start, . - _start",
            ".popsection",
            rust = sym $rust,
        );
    };
}

/// Emits a function that starts a thread (see `arch/mod.rs`). The stack is the first
/// argument of this architecture's clone(2). The fifth, `%r6`, keeps its value: it is
/// the thread pointer.
#[cfg(all(feature = "rt", target_arch = "s390x"))]
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
            "lgr %r0, %r2",
            "lgr %r2, %r3",
            "lgr %r3, %r0",
            "lgr %r5, %r4",
            "lghi %r1, {clone}",
            "svc 0",
            "ltgr %r2, %r2",
            "jz 2f",
            "br %r14",
            "2:",
            "lgr %r2, %r15",
            "aghi %r15, -160",
            "xc 0(8, %r15), 0(%r15)",
            "brasl %r14, {begin}",
            // Jumps to a zero halfword, which is no valid instruction.
            "j .+2",
            ".size {start}, . - {start}",
            ".popsection",
            start = sym $start,
            clone = const $clone,
            begin = sym $begin,
        );
    };
}
