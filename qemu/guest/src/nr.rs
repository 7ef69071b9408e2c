//! Numbers and constants of the ordinary system calls that the checks make. They come
//! from `linux-raw-sys` where it compiles, else from the kernel's
//! `include/uapi/asm-generic`, which csky and hexagon use unchanged.
//!
//! Where a 32-bit ABI has a separate system call for 64-bit offsets or times, the name
//! here is the one that the program uses on the target.
#![allow(
    non_upper_case_globals,
    reason = "the kernel's names, as linux-raw-sys has them"
)]

#[cfg(not(any(target_arch = "hexagon", target_arch = "csky")))]
pub(crate) use linux_raw_sys::general::{
    __NR_capset, __NR_clone, __NR_close, __NR_copy_file_range, __NR_dup, __NR_dup3, __NR_eventfd2,
    __NR_execveat, __NR_exit, __NR_finit_module, __NR_getpid, __NR_getsockname, __NR_gettid,
    __NR_kill, __NR_madvise, __NR_memfd_create, __NR_mkdirat, __NR_mount, __NR_mremap, __NR_munmap,
    __NR_openat, __NR_personality, __NR_pipe2, __NR_prctl, __NR_pread64, __NR_preadv,
    __NR_prlimit64, __NR_pwrite64, __NR_pwritev, __NR_read, __NR_reboot, __NR_rt_sigprocmask,
    __NR_sched_yield, __NR_set_tid_address, __NR_statx, __NR_umask, __NR_umount2, __NR_uname,
    __NR_waitid, __NR_write, MAP_ANONYMOUS, O_APPEND, O_CLOEXEC, O_CREAT, O_DIRECT, O_NONBLOCK,
    O_TMPFILE, RLIMIT_AS, SIG_SETMASK, SIGCHLD, SIGCONT, SIGSTOP, SIGUSR1,
};

#[cfg(any(target_arch = "hexagon", target_arch = "csky"))]
mod generic {
    pub(crate) const __NR_capset: u32 = 91;
    pub(crate) const __NR_clone: u32 = 220;
    pub(crate) const __NR_clock_gettime64: u32 = 403;
    pub(crate) const __NR_close: u32 = 57;
    pub(crate) const __NR_copy_file_range: u32 = 285;
    pub(crate) const __NR_dup: u32 = 23;
    pub(crate) const __NR_dup3: u32 = 24;
    pub(crate) const __NR_eventfd2: u32 = 19;
    pub(crate) const __NR_execveat: u32 = 281;
    pub(crate) const __NR_exit: u32 = 93;
    pub(crate) const __NR_fcntl64: u32 = 25;
    pub(crate) const __NR_futex_time64: u32 = 422;
    pub(crate) const __NR_getpid: u32 = 172;
    pub(crate) const __NR_getsockname: u32 = 204;
    pub(crate) const __NR_gettid: u32 = 178;
    pub(crate) const __NR_kill: u32 = 129;
    pub(crate) const __NR_llseek: u32 = 62;
    pub(crate) const __NR_madvise: u32 = 233;
    pub(crate) const __NR_memfd_create: u32 = 279;
    pub(crate) const __NR_mmap2: u32 = 222;
    pub(crate) const __NR_mremap: u32 = 216;
    pub(crate) const __NR_munmap: u32 = 215;
    pub(crate) const __NR_openat: u32 = 56;
    pub(crate) const __NR_personality: u32 = 92;
    pub(crate) const __NR_pipe2: u32 = 59;
    pub(crate) const __NR_prctl: u32 = 167;
    pub(crate) const __NR_pread64: u32 = 67;
    pub(crate) const __NR_preadv: u32 = 69;
    pub(crate) const __NR_prlimit64: u32 = 261;
    pub(crate) const __NR_pwrite64: u32 = 68;
    pub(crate) const __NR_pwritev: u32 = 70;
    pub(crate) const __NR_read: u32 = 63;
    pub(crate) const __NR_rt_sigprocmask: u32 = 135;
    pub(crate) const __NR_sched_yield: u32 = 124;
    pub(crate) const __NR_set_tid_address: u32 = 96;
    pub(crate) const __NR_statx: u32 = 291;
    pub(crate) const __NR_umask: u32 = 166;
    pub(crate) const __NR_waitid: u32 = 95;
    pub(crate) const __NR_write: u32 = 64;
    pub(crate) const __NR_finit_module: u32 = 273;
    pub(crate) const __NR_mkdirat: u32 = 34;
    pub(crate) const __NR_mount: u32 = 40;
    pub(crate) const __NR_reboot: u32 = 142;
    pub(crate) const __NR_umount2: u32 = 39;
    pub(crate) const __NR_uname: u32 = 160;
    pub(crate) const MAP_ANONYMOUS: u32 = 0x20;
    pub(crate) const O_APPEND: u32 = 0o2_000;
    pub(crate) const O_CLOEXEC: u32 = 0o2_000_000;
    pub(crate) const O_CREAT: u32 = 0o100;
    pub(crate) const O_DIRECT: u32 = 0o40_000;
    pub(crate) const O_NONBLOCK: u32 = 0o4_000;
    pub(crate) const O_TMPFILE: u32 = 0o20_200_000;
    pub(crate) const RLIMIT_AS: u32 = 9;
    pub(crate) const SIG_SETMASK: u32 = 2;
    pub(crate) const SIGCHLD: u32 = 17;
    pub(crate) const SIGCONT: u32 = 18;
    pub(crate) const SIGSTOP: u32 = 19;
    pub(crate) const SIGUSR1: u32 = 10;
}

