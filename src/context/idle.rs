//! [`IdleContext`]: a context without operations or events, ready to be reused; and
//! [`ContextPool`], a fixed-size pool of them.
//!
//! `io_destroy` takes tens of milliseconds even when nothing is in flight (it waits for
//! RCU grace periods), `io_setup` tens of microseconds. An idle context is equivalent
//! to a new one, so reusing it avoids both.
//!
//! Invariant: an [`IdleContext`] has no operation in flight and no event in its ring.

use core::fmt;

use crate::context::Context;
use crate::engine::{Backend, ContextBackend};
use crate::sys::errno::Errno;

/// A context with nothing in flight and no event in its ring, ready for reuse.
///
/// Creating a context takes tens of microseconds, and destroying it tens of milliseconds.
/// [`Queue::with_context`](crate::Queue::with_context) and
/// [`Reactor::with_context`](crate::reactor::Reactor::with_context) take an idle context,
/// which their `into_idle_context` returns.
/// [`scope_with_context`](crate::scope_with_context) borrows one. [`ContextPool`] keeps
/// several.
///
/// Dropping it destroys the context, as dropping a [`Context`] does. With the feature
/// `std`, `destroy_later` does that in the background.
///
/// # Examples
/// ```
/// use linux_aio::{Errno, IdleContext, ScopeSlot, scope_with_context};
///
/// # if let Err(Errno::NOSYS) = linux_aio::Context::new(1) { return Ok(()) }
/// let mut context = IdleContext::new(8)?;
/// for _ in 0..100 {
///     scope_with_context(&mut context, &mut ScopeSlot::array::<8>(), |s| {
///         // Begin operations on `s`.
///         assert_eq!(s.in_flight(), 0);
///     });
/// }
/// # Ok::<(), Errno>(())
/// ```
#[derive(Debug)]
pub struct IdleContext {
    backend: ContextBackend,
    capacity: u32,
}

impl IdleContext {
    /// Creates a context for at most `capacity` operations in flight.
    ///
    /// # Errors
    /// Those of [`Context::new`].
    ///
    /// # Examples
    /// ```
    /// use linux_aio::IdleContext;
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let context = IdleContext::new(8)?;
    /// assert_eq!(context.capacity(), 8);
    /// # Ok::<(), linux_aio::Errno>(())
    /// ```
    pub fn new(capacity: u32) -> Result<IdleContext, Errno> {
        Ok(IdleContext {
            backend: ContextBackend::new(Context::new(capacity)?),
            capacity,
        })
    }

    /// Creates a context for at most `capacity` operations in flight, which makes only AIO
    /// system calls and `getpid(2)`: see [`Context::new_unmapped`].
    ///
    /// # Errors
    /// Those of [`Context::new`].
    ///
    /// # Examples
    /// ```
    /// use linux_aio::{IdleContext, Queue, Slot};
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// // A queue in a sandbox that permits only AIO system calls and getpid(2).
    /// let context = IdleContext::new_unmapped(8)?;
    /// let mut slots = Slot::<&'static mut [u8]>::array::<8>();
    /// let mut queue = Queue::with_context(context, &mut slots);
    /// assert!(queue.pop()?.is_none());
    /// # Ok::<(), linux_aio::Errno>(())
    /// ```
    pub fn new_unmapped(capacity: u32) -> Result<IdleContext, Errno> {
        Ok(IdleContext {
            backend: ContextBackend::new(Context::new_unmapped(capacity)?),
            capacity,
        })
    }

    /// Wraps a context without checking that it is idle. ([`Context::drain`] waits until it
    /// is.)
    ///
    /// # Safety
    /// No operation is in flight in the context, all events have been taken, and it was
    /// set up for at least `capacity` operations.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::{Context, IdleContext};
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let context = Context::new(8)?;
    /// // SAFETY: nothing was submitted, and the context was set up for 8 operations.
    /// let idle = unsafe { IdleContext::from_context(context, 8) };
    /// # Ok::<(), linux_aio::Errno>(())
    /// ```
    pub unsafe fn from_context(mut context: Context, capacity: u32) -> IdleContext {
        if !context.is_own() {
            // The ring is not mapped in a forked child, and the engine would read its
            // head.
            context.forget_map();
        }
        IdleContext {
            backend: ContextBackend::new(context),
            capacity,
        }
    }

