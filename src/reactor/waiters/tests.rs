//! The lists by themselves: when a claim ends, and who is called.

use core::pin::{Pin, pin};

use super::*;

extern crate std;

use std::boxed::Box;

type Pinned = Pin<Box<Waiter>>;

fn waiter() -> (Pinned, NonNull<Waiter>) {
    let waiter = Box::pin(Waiter::new());
    let pointer = NonNull::from(&*waiter);
    (waiter, pointer)
}

/// Two slots, one of them taken: the first of two waiters has a claim to the
/// other.
fn with_a_claim() -> (Waiters, [Pinned; 2], [NonNull<Waiter>; 2]) {
    let mut waiters = Waiters::new(2);
    let ((a, first), (b, second)) = (waiter(), waiter());
    assert!(waiters.is_empty());
    for one in [first, second] {
        // SAFETY: the waiters live as long as the lists.
        let old = unsafe { waiters.enter(one, Waker::noop().clone()) };
        assert!(old.is_none());
    }
    assert!(waiters.call(1).is_some());
    assert!(!waiters.is_empty());
    // The slot is claimed.
    assert!(waiters.call(1).is_none());
    (waiters, [a, b], [first, second])
}

#[test]
fn a_claim_lasts_for_as_many_polls() {
    let (mut waiters, _alive, [first, second]) = with_a_claim();
    // Two slots, one that waits, one that was called.
    for _ in 0..MANY + 2 * (2 + 1 + 1) {
        waiters.count_poll();
    }
    assert!(waiters.call(1).is_none());
    // SAFETY: as in `with_a_claim`.
    assert!(!unsafe { waiters.arrive(second, 1) }.0);
    waiters.count_poll();
    assert!(waiters.call(1).is_some(), "the second");
    // SAFETY: as in `with_a_claim`.
    unsafe {
        assert!(!waiters.arrive(first, 1).0, "its claim is over");
        assert!(waiters.arrive(second, 1).0);
    }
    assert!(waiters.is_empty());
}

#[test]
fn an_idle_executor_has_a_claim_passed_on_in_the_second_turn() {
    let (mut waiters, _alive, [first, second]) = with_a_claim();
    waiters.count_poll();
    // Polls came: it is not idle.
    waiters.pass_on();
    assert!(waiters.call(1).is_none());
    waiters.pass_on();
    assert!(waiters.call(1).is_none());
    waiters.pass_on();
    assert!(waiters.call(1).is_some(), "the second, besides");
    assert!(!waiters.needs_turn(1), "none waits");
    // Who comes first has it.
    // SAFETY: as in `with_a_claim`.
    unsafe {
        assert!(waiters.arrive(second, 1).0);
        assert!(!waiters.arrive(first, 0).0);
    }
}

#[test]
fn a_waiter_is_in_no_list_when_it_has_left() {
    let (mut waiters, _alive, [first, second]) = with_a_claim();
    // SAFETY: as in `with_a_claim`.
    unsafe {
        assert!(waiters.leave(first).is_none(), "its waker was called");
        assert!(waiters.leave(second).is_some());
        assert!(waiters.leave(second).is_none());
    }
    assert!(waiters.is_empty());
    let stays = pin!(Waiter::new());
    let third = NonNull::from(&*stays);
    // SAFETY: as in `with_a_claim`.
    assert!(unsafe { waiters.arrive(third, 1) }.0);
}
