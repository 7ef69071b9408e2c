//! Tests the eventfd of a queue, which its operations signal: the counter, the owner, and an
//! event loop that loses no operation.
#![cfg(all(feature = "std", any(target_os = "linux", target_os = "android")))]

mod support;

use std::cell::Cell;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsRawFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::Mutex;

use linux_aio::buffer::IoBuf;
use linux_aio::op::{Fsync, Poll, Read};
use linux_aio::opcode::PollMask;
use linux_aio::reactor::Shared;
use linux_aio::split::SplitQueue;
use linux_aio::{Errno, OwnsFd, Queue, WaitOptions};
use support::tasks::{await_eventfd, read_eventfd};
use support::{TempFile, in_child, inject, no_fd, pipe};

type Bytes = Vec<u8>;

/// An owner that records the counter of its eventfd when it is dropped.
struct Recorded {
    eventfd: Arc<OwnedFd>,
    counts: Arc<Mutex<Vec<u64>>>,
}

impl Recorded {
    fn new() -> (Recorded, Arc<OwnedFd>, Arc<Mutex<Vec<u64>>>) {
        let (eventfd, counts) = (Arc::new(support::eventfd()), Arc::default());
        let owner = Recorded {
            eventfd: Arc::clone(&eventfd),
            counts: Arc::clone(&counts),
        };
        (owner, eventfd, counts)
    }
}

impl Drop for Recorded {
    fn drop(&mut self) {
        let count = read_eventfd(&self.eventfd);
        self.counts.lock().unwrap().push(count);
    }
}

// SAFETY: the eventfd is closed only when the value is dropped.
unsafe impl OwnsFd for Recorded {
    fn raw_fd(&self) -> i32 {
        self.eventfd.as_raw_fd()
    }
}

#[test]
fn every_operation_signals_the_queues_eventfd_or_its_own() {
    let file = TempFile::with(b"x");
    let (default, own, owned) = (
        support::eventfd(),
        support::eventfd(),
        Arc::new(support::eventfd()),
    );
    let mut queue = Queue::<Bytes>::with_capacity(8).unwrap();
    // This one is staged before the queue has an eventfd, and submitted after.
    queue.push(Read::new(&file.file, vec![0; 1])).unwrap();
    queue = queue.eventfd(&default);
    for _ in 0..3 {
        queue.push(Read::new(&file.file, vec![0; 1])).unwrap();
    }
    let read = Read::new(&file.file, vec![0; 1]).eventfd(&own);
    queue.push(read).unwrap();
    queue.push(Fsync::new(&file.file)).unwrap();
    queue.drain().unwrap();
    assert_eq!((read_eventfd(&default), read_eventfd(&own)), (5, 1));
    for _ in 0..6 {
        assert!(queue.pop().unwrap().unwrap().result.is_ok());
    }
    // Neither a refused operation nor a cancelled one signals.
    queue.push(Read::new(no_fd(), vec![0; 1])).unwrap();
    let cancelled = queue.push(Fsync::new(&file.file)).unwrap();
    queue.cancel(cancelled).unwrap();
    queue.flush();
    let refused = [(); 2].map(|()| queue.pop().unwrap().unwrap());
    assert!(refused.iter().all(|done| done.refused));
    assert_eq!(read_eventfd(&default), 0);
    // A later eventfd replaces the first.
    queue = queue.eventfd_owned(Arc::clone(&owned));
    queue.push(Read::new(&file.file, vec![0; 1])).unwrap();
    let _ = queue.wait().unwrap().unwrap();
    assert_eq!((read_eventfd(&default), read_eventfd(&owned)), (0, 1));
}

#[test]
fn what_was_submitted_in_vain_keeps_the_first_eventfd() {
    let file = TempFile::with(b"x");
    let (first, second) = (support::eventfd(), support::eventfd());
    let read = || Read::new(&file.file, vec![0; 1]);
    let queue = Queue::<Bytes>::with_capacity(4).unwrap();
    let mut queue = queue.eventfd(&first);
    queue.push(Read::new(no_fd(), vec![0; 1])).unwrap();
    queue.push(read()).unwrap();
    assert_eq!(queue.submit().unwrap_err().errno, Errno::BADF);
    // This one was not submitted with the first eventfd.
    queue.push(read()).unwrap();
    let mut queue = queue.eventfd(&second);
    assert!(queue.unstage().is_some());
    assert_eq!(queue.submit(), Ok(2));
    assert_eq!((read_eventfd(&first), read_eventfd(&second)), (1, 1));

    queue.drain().unwrap();
    while queue.pop().unwrap().is_some() {}
    queue.push(read()).unwrap();
    let split = SplitQueue::<_, Shared>::new(queue);
    let mut queue = split.into_queue().eventfd(&first);
    assert_eq!(queue.submit(), Ok(1));
    assert_eq!((read_eventfd(&first), read_eventfd(&second)), (0, 1));
}

