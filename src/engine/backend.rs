//! [`Backend`]: the kernel interface of the engine, and [`ContextBackend`], which
//! implements it with an AIO context.
//!
//! The engine submits iocbs and takes events. Events are read from the ring in user
//! space where possible ([`Backend::poll`]), otherwise by system call
//! ([`Backend::pop`], [`Backend::wait`]).
//!
//! # Invariants
//! - A backend is the only reader of its ring.
//! - The position in the ring is published to the kernel before each system call that
//!   takes events, and read again after it.
//! - In a forked child the ring is not accessed, and no operation is submitted.

use crate::context::Context;
use crate::context::WaitOptions;
use crate::ring::{BatchReader, Polled, RingMap};
use crate::sys;
use crate::sys::abi::{AioContext, Event, Iocb};
use crate::sys::errno::Errno;

/// An interface that accepts operations and returns events: a [`ContextBackend`], or a
/// model of one in the tests.
///
/// # Safety
/// Each accepted operation produces one event, which comes only after the kernel has
/// finished using the buffer. After `destroy` has returned `Ok`, the kernel uses none
/// of the buffers.
pub(crate) unsafe trait Backend: Sized {
    /// Submits operations, in order. Returns how many were accepted from the front.
    ///
    /// # Safety
    /// The pointers are valid for writes of an iocb. For each operation that is
    /// accepted, the promise of [`Context::submit`] holds.
    unsafe fn submit(&mut self, iocbs: &[*mut Iocb]) -> Result<usize, Errno>;

    /// Takes the next of the events that an earlier [`poll`](Backend::poll) has found.
    fn poll_found(&mut self) -> Polled;

    /// Takes the next event from memory, without a system call: first from those that
    /// an earlier call has found, then from those that are in the ring now. After
    /// [`NeedsSyscall`](Polled::NeedsSyscall), call [`pop`](Backend::pop).
    fn poll(&mut self) -> Polled;

    /// Takes the only event that is there, if no earlier call has found another one. An
    /// implementation that cannot find out returns `None`.
    fn poll_single(&mut self) -> Option<Event> {
        None
    }

    /// Takes the next event from memory if it has this `data`, and returns its result. An
    /// implementation that cannot find out returns `None`.
    fn poll_own(&mut self, data: u64) -> Option<i64> {
        let _ = data;
        None
    }

    /// Takes one event by system call where necessary. Returns `None` if there is none.
    fn pop(&mut self) -> Result<Option<Event>, Errno>;

    /// Waits for at least `min_nr` events, or until the timeout or the signal that
    /// `wait` allows. Returns the number of events written to the front of `events`.
    fn wait(
        &mut self,
        min_nr: usize,
        events: &mut [Event],
        wait: WaitOptions<'_>,
    ) -> Result<usize, Errno>;

    /// Checks that the context belongs to this process and has not been destroyed.
    /// Reads no memory of the context.
    fn check(&self) -> Result<(), Errno>;

    /// Returns whether this process is a forked child that has inherited the context,
    /// so that the operations in flight use the memory of the parent, not of this
    /// process. Returns `false` where that is not certain.
    fn is_copy(&self) -> bool;

    /// Cancels the operation that was submitted at this address.
    fn cancel(&mut self, iocb: *const Iocb) -> Result<(), Errno>;

    /// Destroys the context, which completes or waits for every operation. After an
    /// error, the kernel may still use the buffers. The backend is destroyed in both
    /// cases.
    fn destroy(&mut self) -> Result<(), Errno>;

    /// Publishes the position of the reader to the kernel, which makes room for as many
    /// operations as events were taken. Returns whether there was anything to publish.
    fn make_room(&mut self) -> bool;
}

/// A context, and the position of its only reader in the ring.
pub(crate) struct ContextBackend {
    context: Context,
    /// The reader of the ring, which is mapped as long as the context exists.
    reader: BatchReader<RingMap>,
}

// SAFETY: `Context` is `Send`. `reader` points only into the ring of that context, which
// is a mapping of the process, and is used only through `&mut self`.
unsafe impl Send for ContextBackend {}
// SAFETY: `&ContextBackend` offers only system calls, and reads nothing through `reader`.
unsafe impl Sync for ContextBackend {}

