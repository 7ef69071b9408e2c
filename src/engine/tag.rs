//! [`Tag`]: the state of a slot. It is stored in the `data` field of the slot's iocb,
//! which the kernel copies into the event.
//!
//! # Layout
//!
//! ```text
//!    63      62          32 31      27 26    24 23          0
//!   ┌───────┬──────────────┬──────────┬────────┬─────────────┐
//!   │ ROUND │  generation  │  flags   │   0    │    index    │
//!   └───────┴──────────────┴──────────┴────────┴─────────────┘
//!
//!    bit        31 30 29 28 27
//!    FREE       1  1  0  0  0   no operation
//!    STAGED     0  1  0  0  0   not submitted yet
//!    (no flag)  0  0  0  0  0   in flight, or between two states
//!    COMPLETED       0  0  0  1  0   completed, in the completed list
//!    NOTIFIED   0  0  0  0  1   completed, its waiter notified, in no list
//! ```
//!
//! - The *index* of a slot in its array is below 2^24 ([`MOST`]). With a flag, the low
//!   32 bits exceed every index, so [`index`](Tag::index) of such a tag is that of no
//!   slot.
//! - The *generation* changes whenever the slot is freed. It counts **down**: freeing a
//!   slot sets the flags of `FREE` and subtracts one generation, which is one addition
//!   of -2^30 (`NEXT`). An addition counting up would be 2^32 + 3·2^30, which does not
//!   fit into the immediate operand of an instruction.
//! - `ROUND` is 0. It becomes 1 when the generation passes 0;
//!   [`RawSlot`](super::RawSlot) then clears it and increments its `wraps`, which
//!   extends the generation.
//!
//! # Invariants
//! - A tag has a flag while its slot is free, staged, completed or notified. In flight
//!   it has none, so an event completes an operation if and only if its `data` equals
//!   the tag of the slot. Whatever else a ring contains, it cannot name a slot that the
//!   kernel does not have.
//! - The tag without a flag is the same from staging to release; it identifies the
//!   operation (together with `wraps`) in its [`Ticket`](super::Ticket).
//! - Each transition of an operation that is neither refused nor cancelled, nor waits
//!   in the completed list, is one addition of a number that fits into an instruction.

use super::offset::{OpState, SlotOffset};

/// The flags of a free slot. Its payload and its iocb are meaningless.
const FREE: u64 = 0b11 << 30;
/// The flag of an operation that is staged.
const STAGED: u64 = 1 << 30;
/// The flag of an operation that has completed and is in the completed list.
const COMPLETED: u64 = 1 << 28;
/// The flag of an operation that has completed and whose waiter was notified. It is not
/// in the completed list.
const NOTIFIED: u64 = 1 << 27;
/// The number whose addition frees a slot: it sets the flags of `FREE` and subtracts
/// one from the generation. The generation counts down so that this is a small number
/// (-2^30).
const NEXT: u64 = FREE.wrapping_sub(GENERATION);
/// The unit of the generation.
const GENERATION: u64 = 1 << 32;
/// The bit above the generation. It is set when the generation has wrapped.
const ROUND: u64 = 1 << 63;

/// The limit of the index. No context can hold more operations than 4,194,304.
pub(super) const MOST: usize = 1 << 24;

/// The state of a slot. Without a flag, it identifies the operation in the slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Tag(pub(super) u64);

impl Tag {
    /// The tag of no operation.
    pub(super) const NONE: Tag = Tag(FREE);

    /// Returns the index of the slot. With a flag the value exceeds the length of every
    /// array.
    #[inline(always)]
    pub(super) fn index(self) -> u32 {
        self.0 as u32
    }

    /// Returns a tag without a flag, with the same generation and the given index.
    pub(super) fn at(self, index: u32) -> Tag {
        Tag(self.0 & !(GENERATION - 1) | u64::from(index))
    }

