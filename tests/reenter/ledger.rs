//! [`Ledger`]: the state of each operation of a round.

use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, AtomicU16, AtomicU32, Ordering::SeqCst};

/// The states of a buffer or of data.
const ALIVE: u8 = 1;
const DROPPED: u8 = 2;

/// The expected state of a payload at the end of the round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Fate {
    /// It was dropped.
    Dropped,
    /// The reactor owns it: it was dropped, unless the reactor was leaked.
    WithReactor,
    /// A leaked future had started it. It was dropped unless the reactor was leaked. A
    /// leaked reactor does not drop it early.
    Begun,
    /// It was leaked with a future that was not started, and is never dropped.
    Leaked,
}

const FATES: [Fate; 4] = [Fate::Dropped, Fate::WithReactor, Fate::Begun, Fate::Leaked];

#[derive(Default)]
struct Entry {
    buffer: AtomicU8,
    data: AtomicU8,
    fate: AtomicU8,
    /// The number of existing clones of its waker.
    wakers: AtomicI32,
    /// The generation of the waker of its latest poll. It counts up with each poll, so
    /// that wake-ups of older wakers are ignored.
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

    /// Returns the number of a new operation if there are fewer than `most`.
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

    /// Marks the task as being polled, and returns the generation of its new waker.
    pub(crate) fn poll(&self, id: u32) -> u16 {
        let entry = self.of(id);
        entry.woken.store(false, SeqCst);
        entry.generation.fetch_add(1, SeqCst).wrapping_add(1)
    }

    /// Marks the task as woken. Only the latest waker has an effect.
    pub(crate) fn wake(&self, id: u32, generation: u16) {
        let entry = self.of(id);
        if entry.generation.load(SeqCst) == generation {
            entry.woken.store(true, SeqCst);
        }
    }

    /// Marks a new task, or one whose poll has panicked, to be polled.
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

    /// Verifies every operation after the round, when the reactor was dropped or
    /// leaked.
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
            let kept = i32::from(leaked || fate == Fate::Leaked);
            assert!((0..=kept).contains(&wakers), "{wakers} wakers of {id}");
        }
    }
}
