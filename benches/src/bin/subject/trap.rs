//! The bare trap, written by hand for x86_64: what everything else is measured
//! against. Elsewhere the library's own stubs stand for it.

/// One `syscall` and the registers that it takes: no check, no wrapper.
#[cfg(target_arch = "x86_64")]
macro_rules! syscall {
    ($number:expr $(, $function:ident)?; $($register:tt: $argument:expr),*) => {{
        let result: usize;
        std::arch::asm!(
            "syscall",
            inlateout("rax") $number as usize => result,
            $(in($register) $argument as usize,)*
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
        result as isize
    }};
}

#[cfg(not(target_arch = "x86_64"))]
macro_rules! syscall {
    ($number:expr, $function:ident; $($register:tt: $argument:expr),*) => {
        linux_aio::syscall::$function($number as usize $(, $argument as usize)*)
    };
}

/// # Safety
/// As `io_destroy(2)`.
#[inline(always)]
pub(crate) unsafe fn io_destroy(ctx: usize) -> isize {
    // SAFETY: the caller's promise.
    unsafe { syscall!(libc::SYS_io_destroy, syscall1; "rdi": ctx) }
}

/// # Safety
/// As `io_submit(2)`.
#[inline(always)]
pub(crate) unsafe fn io_submit<T>(ctx: usize, nr: usize, iocbs: *const *mut T) -> isize {
    // SAFETY: the caller's promise.
    unsafe { syscall!(libc::SYS_io_submit, syscall3; "rdi": ctx, "rsi": nr, "rdx": iocbs) }
}

/// # Safety
/// As `io_getevents(2)`.
#[inline(always)]
pub(crate) unsafe fn io_getevents<E, T>(
    ctx: usize,
    min_nr: usize,
    nr: usize,
    events: *mut E,
    timeout: *const T,
) -> isize {
    // SAFETY: the caller's promise.
    unsafe {
        syscall!(libc::SYS_io_getevents, syscall5; "rdi": ctx, "rsi": min_nr, "rdx": nr, "r10": events, "r8": timeout)
    }
}
