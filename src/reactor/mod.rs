//! Futures: the same operations for any executor, with no runtime of our own.
//!
//! A [`Reactor`] owns a context and the operations in flight. Its futures read,
//! write, sync and poll; they are woken when somebody looks at the ring:
//!
//! - an executor that has nothing else to wait for calls [`Reactor::wait`],
//!   which blocks in the kernel until something has ended;
//! - one that has calls [`Reactor::turn`] when the eventfd is readable that
//!   [`Reactor::eventfd`] named.
//!
//! Tasks that wait for a free slot get one in the order in which they came.
//!
//! A future that is dropped lets its operation go on; the buffer is the
//! reactor's until the kernel has let go of it, and is dropped then. Polls, and
//! what was not submitted yet, are cancelled.
//!
//! # User code
//! Wakers, and destructors of buffers and data, run when the reactor's lock is
//! free and every operation is in its place: they may call the reactor and its
//! futures, and they may panic. A panic goes on to whoever called `turn`,
//! `wait`, `poll` or `drop`; nobody else's wake-up is lost by it.
//! (Without the feature `std` a panic ends that `turn`, and the rest is woken by
//! the next one; the eventfd asks for it.)

mod deferred;
mod eventfd;
mod lock;
mod running;
mod waiters;

use core::cell::UnsafeCell;
use core::fmt;
use core::task::Waker;

use crate::buffer::{Buffer, BufferMut};
#[cfg(doc)]
use crate::context::Context;
use crate::drained::Drained;
use crate::engine::{Engine, Extra, RawSlot, Reaper};
use crate::errno::Errno;
use crate::fd::Fd;
use crate::op::{FDSync, FSync, Op, Poll, Read, Write};
use crate::opcode::{PollMask, RawFd};
use crate::wait::Wait;

use eventfd::Signals;
#[cfg(feature = "std")]
pub use lock::Shared;
pub use lock::{Local, Lock};
pub use running::Running;
use waiters::Waiters;

/// Who is to be woken by an operation.
pub struct Awaited {
    waker: Option<Waker>,
    /// The future is gone.
    dropped: bool,
    /// An eventfd of the operation's own, which the reactor signals.
    own_eventfd: Option<i32>,
}

impl Extra for Awaited {
    const NEW: Awaited = Awaited {
        waker: None,
        dropped: false,
        own_eventfd: None,
    };
}

/// The slot of an operation of a [`Reactor`].
pub type ReactorSlot<B, T = ()> = RawSlot<(Option<B>, T), Awaited>;

/// A context, the operations in it, and the futures that wait for them.
///
/// `T` is data of the caller's that travels with each operation: the owner of
/// its descriptor, a number, anything. A borrowed descriptor outlives the
/// reactor (`'r`), as a future that is leaked may leave its operation to be
/// submitted later.
///
/// Dropping it destroys the context, which **blocks until every operation has
/// ended**; all its futures are gone by then.
///
/// # Examples
/// ```
/// use linux_aio::reactor::{Reactor, ReactorSlot};
/// use linux_aio::{Errno, Wait};
/// use std::task::{Context, Poll, Waker};
/// use std::{fs::File, pin::pin};
///
/// # #[cfg(not(feature = "std"))] fn main() {}
/// # #[cfg(feature = "std")] fn main() -> Result<(), Errno> {
/// # if let Err(Errno::NOSYS) = linux_aio::Context::new(1) { return Ok(()) }
/// let file = File::open("Cargo.toml").unwrap();
/// let memory: &'static mut [u8] = Box::leak(Box::new([0; 11]));
///
/// let mut slots = ReactorSlot::array::<8>();
/// let reactor = Reactor::<&mut [u8]>::new(&mut slots)?;
/// let mut task = pin!(reactor.read(&file, memory, 0));
/// // The smallest executor: one task, and nothing but the reactor to wait for.
/// let done = loop {
///     if let Poll::Ready(done) = task.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
///         break done;
///     }
///     reactor.wait(Wait::new())?;
/// };
/// assert_eq!(done.result?, 11);
/// assert_eq!(done.buffer.unwrap(), b"[workspace]");
/// # Ok(())
/// # }
/// ```
pub struct Reactor<'r, B: Buffer + 'static, L: Lock = Local, T = ()> {
    lock: L,
    /// In a cell, so invariant in `'r`: a shared reference cannot make it
    /// shorter, and let in a descriptor that is closed too early.
    inside: UnsafeCell<Inside<'r, B, T>>,
    eventfd: Option<Fd<'r>>,
    /// Who keeps the eventfd open, if it is owned.
    #[cfg(feature = "alloc")]
    _eventfd_owner: Option<alloc::boxed::Box<dyn crate::fd::OwnsFd + Send + Sync>>,
}

