//! [`OwnedSlots`]: an array of slots on the heap, for an owner without one of its own.

use core::mem::MaybeUninit;
use core::ptr::NonNull;

use super::slot::RawSlot;
#[cfg(feature = "alloc")]
use crate::sys::errno::Errno;

/// The array of slots that an engine owns; none if it uses a borrowed one.
///
/// Dropping it frees the array. A raw pointer and not a box: the engine keeps another
/// pointer to the same slots, and a box may not be moved while that is used.
pub(super) struct OwnedSlots<P, X>(Option<NonNull<Array<P, X>>>);

type Array<P, X> = [MaybeUninit<RawSlot<P, X>>];

// SAFETY: the array is owned, and its elements may be sent (`P: Send` and `X: Send`).
unsafe impl<P: Send, X: Send> Send for OwnedSlots<P, X> {}
// SAFETY: `&OwnedSlots` gives no access to the array.
unsafe impl<P: Send, X: Send> Sync for OwnedSlots<P, X> {}

impl<P, X> OwnedSlots<P, X> {
    /// No array.
    pub(super) const NONE: OwnedSlots<P, X> = OwnedSlots(None);

    /// Allocates an uninitialised array.
    ///
    /// # Errors
    /// ENOMEM.
    #[cfg(feature = "alloc")]
    pub(super) fn new(count: usize) -> Result<OwnedSlots<P, X>, Errno> {
        let mut slots = alloc::vec::Vec::new();
        slots.try_reserve_exact(count).map_err(|_| Errno::NOMEM)?;
        // SAFETY: the capacity is at least `count`, and uninitialised elements of this type
        // are valid.
        unsafe { slots.set_len(count) };
        let slots = alloc::boxed::Box::leak(slots.into_boxed_slice());
        Ok(OwnedSlots(Some(NonNull::from(slots))))
    }

    /// Returns the array, or an empty one. Its slots are uninitialised at first.
    #[cfg(feature = "alloc")]
    pub(super) fn slots(&mut self) -> NonNull<[RawSlot<P, X>]> {
        let array = self.0.unwrap_or(NonNull::from(&mut []));
        NonNull::slice_from_raw_parts(array.cast(), array.len())
    }

    /// Gives the array up without freeing it: the kernel may use the memory of its
    /// operations still.
    #[inline]
    pub(super) fn leak(&mut self) {
        self.0 = None;
    }
}

impl<P, X> Drop for OwnedSlots<P, X> {
    #[inline]
    fn drop(&mut self) {
        #[cfg(feature = "alloc")]
        if let Some(slots) = self.0 {
            // SAFETY: this value owns the array, is being dropped, and made it in `new`.
            // The engine, which has the other pointer, is being dropped as well.
            unsafe { free(slots) };
        }
    }
}

/// Frees an array of slots, which are empty. The function is not inlined, as most owners borrow theirs.
///
/// # Safety
/// The array came from a box, and is used no more.
#[cfg(feature = "alloc")]
#[cold]
unsafe fn free<P, X>(slots: NonNull<Array<P, X>>) {
    // SAFETY: the caller promises that the array came from a box of this type, and that
    // it is used no more.
    drop(unsafe { alloc::boxed::Box::from_raw(slots.as_ptr()) });
}
