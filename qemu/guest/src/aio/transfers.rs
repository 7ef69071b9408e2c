//! Checks reads, writes and syncs of a file in memory: every byte, and every field of
//! the event.

use linux_aio::abi::{IoVec, RwFlags};
use linux_aio::opcode::{Fdsync, Fsync, IoPriority, Pread, Preadv, Pwrite, Pwritev};
use linux_aio::{Context, Errno, Event, Iocb};

use super::{complete, next, result};
use crate::check::Check;
use crate::{nr, os};

/// An offset beyond 4 GiB whose halves differ: the iocb's offset is 64 bits wide on
/// every architecture.
const FAR: u64 = 0x5_4321_0007;

/// A number of which all 64 bits count.
const DATA: u64 = 0xfedc_ba98_0123_4567;

pub(crate) fn run(check: &mut Check, context: &Context, file: i32) {
    plain(check, context, file);
    ends(check, context, file);
    vectored(check, context, file);
    flags(check, context, file);
    syncs(check, context, file);
    signalled(check, context, file);
    batch(check, context, file);
    // SAFETY: nothing is mapped at the buffer, so the kernel refuses the access.
    let lost = unsafe {
        let nowhere = core::ptr::without_provenance_mut(os::NOWHERE);
        complete(context, &mut Pread::new(file, nowhere, 8).build())
    };
    check.equal("aio read to nowhere", result(lost), Err(Errno::FAULT));
}

fn write(context: &Context, file: i32, bytes: &[u8], offset: u64) -> Result<Event, Errno> {
    let write = Pwrite::new(file, bytes.as_ptr(), bytes.len()).offset(offset);
    // SAFETY: the bytes live and do not change until this returns.
    unsafe { complete(context, &mut write.build().user_data(DATA)) }
}

fn read(context: &Context, file: i32, bytes: &mut [u8], offset: u64) -> Result<Event, Errno> {
    let read = Pread::new(file, bytes.as_mut_ptr(), bytes.len()).offset(offset);
    // SAFETY: the bytes are exclusively borrowed until this returns.
    unsafe { complete(context, &mut read.build().user_data(!DATA)) }
}

fn plain(check: &mut Check, context: &Context, file: i32) {
    let event = write(context, file, b"asynchronous", FAR);
    check.equal("aio pwrite", result(event), Ok(12));
    let data = event.map(|event| event.user_data());
    check.equal("aio pwrite's data", data, Ok(DATA));
    let other = event.map(|event| event.res2);
    check.equal("aio pwrite's second result", other, Ok(0));

    // Verified with system calls other than those of AIO.
    let size = os::stat(file).map(|stat| stat.size);
    check.equal("aio where pwrite wrote", size, Ok(FAR + 12));
    // On x32, system calls take wider offsets than the stubs' arguments.
    if cfg!(target_pointer_width = "64") || nr::MMAP_SHIFT != 0 {
        let mut got = [0; 12];
        let seen = os::seek(file, FAR as i64, 0).and_then(|_| os::read(file, &mut got));
        check.equal("aio read of what pwrite wrote", seen, Ok(12));
        check.equal("aio what pwrite wrote", &got[..], b"asynchronous");
    }

    let mut got = [0; 7];
    let mut iocb = Pread::new(file, got.as_mut_ptr(), got.len());
    iocb = iocb.offset(FAR + 1);
    let mut iocb = iocb.build().user_data(!DATA);
    // SAFETY: the buffer lives and is not used until this returns.
    let event = unsafe { complete(context, &mut iocb) };
    check.equal("aio pread", result(event), Ok(7));
    check.equal("aio what pread read", &got[..], b"synchro");
    let data = event.map(|event| event.user_data());
    check.equal("aio pread's data", data, Ok(!DATA));
    let object = event.map(|event| event.obj);
    let address = (&raw const iocb).expose_provenance() as u64;
    check.equal("aio pread's object", object, Ok(address));
}

