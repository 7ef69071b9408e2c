//! [`Context`]: the exclusive owner of one kernel context.
//!
//! A context is named by the address at which the kernel maps its completion ring.
//! `Context` owns that name, and contains a mark of the address space in which the context
//! was made. Every use compares it with the current address space first, because fork(2)
//! copies the name but not the context.
//!
//! Invariant: the ring is read in user space through `&mut Context` alone, so that it
//! has one reader.

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
#[cfg(feature = "std")]
mod destroy_later;
mod idle;
mod wait;

#[cfg(feature = "std")]
pub use destroy_all::destroy_all;
pub use idle::{ContextPool, DrainError, IdleContext};
pub use wait::WaitOptions;
pub(crate) use wait::{Limit, front};

/// An owned kernel AIO context.
///
/// Dropping it destroys the context, and **blocks until every operation in flight has
/// completed** ([`destroy`](Context::destroy)).
///
/// Submission is `unsafe`, because the kernel accesses the buffers until the operations
/// have completed. [`Queue`](crate::Queue), [`scope`](crate::scope()) and
/// [`reactor`](crate::reactor) are safe layers on a context.
///
/// Any number of threads may submit, cancel and wait through `&Context`; the kernel
/// synchronizes these system calls. Completions can also be read from the ring without
/// a system call, by one reader at a time: [`Context::ring`].
///
/// # Fork
/// A context belongs to the address space in which it was made.
///
/// - **A child of fork(2)** has a copy of the address space, without contexts. There
///   every use of an inherited `Context`, and of a [`Ring`] or [`Submitter`] made
///   before the fork, fails with EINVAL, without a system call on the context and
///   without reading its ring. Dropping does nothing; [`into_raw`] still returns the
///   address. A context that the child makes is its own, even though it often has the
///   same address as the inherited one.
/// - **A child of vfork(2), or of clone(2) with `CLONE_VM`,** shares the address space,
///   so it shares the context: all methods work, and dropping destroys the context for
///   the parent, too.
/// - The ring is kept out of forked children (`MADV_DONTFORK`), so even code
///   that knows its address takes no events from the parent.
///
/// The address space is identified by a mark: a word in a page that fork zeroes in the
/// child (`MADV_WIPEONFORK`, Linux 4.14). Each use compares it, without a system call.
/// Before Linux 4.14, and where a sandbox forbids mmap(2) or madvise(2), the process id is
/// compared instead, with a getpid(2) for each use. That is wrong in two cases:
///
/// - A child that shares the address space is treated as a forked one (EINVAL; dropping
///   there leaks the context).
/// - A forked descendant with the same process id is treated as the owner. Such are the
///   first process of a pid namespace, if the first process of another one has forked it,
///   and a process that got the number after the owner had exited.
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
/// // SAFETY: the file is open, and the buffer is not accessed before the event is taken.
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
    /// The address space in which the context was made. In any other, the context is
    /// not used.
    home: AddressSpace,
}

// SAFETY: a context belongs to the process, not to a thread, and the kernel locks the
// state that its system calls share. The ring is reached through `&mut` alone.
unsafe impl Send for Context {}
// SAFETY: `&Context` makes system calls, which the kernel synchronizes, and reads the
// mark of the address space, which is never written again.
unsafe impl Sync for Context {}

impl Context {
    /// Sets up a context for at least `nr_events` operations in flight, with
    /// [`io_setup(2)`].
    ///
    /// `nr_events` counts against `/proc/sys/fs/aio-max-nr`, a limit for all processes
    /// together (65536 by default), until the context is destroyed. Raising the limit, for
    /// example with `sysctl -w fs.aio-max-nr=1048576`, reserves no memory.
    ///
    /// # Errors
    /// - EAGAIN: `fs.aio-max-nr` would be exceeded.
    /// - EINVAL: `nr_events` is 0 or above 4194304 (`ioctx_alloc` of [`fs/aio.c`], Linux
    ///   6.12).
    /// - ENOMEM: out of memory, of address space (RLIMIT_AS), or of mappings
    ///   (`vm.max_map_count`).
    /// - ENOSYS: there is no AIO on this target or in this kernel, or a sandbox returns
    ///   this error.
    /// - EPERM: a sandbox forbids `io_setup(2)`.
    ///
    /// The guide has [causes and remedies](crate::guide::errors#io_setup).
    ///
    /// [`io_setup(2)`]: https://man7.org/linux/man-pages/man2/io_setup.2.html
    /// [`fs/aio.c`]: https://git.kernel.org/pub/scm/linux/kernel/git/torvalds/linux.git/tree/fs/aio.c?h=v6.12
    ///
    /// # Examples
    /// ```
    /// use linux_aio::{Context, Errno};
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let context = Context::new(32)?;
    /// context.check()?;
    /// assert_eq!(Context::new(0).unwrap_err(), Errno::INVAL);
    /// # Ok::<(), linux_aio::Errno>(())
    /// ```
    #[doc(alias = "io_setup")]
    #[doc(alias = "io_queue_init")]
    pub fn new(nr_events: u32) -> Result<Context, Errno> {
        let name = Context::set_up(nr_events)?;
        // SAFETY: the kernel has just made the context, and no other code has its name.
        Ok(unsafe { Context::from_raw(name) })
    }

