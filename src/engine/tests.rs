//! Tests of the system calls that the engine makes. [`Fake`] is a kernel model in
//! memory: it records the waits, and returns the errors that the test chooses.

use core::mem::MaybeUninit;

use super::*;
use crate::completion::refusal;
use crate::opcode::{Fsync, Poll, PollMask};
use crate::sys::abi::Iocb;

extern crate std;

use std::collections::VecDeque;
use std::vec;
use std::vec::Vec;

/// A kernel model whose operations have no memory. They complete when the test chooses.
#[derive(Default)]
struct Fake {
    in_flight: Vec<*mut Iocb>,
    events: VecDeque<Event>,
    /// The number of operations that complete during each wait.
    completes: usize,
    /// Set if the events cannot be read in memory.
    unreadable: bool,
    /// The minimum number of events of each wait.
    waits: Vec<usize>,
    /// The error of each wait that completes nothing.
    refuses_wait: Option<Errno>,
    /// The errors of the calls to cancel, in order; the last is repeated.
    refuses_cancel: VecDeque<Errno>,
    /// Set if it reads an iocb before it refuses to cancel it.
    checks_cancel: bool,
    destroyed: bool,
}

impl Fake {
    fn complete(&mut self, count: usize) {
        let count = count.min(self.in_flight.len());
        for iocb in self.in_flight.drain(..count) {
            self.events.push_back(Event {
                // SAFETY: the slots of the engine do not move, and it writes to no iocb
                // of an operation in flight.
                data: unsafe { (*iocb).data },
                obj: iocb.addr() as u64,
                res: 1,
                res2: 0,
            });
        }
    }
}

// SAFETY: the operations have no memory, so no buffer is in use at any time. `complete`
// produces one event for each.
unsafe impl Backend for Fake {
    unsafe fn submit(&mut self, iocbs: &[*mut Iocb]) -> Result<usize, Errno> {
        self.in_flight.extend_from_slice(iocbs);
        Ok(iocbs.len())
    }

    fn poll_found(&mut self) -> Polled {
        Polled::Empty
    }

    fn poll(&mut self) -> Polled {
        if self.unreadable {
            return Polled::NeedsSyscall;
        }
        self.events.pop_front().map_or(Polled::Empty, Polled::Found)
    }

    fn pop(&mut self) -> Result<Option<Event>, Errno> {
        Ok(self.events.pop_front())
    }

    fn wait(
        &mut self,
        min_nr: usize,
        events: &mut [Event],
        _wait: WaitOptions<'_>,
    ) -> Result<usize, Errno> {
        self.waits.push(min_nr);
        self.complete(self.completes);
        if self.events.is_empty() {
            return self.refuses_wait.map_or(Ok(0), Err);
        }
        let count = events.len().min(self.events.len());
        for (place, event) in events.iter_mut().zip(self.events.drain(..count)) {
            *place = event;
        }
        Ok(count)
    }

    fn check(&self) -> Result<(), Errno> {
        Ok(())
    }

    fn is_copy(&self) -> bool {
        false
    }

    fn cancel(&mut self, iocb: *const Iocb) -> Result<(), Errno> {
        if iocb.is_null() && self.checks_cancel {
            return Err(Errno::FAULT);
        }
        let errno = match self.refuses_cancel.len() {
            0 | 1 => self.refuses_cancel.front().copied(),
            _ => self.refuses_cancel.pop_front(),
        };
        errno.map_or(Ok(()), Err)
    }

    fn destroy(&mut self) -> Result<(), Errno> {
        self.destroyed = true;
        Ok(())
    }

    fn make_room(&mut self) -> bool {
        false
    }
}

type Slots = Vec<RawSlot<(), ()>>;

fn slots(count: usize) -> Slots {
    (0..count).map(|_| RawSlot::NEW).collect()
}

/// Creates an engine with as many operations in flight as there are slots: polls, or
/// syncs.
fn in_flight(slots: &mut Slots, polls: bool, kernel: Fake) -> Engine<'_, (), (), Fake> {
    let iocb = if polls { poll() } else { sync() };
    let iocbs = vec![iocb; slots.len()];
    submitted(slots, &iocbs, kernel)
}

fn poll() -> Iocb {
    Poll::new(0, PollMask::IN).build()
}

fn sync() -> Iocb {
    Fsync::new(0).build()
}

/// Creates an engine with these operations in flight.
fn submitted<'s>(slots: &'s mut Slots, iocbs: &[Iocb], kernel: Fake) -> Engine<'s, (), (), Fake> {
    let mut engine = Engine::new(slots, kernel);
    for iocb in iocbs {
        assert!(engine.slots.reserve());
        engine.slots.stage(iocb, MaybeUninit::new(()), ());
    }
    // SAFETY: these operations have no memory.
    assert_eq!(unsafe { engine.submit() }, Ok(iocbs.len()));
    engine
}

