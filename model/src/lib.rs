//! The linux-aio library, tested against models of the kernel.
//!
//! The library's source files are mounted here as modules, so the code under test is
//! the code that is released. Only the system call wrappers are replaced: [`sys`]
//! routes each system call to the kernel or to a kernel model in plain Rust.
//!
//! - [`checker`]: the ring protocol, operations in slots, and a reactor that threads share,
//!   under every order of events and every memory order that loom explores.
//! - [`stateful`]: random scenarios of operations, on the kernel model and on the real
//!   kernel. Each step is compared with a specification.
//! - [`adversarial`]: rings and events that no kernel produces, for the fuzz targets.

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
#[path = "../../src/op/mod.rs"]
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
#[path = "../../src/split/mod.rs"]
pub mod split;

pub use completion::{Completion, Full};
pub use context::{
    Context, ContextPool, DrainError, IdleContext, SubmitError, Submitter, WaitOptions, destroy_all,
};
pub use engine::Ticket;
pub use fd::{Fd, OwnsFd};
pub use queue::{Queue, Slot};
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
