//! The bare system call instruction, hand-written for x86_64: the baseline of all other
//! measurements. On other architectures the library's own stubs replace it.

/// Expands to one `syscall` instruction and its registers, without checks or a wrapper.
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

/// Calls `io_destroy(2)`.
///
/// # Safety
/// The conditions of `io_destroy(2)` apply.
#[inline(always)]
pub(crate) unsafe fn io_destroy(ctx: usize) -> isize {
    // SAFETY: the contract of this function is that of the system call.
    unsafe { syscall!(libc::SYS_io_destroy, syscall1; "rdi": ctx) }
}

/// Calls `io_submit(2)`.
///
/// # Safety
/// The conditions of `io_submit(2)` apply: the iocbs and their memory are valid until
/// the operations have completed.
#[inline(always)]
pub(crate) unsafe fn io_submit<T>(ctx: usize, nr: usize, iocbs: *const *mut T) -> isize {
    // SAFETY: the contract of this function is that of the system call.
    unsafe { syscall!(libc::SYS_io_submit, syscall3; "rdi": ctx, "rsi": nr, "rdx": iocbs) }
}

/// Calls `io_getevents(2)`.
///
/// # Safety
/// The conditions of `io_getevents(2)` apply: `events` has space for `nr` events.
#[inline(always)]
pub(crate) unsafe fn io_getevents<E, T>(
    ctx: usize,
    min_nr: usize,
    nr: usize,
    events: *mut E,
    timeout: *const T,
) -> isize {
    // SAFETY: the contract of this function is that of the system call.
    unsafe {
        syscall!(libc::SYS_io_getevents, syscall5; "rdi": ctx, "rsi": min_nr, "rdx": nr, "r10": events, "r8": timeout)
    }
}
