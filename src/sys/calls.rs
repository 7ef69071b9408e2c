//! The seven system calls.

use crate::arch::stubs;
use crate::sys::abi::{AioContext, Event, Iocb, OldTimespec, SigsetArg, Timespec};
use crate::sys::errno::Errno;
use crate::sys::nr;

/// The answer where a call has no number.
const ENOSYS: isize = -(Errno::NOSYS.raw_os_error() as isize);

/// Creates a context that can hold at least `nr_events` operations in flight,
/// and writes its name to `*ctxp`.
///
/// The ring is larger than asked and depends on the page size and the number
/// of processors. The number asked for is what counts against
/// `fs.aio-max-nr`. Source: `io_setup(2)`, `fs/aio.c`.
///
/// # Errors
/// - EAGAIN: `fs.aio-max-nr` would be exceeded.
/// - EFAULT: `ctxp` cannot be read or written.
/// - EINVAL: `*ctxp` is not zero; `nr_events` is zero or too large.
/// - ENOMEM: out of kernel memory, or of address space.
/// - ENOSYS: no AIO here; EPERM: a sandbox forbids it.
///
/// # Safety
/// `ctxp` points at an [`AioContext`] that may be written, or at nothing the
/// program can reach (then EFAULT).
#[inline(always)]
#[doc(alias = "io_queue_init")]
pub unsafe fn io_setup(nr_events: u32, ctxp: *mut AioContext) -> Result<(), Errno> {
    let result = match nr::IO_SETUP {
        // SAFETY: the kernel writes `*ctxp` alone, as the caller allows.
        Some(nr) => unsafe {
            stubs::syscall2(nr as usize, nr_events as usize, ctxp.expose_provenance())
        },
        None => ENOSYS,
    };
    Errno::check_unit(result)
}

/// Destroys a context: cancels what can be cancelled, **blocks until the rest
/// has completed**, and unmaps the ring.
///
/// When it returns `Ok`, the kernel holds no buffer of this context's
/// operations any more (since Linux 3.16). The wait cannot be interrupted, and
/// even an idle context costs tens of milliseconds. Of two threads that
/// destroy one context only the first waits. Events not yet taken are lost.
/// Source: `io_destroy(2)`, `fs/aio.c`.
///
/// # Errors
/// - EINVAL: no such context: zero, garbage, destroyed before, or a forked
///   child. (The manual page's EFAULT is not given by today's kernels.)
/// - ENOSYS: no AIO here.
///
/// # Safety
/// Nothing may read the context's ring afterwards, and nothing may rely on
/// events still to come: the context is the caller's to end.
#[inline(always)]
#[doc(alias = "io_queue_release")]
pub unsafe fn io_destroy(ctx: AioContext) -> Result<(), Errno> {
    let result = match nr::IO_DESTROY {
        // SAFETY: the caller owns the context, or it is none (EINVAL).
        Some(nr) => unsafe { stubs::syscall1(nr as usize, ctx.0) },
        None => ENOSYS,
    };
    Errno::check_unit(result)
}

