//! Checks with operations in flight when their owner is dropped.
//!
//! They verify the invariant on which this project is built: when io_destroy returns,
//! the device no longer accesses any buffer. The same holds after an owner of a safe
//! layer is dropped.

use linux_aio::abi::IocbFlags;
use linux_aio::opcode::{Fdsync, Pread, Pwrite};
use linux_aio::{Context, Errno, Event, IdleContext, Iocb, WaitOptions};

use super::{BLOCK, DEPTH, Drive, Kind, PATTERN, THIRD, Way, block, wrong_words};
use crate::aio::next;
use crate::aio::owned::UNTOUCHED;
use crate::check::Check;
use crate::os::{Moment, Pages};

mod fly;
mod interrupted;
mod layers;

use fly::{Ended, Flight, Names, names};

pub(super) fn run(check: &mut Check, drive: &Drive<'_>) {
    if drive.kind == Kind::Late {
        late(check, drive);
    }
    owner_gone(check, drive);
}

/// Checks io_destroy, the other ways to end a [`Context`], and the owners of the safe
/// layers.
pub(super) fn owner_gone(check: &mut Check, drive: &Drive<'_>) {
    fly::gone(check, drive, &DESTROY, &context_destroyed);
    fly::gone(check, drive, &DROP, &context_dropped);
    // On a fast disk only the results can be checked, not that an owner waits.
    if drive.kind != Kind::Plain {
        layers::run(check, drive);
    }
    // On a device that only completes late, a wait is too short to be interrupted.
    if drive.kind == Kind::Slow {
        interrupted::run(check, drive);
    }
}

const DESTROY: Names = names!("destroy");
const DROP: Names = names!("drop");

fn context_destroyed(flight: &mut Flight<'_>, idle: IdleContext) -> Ended {
    let context = idle.into_context();
    submit_both(flight, &context)?;
    context.destroy()?;
    Ok(None)
}

fn context_dropped(flight: &mut Flight<'_>, idle: IdleContext) -> Ended {
    let context = idle.into_context();
    submit_both(flight, &context)?;
    drop(context);
    Ok(None)
}

fn submit_both(flight: &Flight<'_>, context: &Context) -> Result<(), Errno> {
    // SAFETY: the flight's memory is used only after the context is gone. Before that,
    // only the observer reads it, to detect that operations are in flight.
    unsafe {
        submit(flight, context, Way::Read)?;
        submit(flight, context, Way::Write)?;
    }
    flight.watch.all_in_flight();
    Ok(())
}

/// Submits an operation for each of [`DEPTH`] blocks, each counted on completion.
///
/// # Safety
/// The flight's memory is not used otherwise until all operations have completed.
unsafe fn submit(flight: &Flight<'_>, context: &Context, way: Way) -> Result<(), Errno> {
    let (offset, memory) = match way {
        Way::Read => (0, flight.into.start()),
        Way::Write => (THIRD, flight.from.start()),
    };
    let mut index = 0;
    let mut iocbs = [0_u8; DEPTH].map(|_| {
        let at = index * BLOCK;
        index += 1;
        Iocb {
            flags: IocbFlags::RESFD,
            resfd: flight.watch.counter.number() as u32,
            ..block(
                flight.drive,
                way,
                offset + at as u64,
                memory.wrapping_add(at),
            )
        }
    });
    // SAFETY: the caller promises that the flight's memory is not used otherwise until
    // all operations have completed, and the iocbs point only into it.
    unsafe { context.submit_all(&mut iocbs.each_mut()) }.map_err(|error| error.errno)
}

/// Checks that an fdsync does not wait for a write that is in flight: it covers those that
/// have completed before. The write leaves the contents of the first block as they are.
fn late_sync(check: &mut Check, drive: &Drive<'_>, context: &Context, page: &Pages) {
    let name = "late fdsync does not wait for a write in flight";
    let write = Pwrite::new(&drive.file, page.start(), BLOCK);
    let mut write = write.build().user_data(1);
    let mut sync = Fdsync::new(&drive.file).build().user_data(2);
    let begin = Moment::now();
    // SAFETY: the page lives and does not change until both events have arrived.
    let taken = unsafe { context.submit(&mut [&mut write, &mut sync]) };
    check.equal("late submit of a write and an fdsync", taken, Ok(2));
    let first = next(context).map(|event| event.data);
    if first == Ok(1) && begin.plus(90).has_expired() {
        check.skip(name, "this machine is slower");
    } else {
        check.equal(name, first, Ok(2));
    }
    let both = first.and_then(|first| Ok(first + next(context)?.data));
    check.equal("late write and fdsync have completed", both, Ok(3));
}

/// Checks that a device with a latency of 100 ms takes that long. (null_blk transfers
/// the bytes immediately, and only its completion is late.)
fn late(check: &mut Check, drive: &Drive<'_>) {
    let Some(context) = check.needs("late context", Context::new(8)) else {
        return;
    };
    let Some(mut page) = check.needs("late page", Pages::new(BLOCK)) else {
        return;
    };
    page.bytes_mut().fill(UNTOUCHED);
    let mut read = Pread::new(&drive.file, page.start(), BLOCK).build();
    let begin = Moment::now();
    // SAFETY: the page stays valid, and is used only after the event has arrived.
    let taken = unsafe { context.submit(&mut [&mut read]) };
    check.equal("late submit", taken, Ok(1));
    let mut events = [Event::EMPTY; 2];
    let none = context.wait_with(0, &mut events, WaitOptions::poll());
    let none = none.map(|events| events.len());
    let soon = !begin.plus(90).has_expired();
    if soon {
        check.equal("late no event at once", none, Ok(0));
    } else {
        check.skip("late no event at once", "this machine is slower");
    }
    // Block I/O cannot be cancelled.
    let cancelled = context.cancel(&raw const read);
    check.equal("late cancel", cancelled, Err(Errno::INVAL));
    let got = context.wait(1, &mut events).map(|events| events.len());
    check.equal("late event", got, Ok(1));
    check.holds("late event is late", begin.plus(90).has_expired());
    check.equal("late result", events[0].result(), Ok(BLOCK));
    check.equal("late content", wrong_words(page.bytes(), 0, PATTERN), 0);
    let took = begin.elapsed();
    late_sync(check, drive, &context, &page);

    let begin = Moment::now();
    check.equal("late Context::destroy", context.destroy(), Ok(()));
    // Otherwise a destroy that did not wait could not be distinguished.
    if begin.elapsed() >= took {
        check.skip(
            "late device is slower than an idle destroy",
            "this machine is slow",
        );
    } else {
        check.holds("late device is slower than an idle destroy", true);
    }
}