    /// Sets up a context whose ring is not read in user space, with `io_setup(2)` and
    /// `getpid(2)` alone: for sandboxes that end the process at any other system call.
    ///
    /// [`new`](Context::new) also calls `madvise(2)`, and `mmap(2)` for the first context of
    /// a process. (If these return an error, `new` succeeds nevertheless. The context then
    /// takes completions by system calls, or compares process ids.) A context of
    /// `new_unmapped` makes only AIO system calls and `getpid(2)`, and takes each
    /// completion by a system call.
    ///
    /// Forked children are recognised by their process id, as on kernels before 4.14
    /// ([Fork](Context#fork)). A child with another process id may still share the memory
    /// of its parent, so the operations in flight may use its memory. Every use fails with
    /// EINVAL there, as with other contexts, with two differences: a
    /// [`scope`](crate::scope_with_context) with operations in flight aborts the child, and
    /// a future in flight stays pending. The ring stays mapped in the child, and is not
    /// read.
    ///
    /// # Errors
    /// Those of [`new`](Context::new).
    ///
    /// # Examples
    /// ```
    /// use linux_aio::Context;
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let mut context = Context::new_unmapped(32)?;
    /// assert!(!context.ring().is_mapped());
    /// # Ok::<(), linux_aio::Errno>(())
    /// ```
    pub fn new_unmapped(nr_events: u32) -> Result<Context, Errno> {
        Ok(Context {
            name: Context::set_up(nr_events)?,
            ring: RingMap::NONE,
            home: AddressSpace::by_pid(),
        })
    }

    /// Sets up a context, whose name the caller owns. Linux refuses a context for no
    /// events. gVisor makes one, on which every operation would wait for ever.
    fn set_up(nr_events: u32) -> Result<AioContext, Errno> {
        let mut name = AioContext::NONE;
        // SAFETY: `name` is a local variable, valid for the write of the new name.
        unsafe { sys::io_setup(nr_events, &raw mut name) }?;
        if nr_events == 0 {
            // SAFETY: the kernel has just made the context, no other code has its name, and
            // nothing was submitted to it.
            let _ = unsafe { sys::io_destroy(name) };
            return Err(Errno::INVAL);
        }
        Ok(name)
    }

    /// Takes ownership of a context that other code has set up, such as
    /// [`sys::io_setup`](crate::sys::io_setup) or a C library.
    ///
    /// # Safety
    /// `raw` was returned by `io_setup` in this process and is owned by the caller: no
    /// other code takes events through its ring, or destroys it.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::{AioContext, Context, sys};
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let mut raw = AioContext::NONE;
    /// // SAFETY: `raw` may be written.
    /// unsafe { sys::io_setup(8, &mut raw) }?;
    /// // SAFETY: the context was set up above, and nothing else uses it.
    /// let context = unsafe { Context::from_raw(raw) };
    /// // The owner destroys it.
    /// context.destroy()?;
    /// # Ok::<(), linux_aio::Errno>(())
    /// ```
    pub unsafe fn from_raw(raw: AioContext) -> Context {
        Context {
            name: raw,
            // SAFETY: the caller promises that the context is alive and that it owns
            // it; the new `Context` takes the ownership over.
            ring: unsafe { RingMap::attach(raw) },
            home: AddressSpace::current(),
        }
    }

    /// Creates a destroyed context: every use fails with EINVAL, and dropping it does
    /// nothing.
    pub(crate) const fn dead() -> Context {
        Context {
            name: AioContext::NONE,
            ring: RingMap::NONE,
            home: AddressSpace::NONE,
        }
    }

