//! [`Queue`]: operations that own their buffers.

use core::fmt;

use crate::buffer::IoBuf;
use crate::completion::{Completion, Full, result};
#[cfg(doc)]
use crate::context::Context;
use crate::context::IdleContext;
use crate::context::SubmitError;
use crate::context::WaitOptions;
use crate::engine::{ContextBackend, Engine, OpState, Slot, SlotOffset, Ticket};
use crate::op::Op;
use crate::sys::errno::Errno;

/// Operations in flight that own their buffers, in slots of the caller's, with
/// no allocation. All of it is safe: a buffer goes into the queue with its
/// operation, is out of reach while the kernel has it, and comes back with the
/// result.
///
/// [`push`](Queue::push) stages an operation, [`submit`](Queue::submit) gives
/// all staged ones to the kernel, 32 with one call, [`wait`](Queue::wait) and
/// [`pop`](Queue::pop) give them back in the order in which they end. Every
/// operation pushed comes back exactly once, by one of these or by
/// [`unstage`](Queue::unstage). `T` is data of the caller's that travels with
/// each operation: the owner of its descriptor, a number, anything.
///
/// # The end
/// Dropping a queue destroys its context, which **blocks until every operation
/// submitted has ended**, and drops the buffers then. What was only staged is
/// not submitted: [`drain`](Queue::drain) it. Should that be impossible (a forked
/// child; the ring was unmapped), the buffers are leaked rather than freed. A
/// queue that is leaked (`mem::forget`) leaks its buffers and the context; the
/// slots may be used again. [`into_idle_context`](Queue::into_idle_context) ends one in
/// microseconds.
///
/// # Fork
/// A forked child has no part in its parent's queues. Dropping one there ends
/// nothing, and leaks the buffers of what was in flight. Where there is something
/// to submit, to wait for or to take, the answer is EINVAL (see [`Context`]).
///
/// # Examples
/// ```
/// use linux_aio::op::Read;
/// use linux_aio::{Errno, Queue, Slot};
/// use std::fs::File;
///
/// # #[cfg(not(feature = "std"))] fn main() {}
/// # #[cfg(feature = "std")] fn main() -> Result<(), Errno> {
/// # if let Err(Errno::NOSYS) = linux_aio::Context::new(1) { return Ok(()) }
/// let file = File::open("/proc/self/exe").unwrap();
/// let memory: &'static mut [u8; 4096] = Box::leak(Box::new([0; 4096]));
/// let (first, second) = memory.split_at_mut(2048);
///
/// let mut slots = Slot::<&mut [u8]>::array::<8>();
/// let mut queue = Queue::new(&mut slots)?;
/// queue.push(Read::new(&file, first)).unwrap();
/// queue.push(Read::new(&file, second).offset(2048)).unwrap();
/// // Submits both with one call, and waits.
/// while let Some(done) = queue.wait()? {
///     let bytes = done.result?;
///     let buffer = done.buffer.unwrap();
///     println!("{:x?}", &buffer[..bytes.min(4)]);
/// }
/// # Ok(())
/// # }
/// ```
pub struct Queue<'q, B: IoBuf + 'static, T = ()> {
    engine: Engine<'q, (Option<B>, T), (), ContextBackend>,
    /// What the context was set up for, which may be more than the slots.
    capacity: u32,
}

