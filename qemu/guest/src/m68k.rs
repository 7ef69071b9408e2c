//! A routine that code compiled for the MC68010 calls: `__mulsi3`, the product of two
//! 32-bit numbers. That processor multiplies 16-bit halves only, and
//! `compiler_builtins` lacks the routine for m68k.
//!
//! The program is built for the MC68010 because of its length. For the MC68020 and
//! later, LLVM reaches 32 KiB before and behind the program counter, whatever the code
//! model, and this program is longer. For earlier processors LLVM uses full addresses.
//!
//! Branches reach 32 KiB as well. LLVM crashes with an illegal instruction at a branch
//! that would have to reach further. Therefore the larger modules stay separate
//! functions (`#[inline(never)]`): inlined into one function they were too long.

core::arch::global_asm!(
    ".pushsection .text.__mulsi3, \"ax\", @progbits",
    ".p2align 1",
    ".globl __mulsi3",
    ".type __mulsi3, @function",
    "__mulsi3:",
    // The factors are at 4(%sp) and 8(%sp), the high halves first. Of the two products
    // with one high half, only the low halves count.
    "move.w (4,%sp), %d0",
    "move.w (10,%sp), %d1",
    "mulu %d1, %d0",
    "move.l %d0, %a0",
    "move.w (6,%sp), %d0",
    "move.w (8,%sp), %d1",
    "mulu %d1, %d0",
    "add.l %a0, %d0",
    "lsl.l #8, %d0",
    "lsl.l #8, %d0",
    "move.l %d0, %a0",
    "move.w (6,%sp), %d0",
    "move.w (10,%sp), %d1",
    "mulu %d1, %d0",
    "add.l %a0, %d0",
    "rts",
    ".size __mulsi3, . - __mulsi3",
    ".popsection",
);
