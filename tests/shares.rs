//! Tests of futures that own a share of their reactor.
#![cfg(all(feature = "std", any(target_os = "linux", target_os = "android")))]

mod support;

use std::fs::File;
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context as Task, Poll, Waker};
use std::thread;
use std::time::Instant;

use linux_aio::op::{Poll as PollOp, Read, Write};
use linux_aio::opcode::PollMask;
use linux_aio::reactor::{OpFuture, Reactor, Shared};
use linux_aio::{Errno, WaitOptions};
use support::{TempFile, eventfd, pattern};

type Shares = Reactor<'static, Vec<u8>, Shared, Arc<File>>;

/// A stream over a file, in the manner of `AsyncRead`: it stores the read in flight, and
/// reuses the place for the next one.
struct Stream {
    reactor: Arc<Shares>,
    file: Arc<File>,
    at: u64,
    read: Option<OpFuture<Arc<Shares>>>,
}

impl Stream {
    /// Returns the next bytes; none at the end of the file.
    fn poll_next(self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Result<Vec<u8>, Errno>> {
        // SAFETY: `read` is pinned with the structure: it is polled, replaced and dropped
        // in place. No other field is pinned.
        let (this, mut read) = unsafe {
            let Stream {
                reactor,
                file,
                at,
                read,
            } = self.get_unchecked_mut();
            ((reactor, file, at), Pin::new_unchecked(read))
        };
        let (reactor, file, at) = this;
        if read.is_none() {
            let op = Read::owned(file.clone(), vec![0; 100]).offset(*at);
            read.set(Some(reactor.push_arc(op)));
        }
        let Poll::Ready(done) = read.as_mut().as_pin_mut().unwrap().poll(task) else {
            return Poll::Pending;
        };
        read.set(None);
        let count = match done.result {
            Ok(count) => count,
            Err(errno) => return Poll::Ready(Err(errno)),
        };
        *at += count as u64;
        let mut bytes = done.buffer;
        bytes.truncate(count);
        Poll::Ready(Ok(bytes))
    }
}

fn file(content: &[u8]) -> (TempFile, Arc<File>) {
    let file = TempFile::with(content);
    let shared = Arc::new(file.file.try_clone().unwrap());
    (file, shared)
}

/// Each thread has a stream of its own, and polls it until the file ends.
#[test]
fn streams_that_own_their_reactor_move_to_threads() {
    let content = pattern(2_345);
    let (_keep, file) = file(&content);
    let reactor = Arc::new(Shares::with_capacity(2).unwrap());
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let stream = Stream {
                reactor: reactor.clone(),
                file: file.clone(),
                at: 0,
                read: None,
            };
            thread::spawn(move || {
                let mut stream = Box::pin(stream);
                let mut all = Vec::new();
                let task = &mut Task::from_waker(Waker::noop());
                loop {
                    match stream.as_mut().poll_next(task) {
                        Poll::Ready(Ok(bytes)) if bytes.is_empty() => return all,
                        Poll::Ready(Ok(bytes)) => all.extend(bytes),
                        Poll::Ready(Err(errno)) => panic!("{errno:?}"),
                        Poll::Pending => {
                            stream.reactor.turn().unwrap();
                            thread::yield_now();
                        }
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        assert!(thread.join().unwrap() == content);
    }
    assert_eq!(Arc::strong_count(&reactor), 1);
    let reactor = Arc::into_inner(reactor).unwrap();
    assert!(reactor.into_idle_context().is_ok());
}

/// The future is the last owner: dropping it cancels the poll and destroys the context.
#[test]
fn the_last_future_drops_the_reactor() {
    let (reader, _writer) = support::pipe();
    let reader = Arc::new(File::from(reader));
    let reactor = Arc::new(Shares::with_capacity(1).unwrap());
    let weak = Arc::downgrade(&reactor);
    let mut poll = Box::pin(reactor.push_arc(PollOp::owned(reader.clone(), PollMask::IN)));
    let task = &mut Task::from_waker(Waker::noop());
    assert!(poll.as_mut().poll(task).is_pending());
    drop(reactor);
    assert!(poll.as_mut().poll(task).is_pending());
    assert_eq!(Arc::strong_count(&reader), 2);
    drop(poll);
    assert!(weak.upgrade().is_none());
    assert_eq!(Arc::strong_count(&reader), 1, "the operation is dropped");
}

/// A future that was never polled, and one that has returned its output.
#[test]
fn a_share_ends_with_its_future() {
    let (_keep, file) = file(b"abc");
    let reactor = Arc::new(Shares::with_capacity(1).unwrap());
    let never = reactor.push_arc(Read::owned(file.clone(), vec![0; 3]));
    let mut read = Box::pin(reactor.push_arc(Read::owned(file.clone(), vec![0; 3])));
    assert_eq!(Arc::strong_count(&reactor), 3);
    drop(never);
    let task = &mut Task::from_waker(Waker::noop());
    let start = Instant::now();
    let done = loop {
        if let Poll::Ready(done) = read.as_mut().poll(task) {
            break done;
        }
        reactor.turn().unwrap();
        assert!(start.elapsed().as_secs() < 60);
    };
    assert_eq!(done.buffer, b"abc");
    assert_eq!(Arc::strong_count(&reactor), 2);
    drop(read);
    assert_eq!(Arc::strong_count(&reactor), 1);
}

/// One thread, without a lock; a write whose future is stored beside the reactor.
#[test]
fn a_share_for_one_thread() {
    type Local = Reactor<'static, &'static [u8], linux_aio::reactor::Local, Rc<File>>;
    struct Log {
        file: Rc<File>,
        write: Pin<Box<OpFuture<Rc<Local>>>>,
        reactor: Rc<Local>,
    }
    let target = TempFile::with(b"");
    let reactor = Rc::new(Local::with_capacity(4).unwrap());
    let file = Rc::new(target.file.try_clone().unwrap());
    let write = Write::owned(file.clone(), b"a line\n".as_slice());
    let mut log = Log {
        file,
        write: Box::pin(reactor.push_rc(write)),
        reactor,
    };
    let task = &mut Task::from_waker(Waker::noop());
    let done = loop {
        if let Poll::Ready(done) = log.write.as_mut().poll(task) {
            break done;
        }
        log.reactor.wait(WaitOptions::new()).unwrap();
    };
    assert_eq!(done.result, Ok(7));
    assert_eq!(log.file.metadata().unwrap().len(), 7);
}

/// Futures wait for slots in order, and those that own a share take part.
#[test]
fn shares_and_borrows_wait_for_the_same_slots() {
    let (_keep, file) = file(b"xyz");
    let eventfd = eventfd();
    let reactor = Arc::new(Shares::with_capacity(1).unwrap().eventfd_owned(eventfd));
    let (never, _writer) = support::pipe();
    let never = Arc::new(File::from(never));
    let task = &mut Task::from_waker(Waker::noop());
    let mut held = Box::pin(reactor.push_arc(PollOp::owned(never, PollMask::IN)));
    assert!(held.as_mut().poll(task).is_pending());
    let mut owned = Box::pin(reactor.push_arc(Read::owned(file.clone(), vec![0; 1])));
    let mut borrowed = pin!(reactor.push(Read::owned(file.clone(), vec![0; 2])));
    assert!(owned.as_mut().poll(task).is_pending());
    assert!(borrowed.as_mut().poll(task).is_pending());
    drop(held);
    let (mut first, mut second) = (None, None);
    let start = Instant::now();
    while second.is_none() {
        reactor.turn().unwrap();
        if first.is_none() {
            if let Poll::Ready(done) = owned.as_mut().poll(task) {
                first = Some(done.buffer);
            }
        }
        if let Poll::Ready(done) = borrowed.as_mut().poll(task) {
            assert!(first.is_some(), "it arrived later");
            second = Some(done.buffer);
        }
        assert!(start.elapsed().as_secs() < 60);
    }
    assert_eq!(
        (first.unwrap(), second.unwrap()),
        (b"x".to_vec(), b"xy".to_vec())
    );
}

/// A task that is woken may drop the last other share of the reactor.
#[test]
fn a_waker_that_owns_a_share_is_dropped_outside_the_lock() {
    struct Owns(Arc<Shares>);
    impl std::task::Wake for Owns {
        fn wake(self: Arc<Self>) {
            // The reactor is usable from here.
            assert!(self.0.in_flight() <= 1);
        }
    }
    let (reader, writer) = support::pipe();
    let reader = Arc::new(File::from(reader));
    let reactor = Arc::new(Shares::with_capacity(1).unwrap());
    let weak = Arc::downgrade(&reactor);
    let waker = Waker::from(Arc::new(Owns(reactor.clone())));
    let mut poll = Box::pin(reactor.push_arc(PollOp::owned(reader, PollMask::IN)));
    assert!(
        poll.as_mut()
            .poll(&mut Task::from_waker(&waker))
            .is_pending()
    );
    drop(waker);
    std::io::Write::write_all(&mut File::from(writer), b"x").unwrap();
    let start = Instant::now();
    while reactor.turn().unwrap() == 0 {
        assert!(start.elapsed().as_secs() < 60);
    }
    // The waker, and its share, went with the notification.
    assert_eq!(Arc::strong_count(&reactor), 2);
    drop(reactor);
    drop(poll);
    assert!(weak.upgrade().is_none());
}
