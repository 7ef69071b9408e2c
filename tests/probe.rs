//! Tests the probe: what it reports agrees with what the kernel accepts, and in a sandbox
//! it never reports an operation or a system call that is refused.
#![cfg(all(feature = "std", any(target_os = "linux", target_os = "android")))]

#[path = "../src/probe/since.rs"]
mod since;
mod support;

use std::fs::File;

use linux_aio::abi::{
    IOCB_CMD_FDSYNC, IOCB_CMD_FSYNC, IOCB_CMD_NOOP, IOCB_CMD_POLL, IOCB_CMD_PREAD, IOCB_CMD_PREADV,
    IOCB_CMD_PWRITE, IOCB_CMD_PWRITEV, RwFlags,
};
use linux_aio::op::{Op, Read, Write};
use linux_aio::{Context, Errno, IdleContext, Probe, Queue, Slot, nr};
use since::SINCE;
use support::{TempFile, WAITS, forbid, in_child};

const OPCODES: [u16; 7] = [
    IOCB_CMD_PREAD,
    IOCB_CMD_PWRITE,
    IOCB_CMD_PREADV,
    IOCB_CMD_PWRITEV,
    IOCB_CMD_FSYNC,
    IOCB_CMD_FDSYNC,
    IOCB_CMD_POLL,
];

/// Returns the version of the running kernel.
fn version() -> (u32, u32) {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    let mut next = || numbers.next().unwrap().parse().unwrap();
    (next(), next())
}

fn probe() -> Result<Probe, Errno> {
    Probe::with_context(&mut IdleContext::new(1).unwrap())
}

fn has_all_opcodes(probe: &Probe) -> bool {
    OPCODES.iter().all(|&opcode| probe.supports(opcode))
}

/// Returns the number of open descriptors.
fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn this_kernel_has_everything_of_its_version() {
    let found = Probe::new().unwrap();
    assert!(has_all_opcodes(&found), "{found:?}");
    for opcode in [4, IOCB_CMD_NOOP, 9, 15, 16, 17, 32, u16::MAX] {
        assert!(!found.supports(opcode), "{opcode}");
    }
    let has = SINCE.iter().filter(|(_, since)| version() >= *since);
    let flags: RwFlags = has.map(|(flag, _)| *flag).collect();
    assert_eq!(found.rw_flags(), flags);
    assert!(found.supports_io_priority() && found.supports_cancel());
    assert!(found.supports_wait() && found.supports_sigmask() && found.has_mapped_ring());
}

#[test]
fn a_context_is_idle_after_each_probe() {
    in_child(|| {
        let mut context = IdleContext::new(1).unwrap();
        let first = Probe::with_context(&mut context).unwrap();
        let before = descriptors();
        // More events than the ring has slots.
        for _ in 0..2000 {
            assert_eq!(Probe::with_context(&mut context), Ok(first));
        }
        assert_eq!(descriptors(), before);
        let file = TempFile::with(b"text");
        let mut slots = Slot::<Vec<u8>>::array::<1>();
        let mut queue = Queue::with_context(context, &mut slots);
        let read = queue.push(Read::new(&file.file, vec![0; 8])).unwrap();
        let done = queue.wait().unwrap().unwrap();
        assert_eq!((done.ticket, done.result), (read, Ok(4)));
        assert!(queue.pop().unwrap().is_none());
        let mut context: Context = queue.into_idle_context().unwrap().into();
        assert_eq!(context.ring().pop(), Ok(None));
        0
    });
}

/// The flags of a file are those with which a write of it is accepted.
#[test]
fn the_flags_of_a_file_are_those_of_its_writes() {
    let mut context = IdleContext::new(1).unwrap();
    let found = Probe::with_context(&mut context).unwrap();
    let disk = TempFile::with(&[0; 4096]);
    let direct = disk.direct();
    let memory = File::from(support::memory_file());
    let null = File::options().write(true).open("/dev/null").unwrap();
    for file in [&disk.file, &direct, &memory, &null] {
        let flags = found.file_flags(&mut context, file).unwrap();
        for (flag, _) in SINCE {
            let mut slots = Slot::array::<1>();
            let mut queue = Queue::new(&mut slots).unwrap();
            let page = linux_aio::buffer::AlignedBox::<4096>::zeroed(4096).unwrap();
            let write: Op<'_, _> = Write::new(file, page).rw_flags(flag).into();
            queue.push(write).unwrap();
            let refused = queue.submit().map(drop).map_err(|error| error.errno);
            if flags.contains(flag) {
                assert_eq!(refused, Ok(()), "{flag:?} of {file:?}");
            } else {
                assert_eq!(refused, Err(Errno::OPNOTSUPP), "{flag:?} of {file:?}");
            }
        }
    }
}