struct Inside<'r, B, T> {
    engine: Engine<'r, (Option<B>, T), Awaited, Reaper>,
    /// What the context was set up for, which may be more than the slots.
    capacity: u32,
    waiters: Waiters,
    batched: bool,
    has_eventfd: bool,
    /// The eventfd was signalled since the last turn.
    asked: bool,
    /// An operation was refused since the last turn, of which no eventfd tells.
    refused: bool,
}

// SAFETY: the waiters that it links are only touched under the lock, and none
// is polled any more when the reactor can be moved: a future borrows it.
unsafe impl<B: Buffer + Send + 'static, L: Lock + Send, T: Send> Send for Reactor<'_, B, L, T> {}
// SAFETY: `inside` is reached under the lock alone, which keeps threads apart;
// buffers and data are moved in and out, and never shared.
unsafe impl<B: Buffer + Send + 'static, L: Lock + Sync, T: Send> Sync for Reactor<'_, B, L, T> {}

/// What is done about something that has happened, outside the lock.
enum Notice<B, T> {
    Wake(Waker),
    Drop(Option<B>, T, Option<Waker>),
    Nothing,
}

impl<'r, B: Buffer + 'static, L: Lock, T> Reactor<'r, B, L, T> {
    /// A reactor in these slots, with a context of its own for as many
    /// operations.
    ///
    /// # Errors
    /// As [`Context::new`]; EINVAL for no slots, or millions.
    pub fn new(slots: &'r mut [ReactorSlot<B, T>]) -> Result<Reactor<'r, B, L, T>, Errno> {
        let nr = u32::try_from(slots.len()).map_err(|_| Errno::INVAL)?;
        Ok(Reactor::on(Drained::new(nr)?, slots))
    }

    /// A reactor on a context that is there already. Only as many slots are
    /// used as that was set up for.
    pub fn on(drained: Drained, slots: &'r mut [ReactorSlot<B, T>]) -> Reactor<'r, B, L, T> {
        let capacity = drained.capacity();
        let len = slots.len().min(capacity);
        Reactor {
            lock: L::NEW,
            inside: UnsafeCell::new(Inside {
                engine: Engine::new(&mut slots[..len], drained.into_reaper()),
                capacity: capacity as u32,
                waiters: Waiters::new(),
                batched: false,
                has_eventfd: false,
                asked: false,
                refused: false,
            }),
            eventfd: None,
            #[cfg(feature = "alloc")]
            _eventfd_owner: None,
        }
    }

    /// Signals this eventfd whenever [`turn`](Reactor::turn) has something to
    /// do: an operation has ended, or one could not be submitted for want of
    /// room in the kernel, or a task that was to get a slot has not come for
    /// it. It may be readable for nothing. Read it first, and turn then: what
    /// happens in between signals it again.
    ///
    /// An operation with an eventfd of its own has it signalled by the reactor,
    /// when that finds that the operation has ended.
    #[must_use]
    pub fn eventfd(mut self, eventfd: impl Into<Fd<'r>>) -> Reactor<'r, B, L, T> {
        self.eventfd = Some(eventfd.into());
        self.inside.get_mut().has_eventfd = true;
        self
    }

    /// As [`eventfd`](Reactor::eventfd), with one that the reactor keeps open:
    /// an `Arc` of it, or a duplicate.
    #[cfg(feature = "alloc")]
    #[must_use]
    pub fn eventfd_owned(
        mut self,
        eventfd: impl crate::fd::OwnsFd + Send + Sync + 'static,
    ) -> Reactor<'r, B, L, T> {
        // SAFETY: the owner keeps it open until it is dropped, which is with
        // the reactor: nothing is submitted or signalled then any more.
        let borrowed = unsafe { Fd::borrow_raw(eventfd.raw_fd()) };
        // One that was named before stays open, too: an operation whose future
        // was leaked may be staged with it.
        let before = self._eventfd_owner.take();
        self._eventfd_owner = Some(alloc::boxed::Box::new((eventfd, before)));
        self.eventfd(borrowed)
    }

    /// Submits operations together, when [`turn`](Reactor::turn) or
    /// [`wait`](Reactor::wait) is called, instead of each at its future's first
    /// poll: fewer system calls, for an executor that calls one of these
    /// whenever its tasks have nothing more to do. (The eventfd is signalled for
    /// the first operation of each batch.)
    #[must_use]
    pub fn batched(mut self) -> Reactor<'r, B, L, T> {
        self.inside.get_mut().batched = true;
        self
    }

    /// An operation as a future. It begins when the future is first polled and
    /// a slot is free.
    ///
    /// A refusal of the kernel's is its result.
    pub fn run(&self, op: impl Into<Op<'r, B, T>>) -> Running<'_, 'r, B, L, T> {
        let mut op = op.into();
        let mut own = None;
        if let Some(eventfd) = self.eventfd {
            own = op.signals().map(|RawFd(own)| own);
            // One that is no eventfd is left for the kernel to refuse.
            if own.is_none_or(eventfd::is_anonymous) {
                op.signal(eventfd);
            } else {
                own = None;
            }
        }
        let (iocb, payload) = op.prepare();
        Running::new(self, iocb, own, payload)
    }

    /// Submits what is staged, looks at what has ended, without waiting, and
    /// wakes those futures. How many operations that were.
    ///
    /// # Errors
    /// Never from a mapped ring in order. Otherwise those of
    /// [`Context::wait`].
    pub fn turn(&self) -> Result<usize, Errno> {
        self.spread(0, Wait::poll())
    }

    /// How many operations have not ended, as far as anyone has looked.
    pub fn in_flight(&self) -> usize {
        self.with(|inside| {
            let slots = &inside.engine.slots;
            slots.in_flight() + slots.staged()
        })
    }

    /// Waits for what is in flight (its futures are gone), drops what is left,
    /// and gives the context back to be used again.
    ///
    /// # Errors
    /// As [`Context::wait`], but EINTR; and
    /// [`OUTCOME_UNKNOWN`](Errno::OUTCOME_UNKNOWN) where a poll could not be
    /// cancelled, and the context was destroyed to end it. Then the reactor has
    /// been dropped.
    pub fn into_drained(self) -> Result<Drained, Errno> {
        let mut inside = self.inside.into_inner();
        inside.engine.drain()?;
        inside.engine.idle(inside.capacity)
    }

    fn with<R>(&self, f: impl FnOnce(&mut Inside<'r, B, T>) -> R) -> R {
        self.lock.with(|| {
            // SAFETY: alone, by the lock; and not nested: nothing in here
            // calls anything of the user's.
            f(unsafe { &mut *self.inside.get() })
        })
    }

    /// Looks, and then acts on what has happened, outside the lock. One thing
    /// after the other, so that a panic loses nothing: what was not acted on is
    /// in its list.
    fn spread(&self, min_nr: usize, wait: Wait<'_>) -> Result<usize, Errno> {
        let (looked, left) = self.with(|inside| {
            inside.asked = false;
            inside.waiters.pass_on();
            let looked = inside.look(min_nr, wait);
            (looked, inside.engine.slots.done())
        });
        let mut news = News {
            reactor: self,
            left,
            count: 0,
        };
        #[cfg(feature = "std")]
        {
            let mut panics = deferred::Panics::default();
            let mut more = true;
            while more {
                // A panic in between leaves `more` as it is.
                panics.catch(|| {
                    while news.act() {}
                    more = false;
                });
            }
            let count = news.end();
            panics.resume();
            looked.map(|()| count)
        }
        #[cfg(not(feature = "std"))]
        {
            while news.act() {}
            let count = news.end();
            looked.map(|()| count)
        }
    }
}

/// What a turn has to act on.
struct News<'a, 'r, B: Buffer + 'static, L: Lock, T> {
    reactor: &'a Reactor<'r, B, L, T>,
    /// Operations that have ended and were not told of. Those that end
    /// meanwhile are for the next turn, or a waker that begins another could
    /// keep this one busy for ever.
    left: usize,
    count: usize,
}

