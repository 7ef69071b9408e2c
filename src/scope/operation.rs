//! [`ScopedOp`]: one operation of a scope.

use core::cell::RefCell;
use core::fmt;
use core::marker::PhantomData;
use core::mem::{ManuallyDrop, MaybeUninit};

use super::{Detached, ScopeEngine, flush, flush_staged, force_completion};
use crate::buffer::IoBuf;
use crate::completion::{Completion, fill, is_refusal, refusal, result};
use crate::context::WaitOptions;
use crate::engine::{OpState, SlotOffset, Ticket};
use crate::op::{BufferKind, WithBuffer};
use crate::sys::errno::Errno;

/// An operation that was begun in a [`Scope`](super::Scope), with the borrow of its
/// buffer.
///
/// Dropping it does not stop the operation, which completes at the scope's end at the
/// latest. A borrowed buffer stays borrowed until then. An owned buffer and the data are
/// leaked, unless the operation has completed: a file that the operation
/// [owns](crate::op::Read::owned) is not closed then.
///
/// # Examples
/// ```
/// use linux_aio::{Errno, ScopeSlot, scope};
/// use std::fs::File;
///
/// # #[cfg(not(feature = "std"))] fn main() {}
/// # #[cfg(feature = "std")] fn main() -> Result<(), Errno> {
/// # if let Err(Errno::NOSYS) = linux_aio::Context::new(1) { return Ok(()) }
/// let file = File::open("/proc/self/exe").unwrap();
/// let mut buffer = [0_u8; 4];
/// scope(&mut ScopeSlot::array::<1>(), |s| {
///     let read = s.read(&file, &mut buffer, 0).unwrap();
///     while !read.is_finished() {
///         // Other work.
///     }
///     let done = read.wait();
///     assert_eq!(done.result, Ok(4));
///     // The completion returns the borrow of the buffer.
///     assert_eq!(done.buffer, b"\x7fELF");
/// })?;
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping it lets the operation go on by itself"]
pub struct ScopedOp<'scope, B, T = (), K: BufferKind = WithBuffer> {
    engine: &'scope RefCell<ScopeEngine>,
    /// [`Ticket::NONE`] if the operation was refused because the last slot was taken while
    /// it was begun.
    ticket: Ticket,
    /// A read, of a buffer that grows.
    fills: bool,
    /// Possibly uninitialised bytes, so that moving them makes no claim about the
    /// memory that the kernel accesses.
    payload: MaybeUninit<(Option<B>, T)>,
    kind: PhantomData<fn() -> K>,
}

impl<'scope, B, T, K: BufferKind> ScopedOp<'scope, B, T, K> {
    /// Creates an operation of the kind `K`.
    ///
    /// # Safety
    /// The payload is that of an operation of this kind.
    pub(super) unsafe fn new(
        engine: &'scope RefCell<ScopeEngine>,
        ticket: Ticket,
        fills: bool,
        payload: MaybeUninit<(Option<B>, T)>,
    ) -> ScopedOp<'scope, B, T, K> {
        ScopedOp {
            engine,
            ticket,
            fills,
            payload,
            kind: PhantomData,
        }
    }

    /// Waits until the operation has completed, and returns its completion.
    ///
    /// Before it blocks, it submits all operations that were begun. There is no timeout,
    /// and signals do not interrupt it: use [`Scope::wait_with`](super::Scope::wait_with)
    /// for a wait with a timeout, or one that signals interrupt.
    ///
    /// If waiting fails (a sandbox forbids the system calls), the context is destroyed,
    /// and the operations in flight have the result
    /// [`OUTCOME_UNKNOWN`](Errno::OUTCOME_UNKNOWN). If it cannot be destroyed, the process
    /// is aborted: see [`scope()`](crate::scope()).
    ///
    /// # Examples
    /// ```
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
    /// use linux_aio::op::Write;
    /// use linux_aio::{ScopeSlot, scope};
    /// use std::fs::File;
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let file = File::create("/dev/null").unwrap();
    /// scope(&mut ScopeSlot::array::<1>(), |s| {
    ///     let write = Write::new(&file, b"hello".to_vec()).data("greeting");
    ///     let done = s.push(write).unwrap().wait();
    ///     assert_eq!((done.result, done.data), (Ok(5), "greeting"));
    ///     // An owned buffer is returned.
    ///     assert_eq!(done.buffer, b"hello");
    /// })?;
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "aio_suspend")]
    pub fn wait(self) -> Completion<K::Buffer<B>, T>
    where
        B: IoBuf,
    {
        let res = wait_for(self.engine, self.ticket);
        let mut this = ManuallyDrop::new(self);
        let payload = core::mem::replace(&mut this.payload, MaybeUninit::uninit());
        // SAFETY: `Scope::push` wrote the payload, and it is read only here. The operation
        // has completed or was refused, so the kernel no longer accesses the buffer.
        let (mut buffer, data) = unsafe { payload.assume_init() };
        let (result, refused) = (result(res), is_refusal(res));
        fill(&mut buffer, this.fills, result);
        // SAFETY: `ScopedOp::new` requires that the operation is of this kind, and the
        // buffer is the one that it had.
        let buffer = unsafe { K::convert(buffer) };
        Completion {
            ticket: this.ticket,
            result,
            refused,
            buffer,
            data,
        }
    }

    /// Returns whether the operation has completed.
    ///
    /// It submits the operations that were begun, if there are any, and polls the ring.
    /// The poll needs no system call if the ring is mapped.
    ///
    /// # Examples
    /// ```
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
    /// use linux_aio::{ScopeSlot, scope};
    /// use std::fs::File;
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let file = File::open("/dev/null").unwrap();
    /// let mut buffer = [0; 4];
    /// scope(&mut ScopeSlot::array::<1>(), |s| {
    ///     let read = s.read(&file, &mut buffer, 0).unwrap();
    ///     // The kernel completes a read of a device without a disk during its submission.
    ///     assert!(read.is_finished());
    /// })?;
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "aio_error")]
    pub fn is_finished(&self) -> bool {
        let mut engine = self.engine.borrow_mut();
        flush(&mut engine);
        // The error recurs in a call that returns errors.
        let _ = engine.wait(0, WaitOptions::poll());
        let state = engine.slots.find(self.ticket);
        !matches!(state, Some(OpState::Staged(_) | OpState::InFlight(_)))
    }

    /// Requests the cancellation of the operation. A poll that was in flight then has the
    /// result 0, an operation that was not submitted yet ECANCELED.
    ///
    /// [`wait`](ScopedOp::wait) returns the completion, also after an error.
    ///
    /// # Errors
    /// Those of [`Queue::cancel`](crate::Queue::cancel), such as EINVAL for an operation in
    /// flight that is not a poll.
    ///
    /// # Examples
    /// ```
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
    /// use linux_aio::opcode::PollMask;
    /// use linux_aio::{ScopeSlot, scope};
    /// use std::os::unix::net::UnixStream;
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// # if !linux_aio::Probe::new()?.supports(linux_aio::abi::IOCB_CMD_POLL) { return Ok(()) }
    /// let (socket, _peer) = UnixStream::pair().unwrap();
    /// scope(&mut ScopeSlot::array::<1>(), |s| {
    ///     let poll = s.poll(&socket, PollMask::IN).unwrap();
    ///     s.submit();
    ///     poll.cancel().unwrap();
    ///     assert_eq!(poll.wait().result, Ok(0));
    /// })?;
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "aio_cancel")]
    pub fn cancel(&self) -> Result<(), Errno> {
        self.engine.borrow_mut().cancel(self.ticket)
    }
}

