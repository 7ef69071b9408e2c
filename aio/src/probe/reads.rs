//! Reads of one file: the alignment of direct I/O, and whether a read is asynchronous.

use linux_aio::direct_io::Alignment;
use linux_aio::opcode::Pread;
use linux_aio::{Context, Errno, Fd};
use linux_raw_sys::general::{S_IFBLK, S_IFMT, S_IFREG};

use super::steps::{Findings, take};
use crate::args::Bytes;
use crate::os::{self, CWD, Clock, File};
use crate::path::Path;
use crate::random::Random;

/// The number of reads that are measured in each mode.
const READS: u32 = 32;
/// The number of attempts for them, of which some say nothing on a busy machine.
const ATTEMPTS: u32 = 8 * READS;

/// The smallest and the largest block to read.
const LEAST: u64 = 4096;
const LARGEST: u64 = 1 << 20;

/// What was found out about a file.
#[derive(Clone, Copy)]
pub(super) struct About {
    /// The alignments of memory and offsets for direct I/O, as far as the kernel reports
    /// them.
    pub(super) alignment: Option<(usize, usize)>,
    pub(super) direct: Mode,
    pub(super) buffered: Mode,
}

/// How the reads of one mode went.
#[derive(Clone, Copy)]
pub(super) enum Mode {
    Refused(Errno),
    Measured(Times),
}

#[derive(Clone, Copy, Default)]
pub(super) struct Times {
    pub(super) reads: u32,
    /// The number of reads that had completed when io_submit(2) returned.
    ///
    /// Not counted is a read during whose submission others had the processor (threads, an
    /// interrupt, another virtual machine): it may have completed meanwhile.
    inside: u32,
    /// The nanoseconds in io_submit(2), and until completion, of all reads together.
    pub(super) submitting: u64,
    pub(super) total: u64,
}

impl Times {
    /// Returns `None` if the machine is too busy to tell.
    pub(super) fn is_asynchronous(&self) -> Option<bool> {
        (self.reads >= READS / 4).then_some(self.inside * 2 < self.reads)
    }
}

/// Reads some blocks of a file, with and without O_DIRECT.
///
/// # Errors
/// Those of opening it; EINVAL if it is neither a regular file nor a block device; ENODATA
/// if it has no whole block.
pub(super) fn measure(
    name: Bytes,
    context: &mut Context,
    found: &Findings,
) -> Result<About, Errno> {
    let path = Path::new(name)?;
    // Opening a pipe would wait for its writer, and some devices act when they are opened.
    let held = os::open(CWD, path.as_c(), os::O_PATH, 0)?;
    let stat = os::stat_file(&held)?;
    let kind = u32::from(stat.stx_mode) & S_IFMT;
    if kind != S_IFREG && kind != S_IFBLK {
        return Err(Errno::INVAL);
    }
    let flags = os::O_RDONLY | os::O_NOCTTY | os::O_NONBLOCK;
    // The name may lead to another file meanwhile. Without /proc, it is used again.
    let open = |flags| match os::open_held(&held, flags) {
        Err(Errno::NOENT) => os::open(CWD, path.as_c(), flags, 0),
        other => other,
    };
    let file = open(flags)?;
    let size = match kind {
        S_IFBLK => os::device_size(&file)?,
        _ => stat.stx_size,
    };
    // SAFETY: the descriptor is open until the end of this function.
    let alignment = Alignment::of(unsafe { Fd::borrow_raw(file.raw()) }).unwrap_or(None);
    let alignment = alignment.map(|both| (both.memory(), both.offset()));
    let block = alignment.map_or(LEAST, |(_, offset)| LEAST.max(offset as u64));
    if block > LARGEST || size < block {
        return Err(Errno::NODATA);
    }
    let blocks = size / block;
    let mut mode = |file: Result<File, Errno>| {
        let times = file.and_then(|file| time(&file, block, blocks, context, found));
        times.map_or_else(Mode::Refused, Mode::Measured)
    };
    Ok(About {
        alignment,
        direct: mode(open(flags | os::O_DIRECT)),
        buffered: mode(Ok(file)),
    })
}

fn time(
    file: &File,
    block: u64,
    blocks: u64,
    context: &mut Context,
    found: &Findings,
) -> Result<Times, Errno> {
    let memory = os::Memory::new(block as usize)?.leak();
    let mut random = Random::new();
    let mut times = Times::default();
    for _ in 0..ATTEMPTS {
        if times.reads == READS {
            break;
        }
        let offset = random.below(blocks) * block;
        let read = Pread::new(file.raw(), memory, block as usize);
        let mut iocb = read.offset(offset).build();
        let waits = os::waits();
        let processor = os::nanoseconds(Clock::Processor);
        let start = os::nanoseconds(Clock::Monotonic);
        // SAFETY: the memory is never unmapped, and nothing else accesses it.
        unsafe { context.submit_all(&mut [&mut iocb]) }.map_err(|error| error.errno)?;
        let submitted = os::nanoseconds(Clock::Monotonic);
        let processor = os::nanoseconds(Clock::Processor) - processor;
        let at_once = context.ring().pop()?;
        let waited = os::waits() != waits;
        let event = match at_once {
            Some(event) => event,
            None => take(context, found)?,
        };
        let end = os::nanoseconds(Clock::Monotonic);
        event.result()?;
        if at_once.is_some() {
            // A thread that waits inside io_submit waits for the read. Otherwise the read
            // has copied memory, which takes its own time alone.
            if !waited && (submitted - start) * 2 > processor * 3 {
                continue;
            }
            times.inside += 1;
        }
        times.reads += 1;
        times.submitting += submitted - start;
        times.total += end - start;
    }
    Ok(times)
}
