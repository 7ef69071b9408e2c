//! The values that the safe layers return for their operations: [`Completion`] for an
//! operation that has completed, and [`Full`] for one that found no free slot.

use core::fmt;

use crate::buffer::IoBuf;
use crate::engine::Ticket;
use crate::sys::abi::Event;
use crate::sys::errno::Errno;

/// A completed operation: its result, with the buffer and the data that it had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub struct Completion<B, T = ()> {
    /// The ticket that [`Queue::push`](crate::Queue::push) returned for the operation.
    /// In a scope or a reactor it distinguishes the operation from every other.
    pub ticket: Ticket,
    /// The buffer. From a queue an option, which is `None` if the operation has none; from
    /// a scope or a reactor according to the operation's
    /// [kind](crate::op::BufferKind).
    pub buffer: B,
    /// The value that travelled with the operation, such as the owner of its
    /// descriptor.
    pub data: T,
    /// The number of bytes transferred, the events that a poll reports, or 0. Errors of
    /// the read or write itself are returned here: EIO, ENOSPC, EFAULT, EINVAL
    /// (O_DIRECT alignment), EAGAIN (with NOWAIT), ECANCELED (before submission), …;
    /// [`OUTCOME_UNKNOWN`](Errno::OUTCOME_UNKNOWN) if the context had to be destroyed
    /// before the result was read.
    pub result: Result<usize, Errno>,
    /// Whether the operation was not submitted. Its result is an error, and nothing has
    /// happened: the kernel refused it at submission, or it was cancelled before.
    pub refused: bool,
}

/// Added to the result of an operation that was not submitted. No result of the kernel is
/// that low, and the lower 32 bits are those of the error.
const REFUSED: i64 = -(1 << 32);

/// Returns the result of an operation that was not submitted.
pub(crate) fn refusal(errno: Errno) -> i64 {
    REFUSED - i64::from(errno.raw_os_error())
}

/// Returns whether this is the result of an operation that was not submitted.
#[inline]
pub(crate) fn is_refusal(res: i64) -> bool {
    res < REFUSED
}

/// The error of a push when every slot is taken. It contains the operation that was not
/// pushed.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Full<T>(pub T);

impl<T> fmt::Debug for Full<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Full").finish_non_exhaustive()
    }
}

impl<T> fmt::Display for Full<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("every slot is taken")
    }
}

impl<T> core::error::Error for Full<T> {}

/// The error has the kind `WouldBlock`. The operation is dropped.
#[cfg(feature = "std")]
impl<T> From<Full<T>> for std::io::Error {
    fn from(_: Full<T>) -> std::io::Error {
        std::io::ErrorKind::WouldBlock.into()
    }
}

/// Passes the number of bytes that a read has filled to a buffer that grows. This is user
/// code.
#[inline]
pub(crate) fn fill<B: IoBuf>(buffer: &mut Option<B>, is_read: bool, result: Result<usize, Errno>) {
    if B::GROWS && is_read {
        if let (Some(buffer), Ok(count)) = (buffer, result) {
            // SAFETY: the operation was a read of `region_mut`, so the kernel has written
            // as many bytes as its result says. The buffer was inaccessible since then: in
            // its slot, or in the layer's own value.
            unsafe { buffer.set_filled(count) };
        }
    }
}

/// Converts the result field of an event.
#[inline]
pub(crate) fn result(res: i64) -> Result<usize, Errno> {
    match usize::try_from(res) {
        Ok(count) => Ok(count),
        Err(_) => failed(res),
    }
}

/// Converts a negative result. Errors are rare, so this stays out of line.
#[cold]
fn failed(res: i64) -> Result<usize, Errno> {
    let event = Event {
        res,
        ..Event::EMPTY
    };
    event.result()
}
