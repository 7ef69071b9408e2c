//! [`Probe`]: the operations and flags that this kernel and this process can use.
//!
//! The kernel has no system call that lists them. The probe submits operations that the
//! kernel refuses, and derives the answers from the errors. `fs/aio.c` checks an operation
//! in this order: reserved fields, descriptor, opcode, I/O priority, RWF flags, mode of the
//! file, buffers. A write to a file that is open for reading is refused with EBADF after
//! its opcode, priority and flags have been accepted.
//!
//! | answer | operation | yes | no |
//! |---|---|---|---|
//! | opcodes of reads and writes | write of 0 bytes to a file that is open for reading | EBADF | EINVAL |
//! | POLL | poll of `/dev/null`, which is always ready | accepted | EINVAL |
//! | any opcode, Linux 4.18 to 5.0 | the same with the descriptor −1 | EBADF | EINVAL |
//! | FSYNC, FDSYNC | see below | | |
//! | RWF flag | the write, with the flag | EBADF | EOPNOTSUPP |
//! | RWF flag that depends on the file | the write, with APPEND and NOAPPEND, which exclude each other (Linux 6.9) | EINVAL | EOPNOTSUPP |
//! | I/O priority | the write, with a class that does not exist, and with one that does | EINVAL, EBADF | EBADF, EBADF |
//! | io_cancel | an address that cannot be read, and an unknown operation | EFAULT, EINVAL | other |
//! | a wait | for at least 0 of 0 events, and for at least 1 of 0 | 0, EINVAL | other |
//!
//! `/dev/null` refuses FSYNC and FDSYNC with the error of an unknown opcode. There is no
//! file on every system that accepts them without writing to a disk. Linux 4.18 added
//! them together with the check of the I/O priority. Linux 4.18 to 5.0 checks the opcode
//! before the descriptor, so the descriptor −1 gives the answer. All later versions have
//! both opcodes: they are recognised because they check the descriptor first, and the
//! priority. (Stable releases of 4.19 adopted the order of 5.1, and have them, too.)
//! gVisor ignores priorities, and accepts an fsync of `/dev/null`.
//!
//! # Invariants
//! - Each answer needs two different results of the system call: a filter that returns
//!   the same error for every call is never taken for support. For the opcodes, the
//!   second result is the refusal of NOOP, which no Linux kernel implements; for the
//!   flags, that of a flag which no kernel has.
//! - No operation transfers data, or refers to memory.
//! - The event of an operation that was accepted is taken. If that is impossible, the
//!   context is destroyed, which completes the operation.

use core::ptr::null;
use core::time::Duration;

use crate::context::{Context, IdleContext, WaitOptions};
use crate::engine::ContextBackend;
use crate::fd::Fd;
use crate::files::{self, O_CLOEXEC, O_RDONLY};
use crate::opcode::{Fdsync, Fsync, IoPriority, Poll, PollMask, Pwrite, Pwritev};
use crate::sys::abi::{
    Event, IOCB_CMD_FDSYNC, IOCB_CMD_FSYNC, IOCB_CMD_NOOP, IOCB_CMD_POLL, IOCB_CMD_PREAD,
    IOCB_CMD_PREADV, IOCB_CMD_PWRITE, IOCB_CMD_PWRITEV, Iocb, RwFlags, SigSet,
};
use crate::sys::errno::Errno;

/// The operations, flags and system calls of AIO that this kernel has and this process
/// may use.
///
/// A probe is a value without resources. It remains true for the process and its
/// children until a sandbox is made stricter: a seccomp filter that is installed later
/// is not taken into account.
///
/// A method returns `true` only if the kernel's results prove it. Where they prove
/// nothing, it returns `false`.
///
/// # Effects
/// `/dev/null` is opened for reading (close-on-exec), or the root directory where there
/// is no `/dev/null`, and closed again. Operations are submitted that the kernel
/// refuses, or that complete at once and transfer nothing. No file is read or changed,
/// nothing is allocated, and no signal is delivered.
///
/// # Examples
/// ```
/// use linux_aio::abi::{IOCB_CMD_POLL, RwFlags};
/// use linux_aio::{Errno, IdleContext, Probe, Queue, Slot};
///
/// # if let Err(Errno::NOSYS) = IdleContext::new(1) { return Ok(()) }
/// // The context that the program will use serves the probe first.
/// let mut context = IdleContext::new(8)?;
/// let probe = Probe::with_context(&mut context)?;
/// if !probe.supports(IOCB_CMD_POLL) {
///     println!("sockets need another reactor");
/// }
/// let no_wait = probe.rw_flags() & RwFlags::NOWAIT;
///
/// let mut slots = Slot::<&mut [u8]>::array::<8>();
/// let queue = Queue::with_context(context, &mut slots);
/// # Ok::<(), Errno>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(alias = "io_uring_probe")]
pub struct Probe {
    /// The bit `1 << opcode` of each opcode.
    opcodes: u16,
    rw_flags: RwFlags,
    io_priority: bool,
    cancel: bool,
    wait: bool,
    sigmask: bool,
    mapped_ring: bool,
}