    /// Returns the context, for direct use.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::{Context, IdleContext};
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let context: Context = IdleContext::new(8)?.into_context();
    /// context.destroy()?;
    /// # Ok::<(), linux_aio::Errno>(())
    /// ```
    pub fn into_context(self) -> Context {
        self.backend.into_context()
    }

    /// Wraps the context of an engine that has no operation in flight.
    pub(crate) fn from_backend(mut backend: ContextBackend, capacity: u32) -> IdleContext {
        backend.make_room();
        IdleContext { backend, capacity }
    }

    pub(crate) fn into_backend(self) -> ContextBackend {
        self.backend
    }

    /// Returns whether the context can be used. It cannot in a forked child, or after
    /// it had to be destroyed.
    pub(crate) fn is_own(&self) -> bool {
        self.backend.is_own()
    }

    /// Returns the number of operations that the context was set up for, `capacity` of
    /// [`new`](IdleContext::new). The kernel's ring has more slots.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::IdleContext;
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let mut context = IdleContext::new(8)?.into_context();
    /// // The kernel has made space for more operations.
    /// if let Some(slots) = context.ring().slots() {
    ///     assert!(slots > 8);
    /// }
    /// // SAFETY: nothing was submitted, and the context was set up for 8 operations.
    /// let idle = unsafe { IdleContext::from_context(context, 8) };
    /// assert_eq!(idle.capacity(), 8);
    /// # Ok::<(), linux_aio::Errno>(())
    /// ```
    pub fn capacity(&self) -> usize {
        self.capacity as usize
    }

    /// Lends the context to an engine, which leaves nothing in flight, or a destroyed
    /// context.
    #[inline]
    pub(crate) fn lend(&mut self) -> &mut ContextBackend {
        &mut self.backend
    }
}

impl Context {
    /// Waits for the events of the `in_flight` operations, drops the events, and returns an
    /// idle context for reuse. Signals do not end the wait. `capacity` is the number that
    /// [`IdleContext::capacity`] returns afterwards.
    ///
    /// # Errors
    /// Those of [`Context::wait`], except EINTR. EINVAL in a forked child even if nothing
    /// is in flight. The error contains the context and the number of missing events.
    ///
    /// # Safety
    /// Exactly `in_flight` operations were submitted whose events have not been taken,
    /// and the context was set up for at least `capacity` operations. Until their
    /// events have been taken, the caller keeps the promise of [`Context::submit`]
    /// about their buffers.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::{Context, Errno, opcode::Pread};
    /// use std::{fs::File, os::fd::AsRawFd};
    ///
    /// # if let Err(Errno::NOSYS) = Context::new(1) { return Ok(()) }
    /// let file = File::open("/proc/self/exe").unwrap();
    /// let mut buffer = [0_u8; 64];
    /// let mut read = Pread::new(file.as_raw_fd(), buffer.as_mut_ptr(), buffer.len()).build();
    /// let context = Context::new(4)?;
    /// // SAFETY: the file is open, and the buffer is not accessed before the event is taken.
    /// unsafe { context.submit(&mut [&mut read]) }?;
    /// // SAFETY: one operation is in flight, and the context was set up for four.
    /// let idle = unsafe { context.drain(1, 4) }.map_err(|error| error.errno)?;
    /// assert_eq!(idle.capacity(), 4);
    /// # Ok::<(), Errno>(())
    /// ```
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
        // SAFETY: the caller promises that exactly `in_flight` events were outstanding,
        // and as many have been taken, so the context is idle. The caller promises the
        // capacity, too.
        Ok(unsafe { IdleContext::from_context(self, capacity) })
    }
}

/// The error of [`Context::drain`]. It contains the context, so that the operations in
/// flight are not lost.
///
/// # Examples
/// Destroying a context whose wait has failed:
/// ```
/// use linux_aio::{Context, DrainError, Errno, IdleContext};
///
/// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
/// /// Waits until the operations have completed.
/// ///
/// /// # Safety
/// /// As [`Context::drain`].
/// unsafe fn drain(context: Context, in_flight: usize) -> Result<IdleContext, Errno> {
///     // SAFETY: the caller makes the promise of `Context::drain`.
///     match unsafe { context.drain(in_flight, 8) } {
///         Ok(idle) => Ok(idle),
///         Err(DrainError { context, missing, errno, .. }) => {
///             println!("{missing} events missing: {errno}");
///             // The kernel may still use the buffers until this returns `Ok`.
///             context.destroy()?;
///             IdleContext::new(8)
///         }
///     }
/// }
/// # // SAFETY: nothing is in flight.
/// # assert_eq!(unsafe { drain(Context::new(8)?, 0) }?.capacity(), 8);
/// # Ok::<(), linux_aio::Errno>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct DrainError {
    /// The context.
    pub context: Context,
    /// The number of events that have not been taken yet.
    pub missing: usize,
    /// The error of the wait.
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

