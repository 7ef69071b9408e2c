//! The feature `sc`: the same traps through the stubs of the `sc` crate, on
//! the three architectures where it still builds.

macro_rules! forward {
    ($($name:ident($($argument:ident),*);)+) => {$(
        #[inline(always)]
        pub(crate) unsafe fn $name(n: usize $(, $argument: usize)*) -> isize {
            // SAFETY: the caller vouches for the call itself.
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
