//! Tests of panics in user code, including the two safe programs that first exposed the
//! state which user code could break.

use std::cell::Cell;
use std::os::fd::AsRawFd;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::task::{Wake, Waker};

use linux_aio::Fd;
use linux_aio::opcode::PollMask;
use linux_aio::reactor::{Local, Reactor, ReactorSlot};

use crate::fixture::CONTENT;
use crate::hooks::*;
use crate::support::tasks::{Counter, await_eventfd, poll};
use crate::support::{self, TempFile, fd};

/// All wakers panic in turn, and each is called once. With `std` one turn calls all of
/// them. Without it, a panic ends the turn, and the next one continues.
#[test]
fn every_waker_is_called_whichever_panics() {
    struct Panics(Arc<Counter>);
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            self.0.clone().wake();
            resume_unwind(Box::new(OnPurpose));
        }
    }
    let file = TempFile::with(&CONTENT);
    let mut slots = ReactorSlot::array::<8>();
    let reactor = Reactor::<Memory>::new(&mut slots).unwrap().batched();
    for panicking in [vec![0], vec![7], vec![3, 4], (0..8).collect()] {
        let (counters, wakers): (Vec<_>, Vec<Waker>) = (0..8)
            .map(|number| {
                let (counter, waker) = Counter::new();
                if panicking.contains(&number) {
                    (counter.clone(), Arc::new(Panics(counter)).into())
                } else {
                    (counter, waker)
                }
            })
            .unzip();
        let mut tasks: Vec<_> = (0..8)
            .map(|_| Box::pin(reactor.read(file.fd(), Memory::new("task"), 0)))
            .collect();
        for (task, waker) in tasks.iter_mut().zip(&wakers) {
            assert!(poll(task.as_mut(), waker).is_none());
        }
        let turns = if cfg!(feature = "std") {
            1
        } else {
            panicking.len()
        };
        for _ in 0..turns {
            let turn = catch_unwind(AssertUnwindSafe(|| reactor.turn()));
            assert!(turn.unwrap_err().is::<OnPurpose>());
        }
        if !cfg!(feature = "std") {
            reactor.turn().unwrap();
        }
        assert!(counters.iter().all(|counter| counter.count() == 1));
        assert_eq!(reactor.turn(), Ok(0));
        for task in &mut tasks {
            let done = poll(task.as_mut(), Waker::noop()).unwrap();
            assert_eq!(done.result, Ok(LEN));
        }
    }
    assert_eq!(ALIVE.get(), 0);
}

/// After a panic that ended a turn early, the eventfd is signalled for the next one.
#[test]
fn a_panic_leaves_the_eventfd_readable_for_what_is_left() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            resume_unwind(Box::new(OnPurpose));
        }
    }
    let eventfd = support::eventfd();
    let (first_pipe, second_pipe) = (support::pipe(), support::pipe());
    let mut slots = ReactorSlot::array::<2>();
    let reactor = Reactor::<()>::new(&mut slots)
        .unwrap()
        .eventfd(fd(&eventfd));
    let mut first = Box::pin(reactor.poll(fd(&first_pipe.0), PollMask::IN));
    let mut second = Box::pin(reactor.poll(fd(&second_pipe.0), PollMask::IN));
    assert!(poll(first.as_mut(), &Arc::new(Panics).into()).is_none());
    let (counter, waker) = Counter::new();
    assert!(poll(second.as_mut(), &waker).is_none());
    drop((first_pipe.1, second_pipe.1));
    // The kernel signals the eventfd once for each operation.
    let mut signals = 0;
    while signals < 2 {
        signals += await_eventfd(&eventfd);
    }
    assert!(catch_unwind(AssertUnwindSafe(|| reactor.turn())).is_err());
    assert_eq!(counter.count(), usize::from(cfg!(feature = "std")));
    if counter.count() == 0 {
        await_eventfd(&eventfd);
        reactor.turn().unwrap();
    }
    assert_eq!(counter.count(), 1);
}

/// A poll that finds its operation completed needs neither the previous waker nor its
/// own. The destructors of both panic, and the caller gets one panic.
#[cfg(feature = "std")]
#[test]
fn two_wakers_that_panic_when_they_are_dropped_are_one_panic() {
    let eventfd = support::eventfd();
    let (reader, writer) = support::pipe();
    let mut slots = ReactorSlot::array::<1>();
    let reactor = Reactor::<()>::new(&mut slots).unwrap();
    let reactor = reactor.eventfd(fd(&eventfd));
    let (before, now) = (Named::new("before"), Named::new("now"));
    let mut task = Box::pin(reactor.poll(fd(&reader), PollMask::IN));
    assert!(poll(task.as_mut(), &before.lend()).is_none());
    drop(writer);
    await_eventfd(&eventfd);
    panic_at("before", Call::WakerDrop);
    during(
        Action::Panic,
        ("now", Call::WakerDrop),
        || {},
        || {
            let _ = poll(task.as_mut(), &now.lend());
        },
    );
    let done = poll(task.as_mut(), Waker::noop()).unwrap();
    assert!(done.result.is_ok());
}

