//! A kernel model in plain Rust, after `fs/aio.c`: contexts with a ring in memory and
//! the count of its free slots, operations that complete in any order, and files.
//!
//! Each thread has a kernel model for itself, and nothing in it runs concurrently:
//! operations complete when the scenario says so, or during a system call that waits
//! for them.

mod operation;
mod ring;

use core::cell::RefCell;

use crate::sys::abi::{AioContext, Event, IOCB_CMD_FDSYNC, IOCB_CMD_FSYNC, IOCB_CMD_POLL, Iocb};
use crate::sys::errno::Errno;
use operation::Running;
pub use operation::{BUFFERED, DIRECT, POLLED, Verdict};
use ring::KernelRing;

/// The timeout of a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    /// No wait.
    None,
    /// A short time, in which operations may or may not complete.
    Moment,
    /// A longer time, in which every operation completes that can.
    While,
    /// No limit.
    ForEver,
}

/// The faults that the next system calls meet.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// The number of operations that are accepted before submission fails with EAGAIN.
    /// `None`: the ring sets the only limit.
    pub capacity: Option<usize>,
    /// The greatest number of operations that one system call accepts.
    pub short: Option<usize>,
    /// True if a signal arrives when the next system call would have to wait.
    pub signal: bool,
    /// The error of every io_cancel.
    pub cancel: Option<Errno>,
    /// The error of every wait, after this many successful ones.
    pub wait: Option<(u32, Errno)>,
}

/// An event as it was added to the ring.
#[derive(Clone, Copy, Debug)]
pub struct LoggedEvent {
    /// The `data` of the event.
    pub data: u64,
    /// The `res` of the event.
    pub res: i64,
    /// True if the event belongs to no submitted operation.
    pub is_foreign: bool,
}

struct Context {
    name: AioContext,
    ring: KernelRing,
    running: Vec<Running>,
    taken: Vec<Iocb>,
    log: Vec<LoggedEvent>,
}

/// The record of a destroyed context.
struct Gone {
    name: AioContext,
    given: Vec<Iocb>,
    log: Vec<LoggedEvent>,
    taken: usize,
}

/// The kernel model of one thread.
pub struct Kernel {
    contexts: Vec<Context>,
    gone: Vec<Gone>,
    /// The files by number: the first is [`BUFFERED`], the second [`DIRECT`].
    pub files: [Vec<u8>; 2],
    /// The readiness of each pollable descriptor.
    pub ready: Vec<bool>,
    /// The faults that the next system calls meet.
    pub faults: Faults,
    /// The least number of slots of a ring. A ring has at least one slot more than the
    /// requested number of operations.
    ring_slots: u32,
    /// True if rings cannot be read without a system call.
    pub opaque: bool,
    /// Duplicated descriptors of the same files, by number, while they are open.
    duplicates: Vec<Option<i32>>,
    /// The numbers of system calls so far: to submit, to cancel, to wait.
    pub calls: [u64; 3],
    chance: u64,
    owner: i32,
}

/// The number of the first duplicated descriptor.
const DUPLICATES: i32 = 10_000;

thread_local! {
    static KERNEL: RefCell<Option<Kernel>> = const { RefCell::new(None) };
}

/// Installs a kernel model, which serves this thread's contexts from now on.
pub fn install(kernel: Kernel) {
    KERNEL.set(Some(kernel));
}

/// Removes the kernel model: this thread uses the real kernel again.
pub fn uninstall() {
    KERNEL.set(None);
}

/// Calls `call` with the thread's kernel model, if it has one.
pub fn with_next<T>(call: impl FnOnce(&mut Kernel) -> T) -> Option<T> {
    KERNEL.with_borrow_mut(|kernel| kernel.as_mut().map(call))
}

/// Calls `call` with the thread's kernel model, if it has this context. In a forked
/// child the result is EINVAL instead.
pub(crate) fn with<T>(
    ctx: AioContext,
    call: impl FnOnce(&mut Kernel) -> Result<T, Errno>,
) -> Option<Result<T, Errno>> {
    with_next(|kernel| {
        kernel.contexts.iter().any(|c| c.name == ctx).then(|| {
            // SAFETY: `getpid` has no preconditions.
            if unsafe { libc::getpid() } == kernel.owner {
                call(kernel)
            } else {
                Err(Errno::INVAL)
            }
        })
    })
    .flatten()
}

