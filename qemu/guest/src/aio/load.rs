//! Checks threads under load: two submit, a third reaps. Every event must arrive
//! exactly once, however many operations are in flight.

use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;

use linux_aio::opcode::{Poll, PollMask, Pread};
use linux_aio::{Context, Errno, Event, Iocb, WaitOptions};

use crate::check::Check;
use crate::nr;
use crate::os::{self, Moment, Pages};

/// The maximum number of operations of each submitter, reached on a fast machine.
const MOST: u32 = 4096;
/// The duration of the submissions, and of the wait for their events.
const MILLISECONDS: u32 = 600;
const PATIENCE: u32 = 5000;
/// The number of operations in a submission.
const BATCH: u32 = 8;

type Submit<'a> = &'a (dyn Fn(&mut [&mut Iocb]) -> Result<usize, Errno> + Sync);

pub(crate) fn run(check: &mut Check) {
    let Some(file) = check.needs("load file", os::memfd(c"load")) else {
        return;
    };
    let mut written = Ok(8);
    for index in 0..MOST {
        written = written.and(os::write(file, &word(index)));
    }
    check.equal("load file's content", written, Ok(8));
    if let Some(context) = check.needs("load Context::new", Context::new(64)) {
        let submit = |iocbs: &mut [&mut Iocb]| {
            // SAFETY: `Submitter` gives each operation a separate buffer. The buffers
            // are dropped after the reaper has taken all events, or has given up at its
            // deadline, which fails the check.
            unsafe { context.submit(iocbs) }
        };
        let mut reap = |events: &mut [Event]| {
            let soon = WaitOptions::new().timeout(Duration::from_millis(20));
            Ok(context.wait_with(1, events, soon)?.len())
        };
        load(check, &CALLS, file, &submit, &mut reap);
        check.equal("load Context::destroy", context.destroy(), Ok(()));
    }
    if let Some(mut context) = check.needs("load Context::new again", Context::new(64)) {
        let (submitter, mut ring) = context.split();
        let submit = |iocbs: &mut [&mut Iocb]| {
            // SAFETY: `Submitter` gives each operation a separate buffer. The buffers
            // are dropped after the reaper has taken all events, or has given up at its
            // deadline, which fails the check.
            unsafe { submitter.submit(iocbs) }
        };
        let mut one = false;
        let mut reap = |events: &mut [Event]| {
            // Alternates between the ways in which a ring can be read.
            one = !one;
            if one && let (Some(event), Some(popped)) = (events.first_mut(), ring.pop()?) {
                *event = popped;
                return Ok(1);
            }
            let soon = WaitOptions::new().timeout(Duration::from_millis(20));
            Ok(ring.wait_with(1, events, soon)?.len())
        };
        load(check, &RING, file, &submit, &mut reap);
        check.equal("load Context::destroy again", context.destroy(), Ok(()));
    }
    let _ = os::close(file);
}

