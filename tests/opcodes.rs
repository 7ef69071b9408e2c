//! Tests every opcode, flag and notification on real files.
#![cfg(any(target_os = "linux", target_os = "android"))]

mod support;

use std::os::fd::AsRawFd;

use linux_aio::abi::{IoVec, RwFlags};
use linux_aio::opcode::{
    Fdsync, Fsync, IoPriority, Poll, PollMask, Pread, Preadv, Pwrite, Pwritev,
};
use linux_aio::{Context, Errno};
use support::{TempFile, run};

#[test]
fn pread_and_pwrite() {
    let context = Context::new(8).unwrap();
    let file = TempFile::with(b"0123456789");
    let written = b"abc";
    let mut buffer = [0_u8; 8];
    // SAFETY: the buffers outlive `run`, which waits for the event.
    unsafe {
        let write = Pwrite::new(file.fd(), written.as_ptr(), 3).offset(4);
        let event = run(&context, write.build().user_data(u64::MAX));
        assert_eq!((event.user_data(), event.result()), (u64::MAX, Ok(3)));
        let read = Pread::new(file.fd(), buffer.as_mut_ptr(), 8).offset(3);
        assert_eq!(
            run(&context, read.build()).result(),
            Ok(7),
            "short at the end"
        );
    }
    assert_eq!(&buffer, b"3abc789\0");
}

#[test]
fn vectored() {
    let context = Context::new(8).unwrap();
    let file = TempFile::with(b"");
    let segment = |bytes: &mut [u8]| IoVec {
        base: bytes.as_mut_ptr().cast(),
        len: bytes.len(),
    };
    let (mut one, mut two) = (*b"one,", *b"two!!");
    let out = [segment(&mut one), segment(&mut two)];
    let (mut head, mut tail) = ([0; 2], [0; 7]);
    let back = [segment(&mut head), segment(&mut tail)];
    // SAFETY: the pieces outlive `run`, which waits for the event.
    unsafe {
        let write = Pwritev::new(file.fd(), out.as_ptr(), 2).build();
        assert_eq!(run(&context, write).result(), Ok(9));
        let read = Preadv::new(file.fd(), back.as_ptr(), 2).build();
        assert_eq!(run(&context, read).result(), Ok(9));
        let mut too_many = Preadv::new(file.fd(), back.as_ptr(), 1025).build();
        let refused = context.submit(&mut [&mut too_many]);
        assert_eq!(refused, Err(Errno::INVAL));
    }
    assert_eq!((&head, &tail), (b"on", b"e,two!!"));
}

#[test]
fn fsync_and_fdsync() {
    let context = Context::new(8).unwrap();
    let file = TempFile::with(b"to the disk");
    // SAFETY: the operation has no buffer.
    unsafe {
        let sync = Fsync::new(file.fd()).build();
        assert_eq!(run(&context, sync).result(), Ok(0));
        let sync = Fdsync::new(file.fd()).build();
        assert_eq!(run(&context, sync).result(), Ok(0));
    }
}

#[test]
fn poll_reports_the_ready_events() {
    let context = Context::new(8).unwrap();
    let (reader, writer) = support::pipe();
    // SAFETY: the operation has no buffer.
    let event = unsafe {
        let poll = Poll::new(writer.as_raw_fd(), PollMask::OUT | PollMask::IN);
        run(&context, poll.build())
    };
    let came = PollMask::from_result(event.result().unwrap());
    assert_eq!(came & (PollMask::OUT | PollMask::IN), PollMask::OUT);
    drop(writer);
    // SAFETY: the operation has no buffer.
    let event = unsafe {
        let poll = Poll::new(reader.as_raw_fd(), PollMask::IN).build();
        run(&context, poll)
    };
    let came = PollMask::from_result(event.result().unwrap());
    assert!(came.contains(PollMask::HUP), "{came:?}");
}

#[test]
fn rdhup_has_the_value_of_this_architecture() {
    let context = Context::new(8).unwrap();
    let mut ends = [0; 2];
    // SAFETY: two integers are written; the descriptors are closed below.
    unsafe {
        let (family, kind) = (libc::AF_UNIX, libc::SOCK_STREAM);
        assert_eq!(libc::socketpair(family, kind, 0, ends.as_mut_ptr()), 0);
        assert_eq!(libc::shutdown(ends[1], libc::SHUT_WR), 0);
        let event = run(&context, Poll::new(ends[0], PollMask::RDHUP).build());
        let came = PollMask::from_result(event.result().unwrap());
        assert!(came.contains(PollMask::RDHUP), "{came:?}");
        for fd in ends {
            libc::close(fd);
        }
    }
    assert_eq!(PollMask::RDHUP.bits() as i16, libc::POLLRDHUP);
}

#[test]
fn transfer_errors_arrive_in_the_event() {
    let context = Context::new(8).unwrap();
    let file = TempFile::with(&support::pattern(8192));
    let nowhere = core::ptr::without_provenance_mut::<u8>(16);
    let direct = file.direct();
    let mut buffer = [0_u8; 512];
    // SAFETY: the kernel detects the bad address; the buffer is alive.
    unsafe {
        let read = Pread::new(file.fd(), nowhere, 100).build();
        assert_eq!(run(&context, read).result(), Err(Errno::FAULT));
        // The address is one byte off every alignment.
        let odd = buffer.as_mut_ptr().map_addr(|address| address | 1);
        let read = Pread::new(direct.as_raw_fd(), odd, 511).build();
        assert_eq!(run(&context, read).result(), Err(Errno::INVAL));
    }
}