    /// Returns whether the context was made in the current address space. It was not in
    /// a forked child, or if it is a destroyed one ([`dead`](Context::dead)).
    ///
    /// If it was not, its name and its ring must not be used.
    #[inline(always)]
    pub(crate) fn is_own(&self) -> bool {
        self.home.is_current()
    }

    /// Returns whether the mark identifies the current address space. Otherwise
    /// [`is_own`](Context::is_own) decides.
    #[inline(always)]
    pub(crate) fn is_marked(&self) -> bool {
        self.home.is_marked()
    }

    /// Returns the address space in which the context was made.
    #[inline(always)]
    pub(crate) fn address_space(&self) -> AddressSpace {
        self.home
    }

    /// Returns the raw context without destroying it. The caller owns it from then on:
    /// [`from_raw`](Context::from_raw) takes it back, and
    /// [`sys::io_destroy`](crate::sys::io_destroy) destroys it.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::{Context, sys};
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let raw = Context::new(8)?.into_raw();
    /// // SAFETY: nothing else uses the context.
    /// unsafe { sys::io_destroy(raw) }?;
    /// # Ok::<(), linux_aio::Errno>(())
    /// ```
    #[must_use = "the context stays allocated until `sys::io_destroy`"]
    pub fn into_raw(self) -> AioContext {
        ManuallyDrop::new(self).name
    }

    /// Returns the raw context, which `self` continues to own.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::{AioContext, Context};
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let context = Context::new(8)?;
    /// assert_ne!(context.as_raw(), AioContext::NONE);
    /// # Ok::<(), linux_aio::Errno>(())
    /// ```
    pub fn as_raw(&self) -> AioContext {
        self.name
    }

    /// Submits operations, in order, with one [`io_submit(2)`]. Returns the number of
    /// operations that the kernel accepted, counted from the front; 0 for an empty slice.
    ///
    /// A count below `iocbs.len()` means that the next operation was refused. The
    /// kernel returns an error only for the first operation of a batch. [`submit_all`]
    /// submits the remaining operations again, and so returns that error. Buffered file
    /// I/O runs inside the system call ([`op::Read`](crate::op::Read)).
    ///
    /// The kernel copies the iocbs and the `iovec` arrays, so they need not outlive the
    /// call. [`cancel`](Context::cancel) needs an iocb that is still at its address.
    ///
    /// [`submit_all`]: Context::submit_all
    /// [`io_submit(2)`]: https://man7.org/linux/man-pages/man2/io_submit.2.html
    ///
    /// # Errors
    /// The first operation was refused, and none was accepted:
    /// - EAGAIN: the context has no free entry. Take events first.
    /// - EBADF: the descriptor or the eventfd is not open, or the descriptor not in the
    ///   mode that the operation requires.
    /// - EINVAL: the opcode is unknown to this kernel, the offset is negative, the file
    ///   does not support the operation, or `resfd` is not an eventfd; also in a forked
    ///   child. [`check`](Context::check) distinguishes the last cause from the others.
    /// - EOPNOTSUPP: an `RWF_*` flag that this kernel or this file does not support.
    /// - EPERM: an I/O priority that this process may not use, or a sandbox forbids
    ///   `io_submit(2)`.
    /// - EFAULT: an `iovec` array that cannot be read.
    /// - ENOSYS: AIO is unavailable.
    ///
    /// The guide has [causes and remedies](crate::guide::errors#io_submit).
    ///
    /// # Safety
    /// For each accepted operation, until its event has been reaped or this context is
    /// destroyed: its buffers stay allocated, memory that it reads into is neither read
    /// nor written by other code, and memory that it writes from is not written. The caller
    /// may use the descriptors of the operations, as I/O safety requires. They may be
    /// closed after this call: the kernel holds references to the files.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::opcode::Pread;
    /// use linux_aio::{Context, Errno};
    /// use std::{fs::File, os::fd::AsRawFd};
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let file = File::open("/proc/self/exe").unwrap();
    /// let (mut first, mut second) = ([0_u8; 16], [0_u8; 16]);
    /// let read = |fd: i32, buffer: &mut [u8]| {
    ///     Pread::new(fd, buffer.as_mut_ptr(), buffer.len()).build()
    /// };
    /// let (mut good, mut bad) = (read(file.as_raw_fd(), &mut first), read(-1, &mut second));
    ///
    /// let context = Context::new(8)?;
    /// // SAFETY: the file is open, and the buffers are not accessed before the context is
    /// // destroyed, which waits for the reads.
    /// let accepted = unsafe { context.submit(&mut [&mut good, &mut bad]) }?;
    /// // The second one was refused: no file has the descriptor -1.
    /// assert_eq!(accepted, 1);
    /// // SAFETY: as above.
    /// assert_eq!(unsafe { context.submit(&mut [&mut bad]) }, Err(Errno::BADF));
    /// context.destroy()?;
    /// # Ok::<(), linux_aio::Errno>(())
    /// ```
    #[doc(alias = "io_submit")]
    #[inline]
    pub unsafe fn submit(&self, iocbs: &mut [&mut Iocb]) -> Result<usize, Errno> {
        // `&mut Iocb` is a pointer, so the slice is the array that the kernel expects.
        let pointers = iocbs.as_mut_ptr().cast::<*mut Iocb>();
        if !self.is_own() {
            return Err(Errno::INVAL);
        }
        // SAFETY: the pointers are valid for writes. The caller promises that the
        // buffers stay allocated and free of conflicting accesses until the events have
        // been reaped, as the system call requires. A slice has no more than isize::MAX
        // elements.
        unsafe { sys::io_submit(self.name, iocbs.len() as isize, pointers) }
    }

