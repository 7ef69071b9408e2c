//! Checks of a disk with a sector that cannot be read and one that cannot be written.
//!
//! The error is in the event of the operation on the bad sector; all other operations
//! succeed.

use linux_aio::opcode::Fdsync;
use linux_aio::{Context, Errno, Event, Iocb};

use super::super::{complete, result};
use super::{BLOCK, Drive, MIB, PATTERN, SECOND, Way, block, wrong_words};
use crate::check::Check;
use crate::os::Pages;

/// The offsets of the bad sectors, as the host has set them.
const BAD_READ: u64 = 0x8_0000;
const BAD_WRITE: u64 = 0x18_0000;

/// Sixteen blocks, far enough apart that the kernel does not merge them. One of them is
/// bad.
const COUNT: usize = 16;
const APART: u64 = MIB >> 4;

pub(super) fn run(check: &mut Check, drive: &Drive<'_>) {
    let Some(context) = check.needs("failing context", Context::new(64)) else {
        return;
    };
    let Some(mut memory) = check.needs("failing memory", Pages::new(COUNT * BLOCK)) else {
        return;
    };
    memory.bytes_mut().fill(0x77);
    let bad = (BAD_READ >> 16) as usize;
    let came = batch(&context, drive, Way::Read, 0, &mut memory);
    check.equal("failing reads", came, Ok(1 << bad));
    let mut wrong = 0;
    for (index, bytes) in memory.bytes().chunks_exact(BLOCK).enumerate() {
        if index != bad {
            wrong += wrong_words(bytes, index as u64 * APART, PATTERN);
        }
    }
    check.equal("failing reads beside the bad one", wrong, 0);

    let bad = ((BAD_WRITE - SECOND) >> 16) as usize;
    let came = batch(&context, drive, Way::Write, SECOND, &mut memory);
    check.equal("failing writes", came, Ok(1 << bad));
    // SAFETY: an fdsync has no buffer.
    let synced = unsafe { complete(&context, &mut Fdsync::new(&drive.file).build()) };
    check.equal("failing fdsync", result(synced), Ok(0));

    // Both bad sectors at once, without waiting for the operations.
    // SAFETY: the memory is freed only after io_destroy has returned, which waits for
    // both operations.
    let taken = unsafe {
        let mut read = block(drive, Way::Read, BAD_READ, memory.start());
        let mut write = block(drive, Way::Write, BAD_WRITE, memory.start());
        context.submit(&mut [&mut read, &mut write])
    };
    check.equal("failing in flight", taken, Ok(2));
    check.equal("failing Context::destroy", context.destroy(), Ok(()));
}

/// Submits the operations and waits for them. Returns a bit for each that failed with
/// EIO.
///
/// # Errors
/// Any other error of an operation; ERANGE for a short transfer; ETIMEDOUT if an event
/// is missing.
fn batch(
    context: &Context,
    drive: &Drive<'_>,
    way: Way,
    from: u64,
    memory: &mut Pages,
) -> Result<usize, Errno> {
    let start = memory.start();
    let mut data = 0;
    let mut iocbs: [Iocb; COUNT] = [0_u8; COUNT].map(|_| {
        let offset = from + data * APART;
        let at = start.wrapping_add(data as usize * BLOCK);
        data += 1;
        block(drive, way, offset, at).user_data(data - 1)
    });
    // SAFETY: the memory is borrowed exclusively, and this function waits for all
    // events. If the device loses an event, the wait does not return.
    let taken = unsafe { context.submit_all(&mut iocbs.each_mut()) };
    taken.map_err(|error| error.errno)?;
    let mut events = [Event::EMPTY; COUNT];
    let (mut count, mut bad) = (0, 0);
    for event in context.wait(COUNT, &mut events)? {
        count += 1;
        match event.result() {
            Ok(BLOCK) => {}
            Err(Errno::IO) => bad |= 1 << (event.data & 31),
            Ok(_) => return Err(Errno::RANGE),
            Err(errno) => return Err(errno),
        }
    }
    if count == COUNT {
        Ok(bad)
    } else {
        Err(Errno::TIMEDOUT)
    }
}
