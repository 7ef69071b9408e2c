//! Checks sandboxes: filters of system calls (seccomp) that refuse all AIO system calls
//! or some of them, as container runtimes do. Each filter is installed in a child.

use core::time::Duration;

use linux_aio::opcode::{Poll, PollMask};
use linux_aio::{AioContext, Context, Errno, Event, SigSet, WaitOptions, nr, sys};

use super::next;
use crate::check::Check;
use crate::os;

const ALL: &[Option<u32>] = &[
    nr::IO_SETUP,
    nr::IO_DESTROY,
    nr::IO_SUBMIT,
    nr::IO_CANCEL,
    nr::IO_GETEVENTS,
    nr::IO_PGETEVENTS,
    nr::IO_PGETEVENTS_TIME64,
];
const WITH_MASK: &[Option<u32>] = &[nr::IO_PGETEVENTS, nr::IO_PGETEVENTS_TIME64];
const CANCEL: &[Option<u32>] = &[nr::IO_CANCEL];

/// The exit statuses of a child. Lower numbers are the index of the first check that
/// failed.
const RIGHT: usize = 60;
const NO_FILTER: usize = 61;
const NO_OLD_CALL: usize = 62;
const NOT_SET_UP: usize = 63;

/// The checks that a child makes under a filter that returns this error.
type Inside = fn(&mut Context, i32, Errno) -> usize;

pub(crate) fn run(check: &mut Check) {
    let Some([reader, writer]) = check.needs("sandbox pipe", os::pipe(0)) else {
        return;
    };
    let cases: [(_, _, _, Inside); 6] = [
        ("sandbox without AIO", ALL, Errno::NOSYS, nothing),
        ("sandbox that forbids AIO", ALL, Errno::PERM, nothing),
        (
            "sandbox without io_pgetevents",
            WITH_MASK,
            Errno::NOSYS,
            no_mask,
        ),
        (
            "sandbox that forbids io_pgetevents",
            WITH_MASK,
            Errno::PERM,
            no_mask,
        ),
        ("sandbox without io_cancel", CANCEL, Errno::NOSYS, no_cancel),
        (
            "sandbox of Android's applications",
            WITH_MASK,
            Errno::XDEV,
            android,
        ),
    ];
    for (name, calls, answer, inside) in cases {
        let status = os::in_child(|| {
            let Ok(mut context) = Context::new(4) else {
                return NOT_SET_UP;
            };
            // The system call that a wait can fall back on.
            let old = old_call(&context);
            if submit(&context, writer) != Ok(1) {
                return NOT_SET_UP;
            }
            match os::refuse(calls, answer) {
                Ok(_) if !old && calls == WITH_MASK => NO_OLD_CALL,
                Ok(_) => inside(&mut context, writer, answer),
                Err(_) => NO_FILTER,
            }
        });
        if status == Ok(NO_FILTER << 8) {
            check.skip(name, "this kernel has no seccomp filter");
        } else if status == Ok(NO_OLD_CALL << 8) {
            check.skip(name, "this kernel or this ABI has no io_getevents");
        } else {
            check.equal(name, status, Ok(RIGHT << 8));
        }
    }
    for end in [reader, writer] {
        let _ = os::close(end);
    }
}

fn submit(context: &Context, writer: i32) -> Result<usize, Errno> {
    let mut poll = Poll::new(writer, PollMask::OUT).build().user_data(9);
    // SAFETY: the operation has no buffer.
    unsafe { context.submit(&mut [&mut poll]) }
}

/// Returns whether the kernel has io_getevents.
fn old_call(context: &Context) -> bool {
    let (none, no_time) = (core::ptr::null_mut(), core::ptr::null());
    // SAFETY: at most zero events are written, and the time is null.
    let got = unsafe { sys::io_getevents(context.as_raw(), 0, 0, none, no_time) };
    got == Ok(0)
}

/// Returns the index of the first condition that does not hold.
fn first_wrong(all: &[bool]) -> usize {
    all.iter().position(|&right| !right).unwrap_or(RIGHT)
}

