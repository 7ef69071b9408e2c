//! Checks of a forked child that inherits a queue, scope or reactor in every state, and
//! has its own context with the same identifier.
//!
//! The child creates its context first. The parent's ring is not mapped in the child,
//! so the kernel usually places the new ring at the same address. A system call that
//! the inherited owner made on its context would then reach the child's context.
//!
//! Invariant: after the child has used or dropped the inherited owner, the event in the
//! ring of its own context is still there, and its poll is still in flight.

use linux_aio::opcode::{self, PollMask};
use linux_aio::{AioContext, Context, Errno, Iocb};

use super::Things;
use crate::aio::next;
use crate::check::Check;
use crate::os;

mod queue;
mod reactor;
mod scope;

/// The exit status of a child in which every check passed; [`ELSEWHERE`] if only its
/// context got another identifier. Otherwise the status is the number of the first
/// check that failed.
const RIGHT: usize = 60;
const ELSEWHERE: usize = 61;
const NOT_SET_UP: usize = 62;
const NO_FILTER: usize = 63;
/// The child's own context was changed.
const HARMED: usize = 59;
/// Not an exit status: the child was killed, or the parent's operations were harmed.
const KILLED: usize = 64;
const PARENT: usize = 65;

/// The largest number of operations in one state.
const MOST: usize = 5;

/// The operations of an owner at the time of the fork.
#[derive(Clone, Copy)]
struct State {
    /// The number of operations that have completed but were not taken.
    ended: usize,
    /// A poll is in flight.
    waits: bool,
    /// A read is staged.
    staged: bool,
}

impl State {
    fn all() -> impl Iterator<Item = (usize, State)> {
        (0..16).map(|number| {
            let state = State {
                ended: number & 3,
                waits: number & 4 != 0,
                staged: number & 8 != 0,
            };
            (number, state)
        })
    }

    /// Returns the number of submitted operations.
    fn submitted(self) -> usize {
        self.ended + usize::from(self.waits)
    }
}

/// The number of states in which the child's context had the identifier of the
/// parent's, or the first failing state with the number of its failed check.
type Found = Result<usize, (usize, usize)>;

/// A child's own context, with an event in its ring and a poll in flight.
struct Own {
    context: Context,
    polls: [Iocb; 2],
    has_same_name: bool,
}

impl Own {
    fn new(things: &Things, inherited: AioContext) -> Result<Own, Errno> {
        let context = Context::new(MOST as u32)?;
        let ready = opcode::Poll::new(&things.writer, PollMask::OUT);
        let waits = opcode::Poll::new(&things.own_eventfd, PollMask::IN);
        Ok(Own {
            has_same_name: context.as_raw() == inherited,
            context,
            polls: [ready.build().user_data(7), waits.build().user_data(8)],
        })
    }

    /// Submits the polls. The value must not be moved afterwards, because the kernel
    /// has the addresses of the polls.
    fn begin(&mut self) -> bool {
        let [ready, waits] = &mut self.polls;
        // SAFETY: polls have no buffers.
        unsafe { self.context.submit(&mut [ready, waits]) == Ok(2) }
    }

    /// Returns whether the event and the poll of [`begin`](Own::begin) are still there.
    fn is_unharmed(&mut self) -> bool {
        let event = self.context.ring().pop();
        let event = event.map(|event| event.map(|event| event.data));
        let none = self.context.ring().pop() == Ok(None);
        let cancelled = self.context.cancel(&raw const self.polls[1]);
        event == Ok(Some(7))
            && none
            && cancelled == Ok(())
            && next(&self.context).is_ok_and(|event| event.data == 8 && event.res == 0)
            && self.context.check() == Ok(())
    }

    /// Returns the exit status of a child that found nothing else wrong.
    fn verdict(&mut self) -> usize {
        match (self.is_unharmed(), self.has_same_name) {
            (false, _) => HARMED,
            (true, true) => RIGHT,
            (true, false) => ELSEWHERE,
        }
    }
}

