//! System calls through the stubs of the `sc` crate (feature `sc`), on the three
//! architectures where it still builds.
//!
//! - x86_64: inlined. A system call clobbers no vector register.
//! - aarch64, riscv64: not inlined. `sc` 0.2.7 declares no vector register as
//!   clobbered, so its stub must not be inlined into a function that holds
//!   values in them. A call with the C convention clobbers every register that
//!   the kernel may change: on aarch64 the vectors beyond the low 64 bits of
//!   `v8` to `v15`, and the predicates; on riscv64 every vector register.
//! - Source: `aarch64.rs` and `riscv64.rs` for the kernel; Procedure
//!   Call Standard for the Arm 64-bit Architecture, 6.1.2 and 6.1.3; RISC-V
//!   ELF psABI, "Vector Register Convention".

macro_rules! forward {
    ($($name:ident($($argument:ident),*);)+) => {$(
        /// Makes the system call `n` and returns its result.
        ///
        /// # Safety
        /// The system call is sound with these arguments.
        #[cfg_attr(target_arch = "x86_64", inline(always))]
        #[cfg_attr(not(target_arch = "x86_64"), inline(never))]
        pub(crate) unsafe extern "C" fn $name(n: usize $(, $argument: usize)*) -> isize {
            // SAFETY: the caller promises that this system call is sound with
            // these arguments. Where the kernel may change vector registers,
            // this function is not inlined, and by the C convention its caller
            // keeps no value in them (see the top of this file).
            unsafe { sc::platform::$name(n $(, $argument)*) as isize }
        }
    )+};
}

forward! {
    syscall0();
    syscall1(a);
    syscall2(a, b);
    syscall3(a, b, c);
    syscall4(a, b, c, d);
    syscall5(a, b, c, d, e);
    syscall6(a, b, c, d, e, f);
}
