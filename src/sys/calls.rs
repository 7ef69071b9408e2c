//! The seven system calls of Linux AIO, one `unsafe fn` each.
//!
//! Each function passes its arguments to the kernel unchanged and converts the result
//! with [`Errno`]. Where the target has no number for a system call, the function
//! returns ENOSYS without entering the kernel.

use crate::arch::stubs;
use crate::sys::abi::{AioContext, Event, Iocb, OldTimespec, SigsetArg, Timespec};
use crate::sys::errno::Errno;
use crate::sys::nr;

/// The result of a system call that has no number on the target.
const ENOSYS: isize = -(Errno::NOSYS.raw_os_error() as isize);

/// Creates a context that can hold at least `nr_events` operations in flight, and
/// writes its identifier to `*ctxp`.
///
/// The ring has more slots than requested; their number depends on the page size and
/// the number of processors. The requested number counts against `fs.aio-max-nr`.
/// Source: `io_setup(2)`, `fs/aio.c`.
///
/// # Errors
/// - EAGAIN: `fs.aio-max-nr` would be exceeded.
/// - EFAULT: `ctxp` cannot be read or written.
/// - EINVAL: `*ctxp` is not zero; `nr_events` is 0 or above 4194304. (From 2³¹ to 2³¹ +
///   4194304 the kernel's arithmetic wraps around, and the error is EAGAIN.)
/// - ENOMEM: out of kernel memory, of address space (RLIMIT_AS), or of mappings
///   (`vm.max_map_count`).
/// - ENOSYS: AIO is unavailable. EPERM: a sandbox forbids it.
///
/// The guide has [causes and remedies](crate::guide::errors#io_setup).
///
/// # Safety
/// `ctxp` points at an [`AioContext`] that may be written, or at an address that the
/// program cannot access (then EFAULT).
///
/// # Examples
/// ```
/// use linux_aio::{AioContext, sys};
///
/// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
/// let mut context = AioContext::NONE;
/// // SAFETY: `context` may be written.
/// unsafe { sys::io_setup(8, &mut context) }?;
/// assert_ne!(context, AioContext::NONE);
/// # // SAFETY: nothing else uses the context.
/// # unsafe { sys::io_destroy(context) }?;
/// # Ok::<(), linux_aio::Errno>(())
/// ```
#[inline(always)]
#[doc(alias = "io_queue_init")]
pub unsafe fn io_setup(nr_events: u32, ctxp: *mut AioContext) -> Result<(), Errno> {
    let result = match nr::IO_SETUP {
        // SAFETY: the kernel writes only `*ctxp`, and the caller promises that this
        // write is allowed or fails with EFAULT.
        Some(nr) => unsafe {
            stubs::syscall2(nr as usize, nr_events as usize, ctxp.expose_provenance())
        },
        None => ENOSYS,
    };
    Errno::check_unit(result)
}

