//! The steps of a probe, each of which makes one kind of system call in a child process.
//!
//! A sandbox may end the process for a system call. The child records in shared memory
//! which step it is at, and its parent starts another child with the next step. In the
//! usual case there is one child. It holds the context, so that the kernel, which takes
//! tens of milliseconds to destroy one, does so while the parent has gone on.
//!
//! A step that needs a system call for which an earlier child died is left out.

use core::mem::ManuallyDrop;
use core::time::Duration;

use linux_aio::abi::{AioContext, Event, OldTimespec, RwFlags, SigsetArg, Timespec};
use linux_aio::opcode::{Pread, Pwrite};
use linux_aio::{Context, Errno, IdleContext, Iocb, Probe, WaitOptions, nr, sys};
use linux_raw_sys::general as k;

use super::reads::{self, About};
use crate::args::Bytes;
use crate::os::{self, CWD, Ended};
use crate::proc::{self, Limit};

/// The largest number of events to request for the context: a common queue depth.
pub(super) const MOST: u32 = 128;

/// The seconds that a child has for all its steps.
const PATIENCE: linux_aio::abi::Long = 5;

/// A step, in the order in which they are tried.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Openat,
    Proc,
    Statx,
    Madvise,
    Ppoll,
    Setup,
    Submit,
    Getevents,
    Pgetevents,
    Cancel,
    Destroy,
    /// The library's own context, with a ring in user space.
    Ring,
    /// A write and a read of data.
    Data,
    /// The library's probe.
    Abilities,
    /// Reads of the file that the user named.
    Reads,
}

pub(super) const STEPS: [Step; 15] = [
    Step::Openat,
    Step::Proc,
    Step::Statx,
    Step::Madvise,
    Step::Ppoll,
    Step::Setup,
    Step::Submit,
    Step::Getevents,
    Step::Pgetevents,
    Step::Cancel,
    Step::Destroy,
    Step::Ring,
    Step::Data,
    Step::Abilities,
    Step::Reads,
];

impl Step {
    /// Returns the name of the system call, or an empty string.
    pub(super) fn call(self) -> &'static str {
        const TIME64: bool = nr::IO_PGETEVENTS.is_none();
        match self {
            Step::Openat => "openat",
            Step::Statx => "statx",
            Step::Madvise => "madvise",
            Step::Ppoll => "ppoll",
            Step::Setup => "io_setup",
            Step::Submit => "io_submit",
            Step::Getevents => "io_getevents",
            Step::Pgetevents if TIME64 => "io_pgetevents_time64",
            Step::Pgetevents => "io_pgetevents",
            Step::Cancel => "io_cancel",
            Step::Destroy => "io_destroy",
            Step::Proc | Step::Ring | Step::Data | Step::Abilities | Step::Reads => "",
        }
    }

    /// Returns the steps whose system calls this one makes, too.
    fn needs(self) -> &'static [Step] {
        match self {
            Step::Proc => &[Step::Openat],
            Step::Ring => &[Step::Madvise],
            Step::Abilities => &[
                Step::Openat,
                Step::Getevents,
                Step::Pgetevents,
                Step::Cancel,
                Step::Ppoll,
            ],
            Step::Reads => &[Step::Openat, Step::Statx],
            _ => &[],
        }
    }

    /// Returns whether the step runs operations, which needs a context.
    fn uses_context(self) -> bool {
        matches!(
            self,
            Step::Ring | Step::Data | Step::Abilities | Step::Reads
        )
    }
}

/// The result of a step.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Untried,
    /// The child is at this step.
    Begun,
    Works,
    Fails(Errno),
    /// The process was ended by this signal.
    Killed(i32),
}

/// What the steps found out, in memory that the child shares with its parent.
#[derive(Clone, Copy)]
pub(super) struct Findings {
    outcomes: [Outcome; STEPS.len()],
    /// True if the child has completed all steps.
    complete: bool,
    pub(super) limit: Option<Limit>,
    /// True if `/proc/sys/fs` can be read.
    pub(super) has_sysctls: bool,
    pub(super) seccomp: Option<u64>,
    /// True if the child may be left to pid 1.
    init_reaps: bool,
    /// The number of events that io_setup(2) accepted.
    pub(super) requested: u32,
    pub(super) slots: Option<u32>,
    pub(super) mapped: bool,
    pub(super) probe: Option<Probe>,
    pub(super) names: Option<os::Names>,
    pub(super) about: Option<About>,
}

impl Findings {
    const NONE: Findings = Findings {
        outcomes: [Outcome::Untried; STEPS.len()],
        complete: false,
        limit: None,
        has_sysctls: false,
        seccomp: None,
        init_reaps: false,
        requested: 0,
        slots: None,
        mapped: false,
        probe: None,
        names: None,
        about: None,
    };

