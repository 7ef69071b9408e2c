//! [`SlotOffset`]: the position of a slot in its array, and [`OpState`], the state of the
//! operation there.

/// The position of a slot in the array, in bytes from its start. Only an array that has
/// the slot creates one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlotOffset(pub(super) u32);

/// The limit of the offsets in bytes: every slot begins below it.
pub(super) const MOST_BYTES: usize = 1 << 31;

impl SlotOffset {
    /// The end of a list, which is no slot.
    pub(super) const END: SlotOffset = SlotOffset(u32::MAX);

    /// Returns whether this is the offset of a slot, and not the end of a list.
    #[inline(always)]
    pub(super) fn is_slot(self) -> bool {
        self.0 < MOST_BYTES as u32
    }
}

/// The state and the slot of a ticket's operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OpState {
    Staged(SlotOffset),
    InFlight(SlotOffset),
    Completed(SlotOffset),
}
