//! [`Drained`]: a context with nothing in it, to be used again, and [`Pool`], a
//! few of them.
//!
//! `io_destroy` costs tens of milliseconds even when nothing is in flight (it
//! waits for grace periods of the kernel's), `io_setup` tens of microseconds.
//! A context that has been drained is as good as a new one.

use core::fmt;

use crate::context::Context;
use crate::engine::{Kernel, Reaper};
use crate::errno::Errno;

/// A context with nothing in flight and no event in its ring.
///
/// What [`Queue::on`](crate::Queue::on), [`scope_on`](crate::scope_on) and
/// [`Reactor::on`](crate::reactor::Reactor::on) want, and what they give back.
#[derive(Debug)]
pub struct Drained {
    reaper: Reaper,
    capacity: u32,
}

impl Drained {
    /// A new context for this many operations in flight.
    ///
    /// # Errors
    /// As [`Context::new`].
    pub fn new(capacity: u32) -> Result<Drained, Errno> {
        Ok(Drained {
            reaper: Reaper::new(Context::new(capacity)?),
            capacity,
        })
    }

    /// Takes a context's owner at his word. See [`Context::drain`], which makes
    /// sure.
    ///
    /// # Safety
    /// Nothing is in flight in it, all events have been taken, and it was set
    /// up for at least `capacity` operations.
    pub unsafe fn from_context(mut context: Context, capacity: u32) -> Drained {
        if !context.is_own() {
            // The ring is not in a forked child's memory, and its head would
            // be read.
            context.forget_map();
        }
        Drained {
            reaper: Reaper::new(context),
            capacity,
        }
    }

    /// The context, for use by hand.
    pub fn into_context(self) -> Context {
        self.reaper.into_context()
    }

    /// Of an engine that has drained its own: nothing in flight.
    pub(crate) fn from_reaper(mut reaper: Reaper, capacity: u32) -> Drained {
        reaper.make_room();
        Drained { reaper, capacity }
    }

    pub(crate) fn into_reaper(self) -> Reaper {
        self.reaper
    }

    /// Returns whether it can be used: not in a forked child, and not if it had
    /// to be destroyed.
    fn is_own(&self) -> bool {
        self.reaper.is_own()
    }

    /// How many operations it was set up for.
    pub fn capacity(&self) -> usize {
        self.capacity as usize
    }

    /// In place of the context, for a while: one that is dead.
    pub(crate) fn lend(&mut self) -> Reaper {
        self.reaper.take()
    }

    /// The context comes back; or a dead one, if it had to be destroyed.
    pub(crate) fn give_back(&mut self, reaper: Reaper) {
        *self = Drained::from_reaper(reaper, self.capacity);
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
    pub unsafe fn drain(mut self, in_flight: usize, capacity: u32) -> Result<Drained, DrainError> {
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
        Ok(unsafe { Drained::from_context(self, capacity) })
    }
}

/// A context could not be drained: see [`Context::drain`].
#[derive(Debug)]
pub struct DrainError {
    /// The context.
    pub context: Context,
    /// How many events have not come.
    pub missing: usize,
    /// Why the wait ended.
    pub errno: Errno,
}

impl fmt::Display for DrainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} events missing: {}", self.missing, self.errno)
    }
}

impl core::error::Error for DrainError {}

impl From<Drained> for Context {
    fn from(drained: Drained) -> Context {
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
/// use linux_aio::{Errno, Pool, Queue, Slot};
///
/// # if let Err(Errno::NOSYS) = linux_aio::Context::new(1) { return Ok(()) }
/// let mut pool = Pool::<4>::new();
/// for _ in 0..100 {
///     let mut slots = Slot::<&mut [u8]>::array::<8>();
///     let queue = Queue::on(pool.take(8)?, &mut slots);
///     // …
///     let full = pool.put(queue.into_drained()?);
///     assert!(full.is_none());
/// }
/// assert_eq!(pool.len(), 1);
/// # Ok::<(), Errno>(())
/// ```
pub struct Pool<const N: usize> {
    contexts: [Option<Drained>; N],
}

impl<const N: usize> Pool<N> {
    /// An empty pool.
    pub const fn new() -> Pool<N> {
        Pool {
            contexts: [const { None }; N],
        }
    }

    /// A context for at least this many operations: the smallest of the pool's
    /// that will do, else a new one.
    ///
    /// # Errors
    /// As [`Context::new`].
    pub fn take(&mut self, capacity: u32) -> Result<Drained, Errno> {
        self.discard_unusable();
        let fits = |context: &Option<Drained>| {
            let has = context.as_ref().map(|context| context.capacity);
            has.filter(|&has| has >= capacity)
        };
        let mut best: Option<(u32, &mut Option<Drained>)> = None;
        for place in &mut self.contexts {
            if let Some(has) = fits(place) {
                if best.as_ref().is_none_or(|(least, _)| has < *least) {
                    best = Some((has, place));
                }
            }
        }
        match best.and_then(|(_, place)| place.take()) {
            Some(context) => Ok(context),
            None => Drained::new(capacity),
        }
    }

    /// Keeps a context for later. `Some`: the pool is full, and it comes back.
    /// One that this process cannot use, as it was inherited by fork or had to
    /// be destroyed, is dropped, which does nothing.
    #[must_use = "dropping what did not fit takes tens of milliseconds"]
    pub fn put(&mut self, context: Drained) -> Option<Drained> {
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
    pub fn drain(&mut self) -> impl Iterator<Item = Drained> + '_ {
        let taken = self.contexts.iter_mut().filter_map(Option::take);
        taken.filter(Drained::is_own)
    }
}

impl<const N: usize> Default for Pool<N> {
    fn default() -> Pool<N> {
        Pool::new()
    }
}

impl<const N: usize> fmt::Debug for Pool<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.contexts.iter().flatten())
            .finish()
    }
}
