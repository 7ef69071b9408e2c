//! [`Queue`]: asynchronous operations that own their buffers.
//!
//! The owner stages operations, submits them in batches, and takes their completions. A
//! buffer moves into its slot with [`push`](Queue::push) and out of it with the
//! completion.
//!
//! # Invariants
//! - The iocb of a staged or submitted operation describes only memory of the buffer in
//!   the same slot. The buffer is inaccessible until the operation has completed.
//! - Each operation pushed comes back exactly once.
//! - User code runs only while the engine is not borrowed: see
//!   [`engine`](crate::engine).

use core::fmt;

use crate::buffer::IoBuf;
use crate::completion::{Completion, Full, fill, is_refusal, result};
#[cfg(doc)]
use crate::context::Context;
use crate::context::IdleContext;
use crate::context::SubmitError;
use crate::context::WaitOptions;
use crate::engine::{ContextBackend, Engine, OpState, Released, SlotOffset, Ticket, slot_type};
use crate::op::Op;
use crate::ring::Polled;
use crate::sys::errno::Errno;

slot_type! {
    /// The storage of one operation of a [`Queue`], with space for its buffer `B` and for
    /// data `T` that the caller chooses.
    ///
    /// Dropping a slot does not drop what is in it: if the queue was leaked, the kernel
    /// may still be writing to the buffer.
    ///
    /// ```
    /// let slots = linux_aio::Slot::<Box<[u8]>>::array::<64>();
    /// assert_eq!(slots.len(), 64);
    ///
    /// // A depth that is known at run time only, in memory from anywhere.
    /// # let depth = 7;
    /// let mut memory = [const { std::mem::MaybeUninit::uninit() }; 64];
    /// let slots = linux_aio::Slot::<&'static mut [u8]>::init_slice(&mut memory[..depth]);
    /// assert_eq!(slots.len(), depth);
    /// ```
    Slot<B, T = ()> = (Option<B>, T), ();
}

/// A queue of asynchronous operations that own their buffers.
///
/// The queue keeps its operations in slots that the caller provides, and allocates
/// nothing. Its interface is safe: a buffer moves into the queue with its operation, is
/// inaccessible while the kernel uses it, and is returned with the result.
///
/// [`push`](Queue::push) stages an operation. [`submit`](Queue::submit) submits all
/// staged operations, up to 32 with each system call. [`wait`](Queue::wait) and
/// [`pop`](Queue::pop) return the completions in order of completion. Every operation
/// pushed comes back exactly once, by one of these or by [`unstage`](Queue::unstage).
/// `T` is a value that travels with each operation: the owner of its descriptor, a
/// number, anything.
///
/// # Dropping
/// Dropping a queue destroys its context, which **blocks until every submitted
/// operation has completed**, and then drops the buffers. Operations that were only
/// staged are not submitted: call [`drain`](Queue::drain) to complete them. If the
/// context cannot be destroyed (in a forked child, or after the ring was unmapped), the
/// buffers are leaked rather than freed. A queue that is leaked (`mem::forget`) leaks
/// its buffers and the context; the slots may be used again.
/// [`into_idle_context`](Queue::into_idle_context) closes a queue in microseconds.
///
/// # Fork
/// A forked child cannot use its parent's queues. Dropping a queue there completes no
/// operation, and leaks the buffers of those that were in flight. Where there is
/// something to submit, to wait for or to take, the call fails with EINVAL (see
/// [`Context`]).
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
    pub(crate) engine: Engine<'q, (Option<B>, T), (), ContextBackend>,
    /// The number of operations the context was set up for, which may exceed the number
    /// of slots.
    capacity: u32,
}

