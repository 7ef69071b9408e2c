//! Tests the seven AIO system calls through `sys`: success, and each errno of the
//! manual pages.
#![cfg(any(target_os = "linux", target_os = "android"))]

mod support;

use core::ptr::{null, null_mut};
use std::os::fd::AsRawFd;

use linux_aio::abi::{
    IOCB_CMD_NOOP, Iocb, IocbFlags, OldTimespec, RwFlags, SigSet, SigsetArg, Timespec,
};
use linux_aio::opcode::{Fsync, Poll, PollMask, Pread};
use linux_aio::{AioContext, Errno, Event, nr, sys};

/// An address that no mapping covers.
const NOWHERE: usize = 16;

fn nowhere<T>() -> *mut T {
    core::ptr::without_provenance_mut(NOWHERE)
}

fn setup(nr_events: u32) -> AioContext {
    let mut ctx = AioContext::NONE;
    // SAFETY: `ctx` may be written.
    unsafe { sys::io_setup(nr_events, &raw mut ctx) }.unwrap();
    assert_ne!(ctx, AioContext::NONE);
    ctx
}

fn destroy(ctx: AioContext) -> Result<(), Errno> {
    // SAFETY: the tests read no ring through `sys` contexts.
    unsafe { sys::io_destroy(ctx) }
}

/// Submits iocbs whose buffers, if any, outlive the context.
fn submit(ctx: AioContext, iocbs: &mut [&mut Iocb]) -> Result<usize, Errno> {
    let pointers = iocbs.as_mut_ptr().cast();
    // SAFETY: the pointers are valid for the call, and the buffers outlive the context,
    // as the callers of this function keep them alive.
    unsafe { sys::io_submit(ctx, iocbs.len() as isize, pointers) }
}

fn poll_never(fd: &impl AsRawFd) -> Iocb {
    Poll::new(fd.as_raw_fd(), PollMask::IN).build()
}

#[test]
fn setup_and_destroy() {
    assert_eq!(destroy(setup(1)), Ok(()));
}

#[test]
fn setup_refuses() {
    let mut ctx = AioContext::NONE;
    // SAFETY: `ctx` may be written; the kernel refuses the bad pointer.
    unsafe {
        assert_eq!(sys::io_setup(0, &raw mut ctx), Err(Errno::INVAL));
        assert_eq!(sys::io_setup(u32::MAX, &raw mut ctx), Err(Errno::INVAL));
        assert_eq!(sys::io_setup(1, nowhere()), Err(Errno::FAULT));
        let max = std::fs::read_to_string("/proc/sys/fs/aio-max-nr").unwrap();
        let max: u32 = max.trim().parse().unwrap();
        assert_eq!(sys::io_setup(max + 1, &raw mut ctx), Err(Errno::AGAIN));
        assert_eq!(ctx, AioContext::NONE, "a failed setup writes nothing");
        let mut taken = AioContext(1);
        assert_eq!(sys::io_setup(1, &raw mut taken), Err(Errno::INVAL));
    }
}

#[test]
fn destroy_refuses() {
    assert_eq!(destroy(AioContext::NONE), Err(Errno::INVAL));
    assert_eq!(destroy(AioContext(NOWHERE)), Err(Errno::INVAL));
    assert_eq!(destroy(AioContext(usize::MAX)), Err(Errno::INVAL));
    let stack = 0_u64;
    let wild = AioContext((&raw const stack).addr());
    assert_eq!(destroy(wild), Err(Errno::INVAL));
}

#[test]
fn destroy_refuses_a_second_time() {
    // The child has one thread. With other threads the address may already be another
    // test's context.
    let status = support::in_child(|| {
        let ctx = setup(1);
        let answers = [destroy(ctx), destroy(ctx)];
        i32::from(answers != [Ok(()), Err(Errno::INVAL)])
    });
    assert_eq!(status, 0);
}

