//! Random scenarios for a [`Reactor`](crate::reactor::Reactor), on the kernel
//! model: futures are begun, polled, dropped and leaked in any order, while user
//! code (wakers, destructors, owners of descriptors) verifies that the lock is
//! free when it runs, calls back, and panics.
//!
//! What must hold:
//! - user code never runs under the lock;
//! - each buffer and each owner of a descriptor is dropped once, and not while
//!   the kernel has it, or stays leaked where its future or its reactor was;
//! - each future that is polled when it is woken completes, with its own buffer
//!   and the right result, whatever panicked: see [`settle`];
//! - tasks that wait for a slot get it in the order in which they came;
//! - no slot is lost: in the end as many operations can begin as there are slots
//!   that leaked futures do not hold.

mod settle;
mod stage;
mod tasks;

use proptest::prelude::*;

use super::POLLED;
use super::refuse::{Refuse, refuse};
use crate::fake_kernel::{BUFFERED, DIRECT, POLLED as FIRST_POLLED};

use super::user::Inject;
pub use stage::perform;

/// Slots of a reactor, at the most.
const MOST_SLOTS: usize = 5;

/// An operation.
#[derive(Clone, Copy, Debug)]
pub enum What {
    /// Read a block of the file that is open for direct I/O or of the other,
    /// whose reads are done when they are submitted.
    Read {
        /// Which file.
        direct: bool,
        /// Which block.
        block: u8,
    },
    /// Sync a file.
    Sync {
        /// fdatasync.
        data: bool,
    },
    /// Poll a descriptor.
    Poll(u8),
    /// What the kernel refuses (EBADF).
    Refused,
}

/// An operation, and how it is begun.
#[derive(Clone, Copy, Debug)]
pub struct Begin {
    /// Which.
    pub what: What,
    /// The data owns the descriptor.
    pub owned: bool,
    /// It signals an eventfd of its own.
    pub resfd: bool,
}

impl What {
    /// The model's descriptor for it.
    pub(super) fn descriptor(self) -> i32 {
        match self {
            What::Read { direct: true, .. } => DIRECT,
            What::Read { direct: false, .. } | What::Sync { .. } => BUFFERED,
            What::Poll(which) => FIRST_POLLED + (usize::from(which) % POLLED) as i32,
            What::Refused => -1,
        }
    }
}

/// One step.
#[derive(Clone, Debug)]
pub enum Step {
    /// Make a future, and poll it so often.
    Begin(Begin, u8),
    /// Poll a future.
    Poll(u8),
    /// Drop one.
    Drop(u8),
    /// Leak one.
    Leak(u8),
    /// Turn the reactor.
    Turn,
    /// WaitOptions, where the reactor can; else turn.
    Wait,
    /// Operations end: so many, beginning with this one.
    Complete(u8, u8),
    /// A descriptor becomes readable.
    Ready(u8),
    /// Poll what was woken, until all futures have completed.
    Settle,
    /// A forked child ends its copy.
    Fork,
    /// The reactor ends, and another takes the slots.
    End(End),
}

/// How a reactor ends.
#[derive(Clone, Copy, Debug)]
pub enum End {
    /// It is dropped, its futures before.
    Drop,
    /// The same, with `into_idle_context`.
    Drain,
    /// It is leaked, and its futures dropped before or leaked.
    Leak {
        /// Leaked.
        futures: bool,
    },
}

/// The lock of a reactor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock {
    /// [`Local`](crate::reactor::Local), which cannot be watched, and which can
    /// wait.
    Local,
    /// The same, watched.
    Watched,
    /// A mutex, watched.
    Shared,
}

/// A scenario.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Slots.
    pub slots: usize,
    /// Its lock.
    pub lock: Lock,
    /// Operations are submitted in batches.
    pub batched: bool,
    /// It has an eventfd: none, a borrowed one, one of its own.
    pub eventfd: u8,
    /// The ring cannot be read.
    pub opaque: bool,
    /// All that is left open.
    pub chance: u64,
    /// What user code does, call by call.
    pub injections: Vec<Inject>,
    /// The steps, and what is refused while they run.
    pub steps: Vec<(Step, Refuse)>,
}

