//! Random scenarios for [`scope`](crate::scope()), on the kernel model: operations are
//! started, waited for, cancelled, dropped and leaked in any order, while any system
//! call may be refused and user code calls back and panics. Scopes return, panic, or
//! end in a forked child.
//!
//! Invariants:
//! - A scope ends only when no operation uses its memory any more. When it returns,
//!   every started operation has run.
//! - Each operation has the right result and bytes.
//! - The context can be reused, or was destroyed because a system call that completes
//!   operations was refused.
//! - No buffer is dropped twice, and none that a wait has returned is leaked.

mod operations;
mod stage;

use proptest::prelude::*;

use super::reactor::{Begin, begin, injections};
use super::refuse::{Refuse, refuse};
use super::user::Inject;

pub use stage::perform;

/// The greatest number of slots of a scope.
const MOST_SLOTS: usize = 5;

/// A step of a scenario.
#[derive(Clone, Debug)]
pub enum Step {
    /// Starts an operation.
    Start(Begin),
    /// Submits the staged operations.
    Submit,
    /// Waits for this many completions; without a timeout if that wait ends.
    WaitWith(u8),
    /// Waits for one of the operations, if it completes.
    Wait(u8),
    /// Calls `is_finished` on an operation.
    IsFinished(u8),
    /// Cancels an operation.
    Cancel(u8),
    /// Drops an operation.
    Drop(u8),
    /// Leaks an operation.
    Leak(u8),
    /// Completes operations: the selection of `Kernel::complete`, and the number of
    /// operations.
    Complete(u8, u8),
    /// Makes a descriptor readable.
    Ready(u8),
    /// Forks; the child continues to the scope's end.
    Fork,
}

/// The part of a scenario that runs in one scope.
#[derive(Clone, Debug)]
pub struct Part {
    /// The steps, and what is refused while they run.
    pub steps: Vec<(Step, Refuse)>,
    /// True if the scope panics at its end.
    pub panics: bool,
    /// The calls that are refused while the scope ends.
    pub end: Refuse,
    /// True if operations are dropped before the scope ends.
    pub tidy: bool,
}

/// A scenario.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The number of slots.
    pub slots: usize,
    /// True if the ring cannot be read without a system call.
    pub opaque: bool,
    /// The seed of all choices left open.
    pub chance: u64,
    /// The actions of user code, call by call.
    pub injections: Vec<Inject>,
    /// The scopes, on one context.
    pub parts: Vec<Part>,
}

/// The counters of scenarios.
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

/// Generates scenarios whose scopes have up to `steps` steps. If `wild` is set, user
/// code calls back and panics.
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
