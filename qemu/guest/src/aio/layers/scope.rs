//! Checks of scopes: operations borrow their buffers, and the end of the scope waits
//! for them.

use core::time::Duration;

use linux_aio::buffer::{IoSlice, IoSliceMut};
use linux_aio::op::{Read, Write};
use linux_aio::opcode::PollMask;
use linux_aio::{Errno, Event, IdleContext, ScopeSlot, WaitOptions, scope, scope_with_context};

use super::{PIECE, SLOTS, Things, full, named, offset, piece};
use crate::aio::contexts::known;
use crate::aio::signals;
use crate::check::Check;
use crate::nr;
use crate::os::{self, NO_FILE};

/// An offset behind the content of the file.
const BEHIND: u64 = 1000;

type Slots = [ScopeSlot; SLOTS];

#[inline(never)]
pub(super) fn run(check: &mut Check, things: &Things) {
    let mut slots = ScopeSlot::array::<SLOTS>();
    let Some(idle) = check.needs("scope context", IdleContext::new(SLOTS as u32)) else {
        return;
    };
    let (mut context, name) = named(idle);
    own(check, things, &mut slots, &mut context);
    pieces(check, things, &mut context, &mut slots);
    refused(check, things, &mut context, &mut slots);
    when_full(check, things, &mut context, &mut slots);
    polls(check, things, &mut context, &mut slots);
    early(check, things, &mut context, &mut slots);
    check.equal("scope context is the same", known(name), Ok(0));
    nothing_left(check, things, context, &mut slots);
    interrupted(check, things);
}

/// Runs the checks that need no poll and no order of the completions.
pub(super) fn without_polls(check: &mut Check, things: &Things) {
    let mut slots = ScopeSlot::array::<SLOTS>();
    let Some(mut context) = check.needs("scope context", IdleContext::new(SLOTS as u32)) else {
        return;
    };
    own(check, things, &mut slots, &mut context);
    pieces(check, things, &mut context, &mut slots);
    early(check, things, &mut context, &mut slots);
}

/// Checks a scope that creates its own context and writes; another scope reads the
/// bytes back.
fn own(check: &mut Check, things: &Things, slots: &mut Slots, context: &mut IdleContext) {
    let mut bytes = [0; SLOTS * PIECE];
    let done = scope(slots, |s| {
        // No future waits for these operations; the end of the scope does.
        for number in 0..SLOTS {
            drop(
                s.write(&things.file, piece(number), BEHIND + offset(number))
                    .map_err(full)?,
            );
        }
        Ok(())
    });
    check.equal("scope of writes", done.and_then(|done| done), Ok(()));
    let done = scope_with_context(context, slots, |s| {
        let mut sum = 0;
        let mut pending = [const { None }; SLOTS];
        for ((number, bytes), pending) in
            bytes.chunks_exact_mut(PIECE).enumerate().zip(&mut pending)
        {
            *pending = Some(
                s.read(&things.file, bytes, BEHIND + offset(number))
                    .map_err(full)?,
            );
        }
        for pending in pending.into_iter().flatten() {
            sum += pending.wait().result?;
        }
        Ok(sum)
    });
    check.equal("scope of reads", done, Ok(SLOTS * PIECE));
    let mut pieces = bytes.chunks_exact(PIECE).enumerate();
    let right = pieces.all(|(number, bytes)| bytes == piece(number));
    check.holds("scope has read what it wrote", right);
}

fn pieces(check: &mut Check, things: &Things, context: &mut IdleContext, slots: &mut Slots) {
    let (mut a, mut b) = ([0; 3], [0; 4]);
    let write = [IoSlice::new(b"seven"), IoSlice::new(b"th")];
    let mut read = [IoSliceMut::new(&mut a), IoSliceMut::new(&mut b)];
    let done = scope_with_context(context, slots, |s| {
        let write = Write::new(&things.file, &write[..]).offset(BEHIND);
        let written = s.push(write).map_err(full)?.wait().result?;
        let synced = s.fsync(&things.file).map_err(full)?.wait().result?;
        let read = Read::new(&things.file, &mut read[..]).offset(BEHIND);
        let read = s.push(read).map_err(full)?.wait().result?;
        Ok::<_, Errno>(written << 8 | synced << 4 | read)
    });
    check.equal("scope vectored write, fsync and read", done, Ok(0x707));
    check.equal("scope first segment", &a[..], b"sev");
    check.equal("scope second segment", &b[..], b"enth");
}

/// Checks that a refusal by the kernel is the result of the operation, without waiting
/// for other operations in flight.
fn refused(check: &mut Check, things: &Things, context: &mut IdleContext, slots: &mut Slots) {
    let (result, in_flight) = scope_with_context(context, slots, |s| {
        let ready = s.poll(&things.writer, PollMask::OUT);
        s.submit();
        let bad = s.read(NO_FILE, &mut [], 0).map_err(full);
        let result = bad.and_then(|bad| bad.wait().result);
        (result, ready.map(|_| s.in_flight()).map_err(full))
    });
    check.equal("scope refusal is the result", result, Err(Errno::BADF));
    check.equal("scope refusal does not wait", in_flight, Ok(1));
}

