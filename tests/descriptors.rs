//! Tests descriptors in the safe layers. Owned descriptors are closed when documented,
//! and an operation never accesses a file other than its own.
#![cfg(all(feature = "std", any(target_os = "linux", target_os = "android")))]

mod support;

use std::cell::Cell;
use std::fs::File;
use std::future::Future;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context as Task, Poll as Ready, Waker};

use linux_aio::op::{Fdsync, Fsync, Op, Poll, Read, Write};
use linux_aio::opcode::PollMask;
use linux_aio::reactor::{Local, Reactor, ReactorSlot};
use linux_aio::{Errno, OwnsFd, Queue, ScopeSlot, Slot, WaitOptions, scope};
use support::TempFile;
use support::tasks::read_eventfd;

type Bytes = Box<[u8]>;

fn zeroed(len: usize) -> Bytes {
    vec![0; len].into()
}

/// An owner that records its drop.
struct Noted {
    file: File,
    closed: Rc<Cell<u32>>,
}

impl Noted {
    fn new(file: &TempFile) -> (Noted, Rc<Cell<u32>>) {
        let closed = Rc::<Cell<u32>>::default();
        let noted = Noted {
            file: file.file.try_clone().unwrap(),
            closed: closed.clone(),
        };
        (noted, closed)
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        self.closed.set(self.closed.get() + 1);
    }
}

// SAFETY: the file has one descriptor, which is closed with this value.
unsafe impl OwnsFd for Noted {
    fn raw_fd(&self) -> i32 {
        self.file.as_raw_fd()
    }
}

/// If the number is free, opens other files until it is in use again.
fn take_number(number: i32, other: &TempFile) -> Vec<File> {
    let mut files = Vec::new();
    // SAFETY: fcntl only queries the number.
    while unsafe { libc::fcntl(number, libc::F_GETFD) } < 0 {
        files.push(other.file.try_clone().unwrap());
    }
    files
}

#[test]
fn the_last_owner_may_be_dropped_right_after_push() {
    let (file, other) = (TempFile::with(b"mine"), TempFile::with(b"????"));
    let owner = Arc::new(file.file.try_clone().unwrap());
    let number = owner.as_raw_fd();
    let mut slots = Slot::<Bytes, Arc<File>>::array::<4>();
    let mut queue = Queue::new(&mut slots).unwrap();
    queue
        .push(Write::owned(owner.clone(), b"MINE".as_slice().into()))
        .unwrap();
    queue.push(Fsync::owned(owner.clone())).unwrap();
    queue.push(Fdsync::owned(owner.clone())).unwrap();
    queue.push(Read::owned(owner.clone(), zeroed(4))).unwrap();
    drop(owner);
    let others = take_number(number, &other);
    for left in (0..4).rev() {
        let done = queue.wait().unwrap().unwrap();
        assert!(done.result.is_ok(), "{done:?}");
        assert_eq!(done.data.as_raw_fd(), number, "it came back");
        assert_eq!(Arc::strong_count(&done.data), left + 1);
    }
    drop(others);
    assert_eq!(std::fs::read(&file.path).unwrap(), b"MINE");
    assert_eq!(std::fs::read(&other.path).unwrap(), b"????");
}

#[test]
fn an_owner_is_closed_once_and_when_it_is_dropped() {
    let file = TempFile::with(b"content");
    let mut slots = Slot::<Bytes, Noted>::array::<1>();
    let mut queue = Queue::new(&mut slots).unwrap();

    // A completion returns the owner.
    let (owner, closed) = Noted::new(&file);
    queue.push(Read::owned(owner, zeroed(7))).unwrap();
    queue.submit().unwrap();
    let done = queue.wait().unwrap().unwrap();
    assert_eq!((done.result, closed.get()), (Ok(7), 0));
    drop(done);
    assert_eq!(closed.get(), 1);

    // A full queue, `unstage`, and a refusal by the kernel return the owner as well.
    let (owner, closed) = Noted::new(&file);
    let (second, second_closed) = Noted::new(&file);
    queue.push(Fsync::owned(owner)).unwrap();
    let full = queue.push(Fsync::owned(second)).unwrap_err();
    let (buffer, second) = full.0.into_parts();
    assert!(buffer.is_none());
    drop(second);
    assert_eq!((closed.get(), second_closed.get()), (0, 1));
    let (_, _, owner) = queue.unstage().unwrap();
    assert_eq!(closed.get(), 0);
    let offset = i64::MAX as u64 + 1;
    queue
        .push(Read::owned(owner, zeroed(1)).offset(offset))
        .unwrap();
    let done = queue.wait().unwrap().unwrap();
    assert_eq!((done.result, closed.get()), (Err(Errno::INVAL), 0));
    drop(done);
    assert_eq!(closed.get(), 1);

    // A queue drops its operations in all states: staged, completed, in flight.
    let (owner, closed) = Noted::new(&file);
    queue.push(Read::owned(owner, zeroed(7))).unwrap();
    drop(queue);
    assert_eq!(closed.get(), 1);
    let mut queue = Queue::new(&mut slots).unwrap();
    let (owner, closed) = Noted::new(&file);
    queue.push(Read::owned(owner, zeroed(7))).unwrap();
    queue.submit().unwrap();
    drop(queue);
    assert_eq!(closed.get(), 1);
}

