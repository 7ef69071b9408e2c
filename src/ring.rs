//! [`Ring`]: completions read from the memory that the kernel maps, without a
//! system call.
//!
//! The protocol (`fs/aio.c`): the kernel writes an event, then a write
//! barrier, then `tail`; the reader loads `tail` with acquire, copies, and
//! stores `head` with release. Both are indices below `nr`, wrapped by
//! comparison (`nr` is no power of two), and `head == tail` is empty.
//!
//! Nothing in the ring is trusted: the number of slots is read once and held
//! against the mapping, and an index out of range ends reading in user space
//! for that call; the system call then speaks for itself.

use core::marker::PhantomData;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, Ordering};

use crate::abi::{AioContext, Event, RingHeader};
use crate::arch::{FACTS, trap};
use crate::errno::Errno;
use crate::wait::{Wait, front, get_events};

/// A context's ring, mapped and found to be one this crate can read.
#[derive(Clone, Copy)]
pub(crate) struct RingMap {
    header: NonNull<RingHeader>,
    slots: u32,
}

impl RingMap {
    /// Looks at the ring of a context; `None` where it cannot be read in user
    /// space (gVisor maps none, a later kernel may change it) or cannot be
    /// kept from forked children.
    ///
    /// # Safety
    /// The context is alive and owned by the caller.
    pub(crate) unsafe fn attach(ctx: AioContext) -> Option<RingMap> {
        let header = NonNull::new(core::ptr::with_exposed_provenance_mut::<RingHeader>(ctx.0))?;
        // The kernel's word that a page is mapped there: advice that changes
        // nothing is refused for an address that is not, or not a page's.
        madvise(ctx, size_of::<RingHeader>(), MADV_NORMAL).ok()?;
        // SAFETY: mapped, page-aligned, and of plain integers; the fields
        // read here never change.
        let fields = unsafe { header.as_ptr().read_volatile() };
        let slots = slots_of(&fields)?;
        let bytes = (slots as usize)
            .checked_mul(size_of::<Event>())?
            .checked_add(size_of::<RingHeader>())?;
        // Keeps the ring out of forked children, who could otherwise take
        // their parent's events. It also proves that all of it is mapped.
        madvise(ctx, bytes, MADV_DONTFORK).ok()?;
        Some(RingMap { header, slots })
    }

    pub(crate) fn slots(self) -> u32 {
        self.slots
    }

    fn head(&self) -> &AtomicU32 {
        // SAFETY: the mapping lives as long as the context, which whoever
        // holds this borrows; an aligned u32 that is only ever accessed
        // atomically, by us and by the kernel.
        unsafe { AtomicU32::from_ptr(&raw mut (*self.header.as_ptr()).head) }
    }

    fn tail(&self) -> &AtomicU32 {
        // SAFETY: as for `head`.
        unsafe { AtomicU32::from_ptr(&raw mut (*self.header.as_ptr()).tail) }
    }

    /// `head` and `tail`, both below `slots`. `None`: they make no sense.
    #[inline]
    fn indices(&self) -> Option<(u32, u32)> {
        // Only readers write `head`, and we are the only one.
        let head = self.head().load(Ordering::Relaxed);
        // Acquire: the events before `tail` are seen as the kernel wrote them.
        let tail = self.tail().load(Ordering::Acquire);
        (head < self.slots && tail < self.slots).then_some((head, tail))
    }

    /// The address of a slot.
    ///
    /// # Safety
    /// `index` is below `slots`.
    #[inline]
    unsafe fn slot(&self, index: u32) -> *const Event {
        // SAFETY: the slots follow the header in one mapping.
        unsafe {
            self.header
                .as_ptr()
                .add(1)
                .cast::<Event>()
                .add(index as usize)
        }
    }

