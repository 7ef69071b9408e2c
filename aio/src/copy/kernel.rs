//! Data that the kernel moves from file to file, or, where it cannot, that is read
//! and written.

use linux_aio::Errno;

use super::parts::Part;
use super::pipeline::{Side, Stop};
use super::progress::Progress;
use super::{Failure, Job, Way};
use crate::os::{self, Memory};

/// Bytes moved at a time, after which the disk begins to write them: it is the
/// slower one, and is done sooner if it does not wait for the end.
const STEP: usize = 8 << 20;
/// Bytes read and written at a time.
const BUFFER: usize = 1 << 20;

/// Copies the file.
pub(super) fn copy(job: &Job<'_>, progress: &mut Progress) -> Result<Way, Failure<'static>> {
    let mut mover = Mover::new(job, progress, 0);
    if job.zeros {
        // Zeros are found by reading.
        mover.by_hand = Some(buffer().map_err(|stop| stop.explain(job.options))?);
    }
    let copy = &mut |part: Part| mover.part(part.from, part.to.unwrap_or(u64::MAX));
    let copied = job.each(0, copy);
    let copied = copied.and_then(|end| job.cut(end).and_then(|()| job.check_end(end, false)));
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
    /// The buffer to read and write with, where copy_file_range(2) cannot.
    by_hand: Option<Memory>,
    /// With O_DIRECT: what offsets and lengths are multiples of. Else 1.
    align: usize,
    done: u64,
}

impl<'a> Mover<'a> {
    /// `done`: bytes that were copied before.
    pub(super) fn new(job: &'a Job<'a>, progress: &'a mut Progress, done: u64) -> Mover<'a> {
        Mover {
            job,
            progress,
            by_hand: None,
            align: 1,
            done,
        }
    }

    /// Bytes that were copied.
    pub(super) fn done(&self) -> u64 {
        self.done
    }

    /// Copies around the page cache from now on: both files are open so. Where the
    /// file ends amid a block, what is before that block is copied.
    pub(super) fn direct(&mut self, align: usize) -> Result<(), Stop> {
        self.by_hand = Some(buffer()?);
        self.align = align;
        Ok(())
    }

    /// Copies through the page cache again.
    pub(super) fn through_the_cache(&mut self) -> Result<(), Stop> {
        self.by_hand = self.job.zeros.then(buffer).transpose()?;
        self.align = 1;
        Ok(())
    }

    /// Copies from `from` to `to`, or to the end of the file if that is before, and
    /// returns where it ended.
    pub(super) fn part(&mut self, from: u64, to: u64) -> Result<u64, Stop> {
        let (mut at, mut begun) = (from, from);
        while at < to {
            if self.job.signals.arrived() {
                return Err(Stop::Signal);
            }
            let length = (to - at).min(STEP as u64) as usize;
            let moved = match &self.by_hand {
                None => match os::copy_range(self.job.source, self.job.target, at, length) {
                    // Files of /proc have size 0, and some file systems return 0 before
                    // the end: a read decides.
                    Ok(0) if at == 0 || at < self.job.size => {
                        self.by_hand = Some(buffer()?);
                        continue;
                    }
                    Ok(moved) => moved,
                    Err(Errno::INTR) => continue,
                    // A read or a write will show which file the error is about.
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
            }
        }
        Ok(at)
    }

    /// Reads and writes once; 0 at the end of the file.
    fn step(&self, buffer: *mut u8, at: u64, length: usize) -> Result<usize, Stop> {
        self.job.signals.wait_ready(self.job.source.raw(), false)?;
        let read = again(Side::Source, || {
            // SAFETY: `length` is at most BUFFER, the buffer's size, and `self` owns
            // the buffer.
            unsafe { os::read_at(self.job.source.raw(), buffer, length, at) }
        })?;
        let read = read - read % self.align;
        let mut written = 0;
        while written < read {
            // SAFETY: so many bytes have been read into the buffer.
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
                // SAFETY: `written + length` is at most `read`, and so many bytes
                // have been read into the buffer.
                unsafe {
                    let rest = buffer.add(written);
                    os::write_at(self.job.target.raw(), rest, length, at + written as u64)
                }
            })?;
            // With O_DIRECT, a ragged rest is written once more.
            let more = more - more % self.align;
            if more == 0 {
                return Err(Stop::At(Side::Target, Errno::IO));
            }
            written += more;
        }
        Ok(read)
    }
}

/// What a file system keeps a hole of.
const BLOCK: usize = 4096;

/// Bytes of whole blocks of zeros at the beginning.
fn zeros(bytes: &[u8]) -> usize {
    let blocks = bytes.chunks(BLOCK);
    blocks
        .take_while(|block| is_zero(block))
        .map(<[u8]>::len)
        .sum()
}

/// Bytes before the first block of zeros.
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

/// A signal that ends nothing is no reason to stop.
fn again(side: Side, mut call: impl FnMut() -> Result<usize, Errno>) -> Result<usize, Stop> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            other => return other.map_err(|errno| Stop::At(side, errno)),
        }
    }
}