impl<B: Buffer + 'static, L: Lock, T> News<'_, '_, B, L, T> {
    /// Acts on one thing. `false`: there is nothing more.
    fn act(&mut self) -> bool {
        let (left, count) = (&mut self.left, &mut self.count);
        let (notice, own) = self.reactor.with(|inside| inside.notice(left, count));
        Signals {
            reactor: false,
            own,
        }
        .send(None);
        match notice {
            None => false,
            Some(Notice::Nothing) => true,
            Some(Notice::Wake(waker)) => {
                waker.wake();
                true
            }
            Some(Notice::Drop(buffer, data, waker)) => {
                drop((buffer, data, waker));
                true
            }
        }
    }

    /// How many operations that were.
    fn end(self) -> usize {
        self.count
        // What else is to be done at the end, `drop` does.
    }
}

impl<B: Buffer + 'static, L: Lock, T> Drop for News<'_, '_, B, L, T> {
    fn drop(&mut self) {
        let signals = Signals {
            reactor: self.reactor.with(|inside| {
                // Not told of because of a panic, or ended meanwhile.
                inside.refused = self.left > 0 || inside.refused;
                let asks = inside.asks_for_turn();
                inside.refused &= inside.engine.slots.done() > 0;
                asks
            }),
            own: None,
        };
        signals.send(self.reactor.eventfd);
    }
}