#[test]
fn the_halves_of_a_queue_have_its_eventfd() {
    let file = TempFile::with(b"x");
    let (default, own) = (support::eventfd(), support::eventfd());
    let mut queue = Queue::<Bytes>::with_capacity(6).unwrap().eventfd(&default);
    // These are staged before the queue is split.
    let read = || Read::new(&file.file, vec![0; 1]);
    queue.push(read()).unwrap();
    queue.push(read().eventfd(&own)).unwrap();
    let mut split = SplitQueue::<_, Shared>::new(queue);
    let (submit, mut reap) = split.halves();
    for _ in 0..2 {
        submit.push(Read::new(&file.file, vec![0; 1])).unwrap();
    }
    let read = Read::new(&file.file, vec![0; 1]).eventfd(&own);
    submit.push(read).unwrap();
    submit.submit().unwrap();
    for _ in 0..5 {
        let done = reap.wait(WaitOptions::new()).unwrap().unwrap();
        assert_eq!(done.result, Ok(1));
    }
    assert_eq!((read_eventfd(&default), read_eventfd(&own)), (3, 2));
}

#[test]
fn another_kind_of_file_is_refused() {
    let file = TempFile::with(b"x");
    let other = TempFile::with(b"as it was");
    let queue = Queue::<Bytes>::with_capacity(1).unwrap();
    let mut queue = queue.eventfd(&other.file);
    queue.push(Read::new(&file.file, vec![0; 1])).unwrap();
    let done = queue.wait().unwrap().unwrap();
    assert_eq!((done.refused, done.result), (true, Err(Errno::INVAL)));
    assert_eq!(std::fs::read(&other.path).unwrap(), b"as it was");
}

/// Dropping the queue destroys the context, which cancels the poll and signals the eventfd.
/// The owner is dropped later.
#[test]
fn the_owner_is_dropped_after_the_context() {
    let (reader, _writer) = pipe();
    let (owner, eventfd, counts) = Recorded::new();
    let queue = Queue::<Bytes>::with_capacity(2).unwrap();
    let mut queue = queue.eventfd_owned(owner);
    queue.push(Poll::new(&reader, PollMask::IN)).unwrap();
    queue.flush();
    // An operation that is staged may have the first eventfd, so its owner stays.
    let queue = queue.eventfd_owned(Arc::clone(&eventfd));
    assert!(counts.lock().unwrap().is_empty());
    drop(queue);
    assert_eq!(*counts.lock().unwrap(), [1]);
    assert_eq!(Arc::strong_count(&eventfd), 1);

    // The same with a context that is used again.
    let (owner, _eventfd, counts) = Recorded::new();
    let queue = Queue::<Bytes>::with_capacity(2).unwrap();
    let mut queue = queue.eventfd_owned(owner);
    queue.push(Poll::new(&reader, PollMask::IN)).unwrap();
    let idle = queue.into_idle_context().unwrap();
    assert_eq!(*counts.lock().unwrap(), [1]);
    drop(idle);
}

#[test]
fn a_leaked_queue_leaks_the_owner() {
    let (reader, writer) = pipe();
    let (owner, eventfd, counts) = Recorded::new();
    let queue = Queue::<Bytes>::with_capacity(1).unwrap();
    let mut queue = queue.eventfd_owned(owner);
    let reader: &'static OwnedFd = Box::leak(Box::new(reader));
    queue.push(Poll::new(reader, PollMask::IN)).unwrap();
    queue.flush();
    std::mem::forget(queue);
    File::from(writer).write_all(b"x").unwrap();
    assert_eq!(await_eventfd(&eventfd), 1);
    assert!(counts.lock().unwrap().is_empty());
}

/// A buffer whose destructor panics.
struct Panics(Bytes);

impl Drop for Panics {
    fn drop(&mut self) {
        panic!("a destructor panics");
    }
}