impl ContextBackend {
    #[inline]
    pub(crate) fn new(mut context: Context) -> ContextBackend {
        let reader = ContextBackend::find(&mut context);
        ContextBackend { context, reader }
    }

    /// Creates a reader at the head of the ring. A ring that cannot be read from there
    /// is not read.
    #[inline]
    fn find(context: &mut Context) -> BatchReader<RingMap> {
        if !context.is_own() {
            return BatchReader::at(&RingMap::NONE, 0);
        }
        ContextBackend::find_own(context)
    }

    /// Creates a reader as [`find`](ContextBackend::find) does, for a context of this
    /// address space.
    #[inline]
    fn find_own(context: &mut Context) -> BatchReader<RingMap> {
        BatchReader::new(context.map()).unwrap_or_else(|| {
            context.forget_map();
            BatchReader::at(context.map(), 0)
        })
    }

    /// Returns whether the context was destroyed or taken.
    pub(crate) fn is_dead(&self) -> bool {
        self.context.as_raw() == AioContext::NONE
    }

    /// Moves the context out and leaves a destroyed one, which accepts no operation, has
    /// no event, and cannot be destroyed (EINVAL).
    pub(crate) fn take(&mut self) -> ContextBackend {
        core::mem::replace(
            self,
            ContextBackend {
                context: Context::dead(),
                reader: BatchReader::at(&RingMap::NONE, 0),
            },
        )
    }

    pub(crate) fn into_context(self) -> Context {
        self.context
    }

    /// Returns whether the context belongs to this address space, as
    /// [`Context::is_own`] does.
    #[inline(always)]
    pub(crate) fn is_own(&self) -> bool {
        self.context.is_own()
    }

    /// Returns the context, for a system call outside the lock; `None` in a forked child.
    #[inline]
    pub(crate) fn own_context(&self) -> Option<AioContext> {
        self.context.is_own().then(|| self.context.as_raw())
    }

    /// Returns whether events that an earlier poll has found were not taken yet.
    #[inline(always)]
    pub(crate) fn has_found(&self) -> bool {
        !self.reader.is_empty()
    }

    /// Returns the number of events in the ring that [`poll`](Backend::poll) will take, as far
    /// as the last poll has found any.
    #[inline(always)]
    pub(crate) fn left(&self) -> usize {
        if !self.context.is_marked() {
            return 0;
        }
        // SAFETY: `reader` belongs to `self.context`, whose ring is mapped (the context is
        // marked).
        unsafe { self.reader.left(self.context.map()) as usize }
    }

    /// Publishes the position before a wait outside the lock, and returns the context; `None`
    /// in a forked child. Nothing reads the ring until [`end_wait`](Self::end_wait).
    pub(crate) fn begin_wait(&mut self) -> Option<AioContext> {
        if self.context.is_own() {
            self.reader.publish(self.context.map());
        }
        self.own_context()
    }

    /// Reads the position again after a wait, in which the kernel has moved it.
    pub(crate) fn end_wait(&mut self) {
        self.reader = ContextBackend::find(&mut self.context);
    }

    /// Takes events by `take`, with the position published before and read again after.
    fn by_call<T>(
        &mut self,
        take: impl FnOnce(&mut Context) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        if !self.context.is_own() {
            return Err(Errno::INVAL);
        }
        self.reader.publish(self.context.map());
        let taken = take(&mut self.context);
        self.reader = ContextBackend::find_own(&mut self.context);
        taken
    }
}

// SAFETY: fs/aio.c: an operation produces one event, after its file has released the
// buffer. `io_destroy` returns `Ok` only when no operation is left (Linux 3.16).
unsafe impl Backend for ContextBackend {
    #[inline(always)]
    unsafe fn submit(&mut self, iocbs: &[*mut Iocb]) -> Result<usize, Errno> {
        if !self.context.is_own() {
            return Err(Errno::INVAL);
        }
        // SAFETY: `Backend::submit` requires valid pointers to iocbs and the promise of
        // `Context::submit`, which is all that the system call needs. The context
        // belongs to this process. A slice has no more than isize::MAX elements.
        unsafe { sys::io_submit(self.context.as_raw(), iocbs.len() as isize, iocbs.as_ptr()) }
    }