#[test]
fn flags_are_found_without_a_transfer() {
    let mut context = IdleContext::new(1).unwrap();
    let found = Probe::with_context(&mut context).unwrap();
    let disk = TempFile::with(b"text");
    let both = found.file_flags(&mut context, &disk.file).unwrap();
    let reader = File::open(&disk.path).unwrap();
    assert_eq!(found.file_flags(&mut context, &reader), Ok(both));
    assert_eq!(std::fs::read(&disk.path).unwrap(), b"text");
    // A pipe that has no room, and one that is empty.
    let (reader, writer) = support::pipe();
    found.file_flags(&mut context, &reader).unwrap();
    found.file_flags(&mut context, &writer).unwrap();
    let refused = found.file_flags(&mut context, support::no_fd());
    assert_eq!(refused, Err(Errno::BADF));
    let mut context = context.into_context();
    assert_eq!(context.ring().pop(), Ok(None));
}

/// In every child `body` finds one of the calls refused with each of many errors.
fn without(calls: &[Option<u32>], body: impl Fn(Errno)) {
    for errno in [
        Errno::NOSYS,
        Errno::PERM,
        Errno::INVAL,
        Errno::BADF,
        Errno::OPNOTSUPP,
        Errno::FAULT,
        Errno::AGAIN,
        Errno::NOTBLK,
        Errno::ACCES,
    ] {
        let status = in_child(|| {
            forbid(calls, errno.raw_os_error());
            body(errno);
            7
        });
        assert_eq!(status, 7, "{errno}");
    }
}

#[test]
fn without_io_setup_there_is_an_error() {
    without(&[nr::IO_SETUP], |errno| {
        assert_eq!(Probe::new(), Err(errno));
    });
}

#[test]
fn without_io_submit_nothing_is_supported() {
    without(&[nr::IO_SUBMIT], |errno| match probe() {
        Err(error) => assert_eq!(error, errno),
        // The error of an unknown opcode.
        Ok(found) => {
            assert_eq!(errno, Errno::INVAL);
            assert!(!OPCODES.iter().any(|&opcode| found.supports(opcode)));
            assert!(found.rw_flags().is_empty() && !found.supports_io_priority());
        }
    });
    // A filter that returns 0 and does nothing.
    let status = in_child(|| {
        forbid(&[nr::IO_SUBMIT], 0);
        assert_eq!(probe(), Err(Errno::AGAIN));
        7
    });
    assert_eq!(status, 7);
}

#[test]
fn the_flags_of_a_file_need_io_submit() {
    let mut context = IdleContext::new(1).unwrap();
    let found = Probe::with_context(&mut context).unwrap();
    let file = File::open("/dev/null").unwrap();
    without(&[nr::IO_SUBMIT], |errno| {
        let mut context = IdleContext::new(1).unwrap();
        match found.file_flags(&mut context, &file) {
            Err(error) => assert_eq!(error, errno),
            // The error of a flag that is not accepted.
            Ok(flags) => assert_eq!((flags, errno), (RwFlags::empty(), Errno::OPNOTSUPP)),
        }
    });
}

#[test]
fn without_io_cancel_the_rest_is_supported() {
    without(&[nr::IO_CANCEL], |_| {
        let found = probe().unwrap();
        assert!(!found.supports_cancel());
        assert!(has_all_opcodes(&found) && found.supports_wait() && found.supports_sigmask());
    });
}

#[test]
fn without_waits_the_rest_is_supported() {
    without(&WAITS, |_| {
        let mut context = IdleContext::new(1).unwrap();
        let found = Probe::with_context(&mut context).unwrap();
        assert!(!found.supports_wait() && !found.supports_sigmask());
        assert!(has_all_opcodes(&found) && found.supports_cancel() && found.has_mapped_ring());
        // The event was taken from the ring.
        assert_eq!(Probe::with_context(&mut context), Ok(found));
    });
    // A filter that returns 0 and does nothing.
    let status = in_child(|| {
        forbid(&[&WAITS[..], &[nr::IO_CANCEL]].concat(), 0);
        let found = probe().unwrap();
        assert!(!found.supports_wait() && !found.supports_sigmask() && !found.supports_cancel());
        7
    });
    assert_eq!(status, 7);
}

#[test]
fn a_wait_without_a_mask_needs_one_of_the_calls() {
    for errno in [Errno::NOSYS, Errno::PERM] {
        let status = in_child(|| {
            forbid(
                &[nr::IO_PGETEVENTS, nr::IO_PGETEVENTS_TIME64],
                errno.raw_os_error(),
            );
            let found = probe().unwrap();
            assert!(found.supports_wait() && !found.supports_sigmask());
            7
        });
        assert_eq!(status, 7, "{errno}");
    }
    without(&[nr::IO_GETEVENTS], |_| {
        let found = probe().unwrap();
        assert!(found.supports_wait() && found.supports_sigmask());
    });
}

