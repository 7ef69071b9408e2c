//! Checks the ring, read without a system call, around its end and up to its capacity.

use linux_aio::opcode::{Poll, PollMask};
use linux_aio::{Context, Errno, Event, Iocb};

use crate::check::Check;
use crate::os;

/// The capacity requested from io_setup. The ring is larger.
const REQUESTED: u32 = 8;

pub(crate) fn run(check: &mut Check) {
    let Some(mut context) = check.needs("ring Context::new", Context::new(REQUESTED)) else {
        return;
    };
    let Some([reader, writer]) = check.needs("ring pipe", os::pipe(0)) else {
        return;
    };
    around(check, &mut context, writer);
    full(check, &mut context, reader);
    check.equal(
        "ring destroy with polls in flight",
        context.destroy(),
        Ok(()),
    );
    for end in [reader, writer] {
        let _ = os::close(end);
    }
}

fn poll(fd: i32, data: u64) -> Iocb {
    Poll::new(fd, PollMask::all()).build().user_data(data)
}

/// Produces more events than there are slots, so that the ring wraps around.
fn around(check: &mut Check, context: &mut Context, writer: i32) {
    let (submitter, mut ring) = context.split();
    check.holds("ring is mapped", ring.is_mapped());
    let slots = ring.slots().unwrap_or(0);
    check.holds("ring is larger than requested", slots > REQUESTED);
    let popped = ring.pop().map(|event| event.is_some());
    check.equal("ring is empty", popped, Ok(false));

    let mut wrong = 0_u32;
    for data in 0..2 * u64::from(slots) + 5 {
        // SAFETY: the operation has no buffer.
        let taken = unsafe { submitter.submit(&mut [&mut poll(writer, data)]) };
        let event = ring.pop();
        let right = taken == Ok(1)
            && event.is_ok_and(|event| event.is_some_and(|event| event.data == data));
        wrong += u32::from(!right);
    }
    check.equal("ring pop, round its end", wrong, 0);

    // In runs of seven events, one of which is split by the end of the ring.
    let mut wrong = 0_u32;
    let mut data = 0;
    let mut events = [Event::EMPTY; 16];
    while data < 2 * u64::from(slots) {
        for more in 0..7 {
            // SAFETY: the operation has no buffer.
            let taken = unsafe { submitter.submit(&mut [&mut poll(writer, data + more)]) };
            wrong += u32::from(taken != Ok(1));
        }
        match ring.reap(&mut events) {
            Ok(events) => {
                wrong += u32::from(events.len() != 7);
                for event in events {
                    wrong += u32::from(event.data != data);
                    data += 1;
                }
            }
            Err(_) => wrong += 1,
        }
        if wrong > 0 {
            break;
        }
    }
    check.equal("ring reap, round its end", wrong, 0);

    // SAFETY: the operation has no buffer.
    let taken = unsafe { submitter.submit(&mut [&mut poll(writer, 99)]) };
    check.equal("ring submit", taken, Ok(1));
    let got = ring.wait(1, &mut events).map(|events| events.len());
    check.equal("ring wait", got, Ok(1));
    let got = ring.reap(&mut events).map(|events| events.len());
    check.equal("ring reap of nothing", got, Ok(0));
}

/// Submits polls that never complete until the context is full. Then one of them is
/// cancelled, which frees one slot.
fn full(check: &mut Check, context: &mut Context, reader: i32) {
    let slots = context.ring().slots().unwrap_or(0);
    let mut first = poll(reader, 1);
    // SAFETY: the operation has no buffer.
    let taken = unsafe { context.submit(&mut [&mut first]) };
    check.equal("ring a first poll", taken, Ok(1));
    let mut count = 1_u32;
    let refused = loop {
        // SAFETY: the operation has no buffer.
        match unsafe { context.submit(&mut [&mut poll(reader, 2)]) } {
            Ok(1) if count <= slots => count += 1,
            other => break other,
        }
    };
    check.equal("ring without free slots", refused, Err(Errno::AGAIN));
    // The kernel takes a slot before it looks the descriptor up.
    // SAFETY: the operation has no buffer.
    let refused = unsafe { context.submit(&mut [&mut poll(-1, 2)]) };
    check.equal(
        "ring without free slots comes first",
        refused,
        Err(Errno::AGAIN),
    );
    check.holds(
        "ring accepts at least the requested number",
        (REQUESTED..slots).contains(&count),
    );

    let cancelled = context.cancel(&raw const first);
    check.equal("ring cancel", cancelled, Ok(()));
    let mut events = [Event::EMPTY; 2];
    let got = context
        .ring()
        .wait(1, &mut events)
        .map(|events| events.len());
    check.equal("ring the cancelled one's event", got, Ok(1));
    check.equal("ring data of the cancelled one's event", events[0].data, 1);
    // Slots are returned in batches; the next submission collects them.
    // SAFETY: the operation has no buffer.
    let taken = unsafe { context.submit(&mut [&mut poll(reader, 3)]) };
    check.equal("ring accepts one more", taken, Ok(1));
}
