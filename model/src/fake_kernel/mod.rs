//! A kernel in plain Rust, after `fs/aio.c`: contexts with a ring in memory, the
//! count of the room in it, operations that end in any order, and files.
//!
//! It is the thread's own, and nothing happens in it by itself: operations end
//! when the play says so, or while somebody waits for them.

mod ring;
mod run;

use core::cell::RefCell;

use crate::sys::abi::{AioContext, Event, IOCB_CMD_FDSYNC, IOCB_CMD_FSYNC, IOCB_CMD_POLL, Iocb};
use crate::sys::errno::Errno;
use ring::KernelRing;
use run::Running;
pub use run::{BUFFERED, DIRECT, POLLED, Verdict};

/// How long a waiter will wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    /// Not at all.
    None,
    /// A moment, in which anything or nothing may happen.
    Moment,
    /// A while, in which what can end does.
    While,
    /// Until there are events.
    ForEver,
}

/// What the next calls will meet.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// Operations that are taken before the room is up; no limit but the
    /// ring's without.
    pub room: Option<usize>,
    /// Operations that one call takes, at the most.
    pub short: Option<usize>,
    /// A signal comes when the next waiter would have to wait.
    pub signal: bool,
    /// Every io_cancel is refused.
    pub cancel: Option<Errno>,
    /// Every wait is refused, after so many that were not.
    pub wait: Option<(u32, Errno)>,
}

/// An event as it went into the ring.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// As the event has it.
    pub data: u64,
    /// Likewise.
    pub res: i64,
    /// Nobody submitted it.
    pub is_foreign: bool,
}

struct Context {
    name: AioContext,
    ring: KernelRing,
    running: Vec<Running>,
    taken: Vec<Iocb>,
    log: Vec<Ended>,
}

/// What is known of a context that was destroyed.
struct Gone {
    name: AioContext,
    given: Vec<Iocb>,
    log: Vec<Ended>,
    taken: usize,
}

/// The kernel of one thread.
pub struct Kernel {
    contexts: Vec<Context>,
    gone: Vec<Gone>,
    /// The files, by number: the first [`BUFFERED`], the second [`DIRECT`].
    pub files: [Vec<u8>; 2],
    /// What the pollable descriptors say.
    pub ready: Vec<bool>,
    /// See there.
    pub faults: Faults,
    /// Slots of a ring, at least, and for an operation that was asked for.
    ring_slots: u32,
    /// Rings cannot be read without the kernel.
    pub opaque: bool,
    /// Other descriptors of the same files, by number, while they are open.
    duplicates: Vec<Option<i32>>,
    /// System calls there were: to submit, to cancel, to wait.
    pub calls: [u64; 3],
    chance: u64,
    owner: i32,
}

/// The first number of other descriptors.
const DUPLICATES: i32 = 10_000;

thread_local! {
    static KERNEL: RefCell<Option<Kernel>> = const { RefCell::new(None) };
}

/// From now on this thread's contexts are made by this kernel.
pub fn install(kernel: Kernel) {
    KERNEL.set(Some(kernel));
}

/// The real one again.
pub fn uninstall() {
    KERNEL.set(None);
}

/// The thread's kernel, if it has one.
pub fn with_next<T>(call: impl FnOnce(&mut Kernel) -> T) -> Option<T> {
    KERNEL.with_borrow_mut(|kernel| kernel.as_mut().map(call))
}

/// The thread's kernel, if it knows this context. EINVAL is its own to say in
/// a forked child.
pub(crate) fn with<T>(
    ctx: AioContext,
    call: impl FnOnce(&mut Kernel) -> Result<T, Errno>,
) -> Option<Result<T, Errno>> {
    with_next(|kernel| {
        kernel.contexts.iter().any(|c| c.name == ctx).then(|| {
            // SAFETY: a question.
            if unsafe { libc::getpid() } == kernel.owner {
                call(kernel)
            } else {
                Err(Errno::INVAL)
            }
        })
    })
    .flatten()
}

/// Whether any operation of the thread's kernel may touch this memory: a child's
/// copy, none.
pub fn is_held(start: *const u8, len: usize) -> bool {
    with_next(|kernel| {
        // SAFETY: a question.
        if unsafe { libc::getpid() } != kernel.owner {
            return false;
        }
        let mut running = kernel.contexts.iter().flat_map(|c| &c.running);
        running.any(|operation| operation.touches(start.addr(), len))
    })
    .unwrap_or(false)
}