fn when_full(check: &mut Check, things: &Things, context: &mut IdleContext, slots: &mut Slots) {
    let (mut first, mut second, mut third) = ([0; PIECE], [0; PIECE], [0; PIECE]);
    let done = scope_with_context(context, &mut slots[..1], |s| {
        let pending = s.read(&things.file, &mut first, 0).map_err(full)?;
        let back = match s.read(&things.file, &mut second, offset(1)) {
            Ok(_) => None,
            Err(full) => full.0.into_buffer(),
        };
        let finished = pending.is_finished();
        drop(pending);
        let back = back.ok_or(Errno::INVAL)?;
        drop(s.read(&things.file, back, offset(1)).map_err(full)?);
        // No handle waits for that operation: its slot is free once it has completed.
        let third = s.read(&things.file, &mut third, offset(2)).map_err(full)?;
        third.wait().result.map(|_| finished)
    });
    check.equal("scope when full gives it back", done, Ok(true));
    let right = [first, second, third]
        .iter()
        .enumerate()
        .all(|(number, bytes)| bytes == piece(number));
    check.holds("scope with one slot reads all", right);
}

fn polls(check: &mut Check, things: &Things, context: &mut IdleContext, slots: &mut Slots) {
    let short = WaitOptions::new().timeout(Duration::from_millis(5));
    let (waited, finished, cancelled, result) = scope_with_context(context, slots, |s| {
        let Ok(poll) = s.poll(&things.reader, PollMask::IN) else {
            return (Err(Errno::NOSPC), true, Ok(()), Ok(1));
        };
        let waited = s.wait_with(1, short);
        let finished = poll.is_finished();
        let cancelled = poll.cancel();
        (waited, finished, cancelled, poll.wait().result)
    });
    check.equal("scope wait_with a time", waited, Ok(0));
    check.holds("scope poll is not finished", !finished);
    check.equal("scope cancel", cancelled, Ok(()));
    check.equal("scope cancelled poll", result, Ok(0));
}

/// Checks a scope that returns an error, with reads started but not yet submitted.
fn early(check: &mut Check, things: &Things, context: &mut IdleContext, slots: &mut Slots) {
    let mut bytes = [0; 2 * PIECE];
    let left = scope_with_context(context, slots, |s| {
        for (number, bytes) in bytes.chunks_exact_mut(PIECE).enumerate() {
            drop(s.read(&things.file, bytes, offset(number)).map_err(full)?);
        }
        Err::<(), _>(Errno::CANCELED)?;
        Ok(())
    });
    check.equal("scope early return", left, Err(Errno::CANCELED));
    let right = bytes[..PIECE] == *piece(0) && bytes[PIECE..] == *piece(1);
    check.holds("scope early return waits for the reads", right);
}

/// Checks that a scope leaves nothing in flight. The poll cannot complete by itself: if
/// the scope had left it in flight, its event would arrive now.
fn nothing_left(check: &mut Check, things: &Things, mut context: IdleContext, slots: &mut Slots) {
    let in_flight = scope_with_context(&mut context, slots, |s| {
        let poll = s.poll(&things.reader, PollMask::IN).map_err(full)?;
        s.submit();
        drop(poll);
        Ok::<_, Errno>(s.in_flight())
    });
    check.equal("scope poll in flight", in_flight, Ok(1));
    check.equal("scope a byte comes later", things.send(), Ok(1));
    let context = context.into_context();
    let mut events = [Event::EMPTY; 2];
    let short = WaitOptions::new().timeout(Duration::from_millis(10));
    let came = context.wait_with(1, &mut events, short);
    let came = came.map(|events| events.len());
    check.equal("scope left nothing in flight", came, Ok(0));
    things.receive();
    check.equal("scope Context::destroy", context.destroy(), Ok(()));
}

/// Exit statuses of the child.
const RIGHT: usize = 17;
const NOT_INTERRUPTED: usize = 18;
const WRONG: usize = 19;

/// Checks a child that is stopped and continued while it waits: the wait of the scope
/// reports the interruption, and the wait of the operation resumes.
fn interrupted(check: &mut Check, things: &Things) {
    let Some([said, says]) = check.needs("scope pipe", os::pipe(nr::O_NONBLOCK)) else {
        return;
    };
    let child = os::spawn(|| {
        let ends = signals::end_waits();
        let result = scope(&mut ScopeSlot::array::<1>(), |s| {
            let poll = s.poll(&things.reader, PollMask::IN).map_err(full)?;
            // Where the kernel restarts every interrupted wait, only the next wait is
            // exercised.
            if ends && s.wait_with(1, WaitOptions::new()) != Err(Errno::INTR) {
                return Ok(None);
            }
            let _ = os::write(says, b".");
            poll.wait().result.map(Some)
        });
        match result.and_then(|result| result) {
            Ok(Some(bits)) if bits & 1 == 1 => RIGHT,
            Ok(None) => NOT_INTERRUPTED,
            _ => WRONG,
        }
    });
    if let Some(child) = check.needs("scope child", child) {
        // The child writes a byte when its first wait was interrupted; then the second
        // wait is interrupted.
        let (mut said_so, mut tries) = (0, 0);
        while said_so < 3 && tries < 500 {
            os::sleep(10);
            for signal in [nr::SIGSTOP, nr::SIGCONT] {
                let _ = os::kill(child, signal);
            }
            said_so += u32::from(said_so > 0 || os::read(said, &mut [0]) == Ok(1));
            tries += 1;
        }
        let _ = things.send();
        let status = os::wait(child);
        check.equal("scope interrupted waits go on", status, Ok(RIGHT << 8));
        things.receive();
    }
    for end in [said, says] {
        let _ = os::close(end);
    }
}