/// The names of the checks of a load.
struct Names([&'static str; 6]);

const CALLS: Names = Names([
    "load by io_getevents runs",
    "load by io_getevents is submitted",
    "load by io_getevents: each event once",
    "load by io_getevents: no foreign event",
    "load by io_getevents: all have come",
    "load by io_getevents: what was read",
]);

const RING: Names = Names([
    "load by the ring runs",
    "load by the ring is submitted",
    "load by the ring: each event once",
    "load by the ring: no foreign event",
    "load by the ring: all have come",
    "load by the ring: what was read",
]);

/// Returns the content of the file at eight times the index.
fn word(index: u32) -> [u8; 8] {
    let high = u64::from(!index) << 32;
    (high | u64::from(index)).to_le_bytes()
}

/// Runs a load: two threads submit, this one reaps.
fn load(
    check: &mut Check,
    names: &Names,
    file: i32,
    submit: Submit<'_>,
    reap: &mut dyn FnMut(&mut [Event]) -> Result<usize, Errno>,
) {
    let [runs, submitted, once, foreign, all, read] = names.0;
    let submitters = [Submitter::new(0, file), Submitter::new(1, file)];
    let [Ok(first), Ok(second)] = &submitters else {
        check.holds(runs, false);
        return;
    };
    let mut reaper = Reaper::default();
    let ran = os::beside(&|| first.run(submit), || {
        os::beside(&|| second.run(submit), || {
            reaper.run([first, second], reap);
        })
    });
    check.equal(runs, ran.and_then(|inner| inner), Ok(()));
    let errors = [first, second].map(|one| one.error.load(Ordering::Acquire));
    check.holds(submitted, errors == [0, 0]);
    check.equal(once, reaper.again, 0);
    check.equal(foreign, reaper.foreign, 0);
    let counts = [first, second].map(|one| one.submitted.load(Ordering::Acquire));
    check.holds(
        all,
        reaper.counts == counts && counts.iter().all(|&count| count >= BATCH),
    );
    check.holds(read, first.has_read() && second.has_read());
}

/// A thread's operations, numbered in `data`: polls that wait for a byte, polls that
/// need not wait, and reads.
struct Submitter {
    which: u32,
    reads_alone: bool,
    file: i32,
    pipe: [i32; 2],
    /// Eight bytes for each operation: the buffers of the reads.
    buffers: Pages,
    submitted: AtomicU32,
    done: AtomicU32,
    error: AtomicU32,
}

impl Submitter {
    fn new(which: u32, file: i32) -> os::Result<Submitter> {
        Ok(Submitter {
            which,
            reads_alone: os::is_gvisor(),
            file,
            pipe: os::pipe(nr::O_NONBLOCK)?,
            buffers: Pages::new(MOST as usize * 8)?,
            submitted: AtomicU32::new(0),
            done: AtomicU32::new(0),
            error: AtomicU32::new(0),
        })
    }

    /// Returns the kind of an operation, where reads are 3. gVisor has no polls.
    fn kind(&self, number: u32) -> u32 {
        if self.reads_alone { 3 } else { number & 3 }
    }

    fn operation(&self, number: u32) -> Iocb {
        let [reader, writer] = self.pipe;
        let iocb = match self.kind(number) {
            0 | 1 => Poll::new(reader, PollMask::IN).build(),
            2 => Poll::new(writer, PollMask::OUT).build(),
            _ => {
                let place = number as usize * 8;
                let buffer = self.buffers.start().wrapping_add(place);
                let read = Pread::new(self.file, buffer, 8);
                read.offset(place as u64).build()
            }
        };
        iocb.user_data(u64::from(self.which) << 32 | u64::from(number))
    }

    fn run(&self, submit: Submit<'_>) {
        let [reader, writer] = self.pipe;
        let end = Moment::now().plus(MILLISECONDS);
        let given_up = end.plus(PATIENCE);
        let mut next = 0;
        while next < MOST && !end.has_expired() {
            let mut number = next;
            let mut iocbs = [0_u8; BATCH as usize].map(|_| {
                number += 1;
                self.operation(number - 1)
            });
            next += BATCH;
            let mut iocbs = iocbs.each_mut();
            let mut rest = &mut iocbs[..];
            while !rest.is_empty() {
                match submit(rest) {
                    Ok(count) => rest = rest.get_mut(count..).unwrap_or_default(),
                    // The context is full. The reaper frees slots, except those of
                    // polls that wait for a byte.
                    Err(Errno::AGAIN) if !given_up.has_expired() => {
                        self.ring_the_bell();
                        os::yield_now();
                    }
                    Err(error) => {
                        self.error
                            .store(error.raw_os_error() as u32, Ordering::Release);
                        self.done.store(1, Ordering::Release);
                        return;
                    }
                }
            }
            self.submitted.store(next, Ordering::Release);
            // Writes a byte and reads it again. Polls that did not detect it in between
            // wait for the next one.
            self.ring_the_bell();
            let _ = os::read(reader, &mut [0; 1024]);
        }
        // This byte is not read, so that all polls complete.
        let _ = os::write(writer, b"x");
        self.done.store(1, Ordering::Release);
    }

    fn ring_the_bell(&self) {
        // A write to a full pipe fails; the pipe is readable already.
        let [_, writer] = self.pipe;
        let _ = os::write(writer, b"x");
    }

    /// Returns whether each read has filled its buffer with the content of the file.
    fn has_read(&self) -> bool {
        let submitted = self.submitted.load(Ordering::Acquire);
        let words = self.buffers.bytes().chunks_exact(8);
        (0..submitted).zip(words).all(|(number, bytes)| {
            let read = self.kind(number) == 3;
            bytes == if read { word(number) } else { [0; 8] }
        })
    }
}

impl Drop for Submitter {
    fn drop(&mut self) {
        for end in self.pipe {
            let _ = os::close(end);
        }
    }
}

/// The counts of the reaped events.
#[derive(Default)]
struct Reaper {
    counts: [u32; 2],
    again: u32,
    foreign: u32,
}

impl Reaper {
    fn run(
        &mut self,
        from: [&Submitter; 2],
        reap: &mut dyn FnMut(&mut [Event]) -> Result<usize, Errno>,
    ) {
        let Ok(mut seen) = Pages::new(2 * MOST as usize) else {
            return;
        };
        let seen = seen.bytes_mut();
        let end = Moment::now().plus(MILLISECONDS + PATIENCE);
        let mut events = [Event::EMPTY; 24];
        loop {
            // In this order: a submitter that is done submits nothing more.
            let done = from.map(|one| one.done.load(Ordering::Acquire)) == [1, 1];
            let counts = from.map(|one| one.submitted.load(Ordering::Acquire));
            if done && counts == self.counts || end.has_expired() {
                return;
            }
            let Ok(count) = reap(&mut events) else {
                self.foreign += 1;
                return;
            };
            for event in events.iter().take(count) {
                self.one(from, event, seen);
            }
        }
    }

    fn one(&mut self, from: [&Submitter; 2], event: &Event, seen: &mut [u8]) {
        let (which, number) = ((event.data >> 32) as usize, event.data as usize);
        let kind = from[0].kind(number as u32);
        let right = match kind {
            0 | 1 => event.res & i64::from(PollMask::IN.bits()) != 0,
            2 => event.res & i64::from(PollMask::OUT.bits()) != 0,
            _ => event.res == 8,
        };
        let number = number & 0xffff_ffff;
        let place = if which == 0 {
            number
        } else {
            number + MOST as usize
        };
        match (self.counts.get_mut(which), seen.get_mut(place)) {
            (Some(count), Some(seen)) if right && number < MOST as usize => {
                self.again += u32::from(*seen);
                *seen = 1;
                *count += 1;
            }
            _ => self.foreign += 1,
        }
    }
}
