//! Tests the reaping of the ring in user space, against the running kernel.
#![cfg(any(target_os = "linux", target_os = "android"))]

mod support;

use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use linux_aio::abi::RingHeader;
use linux_aio::opcode::{Poll, PollMask, Pread};
use linux_aio::{Context, Errno, Event, Ring, SigSet, Submitter, WaitOptions};
use support::{TempFile, WAITS};

/// Submits `count` operations that have completed when this returns, numbered from
/// `first`.
fn complete(submitter: Submitter<'_>, fd: &impl AsRawFd, first: u64, count: u64) {
    for number in first..first + count {
        let poll = Poll::new(fd.as_raw_fd(), PollMask::OUT);
        let mut iocb = poll.build().user_data(number);
        // SAFETY: a poll has no buffer.
        assert_eq!(unsafe { submitter.submit(&mut [&mut iocb]) }, Ok(1));
    }
}

/// Goes three times around the ring in steps that do not divide its size. `take` takes
/// events and returns their numbers.
fn goes_round(take: impl Fn(&mut Ring<'_>) -> Vec<u64>) {
    let (_reader, writer) = support::pipe();
    let mut context = Context::new(1).unwrap();
    let header = core::ptr::with_exposed_provenance_mut::<RingHeader>(context.as_raw().0);
    let (submitter, mut ring) = context.split();
    assert!(ring.is_mapped());
    let slots = ring.slots().unwrap();
    let (mut submitted, mut reaped) = (0, 0);
    while reaped < 3 * u64::from(slots) {
        complete(submitter, &writer, submitted, 5);
        submitted += 5;
        while reaped < submitted {
            for number in take(&mut ring) {
                assert_eq!(number, reaped);
                reaped += 1;
            }
            // A system call would silently correct a head that is out of range.
            // SAFETY: the ring is mapped while the context lives.
            let head = unsafe { (&raw const (*header).head).read_volatile() };
            assert!(head < slots);
        }
    }
    assert_eq!(ring.pop(), Ok(None));
}

#[test]
fn reaps_in_order_past_the_end_of_the_ring() {
    goes_round(|ring| {
        let mut events = [Event::EMPTY; 3];
        let got = ring.reap(&mut events).unwrap();
        got.iter().map(Event::user_data).collect()
    });
}

#[test]
fn pops_in_order_past_the_end_of_the_ring() {
    goes_round(|ring| Vec::from_iter(ring.pop().unwrap().map(|event| event.user_data())));
}

#[test]
fn the_whole_ring_fills_and_empties() {
    let (_reader, writer) = support::pipe();
    let mut context = Context::new(1).unwrap();
    let (submitter, mut ring) = context.split();
    let slots = ring.slots().unwrap() as usize;
    let mut events = vec![Event::EMPTY; 2 * slots];
    for _ in 0..3 {
        let mut in_flight = 0;
        let refused = loop {
            let mut iocb = Poll::new(writer.as_raw_fd(), PollMask::OUT).build();
            // SAFETY: a poll has no buffer.
            match unsafe { submitter.submit(&mut [&mut iocb]) } {
                Ok(count) => in_flight += count,
                Err(errno) => break errno,
            }
        };
        assert_eq!(refused, Errno::AGAIN);
        assert!((1..slots).contains(&in_flight), "{in_flight} of {slots}");
        // The kernel notices at the next submission that slots were freed in user
        // space. The second round verifies it.
        assert_eq!(ring.reap(&mut events).unwrap().len(), in_flight);
    }
}

#[test]
fn waits_by_system_call_only_for_missing_events() {
    let (_reader, writer) = support::pipe();
    let (blocked, mut unblock) = support::pipe();
    let mut context = Context::new(8).unwrap();
    let (submitter, mut ring) = context.split();
    let mut events = [Event::EMPTY; 8];

    complete(submitter, &writer, 0, 3);
    assert_eq!(ring.wait(2, &mut events).unwrap().len(), 3);
    assert_eq!(ring.wait(0, &mut events).unwrap().len(), 0);
    assert_eq!(ring.wait(9, &mut events), Err(Errno::INVAL));
    assert_eq!(
        ring.wait_with(8, &mut events, WaitOptions::poll()),
        Ok(&mut [][..])
    );

    complete(submitter, &writer, 10, 1);
    let mut late = Poll::new(blocked.as_raw_fd(), PollMask::IN)
        .build()
        .user_data(11);
    // SAFETY: a poll has no buffer.
    unsafe { submitter.submit(&mut [&mut late]) }.unwrap();
    let short = WaitOptions::new().timeout(Duration::from_millis(20));
    // One event has arrived, the other has not: the wait times out and returns the one.
    assert_eq!(ring.wait_with(2, &mut events, short).unwrap().len(), 1);
    complete(submitter, &writer, 12, 1);
    let done = thread::scope(|scope| {
        scope.spawn(|| {
            use std::io::Write;
            thread::sleep(Duration::from_millis(20));
            let mut pipe = std::fs::File::from(core::mem::replace(&mut unblock, support::pipe().1));
            pipe.write_all(b"x").unwrap();
        });
        ring.wait(2, &mut events).unwrap().to_vec()
    });
    let mut data: Vec<_> = done.iter().map(Event::user_data).collect();
    data.sort_unstable();
    assert_eq!(data, [11, 12]);
}

#[test]
fn one_thread_submits_another_reaps() {
    const EACH: u64 = 200_000;
    let file = TempFile::with(&[7]);
    let mut context = Context::new(64).unwrap();
    let (submitter, mut ring) = context.split();
    let done = AtomicBool::new(false);
    let mut seen = vec![0_u8; EACH as usize];
    thread::scope(|scope| {
        let (done, file) = (&done, &file);
        scope.spawn(move || {
            let mut byte = 0_u8;
            for number in 0..EACH {
                let read = Pread::new(file.fd(), &raw mut byte, 1);
                let mut iocb = read.build().user_data(number);
                // SAFETY: a buffered read has completed when submit returns.
                while unsafe { submitter.submit(&mut [&mut iocb]) } == Err(Errno::AGAIN) {
                    thread::yield_now();
                }
            }
            done.store(true, Relaxed);
        });
        let mut events = [Event::EMPTY; 16];
        let mut reaped = 0;
        while reaped < EACH {
            for event in ring.reap(&mut events).unwrap() {
                assert_eq!(event.result(), Ok(1));
                seen[event.user_data() as usize] += 1;
                reaped += 1;
            }
        }
        while !done.load(Relaxed) {
            thread::yield_now();
        }
        assert_eq!(ring.pop(), Ok(None));
    });
    assert!(seen.iter().all(|&times| times == 1), "each exactly once");
}

/// Overwrites one field of the header, as a hostile program would.
fn scribble(context: &Context, field: impl FnOnce(*mut RingHeader) -> *mut u32, value: u32) -> u32 {
    let header = core::ptr::with_exposed_provenance_mut::<RingHeader>(context.as_raw().0);
    // SAFETY: the context and its ring are alive, and nothing else accesses the ring
    // now.
    unsafe {
        let field = field(header);
        let old = field.read_volatile();
        field.write_volatile(value);
        old
    }
}

#[test]
fn a_scribbled_ring_is_not_followed_out_of_bounds() {
    let mut context = Context::new(8).unwrap();
    let mut events = [Event::EMPTY; 8];
    // SAFETY: the address is within the mapping; nothing is read.
    let head = |header: *mut RingHeader| unsafe { &raw mut (*header).head };
    for value in [u32::MAX, context.ring().slots().unwrap(), 1 << 31] {
        let old = scribble(&context, head, value);
        // The system call is used instead. Its result depends on how the kernel handles
        // the corrupted ring.
        let _ = context.ring().reap(&mut events);
        scribble(&context, head, old);
    }
    assert_eq!(context.destroy(), Ok(()));
}

#[test]
fn a_ring_of_unknown_layout_is_left_to_the_kernel() {
    let (_reader, writer) = support::pipe();
    let fields: [fn(*mut RingHeader) -> *mut u32; 3] = [
        // SAFETY: the address is within the mapping; nothing is read.
        |header| unsafe { &raw mut (*header).magic },
        // SAFETY: the address is within the mapping; nothing is read.
        |header| unsafe { &raw mut (*header).incompat_features },
        // SAFETY: the address is within the mapping; nothing is read.
        |header| unsafe { &raw mut (*header).header_length },
    ];
    for field in fields {
        let context = Context::new(8).unwrap();
        let old = scribble(&context, field, 0xbad);
        // SAFETY: the raw name was taken from an owned context in the same expression.
        let mut context = unsafe { Context::from_raw(context.into_raw()) };
        let (submitter, mut ring) = context.split();
        assert!(!ring.is_mapped());
        assert_eq!(ring.slots(), None);
        complete(submitter, &writer, 1, 3);
        let mut events = [Event::EMPTY; 2];
        assert_eq!(ring.reap(&mut events).unwrap().len(), 2);
        assert_eq!(ring.pop().unwrap().unwrap().user_data(), 3);
        assert_eq!(ring.pop(), Ok(None));
        assert_eq!(
            ring.wait_with(1, &mut events, WaitOptions::poll()),
            Ok(&mut [][..])
        );
        scribble(&context, field, old);
    }
}

/// The kernel would refuse the system call before it takes an event.
#[test]
fn a_minimum_above_the_capacity_is_refused_and_takes_nothing() {
    let (_reader, writer) = support::pipe();
    let mut context = Context::new(2).unwrap();
    let (submitter, mut ring) = context.split();
    complete(submitter, &writer, 1, 1);
    let mut events = [Event::EMPTY; 1];
    assert_eq!(ring.wait(2, &mut events).unwrap_err(), Errno::INVAL);
    assert_eq!(ring.wait(1, &mut events).unwrap()[0].user_data(), 1);
}

/// Events already taken from the ring are returned if the wait for more fails.
#[test]
fn events_already_taken_are_returned_before_an_error() {
    let (_reader, writer) = support::pipe();
    let status = support::in_child(|| {
        // The context belongs to the child.
        let mut context = Context::new(4).unwrap();
        let (submitter, mut ring) = context.split();
        complete(submitter, &writer, 1, 2);
        support::forbid(&WAITS, Errno::PERM.raw_os_error());
        let mut events = [Event::EMPTY; 4];
        let taken = ring.wait(3, &mut events).unwrap();
        let taken: Vec<u64> = taken.iter().map(Event::user_data).collect();
        assert_eq!(taken, [1, 2]);
        assert_eq!(ring.wait(1, &mut events).unwrap_err(), Errno::PERM);
        7
    });
    assert_eq!(status, 7);
}

/// A system call to wait would end the child.
#[test]
fn events_in_the_ring_need_no_system_call() {
    let (_reader, writer) = support::pipe();
    let status = support::in_child(|| {
        let mut context = Context::new(4).unwrap();
        let (submitter, mut ring) = context.split();
        support::die_of(&WAITS);
        let mut events = [Event::EMPTY; 4];
        for min_nr in [0, 4] {
            let none = ring
                .wait_with(min_nr, &mut events, WaitOptions::poll())
                .unwrap();
            assert!(none.is_empty());
        }
        assert!(ring.wait(0, &mut events).unwrap().is_empty());
        assert!(ring.wait(0, &mut []).unwrap().is_empty());
        let mask = SigSet::full();
        for wait in [WaitOptions::new(), WaitOptions::new().sigmask(&mask)] {
            for min_nr in [1, 0] {
                complete(submitter, &writer, 1, 1);
                assert_eq!(ring.wait_with(min_nr, &mut events, wait).unwrap().len(), 1);
            }
        }
        7
    });
    assert_eq!(status, 7);
}
