//! What compiled code for the MC68010 calls: the product of two 32-bit
//! numbers, of which that processor multiplies the halves. `compiler_builtins`
//! does not have it for m68k.
//!
//! For the MC68020 and later, LLVM reaches 32 KiB before and behind the program
//! counter, whatever the code model, and this program is longer; for those
//! before it knows whole addresses. So the program is built for the MC68010.
//!
//! Its branches reach 32 KiB as well, and at one that would have to reach
//! further LLVM stops, by an illegal instruction of its own. So the larger
//! rooms stay functions (`#[inline(never)]`): all in one they were too long.

core::arch::global_asm!(
    ".pushsection .text.__mulsi3, \"ax\", @progbits",
    ".p2align 1",
    ".globl __mulsi3",
    ".type __mulsi3, @function",
    "__mulsi3:",
    // The factors are at 4(%sp) and 8(%sp), the high halves first. Of the two
    // products with one high half, only the low halves count.
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
