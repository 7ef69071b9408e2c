//! Tests waiting on a context without an owner. The library polls the ring and never
//! takes events from it. The kernel provides every other result.
#![cfg(any(target_os = "linux", target_os = "android"))]

mod support;

use std::os::fd::AsRawFd;
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use linux_aio::abi::{OldTimespec, RingHeader, Timespec};
use linux_aio::opcode::{Poll, PollMask};
use linux_aio::sys::getevents::{self, Timeout, ring_is_empty};
use linux_aio::{AioContext, Context, Errno, Event, Iocb, SigSet, nr};

const NOW: OldTimespec = OldTimespec { sec: 0, nsec: 0 };
const SOON: OldTimespec = OldTimespec {
    sec: 0,
    nsec: 1_000_000,
};

fn get(
    ctx: AioContext,
    min_nr: isize,
    events: &mut [Event],
    time: &OldTimespec,
) -> Result<usize, Errno> {
    let (nr, events) = (events.len() as isize, events.as_mut_ptr());
    // SAFETY: the events and the time are alive; the tests keep the context alive.
    unsafe { getevents::get_events(ctx, min_nr, nr, events, Timeout::Old(time)) }
}

fn post(context: &Context, count: u64) {
    let (_reader, writer) = support::pipe();
    for data in 0..count {
        let mut poll = Poll::new(writer.as_raw_fd(), PollMask::OUT)
            .build()
            .user_data(data);
        let batch: &mut [&mut Iocb] = &mut [&mut poll];
        // SAFETY: a poll has no buffer.
        assert_eq!(unsafe { context.submit(batch) }, Ok(1));
    }
}

#[test]
fn an_empty_ring_is_distinguished_from_a_ready_one() {
    let context = Context::new(8).unwrap();
    let (ctx, mut events) = (context.as_raw(), [Event::EMPTY; 8]);
    // SAFETY: the context is alive throughout the test.
    assert!(unsafe { ring_is_empty(ctx) });
    assert_eq!(get(ctx, 1, &mut events, &NOW), Ok(0));
    assert_eq!(get(ctx, 1, &mut events, &SOON), Ok(0));
    post(&context, 3);
    // SAFETY: the context is alive throughout the test.
    assert!(!unsafe { ring_is_empty(ctx) });
    assert_eq!(get(ctx, 0, &mut events[..2], &NOW), Ok(2));
    assert_eq!(get(ctx, 0, &mut events, &NOW), Ok(1));
    assert_eq!(events[0].user_data(), 2);
    // SAFETY: the context is alive throughout the test.
    assert!(unsafe { ring_is_empty(ctx) });
}

#[test]
fn the_width_of_time_makes_no_difference() {
    let context = Context::new(8).unwrap();
    let (ctx, mut events) = (context.as_raw(), [Event::EMPTY; 8]);
    let mut get64 = |sec, nsec| {
        let time = Timespec { sec, nsec };
        let timeout = Timeout::Time64(&raw const time);
        // SAFETY: the context, the events and the time are alive.
        unsafe { getevents::get_events(ctx, 1, 8, events.as_mut_ptr(), timeout) }
    };
    assert_eq!(get64(0, 0), Ok(0));
    assert_eq!(get64(0, 1_000_000), Ok(0));
    post(&context, 3);
    // A negative time, or one too long for 32 bits, means no timeout.
    assert_eq!(get64(i64::MIN, 0), Ok(3));
    post(&context, 2);
    assert_eq!(get64(i64::MAX, 0), Ok(2));
    post(&context, 1);
    // SAFETY: the context, the events and the time are alive.
    let forever =
        unsafe { getevents::get_events(ctx, 1, 8, events.as_mut_ptr(), Timeout::Old(null())) };
    assert_eq!(forever, Ok(1));
}

