//! The checks of AIO in gVisor, a replacement of the kernel that has part of AIO: no
//! polls, no io_cancel, no io_pgetevents, no ring in memory, and no limit of contexts.
//! Reads and writes run in a thread of its own after io_submit has returned, in any
//! order, and none of them waits for ever.
//!
//! The checks of the arguments and of transfers are those of Linux, with the
//! [`DIFFERENCES`]. The others rely on polls, so that their counterparts are here.

use core::cell::Cell;
use core::ptr::{null, without_provenance_mut};
use core::time::Duration;

use linux_aio::abi::{OldTimespec, RwFlags};
use linux_aio::opcode::{Fsync, Poll, PollMask, Pread};
use linux_aio::{Context, Errno, Event, Probe, Queue, SigSet, WaitOptions, sys};

use super::{contexts, faults, layers, load, probe, raw, refusals, transfers};
use crate::check::{Check, Differences};
use crate::os::{self, Moment, NOWHERE, Pages};

/// The results that differ from those of Linux.
const DIFFERENCES: Differences = &[
    // The array is read before the context is looked up, and the context before the
    // events' destination is written.
    ("raw 6 io_submit", "EFAULT"),
    ("raw 3 again", "EFAULT"),
    ("raw 6 io_getevents", "EINVAL"),
    ("raw 5", "EINVAL"),
    ("raw 6 io_cancel", "ENOSYS"),
    ("raw 3", "ENOSYS"),
    ("raw 6 io_pgetevents", "ENOSYS"),
    // There is no limit, and a context may have no capacity.
    ("aio io_setup of none", "nothing"),
    ("aio io_setup of everything", "nothing"),
    ("aio io_setup over the limit", "nothing"),
    // The context is looked up for each operation.
    ("aio submit when destroyed", "0x0"),
    // Flags and priorities are ignored.
    ("aio unknown RWF", "0x7"),
    ("aio RWF_APPEND is at the end", "0x5432100d6"),
    ("aio read what was appended", "0x0"),
    ("aio what was appended", "......."),
    ("aio priority class 4", "0x1"),
    ("aio fsync with an offset", "0x1"),
    ("aio fsync with a length", "0x1"),
    // This opcode does nothing.
    ("aio opcode NOOP", "0x1"),
    // The refusal is in the event.
    ("aio read of a writing end", "0x1"),
    // Nothing is written to an iocb.
    ("aio the kernel's key", "0x55"),
    // A read that fails after some bytes reports none.
    ("fault read into half", "0x0"),
    // AIO transfers to and from files alone.
    ("fault write to a reading end", "ESPIPE"),
    ("fault write to a pipe", "ESPIPE"),
    // There are no flags, so the descriptor is not checked.
    ("probe flags of no file", "0x0"),
    // Without a wait and without a ring no event can be taken: EPERM.
    ("probe in a sandbox", "0x200"),
];

pub(super) fn run(check: &mut Check) {
    check.expect(DIFFERENCES);
    raw::run(check, false);
    contexts::run(check);
    let Some(context) = check.needs("aio Context::new", Context::new(16)) else {
        return;
    };
    if let Some(file) = check.needs("aio file", os::memfd(c"aio")) {
        transfers::run(check, &context, file);
        refusals::run(check, &context, file);
        faults::operations(check, &context, file);
        absent(check, &context, file);
        waits(check, &context, file);
        let _ = os::close(file);
    }
    check.equal("aio Context::destroy", context.destroy(), Ok(()));
    no_capacity(check);
    ring(check);
    in_flight(check);
    load::run(check);
    layers::gvisor(check);
    found(check);
    check.all_differ("gvisor each difference");
}

/// Checks that the library refuses a context without capacity, which gVisor makes.
fn no_capacity(check: &mut Check) {
    let got = Context::new(0).map(drop);
    check.equal("gvisor Context::new for none", got, Err(Errno::INVAL));
    let got = Context::new_unmapped(0).map(drop);
    check.equal(
        "gvisor Context::new_unmapped for none",
        got,
        Err(Errno::INVAL),
    );
    let got = Queue::<&mut [u8]>::new(&mut []).map(drop);
    check.equal("gvisor Queue::new without slots", got, Err(Errno::INVAL));
}