/// Destroys a context: cancels the operations that can be cancelled, **blocks until the
/// others have completed**, and unmaps the ring.
///
/// When it returns `Ok`, all operations of this context have completed, and the kernel
/// no longer accesses their buffers (since Linux 3.16). The wait cannot be interrupted,
/// and even an idle context costs tens of milliseconds. If two threads destroy the same
/// context, only the first waits. Events that have not been taken are lost. Source:
/// `io_destroy(2)`, `fs/aio.c`.
///
/// # Errors
/// - EINVAL: no such context: the identifier is zero or garbage, the context was
///   destroyed before, or the caller is a forked child. (The manual page lists EFAULT,
///   which current kernels do not return.)
/// - ENOSYS or EPERM: AIO is unavailable, or a sandbox forbids this call. If `io_setup`
///   had succeeded, the context and its operations live on until the process exits or
///   execs, and **the kernel still uses their buffers**.
///
/// The guide has [causes and remedies](crate::guide::errors#io_destroy).
///
/// # Safety
/// Nothing reads the context's ring afterwards, and no code relies on events that have
/// not been taken: the caller has the right to destroy the context.
///
/// # Examples
/// ```
/// use linux_aio::{AioContext, Errno, sys};
///
/// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
/// let mut context = AioContext::NONE;
/// // SAFETY: `context` may be written.
/// unsafe { sys::io_setup(8, &mut context) }?;
/// // SAFETY: nothing else uses the context.
/// unsafe { sys::io_destroy(context) }?;
/// # Ok::<(), linux_aio::Errno>(())
/// ```
#[inline(always)]
#[doc(alias = "io_queue_release")]
pub unsafe fn io_destroy(ctx: AioContext) -> Result<(), Errno> {
    let result = match nr::IO_DESTROY {
        // SAFETY: the caller promises that no code uses the context's ring or waits for
        // its events, so unmapping the ring is sound. An identifier of no context is
        // refused with EINVAL.
        Some(nr) => unsafe { stubs::syscall1(nr as usize, ctx.0) },
        None => ENOSYS,
    };
    Errno::check_unit(result)
}

/// Submits the `nr` operations in the array of pointers `iocbpp`, and returns the
/// number of operations that the kernel accepted, from the front. It returns 0 if `nr`
/// is 0; the array is not read then.
///
/// The kernel stops at the first operation that it cannot accept. The count is then
/// smaller than `nr`; submitting that operation first returns its error. The kernel
/// copies the iocbs, the pointers and the `iovec` arrays, so they may be freed after
/// the call. It writes [`Iocb::key`]. Buffered file I/O runs inside this system call.
/// Source: `io_submit(2)`, `fs/aio.c`.
///
/// # Errors
/// Errors are returned for the first operation only:
/// - EAGAIN: the context is full; [`io_getevents`] frees slots. This is checked before
///   the descriptor and the opcode.
/// - EBADF: its descriptor is not open, or not open for this operation.
/// - EFAULT: the array or the iocb cannot be read, or the iocb cannot be written.
/// - EINVAL: no such context; `nr` is negative; unknown opcode; a field that
///   must be zero; a negative offset; `resfd` is not an eventfd; …
/// - EOPNOTSUPP: an `RWF_*` flag that the kernel does not have, or the file not support.
/// - EPERM: an I/O priority of the real-time class, without CAP_SYS_ADMIN and
///   CAP_SYS_NICE; or a sandbox forbids the system call.
/// - ENOSYS: AIO is unavailable.
///
/// The guide has [causes and remedies](crate::guide::errors#io_submit).
///
/// # Safety
/// Each accepted operation is sound until its event has been taken or [`io_destroy`]
/// has returned. Until then its buffers stay valid and are not freed. Other code does
/// not access the buffers of a read, and does not write those of a write. Each iocb
/// that the kernel can access may be written by the kernel.
///
/// # Examples
/// ```
/// use linux_aio::opcode::Pread;
/// use linux_aio::{Context, Event, sys};
/// use std::{fs::File, os::fd::AsRawFd};
///
/// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
/// let file = File::open("/proc/self/exe").unwrap();
/// let mut buffer = [0_u8; 4];
/// let mut read = Pread::new(file.as_raw_fd(), buffer.as_mut_ptr(), buffer.len()).build();
/// let context = Context::new(8)?;
/// // SAFETY: the iocb may be written, the file is open, and the buffer is not accessed before
/// // the event has been taken.
/// let accepted = unsafe { sys::io_submit(context.as_raw(), 1, [&raw mut read].as_ptr()) }?;
/// assert_eq!(accepted, 1);
/// assert_eq!(context.wait(1, &mut [Event::EMPTY])?[0].result(), Ok(4));
/// # Ok::<(), linux_aio::Errno>(())
/// ```
#[inline(always)]
pub unsafe fn io_submit(
    ctx: AioContext,
    nr: isize,
    iocbpp: *const *mut Iocb,
) -> Result<usize, Errno> {
    let result = match nr::IO_SUBMIT {
        // SAFETY: the caller promises that the iocbs may be written, and that the
        // buffers of each accepted operation stay valid and unaliased until it has
        // completed.
        Some(number) => unsafe {
            stubs::syscall3(
                number as usize,
                ctx.0,
                nr as usize,
                iocbpp.expose_provenance(),
            )
        },
        None => ENOSYS,
    };
    Errno::check_count(result)
}

