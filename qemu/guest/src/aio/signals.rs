//! Checks that a signal ends io_getevents: with the events so far, or with EINTR. No
//! handler is needed: a process that was stopped and continued has been interrupted
//! too. The kernel restarts io_pgetevents and io_pgetevents_time64 if no handler ran,
//! and so the waits of `Context` and `Ring`.

use core::time::Duration;

use linux_aio::abi::{OldTimespec, Timespec};
use linux_aio::opcode::{Poll, PollMask, Pread};
use linux_aio::sys::getevents::{self, Timeout};
use linux_aio::{AioContext, Context, Errno, Event, WaitOptions, nr as calls, sys};

use super::complete_one;
use crate::check::Check;
use crate::nr;
use crate::os;

/// The exit statuses of a child. Lower ones are the number of events.
const INTERRUPTED: usize = 30;
const LACKING: usize = 31;
const REFUSED: usize = 32;

pub(crate) fn run(check: &mut Check) {
    let Some([reader, writer]) = check.needs("signal pipe", os::pipe(0)) else {
        return;
    };
    let cases: [(_, _, Waits, _); 3] = [
        ("signal and no event", 0, by_io_getevents, INTERRUPTED),
        ("signal and one event of two", 1, by_io_getevents, 1),
        // The kernel does not refuse it, and does not return at once.
        (
            "signal and a negative timeout",
            0,
            by_negative_time,
            INTERRUPTED,
        ),
    ];
    for (name, events, wait, want) in cases {
        let status = interrupted(reader, writer, events, wait);
        if status == Ok(LACKING << 8) {
            check.skip(name, "this kernel or this ABI has no io_getevents");
        } else {
            check.equal(name, status, Ok(want << 8));
        }
    }
    let cases: [(_, Waits); 4] = [
        ("signal does not end Context::wait_with", by_context),
        ("signal does not end Ring::wait_with", by_ring),
        ("signal does not end get_events", by_get_events),
        (
            "signal does not end get_events, 64-bit time",
            by_get_events_time64,
        ),
    ];
    for (name, wait) in cases {
        if cfg!(target_os = "android") {
            check.skip(name, "applications of Android have no io_pgetevents");
        } else if restarts() {
            check.equal(name, interrupted(reader, writer, 0, wait), Ok(0));
        } else {
            check.skip(name, "this kernel or this sandbox has no io_pgetevents");
        }
    }
    // A read that blocks runs inside io_submit, which cannot be restarted.
    let status = interrupted(reader, writer, 0, by_submitted_read);
    check.equal(
        "signal ends a read in io_submit",
        status,
        Ok(INTERRUPTED << 8),
    );
    for end in [reader, writer] {
        let _ = os::close(end);
    }
}

/// Refuses the system calls that the kernel restarts, for this process from now on.
/// Then signals that run no handler end the waits of the library too, as only
/// io_getevents remains. Returns false if nothing has changed, because io_getevents or
/// the filter of system calls is missing.
pub(crate) fn end_waits() -> bool {
    let (none, ctx, no_time) = (core::ptr::null_mut(), AioContext::NONE, core::ptr::null());
    // SAFETY: there is no such context, so nothing is written, and the time is null.
    let old = unsafe { sys::io_getevents(ctx, 0, 0, none, no_time) };
    let restarted = [calls::IO_PGETEVENTS, calls::IO_PGETEVENTS_TIME64];
    old != Err(Errno::NOSYS) && os::refuse(&restarted, Errno::NOSYS).is_ok()
}

/// Returns whether the kernel has the system call that it restarts.
fn restarts() -> bool {
    let (none, ctx) = (core::ptr::null_mut(), AioContext::NONE);
    let (time, time64, mask) = (core::ptr::null(), core::ptr::null(), core::ptr::null());
    // SAFETY: there is no such context, so nothing is written, and all pointers are
    // null.
    let answer = unsafe {
        if calls::IO_PGETEVENTS_TIME64.is_some() {
            sys::io_pgetevents_time64(ctx, 0, 0, none, time64, mask)
        } else {
            sys::io_pgetevents(ctx, 0, 0, none, time, mask)
        }
    };
    answer != Err(Errno::NOSYS) && answer != Err(Errno::PERM)
}

