//! Checks polls that complete at once, that complete later, and that are cancelled.

use linux_aio::opcode::{Poll, PollMask};
use linux_aio::{Context, Errno, Event, WaitOptions};

use super::{complete, next, result};
use crate::check::Check;
use crate::os::{self, NOWHERE};

pub(crate) fn run(check: &mut Check, context: &Context) {
    let Some([reader, writer]) = check.needs("aio pipe", os::pipe(0)) else {
        return;
    };
    let poll = |fd, mask| {
        // SAFETY: the operation has no buffer.
        let event = unsafe { complete(context, &mut Poll::new(fd, mask).build()) };
        result(event).map(|result| PollMask::from_result(result).bits())
    };
    let writable = poll(writer, PollMask::OUT);
    check.equal(
        "aio poll for space to write",
        writable,
        Ok(PollMask::OUT.bits()),
    );

    // The poll waits until a byte is written.
    let mut iocb = Poll::new(reader, PollMask::IN).build().user_data(7);
    // SAFETY: the operation has no buffer.
    let taken = unsafe { context.submit(&mut [&mut iocb]) };
    check.equal("aio poll for bytes", taken, Ok(1));
    check.equal("aio poll does not come", waiting(context), Ok(0));
    let _ = os::write(writer, b"x");
    let event = next(context);
    let data = event.map(|event| event.data);
    check.equal("aio poll comes", data, Ok(7));
    let mask = result(event).map(|result| PollMask::from_result(result) & PollMask::IN);
    check.equal("aio poll's mask", mask.map(|mask| mask.bits()), Ok(1));
    let readable = poll(reader, PollMask::IN);
    check.equal("aio poll at once", readable.map(|bits| bits & 1), Ok(1));
    let _ = os::read(reader, &mut [0]);

    cancel(check, context, reader);

    let _ = os::close(writer);
    let gone = poll(reader, PollMask::IN);
    check.equal("aio poll of a closed pipe", gone, Ok(PollMask::HUP.bits()));
    let _ = os::close(reader);
}

/// Returns the number of events, without waiting.
fn waiting(context: &Context) -> Result<usize, Errno> {
    let mut events = [Event::EMPTY; 4];
    let events = context.wait_with(0, &mut events, WaitOptions::poll())?;
    Ok(events.len())
}

fn cancel(check: &mut Check, context: &Context, reader: i32) {
    let mut iocb = Poll::new(reader, PollMask::IN).build().user_data(8);
    // SAFETY: the operation has no buffer.
    let taken = unsafe { context.submit(&mut [&mut iocb]) };
    check.equal("aio poll to be cancelled", taken, Ok(1));

    let other = Poll::new(reader, PollMask::IN).build();
    let got = context.cancel(&raw const other);
    check.equal("aio cancel of another", got, Err(Errno::INVAL));
    let got = context.cancel(core::ptr::without_provenance(NOWHERE));
    check.equal("aio cancel nowhere", got, Err(Errno::FAULT));

    // io_cancel(2) reports success as EINPROGRESS.
    let mut event = Event::EMPTY;
    // SAFETY: `event` may be written.
    let got =
        unsafe { linux_aio::sys::io_cancel(context.as_raw(), &raw const iocb, &raw mut event) };
    check.equal("aio io_cancel", got, Err(Errno::INPROGRESS));
    let event = next(context);
    let data = event.map(|event| event.data);
    check.equal("aio a cancelled poll's event", data, Ok(8));
    check.equal("aio a cancelled poll's result", result(event), Ok(0));
    let got = context.cancel(&raw const iocb);
    check.equal("aio cancel again", got, Err(Errno::INVAL));
}
