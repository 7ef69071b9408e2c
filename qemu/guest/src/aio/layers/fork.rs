//! Checks a forked child that inherits a queue with operations staged and in flight.
//! The child drops or dismantles its copy; the parent's operations must be unaffected.

use linux_aio::op::Poll;
use linux_aio::opcode::PollMask;
use linux_aio::{Errno, IdleContext, Queue, Slot};

use super::queue::{has_read, read};
use super::{SLOTS, Things, full, named};
use crate::aio::contexts::known;
use crate::aio::owned::{Owned, dropped};
use crate::check::Check;
use crate::os;

/// The exit status of a child in which every check passed. Otherwise the status has one
/// bit for each check that failed.
const RIGHT: usize = 64;

#[inline(never)]
pub(super) fn run(check: &mut Check, things: &Things) {
    let Some(idle) = check.needs("fork queue context", IdleContext::new(SLOTS as u32)) else {
        return;
    };
    let (idle, name) = named(idle);
    let mut slots = Slot::array::<SLOTS>();
    let mut queue = Queue::with_context(idle, &mut slots);
    let poll = Poll::new(&things.reader, PollMask::IN).eventfd(&things.eventfd);
    let poll = queue.push(poll).map_err(full);
    let done = read(things, 3).and_then(|read| queue.push(read).map_err(full));
    let submitted = queue.submit().map_err(|error| error.errno);
    check.equal("fork queue submit", submitted, Ok(2));
    let staged = read(things, 4).and_then(|read| queue.push(read).map_err(full));

    // The child drops its copy. The buffer in flight in the parent is leaked in the
    // child; the buffer that is only staged belongs to the child and is dropped.
    let status = os::in_child(|| {
        dropped();
        // SAFETY: `in_child` runs this in the child's copy of the memory. The child
        // exits without using `queue` again, so its value is dropped once there; the
        // parent's value lies in other memory.
        drop(unsafe { core::ptr::read(&raw const queue) });
        let wrong = usize::from(dropped() != 1);
        wrong_or_right(wrong | usize::from(known(name) != Err(Errno::INVAL)) << 1)
    });
    check.equal("fork child drops a queue", status, Ok(RIGHT << 8));
    // `into_idle_context` reports that the context does not belong to this process.
    let status = os::in_child(|| {
        // SAFETY: `in_child` runs this in the child's copy of the memory. The child
        // exits without using `queue` again, so its value is consumed once there; the
        // parent's value lies in other memory.
        let mine: Queue<'_, Owned> = unsafe { core::ptr::read(&raw const queue) };
        let idle = mine.into_idle_context().map(drop);
        wrong_or_right(usize::from(idle != Err(Errno::INVAL)))
    });
    check.equal("fork child drains a queue", status, Ok(RIGHT << 8));

    check.equal("fork the parent's poll still waits", things.counted(), 0);
    check.holds(
        "fork the parent's read comes",
        has_read(&queue.pop(), done, 3),
    );
    let submitted = queue.submit().map_err(|error| error.errno);
    check.equal("fork the parent submits", submitted, Ok(1));
    check.holds(
        "fork the parent's other read",
        has_read(&queue.pop(), staged, 4),
    );
    let cancelled = poll.and_then(|poll| queue.cancel(poll));
    check.equal("fork the parent cancels its poll", cancelled, Ok(()));
    let ended = queue.wait();
    let right = matches!(ended, Ok(Some(done)) if Ok(done.ticket) == poll && done.result == Ok(0));
    check.holds("fork the parent's poll has completed", right);
    check.equal("fork the poll was counted", things.counted(), 1);
}

fn wrong_or_right(wrong: usize) -> usize {
    if wrong == 0 { RIGHT } else { wrong }
}
