//! Tests the reactor's eventfd: an executor that waits only for the eventfd finishes
//! all its operations. Also tests operations with their own eventfd.
#![cfg(all(feature = "std", any(target_os = "linux", target_os = "android")))]

mod support;

use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::task::Waker;

use linux_aio::op::{Op, Poll, Read};
use linux_aio::opcode::PollMask;
use linux_aio::reactor::{Reactor, ReactorSlot};
use linux_aio::{Errno, IdleContext};
use support::inject::{fill, shared_context};
use support::tasks::{
    Counter, Executor, Order, await_eventfd, is_readable, poll, read_eventfd, yield_now,
};
use support::{TempFile, inject, no_fd};

type Bytes = Box<[u8]>;

fn byte() -> Bytes {
    vec![0; 1].into()
}

/// Runs six tasks of five reads each, on three of four slots. A poll is in flight in
/// the fourth until they have finished, so that an EAGAIN of the kernel is temporary.
/// The executor only waits for the eventfd. `after` is called after each turn with its
/// number, and with 0 when that poll is in flight.
fn run_tasks(idle: IdleContext, batched: bool, mut after: impl FnMut(usize)) {
    let (file, eventfd) = (TempFile::with(b"x"), support::eventfd());
    let (reader, writer) = support::pipe();
    let mut slots = ReactorSlot::array::<4>();
    let mut reactor = Reactor::<Bytes>::with_context(idle, &mut slots).eventfd(&eventfd);
    if batched {
        reactor = reactor.batched();
    }
    let mut held = pin!(reactor.poll(&reader, PollMask::IN));
    let (held_count, held_waker) = Counter::new();
    assert!(poll(held.as_mut(), &held_waker).is_none());
    reactor.turn().unwrap();
    let mut turns = 0;
    after(turns);
    let mut executor = Executor::new(Order::Fifo);
    for _ in 0..6 {
        executor.spawn(async {
            for _ in 0..5 {
                let done = reactor.read(&file.file, byte(), 0).await;
                assert_eq!(done.result, Ok(1));
                assert_eq!(done.buffer[..], b"x"[..]);
                yield_now().await;
            }
        });
    }
    while executor.left() > 0 {
        if !executor.poll_one() {
            await_eventfd(&eventfd);
            reactor.turn().unwrap();
            turns += 1;
            after(turns);
        }
    }
    drop(executor);
    File::from(writer).write_all(b"x").unwrap();
    while held_count.count() == 0 {
        await_eventfd(&eventfd);
        reactor.turn().unwrap();
    }
    assert!(poll(held.as_mut(), Waker::noop()).is_some());
}

/// The kernel returns EAGAIN from time to time.
#[test]
fn temporarily_refused_operations_are_submitted_later() {
    let injections = [
        "io_submit:error=EAGAIN:when=2",
        "io_submit:error=EAGAIN:when=2..5",
        "io_submit:error=EAGAIN:when=2+2",
        "io_submit:error=EAGAIN:when=3+3",
    ];
    let test = "temporarily_refused_operations_are_submitted_later";
    inject::with_each(test, &injections, || {
        run_tasks(IdleContext::new(4).unwrap(), false, |_| {});
    });
}

#[test]
fn temporarily_refused_operations_are_submitted_later_if_batched() {
    let injections = [
        "io_submit:error=EAGAIN:when=2",
        "io_submit:error=EAGAIN:when=2..5",
        "io_submit:error=EAGAIN:when=2+2",
    ];
    let test = "temporarily_refused_operations_are_submitted_later_if_batched";
    inject::with_each(test, &injections, || {
        run_tasks(IdleContext::new(4).unwrap(), true, |_| {});
    });
}

/// Other submitters have filled the context. Their operations complete later, without a
/// signal to the reactor's eventfd.
#[test]
fn capacity_that_others_free_is_used() {
    for batched in [false, true] {
        let (idle, name) = shared_context(4);
        let (reader, writer) = support::pipe();
        let (mut foreign, mut writer) = (0, Some(File::from(writer)));
        let mut last = 0;
        run_tasks(idle, batched, |turn| {
            last = turn;
            match turn {
                0 => foreign = fill(name, &reader),
                10 => drop(writer.take()),
                _ => {}
            }
        });
        assert!(foreign > 0 && last >= 10, "{foreign} {last}");
    }
}

