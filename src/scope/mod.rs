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
use crate::engine::{Backend, ContextBackend, Engine, Extra, RawSlot};
use crate::fd::Fd;
use crate::op::{Fdsync, Fsync, Op, Poll, Read, Write};
use crate::opcode::PollMask;
use crate::sys::errno::Errno;

mod operation;

pub use operation::ScopedOp;

/// Whether an operation's [`ScopedOp`] is gone.
pub struct Detached(bool);

impl Extra for Detached {
    const NEW: Detached = Detached(false);

    fn is_detached(&self) -> bool {
        self.0
    }
}

/// The slot of an operation in a [`scope()`]. It holds nothing with a
/// destructor: buffers and data stay with the [`ScopedOp`] operations.
pub type ScopeSlot = RawSlot<(), Detached>;

type ScopeEngine = Engine<'static, (), Detached, ContextBackend>;

/// Runs `f` with a scope in which operations borrow their buffers, in the
/// manner of `std::thread::scope`: reads into `&mut [u8]`, writes from `&[u8]`,
/// and their vectored forms, as many at once as there are slots.
///
/// **It returns only when every operation has ended**: also if `f` returns
/// early or panics, or if signals arrive. Polls that still wait then are
/// cancelled. If the kernel refuses to cancel them or to be waited for, the
/// context is destroyed, which waits as well; if that is refused too, the borrow
/// cannot be ended by anyone and the process is aborted.
///
/// # Descriptors
/// A borrowed descriptor outlives the scope, as a borrowed buffer does. One
/// that is opened inside it is [owned](crate::op::Read::owned) by the operation.
///
/// # Fork
/// A child that is forked inside a scope leaves it without waiting: its
/// parent's operations write to the parent's memory (see
/// [`Context`](crate::Context)). Operations that it begins are refused with
/// EINVAL, and those that it inherits have the result
/// [`OUTCOME_UNKNOWN`](Errno::OUTCOME_UNKNOWN). (Where the kernel has no
/// `MADV_WIPEONFORK`, before Linux 4.14, such a child cannot be told from one that
/// shares its parent's memory. If operations are in flight, it is aborted.)
///
/// # Errors
/// As [`Context::new`], and `f` has not been called. EINVAL for no slots.
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

/// As [`scope()`], on a context that is there already, which is as good as new
/// afterwards: nothing is set up or destroyed. (Unless it had to be destroyed,
/// see there: every operation is refused with EINVAL then.) Only as many slots
/// are used as it was set up for.
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
    // SAFETY: the reference is `'static` in name only: it goes into an engine
    // that is dropped before this function returns, and that nobody can move
    // out of `scope`, which is shared with `f`.
    let slots: &'static mut [ScopeSlot] = unsafe { &mut *slots };
    let scope = Scope {
        engine: RefCell::new(Engine::new(slots, context.lend())),
        scope: PhantomData,
        env: PhantomData,
    };
    let mut end = End {
        scope: &scope,
        context,
        returned: false,
    };
    let value = f(&scope);
    end.returned = true;
    drop(end);
    value
}

/// Where operations are begun: see [`scope()`].
///
/// It belongs to one thread.
pub struct Scope<'scope, 'env: 'scope> {
    engine: RefCell<ScopeEngine>,
    /// Invariant, as in `std::thread::Scope`: a longer or a shorter scope is
    /// another one.
    scope: PhantomData<&'scope mut &'scope ()>,
    env: PhantomData<&'env mut &'env ()>,
}

