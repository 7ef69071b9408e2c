//! What differs between architectures, and nothing else.
//!
//! A new architecture is one file here, its `mod` line and its row in
//! `architectures!` below. Every file opens with the trap instruction, the
//! registers of the number, arguments and result, the error convention, what
//! the kernel clobbers, and its source. It provides:
//!
//! - `ABIS`: the [`Abi`] of each Linux ABI of the architecture, plain data
//!   that compiles on every host, so that one host test can hold all of them
//!   to the kernel's headers;
//! - `ABI`: the one row of `ABIS` that the target being built uses;
//! - `errno`: the module with the architecture's error numbers, whose `TABLE`
//!   its facts name;
//! - `Long`: the kernel's `long` as the target's calls pass it;
//! - bound to the target by `cfg`: `stubs::syscall0` to `stubs::syscall6`, by
//!   hand or through `stubs!`
//!   (`usize` in, `isize` out; −4095 to −1 is an error, whatever the
//!   architecture's own convention is), and the macro `__process_entry!` that
//!   emits `_start` for the feature `rt`.
//!
//! No policy and no types of the library live here.
#![allow(
    dead_code,
    unused_imports,
    reason = "a build uses one architecture's facts; all of them compile so that the host can test them"
)]

/// The seven stubs of an architecture whose trap differs by arity in nothing
/// but the operands: from its trap macro and the argument registers in order.
#[allow(unused_macros, reason = "x86 and unsupported write theirs by hand")]
macro_rules! stubs {
    ($trap:ident, $a:tt $b:tt $c:tt $d:tt $e:tt $f:tt) => {
        stubs!($trap: syscall0(););
        stubs!($trap: syscall1(a $a););
        stubs!($trap: syscall2(a $a, b $b););
        stubs!($trap: syscall3(a $a, b $b, c $c););
        stubs!($trap: syscall4(a $a, b $b, c $c, d $d););
        stubs!($trap: syscall5(a $a, b $b, c $c, d $d, e $e););
        stubs!($trap: syscall6(a $a, b $b, c $c, d $d, e $e, f $f););
    };
    ($trap:ident: $name:ident($($argument:ident $register:tt),*);) => {
        #[inline(always)]
        pub(crate) unsafe fn $name(n: usize $(, $argument: usize)*) -> isize {
            $trap!(n $(, $register: $argument)*)
        }
    };
}

/// An ABI's error numbers as constants, and as a table for the test that holds
/// them to the header.
macro_rules! error_numbers {
    ($($name:ident = $value:literal,)+) => {
        $(pub(crate) const $name: u16 = $value;)+
        pub(crate) const TABLE: &[(&str, u16)] = &[$((stringify!($name), $name)),+];
    };
}

pub(crate) mod aarch64;
pub(crate) mod arm;
pub(crate) mod csky;
pub(crate) mod errno_generic;
pub(crate) mod errno_mips;
pub(crate) mod errno_sparc;
#[cfg(all(
    test,
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "x86")
))]
mod header_tests;
pub(crate) mod hexagon;
pub(crate) mod loongarch64;
pub(crate) mod m68k;
pub(crate) mod mips;
pub(crate) mod mips64;
pub(crate) mod powerpc;
pub(crate) mod powerpc64;
pub(crate) mod riscv32;
pub(crate) mod riscv64;
pub(crate) mod s390x;
pub(crate) mod sparc;
pub(crate) mod sparc64;
pub(crate) mod unsupported;
pub(crate) mod x86;
pub(crate) mod x86_64;

/// A row an architecture: its file, and the `cfg` under which a Linux target
/// uses it. Everything else is `unsupported`.
macro_rules! architectures {
    ($($file:ident if $cfg:meta;)+) => {
        cfg_if::cfg_if! {
            if #[cfg(not(any(target_os = "linux", target_os = "android")))] {
                pub(crate) use unsupported as target;
            }
            $(else if #[cfg($cfg)] {
                pub(crate) use $file as target;
            })+
            else {
                pub(crate) use unsupported as target;
            }
        }

        /// Every architecture's ABIs.
        pub(crate) const ALL_ABIS: &[&[Abi]] = &[$($file::ABIS),+];
    };
}

architectures! {
    aarch64 if target_arch = "aarch64";
    arm if target_arch = "arm";
    csky if target_arch = "csky";
    hexagon if target_arch = "hexagon";
    loongarch64 if target_arch = "loongarch64";
    m68k if target_arch = "m68k";
    mips if any(target_arch = "mips", target_arch = "mips32r6");
    mips64 if any(target_arch = "mips64", target_arch = "mips64r6");
    powerpc if target_arch = "powerpc";
    powerpc64 if target_arch = "powerpc64";
    riscv32 if target_arch = "riscv32";
    riscv64 if target_arch = "riscv64";
    s390x if target_arch = "s390x";
    sparc if target_arch = "sparc";
    sparc64 if target_arch = "sparc64";
    x86 if target_arch = "x86";
    x86_64 if target_arch = "x86_64";
}