/// Takes the results of all completed operations.
fn results(engine: &mut Engine<'_, (), (), Fake>) -> Vec<i64> {
    let mut results = Vec::new();
    while let Some((at, result)) = engine.slots.pop_completed() {
        engine.slots.release(at);
        results.push(result);
    }
    results
}

#[test]
fn what_memory_tells_needs_no_call() {
    let mut slots = slots(2);
    let mut engine = in_flight(&mut slots, false, Fake::default());
    engine.backend.complete(1);
    assert_eq!(engine.wait(1, WaitOptions::new()), Ok(1));
    assert_eq!(engine.backend.waits, []);
    // The event was taken already, and the system call checks whether there are more.
    assert_eq!(engine.wait(1, WaitOptions::new()), Ok(1));
    assert_eq!(engine.backend.waits, [0]);
}

#[test]
fn what_was_taken_comes_before_an_error() {
    let mut slots = slots(2);
    let kernel = Fake {
        refuses_wait: Some(Errno::PERM),
        ..Fake::default()
    };
    let mut engine = in_flight(&mut slots, false, kernel);
    engine.backend.complete(1);
    assert_eq!(engine.wait(2, WaitOptions::new()), Ok(1));
    assert_eq!(engine.wait(2, WaitOptions::new()), Err(Errno::PERM));
    assert_eq!(results(&mut engine), [1]);
}

#[test]
fn events_are_taken_by_a_call_only_where_it_is_needed() {
    for unreadable in [false, true] {
        let mut slots = slots(3);
        let kernel = Fake {
            unreadable,
            ..Fake::default()
        };
        let mut engine = in_flight(&mut slots, false, kernel);
        let calls = |needed: &[usize]| if unreadable { needed.to_vec() } else { vec![] };
        assert_eq!(engine.take_events(0, WaitOptions::poll()), Ok(false));
        assert_eq!(engine.backend.waits, calls(&[0]));
        engine.backend.complete(1);
        assert_eq!(engine.take_events(0, WaitOptions::poll()), Ok(true));
        assert_eq!(engine.backend.waits, calls(&[0, 0]));
        // There is no event: it has to wait.
        engine.backend.waits.clear();
        engine.backend.completes = 1;
        assert_eq!(engine.take_events(1, WaitOptions::new()), Ok(true));
        assert_eq!(engine.backend.waits, [1]);
        assert_eq!(results(&mut engine), [1, 1]);
    }
}

#[test]
fn a_ring_that_cannot_be_read_is_looked_at_by_call() {
    let mut slots = slots(2);
    let kernel = Fake {
        unreadable: true,
        ..Fake::default()
    };
    let mut engine = in_flight(&mut slots, false, kernel);
    assert_eq!(engine.poll_via_syscall(), Ok(()));
    assert_eq!(engine.slots.completed(), 0);
    engine.backend.complete(2);
    // The events are behind a foreign one.
    engine.backend.events.push_front(Event::EMPTY);
    assert_eq!(engine.poll_via_syscall(), Ok(()));
    assert_eq!(
        (engine.slots.completed(), engine.backend.events.len()),
        (1, 1)
    );
}

/// A minimum of 0 would be a busy loop.
#[test]
fn draining_waits_for_all_that_is_in_flight() {
    let mut slots = slots(5);
    let mut engine = in_flight(&mut slots, false, Fake::default());
    engine.backend.complete(1);
    assert_eq!(engine.wait(1, WaitOptions::new()), Ok(1));
    engine.backend.completes = 4;
    assert_eq!(engine.drain(), Ok(()));
    assert_eq!(engine.backend.waits, [4]);
    assert_eq!(results(&mut engine), [1; 5]);
}

const UNKNOWN: i64 = -(Errno::OUTCOME_UNKNOWN.raw_os_error() as i64);

fn polls<'s>(slots: &'s mut Slots, refusals: &[Errno]) -> Engine<'s, (), (), Fake> {
    let kernel = Fake {
        refuses_cancel: refusals.iter().copied().collect(),
        checks_cancel: true,
        ..Fake::default()
    };
    in_flight(slots, true, kernel)
}

#[test]
fn polls_that_a_sandbox_does_not_let_end_are_not_waited_for() {
    for refusals in [
        [Errno::PERM, Errno::INVAL],
        [Errno::INVAL, Errno::PERM],
        [Errno::NOSYS, Errno::NOSYS],
    ] {
        let mut slots = slots(2);
        let mut engine = polls(&mut slots, &refusals);
        assert_eq!(engine.drain(), Ok(()));
        assert_eq!(engine.backend.waits, [], "{refusals:?}");
        assert!(engine.backend.destroyed);
        assert_eq!(results(&mut engine), [UNKNOWN; 2]);
    }
}