impl Probe {
    /// Probes with a context that is created and destroyed for it. Destroying takes tens
    /// of milliseconds, which [`with_context`](Probe::with_context) avoids.
    ///
    /// # Errors
    /// - EAGAIN: `fs.aio-max-nr` is used up.
    /// - EMFILE, ENFILE: no descriptor is free.
    /// - ENOMEM: out of memory or address space.
    /// - ENOSYS: AIO is unavailable. EPERM: a sandbox forbids io_setup, io_submit or
    ///   openat; or in gVisor, where the ring is not mapped, every wait.
    /// - Other errors that a sandbox returns for io_submit, and those of opening the
    ///   root directory.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::Probe;
    /// use linux_aio::abi::IOCB_CMD_PREAD;
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// assert!(Probe::new()?.supports(IOCB_CMD_PREAD));
    /// # Ok::<(), linux_aio::Errno>(())
    /// ```
    pub fn new() -> Result<Probe, Errno> {
        Probe::with_context(&mut IdleContext::new(1)?)
    }

    /// Probes with an idle context, which is idle again afterwards.
    ///
    /// The context is destroyed if an operation was accepted whose event does not come
    /// within a second. Later uses of it then fail with EINVAL. Linux never does this.
    ///
    /// # Errors
    /// As [`Probe::new`], without those of io_setup. EINVAL: the context was destroyed,
    /// or is inherited by fork(2).
    ///
    /// # Examples
    /// ```
    /// use linux_aio::{IdleContext, Probe, ScopeSlot, scope_with_context};
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let mut context = IdleContext::new(8)?;
    /// let probe = Probe::with_context(&mut context)?;
    /// // The context is idle again.
    /// scope_with_context(&mut context, &mut ScopeSlot::array::<8>(), |s| {
    ///     assert_eq!(s.in_flight(), 0);
    /// });
    /// # Ok::<(), linux_aio::Errno>(())
    /// ```
    pub fn with_context(context: &mut IdleContext) -> Result<Probe, Errno> {
        with(context, ProbeContext::probe)
    }

    /// Returns whether the kernel has an operation, one of the `IOCB_CMD_*` in
    /// [`abi`](crate::abi). Any other number returns `false`.
    ///
    /// A file can still refuse an operation that the kernel has. Many files have no
    /// fsync, and directories no reads (EINVAL at submission).
    ///
    /// # Kernel
    /// PREAD and PWRITE: Linux 2.5. PREADV and PWRITEV: 2.6.19. FSYNC and FDSYNC: 4.18.
    /// POLL: 4.19.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::Probe;
    /// use linux_aio::abi::{IOCB_CMD_NOOP, IOCB_CMD_POLL, IOCB_CMD_PREAD};
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let probe = Probe::new()?;
    /// assert!(probe.supports(IOCB_CMD_PREAD) && !probe.supports(IOCB_CMD_NOOP));
    /// if !probe.supports(IOCB_CMD_POLL) {
    ///     println!("no polls: Linux before 4.19, or gVisor");
    /// }
    /// # Ok::<(), linux_aio::Errno>(())
    /// ```
    #[must_use]
    pub const fn supports(&self, opcode: u16) -> bool {
        opcode < 16 && self.opcodes >> opcode & 1 != 0
    }