/// Checks that every layer returns the error. Events in the ring are still reaped, as
/// the ring is memory.
fn nothing(context: &mut Context, writer: i32, answer: Errno) -> usize {
    let mut events = [Event::EMPTY; 2];
    let iocb = Poll::new(writer, PollMask::OUT).build();
    let short = WaitOptions::new().timeout(Duration::from_millis(1));
    let mask = SigSet::empty();
    let mut name = AioContext::NONE;
    first_wrong(&[
        Context::new(1).map(drop) == Err(answer),
        submit(context, writer) == Err(answer),
        context.wait(1, &mut events).map(drop) == Err(answer),
        context.wait_with(1, &mut events, short).map(drop) == Err(answer),
        context
            .wait_with(1, &mut events, short.sigmask(&mask))
            .map(drop)
            == Err(answer),
        context.cancel(&raw const iocb) == Err(answer),
        context.check() == Err(answer),
        context
            .ring()
            .pop()
            .map(|event| event.map(|event| event.data))
            == Ok(Some(9)),
        context.ring().pop() == Ok(None),
        context.ring().wait(1, &mut events).map(drop) == Err(answer),
        // SAFETY: `name` may be written.
        unsafe { sys::io_setup(1, &raw mut name) } == Err(answer),
        // SAFETY: the filter refuses the call, so the context is not destroyed.
        unsafe { sys::io_destroy(context.as_raw()) } == Err(answer),
    ])
}

/// Checks that waits use io_getevents, except those that need a mask.
fn no_mask(context: &mut Context, writer: i32, answer: Errno) -> usize {
    let mut events = [Event::EMPTY; 2];
    let short = WaitOptions::new().timeout(Duration::from_millis(1));
    let mask = SigSet::empty();
    first_wrong(&[
        next(context).map(|event| event.data) == Ok(9),
        submit(context, writer) == Ok(1),
        next(context).map(|event| event.data) == Ok(9),
        context
            .wait_with(1, &mut events, short)
            .map(|events| events.len())
            == Ok(0),
        context.check() == Ok(()),
        submit(context, writer) == Ok(1),
        context
            .ring()
            .wait(1, &mut events)
            .map(|events| events.len())
            == Ok(1),
        context
            .wait_with(1, &mut events, short.sigmask(&mask))
            .map(drop)
            == Err(answer),
        Context::new(1).and_then(Context::destroy) == Ok(()),
    ])
}

/// Checks a filter as in gVisor, which has all of AIO but cancellation.
fn no_cancel(context: &mut Context, writer: i32, answer: Errno) -> usize {
    let iocb = Poll::new(writer, PollMask::OUT).build();
    first_wrong(&[
        context.cancel(&raw const iocb) == Err(answer),
        next(context).map(|event| event.data) == Ok(9),
        submit(context, writer) == Ok(1),
        next(context).map(|event| event.data) == Ok(9),
    ])
}

/// Checks which system call comes first. That sandbox ends the process for the calls that
/// are refused here, with an error that has no fall-back. So only on Android are they not
/// made.
fn android(context: &mut Context, writer: i32, answer: Errno) -> usize {
    let mut events = [Event::EMPTY; 2];
    let short = WaitOptions::new().timeout(Duration::from_millis(1));
    let on_android = cfg!(target_os = "android");
    first_wrong(&[
        context.wait(1, &mut events).map(|events| events.len())
            == if on_android { Ok(1) } else { Err(answer) },
        context
            .wait_with(1, &mut events, short)
            .map(|events| events.len())
            == if on_android { Ok(0) } else { Err(answer) },
        context.check() == if on_android { Ok(()) } else { Err(answer) },
        !on_android || submit(context, writer) == Ok(1),
        !on_android
            || context
                .ring()
                .wait_with(2, &mut events, short)
                .map(|events| events.len())
                == Ok(1),
        !on_android || linux_aio::Probe::new().is_ok_and(|found| found.supports_wait()),
    ])
}
