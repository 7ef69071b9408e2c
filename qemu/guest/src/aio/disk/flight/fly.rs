//! Sixteen reads and sixteen writes in flight: the measurements while they are in
//! flight, and the checks after their owner is gone.

use core::cell::Cell;

use linux_aio::{Errno, IdleContext};

use super::super::{BLOCK, DEPTH, Drive, Kind, PATTERN, RUN, THIRD, fill, wrong_words};
use crate::aio::owned::{UNTOUCHED, is_untouched};
use crate::aio::tally::Tally;
use crate::check::Check;
use crate::os::{self, File, Moment, Pages};

/// The number of reads and writes together.
pub(super) const OPERATIONS: usize = 2 * DEPTH;

/// The buffers of the reads and of the writes, and their observer.
pub(super) struct Flight<'a> {
    pub(super) drive: &'a Drive<'a>,
    pub(super) into: Pages,
    pub(super) from: Pages,
    pub(super) watch: Watch,
}

/// An observer of completions and their time, beside the owners that have borrowed the
/// memory.
pub(super) struct Watch {
    /// An eventfd that counts completed operations.
    pub(super) counter: File,
    /// The address to which the first block is read.
    first: *mut u8,
    begin: Moment,
    seen: Cell<Option<Seen>>,
}

/// The measurements with all operations in flight.
#[derive(Clone, Copy)]
struct Seen {
    ended: u64,
    untouched: bool,
    /// The time is before the earliest completion by a late device.
    early: bool,
}

/// A function that begins the operations, calls [`Watch::all_in_flight`] and drops
/// their owner. It returns the context if that continues to exist; the caller destroys
/// it later, which waits as well.
pub(super) type Ending<'e> = &'e dyn Fn(&mut Flight<'_>, IdleContext) -> Ended;
pub(super) type Ended = Result<Option<IdleContext>, Errno>;

impl<'a> Flight<'a> {
    fn new(drive: &'a Drive<'a>, pattern: u64) -> Result<Flight<'a>, Errno> {
        let mut into = Pages::new(RUN)?;
        let mut from = Pages::new(RUN)?;
        into.bytes_mut().fill(UNTOUCHED);
        fill(from.bytes_mut(), THIRD, pattern);
        let watch = Watch {
            counter: File::eventfd()?,
            first: into.start(),
            begin: Moment::now(),
            seen: Cell::new(None),
        };
        Ok(Flight {
            drive,
            into,
            from,
            watch,
        })
    }
}

impl Watch {
    /// Records the measurements after all operations were submitted and before their
    /// owner is dropped.
    pub(super) fn all_in_flight(&self) {
        let mut blocks = (0..RUN).step_by(BLOCK);
        self.seen.set(Some(Seen {
            ended: self.ended(),
            early: !self.has_expired(90),
            untouched: blocks.any(|at| is_untouched(self.first.wrapping_add(at))),
        }));
    }

    /// Returns the count of the eventfd since the last call.
    fn ended(&self) -> u64 {
        let mut count = [0; 8];
        match os::read(self.counter.number(), &mut count) {
            Ok(_) => u64::from_ne_bytes(count),
            Err(_) => 0,
        }
    }

    /// Returns whether this many milliseconds have passed since the beginning.
    fn has_expired(&self, milliseconds: u32) -> bool {
        self.begin.plus(milliseconds).has_expired()
    }
}

