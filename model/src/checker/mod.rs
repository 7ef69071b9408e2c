//! The model checker: loom runs a small program under every order in which its threads
//! can be scheduled and with every value that its atomic loads can return. It detects
//! memory that two threads access without synchronization.
//!
//! The reader's side is the library's code, `ring/index.rs`, `ring/reader.rs` and
//! `ring/batch_reader.rs`, with the memory orders used there. The kernel's side is
//! [`Ring`], modelled after `fs/aio.c`. The programs over a reactor ([`turns`]) use the kernel
//! model of the scenarios, whose steps loom orders.

#[allow(
    dead_code,
    clippy::duplicate_mod,
    reason = "likewise; programs over a reactor use the one of the crate"
)]
#[path = "../../../src/ring/batch_reader.rs"]
mod batch_reader;
#[allow(clippy::duplicate_mod, reason = "likewise")]
#[path = "../../../src/ring/index.rs"]
mod index;
#[allow(
    dead_code,
    clippy::duplicate_mod,
    reason = "it is private in the library's `ring`; programs over a reactor use the one of the crate"
)]
#[path = "../../../src/ring/reader.rs"]
mod reader;

pub mod operations;
pub mod polls;
mod ring;
pub mod rounds;
pub mod turns;

pub use ring::Ring;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Runs `program` under every order, or under every order with at most `preemptions`
/// switches away from a runnable thread. Returns the number of executions.
pub fn explore(preemptions: Option<usize>, program: impl Fn() + Send + Sync + 'static) -> usize {
    // Not a loom atomic: it is no part of the program.
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = preemptions;
    builder.check(move || {
        counted.fetch_add(1, Relaxed);
        program();
    });
    count.load(Relaxed)
}
