//! Scenarios: random sequences of the actions of a program that uses a [`Queue`],
//! performed on the kernel model or on the real kernel. After each step the queue is
//! compared with a specification without slots, lists or rings. At the end every byte
//! of every buffer and file is compared.
//!
//! [`Queue`]: crate::Queue

mod buffer;
mod fork;
mod harness;
mod perform;
pub mod reactor;
mod refuse;
pub mod scope;
mod specification;
mod steps;
mod user;

use proptest::prelude::*;
use refuse::refuse;

pub use harness::{Harness, Real};
pub use perform::perform;
pub use refuse::Refuse;
pub use user::Inject;

/// The number of blocks of a file.
const BLOCKS: usize = 12;
/// The number of bytes of a block.
const BLOCK: usize = 4096;
/// The number of pollable descriptors.
const POLLED: usize = 3;
/// The greatest number of slots of a queue.
const MOST_SLOTS: usize = 12;

/// A step of a scenario.
#[derive(Clone, Debug)]
pub enum Step {
    /// Pushes a read or a write of the file that is open for direct I/O or of the other
    /// file.
    Transfer {
        /// True for a write.
        write: bool,
        /// True for the file that is open for direct I/O.
        direct: bool,
        /// The number of the block.
        block: u8,
        /// True if the transfer includes the next block.
        two: bool,
        /// The offset into the block, where an offset is allowed.
        skew: u16,
        /// True if the data owns the descriptor.
        owned: bool,
    },
    /// Pushes an fsync or an fdsync.
    Sync {
        /// True for the file that is open for direct I/O.
        direct: bool,
        /// True for fdsync.
        data: bool,
        /// True if the data owns the descriptor.
        owned: bool,
    },
    /// Pushes a poll of a descriptor.
    Poll {
        /// The number of the descriptor.
        which: u8,
        /// True if the data owns the descriptor.
        owned: bool,
    },
    /// Pushes an operation that a kernel refuses, with EINVAL or with EBADF.
    Refused {
        /// True for EINVAL.
        invalid: bool,
    },
    /// Submits; see [`Faults`](crate::fake_kernel::Faults).
    Submit {
        /// The number of operations accepted before EAGAIN.
        capacity: Option<u8>,
        /// The greatest number of operations that one system call accepts.
        short: Option<u8>,
    },
    /// Takes up to this many completions, without waiting.
    Pop(u8),
    /// Waits.
    Wait {
        /// The number of completions to wait for.
        min: u8,
        /// The timeout: none, a short time, or forever (if the wait ends).
        patience: u8,
        /// The refusals during the wait.
        refuse: Refuse,
    },
    /// Takes one completion, and waits for it if that wait ends.
    One(Refuse),
    /// Cancels one of all operations so far, counted from the last.
    Cancel(u8, Refuse),
    /// Unstages an operation.
    Unstage,
    /// Makes a descriptor readable.
    Ready(u8),
    /// Completes one of the operations in flight.
    Complete {
        /// The selection among the operations.
        pick: u8,
        /// True for EIO, if it is a direct read.
        broken: bool,
    },
    /// Adds a foreign event to the ring: a copy of an operation's event, with `add`
    /// added to its `data` word.
    ForeignEvent {
        /// The selection of the operation.
        pick: u8,
        /// The number added to the word.
        add: u64,
    },
    /// Drains the queue.
    Drain(Refuse),
    /// Drops the copy in a forked child.
    Fork,
    /// Drains the queue into a context, and makes another queue on it.
    Renew(Refuse),
    /// Drops the queue, and makes another.
    Drop,
    /// Leaks the queue, and makes another in the same slots.
    Forget,
}

/// A scenario.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The number of slots of the queue.
    pub slots: usize,
    /// The least number of slots of the kernel's ring.
    pub ring: u32,
    /// True if each operation's memory is in several parts.
    pub vectored: bool,
    /// The seed of all choices left open.
    pub chance: u64,
    /// The steps.
    pub steps: Vec<Step>,
}

