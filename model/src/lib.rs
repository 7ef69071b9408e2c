//! linux-aio held against models of the kernel.
//!
//! The library's own files are mounted here, so what is checked is the very
//! lines that ship. One of them is not: in place of the system calls stands
//! [`sys`], which leads to the kernel, or to one in plain Rust.
//!
//! - [`checker`]: the ring's protocol, and operations in slots, under every
//!   order of events and every memory order that loom knows.
//! - [`stateful`]: random plays of operations, on the model of the kernel and on the
//!   real one, each step compared with a specification.
//! - [`adversarial`]: rings and events that no kernel makes, for the fuzz targets.

extern crate alloc;
extern crate std;

#[path = "../../arch/mod.rs"]
mod arch;

#[path = "../../src/address_space.rs"]
mod address_space;
#[path = "../../src/buffer/mod.rs"]
pub mod buffer;
#[path = "../../src/completion.rs"]
mod completion;
#[path = "../../src/context/mod.rs"]
mod context;
#[path = "../../src/direct_io.rs"]
pub mod direct_io;
#[path = "../../src/engine/mod.rs"]
mod engine;
#[path = "../../src/fd.rs"]
pub mod fd;
#[path = "../../src/op.rs"]
pub mod op;
#[path = "../../src/opcode.rs"]
pub mod opcode;
#[path = "../../src/pages.rs"]
mod pages;
#[path = "../../src/queue.rs"]
mod queue;
#[path = "../../src/reactor/mod.rs"]
pub mod reactor;
#[path = "../../src/ring/mod.rs"]
mod ring;
#[path = "../../src/scope/mod.rs"]
mod scope;

pub use completion::{Completion, Full};
pub use context::{
    Context, ContextPool, DrainError, IdleContext, SubmitError, Submitter, WaitOptions, destroy_all,
};
pub use engine::{RawSlot, Slot, Ticket};
pub use fd::{Fd, OwnsFd};
pub use queue::Queue;
pub use ring::Ring;
#[cfg(feature = "alloc")]
pub use scope::scope_with_capacity;
pub use scope::{Scope, ScopeSlot, ScopedOp, scope, scope_with_context};
pub use sys::abi::{AioContext, Event, Iocb, SigSet};
pub use sys::errno::Errno;
pub use sys::{abi, nr, syscall};

pub mod adversarial;
#[cfg(feature = "checker")]
pub mod checker;
pub mod fake_kernel;
pub mod memory;
#[cfg(feature = "properties")]
pub mod stateful;
pub mod sys;
