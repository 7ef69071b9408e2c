//! [`Harness`]: a reactor, and the futures that any user code can access.

use std::mem::{self, ManuallyDrop};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicI32, AtomicU8, AtomicU64, Ordering::SeqCst};
use std::task::{Context, Poll};

use linux_aio::Errno;
use linux_aio::reactor::Lock;

use crate::ledger::{Fate, Ledger};
use crate::operation::{Files, Future, Kind, SIZE, any_kind, check, clear, signal, wait_for};
use crate::random::{self, below, once_in};
use crate::round::{Eventfd, Setting};
use crate::user::{Planned, Reach, Reactor, set_harness, waker};
use crate::watch;

/// The number of operations of a round.
pub(crate) const OPERATIONS: u32 = 512;
/// The number of these that are direct reads in flight when the reactor ends.
const LAST: u32 = 3;
/// The maximum number of futures at a time.
const PLACES: usize = 32;
/// The number of futures of a round that may be leaked before they are started.
const LEAKS: i32 = 4;

/// The phases of a round.
const ACTING: u8 = 0;
const CLOSING: u8 = 1;
const COMPLETED: u8 = 2;

struct Task<L: Lock + 'static> {
    id: u32,
    kind: Kind,
    own: bool,
    future: std::pin::Pin<Box<Future<L>>>,
}

enum Place<L: Lock + 'static> {
    Empty,
    /// The future is being created, polled or dropped.
    Busy,
    Full(Task<L>),
}

pub(crate) struct Harness<L: Lock + 'static> {
    pub(crate) reactor: ManuallyDrop<Reactor<L>>,
    pub(crate) ledger: Ledger,
    pub(crate) files: &'static Files,
    places: [Mutex<Place<L>>; PLACES],
    memory: Memory,
    phase: AtomicU8,
    capacity: usize,
    has_eventfd: bool,
    prompt: bool,
    wait: fn(&Reactor<L>) -> Result<usize, Errno>,
    /// The number of started futures that may still be leaked: they keep their slots.
    begun_leaks: AtomicI32,
    leaks: AtomicI32,
    /// The number of started and of completed operations that signal their own eventfd.
    own: [AtomicU64; 2],
}

/// Memory with a block for each operation of a round.
#[derive(Clone, Copy)]
pub(crate) struct Memory(*mut u8);

// SAFETY: each operation has its own block, so threads access disjoint memory.
unsafe impl Send for Memory {}
// SAFETY: each operation has its own block, so threads access disjoint memory.
unsafe impl Sync for Memory {}

impl Memory {
    /// Allocates the blocks, which are never freed.
    pub(crate) fn new() -> Memory {
        #[derive(Clone)]
        #[repr(align(4096))]
        struct Block(#[allow(dead_code, reason = "by pointer")] [u8; SIZE]);
        let blocks = vec![Block([0; SIZE]); OPERATIONS as usize];
        Memory(blocks.leak().as_mut_ptr().cast())
    }

    pub(crate) fn block(self, id: u32) -> *mut u8 {
        assert!(id < OPERATIONS);
        // SAFETY: `id` is less than the number of blocks, as was just checked.
        unsafe { self.0.add(id as usize * SIZE) }
    }
}

impl<L: Lock + 'static> Harness<L> {
    pub(crate) fn new(
        reactor: Reactor<L>,
        setting: &Setting,
        wait: fn(&Reactor<L>) -> Result<usize, Errno>,
        files: &'static Files,
        memory: Memory,
    ) -> Harness<L> {
        Harness {
            reactor: ManuallyDrop::new(reactor),
            ledger: Ledger::new(OPERATIONS),
            files,
            places: [const { Mutex::new(Place::Empty) }; PLACES],
            memory,
            phase: AtomicU8::new(ACTING),
            capacity: setting.capacity,
            has_eventfd: setting.eventfd != Eventfd::None,
            prompt: setting.prompt,
            wait,
            begun_leaks: AtomicI32::new(setting.capacity as i32 - 1),
            leaks: AtomicI32::new(LEAKS),
            own: Default::default(),
        }
    }

    /// Acts at random until all operations have been created. Any number of threads may
    /// do so.
    pub(crate) fn act_at_random(&'static self, seed: u64) {
        set_harness(Some(self));
        random::seed(seed);
        while self.ledger.begun() < OPERATIONS - LAST {
            caught(|| self.act());
        }
        set_harness(None);
    }

    /// Completes all futures, polling only those that were woken.
    pub(crate) fn close(&'static self) {
        self.phase.store(CLOSING, SeqCst);
        signal(&*self.files.later);
        loop {
            let (mut full, mut woken) = (false, false);
            for place in 0..PLACES {
                match self.at(place) {
                    None => {}
                    Some((_, Kind::Never)) => {
                        (full, woken) = (true, true);
                        caught(|| self.drop_at(place));
                    }
                    Some((id, _)) => {
                        full = true;
                        if self.ledger.is_woken(id) {
                            woken = true;
                            caught(|| self.poll_at(place));
                        }
                    }
                }
            }
            if !full {
                break;
            }
            if !woken {
                if self.has_eventfd {
                    wait_for(&*self.files.reactor);
                }
                caught(|| self.turn(self.wait));
            }
        }
        if !self.prompt {
            for place in 0..LAST as usize {
                caught(|| self.begin(place, Kind::Direct, OPERATIONS));
                caught(|| self.poll_at(place));
                caught(|| self.drop_at(place));
            }
            caught(|| self.turn(Reactor::turn));
        }
        self.phase.store(COMPLETED, SeqCst);
        clear(&*self.files.later);
    }

