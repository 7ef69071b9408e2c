//! Tests of the ring and of the slots under loom. Each test prints the number of
//! executions.
#![cfg(feature = "checker")]

use model::checker::explore;
use model::checker::operations::{self, End, Poll};
use model::checker::polls;
use model::checker::rounds::{self, Take};

fn ring(
    nr: u32,
    start: u32,
    producers: u64,
    each: i64,
    take: Take,
    polls: usize,
    bound: Option<usize>,
) {
    let begin = std::time::Instant::now();
    let count = explore(bound, move || {
        rounds::run(nr, start, producers, each, take, polls);
    });
    println!(
        "ring of {nr} from {start}, {producers} × {each} events, {take:?}, {polls} polls: \
         {count} executions, {} ms",
        begin.elapsed().as_millis()
    );
    assert!(count > 1);
}

fn slots(reads: usize, poll: Poll, capacity: u32, end: End, bound: Option<usize>) {
    let begin = std::time::Instant::now();
    let count = explore(bound, move || operations::run(reads, poll, capacity, end));
    println!(
        "{reads} reads, poll {poll:?}, capacity {capacity}, {end:?}: {count} executions, {} ms",
        begin.elapsed().as_millis()
    );
    assert!(count > 1);
}

#[test]
fn one_producer_wraps_around_the_ring() {
    for nr in 2..=4 {
        let runs = [Take::Run(false), Take::Run(true)];
        for take in [Take::One, Take::Some(1), Take::Some(4)]
            .into_iter()
            .chain(runs)
        {
            ring(nr, nr - 1, 1, i64::from(nr) + 1, take, 3, Some(4));
        }
    }
}

#[test]
fn a_reader_takes_the_events_of_one_operation() {
    for nr in 2..=4 {
        ring(nr, nr - 1, 1, i64::from(nr) + 1, Take::Own, 3, Some(3));
    }
}

#[test]
fn two_producers_share_the_ring() {
    for take in [Take::One, Take::Some(2), Take::Run(false), Take::Run(true)] {
        ring(2, 0, 2, 2, take, 3, Some(3));
        ring(3, 2, 2, 2, take, 3, Some(3));
        ring(4, 2, 2, 3, take, 3, Some(2));
    }
}

#[test]
fn a_ring_that_is_never_empty_is_never_reported_as_empty() {
    for (nr, start) in [(3, 0), (3, 1), (3, 2), (4, 3)] {
        let count = explore(None, move || polls::run(nr, start));
        println!("polls of a ring of {nr} from {start}: {count} executions");
        assert!(count > 1);
    }
}

#[test]
fn each_operation_completes_once_with_its_buffer_intact() {
    for end in [End::Pop, End::Wait] {
        slots(1, Poll::None, 1, end, None);
        slots(2, Poll::None, 2, end, Some(3));
        slots(2, Poll::None, 1, end, Some(3));
        slots(1, Poll::Idle, 2, end, Some(3));
        slots(0, Poll::Ready, 1, end, None);
        slots(1, Poll::Ready, 2, end, Some(2));
    }
}

#[test]
fn no_buffer_is_dropped_before_its_operation_has_completed() {
    for end in [End::Drop, End::Foreign] {
        slots(1, Poll::None, 1, end, None);
        slots(2, Poll::None, 2, end, Some(3));
        slots(1, Poll::Idle, 2, end, Some(3));
        slots(0, Poll::Ready, 1, end, None);
        slots(1, Poll::Ready, 2, end, Some(2));
    }
}
