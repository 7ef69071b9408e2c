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
//! A future that is dropped lets its operation go on; the buffer is the
//! reactor's until the kernel has let go of it, and is dropped then. Polls, and
//! what was not submitted yet, are cancelled.

mod lock;
mod room;
mod running;

use core::cell::UnsafeCell;
use core::fmt;
use core::task::Waker;

use crate::buffer::{Buffer, BufferMut};
#[cfg(doc)]
use crate::context::Context;
use crate::drained::Drained;
use crate::engine::{At, Engine, Extra, Reaper, Slot};
use crate::errno::Errno;
use crate::op::{FDSync, FSync, Op, Poll, Read, Write};
use crate::opcode::{Fd, PollMask};
use crate::wait::Wait;

#[cfg(feature = "std")]
pub use lock::Shared;
pub use lock::{Local, Lock};
use room::Room;
pub use running::Running;

/// Who is to be woken by an operation.
pub struct Awaited {
    waker: Option<Waker>,
    /// The future is gone.
    dropped: bool,
}

impl Extra for Awaited {
    const NEW: Awaited = Awaited {
        waker: None,
        dropped: false,
    };
}

/// The slot of an operation of a [`Reactor`].
pub type ReactorSlot<B> = Slot<B, Awaited>;

/// A context, the operations in it, and the futures that wait for them.
///
/// Dropping it destroys the context, which **blocks until every operation has
/// ended**; all its futures are gone by then.
///
/// # Examples
/// ```
/// use linux_aio::reactor::{Reactor, ReactorSlot};
/// use linux_aio::{Errno, Wait};
/// use std::task::{Context, Poll, Waker};
/// use std::{fs::File, os::fd::AsRawFd, pin::pin};
///
/// # if let Err(Errno::NOSYS) = linux_aio::Context::new(1) { return Ok(()) }
/// let file = File::open("Cargo.toml").unwrap();
/// let memory: &'static mut [u8] = Box::leak(Box::new([0; 11]));
///
/// let mut slots = ReactorSlot::array::<8>();
/// let reactor = Reactor::<&mut [u8]>::new(&mut slots)?;
/// let mut task = pin!(reactor.read(file.as_raw_fd(), memory, 0));
/// // The smallest executor: one task, and nothing but the reactor to wait for.
/// let done = loop {
///     if let Poll::Ready(done) = task.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
///         break done;
///     }
///     reactor.wait(Wait::new())?;
/// };
/// assert_eq!(done.result?, 11);
/// assert_eq!(done.buffer.unwrap(), b"[workspace]");
/// # Ok::<(), Errno>(())
/// ```
pub struct Reactor<'s, B: Buffer + 'static, L: Lock = Local> {
    lock: L,
    inside: UnsafeCell<Inside<'s, B>>,
    eventfd: Option<Fd>,
    batched: bool,
}

struct Inside<'s, B> {
    engine: Engine<'s, B, Awaited, Reaper>,
    /// What the context was set up for, which may be more than the slots.
    capacity: u32,
    room: Room,
}

// SAFETY: the places that `room` links are only touched under the lock, and
// none is left when the reactor can be moved: a future borrows it.
unsafe impl<B: Buffer + Send + 'static, L: Lock + Send> Send for Reactor<'_, B, L> {}
// SAFETY: `inside` is reached under the lock alone, which keeps threads apart.
unsafe impl<B: Buffer + Send + 'static, L: Lock + Sync> Sync for Reactor<'_, B, L> {}

/// What is done about an operation that has ended, outside the lock.
enum News<B> {
    Wake(Waker),
    Drop(Option<B>),
}

/// As much is told with one turn of the lock.
const NEWS: usize = 16;

