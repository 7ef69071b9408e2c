//! [`Ring`]: completions read from the memory that the kernel maps, without a
//! system call.
//!
//! - `map` locates and validates that memory.
//! - `index` has the memory orderings.
//! - `reader` implements the protocol.
//! - `batch_reader` implements it for an owner that stores the head once for many
//!   events.
//! - `peek` checks for events without owning the ring.
//!
//! This module contains the public type. Invariant: a ring has one reader at a time,
//! since [`Ring`] borrows its context exclusively.

use core::marker::PhantomData;

use crate::address_space::AddressSpace;
use crate::context::{WaitOptions, front};
use crate::sys::abi::{AioContext, Event};
use crate::sys::errno::Errno;
use crate::sys::getevents::wait_for_events;

mod batch_reader;
mod index;
mod map;
mod peek;
mod reader;

pub(crate) use batch_reader::BatchReader;
pub(crate) use map::RingMap;
pub use peek::ring_is_empty;

/// The result of polling a ring in user space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Polled<T = Event> {
    /// There is none.
    Empty,
    Found(T),
    /// The ring cannot be read in user space: it is not mapped, its indices are out of
    /// range, or this is another address space.
    NeedsSyscall,
}

/// The completion ring of a [`Context`](crate::Context): memory that the kernel maps, and
/// from which events are taken without a system call.
///
/// A `Ring` borrows its context exclusively, because a ring has one reader. While it
/// exists, operations are submitted with a [`Submitter`](crate::Submitter)
/// ([`Context::split`](crate::Context::split)).
///
/// Where the ring cannot be read in user space ([`is_mapped`](Ring::is_mapped) returns
/// `false`: in gVisor, in a sandbox that forbids `madvise(2)`, and after
/// [`Context::new_unmapped`](crate::Context::new_unmapped)), the same methods make system
/// calls. The contents of the ring are not trusted: if an index is out of range, the call
/// makes a system call in place of reading the ring.
///
/// In a forked child each method that takes events fails with EINVAL: see
/// [`Context`](crate::Context#fork).
///
/// # Examples
/// ```
/// use linux_aio::{Context, Errno, Event, opcode::Pread};
/// use std::{fs::File, os::fd::AsRawFd};
///
/// let file = File::open("/proc/self/exe").unwrap();
/// let mut buffer = [0_u8; 512];
/// # if let Err(Errno::NOSYS) = Context::new(8) { return Ok(()) }
/// let mut context = Context::new(8)?;
/// let (submitter, mut ring) = context.split();
/// let mut read = Pread::new(file.as_raw_fd(), buffer.as_mut_ptr(), 512).build();
/// // SAFETY: the file is open, and the buffer is not accessed before the event is taken.
/// unsafe { submitter.submit(&mut [&mut read]) }?;
///
/// let mut events = [Event::EMPTY; 8];
/// // A system call only if the event is not there yet.
/// assert_eq!(ring.wait(1, &mut events)?.len(), 1);
/// assert_eq!(ring.pop()?, None);
/// # Ok::<(), Errno>(())
/// ```
#[doc(alias = "aio_ring")]
pub struct Ring<'c> {
    name: AioContext,
    map: RingMap,
    home: AddressSpace,
    /// The exclusive borrow of the context.
    context: PhantomData<&'c mut ()>,
}

// SAFETY: moving a `Ring` to another thread leaves it the only reader, and the mapping
// belongs to the process, not to a thread.
unsafe impl Send for Ring<'_> {}
// SAFETY: `&Ring` reads no memory that changes.
unsafe impl Sync for Ring<'_> {}

