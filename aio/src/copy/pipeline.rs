//! The copy pipeline: each slot reads a block, writes it, and takes the next one.
//!
//! The user data of an operation is the index of its slot. The end of the file is where
//! a read returns 0 bytes, not the size from statx(2): files grow and shrink while they
//! are copied, and files in `/proc` have no size. Beyond the known size, one slot at a
//! time probes for the end.

use core::mem::MaybeUninit;
use core::time::Duration;

use linux_aio::{Context, Errno, Event, Iocb, Ring, Submitter, WaitOptions};

use super::kernel::is_zero;
use super::progress::Progress;
use super::signals::Signals;
use super::slot::{Slot, Step};
use crate::os::{self, File, Memory};

/// One of the two files of a copy.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Source,
    Target,
}

/// The reason why a copy ended early.
pub(super) enum Stop {
    At(Side, Errno),
    Context(Errno),
    Memory(Errno),
    /// The file lost data that had already been copied.
    Shrunk,
    Signal,
}

/// The number of bytes after which writeback of the page cache is started.
const EARLY: u64 = 8 << 20;

/// The maximal number of operations submitted, and of events taken, per call.
const BATCH: usize = 64;

pub(super) struct Pipeline<'a> {
    submitter: Submitter<'a>,
    ring: Ring<'a>,
    source: i32,
    target: i32,
    slots: &'a mut [Slot],
    /// One block for each slot, contiguously.
    buffers: *mut u8,
    block: usize,
    /// The next byte that no slot has taken.
    next: u64,
    /// The offset to stop at: the end of the file, once it is known.
    end: u64,
    /// The known size: the source is at least this long.
    size: u64,
    /// True while a slot reads beyond `size`.
    probing_end: bool,
    /// The end of the last byte written; then the end of the range whose writeback has
    /// been started.
    reached: u64,
    begun: u64,
    done: u64,
    /// With O_DIRECT, the alignment of offsets and lengths. Otherwise 1.
    align: usize,
    refused: Option<(Side, Errno)>,
    /// If true, a block of zeros is not written and becomes a hole.
    pub(super) zeros: bool,
    /// True if AIO cannot read the source (most of `/proc`), so that preadv(2) does.
    plain: bool,
    in_flight: usize,
    signals: &'a Signals,
    progress: &'a mut Progress,
}

