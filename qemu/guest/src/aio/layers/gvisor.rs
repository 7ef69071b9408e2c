//! Checks of the safe layers in gVisor, which has neither polls nor cancellation, and
//! completes reads after io_submit has returned, in any order.

use core::pin::pin;

use linux_aio::op::{Fsync, Poll, Read};
use linux_aio::opcode::PollMask;
use linux_aio::reactor::{Reactor, ReactorSlot};
use linux_aio::{Errno, IdleContext, Queue, ScopeSlot, Slot, WaitOptions, scope};

use super::queue::{has_read, read};
use super::waiters::soon;
use super::{PIECE, SLOTS, Things, full, named, offset, owned, piece, reactor, scope as scopes};
use crate::aio::contexts::known;
use crate::aio::owned::{Owned, UNTOUCHED, all_dropped, dropped};
use crate::check::Check;
use crate::os::{self, File, NO_FILE, Pages};

/// The exit status of a child in which every check passed.
const RIGHT: usize = 64;

pub(super) fn run(check: &mut Check, things: &Things) {
    queue(check, things);
    ends(check, things);
    forked(check, things);
    scoped(check, things);
    futures(check, things);
    future_ends(check);
}

#[inline(never)]
fn queue(check: &mut Check, things: &Things) {
    let mut slots = Slot::array::<SLOTS>();
    let Some(mut queue) = check.needs("gvisor Queue::new", Queue::new(&mut slots)) else {
        return;
    };
    dropped();
    // More rounds than slots, so that each slot serves several operations.
    let mut right = 0;
    for round in 0..8 {
        let tickets = [0, 1, 2, 3].map(|number| {
            let read = read(things, (number + round) & 7)?;
            queue.push(read).map_err(full)
        });
        let submitted = queue.submit().map_err(|error| error.errno);
        right += u32::from(submitted == Ok(SLOTS));
        for _ in 0..SLOTS {
            let done = queue.wait();
            let numbers = (0..SLOTS).zip(tickets);
            let mut matches =
                numbers.filter(|&(at, ticket)| has_read(&done, ticket, (at + round) & 7));
            right += u32::from(matches.next().is_some());
        }
    }
    check.equal("gvisor queue, each once", right, 8 * (1 + SLOTS as u32));
    check.holds(
        "gvisor queue wait for none",
        matches!(queue.wait(), Ok(None)),
    );
    check.equal(
        "gvisor queue gave every buffer back",
        dropped(),
        8 * SLOTS as u32,
    );

    // A poll is refused, and the operations behind it are submitted.
    let poll = queue
        .push(Poll::new(&things.reader, PollMask::IN))
        .map_err(full);
    let behind = read(things, 3).and_then(|read| queue.push(read).map_err(full));
    let bad = queue.push(Fsync::new(NO_FILE)).map_err(full);
    let (mut refused, mut came) = (0, 0);
    for _ in 0..3 {
        let done = queue.wait();
        came += u32::from(has_read(&done, behind, 3));
        if let Ok(Some(done)) = done {
            refused += u32::from(Ok(done.ticket) == poll && done.result == Err(Errno::INVAL));
            refused += u32::from(Ok(done.ticket) == bad && done.result == Err(Errno::BADF));
        }
    }
    check.equal("gvisor queue refusals are results", refused, 2);
    check.equal("gvisor queue the read behind them", came, 1);

    // Only a staged operation can be cancelled.
    let flying = read(things, 1).and_then(|read| queue.push(read).map_err(full));
    let submitted = queue.submit().map_err(|error| error.errno);
    check.equal("gvisor queue submit", submitted, Ok(1));
    let cancelled = flying.and_then(|ticket| queue.cancel(ticket));
    check.equal(
        "gvisor queue cancel in flight",
        cancelled,
        Err(Errno::NOSYS),
    );
    let staged = read(things, 2).and_then(|read| queue.push(read).map_err(full));
    let cancelled = staged.and_then(|ticket| queue.cancel(ticket));
    check.equal("gvisor queue cancel of a staged one", cancelled, Ok(()));
    let done = queue.pop();
    // The read may have completed first.
    let right = matches!(&done, Ok(Some(done)) if done.result == Err(Errno::CANCELED)
        || done.result == Ok(PIECE));
    check.holds("gvisor queue pop after it", right);
    drop(done);
    let more = read(things, 5).and_then(|read| queue.push(read).map_err(full));
    check.equal("gvisor queue drain", more.and(queue.drain()), Ok(()));
    check.equal("gvisor queue drain leaves none", queue.in_flight(), 0);
    let mut came = 0;
    while let Ok(Some(done)) = queue.pop() {
        came += u32::from(done.result == Ok(PIECE) || done.result == Err(Errno::CANCELED));
    }
    check.equal("gvisor queue drained completions", came, 2);
}