    /// Returns the flags of reads and writes that the kernel has.
    ///
    /// Three of them also depend on the file: NOWAIT, ATOMIC and DONTCACHE, see
    /// [`file_flags`](Probe::file_flags). The result is empty where the kernel accepts
    /// unknown flags, since it ignores all of them then (gVisor).
    ///
    /// # Kernel
    /// Linux 4.13, and later for some flags: see [`RwFlags`]. Linux 4.14 and 4.15 may
    /// be reported without NOWAIT, which `/dev/null` refuses there.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::Probe;
    /// use linux_aio::abi::RwFlags;
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// // Durable writes: each by itself, or an fsync after them.
    /// let durable = Probe::new()?.rw_flags() & RwFlags::DSYNC;
    /// if durable.is_empty() {
    ///     println!("fsync after writing");
    /// }
    /// # Ok::<(), linux_aio::Errno>(())
    /// ```
    #[must_use]
    pub const fn rw_flags(&self) -> RwFlags {
        self.rw_flags
    }

    /// Returns the flags of [`rw_flags`](Probe::rw_flags) that writes of this file
    /// accept. Reads accept the same, except ATOMIC.
    ///
    /// ATOMIC requires a file that is open for direct I/O. NOAPPEND is missing for a
    /// file with the append-only attribute that is open with O_APPEND. The file is
    /// neither read nor written: the operations have more pieces than the kernel
    /// accepts.
    ///
    /// # Errors
    /// - EBADF: the descriptor is not open.
    /// - EINVAL: the context was destroyed, or is inherited by fork(2).
    /// - ENOSYS, EPERM: a sandbox forbids io_submit now.
    ///
    /// Nothing is submitted, and the descriptor not checked, if there are no
    /// [`rw_flags`](Probe::rw_flags).
    ///
    /// # Examples
    /// ```no_run
    /// use linux_aio::abi::RwFlags;
    /// use linux_aio::{Errno, IdleContext, Probe};
    ///
    /// # // SAFETY: standard input is open for as long as the program runs.
    /// # let file = unsafe { linux_aio::Fd::borrow_raw(0) };
    /// let mut context = IdleContext::new(8)?;
    /// let probe = Probe::with_context(&mut context)?;
    /// if probe.file_flags(&mut context, file)?.contains(RwFlags::DONTCACHE) {
    ///     println!("reads of this file need not fill the page cache");
    /// }
    /// # Ok::<(), Errno>(())
    /// ```
    pub fn file_flags<'fd>(
        &self,
        context: &mut IdleContext,
        fd: impl Into<Fd<'fd>>,
    ) -> Result<RwFlags, Errno> {
        let fd = fd.into().as_raw();
        if self.rw_flags.is_empty() {
            return Ok(RwFlags::empty());
        }
        with(context, |probe| probe.file_flags(self.rw_flags, fd))
    }

    /// Returns whether an operation can have an I/O priority
    /// ([`IocbFlags::IOPRIO`](crate::abi::IocbFlags::IOPRIO)).
    ///
    /// Where it cannot, the kernel ignores the priority, or refuses the operation if it
    /// has no block devices (ENOTBLK). The real-time class requires a privilege.
    ///
    /// # Kernel
    /// Linux 4.18.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::Probe;
    /// use linux_aio::opcode::IoPriority;
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let idle = Probe::new()?.supports_io_priority().then(IoPriority::idle);
    /// println!("priority of background reads: {idle:?}");
    /// # Ok::<(), linux_aio::Errno>(())
    /// ```
    #[must_use]
    pub const fn supports_io_priority(&self) -> bool {
        self.io_priority
    }

    /// Returns whether operations can be cancelled ([`Context::cancel`]), of which only
    /// polls are cancellable.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::Probe;
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// if !Probe::new()?.supports_cancel() {
    ///     println!("a poll ends only when its descriptor is ready");
    /// }
    /// # Ok::<(), linux_aio::Errno>(())
    /// ```
    #[must_use]
    #[doc(alias = "io_cancel")]
    pub const fn supports_cancel(&self) -> bool {
        self.cancel
    }

    /// Returns whether the process can wait for events ([`Context::wait`]), through any
    /// of the system calls that this crate chooses from.
    ///
    /// Where it cannot, a [mapped ring](Probe::has_mapped_ring) still returns the
    /// events, without waiting.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::Probe;
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let probe = Probe::new()?;
    /// assert!(probe.supports_wait() || probe.has_mapped_ring());
    /// # Ok::<(), linux_aio::Errno>(())
    /// ```
    #[must_use]
    #[doc(alias = "io_getevents")]
    pub const fn supports_wait(&self) -> bool {
        self.wait
    }

    /// Returns whether a wait can set the signal mask ([`WaitOptions::sigmask`]).
    ///
    /// If so, a signal that runs no handler does not interrupt a wait
    /// ([Signals](WaitOptions#signals)).
    ///
    /// # Kernel
    /// io_pgetevents, Linux 4.18; on 32-bit ABIs without it, Linux 5.1. Not tried on
    /// Android, whose applications it would end: `false`.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::{Probe, SigSet, WaitOptions};
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let mask = SigSet::full();
    /// let mut wait = WaitOptions::new();
    /// if Probe::new()?.supports_sigmask() {
    ///     wait = wait.sigmask(&mask);
    /// }
    /// # Ok::<(), linux_aio::Errno>(())
    /// ```
    #[must_use]
    #[doc(alias = "io_pgetevents")]
    pub const fn supports_sigmask(&self) -> bool {
        self.sigmask
    }

    /// Returns whether completions are read in user space, without a system call
    /// ([`Ring::is_mapped`](crate::Ring::is_mapped)).
    ///
    /// # Examples
    /// ```
    /// use linux_aio::{Context, Probe};
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let is_mapped = Context::new(1)?.ring().is_mapped();
    /// assert_eq!(Probe::new()?.has_mapped_ring(), is_mapped);
    /// # Ok::<(), linux_aio::Errno>(())
    /// ```
    #[must_use]
    pub const fn has_mapped_ring(&self) -> bool {
        self.mapped_ring
    }
}

