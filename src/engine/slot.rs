//! [`Slot`], the place of one operation, and [`Ticket`], its name.

use core::mem::MaybeUninit;

use super::slots::At;
use super::word::Word;
use crate::abi::Iocb;

/// The place of one operation: its iocb and its buffer. A queue, a scope or a
/// reactor is given an array of them.
///
/// Dropping a slot drops no buffer: if the owner of the array was leaked, the
/// kernel may still be at it.
pub struct Slot<B, X = ()> {
    pub(super) iocb: Iocb,
    pub(super) buffer: MaybeUninit<Option<B>>,
    pub(super) result: i64,
    /// The next in the list that the slot is in.
    pub(super) next: At,
    /// The part of the generation that does not fit into the word.
    pub(super) lap: u32,
    pub(super) extra: X,
}

/// What a slot holds for its layer besides.
#[allow(
    unreachable_pub,
    reason = "in the bounds of public items, and nobody's to implement"
)]
pub trait Extra {
    /// In an empty slot.
    const NEW: Self;

    /// Nobody waits for the operation: its slot is free when it has ended.
    fn is_detached(&self) -> bool {
        false
    }
}

impl Extra for () {
    const NEW: () = ();
}

impl<B, X: Extra> Slot<B, X> {
    /// An empty slot.
    pub const NEW: Slot<B, X> = Slot {
        iocb: Iocb::EMPTY,
        buffer: MaybeUninit::uninit(),
        result: 0,
        next: At::END,
        lap: 0,
        extra: X::NEW,
    };

    /// So many of them.
    ///
    /// ```
    /// let slots = linux_aio::Slot::<Box<[u8]>>::array::<64>();
    /// assert_eq!(slots.len(), 64);
    /// ```
    pub const fn array<const N: usize>() -> [Slot<B, X>; N] {
        [const { Slot::NEW }; N]
    }
}

impl<B, X> Slot<B, X> {
    #[inline(always)]
    pub(super) fn word(&self) -> Word {
        Word(self.iocb.data)
    }

    #[inline(always)]
    pub(super) fn change(&mut self, to: impl FnOnce(Word) -> Word) {
        self.iocb.data = to(self.word()).0;
    }

    /// The next generation of the slot whose word, without a flag, is `word`.
    #[inline]
    pub(super) fn free(&mut self, word: Word) {
        self.iocb.data = word.freed().0;
        if self.word().has_gone_round() {
            self.count_lap();
        }
    }

    #[cold]
    #[inline(never)]
    fn count_lap(&mut self) {
        self.change(Word::of_next_lap);
        self.lap = self.lap.wrapping_add(1);
    }
}

impl<B, X> core::fmt::Debug for Slot<B, X> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Slot").finish_non_exhaustive()
    }
}

/// Names one operation of one owner, for ever: no later one in the same slot
/// has the same ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket {
    pub(super) word: Word,
    pub(super) lap: u32,
}