impl<'r, B: Buffer + 'static, L: Lock> Reactor<'r, B, L> {
    /// Reads into `buffer`, from `offset` in bytes. For flags, priorities, data
    /// and owned descriptors: [`run`](Reactor::run) with a [`Read`].
    pub fn read(&self, fd: impl Into<Fd<'r>>, buffer: B, offset: u64) -> Running<'_, 'r, B, L>
    where
        B: BufferMut,
    {
        self.run(Read::new(fd, buffer).offset(offset))
    }

    /// Writes `buffer` at `offset` in bytes. For flags, priorities, data and
    /// owned descriptors: [`run`](Reactor::run) with a [`Write`].
    pub fn write(&self, fd: impl Into<Fd<'r>>, buffer: B, offset: u64) -> Running<'_, 'r, B, L> {
        self.run(Write::new(fd, buffer).offset(offset))
    }

    /// Syncs a file: its data and metadata, as far as writes are done.
    pub fn fsync(&self, fd: impl Into<Fd<'r>>) -> Running<'_, 'r, B, L> {
        self.run(FSync::new(fd))
    }

    /// Syncs a file's data, as far as writes are done.
    pub fn fdsync(&self, fd: impl Into<Fd<'r>>) -> Running<'_, 'r, B, L> {
        self.run(FDSync::new(fd))
    }

    /// Waits until a descriptor is ready; the result is what for:
    /// [`PollMask::from_result`].
    pub fn poll(&self, fd: impl Into<Fd<'r>>, mask: PollMask) -> Running<'_, 'r, B, L> {
        self.run(Poll::new(fd, mask))
    }
}

