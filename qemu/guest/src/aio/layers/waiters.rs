//! Checks of reactors with more tasks than slots, and with more than one eventfd.

use core::future::Future;
use core::pin::{Pin, pin};

use linux_aio::op::Poll;
use linux_aio::opcode::PollMask;
use linux_aio::reactor::{OpFuture, Reactor, ReactorSlot};
use linux_aio::{Errno, IdleContext, WaitOptions};

use super::reactor::{has_read, in_leaked, poll, woken};
use super::{SLOTS, Things, counted, offset, owned};
use crate::aio::owned::{Owned, dropped};
use crate::check::Check;
use crate::os::{self, File, Moment, Pages};

/// The number of tasks that wait for a slot.
const TASKS: usize = 6;

/// The largest number of waits on a reactor, after the first wake, until a slot is
/// passed on.
const TURNS: usize = 4;

#[inline(never)]
pub(super) fn run(check: &mut Check, things: &Things) {
    let mut slots = ReactorSlot::array::<SLOTS>();
    let Some(idle) = check.needs("waiters context", IdleContext::new(SLOTS as u32)) else {
        return;
    };
    let reactor = Reactor::<Owned>::with_context(idle, &mut slots[..1]);
    in_order(check, &reactor, things);
    let Some(idle) = check.needs("waiters into_idle_context", reactor.into_idle_context()) else {
        return;
    };
    let reactor = Reactor::<Owned>::with_context(idle, &mut slots[..1]);
    leaked(check, &reactor, things);
    let Some(idle) = check.needs(
        "waiters into_idle_context again",
        reactor.into_idle_context(),
    ) else {
        return;
    };
    let reactor = Reactor::<Owned>::with_context(idle, &mut slots).eventfd(&things.eventfd);
    two_eventfds(check, &reactor, things);
    dropped();
}

fn read<'a, 'r>(
    reactor: &'a Reactor<'r, Owned>,
    things: &'r Things,
    number: usize,
) -> Result<OpFuture<&'a Reactor<'r, Owned>>, Errno> {
    Ok(reactor.read(&things.file, owned()?, offset(number)))
}

/// Checks one slot with many tasks that queue for it, each polled only when it is
/// woken. They are woken in the order of their arrival, and a later task does not
/// overtake them although the slot is free.
fn in_order<'r>(check: &mut Check, reactor: &Reactor<'r, Owned>, things: &'r Things) {
    woken();
    let late = read(reactor, things, 7);
    let Some(late) = check.needs("waiters buffer of the late one", late) else {
        return;
    };
    let mut late = pin!(late);
    let tasks = pin!([const { None }; TASKS]);
    let mut tasks: Tasks<'_, _> = tasks;
    for number in 0..TASKS {
        let Some(task) = check.needs("waiters buffer", read(reactor, things, number)) else {
            return;
        };
        task_at(tasks.as_mut(), number).set(Some(task));
    }
    let mut first = pin!(reactor.poll(&things.reader, PollMask::IN));
    let mut waiting = poll(first.as_mut(), 1 << TASKS).is_none();
    for number in 0..TASKS {
        waiting &= poll_at(tasks.as_mut(), number).is_none();
    }
    check.holds("waiters all wait", waiting);
    check.equal("waiters one is in flight", reactor.in_flight(), 1);
    check.equal("waiters a byte comes", things.send(), Ok(1));
    check.equal(
        "waiters the first has completed",
        reactor.wait(WaitOptions::new()),
        Ok(1),
    );
    check.equal("waiters only the first is woken", woken(), 1 << TASKS);
    let ended = poll(first.as_mut(), 1 << TASKS);
    check.holds("waiters its slot is free", ended.is_some());
    things.receive();

    let (mut served, mut right, mut overtook) = (0, 0, false);
    for number in 0..TASKS {
        // The task that waited longest is woken, and no other.
        right += u32::from(woken() == 1 << number);
        overtook = overtook || poll(late.as_mut(), 0).is_some();
        let done = poll_at(tasks.as_mut(), number);
        served += u32::from(done.is_some_and(|done| has_read(&done, number)));
    }
    check.equal("waiters are called in order", right, TASKS as u32);
    check.equal("waiters are served when called", served, TASKS as u32);
    check.holds("waiters are not overtaken", !overtook);
    let right = !overtook && poll(late.as_mut(), 0).is_some_and(|done| has_read(&done, 7));
    check.holds("waiters the late one is the last", right);
}