    /// Takes one event. The outer `None`: the indices make no sense.
    ///
    /// # Safety
    /// Nobody else reads the ring.
    #[inline]
    unsafe fn take_one(&self) -> Option<Option<Event>> {
        let (head, tail) = self.indices()?;
        if head == tail {
            return Some(None);
        }
        // SAFETY: `head` is below `slots`, and the kernel does not write this
        // slot before it sees a new head.
        let event = unsafe { self.slot(head).read() };
        let next = if head + 1 == self.slots { 0 } else { head + 1 };
        // Release: the copy above is done before the kernel may write to the
        // slot again.
        self.head().store(next, Ordering::Release);
        Some(Some(event))
    }

    /// Takes up to `events.len()` events. `None`: the indices make no sense.
    ///
    /// # Safety
    /// Nobody else reads the ring.
    #[inline]
    unsafe fn take(&self, events: &mut [Event]) -> Option<usize> {
        let (mut head, tail) = self.indices()?;
        let mut taken = 0;
        // In at most two runs: up to the end of the ring, then from its start.
        while head != tail && taken < events.len() {
            let end = if head < tail { tail } else { self.slots };
            let run = ((end - head) as usize).min(events.len() - taken);
            // SAFETY: `head + run` is within the `slots` events behind the
            // header, `taken + run` within `events`. The kernel does not write
            // slots from head to tail before it sees a new head.
            unsafe {
                core::ptr::copy_nonoverlapping(
                    self.slot(head),
                    events.as_mut_ptr().add(taken),
                    run,
                );
            }
            taken += run;
            head += run as u32;
            if head == self.slots {
                head = 0;
            }
        }
        if taken != 0 {
            // Release: the copies above are done before the kernel may write
            // to these slots again.
            self.head().store(head, Ordering::Release);
        }
        Some(taken)
    }
}

/// The number of slots of a ring whose header this crate understands.
fn slots_of(header: &RingHeader) -> Option<u32> {
    let known = header.magic == RingHeader::MAGIC
        && header.incompat_features == 0
        && header.header_length as usize == size_of::<RingHeader>()
        && header.nr >= 2;
    known.then_some(header.nr)
}

const MADV_NORMAL: usize = 0;
const MADV_DONTFORK: usize = 10;

fn madvise(ctx: AioContext, bytes: usize, advice: usize) -> Result<usize, Errno> {
    // SAFETY: neither advice changes what the program can read or write: one
    // is the default, the other is about children only. The kernel checks the
    // address.
    Errno::check(unsafe { trap::syscall3(FACTS.base.madvise as usize, ctx.0, bytes, advice) })
}

/// The reaping end of a [`Context`](crate::Context): its one reader, for as
/// long as it exists.
///
/// Where the ring cannot be read in user space ([`is_mapped`](Ring::is_mapped))
/// the same methods make system calls.
///
/// A forked child must not use it: the mapping is not there.
///
/// # Examples
/// ```
/// use linux_aio::{Context, Errno, Event, opcode::PRead};
/// use std::{fs::File, os::fd::AsRawFd};
///
/// let file = File::open("Cargo.toml").unwrap();
/// let mut buffer = [0_u8; 512];
/// # if let Err(Errno::NOSYS) = Context::new(8) { return Ok(()) }
/// let mut context = Context::new(8)?;
/// let (submitter, mut ring) = context.split();
/// let mut read = PRead::new(file.as_raw_fd(), buffer.as_mut_ptr(), 512).build();
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
    map: Option<RingMap>,
    /// The context, exclusively borrowed.
    context: PhantomData<&'c mut ()>,
}

// SAFETY: one reader, wherever it runs; the mapping belongs to the process.
unsafe impl Send for Ring<'_> {}
// SAFETY: `&Ring` reads no memory that changes.
unsafe impl Sync for Ring<'_> {}