/// Returns whether an operation in the thread's kernel model may access this memory. In
/// a forked child no operation does.
pub fn is_held(start: *const u8, len: usize) -> bool {
    with_next(|kernel| {
        // SAFETY: `getpid` has no preconditions.
        if unsafe { libc::getpid() } != kernel.owner {
            return false;
        }
        let mut running = kernel.contexts.iter().flat_map(|c| &c.running);
        running.any(|operation| operation.touches(start.addr(), len))
    })
    .unwrap_or(false)
}

impl Kernel {
    /// Creates a kernel model with these files, `polled` descriptors to poll and rings
    /// of at least `ring_slots` slots. `chance` seeds every choice that is left open.
    pub fn new(files: [Vec<u8>; 2], polled: usize, ring_slots: u32, chance: u64) -> Kernel {
        Kernel {
            contexts: Vec::new(),
            gone: Vec::new(),
            files,
            ready: vec![false; polled],
            faults: Faults::default(),
            ring_slots,
            opaque: false,
            duplicates: Vec::new(),
            calls: [0; 3],
            chance: chance | 1,
            // SAFETY: `getpid` has no preconditions.
            owner: unsafe { libc::getpid() },
        }
    }

    fn context(&mut self, ctx: AioContext) -> Result<&mut Context, Errno> {
        let found = self.contexts.iter_mut().find(|c| c.name == ctx);
        found.ok_or(Errno::INVAL)
    }

    /// Returns a pseudo-random number below `end`.
    fn any(&mut self, end: usize) -> usize {
        // xorshift64
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        (self.chance % end.max(1) as u64) as usize
    }

    pub(crate) fn setup(&mut self, nr_events: u32) -> Result<AioContext, Errno> {
        if nr_events == 0 || nr_events > 1 << 22 {
            return Err(Errno::INVAL);
        }
        // The kernel may make the ring larger than requested, but never smaller.
        let ring = KernelRing::new(self.ring_slots.max(nr_events + 1), self.opaque);
        let name = ring.name();
        self.gone.retain(|gone| gone.name != name);
        self.contexts.push(Context {
            name,
            ring,
            running: Vec::new(),
            taken: Vec::new(),
            log: Vec::new(),
        });
        Ok(name)
    }

    /// Cancels the polls, waits for the other operations, and destroys the context.
    ///
    /// # Errors
    /// EINVAL: no such context.
    pub fn destroy(&mut self, ctx: AioContext) -> Result<(), Errno> {
        let at = self.contexts.iter().position(|c| c.name == ctx);
        let mut context = self.contexts.remove(at.ok_or(Errno::INVAL)?);
        while !context.running.is_empty() {
            let next = self.any(context.running.len());
            let operation = context.running.swap_remove(next);
            operation.run(self, Verdict::Whole);
        }
        self.gone.push(Gone {
            name: ctx,
            taken: context.log.len() - context.ring.len(),
            given: context.taken,
            log: context.log,
        });
        Ok(())
    }

    /// Returns whether the context exists and has not been destroyed.
    pub fn has(&self, ctx: AioContext) -> bool {
        self.contexts.iter().any(|c| c.name == ctx)
    }

    fn gone(&self, ctx: AioContext) -> Option<&Gone> {
        self.gone.iter().find(|gone| gone.name == ctx)
    }

    /// Submits operations.
    ///
    /// # Safety
    /// The conditions of `io_submit(2)` apply: each iocb is valid, and its memory stays
    /// valid until the operation has completed.
    pub(crate) unsafe fn submit(
        &mut self,
        ctx: AioContext,
        iocbs: &[*mut Iocb],
    ) -> Result<usize, Errno> {
        self.calls[0] += 1;
        let most = self.faults.short.unwrap_or(usize::MAX).max(1);
        for (taken, &iocb) in iocbs.iter().take(most).enumerate() {
            // SAFETY: `iocb` is valid, by the contract of this function.
            if let Err(errno) = unsafe { self.submit_one(ctx, iocb) } {
                return if taken > 0 { Ok(taken) } else { Err(errno) };
            }
        }
        Ok(iocbs.len().min(most))
    }

