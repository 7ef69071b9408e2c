//! [`ring_is_empty`]: checks whether a ring is empty while other threads may be reaping
//! it.
//!
//! The check loads `head` and then `tail`, and writes nothing. It needs no exclusive
//! access, so it cannot take events. The argument is in the function's documentation.

use core::sync::atomic::AtomicU32;

use super::index;
use crate::sys::abi::{AioContext, RingHeader};

/// Returns whether a context's ring holds no event, without a system call.
///
/// Returns `false` also where the ring cannot be read in user space (gVisor maps
/// an empty page, a later kernel may change it). In that case, poll via a system call.
///
/// # Why this and no more
/// Without ownership of the ring, user space can determine nothing beyond this. To
/// *take* an event is to copy a slot and then to store `head`. The kernel's own readers
/// do both under a lock that user space cannot take. Beside a thread inside
/// `io_getevents`, even one that was asleep there when the taking began, an event would
/// be returned twice, or `head` set back and the whole ring returned again. No lock of
/// this library excludes such a thread: it may have entered the kernel by a bare system
/// call, or through another copy of the library. So only the one owner of the ring
/// ([`Context::ring`](crate::Context::ring)) may take events. This function does not
/// write: it can neither lose nor duplicate an event, whatever runs beside it, and a
/// forked child that inherits the mapping takes nothing from its parent.
///
/// Reading the indices is safe beside readers and writers alike. `true` means that the
/// ring was empty at the moment when `tail` was read. `head` is read before it, in this
/// order on every processor (acquire), and `head` only follows `tail`: had there been
/// an event at that moment, `head` would have been behind `tail`, and so would its
/// older value that was read. The one exception is a whole round of the ring, some
/// hundred events or more, posted and taken between the two loads. The result is then
/// that of a poll made a moment too early. Where an event is certain to be in the ring,
/// because its eventfd was signalled or another thread reported it, the function
/// returns `false`: what happened before is visible, and without another reader there
/// is no such round.
///
/// # Safety
/// `ctx` is a context that is alive and stays so during the call, or the
/// address of 32 readable bytes, aligned for a `u32`.
///
/// # Examples
/// ```
/// use linux_aio::Context;
/// use linux_aio::sys::getevents::ring_is_empty;
///
/// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
/// let context = Context::new(8)?;
/// // SAFETY: the context is alive.
/// if unsafe { ring_is_empty(context.as_raw()) } {
///     println!("no event");
/// }
/// # Ok::<(), linux_aio::Errno>(())
/// ```
#[inline(always)]
#[doc(alias = "aio_ring")]
pub unsafe fn ring_is_empty(ctx: AioContext) -> bool {
    let header = core::ptr::with_exposed_provenance_mut::<RingHeader>(ctx.0);
    // SAFETY: the caller promises that `ctx` is a live context or the address of 32
    // readable, aligned bytes, so the header can be read. The magic number never
    // changes; all users access the indices atomically.
    unsafe {
        (*header).magic == RingHeader::MAGIC
            && index::is_empty(
                AtomicU32::from_ptr(&raw mut (*header).head),
                AtomicU32::from_ptr(&raw mut (*header).tail),
            )
    }
}