/// Checks the ends of a queue with reads in flight, and the reuse of its context.
#[inline(never)]
fn ends(check: &mut Check, things: &Things) {
    let mut slots = Slot::array::<SLOTS>();
    let Some(idle) = check.needs("gvisor queue context", IdleContext::new(SLOTS as u32)) else {
        return;
    };
    let (mut idle, name) = named(idle);
    let mut submitted = 0;
    dropped();
    for _ in 0..8 {
        let mut queue = Queue::with_context(idle, &mut slots);
        for number in 0..3 {
            let _ = read(things, number).and_then(|read| queue.push(read).map_err(full));
        }
        submitted += queue.submit().unwrap_or(0);
        match queue.into_idle_context() {
            Ok(next) => idle = next,
            Err(_) => {
                check.holds("gvisor queue into_idle_context", false);
                return;
            }
        }
    }
    check.equal("gvisor queue reuses its context", submitted, 24);
    check.equal("gvisor queue dropped the buffers", dropped(), 24);
    let mut queue = Queue::with_context(idle, &mut slots);
    for number in 0..4 {
        let _ = read(things, number).and_then(|read| queue.push(read).map_err(full));
    }
    let submitted = queue.submit().map_err(|error| error.errno);
    check.equal("gvisor queue full at its end", submitted, Ok(SLOTS));
    drop(queue);
    check.equal(
        "gvisor queue drop drops the buffers",
        dropped(),
        SLOTS as u32,
    );
    let gone = known(name);
    check.equal("gvisor queue drop destroyed it", gone, Err(Errno::INVAL));
}

/// Checks a forked child that inherits a queue with a read in flight and one staged.
#[inline(never)]
fn forked(check: &mut Check, things: &Things) {
    let mut slots = Slot::array::<SLOTS>();
    let Some(idle) = check.needs("gvisor fork context", IdleContext::new(SLOTS as u32)) else {
        return;
    };
    let (idle, name) = named(idle);
    let mut queue = Queue::with_context(idle, &mut slots);
    let flying = read(things, 1).and_then(|read| queue.push(read).map_err(full));
    let submitted = queue.submit().map_err(|error| error.errno);
    check.equal("gvisor fork submit", submitted, Ok(1));
    let staged = read(things, 2).and_then(|read| queue.push(read).map_err(full));
    let status = os::in_child(|| {
        dropped();
        // SAFETY: `in_child` runs this in the child's copy of the memory. The child
        // exits without using `queue` again, so its value is dropped once there; the
        // parent's value lies in other memory.
        drop(unsafe { core::ptr::read(&raw const queue) });
        // The buffer in flight in the parent is leaked.
        let right = dropped() == 1 && known(name) == Err(Errno::INVAL);
        // Its own context works.
        let own = Queue::<Owned>::new(&mut Slot::array::<1>()).and_then(|mut queue| {
            let ticket = queue.push(read(things, 4)?).map_err(full);
            Ok(has_read(&queue.wait(), ticket, 4))
        });
        if right && own == Ok(true) { RIGHT } else { 1 }
    });
    check.equal("gvisor fork child drops the queue", status, Ok(RIGHT << 8));
    let (mut first, mut second) = (0, 0);
    for _ in 0..2 {
        let done = queue.wait();
        first += u32::from(has_read(&done, flying, 1));
        second += u32::from(has_read(&done, staged, 2));
    }
    check.equal("gvisor fork the parent's read comes", first, 1);
    check.equal("gvisor fork the parent's staged read", second, 1);
}

#[inline(never)]
fn scoped(check: &mut Check, things: &Things) {
    scopes::without_polls(check, things);
    let mut bytes = [0; PIECE];
    let results = scope(&mut ScopeSlot::array::<SLOTS>(), |s| {
        let poll = s.poll(&things.reader, PollMask::IN).map_err(full)?;
        let read = Read::new(&things.file, &mut bytes[..]).offset(offset(6));
        let read = s.push(read).map_err(full)?;
        Ok::<_, Errno>((read.wait().result, poll.wait().result))
    });
    let right = results == Ok(Ok((Ok(PIECE), Err(Errno::INVAL))));
    check.holds("gvisor scope a poll is refused", right);
    check.equal("gvisor scope the read beside it", &bytes[..], piece(6));
}

