//! A disk with a sector that cannot be read and one that cannot be written:
//! the error is in the event of the operation that met it, and all others come
//! as ever.

use linux_aio::opcode::Fdsync;
use linux_aio::{Context, Errno, Event, Iocb};

use super::super::{complete, result};
use super::{BLOCK, Drive, MIB, PATTERN, SECOND, Way, block, wrong_words};
use crate::check::Check;
use crate::os::Pages;

/// Where the host has put the bad sectors.
const BAD_READ: u64 = 0x8_0000;
const BAD_WRITE: u64 = 0x18_0000;

/// Sixteen blocks, far enough apart that nobody merges them; one of them is
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
    // SAFETY: no buffer.
    let synced = unsafe { complete(&context, &mut Fdsync::new(&drive.file).build()) };
    check.equal("failing fdsync", result(synced), Ok(0));

    // Both at once, and nobody waits for them.
    // SAFETY: the memory lives until io_destroy has returned.
    let taken = unsafe {
        let mut read = block(drive, Way::Read, BAD_READ, memory.start());
        let mut write = block(drive, Way::Write, BAD_WRITE, memory.start());
        context.submit(&mut [&mut read, &mut write])
    };
    check.equal("failing in flight", taken, Ok(2));
    check.equal("failing Context::destroy", context.destroy(), Ok(()));
}

/// A bit for each that came with EIO; any other result is an error, and so is
/// an event too few.
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
    // SAFETY: the memory is the caller's until all have come, which is waited
    // for here; a device that loses one ends the program's use.
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