#[test]
fn the_kernel_refuses_invalid_contexts() {
    #[repr(align(4096))]
    struct Page([u32; 1024]);
    let mut page = Box::new(Page([0; 1024]));
    let mut events = [Event::EMPTY; 1];
    for number in [0, usize::MAX, page.0.as_ptr().expose_provenance() + 8] {
        let refused = get(AioContext(number), 0, &mut events, &NOW);
        assert_eq!(refused, Err(Errno::INVAL), "{number:#x}");
    }
    let ctx = AioContext(page.0.as_ptr().expose_provenance());
    assert_eq!(get(ctx, 0, &mut events, &NOW), Err(Errno::INVAL));
    // The magic number identifies a ring.
    page.0[4] = RingHeader::MAGIC;
    assert_eq!(get(ctx, 0, &mut events, &NOW), Ok(0));
    page.0[3] = 1;
    assert_eq!(get(ctx, 0, &mut events, &NOW), Err(Errno::INVAL));
}

#[test]
fn the_kernel_refuses_bad_addresses() {
    let context = Context::new(8).unwrap();
    post(&context, 1);
    let (ctx, nowhere) = (context.as_raw(), std::ptr::without_provenance::<SigSet>(8));
    let timeout = Timeout::Old(&NOW);
    // SAFETY: these addresses are not mapped, so the kernel refuses them.
    unsafe {
        let to = null_mut();
        assert_eq!(
            getevents::get_events(ctx, 0, 1, to, timeout),
            Err(Errno::FAULT)
        );
        assert_eq!(
            getevents::get_events(ctx, 0, -1, to, timeout),
            Err(Errno::INVAL)
        );
        let masked = getevents::get_events_masked(ctx, 0, 1, to, timeout, nowhere);
        assert_eq!(masked, Err(Errno::FAULT));
    }
    // The bad address of a time that a fallback would read is refused as well.
    let time = Timeout::Time64(std::ptr::without_provenance(8));
    // SAFETY: without a context no ring is read, so the kernel reads the time first,
    // and refuses its address.
    let refused = unsafe { getevents::get_events(AioContext::NONE, 0, 0, null_mut(), time) };
    assert_eq!(refused, Err(Errno::FAULT));
    let (mut events, mask) = ([Event::EMPTY; 8], SigSet::empty());
    // SAFETY: the context, the events, the time and the mask are alive. The event is
    // still in the ring.
    let taken =
        unsafe { getevents::get_events_masked(ctx, 1, 8, events.as_mut_ptr(), timeout, &mask) };
    assert_eq!(taken, Ok(1));
}

/// Some readers poll the ring while others wait inside the kernel. No event is lost and
/// none is returned twice.
#[test]
fn several_readers_take_each_event_once() {
    const EVENTS: usize = 20_000;
    let context = Context::new(64).unwrap();
    let ctx = context.as_raw();
    let seen: Vec<_> = (0..EVENTS).map(|_| AtomicUsize::new(0)).collect();
    let taken = AtomicUsize::new(0);
    let (_reader, writer) = support::pipe();
    thread::scope(|threads| {
        for reader in 0..4 {
            let (seen, taken) = (&seen, &taken);
            threads.spawn(move || {
                let mut events = [Event::EMPTY; 4];
                let (min_nr, time) = if reader % 2 == 0 { (0, NOW) } else { (1, SOON) };
                while taken.load(Ordering::Relaxed) < EVENTS {
                    let count = get(ctx, min_nr, &mut events, &time).unwrap();
                    for event in &events[..count] {
                        seen[event.user_data() as usize].fetch_add(1, Ordering::Relaxed);
                    }
                    taken.fetch_add(count, Ordering::Relaxed);
                    if count == 0 {
                        thread::yield_now();
                    }
                }
            });
        }
        for data in 0..EVENTS as u64 {
            let mut poll = Poll::new(writer.as_raw_fd(), PollMask::OUT)
                .build()
                .user_data(data);
            loop {
                // SAFETY: a poll has no buffer.
                match unsafe { context.submit(&mut [&mut poll]) } {
                    Err(Errno::AGAIN) => thread::yield_now(),
                    submitted => break assert_eq!(submitted, Ok(1)),
                }
            }
        }
    });
    assert!(seen.iter().all(|count| count.load(Ordering::Relaxed) == 1));
}

