//! The values that the safe layers return for their operations: [`Completion`] for an
//! operation that has completed, and [`Full`] for one that found no free slot.

use core::fmt;

use crate::buffer::IoBuf;
use crate::engine::Ticket;
use crate::sys::errno::Errno;

/// A completed operation: its result, with the buffer and the data that it had.
///
/// # Examples
/// ```
/// use linux_aio::{Completion, Errno};
///
/// /// Returns the bytes that a read of a queue has read, or none if it would have blocked.
/// fn bytes(done: Completion<Option<&'static mut [u8]>>) -> Result<&'static [u8], Errno> {
///     let count = match done.result {
///         Ok(count) => count,
///         Err(Errno::AGAIN) if !done.refused => 0,
///         Err(errno) => return Err(errno),
///     };
///     // A read has a buffer.
///     Ok(&done.buffer.unwrap()[..count])
/// }
/// # #[cfg(not(feature = "std"))] fn main() {}
/// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
/// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
/// # let file = std::fs::File::open("/dev/zero").unwrap();
/// # let mut queue = linux_aio::Queue::<&'static mut [u8]>::with_capacity(4)?;
/// # let buffer: &'static mut [u8] = Box::leak(Box::new([7; 16]));
/// # queue.push(linux_aio::op::Read::new(&file, buffer)).unwrap();
/// # assert_eq!(bytes(queue.wait()?.unwrap())?, [0; 16]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub struct Completion<B, T = ()> {
    /// The ticket that [`Queue::push`](crate::Queue::push) returned for the operation. In
    /// a scope or a reactor no other submitted operation has an equal one.
    pub ticket: Ticket,
    /// The buffer. A queue returns an `Option`, which is `None` if the operation has no
    /// buffer. A scope and a reactor return a type that depends on that of the operation
    /// ([`BufferKind`](crate::op::BufferKind)): the buffer itself for a read or a write,
    /// `()` for an operation without one.
    pub buffer: B,
    /// The user data of the operation, such as the owner of its descriptor.
    pub data: T,
    /// The result of the operation.
    ///
    /// - A read or a write: the number of bytes transferred, which may be fewer than
    ///   requested.
    /// - A poll: the mask of the events that occurred
    ///   ([`PollMask::from_result`](crate::opcode::PollMask::from_result)), or 0 if it was
    ///   cancelled.
    /// - An fsync: 0.
    ///
    /// If [`refused`](Completion::refused) is `true`, the error is one of those at
    /// [`Context::submit`](crate::Context::submit), or ECANCELED. Otherwise it is an error
    /// of the operation itself: EIO, ENOSPC, EFAULT (the buffer), EINVAL (`O_DIRECT`
    /// alignment), EAGAIN (with [`NOWAIT`](crate::abi::RwFlags::NOWAIT)), EINTR (a signal
    /// ended a read or write that blocked its submission), …; or
    /// [`OUTCOME_UNKNOWN`](Errno::OUTCOME_UNKNOWN) if the context was destroyed, or
    /// inherited by a forked child, before the result was read.
    #[doc(alias = "aio_return")]
    pub result: Result<usize, Errno>,
    /// Whether the operation was not submitted: the kernel refused it at submission, or it
    /// was cancelled before. Its result is an error then, and no data was transferred.
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
///
/// # Examples
/// Making space by a wait for a completion, and pushing again:
/// ```
/// use linux_aio::op::Op;
/// use linux_aio::{Errno, Queue, Ticket};
///
/// fn push<'q>(
///     queue: &mut Queue<'q, &'static mut [u8]>,
///     op: Op<'q, &'static mut [u8]>,
/// ) -> Result<Ticket, Errno> {
///     let mut pushed = queue.push(op);
///     while let Err(full) = pushed {
///         if let Some(done) = queue.wait()? {
///             println!("{:?}", done.result);
///         }
///         pushed = queue.push(full.0);
///     }
///     Ok(pushed.unwrap())
/// }
/// # #[cfg(not(feature = "std"))] fn main() {}
/// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
/// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
/// # let file = std::fs::File::open("/dev/null").unwrap();
/// # let mut queue = Queue::with_capacity(1)?;
/// # for _ in 0..2 {
/// #     push(&mut queue, linux_aio::op::Read::new(&file, &mut [][..]).into())?;
/// # }
/// # Ok(())
/// # }
/// ```
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

/// Converts to an error of the kind `WouldBlock`. The operation is dropped.
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
    if res < 0 {
        return Err(failed(res));
    }
    Ok(res as usize)
}

/// Converts a negative result. Errors are rare, so this stays out of line.
#[cold]
fn failed(res: i64) -> Errno {
    Errno::from_negated(res as i32)
}