#[inline(never)]
fn futures(check: &mut Check, things: &Things) {
    let mut slots = ReactorSlot::array::<SLOTS>();
    let Some(idle) = check.needs("gvisor reactor context", IdleContext::new(SLOTS as u32)) else {
        return;
    };
    let reactor = Reactor::<Owned>::with_context(idle, &mut slots).eventfd(&things.eventfd);
    dropped();
    things.counted();
    let mut right = 0;
    for round in 0..8 {
        let one = async {
            let read = reactor.read(&things.file, owned()?, offset(round)).await;
            Ok::<_, Errno>(reactor::has_read(&read, round))
        };
        let other = async {
            let read = reactor
                .read(&things.file, owned()?, offset(7 - round))
                .await;
            Ok::<_, Errno>(reactor::has_read(&read, 7 - round))
        };
        let came = reactor::block_on(&reactor, one, other, || {});
        right += u32::from(came == Ok((Ok(true), Ok(true))));
    }
    check.equal("gvisor reactor reads", right, 8);
    check.equal("gvisor reactor gave the buffers back", dropped(), 16);
    // The eventfd is signalled after the event can be taken.
    let mut counted = soon(&things.eventfd);
    while counted < 16 {
        match soon(&things.eventfd) {
            0 => break,
            more => counted += more,
        }
    }
    check.equal("gvisor reactor eventfd counted", counted, 16);
    let polled = async {
        let done = reactor.poll(&things.reader, PollMask::IN).await;
        done.result
    };
    let polled = reactor::poll(pin!(polled), 1);
    check.holds(
        "gvisor reactor a poll is refused",
        polled == Some(Err(Errno::INVAL)),
    );
    reactor::refused(check, &reactor);
}

/// Checks futures that are dropped while their reads are in flight, and a reactor that
/// is. No buffer is dropped before data was read into it.
#[inline(never)]
fn future_ends(check: &mut Check) {
    const LENGTH: usize = 1 << 22;
    let file = File::memory(c"large").and_then(|file| {
        os::pwrite(file.number(), &[0], LENGTH as u64 - 1)?;
        Ok((file, Pages::new(LENGTH)?))
    });
    let Some((file, mut pages)) = check.needs("gvisor large file and buffer", file) else {
        return;
    };
    dropped();
    let (mut pending, mut right, mut round) = (0, 0, 0);
    // A fast or busy machine may complete a read before the first poll of its future.
    while round < 8 || pending == 0 && round < 500 {
        let mut slots = ReactorSlot::array::<SLOTS>();
        let Ok(idle) = IdleContext::new(SLOTS as u32) else {
            break;
        };
        let (idle, name) = named(idle);
        let reactor = Reactor::<Owned>::with_context(idle, &mut slots);
        pages.bytes_mut().fill(UNTOUCHED);
        let waits = round & 1 == 0;
        // SAFETY: this operation alone uses the memory. It has completed, or was discarded,
        // when the reactor is gone, before `pages` is written again or dropped.
        let buffer = unsafe { Owned::of(pages.start(), LENGTH, waits) };
        {
            let read = pin!(reactor.read(&file, buffer, 0));
            pending += u32::from(reactor::poll(read, 1).is_none());
        }
        if waits {
            while reactor.in_flight() > 0 && reactor.wait(WaitOptions::new()).is_ok() {}
        }
        drop(reactor);
        right += usize::from(all_dropped(round + 1) == Ok(()));
        right += usize::from(known(name) == Err(Errno::INVAL));
        // An operation that gVisor has not begun is discarded with the context. None is
        // carried out later.
        pages.bytes_mut().fill(UNTOUCHED);
        os::sleep(5);
        let last = pages.bytes().iter().filter(|&&byte| byte != UNTOUCHED);
        right += usize::from(last.count() == 0);
        round += 1;
    }
    check.holds("gvisor reactor reads were in flight", pending > 0);
    let all = round >= 8 && right == 3 * round;
    check.holds("gvisor reactor ends in flight", all);
}