/// Runs a child that waits for two events, and is stopped and continued meanwhile.
fn interrupted(reader: i32, writer: i32, events: usize, waits: Waits) -> os::Result<usize> {
    let child = os::spawn(|| wait(writer, events, waits))?;
    // The child writes a byte just before it waits.
    let ready = os::read(reader, &mut [0]);
    for _ in 0..5 {
        os::sleep(20);
        for signal in [nr::SIGSTOP, nr::SIGCONT] {
            let _ = os::kill(child, signal);
        }
    }
    os::wait(child).and_then(|status| ready.map(|_| status))
}

/// A function that waits for two events.
type Waits = fn(&mut Context, &mut [Event; 2]) -> Result<usize, Errno>;

fn by_io_getevents(context: &mut Context, events: &mut [Event; 2]) -> Result<usize, Errno> {
    let long = OldTimespec { sec: 3, nsec: 0 };
    let into = events.as_mut_ptr();
    // SAFETY: two events may be written, and the time lives.
    unsafe { sys::io_getevents(context.as_raw(), 2, 2, into, &raw const long) }
}

/// Reads from an empty pipe. The operation is accepted, and its event has the error.
fn by_submitted_read(context: &mut Context, _: &mut [Event; 2]) -> Result<usize, Errno> {
    let [reader, _writer] = os::pipe(0)?;
    let mut byte = [0];
    let mut read = Pread::new(reader, byte.as_mut_ptr(), 1).build();
    // SAFETY: the byte lives and is not used before the event.
    unsafe { complete_one(context, &mut read) }
}

fn by_negative_time(context: &mut Context, events: &mut [Event; 2]) -> Result<usize, Errno> {
    let past = OldTimespec { sec: -1, nsec: 0 };
    let into = events.as_mut_ptr();
    // SAFETY: two events may be written, and the time lives.
    unsafe { sys::io_getevents(context.as_raw(), 2, 2, into, &raw const past) }
}

fn by_context(context: &mut Context, events: &mut [Event; 2]) -> Result<usize, Errno> {
    let wait = WaitOptions::new().timeout(SHORT);
    context
        .wait_with(2, events, wait)
        .map(|events| events.len())
}

fn by_ring(context: &mut Context, events: &mut [Event; 2]) -> Result<usize, Errno> {
    let wait = WaitOptions::new().timeout(SHORT);
    let mut ring = context.ring();
    ring.wait_with(2, events, wait).map(|events| events.len())
}

/// The wait of `libaio.so.1`.
fn by_get_events(context: &mut Context, events: &mut [Event; 2]) -> Result<usize, Errno> {
    let time = OldTimespec {
        sec: 0,
        nsec: SHORT.subsec_nanos() as _,
    };
    get_events(context, events, Timeout::Old(&raw const time))
}

/// The same for 32-bit programs with 64-bit time.
fn by_get_events_time64(context: &mut Context, events: &mut [Event; 2]) -> Result<usize, Errno> {
    let time = Timespec {
        sec: 0,
        nsec: SHORT.subsec_nanos().into(),
    };
    get_events(context, events, Timeout::Time64(&raw const time))
}

fn get_events(
    context: &mut Context,
    events: &mut [Event; 2],
    timeout: Timeout,
) -> Result<usize, Errno> {
    let into = events.as_mut_ptr();
    // SAFETY: two events may be written, the time lives, and the context is borrowed.
    unsafe { getevents::get_events(context.as_raw(), 2, 2, into, timeout) }
}

/// A timeout longer than the interval between two stops.
const SHORT: Duration = Duration::from_millis(500);

fn wait(writer: i32, count: usize, waits: Waits) -> usize {
    let Ok(mut context) = Context::new(4) else {
        let _ = os::write(writer, b"!");
        return REFUSED;
    };
    for _ in 0..count {
        let mut poll = Poll::new(writer, PollMask::OUT).build();
        // SAFETY: the operation has no buffer.
        let _ = unsafe { context.submit(&mut [&mut poll]) };
    }
    let _ = os::write(writer, b".");
    let mut events = [Event::EMPTY; 2];
    match waits(&mut context, &mut events) {
        Ok(count) => count,
        Err(Errno::INTR) => INTERRUPTED,
        Err(Errno::NOSYS) => LACKING,
        Err(_) => REFUSED,
    }
}