#[test]
fn a_scope_keeps_owners_until_their_operations_are_submitted() {
    let (file, other) = (TempFile::with(b"mine"), TempFile::with(b"????"));
    let (owner, closed) = Noted::new(&file);
    let number = owner.raw_fd();
    let memory = *b"MINE";
    scope(&mut ScopeSlot::array::<2>(), |s| {
        // The operation is not awaited: the end of the scope submits it.
        drop(s.push(Write::owned(owner, &memory[..])).unwrap());
        assert_eq!(closed.get(), 0, "staged");
        assert!(take_number(number, &other).is_empty());
    })
    .unwrap();
    assert_eq!(std::fs::read(&file.path).unwrap(), b"MINE");
    assert_eq!(std::fs::read(&other.path).unwrap(), b"????");

    let (owner, closed) = Noted::new(&file);
    scope(&mut ScopeSlot::array::<2>(), |s| {
        let sync = s.push(Fsync::owned(owner)).unwrap();
        let done = sync.wait();
        assert_eq!((done.result, closed.get()), (Ok(0), 0));
        drop(done);
        assert_eq!(closed.get(), 1);
    })
    .unwrap();
}

fn block_on<F: Future>(future: F, idle: impl Fn()) -> F::Output {
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Task::from_waker(Waker::noop())) {
            Ready::Ready(output) => return output,
            Ready::Pending => idle(),
        }
    }
}

#[test]
fn a_reactor_keeps_owners_as_well() {
    let (file, other) = (TempFile::with(b"mine"), TempFile::with(b"????"));
    let mut slots = ReactorSlot::<Bytes, Noted>::array::<2>();
    let reactor = Reactor::new(&mut slots).unwrap().batched();
    let idle = || {
        reactor.wait(WaitOptions::new()).unwrap();
    };

    let (owner, closed) = Noted::new(&file);
    let done = block_on(reactor.push(Read::owned(owner, zeroed(4))), idle);
    assert_eq!((done.result, closed.get()), (Ok(4), 0));
    drop(done);
    assert_eq!(closed.get(), 1);

    // The futures are dropped before the operation is started, and when it is staged.
    let (owner, closed) = Noted::new(&file);
    drop(reactor.push(Read::owned(owner, zeroed(4))));
    assert_eq!(closed.get(), 1);
    let (owner, closed) = Noted::new(&file);
    let mut staged = Box::pin(reactor.push(Read::owned(owner, zeroed(4))));
    let task = &mut Task::from_waker(Waker::noop());
    assert!(staged.as_mut().poll(task).is_pending());
    drop(staged);
    assert_eq!(closed.get(), 1);

    // A leaked future leaves its operation staged, including its owner.
    let (owner, closed) = Noted::new(&file);
    let number = owner.raw_fd();
    let write = Op::from(Write::owned(owner, b"MINE".as_slice().into()));
    let mut leaked = Box::pin(reactor.push(write));
    assert!(leaked.as_mut().poll(task).is_pending());
    std::mem::forget(leaked);
    assert!(take_number(number, &other).is_empty());
    assert_eq!(reactor.turn(), Ok(1));
    assert_eq!(closed.get(), 0);
    drop(reactor);
    assert_eq!(closed.get(), 1);
    assert_eq!(std::fs::read(&file.path).unwrap(), b"MINE");
    assert_eq!(std::fs::read(&other.path).unwrap(), b"????");
}

#[test]
fn a_poll_may_own_what_it_waits_for() {
    let (reader, writer) = support::pipe();
    let mut slots = Slot::<(), (OwnedFd, u32)>::array::<2>();
    let mut queue = Queue::new(&mut slots).unwrap();
    queue.push(Poll::owned((reader, 7), PollMask::IN)).unwrap();
    queue.submit().unwrap();
    queue.push(Poll::owned((writer, 8), PollMask::OUT)).unwrap();
    let done = queue.wait().unwrap().unwrap();
    assert_eq!(done.data.1, 8);
    // The other end is closed, which wakes the first.
    drop(done);
    let done = queue.wait().unwrap().unwrap();
    assert_eq!(done.data.1, 7);
    let found = done.result.map(PollMask::from_result);
    assert_eq!(found, Ok(PollMask::HUP));
}

