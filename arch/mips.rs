//! mips (o32), both byte orders, up to release 5 and release 6. `mips64.rs` uses
//! the same stubs.
//!
//! Its `asm!` is experimental: this target needs a nightly compiler.
//!
//! - Instruction: `syscall`.
//! - Number: `$2` (v0), from 4000 up (n64: 5000, n32: 6000).
//! - Arguments: `$4` to `$7` (a0 to a3). On o32 the fifth and sixth lie on the
//!   stack, at 16 and 20 bytes from `$29` (sp), above the space reserved for the
//!   first four: the stubs allocate that frame and free it. On n64 they are in
//!   `$8` and `$9` (a4 and a5).
//! - Result: `$2` (v0); where `$7` (a3) is not zero it is an error number,
//!   positive, and the stub negates it. So the stub returns −4095 to −1 as
//!   everywhere.
//! - Clobbers: `$1` (at), `$3` (v1), `$7` (a3), `$8` to `$15`, `$24` and `$25`
//!   (t8 and t9), `hi`, `lo`. The kernel gives back `$4` to `$6` (a0 to a2),
//!   `$16` to `$23` (s0 to s7), the registers of stack and frame, floating point,
//!   the MSA vectors and `$ac1` to `$ac3` of DSP. `asm!` cannot name `$1`, `hi`
//!   and `lo`, in which LLVM keeps values as in any other register (only GCC
//!   reserves `$1` for the assembler). So the stubs save them in three registers
//!   that the kernel gives back (s0 to s2). Release 6 has neither `hi` nor `lo`.
//!   The user mode of QEMU changes none of them, so a missing clobber is detected
//!   only on a real kernel.
//! - Names: `asm!` has only the numbers of the registers, and the assembly here
//!   uses them too. The names depend on the ABI:
//!
//!   | numbers | o32 | n64, n32 |
//!   |---|---|---|
//!   | `$0` | zero | zero |
//!   | `$1` | at | at |
//!   | `$2`, `$3` | v0, v1 | v0, v1 |
//!   | `$4` to `$7` | a0 to a3 | a0 to a3 |
//!   | `$8` to `$11` | t0 to t3 | a4 to a7 |
//!   | `$12` to `$15` | t4 to t7 | t0 to t3 |
//!   | `$16` to `$23` | s0 to s7 | s0 to s7 |
//!   | `$24`, `$25` | t8, t9 | t8, t9 |
//!   | `$28` to `$31` | gp, sp, fp, ra | gp, sp, fp, ra |
//!
//! - Stack: 8-byte aligned at a call on o32 (System V ABI, MIPS RISC Processor
//!   Supplement), 16-byte aligned on n64 and n32 (MIPSpro N32 ABI Handbook).
//! - Source: the kernel's `arch/mips/kernel/scall32-o32.S` and
//!   `scall64-n64.S`, `entry.S` (`restore_partial`, and `restore_all`, which
//!   loads what was never saved), `arch/mips/include/asm/stackframe.h`
//!   (`SAVE_SOME`, `RESTORE_SOME`), `regdef.h` (the names), `switch_to.h`
//!   (`lose_fpu_inatomic`, `__save_dsp`) and `arch/mips/kernel/syscalls/*.tbl`.

use super::{Abi, BaseNumbers, HeaderSource, Numbers, Relative, SignalAbi};

pub(crate) use super::errno_mips as errno;

/// The kernel's `long`.
pub(crate) type Long = i32;

pub(crate) const ABIS: &[Abi] = &[ABI];

pub(crate) const ABI: Abi = Abi {
    headers: HeaderSource::new(
        "mips",
        "-m32",
        &[
            "__mips__",
            "_MIPS_SIM=_MIPS_SIM_ABI32",
            "_MIPS_SZLONG=32",
            "__MIPSEB__",
        ],
    )
    .big_endian(),
    aio: Numbers {
        abi: "mips",
        io_setup: Some(4241),
        io_destroy: Some(4242),
        io_submit: Some(4244),
        io_cancel: Some(4245),
        io_getevents: Some(4243),
        io_pgetevents: Some(4368),
        io_pgetevents_time64: Some(4416),
    },
    base: BaseNumbers {
        madvise: 4218,
        ppoll: Some(4302),
        write: 4004,
        exit_group: 4246,
        statx: 4366,
        mmap: 4210,
        getpid: 4020,
        openat: 4288,
        close: 4006,
        fcntl: 4055,
        mprotect: 4125,
        rt_sigaction: 4194,
        rt_sigprocmask: 4195,
    },
    errnos: errno::TABLE,
    sigset_bytes: 16,
    stack_align: 8,
    pollrdhup: 0x2000,
    map_anonymous: 0x800,
    o_cloexec: 0x8_0000,
    signals: SignalAbi {
        set_mask: 3,
        siginfo: 8,
        flags_first: true,
        ..SignalAbi::GENERIC
    },
    relative: Relative::None,
};