/// The waker of the task that gets the slot panics, and so does the destructor of the
/// waker that this poll does not need. The caller gets one panic, and the next poll
/// returns the result.
#[cfg(feature = "std")]
#[test]
fn two_panics_of_one_poll_are_one() {
    let (reader, writer) = support::pipe();
    let file = TempFile::with(&CONTENT);
    let mut slots = ReactorSlot::array::<1>();
    let reactor = Reactor::<Memory>::new(&mut slots).unwrap();
    let (ready, waiting) = (Named::new("ready"), Named::new("waiting"));
    let mut first = Box::pin(reactor.poll(fd(&reader), PollMask::IN));
    let mut second = Box::pin(reactor.read(file.fd(), Memory::new("second"), 0));
    assert!(poll(first.as_mut(), &ready.lend()).is_none());
    assert!(poll(second.as_mut(), &waiting.lend()).is_none());
    drop(writer);
    while ready.woken() == 0 {
        reactor.turn().unwrap();
    }
    panic_at("ready", Call::WakerDrop);
    let plan = ("waiting", Call::Wake);
    during(
        Action::Panic,
        plan,
        || {},
        || {
            let _ = poll(first.as_mut(), &ready.lend());
        },
    );
    assert_eq!(waiting.woken(), 1);
    let done = poll(first.as_mut(), &ready.lend()).unwrap();
    assert!(PollMask::from_result(done.result.unwrap()).contains(PollMask::HUP));
    let done = poll(second.as_mut(), &waiting.lend()).unwrap();
    assert_eq!(done.result, Ok(LEN));
}

/// A leaked future leaves its waker in a slot, and its reactor is dropped. The waker's
/// destructor starts an operation in the next reactor that uses these slots. In an
/// earlier version this happened in the middle of that reactor's first operation. The
/// kernel then got the iocb of an operation that had completed long before and whose
/// buffer had been freed.
#[test]
fn an_old_waker_never_meets_the_new_owner_of_its_slot() {
    type Plain = Reactor<'static, Memory, Watched<Local>>;
    thread_local! {
        static SECOND: Cell<Option<&'static Plain>> = const { Cell::new(None) };
        static DROPS: Cell<u32> = const { Cell::new(0) };
    }
    struct Old;
    impl Wake for Old {
        fn wake(self: Arc<Self>) {}
    }
    impl Drop for Old {
        fn drop(&mut self) {
            DROPS.set(DROPS.get() + 1);
            user_code("old", Call::WakerDrop);
            let Some(reactor) = SECOND.get() else { return };
            reactor.in_flight();
            let buffer = Memory::with_len("nested", 4096);
            // SAFETY: no descriptor ever has this number.
            let none = unsafe { Fd::borrow_raw(-1) };
            let mut nested = Box::pin(reactor.read(none, buffer, 0));
            let _ = poll(nested.as_mut(), Waker::noop());
        }
    }
    let file = TempFile::with(&[0xEE; 4096]);
    let (reader, _writer) = support::pipe();
    // SAFETY: both stay open until the test ends, which is after the reactors end.
    let (data, never) = unsafe {
        let data = Fd::borrow_raw(file.file.as_raw_fd());
        (data, Fd::borrow_raw(reader.as_raw_fd()))
    };
    let slots: *mut [ReactorSlot<Memory>] = Box::leak(Box::new(ReactorSlot::array::<3>()));
    // SAFETY: the array is leaked, and only one reactor at a time uses it.
    let array = || unsafe { &mut *slots };
    {
        let first = Plain::new(array()).unwrap();
        let waker = Waker::from(Arc::new(Old));
        let mut poll_in = Box::pin(first.poll(never, PollMask::IN));
        assert!(poll(poll_in.as_mut(), &waker).is_none());
        std::mem::forget(poll_in);
        let mut read = Box::pin(first.read(data, Memory::with_len("read", 4096), 0));
        while poll(read.as_mut(), Waker::noop()).is_none() {
            first.turn().unwrap();
        }
    }
    assert_eq!(DROPS.get(), 1, "dropped with the first reactor");
    // These may be allocated at the address of the freed buffer.
    let mine: Vec<_> = (0..4).map(|_| Box::new([0x11_u8; 4096])).collect();
    let second: &'static Plain = Box::leak(Box::new(Plain::new(array()).unwrap().batched()));
    SECOND.set(Some(second));
    let mut read = Box::pin(second.read(data, Memory::with_len("read", 4096), 0));
    assert!(poll(read.as_mut(), Waker::noop()).is_none());
    assert_eq!(second.in_flight(), 1);
    assert_eq!(second.turn(), Ok(1));
    let done = poll(read.as_mut(), Waker::noop()).unwrap();
    assert_eq!(done.buffer.bytes[..], [0xEE; 4096]);
    for memory in mine {
        assert_eq!(*memory, [0x11; 4096], "memory that was never in a reactor");
    }
    SECOND.set(None);
    assert_eq!(INSIDE.replace(0), 0, "user code ran under the lock");
}
