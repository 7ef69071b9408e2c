//! What need not live until an operation's event: all but its buffer. And what
//! the kernel reads of an iocb after its submission: the key, when it is to be
//! cancelled.

use linux_aio::opcode::{Poll, PollMask};
use linux_aio::{Context, Errno, Iocb, sys};

use super::{next, result};
use crate::check::Check;
use crate::os;

pub(crate) fn run(check: &mut Check, context: &Context) {
    freed(check, context);
    key(check, context);
}

/// The iocb and the array are overwritten, the descriptor is closed, while the
/// poll waits.
fn freed(check: &mut Check, context: &Context) {
    let Some([reader, writer]) = check.needs("freed pipe", os::pipe(0)) else {
        return;
    };
    let mut iocb = Poll::new(reader, PollMask::IN).build().user_data(21);
    let address = (&raw const iocb).expose_provenance() as u64;
    let mut array = [&raw mut iocb];
    // SAFETY: no buffer; the iocb may be written.
    let taken = unsafe { sys::io_submit(context.as_raw(), 1, array.as_mut_ptr()) };
    check.equal("freed submit", taken, Ok(1));
    // SAFETY: ours; volatile, so that the kernel could see it.
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
    // Now nobody reads: the poll has let go of the reading end.
    let mut poll = Poll::new(writer, PollMask::empty()).build();
    // SAFETY: no buffer.
    let taken = unsafe { context.submit(&mut [&mut poll]) };
    let error = taken.and_then(|_| result(next(context)));
    let want = usize::from(PollMask::ERR.bits());
    check.equal("freed file is closed", error, Ok(want));
    let _ = os::close(writer);
}

/// The key is where the kernel looks for it, whatever the byte order.
fn key(check: &mut Check, context: &Context) {
    let Some([reader, writer]) = check.needs("key pipe", os::pipe(0)) else {
        return;
    };
    let mut iocb = Poll::new(reader, PollMask::IN).build();
    let at = &raw mut iocb;
    let mut array = [at];
    // SAFETY: no buffer; the iocb may be written.
    let taken = unsafe { sys::io_submit(context.as_raw(), 1, array.as_mut_ptr()) };
    check.equal("key submit", taken, Ok(1));
    // SAFETY: ours, and the kernel does not write it now.
    unsafe { (&raw mut (*at).key).write_volatile(5) };
    check.equal("key of another", context.cancel(at), Err(Errno::INVAL));
    // SAFETY: as above.
    unsafe { (&raw mut (*at).key).write_volatile(0) };
    check.equal("key of the kernel", context.cancel(at), Ok(()));
    check.equal("key cancelled", result(next(context)), Ok(0));
    for end in [reader, writer] {
        let _ = os::close(end);
    }
}