    /// Submits all the operations, with as many system calls as needed.
    ///
    /// It stops only when the kernel refuses the first of the operations that remain.
    ///
    /// # Errors
    /// Returns the number of accepted operations, counted from the front, and the error of
    /// the next one, as listed at [`submit`](Context::submit). The accepted operations
    /// run, and their events arrive.
    ///
    /// # Safety
    /// As [`Context::submit`].
    ///
    /// # Examples
    /// ```
    /// use linux_aio::{Context, Errno, opcode::Fsync};
    ///
    /// # if let Err(Errno::NOSYS) = Context::new(1) { return Ok(()) }
    /// let context = Context::new(4)?;
    /// // No descriptor has the number -1.
    /// let mut refused = Fsync::new(-1).build();
    /// // SAFETY: an fsync has no buffer.
    /// let error = unsafe { context.submit_all(&mut [&mut refused]) }.unwrap_err();
    /// assert_eq!(error.submitted, 0);
    /// # // Kernels before 4.18 do not know the opcode.
    /// # if error.errno == Errno::INVAL { return Ok(()) }
    /// assert_eq!(error.errno, Errno::BADF);
    /// # Ok::<(), Errno>(())
    /// ```
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
            // SAFETY: the context belongs to this address space. The caller promises
            // for each of the operations that its buffers stay allocated and free of
            // conflicting accesses until its event has been reaped. A slice has no more
            // than isize::MAX elements.
            match unsafe { sys::io_submit(self.name, rest.len() as isize, pointers) } {
                // Not known to happen; retrying would loop forever.
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

    /// Requests the cancellation of an operation, with `io_cancel(2)`.
    ///
    /// `Ok` means that it is being cancelled. (The kernel's EINPROGRESS becomes `Ok`.)
    /// **Its event arrives all the same** (the result of a cancelled poll is 0), and until
    /// then the operation has not completed and uses its buffer.
    ///
    /// `iocb` is the address of the iocb at submission, with which the kernel finds the
    /// operation. The iocb must still be there, because the kernel reads its
    /// [`key`](crate::abi::Iocb::key), 4 bytes. Only polls can be cancelled (and transfers
    /// of some USB gadget drivers).
    ///
    /// # Errors
    /// - EINVAL: the operation is unknown, has completed, or is not of a kind that can be
    ///   cancelled; also in a forked child.
    /// - EFAULT: the memory at `iocb` is not readable.
    /// - ENOSYS: AIO is unavailable, or this system call alone is (gVisor).
    /// - EPERM: a sandbox forbids `io_cancel(2)`.
    ///
    /// The guide has [causes and remedies](crate::guide::errors#io_cancel).
    ///
    /// # Examples
    /// ```
    /// use linux_aio::opcode::{Poll, PollMask};
    /// use linux_aio::{Context, Errno, Event};
    /// use std::{os::fd::AsRawFd, os::unix::net::UnixStream};
    ///
    /// # if let Err(Errno::NOSYS) = Context::new(1) { return Ok(()) }
    /// let (socket, _peer) = UnixStream::pair().unwrap();
    /// let context = Context::new(4)?;
    /// let mut poll = Poll::new(socket.as_raw_fd(), PollMask::IN).build();
    /// // SAFETY: the socket is open, and a poll has no buffer.
    /// let submitted = unsafe { context.submit(&mut [&mut poll]) };
    /// # // A kernel before 4.19, and gVisor, refuse it.
    /// # if submitted == Err(Errno::INVAL) { return Ok(()) }
    /// assert_eq!(submitted?, 1);
    ///
    /// context.cancel(&poll)?;
    /// let mut events = [Event::EMPTY; 4];
    /// assert_eq!(context.wait(1, &mut events)?[0].result(), Ok(0));
    /// # Ok::<(), Errno>(())
    /// ```
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
        // SAFETY: `result` may be written; the kernel checks the address of the iocb. A
        // cancelled operation still gets its event, so the promises that other code
        // made at submission hold as before.
        match unsafe { sys::io_cancel(self.name, iocb, &raw mut result) } {
            Ok(()) | Err(Errno::INPROGRESS) => Ok(()),
            Err(errno) => Err(errno),
        }
    }

