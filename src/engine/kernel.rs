//! [`Kernel`]: the other side of the slots, as far as they need it.

use crate::abi::{AioContext, Event, Iocb};
use crate::context::Context;
use crate::errno::Errno;
use crate::sys;
use crate::wait::Wait;

/// What takes operations and gives events: a [`Context`], and in the tests a
/// model of one.
///
/// # Safety
/// An operation taken gives one event, not before the buffer is let go of;
/// after `destroy` has returned `Ok` all buffers are.
pub(crate) unsafe trait Kernel: Sized {
    /// # Safety
    /// The pointers lead to iocbs that may be written; for each that is taken,
    /// the promise of [`Context::submit`].
    unsafe fn submit(&mut self, iocbs: &[*mut Iocb]) -> Result<usize, Errno>;

    /// One event, if there is one.
    fn pop(&mut self) -> Result<Option<Event>, Errno>;

    /// The same where memory tells it. The outer `None`: it does not, and
    /// [`pop`](Kernel::pop) must be asked.
    #[inline(always)]
    fn read(&mut self) -> Option<Option<Event>> {
        None
    }

    /// At least `min_nr` events, or what `wait` lets through; the number that
    /// was written to the front of `events`.
    fn wait(&mut self, min_nr: usize, events: &mut [Event], wait: Wait<'_>)
    -> Result<usize, Errno>;

    /// Whether it is this process's, and alive. Looks at no memory of its own.
    fn check(&self) -> Result<(), Errno>;

    /// Ends the operation early that was submitted at this address.
    fn cancel(&mut self, iocb: *const Iocb) -> Result<(), Errno>;

    /// Ends everything. An error: nothing is known of the buffers. Dead in
    /// both cases.
    fn destroy(&mut self) -> Result<(), Errno> {
        self.take().end()
    }

    /// The kernel, out of its place, where a dead one stays: that takes no
    /// operation, has no event, and cannot be destroyed (EINVAL).
    fn take(&mut self) -> Self;

    /// Ends everything.
    fn end(self) -> Result<(), Errno>;
}

// SAFETY: fs/aio.c: an operation gives one event, after its file has let go of
// the buffer; `io_destroy` returns `Ok` only when no operation is left
// (Linux 3.16).
unsafe impl Kernel for Context {
    #[inline(always)]
    unsafe fn submit(&mut self, iocbs: &[*mut Iocb]) -> Result<usize, Errno> {
        // SAFETY: the caller's promise. A slice has no more than isize::MAX
        // elements.
        unsafe { sys::io_submit(self.as_raw(), iocbs.len() as isize, iocbs.as_ptr()) }
    }

    #[inline(always)]
    fn pop(&mut self) -> Result<Option<Event>, Errno> {
        self.ring().pop()
    }

    #[inline(always)]
    fn read(&mut self) -> Option<Option<Event>> {
        self.ring().read()
    }

    fn wait(
        &mut self,
        min_nr: usize,
        events: &mut [Event],
        wait: Wait<'_>,
    ) -> Result<usize, Errno> {
        let taken = self.ring().wait_with(min_nr, events, wait)?;
        Ok(taken.len())
    }

    fn check(&self) -> Result<(), Errno> {
        Context::check(self)
    }

    fn cancel(&mut self, iocb: *const Iocb) -> Result<(), Errno> {
        Context::cancel(self, iocb)
    }

    fn take(&mut self) -> Context {
        core::mem::replace(self, Context::dead())
    }

    fn end(self) -> Result<(), Errno> {
        // What the kernel would say of a dead one, after a page fault that
        // costs more than many an operation.
        if self.as_raw() == AioContext::NONE {
            return Err(Errno::INVAL);
        }
        Context::destroy(self)
    }
}