cfg_if::cfg_if! {
    // The same list as the optional dependency's in Cargo.toml.
    if #[cfg(all(
        feature = "sc",
        any(target_os = "linux", target_os = "android"),
        target_pointer_width = "64",
        target_endian = "little",
        any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"),
    ))] {
        #[path = "via_sc.rs"]
        pub(crate) mod stubs;
    } else {
        pub(crate) use target::stubs;
    }
}

/// The facts of the target being built.
pub(crate) const ABI: Abi = target::ABI;

/// What one Linux ABI passes to its kernel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Abi {
    pub(crate) aio: Numbers,
    pub(crate) base: BaseNumbers,
    /// The error numbers, by name.
    pub(crate) errnos: &'static [(&'static str, u16)],
    /// Bytes of the kernel's `sigset_t`.
    pub(crate) sigset_bytes: usize,
    /// Poll's `POLLRDHUP`, the one common poll bit whose value differs.
    pub(crate) pollrdhup: u16,
    /// `MAP_ANONYMOUS` of `mmap(2)`.
    pub(crate) map_anonymous: u32,
}

/// The system-call numbers of AIO on one Linux ABI, whole as the kernel is
/// given them; `None` where the ABI has no such call.
///
/// Sources: the kernel's `arch/*/kernel/syscalls/*.tbl` and
/// `include/uapi/asm-generic/unistd.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Numbers {
    /// The ABI's name: rustc's `target_arch`, or `x32`, or `mips-n32`.
    pub abi: &'static str,
    /// `io_setup(2)`
    pub io_setup: Option<u32>,
    /// `io_destroy(2)`
    pub io_destroy: Option<u32>,
    /// `io_submit(2)`
    pub io_submit: Option<u32>,
    /// `io_cancel(2)`
    pub io_cancel: Option<u32>,
    /// `io_getevents(2)`
    pub io_getevents: Option<u32>,
    /// `io_pgetevents(2)` (Linux 4.18)
    pub io_pgetevents: Option<u32>,
    /// `io_pgetevents_time64` (Linux 5.1, 32-bit ABIs only)
    pub io_pgetevents_time64: Option<u32>,
}

/// The few calls outside AIO that the library itself makes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BaseNumbers {
    /// `madvise(2)`: the ring is kept from forked children.
    pub(crate) madvise: u32,
    /// `ppoll(2)`, with time as io_getevents has it: sleep with a signal mask
    /// where io_pgetevents is missing.
    pub(crate) ppoll: Option<u32>,
    /// `write(2)`: the panic message of `rt`.
    pub(crate) write: u32,
    /// `exit_group(2)`: the end of `rt`'s process.
    pub(crate) exit_group: u32,
    /// `statx(2)`: what a file's direct I/O wants.
    pub(crate) statx: u32,
    /// `mmap(2)`; where there is `mmap2(2)`, that. They differ in the unit of
    /// the offset.
    pub(crate) mmap: u32,
    /// `getpid(2)`
    pub(crate) getpid: u32,
    /// `openat(2)`: standard descriptors that an `rt` program was started without.
    pub(crate) openat: u32,
    /// `close(2)`
    pub(crate) close: u32,
}

/// The numbers of the ABIs that use `asm-generic/unistd.h` with 64-bit time
/// only: aarch64, loongarch64, riscv64; riscv32 takes most of them.
const GENERIC_64: Abi = Abi {
    aio: Numbers {
        abi: "generic64",
        io_setup: Some(0),
        io_destroy: Some(1),
        io_submit: Some(2),
        io_cancel: Some(3),
        io_getevents: Some(4),
        io_pgetevents: Some(292),
        io_pgetevents_time64: None,
    },
    base: BaseNumbers {
        madvise: 233,
        ppoll: Some(73),
        write: 64,
        exit_group: 94,
        statx: 291,
        mmap: 222,
        getpid: 172,
        openat: 56,
        close: 57,
    },
    errnos: errno_generic::TABLE,
    sigset_bytes: 8,
    pollrdhup: 0x2000,
    map_anonymous: 0x20,
};

/// The same with 32-bit time as well: csky, hexagon.
const GENERIC_32: Abi = Abi {
    aio: Numbers {
        abi: "generic32",
        io_pgetevents_time64: Some(416),
        ..GENERIC_64.aio
    },
    ..GENERIC_64
};