/// Runs `run` with a context that belongs to this process, and leaves the context idle
/// or destroyed.
fn with<T>(
    idle: &mut IdleContext,
    run: impl FnOnce(&mut ProbeContext) -> Result<T, Errno>,
) -> Result<T, Errno> {
    if !idle.is_own() {
        return Err(Errno::INVAL);
    }
    let mut context = ProbeContext {
        context: idle.lend().take().into_context(),
        in_flight: false,
        no_wait: None,
    };
    let result = run(&mut context);
    if context.in_flight {
        // An error means that a sandbox forbids io_destroy. The operations refer to no
        // memory, and the context is not used again.
        let _ = context.context.destroy();
    } else {
        *idle.lend() = ContextBackend::new(context.context);
    }
    result
}

/// A descriptor that this module has opened.
struct Opened(i32);

impl Drop for Opened {
    fn drop(&mut self) {
        // SAFETY: this module has opened the descriptor and passes its number to no
        // other code, and the owner is being dropped.
        unsafe { files::close(self.0) };
    }
}

/// The descriptor that is never open.
const NO_FILE: i32 = -1;
/// More pieces than any read or write may have (`UIO_MAXIOV`).
const TOO_MANY: u32 = 1025;
/// A flag that no kernel has.
const NO_FLAG: RwFlags = RwFlags::from_bits_retain(1 << 31);
/// The class 4, which does not exist.
const NO_PRIORITY: IoPriority = IoPriority((4_u16 << 13) as i16);
/// The flags that depend on the file as well.
const DEPENDENT: [RwFlags; 3] = [RwFlags::NOWAIT, RwFlags::ATOMIC, RwFlags::DONTCACHE];
/// An address in the first page, which Linux does not map (`vm.mmap_min_addr`).
const UNREADABLE: usize = 16;
/// The time within which an accepted operation must complete.
const TIMEOUT: Duration = Duration::from_secs(1);

/// The kernel's result of submitting an operation, and the conclusions from it. The
/// tests implement it with models of kernels.
trait Submit {
    /// Submits an operation that refers to no memory. Returns the error with which it
    /// was refused.
    fn submit(&mut self, iocb: Iocb) -> Result<(), Errno>;