    /// Waits for at least `min_nr` events, without a timeout, and takes as many as fit into
    /// `events`. Returns the events that were taken.
    ///
    /// These are fewer than `min_nr` if a signal arrived after some of the events. Then a
    /// signal that runs no handler (SIGSTOP and SIGCONT, a debugger that attaches) ends
    /// the wait as well.
    ///
    /// # Errors
    /// - EINTR: a signal handler ran, and no event was available yet. The wait is not
    ///   retried. Before the first event, a signal that runs no handler does not end the
    ///   wait, except where `io_pgetevents(2)` is missing or forbidden
    ///   ([`WaitOptions`](WaitOptions#signals)).
    /// - EINVAL: `min_nr` is above `events.len()`; in a forked child; or other code, which
    ///   has the context's raw value, destroyed the context meanwhile.
    /// - ENOSYS: AIO is unavailable.
    /// - EPERM: a sandbox forbids both `io_pgetevents(2)` and `io_getevents(2)`.
    ///
    /// No event is lost by an error.
    ///
    /// The guide has [causes and remedies](crate::guide::errors#io_getevents-and-io_pgetevents).
    ///
    /// # Examples
    /// ```
    /// use linux_aio::opcode::Pread;
    /// use linux_aio::{Context, Errno, Event};
    /// use std::{fs::File, os::fd::AsRawFd};
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let file = File::open("/proc/self/exe").unwrap();
    /// let mut buffer = [0_u8; 16];
    /// let mut read = Pread::new(file.as_raw_fd(), buffer.as_mut_ptr(), buffer.len()).build();
    /// let context = Context::new(8)?;
    /// // SAFETY: the file is open, and the buffer is not accessed before the event is taken.
    /// unsafe { context.submit(&mut [&mut read]) }?;
    ///
    /// let mut events = [Event::EMPTY; 8];
    /// let done = loop {
    ///     match context.wait(1, &mut events) {
    ///         // A signal handler has run.
    ///         Err(Errno::INTR) => {}
    ///         Ok(done) => break done.len(),
    ///         Err(errno) => return Err(errno),
    ///     }
    /// };
    /// assert_eq!(done, 1);
    /// # Ok::<(), linux_aio::Errno>(())
    /// ```
    #[doc(alias = "io_getevents")]
    #[inline]
    pub fn wait<'e>(
        &self,
        min_nr: usize,
        events: &'e mut [Event],
    ) -> Result<&'e mut [Event], Errno> {
        self.wait_with(min_nr, events, WaitOptions::new())
    }

    /// Waits for at least `min_nr` events, like [`wait`](Context::wait), with a timeout
    /// and a signal mask.
    ///
    /// Returns fewer than `min_nr` events, or none, when the timeout has elapsed. The
    /// timeout starts again after a signal that ran no handler.
    ///
    /// # Errors
    /// Those of [`Context::wait`]. With a signal mask also ENOSYS on kernels before 4.18,
    /// and EPERM if a sandbox forbids `io_pgetevents(2)`. With
    /// [`WaitOptions::poll`] also EPERM if a sandbox forbids `io_getevents(2)`.
    ///
    /// # Examples
    /// ```
    /// use core::time::Duration;
    /// use linux_aio::{Context, Errno, Event, WaitOptions};
    ///
    /// # if let Err(Errno::NOSYS) = Context::new(1) { return Ok(()) }
    /// let context = Context::new(4)?;
    /// let mut events = [Event::EMPTY; 4];
    /// // Nothing is in flight, so the timeout elapses.
    /// let wait = WaitOptions::new().timeout(Duration::from_millis(1));
    /// assert!(context.wait_with(1, &mut events, wait)?.is_empty());
    /// # Ok::<(), Errno>(())
    /// ```
    #[doc(alias = "io_pgetevents")]
    #[inline(always)]
    #[doc(alias = "io_queue_wait")]
    pub fn wait_with<'e>(
        &self,
        min_nr: usize,
        events: &'e mut [Event],
        wait: WaitOptions<'_>,
    ) -> Result<&'e mut [Event], Errno> {
        if !self.is_own() {
            return Err(Errno::INVAL);
        }
        // SAFETY: a `Ring` borrows the context exclusively, so none exists while
        // `&self` does, and no other code reads the ring in user space.
        let count = unsafe { wait_for_events(self.name, min_nr, events, wait) }?;
        Ok(front(events, count))
    }

    /// Returns the completion ring, which is read without a system call. It borrows the
    /// context exclusively. [`split`](Context::split) also returns a [`Submitter`], for
    /// submissions meanwhile.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::Context;
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let mut context = Context::new(8)?;
    /// assert_eq!(context.ring().pop()?, None);
    /// # Ok::<(), linux_aio::Errno>(())
    /// ```
    #[inline]
    pub fn ring(&mut self) -> Ring<'_> {
        self.split().1
    }

    /// Returns the location of the ring.
    #[inline(always)]
    pub(crate) fn map(&self) -> &RingMap {
        &self.ring
    }

    /// Stops reading the ring in user space.
    pub(crate) fn forget_map(&mut self) {
        self.ring = RingMap::NONE;
    }

    /// Splits the context into a [`Submitter`], which submits and cancels, and can be
    /// copied and sent to other threads, and its [`Ring`], which takes the events.
    ///
    /// # Examples
    /// One thread submits, another takes the events:
    /// ```
    /// use linux_aio::{Context, Errno, Event, opcode::Pread};
    /// use std::{fs::File, os::fd::AsRawFd, thread};
    ///
    /// # if let Err(Errno::NOSYS) = Context::new(1) { return Ok(()) }
    /// let file = File::open("/proc/self/exe").unwrap();
    /// let mut buffer = [0_u8; 64];
    /// let mut read = Pread::new(file.as_raw_fd(), buffer.as_mut_ptr(), buffer.len()).build();
    /// let mut context = Context::new(4)?;
    /// let (submitter, mut ring) = context.split();
    /// let bytes = thread::scope(|threads| {
    ///     threads.spawn(|| {
    ///         // SAFETY: the file is open, and the buffer is not accessed before the event
    ///         // is taken.
    ///         unsafe { submitter.submit(&mut [&mut read]) }.unwrap();
    ///     });
    ///     let mut events = [Event::EMPTY; 4];
    ///     ring.wait(1, &mut events)?[0].result()
    /// })?;
    /// assert_eq!(bytes, 64);
    /// # Ok::<(), Errno>(())
    /// ```
    #[inline]
    pub fn split(&mut self) -> (Submitter<'_>, Ring<'_>) {
        let ring = Ring::new(self.name, self.ring, self.home);
        (Submitter { context: self }, ring)
    }

    /// Destroys the context with [`io_destroy(2)`], and returns the result. (Dropping the
    /// context ignores it.)
    ///
    /// The kernel cancels the operations that can be cancelled, blocks until every
    /// operation has completed (no signal interrupts it; a hung device hangs it), and
    /// frees the context. Events not reaped are lost. This takes tens of milliseconds even
    /// if nothing is in flight, because the kernel waits for RCU grace periods.
    ///
    /// When it returns `Ok`, every operation has completed and the kernel uses none of
    /// the buffers (since Linux 3.16).
    ///
    /// # Errors
    /// - EINVAL: in a forked child, where nothing is destroyed; or other code, which has
    ///   the context's raw value, destroyed the context before.
    /// - ENOSYS or EPERM: a sandbox forbids `io_destroy(2)`. The context and its operations
    ///   live on until the process exits or execs, and **the kernel still uses their
    ///   buffers**: the promise of [`submit`](Context::submit) goes on. Dropping a context
    ///   does not report this.
    ///
    /// The guide has [causes and remedies](crate::guide::errors#io_destroy).
    ///
    /// [`io_destroy(2)`]: https://man7.org/linux/man-pages/man2/io_destroy.2.html
    ///
    /// # Examples
    /// ```
    /// use linux_aio::Context;
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let context = Context::new(8)?;
    /// context.destroy()?;
    /// # Ok::<(), linux_aio::Errno>(())
    /// ```
    #[doc(alias = "io_destroy")]
    #[doc(alias = "io_queue_release")]
    pub fn destroy(self) -> Result<(), Errno> {
        let this = ManuallyDrop::new(self);
        // SAFETY: `self` owns the context and is consumed, and no `Ring` borrows it, so
        // no code reads the ring or expects events afterwards.
        unsafe { end(this.home, this.name) }
    }

    /// Checks that the context exists in this address space. It does not in a forked
    /// child. After a submission that failed with EINVAL, this distinguishes a context that
    /// does not exist from an operation that the kernel refuses.
    ///
    /// # Errors
    /// EINVAL if the context does not exist; ENOSYS if AIO is unavailable; EPERM if a
    /// sandbox forbids `io_getevents(2)`.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::{Context, Errno, sys};
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let context = Context::new(1)?;
    /// assert_eq!(context.check(), Ok(()));
    /// // SAFETY: nothing is in flight, and nothing uses the context afterwards.
    /// unsafe { sys::io_destroy(context.as_raw()) }?;
    /// assert_eq!(context.check(), Err(Errno::INVAL));
    /// # // Another context may have the address, so it is not destroyed once more.
    /// # let _ = context.into_raw();
    /// # Ok::<(), linux_aio::Errno>(())
    /// ```
    pub fn check(&self) -> Result<(), Errno> {
        if !self.is_own() {
            return Err(Errno::INVAL);
        }
        let nothing = &mut [];
        // SAFETY: no `Ring` exists beside `&self`, so no other code reads the ring in
        // user space, and no event is taken.
        unsafe { wait_for_events(self.name, 0, nothing, WaitOptions::poll()) }.map(drop)
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        if self.name != AioContext::NONE {
            // An error means that there is nothing to destroy, or that a sandbox forbids
            // it: the kernel then keeps the context, and `Context::submit` requires the
            // buffers to stay valid until their events have been taken.
            // SAFETY: `self` owns the context and is being dropped, and no `Ring`
            // borrows it, so no code reads the ring or expects events afterwards.
            let _ = unsafe { end(self.home, self.name) };
        }
    }
}

