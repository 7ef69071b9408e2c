//! [`Slot`], the storage of one operation, and [`Ticket`], which identifies it.
//!
//! A slot contains the iocb, the payload, the result and the link of a list. The owner
//! of an array of slots is a queue, a scope or a reactor; [`Slots`](super::Slots)
//! manages the array for it.
//!
//! # Invariants
//! - The payload is initialised from staging to release.
//! - Two operations never have equal tickets: these contain the index and the
//!   generation of the slot (with `wraps`, its high part), and the id of the owner. The
//!   exceptions are listed at [`OwnerId::next`].

use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use super::table::SlotOffset;
use super::tag::Tag;
use crate::sys::abi::Iocb;

/// The storage of one operation: its iocb, and its payload (the buffer and the caller's
/// data). A queue, a scope or a reactor takes an array of slots.
///
/// Dropping a slot does not drop its payload: if the owner of the array was leaked, the
/// kernel may still be writing to the buffer.
pub struct RawSlot<P, X = ()> {
    pub(super) iocb: Iocb,
    /// Initialised from staging to release.
    pub(super) payload: MaybeUninit<P>,
    pub(super) result: i64,
    /// The next slot in the same list.
    pub(super) next: SlotOffset,
    /// The part of the generation that does not fit into the tag.
    pub(super) wraps: u32,
    /// [`Extra::NEW`] while the slot is free, so that a free slot has nothing to drop.
    pub(super) extra: X,
}

/// The slot of an operation of a [`Queue`](crate::Queue), with space for its buffer `B`
/// and for data `T` that the caller chooses.
pub type Slot<B, T = ()> = RawSlot<(Option<B>, T)>;

/// The additional state that a layer keeps in a slot.
#[allow(
    unreachable_pub,
    reason = "in the bounds of public items, and nobody's to implement"
)]
pub trait Extra {
    /// The value in a free slot. Dropping it runs no user code.
    const NEW: Self;

    /// Returns whether the operation is detached: its result is not wanted, and its
    /// slot is freed when it has completed.
    fn is_detached(&self) -> bool {
        false
    }
}

impl Extra for () {
    const NEW: () = ();
}

impl<P, X: Extra> RawSlot<P, X> {
    /// An empty slot.
    pub const NEW: RawSlot<P, X> = RawSlot {
        iocb: Iocb::EMPTY,
        payload: MaybeUninit::uninit(),
        result: 0,
        next: SlotOffset::END,
        wraps: 0,
        extra: X::NEW,
    };

    /// Creates an array of `N` empty slots.
    ///
    /// ```
    /// let slots = linux_aio::Slot::<Box<[u8]>>::array::<64>();
    /// assert_eq!(slots.len(), 64);
    /// ```
    pub const fn array<const N: usize>() -> [RawSlot<P, X>; N] {
        [const { RawSlot::NEW }; N]
    }

    /// Drops everything that a leaked owner has left in the slot, except the payload,
    /// which the kernel may still use. User code runs here, after the slot was emptied.
    pub(super) fn vacate(&mut self) {
        drop(core::mem::replace(&mut self.extra, X::NEW));
    }
}

impl<P, X> RawSlot<P, X> {
    #[inline(always)]
    pub(super) fn tag(&self) -> Tag {
        Tag(self.iocb.data)
    }

    #[inline(always)]
    pub(super) fn change(&mut self, to: impl FnOnce(Tag) -> Tag) {
        self.iocb.data = to(self.tag()).0;
    }

    /// Frees the slot, whose tag without a flag is `tag`, with the next generation.
    #[inline]
    pub(super) fn free(&mut self, tag: Tag) {
        self.iocb.data = tag.freed().0;
        if self.tag().has_wrapped() {
            self.count_wrap();
        }
    }

    #[cold]
    #[inline(never)]
    fn count_wrap(&mut self) {
        self.change(Tag::of_next_wrap);
        self.wraps = self.wraps.wrapping_add(1);
    }
}

impl<P, X> core::fmt::Debug for RawSlot<P, X> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Slot").finish_non_exhaustive()
    }
}

/// Identifies one operation of one queue. No other operation has an equal ticket:
/// neither a later one in the same slot, nor one of another queue, even in slots
/// that were moved there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket {
    pub(super) tag: Tag,
    pub(super) wraps: u32,
    pub(super) owner: OwnerId,
}

impl Ticket {
    /// The ticket of no operation.
    pub(crate) const NONE: Ticket = Ticket {
        tag: Tag::NONE,
        wraps: 0,
        owner: OwnerId(0),
    };
}

/// Identifies one owner of slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct OwnerId(u32);

impl OwnerId {
    /// Returns an id that no other owner has.
    ///
    /// The counter wraps after 2^32 owners. Two tickets are then equal only if their
    /// slots have the same index and generation as well. On m68k the same is true if
    /// two threads create owners at the same moment.
    pub(super) fn next() -> OwnerId {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        #[cfg(all(target_has_atomic = "32", not(target_arch = "m68k")))]
        let next = NEXT.fetch_add(1, Relaxed);
        // The MC68000 has no atomic add instruction, and a program without libc has no
        // function to replace it. Memory safety does not depend on it.
        #[cfg(target_arch = "m68k")]
        let next = {
            let next = NEXT.load(Relaxed);
            NEXT.store(next.wrapping_add(1), Relaxed);
            next
        };
        // This is a target without Linux, where no queue can be created.
        #[cfg(not(target_has_atomic = "32"))]
        let next = NEXT.load(Relaxed);
        OwnerId(next)
    }
}
