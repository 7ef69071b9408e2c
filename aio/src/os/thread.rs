//! A second thread, for the one call that takes tens of milliseconds and that
//! nothing waits for.

use linux_aio::{Context, SigSet};
use linux_raw_sys::general as k;

use super::{Mask, blocked_signals, mask_signals};

/// Destroys a context that has nothing in flight, beside what the caller does next
/// where that is possible. Until it is destroyed the process does not end.
pub(crate) fn destroy_beside(context: Context) {
    let before = blocked_signals();
    // The thread is to take none of them: held ones would end the process there.
    mask_signals(Mask::Block, &SigSet::full());
    let raw = context.into_raw();
    let started = start(raw.0);
    mask_signals(Mask::Set, &before);
    if !started {
        // SAFETY: it was this function's own just now, and no thread has it.
        drop(unsafe { Context::from_raw(raw) });
    }
}

/// Shares all that a thread shares.
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

/// Starts a thread that makes two calls, `io_destroy` and `exit`, and uses no
/// memory, so that it needs no stack of its own. Returns whether it started.
#[cfg(target_arch = "x86_64")]
fn start(context: usize) -> bool {
    let answer: isize;
    // SAFETY: what runs in the thread is here: it reads and writes registers alone,
    // and no signal comes to it. The calls change rax, rcx and r11; the operand
    // keeps rdi to that of this thread.
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
    // SAFETY: as on x86_64.
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
    // SAFETY: as on x86_64.
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