/// Requests the cancellation of an operation. **Success is `Err(Errno::INPROGRESS)`**:
/// the operation is being cancelled, and its event arrives through the ring like any
/// other (the `res` of a cancelled poll is 0). Current kernels never write `result`.
///
/// `iocb` is the address at submission; the kernel reads its key there. Only polls, and
/// transfers of some USB gadget drivers, can be cancelled; block I/O never can. Source:
/// `fs/aio.c`; `io_cancel(2)` describes the behaviour of older kernels.
///
/// # Errors
/// - EINPROGRESS: the operation is being cancelled (success).
/// - EAGAIN: the operation was not cancelled (kernels that attempt it and fail).
/// - EFAULT: the iocb cannot be read.
/// - EINVAL: no such context; the operation is unknown, has completed, or cannot be
///   cancelled.
/// - ENOSYS: AIO is unavailable or this system call alone is (gVisor).
///
/// The guide has [causes and remedies](crate::guide::errors#io_cancel).
///
/// # Safety
/// `result` is valid for a write of an event, or null.
///
/// # Examples
/// ```
/// use linux_aio::opcode::{Poll, PollMask};
/// use linux_aio::{Context, Errno, Event, sys};
/// use std::{os::fd::AsRawFd, os::unix::net::UnixStream};
///
/// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
/// # if !linux_aio::Probe::new()?.supports(linux_aio::abi::IOCB_CMD_POLL) { return Ok(()) }
/// let (socket, _peer) = UnixStream::pair().unwrap();
/// let mut poll = Poll::new(socket.as_raw_fd(), PollMask::IN).build();
/// let context = Context::new(8)?;
/// // SAFETY: the socket is open, and a poll has no buffer.
/// unsafe { context.submit(&mut [&mut poll]) }?;
/// let mut unused = Event::EMPTY;
/// // SAFETY: `unused` may be written.
/// let cancelled = unsafe { sys::io_cancel(context.as_raw(), &poll, &mut unused) };
/// assert_eq!(cancelled, Err(Errno::INPROGRESS));
/// // The event arrives like any other.
/// assert_eq!(context.wait(1, &mut [Event::EMPTY])?[0].result(), Ok(0));
/// # Ok::<(), linux_aio::Errno>(())
/// ```
#[inline(always)]
pub unsafe fn io_cancel(
    ctx: AioContext,
    iocb: *const Iocb,
    result: *mut Event,
) -> Result<(), Errno> {
    let result = match nr::IO_CANCEL {
        // SAFETY: the kernel reads only the key of the iocb, and refuses an address
        // that it cannot read. It writes at most `result`, which the caller promises is
        // valid for a write or null.
        Some(nr) => unsafe {
            stubs::syscall3(
                nr as usize,
                ctx.0,
                iocb.expose_provenance(),
                result.expose_provenance(),
            )
        },
        None => ENOSYS,
    };
    Errno::check_unit(result)
}