#[cfg(any(target_arch = "hexagon", target_arch = "csky"))]
pub(crate) use generic::*;

/// System calls that take a 64-bit offset or time in one register (also where pointers
/// are narrower: x32, ilp32).
#[cfg(any(
    target_pointer_width = "64",
    target_arch = "x86_64",
    target_arch = "aarch64"
))]
mod width {
    use linux_raw_sys::general as k;

    pub(crate) const CLOCK: u32 = k::__NR_clock_gettime;
    pub(crate) const FCNTL: u32 = k::__NR_fcntl;
    pub(crate) const FUTEX: u32 = k::__NR_futex;
    pub(crate) const MMAP: u32 = k::__NR_mmap;
    /// The unit of the offset of `MMAP`, as a power of two: 2 to the power of this.
    pub(crate) const MMAP_SHIFT: u32 = 0;
    pub(crate) const SEEK: u32 = k::__NR_lseek;
}

#[cfg(not(any(
    target_pointer_width = "64",
    target_arch = "x86_64",
    target_arch = "aarch64"
)))]
mod width {
    #[cfg(any(target_arch = "hexagon", target_arch = "csky"))]
    use super::generic as k;
    #[cfg(not(any(target_arch = "hexagon", target_arch = "csky")))]
    use linux_raw_sys::general as k;

    pub(crate) const CLOCK: u32 = k::__NR_clock_gettime64;
    pub(crate) const FCNTL: u32 = k::__NR_fcntl64;
    pub(crate) const FUTEX: u32 = k::__NR_futex_time64;
    pub(crate) const MMAP: u32 = k::__NR_mmap2;
    pub(crate) const MMAP_SHIFT: u32 = 12;

    #[cfg(any(target_arch = "hexagon", target_arch = "csky", target_arch = "riscv32"))]
    pub(crate) const SEEK: u32 = k::__NR_llseek;
    #[cfg(not(any(target_arch = "hexagon", target_arch = "csky", target_arch = "riscv32")))]
    pub(crate) const SEEK: u32 = k::__NR__llseek;
}

pub(crate) use width::*;

/// The first system call number of the ABI. It is derived from `close`, which has a low
/// number everywhere.
const BASE: u32 = if cfg!(all(target_arch = "x86_64", target_pointer_width = "32")) {
    0x4000_0000
} else {
    // The MIPS ABIs count from 4000, 5000 and 6000.
    let close = __NR_close;
    if close >= 6000 {
        6000
    } else if close >= 5000 {
        5000
    } else if close >= 4000 {
        4000
    } else {
        0
    }
};

/// The number 999 of the ABI, which no kernel implements: the last numbers are below
/// 500, those specific to x32 below 600, and MIPS counts its ABIs in thousands.
pub(crate) const NO_CALL: u32 = BASE + 999;

// The same on every architecture, by the kernel's include/uapi.
pub(crate) const AT_FDCWD: i32 = -100;
pub(crate) const AT_EMPTY_PATH: u32 = 0x1000;
pub(crate) const CAP_SYS_ADMIN: u32 = 21;
pub(crate) const CAP_SYS_NICE: u32 = 23;
pub(crate) const FD_CLOEXEC: usize = 1;
pub(crate) const FUTEX_WAIT: u32 = 0;
pub(crate) const F_GETFD: u32 = 1;
pub(crate) const F_SETFL: u32 = 4;
pub(crate) const MAP_FIXED: u32 = 0x10;
pub(crate) const MAP_PRIVATE: u32 = 2;
pub(crate) const MAP_SHARED: u32 = 1;
pub(crate) const MFD_CLOEXEC: u32 = 1;
pub(crate) const MREMAP_FIXED: u32 = 2;
pub(crate) const MREMAP_MAYMOVE: u32 = 1;
pub(crate) const O_RDWR: u32 = 2;
pub(crate) const O_WRONLY: u32 = 1;
pub(crate) const PROT_READ: u32 = 1;
pub(crate) const PROT_WRITE: u32 = 2;
pub(crate) const PROT_READ_WRITE: u32 = 3;
pub(crate) const RLIMIT_FSIZE: usize = 1;
pub(crate) const SEEK_CUR: u32 = 1;
pub(crate) const SEEK_END: u32 = 2;
pub(crate) const SEEK_SET: u32 = 0;
pub(crate) const STATX_BASIC_STATS: u32 = 0x7ff;
