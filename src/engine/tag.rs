//! [`Tag`]: a slot's state, in the `data` of its iocb, which comes back in the
//! event.
//!
//! The index is below, the generation above, and between them a flag while the
//! slot is free, staged or done. In flight it has none, so an event is an
//! operation's if and only if it equals the slot's tag; whatever else a ring
//! may hold, it cannot name a slot that the kernel does not have.
//!
//! Each change on the way of an operation that meets no obstacle is one
//! addition of a number that fits into an instruction.

use super::table::{OpState, SlotOffset};

/// No operation: neither buffer nor iocb mean anything.
const FREE: u64 = 0b11 << 30;
/// Ready to be submitted.
const STAGED: u64 = 1 << 30;
/// The result is here, and not yet taken.
const DONE: u64 = 1 << 28;
/// The same, and whoever waits for it was told: it is in no list.
const NOTIFIED: u64 = 1 << 27;
/// What frees a slot when it is added: the flag, and one less in the generation,
/// which counts down so that this is a small number.
const NEXT: u64 = FREE.wrapping_sub(GENERATION);
/// One in the generation.
const GENERATION: u64 = 1 << 32;
/// The generation's top bit: it has gone round.
const ROUND: u64 = 1 << 63;

/// What is left for the index; no context can hold more operations (4,194,304).
pub(super) const MOST: usize = 1 << 24;

/// One operation's, while it has the slot; then the next one's. Without a flag,
/// it names the operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Tag(pub(super) u64);

impl Tag {
    /// Of no operation that there ever is.
    pub(super) const NONE: Tag = Tag(FREE);

    /// The slot's index. With a flag it is beyond any array's length.
    #[inline(always)]
    pub(super) fn index(self) -> u32 {
        self.0 as u32
    }

    /// The same generation, in the slot with this index, whatever was there.
    pub(super) fn at(self, index: u32) -> Tag {
        Tag(self.0 & !(GENERATION - 1) | u64::from(index))
    }

    /// Free, a generation later, of a tag without a flag. See
    /// [`has_wrapped`](Tag::has_wrapped).
    #[inline(always)]
    pub(super) fn freed(self) -> Tag {
        Tag(self.0.wrapping_add(NEXT))
    }

    /// Whether no generation is left, of a tag that was just freed.
    #[inline(always)]
    pub(super) fn has_wrapped(self) -> bool {
        self.0 & ROUND != 0
    }

    /// The first generation again.
    pub(super) fn of_next_wrap(self) -> Tag {
        Tag(self.0 & !ROUND)
    }

    /// Staged, of a free one.
    #[inline(always)]
    pub(super) fn staged(self) -> Tag {
        Tag(self.0.wrapping_sub(FREE - STAGED))
    }

    /// In flight, or on its way elsewhere, of a staged one.
    #[inline(always)]
    pub(super) fn unstaged(self) -> Tag {
        Tag(self.0.wrapping_sub(STAGED))
    }

    /// Staged, of one that the kernel did not take.
    pub(super) fn staged_again(self) -> Tag {
        Tag(self.0 | STAGED)
    }

    /// Done, of one without a flag.
    pub(super) fn done(self) -> Tag {
        Tag(self.0 | DONE)
    }

    /// Told of, of one that is done.
    pub(super) fn notified(self) -> Tag {
        Tag(self.0 ^ (DONE | NOTIFIED))
    }

    /// Without a flag, of one that is done.
    pub(super) fn taken(self) -> Tag {
        Tag(self.0 & !(DONE | NOTIFIED))
    }

    pub(super) fn is_notified(self) -> bool {
        self.0 & (FREE | DONE | NOTIFIED) == NOTIFIED
    }

    pub(super) fn is_in_flight(self) -> bool {
        self.0 & (FREE | DONE | NOTIFIED) == 0
    }

    /// Where the operation is that this names, of which the slot's tag is
    /// `now`. `None`: it is over.
    #[inline(always)]
    pub(super) fn place(self, now: Tag, at: SlotOffset) -> Option<OpState> {
        match now.0 ^ self.0 {
            0 => Some(OpState::InFlight(at)),
            STAGED => Some(OpState::Staged(at)),
            DONE | NOTIFIED => Some(OpState::Done(at)),
            _ => None,
        }
    }

    /// As if all generations but one had been.
    #[cfg(test)]
    pub(super) fn of_last_generation(self) -> Tag {
        Tag(self.0 & (GENERATION - 1))
    }
}
