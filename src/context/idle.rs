//! [`IdleContext`]: a context with nothing in it, to be used again, and [`ContextPool`], a
//! few of them.
//!
//! `io_destroy` costs tens of milliseconds even when nothing is in flight (it
//! waits for grace periods of the kernel's), `io_setup` tens of microseconds.
//! A context that has been drained is as good as a new one.

use core::fmt;

use crate::context::Context;
use crate::engine::{Backend, ContextBackend};
use crate::sys::errno::Errno;

/// A context with nothing in flight and no event in its ring.
///
/// What [`Queue::with_context`](crate::Queue::with_context), [`scope_with_context`](crate::scope_with_context) and
/// [`Reactor::with_context`](crate::reactor::Reactor::with_context) want, and what they give back.
#[derive(Debug)]
pub struct IdleContext {
    backend: ContextBackend,
    capacity: u32,
}

impl IdleContext {
    /// A new context for this many operations in flight.
    ///
    /// # Errors
    /// As [`Context::new`].
    pub fn new(capacity: u32) -> Result<IdleContext, Errno> {
        Ok(IdleContext {
            backend: ContextBackend::new(Context::new(capacity)?),
            capacity,
        })
    }

    /// Takes a context's owner at his word. See [`Context::drain`], which makes
    /// sure.
    ///
    /// # Safety
    /// Nothing is in flight in it, all events have been taken, and it was set
    /// up for at least `capacity` operations.
    pub unsafe fn from_context(mut context: Context, capacity: u32) -> IdleContext {
        if !context.is_own() {
            // The ring is not in a forked child's memory, and its head would
            // be read.
            context.forget_map();
        }
        IdleContext {
            backend: ContextBackend::new(context),
            capacity,
        }
    }

    /// The context, for use by hand.
    pub fn into_context(self) -> Context {
        self.backend.into_context()
    }

    /// Of an engine that has drained its own: nothing in flight.
    pub(crate) fn from_backend(mut backend: ContextBackend, capacity: u32) -> IdleContext {
        backend.make_room();
        IdleContext { backend, capacity }
    }

    pub(crate) fn into_backend(self) -> ContextBackend {
        self.backend
    }

    /// Returns whether it can be used: not in a forked child, and not if it had
    /// to be destroyed.
    fn is_own(&self) -> bool {
        self.backend.is_own()
    }

    /// How many operations it was set up for.
    pub fn capacity(&self) -> usize {
        self.capacity as usize
    }

    /// In place of the context, for a while: one that is dead.
    pub(crate) fn lend(&mut self) -> ContextBackend {
        self.backend.take()
    }

    /// The context comes back; or a dead one, if it had to be destroyed.
    pub(crate) fn give_back(&mut self, backend: ContextBackend) {
        *self = IdleContext::from_backend(backend, self.capacity);
    }
}

impl Context {
    /// Waits for the events of this many operations and drops them, and so has
    /// a context that can be used again. Signals do not interrupt it.
    ///
    /// # Errors
    /// As [`Context::wait`], but EINTR; EINVAL in a forked child even if nothing
    /// is in flight. The context comes back, with what is still missing.
    ///
    /// # Safety
    /// No more and no fewer than `in_flight` operations were submitted whose
    /// events have not been taken, and the context was set up for at least
    /// `capacity` operations. Their buffers are the caller's promise until
    /// then, as at submission.
    pub unsafe fn drain(
        mut self,
        in_flight: usize,
        capacity: u32,
    ) -> Result<IdleContext, DrainError> {
        let mut missing = in_flight;
        if !self.is_own() {
            return Err(DrainError {
                context: self,
                missing,
                errno: Errno::INVAL,
            });
        }
        let mut events = [crate::Event::EMPTY; 16];
        while missing > 0 {
            let wanted = missing.min(events.len());
            match self.ring().wait(wanted, &mut events[..wanted]) {
                Ok(taken) => missing -= taken.len(),
                Err(Errno::INTR) => {}
                Err(errno) => {
                    return Err(DrainError {
                        context: self,
                        missing,
                        errno,
                    });
                }
            }
        }
        // SAFETY: the caller's count, and all of it has come.
        Ok(unsafe { IdleContext::from_context(self, capacity) })
    }
}