impl Ring<'_> {
    /// For the context `name`, which the caller keeps exclusively borrowed.
    pub(crate) fn new<'c>(name: AioContext, map: Option<RingMap>) -> Ring<'c> {
        Ring {
            name,
            map,
            context: PhantomData,
        }
    }

    /// Whether completions are read in user space.
    pub fn is_mapped(&self) -> bool {
        self.map.is_some()
    }

    /// The ring's slots, of which one always stays empty; `None` where it is
    /// not mapped. More than was asked of setup.
    pub fn slots(&self) -> Option<u32> {
        self.map.map(RingMap::slots)
    }

    /// Takes one event if there is one.
    ///
    /// # Errors
    /// As [`Ring::reap`].
    #[inline]
    pub fn pop(&mut self) -> Result<Option<Event>, Errno> {
        // SAFETY: as in `take`.
        if let Some(event) = self.map.and_then(|map| unsafe { map.take_one() }) {
            return Ok(event);
        }
        let mut event = [Event::EMPTY];
        let count = self.call(0, &mut event, Wait::poll())?;
        Ok((count > 0).then_some(event[0]))
    }

    /// Takes what is there, up to `events.len()`, without waiting. No system
    /// call where the ring is mapped.
    ///
    /// # Errors
    /// Never from a mapped ring in order. Otherwise those of
    /// [`Context::wait`](crate::Context::wait).
    #[inline]
    pub fn reap<'e>(&mut self, events: &'e mut [Event]) -> Result<&'e mut [Event], Errno> {
        let count = match self.take(events) {
            Some(count) => count,
            None => self.call(0, events, Wait::poll())?,
        };
        Ok(front(events, count))
    }

    /// Waits for at least `min_nr` events, for ever, and takes as many as fit;
    /// a system call is made only for what is not in the ring yet. Fewer than
    /// `min_nr` come back after a signal.
    ///
    /// # Errors
    /// As [`Context::wait`](crate::Context::wait), and only if no event was
    /// taken.
    pub fn wait<'e>(
        &mut self,
        min_nr: usize,
        events: &'e mut [Event],
    ) -> Result<&'e mut [Event], Errno> {
        self.wait_with(min_nr, events, Wait::new())
    }

    /// Waits for at least `min_nr` events, as `wait` says: for how long, with
    /// which signal mask. Fewer than `min_nr`, or none, come back when the
    /// time is over.
    ///
    /// # Errors
    /// As [`Context::wait_with`](crate::Context::wait_with), and only if no
    /// event was taken.
    pub fn wait_with<'e>(
        &mut self,
        min_nr: usize,
        events: &'e mut [Event],
        wait: Wait<'_>,
    ) -> Result<&'e mut [Event], Errno> {
        if min_nr > events.len() {
            // As the kernel would say, before anything is taken.
            return Err(Errno::INVAL);
        }
        let taken = match self.take(events) {
            Some(taken) => taken,
            None => {
                let count = self.call(min_nr, events, wait)?;
                return Ok(front(events, count));
            }
        };
        // An empty ring is an empty ring: no call is needed to learn that. A
        // mask, though, is a wish to let signals in.
        let enough = taken >= min_nr && (taken > 0 || !wait.has_mask());
        if enough || wait.is_poll() || events.is_empty() {
            return Ok(front(events, taken));
        }
        let count = match self.call(min_nr - taken.min(min_nr), &mut events[taken..], wait) {
            Ok(more) => taken + more,
            // What was taken is handed over; the error will come again.
            Err(_) if taken > 0 => taken,
            Err(errno) => return Err(errno),
        };
        Ok(front(events, count))
    }

    #[inline]
    fn take(&self, events: &mut [Event]) -> Option<usize> {
        // SAFETY: `Ring` is not `Clone` and borrows the context exclusively,
        // and the methods that take events have `&mut self`.
        self.map.and_then(|map| unsafe { map.take(events) })
    }

    fn call(
        &mut self,
        min_nr: usize,
        events: &mut [Event],
        wait: Wait<'_>,
    ) -> Result<usize, Errno> {
        // SAFETY: we are the ring's one reader, and not reading now.
        unsafe { get_events(self.name, min_nr, events, wait) }
    }
}

impl core::fmt::Debug for Ring<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Ring")
            .field("name", &format_args!("{:#x}", self.name.0))
            .field("slots", &self.slots())
            .finish()
    }
}
