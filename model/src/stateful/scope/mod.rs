//! Random scenarios for [`scope`](crate::scope()), on the kernel model:
//! operations are started, waited for, cancelled, dropped and leaked in any
//! order, under refusals of every call, with user code that calls back and
//! panics; scopes return, panic, or end in a forked child.
//!
//! What must hold:
//! - a scope ends only when no operation uses its memory any more, and when it
//!   returns everything that was started has run;
//! - each operation has the right result and bytes;
//! - the context can be used again, or was destroyed because a call that ends
//!   operations was refused;
//! - no buffer is dropped twice, and none that a wait has returned is leaked.

mod operations;
mod stage;

use proptest::prelude::*;

use super::reactor::{Begin, begin, injections};
use super::refuse::{Refuse, refuse};
use super::user::Inject;

pub use stage::perform;

/// Slots of a scope, at the most.
const MOST_SLOTS: usize = 5;

/// One step.
#[derive(Clone, Debug)]
pub enum Step {
    /// Start an operation.
    Start(Begin),
    /// Submit.
    Submit,
    /// Wait for so many; for ever, where that ends.
    WaitWith(u8),
    /// Wait for one of the operations, if it ends.
    Wait(u8),
    /// Ask whether one has completed.
    IsFinished(u8),
    /// Cancel one.
    Cancel(u8),
    /// Drop one.
    Drop(u8),
    /// Leak one.
    Leak(u8),
    /// Operations complete: so many, beginning with this one.
    Complete(u8, u8),
    /// A descriptor becomes readable.
    Ready(u8),
    /// A forked child goes on to the scope's end.
    Fork,
}

/// One scope.
#[derive(Clone, Debug)]
pub struct Part {
    /// The steps, and what is refused while they run.
    pub steps: Vec<(Step, Refuse)>,
    /// It panics in the end.
    pub panics: bool,
    /// What is refused while it ends.
    pub end: Refuse,
    /// Operations are dropped before it ends.
    pub tidy: bool,
}

/// A scenario.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Slots.
    pub slots: usize,
    /// The ring cannot be read.
    pub opaque: bool,
    /// All that is left open.
    pub chance: u64,
    /// What user code does, call by call.
    pub injections: Vec<Inject>,
    /// The scopes, on one context.
    pub parts: Vec<Part>,
}

/// What happened in scenarios.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs, reason = "counters, named")]
pub struct Totals {
    pub scopes: u64,
    pub operations: u64,
    pub waited: u64,
    pub destroyed: u64,
    pub unknown: u64,
    pub panics: u64,
    pub forks: u64,
    pub injected: u64,
}

impl core::ops::AddAssign for Totals {
    fn add_assign(&mut self, other: Totals) {
        self.scopes += other.scopes;
        self.operations += other.operations;
        self.waited += other.waited;
        self.destroyed += other.destroyed;
        self.unknown += other.unknown;
        self.panics += other.panics;
        self.forks += other.forks;
        self.injected += other.injected;
    }
}

/// Scenarios whose scopes have up to so many steps. `wild`: user code calls back
/// and panics.
pub fn plan(steps: usize, wild: bool) -> impl Strategy<Value = Plan> {
    let step = prop_oneof![
        12 => begin().prop_map(Step::Start),
        2 => Just(Step::Submit),
        3 => any::<u8>().prop_map(Step::WaitWith),
        6 => any::<u8>().prop_map(Step::Wait),
        3 => any::<u8>().prop_map(Step::IsFinished),
        3 => any::<u8>().prop_map(Step::Cancel),
        3 => any::<u8>().prop_map(Step::Drop),
        1 => any::<u8>().prop_map(Step::Leak),
        5 => (any::<u8>(), 1_u8..4).prop_map(|(pick, count)| Step::Complete(pick, count)),
        1 => any::<u8>().prop_map(Step::Ready),
        1 => prop::bool::weighted(0.2).prop_map(|fork| if fork { Step::Fork } else { Step::Submit }),
    ];
    let part = (
        prop::collection::vec((step, refuse()), 0..=steps),
        prop::bool::weighted(0.2),
        refuse(),
        any::<bool>(),
    );
    let part = part.prop_map(|(steps, panics, end, tidy)| Part {
        steps,
        panics,
        end,
        tidy,
    });
    (
        1..=MOST_SLOTS,
        prop::bool::weighted(0.3),
        any::<u64>(),
        injections(if wild { 3 * steps } else { 0 }),
        prop::collection::vec(part, 1..4),
    )
        .prop_map(|(slots, opaque, chance, injections, parts)| Plan {
            slots,
            opaque,
            chance,
            injections,
            parts,
        })
}