/// The error of [`Context::drain`], with the context.
#[derive(Debug)]
#[non_exhaustive]
pub struct DrainError {
    /// The context.
    pub context: Context,
    /// The number of events that have not come.
    pub missing: usize,
    /// Why the wait ended.
    pub errno: Errno,
}

impl fmt::Display for DrainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} events missing: {}", self.missing, self.errno)
    }
}

impl core::error::Error for DrainError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        Some(&self.errno)
    }
}

/// The error of the wait. The context is dropped, which destroys it.
#[cfg(feature = "std")]
impl From<DrainError> for std::io::Error {
    fn from(error: DrainError) -> std::io::Error {
        error.errno.into()
    }
}

impl From<IdleContext> for Context {
    fn from(drained: IdleContext) -> Context {
        drained.into_context()
    }
}

/// Up to `N` drained contexts that wait to be used again. They count against
/// `fs.aio-max-nr` meanwhile. Dropping the pool destroys them, one after the
/// other.
///
/// In a forked child the inherited pool is empty: the contexts in it belong to
/// the parent.
///
/// # Examples
/// ```
/// use linux_aio::{Errno, ContextPool, Queue, Slot};
///
/// # if let Err(Errno::NOSYS) = linux_aio::Context::new(1) { return Ok(()) }
/// let mut pool = ContextPool::<4>::new();
/// for _ in 0..100 {
///     let mut slots = Slot::<&mut [u8]>::array::<8>();
///     let queue = Queue::with_context(pool.take(8)?, &mut slots);
///     // …
///     let full = pool.put(queue.into_idle_context()?);
///     assert!(full.is_none());
/// }
/// assert_eq!(pool.len(), 1);
/// # Ok::<(), Errno>(())
/// ```
pub struct ContextPool<const N: usize> {
    contexts: [Option<IdleContext>; N],
}

impl<const N: usize> ContextPool<N> {
    /// An empty pool.
    pub const fn new() -> ContextPool<N> {
        ContextPool {
            contexts: [const { None }; N],
        }
    }

    /// A context for at least this many operations: the smallest of the pool's
    /// that will do, else a new one.
    ///
    /// # Errors
    /// As [`Context::new`].
    pub fn take(&mut self, capacity: u32) -> Result<IdleContext, Errno> {
        self.discard_unusable();
        let fits = |context: &Option<IdleContext>| {
            let has = context.as_ref().map(|context| context.capacity);
            has.filter(|&has| has >= capacity)
        };
        let mut best: Option<(u32, &mut Option<IdleContext>)> = None;
        for place in &mut self.contexts {
            if let Some(has) = fits(place) {
                if best.as_ref().is_none_or(|(least, _)| has < *least) {
                    best = Some((has, place));
                }
            }
        }
        match best.and_then(|(_, place)| place.take()) {
            Some(context) => Ok(context),
            None => IdleContext::new(capacity),
        }
    }

    /// Keeps a context for later. `Some`: the pool is full, and it comes back.
    /// One that this process cannot use, as it was inherited by fork or had to
    /// be destroyed, is dropped, which does nothing.
    #[must_use = "dropping what did not fit takes tens of milliseconds"]
    pub fn put(&mut self, context: IdleContext) -> Option<IdleContext> {
        self.discard_unusable();
        if !context.is_own() {
            return None;
        }
        match self.contexts.iter_mut().find(|place| place.is_none()) {
            Some(place) => place.replace(context),
            None => Some(context),
        }
    }

    /// Drops the contexts that a forked child has inherited, which does nothing.
    fn discard_unusable(&mut self) {
        for place in &mut self.contexts {
            place.take_if(|context| !context.is_own());
        }
    }

    /// How many contexts wait.
    pub fn len(&self) -> usize {
        let waiting = self.contexts.iter().flatten();
        waiting.filter(|context| context.is_own()).count()
    }

    /// Whether none does.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes all of them out.
    pub fn drain(&mut self) -> impl Iterator<Item = IdleContext> + '_ {
        let taken = self.contexts.iter_mut().filter_map(Option::take);
        taken.filter(IdleContext::is_own)
    }
}

impl<const N: usize> Default for ContextPool<N> {
    fn default() -> ContextPool<N> {
        ContextPool::new()
    }
}

impl<const N: usize> fmt::Debug for ContextPool<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.contexts.iter().flatten())
            .finish()
    }
}
