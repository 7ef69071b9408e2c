//! [`scope()`]: operations on borrowed buffers.

use core::cell::RefCell;
use core::fmt;
use core::marker::PhantomData;
use core::mem::MaybeUninit;

use crate::buffer::IoBuf;
use crate::completion::Full;
#[cfg(doc)]
use crate::context::Context;
use crate::context::IdleContext;
use crate::context::WaitOptions;
use crate::engine::{Backend, ContextBackend, Engine, Extra, slot_type};
use crate::fd::Fd;
use crate::op::{AnyOperation, Fdsync, Fsync, Op, Poll, Read, WithBuffer, WithoutBuffer, Write};
use crate::opcode::PollMask;
use crate::sys::errno::Errno;

mod operation;

pub use operation::ScopedOp;

/// The state of an operation's [`ScopedOp`]: `true` if it was dropped.
pub(crate) struct Detached(bool);

impl Extra for Detached {
    const NEW: Detached = Detached(false);

    fn is_detached(&self) -> bool {
        self.0
    }
}

slot_type! {
    /// The storage of one operation of a [`scope()`].
    ///
    /// It holds nothing with a destructor: buffers and data stay in the [`ScopedOp`].
    ScopeSlot = (), Detached;
}

type ScopeEngine = Engine<'static, (), Detached, ContextBackend>;

/// Runs `f` with a scope in which operations borrow their buffers, in the manner of
/// `std::thread::scope`.
///
/// Operations read into `&mut [u8]` and write from `&[u8]`, also in vectored form. As
/// many may be in flight as there are slots.
///
/// **The function returns only when every operation has completed**, also if `f`
/// returns early or panics, or if signals arrive. Polls that are still waiting at that
/// point are cancelled. If the kernel refuses to cancel them, or waiting fails, the
/// context is destroyed, which waits as well. If that fails too, nothing can end the
/// borrow, and the process is aborted.
///
/// # Descriptors
/// A borrowed descriptor outlives the scope, as a borrowed buffer does. A descriptor
/// that is opened inside the scope is [owned](crate::op::Read::owned) by the operation.
///
/// # Fork
/// A child that is forked inside a scope leaves it without waiting: the parent's
/// operations write to the parent's memory (see [`Context`](crate::Context)).
/// Operations that the child begins are refused with EINVAL, and those that it inherits
/// have the result [`OUTCOME_UNKNOWN`](Errno::OUTCOME_UNKNOWN).
///
/// Where the kernel has no `MADV_WIPEONFORK`, before Linux 4.14, such a child cannot be
/// distinguished from one that shares its parent's memory. If operations are in flight,
/// it is aborted.
///
/// # Errors
/// Those of [`Context::new`]; `f` has not been called then. EINVAL if there are no
/// slots.
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
/// let (mut first, mut second) = ([0_u8; 16], [0_u8; 16]);
///
/// let sum = scope(&mut ScopeSlot::array::<4>(), |s| {
///     let a = s.read(&file, &mut first, 0).unwrap();
///     let b = s.read(&file, &mut second, 16).unwrap();
///     // Both go to the kernel with one call, here.
///     Ok::<_, Errno>(a.wait().result? + b.wait().result?)
/// })??;
/// assert_eq!(sum, 32);
/// assert_eq!(&first[..4], b"\x7fELF");
/// # Ok(())
/// # }
/// ```
pub fn scope<'env, F, T>(slots: &mut [ScopeSlot], f: F) -> Result<T, Errno>
where
    F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T,
{
    let nr = u32::try_from(slots.len()).map_err(|_| Errno::INVAL)?;
    let mut context = IdleContext::new(nr)?;
    Ok(scope_with_context(&mut context, slots, f))
}

/// Runs `f` with a scope that has this number of slots on the heap.
///
/// # Errors
/// As [`scope()`]; ENOMEM.
#[cfg(feature = "alloc")]
pub fn scope_with_capacity<'env, F, T>(capacity: u32, f: F) -> Result<T, Errno>
where
    F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T,
{
    let mut context = IdleContext::new(capacity)?;
    let mut slots = alloc::vec::Vec::new();
    let reserved = slots.try_reserve_exact(context.capacity());
    reserved.map_err(|_| Errno::NOMEM)?;
    slots.resize_with(context.capacity(), || ScopeSlot::NEW);
    Ok(scope_with_context(&mut context, &mut slots, f))
}