#[cfg(any(
    target_arch = "mips",
    target_arch = "mips32r6",
    target_arch = "mips64",
    target_arch = "mips64r6"
))]
pub(crate) mod stubs {
    use core::arch::asm;

    /// Emits one `syscall` with the given instructions before and after it. Saves
    /// and restores `$1`, and negates the result if the error flag is set.
    macro_rules! framed {
        ([$($before:literal)*] [$($after:literal)*] $number:ident, $d:expr, $($operands:tt)*) => {{
            let (result, error): (isize, usize);
            // SAFETY: the caller promises that this system call is sound with
            // these arguments. The operands name every register that the kernel
            // reads and every one that it changes (see the top of this file).
            // `$1`, `hi`, `lo` and the stack pointer are restored. Where the
            // stack is used, `nostack` is not set. An operand may lie in `$1`:
            // it is read before the `syscall`.
            unsafe {
                asm!(
                    ".set noat",
                    "move $18, $1", // s2 = at
                    $($before,)*
                    "syscall",
                    $($after,)*
                    "move $1, $18", // at = s2
                    out("$18") _,
                    inlateout("$2") $number => result,
                    inlateout("$7") $d => error,
                    lateout("$3") _,
                    lateout("$10") _, lateout("$11") _, lateout("$12") _, lateout("$13") _,
                    lateout("$14") _, lateout("$15") _, lateout("$24") _, lateout("$25") _,
                    $($operands)*
                );
            }
            if error == 0 { result } else { result.wrapping_neg() }
        }};
    }

    /// Emits one `syscall` through `framed!`. Also saves and restores `hi` and `lo`
    /// where the instruction set has them.
    #[cfg(any(target_arch = "mips", target_arch = "mips64"))]
    macro_rules! syscall {
        ([$($before:literal)*] [$($after:literal)*] $number:ident, $d:expr, $($operands:tt)*) => {
            framed!(
                ["mfhi $16" "mflo $17" $($before)*] [$($after)* "mthi $16" "mtlo $17"]
                $number, $d, out("$16") _, out("$17") _, $($operands)*
            )
        };
    }

    #[cfg(any(target_arch = "mips32r6", target_arch = "mips64r6"))]
    macro_rules! syscall {
        ($($all:tt)*) => { framed!($($all)*) };
    }

    /// Emits a system call with up to four arguments, which both ABIs pass in the
    /// same registers. Where there is no fourth, the kernel does not read it, and
    /// `$7` only has to be an output.
    macro_rules! short {
        ($number:ident, $d:expr $(, $register:tt: $argument:ident)*) => {
            syscall!(
                [] [] $number, $d, $(in($register) $argument,)*
                lateout("$8") _, lateout("$9") _, options(nostack)
            )
        };
    }

    #[inline(always)]
    pub(crate) unsafe fn syscall0(n: usize) -> isize {
        short!(n, 0_usize)
    }

    #[inline(always)]
    pub(crate) unsafe fn syscall1(n: usize, a: usize) -> isize {
        short!(n, 0_usize, "$4": a)
    }

    #[inline(always)]
    pub(crate) unsafe fn syscall2(n: usize, a: usize, b: usize) -> isize {
        short!(n, 0_usize, "$4": a, "$5": b)
    }

    #[inline(always)]
    pub(crate) unsafe fn syscall3(n: usize, a: usize, b: usize, c: usize) -> isize {
        short!(n, 0_usize, "$4": a, "$5": b, "$6": c)
    }