/// Waits for at least `min_nr` events, takes up to `nr`, and returns the number of
/// events written to `events`. The number is below `min_nr` after a signal or when the
/// timeout has expired.
///
/// `timeout` is relative. The kernel rounds it up, and it never expires early. Null waits
/// without a limit, and so does a negative time: the kernel does not refuse it. 32-bit kernels without 32-bit time, and riscv32 always,
/// have only [`io_pgetevents_time64`]. Source: `io_getevents(2)`, `fs/aio.c`.
///
/// # Errors
/// - EFAULT: `events` or `timeout` is an invalid address; no event was consumed.
/// - EINTR: a signal arrived before any event. A signal without a handler is enough:
///   SIGSTOP and SIGCONT, or a tracer that attaches.
/// - EINVAL: no such context; `min_nr` negative or over `nr`.
/// - ENOSYS: AIO is unavailable, or the kernel has no 32-bit time (see above).
///
/// The guide has [causes and remedies](crate::guide::errors#io_getevents-and-io_pgetevents).
///
/// # Safety
/// `events` is valid for writes of `nr` events, and `timeout` is valid or null; either
/// may also be an address that the program cannot access. No other code reads the ring
/// in user space at the same time.
///
/// # Examples
/// ```
/// use linux_aio::abi::OldTimespec;
/// use linux_aio::{Context, Errno, Event, sys};
///
/// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
/// let context = Context::new(8)?;
/// let mut events = [Event::EMPTY; 8];
/// let now = OldTimespec { sec: 0, nsec: 0 };
/// // SAFETY: `events` may be written, and nothing else reads the ring.
/// let taken = unsafe {
///     sys::io_getevents(context.as_raw(), 1, 8, events.as_mut_ptr(), &now)
/// };
/// # if taken == Err(Errno::NOSYS) { return Ok(()) } // no 32-bit time
/// assert_eq!(taken, Ok(0));
/// # Ok::<(), linux_aio::Errno>(())
/// ```
#[inline(always)]
#[doc(alias("io_queue_wait", "io_queue_run"))]
pub unsafe fn io_getevents(
    ctx: AioContext,
    min_nr: isize,
    nr: isize,
    events: *mut Event,
    timeout: *const OldTimespec,
) -> Result<usize, Errno> {
    let result = match nr::IO_GETEVENTS {
        // SAFETY: the kernel writes only to `events` and reads `timeout`. The caller
        // promises that `events` is valid for `nr` events, `timeout` is valid or null,
        // or the kernel refuses the address.
        Some(number) => unsafe {
            stubs::syscall5(
                number as usize,
                ctx.0,
                min_nr as usize,
                nr as usize,
                events.expose_provenance(),
                timeout.expose_provenance(),
            )
        },
        None => ENOSYS,
    };
    Errno::check_count(result)
}

/// Waits for events as [`io_getevents`] does, with the thread's signal mask replaced
/// during the wait, as in `ppoll(2)`. A null `sigmask` leaves the mask unchanged.
///
/// # Errors
/// As [`io_getevents`], with two differences. EINTR is returned only if a signal
/// handler ran: otherwise the kernel restarts the system call with the whole `timeout`
/// again, with a mask or without. EINVAL is also returned for a wrong length of the
/// mask, and by some 64-bit kernels to 32-bit programs
/// ([`SigsetArg`](crate::sys::abi::SigsetArg)).
///
/// # Safety
/// As [`io_getevents`], and `sigmask` is null or points at an argument whose mask is
/// valid until the call returns.
///
/// # Kernel
/// Since 4.18. riscv32 and m68k do not have this system call, only
/// [`io_pgetevents_time64`].
///
/// # Examples
/// ```
/// use linux_aio::abi::{OldTimespec, SigSet, SigsetArg};
/// use linux_aio::{Context, Errno, Event, sys};
///
/// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
/// let context = Context::new(8)?;
/// let mut events = [Event::EMPTY; 8];
/// let now = OldTimespec { sec: 0, nsec: 0 };
/// let blocked = SigSet::full();
/// let mask = SigsetArg::new(Some(&blocked));
/// // SAFETY: `events` may be written, the mask outlives the call, and nothing else reads the
/// // ring.
/// let taken = unsafe {
///     sys::io_pgetevents(context.as_raw(), 1, 8, events.as_mut_ptr(), &now, &mask)
/// };
/// match taken {
///     Ok(count) => assert_eq!(count, 0),
///     // Linux before 4.18, a 32-bit ABI without it, or a sandbox.
///     Err(Errno::NOSYS | Errno::PERM) => println!("no mask"),
///     Err(errno) => return Err(errno),
/// }
/// # Ok::<(), linux_aio::Errno>(())
/// ```
#[inline(always)]
pub unsafe fn io_pgetevents(
    ctx: AioContext,
    min_nr: isize,
    nr: isize,
    events: *mut Event,
    timeout: *const OldTimespec,
    sigmask: *const SigsetArg,
) -> Result<usize, Errno> {
    // SAFETY: this function's contract for `events`, `timeout`, `sigmask` and the ring
    // is that of `pgetevents`, and `timeout` has the type that this number takes.
    unsafe { pgetevents(nr::IO_PGETEVENTS, ctx, min_nr, nr, events, timeout, sigmask) }
}