fn ends(check: &mut Check, context: &Context, file: i32) {
    let mut got = [0x55; 20];
    let event = read(context, file, &mut got, FAR + 8);
    check.equal("aio short read", result(event), Ok(4));
    check.equal("aio what a short read leaves", &got[2..6], b"us\x55\x55");
    let event = read(context, file, &mut got, FAR + 12);
    check.equal("aio read at the end", result(event), Ok(0));
    let event = read(context, file, &mut [], FAR);
    check.equal("aio read of nothing", result(event), Ok(0));
    let event = read(context, file, &mut got, 1 << 33);
    check.equal("aio read of a hole", result(event), Ok(20));
    check.holds("aio a hole's zeros", got == [0; 20]);
}

fn piece(bytes: &mut [u8]) -> IoVec {
    IoVec {
        base: bytes.as_mut_ptr().cast(),
        len: bytes.len(),
    }
}

fn vectored(check: &mut Check, context: &Context, file: i32) {
    let (mut a, mut b, mut c) = (*b"one", *b"", *b"three");
    let pieces = [piece(&mut a), piece(&mut b), piece(&mut c)];
    let write = Pwritev::new(file, pieces.as_ptr(), 3).offset(FAR + 100);
    // SAFETY: the pieces and the array live and do not change until this returns.
    let event = unsafe { complete(context, &mut write.build()) };
    check.equal("aio pwritev", result(event), Ok(8));

    let (mut a, mut b) = ([0; 5], [0; 9]);
    let pieces = [piece(&mut a), piece(&mut b)];
    let read = Preadv::new(file, pieces.as_ptr(), 2).offset(FAR + 100);
    // SAFETY: the pieces live and are not used until this returns.
    let event = unsafe { complete(context, &mut read.build()) };
    check.equal("aio preadv", result(event), Ok(8));
    check.equal("aio preadv's first segment", &a[..], b"oneth");
    check.equal("aio preadv's second segment", &b[..], b"ree\0\0\0\0\0\0");
}

fn flags(check: &mut Check, context: &Context, file: i32) {
    let flagged = |flags| {
        let bytes = b"flagged";
        let write = Pwrite::new(file, bytes.as_ptr(), 7).offset(FAR + 200);
        // SAFETY: the bytes live and do not change until this returns.
        unsafe { complete(context, &mut write.rw_flags(flags).build()) }
    };
    check.equal("aio RWF_DSYNC", result(flagged(RwFlags::DSYNC)), Ok(7));
    check.equal("aio RWF_SYNC", result(flagged(RwFlags::SYNC)), Ok(7));
    check.equal("aio RWF_HIPRI", result(flagged(RwFlags::HIPRI)), Ok(7));
    let unknown = flagged(RwFlags::from_bits_retain(1 << 31));
    check.equal("aio unknown RWF", result(unknown), Err(Errno::OPNOTSUPP));

    // The data is written at the end of the file, not at the offset. The result is the
    // number of bytes.
    let end = os::stat(file).map(|stat| stat.size);
    let position = os::seek(file, 3, nr::SEEK_SET);
    check.equal("aio position", position, Ok(3));
    check.equal("aio RWF_APPEND", result(flagged(RwFlags::APPEND)), Ok(7));
    let grown = os::stat(file).map(|stat| stat.size);
    check.equal(
        "aio RWF_APPEND is at the end",
        grown,
        end.map(|end| end + 7),
    );
    let mut got = [0; 7];
    let event = read(context, file, &mut got, FAR + 207);
    check.equal("aio read what was appended", result(event), Ok(7));
    check.equal("aio what was appended", &got[..], b"flagged");
    // No operation moves the file's position, not even one that appends.
    let position = os::seek(file, 0, nr::SEEK_CUR);
    check.equal("aio position after RWF_APPEND", position, Ok(3));

    let priority = |priority| {
        let bytes = b"first";
        let write = Pwrite::new(file, bytes.as_ptr(), 5).ioprio(priority);
        // SAFETY: the bytes live and do not change until this returns.
        unsafe { complete(context, &mut write.build()) }
    };
    check.equal(
        "aio idle priority",
        result(priority(IoPriority::idle())),
        Ok(5),
    );
    if let Some(best) = IoPriority::best_effort(7) {
        check.equal("aio best effort", result(priority(best)), Ok(5));
    }
}