impl<'s, B: Buffer + 'static, L: Lock> Reactor<'s, B, L> {
    /// A reactor in these slots, with a context of its own for as many
    /// operations.
    ///
    /// # Errors
    /// As [`Context::new`]; EINVAL for no slots, or millions.
    pub fn new(slots: &'s mut [ReactorSlot<B>]) -> Result<Reactor<'s, B, L>, Errno> {
        let nr = u32::try_from(slots.len()).map_err(|_| Errno::INVAL)?;
        Ok(Reactor::on(Drained::new(nr)?, slots))
    }

    /// A reactor on a context that is there already. Only as many slots are
    /// used as that was set up for.
    pub fn on(drained: Drained, slots: &'s mut [ReactorSlot<B>]) -> Reactor<'s, B, L> {
        let capacity = drained.capacity();
        let len = slots.len().min(capacity);
        Reactor {
            lock: L::NEW,
            inside: UnsafeCell::new(Inside {
                engine: Engine::new(&mut slots[..len], drained.into_reaper()),
                capacity: capacity as u32,
                room: Room::new(),
            }),
            eventfd: None,
            batched: false,
        }
    }

    /// Signals this eventfd whenever an operation has ended; then
    /// [`turn`](Reactor::turn) has something to do.
    #[must_use]
    pub fn eventfd(mut self, eventfd: impl Into<Fd>) -> Reactor<'s, B, L> {
        self.eventfd = Some(eventfd.into());
        self
    }

    /// Submits operations together, when [`turn`](Reactor::turn) or
    /// [`wait`](Reactor::wait) is called, instead of each at its future's first
    /// poll: fewer system calls, for an executor that calls one of these
    /// whenever its tasks have nothing more to do.
    #[must_use]
    pub fn batched(mut self) -> Reactor<'s, B, L> {
        self.batched = true;
        self
    }

    /// An operation as a future. It begins when the future is first polled and
    /// a slot is free.
    ///
    /// A refusal of the kernel's is its result.
    pub fn run(&self, op: impl Into<Op<B>>) -> Running<'_, 's, B, L> {
        let mut op = op.into();
        op.signal(self.eventfd);
        let (iocb, buffer) = op.prepare();
        Running::new(self, iocb, buffer)
    }

    /// Reads into `buffer`, from `offset` in bytes. For flags and priorities:
    /// [`run`](Reactor::run) with a [`Read`].
    pub fn read(&self, fd: impl Into<Fd>, buffer: B, offset: u64) -> Running<'_, 's, B, L>
    where
        B: BufferMut,
    {
        self.run(Read::new(fd, buffer).offset(offset))
    }

    /// Writes `buffer` at `offset` in bytes. For flags and priorities:
    /// [`run`](Reactor::run) with a [`Write`].
    pub fn write(&self, fd: impl Into<Fd>, buffer: B, offset: u64) -> Running<'_, 's, B, L> {
        self.run(Write::new(fd, buffer).offset(offset))
    }

    /// Syncs a file: its data and metadata, as far as writes are done.
    pub fn fsync(&self, fd: impl Into<Fd>) -> Running<'_, 's, B, L> {
        self.run(FSync::new(fd))
    }

    /// Syncs a file's data, as far as writes are done.
    pub fn fdsync(&self, fd: impl Into<Fd>) -> Running<'_, 's, B, L> {
        self.run(FDSync::new(fd))
    }

    /// Waits until a descriptor is ready; the result is what for:
    /// [`PollMask::from_result`].
    pub fn poll(&self, fd: impl Into<Fd>, mask: PollMask) -> Running<'_, 's, B, L> {
        self.run(Poll::new(fd, mask))
    }

    /// Submits what is staged, looks at what has ended, without waiting, and
    /// wakes those futures. How many operations that were.
    ///
    /// # Errors
    /// Never from a mapped ring in order. Otherwise those of
    /// [`Context::wait`].
    pub fn turn(&self) -> Result<usize, Errno> {
        self.spread(|inside| inside.look(0, Wait::poll()))
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
    /// As [`Context::wait`], but EINTR; then the reactor has been dropped.
    pub fn into_drained(self) -> Result<Drained, Errno> {
        let mut inside = self.inside.into_inner();
        inside.engine.drain()?;
        Ok(Drained::from_reaper(inside.engine.take(), inside.capacity))
    }

    fn with<R>(&self, f: impl FnOnce(&mut Inside<'s, B>) -> R) -> R {
        self.lock.with(|| {
            // SAFETY: alone, by the lock; and not nested: nothing in here
            // calls anything of the user's.
            f(unsafe { &mut *self.inside.get() })
        })
    }

    /// Looks, and then acts on the news outside the lock.
    fn spread(
        &self,
        look: impl FnOnce(&mut Inside<'s, B>) -> Result<(), Errno>,
    ) -> Result<usize, Errno> {
        let looked = self.with(look);
        let mut count = 0;
        loop {
            let mut news = [const { None }; NEWS];
            let (ended, more) = self.with(|inside| inside.news(&mut news));
            for news in news.iter_mut().map_while(Option::take) {
                match news {
                    News::Wake(waker) => waker.wake(),
                    News::Drop(buffer) => drop(buffer),
                }
            }
            count += ended;
            if !more {
                return looked.map(|()| count);
            }
        }
    }
}

impl<B: Buffer + 'static> Reactor<'_, B, Local> {
    /// Submits what is staged, waits as `wait` says until something has ended,
    /// and wakes those futures. How many operations that were: 0 also where
    /// nothing is in flight, without waiting.
    ///
    /// # Errors
    /// As [`Context::wait_with`]: EINTR after a signal. Nothing is lost by it.
    pub fn wait(&self, wait: Wait<'_>) -> Result<usize, Errno> {
        self.spread(|inside| {
            let known = inside.engine.slots.done();
            inside.look(known + 1, wait)
        })
    }
}

impl<B: Buffer + 'static> Inside<'_, B> {
    fn flush(&mut self) {
        // SAFETY: `Reactor::run` is the only way in: each iocb is of a
        // `Buffer`'s region, and the buffer is in the slot, out of reach, until
        // the operation has ended; it lives for ever (`'static`) if the
        // reactor is leaked.
        unsafe { self.engine.flush() }
    }

    fn look(&mut self, min_nr: usize, wait: Wait<'_>) -> Result<(), Errno> {
        self.flush();
        // What a refusal, or somebody's poll, has ended already is news enough.
        let news = self.engine.slots.done() > 0;
        let wait = if news { Wait::poll() } else { wait };
        self.engine.wait(min_nr, wait)?;
        while self.engine.slots.in_flight() > 0 {
            let known = self.engine.slots.done();
            if self.engine.wait(0, Wait::poll())? == known {
                break;
            }
        }
        Ok(())
    }

    /// What is done, and whom it concerns: how many operations are told of at
    /// the front of `news`, and whether there are more.
    fn news(&mut self, news: &mut [Option<News<B>>; NEWS]) -> (usize, bool) {
        let (mut count, mut places) = (0, news.iter_mut());
        // An operation has one piece of news, or two.
        while places.len() >= 2 {
            let Some(at) = self.engine.slots.tell_done() else {
                return (count, false);
            };
            count += 1;
            let mut tell = |news| {
                if let Some(place) = places.next() {
                    *place = Some(news);
                }
            };
            let awaited = self.engine.slots.extra(at);
            if awaited.dropped {
                tell(News::Drop(self.take(at).1));
                if let Some(waker) = self.room.call() {
                    tell(News::Wake(waker));
                }
            } else if let Some(waker) = awaited.waker.take() {
                tell(News::Wake(waker));
            }
        }
        (count, self.engine.slots.done() > 0)
    }

    /// The result and the buffer of a done operation, whose slot is free then.
    fn take(&mut self, at: At) -> (i64, Option<B>) {
        let res = self.engine.slots.take_done_at(at);
        (res, self.engine.slots.release(at).buffer)
    }
}

impl<B: Buffer + 'static, L: Lock> fmt::Debug for Reactor<'_, B, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reactor")
            .field("in_flight", &self.in_flight())
            .finish_non_exhaustive()
    }
}