// SAFETY: the memory is that of the vector, which keeps the promise of `IoBuf`.
unsafe impl IoBuf for Panics {
    fn region(&mut self) -> (*mut u8, usize) {
        self.0.region()
    }
}

#[test]
fn a_panic_of_a_destructor_keeps_no_owner() {
    let (reader, _writer) = pipe();
    let file = TempFile::with(b"");
    let (owner, _eventfd, counts) = Recorded::new();
    let queue = Queue::<Panics>::with_capacity(2).unwrap();
    let mut queue = queue.eventfd_owned(owner);
    let write = linux_aio::op::Write::new(&file.file, Panics(vec![1]));
    queue.push(write).unwrap_or_else(|_| unreachable!());
    let poll = Poll::new(&reader, PollMask::IN);
    queue.push(poll).unwrap_or_else(|_| unreachable!());
    queue.flush();
    assert!(catch_unwind(AssertUnwindSafe(|| drop(queue))).is_err());
    assert_eq!(*counts.lock().unwrap(), [2]);

    // An owner whose destructor panics.
    struct Owner(OwnedFd);
    impl Drop for Owner {
        fn drop(&mut self) {
            panic!("a destructor panics");
        }
    }
    // SAFETY: the eventfd is closed only when the value is dropped.
    unsafe impl OwnsFd for Owner {
        fn raw_fd(&self) -> i32 {
            self.0.raw_fd()
        }
    }
    let queue = Queue::<Bytes>::with_capacity(1).unwrap();
    let queue = queue.eventfd_owned(Owner(support::eventfd()));
    let idle = catch_unwind(AssertUnwindSafe(|| queue.into_idle_context()));
    assert!(idle.is_err());
}

#[test]
fn a_forked_child_leaves_the_parents_queue_alone() {
    let (reader, writer) = pipe();
    let (owner, eventfd, counts) = Recorded::new();
    let queue = Queue::<Bytes>::with_capacity(2).unwrap();
    let queue = Cell::new(Some(queue.eventfd_owned(owner)));
    let mut parents = queue.take().unwrap();
    parents.push(Poll::new(&reader, PollMask::IN)).unwrap();
    parents.flush();
    queue.set(Some(parents));
    let status = in_child(|| {
        let mut queue = queue.take().unwrap();
        queue.push(Poll::new(&reader, PollMask::IN)).unwrap();
        queue.flush();
        let refused = queue.pop().unwrap().unwrap().result == Err(Errno::INVAL);
        let inert = refused && queue.pop() == Err(Errno::INVAL);
        drop(queue);
        // The owner is dropped here; nothing has signalled.
        let dropped = *counts.lock().unwrap() == [0];
        i32::from(!(inert && dropped))
    });
    assert_eq!(status, 0);
    File::from(writer).write_all(b"x").unwrap();
    assert_eq!(await_eventfd(&eventfd), 1);
    let mut queue = queue.take().unwrap();
    assert!(queue.pop().unwrap().unwrap().result.is_ok());
}

/// The event loop of `examples/eventfd_epoll.rs`. The kernel refuses the read with EAGAIN
/// while the poll is in flight, so that it stays staged.
#[test]
fn an_event_loop_loses_no_operation() {
    let injections = [
        "io_submit:error=EAGAIN:when=2",
        "io_submit:error=EAGAIN:when=2..3",
    ];
    inject::with_each("an_event_loop_loses_no_operation", &injections, || {
        let file = TempFile::with(b"x");
        let eventfd = support::eventfd();
        let (reader, writer) = pipe();
        let queue = Queue::<Bytes, u8>::with_capacity(4).unwrap();
        let mut queue = queue.eventfd(&eventfd);
        queue
            .push(Poll::new(&reader, PollMask::IN).data(0))
            .unwrap();
        queue.flush();
        queue
            .push(Read::new(&file.file, vec![0; 1]).data(1))
            .unwrap();
        queue.flush();
        assert_eq!((queue.staged(), queue.in_flight()), (1, 1));
        File::from(writer).write_all(b"x").unwrap();
        let mut done = Vec::new();
        while queue.staged() + queue.in_flight() > 0 {
            await_eventfd(&eventfd);
            for _ in 0..2 {
                queue.flush();
                while let Some(completion) = queue.pop().unwrap() {
                    assert!(completion.result.is_ok());
                    done.push(completion.data);
                }
            }
        }
        assert_eq!(done, [0, 1]);
    });
}
