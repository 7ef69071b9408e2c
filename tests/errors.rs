//! Tests the errors of `docs/errors.md` that need a certain file, descriptor or resource
//! of the process. The tests of `calls.rs` and the conformance program have the others.
#![cfg(any(target_os = "linux", target_os = "android"))]

mod support;

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::net::UdpSocket;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

use linux_aio::abi::{IoVec, Iocb, RwFlags};
use linux_aio::opcode::{Fsync, Poll, PollMask, Pread, Preadv, Pwrite};
use linux_aio::{Context, Errno, Event, Probe};

/// The place of an error.
#[derive(Debug, PartialEq)]
enum Outcome {
    Refused(Errno),
    Event(Result<usize, Errno>),
}

use Outcome::{Event as Completed, Refused};

/// Submits an operation and waits for its event, if it is accepted.
fn outcome(context: &Context, mut iocb: Iocb) -> Outcome {
    // SAFETY: the callers' buffers live until this returns, which is after the event.
    if let Err(errno) = unsafe { context.submit(&mut [&mut iocb]) } {
        return Refused(errno);
    }
    let mut events = [Event::EMPTY];
    Completed(context.wait(1, &mut events).unwrap()[0].result())
}

fn read(file: &impl AsRawFd, buffer: &mut [u8]) -> Pread {
    Pread::new(file.as_raw_fd(), buffer.as_mut_ptr(), buffer.len())
}

/// Verifies that the kernel refuses the operation with EINVAL, although the context exists.
fn refused_by_operation(context: &Context, iocb: Iocb) {
    assert_eq!(outcome(context, iocb), Refused(Errno::INVAL), "{iocb:?}");
    assert_eq!(context.check(), Ok(()));
}

#[test]
fn a_descriptor_must_be_open_for_the_operation() {
    let context = Context::new(4).unwrap();
    let mut byte = [0];
    let exe = File::open("/proc/self/exe").unwrap();
    let path = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_PATH)
        .open("/proc/self/exe")
        .unwrap();
    let write = Pwrite::new(exe.as_raw_fd(), byte.as_ptr(), 1).build();
    assert_eq!(outcome(&context, write), Refused(Errno::BADF));
    let through_path = read(&path, &mut byte).build();
    assert_eq!(outcome(&context, through_path), Refused(Errno::BADF));
    // An fsync needs no descriptor that is open for writing.
    let sync = Fsync::new(exe.as_raw_fd()).build();
    assert_eq!(outcome(&context, sync), Completed(Ok(0)));
}

#[test]
fn a_file_must_have_the_operation() {
    let context = Context::new(4).unwrap();
    let (reader, _writer) = support::pipe();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let null = File::open("/dev/null").unwrap();
    let root = File::open("/").unwrap();
    for fd in [reader.as_raw_fd(), socket.as_raw_fd(), null.as_raw_fd()] {
        refused_by_operation(&context, Fsync::new(fd).build());
    }
    let mut byte = [0];
    let directory = read(&root, &mut byte).build();
    let got = outcome(&context, directory);
    assert!(
        [
            Refused(Errno::INVAL),
            Completed(Err(Errno::ISDIR)),
            Refused(Errno::ISDIR)
        ]
        .contains(&got),
        "{got:?}"
    );
    // A poll of a regular file completes at once.
    let file = support::memory_file();
    let poll = Poll::new(file.as_raw_fd(), PollMask::IN).build();
    assert_eq!(outcome(&context, poll), Completed(Ok(1)));
    let urgent = Poll::new(file.as_raw_fd(), PollMask::PRI).build();
    refused_by_operation(&context, urgent);
}

#[test]
fn a_terminal_can_be_polled_only_if_it_is_ready() {
    let flags = libc::O_RDWR | libc::O_NOCTTY;
    // SAFETY: the call touches no memory.
    let master = unsafe { libc::posix_openpt(flags) };
    assert!(master >= 0, "{}", std::io::Error::last_os_error());
    // SAFETY: the descriptor is new and has no other owner.
    let master = unsafe { OwnedFd::from_raw_fd(master) };
    // SAFETY: the descriptor is open, and the calls touch no memory.
    let terminal = unsafe {
        assert_eq!(libc::grantpt(master.as_raw_fd()), 0);
        assert_eq!(libc::unlockpt(master.as_raw_fd()), 0);
        libc::ioctl(master.as_raw_fd(), libc::TIOCGPTPEER, flags)
    };
    assert!(terminal >= 0, "{}", std::io::Error::last_os_error());
    // SAFETY: the descriptor is new and has no other owner.
    let terminal = File::from(unsafe { OwnedFd::from_raw_fd(terminal) });

    let context = Context::new(4).unwrap();
    let poll = || Poll::new(terminal.as_raw_fd(), PollMask::IN).build();
    refused_by_operation(&context, poll());
    File::from(master.try_clone().unwrap())
        .write_all(b"a line\n")
        .unwrap();
    let Completed(Ok(ready)) = outcome(&context, poll()) else {
        panic!("a terminal with a line is not ready");
    };
    assert!(PollMask::from_result(ready).contains(PollMask::IN));
}

