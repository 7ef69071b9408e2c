//! A thread's start: the one place where a system call returns twice on
//! different stacks, so that no stub can make it.
//!
//! `guest_clone` is a C function `(flags, stack, word) -> result`: clone(2),
//! with `word` in the place of both thread words and of the thread pointer,
//! whose order differs between kernels (the pointer is not looked at without
//! CLONE_SETTLS). In the child it calls [`begin`](super::threads::begin) with
//! the lowest address that is not its stack's, which is `stack`, as
//! `linux_aio::rt` starts a process: registers, frames and back chains there
//! are the reasons for those here.

use crate::nr;

/// What a register holds: more than a pointer on x32 and ilp32.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(super) type Word = u64;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(super) type Word = usize;

/// The function, with the symbol around its code.
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
            clone = const nr::__NR_clone,
            begin = sym super::threads::begin,
        );
    };
}

unsafe extern "C" {
    /// # Safety
    /// `stack` ends a stack on which [`Start`](super::threads::Start) lies,
    /// and `flags` ask for a thread.
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

// Right in ARM and in Thumb code; the symbol's lowest bit, which tells them
// apart, is made from the length of the first instruction.
#[cfg(target_arch = "arm")]
core::arch::global_asm!(
    ".pushsection .text.guest_clone, \"ax\", %progbits",
    ".p2align 2",
    ".globl guest_clone",
    ".type guest_clone, %function",
    ".Lguest_clone:",
    "push {{r4, r7}}",
    ".Lguest_clone_second:",
    "movs r3, r2",
    "movs r4, r2",
    "movs r7, #{clone}",
    "svc 0",
    "cmp r0, #0",
    "beq 2f",
    "pop {{r4, r7}}",
    "bx lr",
    "2:",
    "movs r7, #0",
    "mov r11, r7",
    "mov r0, sp",
    "bl {begin}",
    "udf #0",
    ".set guest_clone, .Lguest_clone + (4 - (.Lguest_clone_second - .Lguest_clone)) / 2",
    ".size guest_clone, . - .Lguest_clone",
    ".popsection",
    clone = const nr::__NR_clone,
    begin = sym super::threads::begin,
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

// The stack first. The fifth argument, `%r6`, stays what it is: the thread
// pointer.
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

#[cfg(target_arch = "powerpc")]
clone!(
    "mr 6, 5",
    "mr 7, 5",
    "li 0, {clone}",
    "sc",
    "bns+ 2f",
    "neg 3, 3",
    "blr",
    "2:",
    "cmpwi 3, 0",
    "beq 3f",
    "blr",
    "3:",
    "mr 3, 1",
    "li 0, 0",
    "stwu 0, -16(1)",
    "bl {begin}",
    "trap",
);

#[cfg(all(
    target_arch = "powerpc64",
    not(all(target_endian = "big", target_env = "gnu"))
))]
clone!(
    "mr 6, 5",
    "mr 7, 5",
    "li 0, {clone}",
    "sc",
    "bns+ 2f",
    "neg 3, 3",
    "blr",
    "2:",
    "cmpdi 3, 0",
    "beq 3f",
    "blr",
    "3:",
    "mr 3, 1",
    "li 0, 0",
    "stdu 0, -32(1)",
    "bl {begin}",
    "nop",
    "trap",
);

// ELFv1: the symbol is a descriptor.
#[cfg(all(target_arch = "powerpc64", target_endian = "big", target_env = "gnu"))]
core::arch::global_asm!(
    ".pushsection .opd, \"aw\", @progbits",
    ".p2align 3",
    ".globl guest_clone",
    ".type guest_clone, @function",
    "guest_clone:",
    ".quad .Lguest_clone, .TOC.@tocbase, 0",
    ".popsection",
    ".pushsection .text.guest_clone, \"ax\", @progbits",
    ".p2align 2",
    ".Lguest_clone:",
    "mr 6, 5",
    "mr 7, 5",
    "li 0, {clone}",
    "sc",
    "bns+ 2f",
    "neg 3, 3",
    "blr",
    "2:",
    "cmpdi 3, 0",
    "beq 3f",
    "blr",
    "3:",
    "mr 3, 1",
    "li 0, 0",
    "stdu 0, -112(1)",
    "bl {begin}",
    "nop",
    "trap",
    ".size guest_clone, . - .Lguest_clone",
    ".popsection",
    clone = const nr::__NR_clone,
    begin = sym super::threads::begin,
);

#[cfg(any(target_arch = "mips", target_arch = "mips32r6"))]
clone!(
    ".set push",
    ".set noreorder",
    "addiu $29, $29, -24",
    "sw $6, 16($29)",
    "move $7, $6",
    "addiu $2, $0, {clone}",
    "syscall",
    "bne $7, $0, 2f",
    "nop",
    "beq $2, $0, 3f",
    "nop",
    "jr $31",
    "addiu $29, $29, 24",
    "2:",
    "subu $2, $0, $2",
    "jr $31",
    "addiu $29, $29, 24",
    "3:",
    "move $30, $0",
    "move $31, $0",
    "move $4, $29",
    "addiu $29, $29, -16",
    "lui $25, %hi({begin})",
    "addiu $25, $25, %lo({begin})",
    "jalr $25",
    "nop",
    "break",
    ".set pop",
);

#[cfg(any(target_arch = "mips64", target_arch = "mips64r6"))]
clone!(
    ".set push",
    ".set noreorder",
    ".set noat",
    "move $7, $6",
    "move $8, $6",
    "addiu $2, $0, {clone}",
    "syscall",
    "bne $7, $0, 2f",
    "nop",
    "beq $2, $0, 3f",
    "nop",
    "jr $31",
    "nop",
    "2:",
    "jr $31",
    "dsubu $2, $0, $2",
    "3:",
    "move $30, $0",
    "move $31, $0",
    "move $4, $29",
    "lui $25, %highest({begin})",
    "daddiu $25, $25, %higher({begin})",
    "dsll $25, $25, 16",
    "daddiu $25, $25, %hi({begin})",
    "dsll $25, $25, 16",
    "daddiu $25, $25, %lo({begin})",
    "jalr $25",
    "nop",
    "break",
    ".set pop",
);

// The child has 1 in `%o1`. The kernel copies the parent's frame to the new
// stack and puts the child's `%sp` below it; so the stack's address is kept in
// `%o5`, which is no argument.
#[cfg(target_arch = "sparc")]
clone!(
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
);

// Stack pointers are 2047 bytes below what they point at.
#[cfg(target_arch = "sparc64")]
clone!(
    "mov %o1, %o5",
    "sub %o1, 2047, %o1",
    "mov %o2, %o3",
    "mov %o2, %o4",
    "mov {clone}, %g1",
    "ta 0x6d",
    "bcs,pn %xcc, 2f",
    "nop",
    "cmp %o1, 0",
    "bne,pn %xcc, 3f",
    "nop",
    "retl",
    "nop",
    "2:",
    "retl",
    "sub %g0, %o0, %o0",
    "3:",
    "mov %g0, %fp",
    "mov %o5, %o0",
    "sub %o5, 2047 + 176, %sp",
    "call {begin}",
    "nop",
    "ta 5",
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