/// A failed submission is a result, whichever poll makes the system call. Here an
/// operation waits for free capacity, and a system call made for another operation
/// submits it and is refused.
#[test]
fn a_refusal_during_another_poll_wakes() {
    for batched in [false, true] {
        let (idle, name) = shared_context(4);
        let eventfd = support::eventfd();
        let (reader, writer) = support::pipe();
        let mut slots = ReactorSlot::array::<4>();
        let mut reactor = Reactor::<Bytes>::with_context(idle, &mut slots).eventfd(&eventfd);
        if batched {
            reactor = reactor.batched();
        }
        let mut held = pin!(reactor.poll(&reader, PollMask::IN));
        assert!(poll(held.as_mut(), Waker::noop()).is_none());
        reactor.turn().unwrap();
        let (foreign_reader, foreign_writer) = support::pipe();
        fill(name, &foreign_reader);
        let (counter, waker) = Counter::new();
        let mut refused = pin!(reactor.read(no_fd(), byte(), 0));
        assert!(poll(refused.as_mut(), &waker).is_none());
        await_eventfd(&eventfd);
        reactor.turn().unwrap();
        assert_eq!(counter.count(), 0);
        // The foreign events are found here, and nothing is submitted.
        drop(foreign_writer);
        std::thread::sleep(std::time::Duration::from_millis(10));
        assert!(poll(held.as_mut(), Waker::noop()).is_none());
        // The first operation is refused here, unless the reactor is batched.
        let mut other = pin!(reactor.poll(&reader, PollMask::IN));
        assert!(poll(other.as_mut(), Waker::noop()).is_none());
        while counter.count() == 0 {
            await_eventfd(&eventfd);
            reactor.turn().unwrap();
        }
        let done = poll(refused.as_mut(), Waker::noop()).unwrap();
        assert_eq!((done.result, done.buffer), (Err(Errno::BADF), byte()));
        drop(writer);
    }
}

/// The eventfd is signalled once for all operations that are staged until the next
/// turn.
#[test]
fn a_batch_signals_once() {
    let (file, eventfd) = (TempFile::with(b"x"), support::eventfd());
    let mut slots = ReactorSlot::array::<4>();
    let reactor = Reactor::<Bytes>::new(&mut slots)
        .unwrap()
        .eventfd(&eventfd)
        .batched();
    for _ in 0..2 {
        let mut reads: Vec<_> = (0..3)
            .map(|_| Box::pin(reactor.read(&file.file, byte(), 0)))
            .collect();
        assert_eq!(read_eventfd(&eventfd), 0);
        for read in &mut reads {
            assert!(poll(read.as_mut(), Waker::noop()).is_none());
        }
        assert_eq!(read_eventfd(&eventfd), 1);
        assert_eq!(reactor.turn(), Ok(3));
        assert_eq!(read_eventfd(&eventfd), 3, "the kernel's, for each");
        for read in &mut reads {
            assert!(poll(read.as_mut(), Waker::noop()).is_some());
        }
        assert_eq!(read_eventfd(&eventfd), 0);
    }
}

/// An operation's own eventfd is signalled once, with and without an eventfd of the
/// reactor, whichever call finds that the operation has completed. Its future is woken.
#[test]
fn an_operations_own_eventfd_is_signalled_as_well() {
    for (with_eventfd, batched) in [(false, false), (true, false), (false, true), (true, true)] {
        let (eventfd, own) = (support::eventfd(), support::eventfd());
        let file = TempFile::with(b"x");
        let (reader, writer) = support::pipe();
        let (other, _writer) = support::pipe();
        let mut slots = ReactorSlot::array::<4>();
        let mut reactor = Reactor::<Bytes>::new(&mut slots).unwrap();
        if with_eventfd {
            reactor = reactor.eventfd(&eventfd);
        }
        if batched {
            reactor = reactor.batched();
        }
        let turn_until = |completed: &dyn Fn() -> bool| {
            while !completed() {
                if with_eventfd {
                    await_eventfd(&eventfd);
                }
                reactor.turn().unwrap();
            }
        };

        // This operation completes later.
        let op = Poll::new(&reader, PollMask::IN).eventfd(&own);
        let (counter, waker) = Counter::new();
        let mut task = Box::pin(reactor.push(op));
        assert!(poll(task.as_mut(), &waker).is_none());
        reactor.turn().unwrap();
        assert_eq!(read_eventfd(&own), 0);
        File::from(writer).write_all(b"x").unwrap();
        turn_until(&|| counter.count() > 0);
        assert_eq!(read_eventfd(&own), 1);
        assert!(poll(task.as_mut(), &waker).is_some());
        assert_eq!(read_eventfd(&own), 0);

        // This operation completes when it is submitted.
        let op = Read::new(&file.file, byte()).eventfd(&own);
        let (counter, waker) = Counter::new();
        let mut task = Box::pin(reactor.push(op));
        if poll(task.as_mut(), &waker).is_none() {
            turn_until(&|| counter.count() > 0);
            assert!(poll(task.as_mut(), &waker).is_some());
        }
        assert_eq!(read_eventfd(&own), 1);

        // The future of this operation is dropped: the cancelled poll completes.
        let op = Poll::new(&other, PollMask::IN).eventfd(&own);
        let mut task = Box::pin(reactor.push(op));
        assert!(poll(task.as_mut(), &waker).is_none());
        reactor.turn().unwrap();
        drop(task);
        turn_until(&|| reactor.in_flight() == 0);
        assert_eq!(read_eventfd(&own), 1);

        // This operation is never submitted.
        let op = Read::new(&file.file, byte()).eventfd(&own);
        let mut task = Box::pin(reactor.push(op));
        if poll(task.as_mut(), &waker).is_none() {
            drop(task);
            reactor.turn().unwrap();
            assert_eq!(read_eventfd(&own), 0);
        } else {
            assert_eq!(read_eventfd(&own), 1);
        }
        assert_eq!(reactor.in_flight(), 0);
    }
}