/// The counters of scenarios.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    /// Scenarios performed.
    pub scenarios: u64,
    /// Steps performed.
    pub steps: u64,
    /// Operations pushed.
    pub operations: u64,
    /// Operations cancelled, in flight or before.
    pub cancelled: u64,
    /// Bytes of buffers and files compared.
    pub bytes: u64,
    /// Forked children.
    pub forks: u64,
    /// Queues that were dropped or leaked with operations in them.
    pub ends: u64,
}

impl core::ops::AddAssign for Totals {
    fn add_assign(&mut self, other: Totals) {
        self.scenarios += other.scenarios;
        self.steps += other.steps;
        self.operations += other.operations;
        self.cancelled += other.cancelled;
        self.bytes += other.bytes;
        self.forks += other.forks;
        self.ends += other.ends;
    }
}

/// Generates scenarios of up to `steps` steps. Those that end a queue or fork are
/// `rare` times less frequent than they could be.
pub fn plan(steps: usize, rare: u32) -> impl Strategy<Value = Plan> {
    let common = 120 * rare;
    let transfer = (
        any::<bool>(),
        any::<bool>(),
        any::<u8>(),
        any::<bool>(),
        any::<u16>(),
        any::<bool>(),
    );
    let step = prop_oneof![
        6 * common => transfer.prop_map(|(write, direct, block, two, skew, owned)| Step::Transfer {
            write, direct, block, two, skew, owned,
        }),
        common => (any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
            |(direct, data, owned)| Step::Sync { direct, data, owned }
        ),
        2 * common => (any::<u8>(), any::<bool>()).prop_map(|(which, owned)| Step::Poll { which, owned }),
        common / 2 => any::<bool>().prop_map(|invalid| Step::Refused { invalid }),
        4 * common => (few(), few()).prop_map(|(capacity, short)| Step::Submit { capacity, short }),
        3 * common => (1_u8..6).prop_map(Step::Pop),
        2 * common => (0_u8..8, 0_u8..3, refuse()).prop_map(
            |(min, patience, refuse)| Step::Wait { min, patience, refuse }
        ),
        common => refuse().prop_map(Step::One),
        2 * common => (any::<u8>(), refuse()).prop_map(|(pick, refuse)| Step::Cancel(pick, refuse)),
        common => Just(Step::Unstage),
        common => any::<u8>().prop_map(Step::Ready),
        4 * common => (any::<u8>(), prop::bool::weighted(0.1)).prop_map(
            |(pick, broken)| Step::Complete { pick, broken }
        ),
        common / 2 => (any::<u8>(), added()).prop_map(|(pick, add)| Step::ForeignEvent { pick, add }),
        common / 2 => refuse().prop_map(Step::Drain),
        common / 2 => refuse().prop_map(Step::Renew),
        50 => Just(Step::Drop),
        50 => Just(Step::Forget),
        30 => Just(Step::Fork),
    ];
    (
        1..=MOST_SLOTS,
        2_u32..20,
        any::<bool>(),
        any::<u64>(),
        prop::collection::vec(step, 1..=steps),
    )
        .prop_map(|(slots, ring, vectored, chance, steps)| Plan {
            slots,
            ring,
            vectored,
            chance,
            steps,
        })
}

/// Generates a limit: none in most cases.
fn few() -> impl Strategy<Value = Option<u8>> {
    prop_oneof![3 => Just(None), 1 => (0_u8..5).prop_map(Some)]
}

/// Generates the number that makes an event foreign: another generation, a flag of a
/// slot's word, another slot, or any number.
fn added() -> impl Strategy<Value = u64> {
    prop_oneof![
        Just(0),
        (1_u64..4).prop_map(|generations| generations << 32),
        (24_u32..32).prop_map(|bit| 1 << bit),
        0_u64..32,
        any::<u64>(),
    ]
}
