//! Tests the typed core: submit, wait, cancel and destroy, and its behaviour in child
//! processes and sandboxes.
#![cfg(any(target_os = "linux", target_os = "android"))]

mod support;

use std::os::fd::AsRawFd;
use std::thread;
use std::time::{Duration, Instant};

use linux_aio::opcode::{Poll, PollMask, Pread, Pwrite};
use linux_aio::{AioContext, Context, Errno, Event, Iocb, SigSet, WaitOptions};
use support::{TempFile, pattern};

#[test]
fn a_partial_batch_is_distinguished_from_an_error() {
    let (_reader, writer) = support::pipe();
    let ready = |n| {
        Poll::new(writer.as_raw_fd(), PollMask::OUT)
            .build()
            .user_data(n)
    };
    let (mut one, mut two, mut late) = (ready(1), ready(2), ready(3));
    let mut bad = Poll::new(-1, PollMask::IN).build();
    let context = Context::new(8).unwrap();
    // SAFETY: polls have no buffer.
    unsafe {
        let batch: &mut [&mut Iocb] = &mut [&mut one, &mut two, &mut bad, &mut late];
        assert_eq!(context.submit(batch), Ok(2));
        assert_eq!(context.submit(&mut batch[2..]), Err(Errno::BADF));
        let error = context.submit_all(batch).unwrap_err();
        assert_eq!((error.submitted, error.errno), (2, Errno::BADF));
        assert_eq!(context.submit_all(&mut batch[3..]), Ok(()));
        assert_eq!(context.submit_all(&mut []), Ok(()));
    }
    let mut events = [Event::EMPTY; 8];
    let done = context.wait(5, &mut events).unwrap();
    let mut data: Vec<_> = done.iter().map(Event::user_data).collect();
    data.sort_unstable();
    assert_eq!(data, [1, 1, 2, 2, 3], "every one taken gives one event");
}

#[test]
fn waiting_ends_by_count_or_timeout_and_refuses_bad_arguments() {
    let (_reader, writer) = support::pipe();
    let context = Context::new(8).unwrap();
    let mut events = [Event::EMPTY; 4];
    let start = Instant::now();
    let wait = WaitOptions::new().timeout(Duration::from_millis(50));
    assert_eq!(context.wait_with(1, &mut events, wait), Ok(&mut [][..]));
    assert!(start.elapsed() >= Duration::from_millis(50));
    assert_eq!(
        context.wait_with(4, &mut events, WaitOptions::poll()),
        Ok(&mut [][..])
    );

    let mut poll = Poll::new(writer.as_raw_fd(), PollMask::OUT).build();
    // SAFETY: a poll has no buffer.
    unsafe { context.submit(&mut [&mut poll]) }.unwrap();
    let refused = context.wait_with(5, &mut events, WaitOptions::poll());
    assert_eq!(refused, Err(Errno::INVAL));
    assert_eq!(context.wait(usize::MAX, &mut events), Err(Errno::INVAL));
    assert_eq!(context.wait(0, &mut []), Ok(&mut [][..]));
    // A timeout that no kernel type can hold is clamped, rather than becoming negative.
    let for_ever = WaitOptions::new().timeout(Duration::MAX);
    let done = context.wait_with(1, &mut events, for_ever).unwrap();
    assert_eq!(done.len(), 1, "the refused waits took nothing");
}

#[test]
fn a_signal_interrupts_and_loses_nothing() {
    let (_idle, idle_writer) = support::pipe();
    let (reader, _writer) = support::pipe();
    let context = Context::new(8).unwrap();
    let mut events = [Event::EMPTY; 4];
    let mut never = Poll::new(reader.as_raw_fd(), PollMask::IN).build();
    let mut ready = Poll::new(idle_writer.as_raw_fd(), PollMask::OUT).build();
    let guard = support::pester(libc::SIGUSR1);
    // SAFETY: a poll has no buffer.
    unsafe { context.submit(&mut [&mut never]) }.unwrap();
    assert_eq!(context.wait(1, &mut events), Err(Errno::INTR));
    // SAFETY: a poll has no buffer.
    unsafe { context.submit(&mut [&mut ready]) }.unwrap();
    // One event has arrived and the second never will. The signal ends the wait, which
    // returns the first.
    assert_eq!(context.wait(2, &mut events).unwrap().len(), 1);
    drop(guard);
}

#[test]
fn the_signal_mask_holds_while_it_waits() {
    let signal = libc::SIGUSR2;
    support::block(signal);
    let context = Context::new(8).unwrap();
    let mut events = [Event::EMPTY; 1];
    support::send_here(signal);
    // The signal is pending and blocked, so it does not interrupt the wait.
    let wait = WaitOptions::new().timeout(Duration::from_millis(30));
    assert_eq!(context.wait_with(1, &mut events, wait), Ok(&mut [][..]));
    let still_blocked = SigSet::empty().with(signal as u32);
    let with_mask = wait.sigmask(&still_blocked);
    assert_eq!(
        context.wait_with(1, &mut events, with_mask),
        Ok(&mut [][..])
    );
    // The signal is unblocked only during the wait.
    let open = SigSet::full().without(signal as u32);
    let for_ever = WaitOptions::new().sigmask(&open);
    assert_eq!(
        context.wait_with(1, &mut events, for_ever),
        Err(Errno::INTR)
    );
}

