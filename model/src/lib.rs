//! linux-aio held against models of the kernel.
//!
//! The library's own files are mounted here, so what is checked is the very
//! lines that ship. One of them is not: in place of the system calls stands
//! [`sys`], which leads to the kernel, or to one in plain Rust.
//!
//! - [`checker`]: the ring's protocol, and operations in slots, under every
//!   order of events and every memory order that loom knows.
//! - [`play`]: random plays of operations, on the model of the kernel and on the
//!   real one, each step compared with a specification.
//! - [`hostile`]: rings and events that no kernel makes, for the fuzz targets.

extern crate alloc;
extern crate std;

#[path = "../../arch/mod.rs"]
mod arch;

#[path = "../../src/abi.rs"]
pub mod abi;
#[path = "../../src/address_space.rs"]
mod address_space;
#[path = "../../src/buffer/mod.rs"]
pub mod buffer;
#[path = "../../src/call.rs"]
mod call;
#[path = "../../src/completion.rs"]
mod completion;
#[path = "../../src/context.rs"]
mod context;
#[path = "../../src/destroy_all.rs"]
mod destroy_all;
#[path = "../../src/direct.rs"]
pub mod direct;
#[path = "../../src/drained.rs"]
mod drained;
#[path = "../../src/engine/mod.rs"]
mod engine;
#[path = "../../src/errno.rs"]
mod errno;
#[path = "../../src/fd.rs"]
pub mod fd;
#[path = "../../src/nr.rs"]
pub mod nr;
#[path = "../../src/op.rs"]
pub mod op;
#[path = "../../src/opcode.rs"]
pub mod opcode;
#[path = "../../src/pages.rs"]
mod pages;
#[path = "../../src/queue.rs"]
mod queue;
#[path = "../../src/raw/mod.rs"]
pub mod raw;
#[path = "../../src/reactor/mod.rs"]
pub mod reactor;
#[path = "../../src/ring/mod.rs"]
mod ring;
#[path = "../../src/scope/mod.rs"]
mod scope;
#[path = "../../src/sigset.rs"]
mod sigset;
#[path = "../../src/syscall.rs"]
pub mod syscall;
#[path = "../../src/wait.rs"]
mod wait;

pub use abi::{AioContext, Event, Iocb, SigSet};
pub use completion::{Completion, Finished, Full};
pub use context::{Context, SubmitError, Submitter};
pub use destroy_all::destroy_all;
pub use drained::{DrainError, Drained, Pool};
pub use engine::{RawSlot, Slot, Ticket};
pub use errno::Errno;
pub use fd::{Fd, OwnsFd};
pub use queue::Queue;
pub use ring::Ring;
pub use scope::{Pending, Scope, ScopeSlot, scope, scope_on};
pub use wait::Wait;

#[cfg(feature = "checker")]
pub mod checker;
pub mod hostile;
pub mod kernel;
pub mod memory;
#[cfg(feature = "properties")]
pub mod play;
pub mod sys;