impl Ring<'_> {
    /// Creates the ring of the context `name`, made in `home`, which the caller keeps
    /// exclusively borrowed.
    pub(crate) fn new<'c>(name: AioContext, map: RingMap, home: AddressSpace) -> Ring<'c> {
        Ring {
            name,
            map,
            home,
            context: PhantomData,
        }
    }

    /// Returns whether events are taken in user space, without a system call.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::Context;
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let mut context = Context::new(8)?;
    /// if !context.ring().is_mapped() {
    ///     println!("every completion takes a system call");
    /// }
    /// # Ok::<(), linux_aio::Errno>(())
    /// ```
    pub fn is_mapped(&self) -> bool {
        self.slots().is_some()
    }

    /// Returns the number of slots, of which one always stays empty, or `None` if the ring
    /// is not mapped.
    ///
    /// The kernel allocates more slots than [`Context::new`](crate::Context::new)
    /// requests: their number depends on the page size and the number of processors (127
    /// for a context of 8 operations with pages of 4 KiB and 2 processors).
    ///
    /// # Examples
    /// ```
    /// use linux_aio::Context;
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let mut context = Context::new(8)?;
    /// let slots = context.ring().slots();
    /// assert!(slots.is_none_or(|slots| slots > 8));
    /// # Ok::<(), linux_aio::Errno>(())
    /// ```
    pub fn slots(&self) -> Option<u32> {
        self.map.slots()
    }

    /// Takes one event if there is one, without waiting. Makes no system call if the ring
    /// is mapped and valid.
    ///
    /// # Errors
    /// Those of [`Ring::reap`].
    ///
    /// # Examples
    /// ```
    /// use linux_aio::Context;
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let mut context = Context::new(8)?;
    /// // Takes the available events.
    /// while let Some(event) = context.ring().pop()? {
    ///     println!("{}: {:?}", event.user_data(), event.result());
    /// }
    /// # Ok::<(), linux_aio::Errno>(())
    /// ```
    #[inline]
    pub fn pop(&mut self) -> Result<Option<Event>, Errno> {
        if self.home.is_marked() {
            // SAFETY: the mark shows that the context was made in this address space,
            // so the ring is mapped. `Ring` is not `Clone` and borrows the context
            // exclusively, and `self` is exclusively borrowed, so there is no other
            // reader.
            match unsafe { self.map.take_one() } {
                Polled::Found(event) => return Ok(Some(event)),
                Polled::Empty => return Ok(None),
                Polled::NeedsSyscall => {}
            }
        }
        let mut event = Event::EMPTY;
        // SAFETY: `self` is the ring's only reader, and it is exclusively borrowed.
        let found = unsafe { pop_otherwise(self.name, self.map, self.home, &mut event) }?;
        Ok(found.then_some(event))
    }

    /// Takes the available events, up to `events.len()`, without waiting. Makes no
    /// system call if the ring is mapped and valid.
    ///
    /// # Errors
    /// EINVAL in a forked child. If the ring is mapped and valid, there is no other error.
    /// Otherwise those of [`Context::wait`](crate::Context::wait).
    ///
    /// # Examples
    /// ```
    /// use linux_aio::{Context, Event};
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let mut context = Context::new(8)?;
    /// let mut events = [Event::EMPTY; 8];
    /// for event in context.ring().reap(&mut events)? {
    ///     println!("{}: {:?}", event.user_data(), event.result());
    /// }
    /// # Ok::<(), linux_aio::Errno>(())
    /// ```
    #[inline]
    pub fn reap<'e>(&mut self, events: &'e mut [Event]) -> Result<&'e mut [Event], Errno> {
        if !self.home.is_current() {
            return Err(Errno::INVAL);
        }
        // SAFETY: the check above shows that the context was made in this address
        // space.
        let count = match unsafe { self.take(events) } {
            Some(count) => count,
            None => self.call(0, events, WaitOptions::poll())?,
        };
        Ok(front(events, count))
    }

    /// Waits for at least `min_nr` events, without a timeout, and takes as many as fit into
    /// `events`. Returns the events that were taken.
    ///
    /// A system call is made only for events that are not in the ring yet. As in
    /// [`Context::wait`](crate::Context::wait), a signal that arrives after some of the
    /// events ends the wait, and fewer than `min_nr` are returned.
    ///
    /// # Errors
    /// Those of [`Context::wait`](crate::Context::wait), EINTR included, and only if no
    /// event was taken.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::opcode::Pread;
    /// use linux_aio::{Context, Event};
    /// use std::{fs::File, os::fd::AsRawFd};
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let file = File::open("/dev/null").unwrap();
    /// let mut buffer = [0_u8; 16];
    /// let mut read = Pread::new(file.as_raw_fd(), buffer.as_mut_ptr(), buffer.len()).build();
    /// let mut context = Context::new(8)?;
    /// // SAFETY: the file is open, and the buffer is not accessed before the event is taken.
    /// unsafe { context.submit(&mut [&mut read]) }?;
    /// let mut events = [Event::EMPTY; 8];
    /// assert_eq!(context.ring().wait(1, &mut events)?[0].result(), Ok(0));
    /// # Ok::<(), linux_aio::Errno>(())
    /// ```
    #[inline]
    pub fn wait<'e>(
        &mut self,
        min_nr: usize,
        events: &'e mut [Event],
    ) -> Result<&'e mut [Event], Errno> {
        self.wait_with(min_nr, events, WaitOptions::new())
    }

    /// Waits for at least `min_nr` events, like [`wait`](Ring::wait), with a timeout
    /// and a signal mask.
    ///
    /// Returns fewer than `min_nr` events, or none, when the timeout has elapsed. The
    /// timeout starts again after a signal that ran no handler.
    ///
    /// # Errors
    /// Those of [`Context::wait_with`](crate::Context::wait_with), and only if no event was
    /// taken.
    ///
    /// # Examples
    /// ```
    /// use core::time::Duration;
    /// use linux_aio::{Context, Event, WaitOptions};
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let mut context = Context::new(8)?;
    /// let mut events = [Event::EMPTY; 8];
    /// // Nothing is in flight, so the timeout elapses.
    /// let wait = WaitOptions::new().timeout(Duration::from_millis(1));
    /// assert!(context.ring().wait_with(1, &mut events, wait)?.is_empty());
    /// # Ok::<(), linux_aio::Errno>(())
    /// ```
    #[inline]
    pub fn wait_with<'e>(
        &mut self,
        min_nr: usize,
        events: &'e mut [Event],
        wait: WaitOptions<'_>,
    ) -> Result<&'e mut [Event], Errno> {
        // The kernel returns the same error for the second condition; here it is
        // returned before any event is taken.
        if !self.home.is_current() || min_nr > events.len() {
            return Err(Errno::INVAL);
        }
        // SAFETY: the check above shows that the context was made in this address
        // space.
        let found = unsafe { self.take(events) };
        let taken = found.unwrap_or(0);
        if found.is_some() {
            // A poll of an empty ring needs no system call. A signal mask does need
            // one, as only the kernel can deliver the signals that it lets through.
            let enough = taken >= min_nr && (taken > 0 || !wait.has_mask());
            if enough || wait.is_poll() || events.is_empty() {
                return Ok(front(events, taken));
            }
        }
        let rest = events.get_mut(taken..).unwrap_or_default();
        let count = match self.call(min_nr.saturating_sub(taken), rest, wait) {
            Ok(more) => taken + more,
            // The events already taken are returned; the error recurs at the next call.
            Err(_) if taken > 0 => taken,
            Err(errno) => return Err(errno),
        };
        Ok(front(events, count))
    }

    /// Takes events from the mapped ring.
    ///
    /// # Safety
    /// The context was made in the current address space.
    #[inline]
    unsafe fn take(&mut self, events: &mut [Event]) -> Option<usize> {
        // SAFETY: the caller promises that the address space is the context's, so the
        // ring is mapped. `Ring` is not `Clone` and borrows the context exclusively,
        // and `self` is exclusively borrowed, so there is no other reader.
        unsafe { self.map.take(events) }
    }

    #[inline]
    fn call(
        &mut self,
        min_nr: usize,
        events: &mut [Event],
        wait: WaitOptions<'_>,
    ) -> Result<usize, Errno> {
        // SAFETY: `self` is the ring's only reader, and it is exclusively borrowed.
        unsafe { wait_for_events(self.name, min_nr, events, wait) }
    }
}

/// Takes one event where the ring cannot be read, or where the address space has no
/// mark. Returns whether there was one.
///
/// The function is not inlined, so that the callers need no stack frame to read the
/// ring. It returns no event, so that an event that the callers read stays in
/// registers.
///
/// # Safety
/// As [`wait_for_events`].
#[cold]
#[inline(never)]
unsafe fn pop_otherwise(
    name: AioContext,
    map: RingMap,
    home: AddressSpace,
    event: &mut Event,
) -> Result<bool, Errno> {
    if !home.is_current() {
        return Err(Errno::INVAL);
    }
    let events = core::slice::from_mut(event);
    // SAFETY: the check above shows that the context was made in this address space, so
    // the ring is mapped. The caller promises that no other code reads it.
    if let Some(count) = unsafe { map.take(events) } {
        return Ok(count > 0);
    }
    // SAFETY: the caller promises that no other code reads the ring, as
    // `wait_for_events` requires.
    let count = unsafe { wait_for_events(name, 0, events, WaitOptions::poll()) }?;
    Ok(count > 0)
}

impl core::fmt::Debug for Ring<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Ring")
            .field("name", &format_args!("{:#x}", self.name.0))
            .field("slots", &self.slots())
            .finish()
    }
}