impl<B: Buffer + 'static, T> Reactor<'_, B, Local, T> {
    /// Submits what is staged, waits as `wait` says until something has ended,
    /// and wakes those futures. How many operations that were: 0 also where
    /// nothing is in flight, without waiting, or where a task that was to get a
    /// slot has not come for it.
    ///
    /// # Errors
    /// As [`Context::wait_with`]: EINTR after a signal. Nothing is lost by it.
    pub fn wait(&self, wait: Wait<'_>) -> Result<usize, Errno> {
        self.spread(1, wait)
    }
}

impl<B: Buffer + 'static, T> Inside<'_, B, T> {
    fn flush(&mut self) {
        // SAFETY: `Reactor::run` is the only way in: each iocb is of a
        // `Buffer`'s region, and the buffer is in the slot, out of reach, until
        // the operation has ended; it lives for ever (`'static`) if the
        // reactor is leaked. Its descriptor is borrowed for `'r`, or owned by
        // the data in the slot.
        self.refused |= unsafe { self.engine.flush() };
    }

    /// Submits what is staged, and looks at what has ended, if need be after a
    /// wait for `min_nr` more.
    fn look(&mut self, min_nr: usize, wait: Wait<'_>) -> Result<(), Errno> {
        self.flush();
        // What a refusal, or somebody's poll, has ended already is news enough;
        // and a claim to a slot that nobody comes for must be passed on.
        let known = self.engine.slots.done();
        let news = known > 0 || self.waiters.needs_turn();
        let wait = if news { Wait::poll() } else { wait };
        // SAFETY: as in `flush`.
        unsafe { self.engine.submit_and_wait(known + min_nr, wait) }?;
        while self.engine.slots.in_flight() > 0 {
            let known = self.engine.slots.done();
            if self.engine.wait(0, Wait::poll())? == known {
                break;
            }
        }
        // What the kernel had no room for, as there may be some now.
        self.flush();
        Ok(())
    }

    /// The first thing that has happened and was not acted on; `left` counts
    /// the operations that are to be told of. With it, an operation's own
    /// eventfd that is to be signalled.
    fn notice(
        &mut self,
        left: &mut usize,
        count: &mut usize,
    ) -> (Option<Notice<B, T>>, Option<i32>) {
        if let Some(waker) = self.call() {
            return (Some(Notice::Wake(waker)), None);
        }
        if *left == 0 {
            return (None, None);
        }
        let Some(at) = self.engine.slots.tell_done() else {
            *left = 0;
            return (None, None);
        };
        *left -= 1;
        *count += 1;
        let awaited = self.engine.slots.extra(at);
        let own = awaited.own_eventfd.take();
        if awaited.dropped {
            self.engine.slots.take_done_at(at);
            let ended = self.engine.slots.release(at);
            let (buffer, data) = ended.payload;
            return (Some(Notice::Drop(buffer, data, ended.extra.waker)), own);
        }
        let notice = awaited.waker.take().map_or(Notice::Nothing, Notice::Wake);
        (Some(notice), own)
    }

    /// The waker of a task that waits for a slot, and for which one is free.
    fn call(&mut self) -> Option<Waker> {
        if self.waiters.is_empty() {
            return None;
        }
        let free = self.engine.slots.free();
        self.waiters.call(free)
    }

    /// Whether the eventfd must be signalled, as nothing that the kernel does
    /// may ever make it readable: for an operation that is staged, a refusal
    /// that somebody else has met, a claim that nobody comes for.
    fn asks_for_turn(&mut self) -> bool {
        if self.asked || !self.has_eventfd {
            return false;
        }
        let slots = &self.engine.slots;
        self.asked =
            slots.staged() > 0 || (self.refused && slots.done() > 0) || self.waiters.needs_turn();
        self.asked
    }
}

impl<B: Buffer + 'static, L: Lock, T> fmt::Debug for Reactor<'_, B, L, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reactor")
            .field("in_flight", &self.in_flight())
            .finish_non_exhaustive()
    }
}
