//! Checks of the errors of a disk, of transfers at its end, and of the optional
//! settings of an operation.

use linux_aio::abi::{IoVec, Iocb, RwFlags};
use linux_aio::direct_io::{Alignment, Misaligned};
use linux_aio::opcode::{IoPriority, Pread, Preadv, Pwrite, Pwritev};
use linux_aio::{Context, Errno, Event, WaitOptions};

use super::super::{complete, next, result};
use super::{BLOCK, Drive, Kind, PATTERN, THIRD, fill, wrong_words};
use crate::check::Check;
use crate::nr;
use crate::os::{self, Moment, Pages};

pub(super) fn run(check: &mut Check, drive: &Drive<'_>) {
    let Some(context) = check.needs("disk another context", Context::new(8)) else {
        return;
    };
    let Some(mut memory) = check.needs("disk pages", Pages::new(8 * BLOCK)) else {
        return;
    };
    let disk = Edges { context, drive };
    disk.vectored(check, &mut memory);
    disk.misaligned(check, &memory);
    disk.flags(check, &mut memory);
    disk.ends(check, &mut memory);
    let destroyed = disk.context.destroy();
    check.equal("disk another context's destroy", destroyed, Ok(()));
}

struct Edges<'a> {
    context: Context,
    drive: &'a Drive<'a>,
}

