//! A file copied by io_uring: blocks in flight, each read and then written.

use std::alloc::Layout;
use std::fs::OpenOptions;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;

use io_uring::types::Fd;
use io_uring::{IoUring, opcode, squeue};

use crate::meter::Meter;

/// The number of blocks in flight, the same as for `aio copy`.
const DEPTH: usize = 16;

/// A block in flight.
#[derive(Clone, Copy)]
struct Block {
    offset: u64,
    len: u32,
    written: bool,
}

/// Copies `from` to `to` once, and syncs it: `block` bytes at a time, with direct I/O
/// if `baseline` says so. The file is a whole number of pages.
pub(crate) fn copy(
    baseline: &str,
    block: usize,
    from: &str,
    to: &str,
    meter: &mut Meter,
) -> Option<()> {
    let flags = match baseline {
        "uring" => 0,
        "uring-direct" => libc::O_DIRECT,
        _ => return None,
    };
    meter.time(|| {
        let mut reading = OpenOptions::new();
        let from = reading.read(true).custom_flags(flags).open(from).ok()?;
        let mut writing = OpenOptions::new();
        let writing = writing.write(true).create(true).truncate(true);
        let to = writing.custom_flags(flags).open(to).ok()?;
        let size = from.metadata().ok()?.len();
        let layout = Layout::from_size_align(DEPTH * block, 4096).ok()?;
        // SAFETY: not of size zero, and never freed.
        let memory = unsafe { std::alloc::alloc_zeroed(layout) };
        let mut ring = IoUring::new(DEPTH as u32).ok()?;
        let mut blocks = [None; DEPTH];
        let (mut next, mut left) = (0, size);
        let entry = |at: usize, state: Block| -> squeue::Entry {
            let start = memory.wrapping_add(at * block);
            let entry = if state.written {
                let write = opcode::Write::new(Fd(to.as_raw_fd()), start, state.len);
                write.offset(state.offset).build()
            } else {
                let read = opcode::Read::new(Fd(from.as_raw_fd()), start, state.len);
                read.offset(state.offset).build()
            };
            entry.user_data(at as u64)
        };
        while left > 0 {
            for (at, state) in blocks.iter_mut().enumerate() {
                if state.is_some() || next == size {
                    continue;
                }
                let len = (size - next).min(block as u64) as u32;
                let begun = *state.insert(Block {
                    offset: next,
                    len,
                    written: false,
                });
                // SAFETY: the memory is never freed, and no other operation uses this
                // block's part of it.
                unsafe { ring.submission().push(&entry(at, begun)) }.ok()?;
                next += u64::from(len);
            }
            ring.submit_and_wait(1).ok()?;
            let ended: Vec<_> = ring.completion().collect();
            for done in ended {
                let at = done.user_data() as usize;
                let state = blocks.get_mut(at)?;
                let mut block = (*state)?;
                assert_eq!(done.result(), block.len as i32);
                if block.written {
                    left -= u64::from(block.len);
                    *state = None;
                    continue;
                }
                block.written = true;
                *state = Some(block);
                // SAFETY: the memory is never freed, and no other operation uses this
                // block's part of it.
                unsafe { ring.submission().push(&entry(at, block)) }.ok()?;
            }
        }
        to.sync_all().ok()
    })
}
