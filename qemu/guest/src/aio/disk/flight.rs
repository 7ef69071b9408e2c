//! Operations in flight when their context goes: the promise that everything
//! in this project rests on. When io_destroy returns, the device is done with
//! every buffer.

use linux_aio::abi::IocbFlags;
use linux_aio::opcode::PRead;
use linux_aio::{Context, Errno, Event, Iocb, Wait};

use super::{BLOCK, DEPTH, Drive, Kind, PATTERN, RUN, THIRD, Way, fill, wrong_words};
use crate::check::Check;
use crate::os::{self, Moment, Pages};

/// No pattern's byte, and what is in a buffer before it is read into.
const UNTOUCHED: u8 = 0x77;

pub(super) fn run(check: &mut Check, drive: &Drive) {
    if drive.kind == Kind::Late {
        late(check, drive);
    }
    context_gone(check, drive);
}

/// By io_destroy, and by what a [`Context`]'s owner may do instead.
pub(super) fn context_gone(check: &mut Check, drive: &Drive) {
    let rounds = [
        (&DESTROY, PATTERN.rotate_left(8), true),
        (&DROP, PATTERN.rotate_left(16), false),
    ];
    for (names, pattern, destroy) in rounds {
        gone(check, drive, names, pattern, |context| {
            if destroy {
                context.destroy()
            } else {
                drop(context);
                Ok(())
            }
        });
    }
}

/// A device that takes 100 ms is seen to take them. (null_blk moves the bytes at
/// once, and only tells late.)
fn late(check: &mut Check, drive: &Drive) {
    let Some(context) = check.needs("late context", Context::new(8)) else {
        return;
    };
    let Some(mut page) = check.needs("late page", Pages::new(BLOCK)) else {
        return;
    };
    page.bytes_mut().fill(UNTOUCHED);
    let mut read = PRead::new(drive.file, page.start(), BLOCK).build();
    let begin = Moment::now();
    // SAFETY: the page is looked at when the event has come.
    let taken = unsafe { context.submit(&mut [&mut read]) };
    check.equal("late submit", taken, Ok(1));
    let mut events = [Event::EMPTY; 2];
    let none = context.wait_with(0, &mut events, Wait::poll());
    let none = none.map(|events| events.len());
    let soon = !begin.plus(90).is_over();
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
    check.holds("late event is late", begin.plus(90).is_over());
    check.equal("late result", events[0].result(), Ok(BLOCK));
    check.equal("late content", wrong_words(page.bytes(), 0, PATTERN), 0);

    let took = begin.elapsed();
    let begin = Moment::now();
    check.equal("late Context::destroy", context.destroy(), Ok(()));
    // Else a destroy that waited for nothing would look the same.
    if begin.elapsed() >= took {
        check.skip(
            "late device is slower than an idle destroy",
            "this machine is slow",
        );
    } else {
        check.holds("late device is slower than an idle destroy", true);
    }
}

/// Whether a block is there that holds nothing yet, read as memory that may
/// change.
fn untouched(memory: &Pages) -> bool {
    let mut blocks = (0..memory.bytes().len()).step_by(BLOCK);
    blocks.any(|at| {
        let first = memory.start().wrapping_add(at);
        // SAFETY: within the pages. The device may be writing: nothing is
        // concluded from such a byte but that it is early.
        unsafe { first.read_volatile() == UNTOUCHED }
    })
}

