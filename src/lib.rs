//! Linux native AIO, from [`io_setup`](sys::io_setup) to
//! [`io_destroy`](sys::io_destroy), with no libc.
#![no_std]

#[cfg(feature = "std")]
extern crate std;

#[path = "../arch/mod.rs"]
mod arch;

pub mod abi;
mod context;
mod errno;
pub mod nr;
pub mod opcode;
mod ring;
#[cfg(feature = "rt")]
pub mod rt;
pub mod sys;
pub mod syscall;
mod wait;

pub use abi::{AioContext, Event, Iocb, SigSet};
pub use context::{Context, SubmitError, Submitter};
pub use errno::Errno;
pub use ring::Ring;
pub use wait::Wait;