impl<'q, B: IoBuf + 'static, T> Queue<'q, B, T> {
    /// Creates a queue in these slots, with a new context for as many operations.
    ///
    /// # Errors
    /// As [`Context::new`]; EINVAL for no slots, or millions.
    pub fn new(slots: &'q mut [Slot<B, T>]) -> Result<Queue<'q, B, T>, Errno> {
        let nr = u32::try_from(slots.len()).map_err(|_| Errno::INVAL)?;
        Ok(Queue::with_context(IdleContext::new(nr)?, slots))
    }

    /// Creates a queue with this number of slots on the heap, which it owns, and a new
    /// context for as many operations.
    ///
    /// A structure can hold such a queue beside the files that its operations own
    /// ([`op`](crate::op), `owned`). Dropping the queue frees the slots; if its context
    /// cannot be destroyed, they are leaked with the buffers in them.
    ///
    /// # Errors
    /// As [`Context::new`]; ENOMEM.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::op::Read;
    /// use linux_aio::{Errno, Queue};
    /// use std::fs::File;
    /// use std::sync::Arc;
    ///
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// # #[cfg(feature = "std")] fn main() -> Result<(), Errno> {
    /// # if let Err(Errno::NOSYS) = linux_aio::Context::new(1) { return Ok(()) }
    /// struct Reader {
    ///     file: Arc<File>,
    ///     queue: Queue<'static, Vec<u8>, Arc<File>>,
    /// }
    ///
    /// let mut reader = Reader {
    ///     file: Arc::new(File::open("/proc/self/exe").unwrap()),
    ///     queue: Queue::with_capacity(128)?,
    /// };
    /// let read = Read::owned(reader.file.clone(), vec![0; 4]);
    /// reader.queue.push(read).unwrap();
    /// let done = reader.queue.wait()?.unwrap();
    /// assert_eq!(done.buffer.unwrap(), b"\x7fELF");
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "alloc")]
    pub fn with_capacity(capacity: u32) -> Result<Queue<'q, B, T>, Errno> {
        let context = IdleContext::new(capacity)?;
        let engine = Engine::with_capacity(context.capacity(), context.into_backend())?;
        Ok(Queue { engine, capacity })
    }

    /// Creates a queue in these slots on an existing context. It uses no more slots
    /// than the number of operations the context was set up for.
    pub fn with_context(context: IdleContext, slots: &'q mut [Slot<B, T>]) -> Queue<'q, B, T> {
        let capacity = context.capacity();
        let len = slots.len().min(capacity);
        Queue {
            capacity: capacity as u32,
            engine: Engine::new(Slot::raw(&mut slots[..len]), context.into_backend()),
        }
    }

    /// Stages an operation. It stays in its slot until [`submit`](Queue::submit), or
    /// one of the calls that wait, submits it.
    ///
    /// A borrowed descriptor outlives the queue.
    ///
    /// # Errors
    /// Every slot is taken. The error contains the operation.
    #[inline]
    pub fn push(&mut self, op: impl Into<Op<'q, B, T>>) -> Result<Ticket, Full<Op<'q, B, T>>> {
        let op = op.into();
        if !self.engine.slots.reserve() {
            return Err(Full(op));
        }
        let (iocb, payload) = op.prepare();
        Ok(self.engine.slots.stage(&iocb, payload, ()))
    }

    /// Submits the staged operations in order, with as few `io_submit(2)` system calls
    /// as possible. Returns the number of operations submitted. Buffered file I/O runs
    /// inside this call.
    ///
    /// # Errors
    /// Returns the number of operations submitted, and the error with which the kernel
    /// refused the next one, as described at [`Context::submit`]. The refused operation
    /// and all behind it stay staged, in order. After EAGAIN (the kernel has no room),
    /// take some completions and submit again. After any other error,
    /// [`unstage`](Queue::unstage) the refused operation; otherwise every submission
    /// begins with it.
    #[inline]
    pub fn submit(&mut self) -> Result<usize, SubmitError> {
        // SAFETY: `push` is the only function that stages. Each iocb describes the
        // region of an `IoBuf`, which is in the slot and inaccessible until the
        // operation has completed. If the queue is leaked, the buffer stays valid: it is
        // `'static`. The descriptor is borrowed for `'q`, or owned by the data in the
        // slot.
        unsafe { self.engine.submit() }
    }

    /// Submits the staged operations as the calls that wait do: one that the kernel refuses
    /// comes back as a completion with the error as its result, and the ones behind it are
    /// submitted. An event loop that waits for an eventfd takes completions afterwards: a
    /// refused operation signals none.
    ///
    /// If the kernel has no room while something is in flight, the rest stays staged.
    pub fn flush(&mut self) {
        // SAFETY: every staged operation was staged by `push`: its iocb describes only
        // the buffer in its slot, which is inaccessible until the operation has
        // completed, and its descriptor is borrowed for `'q` or owned by the slot.
        unsafe { self.engine.flush() };
    }

    /// Removes the first staged operation, and returns its ticket, its buffer and its
    /// data. The ticket is invalidated.
    pub fn unstage(&mut self) -> Option<(Ticket, Option<B>, T)> {
        let at = self.engine.slots.unstage_first()?;
        let released = self.engine.slots.release(at);
        let (buffer, data) = released.payload;
        Some((released.ticket, buffer, data))
    }

    /// Returns the next completion, if there is one. Makes no system call where the
    /// ring is mapped.
    ///
    /// # Errors
    /// None while the ring is mapped and valid. Otherwise those of [`Context::wait`].
    #[inline(always)]
    pub fn pop(&mut self) -> Result<Option<Completion<Option<B>, T>>, Errno> {
        Ok(self.pop_raw()?.map(Taken::into_completion))
    }

    /// Takes the next completion out of its slot. Runs no user code.
    #[inline(always)]
    pub(crate) fn pop_raw(&mut self) -> Result<Option<Taken<B, T>>, Errno> {
        let completed = match self.engine.pop() {
            Polled::Found(completed) => Some(completed),
            Polled::Empty => None,
            Polled::NeedsSyscall => {
                self.engine.poll_via_syscall()?;
                self.engine.slots.pop_completed()
            }
        };
        Ok(completed.map(|(at, res)| self.complete(at, res)))
    }

    /// Waits for a completion without a timeout. Signals do not end the wait. Returns
    /// `None` if there is no operation to wait for.
    ///
    /// Before it blocks, it submits the staged operations in order. An operation that
    /// the kernel refuses then comes back as a completion with the error as its result.
    /// For a wait that signals interrupt, use [`wait_with`](Queue::wait_with).
    ///
    /// # Errors
    /// As [`Context::wait`], except EINTR. No completion is lost by an error.
    #[inline(always)]
    pub fn wait(&mut self) -> Result<Option<Completion<Option<B>, T>>, Errno> {
        let completed = match self.engine.pop() {
            Polled::Found(completed) => Some(completed),
            Polled::Empty if self.in_flight() + self.staged() == 0 => None,
            _ => {
                // SAFETY: every staged operation was staged by `push`: its iocb
                // describes only the buffer in its slot, which is inaccessible until
                // the operation has completed, and its descriptor is borrowed for `'q`
                // or owned by the slot.
                unsafe { self.engine.wait_for_one() }?;
                self.engine.slots.pop_completed()
            }
        };
        Ok(completed.map(|(at, res)| self.complete(at, res).into_completion()))
    }

    /// Submits the staged operations, and waits until [`pop`](Queue::pop) can return at
    /// least `min_nr` completions. `wait` sets the timeout and the signal mask. It
    /// waits for no more operations than are in flight, and for no more than 32 at a
    /// time. Returns the number of completions that `pop` can return: fewer after a
    /// signal, or after the timeout.
    ///
    /// An operation that the kernel refuses is one of the completions.
    ///
    /// # Errors
    /// As [`Context::wait_with`]: EINTR after a signal. No completion is lost by an
    /// error.
    pub fn wait_with(&mut self, min_nr: usize, wait: WaitOptions<'_>) -> Result<usize, Errno> {
        // SAFETY: every staged operation was staged by `push`: its iocb describes only
        // the buffer in its slot, which is inaccessible until the operation has
        // completed, and its descriptor is borrowed for `'q` or owned by the slot.
        unsafe { self.engine.submit_and_wait(min_nr, wait) }
    }

    /// Cancels an operation. The operation still comes back as a completion: a poll
    /// with result 0, an operation that was only staged with ECANCELED.
    ///
    /// # Errors
    /// - EINVAL: the operation has completed, or it is not of a kind that can be
    ///   cancelled. Of the operations in flight, only polls can be cancelled (and
    ///   transfers of some USB gadget drivers).
    /// - ENOSYS: cancelling is unavailable (gVisor).
    pub fn cancel(&mut self, ticket: Ticket) -> Result<(), Errno> {
        self.engine.cancel(ticket)
    }

    /// Returns whether the operation was pushed and has not been returned.
    pub fn contains(&self, ticket: Ticket) -> bool {
        self.engine.slots.find(ticket).is_some()
    }

    /// Returns whether the operation is staged and not submitted yet.
    pub fn is_staged(&self, ticket: Ticket) -> bool {
        matches!(self.engine.slots.find(ticket), Some(OpState::Staged(_)))
    }

    /// Returns the number of slots.
    pub fn capacity(&self) -> usize {
        self.engine.slots.len()
    }

    /// Returns the number of staged operations.
    pub fn staged(&self) -> usize {
        self.engine.slots.staged()
    }

    /// Returns the number of submitted operations whose events have not been taken from
    /// the ring.
    pub fn in_flight(&self) -> usize {
        self.engine.slots.in_flight()
    }

    /// Submits the staged operations, and waits until nothing is in flight. Afterwards
    /// [`pop`](Queue::pop) returns the completions. Polls are cancelled. Signals do not
    /// end the wait.
    ///
    /// Where a poll cannot be cancelled (gVisor, a sandbox), it waits for all other
    /// operations and then destroys the context. The result of the poll is
    /// [`OUTCOME_UNKNOWN`](Errno::OUTCOME_UNKNOWN), and operations pushed later are
    /// refused with EINVAL.
    ///
    /// # Errors
    /// As [`Context::wait`], except EINTR.
    pub fn drain(&mut self) -> Result<(), Errno> {
        loop {
            // SAFETY: every staged operation was staged by `push`: its iocb describes
            // only the buffer in its slot, which is inaccessible until the operation
            // has completed, and its descriptor is borrowed for `'q` or owned by the
            // slot.
            unsafe { self.engine.flush() };
            self.engine.drain()?;
            // The kernel had no room for the operations that are still staged; it has
            // room now.
            if self.staged() == 0 {
                return Ok(());
            }
        }
    }

    /// [Drains](Queue::drain) the queue, including the staged operations, drops the
    /// remaining buffers and data, and returns the context for reuse. This takes
    /// microseconds, where destroying the context would take tens of milliseconds.
    ///
    /// # Errors
    /// As [`drain`](Queue::drain), and [`OUTCOME_UNKNOWN`](Errno::OUTCOME_UNKNOWN) if
    /// the context had to be destroyed. In that case the queue has been dropped.
    ///
    /// # Panics
    /// If a destructor of a buffer or of data panics. The context is destroyed in that
    /// case.
    pub fn into_idle_context(mut self) -> Result<IdleContext, Errno> {
        let drained = self.drain();
        let idle = drained.and_then(|()| self.engine.idle(self.capacity));
        // User code runs in this drop. `idle` is a local variable meanwhile: a panic
        // would leak a return value (rust-lang/rust#47949).
        drop(self);
        idle
    }

    #[inline]
    fn complete(&mut self, at: SlotOffset, res: i64) -> Taken<B, T> {
        let is_read = B::GROWS && self.engine.slots.iocb(at).is_read();
        let released = self.engine.slots.release(at);
        Taken {
            released,
            is_read,
            res,
        }
    }
}

/// The contents of the slot of a completed operation.
pub(crate) struct Taken<B, T> {
    released: Released<(Option<B>, T), ()>,
    is_read: bool,
    res: i64,
}

impl<B: IoBuf, T> Taken<B, T> {
    /// Returns the completion. A buffer that grows is filled here, which is user code.
    #[inline(always)]
    pub(crate) fn into_completion(self) -> Completion<Option<B>, T> {
        let (mut buffer, data) = self.released.payload;
        let (result, refused) = (result(self.res), is_refusal(self.res));
        fill(&mut buffer, self.is_read, result);
        Completion {
            ticket: self.released.ticket,
            buffer,
            data,
            result,
            refused,
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