/// Waits until an operation has completed. Returns its result, and frees its slot.
///
/// In most cases the ring's next event is that of the operation. Everything else is left to
/// [`wait_long`], which is called last, so that this function needs no stack frame.
fn wait_for(cell: &RefCell<ScopeEngine>, ticket: Ticket) -> i64 {
    let mut engine = cell.borrow_mut();
    if let Some(OpState::InFlight(at)) = engine.slots.find(ticket) {
        if let Some(result) = engine.pop_own(at) {
            engine.slots.release(at);
            return result;
        }
    }
    drop(engine);
    wait_long(cell, ticket)
}

/// Waits as [`wait_for`] does.
#[inline(never)]
fn wait_long(cell: &RefCell<ScopeEngine>, ticket: Ticket) -> i64 {
    let mut engine = cell.borrow_mut();
    loop {
        let at = match engine.slots.find(ticket) {
            Some(OpState::InFlight(at)) => at,
            Some(OpState::Staged(at)) => {
                flush_staged(&mut engine);
                at
            }
            Some(OpState::Completed(at)) => return finish(&mut engine, at),
            // It has no slot.
            None => return refusal(Errno::AGAIN),
        };
        if engine.slots.is_in_flight(at) {
            if let Some(result) = engine.pop_own(at) {
                engine.slots.release(at);
                return result;
            }
        }
        wait_by_call(&mut engine, at);
    }
}

/// Submits the staged operations, and waits until an operation has completed, unless the one
/// in this slot has.
#[inline(never)]
fn wait_by_call(engine: &mut ScopeEngine, at: SlotOffset) {
    if engine.slots.is_completed(at) {
        return;
    }
    let wanted = engine.slots.completed() + 1;
    // SAFETY: as in `flush`, every staged operation came from `Scope::push`. Its buffer and
    // descriptor are borrowed for the scope, or owned by its `ScopedOp`, which leaks them if
    // it is dropped before the operation has completed. The scope does not end before that.
    match unsafe { engine.submit_and_wait(wanted, WaitOptions::new()) } {
        Ok(_) | Err(Errno::INTR) => {}
        Err(_) => force_completion(engine),
    }
}

/// Takes the result of a completed operation and frees its slot.
///
/// It is not inlined, because most waits find the event of their operation in the ring.
#[inline(never)]
fn finish(engine: &mut ScopeEngine, at: SlotOffset) -> i64 {
    let result = engine.slots.take_result(at);
    engine.slots.release(at);
    result
}

/// Detaches an operation, unless it has completed or was refused. Returns whether it has, so
/// that the kernel no longer accesses its buffer; its slot is free then.
fn detach(engine: &RefCell<ScopeEngine>, ticket: Ticket) -> bool {
    let mut engine = engine.borrow_mut();
    match engine.slots.find(ticket) {
        Some(OpState::Staged(at) | OpState::InFlight(at)) => {
            *engine.slots.extra(at) = Detached(true);
            return false;
        }
        Some(OpState::Completed(at)) => {
            finish(&mut engine, at);
        }
        None => {}
    }
    true
}

impl<B, T, K: BufferKind> Drop for ScopedOp<'_, B, T, K> {
    #[inline]
    fn drop(&mut self) {
        if detach(self.engine, self.ticket) {
            // SAFETY: `Scope::push` wrote the payload. `wait`, which moves it out, skips
            // this destructor. The operation has completed or was refused, so the kernel no
            // longer accesses the buffer.
            unsafe { self.payload.assume_init_drop() };
        }
    }
}

impl<B, T, K: BufferKind> fmt::Debug for ScopedOp<'_, B, T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopedOp")
            .field("ticket", &self.ticket)
            .finish_non_exhaustive()
    }
}