/// Waits for events as [`io_pgetevents`] does, with 64-bit time, on 32-bit ABIs.
///
/// # Errors
/// As [`io_pgetevents`]. ENOSYS is returned on every 64-bit ABI, where
/// [`io_pgetevents`] already has 64-bit time.
///
/// # Safety
/// As [`io_pgetevents`].
///
/// # Kernel
/// Since 5.1.
///
/// # Examples
/// ```
/// use linux_aio::abi::{SigsetArg, Timespec};
/// use linux_aio::{Context, Errno, Event, sys};
///
/// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
/// let context = Context::new(8)?;
/// let mut events = [Event::EMPTY; 8];
/// let now = Timespec { sec: 0, nsec: 0 };
/// let mask = SigsetArg::new(None);
/// // SAFETY: `events` may be written, and nothing else reads the ring.
/// let taken = unsafe {
///     sys::io_pgetevents_time64(context.as_raw(), 1, 8, events.as_mut_ptr(), &now, &mask)
/// };
/// if cfg!(target_pointer_width = "64") {
///     // Such an ABI has 64-bit time in `io_pgetevents`.
///     assert_eq!(taken, Err(Errno::NOSYS));
/// }
/// # Ok::<(), linux_aio::Errno>(())
/// ```
#[inline(always)]
pub unsafe fn io_pgetevents_time64(
    ctx: AioContext,
    min_nr: isize,
    nr: isize,
    events: *mut Event,
    timeout: *const Timespec,
    sigmask: *const SigsetArg,
) -> Result<usize, Errno> {
    // SAFETY: this function's contract for `events`, `timeout`, `sigmask` and the ring
    // is that of `pgetevents`, and `timeout` has the type that this number takes.
    unsafe {
        pgetevents(
            nr::IO_PGETEVENTS_TIME64,
            ctx,
            min_nr,
            nr,
            events,
            timeout,
            sigmask,
        )
    }
}

/// Calls `io_pgetevents` or `io_pgetevents_time64`, which differ only in the number and
/// the type of time.
///
/// # Safety
/// As [`io_pgetevents`], with `timeout` of the type that `number` takes.
#[inline(always)]
unsafe fn pgetevents<T>(
    number: Option<u32>,
    ctx: AioContext,
    min_nr: isize,
    nr: isize,
    events: *mut Event,
    timeout: *const T,
    sigmask: *const SigsetArg,
) -> Result<usize, Errno> {
    let result = match number {
        // SAFETY: the kernel writes only to `events`, and reads `timeout` and
        // `sigmask`. The caller promises that `events` is valid for `nr` events and
        // that the other two are valid or null, or the kernel refuses the address.
        Some(number) => unsafe {
            stubs::syscall6(
                number as usize,
                ctx.0,
                min_nr as usize,
                nr as usize,
                events.expose_provenance(),
                timeout.expose_provenance(),
                sigmask.expose_provenance(),
            )
        },
        None => ENOSYS,
    };
    Errno::check_count(result)
}
