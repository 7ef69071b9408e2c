//! What a forked child inherits, in every state, beside a context of its own
//! that has the same name.
//!
//! The child makes its context first. The ring of its parent's is not in the
//! child's memory, so the kernel puts the new one there as a rule: whatever the
//! inherited owner did to its context would be done to the child's. An event in
//! the child's ring must still be there afterwards, and a poll still be in
//! flight.

use linux_aio::opcode::{self, PollMask};
use linux_aio::{AioContext, Context, Errno, Iocb};

use super::Things;
use crate::aio::next;
use crate::check::Check;
use crate::os;

mod queue;
mod reactor;
mod scope;

/// How a child ends that found everything right, or everything but that its
/// context got another name. Else the number of the first thing that was wrong.
const RIGHT: usize = 60;
const ELSEWHERE: usize = 61;
const NOT_SET_UP: usize = 62;
const NO_FILTER: usize = 63;
/// Its own context is not as it was.
const HARMED: usize = 59;
/// Not a child's: it was killed, or its parent's operations were harmed.
const KILLED: usize = 64;
const PARENT: usize = 65;

/// As many operations as there may be in one state.
const MOST: usize = 5;

/// What there is when the process forks.
#[derive(Clone, Copy)]
struct State {
    /// Operations that have ended, and were not looked at.
    ended: usize,
    /// Whether a poll is in flight.
    waits: bool,
    /// Whether a read is staged.
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

    /// How many the kernel was given.
    fn submitted(self) -> usize {
        self.ended + usize::from(self.waits)
    }
}

/// What was wrong in which state, or in how many states the child's context had
/// the name of its parent's.
type Found = Result<usize, (usize, usize)>;

/// A child's context, with an event in its ring and a poll in flight.
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

    /// Where it is to stay, as the kernel has the polls' addresses.
    fn begin(&mut self) -> bool {
        let [ready, waits] = &mut self.polls;
        // SAFETY: no buffers.
        unsafe { self.context.submit(&mut [ready, waits]) == Ok(2) }
    }

    /// Everything is as it was begun.
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

    /// How a child ends that has found nothing else wrong.
    fn verdict(&mut self) -> usize {
        match (self.is_unharmed(), self.has_same_name) {
            (false, _) => HARMED,
            (true, true) => RIGHT,
            (true, false) => ELSEWHERE,
        }
    }
}

/// What a child does with what it inherits: the number of the first thing that
/// is wrong, or [`RIGHT`].
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

/// From 1 on.
fn first_wrong(all: &[bool]) -> usize {
    all.iter()
        .position(|&right| !right)
        .map_or(RIGHT, |at| at + 1)
}

/// Children that run beside each other, as their contexts' ends take long; and
/// what the earlier ones found.
struct Children {
    /// Of which state, and who.
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
                // Killed.
                _ => self.wrong(state, KILLED),
            }
        }
        self.count = 0;
    }

    /// The first thing that is wrong is kept.
    fn wrong(&mut self, state: usize, what: usize) {
        self.found = self.found.and(Err((state, what)));
    }

    /// Whether the parent's own are as they were.
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
    // Kernels before 4.14 cannot wipe a page for a child.
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
    // The state, and then what was wrong.
    let wrong = found.map_or_else(|(state, wrong)| 0x1_0000 | state << 8 | wrong, |_| 0);
    check.equal(name, wrong, 0);
    match found {
        Ok(0) => check.skip(same_name, "this kernel gives each context another"),
        Ok(_) => check.holds(same_name, true),
        Err(_) => {}
    }
}