/// Where the ring cannot be read and no wait is permitted, the event of the poll stays
/// in the ring. Such a context is not idle, and is destroyed.
#[test]
fn a_context_whose_event_cannot_be_taken_is_destroyed() {
    let status = in_child(|| {
        forbid(&[Some(libc::SYS_madvise as u32)], libc::EPERM);
        let mut context = IdleContext::new(1).unwrap();
        let found = Probe::with_context(&mut context).unwrap();
        assert!(!found.has_mapped_ring() && has_all_opcodes(&found));
        assert_eq!(
            Probe::with_context(&mut context),
            Ok(found),
            "by io_getevents"
        );
        forbid(&WAITS, libc::EPERM);
        let found = Probe::with_context(&mut context).unwrap();
        assert!(has_all_opcodes(&found) && !found.supports_wait());
        assert_eq!(Probe::with_context(&mut context), Err(Errno::INVAL));
        7
    });
    assert_eq!(status, 7);
}

#[test]
fn without_a_descriptor_there_is_an_error() {
    without(&[Some(libc::SYS_openat as u32)], |errno| {
        let mut context = IdleContext::new(1).unwrap();
        assert_eq!(Probe::with_context(&mut context), Err(errno));
    });
    let status = in_child(|| {
        let none = libc::rlimit {
            rlim_cur: 0,
            rlim_max: 0,
        };
        // SAFETY: the structure is valid for the call.
        let limited = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const none) };
        assert_eq!(limited, 0);
        assert_eq!(Probe::new(), Err(Errno::MFILE));
        7
    });
    assert_eq!(status, 7);
}

/// The root directory takes the place of `/dev/null`.
#[test]
fn without_dev_null_the_probe_is_the_same() {
    let found = probe().unwrap();
    let empty = TempFile::with(b"").path.with_extension("root");
    std::fs::create_dir(&empty).unwrap();
    let path = std::ffi::CString::new(empty.to_str().unwrap()).unwrap();
    let status = in_child(|| {
        // SAFETY: the path ends in a zero byte. The child alone gets another root.
        let changed = unsafe {
            let _ = libc::unshare(libc::CLONE_NEWUSER);
            libc::chroot(path.as_ptr())
        };
        if changed != 0 {
            return 8;
        }
        assert!(File::open("/dev/null").is_err());
        assert_eq!(probe(), Ok(found));
        7
    });
    std::fs::remove_dir(&empty).unwrap();
    if status == 8 {
        support::skip::skip("chroot(2) needs a privilege or a user namespace");
    } else {
        assert_eq!(status, 7);
    }
}

#[test]
fn a_forked_child_probes_with_a_context_of_its_own() {
    let mut context = IdleContext::new(1).unwrap();
    let found = Probe::with_context(&mut context).unwrap();
    let file = File::open("/dev/null").unwrap();
    let status = in_child(|| {
        assert_eq!(Probe::with_context(&mut context), Err(Errno::INVAL));
        let refused = found.file_flags(&mut context, &file);
        assert_eq!(refused, Err(Errno::INVAL));
        assert_eq!(Probe::new(), Ok(found));
        7
    });
    assert_eq!(status, 7);
    assert_eq!(Probe::with_context(&mut context), Ok(found), "the parent's");
}

/// A signal that is pending and blocked stays so: the wait with a mask blocks all.
#[test]
fn no_signal_is_delivered() {
    let status = in_child(|| {
        support::block(libc::SIGUSR1);
        support::send_here(libc::SIGUSR1);
        assert!(probe().unwrap().supports_sigmask());
        // SAFETY: the set is written by the call, and then only read.
        let pending = unsafe {
            let mut set = core::mem::zeroed();
            assert_eq!(libc::sigpending(&raw mut set), 0);
            libc::sigismember(&raw const set, libc::SIGUSR1)
        };
        assert_eq!(pending, 1);
        7
    });
    assert_eq!(status, 7);
}

/// A program that another thread executes meanwhile does not inherit the descriptor.
#[test]
fn the_descriptor_is_closed_at_exec() {
    if !support::skip::have(&["strace"]) {
        return;
    }
    let output = std::process::Command::new("strace")
        .args(["-f", "-e", "trace=openat"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "this_kernel_has_everything_of_its_version"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    let opened: Vec<_> = text
        .lines()
        .filter(|line| line.contains("/dev/null"))
        .collect();
    assert!(!opened.is_empty(), "{text}");
    assert!(
        opened.iter().all(|line| line.contains("O_CLOEXEC")),
        "{text}"
    );
}