impl Edges<'_> {
    /// Submits one operation and returns its result, from the submission or from its
    /// event.
    ///
    /// # Safety
    /// The buffer stays valid, and no other code uses it, until this returns.
    unsafe fn one(&self, mut iocb: Iocb) -> Result<usize, Errno> {
        // SAFETY: the caller promises that the buffer stays valid and unused until this
        // returns, and `complete` returns when the operation has completed.
        result(unsafe { complete(&self.context, &mut iocb) })
    }

    fn read(&self, memory: &mut [u8], offset: u64) -> Result<usize, Errno> {
        let read = Pread::new(&self.drive.file, memory.as_mut_ptr(), memory.len());
        // SAFETY: the memory is borrowed exclusively until `one` returns.
        unsafe { self.one(read.offset(offset).build()) }
    }

    fn write(&self, memory: &[u8], offset: u64) -> Result<usize, Errno> {
        let write = Pwrite::new(&self.drive.file, memory.as_ptr(), memory.len());
        // SAFETY: the memory is borrowed, and so does not change, until `one` returns.
        unsafe { self.one(write.offset(offset).build()) }
    }

    /// Checks three pieces of different lengths whose order in memory differs from that
    /// in the file.
    fn vectored(&self, check: &mut Check, memory: &mut Pages) {
        const ORDER: [(usize, usize); 3] = [(5, 2), (0, 1), (2, 3)];
        let pieces = ORDER.map(|(first, count)| IoVec {
            base: memory.start().wrapping_add(first * BLOCK).cast(),
            len: count * BLOCK,
        });
        let places = ORDER.map(|(first, count)| first * BLOCK..(first + count) * BLOCK);
        let mut offset = THIRD;
        for place in places.clone() {
            let piece = memory.bytes_mut().get_mut(place).unwrap_or_default();
            fill(piece, offset, PATTERN);
            offset += piece.len() as u64;
        }
        let write = Pwritev::new(&self.drive.file, pieces.as_ptr(), 3).offset(THIRD);
        // SAFETY: the pieces and the array stay valid and unchanged until `one`
        // returns.
        let got = unsafe { self.one(write.build()) };
        check.equal("disk pwritev", got, Ok(6 * BLOCK));
        memory.bytes_mut().fill(0xee);
        let read = self.read(memory.bytes_mut(), THIRD);
        check.equal("disk pread of pwritev", read, Ok(8 * BLOCK));
        let all = memory.bytes().get(..6 * BLOCK).unwrap_or_default();
        check.equal(
            "disk what pwritev wrote",
            wrong_words(all, THIRD, PATTERN),
            0,
        );

        memory.bytes_mut().fill(0xee);
        let mut array = pieces;
        let at = array.as_mut_ptr();
        let read = Preadv::new(&self.drive.file, at, 3).offset(THIRD);
        // SAFETY: the pieces stay valid and are not used until the event has arrived.
        // The array may change after the submission, because the kernel has copied it,
        // even if the device is still busy.
        let got = unsafe {
            let taken = self.context.submit(&mut [&mut read.build()]);
            at.cast::<[u8; 3 * size_of::<IoVec>()]>()
                .write_volatile([0; _]);
            taken.and_then(|_| result(next(&self.context)))
        };
        check.equal("disk preadv", got, Ok(6 * BLOCK));
        let (mut offset, mut wrong) = (THIRD, 0);
        for place in places {
            let piece = memory.bytes().get(place).unwrap_or_default();
            wrong += wrong_words(piece, offset, PATTERN);
            offset += piece.len() as u64;
        }
        check.equal("disk what preadv read", wrong, 0);
        let rest = memory.bytes().get(BLOCK..2 * BLOCK).unwrap_or_default();
        let rest = rest.iter().all(|&byte| byte == 0xee);
        check.holds("disk preadv left the rest alone", rest);
    }

    /// Checks misaligned operations, which are refused at submission or in the event.
    fn misaligned(&self, check: &mut Check, memory: &Pages) {
        for (name, skew, length, offset) in [
            ("disk misaligned buffer", 1, BLOCK, THIRD),
            ("disk misaligned length", 0, 100, THIRD),
            ("disk misaligned offset", 0, BLOCK, THIRD + 7),
        ] {
            let buffer = memory.start().wrapping_add(skew);
            let read = Pread::new(&self.drive.file, buffer, length).offset(offset);
            // SAFETY: the memory has eight blocks, and no other code uses them until
            // `one` returns.
            let got = unsafe { self.one(read.build()) };
            check.equal(name, got, Err(Errno::INVAL));
        }
        self.predicted(check, memory);
        let mut events = [Event::EMPTY; 4];
        let rest = self.context.wait_with(0, &mut events, WaitOptions::poll());
        let rest = rest.map(|events| events.len());
        check.equal("disk no event is left", rest, Ok(0));
    }

    /// Checks that the alignment reported by statx rejects the operations refused above
    /// and accepts those that succeed elsewhere.
    fn predicted(&self, check: &mut Check, memory: &Pages) {
        let alignment = match Alignment::of(&self.drive.file) {
            Ok(Some(alignment)) => alignment,
            Ok(None) => {
                check.skip("disk alignment", "this kernel does not report it");
                return;
            }
            Err(errno) => {
                check.equal("disk alignment", Err(errno), Ok(0));
                return;
            }
        };
        let why = |skew, length, offset| {
            let buffer = memory.start().wrapping_add(skew);
            let read = Pread::new(&self.drive.file, buffer, length).offset(offset);
            alignment.check_iocb(&read.build())
        };
        check.holds(
            "disk alignment of a buffer",
            matches!(why(1, BLOCK, THIRD), Err(Misaligned::Memory { .. })),
        );
        check.holds(
            "disk alignment of a length",
            matches!(why(0, 100, THIRD), Err(Misaligned::Length { .. })),
        );
        check.holds(
            "disk alignment of an offset",
            matches!(why(0, BLOCK, THIRD + 7), Err(Misaligned::Offset { .. })),
        );
        check.holds("disk alignment kept", why(0, BLOCK, THIRD).is_ok());
    }

    fn flags(&self, check: &mut Check, memory: &mut Pages) {
        let file = &self.drive.file;
        let start = memory.start();
        fill(memory.bytes_mut(), THIRD, !PATTERN);
        let write = Pwrite::new(file, start, BLOCK).offset(THIRD);
        // SAFETY: every operation below uses the first block of `memory`, which stays
        // valid and is not used otherwise until `one` returns.
        let one = |iocb| unsafe { self.one(iocb) };
        let got = one(write.rw_flags(RwFlags::DSYNC).build());
        check.equal("disk RWF_DSYNC", got, Ok(BLOCK));
        let got = one(write.rw_flags(RwFlags::SYNC).build());
        check.equal("disk RWF_SYNC", got, Ok(BLOCK));

        let read = Pread::new(file, start, BLOCK).offset(THIRD);
        match one(read.rw_flags(RwFlags::NOWAIT).build()) {
            Err(Errno::OPNOTSUPP) => check.skip("disk RWF_NOWAIT", "not for this file"),
            // The operation would have to wait.
            Err(Errno::AGAIN) => check.equal("disk RWF_NOWAIT", Ok(BLOCK), Ok(BLOCK)),
            got => check.equal("disk RWF_NOWAIT", got, Ok(BLOCK)),
        }
        if self.drive.kind == Kind::Plain {
            self.behind_the_cache(check, read.rw_flags(RwFlags::NOWAIT).build());
        }
        if let Some(best) = IoPriority::best_effort(4) {
            check.equal("disk priority", one(read.ioprio(best).build()), Ok(BLOCK));
        }
        let got = one(read.ioprio(IoPriority::idle()).build());
        check.equal("disk idle priority", got, Ok(BLOCK));
        if let Some(counter) = check.needs("disk eventfd", os::eventfd()) {
            check.equal("disk resfd", one(read.eventfd(counter).build()), Ok(BLOCK));
            let mut count = [0; 8];
            check.equal("disk resfd read", os::read(counter, &mut count), Ok(8));
            check.equal("disk resfd counted", u64::from_ne_bytes(count), 1);
            self.signalled(check, read.eventfd(counter).build(), counter);
            let _ = os::close(counter);
        }
        let block = memory.bytes().get(..BLOCK).unwrap_or_default();
        check.equal(
            "disk what was flagged",
            wrong_words(block, THIRD, !PATTERN),
            0,
        );
    }

    /// Checks that the event is in the ring when the eventfd has counted it.
    fn signalled(&self, check: &mut Check, mut read: Iocb, counter: i32) {
        // SAFETY: the block stays valid and is not used otherwise until the event has
        // arrived, which is awaited below.
        let taken = unsafe { self.context.submit(&mut [&mut read]) };
        check.equal("disk submit with resfd", taken, Ok(1));
        let end = Moment::now().plus(5000);
        while os::read(counter, &mut [0; 8]) != Ok(8) && !end.has_expired() {
            os::yield_now();
        }
        let mut events = [Event::EMPTY; 2];
        let came = self.context.wait_with(0, &mut events, WaitOptions::poll());
        let came = came.map(|events| events.len());
        check.equal("disk resfd signals an event that is there", came, Ok(1));
        check.equal(
            "disk result of the signalled event",
            events[0].result(),
            Ok(BLOCK),
        );
    }

    /// Checks NOWAIT while the page cache holds bytes that are not yet on the disk: a
    /// direct read would have to wait for their writeback.
    fn behind_the_cache(&self, check: &mut Check, read: Iocb) {
        let name = "disk RWF_NOWAIT behind the page cache";
        let flags = nr::O_WRONLY | nr::O_CLOEXEC;
        let Ok(cached) = os::open(nr::AT_FDCWD, self.drive.path, flags, 0) else {
            check.skip(name, "it does not open once more");
            return;
        };
        // The kernel may have written the page back already, so this is tried up to
        // five times.
        let mut got = Err(Errno::IO);
        for _ in 0..5 {
            let dirty = [0x55; BLOCK];
            let written = os::pwrite(cached, &dirty, THIRD);
            // SAFETY: the block stays valid and is not used otherwise until `one`
            // returns.
            got = written.and_then(|_| unsafe { self.one(read) });
            if got != Ok(BLOCK) {
                break;
            }
        }
        let _ = os::close(cached);
        match got {
            Err(Errno::OPNOTSUPP) => check.skip(name, "not for this file"),
            got => check.equal(name, got, Err(Errno::AGAIN)),
        }
        // Writes directly again, with nothing in the cache to wait for.
        let Some(mut page) = check.needs("disk page behind the cache", Pages::new(BLOCK)) else {
            return;
        };
        fill(page.bytes_mut(), THIRD, !PATTERN);
        check.equal(
            "disk write behind the page cache",
            self.write(page.bytes(), THIRD),
            Ok(BLOCK),
        );
    }

    /// Checks transfers at the end of a device or of a file.
    fn ends(&self, check: &mut Check, memory: &mut Pages) {
        let size = self.drive.size;
        if size & (BLOCK as u64 - 1) != 0 {
            check.skip("disk end", "no whole number of blocks");
            return;
        }
        let last = size - BLOCK as u64;
        let bytes = memory.bytes_mut();
        let (two, rest) = bytes.split_at_mut(2 * BLOCK);
        let rest = rest.get_mut(..BLOCK).unwrap_or_default();
        two.fill(0x77);
        check.equal("disk read across the end", self.read(two, last), Ok(BLOCK));
        // In a file, ext4 clears the buffer behind the bytes that it read.
        if self.drive.block {
            let rest = two.iter().skip(BLOCK);
            let left = rest.into_iter().all(|&byte| byte == 0x77);
            check.holds("disk read across the end leaves the rest", left);
        }
        check.equal("disk read at the end", self.read(rest, size), Ok(0));
        let beyond = size + BLOCK as u64;
        check.equal("disk read after the end", self.read(rest, beyond), Ok(0));
        if !self.drive.block {
            return;
        }
        let got = self.write(rest, size);
        check.equal("disk write at the end", got, Err(Errno::NOSPC));
        let got = self.write(rest, beyond);
        check.equal("disk write after the end", got, Err(Errno::NOSPC));
        // The first block is the content that is there already; the second lies behind
        // the end.
        check.equal(
            "disk write across the end",
            self.write(two, last),
            Ok(BLOCK),
        );
        check.equal(
            "disk read of the last block",
            self.read(rest, last),
            Ok(BLOCK),
        );
        check.holds("disk last block", two.get(..BLOCK) == Some(&*rest));
    }
}