#[test]
fn submit_refuses() {
    let (reader, _writer) = support::pipe();
    let ctx = setup(8);
    let good = poll_never(&reader);
    let refused = |iocb: Iocb| submit(ctx, &mut [&mut { iocb }]).unwrap_err();

    // SAFETY: the kernel reads no iocb, as each call fails before.
    unsafe {
        assert_eq!(sys::io_submit(ctx, 0, null()), Ok(0));
        assert_eq!(sys::io_submit(ctx, -1, null()), Err(Errno::INVAL));
        assert_eq!(sys::io_submit(ctx, 1, nowhere()), Err(Errno::FAULT));
        let pointers = [nowhere::<Iocb>()];
        assert_eq!(sys::io_submit(ctx, 1, pointers.as_ptr()), Err(Errno::FAULT));
    }
    assert_eq!(
        submit(AioContext::NONE, &mut [&mut { good }]),
        Err(Errno::INVAL)
    );

    assert_eq!(refused(Poll::new(-1, PollMask::IN).build()), Errno::BADF);
    assert_eq!(
        refused(Iocb {
            opcode: IOCB_CMD_NOOP,
            ..good
        }),
        Errno::INVAL
    );
    assert_eq!(
        refused(Iocb {
            opcode: 0xffff,
            ..good
        }),
        Errno::INVAL
    );
    assert_eq!(
        refused(Iocb {
            reserved2: 1,
            ..good
        }),
        Errno::INVAL
    );
    assert_eq!(
        refused(Iocb {
            buf: 0x1_0000,
            ..good
        }),
        Errno::INVAL
    );
    assert_eq!(refused(Iocb { offset: 1, ..good }), Errno::INVAL);
    let sync = Fsync::new(reader.as_raw_fd()).build();
    assert_eq!(refused(Iocb { nbytes: 1, ..sync }), Errno::INVAL);
    let not_an_eventfd = Iocb {
        flags: IocbFlags::RESFD,
        resfd: reader.as_raw_fd() as u32,
        ..good
    };
    assert_eq!(refused(not_an_eventfd), Errno::INVAL);

    let file = support::TempFile::with(b"x");
    let mut byte = 0_u8;
    let read = Pread::new(file.fd(), &raw mut byte, 1);
    assert_eq!(refused(read.offset(1 << 63).build()), Errno::INVAL);
    let unknown_flag = RwFlags::from_bits_retain(1 << 30);
    assert_eq!(
        refused(read.rw_flags(unknown_flag).build()),
        Errno::OPNOTSUPP
    );
    assert_eq!(destroy(ctx), Ok(()));
}

#[test]
fn a_read_only_iocb_is_efault() {
    let (reader, _writer) = support::pipe();
    let ctx = setup(1);
    // SAFETY: the page is mapped here, used by nothing else, and unmapped below.
    unsafe {
        let (write, private) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE);
        let anonymous = private | libc::MAP_ANONYMOUS;
        let page = libc::mmap(null_mut(), 4096, write, anonymous, -1, 0);
        assert_ne!(page, libc::MAP_FAILED);
        let iocb = page.cast::<Iocb>();
        iocb.write(poll_never(&reader));
        assert_eq!(libc::mprotect(page, 4096, libc::PROT_READ), 0);
        let pointers = [iocb];
        assert_eq!(sys::io_submit(ctx, 1, pointers.as_ptr()), Err(Errno::FAULT));
        assert_eq!(libc::munmap(page, 4096), 0);
    }
    assert_eq!(destroy(ctx), Ok(()));
}

#[test]
fn a_batch_stops_at_the_first_that_fails() {
    let (reader, _writer) = support::pipe();
    let ctx = setup(8);
    let mut good = poll_never(&reader);
    let mut bad = Poll::new(-1, PollMask::IN).build();
    let mut late = poll_never(&reader);
    assert_eq!(submit(ctx, &mut [&mut good, &mut bad, &mut late]), Ok(1));
    assert_eq!(submit(ctx, &mut [&mut bad, &mut late]), Err(Errno::BADF));
    assert_eq!(submit(ctx, &mut [&mut late]), Ok(1));
    assert_eq!(destroy(ctx), Ok(()));
}

#[test]
fn a_full_ring_is_eagain() {
    let (reader, _writer) = support::pipe();
    let ctx = setup(1);
    let mut iocb = poll_never(&reader);
    // The capacity depends on the page size and the number of processors; it is never
    // in the thousands.
    let mut in_flight = 0;
    let error = loop {
        match submit(ctx, &mut [&mut iocb]) {
            Ok(count) => in_flight += count,
            Err(errno) => break errno,
        }
        assert!(in_flight < 100_000);
    };
    assert_eq!(error, Errno::AGAIN);
    assert!(in_flight >= 1);
    assert_eq!(destroy(ctx), Ok(()));
}

#[test]
fn cancel_says_einprogress_and_the_event_comes() {
    let (reader, _writer) = support::pipe();
    let ctx = setup(2);
    let mut iocb = poll_never(&reader).user_data(5);
    assert_eq!(submit(ctx, &mut [&mut iocb]), Ok(1));
    let mut result = Event::EMPTY;
    let mut events = [Event::EMPTY; 2];
    // SAFETY: iocb, result and events are alive and used by nothing else.
    unsafe {
        let cancel = sys::io_cancel(ctx, &raw const iocb, &raw mut result);
        assert_eq!(cancel, Err(Errno::INPROGRESS));
        assert_eq!(result, Event::EMPTY, "never written");
        let got = sys::io_getevents(ctx, 1, 2, events.as_mut_ptr(), null());
        // A 32-bit kernel may be built without the calls with 32-bit time; the tested
        // kernel has them.
        assert_eq!(got, Ok(1));
        assert_eq!((events[0].data, events[0].res), (5, 0));

        let again = sys::io_cancel(ctx, &raw const iocb, &raw mut result);
        assert_eq!(again, Err(Errno::INVAL), "already completed");
        let nothing = sys::io_cancel(ctx, nowhere(), &raw mut result);
        assert_eq!(nothing, Err(Errno::FAULT));
        let no_context = sys::io_cancel(AioContext::NONE, &raw const iocb, &raw mut result);
        assert_eq!(no_context, Err(Errno::INVAL));
    }
    assert_eq!(destroy(ctx), Ok(()));
}