/// Submits `nr` operations: `iocbpp` is an array of pointers to them. Returns
/// how many the kernel took, from the front.
///
/// It stops at the first that it cannot take; the count then is smaller than
/// `nr`, and why shows when that one is submitted first. The iocbs, the
/// pointers and `iovec` arrays are copied and may go; the kernel writes
/// [`Iocb::key`]. Buffered file I/O runs inside this call. Source:
/// `io_submit(2)`, `fs/aio.c`.
///
/// # Errors
/// Of the first operation only:
/// - EAGAIN: no room: [`io_getevents`] makes some.
/// - EBADF: its descriptor is not open, or not for this.
/// - EFAULT: the array or the iocb cannot be read, or the iocb not written.
/// - EINVAL: no such context; `nr` is negative; unknown opcode; a field that
///   must be zero; a negative offset; `resfd` is no eventfd; …
/// - EOPNOTSUPP: an unknown `RWF_*` flag. EPERM: a priority not allowed.
/// - ENOSYS: no AIO here.
///
/// # Safety
/// Each operation taken is sound until its event has come or
/// [`io_destroy`] has returned: its buffers stay valid, are not read (reads)
/// or not written (writes) by anyone else, and are not freed. Iocbs that the
/// kernel can reach may be written.
#[inline(always)]
pub unsafe fn io_submit(
    ctx: AioContext,
    nr: isize,
    iocbpp: *const *mut Iocb,
) -> Result<usize, Errno> {
    let result = match nr::IO_SUBMIT {
        // SAFETY: the caller vouches for iocbs and buffers.
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

/// Asks for an operation to end early. **Success is `Err(Errno::INPROGRESS)`**:
/// the operation is being cancelled and its event comes through the ring as
/// any other (a cancelled poll's `res` is 0). `result` is never written by
/// today's kernels.
///
/// `iocb` is the address at submission; the kernel reads its key there. Only
/// polls, and transfers of some USB gadget drivers, can be cancelled; never
/// block I/O. Source: `fs/aio.c`; `io_cancel(2)` still tells the old story.
///
/// # Errors
/// - EINPROGRESS: see above.
/// - EAGAIN: not cancelled, by kernels that try and fail.
/// - EFAULT: the iocb cannot be read.
/// - EINVAL: no such context; unknown, finished, or not cancellable.
/// - ENOSYS: no AIO here (gVisor lacks this call alone).
///
/// # Safety
/// `result` is valid for a write of an event, or null.
#[inline(always)]
pub unsafe fn io_cancel(
    ctx: AioContext,
    iocb: *const Iocb,
    result: *mut Event,
) -> Result<(), Errno> {
    let result = match nr::IO_CANCEL {
        // SAFETY: the kernel reads the iocb's key, and refuses an address it
        // cannot read; it writes `result` at the most.
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

/// Waits for at least `min_nr` events and takes up to `nr`. Returns how many
/// were written to `events`: fewer than `min_nr` after a signal or at the end
/// of the time.
///
/// `timeout` is relative; null waits for ever, and so does a negative one: the
/// kernel does not refuse it. A 32-bit kernel without 32-bit time, and riscv32
/// always, has only [`io_pgetevents_time64`]. Source: `io_getevents(2)`,
/// `fs/aio.c`.
///
/// # Errors
/// - EFAULT: `events` or `timeout` is no good; no event was consumed.
/// - EINTR: a signal, and no event yet. One without a handler is enough:
///   SIGSTOP and SIGCONT, a tracer that attaches.
/// - EINVAL: no such context; `min_nr` negative or over `nr`.
/// - ENOSYS: no AIO here, or see above.
///
/// # Safety
/// `events` is valid for writes of `nr` events, `timeout` valid or null, or
/// nothing the program can reach. No other code may be reading the ring in
/// user space.
#[inline(always)]
pub unsafe fn io_getevents(
    ctx: AioContext,
    min_nr: isize,
    nr: isize,
    events: *mut Event,
    timeout: *const OldTimespec,
) -> Result<usize, Errno> {
    let result = match nr::IO_GETEVENTS {
        // SAFETY: the caller vouches for `events`, which is all that is
        // written, and for `timeout`.
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

/// [`io_getevents`] with the thread's signal mask replaced while it waits, as
/// `ppoll(2)` does it. A null `sigmask` leaves the mask alone.
///
/// # Errors
/// As [`io_getevents`], but EINTR only if a signal handler ran: the kernel
/// restarts the call otherwise, with the whole `timeout` again, whether there is
/// a mask or not. EINVAL also for a wrong length of the mask, and from
/// some 64-bit kernels to 32-bit programs
/// ([`PaddedSigsetArg`](crate::sys::abi::PaddedSigsetArg)).
///
/// # Safety
/// As [`io_getevents`], and `sigmask` is null or points at an argument whose
/// mask is alive.
///
/// # Kernel
/// Since 4.18. riscv32 and m68k have no such call, only
/// [`io_pgetevents_time64`].
#[inline(always)]
pub unsafe fn io_pgetevents(
    ctx: AioContext,
    min_nr: isize,
    nr: isize,
    events: *mut Event,
    timeout: *const OldTimespec,
    sigmask: *const SigsetArg,
) -> Result<usize, Errno> {
    // SAFETY: the caller's promise is the same.
    unsafe { pgetevents(nr::IO_PGETEVENTS, ctx, min_nr, nr, events, timeout, sigmask) }
}

/// [`io_pgetevents`] with 64-bit time, on 32-bit ABIs.
///
/// # Errors
/// As [`io_pgetevents`]; ENOSYS on every 64-bit ABI, whose older call has
/// 64-bit time already.
///
/// # Safety
/// As [`io_pgetevents`].
///
/// # Kernel
/// Since 5.1.
#[inline(always)]
pub unsafe fn io_pgetevents_time64(
    ctx: AioContext,
    min_nr: isize,
    nr: isize,
    events: *mut Event,
    timeout: *const Timespec,
    sigmask: *const SigsetArg,
) -> Result<usize, Errno> {
    // SAFETY: the caller's promise is the same.
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

/// What the two calls have in common: all but the number and the type of time.
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
        // SAFETY: the caller vouches for `events`, which is all that is
        // written, and for what `timeout` and `sigmask` point at.
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
