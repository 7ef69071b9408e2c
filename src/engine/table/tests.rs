//! Tests of the slots alone, without a kernel.

use super::*;
use crate::opcode::Fsync;

extern crate std;

/// Stages an operation and unstages it.
fn pass(slots: &mut Slots<'_, (), ()>) -> Ticket {
    let ticket = slots.stage(&Fsync::new(0).build(), MaybeUninit::new(()), ());
    assert_eq!(slots.find(ticket), Some(OpState::Staged(SlotOffset(0))));
    let at = slots.unstage_first().unwrap();
    assert_eq!(slots.release(at).ticket, ticket);
    assert_eq!(slots.find(ticket), None);
    ticket
}

/// An index from an event or a ticket is not trusted: neither beyond the array, nor of a
/// slot that is untouched.
#[test]
fn no_tag_is_of_a_slot_that_is_not_there() {
    let mut array = [RawSlot::<(), ()>::NEW, RawSlot::NEW];
    let mut slots = Slots::new(&mut array);
    for used in 0..=2 {
        for index in [0, 1, 2, 3, u32::MAX] {
            assert_eq!(slots.at(Tag(index.into())).is_some(), index < used);
        }
        slots.reserve();
        slots.stage(&Fsync::new(0).build(), MaybeUninit::new(()), ());
    }
}

/// Slots are made ready as they are needed. The memory of owned ones is uninitialised.
#[test]
fn untouched_slots_stay_untouched() {
    const MARK: i64 = 0x5555;
    let count = 9;
    let mut array: std::vec::Vec<_> = (0..count).map(|_| RawSlot::<(), ()>::NEW).collect();
    for slot in &mut array {
        slot.result = MARK;
        slot.next = SlotOffset(77);
    }
    let mut slots = Slots::new(&mut array);
    let iocb = Fsync::new(0).build();
    for _ in 0..100 {
        for _ in 0..4 {
            assert!(slots.reserve());
            slots.stage(&iocb, MaybeUninit::new(()), ());
        }
        while let Some(at) = slots.unstage_first() {
            slots.release(at);
        }
    }
    assert_eq!((slots.len(), slots.free(), slots.used), (count, count, 4));
    let untouched = |slot: &&RawSlot<(), ()>| slot.result == MARK && slot.next == SlotOffset(77);
    assert_eq!(array.iter().filter(untouched).count(), 5);
}

/// Never more slots are touched than twice those that were needed, and each is usable.
#[test]
fn few_more_slots_are_touched_than_used() {
    for count in [1, 2, 3, 5, 40, 41] {
        let mut array: std::vec::Vec<_> = (0..count).map(|_| RawSlot::<(), ()>::NEW).collect();
        let mut slots = Slots::new(&mut array);
        let iocb = Fsync::new(0).build();
        let mut tickets = std::vec::Vec::new();
        for staged in 1..=count {
            assert!(slots.reserve());
            tickets.push(slots.stage(&iocb, MaybeUninit::new(()), ()));
            let used = slots.used as usize;
            assert!(used >= staged && used <= (2 * staged).min(count) && used < staged + 16);
            assert_eq!(slots.free(), count - staged);
        }
        assert!(!slots.reserve());
        for ticket in tickets {
            let at = slots.unstage_first().unwrap();
            assert_eq!(slots.find(ticket), Some(OpState::InFlight(at)));
            assert_eq!(slots.release(at).ticket, ticket);
        }
    }
}

#[test]
fn every_slot_can_be_used() {
    for count in [0, 1, 2, 7, 100] {
        let mut array: std::vec::Vec<_> = (0..count).map(|_| RawSlot::<(), ()>::NEW).collect();
        let mut slots = Slots::new(&mut array);
        for staged in 0..count {
            assert!(slots.reserve());
            assert_eq!(slots.free(), count - staged);
            slots.stage(&Fsync::new(0).build(), MaybeUninit::new(()), ());
        }
        assert!(!slots.reserve());
        assert_eq!(slots.free(), 0);
    }
}

