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

/// An index from an event or a ticket is not trusted.
#[test]
fn no_tag_is_of_a_slot_that_is_not_there() {
    let mut array = [RawSlot::<(), ()>::NEW, RawSlot::NEW];
    let slots = Slots::new(&mut array);
    assert!(slots.at(Tag(1)).is_some());
    for index in [2_u32, 3, u32::MAX] {
        assert_eq!(slots.at(Tag(index.into())), None);
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
        let batch = slots.batch(&mut places);
        slots.submitted(&batch);
        assert_eq!(slots.find(ticket), Some(OpState::InFlight(SlotOffset(0))));
        if let Some(last) = last {
            assert_eq!(slots.take_event(&last), None, "it has ended already");
        }
        let event = Event {
            data: slots.iocb(SlotOffset(0)).data,
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
