//! Checks sizes: many pages at once, the same page repeatedly, and files at their
//! maximum size.

use linux_aio::opcode::{Pread, Pwrite};
use linux_aio::{Context, Errno, Event, Iocb, SigSet};

use super::{complete, result};
use crate::check::Check;
use crate::os::{self, Pages};

const MIB: usize = 1 << 20;
const FOUR: usize = 4;
const QUARTER: usize = MIB >> 2;

/// The size in bytes of a transfer at a limit.
const SOME: usize = 512;

type One<'a> = &'a dyn Fn(Iocb) -> Result<usize, Errno>;

#[inline(never)]
pub(crate) fn run(check: &mut Check, context: &Context) {
    large(check, context);
    again(check, context);
    unreaped(check);
    limited(check);
    last(check, context);
}

/// Runs one operation.
fn one(context: &Context, mut iocb: Iocb) -> Result<usize, Errno> {
    // SAFETY: in all of these the buffer lives, and no other code uses it, until the
    // operation has completed.
    result(unsafe { complete(context, &mut iocb) })
}

/// Checks four writes of one MiB each with one system call, and one read of all.
fn large(check: &mut Check, context: &Context) {
    let memory = Pages::new(FOUR * MIB).and_then(|from| Ok((from, Pages::new(FOUR * MIB)?)));
    let memory = memory.and_then(|memory| Ok((memory, os::memfd(c"large")?)));
    let Some(((mut from, into), file)) = check.needs("size memory", memory) else {
        return;
    };
    for (number, page) in from.bytes_mut().chunks_exact_mut(4096).enumerate() {
        page.fill(number as u8);
        page[0] = (number >> 8) as u8;
    }
    let mut number = 0;
    let mut writes = [0_u8; FOUR].map(|_| {
        let at = number * MIB;
        number += 1;
        let write = Pwrite::new(file, from.start().wrapping_add(at), MIB);
        write.offset(at as u64).build()
    });
    // SAFETY: the memory lives and does not change until all four operations have
    // completed.
    let taken = unsafe { context.submit(&mut writes.each_mut()) };
    check.equal("size submit of four MiB", taken, Ok(FOUR));
    let mut events = [Event::EMPTY; FOUR];
    let came = context.wait(FOUR, &mut events).map(|events| events.len());
    check.equal("size four events", came, Ok(FOUR));
    let whole = events.iter().all(|event| event.result() == Ok(MIB));
    check.holds("size each wrote a MiB", whole);
    let read = Pread::new(file, into.start(), FOUR * MIB);
    let got = one(context, read.build());
    check.equal("size read of four MiB", got, Ok(FOUR * MIB));
    check.holds("size every byte", into.bytes() == from.bytes());
    let _ = os::close(file);
}

/// Checks that the kernel returns the references that it counts for a page each time.
fn again(check: &mut Check, context: &Context) {
    const TIMES: u32 = 1000;
    let Some(file) = check.needs("size file", os::memfd(c"again")) else {
        return;
    };
    let mut bytes = [0x61; 256];
    let (mut written, mut read) = (0, 0);
    for _ in 0..TIMES {
        let got = one(context, Pwrite::new(file, bytes.as_ptr(), 256).build());
        written += u32::from(got == Ok(256));
    }
    for _ in 0..TIMES {
        let got = one(context, Pread::new(file, bytes.as_mut_ptr(), 256).build());
        read += u32::from(got == Ok(256));
    }
    check.equal("size the same page written again", written, TIMES);
    check.equal("size the same page read again", read, TIMES);
    let _ = os::close(file);
}

/// The exit status of a child in which all checks passed. Other statuses are a bit for
/// each failed check, or the missing resource.
const RIGHT: usize = 128;
const LACKING: usize = 129;

fn right_or(wrong: usize) -> usize {
    if wrong == 0 { RIGHT } else { wrong }
}

/// Checks a process that exits without having reaped any of its events.
fn unreaped(check: &mut Check) {
    let status = os::in_child(|| {
        let things = Context::new(16)
            .and_then(|context| Ok((context, os::memfd(c"unreaped")?, Pages::new(QUARTER)?)));
        let Ok((context, file, memory)) = things else {
            return LACKING;
        };
        let mut taken = 0;
        for turn in 0..10 {
            let mut iocb = if turn & 1 == 0 {
                Pwrite::new(file, memory.start(), QUARTER).build()
            } else {
                Pread::new(file, memory.start(), QUARTER).build()
            };
            // SAFETY: the memory is never read, and never unmapped before the process
            // ends.
            taken += unsafe { context.submit(&mut [&mut iocb]) }.unwrap_or(0);
        }
        // Neither is freed before the process ends.
        core::mem::forget((context, memory));
        right_or(taken ^ 10)
    });
    check.equal("size exit with nothing reaped", status, Ok(RIGHT << 8));
}

/// Checks a file at its size limit. Returns a bit for each check that failed.
fn at_limit(one: One<'_>, file: i32, limit: u64) -> usize {
    let mut bytes = [0; SOME];
    let buffer = bytes.as_mut_ptr();
    let write = |length, at| one(Pwrite::new(file, buffer, length).offset(at).build());
    let read = |at| one(Pread::new(file, buffer, SOME).offset(at).build());
    let fits = limit - SOME as u64;
    let found = [
        write(SOME, fits) == Ok(SOME),
        read(fits) == Ok(SOME),
        // Across the limit, as many bytes as fit are transferred.
        write(SOME, fits + 1) == Ok(SOME - 1),
        read(fits + 1) == Ok(SOME - 1),
        write(SOME, limit) == Err(Errno::FBIG),
        read(limit) == Ok(0),
        write(0, limit) == Ok(0),
    ];
    let bits = found.iter().rev();
    bits.fold(0, |wrong, right| wrong << 1 | usize::from(!right))
}

/// Checks RLIMIT_FSIZE, in a child that blocks the accompanying signal.
fn limited(check: &mut Check) {
    const LIMIT: u64 = 8192;
    let status = os::in_child(|| {
        let things = os::signal_mask(&SigSet::full())
            .and_then(|_| os::limit_files(LIMIT))
            .and_then(|_| Ok((Context::new(4)?, os::memfd(c"limited")?)));
        let Ok((context, file)) = things else {
            return LACKING;
        };
        right_or(at_limit(&|iocb| one(&context, iocb), file, LIMIT))
    });
    check.equal("size at a process's limit", status, Ok(RIGHT << 8));
}

/// Checks the last offset of this file system, which is found by trying.
fn last(check: &mut Check, context: &Context) {
    let Some(file) = check.needs("size sparse file", os::memfd(c"last")) else {
        return;
    };
    let byte = [0x6c];
    let fits = |at: u64| {
        one(
            context,
            Pwrite::new(file, byte.as_ptr(), 1).offset(at).build(),
        )
    };
    let (mut least, mut most) = (0, i64::MAX as u64);
    while most - least > 1 {
        let middle = least + ((most - least) >> 1);
        match fits(middle) {
            Ok(1) => least = middle,
            _ => most = middle,
        }
    }
    let name = "size at the last offset";
    if most == i64::MAX as u64 {
        // No file system allows larger files, and no operation may reach beyond.
        check.equal(name, fits(most), Err(Errno::INVAL));
    } else {
        let wrong = at_limit(&|iocb| one(context, iocb), file, most);
        check.equal(name, wrong, 0);
    }
    let _ = os::close(file);
}
