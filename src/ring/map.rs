//! [`RingMap`]: the ring where the kernel has mapped it.
//!
//! Nothing in it is trusted: the number of slots is read once and held against
//! the mapping, and an index out of range ends reading in user space for that
//! call; the system call then speaks for itself.
//!
//! Where there is nothing to read, a ring without slots stands for it, in which
//! every index is out of range: a reader has one question fewer to ask.

use core::ptr::NonNull;
use core::sync::atomic::AtomicU32;

use super::reader::{self, Memory};
use crate::pages::{MADV_DONTFORK, MADV_NORMAL, madvise};
use crate::sys::abi::{AioContext, Event, RingHeader};

/// A context's ring, mapped and found to be one this crate can read, or none.
#[derive(Clone, Copy)]
pub(crate) struct RingMap {
    header: NonNull<RingHeader>,
    /// 0: none.
    slots: u32,
}

/// The header of the ring without slots. Only its indices are ever read: any
/// head will do, and a tail that is not right behind one.
static NOWHERE: [AtomicU32; size_of::<RingHeader>() / 4] =
    [const { AtomicU32::new(u32::MAX) }; size_of::<RingHeader>() / 4];

impl RingMap {
    /// No ring.
    pub(crate) const NONE: RingMap = RingMap {
        // SAFETY: a static's address.
        header: unsafe { NonNull::new_unchecked((&raw const NOWHERE).cast_mut().cast()) },
        slots: 0,
    };

    /// Looks at the ring of a context; [`NONE`](RingMap::NONE) where it cannot
    /// be read in user space (gVisor maps none, a later kernel may change it)
    /// or cannot be kept from forked children.
    ///
    /// # Safety
    /// The context is alive and owned by the caller.
    pub(crate) unsafe fn attach(ctx: AioContext) -> RingMap {
        // SAFETY: the caller's promise.
        unsafe { RingMap::find(ctx) }.unwrap_or(RingMap::NONE)
    }

    /// # Safety
    /// As [`RingMap::attach`].
    unsafe fn find(ctx: AioContext) -> Option<RingMap> {
        let header = NonNull::new(core::ptr::with_exposed_provenance_mut::<RingHeader>(ctx.0))?;
        // The kernel's word that a page is mapped there: advice that changes
        // nothing is refused for an address that is not, or not a page's.
        // SAFETY: it is the default of every mapping.
        unsafe { madvise(ctx.0, size_of::<RingHeader>(), MADV_NORMAL) }.ok()?;
        // SAFETY: mapped, page-aligned, and of plain integers; the fields
        // read here never change.
        let fields = unsafe { header.as_ptr().read_volatile() };
        let slots = slots_of(&fields)?;
        let bytes = (slots as usize)
            .checked_mul(size_of::<Event>())?
            .checked_add(size_of::<RingHeader>())?;
        // Keeps the ring out of forked children, who could otherwise take
        // their parent's events. It also proves that all of it is mapped.
        // SAFETY: the advice concerns forked children alone.
        unsafe { madvise(ctx.0, bytes, MADV_DONTFORK) }.ok()?;
        Some(RingMap { header, slots })
    }

    /// `None` if there is no ring.
    pub(crate) fn slots(self) -> Option<u32> {
        (self.slots > 0).then_some(self.slots)
    }

    /// Takes one event. The outer `None`: there is no ring, or its indices make
    /// no sense.
    ///
    /// # Safety
    /// Nobody else reads the ring.
    #[inline]
    pub(crate) unsafe fn take_one(self) -> Option<Option<Event>> {
        // SAFETY: the caller's promise.
        unsafe { reader::take_one(&self) }
    }

    /// Takes up to `events.len()` events. `None`: there is no ring, or its
    /// indices make no sense.
    ///
    /// # Safety
    /// Nobody else reads the ring.
    #[inline]
    pub(crate) unsafe fn take(self, events: &mut [Event]) -> Option<usize> {
        // SAFETY: the caller's promise.
        unsafe { reader::take(&self, events) }
    }
}

// SAFETY: `slots` was read once and proven to be mapped, or is none; `copy`
// reads what is asked for.
unsafe impl Memory for RingMap {
    type Index = AtomicU32;
    type Location = *const Event;

    #[inline(always)]
    fn slots(&self) -> u32 {
        self.slots
    }

    #[inline(always)]
    fn head(&self) -> &AtomicU32 {
        // SAFETY: the mapping lives as long as the context, which whoever
        // holds this borrows, or is a static of atomics; an aligned u32 that is
        // only ever accessed atomically, by us and by the kernel.
        unsafe { AtomicU32::from_ptr(&raw mut (*self.header.as_ptr()).head) }
    }

    #[inline(always)]
    fn tail(&self) -> &AtomicU32 {
        // SAFETY: as for `head`.
        unsafe { AtomicU32::from_ptr(&raw mut (*self.header.as_ptr()).tail) }
    }

    #[inline(always)]
    unsafe fn copy(&self, first: u32, count: u32, to: *mut Event) {
        // SAFETY: the slots follow the header in one mapping, and the caller
        // keeps to their number; nobody writes them now.
        unsafe {
            core::ptr::copy_nonoverlapping(self.place(first), to, count as usize);
        }
    }

    #[inline(always)]
    fn place(&self, index: u32) -> *const Event {
        let first = self.header.as_ptr().wrapping_add(1).cast::<Event>();
        first.wrapping_add(index as usize)
    }

    fn index(&self, place: *const Event) -> u32 {
        ((place.addr() - self.place(0).addr()) / size_of::<Event>()) as u32
    }

    #[inline(always)]
    fn after(&self, place: *const Event) -> *const Event {
        place.wrapping_add(1)
    }

    /// By fields, which stay in registers, or are not read where nobody asks
    /// for them.
    #[inline(always)]
    unsafe fn event(&self, place: *const Event) -> Event {
        // SAFETY: the caller's promise: within the mapping, and nobody writes
        // there now.
        unsafe {
            Event {
                data: (*place).data,
                obj: (*place).obj,
                res: (*place).res,
                res2: (*place).res2,
            }
        }
    }
}

/// The number of slots of a ring whose header this crate understands.
fn slots_of(header: &RingHeader) -> Option<u32> {
    let known = header.magic == RingHeader::MAGIC
        && header.incompat_features == 0
        && header.header_length as usize == size_of::<RingHeader>()
        && header.nr >= 2;
    known.then_some(header.nr)
}
