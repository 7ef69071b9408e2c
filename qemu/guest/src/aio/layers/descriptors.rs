//! Checks of operations that own their descriptor.
//!
//! Invariant: the descriptor is closed when its last owner is dropped. An operation
//! counts as an owner from its construction until its completion is dropped.

use core::cell::{Cell, RefCell};
use core::pin::pin;

use linux_aio::op::{Fsync, Poll, Read};
use linux_aio::opcode::PollMask;
use linux_aio::reactor::{Local, Reactor, ReactorSlot};
use linux_aio::{Errno, OwnsFd, Queue, ScopeSlot, Slot, WaitOptions, scope};

use super::reactor::poll;
use super::{CONTENT, PIECE, SLOTS, full, offset, owned, piece};
use crate::aio::owned::Owned;
use crate::check::Check;
use crate::os::{self, File};

/// A file that is closed when the last [`Owner`] is dropped.
struct Common {
    file: RefCell<Option<File>>,
    number: i32,
    owners: Cell<u32>,
}

/// An owner of a file.
struct Owner<'f>(&'f Common);

impl Common {
    fn new(file: File) -> Common {
        Common {
            number: file.number(),
            file: RefCell::new(Some(file)),
            owners: Cell::new(0),
        }
    }

    /// Creates an owner: the first one, or a further one while others exist.
    fn owner(&self) -> Owner<'_> {
        self.owners.set(self.owners.get() + 1);
        Owner(self)
    }

    /// Returns whether the kernel has the descriptor open.
    fn is_open(&self) -> bool {
        os::descriptor_flags(self.number).is_ok()
    }
}

impl Drop for Owner<'_> {
    fn drop(&mut self) {
        self.0.owners.set(self.0.owners.get() - 1);
        if self.0.owners.get() == 0 {
            self.0.file.take();
        }
    }
}

// SAFETY: the number never changes. The file is closed by dropping it, which happens
// with the last owner or with the `Common` that all owners borrow.
unsafe impl OwnsFd for Owner<'_> {
    fn raw_fd(&self) -> i32 {
        self.0.number
    }
}

/// The files of the operations.
struct Files {
    /// A memory file that holds [`CONTENT`].
    file: Common,
    reader: Common,
    writer: File,
}

impl Files {
    fn new() -> os::Result<Files> {
        let file = File::memory(c"owned")?;
        os::pwrite(file.number(), CONTENT, 0)?;
        let [reader, writer] = File::pipe(0)?;
        Ok(Files {
            file: Common::new(file),
            reader: Common::new(reader),
            writer,
        })
    }

    /// Returns which of the two owned files are open.
    fn open(&self) -> &'static str {
        match (self.file.is_open(), self.reader.is_open()) {
            (true, true) => BOTH,
            (true, false) => FILE,
            (false, true) => "the pipe",
            (false, false) => NONE,
        }
    }
}

const BOTH: &str = "both";
const FILE: &str = "the file";
const NONE: &str = "none";

/// Opens files after the owners outside the operations are dropped. They would get the
/// numbers of descriptors that were closed too early.
fn others() -> os::Result<[File; 2]> {
    let other = || -> os::Result<File> {
        let other = File::memory(c"other")?;
        os::pwrite(other.number(), &[b'#'; CONTENT.len()], 0)?;
        Ok(other)
    };
    Ok([other()?, other()?])
}

fn has_read(result: Result<usize, Errno>, buffer: Option<&Owned>, number: usize) -> bool {
    result == Ok(PIECE) && buffer.is_some_and(|buffer| buffer.bytes() == piece(number))
}

pub(super) fn run(check: &mut Check) {
    queue(check);
    scoped(check);
    reactor(check);
}

