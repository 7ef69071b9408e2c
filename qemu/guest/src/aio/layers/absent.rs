//! Checks of the safe layers where AIO system calls fail with ENOSYS: the layers report
//! the error and return the buffers passed to them. Each expected system call is
//! announced first, as in [`absent`](super::super::absent).

use core::pin::pin;
use core::task::{Context as Task, Poll as Polled, Waker};

use linux_aio::op::{Op, Poll, Read};
use linux_aio::opcode::PollMask;
use linux_aio::reactor::{Reactor, ReactorSlot};
use linux_aio::{
    AioContext, Context, ContextPool, Errno, IdleContext, Queue, ScopeSlot, Slot, scope,
    scope_with_context,
};

use super::super::trace::{IO_SETUP, IO_SUBMIT};
use super::{SLOTS, full, owned};
use crate::aio::owned::{Owned, dropped};
use crate::check::Check;
use crate::os::NO_FILE;

const ABSENT: Errno = Errno::NOSYS;

pub(crate) fn run(check: &mut Check) {
    new(check);
    dropped();
    queue(check);
    borrowed(check);
    future(check);
}

/// Checks that no owner can be created.
fn new(check: &mut Check) {
    IO_SETUP.trace(&[]);
    let got = IdleContext::new(8).map(drop);
    check.equal("absent IdleContext::new", got, Err(ABSENT));
    IO_SETUP.trace(&[]);
    let got = ContextPool::<2>::new().take(8).map(drop);
    check.equal("absent ContextPool::take", got, Err(ABSENT));
    IO_SETUP.trace(&[]);
    let got = Queue::<Owned>::new(&mut Slot::array::<SLOTS>()).map(drop);
    check.equal("absent Queue::new", got, Err(ABSENT));
    IO_SETUP.trace(&[]);
    let got = Reactor::<Owned>::new(&mut ReactorSlot::array::<SLOTS>()).map(drop);
    check.equal("absent Reactor::new", got, Err(ABSENT));
    IO_SETUP.trace(&[]);
    let mut called = false;
    let got = scope(&mut ScopeSlot::array::<SLOTS>(), |_| called = true);
    check.equal("absent scope", got, Err(ABSENT));
    check.holds("absent scope does not call its closure", !called);
}

/// Returns a context that does not exist, without io_setup. System calls on it fail as
/// io_setup would, and there is nothing to destroy.
fn never() -> IdleContext {
    // SAFETY: the context does not exist, so nothing is in flight on it, and no other
    // code waits on it or destroys it.
    unsafe { IdleContext::from_context(Context::from_raw(AioContext::NONE), SLOTS as u32) }
}

fn read() -> Result<Op<'static, Owned>, Errno> {
    Ok(Read::new(NO_FILE, owned()?).into())
}

fn queue(check: &mut Check) {
    let mut slots = Slot::array::<SLOTS>();
    let mut queue = Queue::with_context(never(), &mut slots);
    let first = read().and_then(|read| queue.push(read).map_err(full));
    let second = queue.push(Poll::new(NO_FILE, PollMask::IN)).map_err(full);
    IO_SUBMIT.trace(&[]);
    let submitted = queue
        .submit()
        .map_err(|error| (error.submitted, error.errno));
    let right = submitted == Err((0, ABSENT));
    check.holds("absent Queue::submit", right);
    check.equal("absent Queue keeps both", queue.staged(), 2);
    let cancelled = second.and_then(|ticket| queue.cancel(ticket));
    check.equal(
        "absent Queue::cancel of a staged operation",
        cancelled,
        Ok(()),
    );
    let done = queue.pop();
    let right = matches!(done, Ok(Some(done)) if done.result == Err(Errno::CANCELED));
    check.holds("absent Queue::pop", right);
    check.equal("absent Queue has dropped nothing", dropped(), 0);
    let back = queue.unstage();
    let right = matches!(&back, Some((ticket, Some(_), ())) if Ok(*ticket) == first);
    check.holds("absent Queue::unstage", right);
    drop(back);
    check.equal("absent Queue gives the buffer back", dropped(), 1);

    let pushed = read().and_then(|read| queue.push(read).map_err(full));
    check.holds("absent Queue::push", pushed.is_ok());
    IO_SUBMIT.trace(&[]);
    let refused = queue.wait();
    let right = matches!(&refused, Ok(Some(done)) if done.result == Err(ABSENT));
    check.holds("absent Queue::wait", right);
    drop(refused);
    check.equal("absent Queue::wait gives the buffer back", dropped(), 1);
    check.holds(
        "absent Queue::wait for none",
        matches!(queue.wait(), Ok(None)),
    );

    let pushed = read().and_then(|read| queue.push(read).map_err(full));
    check.holds("absent Queue::push again", pushed.is_ok());
    IO_SUBMIT.trace(&[]);
    check.equal("absent Queue::drain", queue.drain(), Ok(()));
    check.equal("absent Queue::drain leaves none staged", queue.staged(), 0);
    let refused = queue.pop();
    let right = matches!(&refused, Ok(Some(done)) if done.result == Err(ABSENT));
    check.holds("absent Queue::drain gives the refusal", right);
    check.equal("absent Queue has dropped nothing else", dropped(), 0);
    drop((refused, queue));
    check.equal("absent Queue drops the buffer", dropped(), 1);
}

fn borrowed(check: &mut Check) {
    let mut bytes = [0x55; 4];
    IO_SUBMIT.trace(&[]);
    let got = scope_with_context(&mut never(), &mut ScopeSlot::array::<SLOTS>(), |s| {
        let read = s.read(NO_FILE, &mut bytes, 0).map_err(full)?;
        let done = read.wait();
        done.result.map(|_| 0).or_else(|errno| match errno {
            ABSENT => Ok(done.buffer.len()),
            _ => Err(errno),
        })
    });
    check.equal("absent scope's read gives the buffer back", got, Ok(4));
    check.holds("absent scope's buffer is untouched", bytes == [0x55; 4]);
}

fn future(check: &mut Check) {
    let mut slots = ReactorSlot::array::<SLOTS>();
    let reactor = Reactor::<Owned>::with_context(never(), &mut slots);
    let Some(op) = check.needs("absent buffer", read()) else {
        return;
    };
    IO_SUBMIT.trace(&[]);
    let done = {
        let running = pin!(reactor.push(op));
        match running.poll(&mut Task::from_waker(Waker::noop())) {
            Polled::Ready(done) => Some(done),
            Polled::Pending => None,
        }
    };
    let right = done.is_some_and(|done| done.result == Err(ABSENT) && done.buffer.is_some());
    check.holds("absent Reactor's read gives the buffer back", right);
    check.equal("absent Reactor drops the buffer", dropped(), 1);
    check.equal("absent Reactor::turn", reactor.turn(), Ok(0));
    drop(reactor);
}
