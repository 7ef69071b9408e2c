//! The system-call numbers of AIO.
//!
//! The constants are those of the target being built: complete numbers as passed to the
//! kernel (x32's bit and the MIPS and ARM bases included), and `None` where there is no
//! such system call. [`every`] lists the numbers of every ABI, for tracers, seccomp
//! filters and other programs that handle foreign ABIs.
//!
//! ```
//! use linux_aio::nr;
//!
//! let x86_64 = nr::every().find(|numbers| numbers.abi == "x86_64").unwrap();
//! assert_eq!(x86_64.io_destroy, Some(207));
//! # #[cfg(all(target_os = "linux", target_arch = "x86_64", target_pointer_width = "64"))]
//! assert_eq!(nr::IO_DESTROY, Some(207));
//! ```

use crate::arch::{ABI, ALL_ABIS};

pub use crate::arch::Numbers;

/// The number of `io_setup(2)`.
pub const IO_SETUP: Option<u32> = ABI.aio.io_setup;
/// The number of `io_destroy(2)`.
pub const IO_DESTROY: Option<u32> = ABI.aio.io_destroy;
/// The number of `io_submit(2)`.
pub const IO_SUBMIT: Option<u32> = ABI.aio.io_submit;
/// The number of `io_cancel(2)`.
pub const IO_CANCEL: Option<u32> = ABI.aio.io_cancel;
/// The number of `io_getevents(2)`.
pub const IO_GETEVENTS: Option<u32> = ABI.aio.io_getevents;
/// The number of `io_pgetevents(2)`.
pub const IO_PGETEVENTS: Option<u32> = ABI.aio.io_pgetevents;
/// The number of `io_pgetevents_time64`, on 32-bit ABIs.
pub const IO_PGETEVENTS_TIME64: Option<u32> = ABI.aio.io_pgetevents_time64;

/// All numbers of the target being built, with the ABI's name, which is `"absent"`
/// where the target is not Linux.
pub const TARGET: Numbers = ABI.aio;

/// Returns the numbers of every Linux ABI that this crate supports, on any target.
///
/// # Examples
/// The ABIs without io_getevents(2):
/// ```
/// use linux_aio::nr;
///
/// let without: Vec<_> = nr::every()
///     .filter(|numbers| numbers.io_getevents.is_none())
///     .map(|numbers| numbers.abi)
///     .collect();
/// assert!(without.contains(&"riscv32"));
/// ```
pub fn every() -> impl Iterator<Item = Numbers> {
    ALL_ABIS
        .iter()
        .flat_map(|abis| abis.iter())
        .map(|facts| facts.aio)
}
