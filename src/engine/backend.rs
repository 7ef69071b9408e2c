//! [`Backend`]: the other side of the slots, as far as they need it, and
//! [`ContextBackend`], which is one.

use crate::context::Context;
use crate::context::WaitOptions;
use crate::ring::{BatchReader, RingMap};
use crate::sys;
use crate::sys::abi::{AioContext, Event, Iocb};
use crate::sys::errno::Errno;

/// What takes operations and gives events: a [`ContextBackend`], and in the tests a
/// model of one.
///
/// # Safety
/// An operation taken gives one event, not before the buffer is let go of;
/// after `destroy` has returned `Ok` all buffers are.
pub(crate) unsafe trait Backend: Sized {
    /// # Safety
    /// The pointers lead to iocbs that may be written; for each that is taken,
    /// the promise of [`Context::submit`].
    unsafe fn submit(&mut self, iocbs: &[*mut Iocb]) -> Result<usize, Errno>;

    /// Takes the next event from memory, without a system call: first of those
    /// that an earlier call has found; then, if `look` is set, of those that are
    /// there now.
    fn poll(&mut self, look: bool) -> Polled;

    /// Takes one event, if there is one.
    fn pop(&mut self) -> Result<Option<Event>, Errno>;

    /// At least `min_nr` events, or what `wait` lets through; the number that
    /// was written to the front of `events`.
    fn wait(
        &mut self,
        min_nr: usize,
        events: &mut [Event],
        wait: WaitOptions<'_>,
    ) -> Result<usize, Errno>;

    /// Whether it is this process's, and alive. Looks at no memory of its own.
    fn check(&self) -> Result<(), Errno>;

    /// Returns whether this process is a forked child that has inherited the
    /// context, so that the operations in flight use the parent's memory, not this
    /// process's. `false` where that is not certain.
    fn is_copy(&self) -> bool;

    /// Ends the operation early that was submitted at this address.
    fn cancel(&mut self, iocb: *const Iocb) -> Result<(), Errno>;

    /// Ends everything. An error: nothing is known of the buffers. Dead in
    /// both cases.
    fn destroy(&mut self) -> Result<(), Errno>;

    /// The kernel, out of its place, where a dead one stays: that takes no
    /// operation, has no event, and cannot be destroyed (EINVAL).
    fn take(&mut self) -> Self;

    /// Tells the other side of all that was taken, which makes room for as
    /// many: whether there was anything to tell.
    fn make_room(&mut self) -> bool;
}

/// What [`Backend::poll`] found.
pub(crate) enum Polled {
    Event(Event),
    /// There is no event; without `look`, none that was found before.
    Empty,
    /// The ring cannot be read in memory, or the address space has no mark, or is
    /// not the context's. Call [`pop`](Backend::pop).
    NeedsSyscall,
}

/// A context, and where its owner is in the ring. Nobody else takes events.
pub(crate) struct ContextBackend {
    context: Context,
    /// In the context's ring, which is there as long as the context is.
    run: BatchReader<RingMap>,
}

// SAFETY: as for `Context`: the run is a part of its ring, and taken from by
// `&mut` alone.
unsafe impl Send for ContextBackend {}
// SAFETY: as above: `&ContextBackend` offers system calls only.
unsafe impl Sync for ContextBackend {}

impl ContextBackend {
    #[inline]
    pub(crate) fn new(mut context: Context) -> ContextBackend {
        let run = ContextBackend::find(&mut context);
        ContextBackend { context, run }
    }

    /// At the ring's head. A ring that cannot be read from there is not read.
    #[inline]
    fn find(context: &mut Context) -> BatchReader<RingMap> {
        if !context.is_own() {
            return BatchReader::at(&RingMap::NONE, 0);
        }
        ContextBackend::find_own(context)
    }

    /// The same, of a context that is this address space's own.
    #[inline]
    fn find_own(context: &mut Context) -> BatchReader<RingMap> {
        BatchReader::new(context.map()).unwrap_or_else(|| {
            context.forget_map();
            BatchReader::at(context.map(), 0)
        })
    }

    /// Returns whether there is no context: it was destroyed or taken.
    pub(crate) fn is_dead(&self) -> bool {
        self.context.as_raw() == AioContext::NONE
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
        if !self.context.is_own() {
            return Err(Errno::INVAL);
        }
        self.run.publish(self.context.map());
        let taken = take(&mut self.context);
        self.run = ContextBackend::find_own(&mut self.context);
        taken
    }
}

// SAFETY: fs/aio.c: an operation gives one event, after its file has let go of
// the buffer; `io_destroy` returns `Ok` only when no operation is left
// (Linux 3.16).
unsafe impl Backend for ContextBackend {
    #[inline(always)]
    unsafe fn submit(&mut self, iocbs: &[*mut Iocb]) -> Result<usize, Errno> {
        if !self.context.is_own() {
            return Err(Errno::INVAL);
        }
        // SAFETY: the caller's promise, and the context is this process's own.
        // A slice has no more than isize::MAX elements.
        unsafe { sys::io_submit(self.context.as_raw(), iocbs.len() as isize, iocbs.as_ptr()) }
    }

    #[inline(always)]
    fn poll(&mut self, look: bool) -> Polled {
        if !look && self.run.is_empty() {
            return Polled::Empty;
        }
        if !self.context.is_marked() {
            return Polled::NeedsSyscall;
        }
        // SAFETY: the run is of the context that is here, as they change
        // together; that is this process's own, so its ring is mapped; and it
        // is exclusively borrowed, so nobody else reads the ring.
        if let Some(event) = unsafe { self.run.next(self.context.map()) } {
            return Polled::Event(event);
        }
        if !look {
            return Polled::Empty;
        }
        // SAFETY: as for `next`.
        match unsafe { self.run.look(self.context.map()) } {
            Some(Some(event)) => Polled::Event(event),
            Some(None) => Polled::Empty,
            None => Polled::NeedsSyscall,
        }
    }

    fn pop(&mut self) -> Result<Option<Event>, Errno> {
        self.by_call(|context| context.ring().pop())
    }

    fn wait(
        &mut self,
        min_nr: usize,
        events: &mut [Event],
        wait: WaitOptions<'_>,
    ) -> Result<usize, Errno> {
        self.by_call(|context| {
            let taken = context.ring().wait_with(min_nr, events, wait)?;
            Ok(taken.len())
        })
    }

    fn check(&self) -> Result<(), Errno> {
        self.context.check()
    }

    fn is_copy(&self) -> bool {
        !self.is_dead() && self.context.address_space().is_copy()
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
        self.take().context.destroy()
    }

    fn take(&mut self) -> ContextBackend {
        core::mem::replace(
            self,
            ContextBackend {
                context: Context::dead(),
                run: BatchReader::at(&RingMap::NONE, 0),
            },
        )
    }

    fn make_room(&mut self) -> bool {
        // Not in a forked child: the ring is not mapped there.
        self.context.is_own() && self.run.publish(self.context.map())
    }
}

impl core::fmt::Debug for ContextBackend {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.context.fmt(f)
    }
}