/// Destroys the context `name`, which was made in `home`. The function is not inlined,
/// as it takes milliseconds.
///
/// # Safety
/// As [`sys::io_destroy`].
#[inline(never)]
unsafe fn end(home: AddressSpace, name: AioContext) -> Result<(), Errno> {
    if !home.is_current() {
        return Err(Errno::INVAL);
    }
    // SAFETY: the caller promises, as `sys::io_destroy` requires, that nothing reads
    // the ring or relies on further events; the address space is the context's own.
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

/// The part of a [`Context`] that submits and cancels, while a [`Ring`] takes its events:
/// see [`Context::split`].
///
/// # Examples
/// ```
/// use linux_aio::{Context, Submitter};
///
/// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
/// fn for_any_thread<T: Copy + Send + Sync>(_: T) {}
///
/// let mut context = Context::new(8)?;
/// let (submitter, ring): (Submitter<'_>, _) = context.split();
/// for_any_thread(submitter);
/// # Ok::<(), linux_aio::Errno>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Submitter<'c> {
    context: &'c Context,
}

impl Submitter<'_> {
    /// Submits operations, as [`Context::submit`].
    ///
    /// # Errors
    /// As [`Context::submit`].
    ///
    /// # Safety
    /// As [`Context::submit`].
    ///
    /// # Examples
    /// ```
    /// use linux_aio::opcode::Pread;
    /// use linux_aio::{Context, Event};
    /// use std::{fs::File, os::fd::AsRawFd};
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let file = File::open("/proc/self/exe").unwrap();
    /// let mut buffer = [0_u8; 16];
    /// let mut read = Pread::new(file.as_raw_fd(), buffer.as_mut_ptr(), buffer.len()).build();
    /// let mut context = Context::new(8)?;
    /// let (submitter, mut ring) = context.split();
    /// // SAFETY: the file is open, and the buffer is not accessed before the event is taken.
    /// assert_eq!(unsafe { submitter.submit(&mut [&mut read]) }?, 1);
    /// assert_eq!(ring.wait(1, &mut [Event::EMPTY])?[0].result(), Ok(16));
    /// # Ok::<(), linux_aio::Errno>(())
    /// ```
    #[inline]
    pub unsafe fn submit(&self, iocbs: &mut [&mut Iocb]) -> Result<usize, Errno> {
        // SAFETY: the caller makes the promise of `Context::submit` about the buffers and
        // the descriptors, and the operations are passed on unchanged.
        unsafe { self.context.submit(iocbs) }
    }

    /// Submits all the operations, as [`Context::submit_all`].
    ///
    /// # Errors
    /// As [`Context::submit_all`].
    ///
    /// # Safety
    /// As [`Context::submit`].
    ///
    /// # Examples
    /// ```
    /// use linux_aio::opcode::Pread;
    /// use linux_aio::{Context, Event};
    /// use std::{fs::File, os::fd::AsRawFd};
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let file = File::open("/proc/self/exe").unwrap();
    /// let mut buffer = [0_u8; 16];
    /// let mut read = Pread::new(file.as_raw_fd(), buffer.as_mut_ptr(), buffer.len()).build();
    /// let mut context = Context::new(8)?;
    /// let (submitter, mut ring) = context.split();
    /// // SAFETY: the file is open, and the buffer is not accessed before the event is taken.
    /// unsafe { submitter.submit_all(&mut [&mut read]) }?;
    /// assert_eq!(ring.wait(1, &mut [Event::EMPTY])?[0].result(), Ok(16));
    /// # Ok::<(), linux_aio::Errno>(())
    /// ```
    #[inline]
    pub unsafe fn submit_all(&self, iocbs: &mut [&mut Iocb]) -> Result<(), SubmitError> {
        // SAFETY: the caller makes the promise of `Context::submit` about the buffers and
        // the descriptors, and the operations are passed on unchanged.
        unsafe { self.context.submit_all(iocbs) }
    }

    /// Requests the cancellation of an operation, as [`Context::cancel`].
    ///
    /// # Errors
    /// As [`Context::cancel`].
    ///
    /// # Examples
    /// ```
    /// use linux_aio::opcode::{Poll, PollMask};
    /// use linux_aio::{Context, Event};
    /// use std::{os::fd::AsRawFd, os::unix::net::UnixStream};
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// # if !linux_aio::Probe::new()?.supports(linux_aio::abi::IOCB_CMD_POLL) { return Ok(()) }
    /// let (socket, _peer) = UnixStream::pair().unwrap();
    /// let mut poll = Poll::new(socket.as_raw_fd(), PollMask::IN).build();
    /// let mut context = Context::new(8)?;
    /// let (submitter, mut ring) = context.split();
    /// // SAFETY: the socket is open, and a poll has no buffer.
    /// unsafe { submitter.submit(&mut [&mut poll]) }?;
    /// submitter.cancel(&poll)?;
    /// assert_eq!(ring.wait(1, &mut [Event::EMPTY])?[0].result(), Ok(0));
    /// # Ok::<(), linux_aio::Errno>(())
    /// ```
    pub fn cancel(&self, iocb: *const Iocb) -> Result<(), Errno> {
        self.context.cancel(iocb)
    }
}