    /// Submits one operation.
    ///
    /// # Safety
    /// The conditions of `io_submit(2)` apply, as for `submit`.
    unsafe fn submit_one(&mut self, ctx: AioContext, iocb: *mut Iocb) -> Result<(), Errno> {
        // SAFETY: `iocb` is valid for reads, by the contract of this function.
        let copy = unsafe { *iocb };
        if copy.reserved2 != 0 {
            return Err(Errno::INVAL);
        }
        // The slot is claimed before the file is examined.
        if self.faults.capacity == Some(0) || !self.context(ctx)?.ring.claim() {
            return Err(Errno::AGAIN);
        }
        match self.begin(iocb, copy) {
            Ok(operation) => {
                self.faults.capacity = self.faults.capacity.map(|left| left - 1);
                // SAFETY: `iocb` is valid for writes, by the contract of this function:
                // the kernel writes the key.
                unsafe { (*iocb).key = 0 };
                let at_once = operation.ends_at_once();
                let context = self.context(ctx)?;
                context.taken.push(copy);
                context.running.push(operation);
                if at_once {
                    let last = context.running.len() - 1;
                    self.end(ctx, last, Verdict::Whole)?;
                }
                Ok(())
            }
            Err(errno) => {
                self.context(ctx)?.ring.unclaim();
                Err(errno)
            }
        }
    }

    /// Duplicates a descriptor: the new one refers to the same file.
    pub fn duplicate(&mut self, fd: i32) -> i32 {
        self.duplicates.push(Some(fd));
        DUPLICATES + self.duplicates.len() as i32 - 1
    }

    /// Closes a duplicated descriptor.
    pub fn close(&mut self, fd: i32) {
        if let Some(open) = self.duplicates.get_mut((fd - DUPLICATES) as usize) {
            *open = None;
        }
    }

    /// Returns the first descriptor of the file, or `None` if `fd` is closed.
    fn original(&self, fd: i32) -> Option<i32> {
        match fd.checked_sub(DUPLICATES) {
            Some(at @ 0..) => *self.duplicates.get(at as usize)?,
            _ => Some(fd),
        }
    }

    fn begin(&self, iocb: *mut Iocb, mut copy: Iocb) -> Result<Running, Errno> {
        let fd = self.original(copy.fildes as i32).ok_or(Errno::BADF)?;
        copy.fildes = fd as u32;
        let polled = fd - POLLED;
        let is_file = fd == BUFFERED || fd == DIRECT;
        let is_polled = (0..self.ready.len() as i32).contains(&polled);
        if !is_file && !is_polled {
            return Err(Errno::BADF);
        }
        match copy.opcode {
            // Pollable descriptors support no fsync, no read and no write here.
            IOCB_CMD_POLL if is_polled => {}
            IOCB_CMD_POLL => return Err(Errno::INVAL),
            _ if is_polled => return Err(Errno::INVAL),
            IOCB_CMD_FSYNC | IOCB_CMD_FDSYNC if copy.buf != 0 || copy.nbytes != 0 => {
                return Err(Errno::INVAL);
            }
            _ => {}
        }
        Running::begin(iocb, copy)
    }

    pub(crate) fn cancel(&mut self, ctx: AioContext, iocb: *const Iocb) -> Result<(), Errno> {
        self.calls[1] += 1;
        if let Some(errno) = self.faults.cancel {
            return Err(errno);
        }
        if iocb.is_null() {
            return Err(Errno::FAULT);
        }
        let found = self.context(ctx)?.running.iter_mut();
        let found = found.filter(|o| o.is_at(iocb)).find(|o| o.is_poll());
        match found {
            Some(poll) if !poll.cancelled => {
                poll.cancelled = true;
                Err(Errno::INPROGRESS)
            }
            _ => Err(Errno::INVAL),
        }
    }

    pub(crate) fn getevents(
        &mut self,
        ctx: AioContext,
        min_nr: usize,
        events: &mut [Event],
        time: Time,
    ) -> Result<usize, Errno> {
        self.calls[2] += 1;
        if let Some((left, errno)) = &mut self.faults.wait {
            if *left == 0 {
                return Err(*errno);
            }
            *left -= 1;
        }
        let mut count = 0;
        loop {
            count += self.context(ctx)?.ring.read(&mut events[count..]);
            if count >= min_nr || count == events.len() || time == Time::None {
                return Ok(count);
            }
            if core::mem::take(&mut self.faults.signal) {
                return if count > 0 {
                    Ok(count)
                } else {
                    Err(Errno::INTR)
                };
            }
            if time == Time::Moment && self.any(4) == 0 {
                return Ok(count);
            }
            if !self.pass(ctx) {
                // The real kernel would wait forever.
                return match time {
                    Time::ForEver => Err(Errno::DEADLK),
                    _ => Ok(count),
                };
            }
        }
    }

    /// Lets time pass: completes one operation, and returns whether one could complete.
    fn pass(&mut self, ctx: AioContext) -> bool {
        let start = self.any(1 << 16);
        let Ok(context) = self.context(ctx) else {
            return false;
        };
        let count = context.running.len();
        let mut order = (0..count).map(|at| (start + at) % count);
        let ready = self.ready.clone();
        let running = &self.context(ctx).map(|c| &c.running).unwrap();
        let Some(at) = order.find(|&at| running[at].can_end(&ready)) else {
            return false;
        };
        self.end(ctx, at, Verdict::Whole).is_ok()
    }

