//! Checks of reactors: the same operations as futures, on a minimal executor.

use core::future::Future;
use core::pin::{Pin, pin};
use core::task::{Context as Task, Poll, RawWaker, RawWakerVTable, Waker};

use linux_aio::opcode::PollMask;
use linux_aio::reactor::{Reactor, ReactorSlot};
use linux_aio::{Completion, Errno, IdleContext, WaitOptions};

use super::{PIECE, SLOTS, Things, named, offset, owned, piece};
use crate::aio::contexts::known;
use crate::aio::owned::{Owned, dropped};
use crate::aio::tally::Tally;
use crate::check::Check;
use crate::os::{NO_FILE, Pages};

type Slots = [ReactorSlot<Owned>; SLOTS];

#[inline(never)]
pub(super) fn run(check: &mut Check, things: &Things) {
    let mut slots = ReactorSlot::array::<SLOTS>();
    let Some(idle) = check.needs("reactor context", IdleContext::new(SLOTS as u32)) else {
        return;
    };
    dropped();
    let reactor = Reactor::<Owned>::with_context(idle, &mut slots).eventfd(&things.eventfd);
    two(check, &reactor, things);
    refused(check, &reactor);
    let Some(idle) = check.needs("reactor into_idle_context", reactor.into_idle_context()) else {
        return;
    };
    let reactor = Reactor::<Owned>::with_context(idle, &mut slots[..1]).eventfd(&things.eventfd);
    one_slot(check, &reactor, things);
    let Some(idle) = check.needs(
        "reactor into_idle_context again",
        reactor.into_idle_context(),
    ) else {
        return;
    };
    let (idle, name) = named(idle);
    end(check, idle, things, &mut slots);
    let gone = known(name);
    check.equal(
        "reactor drop destroyed the context",
        gone,
        Err(Errno::INVAL),
    );
}

/// The tasks that were woken, one bit each.
static WOKEN: Tally = Tally::new();

/// Creates a waker whose data is the bit of a task.
fn waker(bit: usize) -> Waker {
    const TABLE: RawWakerVTable =
        RawWakerVTable::new(|data| RawWaker::new(data, &TABLE), wake, wake, |_| {});
    fn wake(data: *const ()) {
        WOKEN.mark(data.addr() as u32);
    }
    // SAFETY: the data is a number, and all four functions of the table treat it as a
    // number and never as a pointer.
    unsafe { Waker::new(core::ptr::without_provenance(bit), &TABLE) }
}

/// Returns the bits of the tasks woken since the last call.
pub(super) fn woken() -> u32 {
    WOKEN.take()
}

pub(super) fn poll<F: Future>(future: Pin<&mut F>, bit: usize) -> Option<F::Output> {
    match future.poll(&mut Task::from_waker(&waker(bit))) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// Runs two futures until both have completed, polling each only when it was woken.
/// Calls `idle` when neither can make progress.
pub(super) fn block_on<A: Future, B: Future>(
    reactor: &Reactor<'_, Owned>,
    first: A,
    second: B,
    idle: impl Fn(),
) -> Result<(A::Output, B::Output), Errno> {
    let (mut first, mut second) = (pin!(first), pin!(second));
    let (mut a, mut b) = (None, None);
    WOKEN.mark(3);
    loop {
        let woken = woken();
        if woken & 1 != 0 && a.is_none() {
            a = poll(first.as_mut(), 1);
        }
        if woken & 2 != 0 && b.is_none() {
            b = poll(second.as_mut(), 2);
        }
        (a, b) = match (a, b) {
            (Some(a), Some(b)) => return Ok((a, b)),
            not_yet => not_yet,
        };
        idle();
        // No operation is in flight and no task is woken, so no task will ever be
        // woken.
        if reactor.wait(WaitOptions::new())? == 0 {
            return Err(Errno::DEADLK);
        }
    }
}

/// Checks a task that polls a pipe and then reads a piece of the file, beside a task
/// that reads another piece.
fn two<'r>(check: &mut Check, reactor: &Reactor<'r, Owned>, things: &'r Things) {
    let polls = async {
        let found = reactor.poll(&things.reader, PollMask::IN).await.result?;
        let read = reactor.read(&things.file, owned()?, offset(1)).await;
        Ok::<_, Errno>((found & 1, has_read(&read, 1)))
    };
    let reads = async {
        let read = reactor.read(&things.file, owned()?, offset(2)).await;
        Ok::<_, Errno>(has_read(&read, 2))
    };
    let came = block_on(reactor, polls, reads, || {
        let _ = things.send();
    });
    let (first, second) = match came {
        Ok((first, second)) => (first, second),
        Err(errno) => (Err(errno), Err(errno)),
    };
    check.holds("reactor a poll and then a read", first == Ok((1, true)));
    check.equal("reactor a read beside it", second, Ok(true));
    check.equal("reactor gave the buffers back", dropped(), 2);
    check.equal("reactor has nothing in flight", reactor.in_flight(), 0);
    check.equal("reactor eventfd counted", things.counted(), 3);
    things.receive();
}