/// Runs `f` with a scope on an existing context, which is idle again afterwards.
///
/// No context is set up or destroyed. Otherwise as [`scope()`], with only as many slots
/// as the context was set up for. If a context had to be destroyed (see [`scope()`]),
/// every later operation on it is refused with EINVAL.
///
/// # Examples
/// ```
/// use linux_aio::{IdleContext, Errno, ScopeSlot, scope_with_context};
/// use std::fs::File;
///
/// # #[cfg(not(feature = "std"))] fn main() {}
/// # #[cfg(feature = "std")] fn main() -> Result<(), Errno> {
/// # if let Err(Errno::NOSYS) = linux_aio::Context::new(1) { return Ok(()) }
/// let file = File::open("/proc/self/exe").unwrap();
/// let mut context = IdleContext::new(4)?;
/// let mut slots = ScopeSlot::array::<4>();
/// let mut buffer = [0_u8; 64];
/// for chunk in 0..8 {
///     let read = scope_with_context(&mut context, &mut slots, |s| {
///         let read = s.read(&file, &mut buffer, chunk * 64);
///         read.unwrap().wait().result
///     });
///     assert_eq!(read?, 64);
/// }
/// # Ok(())
/// # }
/// ```
pub fn scope_with_context<'env, F, T>(context: &mut IdleContext, slots: &mut [ScopeSlot], f: F) -> T
where
    F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T,
{
    let len = slots.len().min(context.capacity());
    let slots: *mut [ScopeSlot] = &raw mut slots[..len];
    // SAFETY: the reference is `'static` in name only. It goes into an engine that is
    // dropped before this function returns. The engine cannot be moved out of `scope`,
    // because `f` gets a shared reference.
    let slots: &'static mut [ScopeSlot] = unsafe { &mut *slots };
    let scope = Scope {
        engine: RefCell::new(Engine::new(ScopeSlot::raw(slots), context.lend())),
        scope: PhantomData,
        env: PhantomData,
    };
    let mut guard = ScopeGuard {
        scope: &scope,
        context,
        returned: false,
    };
    let value = f(&scope);
    guard.returned = true;
    drop(guard);
    value
}

/// A scope in which operations are begun: see [`scope()`].
///
/// A scope belongs to one thread.
pub struct Scope<'scope, 'env: 'scope> {
    engine: RefCell<ScopeEngine>,
    /// A marker for invariance, as in `std::thread::Scope`: scopes with a longer or a
    /// shorter lifetime are different types.
    scope: PhantomData<&'scope mut &'scope ()>,
    env: PhantomData<&'env mut &'env ()>,
}

impl<'scope> Scope<'scope, '_> {
    /// Begins an operation.
    ///
    /// It is submitted, together with others, with the next wait, with
    /// [`submit`](Scope::submit), or at the end of the scope. If the kernel refuses it,
    /// the error is its result.
    ///
    /// # Errors
    /// Returns [`Full`] with the operation if every slot is taken. A completed
    /// operation keeps its slot while its [`ScopedOp`] exists.
    #[inline(always)]
    pub fn push<O>(&'scope self, op: O) -> Started<'scope, O::Buffer, O::Data, O::Kind>
    where
        O: AnyOperation<'scope, Buffer: 'scope, Data: 'scope>,
    {
        let op = op.into_op();
        if !self.engine.borrow_mut().slots.reserve() {
            // Operations whose `ScopedOp` was dropped free their slots when they have
            // completed.
            self.reap();
            if !self.engine.borrow_mut().slots.reserve() {
                return Err(Full(op));
            }
        }
        // User code (the buffer's `region`) runs here, outside any borrow of the
        // engine. It may begin operations itself, and take the slot.
        let (iocb, payload) = op.prepare();
        let mut engine = self.engine.borrow_mut();
        let ticket = if engine.slots.reserve() {
            let nothing = MaybeUninit::new(());
            Some(engine.slots.stage(&iocb, nothing, Detached::NEW))
        } else {
            None
        };
        drop(engine);
        let fills = O::Buffer::GROWS && iocb.is_read();
        // SAFETY: the operation is of its own kind.
        Ok(unsafe { ScopedOp::new(&self.engine, ticket, fills, payload) })
    }

    /// Reads into `buffer`, from `offset` in bytes.
    ///
    /// For flags, priorities and vectored buffers, use [`push`](Scope::push) with a
    /// [`Read`].
    ///
    /// # Errors
    /// Those of [`push`](Scope::push).
    pub fn read(
        &'scope self,
        fd: impl Into<Fd<'scope>>,
        buffer: &'scope mut [u8],
        offset: u64,
    ) -> Started<'scope, &'scope mut [u8]> {
        self.push(Read::new(fd, buffer).offset(offset))
    }

    /// Writes `buffer` at `offset` in bytes.
    ///
    /// For flags, priorities and vectored buffers, use [`push`](Scope::push) with a
    /// [`Write`].
    ///
    /// # Errors
    /// Those of [`push`](Scope::push).
    pub fn write(
        &'scope self,
        fd: impl Into<Fd<'scope>>,
        buffer: &'scope [u8],
        offset: u64,
    ) -> Started<'scope, &'scope [u8]> {
        self.push(Write::new(fd, buffer).offset(offset))
    }

    /// Syncs a file's data and metadata.
    ///
    /// It covers the writes that have completed, not those that are in flight at the
    /// same time.
    ///
    /// # Errors
    /// Those of [`push`](Scope::push).
    pub fn fsync(
        &'scope self,
        fd: impl Into<Fd<'scope>>,
    ) -> Started<'scope, (), (), WithoutBuffer> {
        self.push(Fsync::new(fd))
    }

    /// Syncs a file's data.
    ///
    /// # Errors
    /// Those of [`push`](Scope::push).
    pub fn fdsync(
        &'scope self,
        fd: impl Into<Fd<'scope>>,
    ) -> Started<'scope, (), (), WithoutBuffer> {
        self.push(Fdsync::new(fd))
    }

    /// Waits until a descriptor is ready. [`PollMask::from_result`] converts the result
    /// into the set of ready events.
    ///
    /// # Errors
    /// Those of [`push`](Scope::push).
    pub fn poll(
        &'scope self,
        fd: impl Into<Fd<'scope>>,
        mask: PollMask,
    ) -> Started<'scope, (), (), WithoutBuffer> {
        self.push(Poll::new(fd, mask))
    }

    /// Submits the operations that were begun, with as few system calls as possible.
    ///
    /// Otherwise they are submitted at the next wait.
    pub fn submit(&self) {
        flush(&mut self.engine.borrow_mut());
    }

    /// Waits until at least `min_nr` operations have completed, or all of them.
    ///
    /// Only operations whose [`ScopedOp`] has not been waited for count. `wait`
    /// configures the waiting. Returns the number of these operations that have
    /// completed.
    ///
    /// # Errors
    /// Those of [`Context::wait_with`]: EINTR after a signal. No completion is lost by
    /// it.
    pub fn wait_with(&self, min_nr: usize, wait: WaitOptions<'_>) -> Result<usize, Errno> {
        // SAFETY: as in `flush`, every staged operation came from `Scope::push`. Its
        // buffer and descriptor are borrowed for the scope, or owned by its `ScopedOp`,
        // which leaks them if it is dropped before the operation has completed. The
        // scope does not end before that.
        unsafe { self.engine.borrow_mut().submit_and_wait(min_nr, wait) }
    }

    /// Returns the number of operations that had not completed at the last poll of the
    /// ring.
    pub fn in_flight(&self) -> usize {
        let engine = self.engine.borrow();
        engine.slots.in_flight() + engine.slots.staged()
    }

    /// Takes the available completions, without waiting.
    fn reap(&self) {
        self.submit();
        // The error recurs in a call that returns errors.
        let _ = self.engine.borrow_mut().wait(0, WaitOptions::poll());
    }
}

