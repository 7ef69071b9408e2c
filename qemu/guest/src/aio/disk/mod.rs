//! A disk, without the page cache: the operations that the kernel hands to a
//! device and that end later, by its interrupt.
//!
//! The first MiB of the disk holds, in every eight bytes, little-endian, their
//! own offset exclusive-or [`PATTERN`]: the host has written it, or where the
//! device begins empty ([`Kind::Late`]) these checks do. They write the
//! complement to the second MiB, where the host can read it afterwards, and
//! anything to the third.

use core::ffi::CStr;
use core::time::Duration;

use linux_aio::opcode::{Fdsync, Pread, Pwrite};
use linux_aio::{Context, Errno, Event, Iocb, WaitOptions};

use super::{complete, result};
use crate::check::Check;
use crate::nr;
use crate::os::{self, File, Pages};

mod edges;
mod failing;
mod flight;

const PATTERN: u64 = 0x5a5a_0000_a5a5_0000;

/// What is transferred by one operation, and how many of them at a time.
const BLOCK: usize = 4096;
const DEPTH: usize = 16;
const RUN: usize = BLOCK * DEPTH;

const MIB: u64 = 1 << 20;
const SECOND: u64 = MIB;
const THIRD: u64 = 2 * MIB;

pub(crate) struct Disk<'a> {
    pub(crate) path: &'a CStr,
    pub(crate) kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// As fast as it may be.
    Plain,
    /// Every operation takes at least 100 ms, and all begin empty: Linux'
    /// null_blk with memory behind it and a timer.
    Late,
    /// A few operations in a second.
    Slow,
    /// Bad sectors.
    Failing,
}

/// A disk that is open.
struct Drive<'a> {
    path: &'a CStr,
    file: File,
    size: u64,
    /// A device, not a file on one.
    block: bool,
    kind: Kind,
}

pub(crate) fn run(check: &mut Check, disk: &Disk<'_>) {
    let flags = nr::O_RDWR | nr::O_DIRECT;
    let Some(file) = check.needs("disk open", File::open(disk.path, flags)) else {
        return;
    };
    let size = os::seek(file.number(), 0, nr::SEEK_END);
    let mode = os::stat(file.number()).map(|stat| stat.mode);
    if let (Some(size), Some(mode)) = (
        check.needs("disk size", size),
        check.needs("disk stat", mode),
    ) {
        let drive = Drive {
            path: disk.path,
            file,
            size,
            block: mode & 0o17_0000 == 0o6_0000,
            kind: disk.kind,
        };
        check.holds("disk has three MiB", size >= 3 * MIB);
        match disk.kind {
            Kind::Plain | Kind::Late => {
                contents(check, &drive);
                edges::run(check, &drive);
                flight::run(check, &drive);
            }
            Kind::Slow => {
                check.equal("slow nomerges", apart(disk.path), Ok(1));
                flight::owner_gone(check, &drive);
            }
            Kind::Failing => failing::run(check, &drive),
        }
    }
}

/// Tells the kernel to hand each operation to the device by itself: neighbours
/// made one would be as fast as one.
fn apart(path: &CStr) -> os::Result<usize> {
    let name = path.to_bytes().rsplit(|&byte| byte == b'/').next();
    let parts = [b"/sys/block/", name.unwrap_or_default(), b"/queue/nomerges"];
    let mut setting = [0; 64];
    let bytes = parts.into_iter().flatten();
    for (to, from) in setting.iter_mut().take(63).zip(bytes) {
        *to = *from;
    }
    let setting = CStr::from_bytes_until_nul(&setting).unwrap_or_default();
    let file = os::open(nr::AT_FDCWD, setting, nr::O_WRONLY, 0)?;
    let written = os::write(file, b"2");
    os::close(file)?;
    written
}

