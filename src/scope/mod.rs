//! [`scope()`]: operations on borrowed buffers.

use core::cell::RefCell;
use core::fmt;
use core::marker::PhantomData;
use core::mem::{ManuallyDrop, MaybeUninit};
use core::ptr::NonNull;

use crate::buffer::IoBuf;
use crate::completion::Full;
#[cfg(doc)]
use crate::context::Context;
use crate::context::IdleContext;
use crate::context::WaitOptions;
use crate::engine::{Backend, ContextBackend, Engine, Extra, RawSlot, slot_type};
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
    ///
    /// # Examples
    /// ```
    /// use linux_aio::{ScopeSlot, scope};
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let mut slots = ScopeSlot::array::<4>();
    /// scope(&mut slots, |s| assert_eq!(s.in_flight(), 0))?;
    /// # Ok::<(), linux_aio::Errno>(())
    /// ```
    ScopeSlot = (), Detached;
    example "ScopeSlot";
}

/// The engine of a scope, on a context and slots that it borrows. It is not dropped, as
/// that would destroy the context: the guard of the scope ends its operations, and nothing
/// in it or in the slots has a destructor.
type ScopeEngine = ManuallyDrop<Engine<'static, (), Detached, &'static mut ContextBackend>>;

/// Runs `f` with a scope in which operations borrow their buffers, in the manner of
/// `std::thread::scope`.
///
/// Operations read into `&mut [u8]` and write from `&[u8]`, also in vectored form
/// ([`IoSliceMut`](crate::buffer::IoSliceMut)). At most as many are in flight at once as
/// there are slots. Each call sets up a context and destroys it, which takes tens of
/// milliseconds: [`scope_with_context`] reuses one.
///
/// **The function returns only when every operation has completed**, also if `f`
/// returns early or panics, or if signals arrive. If `f` returns, operations that were
/// begun and not submitted are submitted first; if it panics, they are not. Polls that are
/// still in flight are cancelled. If the kernel refuses to cancel them, or waiting fails,
/// the context is destroyed, which waits as well. If that fails too (a sandbox forbids
/// `io_destroy(2)`), the process is aborted, because the buffers must stay borrowed.
///
/// # Descriptors
/// A borrowed descriptor must outlive the scope, as a borrowed buffer must. A descriptor
/// that is opened inside the scope has to be [owned](crate::op::Read::owned) by the
/// operation.
///
/// # Fork
/// A child that is forked inside a scope leaves it without waiting: the parent's
/// operations write to the parent's memory (see [`Context`](crate::Context#fork)).
/// Operations that the child begins are refused with EINVAL, and those that it inherits
/// have the result [`OUTCOME_UNKNOWN`](Errno::OUTCOME_UNKNOWN).
///
/// Where forked children are recognised by their process id (Linux before 4.14, or
/// [`IdleContext::new_unmapped`]), such a child cannot be distinguished from one that
/// shares its parent's memory. If operations are in flight when it leaves the scope or
/// waits for one of them, the child is aborted.
///
/// # Errors
/// Those of [`Context::new`]. EINVAL if there is no slot. In these cases `f` is not
/// called.
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
///     // The first wait submits both with one system call.
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

/// Runs `f` with a scope that has this number of slots on the heap. Otherwise as
/// [`scope()`].
///
/// # Errors
/// Those of [`scope()`]. ENOMEM also if the slots cannot be allocated.
///
/// # Examples
/// ```
/// use linux_aio::{Errno, scope_with_capacity};
/// use std::fs::File;
///
/// # #[cfg(not(feature = "std"))] fn main() {}
/// # #[cfg(feature = "std")] fn main() -> Result<(), Errno> {
/// # if let Err(Errno::NOSYS) = linux_aio::Context::new(1) { return Ok(()) }
/// let file = File::open("/proc/self/exe").unwrap();
/// let mut blocks = vec![[0_u8; 16]; 8];
/// let total = scope_with_capacity(8, |s| {
///     let reads: Vec<_> = (0..)
///         .zip(&mut blocks)
///         .map(|(at, block)| s.read(&file, block, 16 * at).unwrap())
///         .collect();
///     // The kernel performs them at the same time, if the file is open with O_DIRECT.
///     reads.into_iter().map(|read| read.wait().result).sum::<Result<usize, Errno>>()
/// })??;
/// assert_eq!(total, 8 * 16);
/// # Ok(())
/// # }
/// ```
#[cfg(feature = "alloc")]
pub fn scope_with_capacity<'env, F, T>(capacity: u32, f: F) -> Result<T, Errno>
where
    F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T,
{
    let mut context = IdleContext::new(capacity)?;
    let mut slots = alloc::vec::Vec::<ScopeSlot>::new();
    let reserved = slots.try_reserve_exact(context.capacity());
    reserved.map_err(|_| Errno::NOMEM)?;
    let memory = NonNull::from(&mut slots.spare_capacity_mut()[..context.capacity()]);
    let memory = NonNull::slice_from_raw_parts(memory.cast(), memory.len());
    // SAFETY: the memory is spare capacity of `slots`, and so uninitialised, or at least
    // nothing that is to be dropped. `slots` is not used before it is dropped, after `run`.
    Ok(unsafe { run(&mut context, memory, true, f) })
}

