//! The start of a thread. This system call returns twice, on different stacks, so that
//! no stub can make it.
//!
//! `guest_clone` is a C function `(flags, stack, word) -> result` that calls clone(2).
//! It passes `word` for both thread words and for the thread pointer, whose order
//! differs between kernels (the pointer is not read without CLONE_SETTLS). In the child
//! it calls [`begin`](super::threads::begin) with `stack`, the lowest address above the
//! stack. Registers, frames and back chains are set up as `linux_aio::rt` does at the
//! start of a process, for the reasons given there.

/// Defines the function, with the symbol around its code.
#[allow(
    unused_macros,
    reason = "arm and ELFv1 write their symbol in another way"
)]
macro_rules! clone {
    ($($code:literal,)+) => {
        core::arch::global_asm!(
            ".pushsection .text.guest_clone, \"ax\", %progbits",
            ".p2align 2",
            ".globl guest_clone",
            ".type guest_clone, %function",
            "guest_clone:",
            $($code,)+
            ".size guest_clone, . - guest_clone",
            ".popsection",
            clone = const $crate::nr::__NR_clone,
            begin = sym $crate::os::threads::begin,
        );
    };
}

#[cfg(target_arch = "arm")]
mod arm;
mod mips;
mod powerpc;
mod sparc;

/// The content of a register: wider than a pointer on x32 and ilp32.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(super) type Word = u64;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(super) type Word = usize;

unsafe extern "C" {
    /// Starts a thread.
    ///
    /// # Safety
    /// `stack` ends a stack on which [`Start`](super::threads::Start) lies, and `flags`
    /// request a thread.
    pub(super) fn guest_clone(flags: Word, stack: Word, word: Word) -> Word;
}

#[cfg(target_arch = "x86_64")]
clone!(
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
);

#[cfg(target_arch = "x86")]
clone!(
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
);

#[cfg(target_arch = "aarch64")]
clone!(
    "mov x3, x2",
    "mov x4, x2",
    "mov x8, {clone}",
    "svc #0",
    "cbz x0, 2f",
    "ret",
    "2:",
    "mov x29, xzr",
    "mov x30, xzr",
    "mov x0, sp",
    "bl {begin}",
    "brk #1",
);

#[cfg(any(target_arch = "riscv32", target_arch = "riscv64"))]
clone!(
    "mv a3, a2",
    "mv a4, a2",
    "li a7, {clone}",
    "ecall",
    "beqz a0, 2f",
    "ret",
    "2:",
    "li s0, 0",
    "li ra, 0",
    "mv a0, sp",
    "call {begin}",
    "ebreak",
);

#[cfg(target_arch = "loongarch64")]
clone!(
    "move $a3, $a2",
    "move $a4, $a2",
    "li.w $a7, {clone}",
    "syscall 0",
    "beqz $a0, 2f",
    "ret",
    "2:",
    "move $fp, $zero",
    "move $a0, $sp",
    "bl {begin}",
    "break 0",
);

// The stack is the first argument. The fifth argument, `%r6`, keeps its value: it is
// the thread pointer.
#[cfg(target_arch = "s390x")]
clone!(
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
    "j .+2",
);

#[cfg(target_arch = "m68k")]
clone!(
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
);

#[cfg(target_arch = "hexagon")]
clone!(
    "{{ r3 = r2; r4 = r2; r6 = #{clone} }}",
    "{{ trap0(#1) }}",
    "{{ p0 = cmp.eq(r0, #0) }}",
    "{{ if (!p0) jumpr r31 }}",
    "{{ r0 = r29 }}",
    "{{ r30 = #0; r31 = #0 }}",
    "{{ call {begin} }}",
    "{{ trap0(#0xdb) }}",
);