pub(super) struct Names([&'static str; 9]);

macro_rules! names {
    ($way:literal) => {
        $crate::aio::disk::flight::Names::new([
            concat!($way, " in flight: is prepared"),
            concat!($way, " in flight: reads and writes"),
            concat!($way, " in flight: not all have completed yet"),
            concat!($way, " in flight: is done"),
            concat!($way, " in flight: took the expected time"),
            concat!($way, " in flight: every operation has completed"),
            concat!($way, " in flight: every byte was read"),
            concat!($way, " in flight: every byte was written"),
            concat!($way, " in flight: what was written from is the same"),
        ])
    };
}
pub(super) use names;

impl Names {
    pub(super) const fn new(names: [&'static str; 9]) -> Names {
        Names(names)
    }
}

/// The results of a flight.
pub(super) struct Report {
    seen: Option<Seen>,
    done: Result<(), Errno>,
    late: bool,
    ended: u64,
    unread: u32,
    unwritten: Result<u32, Errno>,
    changed: u32,
}

/// Checks sixteen reads and sixteen writes that are in flight when their owner is
/// dropped.
pub(super) fn gone(check: &mut Check, drive: &Drive<'_>, names: &Names, end: Ending<'_>) {
    let [
        prepared,
        submitted,
        early,
        done,
        late,
        ended,
        read,
        written,
        same,
    ] = names.0;
    let Some(report) = check.needs(prepared, fly(drive, end)) else {
        return;
    };
    check.holds(submitted, report.seen.is_some());
    if report.can_detect_early(drive.kind) {
        check.holds(early, report.was_early(drive.kind));
    }
    check.equal(done, report.done, Ok(()));
    if drive.kind != Kind::Plain {
        check.holds(late, report.late);
    }
    check.equal(ended, report.ended, OPERATIONS as u64);
    check.equal(read, report.unread, 0);
    check.equal(written, report.unwritten, Ok(0));
    check.equal(same, report.changed, 0);
}

pub(super) fn fly(drive: &Drive<'_>, end: Ending<'_>) -> Result<Report, Errno> {
    let pattern = next_pattern();
    let mut flight = Flight::new(drive, pattern)?;
    let idle = IdleContext::new(2 * OPERATIONS as u32)?;
    flight.watch.begin = Moment::now();
    let left = end(&mut flight, idle);
    let late = flight.watch.has_expired(match drive.kind {
        Kind::Plain | Kind::Failing => 0,
        Kind::Late => 90,
        Kind::Slow => 1000,
    });
    // The buffers are read first, so that no operation has time to complete in between.
    let unread = wrong_words(flight.into.bytes(), 0, PATTERN);
    let seen = flight.watch.seen.get();
    let ended = flight.watch.ended() + seen.map_or(0, |seen| seen.ended);
    let changed = wrong_words(flight.from.bytes(), THIRD, pattern);
    let done = left.map(drop);
    // The written bytes are read back without AIO, by a single pread.
    flight.into.bytes_mut().fill(UNTOUCHED);
    let unwritten = os::pread(drive.file.number(), flight.into.bytes_mut(), THIRD)
        .map(|_| wrong_words(flight.into.bytes(), THIRD, pattern));
    Ok(Report {
        seen,
        done,
        late,
        ended,
        unread,
        unwritten,
        changed,
    })
}

/// Returns a pattern to write, different for each flight.
fn next_pattern() -> u64 {
    static TURN: Tally = Tally::new();
    TURN.add(1);
    PATTERN.rotate_left(7 + TURN.get())
}

impl Report {
    /// Returns whether this device can show that operations were still in flight.
    fn can_detect_early(&self, kind: Kind) -> bool {
        match kind {
            Kind::Plain | Kind::Failing => false,
            Kind::Slow => true,
            // On a slow machine, the device may have completed operations already.
            Kind::Late => self.seen.is_some_and(|seen| seen.early),
        }
    }

    fn was_early(&self, kind: Kind) -> bool {
        self.seen.is_some_and(|seen| match kind {
            // At least the last operation is in flight, because the device executes one
            // at a time.
            Kind::Slow => seen.untouched && seen.ended < OPERATIONS as u64,
            // null_blk transfers the bytes immediately, and only its completion is
            // late.
            _ => seen.ended == 0,
        })
    }

    /// Returns the index of the first failed check in a flight's names, or [`RIGHT`] if
    /// all passed.
    pub(super) fn wrong(&self, kind: Kind) -> usize {
        let right = [
            true,
            self.seen.is_some(),
            self.was_early(kind),
            self.done == Ok(()),
            self.late,
            self.ended == OPERATIONS as u64,
            self.unread == 0,
            self.unwritten == Ok(0),
            self.changed == 0,
        ];
        right.iter().take_while(|&&right| right).count()
    }
}

/// The number of names.
pub(super) const RIGHT: usize = 9;