    #[inline(always)]
    pub(crate) unsafe fn syscall4(n: usize, a: usize, b: usize, c: usize, d: usize) -> isize {
        short!(n, d, "$4": a, "$5": b, "$6": c)
    }

    /// The stubs with five and six arguments on o32.
    #[cfg(target_pointer_width = "32")]
    mod long {
        use core::arch::asm;

        #[inline(always)]
        pub(crate) unsafe fn syscall5(
            n: usize,
            a: usize,
            b: usize,
            c: usize,
            d: usize,
            e: usize,
        ) -> isize {
            syscall!(
                ["addiu $29, $29, -24" "sw {e}, 16($29)"] ["addiu $29, $29, 24"] n, d,
                in("$4") a, in("$5") b, in("$6") c, e = in(reg) e,
                lateout("$8") _, lateout("$9") _
            )
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
            syscall!(
                ["addiu $29, $29, -24" "sw {e}, 16($29)" "sw {f}, 20($29)"] ["addiu $29, $29, 24"]
                n, d, in("$4") a, in("$5") b, in("$6") c, e = in(reg) e, f = in(reg) f,
                lateout("$8") _, lateout("$9") _
            )
        }
    }

    /// The stubs with five and six arguments on n64.
    #[cfg(target_pointer_width = "64")]
    mod long {
        use core::arch::asm;

        #[inline(always)]
        pub(crate) unsafe fn syscall5(
            n: usize,
            a: usize,
            b: usize,
            c: usize,
            d: usize,
            e: usize,
        ) -> isize {
            syscall!(
                [] [] n, d, in("$4") a, in("$5") b, in("$6") c, inlateout("$8") e => _,
                lateout("$9") _, options(nostack)
            )
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
            syscall!(
                [] [] n, d, in("$4") a, in("$5") b, in("$6") c, inlateout("$8") e => _,
                inlateout("$9") f => _, options(nostack)
            )
        }
    }

    pub(crate) use long::{syscall5, syscall6};
}

/// Emits `_start`, the process entry. `$29` (sp) points at argc; the ABI requires it
/// 8-byte aligned, with space for four arguments below. A function expects its own
/// address in `$25` (t9). Frame pointer and return address are zeroed to end the chain
/// of frames.
#[cfg(all(feature = "rt", any(target_arch = "mips", target_arch = "mips32r6")))]
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
            ".set push",
            ".set noreorder",
            "move $30, $0", // fp
            "move $31, $0", // ra
            "move $4, $29", // a0 = sp
            "addiu $8, $0, -8", // t0
            "and $29, $29, $8", // sp
            "addiu $29, $29, -16", // sp
            "lui $25, %hi({rust})", // t9
            "addiu $25, $25, %lo({rust})",
            "jalr $25", // t9
            "nop",
            "break",
            ".set pop",
            ".size _start, . - _start",
            ".popsection",
            rust = sym $rust,
        );
    };
}

/// Emits a function that starts a thread (see `arch/mod.rs`). The fifth argument of
/// clone(2) is passed on the stack. In the child, `$29` (sp) is `stack`, below which
/// is the space for four arguments of `begin`.
#[cfg(all(feature = "rt", any(target_arch = "mips", target_arch = "mips32r6")))]
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
            ".set push",
            ".set noreorder",
            "addiu $29, $29, -24", // sp
            "sw $6, 16($29)", // the fifth argument: a2
            "move $7, $6", // a3 = a2
            "addiu $2, $0, {clone}", // v0
            "syscall",
            "bne $7, $0, 2f", // a3: an error
            "nop",
            "beq $2, $0, 3f", // v0: the child
            "nop",
            "jr $31", // ra
            "addiu $29, $29, 24",
            "2:",
            "subu $2, $0, $2", // v0
            "jr $31", // ra
            "addiu $29, $29, 24",
            "3:",
            "move $30, $0", // fp
            "move $31, $0", // ra
            "move $4, $29", // a0 = sp
            "addiu $29, $29, -16", // sp
            "lui $25, %hi({begin})", // t9
            "addiu $25, $25, %lo({begin})",
            "jalr $25", // t9
            "nop",
            "break",
            ".set pop",
            ".size {start}, . - {start}",
            ".popsection",
            start = sym $start,
            clone = const $clone,
            begin = sym $begin,
        );
    };
}
