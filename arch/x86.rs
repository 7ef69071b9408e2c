//! x86 (32-bit, i386 to i686).
//!
//! - Instruction: `int 0x80`, which every kernel and every processor supports.
//! - Number: `eax`.
//! - Arguments: `ebx`, `ecx`, `edx`, `esi`, `edi`, `ebp`.
//! - Result: `eax`; −4095 to −1 is an error.
//! - Clobbers: none; the interrupt gate gives back every other register and
//!   the flags. Vectors and AMX tiles are kept as on x86_64.
//! - `esi` and `ebp` are reserved by the compiler (base and frame pointer) and
//!   cannot be operands: the stubs swap them in and back around the `int 0x80`.
//!   Six arguments and the number fill all seven registers, so the last stubs
//!   load the values that do not fit from an array that `eax` points at. Those
//!   stubs push registers and so are not `nostack`.
//! - Stack: 16-byte aligned at a call (System V ABI, Intel386 Architecture
//!   Processor Supplement 1.1).
//! - Source: the kernel's `arch/x86/entry/entry_32.S`, `entry_64_compat.S`
//!   and `arch/x86/entry/syscalls/syscall_32.tbl`.

use super::{Abi, BaseNumbers, HeaderSource, Numbers};

pub(crate) use super::errno_generic as errno;

/// The kernel's `long`.
pub(crate) type Long = i32;

pub(crate) const ABIS: &[Abi] = &[ABI];

pub(crate) const ABI: Abi = Abi {
    headers: HeaderSource::new("x86", "-m32", &["__i386__"]),
    aio: Numbers {
        abi: "x86",
        io_setup: Some(245),
        io_destroy: Some(246),
        io_submit: Some(248),
        io_cancel: Some(249),
        io_getevents: Some(247),
        io_pgetevents: Some(385),
        io_pgetevents_time64: Some(416),
    },
    base: BaseNumbers {
        madvise: 219,
        ppoll: Some(309),
        write: 4,
        exit_group: 252,
        statx: 383,
        mmap: 192,
        getpid: 20,
        openat: 295,
        close: 6,
    },
    errnos: errno::TABLE,
    sigset_bytes: 8,
    stack_align: 16,
    pollrdhup: 0x2000,
    map_anonymous: 0x20,
    o_cloexec: 0x8_0000,
};

#[cfg(target_arch = "x86")]
pub(crate) mod stubs {
    use core::arch::asm;

    /// Emits one `int 0x80` with up to three arguments, which needs no register that
    /// the compiler reserves.
    macro_rules! int80 {
        ($number:ident $(, $register:tt: $argument:ident)*) => {{
            let result: isize;
            // SAFETY: the caller promises that this system call is sound with
            // these arguments. The operands name every register that the kernel
            // reads, and it changes only the result register. Nothing is
            // pushed, as `nostack` requires.
            unsafe {
                asm!(
                    "int 0x80",
                    inlateout("eax") $number => result,
                    $(in($register) $argument,)*
                    options(nostack),
                );
            }
            result
        }};
    }

    #[inline(always)]
    pub(crate) unsafe fn syscall0(n: usize) -> isize {
        int80!(n)
    }

    #[inline(always)]
    pub(crate) unsafe fn syscall1(n: usize, a: usize) -> isize {
        int80!(n, "ebx": a)
    }

    #[inline(always)]
    pub(crate) unsafe fn syscall2(n: usize, a: usize, b: usize) -> isize {
        int80!(n, "ebx": a, "ecx": b)
    }

    #[inline(always)]
    pub(crate) unsafe fn syscall3(n: usize, a: usize, b: usize, c: usize) -> isize {
        int80!(n, "ebx": a, "ecx": b, "edx": c)
    }

