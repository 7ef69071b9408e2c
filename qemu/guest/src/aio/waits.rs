//! Checks io_getevents and io_pgetevents, with and without 64-bit time: counts,
//! timeouts and errors. A system call that this kernel or this ABI lacks is left out.

use core::ptr::{null, without_provenance, without_provenance_mut};
use core::time::Duration;

use linux_aio::abi::{OldTimespec, SigsetArg, Timespec};
use linux_aio::opcode::{Poll, PollMask};
use linux_aio::{AioContext, Context, Errno, Event, SigSet, WaitOptions, nr, sys};

use crate::check::Check;
use crate::os::{self, Moment, NOWHERE};

type Answer = Result<usize, Errno>;

/// One of the three system calls. Its arguments are the context, the minimum and
/// maximum number of events, their destination, and a timeout (zero, one millisecond,
/// or at an unmapped address). The mask is null.
struct Call {
    missing: bool,
    names: [&'static str; 10],
    call: fn(AioContext, isize, isize, *mut Event, Time) -> Answer,
}

#[derive(Clone, Copy)]
enum Time {
    Zero,
    Short,
    Nowhere,
}

impl Time {
    fn nanoseconds(self) -> i64 {
        match self {
            Time::Short => 1_000_000,
            _ => 0,
        }
    }

