//! [`Rounds`]: a sequence of reactors that use the same slots.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::task::{Context as Task, Waker};
use std::time::Instant;

use linux_aio::abi::RingHeader;
use linux_aio::reactor::{Local, Lock};
use linux_aio::{Context, Errno, IdleContext, sys};

use crate::harness::{Harness, Memory, OPERATIONS, caught};
use crate::operation::Files;
use crate::random::mixed;
use crate::user::{CALLS, CALLS_BACK, DROPPED, Planned, Reactor, Slot, THROWN, set_harness};
use crate::watch;

/// The number of slots. A round uses the first few.
const SLOTS: usize = 16;

/// The number of operations of a test if the variable is not set.
const DEFAULT: u64 = 50_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Eventfd {
    None,
    Borrowed,
    Owned,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    IdleContext,
    Dropped,
    Leaked,
}

/// The configuration of a round.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) seed: u64,
    pub(crate) watched: bool,
    batched: bool,
    /// Set if the ring is read in memory.
    mapped: bool,
    /// Set if all operations complete within their submission, so that a single thread
    /// can repeat the round exactly.
    pub(crate) prompt: bool,
    pub(crate) eventfd: Eventfd,
    pub(crate) capacity: usize,
    end: End,
}

impl Setting {
    fn new(seed: u64) -> Setting {
        let bits = mixed(seed);
        let part = |shift: u32, limit: u64| (bits >> shift) % limit;
        Setting {
            seed,
            watched: part(0, 2) == 0,
            batched: part(4, 2) == 0,
            mapped: part(8, 4) != 0,
            prompt: part(28, 2) == 0,
            eventfd: match part(12, 4) {
                0 => Eventfd::Borrowed,
                1 => Eventfd::Owned,
                _ => Eventfd::None,
            },
            capacity: 1 + part(16, SLOTS as u64) as usize,
            // Destroying a context takes tens of milliseconds.
            end: match part(24, 24) {
                0 => End::Dropped,
                1 => End::Leaked,
                _ => End::IdleContext,
            },
        }
    }
}

/// The description of the running round, for failure messages.
static NOW: Mutex<String> = Mutex::new(String::new());