    /// Returns the bits of the opcodes that the kernel has, and whether an operation can
    /// have an I/O priority. `fd` is open for reading. `accepts_fsync` permits an fsync of
    /// it.
    fn opcodes(&mut self, fd: i32, accepts_fsync: bool) -> Result<(u16, bool), Errno> {
        // A kernel refuses NOOP as an unknown opcode; gVisor accepts it. Any other
        // result comes from a filter of io_submit.
        match self.submit(noop(fd)) {
            Ok(()) | Err(Errno::INVAL) => {}
            Err(errno) => return Err(errno),
        }

        // Linux 4.18 to 5.0 checks the opcode before the descriptor.
        let opcode_first = self.submit(noop(NO_FILE)) == Err(Errno::INVAL);
        let file = if opcode_first { NO_FILE } else { fd };
        let write = self.reaches_mode(Pwrite::new(file, null(), 0).build())?;
        let writev = self.reaches_mode(Pwritev::new(file, null(), 0).build())?;
        let poll = Poll::new(file, PollMask::IN | PollMask::OUT).build();
        let poll = self.reaches_mode(poll)?;
        let (checks_priority, io_priority) = self.priority(fd)?;
        let since_5_1 = !opcode_first && write && checks_priority;
        let (mut fsync, mut fdsync) = (since_5_1, since_5_1);
        if !since_5_1 && (opcode_first || accepts_fsync) {
            fsync = self.reaches_mode(Fsync::new(file).build())?;
            fdsync = self.reaches_mode(Fdsync::new(file).build())?;
        }
        let opcodes = [
            // Every kernel has the opcodes of reads and writes in pairs.
            (IOCB_CMD_PREAD, write),
            (IOCB_CMD_PWRITE, write),
            (IOCB_CMD_PREADV, writev),
            (IOCB_CMD_PWRITEV, writev),
            (IOCB_CMD_FSYNC, fsync),
            (IOCB_CMD_FDSYNC, fdsync),
            (IOCB_CMD_POLL, poll),
        ];
        let bit = |(opcode, is_known): (u16, bool)| u16::from(is_known) << opcode;
        let opcodes = opcodes.map(bit).iter().fold(0, |all, bit| all | bit);
        Ok((opcodes, io_priority))
    }

    /// Returns whether the kernel checks the class of an I/O priority, and whether it
    /// accepts a valid one.
    fn priority(&mut self, fd: i32) -> Result<(bool, bool), Errno> {
        let write = |priority| Pwrite::new(fd, null(), 0).ioprio(priority).build();
        let checks = match self.submit(write(NO_PRIORITY)) {
            Ok(()) | Err(Errno::BADF) => false,
            // ENOTBLK: a kernel without block devices.
            Err(Errno::INVAL | Errno::NOTBLK) => true,
            Err(errno) => return Err(errno),
        };
        let lowest = IoPriority::best_effort(7).unwrap_or(IoPriority::idle());
        let accepts = match self.reaches_mode(write(lowest)) {
            Err(Errno::NOTBLK) => false,
            known => known?,
        };
        Ok((checks, checks && accepts))
    }

    /// Returns the flags that the kernel has, with a file that is open for reading.
    fn rw_flags(&mut self, fd: i32) -> Result<RwFlags, Errno> {
        let mut known = RwFlags::empty();
        let write = |flags| Pwrite::new(fd, null(), 0).rw_flags(flags).build();
        if self.submit(write(NO_FLAG)) != Err(Errno::OPNOTSUPP) {
            return Ok(known);
        }
        for (_, flag) in RwFlags::all().iter_names() {
            if self.reaches_mode(write(flag))? {
                known |= flag;
            }
        }
        let both = RwFlags::APPEND | RwFlags::NOAPPEND;
        if known.contains(both) {
            // Unknown flags are refused first, then this pair, then flags that the file
            // does not accept.
            for flag in DEPENDENT {
                match self.submit(write(both | flag)) {
                    Err(Errno::INVAL) => known |= flag,
                    Ok(()) | Err(Errno::OPNOTSUPP) => {}
                    Err(errno) => return Err(errno),
                }
            }
        } else if known.contains(RwFlags::APPEND) {
            // Linux 4.16, and NOWAIT is from 4.14.
            known |= RwFlags::NOWAIT;
        }
        Ok(known)
    }

