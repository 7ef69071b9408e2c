//! Checks of reactors that a forked child inherits.

use core::pin::pin;

use linux_aio::op::{AnyBuffer, Op, Poll, Read};
use linux_aio::opcode::PollMask;
use linux_aio::reactor::{OpFuture, Reactor, ReactorSlot};
use linux_aio::{Errno, IdleContext};

use super::super::waiters::{Tasks, poll_at, task_at};
use super::super::{PIECE, Things, named, offset, owned, piece};
use super::{Children, Found, MOST, NOT_SET_UP, State, beside_own, first_wrong};
use crate::aio::owned::{Owned, dropped};
use crate::os;

/// Runs the checks. Without a `marked` page, a process cannot detect with certainty
/// that it is a copy, and operations in flight stay pending in the child.
pub(super) fn run(things: &Things, marked: bool) -> Found {
    let mut children = Children::new();
    let Ok(mut idle) = IdleContext::new(MOST as u32) else {
        return Err((0, NOT_SET_UP));
    };
    for (number, state) in State::all() {
        let name;
        (idle, name) = named(idle);
        let mut slots = ReactorSlot::array::<MOST>();
        let reactor = Reactor::<Owned>::with_context(idle, &mut slots).batched();
        {
            let mut tasks = pin!([const { None }; MOST]);
            let begun = begin(&reactor, tasks.as_mut(), things, state);
            if begun != Ok(state.submitted() + usize::from(state.staged)) {
                return Err((number, NOT_SET_UP));
            }
            for uses in [true, false] {
                let tasks = tasks.as_mut();
                let child = os::spawn(|| {
                    beside_own(things, name, || {
                        dropped();
                        // SAFETY: the child exits without using its copies of `reactor`
                        // and `tasks` again; the parent's values lie in other memory.
                        unsafe { ends(&reactor, tasks, state, uses.then_some(marked)) }
                    })
                });
                children.add(number, child);
            }
            let right = all_come(&reactor, tasks.as_mut(), state);
            children.parent(number, right);
            things.receive();
        }
        dropped();
        idle = match reactor.into_idle_context() {
            Ok(idle) => idle,
            Err(_) => return Err((number, NOT_SET_UP)),
        };
    }
    children.end()
}

type Futures<'p, 'a, 'r> = Tasks<'p, OpFuture<&'a Reactor<'r, Owned>, AnyBuffer>>;

/// Begins the operations of a state: polls of the pipe, which then receives a byte; a
/// poll of an eventfd that is never signalled; and a staged read. Returns the number of
/// operations begun.
fn begin<'a, 'r>(
    reactor: &'a Reactor<'r, Owned>,
    mut tasks: Futures<'_, 'a, 'r>,
    things: &'r Things,
    state: State,
) -> Result<usize, Errno> {
    for at in 0..state.submitted() {
        let never = at == state.ended;
        let file = if never {
            &things.own_eventfd
        } else {
            &things.reader
        };
        task_at(tasks.as_mut(), at)
            .set(Some(reactor.push(Op::from(Poll::new(file, PollMask::IN)))));
        poll_at(tasks.as_mut(), at);
    }
    reactor.turn()?;
    things.send()?;
    if state.staged {
        let read = Read::new(&things.file, owned()?).offset(offset(4));
        let read = reactor.push(Op::from(read));
        task_at(tasks.as_mut(), MOST - 1).set(Some(read));
        poll_at(tasks.as_mut(), MOST - 1);
    }
    Ok(reactor.in_flight())
}

/// Checks an inherited reactor in a child. If `used` is set, the child turns the
/// reactor, polls all tasks and drops them. Then it drops the reactor. If the process
/// is `marked` as a copy, the operations in flight complete with an error.
///
/// # Safety
/// The caller uses or drops neither the reactor nor a future afterwards.
unsafe fn ends<'r>(
    reactor: &Reactor<'r, Owned>,
    mut tasks: Futures<'_, '_, 'r>,
    state: State,
    used: Option<bool>,
) -> usize {
    let mut right = [true; 3];
    let mut left = u32::from(state.staged);
    if let Some(marked) = used {
        let turned = reactor.turn();
        let staged = poll_at(tasks.as_mut(), MOST - 1).map(|done| done.result);
        let in_flight = marked.then_some(Err(Errno::OUTCOME_UNKNOWN));
        let mut unknown = true;
        for at in 0..state.submitted() {
            let done = poll_at(tasks.as_mut(), at).map(|done| done.result);
            unknown &= done == in_flight;
            task_at(tasks.as_mut(), at).set(None);
        }
        right = [
            match turned {
                Ok(count) => state.submitted() == 0 && count == usize::from(state.staged),
                Err(errno) => state.submitted() > 0 && errno == Errno::INVAL,
            },
            staged == state.staged.then_some(Err(Errno::INVAL)),
            unknown && dropped() == left,
        ];
        left = 0;
    }
    // SAFETY: the caller promises not to use or drop the reactor afterwards, so this
    // copy is the only one that is dropped.
    drop(unsafe { core::ptr::read(reactor) });
    let [turned, staged, unknown] = right;
    first_wrong(&[turned, staged, unknown, dropped() == left])
}

/// Returns whether all operations of the parent complete.
fn all_come(reactor: &Reactor<'_, Owned>, mut tasks: Futures<'_, '_, '_>, state: State) -> bool {
    let come = state.ended + usize::from(state.staged);
    let mut right = reactor.turn() == Ok(come);
    for at in 0..state.submitted() {
        let done = poll_at(tasks.as_mut(), at);
        right &= match done {
            Some(done) => at < state.ended && done.result.is_ok_and(|bits| bits & 1 == 1),
            None => at == state.ended,
        };
    }
    if state.staged {
        let done = poll_at(tasks.as_mut(), MOST - 1);
        right &= done.is_some_and(|done| {
            let content = done.buffer.as_ref().map(Owned::bytes);
            done.result == Ok(PIECE) && content == Some(piece(4))
        });
    }
    right
}
