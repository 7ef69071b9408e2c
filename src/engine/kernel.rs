//! [`Kernel`]: the other side of the slots, as far as they need it, and
//! [`Reaper`], which is one.

use crate::abi::{AioContext, Event, Iocb};
use crate::context::Context;
use crate::errno::Errno;
use crate::ring::{RingMap, Run};
use crate::sys;
use crate::wait::Wait;

/// What takes operations and gives events: a [`Reaper`], and in the tests a
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

    /// The next of those events that a look at the memory has found already.
    #[inline(always)]
    fn next(&mut self) -> Option<Event> {
        None
    }

    /// One event, if there is one.
    fn pop(&mut self) -> Result<Option<Event>, Errno>;

    /// The same where memory tells it, and [`next`](Kernel::next) has none. The
    /// outer `None`: it does not, and [`pop`](Kernel::pop) must be asked.
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

    /// Tells the other side of all that was taken, which makes room for as
    /// many: whether there was anything to tell.
    fn make_room(&mut self) -> bool {
        false
    }
}

/// A context, and where its owner is in the ring. Nobody else takes events.
pub(crate) struct Reaper {
    context: Context,
    /// In the context's ring, which is there as long as the context is.
    run: Run<RingMap>,
}

// SAFETY: as for `Context`: the run is a part of its ring, and taken from by
// `&mut` alone.
unsafe impl Send for Reaper {}
// SAFETY: as above: `&Reaper` offers system calls only.
unsafe impl Sync for Reaper {}

impl Reaper {
    #[inline]
    pub(crate) fn new(mut context: Context) -> Reaper {
        let run = Reaper::find(&mut context);
        Reaper { context, run }
    }

    /// At the ring's head. A ring that cannot be read from there is not read.
    #[inline]
    fn find(context: &mut Context) -> Run<RingMap> {
        Run::new(context.map()).unwrap_or_else(|| {
            context.forget_map();
            Run::at(context.map(), 0)
        })
    }

    pub(crate) fn into_context(self) -> Context {
        self.context
    }

    /// As [`Context::is_own`].
    #[inline(always)]
    pub(crate) fn is_own(&self) -> bool {
        self.context.is_own()
    }

    /// Takes events in another way.
    fn by_call<T>(
        &mut self,
        take: impl FnOnce(&mut Context) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        self.make_room();
        let taken = take(&mut self.context);
        self.run = Reaper::find(&mut self.context);
        taken
    }
}

// SAFETY: fs/aio.c: an operation gives one event, after its file has let go of
// the buffer; `io_destroy` returns `Ok` only when no operation is left
// (Linux 3.16).
unsafe impl Kernel for Reaper {
    #[inline(always)]
    unsafe fn submit(&mut self, iocbs: &[*mut Iocb]) -> Result<usize, Errno> {
        // SAFETY: the caller's promise. A slice has no more than isize::MAX
        // elements.
        unsafe { sys::io_submit(self.context.as_raw(), iocbs.len() as isize, iocbs.as_ptr()) }
    }

    #[inline(always)]
    fn next(&mut self) -> Option<Event> {
        // SAFETY: of the context that is here, as they change together; and
        // that is exclusively ours.
        unsafe { self.run.next(self.context.map()) }
    }

    fn pop(&mut self) -> Result<Option<Event>, Errno> {
        self.by_call(|context| context.ring().pop())
    }

    #[inline(always)]
    fn read(&mut self) -> Option<Option<Event>> {
        // SAFETY: as above.
        unsafe { self.run.look(self.context.map()) }
    }

    fn wait(
        &mut self,
        min_nr: usize,
        events: &mut [Event],
        wait: Wait<'_>,
    ) -> Result<usize, Errno> {
        self.by_call(|context| {
            let taken = context.ring().wait_with(min_nr, events, wait)?;
            Ok(taken.len())
        })
    }

    fn check(&self) -> Result<(), Errno> {
        self.context.check()
    }

    fn cancel(&mut self, iocb: *const Iocb) -> Result<(), Errno> {
        self.context.cancel(iocb)
    }

    fn destroy(&mut self) -> Result<(), Errno> {
        // What the kernel would say of a dead one, after a page fault that
        // costs more than many an operation.
        if self.context.as_raw() == AioContext::NONE {
            return Err(Errno::INVAL);
        }
        self.take().end()
    }

    fn take(&mut self) -> Reaper {
        core::mem::replace(
            self,
            Reaper {
                context: Context::dead(),
                run: Run::at(&RingMap::NONE, 0),
            },
        )
    }

    fn end(self) -> Result<(), Errno> {
        self.context.destroy()
    }

    fn make_room(&mut self) -> bool {
        self.run.publish(self.context.map())
    }
}

impl core::fmt::Debug for Reaper {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.context.fmt(f)
    }
}