#[test]
fn what_is_no_poll_is_waited_for_before_a_forced_end() {
    let mut slots = slots(3);
    let kernel = Fake {
        refuses_cancel: [Errno::PERM].into(),
        completes: 1,
        ..Fake::default()
    };
    let mut engine = submitted(&mut slots, &[sync(), sync(), poll()], kernel);
    assert_eq!(engine.drain(), Ok(()));
    assert_eq!(engine.backend.waits, [1, 1]);
    assert!(engine.backend.destroyed);
    assert_eq!(results(&mut engine), [1, 1, UNKNOWN]);
}

/// The events are behind foreign ones, with a ring that can be read and one that
/// cannot.
#[test]
fn what_has_ended_before_a_forced_end_has_its_result() {
    for unreadable in [false, true] {
        for foreign in [0, 1, 2 * BATCH] {
            let mut slots = slots(4);
            let mut engine = polls(&mut slots, &[Errno::PERM]);
            engine.backend.unreadable = unreadable;
            engine.backend.complete(2);
            for _ in 0..foreign {
                engine.backend.events.push_front(Event::EMPTY);
            }
            assert_eq!(engine.drain(), Ok(()));
            assert!(engine.backend.destroyed);
            assert_eq!(results(&mut engine), [1, 1, UNKNOWN, UNKNOWN]);
        }
    }
}

#[test]
fn polls_that_are_completing_are_waited_for_in_turn() {
    // There is one event in each wait, and there are more events than the waits without
    // an event that are allowed.
    let count = drain::ATTEMPTS as usize + 50;
    let mut slots = slots(count);
    let mut engine = polls(&mut slots, &[Errno::INVAL]);
    engine.backend.completes = 1;
    assert_eq!(engine.drain(), Ok(()));
    assert!(!engine.backend.destroyed);
    assert_eq!(results(&mut engine), vec![1; count]);
}

#[test]
fn polls_that_never_complete_are_waited_for_so_often() {
    for refuses_wait in [None, Some(Errno::INTR)] {
        let mut slots = slots(3);
        let mut engine = polls(&mut slots, &[Errno::INVAL]);
        engine.backend.refuses_wait = refuses_wait;
        assert_eq!(engine.drain(), Ok(()));
        assert_eq!(engine.backend.waits, vec![3; drain::ATTEMPTS as usize]);
        assert!(engine.backend.destroyed);
        assert_eq!(results(&mut engine), [UNKNOWN; 3]);
    }
}

/// EINVAL did not come from the kernel.
#[test]
fn polls_are_waited_for_once_where_nobody_reads_the_iocb() {
    let mut slots = slots(3);
    let mut engine = polls(&mut slots, &[Errno::INVAL]);
    engine.backend.checks_cancel = false;
    assert_eq!(engine.drain(), Ok(()));
    assert_eq!(engine.backend.waits, [3]);
    assert_eq!(results(&mut engine), [UNKNOWN; 3]);
}

/// Creates an engine with one operation in flight, and two that are taken for a submission.
fn taken(slots: &mut Slots) -> (Engine<'_, (), (), Fake>, Submission, [Ticket; 2]) {
    let mut engine = Engine::new(slots, Fake::default());
    let iocb = sync();
    engine.slots.stage(&iocb, MaybeUninit::new(()), ());
    // SAFETY: this operation has no memory.
    assert_eq!(unsafe { engine.submit() }, Ok(1));
    let tickets = [0; 2].map(|_| engine.slots.stage(&iocb, MaybeUninit::new(()), ()));
    let mut submission = Submission::new();
    engine.slots.take_batch(&mut submission);
    assert_eq!((engine.slots.staged(), engine.slots.in_flight()), (0, 3));
    (engine, submission, tickets)
}

#[test]
fn a_submission_without_room_is_staged_again_in_order() {
    let mut slots = slots(4);
    let (mut engine, submission, [first, second]) = taken(&mut slots);
    let later = engine
        .slots
        .stage(&Fsync::new(0).build(), MaybeUninit::new(()), ());
    let submitted = engine.finish_submission(&submission, Err(Errno::AGAIN));
    assert_eq!(submitted, Submitted::NoRoom);
    let order = [0; 3].map(|_| {
        let at = engine.slots.unstage_first().unwrap();
        engine.slots.release(at).ticket
    });
    assert_eq!(order, [first, second, later]);
}

#[test]
fn a_part_of_a_submission_is_staged_again() {
    let mut slots = slots(3);
    let (mut engine, submission, [first, second]) = taken(&mut slots);
    let submitted = engine.finish_submission(&submission, Ok(1));
    assert_eq!(submitted, Submitted::Part);
    assert!(matches!(
        engine.slots.find(first),
        Some(OpState::InFlight(_))
    ));
    assert!(matches!(
        engine.slots.find(second),
        Some(OpState::Staged(_))
    ));
}