#[test]
fn rw_flags() {
    let context = Context::new(8).unwrap();
    let file = TempFile::with(b"head");
    let tail = b"tail";
    let mut buffer = [0_u8; 8];
    // SAFETY: the buffers outlive `run`, which waits for the event.
    unsafe {
        let write = |flags| {
            let write = Pwrite::new(file.fd(), tail.as_ptr(), 4).rw_flags(flags);
            run(&context, write.build()).result()
        };
        assert_eq!(
            write(RwFlags::APPEND),
            Ok(4),
            "offset 0, and yet at the end"
        );
        assert_eq!(write(RwFlags::DSYNC), Ok(4));
        assert_eq!(write(RwFlags::SYNC), Ok(4));
        assert_eq!(write(RwFlags::HIPRI), Ok(4));
        let read = Pread::new(file.fd(), buffer.as_mut_ptr(), 8);
        // The data is in the page cache, so the read need not wait.
        let event = run(&context, read.rw_flags(RwFlags::NOWAIT).build());
        assert_eq!(event.result(), Ok(8));
    }
    assert_eq!(&buffer, b"tailtail");
}

#[test]
fn nowait_returns_eagain_in_the_event() {
    let context = Context::new(8).unwrap();
    let content = support::pattern(1 << 20);
    let file = TempFile::with(&content);
    let mut buffer = [0_u8; 4096];
    // The data is not in the page cache, so reading it would wait for the disk. The
    // kernel starts to read it nevertheless, so a fast disk may have the page ready in
    // time, but not on each attempt.
    let mut refused = 0;
    for offset in (0..content.len()).step_by(4096) {
        // SAFETY: the advice only concerns a descriptor; the buffer outlives `run`.
        let result = unsafe {
            assert_eq!(
                libc::posix_fadvise(file.fd().as_raw(), 0, 0, libc::POSIX_FADV_DONTNEED),
                0
            );
            let read = Pread::new(file.fd(), buffer.as_mut_ptr(), 4096).offset(offset as u64);
            run(&context, read.rw_flags(RwFlags::NOWAIT).build()).result()
        };
        match result {
            Err(errno) => {
                assert_eq!(errno, Errno::AGAIN);
                refused += 1;
            }
            Ok(count) => assert_eq!(buffer[..count], content[offset..][..4096]),
        }
    }
    assert!(refused > 0, "every page was there at once");
}

#[test]
fn priorities() {
    let context = Context::new(8).unwrap();
    let file = TempFile::with(b"x");
    let mut byte = 0_u8;
    let levels = [
        IoPriority::idle(),
        IoPriority::best_effort(0).unwrap(),
        IoPriority::best_effort(7).unwrap(),
    ];
    for priority in levels {
        let read = Pread::new(file.fd(), &raw mut byte, 1).ioprio(priority);
        // SAFETY: the byte outlives `run`, which waits for the event.
        assert_eq!(unsafe { run(&context, read.build()) }.result(), Ok(1));
    }
    assert_eq!(IoPriority::best_effort(8), None);
    assert_eq!(IoPriority::real_time(8), None);

    // A class that does not exist is refused, which verifies that the field reaches the
    // kernel.
    let mut wrong = Pread::new(file.fd(), &raw mut byte, 1)
        .ioprio(IoPriority::idle())
        .build();
    wrong.reqprio = 5 << 13;
    // SAFETY: the kernel refuses the operation, so it never accesses the buffer.
    let refused = unsafe { context.submit(&mut [&mut wrong]) };
    assert_eq!(refused, Err(Errno::INVAL));
}

#[test]
fn an_eventfd_counts_completions() {
    let context = Context::new(8).unwrap();
    let eventfd = support::eventfd();
    let file = TempFile::with(b"x");
    let mut byte = 0_u8;
    // SAFETY: the byte outlives `run`, which waits for the event.
    unsafe {
        for _ in 0..3 {
            let read = Pread::new(file.fd(), &raw mut byte, 1);
            run(&context, read.eventfd(eventfd.as_raw_fd()).build());
        }
        let sync = Fsync::new(file.fd()).eventfd(eventfd.as_raw_fd());
        run(&context, sync.build());
        let mut count = 0_u64;
        let bytes = libc::read(eventfd.as_raw_fd(), (&raw mut count).cast(), 8);
        assert_eq!((bytes, count), (8, 4));
    }
}

#[cfg(feature = "std")]
#[test]
fn types_of_the_standard_library_are_accepted() {
    use std::os::fd::AsFd;
    let context = Context::new(8).unwrap();
    let file = TempFile::with(b"x");
    let eventfd = support::eventfd();
    let mut byte = 0_u8;
    // SAFETY: the byte outlives `run`, which waits for the event.
    unsafe {
        let by_owner = Pread::new(&file.file, &raw mut byte, 1).eventfd(&eventfd);
        assert_eq!(run(&context, by_owner.build()).result(), Ok(1));
        let by_borrow = Pread::new(file.file.as_fd(), &raw mut byte, 1);
        assert_eq!(run(&context, by_borrow.build()).result(), Ok(1));
    }
    let error: std::io::Error = Errno::NOSPC.into();
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
}
