//! Checks that drop the owners of the safe layers with operations in flight.
//!
//! A scope that is left by a panic is not among them, because this program aborts on a
//! panic. Tests on the host cover it, in `tests/scope.rs`
//! (`a_panic_waits_for_the_reads`, `a_panic_leaves_nothing_in_flight`).

use core::future::Future as _;
use core::pin::pin;
use core::task::{Context as Task, Poll, Waker};

use linux_aio::op::{Op, Read, Write};
use linux_aio::reactor::{Reactor, ReactorSlot};
use linux_aio::{
    Errno, IdleContext, Queue, Scope, ScopeSlot, Slot, WaitOptions, scope_with_context,
};

use super::fly::{self, Ended, Flight, Names, OPERATIONS, Watch, names};
use super::{BLOCK, DEPTH, Drive, Kind, THIRD};
use crate::aio::owned::{Owned, all_dropped, dropped, dropped_so_far};
use crate::check::Check;
use crate::os::NO_FILE;

const QUEUE: Names = names!("queue drop");
const RETURN: Names = names!("scope return");
const EARLY: Names = names!("scope early return");
const REACTOR: Names = names!("reactor drop");
const FUTURES: Names = names!("futures' drop");

pub(super) fn run(check: &mut Check, drive: &Drive<'_>) {
    fly::gone(check, drive, &QUEUE, &queue_dropped);
    fly::gone(check, drive, &RETURN, &scope_returns);
    fly::gone(check, drive, &REACTOR, &reactor_dropped);
    // One or two kernels suffice for these checks.
    if drive.kind == Kind::Slow {
        fly::gone(check, drive, &EARLY, &scope_returns_early);
        fly::gone(check, drive, &FUTURES, &futures_dropped);
    }
}

/// Returns the operations of the flight, with buffers that they own.
fn owned<'q>(flight: &'q Flight<'_>) -> impl Iterator<Item = Op<'q, Owned>> {
    let (file, counter) = (&flight.drive.file, &flight.watch.counter);
    let (into, from) = (flight.into.start(), flight.from.start());
    (0..OPERATIONS).map(move |number| {
        let read = number < DEPTH;
        let at = (number & (DEPTH - 1)) * BLOCK;
        let start = if read { into } else { from }.wrapping_add(at);
        // SAFETY: the blocks do not overlap. The flight reads and frees them only after
        // the owner and its context are gone, and no owner here is leaked.
        let block = unsafe { Owned::of(start, BLOCK, read) };
        if read {
            let read = Read::new(file, block).offset(at as u64);
            read.eventfd(counter).into()
        } else {
            let write = Write::new(file, block).offset(THIRD + at as u64);
            write.eventfd(counter).into()
        }
    })
}

fn queue_dropped(flight: &mut Flight<'_>, idle: IdleContext) -> Ended {
    dropped();
    let mut slots = Slot::array::<OPERATIONS>();
    let mut queue = Queue::with_context(idle, &mut slots);
    for op in owned(flight) {
        queue.push(op).map_err(|_| Errno::NOSPC)?;
    }
    queue.submit().map_err(|error| error.errno)?;
    flight.watch.all_in_flight();
    drop(queue);
    all_dropped(OPERATIONS)?;
    Ok(None)
}

/// Begins the operations of the flight in a scope that borrows its memory.
pub(super) fn begin<'s>(
    s: &'s Scope<'s, '_>,
    drive: &'s Drive<'_>,
    into: &'s mut [u8],
    from: &'s [u8],
    watch: &'s Watch,
) -> Result<(), Errno> {
    let mut offset = 0;
    for block in into.chunks_exact_mut(BLOCK) {
        let read = Read::new(&drive.file, block).offset(offset);
        drop(
            s.push(read.eventfd(&watch.counter))
                .map_err(|_| Errno::NOSPC)?,
        );
        offset += BLOCK as u64;
    }
    offset = THIRD;
    for block in from.chunks_exact(BLOCK) {
        let write = Write::new(&drive.file, block).offset(offset);
        drop(
            s.push(write.eventfd(&watch.counter))
                .map_err(|_| Errno::NOSPC)?,
        );
        offset += BLOCK as u64;
    }
    s.submit();
    watch.all_in_flight();
    Ok(())
}

fn scope_returns(flight: &mut Flight<'_>, mut idle: IdleContext) -> Ended {
    let mut slots = ScopeSlot::array::<OPERATIONS>();
    let (into, from) = (flight.into.bytes_mut(), flight.from.bytes());
    scope_with_context(&mut idle, &mut slots, |s| {
        begin(s, flight.drive, into, from, &flight.watch)
    })?;
    Ok(Some(idle))
}

/// Leaves the scope by `?`, as a program does after an error.
fn scope_returns_early(flight: &mut Flight<'_>, mut idle: IdleContext) -> Ended {
    let mut slots = ScopeSlot::array::<{ OPERATIONS + 1 }>();
    let (into, from) = (flight.into.bytes_mut(), flight.from.bytes());
    let left = scope_with_context(&mut idle, &mut slots, |s| {
        begin(s, flight.drive, into, from, &flight.watch)?;
        let wrong = s.read(NO_FILE, &mut [], 0).map_err(|_| Errno::NOSPC)?;
        wrong.wait().result?;
        Ok(())
    });
    match left {
        Err(Errno::BADF) => Ok(Some(idle)),
        Err(errno) => Err(errno),
        Ok(()) => Err(Errno::CANCELED),
    }
}

/// Begins the operations as futures and drops each future at once. The operation
/// continues, and the reactor keeps its buffer.
fn begin_and_forget<'r>(reactor: &Reactor<'r, Owned>, flight: &'r Flight<'_>) -> Result<(), Errno> {
    dropped();
    let task = &mut Task::from_waker(Waker::noop());
    let mut ended = 0;
    for op in owned(flight) {
        let running = pin!(reactor.push(op));
        // A device may complete the first operation before the last has begun.
        if let Poll::Ready(done) = running.poll(task) {
            done.result?;
            ended += 1;
        }
    }
    flight.watch.all_in_flight();
    if dropped_so_far() == ended {
        Ok(())
    } else {
        Err(Errno::BUSY)
    }
}

fn reactor_dropped(flight: &mut Flight<'_>, idle: IdleContext) -> Ended {
    let mut slots = ReactorSlot::array::<OPERATIONS>();
    let reactor = Reactor::with_context(idle, &mut slots);
    let flight = &*flight;
    begin_and_forget(&reactor, flight)?;
    drop(reactor);
    all_dropped(OPERATIONS)?;
    Ok(None)
}

/// Checks that a reactor that continues to exist drops each buffer when its operation
/// has completed.
fn futures_dropped(flight: &mut Flight<'_>, idle: IdleContext) -> Ended {
    let mut slots = ReactorSlot::array::<OPERATIONS>();
    let reactor = Reactor::with_context(idle, &mut slots);
    let flight = &*flight;
    begin_and_forget(&reactor, flight)?;
    while reactor.in_flight() > 0 {
        reactor.wait(WaitOptions::new())?;
    }
    all_dropped(OPERATIONS)?;
    reactor.into_idle_context().map(Some)
}
