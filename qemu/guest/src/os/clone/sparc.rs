//! sparc and sparc64. An error is positive, and sets the carry bit; in the child `%o1`
//! is 1. The kernel copies the parent's frame to the new stack and sets the child's
//! `%sp` below it. Therefore the stack's address is kept in `%o5`, which is no
//! argument.

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

// Stack pointers are 2047 bytes below the address that they refer to.
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