#[test]
fn signal_sets_have_the_layout_of_the_kernel() {
    let set = SigSet::empty().with(1).with(33).with(SigSet::SIGNALS);
    assert!(set.contains(1) && set.contains(33) && set.contains(SigSet::SIGNALS));
    assert!(!set.contains(2) && !set.contains(0) && !set.contains(u32::MAX));
    assert_eq!(set.with(0).with(SigSet::SIGNALS + 1), set);
    assert_eq!(SigSet::full().without(33).with(33), SigSet::full());
    assert_eq!(format!("{:?}", SigSet::empty().with(9).with(15)), "{9, 15}");
}

#[test]
fn cancel_succeeds_and_the_event_comes() {
    let (reader, _writer) = support::pipe();
    let context = Context::new(8).unwrap();
    let mut poll = Poll::new(reader.as_raw_fd(), PollMask::IN)
        .build()
        .user_data(9);
    // SAFETY: a poll has no buffer.
    unsafe { context.submit(&mut [&mut poll]) }.unwrap();
    assert_eq!(context.cancel(&raw const poll), Ok(()));
    let mut events = [Event::EMPTY; 2];
    let done = context.wait(1, &mut events).unwrap();
    assert_eq!((done.len(), done[0].user_data()), (1, 9));
    assert_eq!(done[0].result(), Ok(0));
    assert_eq!(context.cancel(&raw const poll), Err(Errno::INVAL));
}

/// Submits slow direct reads and then ends the context with `end`. When `end` returns,
/// every byte must have been read.
fn ends_only_when_the_reads_have(end: impl Fn(Context)) {
    const BLOCK: usize = 1 << 20;
    const BLOCKS: usize = 32;
    let content = pattern(BLOCK * BLOCKS);
    let file = TempFile::with(&content);
    let direct = file.direct();
    let mut memory = vec![0_u8; BLOCK * BLOCKS + 4096];
    let shift = memory.as_ptr().align_offset(4096);
    let base = memory[shift..].as_mut_ptr();
    let mut proved = false;
    for _ in 0..20 {
        memory.fill(0);
        let context = Context::new(BLOCKS as u32).unwrap();
        for block in 0..BLOCKS {
            let mut read = Pread::new(direct.as_raw_fd(), base.wrapping_add(block * BLOCK), BLOCK)
                .offset((block * BLOCK) as u64)
                .build();
            // SAFETY: `memory` is not accessed until the context has ended, except by
            // the volatile read below.
            assert_eq!(unsafe { context.submit(&mut [&mut read]) }, Ok(1));
        }
        // The kernel may write this byte during the read. It is therefore read as
        // volatile memory.
        let last = base.wrapping_add(BLOCK * BLOCKS - 1);
        // SAFETY: the byte is within `memory`.
        let in_flight = unsafe { last.read_volatile() } == 0;
        end(context);
        assert!(memory[shift..][..content.len()] == content[..]);
        proved |= in_flight;
        if proved {
            break;
        }
    }
    assert!(proved, "no read was ever in flight: the test shows nothing");
}

#[test]
fn destroy_blocks_until_the_reads_have_completed() {
    ends_only_when_the_reads_have(|context| context.destroy().unwrap());
}

#[test]
fn drop_blocks_until_the_reads_have_completed() {
    ends_only_when_the_reads_have(drop);
}

#[test]
fn destroy_completes_polls_that_would_never_be_ready() {
    let (reader, _writer) = support::pipe();
    let context = Context::new(8).unwrap();
    let mut poll = Poll::new(reader.as_raw_fd(), PollMask::IN).build();
    // SAFETY: a poll has no buffer.
    unsafe { context.submit(&mut [&mut poll]) }.unwrap();
    assert_eq!(context.destroy(), Ok(()));
}

#[test]
fn a_context_converts_to_raw_and_back() {
    let context = Context::new(8).unwrap();
    let raw = context.into_raw();
    assert_ne!(raw, AioContext::NONE);
    // SAFETY: `into_raw` gave up the ownership of this context just before.
    let context = unsafe { Context::from_raw(raw) };
    assert_eq!(context.as_raw(), raw);
    assert_eq!(context.check(), Ok(()));
    assert_eq!(context.destroy(), Ok(()));
}

#[test]
fn from_raw_takes_garbage_without_harm() {
    let stack = [0_u64; 8];
    for garbage in [0, 1, 4096, usize::MAX, (&raw const stack).addr()] {
        // SAFETY: this deliberately violates the promise of ownership. Only `check`
        // uses the name as a context, and `into_raw` removes it again, so nothing is
        // destroyed.
        unsafe {
            let mut context = Context::from_raw(AioContext(garbage));
            assert!(!context.ring().is_mapped());
            assert_eq!(context.check(), Err(Errno::INVAL));
            assert_eq!(context.into_raw(), AioContext(garbage));
        }
    }
}