/// Returns a context with one event to take.
fn one_event() -> AioContext {
    let (_reader, writer) = support::pipe();
    let ctx = setup(4);
    let mut ready = Poll::new(writer.as_raw_fd(), PollMask::OUT).build();
    assert_eq!(submit(ctx, &mut [&mut ready]), Ok(1));
    ctx
}

#[test]
fn getevents() {
    let ctx = one_event();
    let mut events = [Event::EMPTY; 4];
    let out = events.as_mut_ptr();
    let zero = OldTimespec::default();
    let short = OldTimespec {
        sec: 0,
        nsec: 20_000_000,
    };
    // SAFETY: `events` has space for four; the kernel refuses bad pointers.
    unsafe {
        assert_eq!(sys::io_getevents(ctx, -1, 4, out, &zero), Err(Errno::INVAL));
        assert_eq!(sys::io_getevents(ctx, 5, 4, out, &zero), Err(Errno::INVAL));
        let none = AioContext::NONE;
        assert_eq!(sys::io_getevents(none, 0, 4, out, &zero), Err(Errno::INVAL));
        let bad_time = nowhere::<OldTimespec>();
        assert_eq!(
            sys::io_getevents(ctx, 1, 4, out, bad_time),
            Err(Errno::FAULT)
        );
        assert_eq!(
            sys::io_getevents(ctx, 1, 4, nowhere(), &zero),
            Err(Errno::FAULT)
        );
        assert_eq!(sys::io_getevents(ctx, 0, 0, null_mut(), null()), Ok(0));
        // None of these calls took the event.
        assert_eq!(sys::io_getevents(ctx, 1, 4, out, &zero), Ok(1));
        assert_eq!(
            sys::io_getevents(ctx, 1, 4, out, &short),
            Ok(0),
            "the timeout has expired"
        );
    }
    assert_eq!(destroy(ctx), Ok(()));
}

#[test]
fn pgetevents() {
    let ctx = one_event();
    let mut events = [Event::EMPTY; 4];
    let out = events.as_mut_ptr();
    let zero = OldTimespec::default();
    let mask = SigSet::empty();
    let argument = SigsetArg::new(Some(&mask));
    // SAFETY: `events` has space for four, and the kernel refuses bad pointers; mask
    // and argument are alive.
    unsafe {
        let call = |min, sigmask| sys::io_pgetevents(ctx, min, 4, out, &zero, sigmask);
        assert_eq!(call(5, null()), Err(Errno::INVAL));
        assert_eq!(
            call(1, nowhere::<SigsetArg>().cast_const()),
            Err(Errno::FAULT)
        );
        // The argument is a pointer and a size, and the size is the kernel's.
        let half = [(&raw const mask).expose_provenance(), SigSet::BYTES / 2];
        let half = (&raw const half).cast::<SigsetArg>();
        assert_eq!(call(1, half), Err(Errno::INVAL));
        assert_eq!(call(1, &raw const argument), Ok(1));
        assert_eq!(call(1, null()), Ok(0));
    }
    assert_eq!(destroy(ctx), Ok(()));
}

#[test]
fn pgetevents_time64() {
    let ctx = one_event();
    let mut events = [Event::EMPTY; 4];
    let zero = Timespec::default();
    let mask = SigSet::full();
    let argument = SigsetArg::new(Some(&mask));
    // SAFETY: `events` has space for four; mask and argument are alive.
    let answer = unsafe {
        sys::io_pgetevents_time64(ctx, 1, 4, events.as_mut_ptr(), &zero, &raw const argument)
    };
    if nr::IO_PGETEVENTS_TIME64.is_some() {
        assert_eq!(answer, Ok(1));
        // SAFETY: the kernel refuses the bad pointers.
        let refused = unsafe { sys::io_pgetevents_time64(ctx, 1, 4, nowhere(), nowhere(), null()) };
        assert_eq!(refused, Err(Errno::FAULT));
    } else {
        assert_eq!(answer, Err(Errno::NOSYS), "a 64-bit ABI has no such call");
    }
    assert_eq!(destroy(ctx), Ok(()));
}
