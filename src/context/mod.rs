//! [`Context`]: exclusive owner of one kernel context.

use core::fmt;
use core::mem::ManuallyDrop;

use crate::address_space::AddressSpace;
use crate::ring::{Ring, RingMap};
use crate::sys;
use crate::sys::abi::{AioContext, Event, Iocb};
use crate::sys::errno::Errno;
use crate::sys::getevents::wait_for_events;

#[cfg(feature = "std")]
mod destroy_all;
mod idle;
mod wait;

#[cfg(feature = "std")]
pub use destroy_all::destroy_all;
pub use idle::{ContextPool, DrainError, IdleContext};
pub use wait::WaitOptions;
pub(crate) use wait::{Limit, front};

/// A kernel AIO context, owned: it is destroyed when this is dropped, and the
/// drop **blocks until every operation in flight has ended**.
///
/// Any number of threads may submit, cancel and wait through `&Context`; the
/// kernel keeps them apart. Completions can also be read from the ring without
/// a system call, by one reader at a time: [`Context::ring`].
///
/// # Fork
/// A context belongs to the address space in which it was made.
///
/// - **A child of fork(2)** has a copy of the address space, without contexts.
///   There every use of an inherited `Context`, and of a [`Ring`] or
///   [`Submitter`] made before the fork, answers EINVAL without a system call
///   on the context and without reading its ring, and dropping does nothing;
///   [`into_raw`] still returns the name. A context that the child makes is its
///   own, even if it has the same address as the inherited one, as it often
///   has.
/// - **A child of vfork(2), or of clone(2) with `CLONE_VM`,** shares the address
///   space, so it shares the context: everything works, and dropping destroys
///   it for the parent, too.
/// - The ring is kept out of forked children (`MADV_DONTFORK`), so even code
///   that knows its address takes no events from the parent.
///
/// The address space is recognised by a page that fork wipes
/// (`MADV_WIPEONFORK`), which costs each use a comparison. Before Linux 4.14,
/// and where a sandbox forbids mmap(2) or madvise(2), the process id is
/// compared instead, with a getpid(2) for each use. Then a child that shares the
/// address space is taken for a forked one (EINVAL; dropping there leaks the
/// context), and a forked descendant that has the same process id for the owner:
/// the first process of a new pid namespace, forked by the first of another; or
/// one that got the number after the owner had ended.
///
/// [`into_raw`]: Context::into_raw
///
/// # Examples
/// ```
/// use linux_aio::{Context, Errno, Event, opcode::Pread};
/// use std::{fs::File, os::fd::AsRawFd};
///
/// let file = File::open("/proc/self/exe").unwrap();
/// let mut buffer = [0_u8; 4];
/// # if let Err(Errno::NOSYS) = Context::new(8) { return Ok(()) }
/// let context = Context::new(8)?;
/// let mut read = Pread::new(file.as_raw_fd(), buffer.as_mut_ptr(), buffer.len())
///     .build()
///     .user_data(7);
/// // SAFETY: the buffer is not touched before the event has come.
/// assert_eq!(unsafe { context.submit(&mut [&mut read]) }?, 1);
///
/// let mut events = [Event::EMPTY; 8];
/// let done = context.wait(1, &mut events)?;
/// assert_eq!(done[0].user_data(), 7);
/// assert_eq!(done[0].result()?, buffer.len());
/// assert_eq!(&buffer, b"\x7fELF");
/// # Ok::<(), Errno>(())
/// ```
#[doc(alias = "io_context_t")]
pub struct Context {
    name: AioContext,
    ring: RingMap,
    /// Where it was made: elsewhere it is left alone.
    home: AddressSpace,
}

// SAFETY: a context belongs to the process, not to a thread, and the kernel
// locks what its calls share. The ring is reached through `&mut` alone.
unsafe impl Send for Context {}
// SAFETY: as above: through `&Context` system calls are made and the mark of
// the address space, which is never written again, is read.
unsafe impl Sync for Context {}

impl Context {
    /// Sets up a context for at least `nr_events` operations in flight
    /// (`io_setup(2)`).
    ///
    /// # Errors
    /// - EAGAIN: `fs.aio-max-nr` is used up, by all processes together.
    /// - EINVAL: `nr_events` is 0, or millions.
    /// - ENOMEM: out of memory or address space.
    /// - ENOSYS: no AIO on this target or in this kernel, or a sandbox says so;
    ///   EPERM: a sandbox forbids it.
    #[doc(alias = "io_setup")]
    #[doc(alias = "io_queue_init")]
    pub fn new(nr_events: u32) -> Result<Context, Errno> {
        let mut name = AioContext::NONE;
        // SAFETY: `name` is ours to be written.
        unsafe { sys::io_setup(nr_events, &raw mut name) }?;
        // SAFETY: the kernel has just made it, and nobody else knows it.
        Ok(unsafe { Context::from_raw(name) })
    }

