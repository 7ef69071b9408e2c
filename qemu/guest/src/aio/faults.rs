//! Checks memory that the kernel cannot read or write, and other invalid arguments.
//! They are refused at submission or reported in the event, and never end the program.

use core::time::Duration;

use linux_aio::abi::{Iocb, IocbFlags, OldTimespec, Timespec};
use linux_aio::opcode::{Fsync, Poll, PollMask, Pread, Pwrite};
use linux_aio::{Context, Errno, Event, nr as aio, sys};

use super::{complete, result};
use crate::check::Check;
use crate::nr;
use crate::os::{self, Moment};

/// A size larger than any page.
const LARGE: usize = 1 << 18;

pub(crate) fn run(check: &mut Check, context: &Context, file: i32) {
    operations(check, context, file);
    iocb(check, context);
    times(check, context);
}

/// Checks the arguments of operations.
pub(super) fn operations(check: &mut Check, context: &Context, file: i32) {
    let one = |mut iocb: Iocb| {
        // SAFETY: in all of these the buffers live until the operation has completed,
        // or nothing is mapped at their address.
        result(unsafe { complete(context, &mut iocb) })
    };
    memory(check, file, &one);
    kinds(check, file, &one);
}

/// Maps new memory. Returns its address, or `None` on failure.
fn map(check: &mut Check, length: usize, protection: u32) -> Option<*mut u8> {
    let flags = nr::MAP_PRIVATE | nr::MAP_ANONYMOUS;
    // SAFETY: a new mapping at an address that the kernel chooses.
    let at = unsafe { os::mmap(0, length, protection, flags, -1, 0) };
    check
        .needs("fault memory", at)
        .map(core::ptr::with_exposed_provenance_mut)
}

type One<'a> = &'a dyn Fn(Iocb) -> Result<usize, Errno>;

fn memory(check: &mut Check, file: i32, one: One<'_>) {
    // Content for two large pieces.
    let size = os::pwrite(file, b"end", 2 * LARGE as u64);
    check.equal("fault file", size, Ok(3));
    if let Some(at) = map(check, LARGE, nr::PROT_READ) {
        let got = one(Pread::new(file, at, 64).build());
        check.equal("fault read into read-only memory", got, Err(Errno::FAULT));
        let got = one(Pwrite::new(file, at, 64).build());
        check.equal("fault write from read-only memory", got, Ok(64));
        // SAFETY: the mapping was made above, and no reference to it is alive.
        let _ = unsafe { os::munmap(at.expose_provenance(), LARGE) };
        let got = one(Pwrite::new(file, at, 64).build());
        check.equal("fault write from no memory", got, Err(Errno::FAULT));
    }
    let last = core::ptr::without_provenance_mut(os::LAST);
    let got = one(Pread::new(file, last, 64).build());
    check.equal("fault read into the last bytes", got, Err(Errno::FAULT));
    let got = one(Pwrite::new(file, last, 64).build());
    check.equal("fault write from the last bytes", got, Err(Errno::FAULT));
    let null = core::ptr::null_mut();
    let got = one(Pwrite::new(file, null, 64).build());
    check.equal("fault write from null", got, Err(Errno::FAULT));
    if let Some(at) = map(check, 2 * LARGE, nr::PROT_READ_WRITE) {
        let half = at.wrapping_add(LARGE);
        // SAFETY: half of the mapping above, to which no reference is alive.
        let cut = unsafe { os::munmap(half.expose_provenance(), LARGE) };
        check.equal("fault half unmapped", cut, Ok(0));
        let got = one(Pread::new(file, at, 2 * LARGE).build());
        check.equal("fault read into half", got, Ok(LARGE));
        // No write from this memory: it never ends on 32-bit arm and x86, whose copies
        // make no progress before a hole in the middle of a word.
        // SAFETY: the other half of the mapping, to which no reference is alive.
        let _ = unsafe { os::munmap(at.expose_provenance(), LARGE) };
    }
}

