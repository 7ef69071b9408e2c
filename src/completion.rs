//! What comes back from the safe layers: operations that are over, and those
//! that could not begin.

use core::fmt;

use crate::engine::Ticket;
use crate::sys::abi::Event;
use crate::sys::errno::Errno;

/// A completed operation: its result, with the buffer and the data that it had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub struct Completion<B, T = ()> {
    /// The ticket that [`Queue::push`](crate::Queue::push) returned for it. In a scope or
    /// a reactor it distinguishes the operation from every other.
    pub ticket: Ticket,
    /// The buffer; `None` for an operation without one.
    pub buffer: Option<B>,
    /// The value that travelled with the operation, such as the owner of its
    /// descriptor.
    pub data: T,
    /// Bytes moved, what a poll found, or 0. What reading or writing that file
    /// may answer comes as an error: EIO, ENOSPC, EFAULT, EINVAL (O_DIRECT
    /// alignment), EAGAIN (with NOWAIT), ECANCELED (before submission), …;
    /// [`OUTCOME_UNKNOWN`](Errno::OUTCOME_UNKNOWN) where its context had to be
    /// destroyed before the result was read.
    pub result: Result<usize, Errno>,
}

/// The error of a push when every slot is taken, with the operation that was not pushed.
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

/// An event's result by itself.
#[inline]
pub(crate) fn result(res: i64) -> Result<usize, Errno> {
    match usize::try_from(res) {
        Ok(count) => Ok(count),
        Err(_) => failed(res),
    }
}

/// Rare, and so kept apart from what is not.
#[cold]
fn failed(res: i64) -> Result<usize, Errno> {
    let event = Event {
        res,
        ..Event::EMPTY
    };
    event.result()
}