    #[inline(always)]
    pub(crate) unsafe fn syscall4(n: usize, a: usize, b: usize, c: usize, d: usize) -> isize {
        let result: isize;
        // SAFETY: the caller promises that this system call is sound with these
        // arguments. `esi` is swapped with the fourth argument and swapped back
        // before the block ends. The kernel changes only `eax`. Nothing is
        // pushed, as `nostack` requires.
        unsafe {
            asm!(
                "xchg esi, edi",
                "int 0x80",
                "xchg esi, edi",
                inlateout("eax") n => result,
                in("ebx") a,
                in("ecx") b,
                in("edx") c,
                in("edi") d,
                options(nostack),
            );
        }
        result
    }

    #[inline(always)]
    pub(crate) unsafe fn syscall5(
        n: usize,
        a: usize,
        b: usize,
        c: usize,
        d: usize,
        e: usize,
    ) -> isize {
        let result: isize;
        let rest = [n, d];
        // SAFETY: the caller promises that this system call is sound with these
        // arguments. `eax` points at `rest`, which outlives the block and is
        // read before `eax` is set to the number. `esi` is pushed before the
        // `int 0x80` and popped after it, so `nostack` is absent. The kernel
        // changes only `eax`.
        unsafe {
            asm!(
                "push esi",
                "mov esi, [eax + 4]",
                "mov eax, [eax]",
                "int 0x80",
                "pop esi",
                inlateout("eax") &raw const rest => result,
                in("ebx") a,
                in("ecx") b,
                in("edx") c,
                in("edi") e,
            );
        }
        result
    }

    #[inline(always)]
    pub(crate) unsafe fn syscall6(
        n: usize,
        a: usize,
        b: usize,
        c: usize,
        d: usize,
        e: usize,
        f: usize,
    ) -> isize {
        let result: isize;
        let rest = [n, d, f];
        // SAFETY: the caller promises that this system call is sound with these
        // arguments. `eax` points at `rest`, which outlives the block and is
        // read before `eax` is set to the number. `ebp` and `esi` are pushed
        // before the `int 0x80` and popped after it, so `nostack` is absent. No
        // memory is addressed through `ebp` between the two pops. The kernel
        // changes only `eax`.
        unsafe {
            asm!(
                "push ebp",
                "push esi",
                "mov esi, [eax + 4]",
                "mov ebp, [eax + 8]",
                "mov eax, [eax]",
                "int 0x80",
                "pop esi",
                "pop ebp",
                inlateout("eax") &raw const rest => result,
                in("ebx") a,
                in("ecx") b,
                in("edx") c,
                in("edi") e,
            );
        }
        result
    }
}

/// Emits `_start`, the process entry. `esp` points at argc. The ABI requires it
/// 16-byte aligned at a call, with the argument on the stack.
#[cfg(all(feature = "rt", target_arch = "x86"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __process_entry {
    ($rust:path) => {
        ::core::arch::global_asm!(
            ".pushsection .text._start, \"ax\", @progbits",
            ".globl _start",
            ".type _start, @function",
            "_start:",
            "xor ebp, ebp",
            "mov eax, esp",
            "and esp, -16",
            "sub esp, 12",
            "push eax",
            "call {rust}",
            "ud2",
            ".size _start, . - _start",
            ".popsection",
            rust = sym $rust,
        );
    };
}

/// Emits a function that starts a thread (see `arch/mod.rs`). Arguments are on the
/// stack, and the registers of the system call that a function has to keep are
/// pushed. The call of `begin` has the alignment described at `__process_entry!`.
#[cfg(all(feature = "rt", target_arch = "x86"))]
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
            "push ebx",
            "push esi",
            "push edi",
            "mov ebx, [esp + 16]",
            "mov ecx, [esp + 20]",
            "mov edx, [esp + 24]",
            "mov esi, edx",
            "mov edi, edx",
            "mov eax, {clone}",
            "int 0x80",
            "test eax, eax",
            "jz 2f",
            "pop edi",
            "pop esi",
            "pop ebx",
            "ret",
            "2:",
            "xor ebp, ebp",
            "mov eax, esp",
            "sub esp, 12",
            "push eax",
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