fn syncs(check: &mut Check, context: &Context, file: i32) {
    let mut sync = Fsync::new(file).build().user_data(1);
    // SAFETY: the operation has no buffer.
    let event = unsafe { complete(context, &mut sync) };
    check.equal("aio fsync", result(event), Ok(0));
    let data = event.map(|event| event.user_data());
    check.equal("aio fsync's data", data, Ok(1));
    // SAFETY: the operation has no buffer.
    let event = unsafe { complete(context, &mut Fdsync::new(file).build()) };
    check.equal("aio fdsync", result(event), Ok(0));
}

/// Checks that an eventfd counts the completed operations.
fn signalled(check: &mut Check, context: &Context, file: i32) {
    let Some(counter) = check.needs("aio eventfd", os::eventfd()) else {
        return;
    };
    let mut count = [0; 8];
    let empty = os::read(counter, &mut count);
    check.equal("aio resfd before", empty, Err(Errno::AGAIN));
    for _ in 0..3 {
        let bytes = b"x";
        let write = Pwrite::new(file, bytes.as_ptr(), 1).eventfd(counter);
        // SAFETY: the byte lives and does not change until this returns.
        let event = unsafe { complete(context, &mut write.build()) };
        check.equal("aio pwrite with resfd", result(event), Ok(1));
    }
    check.equal("aio resfd after", os::read(counter, &mut count), Ok(8));
    check.equal("aio resfd counted", u64::from_ne_bytes(count), 3);
    let _ = os::close(counter);
}

/// Checks several operations submitted with one system call and reaped with one.
fn batch(check: &mut Check, context: &Context, file: i32) {
    let bytes = *b"abcdefgh";
    let mut data = 0;
    let mut writes = [0_u8; 8].map(|_| {
        let byte = bytes.as_ptr().wrapping_add(data as usize);
        let write = Pwrite::new(file, byte, 1).offset(FAR + 300 + data);
        data += 1;
        write.build().user_data(data)
    });
    let mut all = writes.each_mut();
    // SAFETY: the bytes live and do not change until all operations have completed.
    let taken = unsafe { context.submit(&mut all) };
    check.equal("aio submit of eight", taken, Ok(8));
    let mut events = [Event::EMPTY; 8];
    let got = context.wait(8, &mut events).map(|events| events.len());
    check.equal("aio wait for eight", got, Ok(8));
    check.holds(
        "aio each wrote a byte",
        events.iter().all(|event| event.res == 1),
    );
    let sum = events.iter().fold(0, |sum, event| sum + event.data);
    check.equal("aio each came once", sum, 36);
    let mut got = [0; 8];
    let event = read(context, file, &mut got, FAR + 300);
    check.equal("aio read what eight wrote", result(event), Ok(8));
    check.equal("aio what eight wrote", &got[..], &bytes[..]);

    // The second operation is invalid: the first is accepted, the third is not reached.
    let good = Fsync::new(file).build();
    let bad = Fsync::new(-1).build();
    let mut three: [Iocb; 3] = [good, bad, good];
    let mut three = three.each_mut();
    // SAFETY: the operations have no buffers.
    let taken = unsafe { context.submit(&mut three) };
    check.equal("aio submit up to a bad one", taken, Ok(1));
    check.equal("aio the good one", result(next(context)), Ok(0));
    // SAFETY: the operations have no buffers.
    let rest = unsafe { context.submit_all(&mut three) };
    let rest = rest.map_err(|error| error.errno);
    check.equal("aio submit_all up to a bad one", rest, Err(Errno::BADF));
    check.equal("aio the good one again", result(next(context)), Ok(0));
}
