//! Runs `aio copy` as a kernel's first process: on a full file system, and across a
//! power loss.

use core::ffi::CStr;

use linux_aio::Errno;
use linux_aio::opcode::{Pread, Pwrite};

use crate::check::Check;
use crate::line::Line;
use crate::{aio, nr, os};

const AIO: &CStr = c"/aio";

/// The size in bytes of the pieces of which files are made.
const CHUNK: usize = 4096;

/// Runs `aio copy FROM TO` and returns its exit status.
fn copy(from: &CStr, to: &CStr) -> os::Result<usize> {
    let status = os::in_child(|| {
        let arguments = [c"aio", c"copy", c"--engine=aio", from, to];
        let program = os::open(nr::AT_FDCWD, AIO, nr::O_CLOEXEC, 0);
        let _ = program.and_then(|program| os::exec(program, arguments));
        // The program could not be opened or started.
        126
    })?;
    Ok(status >> 8)
}

fn exists(path: &CStr) -> bool {
    let file = os::open(nr::AT_FDCWD, path, nr::O_CLOEXEC, 0);
    file.and_then(os::close).is_ok()
}

/// Checks `aio copy` on a file system of one MiB with a file of two.
pub(crate) fn full(check: &mut Check, _disk: &CStr) {
    let _ = os::mkdir(c"/full");
    let mounted = os::mount(c"tmpfs", c"/full", c"tmpfs", c"size=1m");
    check.equal("full mount", mounted, Ok(0));
    check.equal("full source", file(c"/tmp/source", 512), Ok(()));
    check.equal("full old target", file(c"/full/old", 1), Ok(()));

    let none = copy(c"/tmp/source", c"/full/new");
    check.equal("full aio copy", none, Ok(1));
    check.holds("full leaves no target", !exists(c"/full/new"));
    let none = copy(c"/tmp/source", c"/full/old");
    check.equal("full aio copy over a file", none, Ok(1));
    check.equal("full leaves the old target", size(c"/full/old"), Ok(4096));
    // A failed copy must leave nothing behind: three quarters of the file system are
    // free.
    check.equal(
        "full free space is as before",
        file(c"/full/rest", 192),
        Ok(()),
    );
    let fits = copy(c"/full/old", c"/full/small");
    check.equal("full aio copy of what fits", fits, Ok(0));

    event(check);
    check.equal("full umount", os::umount(c"/full"), Ok(0));
    for (name, skew) in [("full to the last byte", 0), ("full and one byte over", 1)] {
        check.equal(name, free_space(skew), Ok(0));
    }
}

/// Writes once into a new file system, as many bytes as it can hold, and reads the
/// result. Returns a bit for each check that failed. With a `skew` of one byte or more,
/// the last `skew` bytes do not fit.
fn free_space(skew: usize) -> os::Result<usize> {
    /// A whole number of pages, for every page size.
    const FREE: usize = 256 << 10;
    os::mount(c"tmpfs", c"/full", c"tmpfs", c"size=256k")?;
    let flags = nr::O_RDWR | nr::O_CREAT | nr::O_CLOEXEC;
    let file = os::open(nr::AT_FDCWD, c"/full/file", flags, 0o600)?;
    let context = linux_aio::Context::new(4)?;
    let mut memory = os::Pages::new(FREE)?;
    memory.bytes_mut().fill(0x66);
    let buffer = memory.start();
    // SAFETY: in all of these the buffer is `memory`, which lives until the operation
    // has completed and is not used by other code meanwhile.
    let one = |iocb: linux_aio::Iocb| unsafe { aio::complete_one(&context, &mut { iocb }) };
    let write = |length, at: usize| {
        let write = Pwrite::new(file, buffer, length).offset(at as u64);
        one(write.build())
    };
    let read = |at: usize| {
        let read = Pread::new(file, buffer, FREE).offset(at as u64);
        one(read.build())
    };
    let found = [
        write(FREE, skew) == Ok(FREE - skew),
        read(skew) == Ok(FREE - skew),
        read(FREE) == Ok(0),
        write(FREE, FREE) == Err(Errno::NOSPC),
        read(FREE) == Ok(0),
        write(0, FREE) == Ok(0),
    ];
    let bits = found.iter().rev();
    let wrong = bits.fold(0, |wrong, right| wrong << 1 | usize::from(!right));
    context.destroy()?;
    os::close(file)?;
    os::umount(c"/full")?;
    Ok(wrong)
}

fn size(path: &CStr) -> os::Result<u64> {
    let file = os::open(nr::AT_FDCWD, path, nr::O_CLOEXEC, 0)?;
    let stat = os::stat(file);
    os::close(file)?;
    Ok(stat?.size)
}

