//! [`RawSlot`]: the storage of one operation.
//!
//! A slot contains the iocb, the payload, the result and the link of a list. The owner
//! of an array of slots is a queue, a scope or a reactor; [`Slots`](super::Slots)
//! manages the array for it.
//!
//! # Invariants
//! - The payload is initialised from staging to release.
//! - `tag` and `wraps` together never repeat in one array: see
//!   [`Ticket`](super::Ticket).

use core::mem::MaybeUninit;

use super::offset::SlotOffset;
use super::tag::Tag;
use crate::opcode::RawFd;
use crate::sys::abi::Iocb;

/// The storage of one operation: its iocb, and its payload (the buffer and the caller's
/// data). Each layer has a public type that wraps it ([`slot_type`]).
///
/// Dropping a slot does not drop its payload: if the owner of the array was leaked, the
/// kernel may still be writing to the buffer.
pub(crate) struct RawSlot<P, X = ()> {
    pub(super) iocb: Iocb,
    /// Initialised from staging to release.
    pub(super) payload: MaybeUninit<P>,
    /// The result of a completed operation; the back link of a staged one.
    pub(super) result: i64,
    /// The next slot in the same list.
    pub(super) next: SlotOffset,
    /// The part of the generation that does not fit into the tag.
    pub(super) wraps: u32,
    /// [`Extra::NEW`] while the slot is free, so that a free slot has nothing to drop.
    pub(super) extra: X,
}

/// The additional state that a layer keeps in a slot.
pub(crate) trait Extra {
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
    pub(crate) const NEW: RawSlot<P, X> = RawSlot {
        iocb: Iocb::EMPTY,
        payload: MaybeUninit::uninit(),
        result: 0,
        next: SlotOffset::END,
        wraps: 0,
        extra: X::NEW,
    };
}

impl<P, X> RawSlot<P, X> {
    /// Returns the slot before this one in the staged part of the chain. The slot is
    /// staged and not the first.
    pub(super) fn staged_before(&self) -> SlotOffset {
        SlotOffset(self.result as u32)
    }

    #[inline(always)]
    pub(super) fn set_staged_before(&mut self, before: SlotOffset) {
        self.result = before.0.into();
    }

    /// Returns the slot before this one in the completed list. The slot is completed and
    /// not the first.
    pub(super) fn completed_before(&self) -> SlotOffset {
        SlotOffset(self.iocb.offset as u32)
    }

    #[inline(always)]
    pub(super) fn set_completed_before(&mut self, before: SlotOffset) {
        self.iocb.offset = before.0.into();
    }

    #[inline(always)]
    pub(super) fn tag(&self) -> Tag {
        Tag(self.iocb.data)
    }

    #[inline(always)]
    pub(super) fn change(&mut self, to: impl FnOnce(Tag) -> Tag) {
        self.iocb.data = to(self.tag()).0;
    }

    /// Sets the eventfd of the operation, unless it has one.
    pub(super) fn signal(&mut self, eventfd: RawFd) {
        if self.iocb.signals().is_none() {
            self.iocb.signal(eventfd);
        }
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

/// Defines the public slot type of a layer, an opaque [`RawSlot`].
///
/// `$example` is the path of the type with its arguments, for the documentation.
macro_rules! slot_type {
    ($(#[$doc:meta])* $name:ident $(<$($p:ident $(= $default:ty)?),+>)? = $payload:ty, $extra:ty;
        example $example:literal;) => {
        $(#[$doc])*
        #[repr(transparent)]
        pub struct $name $(<$($p $(= $default)?),+>)? (crate::engine::RawSlot<$payload, $extra>);

        impl $(<$($p),+>)? $name $(<$($p),+>)? {
            /// An empty slot.
            pub const NEW: Self = $name(crate::engine::RawSlot::NEW);

            /// Creates an array of `N` empty slots.
            ///
            /// # Examples
            /// ```
            #[doc = concat!("let slots = linux_aio::", $example, "::array::<64>();")]
            /// assert_eq!(slots.len(), 64);
            /// ```
            pub const fn array<const N: usize>() -> [Self; N] {
                [const { $name::NEW }; N]
            }

            /// Initialises uninitialised memory with empty slots: as many as are needed at
            /// run time, without an allocator. Earlier contents are not dropped.
            ///
            /// # Examples
            /// ```
            /// use core::mem::MaybeUninit;
            ///
            /// # let depth = 7;
            /// let mut memory = [const { MaybeUninit::uninit() }; 64];
            #[doc = concat!(
                "let slots = linux_aio::", $example, "::init_slice(&mut memory[..depth]);"
            )]
            /// assert_eq!(slots.len(), depth);
            /// ```
            pub fn init_slice(memory: &mut [core::mem::MaybeUninit<Self>]) -> &mut [Self] {
                for slot in memory.iter_mut() {
                    slot.write($name::NEW);
                }
                let slots: *mut [core::mem::MaybeUninit<Self>] = memory;
                // SAFETY: every element was initialised above. The result borrows `memory`
                // exclusively.
                unsafe { &mut *(slots as *mut [Self]) }
            }

            /// Returns the slots as the engine uses them.
            fn raw(slots: &mut [Self]) -> &mut [crate::engine::RawSlot<$payload, $extra>] {
                let raw: *mut [Self] = slots;
                // SAFETY: the type is a transparent wrapper, so the array has the same
                // layout. The result borrows `slots` exclusively.
                unsafe { &mut *(raw as *mut [crate::engine::RawSlot<$payload, $extra>]) }
            }
        }

        impl $(<$($p),+>)? Default for $name $(<$($p),+>)? {
            fn default() -> Self {
                $name::NEW
            }
        }

        impl $(<$($p),+>)? core::fmt::Debug for $name $(<$($p),+>)? {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    };
}

pub(crate) use slot_type;
