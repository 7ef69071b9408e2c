//! Checks with a disk, without the page cache: the kernel passes these operations to a
//! device, whose interrupt completes them later.
//!
//! Layout of the disk:
//!
//! - The first MiB holds in every eight bytes, little-endian, their own offset
//!   exclusive-or [`PATTERN`]. The host has written it, or these checks do where the
//!   device begins empty ([`Kind::Late`]).
//! - The second MiB receives the complement, which the host can read afterwards.
//! - The third MiB is scratch space.

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

/// The length of one operation in bytes; [`DEPTH`] operations run at a time.
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
    /// No artificial delay.
    Plain,
    /// Every operation takes at least 100 ms, and the disk begins empty: Linux's
    /// null_blk with memory as its storage and a timer.
    Late,
    /// A few operations per second.
    Slow,
    /// Some sectors are bad.
    Failing,
}

/// An open disk.
struct Drive<'a> {
    path: &'a CStr,
    file: File,
    size: u64,
    /// The disk is a device, not a file on one.
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

/// Sets the kernel to pass each operation to the device separately. Merged neighbours
/// would take no longer than one operation.
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
    // On a slow device, an eighth is enough.
    let length = if late { MIB / 8 } else { MIB };
    if late {
        let written = sweep(&context, drive, Way::Write, 0, length, PATTERN);
        check.equal("disk first MiB written", written, Ok(0));
    }
    let wrong = sweep(&context, drive, Way::Read, 0, length, PATTERN);
    check.equal("disk first MiB", wrong, Ok(0));
    let written = sweep(&context, drive, Way::Write, SECOND, length, !PATTERN);
    check.equal("disk second MiB written", written, Ok(0));
    // SAFETY: an fdsync has no buffer.
    let event = unsafe { complete(&context, &mut Fdsync::new(&drive.file).build()) };
    check.equal("disk fdsync", result(event), Ok(0));
    let wrong = sweep(&context, drive, Way::Read, SECOND, length, !PATTERN);
    check.equal("disk second MiB", wrong, Ok(0));
    // Reads the block back without AIO.
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

/// Reads or writes a range, [`DEPTH`] blocks at a time. Returns the number of words
/// read that do not match the pattern.
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
        // SAFETY: the memory is used again only after all operations have completed. If
        // that cannot be verified, it is leaked, so the kernel may access it for ever.
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

/// Submits an operation for each of [`DEPTH`] blocks.
///
/// # Safety
/// `memory` has [`RUN`] bytes, which stay valid and are not used otherwise until all
/// operations have completed.
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
    // SAFETY: the caller promises that the [`RUN`] bytes at `memory` stay valid and
    // unused until all operations have completed, and the iocbs point only into them.
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

/// Waits for the events of [`submit`], and verifies that each occurs once and
/// transferred a whole block.
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
