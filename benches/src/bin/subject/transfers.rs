//! Buffered reads of 512 bytes, `DEPTH` at a time: all are submitted, then all are
//! taken. They complete inside the submission, so the number of instructions is the
//! same every time.

use std::cell::Cell;
use std::fs::File;
use std::hint::black_box;
use std::mem::MaybeUninit;
use std::task::{Context as Task, Waker};

use io_uring::IoUring;
use linux_aio::abi::OldTimespec;
use linux_aio::op::Read;
use linux_aio::opcode::Pread;
use linux_aio::reactor::{Local, Reactor, ReactorSlot};
use linux_aio::{
    AioContext, Context, Event, Fd, IdleContext, Iocb, Queue, ScopeSlot, Slot, WaitOptions,
    scope_with_context, sys,
};

use crate::libaio::LibAio;
use crate::meter::Meter;
use crate::reap::HandWritten;

const LEN: usize = 512;

/// Performs `meter.count` reads.
pub(crate) fn read(baseline: &str, depth: usize, meter: &mut Meter) -> Option<()> {
    match depth {
        1 => read_at::<1>(baseline, meter),
        32 => read_at::<32>(baseline, meter),
        _ => None,
    }
}

fn read_at<const DEPTH: usize>(baseline: &str, meter: &mut Meter) -> Option<()> {
    let rounds = meter.count / DEPTH as u64;
    let file = File::open(std::env::current_exe().ok()?).ok()?;
    let fd = Fd::from(&file);
    let memory = vec![0_u8; DEPTH * LEN].leak();
    let buffers: Vec<&'static mut [u8]> = memory.chunks_mut(LEN).collect();
    let sum = match baseline {
        "hand" => hand::<DEPTH>(rounds, fd, buffers, meter),
        "hand-runtime" => hand_runtime(rounds, fd, buffers, meter),
        "queue" => queue::<DEPTH>(rounds, fd, buffers, meter, false),
        "queue-wait" => queue::<DEPTH>(rounds, fd, buffers, meter, true),
        "context" => context::<DEPTH>(rounds, fd, buffers, meter),
        "scope" => scope::<DEPTH>(rounds, fd, buffers, meter),
        "reactor" => reactor::<DEPTH>(rounds, fd, buffers, meter),
        "libaio" => libaio::<DEPTH>(rounds, fd, buffers, meter)?,
        "uring" => uring::<DEPTH>(rounds, fd, buffers, meter)?,
        _ => return None,
    };
    assert_eq!(sum as u64, rounds * (DEPTH * LEN) as u64);
    Some(())
}

type Buffers = Vec<&'static mut [u8]>;