struct Names([&'static str; 11]);

const DESTROY: Names = Names([
    "destroy in flight: context",
    "destroy in flight: memory",
    "destroy in flight: eventfd",
    "destroy in flight: reads and writes",
    "destroy in flight: not all read yet",
    "destroy in flight: is done",
    "destroy in flight: took its time",
    "destroy in flight: every operation has ended",
    "destroy in flight: every byte was read",
    "destroy in flight: every byte was written",
    "destroy in flight: what was written from is the same",
]);

const DROP: Names = Names([
    "drop in flight: context",
    "drop in flight: memory",
    "drop in flight: eventfd",
    "drop in flight: reads and writes",
    "drop in flight: not all read yet",
    "drop in flight: is done",
    "drop in flight: took its time",
    "drop in flight: every operation has ended",
    "drop in flight: every byte was read",
    "drop in flight: every byte was written",
    "drop in flight: what was written from is the same",
]);

/// Sixteen reads and as many writes are in flight when the context goes.
fn gone(
    check: &mut Check,
    drive: &Drive,
    names: &Names,
    pattern: u64,
    end: impl FnOnce(Context) -> Result<(), Errno>,
) {
    let [
        context,
        memory,
        eventfd,
        submitted,
        nothing,
        done,
        time,
        all,
        read,
        written,
        same,
    ] = names.0;
    let Some(context) = check.needs(context, Context::new(64)) else {
        return;
    };
    let both = Pages::new(RUN).and_then(|first| Ok((first, Pages::new(RUN)?)));
    let Some((mut into, mut from)) = check.needs(memory, both) else {
        return;
    };
    let Some(counter) = check.needs(eventfd, os::eventfd()) else {
        return;
    };
    into.bytes_mut().fill(UNTOUCHED);
    fill(from.bytes_mut(), THIRD, pattern);
    let begin = Moment::now();
    // SAFETY: the memory is looked at when the context is gone; before that
    // only as `untouched` does.
    let taken = unsafe { submit(&context, drive, Way::Read, 0, into.start(), counter) };
    // SAFETY: as above.
    let taken = taken.and_then(|()| unsafe {
        submit(&context, drive, Way::Write, THIRD, from.start(), counter)
    });
    let before = ended_operations(counter);
    let seen_late = drive.kind == Kind::Slow || !begin.plus(90).is_over();
    let some_untouched = untouched(&into);
    let ended = end(context);
    let late = match drive.kind {
        Kind::Plain | Kind::Failing => true,
        Kind::Late => begin.plus(90).is_over(),
        Kind::Slow => begin.plus(1000).is_over(),
    };
    // The first look: nothing may come between.
    let wrong = wrong_words(into.bytes(), 0, PATTERN);
    let after = ended_operations(counter);
    check.equal(submitted, taken, Ok(()));
    if drive.kind == Kind::Slow {
        // At least the last: the device takes one after the other. (null_blk
        // is late only to say that it is done.)
        check.holds(nothing, some_untouched && before < 2 * DEPTH as u64);
    } else if drive.kind == Kind::Late && seen_late {
        check.equal(nothing, before, 0);
    }
    check.equal(done, ended, Ok(()));
    if drive.kind != Kind::Plain {
        check.holds(time, late);
    }
    // The kernel counts an operation when the device is done with it.
    check.equal(all, before + after, 2 * DEPTH as u64);
    check.equal(read, wrong, 0);
    let found = Context::new(16)
        .and_then(|other| super::sweep(&other, drive, Way::Read, THIRD, RUN as u64, pattern));
    check.equal(written, found, Ok(0));
    check.equal(same, wrong_words(from.bytes(), THIRD, pattern), 0);
    let _ = os::close(counter);
}

/// What has been counted since the last look.
fn ended_operations(counter: i32) -> u64 {
    let mut count = [0; 8];
    match os::read(counter, &mut count) {
        Ok(_) => u64::from_ne_bytes(count),
        Err(_) => 0,
    }
}

/// An operation for each of [`DEPTH`] blocks, counted when it has ended.
///
/// # Safety
/// `memory` has [`RUN`] bytes, and they are the kernel's until all have ended.
unsafe fn submit(
    context: &Context,
    drive: &Drive,
    way: Way,
    offset: u64,
    memory: *mut u8,
    counter: i32,
) -> Result<(), Errno> {
    let mut index = 0;
    let mut iocbs = [0_u8; DEPTH].map(|_| {
        let at = index * BLOCK;
        index += 1;
        Iocb {
            flags: IocbFlags::RESFD,
            resfd: counter as u32,
            ..super::block(drive, way, offset + at as u64, memory.wrapping_add(at))
        }
    });
    // SAFETY: the caller's promise.
    unsafe { context.submit_all(&mut iocbs.each_mut()) }.map_err(|error| error.errno)
}
