//! Checks of `Queue`: each operation completes exactly once, in order, and returns its
//! buffer.

use core::time::Duration;

use linux_aio::op::{Op, Poll, Read};
use linux_aio::opcode::PollMask;
use linux_aio::{Completion, Errno, Fd, IdleContext, Queue, Slot, Ticket, WaitOptions};

use super::{PIECE, SLOTS, Things, named, offset, owned, piece};
use crate::aio::contexts::known;
use crate::aio::owned::{Owned, dropped};
use crate::check::Check;
use crate::os::NO_FILE;

type Done = Result<Option<Completion<Option<Owned>>>, Errno>;

#[inline(never)]
pub(super) fn run(check: &mut Check, things: &Things) {
    let mut slots = Slot::array::<SLOTS>();
    let Some(idle) = check.needs("queue context", IdleContext::new(SLOTS as u32)) else {
        return;
    };
    dropped();
    let mut queue = Queue::with_context(idle, &mut slots);
    check.equal("queue capacity", queue.capacity(), SLOTS);
    order(check, &mut queue, things);
    full(check, &mut queue, things);
    partly(check, &mut queue, things);
    wait_submits(check, &mut queue, things);
    waits(check, &mut queue, things);
    cancels(check, &mut queue, things);
    drains(check, &mut queue, things);
    let old = push(&mut queue, things, 0);
    let more = push_poll(&mut queue, &things.reader, PollMask::IN);
    check.equal("queue submit before its end", submit(&mut queue), Ok(2));
    check.holds("queue push before its end", more.is_ok());
    dropped();
    let Some(idle) = check.needs("queue into_idle_context", queue.into_idle_context()) else {
        return;
    };
    check.equal("queue into_idle_context drops the buffer", dropped(), 1);

    // The same context, with one slot.
    let (idle, name) = named(idle);
    let mut queue = Queue::with_context(idle, &mut slots[..1]);
    tickets(check, &mut queue, things, old);
    foreign_tickets(check, things);
    end(check, queue, things);
    check.equal(
        "queue drop destroyed the context",
        known(name),
        Err(Errno::INVAL),
    );
}

/// Creates a read of one piece of the file.
pub(super) fn read(things: &Things, number: usize) -> Result<Op<'_, Owned>, Errno> {
    Ok(Read::new(&things.file, owned()?)
        .offset(offset(number))
        .into())
}

/// Returns whether an operation has completed that read this piece.
#[inline(never)]
pub(super) fn has_read(done: &Done, ticket: Result<Ticket, Errno>, number: usize) -> bool {
    matches!(done, Ok(Some(done)) if Ok(done.ticket) == ticket
        && done.result == Ok(PIECE)
        && done.buffer.as_ref().is_some_and(|buffer| buffer.bytes() == piece(number)))
}

/// Returns whether an operation has completed with this result and no buffer.
#[inline(never)]
fn has_come(done: &Done, ticket: Result<Ticket, Errno>, result: Result<usize, Errno>) -> bool {
    matches!(done, Ok(Some(done)) if Ok(done.ticket) == ticket
        && done.result == result
        && done.buffer.is_none())
}

#[inline(never)]
fn push<'q>(
    queue: &mut Queue<'q, Owned>,
    things: &'q Things,
    number: usize,
) -> Result<Ticket, Errno> {
    queue.push(read(things, number)?).map_err(super::full)
}

#[inline(never)]
fn push_poll<'q>(
    queue: &mut Queue<'q, Owned>,
    file: impl Into<Fd<'q>>,
    mask: PollMask,
) -> Result<Ticket, Errno> {
    queue.push(Poll::new(file, mask)).map_err(super::full)
}

#[inline(never)]
fn submit(queue: &mut Queue<'_, Owned>) -> Result<usize, Errno> {
    queue.submit().map_err(|error| error.errno)
}

#[inline(never)]
fn pop(queue: &mut Queue<'_, Owned>) -> Done {
    queue.pop()
}