/// Optional futures, pinned as an array.
pub(super) type Tasks<'p, F> = Pin<&'p mut [Option<F>]>;

pub(super) fn task_at<F>(tasks: Tasks<'_, F>, number: usize) -> Pin<&mut Option<F>> {
    // SAFETY: an element of a pinned slice is pinned with it, and the closure moves no
    // element.
    unsafe { tasks.map_unchecked_mut(|tasks| &mut tasks[number]) }
}

/// Polls the task; its wake bit is the bit of its number.
pub(super) fn poll_at<F: Future>(tasks: Tasks<'_, F>, number: usize) -> Option<F::Output> {
    let task = task_at(tasks, number).as_pin_mut()?;
    poll(task, 1 << number)
}

/// Checks a waiting task that is woken after it was leaked: the task behind it still
/// gets the slot.
fn leaked<'r>(check: &mut Check, reactor: &Reactor<'r, Owned>, things: &'r Things) {
    let Some(memory) = check.needs("waiters memory", Pages::new(4096)) else {
        return;
    };
    let tasks = [4, 5].map(|number| read(reactor, things, number));
    let [Ok(lost), Ok(behind)] = tasks else {
        check.holds("waiters buffers", false);
        return;
    };
    let lost = in_leaked(memory, lost);
    let mut behind = pin!(behind);
    {
        let first = pin!(reactor.poll(&things.reader, PollMask::IN));
        let waiting =
            poll(first, 1).is_none() & poll(lost, 2).is_none() & poll(behind.as_mut(), 4).is_none();
        check.holds("waiters wait behind a poll", waiting);
        woken();
    }
    // The poll was dropped, which cancelled it.
    let mut turns = 0;
    let mut called = 0;
    while called & 4 == 0 && turns < 2 * TURNS {
        turns += usize::from(called != 0);
        let _ = reactor.wait(WaitOptions::new());
        called |= woken();
    }
    check.equal("waiters both are called", called, 6);
    check.holds("waiters a slot is passed on soon", turns <= TURNS);
    let done = poll(behind.as_mut(), 4);
    let right = done.is_some_and(|done| has_read(&done, 5));
    check.holds("waiters the read returns the right bytes", right);
}

/// Returns the count of an eventfd as soon as it is not zero, or zero after a second.
pub(super) fn soon(eventfd: &File) -> u64 {
    let end = Moment::now().plus(1000);
    loop {
        let count = counted(eventfd);
        if count > 0 || end.has_expired() {
            return count;
        }
        os::sleep(1);
    }
}

/// Checks an operation with its own eventfd in a reactor that has another.
fn two_eventfds<'r>(check: &mut Check, reactor: &Reactor<'r, Owned>, things: &'r Things) {
    let own = &things.own_eventfd;
    let op = Poll::new(&things.reader, PollMask::IN).eventfd(own);
    let mut both = pin!(reactor.push(op));
    check.holds("eventfds a poll waits", poll(both.as_mut(), 1).is_none());
    woken();
    check.equal(
        "eventfds the reactor's is not signalled",
        things.counted(),
        0,
    );
    check.equal("eventfds its own is not signalled", counted(own), 0);
    check.equal("eventfds a byte comes", things.send(), Ok(1));
    // The kernel may complete a poll a little later, in a kernel thread, and signals
    // the eventfd after the event is in the ring.
    let signalled = soon(&things.eventfd);
    check.equal("eventfds the reactor's is signalled", signalled, 1);
    check.equal("eventfds turn", reactor.turn(), Ok(1));
    check.equal("eventfds its own is signalled", counted(own), 1);
    check.equal("eventfds the future is woken", woken(), 1);
    let done = poll(both.as_mut(), 1);
    let bits = done.map(|done| done.result.map(|bits| bits & 1));
    check.equal("eventfds the poll's result", bits, Some(Ok(1)));
    things.receive();
    check.equal("eventfds the reactor's once", things.counted(), 0);
    check.equal("eventfds its own once", counted(own), 0);
}