    pub(super) fn of(&self, step: Step) -> Outcome {
        self.outcomes[step as usize]
    }

    pub(super) fn works(&self, step: Step) -> bool {
        self.of(step) == Outcome::Works
    }

    pub(super) fn kills(&self, step: Step) -> bool {
        matches!(self.of(step), Outcome::Killed(_))
    }

    /// Returns whether the step is left out.
    fn excludes(&self, step: Step) -> bool {
        let lacks = !self.works(Step::Setup) || !self.works(Step::Submit);
        step.needs().iter().any(|&needed| self.kills(needed)) || (step.uses_context() && lacks)
    }
}

/// Why nothing could be found out: the system call, and its result.
pub(super) struct Blocked {
    pub(super) call: &'static str,
    pub(super) outcome: Outcome,
}

/// Tries all steps.
///
/// `path` is the file to read, if any.
pub(super) fn try_all(path: Option<Bytes>) -> Result<Findings, Blocked> {
    can_map()?;
    let blocked = |call| {
        move |errno| Blocked {
            call,
            outcome: Outcome::Fails(errno),
        }
    };
    let memory = os::Memory::shared(size_of::<Findings>()).map_err(blocked("mmap"))?;
    let findings = memory.leak().cast::<Findings>();
    // SAFETY: the mapping is new, has the size of the structure and is aligned to a page.
    // It is never unmapped. No child exists that accesses it.
    unsafe { findings.write(Findings::NONE) };
    loop {
        let (end, child_end) = os::pipe().map_err(blocked("pipe2"))?;
        match os::fork() {
            Ok(None) => {
                drop(end);
                // SAFETY: the parent accesses the structure only after this child has
                // ended, or has written to the pipe and accesses it no more.
                run(unsafe { &mut *findings }, path);
                let _ = os::write_all(child_end.raw(), b".");
                // The end of the process destroys the context. What reads the output of
                // the parent does not wait for it.
                drop(child_end);
                (0..3).for_each(os::close);
                linux_aio::rt::exit(0);
            }
            Ok(Some(child)) => {
                drop(child_end);
                // The child writes a byte when all is done, and its end closes the pipe.
                let _ = os::read(&end, &mut [0]);
                // SAFETY: see above: no child accesses the structure now.
                let found = unsafe { &mut *findings };
                let leave = found.complete && found.init_reaps;
                let ended = if leave {
                    None
                } else {
                    os::wait_for(child).ok()
                };
                if found.complete || !note(found, ended) {
                    return Ok(*found);
                }
            }
            Err(_) => {
                // Without a child the steps run here. A deadly one ends the tool.
                // SAFETY: there is no child.
                let found = unsafe { &mut *findings };
                run(found, path);
                return Ok(*found);
            }
        }
    }
}

/// Records that the child was ended at the step that it had begun. Returns whether there
/// was one.
fn note(found: &mut Findings, ended: Option<Ended>) -> bool {
    let signal = match ended {
        Some(Ended::Signal(signal)) => signal,
        Some(Ended::Exited(_)) | None => return false,
    };
    let begun = found
        .outcomes
        .iter_mut()
        .find(|outcome| **outcome == Outcome::Begun);
    match begun {
        Some(begun) => *begun = Outcome::Killed(signal),
        None => return false,
    }
    true
}

/// Checks in a child that memory can be mapped, which everything else needs.
fn can_map() -> Result<(), Blocked> {
    let Ok(child) = os::fork() else { return Ok(()) };
    let Some(child) = child else {
        let status = match os::Memory::shared(1) {
            Ok(_) => 0,
            Err(errno) => errno.raw_os_error(),
        };
        linux_aio::rt::exit(status)
    };
    let outcome = match os::wait_for(child) {
        Ok(Ended::Exited(0)) | Err(_) => return Ok(()),
        Ok(Ended::Exited(status)) => match Errno::from_raw_os_error(status) {
            Some(errno) => Outcome::Fails(errno),
            None => return Ok(()),
        },
        Ok(Ended::Signal(signal)) => Outcome::Killed(signal),
    };
    Err(Blocked {
        call: "mmap",
        outcome,
    })
}

/// Runs the steps that were not tried yet.
fn run(found: &mut Findings, path: Option<Bytes>) {
    os::end_after(PATIENCE);
    let mut child = Tried {
        raw: AioContext::NONE,
        context: None,
        path,
    };
    for step in STEPS {
        if found.of(step) != Outcome::Untried || found.excludes(step) {
            continue;
        }
        found.outcomes[step as usize] = Outcome::Begun;
        let result = child.step(step, found);
        found.outcomes[step as usize] = match result {
            Ok(()) => Outcome::Works,
            Err(errno) => Outcome::Fails(errno),
        };
    }
    found.names = os::names().ok();
    found.complete = true;
    core::mem::forget(child.context);
}

