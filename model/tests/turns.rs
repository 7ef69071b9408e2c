//! A reactor that threads share, under every order of their critical sections that loom
//! explores. Each test prints the number of executions.
#![cfg(feature = "checker")]

use model::checker::explore;
use model::checker::turns::Step::{self, Drop, Leak, Poll, PollAnew, Ready, Turn};
use model::checker::turns::{Drive, Plan, What, run};

const DRIVES: [Drive; 2] = [Drive::Eventfd, Drive::NeedsTurn];

/// The number of switches away from a thread that could continue.
const SWITCHES: usize = 2;

/// Runs a program with every kind of executor.
fn every(
    name: &str,
    slots: u32,
    (tasks, begun): (&'static [What], usize),
    threads: &'static [&'static [Step]],
) {
    for drive in DRIVES {
        for batched in [false, true] {
            let plan = Plan {
                slots,
                batched,
                drive,
                tasks,
                begun,
                threads,
            };
            let begin = std::time::Instant::now();
            let count = explore(Some(SWITCHES), move || run(&plan));
            println!(
                "{name}, {drive:?}, batched {batched}: {count} executions, {} ms",
                begin.elapsed().as_millis()
            );
            assert!(count > 1);
        }
    }
}

#[test]
fn an_operation_completes_while_a_thread_turns() {
    every(
        "an operation",
        2,
        (&[What::Poll(0)], 0),
        &[&[Poll(0), Poll(0)], &[Turn, Turn], &[Ready(0)]],
    );
}

#[test]
fn a_waker_is_replaced_while_a_thread_turns() {
    every(
        "a waker",
        1,
        (&[What::Poll(0)], 1),
        &[&[PollAnew(0), PollAnew(0)], &[Turn], &[Ready(0), Turn]],
    );
}

#[test]
fn two_threads_turn_at_once() {
    every(
        "two turns",
        2,
        (&[What::Poll(0), What::Poll(1)], 2),
        &[&[Ready(0), Ready(1)], &[Turn, Turn], &[Turn, Poll(0)]],
    );
}

#[test]
fn a_poll_of_one_task_finds_the_events_of_others() {
    every(
        "polls",
        3,
        (&[What::Poll(0), What::Poll(1), What::Poll(2)], 3),
        &[
            &[Ready(0), PollAnew(0)],
            &[Ready(1), PollAnew(1)],
            &[Ready(2), Turn],
        ],
    );
}

#[test]
fn a_poll_leaves_the_events_behind_its_own() {
    every(
        "events behind",
        3,
        (&[What::Poll(0), What::Poll(1), What::Cached], 2),
        &[&[Poll(2)], &[Ready(0), Ready(1)], &[Turn]],
    );
}

#[test]
fn operations_are_refused_while_others_are_submitted() {
    every(
        "refusals",
        3,
        (&[What::Refused, What::Poll(1), What::Cached], 0),
        &[&[Poll(0), Turn], &[Poll(1), Ready(1)], &[Poll(2), Turn]],
    );
}

#[test]
fn a_slot_becomes_free_while_tasks_wait_for_it() {
    every(
        "a slot",
        1,
        (&[What::Poll(0), What::Cached, What::Refused], 2),
        &[&[Ready(0), Turn], &[Poll(0), Poll(1)], &[Poll(2), Turn]],
    );
}

#[test]
fn a_task_that_was_woken_for_a_slot_is_dropped() {
    every(
        "a claim",
        1,
        (&[What::Poll(0), What::Cached, What::Refused], 3),
        &[&[Drop(0), Turn], &[Poll(1), Drop(1)], &[Turn, Poll(2)]],
    );
}

#[test]
fn a_task_that_was_woken_for_a_slot_is_leaked() {
    every(
        "a leaked claim",
        1,
        (&[What::Poll(0), What::Cached, What::Refused], 3),
        &[&[Drop(0)], &[Leak(1)], &[Turn, Turn]],
    );
}

#[test]
fn a_future_is_dropped_while_its_operation_is_submitted() {
    every(
        "a drop",
        2,
        (&[What::Poll(0), What::Poll(1), What::Idle], 0),
        &[
            &[Poll(0), Drop(0)],
            &[Turn, Poll(2)],
            &[Poll(1), Turn, Ready(1)],
        ],
    );
}

#[test]
fn a_reactor_becomes_idle_while_tasks_wait_for_it() {
    every(
        "idle",
        2,
        (&[What::Poll(0), What::Idle, What::Idle], 3),
        &[&[Ready(0), Poll(0)], &[Turn, PollAnew(1)], &[Turn]],
    );
}
