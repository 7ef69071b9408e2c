//! One system call at a time: the cost that a layer adds to it.

use std::hint::black_box;
use std::ptr::null_mut;

use linux_aio::abi::OldTimespec;
use linux_aio::{AioContext, Errno, Event, Iocb, WaitOptions, sys};

use crate::libaio::LibAio;
use crate::meter::Meter;
use crate::ready::Ready;
use crate::trap;

/// Measures `io_destroy(0)`, which returns EINVAL and has no effect.
pub(crate) fn destroy(baseline: &str, meter: &mut Meter) -> Option<()> {
    let none = || black_box(0_usize);
    let refused = -libc::EINVAL as isize;
    let number = libc::SYS_io_destroy;
    match baseline {
        // The cost of the loop itself.
        "loop" => meter.repeat(|| none() == 0),
        // SAFETY: zero is no context, so the call has no effect.
        "trap" => meter.repeat(|| unsafe { trap::io_destroy(none()) } == refused),
        "sys" => meter.repeat(|| {
            // SAFETY: zero is no context, so the call has no effect.
            let answer = unsafe { sys::io_destroy(AioContext(none())) };
            answer == Err(Errno::INVAL)
        }),
        "libaio" => {
            let libaio = LibAio::open()?;
            // SAFETY: zero is no context, so the call has no effect.
            meter.repeat(|| unsafe { (libaio.destroy)(none()) } == refused as i32);
        }
        // SAFETY: zero is no context, so the call has no effect.
        "glibc" => meter.repeat(|| unsafe { libc::syscall(number, none()) } == -1),
        "sc" => meter.repeat(|| {
            // SAFETY: zero is no context, so the call has no effect.
            unsafe { sc::syscall1(sc::nr::IO_DESTROY, none()) as isize == refused }
        }),
        // SAFETY: zero is no context, so the call has no effect.
        "nc" => meter.repeat(|| unsafe { nc::io_destroy(none()) } == Err(nc::EINVAL)),
        "syscalls" => meter.repeat(|| {
            // SAFETY: zero is no context, so the call has no effect.
            let answer = unsafe { syscalls::syscall1(syscalls::Sysno::io_destroy, none()) };
            answer == Err(syscalls::Errno::EINVAL)
        }),
        _ => return None,
    }
    Some(())
}

/// Measures `io_submit` of no operations.
pub(crate) fn submit(baseline: &str, meter: &mut Meter) -> Option<()> {
    let ready = Ready::new();
    let ctx = || black_box(ready.ctx.0);
    let iocbs = null_mut::<*mut Iocb>();
    let number = libc::SYS_io_submit;
    match baseline {
        "loop" => meter.repeat(|| ctx() != 0),
        // SAFETY: no operation is submitted.
        "trap" => meter.repeat(|| unsafe { trap::io_submit(ctx(), 0, iocbs) } == 0),
        "sys" => meter.repeat(|| {
            // SAFETY: no operation is submitted.
            let answer = unsafe { sys::io_submit(AioContext(ctx()), 0, iocbs) };
            answer == Ok(0)
        }),
        "context" => {
            let context = ready.context();
            // SAFETY: no operation is submitted.
            meter.repeat(|| unsafe { black_box(&context).submit(&mut []) } == Ok(0));
        }
        "libaio" => {
            let libaio = LibAio::open()?;
            // SAFETY: no operation is submitted.
            meter.repeat(|| unsafe { (libaio.submit)(ctx(), 0, iocbs) } == 0);
        }
        // SAFETY: no operation is submitted.
        "glibc" => meter.repeat(|| unsafe { libc::syscall(number, ctx(), 0, iocbs) } == 0),
        "sc" => meter.repeat(|| {
            // SAFETY: no operation is submitted.
            unsafe { sc::syscall3(sc::nr::IO_SUBMIT, ctx(), 0, iocbs as usize) == 0 }
        }),
        // SAFETY: no operation is submitted.
        "nc" => meter.repeat(|| unsafe { nc::io_submit(ctx(), &[]) } == Ok(0)),
        "syscalls" => meter.repeat(|| {
            let number = syscalls::Sysno::io_submit;
            // SAFETY: no operation is submitted.
            unsafe { syscalls::syscall3(number, ctx(), 0, iocbs as usize) == Ok(0) }
        }),
        _ => return None,
    }
    Some(())
}

