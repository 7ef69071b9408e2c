//! Tests every point at which a reactor calls user code, except the end of the reactor.

use std::rc::Rc;
use std::time::Instant;

#[cfg(feature = "std")]
use linux_aio::reactor::Shared;
use linux_aio::reactor::{Local, Lock};

use crate::fixture::{Fixture, SLOTS, Setup};
use crate::hooks::{Action, CAME, Call, Converted};
use crate::support::tasks::LONG;

/// Runs a scenario with each lock, plain and batched, with an eventfd and without, and
/// with user code that re-enters the reactor or panics.
macro_rules! scenarios {
    ($($(#[$doc:meta])* fn $name:ident($fixture:ident) $body:block)+) => {$(
        $(#[$doc])*
        #[test]
        fn $name() {
            fn scenario<L: Lock + 'static>($fixture: Rc<Fixture<L>>) -> Rc<Fixture<L>> {
                $body
                $fixture
            }
            for action in [Action::Reenter, Action::Panic] {
                for (batched, eventfd) in [(false, false), (false, true), (true, false), (true, true)] {
                    let setup = Setup { batched, eventfd };
                    scenario(Fixture::<Local>::new(setup, action)).end();
                    #[cfg(feature = "std")]
                    scenario(Fixture::<Shared>::new(setup, action)).end();
                }
            }
        }
    )+};
}

scenarios! {
    fn a_waker_is_cloned(fixture) {
        fixture.fill();
        fixture.discard("b");
        fixture.turn_until(|| fixture.reactor.in_flight() < SLOTS);
        fixture.add_poll("bystander");
        fixture.during("bystander", Call::Clone, || _ = fixture.poll("bystander"));
    }

    fn a_completion_wakes(fixture) {
        fixture.fill();
        fixture.add_waiter("e");
        fixture.add_waiter("f");
        fixture.release("a");
        fixture.release("b");
        fixture.during("a", Call::Wake, || fixture.turn_until(|| CAME.get()));
    }

    fn a_completion_whose_future_is_gone_wakes_a_waiter(fixture) {
        fixture.fill();
        fixture.add_waiter("e");
        fixture.add_waiter("f");
        fixture.discard("a");
        fixture.during("e", Call::Wake, || fixture.turn_until(|| CAME.get()));
    }

    /// A panic of the waiter's waker does not lose the result of the future that frees
    /// the slot: the next poll returns it.
    fn a_future_that_is_ready_wakes_a_waiter(fixture) {
        fixture.fill();
        fixture.add_waiter("e");
        fixture.add_waiter("f");
        fixture.finish("a");
        fixture.during("e", Call::Wake, || _ = fixture.poll("a"));
    }

    fn a_completed_future_that_is_dropped_wakes_a_waiter(fixture) {
        fixture.fill();
        fixture.add_waiter("e");
        fixture.add_waiter("f");
        fixture.finish("a");
        fixture.during("e", Call::Wake, || fixture.discard("a"));
    }

    fn a_called_waiter_that_is_dropped_wakes_the_next(fixture) {
        fixture.fill();
        fixture.add_waiter("e");
        fixture.add_waiter("f");
        fixture.finish("a");
        fixture.poll("a");
        assert!(fixture.is_woken("e"));
        fixture.during("f", Call::Wake, || fixture.discard("e"));
    }

    fn a_waker_in_flight_is_replaced(fixture) {
        fixture.fill();
        fixture.add_waiter("e");
        fixture.change_waker("a");
        fixture.during("a", Call::WakerDrop, || _ = fixture.poll("a"));
    }

    fn a_waiters_waker_is_replaced(fixture) {
        fixture.fill();
        fixture.add_waiter("e");
        fixture.add_waiter("victim");
        fixture.add_waiter("f");
        fixture.during("e", Call::WakerDrop, || _ = fixture.poll("e"));
        fixture.discard("victim");
    }

    fn a_waiters_waker_is_dropped_with_it(fixture) {
        fixture.fill();
        fixture.add_waiter("e");
        fixture.add_waiter("f");
        fixture.during("e", Call::WakerDrop, || fixture.discard("e"));
    }

    fn a_waker_in_flight_is_dropped_with_its_future(fixture) {
        fixture.fill();
        fixture.add_waiter("e");
        fixture.during("a", Call::WakerDrop, || fixture.discard("a"));
    }

    /// The poll of another future has found the completion. Neither the waker in the slot nor
    /// that of this poll is kept.
    fn a_waker_that_is_not_needed_is_dropped(fixture) {
        fixture.fill();
        fixture.add_waiter("e");
        fixture.complete("a");
        fixture.during("a", Call::WakerDrop, || _ = fixture.poll("a"));
    }

    /// The poll of another future has found the completion, so the waker is still in
    /// the slot.
    fn a_completed_futures_waker_is_dropped_with_it(fixture) {
        fixture.fill();
        fixture.add_waiter("e");
        fixture.complete("a");
        fixture.during("a", Call::WakerDrop, || fixture.discard("a"));
    }

    fn a_completed_futures_waker_is_dropped_at_its_next_poll(fixture) {
        fixture.fill();
        fixture.add_waiter("e");
        fixture.release("a");
        let deadline = Instant::now() + LONG;
        while fixture.reactor.in_flight() == SLOTS {
            fixture.poll("b");
            assert!(Instant::now() < deadline);
        }
        fixture.during("a", Call::WakerDrop, || _ = fixture.poll("a"));
    }

    fn the_data_of_a_completed_future_is_dropped_with_it(fixture) {
        fixture.fill();
        fixture.add_waiter("e");
        fixture.finish("a");
        fixture.during("a", Call::DataDrop, || fixture.discard("a"));
    }

    /// The operation stays in flight. Its data is dropped when it has completed.
    fn the_data_of_a_dropped_future_is_dropped_at_completion(fixture) {
        fixture.fill();
        fixture.add_waiter("e");
        fixture.add_waiter("f");
        fixture.discard("a");
        fixture.during("a", Call::DataDrop, || fixture.turn_until(|| CAME.get()));
    }

    fn the_buffer_of_a_future_that_was_never_polled_is_dropped_with_it(fixture) {
        fixture.fill();
        fixture.add_waiter("e");
        fixture.add_read("f");
        fixture.during("f", Call::BufferDrop, || fixture.discard("f"));
    }

    fn the_data_of_a_waiter_is_dropped_with_it(fixture) {
        fixture.fill();
        fixture.add_waiter("e");
        fixture.add_waiter("f");
        fixture.during("e", Call::DataDrop, || fixture.discard("e"));
    }

    /// The operation is staged if the reactor is batched. Otherwise it has completed.
    fn the_buffer_of_a_staged_future_is_dropped_with_it(fixture) {
        fixture.fill();
        fixture.discard("a");
        fixture.turn_until(|| fixture.reactor.in_flight() < SLOTS);
        fixture.reactor.turn().unwrap();
        fixture.add_read("e");
        if !fixture.poll("e") {
            fixture.add_waiter("f");
            fixture.during("e", Call::BufferDrop, || fixture.discard("e"));
        }
    }

    fn the_waker_of_a_staged_future_is_dropped_with_it(fixture) {
        fixture.fill();
        fixture.discard("a");
        fixture.turn_until(|| fixture.reactor.in_flight() < SLOTS);
        fixture.reactor.turn().unwrap();
        fixture.add_read("e");
        if !fixture.poll("e") {
            fixture.add_waiter("f");
            fixture.during("e", Call::WakerDrop, || fixture.discard("e"));
        }
    }

    fn a_region_is_computed(fixture) {
        fixture.fill();
        fixture.add_waiter("e");
        // A panic leaks the operation: its buffer and its data.
        fixture.leaked.set(if fixture.action == Action::Panic { 2 } else { 0 });
        fixture.during("f", Call::Region, || fixture.add_read("f"));
        if fixture.action == Action::Reenter {
            fixture.poll("f");
        }
    }

    fn an_owner_returns_its_descriptor(fixture) {
        fixture.fill();
        fixture.add_waiter("e");
        fixture.during("f", Call::RawFd, || fixture.add_read("f"));
        if fixture.action == Action::Reenter {
            fixture.poll("f");
        }
    }

    fn an_operation_is_converted(fixture) {
        fixture.fill();
        fixture.add_waiter("e");
        let op = Converted("f", fixture.read_op("f").into());
        fixture.during("f", Call::IntoOp, || fixture.add("f", op, None));
        if fixture.action == Action::Reenter {
            fixture.poll("f");
        }
    }
}

/// `Lock::with` is user code too, before and after the closure that it runs. (By its
/// contract it does not panic.)
#[test]
fn a_lock_calls_the_reactor() {
    fn scenario<L: Lock + 'static>(setup: Setup, call: Call, number: usize) {
        let fixture = Fixture::<L>::new(setup, Action::Reenter);
        fixture.fill();
        fixture.add_waiter("e");
        fixture.add_waiter("victim");
        fixture.add_waiter("f");
        fixture.finish("a");
        fixture.during("lock", call, || match number {
            0 => _ = fixture.poll("a"),
            1 => _ = fixture.poll("b"),
            2 => _ = fixture.poll("e"),
            3 => fixture.discard("a"),
            4 => fixture.discard("b"),
            5 => fixture.discard("e"),
            6 => drop(fixture.reactor.turn()),
            7 => drop(fixture.reactor.in_flight()),
            _ => drop(format!("{:?}", fixture.reactor)),
        });
        fixture.end();
    }
    for call in [Call::BeforeLock, Call::AfterLock] {
        for number in 0..9 {
            for batched in [false, true] {
                let setup = Setup {
                    batched,
                    eventfd: number % 2 == 0,
                };
                scenario::<Local>(setup, call, number);
                #[cfg(feature = "std")]
                scenario::<Shared>(setup, call, number);
            }
        }
    }
}
