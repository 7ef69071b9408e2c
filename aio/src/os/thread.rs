//! A second thread for `io_destroy`, which takes tens of milliseconds and whose result
//! is not needed.

use linux_aio::{Context, SigSet};
use linux_raw_sys::general as k;

use super::{Mask, blocked_signals, mask_signals};

/// Destroys a context that has nothing in flight, in parallel where a thread can be
/// started.
///
/// The process does not exit until the context is destroyed.
pub(crate) fn destroy_beside(context: Context) {
    let before = blocked_signals();
    // The new thread must receive no signal: one that only this thread blocks later would
    // end the process there.
    mask_signals(Mask::Block, &SigSet::full());
    let raw = context.into_raw();
    let started = start(raw.0);
    mask_signals(Mask::Set, &before);
    if !started {
        // SAFETY: `raw` comes from `into_raw` above, and no thread was started that
        // would destroy it.
        drop(unsafe { Context::from_raw(raw) });
    }
}

/// The clone(2) flags of a thread that shares everything.
#[cfg(any(
    target_arch = "x86_64",
    target_arch = "aarch64",
    target_arch = "riscv64"
))]
const FLAGS: u32 = k::CLONE_VM
    | k::CLONE_FS
    | k::CLONE_FILES
    | k::CLONE_SIGHAND
    | k::CLONE_THREAD
    | k::CLONE_SYSVSEM;

/// Starts a thread that makes two system calls, `io_destroy` and `exit`. It uses no
/// memory, and so needs no stack. Returns whether it started.
#[cfg(target_arch = "x86_64")]
fn start(context: usize) -> bool {
    let answer: isize;
    // SAFETY: the new thread executes only the instructions here. It accesses registers
    // only, and all its signals are blocked. The system call changes rax, rcx and r11,
    // which are outputs. The new thread alone overwrites rdi.
    unsafe {
        core::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "mov rdi, r12",
            "mov eax, {destroy}",
            "syscall",
            "xor edi, edi",
            "mov eax, {exit}",
            "syscall",
            "ud2",
            "2:",
            destroy = const k::__NR_io_destroy,
            exit = const k::__NR_exit,
            inlateout("rax") k::__NR_clone as isize => answer,
            in("rdi") FLAGS as usize,
            in("rsi") 0_usize,
            in("rdx") 0_usize,
            in("r10") 0_usize,
            in("r8") 0_usize,
            in("r12") context,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    answer > 0
}

#[cfg(target_arch = "aarch64")]
fn start(context: usize) -> bool {
    let answer: isize;
    // SAFETY: the new thread executes only the instructions here. It accesses registers
    // only, and all its signals are blocked. The system call changes x0, which is an
    // output. The new thread alone overwrites x8.
    unsafe {
        core::arch::asm!(
            "svc 0",
            "cbnz x0, 2f",
            "mov x0, {context}",
            "mov x8, {destroy}",
            "svc 0",
            "mov x0, 0",
            "mov x8, {exit}",
            "svc 0",
            "udf 0",
            "2:",
            context = in(reg) context,
            destroy = const k::__NR_io_destroy,
            exit = const k::__NR_exit,
            inlateout("x0") FLAGS as isize => answer,
            in("x1") 0_usize,
            in("x2") 0_usize,
            in("x3") 0_usize,
            in("x4") 0_usize,
            in("x8") k::__NR_clone as usize,
            options(nostack),
        );
    }
    answer > 0
}

#[cfg(target_arch = "riscv64")]
fn start(context: usize) -> bool {
    let answer: isize;
    // SAFETY: the new thread executes only the instructions here. It accesses registers
    // only, and all its signals are blocked. The system call changes a0, which is an
    // output. The new thread alone overwrites a7.
    unsafe {
        core::arch::asm!(
            "ecall",
            "bnez a0, 2f",
            "mv a0, {context}",
            "li a7, {destroy}",
            "ecall",
            "li a0, 0",
            "li a7, {exit}",
            "ecall",
            "unimp",
            "2:",
            context = in(reg) context,
            destroy = const k::__NR_io_destroy,
            exit = const k::__NR_exit,
            inlateout("a0") FLAGS as isize => answer,
            in("a1") 0_usize,
            in("a2") 0_usize,
            in("a3") 0_usize,
            in("a4") 0_usize,
            in("a7") k::__NR_clone as usize,
            options(nostack),
        );
    }
    answer > 0
}

#[cfg(not(any(
    target_arch = "x86_64",
    target_arch = "aarch64",
    target_arch = "riscv64"
)))]
fn start(_context: usize) -> bool {
    false
}