/// The context of the steps in one child.
struct Tried {
    raw: AioContext,
    context: Option<Context>,
    path: Option<Bytes>,
}

impl Tried {
    fn step(&mut self, step: Step, found: &mut Findings) -> Result<(), Errno> {
        match step {
            Step::Openat => {
                let path = c"/dev/null";
                match os::open(CWD, path, os::O_RDONLY, 0) {
                    // The root directory exists everywhere.
                    Err(Errno::NOENT) => os::open(CWD, c"/", os::O_RDONLY, 0),
                    other => other,
                }
                .map(drop)
            }
            Step::Proc => {
                found.limit = Limit::now();
                found.has_sysctls = proc::has_sysctls();
                found.init_reaps = proc::orphans_may_be_left();
                found.seccomp = proc::seccomp();
                if found.seccomp.is_none() {
                    found.seccomp = os::seccomp_mode().ok().map(|mode| mode as u64);
                }
                Ok(())
            }
            Step::Statx => os::stat_name(CWD, c"/").map(drop),
            Step::Madvise => {
                let memory = os::Memory::new(1)?;
                os::keep_from_children(&memory)
            }
            Step::Ppoll => os::poll(&mut [], 0).map(drop),
            Step::Setup => self.set_up(found),
            Step::Submit => {
                let raw = self.raw(found)?;
                // SAFETY: no operation is passed.
                or_invalid(raw, unsafe { sys::io_submit(raw, 0, core::ptr::null()) })
            }
            Step::Getevents => {
                let raw = self.raw(found)?;
                let mut time = OldTimespec { sec: 0, nsec: 0 };
                // SAFETY: no event is requested; the time lives through the call.
                or_invalid(raw, unsafe {
                    sys::io_getevents(raw, 0, 0, core::ptr::null_mut(), &raw mut time)
                })
            }
            Step::Pgetevents => {
                let raw = self.raw(found)?;
                let events = core::ptr::null_mut();
                let mask: *const SigsetArg = core::ptr::null();
                let result = if nr::IO_PGETEVENTS.is_some() {
                    let mut time = OldTimespec { sec: 0, nsec: 0 };
                    // SAFETY: no event is requested, and no mask passed; the time lives
                    // through the call.
                    unsafe { sys::io_pgetevents(raw, 0, 0, events, &raw mut time, mask) }
                } else {
                    let mut time = Timespec { sec: 0, nsec: 0 };
                    // SAFETY: as in the other branch, no memory but the time is passed.
                    unsafe { sys::io_pgetevents_time64(raw, 0, 0, events, &raw mut time, mask) }
                };
                or_invalid(raw, result)
            }
            Step::Cancel => {
                let raw = self.raw(found)?;
                let (unknown, mut event) = (Iocb::EMPTY, Event::EMPTY);
                // SAFETY: the operation was never submitted; both live through the call.
                let result = unsafe { sys::io_cancel(raw, &raw const unknown, &raw mut event) };
                expect_invalid(result)
            }
            // A context that does not exist: destroying one takes long.
            // SAFETY: no context has this identifier.
            Step::Destroy => expect_invalid(unsafe { sys::io_destroy(AioContext::NONE) }),
            Step::Ring => {
                let raw = self.raw(found)?;
                self.raw = AioContext::NONE;
                // SAFETY: `set_up` made the context in this process, and nothing else
                // uses it from here on.
                let mut context = unsafe { Context::from_raw(raw) };
                let ring = context.ring();
                (found.slots, found.mapped) = (ring.slots(), ring.is_mapped());
                self.context = Some(context);
                Ok(())
            }
            Step::Data => self.data(found),
            Step::Abilities => {
                let context = self.context(found)?;
                // SAFETY: `data` took the event of each operation that it submitted, or
                // forgot the context. One operation at a time is in flight.
                let mut idle = unsafe { IdleContext::from_context(context, 1) };
                let probe = Probe::with_context(&mut idle);
                self.context = Some(idle.into_context());
                found.probe = Some(probe?);
                Ok(())
            }
            Step::Reads => {
                let Some(path) = self.path else { return Ok(()) };
                let mut context = ManuallyDrop::new(self.context(found)?);
                found.about = Some(reads::measure(path, &mut context, found)?);
                Ok(())
            }
        }
    }

    /// Sets up a context for as many events as the limit admits.
    fn set_up(&mut self, found: &mut Findings) -> Result<(), Errno> {
        let mut number = MOST;
        loop {
            // SAFETY: the kernel writes one word.
            let result = unsafe { sys::io_setup(number, &raw mut self.raw) };
            match result {
                Err(Errno::AGAIN) if number > 1 => number /= 2,
                Ok(()) => {
                    found.requested = number;
                    return Ok(());
                }
                Err(errno) => return Err(errno),
            }
        }
    }