/// Checks what gVisor lacks.
fn absent(check: &mut Check, context: &Context, file: i32) {
    let poll = Poll::new(file, PollMask::IN).build();
    // SAFETY: the operation has no buffer, and is refused.
    let got = unsafe { context.submit(&mut [&mut { poll }]) };
    check.equal("gvisor poll", got, Err(Errno::INVAL));
    let got = context.cancel(&raw const poll);
    check.equal("gvisor Context::cancel", got, Err(Errno::NOSYS));
    let mut events = [Event::EMPTY];
    let short = WaitOptions::new().timeout(Duration::from_millis(1));
    let set = SigSet::empty();
    let got = context.wait_with(1, &mut events, short.sigmask(&set));
    let got = got.map(|events| events.len());
    check.equal("gvisor wait with a mask", got, Err(Errno::NOSYS));
}

fn submit(context: &Context, file: i32, data: u64) -> Result<usize, Errno> {
    let mut sync = Fsync::new(file).build().user_data(data);
    // SAFETY: the operation has no buffer.
    unsafe { context.submit(&mut [&mut sync]) }
}

/// Checks io_getevents, to which every wait falls back.
fn waits(check: &mut Check, context: &Context, file: i32) {
    let mut events = [Event::EMPTY; 4];
    let into = events.as_mut_ptr();
    let name = context.as_raw();
    let zero = OldTimespec { sec: 0, nsec: 0 };
    let call = |min, most, into| {
        // SAFETY: `most` events may be written, or nothing is mapped at `into`; the time
        // lives.
        unsafe { sys::io_getevents(name, min, most, into, &raw const zero) }
    };
    check.equal("gvisor io_getevents of nothing", call(0, 4, into), Ok(0));
    let got = call(3, 2, into);
    check.equal("gvisor minimum above maximum", got, Err(Errno::INVAL));
    let got = call(-1, 4, into);
    check.equal("gvisor negative minimum", got, Err(Errno::INVAL));

    let short = WaitOptions::new().timeout(Duration::from_millis(20));
    let begin = Moment::now();
    let got = context.wait_with(1, &mut events, short);
    let got = got.map(|events| events.len());
    check.equal("gvisor wait until a time", got, Ok(0));
    let passed = begin.elapsed();
    check.holds("gvisor wait is not early", passed >= 20_000_000);
    check.holds("gvisor wait is not late", passed < 3_000_000_000);

    let submitted = submit(context, file, 5).and_then(|_| submit(context, file, 6));
    check.equal("gvisor two operations", submitted, Ok(1));
    let got = context.wait(2, &mut events);
    let data = got.map(|events| events.iter().fold(0, |sum, event| sum + event.data));
    check.equal("gvisor wait for two", data, Ok(11));
    check.equal("gvisor Context::check", context.check(), Ok(()));

    // Linux keeps an event that it cannot deliver; gVisor drops it.
    check.equal("gvisor one operation", submit(context, file, 7), Ok(1));
    let no_time = null();
    // SAFETY: nothing is mapped at the address, so nothing is written.
    let lost = unsafe { sys::io_getevents(name, 1, 1, without_provenance_mut(NOWHERE), no_time) };
    check.equal("gvisor event to nowhere", lost, Err(Errno::FAULT));
    let got = context.wait_with(1, &mut events, short);
    let got = got.map(|events| events.len());
    check.equal("gvisor the event is lost", got, Ok(0));
}

/// Checks a ring that cannot be read in user space: each function takes events by a
/// system call. The capacity is exactly the one requested.
fn ring(check: &mut Check) {
    const CAPACITY: u32 = 8;
    let Some(mut context) = check.needs("gvisor Context::new", Context::new(CAPACITY)) else {
        return;
    };
    let Some(file) = check.needs("gvisor file", os::memfd(c"ring")) else {
        return;
    };
    check.holds("gvisor ring is not mapped", !context.ring().is_mapped());
    check.equal("gvisor ring's slots", context.ring().slots(), None);
    let popped = context.ring().pop().map(|event| event.is_some());
    check.equal("gvisor ring is empty", popped, Ok(false));
    let mut data = 0;
    let refused = loop {
        match submit(&context, file, data) {
            Ok(1) if data < 100 => data += 1,
            other => break other,
        }
    };
    check.equal("gvisor full context", refused, Err(Errno::AGAIN));
    check.equal("gvisor capacity", data, CAPACITY.into());
    // Completed operations count until their events are taken.
    os::sleep(20);
    let refused = submit(&context, file, data);
    check.equal("gvisor full of events", refused, Err(Errno::AGAIN));

    let (submitter, mut ring) = context.split();
    let mut events = [Event::EMPTY; CAPACITY as usize];
    let first = ring.pop().map(|event| event.map(|event| event.res));
    check.holds("gvisor ring pop", first == Ok(Some(0)));
    let second = ring.wait(1, &mut events[..1]).map(|events| events.len());
    check.equal("gvisor ring wait", second, Ok(1));
    let rest = ring.reap(&mut events).map(|events| events.len());
    check.equal("gvisor ring reap", rest, Ok(CAPACITY as usize - 2));
    let mut sync = Fsync::new(file).build().user_data(9);
    // SAFETY: the operation has no buffer.
    let taken = unsafe { submitter.submit(&mut [&mut sync]) };
    check.equal("gvisor submit again", taken, Ok(1));
    let got = ring.wait(1, &mut events);
    let got = got.map(|events| events.first().map_or(0, |event| event.data));
    check.equal("gvisor ring wait again", got, Ok(9));

    let foreign = os::in_child(|| usize::from(context.check() == Err(Errno::INVAL)));
    check.equal("gvisor child has no context", foreign, Ok(1 << 8));
    check.equal("gvisor destroy", context.destroy(), Ok(()));
    let _ = os::close(file);
}