/// Runs `f` with a scope on an existing context, which is idle again afterwards.
///
/// Apart from the wait for operations this takes microseconds, as no context is set up or
/// destroyed. Otherwise as [`scope()`]. The scope uses no more slots than the number of
/// operations that the context was set up for ([`IdleContext::capacity`]). If the context
/// had to be destroyed (see [`scope()`]), every later operation on it is refused with
/// EINVAL.
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
    let slots = NonNull::from(ScopeSlot::raw(&mut slots[..len]));
    // SAFETY: the slots are initialised, and borrowed until this function returns.
    unsafe { run(context, slots, false, f) }
}

/// Runs `f` with a scope in these slots.
///
/// # Safety
/// The slots are valid for reads and writes until the function returns, and accessed by
/// nothing else. They are initialised unless they are `fresh`.
#[inline]
unsafe fn run<'env, F, T>(
    context: &mut IdleContext,
    slots: NonNull<[RawSlot<(), Detached>]>,
    fresh: bool,
    f: F,
) -> T
where
    F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T,
{
    let context: *mut ContextBackend = context.lend();
    // SAFETY: the reference is `'static` in name only, as the slots of the engine are. The
    // engine is used no more when this function returns: it cannot be moved out of `scope`,
    // because `f` gets a shared reference. The context is borrowed as long, and used by
    // nothing else.
    let context = unsafe { &mut *context };
    // SAFETY: this function requires that the slots are valid until it returns, accessed by
    // nothing else, and initialised or `fresh`. The engine is used no longer. What a slot has
    // in `extra`, a `bool`, need not be dropped.
    let engine = unsafe { Engine::in_memory(slots, fresh, context) };
    let scope = Scope {
        engine: RefCell::new(ManuallyDrop::new(engine)),
        scope: PhantomData,
        env: PhantomData,
    };
    let mut guard = ScopeGuard {
        scope: &scope,
        returned: false,
    };
    let value = f(&scope);
    guard.returned = true;
    drop(guard);
    value
}