/// Descriptors that are not eventfds.
struct Others {
    file: TempFile,
    pipe: (OwnedFd, OwnedFd),
    sockets: (UnixStream, UnixStream),
}

impl Others {
    fn new() -> Others {
        let sockets = UnixStream::pair().unwrap();
        sockets.0.set_nonblocking(true).unwrap();
        Others {
            file: TempFile::with(b"as it was"),
            pipe: support::pipe(),
            sockets,
        }
    }

    fn all(&self) -> [BorrowedFd<'_>; 3] {
        let (file, pipe) = (&self.file.file, &self.pipe.1);
        [file.as_fd(), pipe.as_fd(), self.sockets.1.as_fd()]
    }

    /// Verifies that not one byte has been written to any of them.
    fn check(&self) {
        assert_eq!(std::fs::read(&self.file.path).unwrap(), b"as it was");
        assert!(!is_readable(&self.pipe.0, 0));
        assert!(!is_readable(&self.sockets.0, 0));
    }
}

#[test]
fn another_kind_of_file_is_refused_as_an_operations_eventfd() {
    let others = Others::new();
    let (file, eventfd) = (TempFile::with(b"x"), support::eventfd());
    for (with_eventfd, batched) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut slots = ReactorSlot::array::<4>();
        let mut reactor = Reactor::<Bytes>::new(&mut slots).unwrap();
        if with_eventfd {
            reactor = reactor.eventfd(&eventfd);
        }
        if batched {
            reactor = reactor.batched();
        }
        for other in others.all() {
            let read = Read::new(&file.file, byte()).eventfd(other);
            let ready = Poll::new(&others.pipe.1, PollMask::OUT).eventfd(other);
            for op in [Op::from(read), ready.into()] {
                let (counter, waker) = Counter::new();
                let mut task = Box::pin(reactor.push(op));
                let done = poll(task.as_mut(), &waker).unwrap_or_else(|| {
                    while counter.count() == 0 {
                        reactor.turn().unwrap();
                    }
                    poll(task.as_mut(), &waker).unwrap()
                });
                assert_eq!(done.result, Err(Errno::INVAL));
            }
        }
    }
    others.check();
}

/// Every event that would signal the reactor's eventfd occurs, and the operations are
/// refused.
#[test]
fn another_kind_of_file_is_not_written_to_as_the_reactors_eventfd() {
    let others = Others::new();
    let (file, own) = (TempFile::with(b"x"), support::eventfd());
    for (other, batched) in others
        .all()
        .into_iter()
        .flat_map(|fd| [(fd, false), (fd, true)])
    {
        let mut slots = ReactorSlot::array::<2>();
        let mut reactor = Reactor::<Bytes>::new(&mut slots).unwrap().eventfd(other);
        if batched {
            reactor = reactor.batched();
        }
        let mut tasks: Vec<_> = (0..4)
            .map(|number| {
                let read = Read::new(&file.file, byte());
                let read = if number % 2 == 0 {
                    read
                } else {
                    read.eventfd(&own)
                };
                Box::pin(reactor.push(read))
            })
            .collect();
        let mut results = Vec::new();
        while !tasks.is_empty() {
            tasks.retain_mut(|task| {
                let done = poll(task.as_mut(), Waker::noop());
                results.extend(done.as_ref().map(|done| done.result));
                done.is_none()
            });
            reactor.turn().unwrap();
        }
        assert_eq!(results, [Err(Errno::INVAL); 4]);
        // The tasks are staged, or refused, and then dropped, and one waits for a slot.
        let mut tasks: Vec<_> = (0..4)
            .map(|_| Box::pin(reactor.read(&file.file, byte(), 0)))
            .collect();
        for task in &mut tasks {
            let _ = poll(task.as_mut(), Waker::noop());
        }
        std::mem::forget(tasks.pop());
        drop(tasks);
        for _ in 0..3 {
            reactor.turn().unwrap();
        }
    }
    others.check();
}
