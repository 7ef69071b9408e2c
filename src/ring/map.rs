//! [`RingMap`]: the mapped memory of a context's ring.
//!
//! The contents of the ring are not trusted. The number of slots is read once and
//! validated against the mapping. An index out of range ends reading in user space for
//! that call, and the system call is made instead.
//!
//! Where there is no ring to read, a ring without slots takes its place. Every index is
//! out of range in it, so a reader needs no separate check.

use core::ptr::NonNull;
use core::sync::atomic::AtomicU32;

use super::Polled;
use super::reader::{self, Memory};
use crate::pages::{MADV_DONTFORK, MADV_NORMAL, madvise};
use crate::sys::abi::{AioContext, Event, RingHeader};

/// The mapped ring of a context, validated as one that this crate can read, or no ring.
#[derive(Clone, Copy)]
pub(crate) struct RingMap {
    header: NonNull<RingHeader>,
    /// The number of slots, or 0 for no ring.
    slots: u32,
}

/// The header of the ring without slots. Only its indices are read. Any head will do,
/// and any tail that is not the index after the head.
static NOWHERE: [AtomicU32; size_of::<RingHeader>() / 4] =
    [const { AtomicU32::new(u32::MAX) }; size_of::<RingHeader>() / 4];

impl RingMap {
    /// No ring.
    pub(crate) const NONE: RingMap = RingMap {
        // SAFETY: the address of a static is not null.
        header: unsafe { NonNull::new_unchecked((&raw const NOWHERE).cast_mut().cast()) },
        slots: 0,
    };

    /// Validates the ring of a context. Returns [`NONE`](RingMap::NONE) where it cannot
    /// be read in user space (gVisor maps an empty page, a later kernel may change it) or cannot
    /// be kept from forked children.
    ///
    /// # Safety
    /// The context is alive and owned by the caller.
    pub(crate) unsafe fn attach(ctx: AioContext) -> RingMap {
        // SAFETY: the caller promises that the context is alive and that it owns it,
        // which is what `find` requires.
        unsafe { RingMap::find(ctx) }.unwrap_or(RingMap::NONE)
    }

    /// Locates and validates the ring of a context.
    ///
    /// # Safety
    /// The context is alive and owned by the caller.
    unsafe fn find(ctx: AioContext) -> Option<RingMap> {
        let header = NonNull::new(core::ptr::with_exposed_provenance_mut::<RingHeader>(ctx.0))?;
        // Checks that a page is mapped there: advice that changes nothing is refused
        // for an address that is not mapped or not the start of a page.
        // SAFETY: MADV_NORMAL is the default of every mapping, so it changes no access.
        unsafe { madvise(ctx.0, size_of::<RingHeader>(), MADV_NORMAL) }.ok()?;
        // SAFETY: the address is mapped and page-aligned, as `madvise` has just
        // accepted it, and the header consists of plain integers. The fields read here
        // never change.
        let fields = unsafe { header.as_ptr().read_volatile() };
        let slots = slots_of(&fields)?;
        let bytes = (slots as usize)
            .checked_mul(size_of::<Event>())?
            .checked_add(size_of::<RingHeader>())?;
        // Keeps the ring out of forked children, which could otherwise take their
        // parent's events. Success also proves that the whole ring is mapped.
        // SAFETY: MADV_DONTFORK affects forked children alone, not the accesses of this
        // process.
        unsafe { madvise(ctx.0, bytes, MADV_DONTFORK) }.ok()?;
        Some(RingMap { header, slots })
    }

    /// Returns the number of slots, or `None` if there is no ring.
    pub(crate) fn slots(self) -> Option<u32> {
        (self.slots > 0).then_some(self.slots)
    }

    /// Takes one event.
    ///
    /// # Safety
    /// The ring, if there is one, is mapped, and no other code reads it.
    #[inline]
    pub(crate) unsafe fn take_one(self) -> Polled<Event> {
        // SAFETY: the caller promises that the ring is mapped and that no other code
        // reads it, which is what the protocol requires.
        unsafe { reader::take_one(&self) }
    }

    /// Takes up to `events.len()` events and returns their number. `None` means that
    /// there is no ring, or that its indices are out of range.
    ///
    /// # Safety
    /// The ring, if there is one, is mapped, and no other code reads it.
    #[inline]
    pub(crate) unsafe fn take(self, events: &mut [Event]) -> Option<usize> {
        // SAFETY: the caller promises that the ring is mapped and that no other code
        // reads it, which is what the protocol requires.
        unsafe { reader::take(&self, events) }
    }
}

// SAFETY: `slots` was read once and never changes; as many slots are mapped, or there
// are none. `copy` and `event` read only the requested slots.
unsafe impl Memory for RingMap {
    type Index = AtomicU32;
    type Location = *const Event;

    #[inline(always)]
    fn slots(&self) -> u32 {
        self.slots
    }

    #[inline(always)]
    fn head(&self) -> &AtomicU32 {
        // SAFETY: the header is a static of atomics, or in a mapping that lives as long
        // as the context, which every user of the `RingMap` borrows. The index is an
        // aligned u32 that the crate and the kernel access only atomically.
        unsafe { AtomicU32::from_ptr(&raw mut (*self.header.as_ptr()).head) }
    }

    #[inline(always)]
    fn tail(&self) -> &AtomicU32 {
        // SAFETY: the header is a static of atomics, or in a mapping that lives as long
        // as the context, which every user of the `RingMap` borrows. The index is an
        // aligned u32 that the crate and the kernel access only atomically.
        unsafe { AtomicU32::from_ptr(&raw mut (*self.header.as_ptr()).tail) }
    }

    #[inline(always)]
    unsafe fn copy(&self, first: u32, count: u32, to: *mut Event) {
        // SAFETY: the slots follow the header in one mapping. The caller promises that
        // `first + count` is at most `slots`, that the kernel does not write these
        // slots now, and that `to` has space for as many events.
        unsafe {
            core::ptr::copy_nonoverlapping(self.location(first), to, count as usize);
        }
    }

    #[inline(always)]
    fn location(&self, index: u32) -> *const Event {
        let first = self.header.as_ptr().wrapping_add(1).cast::<Event>();
        first.wrapping_add(index as usize)
    }

    fn index(&self, location: *const Event) -> u32 {
        ((location.addr() - self.location(0).addr()) / size_of::<Event>()) as u32
    }

    #[inline(always)]
    fn distance(&self, from: *const Event, to: *const Event) -> u32 {
        (to.addr().wrapping_sub(from.addr()) / size_of::<Event>()) as u32
    }

    #[inline(always)]
    fn after(&self, location: *const Event) -> *const Event {
        location.wrapping_add(1)
    }

    /// Copies field by field: the fields stay in registers, and unused ones are not
    /// read.
    #[inline(always)]
    unsafe fn event(&self, location: *const Event) -> Event {
        // SAFETY: the caller promises that `location` is that of a slot of this ring, which is
        // within the mapping, and that the kernel does not write it now.
        unsafe {
            Event {
                data: (*location).data,
                obj: (*location).obj,
                res: (*location).res,
                res2: (*location).res2,
            }
        }
    }
}

/// Returns the number of slots of a ring whose header this crate can interpret.
fn slots_of(header: &RingHeader) -> Option<u32> {
    let known = header.magic == RingHeader::MAGIC
        && header.incompat_features == 0
        && header.header_length as usize == size_of::<RingHeader>()
        && header.nr >= 2;
    known.then_some(header.nr)
}