pub(super) fn has_read(done: &Completion<Owned>, number: usize) -> bool {
    done.result == Ok(PIECE) && done.buffer.bytes() == piece(number)
}

pub(super) fn refused(check: &mut Check, reactor: &Reactor<'_, Owned>) {
    let Some(buffer) = check.needs("reactor buffer", owned()) else {
        return;
    };
    let done = poll(pin!(reactor.read(NO_FILE, buffer, 0)), 4);
    let right = done.is_some_and(|done| done.result == Err(Errno::BADF));
    check.holds("reactor refusal is the result", right);
    check.equal("reactor refusal gives the buffer back", dropped(), 1);
}

/// Checks a reactor with one slot: the second future waits for the slot and is woken
/// when the first, a poll, is dropped and thereby cancelled.
fn one_slot<'r>(check: &mut Check, reactor: &Reactor<'r, Owned>, things: &'r Things) {
    let Some(buffer) = check.needs("reactor buffer for one slot", owned()) else {
        return;
    };
    let mut second = pin!(reactor.read(&things.file, buffer, offset(3)));
    {
        let first = pin!(reactor.poll(&things.reader, PollMask::IN));
        check.holds("reactor a poll waits", poll(first, 8).is_none());
        let waits = poll(second.as_mut(), 16).is_none();
        check.holds("reactor no slot is free", waits);
        check.equal("reactor one is in flight", reactor.in_flight(), 1);
        woken();
    }
    let ended = reactor.wait(WaitOptions::new());
    check.equal("reactor a dropped poll is cancelled", ended, Ok(1));
    check.equal("reactor the next is called", woken(), 16);
    let done = poll(second.as_mut(), 16);
    let right = done.is_some_and(|done| has_read(&done, 3));
    check.holds("reactor the next has its slot", right);
    check.equal("reactor counted these, too", things.counted(), 2);
    dropped();
}

/// Checks that dropping a reactor with a poll in flight completes the poll. The future
/// is leaked, because dropping it would cancel the poll.
fn end(check: &mut Check, idle: IdleContext, things: &Things, slots: &mut Slots) {
    let Some(memory) = check.needs("reactor memory", Pages::new(4096)) else {
        return;
    };
    let reactor = Reactor::<Owned>::with_context(idle, slots).eventfd(&things.eventfd);
    let never = in_leaked(memory, reactor.poll(&things.reader, PollMask::IN));
    check.holds("reactor the last poll waits", poll(never, 32).is_none());
    check.equal("reactor is not signalled", things.counted(), 0);
    drop(reactor);
    check.equal("reactor drop completed the poll", things.counted(), 1);
}

/// Moves a future into memory that is never freed.
pub(super) fn in_leaked<'f, F: Future + 'f>(memory: Pages, future: F) -> Pin<&'f mut F> {
    let place = memory.leak().as_mut_ptr().cast::<F>();
    const { assert!(size_of::<F>() <= 4096) };
    // SAFETY: the memory is large enough, aligned to a page and leaked, so nothing else
    // uses it. The future in it is never moved and its memory never freed, so it may be
    // pinned.
    unsafe {
        place.write(future);
        Pin::new_unchecked(&mut *place)
    }
}