    /// Returns those of the flags that writes of this file accept.
    fn file_flags(&mut self, flags: RwFlags, fd: i32) -> Result<RwFlags, Errno> {
        let write = Pwritev::new(fd, null(), TOO_MANY);
        match self.submit(write.rw_flags(NO_FLAG).build()) {
            Ok(()) => return Ok(RwFlags::empty()),
            Err(Errno::OPNOTSUPP) => {}
            Err(errno) => return Err(errno),
        }
        let mut accepted = RwFlags::empty();
        for flag in flags.iter() {
            match self.submit(write.rw_flags(flag).build()) {
                Ok(()) | Err(Errno::BADF | Errno::INVAL) => accepted |= flag,
                Err(Errno::OPNOTSUPP) => {}
                // An append-only file must be appended to.
                Err(Errno::PERM) if flag == RwFlags::NOAPPEND => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(accepted)
    }

    /// Returns whether the kernel accepts everything of this operation that it checks
    /// before the mode of the file.
    fn reaches_mode(&mut self, iocb: Iocb) -> Result<bool, Errno> {
        match self.submit(iocb) {
            Ok(()) | Err(Errno::BADF) => Ok(true),
            Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok(false),
            Err(errno) => Err(errno),
        }
    }
}

/// The context that receives the operations of a probe.
struct ProbeContext {
    context: Context,
    /// Whether an accepted operation may still be in flight, or its event in the ring.
    in_flight: bool,
    /// The error of a wait that is not available.
    no_wait: Option<Errno>,
}

impl ProbeContext {
    fn probe(&mut self) -> Result<Probe, Errno> {
        // A directory could be written to the disk by an fsync.
        let (file, accepts_fsync) = match files::open(c"/dev/null", O_RDONLY | O_CLOEXEC) {
            Ok(fd) => (Opened(fd), true),
            Err(_) => (Opened(files::open(c"/", O_RDONLY | O_CLOEXEC)?), false),
        };
        let Opened(fd) = file;
        let (opcodes, io_priority) = self.opcodes(fd, accepts_fsync)?;
        Ok(Probe {
            opcodes,
            rw_flags: self.rw_flags(fd)?,
            io_priority,
            cancel: self.cancels(),
            wait: self.waits(WaitOptions::new().timeout(Duration::from_nanos(1))),
            // With every signal blocked, no handler runs. On Android the system call could
            // end the process.
            sigmask: !cfg!(target_os = "android")
                && self.waits(WaitOptions::poll().sigmask(&SigSet::full())),
            mapped_ring: self.context.ring().is_mapped(),
        })
    }

    /// Takes the event of an accepted operation.
    fn reap(&mut self) {
        let mut event = [Event::EMPTY];
        let wait = WaitOptions::new().timeout(TIMEOUT);
        while !self.in_flight {
            // On Linux the event is in the ring already, so this is no system call if the
            // ring is mapped.
            match self.context.ring().wait_with(1, &mut event, wait) {
                Ok([_]) => return,
                Err(Errno::INTR) => {}
                Ok(_) => self.in_flight = true,
                Err(errno) => {
                    self.in_flight = true;
                    self.no_wait = Some(errno);
                }
            }
        }
    }

    /// Returns whether io_cancel is available. It cancels nothing.
    fn cancels(&self) -> bool {
        let unknown = noop(NO_FILE);
        let unreadable = core::ptr::without_provenance(UNREADABLE);
        self.context.cancel(unreadable) == Err(Errno::FAULT)
            && self.context.cancel(&raw const unknown) == Err(Errno::INVAL)
    }

    /// Returns whether a wait with these options is available. It takes no event.
    fn waits(&self, wait: WaitOptions<'_>) -> bool {
        let at_least = |min_nr| self.context.wait_with(min_nr, &mut [], wait).map(drop);
        at_least(0) == Ok(()) && at_least(1) == Err(Errno::INVAL)
    }
}

impl Submit for ProbeContext {
    /// If the operation is accepted, takes its event.
    fn submit(&mut self, mut iocb: Iocb) -> Result<(), Errno> {
        // SAFETY: the operations of this module refer to no memory that is read or
        // written. Those with a null buffer have 0 bytes or pieces, or more pieces than
        // the kernel accepts, which it refuses before it reads the first. The others
        // (fsync, poll, NOOP) have no buffer.
        let submitted = unsafe { self.context.submit(&mut [&mut iocb]) };
        match submitted.map_err(|errno| match errno {
            // The context is full of events that cannot be taken.
            Errno::AGAIN => self.no_wait.unwrap_or(errno),
            _ => errno,
        })? {
            // A filter returned 0 instead of an error.
            0 => Err(Errno::AGAIN),
            _ => {
                self.reap();
                Ok(())
            }
        }
    }
}

/// Returns an operation that no Linux kernel has.
fn noop(fd: i32) -> Iocb {
    Iocb {
        opcode: IOCB_CMD_NOOP,
        ..Fsync::new(fd).build()
    }
}

#[cfg(test)]
mod tests;