/// Reads as a C program would: raw system calls, a hand-written ring reader, and the
/// buffers in an array indexed by operation.
fn hand<const DEPTH: usize>(
    rounds: u64,
    fd: Fd<'_>,
    mut buffers: Buffers,
    meter: &mut Meter,
) -> i64 {
    let mut held = [const { MaybeUninit::<&'static mut [u8]>::uninit() }; DEPTH];
    let mut ctx = AioContext(0);
    // SAFETY: `ctx` is valid for writes.
    unsafe { sys::io_setup(DEPTH as u32, &mut ctx) }.unwrap();
    // SAFETY: the context exists as long as `ring`, and no other code reads its ring.
    let ring = unsafe { HandWritten::new(ctx) };
    let mut iocbs = [Iocb::EMPTY; DEPTH];
    let mut pointers = iocbs.each_mut().map(|iocb| iocb as *mut Iocb);
    meter.time(move || {
        // In registers.
        let (ring, fd, mut sum) = (ring, fd.as_raw(), 0);
        for _ in 0..rounds {
            let mut at = 0;
            while let Some(buffer) = buffers.pop() {
                let (start, len) = (buffer.as_mut_ptr(), buffer.len());
                let iocb = Pread::new(fd, start, len).build();
                // SAFETY: there are as many buffers as iocbs, so `at` is in range, and
                // none is in flight.
                unsafe { pointers[at].write(iocb.user_data(at as u64)) };
                held[at].write(buffer);
                at += 1;
            }
            // SAFETY: the buffers are held until all events have been taken, and are
            // not accessed before.
            let taken = unsafe { sys::io_submit(ctx, DEPTH as isize, pointers.as_mut_ptr()) };
            assert_eq!(taken, Ok(DEPTH));
            let mut left = DEPTH;
            while left > 0 {
                let Some(event) = ring.pop() else {
                    std::thread::yield_now();
                    continue;
                };
                assert!(event.res >= 0);
                sum += event.res;
                // SAFETY: initialized above, and moved out only once, by its single
                // event.
                buffers.push(unsafe { held[event.data as usize].assume_init_read() });
                left -= 1;
            }
        }
        sum
    })
}

/// Reads as an ordinary C program would, whose depth is an argument: raw system calls, a
/// hand-written ring reader, and buffers found by an index that is checked.
fn hand_runtime(rounds: u64, fd: Fd<'_>, mut buffers: Buffers, meter: &mut Meter) -> i64 {
    let depth = black_box(buffers.len());
    let mut held: Vec<Option<&'static mut [u8]>> = Vec::new();
    held.resize_with(depth, || None);
    let mut ctx = AioContext::NONE;
    // SAFETY: `ctx` is valid for writes.
    unsafe { sys::io_setup(depth as u32, &mut ctx) }.unwrap();
    // SAFETY: the context exists as long as `ring`, and no other code reads its ring.
    let ring = unsafe { HandWritten::new(ctx) };
    let mut iocbs = vec![Iocb::EMPTY; depth];
    let mut pointers = vec![std::ptr::null_mut(); depth];
    meter.time(|| {
        let mut sum = 0;
        for _ in 0..rounds {
            let mut at = 0;
            while let Some(buffer) = buffers.pop() {
                let read = Pread::new(fd.as_raw(), buffer.as_mut_ptr(), buffer.len());
                iocbs[at] = read.build().user_data(at as u64);
                pointers[at] = &raw mut iocbs[at];
                held[at] = Some(buffer);
                at += 1;
            }
            // SAFETY: the buffers are held until all events have been taken, and are
            // not accessed before.
            let taken = unsafe { sys::io_submit(ctx, at as isize, pointers.as_ptr()) };
            assert_eq!(taken, Ok(at));
            while at > 0 {
                let Some(event) = ring.pop() else {
                    std::thread::yield_now();
                    continue;
                };
                assert!(event.res >= 0);
                sum += event.res;
                buffers.push(held[event.data as usize].take().unwrap());
                at -= 1;
            }
        }
        sum
    })
}

fn queue<const DEPTH: usize>(
    rounds: u64,
    fd: Fd<'_>,
    mut buffers: Buffers,
    meter: &mut Meter,
    wait: bool,
) -> i64 {
    let mut slots = Slot::array::<DEPTH>();
    let mut queue = Queue::new(&mut slots).unwrap();
    if wait {
        return meter.time(|| {
            let (fd, mut sum) = (fd, 0);
            for _ in 0..rounds {
                while let Some(buffer) = buffers.pop() {
                    queue.push(Read::new(fd, buffer)).unwrap();
                }
                queue.submit().unwrap();
                while let Some(done) = queue.wait().unwrap() {
                    sum += done.result.unwrap() as i64;
                    buffers.push(done.buffer.unwrap());
                }
            }
            sum
        });
    }
    meter.time(|| {
        let (fd, mut sum) = (fd, 0);
        for _ in 0..rounds {
            while let Some(buffer) = buffers.pop() {
                queue.push(Read::new(fd, buffer)).unwrap();
            }
            queue.submit().unwrap();
            while queue.in_flight() > 0 {
                while let Some(done) = queue.pop().unwrap() {
                    sum += done.result.unwrap() as i64;
                    buffers.push(done.buffer.unwrap());
                }
            }
        }
        sum
    })
}

fn context<const DEPTH: usize>(
    rounds: u64,
    fd: Fd<'_>,
    mut buffers: Buffers,
    meter: &mut Meter,
) -> i64 {
    let mut context = Context::new(DEPTH as u32).unwrap();
    let (submitter, mut ring) = context.split();
    let mut held = [const { None }; DEPTH];
    let mut iocbs = [Iocb::EMPTY; DEPTH];
    let mut iocbs = iocbs.each_mut();
    let mut events = [Event::EMPTY; DEPTH];
    let fd = fd.as_raw();
    meter.time(|| {
        let mut sum = 0;
        for _ in 0..rounds {
            for (at, (iocb, held)) in iocbs.iter_mut().zip(&mut held).enumerate() {
                let buffer = buffers.pop().unwrap();
                let read = Pread::new(fd, buffer.as_mut_ptr(), buffer.len());
                **iocb = read.build().user_data(at as u64);
                *held = Some(buffer);
            }
            // SAFETY: the buffers are held until their events have been taken.
            unsafe { submitter.submit_all(&mut iocbs) }.unwrap();
            for event in ring.wait(DEPTH, &mut events).unwrap() {
                sum += event.result().unwrap() as i64;
                buffers.push(held[event.data as usize].take().unwrap());
            }
        }
        sum
    })
}

fn scope<const DEPTH: usize>(
    rounds: u64,
    fd: Fd<'_>,
    mut buffers: Buffers,
    meter: &mut Meter,
) -> i64 {
    let mut idle = IdleContext::new(DEPTH as u32).unwrap();
    let mut slots = ScopeSlot::array::<DEPTH>();
    meter.time(|| {
        let mut sum = 0;
        for _ in 0..rounds {
            sum += scope_with_context(&mut idle, &mut slots, |s| {
                let mut pending = [const { None }; DEPTH];
                for (pending, buffer) in pending.iter_mut().zip(&mut buffers) {
                    *pending = Some(s.read(fd, buffer, 0).unwrap());
                }
                pending
                    .into_iter()
                    .flatten()
                    .map(|pending| pending.wait().result.unwrap() as i64)
                    .sum::<i64>()
            });
        }
        sum
    })
}

/// Runs scopes that begin no operation.
pub(crate) fn empty(baseline: &str, meter: &mut Meter) -> Option<()> {
    if baseline != "scope" {
        return None;
    }
    let mut idle = IdleContext::new(8).ok()?;
    let mut slots = ScopeSlot::array::<8>();
    meter.repeat(|| {
        scope_with_context(black_box(&mut idle), &mut slots, |s| {
            black_box(s);
            true
        })
    });
    Some(())
}

/// Reads in `DEPTH` tasks, each of which awaits one read after the other. The executor polls
/// all tasks, and then waits.
fn reactor<const DEPTH: usize>(
    rounds: u64,
    fd: Fd<'_>,
    buffers: Buffers,
    meter: &mut Meter,
) -> i64 {
    let mut slots = ReactorSlot::array::<DEPTH>();
    let reactor = &Reactor::<&mut [u8], Local>::new(&mut slots)
        .unwrap()
        .batched();
    let (total, left) = (&Cell::new(0), &Cell::new(DEPTH));
    let task = |mut buffer| async move {
        let mut sum = 0;
        for _ in 0..rounds {
            let done = reactor.read(fd, buffer, 0).await;
            sum += done.result.unwrap() as i64;
            buffer = done.buffer;
        }
        total.set(total.get() + sum);
        left.set(left.get() - 1);
        // The executor polls it like the others.
        std::future::pending::<()>().await;
    };
    let mut tasks: Vec<_> = buffers.into_iter().map(|b| Box::pin(task(b))).collect();
    let mut context = Task::from_waker(Waker::noop());
    meter.time(|| {
        loop {
            for task in &mut tasks {
                let _ = task.as_mut().poll(&mut context);
            }
            if left.get() == 0 {
                break;
            }
            reactor.wait(WaitOptions::new()).unwrap();
        }
    });
    total.get()
}

fn libaio<const DEPTH: usize>(
    rounds: u64,
    fd: Fd<'_>,
    mut buffers: Buffers,
    meter: &mut Meter,
) -> Option<i64> {
    let libaio = LibAio::open()?;
    let ctx = libaio.context(DEPTH);
    let mut held = [const { MaybeUninit::<&'static mut [u8]>::uninit() }; DEPTH];
    let mut iocbs = [Iocb::EMPTY; DEPTH];
    let mut pointers = iocbs.each_mut().map(|iocb| iocb as *mut Iocb);
    let mut events = [Event::EMPTY; DEPTH];
    let forever = std::ptr::null::<OldTimespec>();
    Some(meter.time(|| {
        let mut sum = 0;
        for _ in 0..rounds {
            let mut at = 0;
            while let Some(buffer) = buffers.pop() {
                // As `io_prep_pread` of libaio.h, inlined.
                let iocb = Pread::new(fd.as_raw(), buffer.as_mut_ptr(), buffer.len()).build();
                // SAFETY: there are as many iocbs as buffers, so `at` is in range, and
                // none is in flight.
                unsafe { pointers[at].write(iocb.user_data(at as u64)) };
                held[at].write(buffer);
                at += 1;
            }
            let nr = DEPTH as i64;
            // SAFETY: the buffers are held until their events have been taken.
            let taken = unsafe { (libaio.submit)(ctx, nr, pointers.as_mut_ptr()) };
            assert_eq!(taken, DEPTH as i32);
            // SAFETY: `events` has space for `nr` events.
            let taken = unsafe { (libaio.getevents)(ctx, nr, nr, events.as_mut_ptr(), forever) };
            assert_eq!(taken, DEPTH as i32);
            for event in &events {
                assert!(event.res >= 0);
                sum += event.res;
                // SAFETY: initialized above, and moved out only once, by its single
                // event.
                buffers.push(unsafe { held[event.data as usize].assume_init_read() });
            }
        }
        sum
    }))
}

fn uring<const DEPTH: usize>(
    rounds: u64,
    fd: Fd<'_>,
    mut buffers: Buffers,
    meter: &mut Meter,
) -> Option<i64> {
    let mut ring = IoUring::new(DEPTH as u32).ok()?;
    let mut held = [const { MaybeUninit::<&'static mut [u8]>::uninit() }; DEPTH];
    Some(meter.time(|| {
        let mut sum = 0;
        for _ in 0..rounds {
            let mut submission = ring.submission();
            let mut at = 0;
            while let Some(buffer) = buffers.pop() {
                let fd = io_uring::types::Fd(fd.as_raw());
                let read = io_uring::opcode::Read::new(fd, buffer.as_mut_ptr(), LEN as u32);
                // SAFETY: the buffers are held until their completions have been taken.
                unsafe { submission.push(&read.build().user_data(at as u64)) }.unwrap();
                held[at].write(buffer);
                at += 1;
            }
            drop(submission);
            ring.submit_and_wait(DEPTH).unwrap();
            for done in ring.completion() {
                assert!(done.result() >= 0);
                sum += i64::from(done.result());
                // SAFETY: initialized above, and moved out only once, by its single
                // completion.
                buffers
                    .push(unsafe { held[black_box(done.user_data()) as usize].assume_init_read() });
            }
        }
        sum
    }))
}
