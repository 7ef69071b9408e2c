//! [`Ring`]: completions read from the memory that the kernel maps, without a
//! system call.
//!
//! `map` finds that memory and trusts nothing in it, `reader` is the protocol,
//! `run` the same for an owner who may be late to tell the kernel, `peek` looks
//! without owning; here is what a program gets.

use core::marker::PhantomData;

use crate::address_space::AddressSpace;
use crate::context::{WaitOptions, front};
use crate::sys::abi::{AioContext, Event};
use crate::sys::errno::Errno;
use crate::sys::getevents::wait_for_events;

mod batch_reader;
mod map;
mod peek;
mod reader;

pub(crate) use batch_reader::BatchReader;
pub(crate) use map::RingMap;
pub use peek::ring_is_empty;

/// The reaping end of a [`Context`](crate::Context): its one reader, for as
/// long as it exists.
///
/// Where the ring cannot be read in user space ([`is_mapped`](Ring::is_mapped))
/// the same methods make system calls.
///
/// In a forked child each of its methods that take events answers EINVAL: see
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
/// // SAFETY: the buffer is not touched before the event has come.
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
    /// The context, exclusively borrowed.
    context: PhantomData<&'c mut ()>,
}

// SAFETY: one reader, wherever it runs; the mapping belongs to the process.
unsafe impl Send for Ring<'_> {}
// SAFETY: `&Ring` reads no memory that changes.
unsafe impl Sync for Ring<'_> {}

impl Ring<'_> {
    /// The ring of the context `name`, made in `home`, which the caller keeps
    /// exclusively borrowed.
    pub(crate) fn new<'c>(name: AioContext, map: RingMap, home: AddressSpace) -> Ring<'c> {
        Ring {
            name,
            map,
            home,
            context: PhantomData,
        }
    }

    /// Whether completions are read in user space.
    pub fn is_mapped(&self) -> bool {
        self.slots().is_some()
    }

    /// The ring's slots, of which one always stays empty; `None` where it is
    /// not mapped. More than was asked of setup.
    pub fn slots(&self) -> Option<u32> {
        self.map.slots()
    }

    /// Takes one event if there is one.
    ///
    /// # Errors
    /// As [`Ring::reap`].
    #[inline]
    pub fn pop(&mut self) -> Result<Option<Event>, Errno> {
        if self.home.is_marked() {
            // SAFETY: in this address space; `Ring` is not `Clone` and borrows
            // the context exclusively, and we have `&mut self`.
            if let Some(event) = unsafe { self.map.take_one() } {
                return Ok(event);
            }
        }
        let mut event = Event::EMPTY;
        // SAFETY: we are the ring's one reader, and not reading now.
        let found = unsafe { pop_otherwise(self.name, self.map, self.home, &mut event) }?;
        Ok(found.then_some(event))
    }

    /// Takes what is there, up to `events.len()`, without waiting. No system
    /// call where the ring is mapped.
    ///
    /// # Errors
    /// EINVAL in a forked child. Otherwise never from a mapped ring in order;
    /// where it is not, those of [`Context::wait`](crate::Context::wait).
    #[inline]
    pub fn reap<'e>(&mut self, events: &'e mut [Event]) -> Result<&'e mut [Event], Errno> {
        if !self.home.is_current() {
            return Err(Errno::INVAL);
        }
        // SAFETY: in this address space, as was just seen.
        let count = match unsafe { self.take(events) } {
            Some(count) => count,
            None => self.call(0, events, WaitOptions::poll())?,
        };
        Ok(front(events, count))
    }

    /// Waits for at least `min_nr` events, for ever, and takes as many as fit;
    /// a system call is made only for what is not in the ring yet. Fewer than
    /// `min_nr` come back after a signal of any kind.
    ///
    /// # Errors
    /// As [`Context::wait`](crate::Context::wait), EINTR included, and only if
    /// no event was taken.
    #[inline]
    pub fn wait<'e>(
        &mut self,
        min_nr: usize,
        events: &'e mut [Event],
    ) -> Result<&'e mut [Event], Errno> {
        self.wait_with(min_nr, events, WaitOptions::new())
    }

    /// Waits for at least `min_nr` events, as `wait` says: for how long, with
    /// which signal mask. Fewer than `min_nr`, or none, come back when the
    /// time is over, which begins anew after a signal that ran no handler.
    ///
    /// # Errors
    /// As [`Context::wait_with`](crate::Context::wait_with), and only if no
    /// event was taken.
    #[inline]
    pub fn wait_with<'e>(
        &mut self,
        min_nr: usize,
        events: &'e mut [Event],
        wait: WaitOptions<'_>,
    ) -> Result<&'e mut [Event], Errno> {
        // The second is what the kernel would say, before anything is taken.
        if !self.home.is_current() || min_nr > events.len() {
            return Err(Errno::INVAL);
        }
        // SAFETY: in this address space, as was just seen.
        let found = unsafe { self.take(events) };
        let taken = found.unwrap_or(0);
        if found.is_some() {
            // An empty ring is an empty ring: no call is needed to learn that. A
            // mask, though, is a wish to let signals in.
            let enough = taken >= min_nr && (taken > 0 || !wait.has_mask());
            if enough || wait.is_poll() || events.is_empty() {
                return Ok(front(events, taken));
            }
        }
        let rest = events.get_mut(taken..).unwrap_or_default();
        let count = match self.call(min_nr.saturating_sub(taken), rest, wait) {
            Ok(more) => taken + more,
            // What was taken is handed over; the error will come again.
            Err(_) if taken > 0 => taken,
            Err(errno) => return Err(errno),
        };
        Ok(front(events, count))
    }

    /// # Safety
    /// The context was made in the current address space.
    #[inline]
    unsafe fn take(&mut self, events: &mut [Event]) -> Option<usize> {
        // SAFETY: the mapping is there, as the address space is the context's.
        // `Ring` is not `Clone` and borrows the context exclusively, and we
        // have `&mut self`.
        unsafe { self.map.take(events) }
    }

    #[inline]
    fn call(
        &mut self,
        min_nr: usize,
        events: &mut [Event],
        wait: WaitOptions<'_>,
    ) -> Result<usize, Errno> {
        // SAFETY: we are the ring's one reader, and not reading now.
        unsafe { wait_for_events(self.name, min_nr, events, wait) }
    }
}

/// Takes one event where the ring cannot be read, or where the address space
/// has no mark: returns whether there was one. Out of line, so that reading
/// needs no stack frame; and what is read stays in registers, as nothing that
/// could be in memory is returned.
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
    // SAFETY: in this address space, so the mapping is there; the caller
    // promises that nobody else reads the ring.
    if let Some(count) = unsafe { map.take(events) } {
        return Ok(count > 0);
    }
    // SAFETY: the caller promises that nobody else reads the ring.
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
