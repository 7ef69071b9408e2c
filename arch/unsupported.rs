//! Every target that does not run on Linux (bare metal, UEFI, wasm, another
//! system), and every Linux target that has no file here. The only such Linux
//! target of rustc is wasm32-wali, whose system calls are imported functions.
//!
//! No system call is made and no AIO number exists. Every stub returns ENOSYS
//! (38, the generic number). So the crate builds everywhere, and a program gets
//! the same result on each of these targets: AIO is unavailable.

use super::{Abi, BaseNumbers, HeaderSource, Numbers, Relative};

pub(crate) use super::errno_generic as errno;

/// An integer as wide as a pointer, like the kernel's `long`.
#[cfg(target_pointer_width = "64")]
pub(crate) type Long = i64;
#[cfg(not(target_pointer_width = "64"))]
pub(crate) type Long = i32;

/// The numbers of no Linux ABI. They are not part of `arch::ALL_ABIS`.
pub(crate) const ABI: Abi = Abi {
    headers: HeaderSource::NONE,
    aio: Numbers {
        abi: "unsupported",
        io_setup: None,
        io_destroy: None,
        io_submit: None,
        io_cancel: None,
        io_getevents: None,
        io_pgetevents: None,
        io_pgetevents_time64: None,
    },
    base: BaseNumbers {
        madvise: 0,
        ppoll: None,
        write: 0,
        exit_group: 0,
        statx: 0,
        mmap: 0,
        getpid: 0,
        openat: 0,
        close: 0,
        fcntl: 0,
        mprotect: 0,
        rt_sigaction: 0,
        rt_sigprocmask: 0,
    },
    errnos: errno::TABLE,
    sigset_bytes: 8,
    stack_align: super::NO_STACK_ALIGN,
    pollrdhup: 0x2000,
    map_anonymous: 0x20,
    o_cloexec: 0x8_0000,
    signals: super::SignalAbi::GENERIC,
    relative: Relative::None,
};

#[allow(
    clippy::missing_safety_doc,
    reason = "these only return a constant; the signatures are those of the other stubs"
)]
pub(crate) mod stubs {
    const ENOSYS: isize = -(super::errno::ENOSYS as isize);

    pub(crate) unsafe fn syscall0(_: usize) -> isize {
        ENOSYS
    }

    pub(crate) unsafe fn syscall1(_: usize, _: usize) -> isize {
        ENOSYS
    }

    pub(crate) unsafe fn syscall2(_: usize, _: usize, _: usize) -> isize {
        ENOSYS
    }

    pub(crate) unsafe fn syscall3(_: usize, _: usize, _: usize, _: usize) -> isize {
        ENOSYS
    }

    pub(crate) unsafe fn syscall4(_: usize, _: usize, _: usize, _: usize, _: usize) -> isize {
        ENOSYS
    }

    pub(crate) unsafe fn syscall5(
        _: usize,
        _: usize,
        _: usize,
        _: usize,
        _: usize,
        _: usize,
    ) -> isize {
        ENOSYS
    }

    pub(crate) unsafe fn syscall6(
        _: usize,
        _: usize,
        _: usize,
        _: usize,
        _: usize,
        _: usize,
        _: usize,
    ) -> isize {
        ENOSYS
    }
}

#[cfg(test)]
mod tests {
    use super::{ABI, stubs};

    #[test]
    fn every_stub_answers_enosys() {
        // SAFETY: these stubs only return a constant and make no system call.
        let answers = unsafe {
            [
                stubs::syscall0(0),
                stubs::syscall1(0, 1),
                stubs::syscall2(0, 1, 2),
                stubs::syscall3(0, 1, 2, 3),
                stubs::syscall4(0, 1, 2, 3, 4),
                stubs::syscall5(0, 1, 2, 3, 4, 5),
                stubs::syscall6(0, 1, 2, 3, 4, 5, 6),
            ]
        };
        assert_eq!(answers, [-38; 7]);
    }

    #[test]
    fn no_call_has_a_number() {
        let aio = ABI.aio;
        let numbers = [
            aio.io_setup,
            aio.io_destroy,
            aio.io_submit,
            aio.io_cancel,
            aio.io_getevents,
            aio.io_pgetevents,
            aio.io_pgetevents_time64,
        ];
        assert_eq!(numbers, [None; 7]);
    }
}
