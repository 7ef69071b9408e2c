//! The library's system call numbers, without the rest of the library: a change
//! to any other file of it does not rebuild the host tool.
//!
//! The unit tests of the mounted files use more of the library, and run there.

#[cfg(not(test))]
#[path = "../../arch/mod.rs"]
mod arch;
#[cfg(not(test))]
#[path = "../../src/sys/nr.rs"]
pub mod nr;