    /// Returns the context of this child, which may follow another one. It is none if
    /// there cannot be one: the kernel still answers system calls that are allowed.
    fn raw(&mut self, found: &mut Findings) -> Result<AioContext, Errno> {
        if self.raw == AioContext::NONE && found.works(Step::Setup) {
            self.set_up(found)?;
        }
        Ok(self.raw)
    }

    /// Returns the library's context. Where its usual one cannot be had, it is one that
    /// makes AIO system calls alone.
    fn context(&mut self, found: &Findings) -> Result<Context, Errno> {
        match self.context.take() {
            Some(context) => Ok(context),
            None if found.works(Step::Ring) => Context::new(1),
            None => Context::new_unmapped(1),
        }
    }

    /// Writes and reads eight bytes of a file in memory.
    fn data(&mut self, found: &Findings) -> Result<(), Errno> {
        let file = os::memory_file(c"aio-probe")?;
        let memory = os::Memory::new(4096)?.leak();
        // An error leaves the context to the end of the process: its operations may still
        // be in flight.
        let mut context = ManuallyDrop::new(self.context(found)?);
        // SAFETY: the memory is mapped, zeroed, and never unmapped.
        let bytes = unsafe { core::slice::from_raw_parts_mut(memory, 16) };
        bytes[..8].copy_from_slice(b"aio data");
        let address = bytes.as_mut_ptr();
        let write = Pwrite::new(file.raw(), address, 8).build();
        let read = Pread::new(file.raw(), address.wrapping_add(8), 8).build();
        for mut iocb in [write, read] {
            // SAFETY: the memory is never unmapped, and not accessed until the event of
            // the operation was taken.
            unsafe { context.submit_all(&mut [&mut iocb]) }.map_err(|error| error.errno)?;
            let event = take(&mut context, found)?;
            if event.result()? != 8 {
                return Err(Errno::IO);
            }
        }
        // SAFETY: both operations have completed; the memory is mapped.
        let bytes = unsafe { core::slice::from_raw_parts(memory, 16) };
        self.context = Some(ManuallyDrop::into_inner(context));
        if bytes[..8] == bytes[8..] {
            Ok(())
        } else {
            Err(Errno::IO)
        }
    }
}

/// Takes the next event, within two seconds. No system call is made that kills.
pub(super) fn take(context: &mut Context, found: &Findings) -> Result<Event, Errno> {
    let mut ring = context.ring();
    let waits = [Step::Getevents, Step::Pgetevents, Step::Ppoll];
    if waits.iter().any(|&wait| found.kills(wait)) || !can_wait(found) {
        if ring.is_mapped() {
            // An operation on a file in memory completes inside io_submit(2).
            return ring.pop()?.ok_or(Errno::TIMEDOUT);
        }
        if waits.iter().any(|&wait| found.kills(wait)) {
            return Err(Errno::NOSYS);
        }
    }
    let mut events = [Event::EMPTY];
    let wait = WaitOptions::new().timeout(Duration::from_secs(2));
    match ring.wait_with(1, &mut events, wait)? {
        [event, ..] => Ok(*event),
        [] => Err(Errno::TIMEDOUT),
    }
}

/// Returns whether one of the system calls that wait works.
pub(super) fn can_wait(found: &Findings) -> bool {
    found.works(Step::Getevents) || found.works(Step::Pgetevents)
}

/// Without a context, the error of an unknown one proves that the system call is there.
fn or_invalid<T>(raw: AioContext, result: Result<T, Errno>) -> Result<(), Errno> {
    match raw {
        AioContext::NONE => expect_invalid(result),
        _ => result.map(drop),
    }
}

/// The error of an unknown operation or context proves that the system call is there.
fn expect_invalid<T>(result: Result<T, Errno>) -> Result<(), Errno> {
    match result {
        Err(Errno::INVAL) => Ok(()),
        Err(errno) => Err(errno),
        // A filter returned success without a call.
        Ok(_) => Err(Errno::NOSYS),
    }
}

/// Returns whether the signal ended a child that took too long.
pub(super) fn is_alarm(signal: i32) -> bool {
    signal as u32 == k::SIGALRM
}

/// Returns the name of the signal, for those that a sandbox sends.
pub(super) fn signal_name(signal: i32) -> &'static str {
    match signal as u32 {
        k::SIGSYS => "SIGSYS",
        k::SIGKILL => "SIGKILL",
        k::SIGALRM => "no answer",
        k::SIGSEGV => "SIGSEGV",
        _ => "a signal",
    }
}

/// The flags of reads and writes that are known, each with its name.
pub(super) fn flags(probe: &Probe) -> impl Iterator<Item = &'static str> {
    let known: RwFlags = probe.rw_flags();
    RwFlags::all()
        .iter_names()
        .filter(move |(_, flag)| known.contains(*flag))
        .map(|(name, _)| name)
}