    /// Takes over a context that other code has set up.
    ///
    /// # Safety
    /// `raw` was given by `io_setup` in this process and is owned by the
    /// caller: no other code waits on it through the ring, or destroys it.
    pub unsafe fn from_raw(raw: AioContext) -> Context {
        Context {
            name: raw,
            // SAFETY: the context is alive and becomes ours.
            ring: unsafe { RingMap::attach(raw) },
            home: AddressSpace::current(),
        }
    }

    /// No context: every call answers EINVAL, and dropping it does nothing.
    pub(crate) const fn dead() -> Context {
        Context {
            name: AioContext::NONE,
            ring: RingMap::NONE,
            home: AddressSpace::NONE,
        }
    }

    /// Returns whether the context was made in the current address space: not
    /// in a forked child, and not if it is [`dead`](Context::dead).
    ///
    /// Where it was not, its name and its ring must not be used.
    #[inline(always)]
    pub(crate) fn is_own(&self) -> bool {
        self.home.is_current()
    }

    /// Returns whether the mark says so. Otherwise [`is_own`](Context::is_own)
    /// decides.
    #[inline(always)]
    pub(crate) fn is_marked(&self) -> bool {
        self.home.is_marked()
    }

    /// Returns the address space in which the context was made.
    #[inline(always)]
    pub(crate) fn address_space(&self) -> AddressSpace {
        self.home
    }

    /// Gives the context up without destroying it.
    #[must_use = "the context lives on and must be destroyed by someone"]
    pub fn into_raw(self) -> AioContext {
        ManuallyDrop::new(self).name
    }

    /// The kernel's name for the context, which stays owned by this.
    pub fn as_raw(&self) -> AioContext {
        self.name
    }

    /// Submits operations, in order, with one `io_submit(2)`. Returns how many
    /// the kernel took from the front; the rest stays the caller's.
    ///
    /// A count below `iocbs.len()` means that the next one was refused; why,
    /// the kernel tells when it comes first, as [`submit_all`] asks it to.
    /// The iocbs are copied and may go; buffered file I/O runs inside this
    /// call.
    ///
    /// [`submit_all`]: Context::submit_all
    ///
    /// # Errors
    /// The first operation was refused, and nothing was taken:
    /// - EAGAIN: no room in the ring: take events first.
    /// - EBADF: the descriptor is not open, or not for this.
    /// - EINVAL: opcode unknown to this kernel, negative offset, file without
    ///   AIO, `resfd` no eventfd; also in a forked child.
    /// - EOPNOTSUPP: an `RWF_*` flag unknown to this kernel.
    /// - EPERM: a priority that this process may not use.
    /// - EFAULT: an `iovec` array that cannot be read.
    /// - ENOSYS: no AIO here.
    ///
    /// # Safety
    /// For each operation taken, until its event has been reaped or this
    /// context is destroyed: its buffers stay allocated, what it reads into is
    /// neither read nor written by anyone else, and what it writes from is not
    /// written.
    #[doc(alias = "io_submit")]
    #[inline]
    pub unsafe fn submit(&self, iocbs: &mut [&mut Iocb]) -> Result<usize, Errno> {
        // `&mut Iocb` is a pointer, so the slice is the array the kernel wants.
        let pointers = iocbs.as_mut_ptr().cast::<*mut Iocb>();
        if !self.is_own() {
            return Err(Errno::INVAL);
        }
        // SAFETY: the pointers are valid for writes; the buffers are the
        // caller's promise. A slice has no more than isize::MAX elements.
        unsafe { sys::io_submit(self.name, iocbs.len() as isize, pointers) }
    }

