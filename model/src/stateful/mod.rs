//! Plays: random sequences of what a program can do with a [`Queue`], performed
//! on the model of the kernel or on the real one. After each step the queue is
//! compared with a specification that knows nothing of slots, lists or rings;
//! at the end every byte of every buffer and file is.
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

/// Blocks of a file.
const BLOCKS: usize = 12;
/// Bytes of one.
const BLOCK: usize = 4096;
/// Descriptors to poll.
const POLLED: usize = 3;
/// Slots of a queue, at the most.
const MOST_SLOTS: usize = 12;

/// One step.
#[derive(Clone, Debug)]
pub enum Step {
    /// Push a read or a write of the file that is open for direct I/O or of the
    /// other.
    Transfer {
        /// Not a read.
        write: bool,
        /// Which file.
        direct: bool,
        /// Where.
        block: u8,
        /// To behind the next block.
        two: bool,
        /// This far into the block, if that is allowed.
        skew: u16,
        /// The data owns the descriptor.
        owned: bool,
    },
    /// Push an fsync or an fdsync.
    Sync {
        /// Which file.
        direct: bool,
        /// fdsync.
        data: bool,
        /// The data owns the descriptor.
        owned: bool,
    },
    /// Push a poll of a descriptor.
    Poll {
        /// Which.
        which: u8,
        /// The data owns it.
        owned: bool,
    },
    /// Push what a kernel will refuse: with EINVAL or with EBADF.
    Refused {
        /// EINVAL.
        invalid: bool,
    },
    /// Submit; see [`Faults`](crate::fake_kernel::Faults).
    Submit {
        /// See there.
        room: Option<u8>,
        /// See there.
        short: Option<u8>,
    },
    /// Take so many completions, if they are there.
    Pop(u8),
    /// Wait.
    Wait {
        /// For so many.
        min: u8,
        /// So long: not at all, a moment, for ever (if that will end).
        patience: u8,
        /// What is refused.
        refuse: Refuse,
    },
    /// Take one completion, and wait for it if that will end.
    One(Refuse),
    /// Cancel one of all operations there ever were, counted from the last.
    Cancel(u8, Refuse),
    /// Unstage.
    Unstage,
    /// A descriptor becomes readable.
    Ready(u8),
    /// One of the operations in flight ends.
    Complete {
        /// Which.
        pick: u8,
        /// With EIO, if it is a direct read.
        broken: bool,
    },
    /// An event of nobody's is in the ring: like that of an operation, with this
    /// added to its word.
    ForeignEvent {
        /// Like whose.
        pick: u8,
        /// Added.
        add: u64,
    },
    /// Drain.
    Drain(Refuse),
    /// A forked child drops its copy.
    Fork,
    /// Drain into a context, and make another queue on it.
    Renew(Refuse),
    /// Drop the queue, and make another.
    Drop,
    /// Leak the queue, and make another in the same slots.
    Forget,
}

/// A play.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Slots of the queue.
    pub slots: usize,
    /// Slots of the kernel's ring, at the least.
    pub ring: u32,
    /// Each operation's memory is in pieces.
    pub vectored: bool,
    /// All that is left open.
    pub chance: u64,
    /// The steps.
    pub steps: Vec<Step>,
}

/// What happened in plays.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    /// Plays.
    pub plays: u64,
    /// Steps.
    pub steps: u64,
    /// Operations pushed.
    pub operations: u64,
    /// Operations cancelled, in flight or before.
    pub cancelled: u64,
    /// Bytes of buffers and files compared.
    pub bytes: u64,
    /// Children.
    pub forks: u64,
    /// Queues that were dropped or leaked with operations in them.
    pub ends: u64,
}

impl core::ops::AddAssign for Totals {
    fn add_assign(&mut self, other: Totals) {
        self.plays += other.plays;
        self.steps += other.steps;
        self.operations += other.operations;
        self.cancelled += other.cancelled;
        self.bytes += other.bytes;
        self.forks += other.forks;
        self.ends += other.ends;
    }
}

/// Plays of up to so many steps; those that end a queue or fork are `rare`
/// times rarer than they could be.
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
        4 * common => (few(), few()).prop_map(|(room, short)| Step::Submit { room, short }),
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

/// No limit, most of the time.
fn few() -> impl Strategy<Value = Option<u8>> {
    prop_oneof![3 => Just(None), 1 => (0_u8..5).prop_map(Some)]
}

/// What makes an event a is_foreign's: another generation, a flag of a slot's
/// word, another slot, anything.
fn added() -> impl Strategy<Value = u64> {
    prop_oneof![
        Just(0),
        (1_u64..4).prop_map(|generations| generations << 32),
        (24_u32..32).prop_map(|bit| 1 << bit),
        0_u64..32,
        any::<u64>(),
    ]
}