#[inline(never)]
fn queue(check: &mut Check) {
    let Some(files) = check.needs("queue files to be owned", Files::new()) else {
        return;
    };
    let mut slots = Slot::array::<SLOTS>();
    let Some(mut queue) = check.needs("queue of owners", Queue::new(&mut slots)) else {
        return;
    };
    let (mine, pipe) = (files.file.owner(), files.reader.owner());
    let pushed = owned().and_then(|buffer| {
        let read = Read::owned(files.file.owner(), buffer).offset(offset(1));
        let read = queue.push(read).map_err(full)?;
        let sync = queue.push(Fsync::owned(files.file.owner())).map_err(full)?;
        let poll = Poll::owned(files.reader.owner(), PollMask::IN);
        Ok([read, sync, queue.push(poll).map_err(full)?])
    });
    // From here on the operations are the last owners.
    drop((mine, pipe));
    check.equal("queue keeps descriptors open", files.open(), BOTH);
    let Some(tickets) = check.needs("queue push with owners", pushed) else {
        return;
    };
    let others = others();
    let submitted = queue.submit().map_err(|error| error.errno);
    check.equal("queue submit with owners", submitted, Ok(3));
    check.equal("queue keeps them in flight", files.open(), BOTH);
    let sent = os::write(files.writer.number(), b"x");
    check.equal("queue a byte for an owned pipe", sent, Ok(1));
    let mut back = [const { None }; 3];
    for _ in 0..3 {
        if let Ok(Some(done)) = queue.wait() {
            let at = tickets.iter().position(|&ticket| ticket == done.ticket);
            if let Some(place) = at.and_then(|at| back.get_mut(at)) {
                *place = Some(done);
            }
        }
    }
    let [read, sync, polled] = back;
    let right = read
        .as_ref()
        .is_some_and(|done| has_read(done.result, done.buffer.as_ref(), 1));
    check.holds("queue reads its own file", right);
    let synced = sync.as_ref().map(|done| done.result);
    check.equal("queue syncs its own file", synced, Some(Ok(0)));
    let found = polled.as_ref().map(|done| done.result.map(|bits| bits & 1));
    check.equal("queue polls its own pipe", found, Some(Ok(1)));
    let numbers = [&read, &sync, &polled].map(|done| done.as_ref().map(|done| done.data.raw_fd()));
    let right = numbers == [&files.file, &files.file, &files.reader].map(|it| Some(it.number));
    check.holds("queue gives the owners back", right);
    check.equal("queue has closed none", files.open(), BOTH);
    drop((read, polled));
    check.equal("queue one owner is left", files.open(), FILE);
    drop(sync);
    check.equal("queue no owner is left", files.open(), NONE);
    drop(others);

    // Next, one operation is staged and one is in flight when the queue is dropped.
    let Some(files) = check.needs("queue more files", Files::new()) else {
        return;
    };
    left(check, &files);
    check.equal("queue drop drops the owners", files.open(), NONE);
}

/// Checks a queue that is dropped with one owner in flight and one staged.
fn left(check: &mut Check, files: &Files) {
    let mut slots = Slot::<Owned, _>::array::<SLOTS>();
    let Some(mut queue) = check.needs("queue to be left", Queue::new(&mut slots)) else {
        return;
    };
    let poll = Poll::owned(files.reader.owner(), PollMask::IN);
    let poll = queue.push(poll).map(drop).map_err(full);
    let submitted = queue.submit().map_err(|error| error.errno);
    let sync = queue.push(Fsync::owned(files.file.owner()));
    let sync = sync.map(drop).map_err(full);
    check.equal("queue submit to be left", submitted, Ok(1));
    check.equal("queue push to be left", poll.and(sync), Ok(()));
    check.equal("queue keeps them to its end", files.open(), BOTH);
}

#[inline(never)]
fn scoped(check: &mut Check) {
    let Some(files) = check.needs("scope files to be owned", Files::new()) else {
        return;
    };
    let mut bytes = [0; PIECE];
    let mut open = [NONE; 4];
    let [begun, in_flight, ended, last] = &mut open;
    let results = scope(&mut ScopeSlot::array::<SLOTS>(), |s| {
        let (mine, pipe) = (files.file.owner(), files.reader.owner());
        let read = Read::owned(files.file.owner(), &mut bytes[..]).offset(offset(2));
        let read = s.push(read).map_err(full)?;
        let sync = s.push(Fsync::owned(files.file.owner()));
        let sync = sync.map_err(full)?;
        let poll = Poll::owned(files.reader.owner(), PollMask::IN);
        let poll = s.push(poll).map_err(full)?;
        drop((mine, pipe));
        *begun = files.open();
        let _others = others()?;
        s.submit();
        *in_flight = files.open();
        os::write(files.writer.number(), b"x")?;
        let (read, sync, poll) = (read.wait(), sync.wait(), poll.wait());
        *ended = files.open();
        let results = [read.result, sync.result, poll.result.map(|bits| bits & 1)];
        drop((read, poll));
        *last = files.open();
        drop(sync);
        Ok::<_, Errno>(results)
    });
    let Some(results) = check.needs("scope of owners", results.and_then(|results| results)) else {
        return;
    };
    let right = results[0] == Ok(PIECE) && bytes == *piece(2);
    check.holds("scope reads its own file", right);
    check.equal("scope syncs its own file", results[1], Ok(0));
    check.equal("scope polls its own pipe", results[2], Ok(1));
    let kept = open[..3] == [BOTH; 3];
    check.holds("scope keeps descriptors open", kept);
    check.equal("scope one owner is left", open[3], FILE);
    check.equal("scope no owner is left", files.open(), NONE);
}