/// What happened in scenarios.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs, reason = "counters, named")]
pub struct Totals {
    pub operations: u64,
    pub resolved: u64,
    pub leaked: u64,
    pub owners: u64,
    pub injected: u64,
    pub user_calls: u64,
    pub waited: u64,
    pub settled: u64,
    pub forks: u64,
}

impl core::ops::AddAssign for Totals {
    fn add_assign(&mut self, other: Totals) {
        self.operations += other.operations;
        self.resolved += other.resolved;
        self.leaked += other.leaked;
        self.owners += other.owners;
        self.injected += other.injected;
        self.user_calls += other.user_calls;
        self.waited += other.waited;
        self.settled += other.settled;
        self.forks += other.forks;
    }
}

pub(super) fn begin() -> impl Strategy<Value = Begin> {
    let what = prop_oneof![
        4 => (any::<bool>(), any::<u8>()).prop_map(|(direct, block)| What::Read { direct, block }),
        1 => any::<bool>().prop_map(|data| What::Sync { data }),
        3 => any::<u8>().prop_map(What::Poll),
        1 => Just(What::Refused),
    ];
    (what, any::<bool>(), prop::bool::weighted(0.2)).prop_map(|(what, owned, resfd)| Begin {
        what,
        owned,
        resfd,
    })
}

/// Scenarios of up to so many steps. `wild`: user code calls back and panics.
pub fn plan(steps: usize, wild: bool) -> impl Strategy<Value = Plan> {
    let step = prop_oneof![
        12 => (begin(), 0_u8..3).prop_map(|(begin, polls)| Step::Begin(begin, polls)),
        8 => any::<u8>().prop_map(Step::Poll),
        4 => any::<u8>().prop_map(Step::Drop),
        2 => any::<u8>().prop_map(Step::Leak),
        8 => Just(Step::Turn),
        4 => Just(Step::Wait),
        8 => (any::<u8>(), 1_u8..4).prop_map(|(pick, count)| Step::Complete(pick, count)),
        2 => any::<u8>().prop_map(Step::Ready),
        3 => Just(Step::Settle),
        2 => end().prop_map(Step::End),
        1 => prop::bool::weighted(0.2).prop_map(|fork| if fork { Step::Fork } else { Step::Turn }),
    ];
    let injections = injections(if wild { 2 * steps } else { 0 });
    let lock = prop_oneof![Just(Lock::Local), Just(Lock::Watched), Just(Lock::Shared)];
    (
        (1..=MOST_SLOTS, lock, any::<bool>(), 0_u8..3),
        (prop::bool::weighted(0.3), any::<u64>()),
        injections,
        prop::collection::vec((step, refuse()), 1..=steps),
    )
        .prop_map(
            |((slots, lock, batched, eventfd), (opaque, chance), injections, steps)| Plan {
                slots,
                lock,
                batched,
                eventfd,
                opaque,
                chance,
                injections,
                steps,
            },
        )
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![
        2 => Just(End::Drop),
        1 => Just(End::Drain),
        2 => any::<bool>().prop_map(|futures| End::Leak { futures }),
    ]
}

/// What so many calls of user code do, at the most.
pub(super) fn injections(most: usize) -> impl Strategy<Value = Vec<Inject>> {
    let inject = prop_oneof![
        8 => Just(Inject::Nothing),
        1 => Just(Inject::Turn),
        1 => Just(Inject::Count),
        1 => Just(Inject::Begin),
        1 => any::<u8>().prop_map(Inject::Poll),
        1 => any::<u8>().prop_map(Inject::Drop),
        2 => Just(Inject::Panic),
    ];
    prop::collection::vec(inject, 0..=most)
}