/// Another system call replaces one that is missing or forbidden: without a mask, and
/// with one. The mask unblocks a signal that was pending, or that arrives during the
/// sleep.
#[test]
fn missing_calls_have_fallbacks() {
    let newer: &[Option<u32>] = &[nr::IO_PGETEVENTS, nr::IO_PGETEVENTS_TIME64];
    let old: &[Option<u32>] = &[nr::IO_GETEVENTS, nr::IO_PGETEVENTS];
    let mut sets = vec![newer];
    if nr::IO_PGETEVENTS_TIME64.is_some() {
        sets.push(old);
    }
    for (set, errno) in sets
        .iter()
        .flat_map(|set| [(set, libc::ENOSYS), (set, libc::EPERM)])
    {
        support::catch(libc::SIGUSR1);
        let status = support::in_child(|| {
            support::forbid(set, errno);
            let Ok(context) = Context::new(8) else {
                return 1;
            };
            let (ctx, mut events) = (context.as_raw(), [Event::EMPTY; 8]);
            let mut masked = |min_nr, time: &OldTimespec, mask: &SigSet| {
                let (events, timeout) = (events.as_mut_ptr(), Timeout::Old(time));
                // SAFETY: the context, the events, the time and the mask are alive.
                unsafe { getevents::get_events_masked(ctx, min_nr, 8, events, timeout, mask) }
            };
            let (all, none) = (SigSet::full(), SigSet::empty());
            let late = OldTimespec { sec: 30, nsec: 0 };
            if masked(1, &SOON, &all) != Ok(0) || masked(9, &SOON, &all) != Err(Errno::INVAL) {
                return 2;
            }
            // SAFETY: the signals are sent to this process, whose handler does nothing.
            unsafe {
                let mut set: libc::sigset_t = core::mem::zeroed();
                libc::sigaddset(&raw mut set, libc::SIGUSR1);
                libc::sigprocmask(libc::SIG_BLOCK, &raw const set, null_mut());
                libc::kill(libc::getpid(), libc::SIGUSR1);
            }
            if masked(1, &SOON, &all) != Ok(0) {
                return 3;
            }
            if masked(1, &late, &none) != Err(Errno::INTR) {
                return 4;
            }
            let parent = std::process::id();
            // SAFETY: the second child sleeps, sends a signal and ends.
            unsafe {
                if libc::fork() == 0 {
                    libc::usleep(20_000);
                    libc::kill(parent as i32, libc::SIGUSR1);
                    libc::_exit(0);
                }
            }
            if masked(1, &late, &none) != Err(Errno::INTR) {
                return 5;
            }
            post(&context, 3);
            if masked(2, &late, &all) != Ok(3) || get(ctx, 1, &mut [Event::EMPTY], &SOON) != Ok(0) {
                return 6;
            }
            0
        });
        assert_eq!(status, 0, "{set:?} {errno}");
    }
}

/// Events that arrive in two parts, and more events than there is space for.
#[test]
fn a_fallback_takes_events_in_order_of_arrival() {
    let status = support::in_child(|| {
        let newer = [nr::IO_PGETEVENTS, nr::IO_PGETEVENTS_TIME64];
        support::forbid(&newer, libc::ENOSYS);
        let context = Context::new(8).unwrap();
        let (ctx, all) = (context.as_raw(), SigSet::full());
        let late = OldTimespec { sec: 30, nsec: 0 };
        let mut events = [Event::EMPTY; 8];
        let taken = thread::scope(|threads| {
            threads.spawn(|| {
                for count in [2, 4] {
                    thread::sleep(Duration::from_millis(50));
                    post(&context, count);
                }
            });
            let (to, timeout) = (events.as_mut_ptr(), Timeout::Old(&raw const late));
            // SAFETY: the context, the events, the time and the mask are alive.
            unsafe { getevents::get_events_masked(ctx, 4, 4, to, timeout, &raw const all) }
        });
        assert_eq!(taken, Ok(4));
        let came = events.map(|event| (event.obj != 0).then_some(event.data));
        let [a, b, rest @ ..] = came;
        assert_eq!([a, b], [Some(0), Some(1)]);
        assert_eq!(rest, [Some(0), Some(1), None, None, None, None]);
        assert_eq!(get(ctx, 2, &mut events, &NOW), Ok(2));
        0
    });
    assert_eq!(status, 0);
}