    /// Verifies, after the reactor has ended, how often the operations' own eventfd was
    /// signalled.
    pub(crate) fn check_own(&self) {
        let [begun, finished] = self.own.each_ref().map(|count| count.load(SeqCst));
        let signalled = clear(self.files.own);
        assert!(
            (finished..=begun).contains(&signalled),
            "{signalled} signals of {begun} operations, {finished} of them finished"
        );
    }

    fn at(&self, place: usize) -> Option<(u32, Kind)> {
        match &*self.places[place].lock().unwrap() {
            Place::Full(task) => Some((task.id, task.kind)),
            Place::Empty | Place::Busy => None,
        }
    }

    fn take(&self, place: usize) -> Option<Task<L>> {
        let mut place = self.places[place].lock().unwrap();
        match mem::replace(&mut *place, Place::Busy) {
            Place::Full(task) => Some(task),
            other => {
                *place = other;
                None
            }
        }
    }

    fn put(&self, place: usize, what: Place<L>) {
        let before = mem::replace(&mut *self.places[place].lock().unwrap(), what);
        assert!(matches!(before, Place::Busy));
    }

    fn begin(&'static self, place: usize, kind: Kind, most: u32) {
        {
            let mut place = self.places[place].lock().unwrap();
            if !matches!(*place, Place::Empty) {
                return;
            }
            *place = Place::Busy;
        }
        let Some(id) = self.ledger.begin(most) else {
            return self.put(place, Place::Empty);
        };
        watch::progress();
        // SAFETY: the number is new in this round, and so is its block.
        let (op, own) = unsafe { self.files.make(kind, id, self.memory.block(id)) };
        self.own[0].fetch_add(own.into(), SeqCst);
        match catch_unwind(AssertUnwindSafe(|| self.reactor.push(op))) {
            Ok(future) => {
                self.ledger.set_woken(id);
                let future = Box::pin(future);
                let task = Task {
                    id,
                    kind,
                    own,
                    future,
                };
                self.put(place, Place::Full(task));
            }
            Err(panic) => {
                // `IoBuf::region` has panicked.
                self.ledger.set_fate(id, Fate::Leaked);
                self.put(place, Place::Empty);
                resume_unwind(panic);
            }
        }
    }

    fn poll_at(&self, place: usize) {
        let Some(mut task) = self.take(place) else {
            return;
        };
        let id = task.id;
        let waker = ManuallyDrop::new(waker(id, self.ledger.poll(id)));
        let mut context = Context::from_waker(&waker);
        let future = task.future.as_mut();
        match catch_unwind(AssertUnwindSafe(|| Future::poll(future, &mut context))) {
            Ok(Poll::Pending) => self.put(place, Place::Full(task)),
            Ok(Poll::Ready(mut done)) => {
                watch::progress();
                self.put(place, Place::Empty);
                check(task.kind, id, &mut done);
                self.own[1].fetch_add(task.own.into(), SeqCst);
                drop(task);
                // This runs user code.
                drop(done);
            }
            Err(panic) => {
                self.ledger.set_woken(id);
                self.put(place, Place::Full(task));
                resume_unwind(panic);
            }
        }
    }

    fn drop_at(&self, place: usize) {
        if let Some(task) = self.take(place) {
            if has_begun(&task) {
                self.ledger.set_fate(task.id, Fate::WithReactor);
            }
            self.put(place, Place::Empty);
            drop(task);
        }
    }

    fn leak_at(&self, place: usize) {
        let Some(task) = self.take(place) else {
            return;
        };
        let begun = has_begun(&task);
        let (left, fate) = if begun {
            (&self.begun_leaks, Fate::Begun)
        } else {
            (&self.leaks, Fate::Leaked)
        };
        let more = |left| (left > 0).then_some(left - 1);
        if left.fetch_update(SeqCst, SeqCst, more).is_ok() {
            self.ledger.set_fate(task.id, fate);
            mem::forget(task.future);
            self.put(place, Place::Empty);
        } else {
            self.put(place, Place::Full(task));
        }
    }

    fn turn(&self, turn: impl FnOnce(&Reactor<L>) -> Result<usize, Errno>) {
        if self.has_eventfd {
            clear(&*self.files.reactor);
        }
        let count = turn(&self.reactor).unwrap();
        assert!(count <= self.capacity, "{count} operations in a turn");
    }
}

impl<L: Lock + 'static> Reach for Harness<L> {
    fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    fn act(&'static self) {
        let place = below(PLACES as u32) as usize;
        let closing = self.phase.load(SeqCst) == CLOSING;
        match below(64) {
            0..20 if !closing => self.begin(place, any_kind(self.prompt), OPERATIONS - LAST),
            20..50 => {
                // Mostly tasks that were woken are polled.
                let woken = |(id, _)| self.ledger.is_woken(id);
                if self.at(place).is_some_and(woken) || (!closing && once_in(4)) {
                    self.poll_at(place);
                }
            }
            50..53 => self.drop_at(place),
            53 if !closing => self.leak_at(place),
            54..60 if !closing => self.turn(Reactor::turn),
            60 if !closing => signal(&*self.files.later),
            61 if !closing => drop(clear(&*self.files.later)),
            _ => assert!(self.reactor.in_flight() <= self.capacity),
        }
    }

    fn has_completed(&self) -> bool {
        self.phase.load(SeqCst) == COMPLETED
    }
}

/// Returns whether the operation is in one of the reactor's slots.
fn has_begun<L: Lock>(task: &Task<L>) -> bool {
    format!("{:?}", task.future).contains("begun")
}

/// Runs `act` and catches planned panics.
pub(crate) fn caught(act: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(act)) {
        assert!(panic.is::<Planned>(), "a panic that was not planned");
    }
}
