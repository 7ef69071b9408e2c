//! One call at a time: what a layer adds to the trap.

use std::hint::black_box;
use std::ptr::null_mut;

use linux_aio::abi::OldTimespec;
use linux_aio::{AioContext, Errno, Event, Iocb, WaitOptions, sys};

use crate::libaio::LibAio;
use crate::meter::Meter;
use crate::ready::Ready;
use crate::trap;

/// `io_destroy(0)`: EINVAL, and nothing done.
pub(crate) fn destroy(rival: &str, meter: &mut Meter) -> Option<()> {
    let none = || black_box(0_usize);
    let refused = -libc::EINVAL as isize;
    let number = libc::SYS_io_destroy;
    match rival {
        // What the loop costs by itself.
        "loop" => meter.repeat(|| none() == 0),
        // SAFETY: for each: zero is no context.
        "trap" => meter.repeat(|| unsafe { trap::io_destroy(none()) } == refused),
        "sys" => meter.repeat(|| {
            // SAFETY: see above.
            let answer = unsafe { sys::io_destroy(AioContext(none())) };
            answer == Err(Errno::INVAL)
        }),
        "libaio" => {
            let libaio = LibAio::open()?;
            // SAFETY: see above.
            meter.repeat(|| unsafe { (libaio.destroy)(none()) } == refused as i32);
        }
        // SAFETY: see above.
        "glibc" => meter.repeat(|| unsafe { libc::syscall(number, none()) } == -1),
        "sc" => meter.repeat(|| {
            // SAFETY: see above.
            unsafe { sc::syscall1(sc::nr::IO_DESTROY, none()) as isize == refused }
        }),
        // SAFETY: see above.
        "nc" => meter.repeat(|| unsafe { nc::io_destroy(none()) } == Err(nc::EINVAL)),
        "syscalls" => meter.repeat(|| {
            // SAFETY: see above.
            let answer = unsafe { syscalls::syscall1(syscalls::Sysno::io_destroy, none()) };
            answer == Err(syscalls::Errno::EINVAL)
        }),
        _ => return None,
    }
    Some(())
}

/// `io_submit` of nothing.
pub(crate) fn submit(rival: &str, meter: &mut Meter) -> Option<()> {
    let ready = Ready::new();
    let ctx = || black_box(ready.ctx.0);
    let iocbs = null_mut::<*mut Iocb>();
    let number = libc::SYS_io_submit;
    match rival {
        "loop" => meter.repeat(|| ctx() != 0),
        // SAFETY: for each: nothing is submitted.
        "trap" => meter.repeat(|| unsafe { trap::io_submit(ctx(), 0, iocbs) } == 0),
        "sys" => meter.repeat(|| {
            // SAFETY: see above.
            let answer = unsafe { sys::io_submit(AioContext(ctx()), 0, iocbs) };
            answer == Ok(0)
        }),
        "context" => {
            let context = ready.context();
            // SAFETY: see above.
            meter.repeat(|| unsafe { black_box(&context).submit(&mut []) } == Ok(0));
        }
        "libaio" => {
            let libaio = LibAio::open()?;
            // SAFETY: see above.
            meter.repeat(|| unsafe { (libaio.submit)(ctx(), 0, iocbs) } == 0);
        }
        // SAFETY: see above.
        "glibc" => meter.repeat(|| unsafe { libc::syscall(number, ctx(), 0, iocbs) } == 0),
        "sc" => meter.repeat(|| {
            // SAFETY: see above.
            unsafe { sc::syscall3(sc::nr::IO_SUBMIT, ctx(), 0, iocbs as usize) == 0 }
        }),
        // SAFETY: see above.
        "nc" => meter.repeat(|| unsafe { nc::io_submit(ctx(), &[]) } == Ok(0)),
        "syscalls" => meter.repeat(|| {
            let number = syscalls::Sysno::io_submit;
            // SAFETY: see above.
            unsafe { syscalls::syscall3(number, ctx(), 0, iocbs as usize) == Ok(0) }
        }),
        _ => return None,
    }
    Some(())
}

/// `io_getevents` of up to one event, without waiting, while there is none.
pub(crate) fn getevents(rival: &str, meter: &mut Meter) -> Option<()> {
    let ready = Ready::new();
    let taken = call(rival, &ready, meter.count, |calls| meter.time(calls))?;
    assert_eq!(taken, 0);
    Some(())
}

/// Calls `io_getevents` so many times for up to one event, inside of `time`.
/// How many events came.
pub(crate) fn call(
    rival: &str,
    ready: &Ready,
    count: u64,
    time: impl FnOnce(&mut dyn FnMut() -> u64) -> u64,
) -> Option<u64> {
    let ctx = || black_box(ready.ctx.0);
    let now = &raw const NOW.0;
    let mut room = [Event::EMPTY];
    let events = room.as_mut_ptr();
    let number = libc::SYS_io_getevents;
    // SAFETY: for each: `events` has room for one, `now` is a time, and nobody
    // reads the ring meanwhile.
    let taken = match rival {
        "loop" => time(&mut || sum(count, || ctx() as u64 & 1)),
        "trap" => time(&mut || {
            // SAFETY: see above.
            sum(count, || unsafe {
                trap::io_getevents(ctx(), 0, 1, events, now) as u64
            })
        }),
        "sys" => time(&mut || {
            // SAFETY: see above.
            sum(count, || unsafe {
                sys::io_getevents(AioContext(ctx()), 0, 1, events, now).map_or(0, |n| n as u64)
            })
        }),
        "context" => {
            let context = ready.context();
            let mut room = [Event::EMPTY];
            time(&mut || {
                sum(count, || {
                    let taken = black_box(&context).wait_with(0, &mut room, WaitOptions::poll());
                    taken.map_or(0, |events| events.len() as u64)
                })
            })
        }
        "libaio" => {
            let libaio = LibAio::open()?;
            time(&mut || {
                // SAFETY: see above.
                sum(count, || unsafe {
                    (libaio.getevents)(ctx(), 0, 1, events, now) as u64
                })
            })
        }
        "glibc" => time(&mut || {
            // SAFETY: see above.
            sum(count, || unsafe {
                libc::syscall(number, ctx(), 0_usize, 1_usize, events, now) as u64
            })
        }),
        "sc" => time(&mut || {
            // SAFETY: see above.
            sum(count, || unsafe {
                let number = sc::nr::IO_GETEVENTS;
                sc::syscall5(number, ctx(), 0, 1, events as usize, now as usize) as u64
            })
        }),
        "nc" => {
            let mut room = [nc::io_event_t::default()];
            let now = nc::timespec_t::default();
            time(&mut || {
                // SAFETY: see above.
                sum(count, || unsafe {
                    nc::io_getevents(ctx(), 0, &mut room, Some(&now)).map_or(0, |n| n as u64)
                })
            })
        }
        "syscalls" => time(&mut || {
            // SAFETY: see above.
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

/// No time at all.
struct Now(OldTimespec);
static NOW: Now = Now(OldTimespec { sec: 0, nsec: 0 });

#[inline(always)]
fn sum(count: u64, mut call: impl FnMut() -> u64) -> u64 {
    (0..count).map(|_| black_box(call())).sum()
}