/// A scope in which operations are begun: see [`scope()`].
///
/// A scope is used by the thread that calls [`scope()`] alone: it is not `Sync`.
///
/// # Examples
/// A function that begins operations for its caller:
/// ```
/// # #[cfg(not(feature = "std"))] fn main() {}
/// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
/// use linux_aio::{Scope, ScopeSlot, ScopedOp, scope};
/// use std::fs::File;
///
/// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
/// fn header<'scope>(
///     s: &'scope Scope<'scope, '_>,
///     file: &'scope File,
///     buffer: &'scope mut [u8; 4],
/// ) -> ScopedOp<'scope, &'scope mut [u8]> {
///     s.read(file, buffer, 0).unwrap()
/// }
///
/// let file = File::open("/proc/self/exe").unwrap();
/// let mut buffer = [0; 4];
/// scope(&mut ScopeSlot::array::<1>(), |s| {
///     assert_eq!(header(s, &file, &mut buffer).wait().buffer, b"\x7fELF");
/// })?;
/// # Ok(())
/// # }
/// ```
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
    /// It is submitted, together with others, by the next wait or
    /// [`is_finished`](ScopedOp::is_finished), by [`submit`](Scope::submit), or at the end
    /// of the scope. If the kernel refuses it, the error is its result
    /// ([`Completion::refused`](crate::Completion::refused)).
    ///
    /// # Errors
    /// Returns [`Full`] with the operation if every slot is taken. A completed
    /// operation keeps its slot while its [`ScopedOp`] exists.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::abi::RwFlags;
    /// use linux_aio::op::Read;
    /// use linux_aio::{Errno, ScopeSlot, scope};
    /// use std::fs::File;
    ///
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// # #[cfg(feature = "std")] fn main() -> Result<(), Errno> {
    /// # if let Err(Errno::NOSYS) = linux_aio::Context::new(1) { return Ok(()) }
    /// let file = File::open("/proc/self/exe").unwrap();
    /// let mut buffer = [0_u8; 16];
    /// scope(&mut ScopeSlot::array::<4>(), |s| {
    ///     let read = Read::new(&file, &mut buffer).offset(16).rw_flags(RwFlags::NOWAIT);
    ///     match s.push(read).unwrap().wait().result {
    ///         Ok(bytes) => println!("{bytes} bytes from the page cache"),
    ///         Err(Errno::AGAIN) => println!("not in the page cache"),
    ///         Err(errno) => println!("{errno}"),
    ///     }
    /// })?;
    /// # Ok(())
    /// # }
    /// ```
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
        let nothing = MaybeUninit::new(());
        let ticket = self
            .engine
            .borrow_mut()
            .slots
            .stage(&iocb, nothing, Detached::NEW);
        let fills = O::Buffer::GROWS && iocb.is_read();
        // SAFETY: the operation is of its own kind.
        Ok(unsafe { ScopedOp::new(&self.engine, ticket, fills, payload) })
    }

    /// Begins a read into `buffer`, from the byte at `offset` in the file.
    ///
    /// For flags, priorities and vectored buffers, use [`push`](Scope::push) with a
    /// [`Read`].
    ///
    /// # Errors
    /// Those of [`push`](Scope::push).
    ///
    /// # Examples
    /// ```
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
    /// use linux_aio::{ScopeSlot, scope};
    /// use std::fs::File;
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let file = File::open("/proc/self/exe").unwrap();
    /// let mut buffer = [0; 3];
    /// let read = scope(&mut ScopeSlot::array::<1>(), |s| {
    ///     s.read(&file, &mut buffer, 1).unwrap().wait().result
    /// })?;
    /// assert_eq!((read, &buffer), (Ok(3), b"ELF"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn read(
        &'scope self,
        fd: impl Into<Fd<'scope>>,
        buffer: &'scope mut [u8],
        offset: u64,
    ) -> Started<'scope, &'scope mut [u8]> {
        self.push(Read::new(fd, buffer).offset(offset))
    }

    /// Begins a write of `buffer` to the file, from the byte at `offset`.
    ///
    /// For flags, priorities and vectored buffers, use [`push`](Scope::push) with a
    /// [`Write`].
    ///
    /// # Errors
    /// Those of [`push`](Scope::push).
    ///
    /// # Examples
    /// ```
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
    /// use linux_aio::{ScopeSlot, scope};
    /// use std::fs::File;
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let file = File::create("/dev/null").unwrap();
    /// let text = String::from("hello");
    /// let written = scope(&mut ScopeSlot::array::<1>(), |s| {
    ///     s.write(&file, text.as_bytes(), 0).unwrap().wait().result
    /// })?;
    /// assert_eq!(written, Ok(5));
    /// # Ok(())
    /// # }
    /// ```
    pub fn write(
        &'scope self,
        fd: impl Into<Fd<'scope>>,
        buffer: &'scope [u8],
        offset: u64,
    ) -> Started<'scope, &'scope [u8]> {
        self.push(Write::new(fd, buffer).offset(offset))
    }

    /// Begins an fsync, which writes a file's cached data and metadata to the disk (Linux
    /// 4.18).
    ///
    /// It covers the writes that have completed before, not those that are in flight at
    /// the same time. The result is EINVAL on older kernels, and for files that cannot be
    /// synced, such as pipes.
    ///
    /// # Errors
    /// Those of [`push`](Scope::push).
    ///
    /// # Examples
    /// ```
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
    /// use linux_aio::{ScopeSlot, scope};
    /// use std::fs::File;
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// # if !linux_aio::Probe::new()?.supports(linux_aio::abi::IOCB_CMD_FSYNC) { return Ok(()) }
    /// let file = File::open("/proc/self/exe").unwrap();
    /// let synced = scope(&mut ScopeSlot::array::<1>(), |s| {
    ///     s.fsync(&file).unwrap().wait().result
    /// })?;
    /// assert_eq!(synced, Ok(0));
    /// # Ok(())
    /// # }
    /// ```
    pub fn fsync(
        &'scope self,
        fd: impl Into<Fd<'scope>>,
    ) -> Started<'scope, (), (), WithoutBuffer> {
        self.push(Fsync::new(fd))
    }

    /// Begins an fdatasync: an [`fsync`](Scope::fsync) without metadata that is not needed
    /// to read the data (Linux 4.18).
    ///
    /// # Errors
    /// Those of [`push`](Scope::push).
    ///
    /// # Examples
    /// ```
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
    /// use linux_aio::{ScopeSlot, scope};
    /// use std::fs::File;
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// # if !linux_aio::Probe::new()?.supports(linux_aio::abi::IOCB_CMD_FSYNC) { return Ok(()) }
    /// let file = File::open("/proc/self/exe").unwrap();
    /// let synced = scope(&mut ScopeSlot::array::<1>(), |s| {
    ///     s.fdsync(&file).unwrap().wait().result
    /// })?;
    /// assert_eq!(synced, Ok(0));
    /// # Ok(())
    /// # }
    /// ```
    pub fn fdsync(
        &'scope self,
        fd: impl Into<Fd<'scope>>,
    ) -> Started<'scope, (), (), WithoutBuffer> {
        self.push(Fdsync::new(fd))
    }

    /// Begins a poll, which completes when a descriptor is ready for one of the events in
    /// `mask` (Linux 4.19; the result is EINVAL before).
    ///
    /// [`PollMask::from_result`] converts the result into the set of the events that
    /// occurred. A poll that is still in flight at the end of the scope is cancelled.
    ///
    /// # Errors
    /// Those of [`push`](Scope::push).
    ///
    /// # Examples
    /// ```
    /// use linux_aio::opcode::PollMask;
    /// use linux_aio::{Errno, ScopeSlot, scope};
    /// use std::os::unix::net::UnixStream;
    ///
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// # #[cfg(feature = "std")] fn main() -> Result<(), Errno> {
    /// # if let Err(Errno::NOSYS) = linux_aio::Context::new(1) { return Ok(()) }
    /// let (socket, _peer) = UnixStream::pair().unwrap();
    /// let polled = scope(&mut ScopeSlot::array::<1>(), |s| {
    ///     s.poll(&socket, PollMask::IN | PollMask::OUT).unwrap().wait().result
    /// })?;
    /// # // A kernel before 4.19, and gVisor, refuse it.
    /// # if polled == Err(Errno::INVAL) { return Ok(()) }
    /// // There is space to write, and nothing to read.
    /// assert_eq!(PollMask::from_result(polled?), PollMask::OUT);
    /// # Ok(())
    /// # }
    /// ```
    pub fn poll(
        &'scope self,
        fd: impl Into<Fd<'scope>>,
        mask: PollMask,
    ) -> Started<'scope, (), (), WithoutBuffer> {
        self.push(Poll::new(fd, mask))
    }

    /// Submits the operations that were begun, up to 512 with one `io_submit(2)`.
    ///
    /// Without this call they are submitted by the next wait. An operation that the kernel
    /// refuses completes with the error as its result. Operations for which the context
    /// has no free entry (EAGAIN) are submitted later.
    ///
    /// # Examples
    /// ```
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
    /// use linux_aio::{ScopeSlot, scope};
    /// use std::fs::File;
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let file = File::open("/proc/self/exe").unwrap();
    /// let mut buffer = [0; 64];
    /// scope(&mut ScopeSlot::array::<1>(), |s| {
    ///     let read = s.read(&file, &mut buffer, 0).unwrap();
    ///     // The disk works while this thread does something else.
    ///     s.submit();
    ///     let sum: u32 = (1..=100).sum();
    ///     assert_eq!((sum, read.wait().result), (5050, Ok(64)));
    /// })?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn submit(&self) {
        flush(&mut self.engine.borrow_mut());
    }

    /// Submits the operations that were begun, and waits until at least `min_nr`
    /// operations whose [`ScopedOp`] exists have completed. `wait` sets the timeout and the
    /// signal mask.
    ///
    /// Returns the number of completed operations whose [`ScopedOp`] exists. It is below
    /// `min_nr` if the timeout has elapsed, if a signal arrived after some of the
    /// completions, if fewer operations are in flight, and if operations completed whose
    /// [`ScopedOp`] was dropped. A wait with a timeout waits for at most 256 completions
    /// besides those that were taken from the ring before.
    ///
    /// # Errors
    /// Those of [`Context::wait_with`], such as EINTR after a signal, if no operation has
    /// completed during this wait. No completion is lost by an error.
    ///
    /// # Examples
    /// Waiting for the first of two operations:
    /// ```
    /// use linux_aio::{Errno, ScopeSlot, WaitOptions, scope};
    /// use std::fs::File;
    ///
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// # #[cfg(feature = "std")] fn main() -> Result<(), Errno> {
    /// # if let Err(Errno::NOSYS) = linux_aio::Context::new(1) { return Ok(()) }
    /// let file = File::open("/proc/self/exe").unwrap();
    /// let (mut first, mut second) = ([0_u8; 16], [0_u8; 16]);
    /// scope(&mut ScopeSlot::array::<2>(), |s| {
    ///     let reads = [
    ///         s.read(&file, &mut first, 0).unwrap(),
    ///         s.read(&file, &mut second, 16).unwrap(),
    ///     ];
    ///     let completed = s.wait_with(1, WaitOptions::new()).unwrap();
    ///     assert!(completed >= 1);
    ///     assert!(reads.iter().any(|read| read.is_finished()));
    /// })?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn wait_with(&self, min_nr: usize, wait: WaitOptions<'_>) -> Result<usize, Errno> {
        // SAFETY: as in `flush`, every staged operation came from `Scope::push`. Its
        // buffer and descriptor are borrowed for the scope, or owned by its `ScopedOp`,
        // which leaks them if it is dropped before the operation has completed. The
        // scope does not end before that.
        unsafe { self.engine.borrow_mut().submit_and_wait(min_nr, wait) }
    }

    /// Returns the number of operations that were begun and had not completed when the ring
    /// was last polled. It makes no poll itself.
    ///
    /// # Examples
    /// ```
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
    /// use linux_aio::{ScopeSlot, scope};
    /// use std::fs::File;
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let file = File::open("/proc/self/exe").unwrap();
    /// let mut buffer = [0; 64];
    /// scope(&mut ScopeSlot::array::<1>(), |s| {
    ///     let read = s.read(&file, &mut buffer, 0).unwrap();
    ///     assert_eq!(s.in_flight(), 1);
    ///     let _ = read.wait();
    ///     assert_eq!(s.in_flight(), 0);
    /// })?;
    /// # Ok(())
    /// # }
    /// ```
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

