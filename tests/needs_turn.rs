//! Tests of an executor that turns a reactor without an eventfd, as `needs_turn` requires.
#![cfg(all(feature = "std", any(target_os = "linux", target_os = "android")))]

mod support;

use std::fs::File;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use linux_aio::Errno;
use linux_aio::op::Fsync;
use linux_aio::reactor::{Local, Reactor};

#[test]
fn a_turn_is_needed_for_staged_refused_and_claimed_operations() {
    let temp = support::TempFile::with(b"abcd");
    let file: &'static File = Box::leak(Box::new(temp.file.try_clone().unwrap()));
    let reactor = Reactor::<Vec<u8>, Local>::with_capacity(1)
        .unwrap()
        .batched();
    let task = &mut Context::from_waker(Waker::noop());
    assert!(!reactor.needs_turn());
    let mut first = pin!(reactor.read(file, vec![0; 4], 0));
    assert!(first.as_mut().poll(task).is_pending());
    assert!(reactor.needs_turn(), "an operation is staged");
    reactor.turn().unwrap();
    assert!(!reactor.needs_turn());
    let mut second = pin!(reactor.push(Fsync::new(file)));
    let mut third = pin!(reactor.push(Fsync::new(file)));
    assert!(second.as_mut().poll(task).is_pending());
    assert!(third.as_mut().poll(task).is_pending());
    assert!(!reactor.needs_turn(), "the slot is taken");
    let Poll::Ready(done) = first.as_mut().poll(task) else {
        panic!("a cached read completes while it is submitted");
    };
    assert_eq!(done.result, Ok::<_, Errno>(4));
    assert!(reactor.needs_turn(), "the second has not taken the slot");
}

/// The turn that submits an operation and meets its refusal notifies it as well, and the future
/// that takes it or is dropped needs no turn either.
#[test]
fn a_refusal_that_is_known_needs_no_turn() {
    for batched in [true, false] {
        let mut reactor = Reactor::<Vec<u8>, Local>::with_capacity(2).unwrap();
        if batched {
            reactor = reactor.batched();
        }
        let task = &mut Context::from_waker(Waker::noop());
        let refused = || Box::pin(reactor.try_push(Fsync::new(support::no_fd())).unwrap());
        for turns in [true, false] {
            for taken in [true, false] {
                let mut future = refused();
                assert!(reactor.needs_turn(), "nothing announces the refusal");
                if turns {
                    assert_eq!(reactor.turn(), Ok(1));
                    assert!(!reactor.needs_turn(), "it was notified");
                }
                if taken && (turns || !batched) {
                    let polled = future.as_mut().poll(task);
                    assert!(matches!(polled, Poll::Ready(done) if done.refused));
                }
                drop(future);
                assert!(!reactor.needs_turn(), "batched {batched}, turns {turns}");
                assert_eq!(reactor.free_slots(), 2);
            }
        }
    }
}