/// Checks that io_destroy returns when no operation uses its buffer any more.
fn in_flight(check: &mut Check) {
    const COUNT: usize = 32;
    const PIECE: usize = 1 << 16;
    let Some(file) = check.needs("gvisor large file", os::memfd(c"large")) else {
        return;
    };
    let pages = Pages::new(COUNT * PIECE).and_then(|mut pages| {
        pages.bytes_mut().fill(b'x');
        os::pwrite(file, pages.bytes(), 0)?;
        Ok(pages)
    });
    let Some(mut pages) = check.needs("gvisor large content", pages) else {
        return;
    };
    let late = Cell::new(0_u32);
    let mut submitted = Ok(0);
    for _ in 0..8 {
        pages.bytes_mut().fill(0);
        let Ok(context) = Context::new(COUNT as u32) else {
            submitted = Err(Errno::AGAIN);
            break;
        };
        let start = pages.start();
        for number in 0..COUNT {
            let at = start.wrapping_add(number * PIECE);
            let read = Pread::new(file, at, PIECE).offset((number * PIECE) as u64);
            // SAFETY: the buffers live until the context has been destroyed, and are
            // not used until then.
            let taken = unsafe { context.submit(&mut [&mut read.build()]) };
            submitted = submitted.and(taken);
        }
        submitted = submitted.and(context.destroy().map(|()| 1));
        // Each byte is that of the file or untouched, and does not change any more.
        pages.bytes_mut().fill(b'-');
        os::sleep(10);
        let changed = pages.bytes().iter().any(|&byte| byte != b'-');
        late.set(late.get() + u32::from(changed));
    }
    check.equal("gvisor destroyed with reads in flight", submitted, Ok(1));
    check.equal("gvisor no read after io_destroy", late.get(), 0);
    let _ = os::close(file);
}

/// Checks what `Probe` finds.
fn found(check: &mut Check) {
    let Some(found) = check.needs("gvisor Probe::new", Probe::new()) else {
        return;
    };
    use linux_aio::abi as a;
    for (name, opcode) in [
        ("gvisor probe PREAD", a::IOCB_CMD_PREAD),
        ("gvisor probe PWRITE", a::IOCB_CMD_PWRITE),
        ("gvisor probe PREADV", a::IOCB_CMD_PREADV),
        ("gvisor probe PWRITEV", a::IOCB_CMD_PWRITEV),
        ("gvisor probe FSYNC", a::IOCB_CMD_FSYNC),
        ("gvisor probe FDSYNC", a::IOCB_CMD_FDSYNC),
    ] {
        check.holds(name, found.supports(opcode));
    }
    check.holds("gvisor probe no POLL", !found.supports(a::IOCB_CMD_POLL));
    let flags = found.rw_flags().bits();
    check.equal("gvisor probe no flags", flags, RwFlags::empty().bits());
    let priority = found.supports_io_priority();
    check.holds("gvisor probe no priority", !priority);
    check.holds("gvisor probe no io_cancel", !found.supports_cancel());
    check.holds("gvisor probe a wait", found.supports_wait());
    check.holds("gvisor probe no mask", !found.supports_sigmask());
    check.holds("gvisor probe no mapped ring", !found.has_mapped_ring());
    probe::again(check, found);
    probe::sandbox(check, found);
}