impl<'a> Pipeline<'a> {
    /// Allocates the memory for [`new`](Pipeline::new): a block for each slot, and the
    /// slots.
    ///
    /// # Errors
    /// ENOMEM.
    pub(super) fn memory(depth: usize, block: usize) -> Result<[Memory; 2], Errno> {
        let bytes = depth.checked_mul(block).ok_or(Errno::NOMEM)?;
        // Whole pages satisfy the alignment that O_DIRECT requires; untouched pages
        // take no memory.
        let buffers = Memory::new(bytes)?;
        os::prefer_huge_pages(&buffers);
        Ok([buffers, Memory::new(depth * size_of::<Slot>())?])
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "each is distinguished by its type or place"
    )]
    pub(super) fn new(
        context: &'a mut Context,
        memory: &'a [Memory; 2],
        source: &File,
        target: &File,
        depth: usize,
        block: usize,
        size: u64,
        signals: &'a Signals,
        progress: &'a mut Progress,
    ) -> Pipeline<'a> {
        let buffers = memory[0].address();
        let memory = memory[1].address().cast::<Slot>();
        for index in 0..depth {
            // SAFETY: `memory` returned this mapping, which is page-aligned and holds
            // `depth` slots; nothing else accesses it while it is borrowed.
            unsafe {
                memory.add(index).write(Slot {
                    iocb: Iocb::default(),
                    step: Step::Idle,
                    offset: 0,
                    wanted: 0,
                    filled: 0,
                    written: 0,
                    probes_end: false,
                });
            }
        }
        // SAFETY: `depth` slots have just been written there. No other reference to
        // them exists, and the memory is borrowed for `'a`.
        let slots = unsafe { core::slice::from_raw_parts_mut(memory, depth) };
        let (submitter, ring) = context.split();
        Pipeline {
            submitter,
            ring,
            source: source.raw(),
            target: target.raw(),
            slots,
            buffers,
            block,
            next: 0,
            end: u64::MAX,
            size,
            probing_end: false,
            reached: 0,
            begun: 0,
            done: 0,
            align: 1,
            refused: None,
            zeros: false,
            plain: false,
            in_flight: 0,
            signals,
            progress,
        }
    }

    /// Copies from `from` to `to`, and returns the offset where the copy ended: before
    /// `to` if the file ends there or refuses O_DIRECT. `align` is the alignment of
    /// offsets and lengths for O_DIRECT; 1 without O_DIRECT.
    pub(super) fn part(&mut self, from: u64, to: u64, align: usize) -> Result<u64, Stop> {
        self.align = align;
        self.next = from;
        self.end = to;
        self.run()?;
        Ok(self.end)
    }

    /// Returns the offset after the last byte written.
    pub(super) fn reached(&self) -> u64 {
        self.reached
    }

    /// Returns the number of bytes written.
    pub(super) fn done(&self) -> u64 {
        self.done
    }

    /// Returns the file that accepted O_DIRECT when it was set but refused an operation
    /// with it.
    pub(super) fn refusal(&self) -> Option<(Side, Errno)> {
        self.refused
    }

    /// Copies from `from` to the end of the file, wherever that is when it is reached,
    /// and returns its offset.
    ///
    /// All direct writes must have completed: a direct write concurrent with a buffered
    /// write to the same page could lose the latter.
    pub(super) fn buffered(&mut self, from: u64) -> Result<u64, Stop> {
        self.part(from, u64::MAX, 1)?;
        // Every block before `end` was full. Data written after `end` can only come
        // from a source that was longer before.
        if self.reached > self.end {
            return Err(Stop::Shrunk);
        }
        self.progress.at(self.end);
        Ok(self.end)
    }

    /// Runs until everything before `end` is written.
    fn run(&mut self) -> Result<(), Stop> {
        let mut events = [Event::EMPTY; BATCH];
        loop {
            self.take_blocks();
            self.submit()?;
            if self.slots.iter().all(|slot| slot.step == Step::Idle) && !self.has_more() {
                return Ok(());
            }
            if self.signals.arrived() {
                return Err(Stop::Signal);
            }
            // With nothing in flight, the kernel lacked a resource: submit again after
            // a short pause. Otherwise the timeout is for signals and progress.
            let pause = if self.in_flight == 0 { 1 } else { 100 };
            let wait = WaitOptions::new().timeout(Duration::from_millis(pause));
            if self.in_flight > 0 || self.slots.iter().any(|slot| slot.step.is_ready()) {
                let taken = match self.ring.wait_with(1, &mut events, wait) {
                    Ok(taken) => taken.len(),
                    Err(Errno::INTR) => 0,
                    Err(errno) => return Err(Stop::Context(errno)),
                };
                for event in &events[..taken] {
                    self.in_flight -= 1;
                    self.settle(event.user_data() as usize, event.result())?;
                }
            }
            self.progress.at(self.done);
            let more = self.reached.saturating_sub(self.begun);
            if self.align == 1 && more >= EARLY {
                os::begin_writing(self.target, self.begun, more);
                self.begun = self.reached;
            }
        }
    }

    /// Returns whether another block can be started now.
    fn has_more(&self) -> bool {
        self.next < self.end && !(self.probing_end && self.reaches_out(self.next))
    }

    /// Returns whether a block at `offset` ends beyond the known size.
    fn reaches_out(&self, offset: u64) -> bool {
        offset.saturating_add(self.block as u64) > self.size
    }

    /// Assigns a block to read to every idle slot.
    fn take_blocks(&mut self) {
        for index in 0..self.slots.len() {
            if self.slots[index].step != Step::Idle {
                continue;
            }
            if !self.has_more() {
                return;
            }
            let offset = self.next;
            let wanted = (self.end - offset).min(self.block as u64);
            self.next += wanted;
            // Up to a known end no probing is necessary.
            let probes_end = self.end == u64::MAX && self.reaches_out(offset);
            self.probing_end |= probes_end;
            let slot = &mut self.slots[index];
            slot.offset = offset;
            slot.wanted = wanted as usize;
            slot.filled = 0;
            slot.written = 0;
            slot.probes_end = probes_end;
            slot.step = Step::Read;
        }
    }

    /// Submits the ready operations, in batches. Operations that the kernel does not
    /// accept stay ready.
    fn submit(&mut self) -> Result<(), Stop> {
        loop {
            self.read_plainly()?;
            let mut batch = [const { MaybeUninit::<&mut Iocb>::uninit() }; BATCH];
            let mut chosen = [0; BATCH];
            let mut count = 0;
            for (index, slot) in self.slots.iter_mut().enumerate() {
                if count < BATCH && slot.step.is_ready() {
                    // SAFETY: `index` is less than the number of slots, and the buffers
                    // hold one block for each.
                    let buffer = unsafe { self.buffers.add(index * self.block) };
                    slot.iocb = slot.operation(self.source, self.target, buffer);
                    slot.iocb.data = index as u64;
                    batch[count].write(&mut slot.iocb);
                    chosen[count] = index;
                    count += 1;
                }
            }
            if count == 0 {
                return Ok(());
            }
            // SAFETY: the first `count` elements have been written.
            let batch = unsafe {
                core::slice::from_raw_parts_mut(batch.as_mut_ptr().cast::<&mut Iocb>(), count)
            };
            // SAFETY: each operation has exclusive use of its slot's block until its
            // event is taken, and the buffers outlive the context.
            let result = unsafe { self.submitter.submit(batch) };
            let taken = result.unwrap_or(0);
            self.in_flight += taken;
            for &index in &chosen[..taken] {
                let slot = &mut self.slots[index];
                slot.step = slot.step.submitted();
            }
            match result {
                Ok(0) | Err(Errno::AGAIN) => return Ok(()),
                // After a partial submission, the next round begins with the refused
                // operation and so gets its error.
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => self.settle(chosen[0], Err(errno))?,
            }
        }
    }

    /// Reads synchronously from a source that AIO cannot read.
    fn read_plainly(&mut self) -> Result<(), Stop> {
        if !self.plain {
            return Ok(());
        }
        for index in 0..self.slots.len() {
            while self.slots[index].step == Step::Read {
                let slot = &self.slots[index];
                let (length, offset) =
                    (slot.wanted - slot.filled, slot.offset + slot.filled as u64);
                // SAFETY: the range is the rest of the slot's block, which no operation
                // in flight uses: the slot is in `Step::Read`.
                let result = unsafe {
                    let buffer = self.buffers.add(index * self.block + slot.filled);
                    os::read_at(self.source, buffer, length, offset)
                };
                self.settle(index, result)?;
            }
        }
        Ok(())
    }

    /// Handles the result of an operation, and sets the slot's next step.
    fn settle(&mut self, index: usize, result: Result<usize, Errno>) -> Result<(), Stop> {
        // The kernel returns only user data that was submitted.
        let Some(slot) = self.slots.get_mut(index) else {
            return Err(Stop::Context(Errno::BADMSG));
        };
        let direct = self.align > 1;
        match slot.step {
            Step::Read | Step::Reading => match result {
                Ok(more) => {
                    slot.filled += more;
                    let ragged = slot.filled % self.align;
                    if slot.filled == slot.wanted {
                        self.has_read(index);
                    } else if more == 0 || ragged != 0 {
                        // This is the end of the file. With O_DIRECT, the unaligned
                        // rest is left to the page cache.
                        slot.filled -= ragged;
                        self.end = self.end.min(slot.offset + slot.filled as u64);
                        self.has_read(index);
                    } else {
                        slot.step = Step::Read;
                    }
                }
                Err(Errno::INTR) => slot.step = Step::Read,
                Err(errno @ (Errno::INVAL | Errno::OPNOTSUPP)) if direct => {
                    self.give_up_direct(index, Side::Source, errno);
                }
                Err(Errno::INVAL) if !self.plain => {
                    self.plain = true;
                    slot.step = Step::Read;
                }
                Err(errno) => return Err(Stop::At(Side::Source, errno)),
            },
            Step::Write | Step::Writing => match result {
                Ok(more) => {
                    // With O_DIRECT, an unaligned rest is written again.
                    let more = more - more % self.align;
                    if more == 0 {
                        return Err(Stop::At(Side::Target, Errno::IO));
                    }
                    slot.written += more;
                    self.done += more as u64;
                    self.reached = self.reached.max(slot.offset + slot.written as u64);
                    slot.step = if slot.written == slot.filled {
                        Step::Idle
                    } else {
                        Step::Write
                    };
                }
                Err(Errno::INTR) => slot.step = Step::Write,
                Err(errno @ (Errno::INVAL | Errno::OPNOTSUPP)) if direct => {
                    self.give_up_direct(index, Side::Target, errno);
                }
                Err(errno) => return Err(Stop::At(Side::Target, errno)),
            },
            Step::Idle => return Err(Stop::Context(Errno::BADMSG)),
        }
        Ok(())
    }

    /// Handles the end of a slot's read: the block is full, or the file has ended.
    fn has_read(&mut self, index: usize) {
        let slot = &mut self.slots[index];
        // SAFETY: `slot.filled` bytes of the slot's block have been read, and no
        // operation in flight uses the block.
        let bytes = unsafe {
            let block = self.buffers.add(index * self.block);
            core::slice::from_raw_parts(block, slot.filled)
        };
        slot.step = if slot.filled == 0 || (self.zeros && is_zero(bytes)) {
            Step::Idle
        } else {
            Step::Write
        };
        if core::mem::take(&mut slot.probes_end) {
            self.probing_end = false;
        }
    }

    /// Handles a file that accepted O_DIRECT but refuses an operation with it: this
    /// block and all after it are left to the page cache.
    fn give_up_direct(&mut self, index: usize, side: Side, errno: Errno) {
        let slot = &mut self.slots[index];
        slot.step = Step::Idle;
        self.end = self.end.min(slot.offset);
        self.refused = Some((side, errno));
    }
}
