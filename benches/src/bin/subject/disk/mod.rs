//! Operations on a file: reads and writes with `depth` of them in flight all the time,
//! and a log whose records are written and synced.

mod aio;
mod flight;
mod libaio;
mod log;
mod posix;
mod threads;
mod uring;

use std::alloc::Layout;
use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;

use crate::meter::Meter;
use aio::{ByContext, ByHand, ByQueue};
use libaio::{ByLibAio, ByLibAioEach};
use posix::ByPosix;
use uring::{ByTunedUring, ByUring};

pub(crate) type Buffer = &'static mut [u8];

/// An operation with the buffer of its slot.
#[derive(Clone, Copy)]
enum Op {
    Read(u64),
    Write(u64),
    Fsync,
}

/// A baseline: it has a file and a buffer for each slot. Staged operations are submitted
/// to the kernel with the next submission.
trait Baseline {
    fn stage(&mut self, slot: usize, op: Op);

    fn submit(&mut self);

    /// Waits for at least one operation, and passes on the slot of each that has
    /// completed with the expected result.
    fn take(&mut self, each: &mut dyn FnMut(usize));
}

/// The pattern in which the file is accessed.
#[derive(Clone, Copy)]
struct Pattern {
    len: usize,
    direct: bool,
    random: bool,
    /// Of ten operations, this number are writes.
    writes: u64,
    /// Whether the buffers are in huge pages.
    huge: bool,
}

impl Pattern {
    fn named(name: &str) -> Option<Pattern> {
        let (len, direct, random, writes) = match name {
            "cached-4k" => (4096, false, true, 0),
            "direct-4k" => (4096, true, true, 0),
            "write-4k" => (4096, true, true, 10),
            "mixed-4k" => (4096, true, true, 3),
            "sequential-128k" => (128 << 10, true, false, 0),
            "sequential-1m" | "huge-1m" => (1 << 20, true, false, 0),
            _ => return None,
        };
        Some(Pattern {
            len,
            direct,
            random,
            writes,
            huge: name.starts_with("huge"),
        })
    }

    /// Returns operation `number` on a file of `blocks` blocks. Every baseline performs
    /// the same operations.
    fn op(&self, number: u64, blocks: u64) -> Op {
        let random = scatter(number);
        let block = if self.random { random >> 8 } else { number };
        let offset = block % blocks * self.len as u64;
        if random % 10 < self.writes {
            Op::Write(offset)
        } else {
            Op::Read(offset)
        }
    }

    fn blocks(&self, file: &File) -> u64 {
        file.metadata().unwrap().len() / self.len as u64
    }
}

/// Returns a number that depends on all bits of another (SplitMix64).
fn scatter(number: u64) -> u64 {
    let mut z = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Performs `meter.count` operations on the file at `path`.
pub(crate) fn disk(
    baseline: &str,
    depth: usize,
    name: &str,
    path: &str,
    meter: &mut Meter,
) -> Option<()> {
    let pattern = Pattern::named(name)?;
    // The completion of direct writes is work of kernel threads.
    meter.count_kernel_threads(pattern.writes > 0);
    let file = OpenOptions::new()
        .read(true)
        .write(pattern.writes > 0)
        .custom_flags(if pattern.direct { libc::O_DIRECT } else { 0 })
        .open(path)
        .ok()?;
    if pattern.direct {
        uncache(&file)?;
    }
    let file: &'static File = Box::leak(Box::new(file));
    let threads = match baseline {
        "pread" | "pwrite" => 1,
        "pread-threads" | "pwrite-threads" => depth,
        _ => {
            let run = flight::Flight { pattern, meter };
            return with(
                baseline,
                file,
                buffers(depth, pattern.len, pattern.huge),
                run,
            );
        }
    };
    threads::access(threads, file, pattern, meter);
    Some(())
}

/// Takes a file out of the page cache, where the data of a direct file seldom is, and where
/// each direct operation would look for it.
fn uncache(file: &File) -> Option<()> {
    // SAFETY: no pointers are passed.
    let result = unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
    (result == 0).then_some(())
}

/// Writes `meter.count` records to the file at `path`, each of which is followed by an
/// fsync, with `depth` records in flight.
pub(crate) fn log(baseline: &str, depth: usize, path: &str, meter: &mut Meter) -> Option<()> {
    // An fsync is work of kernel threads, for AIO all of it.
    meter.count_kernel_threads(true);
    let mut options = OpenOptions::new();
    let options = options.write(true).create(true).truncate(true);
    let file: &'static File = Box::leak(Box::new(options.open(path).ok()?));
    match baseline {
        "pwrite" => threads::append(1, file, meter),
        "pwrite-threads" => threads::append(depth, file, meter),
        _ => {
            return with(
                baseline,
                file,
                buffers(depth, log::RECORD, false),
                log::Log { meter },
            );
        }
    }
    Some(())
}

/// What is done with a baseline.
trait Run {
    fn run(self, depth: usize, file: &File, baseline: impl Baseline);
}

/// Runs `run` with a baseline that keeps operations in flight. Returns `None` if it is not
/// available here.
fn with(baseline: &str, file: &'static File, buffers: Vec<Buffer>, run: impl Run) -> Option<()> {
    let depth = buffers.len();
    match baseline {
        "hand" => run.run(depth, file, ByHand::new(file, buffers)),
        "context" => run.run(depth, file, ByContext::new(file, buffers)),
        "queue" => run.run(depth, file, ByQueue::new(file, buffers)),
        "libaio" => run.run(depth, file, ByLibAio::new(file, buffers)?),
        "libaio-each" => run.run(depth, file, ByLibAioEach::new(file, buffers)?),
        "uring" => run.run(depth, file, ByUring::new(file, buffers)?),
        "uring-tuned" => run.run(depth, file, ByTunedUring::new(file, buffers)?),
        "posix" => run.run(depth, file, ByPosix::new(file, buffers, false)),
        "posix-dup" => run.run(depth, file, ByPosix::new(file, buffers, true)),
        _ => return None,
    }
    Some(())
}

/// Returns buffers that are aligned for direct I/O.
fn buffers(depth: usize, len: usize, huge: bool) -> Vec<Buffer> {
    let align = if huge { 2 << 20 } else { 4096 };
    let layout = Layout::from_size_align((depth * len).next_multiple_of(align), align).unwrap();
    // SAFETY: not of size zero. The advice does not change the content, and all of it is
    // written before it is read, so that it is present as in a program that runs for long.
    // It is never freed.
    let memory: Buffer = unsafe {
        let memory = std::alloc::alloc(layout);
        if huge {
            assert_eq!(
                libc::madvise(memory.cast(), layout.size(), libc::MADV_HUGEPAGE),
                0
            );
        }
        memory.write_bytes(1, layout.size());
        std::slice::from_raw_parts_mut(memory, layout.size())
    };
    memory.chunks_mut(len).take(depth).collect()
}