/// Makes a file of `chunks` chunks.
fn file(path: &CStr, chunks: u32) -> os::Result<()> {
    let flags = nr::O_WRONLY | nr::O_CREAT | nr::O_CLOEXEC;
    let file = os::open(nr::AT_FDCWD, path, flags, 0o600)?;
    for _ in 0..chunks {
        if os::write(file, &[0x33; CHUNK])? != CHUNK {
            return Err(Errno::NOSPC);
        }
    }
    os::close(file).map(|_| ())
}

/// Checks that a write to a full file system reports ENOSPC in its event.
fn event(check: &mut Check) {
    let flags = nr::O_WRONLY | nr::O_CREAT | nr::O_CLOEXEC;
    let Some(file) = check.needs(
        "full file",
        os::open(nr::AT_FDCWD, c"/full/event", flags, 0o600),
    ) else {
        return;
    };
    let Some(context) = check.needs("full context", linux_aio::Context::new(4)) else {
        return;
    };
    let bytes = [0x44; CHUNK];
    let mut offset = 0;
    // Uses up the remaining space; the write after that fails.
    let last = loop {
        let write = Pwrite::new(file, bytes.as_ptr(), CHUNK).offset(offset);
        // SAFETY: `bytes` lives until the operation has completed and does not change.
        match unsafe { aio::complete_one(&context, &mut write.build()) } {
            Ok(CHUNK) if offset < 2 << 20 => offset += CHUNK as u64,
            other => break other,
        }
    };
    check.equal("full event", last, Err(Errno::NOSPC));
    check.equal("full Context::destroy", context.destroy(), Ok(()));
    let _ = os::close(file);
}

fn mount(check: &mut Check, disk: &CStr) -> bool {
    let _ = os::mkdir(c"/disk");
    let mounted = os::mount(disk, c"/disk", c"ext4", c"");
    check.equal("cut mount", mounted, Ok(0));
    mounted.is_ok()
}

/// Copies a file and waits until the power is cut.
pub(crate) fn cut(check: &mut Check, disk: &CStr) {
    if !mount(check, disk) {
        return;
    }
    Line::new().with("copying").print();
    let copied = copy(c"/disk/source", c"/disk/target");
    if copied == Ok(0) {
        Line::new().with("copied").print();
        os::sleep(900);
    }
    check.equal("cut aio copy", copied, Ok(0));
    check.holds("cut copy runs until the power cut", false);
}

/// Checks the files after a power loss.
pub(crate) fn found(check: &mut Check, disk: &CStr) {
    if !mount(check, disk) {
        return;
    }
    let source = c"/disk/source";
    let what = match size(c"/disk/target") {
        Err(Errno::NOENT) => "none",
        Ok(_) if same(source, c"/disk/target") == Ok(true) => "whole",
        _ => "part",
    };
    let mut name = [0; 16];
    let name = read_whole(c"/disk/name", &mut name);
    check.holds("cut left the name", name.is_ok());
    let line = Line::new().with("found ").with(name.unwrap_or_default());
    line.with(" ").with(what).print();
    check.holds("cut left none or all of the target", what != "part");
    check.equal("cut left the source", same(source, source), Ok(true));
    // The next copy must succeed.
    let again = copy(source, c"/disk/target");
    check.equal("cut aio copy again", again, Ok(0));
    let whole = same(source, c"/disk/target");
    check.equal("cut what was copied again", whole, Ok(true));
    check.equal("cut umount", os::umount(c"/disk"), Ok(0));
}

/// Reads a small file. Returns its text.
fn read_whole<'a>(path: &CStr, bytes: &'a mut [u8]) -> os::Result<&'a str> {
    let file = os::open(nr::AT_FDCWD, path, nr::O_CLOEXEC, 0)?;
    let length = os::read(file, bytes)?;
    os::close(file)?;
    let text = bytes.get(..length).unwrap_or_default();
    core::str::from_utf8(text).map_err(|_| Errno::INVAL)
}

/// Returns whether two files have the same content and are not empty.
fn same(one: &CStr, other: &CStr) -> os::Result<bool> {
    let one = os::open(nr::AT_FDCWD, one, nr::O_CLOEXEC, 0)?;
    let other = os::open(nr::AT_FDCWD, other, nr::O_CLOEXEC, 0)?;
    let (mut a, mut b) = ([0; CHUNK], [0; CHUNK]);
    let mut some = false;
    let same = loop {
        let (m, n) = (os::read(one, &mut a)?, os::read(other, &mut b)?);
        if a.get(..m) != b.get(..n) {
            break false;
        }
        if m == 0 {
            break some;
        }
        some = true;
    };
    os::close(one)?;
    os::close(other)?;
    Ok(same)
}