#[inline(never)]
fn wait(queue: &mut Queue<'_, Owned>) -> Done {
    queue.wait()
}

fn order<'q>(check: &mut Check, queue: &mut Queue<'q, Owned>, things: &'q Things) {
    let tickets = [0, 1, 2].map(|number| push(queue, things, number));
    check.holds("queue push", tickets.iter().all(Result::is_ok));
    check.equal("queue staged", queue.staged(), 3);
    check.equal("queue nothing in flight", queue.in_flight(), 0);
    check.equal("queue submit", submit(queue), Ok(3));
    check.equal("queue in flight", queue.in_flight(), 3);
    // Reads of a memory file complete during the system call, in submission order.
    let mut right = true;
    for (number, ticket) in tickets.into_iter().enumerate() {
        right &= ticket.is_ok_and(|ticket| queue.contains(ticket));
        right &= has_read(&pop(queue), ticket, number);
        right &= ticket.is_ok_and(|ticket| !queue.contains(ticket));
    }
    check.holds("queue pop, each once, in order", right);
    check.holds("queue pop of none", matches!(pop(queue), Ok(None)));
    check.equal("queue gave every buffer back", dropped(), 3);
}

fn full<'q>(check: &mut Check, queue: &mut Queue<'q, Owned>, things: &'q Things) {
    let pushed = [0, 1, 2, 3].map(|number| push(queue, things, number).is_ok());
    check.holds("queue push into each slot", pushed == [true; SLOTS]);
    let back = read(things, 4).map(|read| queue.push(read));
    let buffer = match back {
        Ok(Err(full)) => full.0.into_buffer(),
        _ => None,
    };
    check.holds("queue push when full gives it back", buffer.is_some());
    drop(buffer);
    check.equal("queue drop of the returned operation", dropped(), 1);
    check.equal("queue submit when full", submit(queue), Ok(SLOTS));
    // The operations have completed, but their completions have not been taken.
    let fifth = push(queue, things, 0);
    check.equal(
        "queue slots free when taken",
        fifth.map(drop),
        Err(Errno::NOSPC),
    );
    check.equal("queue drop of the fifth buffer", dropped(), 1);
    let first = wait(queue);
    check.holds("queue wait takes one", matches!(first, Ok(Some(_))));
    let fifth = push(queue, things, 5);
    check.holds("queue push into the freed slot", fifth.is_ok());
    check.equal("queue submit again", submit(queue), Ok(1));
    let mut last = Ok(None);
    while let Ok(Some(done)) = pop(queue) {
        last = Ok(Some(done));
    }
    check.holds("queue the last comes last", has_read(&last, fifth, 5));
}

/// Checks a batch of which the kernel refuses one operation: those staged behind it
/// keep their order.
fn partly<'q>(check: &mut Check, queue: &mut Queue<'q, Owned>, things: &'q Things) {
    let first = push(queue, things, 0);
    let bad = push_poll(queue, NO_FILE, PollMask::IN);
    let third = push(queue, things, 2);
    let fourth = push(queue, things, 3);
    let refused = queue
        .submit()
        .map_err(|error| (error.submitted, error.errno));
    let right = refused == Err((1, Errno::BADF));
    check.holds("queue submit up to a bad one", right);
    check.equal("queue the rest is staged", queue.staged(), 3);
    check.equal("queue one was submitted", queue.in_flight(), 1);
    let staged = [first, bad, third, fourth]
        .map(|ticket| ticket.is_ok_and(|ticket| queue.is_staged(ticket)));
    let right = staged == [false, true, true, true];
    check.holds("queue the other three are staged", right);
    let out = queue.unstage();
    let right = matches!(out, Some((ticket, None, ())) if Ok(ticket) == bad);
    check.holds("queue unstage of the bad one", right);
    check.equal("queue submit of the rest", submit(queue), Ok(2));
    let right = [(first, 0), (third, 2), (fourth, 3)]
        .into_iter()
        .all(|(ticket, number)| has_read(&wait(queue), ticket, number));
    check.holds("queue the rest in order", right);
    check.holds("queue unstage of none", queue.unstage().is_none());
    dropped();
}