    /// Submits all the operations, with as many calls as it takes, and stops
    /// only at one that the kernel refuses when it comes first.
    ///
    /// # Errors
    /// How many were taken and why the next was not. Those taken run, and
    /// their events will come.
    ///
    /// # Safety
    /// As [`Context::submit`].
    #[inline]
    pub unsafe fn submit_all(&self, iocbs: &mut [&mut Iocb]) -> Result<(), SubmitError> {
        if !self.is_own() {
            return Err(SubmitError {
                submitted: 0,
                errno: Errno::INVAL,
            });
        }
        let mut submitted = 0;
        while let Some(rest @ [_, ..]) = iocbs.get_mut(submitted..) {
            let pointers = rest.as_mut_ptr().cast::<*mut Iocb>();
            // SAFETY: the context is this address space's own; the caller's
            // promise covers each of the operations. A slice has no more than
            // isize::MAX elements.
            match unsafe { sys::io_submit(self.name, rest.len() as isize, pointers) } {
                // Not known to happen; it would be an endless loop.
                Ok(0) => {
                    return Err(SubmitError {
                        submitted,
                        errno: Errno::AGAIN,
                    });
                }
                Ok(count) => submitted += count,
                Err(errno) => return Err(SubmitError { submitted, errno }),
            }
        }
        Ok(())
    }

    /// Asks for an operation to end early. `Ok` means that it is being
    /// cancelled; **its event comes all the same** (a cancelled poll's result
    /// is 0), and until then the buffer is the kernel's.
    ///
    /// `iocb` is the address at submission; 4 bytes of it are read there. Only
    /// polls can be cancelled (and transfers of some USB gadget drivers).
    ///
    /// # Errors
    /// - EINVAL: unknown, already ended, or not of a kind that can be
    ///   cancelled; also in a forked child.
    /// - EFAULT: nothing readable at `iocb`.
    /// - ENOSYS: no AIO here; gVisor lacks this call alone.
    #[doc(alias = "io_cancel")]
    #[allow(
        clippy::not_unsafe_ptr_arg_deref,
        reason = "the kernel checks the address; nothing here follows it"
    )]
    pub fn cancel(&self, iocb: *const Iocb) -> Result<(), Errno> {
        // Kernels before 3.11 wrote the event here instead of to the ring.
        let mut result = Event::EMPTY;
        if !self.is_own() {
            return Err(Errno::INVAL);
        }
        // SAFETY: `result` may be written; the kernel checks the address of
        // the iocb. What is cancelled gets its event, so no promise of another
        // submitter is broken.
        match unsafe { sys::io_cancel(self.name, iocb, &raw mut result) } {
            Ok(()) | Err(Errno::INPROGRESS) => Ok(()),
            Err(errno) => Err(errno),
        }
    }

    /// Waits for at least `min_nr` events, for ever, and takes as many as fit.
    /// Fewer than `min_nr` come back after a signal of any kind.
    ///
    /// # Errors
    /// - EINTR: a signal handler ran, and no event was there yet. Not retried
    ///   here. A signal that runs no handler (SIGSTOP and SIGCONT, a debugger
    ///   that attaches) does not end the wait, except where io_pgetevents is
    ///   missing or forbidden ([`WaitOptions`](WaitOptions#signals)).
    /// - EINVAL: `min_nr` is more than `events` can hold; or in a forked
    ///   child; or destroyed meanwhile by code
    ///   that has its raw name.
    /// - ENOSYS: no AIO here.
    ///
    /// No event is lost by an error.
    #[doc(alias = "io_getevents")]
    #[inline]
    pub fn wait<'e>(
        &self,
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
    /// As [`Context::wait`]; with a signal mask also ENOSYS on kernels before
    /// 4.18, and EPERM where a sandbox forbids io_pgetevents.
    #[doc(alias = "io_pgetevents")]
    #[inline(always)]
    pub fn wait_with<'e>(
        &self,
        min_nr: usize,
        events: &'e mut [Event],
        wait: WaitOptions<'_>,
    ) -> Result<&'e mut [Event], Errno> {
        if !self.is_own() {
            return Err(Errno::INVAL);
        }
        // SAFETY: a `Ring` borrows the context exclusively, so none exists
        // while `&self` does.
        let count = unsafe { wait_for_events(self.name, min_nr, events, wait) }?;
        Ok(front(events, count))
    }

    /// The completion ring, to be read without a system call.
    #[inline]
    pub fn ring(&mut self) -> Ring<'_> {
        self.split().1
    }

    /// Where the ring is.
    #[inline(always)]
    pub(crate) fn map(&self) -> &RingMap {
        &self.ring
    }

    /// From now on it is not read.
    pub(crate) fn forget_map(&mut self) {
        self.ring = RingMap::NONE;
    }

    /// Both ends at once: one to submit and cancel, which may be copied and
    /// sent to other threads, and the ring to reap.
    #[inline]
    pub fn split(&mut self) -> (Submitter<'_>, Ring<'_>) {
        let ring = Ring::new(self.name, self.ring, self.home);
        (Submitter { context: self }, ring)
    }

    /// Destroys the context and tells how that went: cancels what can be
    /// cancelled, blocks until every operation has ended (no signal interrupts
    /// it; a hung device hangs it), frees it. Events not reaped are lost. An
    /// idle context takes tens of milliseconds.
    ///
    /// When it returns `Ok`, the kernel holds none of the buffers any more
    /// (Linux 3.16).
    ///
    /// # Errors
    /// - EINVAL: in a forked child, where nothing is destroyed; or destroyed
    ///   before by code that has its raw name.
    #[doc(alias = "io_destroy")]
    pub fn destroy(self) -> Result<(), Errno> {
        let this = ManuallyDrop::new(self);
        // SAFETY: the context is owned and no longer used, and no `Ring` borrows
        // it any more.
        unsafe { end(this.home, this.name) }
    }

    /// Whether the kernel still knows the context: not in a forked child. It
    /// tells the two causes of EINVAL at submission apart.
    ///
    /// # Errors
    /// EINVAL if it does not; ENOSYS where there is no AIO.
    pub fn check(&self) -> Result<(), Errno> {
        if !self.is_own() {
            return Err(Errno::INVAL);
        }
        let nothing = &mut [];
        // SAFETY: no `Ring` exists beside `&self`, and nothing is taken.
        unsafe { wait_for_events(self.name, 0, nothing, WaitOptions::poll()) }.map(drop)
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        if self.name != AioContext::NONE {
            // An error means that there is nothing to destroy: see `destroy`.
            // SAFETY: the context is owned, and no `Ring` borrows it any more.
            let _ = unsafe { end(self.home, self.name) };
        }
    }
}

