//! x86_64 and its 32-bit-pointer ABI, x32.
//!
//! - Instruction: `syscall`.
//! - Number: `rax`; on x32 with bit 30 set (`__X32_SYSCALL_BIT`).
//! - Arguments: `rdi`, `rsi`, `rdx`, `r10`, `r8`, `r9`.
//! - Result: `rax`; −4095 to −1 is an error.
//! - Clobbers: `rcx` (return address) and `r11` (flags), written by the
//!   instruction itself; every other register is given back, vectors (up to
//!   AVX-512) and AMX tiles too: the kernel saves them whole before it uses
//!   the unit or switches to another thread.
//! - Stack: 16-byte aligned at a call (System V ABI, 3.2.2). No red zone is
//!   touched; the kernel runs on its own stack.
//! - Source: the kernel's `arch/x86/entry/entry_64.S`,
//!   `arch/x86/kernel/fpu/core.c` (`kernel_fpu_begin`) and
//!   `arch/x86/entry/syscalls/syscall_64.tbl`; System V ABI, A.2.1.
//!
//! On x32, io_setup and io_submit are the compat calls (32-bit context and
//! iocb pointers); the others are the 64-bit ones, with 64-bit time and a
//! 64-bit `sigset` argument.

use super::{Abi, BaseNumbers, HeaderSource, Numbers, Relative, SignalAbi};

pub(crate) use super::errno_generic as errno;

/// The kernel's `long`: 64 bits on x32 as well.
pub(crate) type Long = i64;

pub(crate) const ABIS: &[Abi] = &[X86_64, X32];

pub(crate) const ABI: Abi = if cfg!(target_pointer_width = "32") {
    X32
} else {
    X86_64
};

const X86_64: Abi = Abi {
    headers: HeaderSource::new("x86", "-m64", &["__x86_64__"]),
    aio: Numbers {
        abi: "x86_64",
        io_setup: Some(206),
        io_destroy: Some(207),
        io_submit: Some(209),
        io_cancel: Some(210),
        io_getevents: Some(208),
        io_pgetevents: Some(333),
        io_pgetevents_time64: None,
    },
    base: BaseNumbers {
        madvise: 28,
        ppoll: Some(271),
        write: 1,
        exit_group: 231,
        statx: 332,
        mmap: 9,
        getpid: 39,
        openat: 257,
        close: 3,
        fcntl: 72,
        mprotect: 10,
        rt_sigaction: 13,
        rt_sigprocmask: 14,
    },
    errnos: errno::TABLE,
    sigset_bytes: 8,
    stack_align: 16,
    pollrdhup: 0x2000,
    map_anonymous: 0x20,
    o_cloexec: 0x8_0000,
    signals: SignalAbi::WITH_RESTORER,
    relative: Relative::Rela(8),
};

const X32_BIT: u32 = 0x4000_0000;

const X32: Abi = Abi {
    headers: HeaderSource::new("x86", "-mx32", &["__x86_64__"]),
    aio: Numbers {
        abi: "x32",
        io_setup: Some(X32_BIT + 543),
        io_destroy: Some(X32_BIT + 207),
        io_submit: Some(X32_BIT + 544),
        io_cancel: Some(X32_BIT + 210),
        io_getevents: Some(X32_BIT + 208),
        io_pgetevents: Some(X32_BIT + 333),
        io_pgetevents_time64: None,
    },
    base: BaseNumbers {
        madvise: X32_BIT + 28,
        ppoll: Some(X32_BIT + 271),
        write: X32_BIT + 1,
        exit_group: X32_BIT + 231,
        statx: X32_BIT + 332,
        mmap: X32_BIT + 9,
        getpid: X32_BIT + 39,
        openat: X32_BIT + 257,
        close: X32_BIT + 3,
        fcntl: X32_BIT + 72,
        mprotect: X32_BIT + 10,
        rt_sigaction: X32_BIT + 512,
        rt_sigprocmask: X32_BIT + 14,
    },
    relative: Relative::None,
    ..X86_64
};

/// The system call stubs. Registers are 64 bits wide on x32 too, so arguments are
/// passed as `u64` (zero-extended on x32) and the result is truncated to `isize`.
#[cfg(target_arch = "x86_64")]
pub(crate) mod stubs {
    use core::arch::asm;

    /// Emits one `syscall` with the operands that every arity shares.
    macro_rules! syscall {
        ($number:ident $(, $register:tt: $argument:ident)*) => {{
            let result: u64;
            // SAFETY: the caller promises that this system call is sound with
            // these arguments. The operands name every register that the kernel
            // reads and every one that it changes (see the top of this file).
            // No option denies memory effects. Nothing is pushed, as `nostack`
            // requires.
            unsafe {
                asm!(
                    "syscall",
                    inlateout("rax") $number as u64 => result,
                    $(in($register) $argument as u64,)*
                    lateout("rcx") _,
                    lateout("r11") _,
                    options(nostack),
                );
            }
            result as isize
        }};
    }

    stubs!(syscall, "rdi" "rsi" "rdx" "r10" "r8" "r9");
}

#[cfg(all(
    feature = "rt",
    any(target_os = "linux", target_os = "android"),
    target_arch = "x86_64"
))]
::core::arch::global_asm!(
    ".pushsection .text.__linux_aio_restorer, \"ax\", @progbits",
    ".weak __linux_aio_restorer",
    ".hidden __linux_aio_restorer",
    ".type __linux_aio_restorer, @function",
    "__linux_aio_restorer:",
    "mov rax, {number}",
    "syscall",
    "ud2",
    ".size __linux_aio_restorer, . - __linux_aio_restorer",
    ".popsection",
    number = const if cfg!(target_pointer_width = "32") {
        0x4000_0000 + 513
    } else {
        15
    },
);

#[cfg(all(
    feature = "rt",
    any(target_os = "linux", target_os = "android"),
    target_arch = "x86_64"
))]
unsafe extern "C" {
    /// Returns from a signal handler: rt_sigreturn(2). The kernel requires it. Debuggers
    /// recognise these instructions.
    pub(crate) fn __linux_aio_restorer();
}

/// Emits `_start`, the process entry. `rsp` initially points at argc and is 16-byte
/// aligned, as the ABI guarantees and a call needs it. `rbp` is zero, which ends a chain
/// of frames: the kernel clears it (`ELF_PLAT_INIT` in [`asm/elf.h`]). The function does
/// not return.
///
/// [`asm/elf.h`]: https://git.kernel.org/pub/scm/linux/kernel/git/torvalds/linux.git/tree/arch/x86/include/asm/elf.h
#[cfg(all(feature = "rt", target_arch = "x86_64"))]
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
            ".cfi_startproc",
            ".cfi_undefined rip",
            "mov rdi, rsp",
            "call {rust}",
            ".cfi_endproc",
            ".size _start, . - _start",
            ".popsection",
            rust = sym $rust,
        );
    };
}

/// Emits a function that starts a thread (see `arch/mod.rs`). The kernel sets `rsp`
/// of the child to `stack`, which is 16-byte aligned as the call needs it.
#[cfg(all(feature = "rt", target_arch = "x86_64"))]
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
            "mov r10, rdx",
            "mov r8, rdx",
            "mov eax, {clone}",
            "syscall",
            "test rax, rax",
            "jz 2f",
            "ret",
            "2:",
            "xor ebp, ebp",
            "mov rdi, rsp",
            "call {begin}",
            "ud2",
            ".size {start}, . - {start}",
            ".popsection",
            start = sym $start,
            clone = const $clone,
            begin = sym $begin,
        );
    };
}