pub(crate) fn description() -> String {
    NOW.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Lets one test run at a time, as the tests share the process's panic hook and `NOW`.
static ALONE: Mutex<()> = Mutex::new(());

pub(crate) struct Rounds {
    name: &'static str,
    seed: u64,
    round: u64,
    rounds: u64,
    files: &'static Files,
    memory: Memory,
    slots: *mut [Slot],
    /// Idle contexts: one whose ring is not read in memory, and one whose ring is.
    idle: [Option<IdleContext>; 2],
    begin: Instant,
    _alone: std::sync::MutexGuard<'static, ()>,
}

impl Rounds {
    pub(crate) fn new(name: &'static str) -> Rounds {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        watch::begin();
        let variable = |name: &str| {
            let value = std::env::var(name).ok()?;
            Some(value.parse::<u64>().expect("a number"))
        };
        let operations = variable("REENTER").unwrap_or(DEFAULT);
        let now = std::time::UNIX_EPOCH
            .elapsed()
            .map_or(0, |time| time.as_nanos() as u64);
        let seed = variable("REENTER_SEED").unwrap_or(mixed(now) >> 40);
        let slots: Vec<Slot> = (0..SLOTS).map(|_| Slot::NEW).collect();
        Rounds {
            name,
            seed,
            round: 0,
            rounds: operations.div_ceil(OPERATIONS.into()),
            files: Box::leak(Box::new(Files::new())),
            memory: Memory::new(),
            slots: slots.leak(),
            idle: [None, None],
            begin: Instant::now(),
            _alone: alone,
        }
    }

    /// Returns the next round, if there is one.
    pub(crate) fn next(&mut self) -> Option<Setting> {
        if self.round == self.rounds {
            return None;
        }
        let setting = Setting::new(mixed(self.seed ^ self.round << 32));
        self.round += 1;
        *NOW.lock().unwrap() = self.to_string() + &format!(", {setting:?}");
        Some(setting)
    }

    pub(crate) fn run<L: Lock + 'static>(
        &mut self,
        setting: Setting,
        wait: fn(&Reactor<L>) -> Result<usize, Errno>,
        scenario: fn(&'static Harness<L>, &Setting),
    ) {
        crate::random::seed(setting.seed);
        let context = Context::from(self.idle(setting.mapped));
        let name = context.as_raw();
        // SAFETY: the context was idle.
        let idle = unsafe { IdleContext::from_context(context, SLOTS as u32) };
        let slots = self.slots(setting.capacity);
        let mut reactor = Reactor::<L>::with_context(idle, slots);
        if setting.batched {
            reactor = reactor.batched();
        }
        reactor = match setting.eventfd {
            Eventfd::None => reactor,
            Eventfd::Borrowed => reactor.eventfd(&*self.files.reactor),
            Eventfd::Owned => reactor.eventfd_owned(self.files.reactor.clone()),
        };
        let harness = Harness::new(reactor, &setting, wait, self.files, self.memory);
        let memory = Box::into_raw(Box::new(harness));
        // SAFETY: the memory is freed below, when no reference to it is left.
        let harness: &'static Harness<L> = unsafe { &*memory };

        scenario(harness, &setting);
        crate::random::seed(!setting.seed);
        set_harness(Some(harness));
        harness.close();

        // SAFETY: all futures have completed or were leaked, so the reactor is not used
        // in its old location.
        let reactor = unsafe { core::ptr::read(&*harness.reactor) };
        let mut is_back = false;
        match setting.end {
            End::IdleContext => {
                match catch_unwind(AssertUnwindSafe(|| reactor.into_idle_context())) {
                    Ok(idle) => {
                        let place = &mut self.idle[usize::from(setting.mapped)];
                        *place = Some(idle.expect("the context is idle"));
                        is_back = true;
                    }
                    Err(panic) => assert!(panic.is::<Planned>()),
                }
            }
            End::Dropped => caught(|| drop(reactor)),
            End::Leaked => {
                core::mem::forget(reactor);
                // SAFETY: the reactor is not used again. The memory of operations in
                // flight stays allocated until the process exits.
                unsafe { sys::io_destroy(name) }.unwrap();
            }
        }
        // SAFETY: no operation is submitted.
        let exists = unsafe { sys::io_submit(name, 0, core::ptr::null()) }.is_ok();
        assert_eq!(exists, is_back, "a context was leaked");
        harness.check_own();
        self.use_all_slots();
        self.check_memory(harness);
        harness.ledger.check(setting.end == End::Leaked);
        set_harness(None);
        // SAFETY: the pointer was made by `Box::into_raw`. Wakers, buffers and data
        // that refer to it were dropped or leaked, as was just verified. The reactor in
        // it is not dropped again.
        drop(unsafe { Box::from_raw(memory) });
        crate::operation::clear(&*self.files.reactor);
    }

    /// Returns the first slots, for one owner at a time.
    fn slots(&self, count: usize) -> &'static mut [Slot] {
        // SAFETY: the array was leaked, and its last owner no longer exists.
        unsafe { &mut (&mut *self.slots)[..count] }
    }

    fn idle(&mut self, mapped: bool) -> IdleContext {
        self.idle[usize::from(mapped)].take().unwrap_or_else(|| {
            if mapped {
                return IdleContext::new(SLOTS as u32).unwrap();
            }
            let raw = Context::new(SLOTS as u32).unwrap().into_raw();
            let header = core::ptr::with_exposed_provenance_mut::<RingHeader>(raw.0);
            // SAFETY: the ring is mapped and this process owns it; the kernel does not
            // read the magic number.
            unsafe { (*header).magic = !RingHeader::MAGIC };
            // SAFETY: the context was just created, and its name exists only here.
            unsafe { IdleContext::from_context(Context::from_raw(raw), SLOTS as u32) }
        })
    }

    /// Verifies that all slots can hold an operation, whatever state the round has left
    /// in them.
    fn use_all_slots(&mut self) {
        let reactor = loop {
            let idle = self.idle(true);
            let slots = self.slots(SLOTS);
            // User code runs here: the wakers that a leaked reactor has left.
            let on = || Reactor::<Local>::with_context(idle, slots).batched();
            match catch_unwind(AssertUnwindSafe(on)) {
                Ok(reactor) => break reactor,
                Err(panic) => assert!(panic.is::<Planned>()),
            }
        };
        let mut task = Task::from_waker(Waker::noop());
        let mut futures = Vec::new();
        for count in 1..=SLOTS + 1 {
            let mut future = Box::pin(reactor.push(self.files.of_no_round()));
            assert!(future.as_mut().poll(&mut task).is_pending());
            // The operations are only staged: none has been submitted to the kernel.
            assert_eq!(reactor.in_flight(), count.min(SLOTS), "slots were lost");
            futures.push(future);
        }
        drop(futures);
        self.idle[1] = Some(reactor.into_idle_context().unwrap());
    }

    /// Verifies that no block was written after its buffer was dropped.
    fn check_memory<L: Lock>(&self, harness: &Harness<L>) {
        for id in 0..OPERATIONS {
            if harness.ledger.has_dropped_buffer(id) {
                // SAFETY: the block stays allocated, and its buffer has been dropped.
                let block = unsafe {
                    core::slice::from_raw_parts(self.memory.block(id), crate::operation::SIZE)
                };
                assert!(
                    block.iter().all(|&byte| byte == DROPPED),
                    "buffer {id} was written after its drop"
                );
            }
        }
    }

    /// Prints a summary of the rounds.
    pub(crate) fn report(self) {
        static BEFORE: [AtomicU64; 3] = [const { AtomicU64::new(0) }; 3];
        let [calls, back, thrown] = core::array::from_fn(|at| {
            let now = [&CALLS, &CALLS_BACK, &THROWN][at].load(Relaxed);
            now - BEFORE[at].swap(now, Relaxed)
        });
        println!(
            "{self}: {} operations, {calls} calls of user code, {back} of them called back, \
             {thrown} panicked; {:.1} s",
            self.rounds * u64::from(OPERATIONS),
            self.begin.elapsed().as_secs_f64(),
        );
    }
}

impl fmt::Display for Rounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rounds {
            name, seed, round, ..
        } = self;
        write!(f, "{name}, seed {seed}, round {round}")
    }
}
