//! Checks of scopes in which a child is forked.

use linux_aio::opcode::PollMask;
use linux_aio::rt::exit;
use linux_aio::{AioContext, Errno, IdleContext, ScopeSlot, scope_with_context};

use super::super::{PIECE, Things, full, named, offset, piece};
use super::{Children, Found, MOST, NOT_SET_UP, Own, RIGHT, State, first_wrong};
use crate::os;

/// Runs the checks. Without a `marked` page, a process cannot detect with certainty
/// that it is a copy: leaving a scope with operations in flight would then abort the
/// process, so those states are skipped.
pub(super) fn run(things: &Things, marked: bool) -> Found {
    let mut children = Children::new();
    let Ok(mut idle) = IdleContext::new(MOST as u32) else {
        return Err((0, NOT_SET_UP));
    };
    let states = State::all().filter(|(_, state)| marked || state.submitted() == 0);
    for (number, state) in states {
        for waits in [false, true] {
            let name;
            (idle, name) = named(idle);
            let (child, right) = scoped(things, state, waits, &mut idle, name);
            children.add(number, child);
            children.parent(number, right);
        }
    }
    children.end()
}

/// Forks a child inside a scope. The child leaves the scope immediately, or after it
/// has waited for every operation if `waits` is set.
fn scoped(
    things: &Things,
    state: State,
    waits: bool,
    idle: &mut IdleContext,
    name: AioContext,
) -> (os::Result<usize>, bool) {
    let mut slots = ScopeSlot::array::<MOST>();
    let mut bytes = [[0; PIECE]; MOST];
    let mut own = None;
    let [ended @ .., late, last] = &mut bytes;
    let left = scope_with_context(idle, &mut slots, |s| {
        let mut reads = [const { None }; 3];
        let places = ended.iter_mut().zip(&mut reads).take(state.ended);
        for (number, (bytes, read)) in places.enumerate() {
            *read = Some(s.read(&things.file, bytes, offset(number)).map_err(full)?);
        }
        let mut poll = None;
        if state.waits {
            poll = Some(s.poll(&things.own_eventfd, PollMask::IN).map_err(full)?);
        }
        s.submit();
        let mut staged = None;
        if state.staged {
            staged = Some(s.read(&things.file, last, offset(4)).map_err(full)?);
        }
        let child = os::branch()?;
        if child.is_some() {
            return Ok((child, 0));
        }
        let Ok(mine) = Own::new(things, name) else {
            return Ok((None, NOT_SET_UP));
        };
        if !own.insert(mine).begin() {
            return Ok((None, NOT_SET_UP));
        }
        if !waits {
            return Ok((None, RIGHT));
        }
        let unknown = Err(Errno::OUTCOME_UNKNOWN);
        let mut reads = reads.into_iter().flatten();
        let right = [
            reads.all(|read| read.wait().result == unknown),
            poll.is_none_or(|poll| poll.wait().result == unknown),
            staged.is_none_or(|read| read.wait().result == Err(Errno::INVAL)),
            s.in_flight() == 0,
            // A read that the child begins.
            s.read(&things.file, late, 0)
                .is_ok_and(|read| read.wait().result == Err(Errno::INVAL)),
        ];
        Ok((None, first_wrong(&right)))
    });
    match left {
        Ok((Some(child), _)) => {
            let pieces = bytes.iter().enumerate();
            let right = pieces.take(state.ended).all(|(at, it)| it == piece(at));
            let right = right && (!state.staged || bytes[MOST - 1] == *piece(4));
            (Ok(child), right)
        }
        // This is the child, after it has left the scope.
        Ok((None, RIGHT)) => exit(own.as_mut().map_or(NOT_SET_UP, Own::verdict) as i32),
        Ok((None, wrong)) => exit(wrong as i32),
        Err(errno) => (Err(errno), true),
    }
}