/// Checks that a wait submits the staged operations, and that a refusal arrives as a
/// completion.
fn wait_submits<'q>(check: &mut Check, queue: &mut Queue<'q, Owned>, things: &'q Things) {
    let first = push(queue, things, 1);
    let bad = push_poll(queue, NO_FILE, PollMask::IN);
    let third = push(queue, things, 3);
    // The refusal occurs while the other operations complete.
    let (mut read, mut refused) = (0, 0);
    for _ in 0..3 {
        let done = wait(queue);
        read += u32::from(has_read(&done, first, 1)) + u32::from(has_read(&done, third, 3));
        refused += u32::from(has_come(&done, bad, Err(Errno::BADF)));
    }
    check.equal("queue wait submits what is staged", read, 2);
    check.equal("queue wait gives a refusal as a result", refused, 1);
    check.holds("queue wait for none", matches!(wait(queue), Ok(None)));
    dropped();
}

fn waits<'q>(check: &mut Check, queue: &mut Queue<'q, Owned>, things: &'q Things) {
    let never = push_poll(queue, &things.reader, PollMask::IN);
    let ready = push_poll(queue, &things.writer, PollMask::OUT);
    check.equal("queue submit of polls", submit(queue), Ok(2));
    // The wait requests more completions than can arrive.
    let short = WaitOptions::new().timeout(Duration::from_millis(10));
    check.equal("queue wait_with a time", queue.wait_with(2, short), Ok(1));
    let out = PollMask::OUT.bits().into();
    let right = has_come(&pop(queue), ready, Ok(out));
    check.holds("queue pop of what was waited for", right);
    check.equal("queue the other is in flight", queue.in_flight(), 1);
    check.equal("queue a byte comes", things.send(), Ok(1));
    let done = wait(queue);
    let right = matches!(done, Ok(Some(done)) if Ok(done.ticket) == never
        && done.result.is_ok_and(|bits| bits & 1 == 1));
    check.holds("queue wait for a poll", right);
    things.receive();
}

fn cancels<'q>(check: &mut Check, queue: &mut Queue<'q, Owned>, things: &'q Things) {
    let cancel = |queue: &mut Queue<'_, Owned>, ticket: Result<Ticket, Errno>| {
        ticket.and_then(|ticket| queue.cancel(ticket))
    };
    let poll = push_poll(queue, &things.reader, PollMask::IN);
    check.equal("queue submit of a poll", submit(queue), Ok(1));
    check.equal("queue cancel of a poll", cancel(queue, poll), Ok(()));
    let right = has_come(&wait(queue), poll, Ok(0));
    check.holds("queue a cancelled poll comes", right);
    check.equal("queue cancel again", cancel(queue, poll), Err(Errno::INVAL));

    let tickets = [0, 1, 2].map(|number| push(queue, things, number));
    let [first, second, third] = tickets;
    check.equal(
        "queue cancel of a staged operation",
        cancel(queue, second),
        Ok(()),
    );
    check.equal("queue two are left", queue.staged(), 2);
    let done = pop(queue);
    let right = matches!(&done, Ok(Some(done)) if Ok(done.ticket) == second
        && done.result == Err(Errno::CANCELED) && done.buffer.is_some());
    check.holds("queue it completes with ECANCELED", right);
    check.equal("queue submit of the other two", submit(queue), Ok(2));
    let right = has_read(&wait(queue), first, 0) && has_read(&wait(queue), third, 2);
    check.holds("queue the other two are read", right);
}