/// Destroys the context of this name that was made in `home`. Out of line, as it
/// takes milliseconds.
///
/// # Safety
/// As [`sys::io_destroy`].
#[inline(never)]
unsafe fn end(home: AddressSpace, name: AioContext) -> Result<(), Errno> {
    if !home.is_current() {
        return Err(Errno::INVAL);
    }
    // SAFETY: the caller's promise.
    unsafe { sys::io_destroy(name) }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("name", &format_args!("{:#x}", self.name.0))
            .field("ring_slots", &self.ring.slots())
            .finish()
    }
}

/// The submitting end of a [`Context`] whose ring is being read: see
/// [`Context::split`].
#[derive(Clone, Copy, Debug)]
pub struct Submitter<'c> {
    context: &'c Context,
}

impl Submitter<'_> {
    /// [`Context::submit`].
    ///
    /// # Errors
    /// As [`Context::submit`].
    ///
    /// # Safety
    /// As [`Context::submit`].
    #[inline]
    pub unsafe fn submit(&self, iocbs: &mut [&mut Iocb]) -> Result<usize, Errno> {
        // SAFETY: the same promise, passed on by the caller.
        unsafe { self.context.submit(iocbs) }
    }

    /// [`Context::submit_all`].
    ///
    /// # Errors
    /// As [`Context::submit_all`].
    ///
    /// # Safety
    /// As [`Context::submit`].
    #[inline]
    pub unsafe fn submit_all(&self, iocbs: &mut [&mut Iocb]) -> Result<(), SubmitError> {
        // SAFETY: the same promise, passed on by the caller.
        unsafe { self.context.submit_all(iocbs) }
    }

    /// [`Context::cancel`].
    ///
    /// # Errors
    /// As [`Context::cancel`].
    pub fn cancel(&self, iocb: *const Iocb) -> Result<(), Errno> {
        self.context.cancel(iocb)
    }
}

/// The error of a submission of which the kernel has taken the first operations, and
/// refused the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct SubmitError {
    /// The number of operations taken, from the front. They run, and their events come.
    pub submitted: usize,
    /// Why the next one was refused.
    pub errno: Errno,
}

impl fmt::Display for SubmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "refused after {} submitted: {}",
            self.submitted, self.errno
        )
    }
}

impl core::error::Error for SubmitError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        Some(&self.errno)
    }
}

/// The error of the operation that was refused.
impl From<SubmitError> for Errno {
    fn from(error: SubmitError) -> Errno {
        error.errno
    }
}

/// The error of the operation that was refused.
#[cfg(feature = "std")]
impl From<SubmitError> for std::io::Error {
    fn from(error: SubmitError) -> std::io::Error {
        error.errno.into()
    }
}