#[inline(never)]
fn reactor(check: &mut Check) {
    let Some(files) = check.needs("reactor files to be owned", Files::new()) else {
        return;
    };
    let Some(buffer) = check.needs("reactor buffer for an owner", owned()) else {
        return;
    };
    let mut slots = ReactorSlot::array::<SLOTS>();
    let reactor = Reactor::<Owned, Local, Owner<'_>>::new(&mut slots);
    let Some(reactor) = check.needs("reactor of owners", reactor) else {
        return;
    };
    let (mine, pipe) = (files.file.owner(), files.reader.owner());
    let read = Read::owned(files.file.owner(), buffer).offset(offset(3));
    let mut read = pin!(reactor.push(read));
    let mut sync = pin!(reactor.push(Fsync::owned(files.file.owner())));
    let mut polls = pin!(reactor.push(Poll::owned(files.reader.owner(), PollMask::IN)));
    drop((mine, pipe));
    check.equal("reactor keeps descriptors", files.open(), BOTH);
    let _others = others();
    let none = poll(polls.as_mut(), 1).is_none();
    check.holds("reactor an owned poll waits", none);
    check.equal("reactor keeps them in flight", files.open(), BOTH);
    // A read of a memory file completes during the system call, a sync later.
    let read = poll(read.as_mut(), 2);
    let mut synced = poll(sync.as_mut(), 4);
    let sent = os::write(files.writer.number(), b"x");
    check.equal("reactor a byte for an owned pipe", sent, Ok(1));
    let mut polled = None;
    for _ in 0..4 {
        synced = synced.or_else(|| poll(sync.as_mut(), 4));
        polled = polled.or_else(|| poll(polls.as_mut(), 1));
        if synced.is_some() && polled.is_some() {
            break;
        }
        let _ = reactor.wait(WaitOptions::new());
    }
    let right = read
        .as_ref()
        .is_some_and(|done| has_read(done.result, Some(&done.buffer), 3));
    check.holds("reactor reads its own file", right);
    let result = synced.as_ref().map(|done| done.result);
    check.equal("reactor syncs its own file", result, Some(Ok(0)));
    let found = polled.as_ref().map(|done| done.result.map(|bits| bits & 1));
    check.equal("reactor polls its own pipe", found, Some(Ok(1)));
    check.equal("reactor has closed none", files.open(), BOTH);
    drop((read, polled));
    check.equal("reactor one owner is left", files.open(), FILE);
    drop(synced);
    check.equal("reactor no owner is left", files.open(), NONE);

    // Next, a future is dropped in flight: its owner is dropped when the operation has
    // completed.
    let Some(files) = check.needs("reactor more files", Files::new()) else {
        return;
    };
    dropped_poll(check, &files);
}

fn dropped_poll(check: &mut Check, files: &Files) {
    let mut slots = ReactorSlot::array::<SLOTS>();
    let reactor = Reactor::<Owned, Local, Owner<'_>>::new(&mut slots);
    let Some(reactor) = check.needs("reactor of one owner", reactor) else {
        return;
    };
    let file = files.reader.owner();
    let waits = poll(pin!(reactor.push(Poll::owned(file, PollMask::IN))), 1);
    check.holds("reactor a dropped future's poll waits", waits.is_none());
    check.equal("reactor keeps its descriptor", files.open(), BOTH);
    check.equal(
        "reactor wait for it",
        reactor.wait(WaitOptions::new()),
        Ok(1),
    );
    check.equal("reactor drops its owner", files.open(), FILE);
}