/// The error of a submission of which the kernel accepted the first operations and
/// refused the next.
///
/// # Examples
/// ```
/// use linux_aio::{Context, Errno, Iocb, SubmitError};
///
/// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
/// /// Submits the operations, and returns those that the kernel has not accepted.
/// ///
/// /// # Safety
/// /// As [`Context::submit`].
/// unsafe fn begin<'a, 'b>(
///     context: &Context,
///     iocbs: &'a mut [&'b mut Iocb],
/// ) -> Result<&'a mut [&'b mut Iocb], Errno> {
///     // SAFETY: the caller makes the promise of `Context::submit`.
///     match unsafe { context.submit_all(iocbs) } {
///         Ok(()) => Ok(&mut []),
///         Err(SubmitError { submitted, errno: Errno::AGAIN, .. }) => Ok(&mut iocbs[submitted..]),
///         Err(error) => Err(error.errno),
///     }
/// }
/// # let context = Context::new(1)?;
/// # // SAFETY: nothing is submitted.
/// # assert!(unsafe { begin(&context, &mut []) }?.is_empty());
/// # Ok::<(), linux_aio::Errno>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct SubmitError {
    /// The number of accepted operations, counted from the front. They run, and their
    /// events arrive.
    pub submitted: usize,
    /// The error of the next operation: one of those listed at [`Context::submit`].
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

/// Converts to the error of the operation that was refused.
impl From<SubmitError> for Errno {
    fn from(error: SubmitError) -> Errno {
        error.errno
    }
}

/// Converts to the error of the operation that was refused.
#[cfg(feature = "std")]
impl From<SubmitError> for std::io::Error {
    fn from(error: SubmitError) -> std::io::Error {
        error.errno.into()
    }
}