    #[inline(always)]
    fn poll_found(&mut self) -> Polled {
        if self.reader.is_empty() {
            return Polled::Empty;
        }
        if !self.context.is_marked() {
            return Polled::NeedsSyscall;
        }
        // SAFETY: `reader` belongs to `self.context`, as they change together. The
        // context belongs to this process (it is marked), so its ring is mapped. It is
        // exclusively borrowed, so nothing else reads the ring.
        match unsafe { self.reader.next(self.context.map()) } {
            Some(event) => Polled::Found(event),
            None => Polled::Empty,
        }
    }

    #[inline(always)]
    fn poll(&mut self) -> Polled {
        if !self.context.is_marked() {
            return Polled::NeedsSyscall;
        }
        // SAFETY: `reader` belongs to `self.context`, whose ring is mapped (the context
        // is marked) and has no other reader (it is exclusively borrowed).
        if let Some(event) = unsafe { self.reader.next(self.context.map()) } {
            return Polled::Found(event);
        }
        // SAFETY: `reader` belongs to `self.context`, whose ring is mapped (the context
        // is marked) and has no other reader (it is exclusively borrowed).
        unsafe { self.reader.poll(self.context.map()) }
    }

    #[inline(always)]
    fn poll_single(&mut self) -> Option<Event> {
        if self.has_found() || !self.context.is_marked() {
            return None;
        }
        // SAFETY: `reader` belongs to `self.context`, whose ring is mapped (the context
        // is marked) and has no other reader (it is exclusively borrowed). No event is left
        // that was found.
        unsafe { self.reader.poll_single(self.context.map()) }
    }

    #[inline(always)]
    fn poll_own(&mut self, data: u64) -> Option<i64> {
        if !self.context.is_marked() {
            return None;
        }
        // SAFETY: `reader` belongs to `self.context`, whose ring is mapped (the context
        // is marked) and has no other reader (it is exclusively borrowed).
        let event = unsafe { self.reader.next_if(self.context.map(), data) }?;
        Some(event.res)
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
        // The kernel would return EINVAL for a destroyed context, after a page fault
        // that costs more than many operations.
        if self.context.as_raw() == AioContext::NONE {
            return Err(Errno::INVAL);
        }
        self.take().context.destroy()
    }

    #[inline]
    fn make_room(&mut self) -> bool {
        if self.reader.is_published() {
            return false;
        }
        // This does nothing in a forked child: the ring is not mapped there.
        self.context.is_own() && self.reader.publish(self.context.map())
    }
}

// SAFETY: `K` is a backend, and each function calls that of `K` with the same arguments: an
// operation produces its one event there, and `destroy` returns what that of `K` does.
unsafe impl<K: Backend> Backend for &mut K {
    #[inline(always)]
    unsafe fn submit(&mut self, iocbs: &[*mut Iocb]) -> Result<usize, Errno> {
        // SAFETY: `Backend::submit` requires the same promise of its caller.
        unsafe { K::submit(self, iocbs) }
    }

    #[inline(always)]
    fn poll_found(&mut self) -> Polled {
        K::poll_found(self)
    }

    #[inline(always)]
    fn poll(&mut self) -> Polled {
        K::poll(self)
    }

    #[inline(always)]
    fn poll_single(&mut self) -> Option<Event> {
        K::poll_single(self)
    }

    #[inline(always)]
    fn poll_own(&mut self, data: u64) -> Option<i64> {
        K::poll_own(self, data)
    }

    fn pop(&mut self) -> Result<Option<Event>, Errno> {
        K::pop(self)
    }

    fn wait(
        &mut self,
        min_nr: usize,
        events: &mut [Event],
        wait: WaitOptions<'_>,
    ) -> Result<usize, Errno> {
        K::wait(self, min_nr, events, wait)
    }

    fn check(&self) -> Result<(), Errno> {
        K::check(self)
    }

    fn is_copy(&self) -> bool {
        K::is_copy(self)
    }

    fn cancel(&mut self, iocb: *const Iocb) -> Result<(), Errno> {
        K::cancel(self, iocb)
    }

    fn destroy(&mut self) -> Result<(), Errno> {
        K::destroy(self)
    }

    #[inline(always)]
    fn make_room(&mut self) -> bool {
        K::make_room(self)
    }
}

impl core::fmt::Debug for ContextBackend {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.context.fmt(f)
    }
}