/// Checks invalid files, sizes and offsets.
fn kinds(check: &mut Check, file: i32, one: One<'_>) {
    let byte = b"x";
    let write = |fd| Pwrite::new(fd, byte.as_ptr(), 1);
    if let Ok([reader, writer]) = os::pipe(0) {
        let got = one(write(reader).build());
        check.equal("fault write to a reading end", got, Err(Errno::BADF));
        let got = one(Fsync::new(writer).build());
        check.equal("fault fsync of a pipe", got, Err(Errno::INVAL));
        // The offset of a pipe is ignored, and the byte arrives.
        let got = one(write(writer).offset(1 << 40).build());
        check.equal("fault write to a pipe", got, Ok(1));
        if got == Ok(1) {
            let mut read = [0];
            check.equal("fault read of the pipe", os::read(reader, &mut read), Ok(1));
            check.equal("fault what was read", &read[..], b"x");
        }
        for end in [reader, writer] {
            let _ = os::close(end);
        }
    }
    if let Some(directory) = check.needs("fault root", os::open(nr::AT_FDCWD, c"/", 0, 0)) {
        let mut byte = [0];
        let got = one(Pread::new(directory, byte.as_mut_ptr(), 1).build());
        let refused = matches!(got, Err(Errno::INVAL | Errno::ISDIR));
        check.holds("fault read of a directory", refused);
        let _ = os::close(directory);
    }
    let got = one(write(file).offset(i64::MAX as u64).build());
    check.equal("fault write beyond the last offset", got, Err(Errno::INVAL));
    let nbytes = 1 << 63 | 8;
    let got = one(Iocb {
        nbytes,
        ..write(file).build()
    });
    check.equal("fault negative length", got, Err(Errno::INVAL));
    let got = one(write(file).eventfd(-1).build());
    check.equal("fault resfd not open", got, Err(Errno::BADF));
    let flags = IocbFlags::from_bits_retain(1 << 31);
    let got = one(Iocb {
        flags,
        ..write(file).build()
    });
    check.equal("fault unknown flag of the iocb is taken", got, Ok(1));
}

/// Checks an iocb in read-only memory. It is refused, as the kernel writes to an iocb.
fn iocb(check: &mut Check, context: &Context) {
    let Some(file) = check.needs("fault file for an iocb", os::memfd(c"iocb")) else {
        return;
    };
    let sync = Fsync::new(file).build();
    // SAFETY: an iocb is 64 bytes without padding.
    let bytes = unsafe { core::slice::from_raw_parts((&raw const sync).cast::<u8>(), 64) };
    check.equal("fault iocb written", os::write(file, bytes), Ok(64));
    let length = 64;
    // SAFETY: a new mapping at an address that the kernel chooses.
    let at = unsafe { os::mmap(0, length, nr::PROT_READ, nr::MAP_SHARED, file, 0) };
    if let Some(at) = check.needs("fault iocb mapped", at) {
        let mut array = [core::ptr::with_exposed_provenance_mut::<Iocb>(at)];
        // SAFETY: the operation has no buffer. The iocb is mapped read-only, so the
        // kernel refuses it.
        let got = unsafe { sys::io_submit(context.as_raw(), 1, array.as_mut_ptr()) };
        check.equal("fault read-only iocb", got, Err(Errno::FAULT));
        // SAFETY: the mapping was made above, and no reference to it is alive.
        let _ = unsafe { os::munmap(at, length) };
    }
    let _ = os::close(file);
}

/// Checks that more nanoseconds than a second has are accepted unchanged.
fn times(check: &mut Check, context: &Context) {
    const NANOSECONDS: i64 = 1_020_000_000;
    let ctx = context.as_raw();
    let mut event = [Event::EMPTY];
    let into = event.as_mut_ptr();
    let Some([reader, writer]) = check.needs("fault pipe", os::pipe(0)) else {
        return;
    };
    let submit = || {
        let mut poll = Poll::new(writer, PollMask::OUT).build();
        // SAFETY: the operation has no buffer.
        unsafe { context.submit(&mut [&mut poll]) }
    };
    let old = OldTimespec {
        sec: 0,
        nsec: NANOSECONDS as _,
    };
    // SAFETY: one event may be written, and the time lives.
    let call = || unsafe { sys::io_getevents(ctx, 1, 1, into, &raw const old) };
    let name = "fault nanoseconds of io_getevents";
    let submitted = submit();
    match submitted.and_then(|_| call()) {
        Err(Errno::NOSYS) => {
            let _ = super::next(context);
            check.skip(name, "this kernel or this ABI has no io_getevents");
        }
        got => check.equal(name, got, Ok(1)),
    }
    if aio::IO_PGETEVENTS_TIME64.is_some() {
        let time = Timespec {
            sec: 0,
            nsec: NANOSECONDS,
        };
        let no_mask = core::ptr::null();
        let submitted = submit();
        // SAFETY: one event may be written, and the time lives; there is no mask.
        let got = submitted.and_then(|_| unsafe {
            sys::io_pgetevents_time64(ctx, 1, 1, into, &raw const time, no_mask)
        });
        check.equal("fault nanoseconds of io_pgetevents_time64", got, Ok(1));
    }
    // A timeout ends neither early nor much too late.
    let begin = Moment::now();
    let wait = linux_aio::WaitOptions::new().timeout(Duration::from_millis(30));
    let got = context
        .wait_with(1, &mut event, wait)
        .map(|events| events.len());
    check.equal("fault no event within the timeout", got, Ok(0));
    check.holds(
        "fault its timeout has expired",
        begin.plus(30).has_expired(),
    );
    check.holds(
        "fault it returns soon after its timeout",
        !begin.plus(3000).has_expired(),
    );
    for end in [reader, writer] {
        let _ = os::close(end);
    }
}
