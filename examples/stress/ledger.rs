//! [`Ledger`]: the number of each operation, and whether it has completed.

use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A record of all operations. `open` has a bit for each, which is set until the
/// operation has completed. All of its memory is therefore touched at the beginning,
/// and does not count as growth later.
pub(crate) struct Ledger {
    open: Box<[AtomicU64]>,
    total: u64,
    next: AtomicU64,
    submitted: AtomicU64,
    completed: AtomicU64,
    doubled: AtomicU64,
}

impl Ledger {
    pub(crate) fn new(total: u64) -> Ledger {
        let words = total.div_ceil(64);
        Ledger {
            open: (0..words).map(|_| AtomicU64::new(u64::MAX)).collect(),
            total,
            next: AtomicU64::new(0),
            submitted: AtomicU64::new(0),
            completed: AtomicU64::new(0),
            doubled: AtomicU64::new(0),
        }
    }

    /// Returns the numbers of the next operations, at most `most`. The range is empty
    /// at the end.
    pub(crate) fn take(&self, most: u64) -> Range<u64> {
        let first = self.next.fetch_add(most, Relaxed).min(self.total);
        first..(first + most).min(self.total)
    }

    pub(crate) fn submitted(&self, count: usize) {
        self.submitted.fetch_add(count as u64, Relaxed);
    }

    /// Records that an operation has completed. A second completion ends the process at
    /// once, because its buffer then has two owners.
    pub(crate) fn complete(&self, id: u64) {
        let bit = 1 << (id % 64);
        if self.open[(id / 64) as usize].fetch_and(!bit, Relaxed) & bit == 0 {
            self.double(&format!("operation {id}"));
        }
        self.completed.fetch_add(1, Relaxed);
    }

    /// Reports a completion of an operation that was not in flight, and ends the
    /// process.
    pub(crate) fn double(&self, what: &str) -> ! {
        self.doubled.fetch_add(1, Relaxed);
        println!("{self}: {what} has come twice: BAD");
        std::process::exit(1);
    }

    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    pub(crate) fn completed(&self) -> u64 {
        self.completed.load(Relaxed)
    }

    /// Returns the number of operations that were submitted and have not completed.
    /// While threads are running, these are in flight.
    pub(crate) fn missing(&self) -> u64 {
        let zeros = |word: &AtomicU64| u64::from(word.load(Relaxed).count_zeros());
        let back: u64 = self.open.iter().map(zeros).sum();
        self.submitted.load(Relaxed).saturating_sub(back)
    }

    pub(crate) fn good(&self) -> bool {
        let all = [self.submitted.load(Relaxed), self.completed()];
        all == [self.total; 2] && self.missing() == 0 && self.doubled.load(Relaxed) == 0
    }
}

/// Formats the totals.
impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} submitted, {} completed, {} lost, {} doubled",
            self.submitted.load(Relaxed),
            self.completed(),
            self.missing(),
            self.doubled.load(Relaxed),
        )
    }
}
