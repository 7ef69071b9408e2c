//! Checks a system without AIO: every layer returns ENOSYS, and makes the system calls
//! that it documents. Each one is announced to the host's tool first (see
//! [`trace`](super::trace)).

use core::ptr::null;
use core::time::Duration;

use linux_aio::abi::{Iocb, OldTimespec, SigSet, SigsetArg, Timespec};
use linux_aio::opcode::Fsync;
use linux_aio::{AioContext, Context, Errno, Event, WaitOptions, sys};

use super::trace::{
    IO_CANCEL, IO_DESTROY, IO_GETEVENTS, IO_PGETEVENTS, IO_PGETEVENTS_TIME64, IO_SETUP, IO_SUBMIT,
};
use crate::check::Check;

const ABSENT: Errno = Errno::NOSYS;

/// Returns the address that is passed to a system call.
fn address<T>(of: *const T) -> usize {
    of.expose_provenance()
}

pub(crate) fn run(check: &mut Check) {
    calls(check);
    context(check);
}

fn calls(check: &mut Check) {
    let ctx = AioContext(0x5000);
    let mut name = AioContext::NONE;
    IO_SETUP.trace(&[8, address(&raw const name)]);
    // SAFETY: `name` may be written.
    let got = unsafe { sys::io_setup(8, &raw mut name) };
    check.equal("absent io_setup", got, Err(ABSENT));
    check.equal("absent io_setup wrote nothing", name.0, 0);

    IO_DESTROY.trace(&[ctx.0]);
    // SAFETY: there is no AIO, so no context is destroyed.
    let got = unsafe { sys::io_destroy(ctx) };
    check.equal("absent io_destroy", got, Err(ABSENT));

    let mut iocb = Fsync::new(-1).build();
    let mut iocbs = [&raw mut iocb];
    IO_SUBMIT.trace(&[ctx.0, 1, address(&raw const iocbs)]);
    // SAFETY: there is no context, and the operation has no buffer.
    let got = unsafe { sys::io_submit(ctx, 1, iocbs.as_mut_ptr()) };
    check.equal("absent io_submit", got, Err(ABSENT));

    let mut event = Event::EMPTY;
    let (at, result) = (&raw const iocb, &raw mut event);
    IO_CANCEL.trace(&[ctx.0, address(at), address(result)]);
    // SAFETY: `event` may be written.
    let got = unsafe { sys::io_cancel(ctx, at, result) };
    check.equal("absent io_cancel", got, Err(ABSENT));

    let mut events = [Event::EMPTY; 2];
    let into = events.as_mut_ptr();
    let old = OldTimespec { sec: 0, nsec: 1 };
    let old = &raw const old;
    IO_GETEVENTS.trace(&[ctx.0, 1, 2, address(into), address(old)]);
    // SAFETY: two events may be written, and the time is only read.
    let got = unsafe { sys::io_getevents(ctx, 1, 2, into, old) };
    check.equal("absent io_getevents", got, Err(ABSENT));

    let set = SigSet::full();
    let mask = SigsetArg::new(Some(&set));
    let mask = &raw const mask;
    IO_PGETEVENTS.trace(&[ctx.0, 1, 2, address(into), address(old), address(mask)]);
    // SAFETY: two events may be written; the time and the mask live and are only read.
    let got = unsafe { sys::io_pgetevents(ctx, 1, 2, into, old, mask) };
    check.equal("absent io_pgetevents", got, Err(ABSENT));

    let time = Timespec { sec: 0, nsec: 1 };
    let time = &raw const time;
    IO_PGETEVENTS_TIME64.trace(&[ctx.0, 1, 2, address(into), address(time), address(mask)]);
    // SAFETY: two events may be written; the time and the mask live and are only read.
    let got = unsafe { sys::io_pgetevents_time64(ctx, 1, 2, into, time, mask) };
    check.equal("absent io_pgetevents_time64", got, Err(ABSENT));

    IO_GETEVENTS.trace(&[0, 0, 0, 0, 0]);
    // SAFETY: all pointers are null, so no memory is read or written.
    let got =
        unsafe { sys::io_getevents(AioContext::NONE, 0, 0, null::<Event>().cast_mut(), null()) };
    check.equal("absent io_getevents of nothing", got, Err(ABSENT));
    let untouched = events.iter().all(|event| *event == Event::EMPTY);
    check.holds("absent events are untouched", untouched);
    check.holds("absent iocb is untouched", iocb == Fsync::new(-1).build());
}

/// Checks the typed layer. Where it waits, it may try a second system call.
fn context(check: &mut Check) {
    IO_SETUP.trace(&[]);
    let got = Context::new(64).map(drop);
    check.equal("absent Context::new", got, Err(ABSENT));

    // A context that never existed: it has no ring, and nothing to destroy.
    // SAFETY: no other code waits on the context or destroys it.
    let mut context = unsafe { Context::from_raw(AioContext::NONE) };
    let mut iocb: Iocb = Fsync::new(-1).build();

    IO_SUBMIT.trace(&[]);
    // SAFETY: the operation has no buffer.
    let got = unsafe { context.submit(&mut [&mut iocb]) };
    check.equal("absent Context::submit", got, Err(ABSENT));
    IO_SUBMIT.trace(&[]);
    // SAFETY: the operation has no buffer.
    let got = unsafe { context.submit_all(&mut [&mut iocb]) };
    let got = got.map_err(|error| error.errno);
    check.equal("absent Context::submit_all", got, Err(ABSENT));
    IO_CANCEL.trace(&[]);
    let got = context.cancel(&raw const iocb);
    check.equal("absent Context::cancel", got, Err(ABSENT));

    let mut events = [Event::EMPTY; 2];
    trace_wait();
    let got = context.wait(1, &mut events).map(|events| events.len());
    check.equal("absent Context::wait", got, Err(ABSENT));
    trace_wait();
    let soon = WaitOptions::new().timeout(Duration::from_millis(1));
    let got = context.wait_with(1, &mut events, soon);
    let got = got.map(|events| events.len());
    check.equal("absent Context::wait_with a time", got, Err(ABSENT));

    IO_PGETEVENTS_TIME64.trace(&[]);
    IO_PGETEVENTS.trace(&[]);
    let mask = SigSet::full();
    let got = context.wait_with(1, &mut events, soon.sigmask(&mask));
    let got = got.map(|events| events.len());
    check.equal("absent Context::wait_with a mask", got, Err(ABSENT));

    trace_wait();
    check.equal("absent Context::check", context.check(), Err(ABSENT));

    let mut ring = context.ring();
    check.holds("absent ring is not mapped", !ring.is_mapped());
    trace_wait();
    let got = ring.pop().map(|event| event.is_some());
    check.equal("absent Ring::pop", got, Err(ABSENT));
    trace_wait();
    let got = ring.reap(&mut events).map(|events| events.len());
    check.equal("absent Ring::reap", got, Err(ABSENT));
    trace_wait();
    let got = ring.wait(1, &mut events).map(|events| events.len());
    check.equal("absent Ring::wait", got, Err(ABSENT));

    IO_DESTROY.trace(&[]);
    check.equal("absent Context::destroy", context.destroy(), Err(ABSENT));
}

/// Announces the system calls of a wait or a poll without a mask: first those that are
/// restarted after signals, then, as they are absent, the old one. Applications of Android
/// may make the old one alone.
fn trace_wait() {
    if !cfg!(target_os = "android") {
        IO_PGETEVENTS_TIME64.trace(&[]);
        IO_PGETEVENTS.trace(&[]);
    }
    IO_GETEVENTS.trace(&[]);
}
