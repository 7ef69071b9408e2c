//! Copying with copy_file_range(2), or with reads and writes where the kernel cannot
//! move the data itself.

use linux_aio::Errno;

use super::parts::Part;
use super::pipeline::{Side, Stop};
use super::progress::Progress;
use super::reserve::Reserve;
use super::{Failure, Job, Way};
use crate::os::{self, Memory};

/// The number of bytes moved at a time, after which their writeback is started. The
/// disk is the slower part, and finishes sooner if writeback does not begin only at the
/// end.
const STEP: usize = 8 << 20;
/// The number of bytes read and written at a time.
const BUFFER: usize = 1 << 20;

/// Copies the file.
pub(super) fn copy(job: &Job<'_>, progress: &mut Progress) -> Result<Way, Failure<'static>> {
    let mut mover = Mover::new(job, progress, 0);
    // Reserved blocks would not be holes.
    mover.reserve = Reserve::new((job.draft && !job.zeros).then_some(job.target));
    if job.zeros {
        // Finding zeros requires reading the data.
        mover.by_hand = Some(buffer().map_err(|stop| stop.explain(job.options))?);
    }
    let copy = &mut |part: Part| mover.part(part.from, part.to.unwrap_or(u64::MAX));
    let copied = job.each(0, copy).and_then(|end| {
        mover.give_back(end)?;
        job.cut(end)?;
        job.check_end(end, false)
    });
    copied.map_err(|stop| stop.explain(job.options))?;
    Ok(Way {
        bytes: mover.done,
        name: match mover.by_hand {
            None => "copy_file_range",
            Some(_) => "read and write",
        },
    })
}

pub(super) struct Mover<'a> {
    job: &'a Job<'a>,
    progress: &'a mut Progress,
    /// The buffer for reads and writes, if copy_file_range(2) cannot be used.
    by_hand: Option<Memory>,
    /// With O_DIRECT, the alignment of offsets and lengths. Otherwise 1.
    align: usize,
    reserve: Reserve<'a>,
    done: u64,
}

impl<'a> Mover<'a> {
    /// Creates a mover. `done` is the number of bytes that were copied before.
    pub(super) fn new(job: &'a Job<'a>, progress: &'a mut Progress, done: u64) -> Mover<'a> {
        Mover {
            job,
            progress,
            by_hand: None,
            align: 1,
            reserve: Reserve::new(None),
            done,
        }
    }

    /// Returns the number of bytes copied.
    pub(super) fn done(&self) -> u64 {
        self.done
    }

    /// Switches to copying around the page cache. O_DIRECT must be set on both files.
    /// If the file ends within a block, the data before that block is copied.
    pub(super) fn direct(&mut self, align: usize) -> Result<(), Stop> {
        self.by_hand = Some(buffer()?);
        self.align = align;
        Ok(())
    }

    /// Switches back to copying through the page cache.
    pub(super) fn through_the_cache(&mut self) -> Result<(), Stop> {
        self.by_hand = self.job.zeros.then(buffer).transpose()?;
        self.align = 1;
        Ok(())
    }

    /// Copies from `from` to `to`, or to the end of the file if that comes first, and
    /// returns the offset where the copy ended.
    pub(super) fn part(&mut self, from: u64, to: u64) -> Result<u64, Stop> {
        let (mut at, mut begun) = (from, from);
        while at < to {
            if self.job.signals.arrived() {
                return Err(Stop::Signal);
            }
            let length = (to - at).min(STEP as u64) as usize;
            let moved = match &self.by_hand {
                None => match os::copy_range(self.job.source, self.job.target, at, length) {
                    // Files in /proc have size 0, and some file systems return 0 before
                    // the end. A read determines whether this is the end.
                    Ok(0) if at == 0 || at < self.job.size => {
                        self.by_hand = Some(buffer()?);
                        continue;
                    }
                    Ok(moved) => moved,
                    Err(Errno::INTR) => continue,
                    // A read or a write determines which file the error concerns.
                    Err(_) => {
                        self.by_hand = Some(buffer()?);
                        continue;
                    }
                },
                Some(buffer) => self.step(buffer.address(), at, length.min(BUFFER))?,
            };
            if moved == 0 {
                break;
            }
            at += moved as u64;
            self.done += moved as u64;
            self.progress.at(self.done);
            if self.align == 1 && at - begun >= STEP as u64 {
                os::begin_writing(self.job.target.raw(), begun, at - begun);
                begun = at;
                // The data so far shows that the file is not shorter by far than its size.
                self.reserve.ahead(at, to.min(self.job.size));
            }
        }
        Ok(at)
    }

    /// Frees the blocks that are reserved beyond the end of the copy.
    fn give_back(&self, end: u64) -> Result<(), Stop> {
        if !self.reserve.exceeds(end) {
            return Ok(());
        }
        os::truncate(self.job.target, end).map_err(|errno| Stop::At(Side::Target, errno))
    }

    /// Reads once and writes the data. Returns the number of bytes; 0 at the end of the
    /// file.
    fn step(&self, buffer: *mut u8, at: u64, length: usize) -> Result<usize, Stop> {
        self.job.signals.wait_ready(self.job.source.raw(), false)?;
        let read = again(Side::Source, || {
            // SAFETY: `length` is at most BUFFER, the buffer's size, and `self` owns
            // the buffer, to which no reference exists now.
            unsafe { os::read_at(self.job.source.raw(), buffer, length, at) }
        })?;
        let read = read - read % self.align;
        let mut written = 0;
        while written < read {
            // SAFETY: `read` bytes have been read into the buffer, and `written` is
            // less.
            let rest = unsafe { core::slice::from_raw_parts(buffer.add(written), read - written) };
            let zeros = if self.job.zeros { zeros(rest) } else { 0 };
            if zeros > 0 {
                written += zeros;
                continue;
            }
            let length = if self.job.zeros {
                data(rest)
            } else {
                rest.len()
            };
            let more = again(Side::Target, || {
                // SAFETY: `written + length` is at most `read`, the number of bytes
                // that have been read into the buffer.
                unsafe {
                    let rest = buffer.add(written);
                    os::write_at(self.job.target.raw(), rest, length, at + written as u64)
                }
            })?;
            // With O_DIRECT, an unaligned rest is written again.
            let more = more - more % self.align;
            if more == 0 {
                return Err(Stop::At(Side::Target, Errno::IO));
            }
            written += more;
        }
        Ok(read)
    }
}

/// The granularity of holes: the block size of most file systems.
const BLOCK: usize = 4096;

/// Returns the number of bytes in the blocks of zeros at the beginning.
fn zeros(bytes: &[u8]) -> usize {
    let blocks = bytes.chunks(BLOCK);
    blocks
        .take_while(|block| is_zero(block))
        .map(<[u8]>::len)
        .sum()
}

/// Returns the number of bytes before the first block of zeros.
fn data(bytes: &[u8]) -> usize {
    let blocks = bytes.chunks(BLOCK);
    blocks
        .take_while(|block| !is_zero(block))
        .map(<[u8]>::len)
        .sum()
}

pub(super) fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|&byte| byte == 0)
}

fn buffer() -> Result<Memory, Stop> {
    Memory::new(BUFFER).map_err(Stop::Memory)
}

/// Repeats the call while it fails with EINTR: a signal that does not end the process
/// must not stop the copy.
fn again(side: Side, mut call: impl FnMut() -> Result<usize, Errno>) -> Result<usize, Stop> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            other => return other.map_err(|errno| Stop::At(side, errno)),
        }
    }
}
