//! Tests contexts that are reused, and many contexts that are destroyed at once.
#![cfg(all(feature = "alloc", any(target_os = "linux", target_os = "android")))]

mod support;

use linux_aio::op::{Poll, Read};
use linux_aio::opcode::{self, PollMask};
use linux_aio::reactor::{Reactor, ReactorSlot};
use linux_aio::{Context, ContextPool, IdleContext, Queue, Slot, WaitOptions};
use support::{TempFile, fd};

type Bytes = Box<[u8]>;

fn zeroed(len: usize) -> Bytes {
    vec![0; len].into()
}

#[test]
fn an_idle_context_is_reused() {
    let file = TempFile::with(b"again");
    let mut pool = ContextPool::<2>::new();
    let mut names = Vec::new();
    for _ in 0..20 {
        let mut slots = Slot::<Bytes>::array::<4>();
        let mut queue = Queue::with_context(pool.take(4).unwrap(), &mut slots);
        for _ in 0..4 {
            queue.push(Read::new(file.fd(), zeroed(5))).unwrap();
        }
        queue.submit().unwrap();
        let idle = queue.into_idle_context().unwrap();
        let context = idle.into_context();
        names.push(context.as_raw());
        assert_eq!(
            context
                .wait_with(0, &mut [Default::default()], WaitOptions::poll())
                .unwrap(),
            []
        );
        // SAFETY: the context was just drained, and no event was left.
        let idle = unsafe { IdleContext::from_context(context, 4) };
        assert!(pool.put(idle).is_none());
    }
    assert!(names.iter().all(|name| *name == names[0]));
    assert_eq!(pool.len(), 1);
    // The pool cannot provide a larger one from it, so it creates one.
    assert_eq!(pool.take(64).unwrap().capacity(), 64);
    assert_eq!(pool.len(), 1);
}

#[test]
fn a_context_keeps_its_capacity() {
    let mut pool = ContextPool::<1>::new();
    let mut slots = Slot::<Bytes>::array::<2>();
    let queue = Queue::with_context(pool.take(64).unwrap(), &mut slots);
    assert_eq!(queue.capacity(), 2);
    assert!(pool.put(queue.into_idle_context().unwrap()).is_none());
    let idle = pool.take(64).unwrap();
    assert!(pool.is_empty(), "the one that was put there");
    let mut slots = ReactorSlot::<Bytes>::array::<2>();
    let reactor = Reactor::<_>::with_context(idle, &mut slots);
    assert_eq!(reactor.into_idle_context().unwrap().capacity(), 64);
}

#[test]
fn a_pool_returns_the_smallest_sufficient_context() {
    for order in [[4, 8, 16], [16, 8, 4], [8, 16, 4]] {
        let mut pool = ContextPool::<3>::new();
        assert!(pool.is_empty());
        for capacity in order {
            assert!(pool.put(IdleContext::new(capacity).unwrap()).is_none());
        }
        assert!(!pool.is_empty());
        assert_eq!(
            pool.put(IdleContext::new(2).unwrap()).unwrap().capacity(),
            2
        );
        assert_eq!(pool.take(8).unwrap().capacity(), 8);
        assert_eq!(pool.take(1).unwrap().capacity(), 4);
        assert_eq!(pool.take(16).unwrap().capacity(), 16);
        assert!(pool.is_empty());
    }
}

#[test]
fn a_pool_returns_all_contexts_at_once() {
    let mut pool = ContextPool::<3>::new();
    for capacity in [4, 8] {
        assert!(pool.put(IdleContext::new(capacity).unwrap()).is_none());
    }
    let shown = format!("{pool:?}");
    assert_eq!(shown.matches("capacity").count(), 2, "{shown}");
    let capacities: Vec<_> = pool.drain().map(|context| context.capacity()).collect();
    assert_eq!(capacities, [4, 8]);
    assert!(pool.is_empty());
}

#[test]
fn a_context_is_drained_by_count() {
    let (_reader, writer) = support::pipe();
    let context = Context::new(40).unwrap();
    for _ in 0..40 {
        let ready = opcode::Poll::new(fd(&writer), PollMask::OUT);
        // SAFETY: a poll has no buffer.
        unsafe { context.submit(&mut [&mut ready.build()]) }.unwrap();
    }
    // SAFETY: forty operations were submitted, and no event was taken.
    let idle = unsafe { context.drain(40, 40) }.unwrap();
    let mut context = idle.into_context();
    assert_eq!(context.ring().pop(), Ok(None));
}

/// A queue updates the ring's head late for the events that it took. After
/// `into_idle_context` the head is up to date.
#[test]
fn events_that_a_queue_took_are_not_in_the_ring() {
    let (_reader, writer) = support::pipe();
    let mut slots = Slot::<()>::array::<8>();
    let mut queue = Queue::new(&mut slots).unwrap();
    for _ in 0..8 {
        let ready = Poll::new(fd(&writer), PollMask::OUT);
        queue.push(ready).unwrap();
    }
    assert_eq!(queue.submit(), Ok(8));
    while queue.in_flight() > 0 {
        assert!(queue.pop().unwrap().is_some());
    }
    let mut context = queue.into_idle_context().unwrap().into_context();
    assert_eq!(context.ring().pop(), Ok(None));
}

#[test]
fn threads_may_own_and_share_contexts() {
    fn shared<T: Send + Sync>() {}
    fn sent<T: Send>() {}
    shared::<IdleContext>();
    shared::<ContextPool<2>>();
    sent::<Queue<'_, Bytes>>();
}

#[cfg(feature = "std")]
#[test]
fn many_contexts_are_destroyed_in_parallel() {
    let of = |count| {
        (0..count)
            .map(|_| Context::new(1).unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(linux_aio::destroy_all(of(32)), [Ok(()); 32]);
    assert_eq!(linux_aio::destroy_all(of(0)), []);
}
