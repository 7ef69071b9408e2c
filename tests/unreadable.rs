//! Tests contexts whose ring the library cannot read, as a later kernel may change the
//! layout of the ring. Completions are then taken by system calls.
#![cfg(all(feature = "alloc", any(target_os = "linux", target_os = "android")))]

mod support;

use std::pin::pin;
use std::task::Waker;

use linux_aio::abi::RingHeader;
use linux_aio::op::Poll;
use linux_aio::opcode::PollMask;
use linux_aio::reactor::{Reactor, ReactorSlot};
use linux_aio::{
    Context, Errno, IdleContext, Queue, ScopeSlot, Slot, WaitOptions, scope_with_context,
};
use support::tasks::poll;
use support::{WAITS, fd};

/// More events than one system call takes.
const MANY: usize = 80;

/// Creates a context whose ring has an unknown layout.
fn unreadable() -> IdleContext {
    let raw = Context::new(MANY as u32).unwrap().into_raw();
    let header = core::ptr::with_exposed_provenance_mut::<RingHeader>(raw.0);
    // SAFETY: the ring is mapped and this process owns it; the kernel does not read the
    // magic number.
    unsafe { (*header).magic = !RingHeader::MAGIC };
    // SAFETY: the context was just created, and its name exists only here.
    unsafe { IdleContext::from_context(Context::from_raw(raw), MANY as u32) }
}

#[test]
fn a_queue_waits() {
    let (_reader, writer) = support::pipe();
    let mut slots = Slot::<()>::array::<MANY>();
    let mut queue = Queue::with_context(unreadable(), &mut slots);
    for options in [WaitOptions::poll(), WaitOptions::new()] {
        queue.push(Poll::new(fd(&writer), PollMask::OUT)).unwrap();
        queue.submit().unwrap();
        assert_eq!(queue.wait_with(1, options), Ok(1));
        assert!(queue.pop().unwrap().is_some());
    }
}

#[test]
fn a_queue_polls() {
    let (reader, writer) = support::pipe();
    let mut slots = Slot::<()>::array::<MANY>();
    let mut queue = Queue::with_context(unreadable(), &mut slots);
    queue.push(Poll::new(fd(&reader), PollMask::IN)).unwrap();
    for _ in 1..MANY {
        queue.push(Poll::new(fd(&writer), PollMask::OUT)).unwrap();
    }
    assert_eq!(queue.submit(), Ok(MANY));
    for _ in 1..MANY {
        assert!(queue.pop().unwrap().is_some());
    }
    assert!(queue.pop().unwrap().is_none());
    assert_eq!(queue.in_flight(), 1);
}

#[test]
fn a_scope_waits() {
    let (_reader, writer) = support::pipe();
    let mut slots = ScopeSlot::array::<MANY>();
    scope_with_context(&mut unreadable(), &mut slots, |s| {
        let polls: Vec<_> = (0..MANY)
            .map(|_| s.poll(fd(&writer), PollMask::OUT).unwrap())
            .collect();
        for pending in polls {
            assert!(pending.wait().result.is_ok());
        }
    });
}

#[test]
fn a_reactor_takes_all_in_one_turn() {
    let (_reader, writer) = support::pipe();
    let mut slots = ReactorSlot::<()>::array::<MANY>();
    let reactor = Reactor::<()>::with_context(unreadable(), &mut slots).batched();
    let mut tasks: Vec<_> = (0..MANY)
        .map(|_| Box::pin(reactor.poll(fd(&writer), PollMask::OUT)))
        .collect();
    for task in &mut tasks {
        assert!(poll(pin!(task), Waker::noop()).is_none());
    }
    assert_eq!(reactor.wait(WaitOptions::new()), Ok(MANY));
}

/// If that system call is forbidden, a future waits for one that is allowed.
#[test]
fn a_future_that_cannot_poll_waits() {
    let (_reader, writer) = support::pipe();
    let status = support::in_child(|| {
        let mut slots = ReactorSlot::<()>::array::<1>();
        let reactor = Reactor::<()>::with_context(unreadable(), &mut slots);
        support::forbid(&WAITS, Errno::PERM.raw_os_error());
        let mut task = pin!(reactor.poll(fd(&writer), PollMask::OUT));
        for _ in 0..2 {
            assert!(poll(task.as_mut(), Waker::noop()).is_none());
        }
        assert_eq!(reactor.turn(), Err(Errno::PERM));
        7
    });
    assert_eq!(status, 7);
}