/// Measures `io_getevents` of up to one event, without waiting, while there is none.
pub(crate) fn getevents(baseline: &str, meter: &mut Meter) -> Option<()> {
    let ready = Ready::new();
    let taken = call(baseline, &ready, meter.count, |calls| meter.time(calls))?;
    assert_eq!(taken, 0);
    Some(())
}

/// Calls `io_getevents` `count` times for up to one event, inside `time`. Returns the
/// number of events.
pub(crate) fn call(
    baseline: &str,
    ready: &Ready,
    count: u64,
    time: impl FnOnce(&mut dyn FnMut() -> u64) -> u64,
) -> Option<u64> {
    let ctx = || black_box(ready.ctx.0);
    let now = &raw const NOW.0;
    let mut events = [Event::EMPTY];
    let events = events.as_mut_ptr();
    let number = libc::SYS_io_getevents;
    // The facts for each SAFETY comment below: `events` has space for one event, `now`
    // is a valid timeout, and no other code reads the ring meanwhile.
    let taken = match baseline {
        "loop" => time(&mut || sum(count, || ctx() as u64 & 1)),
        "trap" => time(&mut || {
            // SAFETY: `events` has space for one event, and `now` is a valid timeout.
            sum(count, || unsafe {
                trap::io_getevents(ctx(), 0, 1, events, now) as u64
            })
        }),
        "sys" => time(&mut || {
            // SAFETY: `events` has space for one event, and `now` is a valid timeout.
            sum(count, || unsafe {
                sys::io_getevents(AioContext(ctx()), 0, 1, events, now).map_or(0, |n| n as u64)
            })
        }),
        "context" => {
            let context = ready.context();
            let mut events = [Event::EMPTY];
            time(&mut || {
                sum(count, || {
                    let taken = black_box(&context).wait_with(0, &mut events, WaitOptions::poll());
                    taken.map_or(0, |events| events.len() as u64)
                })
            })
        }
        "libaio" => {
            let libaio = LibAio::open()?;
            time(&mut || {
                // SAFETY: `events` has space for one event, and `now` is a valid
                // timeout.
                sum(count, || unsafe {
                    (libaio.getevents)(ctx(), 0, 1, events, now) as u64
                })
            })
        }
        "glibc" => time(&mut || {
            // SAFETY: `events` has space for one event, and `now` is a valid timeout.
            sum(count, || unsafe {
                libc::syscall(number, ctx(), 0_usize, 1_usize, events, now) as u64
            })
        }),
        "sc" => time(&mut || {
            // SAFETY: `events` has space for one event, and `now` is a valid timeout.
            sum(count, || unsafe {
                let number = sc::nr::IO_GETEVENTS;
                sc::syscall5(number, ctx(), 0, 1, events as usize, now as usize) as u64
            })
        }),
        "nc" => {
            let mut events = [nc::io_event_t::default()];
            let now = nc::timespec_t::default();
            time(&mut || {
                // SAFETY: `events` has space for one event, and `now` is a valid timeout.
                sum(count, || unsafe {
                    nc::io_getevents(ctx(), 0, &mut events, Some(&now)).map_or(0, |n| n as u64)
                })
            })
        }
        "syscalls" => time(&mut || {
            // SAFETY: `events` has space for one event, and `now` is a valid timeout.
            sum(count, || unsafe {
                let number = syscalls::Sysno::io_getevents;
                let taken = syscalls::syscall5(number, ctx(), 0, 1, events as usize, now as usize);
                taken.map_or(0, |n| n as u64)
            })
        }),
        _ => return None,
    };
    Some(taken)
}

/// A timeout of zero.
struct Now(OldTimespec);
static NOW: Now = Now(OldTimespec { sec: 0, nsec: 0 });

#[inline(always)]
fn sum(count: u64, mut call: impl FnMut() -> u64) -> u64 {
    (0..count).map(|_| black_box(call())).sum()
}
