//! The two indices of a ring, with every memory ordering of the protocol.
//!
//! - The kernel writes an event, then a write barrier, then `tail` (`fs/aio.c`,
//!   `aio_complete`). The reader loads `tail` with acquire, so it finds the events
//!   before `tail`, and what the kernel wrote into the buffers of their operations.
//! - The reader copies an event and then stores `head` with release, so the kernel
//!   writes to the slot only after the copy.
//! - `head` is written by the reader alone, which loads it relaxed.
//!
//! The functions are generic over [`Index`], so that a model checker can run them
//! against a producer that behaves as the kernel does. No other file of the library
//! contains an ordering of the ring.

use core::sync::atomic::{AtomicU32, Ordering};

/// An index shared by the kernel and the reader.
pub(crate) trait Index {
    fn load(&self, order: Ordering) -> u32;
    fn store(&self, value: u32, order: Ordering);
}

impl Index for AtomicU32 {
    #[inline(always)]
    fn load(&self, order: Ordering) -> u32 {
        AtomicU32::load(self, order)
    }

    #[inline(always)]
    fn store(&self, value: u32, order: Ordering) {
        AtomicU32::store(self, value, order);
    }
}

/// Returns the reader's own index. Only the one reader of the ring calls this.
#[inline(always)]
pub(super) fn own_head(head: &impl Index) -> u32 {
    // Relaxed: only the reader writes `head`, and the caller is the reader.
    head.load(Ordering::Relaxed)
}

/// Returns the index behind the last event. The events before it, and the data of their
/// operations, are visible.
#[inline(always)]
pub(super) fn kernel_tail(tail: &impl Index) -> u32 {
    // Acquire: it pairs with the kernel's write barrier before the store of `tail`.
    tail.load(Ordering::Acquire)
}

/// Publishes the reader's index: the kernel may write to the slots before it again.
#[inline(always)]
pub(super) fn publish_head(head: &impl Index, value: u32) {
    // Release: the events in these slots have been read before.
    head.store(value, Ordering::Release);
}

/// Returns whether a ring that other threads may be reading holds no event.
///
/// `true` applies to the moment when `tail` was read; the one exception is a whole
/// round of the ring between the two loads.
#[inline(always)]
pub(crate) fn is_empty(head: &impl Index, tail: &impl Index) -> bool {
    // Acquire, and first: `head` only follows `tail`, so a thread that reads a `head`
    // reads a `tail` that is not behind it. No event is read, so `tail` needs no
    // ordering.
    let head = head.load(Ordering::Acquire);
    head == tail.load(Ordering::Relaxed)
}