/// Data that owns no descriptor is returned as well.
#[test]
fn data_comes_back_in_order() {
    let file = TempFile::with(b"x");
    let mut slots = Slot::<Bytes, String>::array::<3>();
    let mut queue = Queue::new(&mut slots).unwrap();
    for name in ["read", "write", "sync"] {
        let op: Op<'_, Bytes, String> = match name {
            "read" => Read::new(&file.file, zeroed(1)).data(name.into()).into(),
            "write" => Write::new(&file.file, b"y".as_slice().into())
                .data(name.into())
                .into(),
            _ => Fsync::new(&file.file).data(name.into()).into(),
        };
        queue.push(op).unwrap();
    }
    let mut names: Vec<_> = std::iter::from_fn(|| queue.wait().unwrap())
        .map(|done| done.data)
        .collect();
    names.sort();
    assert_eq!(names, ["read", "sync", "write"]);
}

/// A dropped future closes its descriptor when the operation has completed, which a
/// turn detects.
#[test]
fn a_reactor_gives_owners_back_or_closes_them() {
    let file = TempFile::with(b"x");
    type Tasks<'r> = Reactor<'r, Bytes, Local, (OwnedFd, Noted)>;
    let mut slots = ReactorSlot::array::<1>();
    let reactor = Tasks::new(&mut slots).unwrap();
    let task = &mut Task::from_waker(Waker::noop());

    let (noted, closed) = Noted::new(&file);
    let (reader, writer) = support::pipe();
    let refused = Read::owned((reader, noted), zeroed(1)).offset(u64::MAX);
    let done = block_on(reactor.push(refused), || unreachable!());
    assert_eq!((done.result, closed.get()), (Err(Errno::INVAL), 0));
    let (reader, noted) = done.data;

    let poll = Poll::owned((reader, noted), PollMask::IN);
    let mut poll = Box::pin(reactor.push(poll));
    assert!(poll.as_mut().poll(task).is_pending());
    drop(poll);
    assert_eq!(closed.get(), 0, "the kernel has not completed it");
    while reactor.in_flight() > 0 {
        reactor.turn().unwrap();
    }
    assert_eq!(closed.get(), 1);
    let mut watched = libc::pollfd {
        fd: writer.as_raw_fd(),
        events: 0,
        revents: 0,
    };
    // SAFETY: one structure is passed, which may be written.
    assert_eq!(unsafe { libc::poll(&raw mut watched, 1, 0) }, 1);
    assert_eq!(watched.revents, libc::POLLERR, "the other end is closed");

    // The second future is dropped while it waits for a slot, behind one that has it.
    let (reader, _writer) = support::pipe();
    let (noted, first_closed) = Noted::new(&file);
    let poll = Poll::owned((reader, noted), PollMask::IN);
    let mut first = Box::pin(reactor.push(poll));
    assert!(first.as_mut().poll(task).is_pending());
    let (reader, _writer) = support::pipe();
    let (noted, closed) = Noted::new(&file);
    let poll = Poll::owned((reader, noted), PollMask::IN);
    let mut second = Box::pin(reactor.push(poll));
    assert!(second.as_mut().poll(task).is_pending());
    drop(second);
    assert_eq!((first_closed.get(), closed.get()), (0, 1));
    drop(first);
    drop(reactor);
    assert_eq!(first_closed.get(), 1);
}

#[test]
fn an_owned_eventfd_is_closed_with_the_reactor() {
    let file = TempFile::with(b"x");
    let (first, second) = (Arc::new(support::eventfd()), Arc::new(support::eventfd()));
    let mut slots = ReactorSlot::array::<2>();
    let reactor = Reactor::<Bytes>::new(&mut slots)
        .unwrap()
        .eventfd_owned(first.clone())
        .eventfd_owned(second.clone());
    // Operations staged with the first eventfd may still name it.
    assert_eq!(
        (Arc::strong_count(&first), Arc::strong_count(&second)),
        (2, 2)
    );
    let done = block_on(reactor.read(&file.file, zeroed(1), 0), || unreachable!());
    assert_eq!(done.result, Ok(1));
    assert_eq!(read_eventfd(&first), 0);
    assert_eq!(read_eventfd(&second), 1);
    drop(reactor);
    assert_eq!(
        (Arc::strong_count(&first), Arc::strong_count(&second)),
        (1, 1)
    );
}

#[test]
fn owners_are_of_many_types() {
    fn sync<T: OwnsFd>(owner: T) {
        let number = owner.raw_fd();
        let mut slots = Slot::<(), T>::array::<1>();
        let mut queue = Queue::new(&mut slots).unwrap();
        assert!(queue.push(Fsync::owned(owner)).is_ok());
        let done = queue.wait().unwrap().unwrap();
        assert_eq!((done.result, done.data.raw_fd()), (Ok(0), number));
        let _ = queue.into_idle_context().unwrap().into_context().into_raw();
    }
    let temporary = TempFile::with(b"x");
    let file = || temporary.file.try_clone().unwrap();
    sync(file());
    sync(OwnedFd::from(file()));
    sync(Arc::new(file()));
    sync(Rc::new(OwnedFd::from(file())));
    sync(Box::new(file()) as Box<dyn AsFd>);
    sync(Arc::new(file()) as Arc<dyn AsFd + Send + Sync>);
    sync(&temporary.file);
    sync((file(), "more"));
    sync(((Arc::new(file()), 1), 2));
}
