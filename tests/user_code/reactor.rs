//! Tests every point at which a reactor calls user code, except the end of the reactor.

use std::rc::Rc;
use std::time::Instant;

#[cfg(feature = "std")]
use linux_aio::reactor::Shared;
use linux_aio::reactor::{Local, Lock};

use crate::hooks::{Action, CAME, Call, Converted};
use crate::support::tasks::LONG;
use crate::world::{SLOTS, Setup, World};

/// Runs a scenario with each lock, plain and batched, with an eventfd and without, and
/// with user code that re-enters the reactor or panics.
macro_rules! scenarios {
    ($($(#[$doc:meta])* fn $name:ident($world:ident) $body:block)+) => {$(
        $(#[$doc])*
        #[test]
        fn $name() {
            fn scenario<L: Lock + 'static>($world: Rc<World<L>>) -> Rc<World<L>> {
                $body
                $world
            }
            for action in [Action::Reenter, Action::Panic] {
                for (batched, eventfd) in [(false, false), (false, true), (true, false), (true, true)] {
                    let setup = Setup { batched, eventfd };
                    scenario(World::<Local>::new(setup, action)).end();
                    #[cfg(feature = "std")]
                    scenario(World::<Shared>::new(setup, action)).end();
                }
            }
        }
    )+};
}

scenarios! {
    fn a_waker_is_cloned(w) {
        w.fill();
        w.discard("b");
        w.turn_until(|| w.reactor.in_flight() < SLOTS);
        w.add_poll("bystander");
        w.during("bystander", Call::Clone, || _ = w.poll("bystander"));
    }

    fn a_completion_wakes(w) {
        w.fill();
        w.add_waiter("e");
        w.add_waiter("f");
        w.release("a");
        w.release("b");
        w.during("a", Call::Wake, || w.turn_until(|| CAME.get()));
    }

    fn a_completion_whose_future_is_gone_wakes_a_waiter(w) {
        w.fill();
        w.add_waiter("e");
        w.add_waiter("f");
        w.discard("a");
        w.during("e", Call::Wake, || w.turn_until(|| CAME.get()));
    }

    /// A panic of the waiter's waker does not lose the result of the future that frees
    /// the slot: the next poll returns it.
    fn a_future_that_is_ready_wakes_a_waiter(w) {
        w.fill();
        w.add_waiter("e");
        w.add_waiter("f");
        w.finish("a");
        w.during("e", Call::Wake, || _ = w.poll("a"));
    }

    fn a_completed_future_that_is_dropped_wakes_a_waiter(w) {
        w.fill();
        w.add_waiter("e");
        w.add_waiter("f");
        w.finish("a");
        w.during("e", Call::Wake, || w.discard("a"));
    }

    fn a_called_waiter_that_is_dropped_wakes_the_next(w) {
        w.fill();
        w.add_waiter("e");
        w.add_waiter("f");
        w.finish("a");
        w.poll("a");
        assert!(w.is_woken("e"));
        w.during("f", Call::Wake, || w.discard("e"));
    }

    fn a_waker_in_flight_is_replaced(w) {
        w.fill();
        w.add_waiter("e");
        w.during("a", Call::WakerDrop, || _ = w.poll("a"));
    }

    fn a_waiters_waker_is_replaced(w) {
        w.fill();
        w.add_waiter("e");
        w.add_waiter("victim");
        w.add_waiter("f");
        w.during("e", Call::WakerDrop, || _ = w.poll("e"));
        w.discard("victim");
    }

    fn a_waiters_waker_is_dropped_with_it(w) {
        w.fill();
        w.add_waiter("e");
        w.add_waiter("f");
        w.during("e", Call::WakerDrop, || w.discard("e"));
    }

    fn a_waker_in_flight_is_dropped_with_its_future(w) {
        w.fill();
        w.add_waiter("e");
        w.during("a", Call::WakerDrop, || w.discard("a"));
    }

    /// The future finds its completion itself, or was notified of it. The waker of this
    /// poll is not kept.
    fn a_waker_that_is_not_needed_is_dropped(w) {
        w.fill();
        w.add_waiter("e");
        w.finish("a");
        w.during("a", Call::WakerDrop, || _ = w.poll("a"));
    }

    /// The poll of another future has found the completion, so the waker is still in
    /// the slot.
    fn a_completed_futures_waker_is_dropped_with_it(w) {
        w.fill();
        w.add_waiter("e");
        w.release("a");
        let deadline = Instant::now() + LONG;
        while w.reactor.in_flight() == SLOTS {
            w.poll("b");
            assert!(Instant::now() < deadline);
        }
        w.during("a", Call::WakerDrop, || w.discard("a"));
    }

    fn a_completed_futures_waker_is_dropped_at_its_next_poll(w) {
        w.fill();
        w.add_waiter("e");
        w.release("a");
        let deadline = Instant::now() + LONG;
        while w.reactor.in_flight() == SLOTS {
            w.poll("b");
            assert!(Instant::now() < deadline);
        }
        w.during("a", Call::WakerDrop, || _ = w.poll("a"));
    }

    fn the_data_of_a_completed_future_is_dropped_with_it(w) {
        w.fill();
        w.add_waiter("e");
        w.finish("a");
        w.during("a", Call::DataDrop, || w.discard("a"));
    }

    /// The operation stays in flight. Its data is dropped when it has completed.
    fn the_data_of_a_dropped_future_is_dropped_at_completion(w) {
        w.fill();
        w.add_waiter("e");
        w.add_waiter("f");
        w.discard("a");
        w.during("a", Call::DataDrop, || w.turn_until(|| CAME.get()));
    }

    fn the_buffer_of_a_future_that_was_never_polled_is_dropped_with_it(w) {
        w.fill();
        w.add_waiter("e");
        w.add_read("f");
        w.during("f", Call::BufferDrop, || w.discard("f"));
    }

    fn the_data_of_a_waiter_is_dropped_with_it(w) {
        w.fill();
        w.add_waiter("e");
        w.add_waiter("f");
        w.during("e", Call::DataDrop, || w.discard("e"));
    }

    /// The operation is staged if the reactor is batched. Otherwise it has completed.
    fn the_buffer_of_a_staged_future_is_dropped_with_it(w) {
        w.fill();
        w.discard("a");
        w.turn_until(|| w.reactor.in_flight() < SLOTS);
        w.reactor.turn().unwrap();
        w.add_read("e");
        if !w.poll("e") {
            w.add_waiter("f");
            w.during("e", Call::BufferDrop, || w.discard("e"));
        }
    }

    fn the_waker_of_a_staged_future_is_dropped_with_it(w) {
        w.fill();
        w.discard("a");
        w.turn_until(|| w.reactor.in_flight() < SLOTS);
        w.reactor.turn().unwrap();
        w.add_read("e");
        if !w.poll("e") {
            w.add_waiter("f");
            w.during("e", Call::WakerDrop, || w.discard("e"));
        }
    }

    fn a_region_is_computed(w) {
        w.fill();
        w.add_waiter("e");
        // A panic leaks the operation: its buffer and its data.
        w.leaked.set(if w.action == Action::Panic { 2 } else { 0 });
        w.during("f", Call::Region, || w.add_read("f"));
        if w.action == Action::Reenter {
            w.poll("f");
        }
    }

    fn an_owner_returns_its_descriptor(w) {
        w.fill();
        w.add_waiter("e");
        w.during("f", Call::RawFd, || w.add_read("f"));
        if w.action == Action::Reenter {
            w.poll("f");
        }
    }

    fn an_operation_is_converted(w) {
        w.fill();
        w.add_waiter("e");
        let op = Converted("f", w.read_op("f").into());
        w.during("f", Call::IntoOp, || w.add("f", op, None));
        if w.action == Action::Reenter {
            w.poll("f");
        }
    }
}

/// `Lock::with` is user code too, before and after the closure that it runs. (By its
/// contract it does not panic.)
#[test]
fn a_lock_calls_the_reactor() {
    fn scenario<L: Lock + 'static>(setup: Setup, call: Call, number: usize) {
        let w = World::<L>::new(setup, Action::Reenter);
        w.fill();
        w.add_waiter("e");
        w.add_waiter("victim");
        w.add_waiter("f");
        w.finish("a");
        w.during("lock", call, || match number {
            0 => _ = w.poll("a"),
            1 => _ = w.poll("b"),
            2 => _ = w.poll("e"),
            3 => w.discard("a"),
            4 => w.discard("b"),
            5 => w.discard("e"),
            6 => drop(w.reactor.turn()),
            7 => drop(w.reactor.in_flight()),
            _ => drop(format!("{:?}", w.reactor)),
        });
        w.end();
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