/// With nothing else in flight, no completion would make room.
#[test]
fn a_submission_without_room_and_without_hope_is_completed() {
    let mut slots = slots(3);
    let (mut engine, submission, _) = taken(&mut slots);
    engine.backend.complete(1);
    assert_eq!(engine.wait(1, WaitOptions::poll()), Ok(1));
    let submitted = engine.finish_submission(&submission, Err(Errno::AGAIN));
    assert_eq!(submitted, Submitted::Refused);
    assert_eq!(results(&mut engine), [1, refusal(Errno::AGAIN)]);
    assert_eq!(engine.slots.staged(), 1);
}

/// The kernel reads the iocbs and writes their keys while others use the same slots.
#[test]
fn the_iocbs_of_a_submission_stay_accessible() {
    let mut slots = slots(3);
    let (mut engine, submission, tickets) = taken(&mut slots);
    for ticket in tickets {
        let Some(OpState::InFlight(at)) = engine.slots.find(ticket) else {
            panic!("the operation is not in flight");
        };
        engine.slots.extra(at);
    }
    for &iocb in submission.iocbs() {
        // SAFETY: the slots exist, and nothing refers to them now.
        unsafe { (*iocb).key = (*iocb).opcode.into() };
    }
    let event = Event {
        // SAFETY: as above.
        data: unsafe { (*submission.iocbs()[0]).data },
        ..Event::EMPTY
    };
    assert!(engine.operation_of(&event).is_some());
}

/// Another thread is inside io_submit(2): the kernel reads the iocbs and writes their keys,
/// and nothing orders that before or after the accesses of this thread. The interpreter Miri
/// reports a data race if one of them includes a key. A reference to a slot does.
#[test]
fn no_access_to_an_operation_includes_the_key_that_the_kernel_writes() {
    struct Iocbs(Vec<*mut Iocb>);
    // SAFETY: the slots outlive the thread, which accesses only what the kernel does.
    unsafe impl Send for Iocbs {}

    let mut slots = slots(4);
    let (mut engine, submission, tickets) = taken(&mut slots);
    let iocbs = Iocbs(submission.iocbs().to_vec());
    std::thread::scope(|threads| {
        threads.spawn(move || {
            let Iocbs(iocbs) = { iocbs };
            for iocb in iocbs {
                // SAFETY: the slots exist, and the engine writes to no iocb in flight.
                unsafe {
                    assert_ne!((*iocb).data, 0);
                    (*iocb).key = 0;
                }
            }
        });
        for ticket in tickets {
            let Some(OpState::InFlight(at)) = engine.slots.find(ticket) else {
                panic!("the operation is not in flight");
            };
            assert_eq!(engine.slots.state(at), OpState::InFlight(at));
            assert_eq!(
                engine.slots.state_of(ticket.tag),
                Some(OpState::InFlight(at))
            );
            assert!(engine.slots.is_in_flight(at) && !engine.slots.is_completed(at));
            assert!(engine.slots.release_notified(at).is_none());
            assert_eq!(engine.pop_own(at), None);
            assert_eq!(engine.cancel_if_poll(at), Ok(()));
            engine.slots.extra(at);
            let foreign = Event {
                data: ticket.tag.freed().0,
                ..Event::EMPTY
            };
            assert_eq!(engine.operation_of(&foreign), None);
        }
        let mut last = None;
        while let Some(at) = engine.slots.in_flight_after(last) {
            last = Some(at);
        }
    });
}

/// A ring with false contents completes an operation before the kernel refuses it.
#[test]
fn an_operation_that_a_false_event_has_completed_is_not_staged_again() {
    let mut slots = slots(3);
    let (mut engine, submission, [_, second]) = taken(&mut slots);
    let Some(OpState::InFlight(at)) = engine.slots.find(second) else {
        panic!("the operation is not in flight");
    };
    let event = Event {
        data: engine.slots.event_data(at),
        res: 7,
        ..Event::EMPTY
    };
    let (at, result) = engine.operation_of(&event).unwrap();
    engine.slots.release(at);
    assert_eq!(result, 7);
    let again = engine
        .slots
        .stage(&Fsync::new(0).build(), MaybeUninit::new(()), ());
    let submitted = engine.finish_submission(&submission, Err(Errno::INVAL));
    assert_eq!(submitted, Submitted::Refused);
    assert_eq!(results(&mut engine), [refusal(Errno::INVAL)]);
    assert!(matches!(engine.slots.find(again), Some(OpState::Staged(_))));
    assert_eq!((engine.slots.staged(), engine.slots.in_flight()), (1, 1));
}
