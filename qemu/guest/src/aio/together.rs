//! Checks threads that use one context in other ways than by submitting and reaping:
//! one destroys while another waits, one cancels while another waits, and both destroy.

use core::mem::ManuallyDrop;
use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;

use linux_aio::opcode::{Poll, PollMask};
use linux_aio::{Context, Errno, Event, WaitOptions};

use crate::check::Check;
use crate::os;

pub(crate) fn run(check: &mut Check) {
    wakes(check);
    cancels(check);
    destroys(check);
}

/// Creates a context that two threads use by name.
fn shared(check: &mut Check, name: &'static str) -> Option<ManuallyDrop<Context>> {
    check.needs(name, Context::new(4)).map(ManuallyDrop::new)
}

/// Calls io_destroy on a context whose owner gives it up.
fn destroy(context: &Context) -> Result<(), Errno> {
    // SAFETY: all callers keep the context in `ManuallyDrop`. Afterwards it is used
    // only in system calls that fail with EINVAL, and no code reads the ring.
    unsafe { linux_aio::sys::io_destroy(context.as_raw()) }
}

/// Checks that a waiting thread gets an error when the context is destroyed.
fn wakes(check: &mut Check) {
    let Some(context) = shared(check, "waiter's context") else {
        return;
    };
    let answer = AtomicU32::new(0);
    let destroyed = os::beside(
        &|| {
            let mut events = [Event::EMPTY];
            let got = context.wait(1, &mut events).map(|events| events.len());
            let number = got.map_or_else(|errno| errno.raw_os_error() as u32, |_| 1 << 16);
            answer.store(number, Ordering::Release);
        },
        || {
            os::sleep(20);
            destroy(&context)
        },
    );
    check.equal("waiter: destroyed by another", destroyed, Ok(Ok(())));
    let answer = answer.load(Ordering::Acquire);
    check.equal(
        "waiter returns the error",
        answer,
        Errno::INVAL.raw_os_error() as u32,
    );
}

/// Checks a thread that waits while another one submits and cancels.
fn cancels(check: &mut Check) {
    let Some(context) = check.needs("canceller's context", Context::new(4)) else {
        return;
    };
    let Some([reader, writer]) = check.needs("canceller's pipe", os::pipe(0)) else {
        return;
    };
    let came = AtomicU32::new(0);
    let cancelled = os::beside(
        &|| {
            let mut events = [Event::EMPTY];
            let long = WaitOptions::new().timeout(Duration::from_millis(3000));
            if let Ok([event]) = context.wait_with(1, &mut events, long) {
                let right = event.data == 77 && event.res == 0;
                came.store(if right { 1 } else { 2 }, Ordering::Release);
            }
        },
        || {
            let mut poll = Poll::new(reader, PollMask::IN).build().user_data(77);
            // SAFETY: the operation has no buffer.
            unsafe { context.submit(&mut [&mut poll]) }?;
            os::sleep(10);
            context.cancel(&raw const poll)
        },
    );
    check.equal("canceller beside a waiter", cancelled, Ok(Ok(())));
    let came = came.load(Ordering::Acquire);
    check.equal("canceller's event came to the waiter", came, 1);
    check.equal("canceller's destroy", context.destroy(), Ok(()));
    for end in [reader, writer] {
        let _ = os::close(end);
    }
}

/// Checks two threads that destroy one context at the same time, with polls in flight.
/// The eventfd of the polls then reports that they have completed.
fn destroys(check: &mut Check) {
    let Some([reader, writer]) = check.needs("destroyers' pipe", os::pipe(0)) else {
        return;
    };
    let Some(counter) = check.needs("destroyers' eventfd", os::eventfd()) else {
        return;
    };
    let (mut wrong, mut ended) = (0_u32, 0);
    for _ in 0..4 {
        let Some(context) = shared(check, "destroyers' context") else {
            return;
        };
        for _ in 0..3 {
            let poll = Poll::new(reader, PollMask::IN).eventfd(counter);
            // SAFETY: the operation has no buffer.
            let taken = unsafe { context.submit(&mut [&mut poll.build()]) };
            wrong += u32::from(taken != Ok(1));
        }
        let (ready, other) = (AtomicU32::new(0), AtomicU32::new(0));
        let mine = os::beside(
            &|| {
                ready.store(1, Ordering::Release);
                let number = match destroy(&context) {
                    Ok(()) => 1,
                    Err(Errno::INVAL) => 2,
                    Err(_) => 3,
                };
                other.store(number, Ordering::Release);
            },
            || {
                while ready.load(Ordering::Acquire) == 0 {
                    os::yield_now();
                }
                destroy(&context)
            },
        );
        let other = other.load(Ordering::Acquire);
        let one = matches!((mine, other), (Ok(Ok(())), 2) | (Ok(Err(Errno::INVAL)), 1));
        wrong += u32::from(!one);
        let mut count = [0; 8];
        if os::read(counter, &mut count) == Ok(8) {
            ended += u64::from_ne_bytes(count);
        }
    }
    check.equal("destroyers: one of two succeeds", wrong, 0);
    check.equal("destroyers: every poll has completed", ended, 12);
    for end in [reader, writer, counter] {
        let _ = os::close(end);
    }
}
