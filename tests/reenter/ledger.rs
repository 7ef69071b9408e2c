//! [`Ledger`]: what has become of each operation of a round.

use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, AtomicU16, AtomicU32, Ordering::SeqCst};

/// The life of a buffer or of data.
const ALIVE: u8 = 1;
const DROPPED: u8 = 2;

/// What must have become of a payload at the end of the round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Fate {
    /// Dropped.
    Dropped,
    /// The reactor has it: dropped, unless the reactor was leaked.
    WithReactor,
    /// A leaked future had begun it: as before, but a leaked reactor does not drop
    /// it early.
    Begun,
    /// It was leaked with a future that has not begun: never dropped.
    Leaked,
}

const FATES: [Fate; 4] = [Fate::Dropped, Fate::WithReactor, Fate::Begun, Fate::Leaked];

#[derive(Default)]
struct Entry {
    buffer: AtomicU8,
    data: AtomicU8,
    fate: AtomicU8,
    /// Clones of its waker that exist.
    wakers: AtomicI32,
    /// Of the waker that its latest poll was given.
    generation: AtomicU16,
    woken: AtomicBool,
}

pub(crate) struct Ledger {
    entries: Box<[Entry]>,
    begun: AtomicU32,
}

impl Ledger {
    pub(crate) fn new(most: u32) -> Ledger {
        Ledger {
            entries: (0..most).map(|_| Entry::default()).collect(),
            begun: AtomicU32::new(0),
        }
    }

    /// The number of a new operation, if there are less than so many.
    pub(crate) fn begin(&self, most: u32) -> Option<u32> {
        let more = |begun| (begun < most).then_some(begun + 1);
        self.begun.fetch_update(SeqCst, SeqCst, more).ok()
    }

    pub(crate) fn begun(&self) -> u32 {
        self.begun.load(SeqCst)
    }

    fn of(&self, id: u32) -> &Entry {
        &self.entries[id as usize]
    }

    pub(crate) fn make_buffer(&self, id: u32) {
        assert_eq!(self.of(id).buffer.swap(ALIVE, SeqCst), 0, "buffer {id}");
    }

    pub(crate) fn drop_buffer(&self, id: u32) {
        let was = self.of(id).buffer.swap(DROPPED, SeqCst);
        assert_eq!(was, ALIVE, "buffer {id} was dropped twice");
    }

    pub(crate) fn has_dropped_buffer(&self, id: u32) -> bool {
        self.of(id).buffer.load(SeqCst) == DROPPED
    }

    pub(crate) fn make_data(&self, id: u32) {
        assert_eq!(self.of(id).data.swap(ALIVE, SeqCst), 0, "data {id}");
    }

    pub(crate) fn drop_data(&self, id: u32) {
        let was = self.of(id).data.swap(DROPPED, SeqCst);
        assert_eq!(was, ALIVE, "data {id} was dropped twice");
    }

    pub(crate) fn set_fate(&self, id: u32, fate: Fate) {
        self.of(id).fate.store(fate as u8, SeqCst);
    }

    /// The task is to be polled. Returns the generation of the waker for it.
    pub(crate) fn poll(&self, id: u32) -> u16 {
        let entry = self.of(id);
        entry.woken.store(false, SeqCst);
        entry.generation.fetch_add(1, SeqCst).wrapping_add(1)
    }

    /// Only the latest waker counts.
    pub(crate) fn wake(&self, id: u32, generation: u16) {
        let entry = self.of(id);
        if entry.generation.load(SeqCst) == generation {
            entry.woken.store(true, SeqCst);
        }
    }

    /// A new task, or one whose poll has panicked, is to be polled.
    pub(crate) fn set_woken(&self, id: u32) {
        self.of(id).woken.store(true, SeqCst);
    }

    pub(crate) fn is_woken(&self, id: u32) -> bool {
        self.of(id).woken.load(SeqCst)
    }

    pub(crate) fn clone_waker(&self, id: u32) {
        self.of(id).wakers.fetch_add(1, SeqCst);
    }

    pub(crate) fn drop_waker(&self, id: u32) {
        let before = self.of(id).wakers.fetch_sub(1, SeqCst);
        assert!(before > 0, "a waker of {id} was dropped twice");
    }

    /// Everything is over, and the reactor was dropped, or leaked.
    pub(crate) fn check(&self, leaked: bool) {
        for (id, entry) in self.entries.iter().enumerate() {
            let fate = FATES[usize::from(entry.fate.load(SeqCst))];
            let may_live = match fate {
                Fate::Dropped => [false, true],
                Fate::WithReactor => [leaked, true],
                Fate::Begun => [leaked, !leaked],
                Fate::Leaked => [true, false],
            };
            for (what, state) in [("buffer", &entry.buffer), ("data", &entry.data)] {
                let good = match state.load(SeqCst) {
                    ALIVE => may_live[0],
                    DROPPED => may_live[1],
                    _ => true,
                };
                assert!(good, "{what} {id}: {fate:?}, but {state:?}");
            }
            let wakers = entry.wakers.load(SeqCst);
            let kept = i32::from(fate == Fate::Leaked);
            assert!((0..=kept).contains(&wakers), "{wakers} wakers of {id}");
        }
    }
}