/// Converts to the error of the wait. The context is dropped, which destroys it.
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

/// A pool of up to `N` idle contexts for reuse.
///
/// The contexts in it count against `fs.aio-max-nr` ([`Context::new`]). Dropping the pool
/// destroys them one after the other, each in tens of milliseconds; with the feature `std`,
/// `destroy_all(pool.drain())` destroys them in parallel.
///
/// In a forked child an inherited pool is empty: the contexts in it belong to the parent.
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
    /// Creates an empty pool.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::ContextPool;
    ///
    /// let pool = ContextPool::<4>::new();
    /// assert!(pool.is_empty());
    /// ```
    pub const fn new() -> ContextPool<N> {
        ContextPool {
            contexts: [const { None }; N],
        }
    }

    /// Returns a context for at least `capacity` operations: the smallest context in the
    /// pool that suffices, otherwise a new one.
    ///
    /// # Errors
    /// Those of [`Context::new`], if there is no such context in the pool.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::ContextPool;
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let mut pool = ContextPool::<4>::new();
    /// let small = pool.take(8)?;
    /// assert!(pool.put(small).is_none());
    /// // The context in the pool is too small, and a new one is created.
    /// assert_eq!(pool.take(64)?.capacity(), 64);
    /// // The context in the pool suffices.
    /// assert_eq!(pool.take(2)?.capacity(), 8);
    /// # Ok::<(), linux_aio::Errno>(())
    /// ```
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

    /// Puts a context into the pool, or returns it as `Some` if the pool is full. (With the
    /// feature `std`, `destroy_later` destroys it in the background.)
    ///
    /// A context that this process cannot use (inherited by fork, or destroyed) is
    /// dropped, which does nothing.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::{ContextPool, IdleContext};
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let mut pool = ContextPool::<1>::new();
    /// assert!(pool.put(IdleContext::new(8)?).is_none());
    /// // The pool is full.
    /// assert!(pool.put(IdleContext::new(8)?).is_some());
    /// # Ok::<(), linux_aio::Errno>(())
    /// ```
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

    /// Returns the number of contexts in the pool.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::{ContextPool, IdleContext};
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let mut pool = ContextPool::<4>::new();
    /// assert!(pool.put(IdleContext::new(8)?).is_none());
    /// assert_eq!(pool.len(), 1);
    /// # Ok::<(), linux_aio::Errno>(())
    /// ```
    pub fn len(&self) -> usize {
        let waiting = self.contexts.iter().flatten();
        waiting.filter(|context| context.is_own()).count()
    }

    /// Returns whether the pool is empty.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::{ContextPool, IdleContext};
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let mut pool = ContextPool::<4>::new();
    /// assert!(pool.is_empty());
    /// assert!(pool.put(IdleContext::new(8)?).is_none());
    /// assert!(!pool.is_empty());
    /// # Ok::<(), linux_aio::Errno>(())
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns an iterator that takes the contexts out of the pool. Those that it has not
    /// yielded when it is dropped stay in the pool.
    ///
    /// # Examples
    /// ```
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
    /// use linux_aio::{ContextPool, IdleContext, destroy_all};
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let mut pool = ContextPool::<4>::new();
    /// for _ in 0..3 {
    ///     assert!(pool.put(IdleContext::new(8)?).is_none());
    /// }
    /// // Destroys them in parallel.
    /// assert_eq!(destroy_all(pool.drain()), [Ok(()); 3]);
    /// assert!(pool.is_empty());
    /// # Ok(())
    /// # }
    /// ```
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

#[cfg(test)]
mod tests {
    extern crate std;

    use core::error::Error;
    use std::string::ToString;

    use super::*;

    #[test]
    fn a_drain_error_names_what_is_missing_and_why() {
        let error = DrainError {
            context: Context::dead(),
            missing: 3,
            errno: Errno::INTR,
        };
        let shown = error.to_string();
        assert!(shown.starts_with("3 events missing: "), "{shown}");
        let source = error.source().map(ToString::to_string);
        assert_eq!(source, Some(Errno::INTR.to_string()));
    }
}
