//! The system-call numbers of AIO.
//!
//! The constants are those of the target being built, whole as the kernel is
//! given them (x32's bit and the MIPS and ARM bases included), and `None`
//! where there is no such call. [`every`] lists the numbers of every ABI, for
//! tracers, seccomp filters and other programs that look at foreign ones.
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

/// `io_setup(2)`
pub const IO_SETUP: Option<u32> = ABI.aio.io_setup;
/// `io_destroy(2)`
pub const IO_DESTROY: Option<u32> = ABI.aio.io_destroy;
/// `io_submit(2)`
pub const IO_SUBMIT: Option<u32> = ABI.aio.io_submit;
/// `io_cancel(2)`
pub const IO_CANCEL: Option<u32> = ABI.aio.io_cancel;
/// `io_getevents(2)`
pub const IO_GETEVENTS: Option<u32> = ABI.aio.io_getevents;
/// `io_pgetevents(2)`
pub const IO_PGETEVENTS: Option<u32> = ABI.aio.io_pgetevents;
/// `io_pgetevents_time64`, on 32-bit ABIs
pub const IO_PGETEVENTS_TIME64: Option<u32> = ABI.aio.io_pgetevents_time64;

/// All numbers of the target being built, with the ABI's name; `"absent"`
/// where there is no Linux under the target.
pub const TARGET: Numbers = ABI.aio;

/// The numbers of every Linux ABI this crate knows, whatever the target.
pub fn every() -> impl Iterator<Item = Numbers> {
    ALL_ABIS
        .iter()
        .flat_map(|abis| abis.iter())
        .map(|facts| facts.aio)
}