    /// Returns the address of the time, or an unmapped address.
    fn at<T>(self, time: &T) -> *const T {
        match self {
            Time::Nowhere => without_provenance(NOWHERE),
            _ => time,
        }
    }
}

macro_rules! names {
    ($call:literal) => {
        [
            concat!("aio ", $call, " of nothing"),
            concat!("aio ", $call, " until a time"),
            concat!("aio ", $call, " is not early"),
            concat!("aio ", $call, " takes two"),
            concat!("aio ", $call, " takes the third"),
            concat!("aio ", $call, " minimum above maximum"),
            concat!("aio ", $call, " negative minimum"),
            concat!("aio ", $call, " to nowhere"),
            concat!("aio ", $call, " time nowhere"),
            concat!("aio ", $call, " of no context"),
        ]
    };
}

const CALLS: [Call; 3] = [
    Call {
        missing: nr::IO_GETEVENTS.is_none(),
        names: names!("io_getevents"),
        call: |ctx, min, most, events, time| {
            let spec = OldTimespec {
                sec: 0,
                nsec: time.nanoseconds() as _,
            };
            // SAFETY: `most` events may be written, or nothing is mapped at `events`.
            unsafe { sys::io_getevents(ctx, min, most, events, time.at(&spec)) }
        },
    },
    Call {
        missing: nr::IO_PGETEVENTS.is_none(),
        names: names!("io_pgetevents"),
        call: |ctx, min, most, events, time| {
            let spec = OldTimespec {
                sec: 0,
                nsec: time.nanoseconds() as _,
            };
            // SAFETY: `most` events may be written, or nothing is mapped at `events`;
            // there is no mask.
            unsafe { sys::io_pgetevents(ctx, min, most, events, time.at(&spec), null()) }
        },
    },
    Call {
        missing: nr::IO_PGETEVENTS_TIME64.is_none(),
        names: names!("io_pgetevents_time64"),
        call: |ctx, min, most, events, time| {
            let spec = Timespec {
                sec: 0,
                nsec: time.nanoseconds(),
            };
            // SAFETY: `most` events may be written, or nothing is mapped at `events`;
            // there is no mask.
            unsafe { sys::io_pgetevents_time64(ctx, min, most, events, time.at(&spec), null()) }
        },
    },
];

pub(crate) fn run(check: &mut Check, context: &Context) {
    let Some([reader, writer]) = check.needs("aio pipe for waits", os::pipe(0)) else {
        return;
    };
    for call in CALLS {
        if !call.missing {
            one(check, context, writer, &call);
        }
    }
    typed(check, context, writer);
    masks(check, context);
    for end in [reader, writer] {
        let _ = os::close(end);
    }
}

/// Produces `count` events at once.
fn fill(context: &Context, writer: i32, count: usize) -> Answer {
    for _ in 0..count {
        let mut poll = Poll::new(writer, PollMask::OUT).build();
        // SAFETY: the operation has no buffer.
        unsafe { context.submit(&mut [&mut poll]) }?;
    }
    Ok(count)
}

fn one(check: &mut Check, context: &Context, writer: i32, wait: &Call) {
    let ctx = context.as_raw();
    let call = wait.call;
    let [
        nothing,
        until,
        not_early,
        two,
        third,
        over,
        negative,
        nowhere,
        time,
        invalid,
    ] = wait.names;
    let mut events = [Event::EMPTY; 4];
    let into = events.as_mut_ptr();
    match call(ctx, 0, 4, into, Time::Zero) {
        Err(Errno::NOSYS | Errno::PERM) => {
            check.skip(nothing, "this kernel lacks the call, or hides it");
            return;
        }
        answer => check.equal(nothing, answer, Ok(0)),
    }
    check.equal(until, call(ctx, 1, 4, into, Time::Short), Ok(0));
    // Each of them takes the whole time, by the clock that measures it.
    let early = (0..8).filter(|_| {
        let begin = Moment::now();
        let answer = call(ctx, 1, 4, into, Time::Short);
        answer != Ok(0) || begin.elapsed() < Time::Short.nanoseconds()
    });
    check.equal(not_early, early.count(), 0);

    let filled = fill(context, writer, 3);
    let lost = call(ctx, 1, 4, without_provenance_mut(NOWHERE), Time::Zero);
    check.equal(nowhere, lost, Err(Errno::FAULT));
    // The refused calls have lost no event.
    let first = filled.and(call(ctx, 2, 2, into, Time::Short));
    check.equal(two, first, Ok(2));
    check.equal(third, call(ctx, 1, 4, into, Time::Short), Ok(1));

    let answer = call(ctx, 3, 2, into, Time::Zero);
    check.equal(over, answer, Err(Errno::INVAL));
    let answer = call(ctx, -1, 4, into, Time::Zero);
    check.equal(negative, answer, Err(Errno::INVAL));
    let answer = call(ctx, 0, 4, into, Time::Nowhere);
    check.equal(time, answer, Err(Errno::FAULT));
    let answer = call(AioContext(NOWHERE), 0, 4, into, Time::Zero);
    check.equal(invalid, answer, Err(Errno::INVAL));
}

/// Checks the typed layer, which chooses the system call.
fn typed(check: &mut Check, context: &Context, writer: i32) {
    let mut events = [Event::EMPTY; 4];
    let filled = fill(context, writer, 2);
    check.equal("aio two polls", filled, Ok(2));
    let got = context.wait(2, &mut events).map(|events| events.len());
    check.equal("aio Context::wait", got, Ok(2));
    let short = WaitOptions::new().timeout(Duration::from_millis(2));
    let got = context.wait_with(1, &mut events, short);
    let got = got.map(|events| events.len());
    check.equal("aio Context::wait_with a time", got, Ok(0));
    let got = context.wait(5, &mut events).map(|events| events.len());
    check.equal("aio Context::wait for too many", got, Err(Errno::INVAL));
    check.equal("aio Context::check", context.check(), Ok(()));
}

/// Checks the argument for the mask. See `masks` for its effect.
fn masks(check: &mut Check, context: &Context) {
    let mut events = [Event::EMPTY; 1];
    let set = SigSet::full();
    let wait = WaitOptions::new()
        .timeout(Duration::from_millis(1))
        .sigmask(&set);
    let got = context.wait_with(1, &mut events, wait);
    match got.map(|events| events.len()) {
        Err(Errno::NOSYS | Errno::PERM) => {
            check.skip("aio wait with a mask", "io_pgetevents is lacking or hidden");
        }
        got => check.equal("aio wait with a mask", got, Ok(0)),
    }

    let argument = SigsetArg::new(Some(&set));
    // An address in place of the argument; nothing is mapped there.
    let wild = without_provenance::<SigsetArg>(NOWHERE);
    let into = events.as_mut_ptr();
    let ctx = context.as_raw();
    let time = OldTimespec { sec: 0, nsec: 0 };
    let call = |mask| {
        // SAFETY: one event may be written; the mask lives, or the kernel refuses its
        // address.
        unsafe { sys::io_pgetevents(ctx, 0, 1, into, &raw const time, mask) }
    };
    match call(&raw const argument) {
        // An unfixed kernel requires the other layout of 32-bit programs.
        Err(Errno::NOSYS | Errno::PERM | Errno::INVAL) => {
            check.skip(
                "aio io_pgetevents with a mask",
                "lacking, hidden or unmended",
            );
        }
        got => {
            check.equal("aio io_pgetevents with a mask", got, Ok(0));
            check.equal("aio mask nowhere", call(wild), Err(Errno::FAULT));
        }
    }
}
