//! Random scenarios for a [`Reactor`](crate::reactor::Reactor), on the kernel model:
//! futures are begun, polled, dropped and leaked in any order, while user code (wakers,
//! destructors, owners of descriptors) verifies that the lock is free when it runs,
//! calls back, and panics.
//!
//! Invariants:
//! - User code never runs under the lock.
//! - Each buffer and each owner of a descriptor is dropped once, and not while its
//!   operation is in flight, or stays leaked where its future or its reactor was
//!   leaked.
//! - Each future that is polled when it is woken completes, with its own buffer and the
//!   right result, whatever panicked: see [`settle`].
//! - Tasks that wait for a slot get it in the order in which they came.
//! - No slot is lost: in the end as many operations can begin as there are slots that
//!   leaked futures do not hold.

mod settle;
mod stage;
mod tasks;

use proptest::prelude::*;

use super::POLLED;
use super::refuse::{Refuse, refuse};
use crate::fake_kernel::{BUFFERED, DIRECT, POLLED as FIRST_POLLED};

use super::user::Inject;
pub use stage::perform;

/// The greatest number of slots of a reactor.
const MOST_SLOTS: usize = 5;

/// The kind of an operation.
#[derive(Clone, Copy, Debug)]
pub enum What {
    /// Reads a block of the file that is open for direct I/O or of the other file,
    /// whose reads complete during submission.
    Read {
        /// True for the file that is open for direct I/O.
        direct: bool,
        /// The block's number.
        block: u8,
    },
    /// Syncs a file.
    Sync {
        /// True for fdatasync.
        data: bool,
    },
    /// Polls a descriptor.
    Poll(u8),
    /// An operation that the kernel refuses (EBADF).
    Refused,
}

/// An operation, and how it is begun.
#[derive(Clone, Copy, Debug)]
pub struct Begin {
    /// The kind of operation.
    pub what: What,
    /// True if the data owns the descriptor.
    pub owned: bool,
    /// True if the operation signals a separate eventfd.
    pub resfd: bool,
}

impl What {
    /// Returns the kernel model's descriptor for the operation.
    pub(super) fn descriptor(self) -> i32 {
        match self {
            What::Read { direct: true, .. } => DIRECT,
            What::Read { direct: false, .. } | What::Sync { .. } => BUFFERED,
            What::Poll(which) => FIRST_POLLED + (usize::from(which) % POLLED) as i32,
            What::Refused => -1,
        }
    }
}

/// A step of a scenario.
#[derive(Clone, Debug)]
pub enum Step {
    /// Creates a future and polls it this many times.
    Begin(Begin, u8),
    /// Polls a future.
    Poll(u8),
    /// Drops a future.
    Drop(u8),
    /// Leaks a future.
    Leak(u8),
    /// Turns the reactor.
    Turn,
    /// Waits, if the reactor supports it; turns it otherwise.
    Wait,
    /// Completes operations: the selection of `Kernel::complete`, and the number of
    /// operations.
    Complete(u8, u8),
    /// Makes a descriptor readable.
    Ready(u8),
    /// Polls woken tasks until all futures have completed.
    Settle,
    /// Drops the copy in a forked child.
    Fork,
    /// Ends the reactor; another one takes the slots.
    End(End),
}

/// The way in which a reactor ends.
#[derive(Clone, Copy, Debug)]
pub enum End {
    /// Dropped after its futures.
    Drop,
    /// Turned into an idle context with `into_idle_context`, after its futures are
    /// dropped.
    Drain,
    /// Leaked, after its futures are dropped or leaked.
    Leak {
        /// True if the futures are leaked.
        futures: bool,
    },
}

/// The lock of a reactor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock {
    /// [`Local`](crate::reactor::Local), not watched. Its reactor can wait.
    Local,
    /// [`Local`](crate::reactor::Local), watched.
    Watched,
    /// A mutex, watched.
    Shared,
}

/// A scenario.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The number of slots.
    pub slots: usize,
    /// The reactor's lock.
    pub lock: Lock,
    /// True if operations are submitted in batches.
    pub batched: bool,
    /// The reactor's eventfd: none (0), a borrowed one (1), an owned one (otherwise).
    pub eventfd: u8,
    /// True if the ring cannot be read without a system call.
    pub opaque: bool,
    /// The seed of all choices left open.
    pub chance: u64,
    /// The actions of user code, call by call.
    pub injections: Vec<Inject>,
    /// The steps, and what is refused while they run.
    pub steps: Vec<(Step, Refuse)>,
}

/// The counters of scenarios.
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

/// Generates scenarios of up to `steps` steps. If `wild` is set, user code calls back
/// and panics.
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

/// Generates the actions of up to `most` calls of user code.
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