#[test]
fn many_threads_submit_and_wait() {
    let file = TempFile::with(&pattern(4096));
    let context = Context::new(64).unwrap();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..500 {
                    let mut byte = 0_u8;
                    let mut read = Pread::new(file.fd(), &raw mut byte, 1).build();
                    let mut events = [Event::EMPTY; 1];
                    // SAFETY: a buffered read has completed when submit returns.
                    // Another thread may take this event, but each thread takes one.
                    unsafe { context.submit_all(&mut [&mut read]) }.unwrap();
                    assert_eq!(context.wait(1, &mut events).unwrap().len(), 1);
                }
            });
        }
    });
    let mut events = [Event::EMPTY; 1];
    let rest = context
        .wait_with(1, &mut events, WaitOptions::poll())
        .unwrap();
    assert_eq!(rest, &[], "2,000 in, 2,000 out");
}

#[test]
fn a_forked_child_cannot_use_the_context() {
    let (_reader, writer) = support::pipe();
    let mut context = Context::new(8).unwrap();
    let mut poll = Poll::new(writer.as_raw_fd(), PollMask::OUT).build();
    // SAFETY: a poll has no buffer.
    unsafe { context.submit(&mut [&mut poll]) }.unwrap();
    assert!(context.ring().is_mapped());
    let status = support::in_child(|| {
        let mut events = [Event::EMPTY; 1];
        let mut byte = 0_u8;
        let mut read = Pread::new(0, &raw mut byte, 1).build();
        // SAFETY: the read is refused; mincore may write one byte.
        let (submit, mapped) = unsafe {
            let ring = core::ptr::without_provenance_mut(context.as_raw().0);
            let mapped = libc::mincore(ring, 1, &raw mut byte);
            (context.submit(&mut [&mut read]), mapped)
        };
        let fails = [
            context.wait_with(0, &mut events, WaitOptions::poll()) != Err(Errno::INVAL),
            context.check() != Err(Errno::INVAL),
            submit != Err(Errno::INVAL),
            mapped != -1, // the ring is not even there
            // SAFETY: this child does not use the context again.
            unsafe { Context::from_raw(context.as_raw()) }.destroy() != Err(Errno::INVAL),
        ];
        fails
            .iter()
            .position(|&fail| fail)
            .map_or(0, |at| 1 + at as i32)
    });
    assert_eq!(status, 0, "which of the child's checks failed");
    // The event and the context still belong to the parent.
    assert!(context.ring().pop().unwrap().is_some());
    assert_eq!(context.destroy(), Ok(()));
}

#[test]
fn a_sandbox_without_aio_is_reported() {
    for (errno, expected) in [(libc::ENOSYS, Errno::NOSYS), (libc::EPERM, Errno::PERM)] {
        let status = support::in_child(|| {
            let before = Context::new(1).unwrap();
            support::forbid(&support::ALL, errno);
            let mut events = [Event::EMPTY; 1];
            let mut byte = 0_u8;
            let mut write = Pwrite::new(1, &raw const byte, 1).build();
            // SAFETY: the kernel does not run the refused system call.
            let submit = unsafe { before.submit(&mut [&mut write]) };
            byte = 1;
            let fails = [
                Context::new(1).err() != Some(expected),
                submit != Err(expected),
                before.wait(1, &mut events).err() != Some(expected),
                before.cancel(&raw const write) != Err(expected),
                before.check() != Err(expected),
                before.destroy() != Err(expected),
                byte != 1,
            ];
            fails
                .iter()
                .position(|&fail| fail)
                .map_or(0, |at| 1 + at as i32)
        });
        assert_eq!(status, 0, "which check failed with {expected:?}");
    }
}

#[test]
fn a_forbidden_io_pgetevents_does_not_stop_a_plain_wait() {
    use linux_aio::nr;
    let newer = [nr::IO_PGETEVENTS, nr::IO_PGETEVENTS_TIME64];
    for errno in [libc::EPERM, libc::ENOSYS] {
        let (_reader, writer) = support::pipe();
        let status = support::in_child(|| {
            let context = Context::new(1).unwrap();
            support::forbid(&newer, errno);
            let mut poll = Poll::new(writer.as_raw_fd(), PollMask::OUT).build();
            // SAFETY: a poll has no buffer.
            let submit = unsafe { context.submit(&mut [&mut poll]) };
            let mut events = [Event::EMPTY; 1];
            let mask = SigSet::empty();
            let masked = WaitOptions::poll().sigmask(&mask);
            let fails = [
                submit != Ok(1),
                // The mask cannot be changed atomically with the wait, so the wait
                // returns an error.
                context
                    .wait_with(0, &mut [], masked)
                    .err()
                    .map(Errno::raw_os_error)
                    != Some(errno),
                context.wait(1, &mut events).map(|got| got.len()) != Ok(1),
                context
                    .wait_with(1, &mut events, WaitOptions::poll())
                    .map(|got| got.len())
                    != Ok(0),
            ];
            fails
                .iter()
                .position(|&fail| fail)
                .map_or(0, |at| 1 + at as i32)
        });
        assert_eq!(status, 0, "which check failed with errno {errno}");
    }
}
