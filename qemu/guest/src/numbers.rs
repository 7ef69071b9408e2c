//! Compares the numbers of the AIO system calls with two independent references:
//! `linux-raw-sys`, which is generated from the kernel's headers, and `sc`.

use crate::check::Check;

pub(crate) fn run(check: &mut Check) {
    linux_raw_sys::run(check);
    sc::run(check);
}

/// A placeholder for a number that a reference lacks.
const ABSENT: u32 = u32::MAX;

fn present(number: u32) -> Option<u32> {
    (number != ABSENT).then_some(number)
}

#[cfg(not(any(target_arch = "hexagon", target_arch = "csky")))]
mod linux_raw_sys {
    use super::{ABSENT, Check, present};
    use linux_aio::nr;

    // In the function below, the names that the glob import provides shadow these
    // constants. So no list of the architectures that lack a call is needed.
    #[allow(dead_code, non_upper_case_globals)]
    const __NR_io_getevents: u32 = ABSENT;
    #[allow(dead_code, non_upper_case_globals)]
    const __NR_io_pgetevents: u32 = ABSENT;
    #[allow(dead_code, non_upper_case_globals)]
    const __NR_io_pgetevents_time64: u32 = ABSENT;

    pub(super) fn run(check: &mut Check) {
        use ::linux_raw_sys::general::*;

        const NUMBERS: &[(&str, Option<u32>, u32)] = &[
            ("numbers io_setup", nr::IO_SETUP, __NR_io_setup),
            ("numbers io_destroy", nr::IO_DESTROY, __NR_io_destroy),
            ("numbers io_submit", nr::IO_SUBMIT, __NR_io_submit),
            ("numbers io_cancel", nr::IO_CANCEL, __NR_io_cancel),
            ("numbers io_getevents", nr::IO_GETEVENTS, __NR_io_getevents),
            (
                "numbers io_pgetevents",
                nr::IO_PGETEVENTS,
                __NR_io_pgetevents,
            ),
            (
                "numbers io_pgetevents_time64",
                nr::IO_PGETEVENTS_TIME64,
                __NR_io_pgetevents_time64,
            ),
        ];
        for &(name, number, expected) in NUMBERS {
            check.equal(name, number, present(expected));
        }
    }
}

#[cfg(any(target_arch = "hexagon", target_arch = "csky"))]
mod linux_raw_sys {
    use super::Check;

    pub(super) fn run(check: &mut Check) {
        check.skip("numbers", "linux-raw-sys has none that compile here");
    }
}

/// The same targets as in Cargo.toml.
#[cfg(all(
    target_pointer_width = "64",
    target_endian = "little",
    any(
        target_arch = "x86_64",
        target_arch = "aarch64",
        target_arch = "riscv64"
    ),
))]
mod sc {
    use super::Check;
    use ::sc::nr as expected;
    use linux_aio::nr;

    pub(super) fn run(check: &mut Check) {
        const NUMBERS: &[(&str, Option<u32>, usize)] = &[
            ("numbers sc io_setup", nr::IO_SETUP, expected::IO_SETUP),
            (
                "numbers sc io_destroy",
                nr::IO_DESTROY,
                expected::IO_DESTROY,
            ),
            ("numbers sc io_submit", nr::IO_SUBMIT, expected::IO_SUBMIT),
            ("numbers sc io_cancel", nr::IO_CANCEL, expected::IO_CANCEL),
            (
                "numbers sc io_getevents",
                nr::IO_GETEVENTS,
                expected::IO_GETEVENTS,
            ),
            (
                "numbers sc io_pgetevents",
                nr::IO_PGETEVENTS,
                expected::IO_PGETEVENTS,
            ),
        ];
        for &(name, number, expected) in NUMBERS {
            check.equal(name, number, Some(expected as u32));
        }
    }
}

#[cfg(not(all(
    target_pointer_width = "64",
    target_endian = "little",
    any(
        target_arch = "x86_64",
        target_arch = "aarch64",
        target_arch = "riscv64"
    ),
)))]
mod sc {
    use super::Check;

    pub(super) fn run(_: &mut Check) {}
}