/// Submits the staged operations, if there are any.
fn flush(engine: &mut ScopeEngine) {
    if engine.slots.staged() > 0 {
        flush_staged(engine);
    }
}

/// Submits the staged operations.
#[inline(always)]
fn flush_staged(engine: &mut ScopeEngine) {
    // SAFETY: operations are staged only by `Scope::push`, so each iocb describes the
    // region of an `IoBuf` that lives as long as the scope. The `ScopedOp` keeps the
    // buffer inaccessible until the operation has completed, and the scope does not end
    // before. The descriptor is borrowed for the scope, or owned by the data in the
    // `ScopedOp`, which keeps it open until the operation is submitted.
    unsafe { engine.flush_staged() };
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
    /// Set if `f` returned without a panic. Operations that were begun are submitted
    /// then.
    returned: bool,
}

impl Drop for ScopeGuard<'_, '_, '_> {
    #[inline]
    fn drop(&mut self) {
        let mut engine = self.scope.engine.borrow_mut();
        if engine.slots.staged() + engine.slots.in_flight() > 0 {
            end(&mut engine, self.returned);
        }
        // The context may be used without an engine next, with the whole of its ring.
        engine.backend.make_room();
    }
}

/// Ends the operations in flight, and the staged ones as well if `f` has returned.
#[cold]
fn end(engine: &mut ScopeEngine, returned: bool) {
    loop {
        if returned {
            flush(engine);
        }
        if engine.drain().is_err() {
            force_completion(engine);
        }
        // Operations that the kernel did not accept for lack of free entries are
        // submitted now.
        if !returned || engine.slots.staged() == 0 {
            break;
        }
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