impl Kernel {
    /// With these files, so many descriptors to poll, rings of `ring_slots`
    /// unless more is asked for, and `chance` for all that is open.
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
            // SAFETY: a question.
            owner: unsafe { libc::getpid() },
        }
    }

    fn context(&mut self, ctx: AioContext) -> Result<&mut Context, Errno> {
        let found = self.contexts.iter_mut().find(|c| c.name == ctx);
        found.ok_or(Errno::INVAL)
    }

    /// A number below `end`.
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
        // The kernel makes the ring as large as it likes, but never too small.
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

    /// Cancels the polls, waits for the rest, and the context is gone.
    ///
    /// # Errors
    /// EINVAL: there is none of that name.
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

    /// Whether it has the context, alive.
    pub fn has(&self, ctx: AioContext) -> bool {
        self.contexts.iter().any(|c| c.name == ctx)
    }

    fn gone(&self, ctx: AioContext) -> Option<&Gone> {
        self.gone.iter().find(|gone| gone.name == ctx)
    }

    /// # Safety
    /// As `io_submit(2)`.
    pub(crate) unsafe fn submit(
        &mut self,
        ctx: AioContext,
        iocbs: &[*mut Iocb],
    ) -> Result<usize, Errno> {
        self.calls[0] += 1;
        let most = self.faults.short.unwrap_or(usize::MAX).max(1);
        for (taken, &iocb) in iocbs.iter().take(most).enumerate() {
            // SAFETY: the caller's.
            if let Err(errno) = unsafe { self.submit_one(ctx, iocb) } {
                return if taken > 0 { Ok(taken) } else { Err(errno) };
            }
        }
        Ok(iocbs.len().min(most))
    }

    /// # Safety
    /// As `io_submit(2)`.
    unsafe fn submit_one(&mut self, ctx: AioContext, iocb: *mut Iocb) -> Result<(), Errno> {
        // SAFETY: the caller's.
        let copy = unsafe { *iocb };
        if copy.reserved2 != 0 {
            return Err(Errno::INVAL);
        }
        // Room first; the file is looked at then.
        if self.faults.room == Some(0) || !self.context(ctx)?.ring.claim() {
            return Err(Errno::AGAIN);
        }
        match self.begin(iocb, copy) {
            Ok(operation) => {
                self.faults.room = self.faults.room.map(|room| room - 1);
                // SAFETY: the kernel writes the key.
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

    /// Another descriptor of the same file.
    pub fn duplicate(&mut self, fd: i32) -> i32 {
        self.duplicates.push(Some(fd));
        DUPLICATES + self.duplicates.len() as i32 - 1
    }

    /// Closes one.
    pub fn close(&mut self, fd: i32) {
        if let Some(open) = self.duplicates.get_mut((fd - DUPLICATES) as usize) {
            *open = None;
        }
    }

    /// The file's first descriptor.
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
            // What is polled here has no fsync, and is neither read nor
            // written.
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
                // The real one would not come back.
                return match time {
                    Time::ForEver => Err(Errno::DEADLK),
                    _ => Ok(count),
                };
            }
        }
    }

    /// Time passes: one operation ends, if any can.
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

    /// Ends one that can end; `pick` says which, `verdict` how.
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
        context.log.push(Ended {
            data: event.data,
            res: event.res,
            is_foreign: false,
        });
        Ok(())
    }

    /// Ends all that can end.
    pub fn complete_all(&mut self, ctx: AioContext) {
        while self.complete(ctx, 0, Verdict::Whole) {}
    }

    /// How many operations can end now.
    pub fn ending(&self, ctx: AioContext) -> usize {
        let context = self.contexts.iter().find(|c| c.name == ctx);
        let running = context.iter().flat_map(|c| &c.running);
        running.filter(|o| o.can_end(&self.ready)).count()
    }

    /// How many operations run.
    pub fn running(&self, ctx: AioContext) -> usize {
        let context = self.contexts.iter().find(|c| c.name == ctx);
        context.map_or(0, |c| c.running.len())
    }

    /// An event of somebody else's, if the ring has room for it.
    pub fn add_foreign(&mut self, ctx: AioContext, event: Event) {
        let Ok(context) = self.context(ctx) else {
            return;
        };
        // One slot stays for operations: what is refused for want of room can be
        // told apart then.
        if context.ring.room() > 1 && context.ring.claim() {
            context.ring.complete(event);
            context.log.push(Ended {
                data: event.data,
                res: event.res,
                is_foreign: true,
            });
        }
    }

    /// The operations that a context has been given, from the `from`th on.
    pub fn given(&self, ctx: AioContext, from: usize) -> Vec<Iocb> {
        let alive = self.contexts.iter().find(|c| c.name == ctx);
        let given = alive.map(|c| &c.taken);
        let given = given.or(self.gone(ctx).map(|gone| &gone.given));
        given.map_or(Vec::new(), |given| given[from..].to_vec())
    }

    /// What went into a context's ring, from the `from`th event on.
    pub fn ended(&self, ctx: AioContext, from: usize) -> Vec<Ended> {
        let alive = self.contexts.iter().find(|c| c.name == ctx);
        let log = alive.map(|c| &c.log);
        let log = log.or(self.gone(ctx).map(|gone| &gone.log));
        log.map_or(Vec::new(), |log| log[from..].to_vec())
    }

    /// How many of those events have been taken out again.
    pub fn taken(&self, ctx: AioContext) -> usize {
        match self.contexts.iter().find(|c| c.name == ctx) {
            Some(alive) => alive.log.len() - alive.ring.len(),
            None => self.gone(ctx).map_or(0, |gone| gone.taken),
        }
    }

    /// The `data` of the operations that were cancelled and have not ended.
    pub fn cancelled(&self, ctx: AioContext) -> Vec<u64> {
        let context = self.contexts.iter().find(|c| c.name == ctx);
        let running = context.iter().flat_map(|c| &c.running);
        let cancelled = running.filter(|operation| operation.cancelled);
        cancelled.map(Running::data).collect()
    }

    /// How many operations the context could be given, if the ring's head were
    /// `late` events further.
    pub fn room(&mut self, ctx: AioContext, late: usize) -> usize {
        let room = self.context(ctx).map_or(0, |c| c.ring.room() + late);
        room.min(self.faults.room.unwrap_or(usize::MAX))
    }

    /// The name of the context made last.
    pub fn newest(&self) -> Option<AioContext> {
        self.contexts.last().map(|context| context.name)
    }
}