impl<'scope> Scope<'scope, '_> {
    /// Begins an operation. It goes to the kernel, together with others, with
    /// the next wait, with [`submit`](Scope::submit), or at the scope's end. If
    /// the kernel refuses it, that is its result.
    ///
    /// # Errors
    /// Every slot is taken, also by operations that are done and whose
    /// [`ScopedOp`] is still there. The operation comes back.
    pub fn push<B: IoBuf + 'scope, T: 'scope>(
        &'scope self,
        op: impl Into<Op<'scope, B, T>>,
    ) -> Result<ScopedOp<'scope, B, T>, Full<Op<'scope, B, T>>> {
        let op = op.into();
        if self.engine.borrow().slots.is_full() {
            // Those that nobody waits for free their slots when they end.
            self.tend();
            if self.engine.borrow().slots.is_full() {
                return Err(Full(op));
            }
        }
        // User code (the buffer's `region`) runs here, and not within a borrow.
        // It may begin operations itself, and take the slot.
        let (iocb, payload) = op.prepare();
        let mut engine = self.engine.borrow_mut();
        let ticket = if engine.slots.is_full() {
            None
        } else {
            let nothing = MaybeUninit::new(());
            Some(engine.slots.stage(&iocb, nothing, Detached::NEW))
        };
        drop(engine);
        Ok(ScopedOp::new(&self.engine, ticket, payload))
    }

    /// Reads into `buffer`, from `offset` in bytes. For flags, priorities and
    /// pieces: [`start`](Scope::push) with a [`Read`].
    ///
    /// # Errors
    /// As [`start`](Scope::push).
    pub fn read(
        &'scope self,
        fd: impl Into<Fd<'scope>>,
        buffer: &'scope mut [u8],
        offset: u64,
    ) -> Started<'scope, &'scope mut [u8]> {
        self.push(Read::new(fd, buffer).offset(offset))
    }

    /// Writes `buffer` at `offset` in bytes. For flags, priorities and pieces:
    /// [`start`](Scope::push) with a [`Write`].
    ///
    /// # Errors
    /// As [`start`](Scope::push).
    pub fn write(
        &'scope self,
        fd: impl Into<Fd<'scope>>,
        buffer: &'scope [u8],
        offset: u64,
    ) -> Started<'scope, &'scope [u8]> {
        self.push(Write::new(fd, buffer).offset(offset))
    }

    /// Syncs a file: its data and metadata. It covers the writes that are done,
    /// not those in flight beside it.
    ///
    /// # Errors
    /// As [`start`](Scope::push).
    pub fn fsync(&'scope self, fd: impl Into<Fd<'scope>>) -> Started<'scope, ()> {
        self.push(Fsync::new(fd))
    }

    /// Syncs a file's data.
    ///
    /// # Errors
    /// As [`start`](Scope::push).
    pub fn fdsync(&'scope self, fd: impl Into<Fd<'scope>>) -> Started<'scope, ()> {
        self.push(Fdsync::new(fd))
    }

    /// Waits until a descriptor is ready; the result is what for:
    /// [`PollMask::from_result`].
    ///
    /// # Errors
    /// As [`start`](Scope::push).
    pub fn poll(&'scope self, fd: impl Into<Fd<'scope>>, mask: PollMask) -> Started<'scope, ()> {
        self.push(Poll::new(fd, mask))
    }

    /// Gives what has been started to the kernel now, with as few calls as it
    /// takes. Without it that happens at the next wait.
    pub fn submit(&self) {
        flush(&mut self.engine.borrow_mut());
    }

    /// Waits, as `wait` says, until at least `min_nr` operations are done whose
    /// [`ScopedOp`] has not been waited for, or all of them are. How many are.
    ///
    /// # Errors
    /// As [`Context::wait_with`]: EINTR after a signal. Nothing is lost by it.
    pub fn wait_with(&self, min_nr: usize, wait: WaitOptions<'_>) -> Result<usize, Errno> {
        // SAFETY: as in `flush`: what is staged came by `start`.
        unsafe { self.engine.borrow_mut().submit_and_wait(min_nr, wait) }
    }

    /// How many operations have not ended, as far as anyone has looked.
    pub fn in_flight(&self) -> usize {
        let engine = self.engine.borrow();
        engine.slots.in_flight() + engine.slots.staged()
    }

    /// Looks at what has ended, without waiting.
    fn tend(&self) {
        self.submit();
        // An error will come again where it can be told.
        let _ = self.engine.borrow_mut().wait(0, WaitOptions::poll());
    }
}

/// An operation that was begun, or that found no slot free and comes back.
type Started<'scope, B, T = ()> = Result<ScopedOp<'scope, B, T>, Full<Op<'scope, B, T>>>;

/// Submits what is staged.
fn flush(engine: &mut ScopeEngine) {
    // SAFETY: `Scope::push` is the only way in: each iocb is of a `IoBuf`'s
    // region that lives as long as the scope, and the `ScopedOp` keeps the buffer
    // out of reach until the operation has ended; the scope does not end before.
    // Its descriptor is borrowed for the scope, or owned by the data in the
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

/// The scope's end, however it comes.
struct End<'a, 'scope, 'env> {
    scope: &'a Scope<'scope, 'env>,
    context: &'a mut IdleContext,
    /// Not by a panic: what was started is wanted.
    returned: bool,
}

impl Drop for End<'_, '_, '_> {
    fn drop(&mut self) {
        let mut engine = self.scope.engine.borrow_mut();
        loop {
            if self.returned {
                flush(&mut engine);
            }
            if engine.drain().is_err() {
                end_by_force(&mut engine);
            }
            // What the kernel had no room for has its turn now that it has.
            if !self.returned || engine.slots.staged() == 0 {
                break;
            }
        }
        self.context.give_back(engine.take());
    }
}

/// Ends everything in flight, or the process: the borrows must not end before.
fn end_by_force(engine: &mut ScopeEngine) {
    if engine.backend.is_copy() {
        // A forked child: the kernel writes to the parent's memory, not here.
        engine.abandon();
    } else if engine.destroy().is_err() {
        abort();
    }
}

/// A panic that cannot be caught.
extern "C" fn abort() -> ! {
    panic!("AIO operations on borrowed buffers cannot be ended");
}