/// Runs `act` in a child beside its own context. Returns the number of the first check
/// that failed, or [`RIGHT`].
fn beside_own(things: &Things, name: AioContext, act: impl FnOnce() -> usize) -> usize {
    let Ok(mut own) = Own::new(things, name) else {
        return NOT_SET_UP;
    };
    if !own.begin() {
        return NOT_SET_UP;
    }
    match act() {
        RIGHT => own.verdict(),
        wrong => wrong,
    }
}

/// Returns the number, from 1 on, of the first check that failed, or [`RIGHT`].
fn first_wrong(all: &[bool]) -> usize {
    all.iter()
        .position(|&right| !right)
        .map_or(RIGHT, |at| at + 1)
}

/// Children that run concurrently, because destroying their contexts takes long, and
/// the result of the earlier ones.
struct Children {
    /// The number of the state and the process ID of each child.
    running: [(usize, usize); 8],
    count: usize,
    found: Found,
}

impl Children {
    fn new() -> Children {
        Children {
            running: [(0, 0); 8],
            count: 0,
            found: Ok(0),
        }
    }

    fn add(&mut self, state: usize, child: os::Result<usize>) {
        match (child, self.running.get_mut(self.count)) {
            (Ok(child), Some(place)) => {
                *place = (state, child);
                self.count += 1;
            }
            _ => self.wrong(state, NOT_SET_UP),
        }
        if self.count == self.running.len() {
            self.wait();
        }
    }

    fn wait(&mut self) {
        for (state, child) in self.running.into_iter().take(self.count) {
            match os::wait(child) {
                Ok(status) if status == RIGHT << 8 => self.found = self.found.map(|same| same + 1),
                Ok(status) if status == ELSEWHERE << 8 => {}
                Ok(status) if status & 0xff == 0 => self.wrong(state, status >> 8),
                // A signal killed the child.
                _ => self.wrong(state, KILLED),
            }
        }
        self.count = 0;
    }

    /// Records a failure, unless an earlier one is recorded.
    fn wrong(&mut self, state: usize, what: usize) {
        self.found = self.found.and(Err((state, what)));
    }

    /// Records a failure if the parent's operations were harmed.
    fn parent(&mut self, state: usize, right: bool) {
        if !right {
            self.wrong(state, PARENT);
        }
    }

    fn end(mut self) -> Found {
        self.wait();
        self.found
    }
}

#[inline(never)]
pub(super) fn run(check: &mut Check, things: &Things) {
    let found = queue::run(things);
    report(check, "inherited queues", "inherited queues' name", found);
    let found = scope::run(things, true);
    report(check, "inherited scopes", "inherited scopes' name", found);
    let found = reactor::run(things, true);
    report(
        check,
        "inherited reactors",
        "inherited reactors' name",
        found,
    );
    // Kernels before 4.14 cannot wipe a page in a child (MADV_WIPEONFORK).
    let name = "inherited by process id";
    let status = os::in_child(|| {
        if os::refuse_advice(os::WIPE_ON_FORK, Errno::INVAL).is_err() {
            return NO_FILTER;
        }
        let all = [
            queue::run(things),
            scope::run(things, false),
            reactor::run(things, false),
        ];
        first_wrong(&all.map(|found| found.is_ok()))
    });
    if status == Ok(NO_FILTER << 8) {
        check.skip(name, "this kernel has no seccomp filter");
    } else {
        check.equal(name, status, Ok(RIGHT << 8));
    }
}

fn report(check: &mut Check, name: &str, same_name: &str, found: Found) {
    // The number of the state, and then that of the failed check.
    let wrong = found.map_or_else(|(state, wrong)| 0x1_0000 | state << 8 | wrong, |_| 0);
    check.equal(name, wrong, 0);
    match found {
        Ok(0) => check.skip(same_name, "this kernel gives each context another"),
        Ok(_) => check.holds(same_name, true),
        Err(_) => {}
    }
}