    /// Completes one of the operations that can complete: `pick` selects it, and
    /// `verdict` defines its result. Returns whether one could complete.
    pub fn complete(&mut self, ctx: AioContext, pick: usize, verdict: Verdict) -> bool {
        let ready = self.ready.clone();
        let Ok(context) = self.context(ctx) else {
            return false;
        };
        let can: Vec<usize> = (0..context.running.len())
            .filter(|&at| context.running[at].can_end(&ready))
            .collect();
        match can.get(pick % can.len().max(1)) {
            Some(&at) => self.end(ctx, at, verdict).is_ok(),
            None => false,
        }
    }

    fn end(&mut self, ctx: AioContext, at: usize, verdict: Verdict) -> Result<(), Errno> {
        let operation = self.context(ctx)?.running.remove(at);
        let event = operation.run(self, verdict);
        let context = self.context(ctx)?;
        context.ring.complete(event);
        context.log.push(LoggedEvent {
            data: event.data,
            res: event.res,
            is_foreign: false,
        });
        Ok(())
    }

    /// Completes all operations that can complete.
    pub fn complete_all(&mut self, ctx: AioContext) {
        while self.complete(ctx, 0, Verdict::Whole) {}
    }

    /// Returns the number of operations that can complete now.
    pub fn ending(&self, ctx: AioContext) -> usize {
        let context = self.contexts.iter().find(|c| c.name == ctx);
        let running = context.iter().flat_map(|c| &c.running);
        running.filter(|o| o.can_end(&self.ready)).count()
    }

    /// Returns the number of operations in flight.
    pub fn running(&self, ctx: AioContext) -> usize {
        let context = self.contexts.iter().find(|c| c.name == ctx);
        context.map_or(0, |c| c.running.len())
    }

    /// Adds a foreign event, if the ring has space for it.
    pub fn add_foreign(&mut self, ctx: AioContext, event: Event) {
        let Ok(context) = self.context(ctx) else {
            return;
        };
        // One slot stays free for operations: this distinguishes a submission that is
        // refused for lack of space.
        if context.ring.available() > 1 && context.ring.claim() {
            context.ring.complete(event);
            context.log.push(LoggedEvent {
                data: event.data,
                res: event.res,
                is_foreign: true,
            });
        }
    }

    /// Returns the operations submitted to a context, from index `from` on.
    pub fn given(&self, ctx: AioContext, from: usize) -> Vec<Iocb> {
        let alive = self.contexts.iter().find(|c| c.name == ctx);
        let given = alive.map(|c| &c.taken);
        let given = given.or(self.gone(ctx).map(|gone| &gone.given));
        given.map_or(Vec::new(), |given| given[from..].to_vec())
    }

    /// Returns the events added to a context's ring, from index `from` on.
    pub fn logged(&self, ctx: AioContext, from: usize) -> Vec<LoggedEvent> {
        let alive = self.contexts.iter().find(|c| c.name == ctx);
        let log = alive.map(|c| &c.log);
        let log = log.or(self.gone(ctx).map(|gone| &gone.log));
        log.map_or(Vec::new(), |log| log[from..].to_vec())
    }

    /// Returns the number of those events that have been taken.
    pub fn taken(&self, ctx: AioContext) -> usize {
        match self.contexts.iter().find(|c| c.name == ctx) {
            Some(alive) => alive.log.len() - alive.ring.len(),
            None => self.gone(ctx).map_or(0, |gone| gone.taken),
        }
    }

    /// Returns the `data` of the operations that were cancelled and have not completed.
    pub fn cancelled(&self, ctx: AioContext) -> Vec<u64> {
        let context = self.contexts.iter().find(|c| c.name == ctx);
        let running = context.iter().flat_map(|c| &c.running);
        let cancelled = running.filter(|operation| operation.cancelled);
        cancelled.map(Running::data).collect()
    }

    /// Returns the number of operations that the context would accept if the ring's
    /// head were `late` events further.
    pub fn capacity(&mut self, ctx: AioContext, late: usize) -> usize {
        let available = self.context(ctx).map_or(0, |c| c.ring.available() + late);
        available.min(self.faults.capacity.unwrap_or(usize::MAX))
    }

    /// Returns the handle of the context created last.
    pub fn newest(&self) -> Option<AioContext> {
        self.contexts.last().map(|context| context.name)
    }
}