#[test]
fn lengths_and_segments_must_not_be_negative() {
    let context = Context::new(4).unwrap();
    let file = support::memory_file();
    let mut bytes = [0; 4];
    let end = read(&file, &mut bytes).offset(i64::MAX as u64).build();
    refused_by_operation(&context, end);
    for (len, count) in [(usize::MAX, 1), (1, 1025)] {
        let segments = vec![
            IoVec {
                base: bytes.as_mut_ptr().cast(),
                len,
            };
            1025
        ];
        let read = Preadv::new(file.as_raw_fd(), segments.as_ptr(), count).build();
        refused_by_operation(&context, read);
    }
    let segment = IoVec {
        base: bytes.as_mut_ptr().cast(),
        len: 0,
    };
    let most = vec![segment; 1024];
    let read = Preadv::new(file.as_raw_fd(), most.as_ptr(), 1024).build();
    assert_eq!(outcome(&context, read), Completed(Ok(0)));
}

#[test]
fn flags_that_exclude_each_other_are_refused() {
    if !Probe::new().unwrap().rw_flags().contains(RwFlags::NOAPPEND) {
        return support::skip::skip("this kernel has no RWF_NOAPPEND");
    }
    let context = Context::new(4).unwrap();
    let file = support::memory_file();
    let flags = RwFlags::APPEND | RwFlags::NOAPPEND;
    let write = Pwrite::new(file.as_raw_fd(), b"x".as_ptr(), 1).rw_flags(flags);
    refused_by_operation(&context, write.build());
}

#[test]
fn a_descriptor_that_does_not_block_has_eagain_in_the_event() {
    let context = Context::new(4).unwrap();
    let eventfd: OwnedFd = support::eventfd();
    let mut count = [0; 8];
    let read = read(&eventfd, &mut count).build();
    assert_eq!(outcome(&context, read), Completed(Err(Errno::AGAIN)));
}

#[test]
fn a_context_needs_no_descriptor() {
    let status = support::in_child(|| {
        let none = libc::rlimit {
            rlim_cur: 0,
            rlim_max: 0,
        };
        // SAFETY: the limit is only read.
        let limited = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const none) };
        i32::from(limited == 0 && Context::new(1).is_ok())
    });
    assert_eq!(status, 1);
}

#[test]
fn a_context_needs_a_mapping() {
    let most = std::fs::read_to_string("/proc/sys/vm/max_map_count").unwrap();
    if most.trim().parse::<u32>().unwrap() > 1 << 20 {
        return support::skip::skip("vm.max_map_count is too large to be reached");
    }
    let status = support::in_child(|| {
        // Neighbours differ in their protection, so that each is a mapping of its own.
        let mut protection = libc::PROT_NONE;
        loop {
            protection ^= libc::PROT_READ;
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
            // SAFETY: a new mapping at an address that the kernel chooses.
            let at = unsafe { libc::mmap(core::ptr::null_mut(), 1, protection, flags, -1, 0) };
            if at == libc::MAP_FAILED {
                break;
            }
        }
        i32::from(Context::new(1).map(drop) == Err(Errno::NOMEM))
    });
    assert_eq!(status, 1);
}

#[test]
fn a_context_is_locked_memory_after_mlockall() {
    let status = support::in_child(|| {
        const NOBODY: libc::uid_t = 65534;
        let most = libc::rlimit {
            rlim_cur: 64 << 10,
            rlim_max: 64 << 10,
        };
        // SAFETY: the calls change this child alone. The user `nobody` has no
        // CAP_IPC_LOCK, with which the limit does not apply.
        unsafe {
            assert_eq!(libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const most), 0);
            if libc::geteuid() == 0 {
                assert_eq!(libc::setresuid(NOBODY, NOBODY, NOBODY), 0);
            }
            assert_eq!(libc::mlockall(libc::MCL_FUTURE), 0);
        }
        // A ring of 2,000 operations has 128 KB.
        let refused = Context::new(2000).map(drop) == Err(Errno::NOMEM);
        // SAFETY: as above.
        unsafe { libc::munlockall() };
        i32::from(refused) + 2 * i32::from(Context::new(2000).is_ok())
    });
    assert_eq!(status, 3);
}
