//! Checks of queues that a forked child inherits.

use linux_aio::op::Poll;
use linux_aio::opcode::PollMask;
use linux_aio::{Completion, Errno, IdleContext, Queue, Slot, Ticket, WaitOptions};

use super::super::queue::{has_read, read};
use super::super::{Things, full, named};
use super::{Children, Found, MOST, NOT_SET_UP, State, beside_own, first_wrong};
use crate::aio::owned::{Owned, dropped};
use crate::os;

/// The tickets of the operations in a state.
struct Tickets {
    ended: [Option<Ticket>; 3],
    poll: Option<Ticket>,
    staged: Option<Ticket>,
}

pub(super) fn run(things: &Things) -> Found {
    let mut children = Children::new();
    let Ok(mut idle) = IdleContext::new(MOST as u32) else {
        return Err((0, NOT_SET_UP));
    };
    for (number, state) in State::all() {
        let name;
        (idle, name) = named(idle);
        let mut slots = Slot::array::<MOST>();
        let mut queue = Queue::with_context(idle, &mut slots);
        let Ok(tickets) = fill(&mut queue, things, state) else {
            return Err((number, NOT_SET_UP));
        };
        for act in [uses, drains, drops] {
            // SAFETY: the closure runs only in a child, on its copy of the memory, once
            // in each child. The child does not use `queue` itself, and the parent's
            // value lies in other memory.
            let copy = || unsafe { core::ptr::read(&raw const queue) };
            let child = os::spawn(|| {
                beside_own(things, name, || {
                    dropped();
                    act(copy(), state, &tickets)
                })
            });
            children.add(number, child);
        }
        children.parent(number, is_whole(&mut queue, state, &tickets));
        dropped();
        idle = match queue.into_idle_context() {
            Ok(idle) => idle,
            Err(_) => return Err((number, NOT_SET_UP)),
        };
    }
    children.end()
}

fn fill<'q>(
    queue: &mut Queue<'q, Owned>,
    things: &'q Things,
    state: State,
) -> Result<Tickets, Errno> {
    let mut tickets = Tickets {
        ended: [None; 3],
        poll: None,
        staged: None,
    };
    // Reads of a memory file complete during the system call.
    for (number, ticket) in tickets.ended.iter_mut().take(state.ended).enumerate() {
        *ticket = Some(queue.push(read(things, number)?).map_err(full)?);
    }
    if state.waits {
        let poll = Poll::new(&things.own_eventfd, PollMask::IN);
        tickets.poll = Some(queue.push(poll).map_err(full)?);
    }
    queue.submit().map_err(|error| error.errno)?;
    if state.staged {
        tickets.staged = Some(queue.push(read(things, 4)?).map_err(full)?);
    }
    Ok(tickets)
}

/// Checks each method of an inherited queue. A method with work to do is refused, and
/// only the buffers of submitted operations are leaked.
fn uses(mut queue: Queue<'_, Owned>, state: State, tickets: &Tickets) -> usize {
    let has_submitted = state.submitted() > 0;
    // The staged operation, refused.
    let is_back = |done: &Option<Completion<Option<Owned>>>| match done {
        Some(done) => {
            state.staged
                && Some(done.ticket) == tickets.staged
                && done.result == Err(Errno::INVAL)
                && done.buffer.is_some()
        }
        None => !state.staged,
    };
    let popped = queue.pop();
    let popped = match popped {
        Err(errno) => has_submitted && errno == Errno::INVAL,
        Ok(done) => !has_submitted && done.is_none(),
    };
    let submitted = match queue.submit() {
        Err(error) => state.staged && (error.submitted, error.errno) == (0, Errno::INVAL),
        Ok(count) => !state.staged && count == 0,
    };
    let cancelled = tickets.poll.map(|poll| queue.cancel(poll));
    // With nothing submitted, the wait returns the refusal.
    let waited = match queue.wait() {
        Err(errno) => has_submitted && errno == Errno::INVAL,
        Ok(done) => !has_submitted && is_back(&done),
    };
    let staged = queue.staged();
    let waited_with = match queue.wait_with(1, WaitOptions::poll()) {
        Err(errno) => has_submitted && errno == Errno::INVAL,
        Ok(done) => !has_submitted && done == 0,
    };
    let back = match queue.pop() {
        Err(errno) => has_submitted && !state.staged && errno == Errno::INVAL,
        Ok(done) if has_submitted => state.staged && is_back(&done),
        Ok(done) => done.is_none(),
    };
    let drained = match queue.drain() {
        Err(errno) => has_submitted && errno == Errno::INVAL,
        Ok(()) => !has_submitted,
    };
    let in_flight = queue.in_flight();
    drop(queue);
    first_wrong(&[
        popped,
        submitted,
        cancelled.is_none_or(|cancelled| cancelled == Err(Errno::INVAL)),
        waited,
        staged == usize::from(has_submitted && state.staged),
        waited_with,
        back,
        drained,
        in_flight == state.submitted(),
        // The operations in flight belong to the parent, so their buffers are leaked in
        // the child.
        dropped() == u32::from(state.staged),
    ])
}

fn drains(queue: Queue<'_, Owned>, state: State, _: &Tickets) -> usize {
    let idle = queue.into_idle_context().map(drop);
    first_wrong(&[
        // With nothing in flight there is nothing to refuse.
        state.submitted() == 0 || idle == Err(Errno::INVAL),
        dropped() == u32::from(state.staged),
    ])
}

fn drops(queue: Queue<'_, Owned>, state: State, _: &Tickets) -> usize {
    drop(queue);
    first_wrong(&[dropped() == u32::from(state.staged)])
}

/// Returns whether all operations of the parent complete, in order.
fn is_whole(queue: &mut Queue<'_, Owned>, state: State, tickets: &Tickets) -> bool {
    let mut right = queue.in_flight() == state.submitted();
    for (number, ticket) in tickets.ended.iter().flatten().enumerate() {
        right &= has_read(&queue.pop(), Ok(*ticket), number);
    }
    if let Some(ticket) = tickets.staged {
        right &= has_read(&queue.wait(), Ok(ticket), 4);
    }
    if let Some(poll) = tickets.poll {
        right &= matches!(queue.pop(), Ok(None)) && queue.cancel(poll) == Ok(());
        right &= matches!(queue.wait(), Ok(Some(done)) if done.result == Ok(0));
    }
    right & matches!(queue.pop(), Ok(None))
}