    /// Returns the free tag of the next generation. `self` has no flag. See
    /// [`has_wrapped`](Tag::has_wrapped).
    #[inline(always)]
    pub(super) fn freed(self) -> Tag {
        Tag(self.0.wrapping_add(NEXT))
    }

    /// Returns whether the generation of a tag that was just freed has wrapped.
    #[inline(always)]
    pub(super) fn has_wrapped(self) -> bool {
        self.0 & ROUND != 0
    }

    /// Returns the tag with `ROUND` cleared, which is the first generation again.
    pub(super) fn of_next_wrap(self) -> Tag {
        Tag(self.0 & !ROUND)
    }

    /// Returns the staged tag. `self` is free.
    #[inline(always)]
    pub(super) fn staged(self) -> Tag {
        Tag(self.0.wrapping_sub(FREE - STAGED))
    }

    /// Returns the tag without a flag. `self` is staged.
    #[inline(always)]
    pub(super) fn unstaged(self) -> Tag {
        Tag(self.0.wrapping_sub(STAGED))
    }

    /// Returns the staged tag of an operation that the kernel did not take. `self` has
    /// no flag.
    pub(super) fn staged_again(self) -> Tag {
        Tag(self.0 | STAGED)
    }

    /// Returns the completed tag. `self` has no flag.
    pub(super) fn completed(self) -> Tag {
        Tag(self.0 | COMPLETED)
    }

    /// Returns the notified tag. `self` is completed.
    pub(super) fn notified(self) -> Tag {
        Tag(self.0 ^ (COMPLETED | NOTIFIED))
    }

    /// Returns the notified tag. `self` has no flag.
    #[inline(always)]
    pub(super) fn notified_at_once(self) -> Tag {
        Tag(self.0.wrapping_add(NOTIFIED))
    }

    /// Returns the tag without a flag. `self` is completed or notified.
    pub(super) fn taken(self) -> Tag {
        Tag(self.0 & !(COMPLETED | NOTIFIED))
    }

    /// Returns the tag without a flag. `self` is notified. Unlike [`taken`](Tag::taken) it is an
    /// addition, which the compiler combines with that of [`freed`](Tag::freed).
    #[inline(always)]
    pub(super) fn unnotified(self) -> Tag {
        Tag(self.0.wrapping_sub(NOTIFIED))
    }

    /// Returns whether this is the tag of a notified operation: no other has this bit.
    #[inline(always)]
    pub(super) fn is_notified(self) -> bool {
        self.0 & NOTIFIED != 0
    }

    pub(super) fn is_completed(self) -> bool {
        self.0 & (FREE | COMPLETED | NOTIFIED) == COMPLETED
    }

    pub(super) fn is_in_flight(self) -> bool {
        self.0 & (FREE | COMPLETED | NOTIFIED) == 0
    }

    /// Returns the state of the operation that `self` identifies, given the present tag
    /// `now` of its slot. Returns `None` if the slot no longer holds it.
    #[inline(always)]
    pub(super) fn state(self, now: Tag, at: SlotOffset) -> Option<OpState> {
        match now.0 ^ self.0 {
            0 => Some(OpState::InFlight(at)),
            STAGED => Some(OpState::Staged(at)),
            COMPLETED | NOTIFIED => Some(OpState::Completed(at)),
            _ => None,
        }
    }

    /// Returns the state of the operation whose present tag this is.
    #[inline(always)]
    pub(super) fn state_at(self, at: SlotOffset) -> OpState {
        match self.0 & (FREE | COMPLETED | NOTIFIED) {
            0 => OpState::InFlight(at),
            STAGED => OpState::Staged(at),
            _ => OpState::Completed(at),
        }
    }

    /// Returns the tag with generation 0, the last one before the wrap.
    #[cfg(test)]
    pub(super) fn of_last_generation(self) -> Tag {
        Tag(self.0 & (GENERATION - 1))
    }
}