/// An operation that was begun, or one that found no free slot and is returned.
type Started<'scope, B, T = (), K = WithBuffer> =
    Result<ScopedOp<'scope, B, T, K>, Full<Op<'scope, B, T>>>;

/// Submits the staged operations.
fn flush(engine: &mut ScopeEngine) {
    // SAFETY: operations are staged only by `Scope::push`, so each iocb describes the
    // region of an `IoBuf` that lives as long as the scope. The `ScopedOp` keeps the
    // buffer inaccessible until the operation has completed, and the scope does not end
    // before. The descriptor is borrowed for the scope, or owned by the data in the
    // `ScopedOp`, which keeps it open until the operation is submitted.
    unsafe { engine.flush() };
}

impl fmt::Debug for Scope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope")
            .field("in_flight", &self.in_flight())
            .finish_non_exhaustive()
    }
}

/// A guard that ends the scope when it is dropped, also during unwinding.
struct ScopeGuard<'a, 'scope, 'env> {
    scope: &'a Scope<'scope, 'env>,
    context: &'a mut IdleContext,
    /// Set if `f` returned without a panic. Operations that were begun are submitted
    /// then.
    returned: bool,
}

impl Drop for ScopeGuard<'_, '_, '_> {
    fn drop(&mut self) {
        let mut engine = self.scope.engine.borrow_mut();
        loop {
            if self.returned {
                flush(&mut engine);
            }
            if engine.drain().is_err() {
                force_completion(&mut engine);
            }
            // Operations that the kernel did not accept for lack of free entries are
            // submitted now.
            if !self.returned || engine.slots.staged() == 0 {
                break;
            }
        }
        self.context.give_back(engine.take());
    }
}

/// Ends every operation in flight, or aborts the process: the borrows must not end
/// before the operations.
fn force_completion(engine: &mut ScopeEngine) {
    if engine.backend.is_copy() {
        // In a forked child, the kernel writes to the parent's memory, not here.
        engine.abandon();
    } else if engine.destroy().is_err() {
        abort();
    }
}

/// Aborts the process: a panic cannot unwind out of an `extern "C"` function.
extern "C" fn abort() -> ! {
    panic!("AIO operations on borrowed buffers cannot be ended");
}