fn contents(check: &mut Check, drive: &Drive<'_>) {
    let Some(context) = check.needs("disk Context::new", Context::new(64)) else {
        return;
    };
    let late = drive.kind == Kind::Late;
    // Of a slow device, an eighth will do.
    let length = if late { MIB / 8 } else { MIB };
    if late {
        let written = sweep(&context, drive, Way::Write, 0, length, PATTERN);
        check.equal("disk first MiB written", written, Ok(0));
    }
    let wrong = sweep(&context, drive, Way::Read, 0, length, PATTERN);
    check.equal("disk first MiB", wrong, Ok(0));
    let written = sweep(&context, drive, Way::Write, SECOND, length, !PATTERN);
    check.equal("disk second MiB written", written, Ok(0));
    // SAFETY: no buffer.
    let event = unsafe { complete(&context, &mut Fdsync::new(&drive.file).build()) };
    check.equal("disk fdsync", result(event), Ok(0));
    let wrong = sweep(&context, drive, Way::Read, SECOND, length, !PATTERN);
    check.equal("disk second MiB", wrong, Ok(0));
    // By another way than AIO.
    if let Some(mut page) = check.needs("disk page", Pages::new(BLOCK)) {
        let offset = SECOND + length - BLOCK as u64;
        let read = os::pread(drive.file.number(), page.bytes_mut(), offset);
        check.equal("disk pread", read, Ok(BLOCK));
        let wrong = wrong_words(page.bytes(), offset, !PATTERN);
        check.equal("disk what pread read", wrong, 0);
    }
    check.equal("disk Context::destroy", context.destroy(), Ok(()));
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Read,
    Write,
}

/// Reads or writes a stretch, [`DEPTH`] blocks at a time. How many words were
/// read that are not the pattern's.
fn sweep(
    context: &Context,
    drive: &Drive<'_>,
    way: Way,
    from: u64,
    length: u64,
    pattern: u64,
) -> Result<u32, Errno> {
    let mut wrong = 0;
    let mut memory = Pages::new(RUN)?;
    let mut offset = from;
    while offset < from + length {
        match way {
            Way::Read => memory.bytes_mut().fill(0xee),
            Way::Write => fill(memory.bytes_mut(), offset, pattern),
        }
        // SAFETY: the memory is looked at again when all have come; if they
        // do not, it stays the kernel's for ever.
        let came = unsafe { submit(context, drive, way, offset, memory.start()) }
            .and_then(|()| collect(context));
        if let Err(errno) = came {
            core::mem::forget(memory);
            return Err(errno);
        }
        if way == Way::Read {
            wrong += wrong_words(memory.bytes(), offset, pattern);
        }
        offset += RUN as u64;
    }
    Ok(wrong)
}

/// An operation for each of [`DEPTH`] blocks.
///
/// # Safety
/// `memory` has [`RUN`] bytes, and they are the kernel's until all have come.
unsafe fn submit(
    context: &Context,
    drive: &Drive<'_>,
    way: Way,
    offset: u64,
    memory: *mut u8,
) -> Result<(), Errno> {
    let mut data = 0;
    let mut iocbs = [0_u8; DEPTH].map(|_| {
        let at = data as usize * BLOCK;
        let iocb = block(drive, way, offset + at as u64, memory.wrapping_add(at));
        data += 1;
        iocb.user_data(data - 1)
    });
    // SAFETY: the caller's promise.
    unsafe { context.submit_all(&mut iocbs.each_mut()) }.map_err(|error| error.errno)
}

fn block(drive: &Drive<'_>, way: Way, offset: u64, memory: *mut u8) -> Iocb {
    match way {
        Way::Read => Pread::new(&drive.file, memory, BLOCK)
            .offset(offset)
            .build(),
        Way::Write => Pwrite::new(&drive.file, memory, BLOCK)
            .offset(offset)
            .build(),
    }
}

/// Waits for the events of [`submit`], each once and with a whole block.
fn collect(context: &Context) -> Result<(), Errno> {
    let mut missing = (1_u32 << DEPTH) - 1;
    let mut events = [Event::EMPTY; DEPTH];
    while missing != 0 {
        let long = WaitOptions::new().timeout(Duration::from_secs(10));
        let events = context.wait_with(1, &mut events, long)?;
        if events.is_empty() {
            return Err(Errno::TIMEDOUT);
        }
        for event in events {
            let bit = 1 << (event.data as u32 & 31);
            if event.result()? != BLOCK || missing & bit == 0 {
                return Err(Errno::IO);
            }
            missing &= !bit;
        }
    }
    Ok(())
}

fn fill(bytes: &mut [u8], from: u64, pattern: u64) {
    let mut offset = from;
    for word in bytes.chunks_exact_mut(8) {
        word.copy_from_slice(&(offset ^ pattern).to_le_bytes());
        offset += 8;
    }
}

fn wrong_words(bytes: &[u8], from: u64, pattern: u64) -> u32 {
    let (mut offset, mut wrong) = (from, 0);
    for word in bytes.chunks_exact(8) {
        wrong += u32::from(word != (offset ^ pattern).to_le_bytes());
        offset += 8;
    }
    wrong
}
