//! The model checker: loom runs a small program under every order in which its
//! threads can take turns and every value that its atomics can show, and finds
//! memory that two threads reach with nothing between them.
//!
//! The reader's side is the library's own, `ring/reader.rs` and `ring/run.rs`;
//! the memory orders that they ask for are the ones checked. The kernel's side is [`Ring`], written
//! after `fs/aio.c`.

#[allow(clippy::duplicate_mod, reason = "likewise")]
#[path = "../../../src/ring/batch_reader.rs"]
mod batch_reader;
#[allow(
    clippy::duplicate_mod,
    reason = "it is private in the library's `ring`"
)]
#[path = "../../../src/ring/reader.rs"]
mod reader;

pub mod looks;
pub mod operations;
mod ring;
pub mod rounds;

pub use ring::Ring;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Runs `program` under every order, or every one with at most `preemptions`
/// switches away from a thread that could have gone on, and tells how many
/// there were.
pub fn explore(preemptions: Option<usize>, program: impl Fn() + Send + Sync + 'static) -> usize {
    // Not loom's: it is no part of the program.
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