fn drains<'q>(check: &mut Check, queue: &mut Queue<'q, Owned>, things: &'q Things) {
    let poll = push_poll(queue, &things.reader, PollMask::IN);
    let first = push(queue, things, 6);
    check.equal("queue submit to be drained", submit(queue), Ok(2));
    let staged = push(queue, things, 7);
    check.equal("queue drain", queue.drain(), Ok(()));
    check.equal("queue drain leaves none in flight", queue.in_flight(), 0);
    check.equal("queue drain leaves none staged", queue.staged(), 0);
    // The kernel does not guarantee the order of these completions.
    let mut right = 0;
    for _ in 0..3 {
        let done = pop(queue);
        right += u32::from(has_read(&done, first, 6))
            + u32::from(has_read(&done, staged, 7))
            + u32::from(has_come(&done, poll, Ok(0)));
    }
    check.equal("queue all three come after the drain", right, 3);
}

/// Checks that a ticket of an earlier operation does not match a later one in the same
/// slot.
fn tickets<'q>(
    check: &mut Check,
    queue: &mut Queue<'q, Owned>,
    things: &'q Things,
    older: Result<Ticket, Errno>,
) {
    let known = |queue: &mut Queue<'_, Owned>, ticket: Result<Ticket, Errno>| {
        ticket.is_ok_and(|ticket| queue.contains(ticket) || queue.cancel(ticket).is_ok())
    };
    let mut alive = 0;
    let mut before = older;
    for _ in 0..3 {
        let ticket = push_poll(queue, &things.reader, PollMask::IN);
        let submitted = submit(queue);
        alive += u32::from(known(queue, before) || known(queue, older));
        alive += u32::from(submitted != Ok(1) || before == ticket);
        let ended = ticket.and_then(|ticket| queue.cancel(ticket));
        alive += u32::from(ended != Ok(()) || !has_come(&wait(queue), ticket, Ok(0)));
        before = ticket;
    }
    check.equal("queue a ticket is invalid after its completion", alive, 0);
}

/// Checks that a ticket is not valid in another queue, even if both tickets name the
/// first use of the first slot.
fn foreign_tickets(check: &mut Check, things: &Things) {
    let (mut slots, mut others) = (Slot::array::<1>(), Slot::array::<1>());
    let queues = Queue::new(&mut slots).and_then(|queue| Ok((queue, Queue::new(&mut others)?)));
    let Some((mut queue, mut other)) = check.needs("queue two queues", queues) else {
        return;
    };
    let ticket = push_poll(&mut queue, &things.reader, PollMask::IN);
    let theirs = push_poll(&mut other, &things.reader, PollMask::IN);
    let Some(theirs) = check.needs("queue a ticket of another", theirs) else {
        return;
    };
    check.holds("queue tickets of two differ", ticket != Ok(theirs));
    let staged = queue.is_staged(theirs) || queue.contains(theirs);
    check.holds("queue another's ticket is not staged", !staged);
    let submitted = submit(&mut queue).and_then(|_| submit(&mut other));
    check.equal("queue submit in both", submitted, Ok(1));
    check.holds("queue another's ticket is unknown", !queue.contains(theirs));
    let cancelled = queue.cancel(theirs);
    check.equal("queue cancel for another", cancelled, Err(Errno::INVAL));
    let none = matches!((pop(&mut queue), pop(&mut other)), (Ok(None), Ok(None)));
    check.holds("queue both still wait", none);
    check.holds("queue the other knows its ticket", other.contains(theirs));
}

/// Checks that dropping a queue with a poll in flight completes the poll.
fn end<'q>(check: &mut Check, mut queue: Queue<'q, Owned>, things: &'q Things) {
    let poll = Poll::new(&things.reader, PollMask::IN).eventfd(&things.eventfd);
    let pushed = queue.push(poll).map(drop).map_err(super::full);
    check.equal("queue push of the last poll", pushed, Ok(()));
    check.equal("queue submit of the last poll", submit(&mut queue), Ok(1));
    check.equal("queue the last poll waits", things.counted(), 0);
    drop(queue);
    check.equal("queue drop completed the poll", things.counted(), 1);
}