/// Takes operations out of both lists in every order, and compares the rest with a vector.
#[test]
fn operations_leave_the_lists_in_any_order() {
    const COUNT: usize = 6;
    let iocb = Fsync::new(0).build();
    for seed in 0..720_usize {
        let mut array: std::vec::Vec<_> = (0..COUNT).map(|_| RawSlot::<(), ()>::NEW).collect();
        let mut slots = Slots::new(&mut array);
        let mut left: std::vec::Vec<_> = (0..COUNT)
            .map(|_| slots.stage(&iocb, MaybeUninit::new(()), ()))
            .collect();
        // Staged operations leave, and every second one is staged again at the end.
        let mut order = seed;
        for round in 0..COUNT {
            let ticket = left.remove(order % left.len());
            order /= left.len() + 1;
            let Some(OpState::Staged(at)) = slots.find(ticket) else {
                panic!("not staged");
            };
            slots.unstage(at);
            slots.release(at);
            if round % 2 == 0 {
                left.push(slots.stage(&iocb, MaybeUninit::new(()), ()));
            }
        }
        while left.len() < COUNT {
            left.push(slots.stage(&iocb, MaybeUninit::new(()), ()));
        }
        // They are submitted in order, and complete.
        let mut places = [MaybeUninit::uninit(); COUNT];
        let batch = slots.batch(&mut places, None);
        slots.submitted(&batch);
        for (result, &ticket) in left.iter().enumerate() {
            let Some(OpState::InFlight(at)) = slots.find(ticket) else {
                panic!("not in flight");
            };
            slots.leave_flight(at);
            slots.push_completed(at, result as i64);
        }
        let mut numbered: std::vec::Vec<_> = left.into_iter().enumerate().collect();
        let mut order = seed;
        for _ in 0..COUNT / 2 {
            let (number, ticket) = numbered.remove(order % numbered.len());
            order /= numbered.len() + 1;
            let Some(OpState::Completed(at)) = slots.find(ticket) else {
                panic!("not completed");
            };
            assert_eq!(slots.take_result(at), number as i64);
            slots.release(at);
        }
        for (number, _) in numbered {
            let (at, result) = slots.pop_completed().unwrap();
            assert_eq!(result, number as i64);
            slots.release(at);
        }
        assert_eq!((slots.free(), slots.pop_completed()), (COUNT, None));
    }
}

#[test]
fn a_generation_that_comes_round_is_of_another_lap() {
    let mut array = [RawSlot::NEW];
    let mut slots = Slots::new(&mut array);
    let first = pass(&mut slots);
    // The next generation is the last one before the wrap.
    slots.slot(SlotOffset(0)).change(Tag::of_last_generation);
    let last = pass(&mut slots);
    assert_eq!((last.tag, last.wraps), (Tag(0), first.wraps));
    let again = pass(&mut slots);
    assert_eq!((again.tag, again.wraps), (first.tag, first.wraps + 1));
    assert_eq!(slots.find(first), None);
}

#[test]
fn a_generation_comes_round_with_an_operation_in_flight() {
    let mut array = [RawSlot::NEW];
    let mut slots = Slots::new(&mut array);
    pass(&mut slots);
    slots.slot(SlotOffset(0)).change(Tag::of_last_generation);
    let laps = slots.slot(SlotOffset(0)).wraps;
    let mut last: Option<Event> = None;
    for _ in 0..3 {
        let ticket = slots.stage(&Fsync::new(0).build(), MaybeUninit::new(()), ());
        let mut places = [MaybeUninit::uninit(); 1];
        let batch = slots.batch(&mut places, None);
        slots.submitted(&batch);
        assert_eq!(slots.find(ticket), Some(OpState::InFlight(SlotOffset(0))));
        if let Some(last) = last {
            assert_eq!(slots.take_event(&last), None, "it has ended already");
        }
        let event = Event {
            data: slots.event_data(SlotOffset(0)),
            res: 7,
            ..Event::EMPTY
        };
        last = Some(event);
        let at = slots.take_event(&event).unwrap();
        slots.push_completed(at, event.res);
        assert_eq!(slots.find(ticket), Some(OpState::Completed(at)));
        assert_eq!(slots.pop_completed(), Some((at, 7)));
        assert_eq!(slots.release(at).ticket, ticket);
        assert_eq!(slots.find(ticket), None);
    }
    assert_eq!(slots.slot(SlotOffset(0)).wraps, laps + 1);
}

#[test]
fn a_ticket_of_another_owner_never_matches() {
    let (mut one, mut two) = ([RawSlot::NEW], [RawSlot::NEW]);
    let (mut one, mut two) = (Slots::new(&mut one), Slots::new(&mut two));
    let ticket = one.stage(&Fsync::new(0).build(), MaybeUninit::new(()), ());
    let other = two.stage(&Fsync::new(0).build(), MaybeUninit::new(()), ());
    assert_ne!(ticket, other);
    assert_eq!((one.find(other), two.find(ticket)), (None, None));
}

#[test]
fn a_ticket_never_matches_in_a_slot_that_was_moved() {
    let mut array = [RawSlot::NEW, RawSlot::NEW];
    let mut slots = Slots::new(&mut array);
    let old: std::vec::Vec<_> = (0..4).map(|_| pass(&mut slots)).collect();
    array.swap(0, 1);
    let mut slots = Slots::new(&mut array);
    for _ in 0..8 {
        let ticket = slots.stage(&Fsync::new(0).build(), MaybeUninit::new(()), ());
        assert!(
            old.iter()
                .all(|&old| old != ticket && slots.find(old).is_none())
        );
        let at = slots.unstage_first().unwrap();
        slots.release(at);
    }
}
