//! Checks the lifetimes of an operation's parts. Until the event only the buffer must
//! live; iocb, array and descriptor need not. After the submission the kernel reads one
//! field of an iocb: the key, on cancellation.

use linux_aio::opcode::{Poll, PollMask};
use linux_aio::{Context, Errno, Iocb, sys};

use super::{next, result};
use crate::check::Check;
use crate::os;

pub(crate) fn run(check: &mut Check, context: &Context) {
    freed(check, context);
    key(check, context);
}

/// Overwrites the iocb and the array, and closes the descriptor, while the poll waits.
fn freed(check: &mut Check, context: &Context) {
    let Some([reader, writer]) = check.needs("freed pipe", os::pipe(0)) else {
        return;
    };
    let mut iocb = Poll::new(reader, PollMask::IN).build().user_data(21);
    let address = (&raw const iocb).expose_provenance() as u64;
    let mut array = [&raw mut iocb];
    // SAFETY: the operation has no buffer, and the iocb may be written.
    let taken = unsafe { sys::io_submit(context.as_raw(), 1, array.as_mut_ptr()) };
    check.equal("freed submit", taken, Ok(1));
    // SAFETY: both are local variables, to which no reference is alive. Volatile, so
    // that the writes reach memory before the kernel could read it.
    unsafe {
        array
            .as_mut_ptr()
            .cast::<usize>()
            .write_volatile(os::NOWHERE);
        (&raw mut iocb).write_volatile(Iocb {
            data: !0,
            ..Poll::new(-1, PollMask::OUT).build()
        });
    }
    check.equal("freed descriptor closed", os::close(reader), Ok(0));
    check.equal("freed a byte comes", os::write(writer, b"x"), Ok(1));
    let event = next(context);
    check.equal("freed result", result(event).map(|bits| bits & 1), Ok(1));
    check.equal("freed data", event.map(|event| event.data), Ok(21));
    check.equal("freed object", event.map(|event| event.obj), Ok(address));
    // The pipe has no reading end any more: the completed poll has released it.
    let mut poll = Poll::new(writer, PollMask::empty()).build();
    // SAFETY: the operation has no buffer.
    let taken = unsafe { context.submit(&mut [&mut poll]) };
    let error = taken.and_then(|_| result(next(context)));
    let want = usize::from(PollMask::ERR.bits());
    check.equal("freed file is closed", error, Ok(want));
    let _ = os::close(writer);
}

/// Checks that the key has the offset that the kernel expects, for each byte order.
fn key(check: &mut Check, context: &Context) {
    let Some([reader, writer]) = check.needs("key pipe", os::pipe(0)) else {
        return;
    };
    let mut iocb = Poll::new(reader, PollMask::IN).build();
    let at = &raw mut iocb;
    let mut array = [at];
    // SAFETY: the operation has no buffer, and the iocb may be written.
    let taken = unsafe { sys::io_submit(context.as_raw(), 1, array.as_mut_ptr()) };
    check.equal("key submit", taken, Ok(1));
    // SAFETY: `at` points at a local variable, and the kernel does not write it now.
    unsafe { (&raw mut (*at).key).write_volatile(5) };
    check.equal(
        "key with another value is refused",
        context.cancel(at),
        Err(Errno::INVAL),
    );
    // SAFETY: `at` points at a local variable, and the kernel does not write it now.
    unsafe { (&raw mut (*at).key).write_volatile(0) };
    check.equal(
        "key set by the kernel is accepted",
        context.cancel(at),
        Ok(()),
    );
    check.equal("key cancelled", result(next(context)), Ok(0));
    for end in [reader, writer] {
        let _ = os::close(end);
    }
}
