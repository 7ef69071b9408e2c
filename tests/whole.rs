//! Tests of reads and writes that continue until everything is transferred.
#![cfg(all(feature = "std", any(target_os = "linux", target_os = "android")))]

mod support;

use std::fs::File;
use std::future::Future;
use std::io::Write as _;
use std::pin::pin;
use std::task::{Context as Task, Poll, Waker};

use linux_aio::buffer::{Append, Slice};
use linux_aio::op::Read;
use linux_aio::reactor::{Local, Lock, Reactor};
use linux_aio::{Errno, Queue, WaitOptions};
use support::{TempFile, no_fd, pattern};

/// Runs a task and its reactor on this thread.
fn run<B, F>(reactor: &Reactor<'_, B, Local>, task: F) -> F::Output
where
    B: linux_aio::buffer::IoBuf + 'static,
    F: Future,
{
    let mut task = pin!(task);
    loop {
        if let Poll::Ready(value) = task.as_mut().poll(&mut Task::from_waker(Waker::noop())) {
            return value;
        }
        reactor.wait(WaitOptions::new()).unwrap();
    }
}

fn reactor<B: linux_aio::buffer::IoBuf + 'static, L: Lock>() -> Reactor<'static, B, L> {
    Reactor::with_capacity(1).unwrap()
}

fn leaked(file: File) -> &'static File {
    Box::leak(Box::new(file))
}

#[test]
fn a_read_ends_with_the_buffer_or_the_file() {
    let content = pattern(100);
    let file = TempFile::with(&content);
    let fd = leaked(file.file.try_clone().unwrap());
    let reactor = reactor::<Slice<Vec<u8>>, Local>();
    for (len, offset, expected) in [(10, 0, 10), (10, 95, 5), (10, 100, 0), (0, 0, 0)] {
        let (result, buffer) = run(&reactor, reactor.read_exact_at(fd, vec![0; len], offset));
        assert_eq!(result, Ok(expected));
        assert_eq!(buffer.len(), len);
        let from = offset as usize;
        assert_eq!(buffer[..expected], content[from..from + expected]);
    }
    let spare = Vec::with_capacity(7);
    let (result, buffer) = run(&reactor, reactor.read_exact_at(fd, spare, 3));
    assert_eq!(buffer, content[3..3 + result.unwrap()]);
    let (result, buffer) = run(&reactor, reactor.read_exact_at(no_fd(), vec![1; 3], 0));
    assert_eq!((result, buffer), (Err(Errno::BADF), vec![1; 3]));
}

/// A pipe returns what it has: three reads make one of ten bytes.
#[test]
fn short_reads_go_on() {
    let (reader, writer) = support::pipe();
    let (reader, mut writer) = (leaked(File::from(reader)), File::from(writer));
    let reactor = reactor::<Slice<Vec<u8>>, Local>();
    writer.write_all(b"012").unwrap();
    let thread = std::thread::spawn(move || {
        for part in [&b"3456"[..], b"789"] {
            std::thread::sleep(std::time::Duration::from_millis(20));
            writer.write_all(part).unwrap();
        }
    });
    let (result, buffer) = run(&reactor, reactor.read_exact_at(reader, vec![0; 10], 0));
    thread.join().unwrap();
    assert_eq!((result, &buffer[..]), (Ok(10), &b"0123456789"[..]));
}

/// The kernel writes as far as the limit of file sizes, and refuses the rest.
#[test]
fn short_writes_go_on() {
    let content = pattern(10_000);
    let file = TempFile::with(b"");
    let fd = leaked(file.file.try_clone().unwrap());
    let reactor_ = reactor::<Slice<Vec<u8>>, Local>();
    let all = content.clone();
    let (result, buffer) = run(&reactor_, reactor_.write_all_at(fd, all, 5));
    assert_eq!((result, buffer.len()), (Ok(10_000), 10_000));
    assert_eq!(std::fs::read(&file.path).unwrap()[5..], content);

    let limited = TempFile::with(b"");
    let child = || {
        let limit = libc::rlimit {
            rlim_cur: 6000,
            rlim_max: 6000,
        };
        // SAFETY: the limit is read during the call; the handler is a constant.
        unsafe {
            libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
            assert_eq!(libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit), 0);
        }
        let reactor = reactor::<Slice<Vec<u8>>, Local>();
        let fd = leaked(limited.file.try_clone().unwrap());
        let all = content.clone();
        let (result, buffer) = run(&reactor, reactor.write_all_at(fd, all, 0));
        assert_eq!((result, buffer.len()), (Err(Errno::FBIG), 10_000));
        0
    };
    assert_eq!(support::in_child(child), 0);
    assert_eq!(std::fs::read(&limited.path).unwrap(), content[..6000]);
}

#[test]
fn a_file_is_read_to_its_end() {
    for len in [0, 1, 4095, 4096, 4097, 20_000] {
        let content = pattern(len);
        let file = TempFile::with(&content);
        let fd = leaked(file.file.try_clone().unwrap());
        let reactor = reactor::<Append, Local>();
        let buffer = Append::from(b"head".to_vec());
        let (result, buffer) = run(&reactor, reactor.read_to_end_at(fd, buffer, 0));
        assert_eq!(result, Ok(len));
        assert_eq!(buffer.into_inner(), [b"head", &content[..]].concat());
    }
    let reactor = reactor::<Append, Local>();
    let buffer = Append::from(b"kept".to_vec());
    let (result, buffer) = run(&reactor, reactor.read_to_end_at(no_fd(), buffer, 0));
    assert_eq!((result, &buffer[..]), (Err(Errno::BADF), &b"kept"[..]));
}

/// `?` converts a full queue, as it converts every other error.
#[test]
fn a_full_queue_is_an_io_error() {
    fn push(queue: &mut Queue<'_, Vec<u8>>) -> std::io::Result<()> {
        queue.push(Read::new(no_fd(), vec![]))?;
        Ok(())
    }
    let mut queue = Queue::with_capacity(1).unwrap();
    push(&mut queue).unwrap();
    let full = push(&mut queue).unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::WouldBlock);
}

/// The spare capacity of an appended vector is not read into, in part or twice.
#[test]
fn an_appended_vector_is_read_into_once() {
    let file = TempFile::with(b"abcdefghijklmnop");
    let fd = leaked(file.file.try_clone().unwrap());
    let reactor = reactor::<Slice<Append>, Local>();
    let mut buffer = Append::from(b"HEADER".to_vec());
    buffer.reserve(10);
    let (result, buffer) = run(&reactor, reactor.read_exact_at(fd, buffer, 0));
    assert_eq!((result, &buffer[..]), (Ok(6), &b"abcdef"[..]));
}
