//! Looking at the ring of a context that others may be reaping.

use core::sync::atomic::AtomicU32;

use super::reader::looks_empty;
use crate::sys::abi::{AioContext, RingHeader};

/// Whether a context's ring holds no event, told without a system call.
/// `false` also where the ring cannot be read in user space (gVisor maps none
/// that has the magic number, a later kernel may change it): ask the kernel.
///
/// # Why this and no more
/// Without an owner this is all that user space can answer. To *take* an event
/// is to copy a slot and then to store `head`, and the kernel's own readers do
/// both under a lock that user space cannot take: beside a thread inside
/// `io_getevents`, even one that was asleep there when the taking began, an
/// event would be handed out twice, or `head` set back and the whole ring
/// handed out again. No lock of this library keeps such a thread out: it may
/// have come by a bare system call, or by another copy of the library. So
/// whoever is not the one owner of the ring
/// ([`Context::ring`](crate::Context::ring)) must not take, and this does not
/// write: it can neither lose nor double an event, whatever runs beside it,
/// and a forked child, which inherits the mapping, takes nothing from its
/// parent.
///
/// To *look* is safe beside readers and writers alike. `true` means that the
/// ring was empty at the moment when `tail` was read. `head` is read before
/// it, in this order on every processor (acquire), and `head` only follows
/// `tail`: had there been an event at that moment, `head` would lie behind
/// `tail`, and so would its older value that was read. The one exception is a
/// whole round of the ring, some hundred events or more, posted and taken
/// between the two loads; then the answer is that of a poll which came a moment
/// too early. A caller who knows an event to be there, as it saw the eventfd
/// signalled or was told so by another thread, sees it here: what happened
/// before is visible, and no other reader means no round.
///
/// # Safety
/// `ctx` is a context that is alive and stays so during the call, or the
/// address of 32 readable bytes, aligned for a `u32`.
#[inline(always)]
#[doc(alias = "aio_ring")]
pub unsafe fn ring_is_empty(ctx: AioContext) -> bool {
    let header = core::ptr::with_exposed_provenance_mut::<RingHeader>(ctx.0);
    // SAFETY: the caller's promise. The first never changes; the indices are
    // accessed atomically by all who share them.
    unsafe {
        (*header).magic == RingHeader::MAGIC
            && looks_empty(
                AtomicU32::from_ptr(&raw mut (*header).head),
                AtomicU32::from_ptr(&raw mut (*header).tail),
            )
    }
}
