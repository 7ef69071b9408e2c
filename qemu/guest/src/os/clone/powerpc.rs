//! powerpc, 32 and 64 bits wide. An error is positive, and sets a bit of `cr0`.

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
    clone = const crate::nr::__NR_clone,
    begin = sym crate::os::threads::begin,
);