impl<'q, B: IoBuf + 'static, T> Queue<'q, B, T> {
    /// A queue in these slots, with a context of its own for as many
    /// operations.
    ///
    /// # Errors
    /// As [`Context::new`]; EINVAL for no slots, or millions.
    pub fn new(slots: &'q mut [Slot<B, T>]) -> Result<Queue<'q, B, T>, Errno> {
        let nr = u32::try_from(slots.len()).map_err(|_| Errno::INVAL)?;
        Ok(Queue::with_context(IdleContext::new(nr)?, slots))
    }

    /// A queue in these slots, on a context that is there already. Only as many
    /// slots are used as the context was set up for.
    pub fn with_context(drained: IdleContext, slots: &'q mut [Slot<B, T>]) -> Queue<'q, B, T> {
        let capacity = drained.capacity();
        let len = slots.len().min(capacity);
        Queue {
            capacity: capacity as u32,
            engine: Engine::new(&mut slots[..len], drained.into_backend()),
        }
    }

    /// Stages an operation: it waits in its slot for [`submit`](Queue::submit),
    /// or for one of the calls that wait, which submit what is staged.
    ///
    /// A borrowed descriptor outlives the queue.
    ///
    /// # Errors
    /// Every slot is taken; the operation comes back.
    #[inline]
    pub fn push(&mut self, op: impl Into<Op<'q, B, T>>) -> Result<Ticket, Full<Op<'q, B, T>>> {
        let op = op.into();
        if self.engine.slots.is_full() {
            return Err(Full(op));
        }
        let (iocb, payload) = op.prepare();
        Ok(self.engine.slots.stage(&iocb, payload, ()))
    }

    /// Submits the staged operations in order, with as few `io_submit(2)` as
    /// it takes. How many went. Buffered file I/O runs inside this call.
    ///
    /// # Errors
    /// How many were taken, and why the next was not, as
    /// [`Context::submit`] tells it. That one and all behind it stay staged, in
    /// order: after EAGAIN (no room) take some completions and submit again;
    /// after anything else [`unstage`](Queue::unstage) the one refused, or
    /// every submission begins with it.
    #[inline]
    pub fn submit(&mut self) -> Result<usize, SubmitError> {
        // SAFETY: `push` is the only way in: each iocb is of a `IoBuf`'s
        // region, and the buffer is in the slot, out of reach, until the
        // operation has ended; it lives for ever (`'static`) if the queue is
        // leaked. Its descriptor is borrowed for `'q`, or owned by the data in
        // the slot.
        unsafe { self.engine.submit() }
    }

    /// Takes the first of the staged operations back, with its buffer and its
    /// data. Its ticket is dead.
    pub fn unstage(&mut self) -> Option<(Ticket, Option<B>, T)> {
        let at = self.engine.slots.unstage_first()?;
        let released = self.engine.slots.release(at);
        let (buffer, data) = released.payload;
        Some((released.ticket, buffer, data))
    }

    /// A completion, if there is one. No system call where the ring is mapped.
    ///
    /// # Errors
    /// Never from a mapped ring in order. Otherwise those of
    /// [`Context::wait`].
    #[inline(always)]
    pub fn pop(&mut self) -> Result<Option<Completion<B, T>>, Errno> {
        let ended = match self.engine.pop() {
            Some(ended) => ended,
            None => {
                self.engine.poll_via_syscall()?;
                self.engine.slots.take_done()
            }
        };
        Ok(ended.map(|(at, res)| self.complete(at, res)))
    }

    /// Waits for a completion, for ever: signals do not end it. `None`: there is
    /// no operation to wait for.
    ///
    /// Where it would have to wait it submits what is staged, in order. An
    /// operation that the kernel refuses then comes back as a completion, with
    /// the refusal as its result. To be interrupted by signals:
    /// [`wait_with`](Queue::wait_with).
    ///
    /// # Errors
    /// As [`Context::wait`], but EINTR. Nothing is lost by it.
    #[inline(always)]
    pub fn wait(&mut self) -> Result<Option<Completion<B, T>>, Errno> {
        let ended = match self.engine.pop() {
            Some(Some(ended)) => Some(ended),
            Some(None) if self.in_flight() + self.staged() == 0 => None,
            _ => {
                // SAFETY: as in `submit`: what is staged came by `push`, with
                // its buffer and its descriptor.
                unsafe { self.engine.wait_for_one() }?;
                self.engine.slots.take_done()
            }
        };
        Ok(ended.map(|(at, res)| self.complete(at, res)))
    }

    /// Submits what is staged, and waits until [`pop`](Queue::pop) can give at
    /// least `min_nr` completions, as `wait` says: for how long, with which
    /// signal mask. It waits for no more than are in flight, nor for more than 32
    /// at a time. Returns how many `pop` can give: fewer after a signal, or when
    /// the time is over.
    ///
    /// An operation that the kernel refuses is one of the completions.
    ///
    /// # Errors
    /// As [`Context::wait_with`]: EINTR after a signal. Nothing is lost by it.
    pub fn wait_with(&mut self, min_nr: usize, wait: WaitOptions<'_>) -> Result<usize, Errno> {
        // SAFETY: as in `submit`: what is staged came by `push`, with its
        // buffer and its descriptor.
        unsafe { self.engine.submit_and_wait(min_nr, wait) }
    }

    /// Asks for an operation to end early. It comes back as a completion all
    /// the same: a poll with result 0; one that was only staged with
    /// ECANCELED.
    ///
    /// # Errors
    /// - EINVAL: over already, or done and not yet popped, or not of a kind
    ///   that can be cancelled: of what is in flight, only polls can (and
    ///   transfers of some USB gadget drivers).
    /// - ENOSYS: no cancelling here (gVisor).
    pub fn cancel(&mut self, ticket: Ticket) -> Result<(), Errno> {
        self.engine.cancel(ticket)
    }

    /// Whether the operation was pushed and has not been given back.
    pub fn contains(&self, ticket: Ticket) -> bool {
        self.engine.slots.find(ticket).is_some()
    }

    /// Whether the operation is staged and not submitted yet.
    pub fn is_staged(&self, ticket: Ticket) -> bool {
        matches!(self.engine.slots.find(ticket), Some(OpState::Staged(_)))
    }

    /// The number of slots.
    pub fn capacity(&self) -> usize {
        self.engine.slots.len()
    }

    /// How many operations wait to be submitted.
    pub fn staged(&self) -> usize {
        self.engine.slots.staged()
    }

    /// How many operations are the kernel's, or have ended and were not looked
    /// at yet.
    pub fn in_flight(&self) -> usize {
        self.engine.slots.in_flight()
    }

    /// Submits what is staged, and waits until nothing is in flight;
    /// [`pop`](Queue::pop) gives the completions then. Polls are cancelled. A
    /// signal does not end it.
    ///
    /// Where a poll cannot be cancelled (gVisor, a sandbox), everything else is
    /// waited for, and then the context is destroyed: the poll's result is
    /// [`OUTCOME_UNKNOWN`](Errno::OUTCOME_UNKNOWN), and what is pushed later is
    /// refused with EINVAL.
    ///
    /// # Errors
    /// As [`Context::wait`], but EINTR.
    pub fn drain(&mut self) -> Result<(), Errno> {
        loop {
            // SAFETY: as in `submit`: what is staged came by `push`, with its
            // buffer and its descriptor.
            unsafe { self.engine.flush() };
            self.engine.drain()?;
            // What the kernel had no room for has its turn now that it has.
            if self.staged() == 0 {
                return Ok(());
            }
        }
    }

    /// [Drains](Queue::drain) the queue, what is staged included, drops what is
    /// left in it, and gives the context back to be used again: in
    /// microseconds, where destroying it would take tens of milliseconds.
    ///
    /// # Errors
    /// As [`drain`](Queue::drain), and
    /// [`OUTCOME_UNKNOWN`](Errno::OUTCOME_UNKNOWN) where the context had to be
    /// destroyed; then the queue has been dropped.
    ///
    /// # Panics
    /// If a destructor of a buffer or of data panics. The context is destroyed
    /// then.
    pub fn into_idle_context(mut self) -> Result<IdleContext, Errno> {
        let drained = self.drain();
        let idle = drained.and_then(|()| self.engine.idle(self.capacity));
        // User code, while `idle` is a local variable: a panic would leak the
        // return value (rust-lang/rust#47949).
        drop(self);
        idle
    }

    #[inline]
    fn complete(&mut self, at: SlotOffset, res: i64) -> Completion<B, T> {
        let released = self.engine.slots.release(at);
        let (buffer, data) = released.payload;
        Completion {
            ticket: released.ticket,
            buffer,
            data,
            result: result(res),
        }
    }
}

impl<B: IoBuf + 'static, T> fmt::Debug for Queue<'_, B, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("context", &self.engine.backend)
            .field("slots", &self.capacity())
            .field("staged", &self.staged())
            .field("in_flight", &self.in_flight())
            .finish_non_exhaustive()
    }
}
