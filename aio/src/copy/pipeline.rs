//! Blocks on their way: each slot reads one, writes it, and takes the next.
//!
//! A slot's number travels as the operation's user data. The end of the file
//! is where a read gives nothing, not what its size was: files grow and shrink
//! while they are copied, and those of `/proc` have no size at all. Beyond the
//! size known, one slot at a time probes for the end.

use core::mem::MaybeUninit;
use core::time::Duration;

use linux_aio::{Context, Errno, Event, Iocb, Ring, Submitter, WaitOptions};

use super::kernel::is_zero;
use super::progress::Progress;
use super::signals::Signals;
use super::slot::{Slot, Step};
use crate::os::{self, File, Memory};

/// Which of the two files.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Source,
    Target,
}

/// Why the copy ended early.
pub(super) enum Stop {
    At(Side, Errno),
    Context(Errno),
    Memory(Errno),
    /// The file lost what had been copied already.
    Shrunk,
    Signal,
}

/// Bytes after which the disk begins to write what is in the page cache.
const EARLY: u64 = 8 << 20;

/// Operations submitted, and events taken, with one call.
const BATCH: usize = 64;

pub(super) struct Pipeline<'a> {
    submitter: Submitter<'a>,
    ring: Ring<'a>,
    source: i32,
    target: i32,
    slots: &'a mut [Slot],
    /// A block for each slot, one after the other.
    buffers: *mut u8,
    block: usize,
    /// The next byte that no slot has taken.
    next: u64,
    /// Where to stop: the end of the file, as soon as it is found.
    end: u64,
    /// The source reaches at least this far.
    size: u64,
    /// Some slot is beyond `size`.
    probing_end: bool,
    /// One past the last byte written, and past those that the disk has begun with.
    reached: u64,
    begun: u64,
    done: u64,
    /// With O_DIRECT: what offsets and lengths are multiples of. Else 1.
    align: usize,
    refused: Option<(Side, Errno)>,
    /// A block of zeros is not written: it is a hole.
    pub(super) zeros: bool,
    /// AIO cannot read this source (most of `/proc`); preadv(2) can.
    plain: bool,
    in_flight: usize,
    signals: &'a Signals,
    progress: &'a mut Progress,
}

impl<'a> Pipeline<'a> {
    /// The memory that [`new`](Pipeline::new) wants: a block for each slot, and the
    /// slots.
    ///
    /// # Errors
    /// ENOMEM.
    pub(super) fn memory(depth: usize, block: usize) -> Result<[Memory; 2], Errno> {
        let bytes = depth.checked_mul(block).ok_or(Errno::NOMEM)?;
        // Pages, so any alignment that O_DIRECT wants; touched only when used.
        Ok([Memory::new(bytes)?, Memory::new(depth * size_of::<Slot>())?])
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "each is told apart by its type or place"
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
            // SAFETY: the memory is large enough, aligned to a page, ours.
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
        // SAFETY: `depth` slots have just been written there; nobody else
        // knows of them, and the memory outlives them.
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

    /// Copies from `from` to `to`, and returns where it ended: earlier if the file
    /// ends there or refuses O_DIRECT. `align` is O_DIRECT's alignment of offsets and
    /// lengths; 1 without O_DIRECT.
    pub(super) fn part(&mut self, from: u64, to: u64, align: usize) -> Result<u64, Stop> {
        self.align = align;
        self.next = from;
        self.end = to;
        self.run()?;
        Ok(self.end)
    }

    /// One past the last byte written.
    pub(super) fn reached(&self) -> u64 {
        self.reached
    }

    /// Bytes written.
    pub(super) fn done(&self) -> u64 {
        self.done
    }

    /// Which file refused O_DIRECT when it came to it, though it had let
    /// itself be opened so.
    pub(super) fn refusal(&self) -> Option<(Side, Errno)> {
        self.refused
    }

    /// Copies from `from` to the end of the file, wherever that is by then, and
    /// tells where it was.
    /// Every direct write has ended: one beside a buffered write to the same
    /// page could lose it.
    pub(super) fn buffered(&mut self, from: u64) -> Result<u64, Stop> {
        self.part(from, u64::MAX, 1)?;
        // Every block before `end` was full. Something after it can only have
        // been there before.
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
            // With nothing in flight the kernel was out of something: a
            // moment, and again. Else it is signals and progress that want us
            // back.
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

    /// Whether another block may be begun now.
    fn has_more(&self) -> bool {
        self.next < self.end && !(self.probing_end && self.reaches_out(self.next))
    }

    /// Whether a block that begins here ends beyond what is known to be there.
    fn reaches_out(&self, offset: u64) -> bool {
        offset.saturating_add(self.block as u64) > self.size
    }

    /// Gives every idle slot a block to read.
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
            // Up to a known end there is nothing to feel for.
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

    /// Submits what is ready, in batches. What the kernel has no room for
    /// stays ready.
    fn submit(&mut self) -> Result<(), Stop> {
        loop {
            self.read_plainly()?;
            let mut batch = [const { MaybeUninit::<&mut Iocb>::uninit() }; BATCH];
            let mut chosen = [0; BATCH];
            let mut count = 0;
            for (index, slot) in self.slots.iter_mut().enumerate() {
                if count < BATCH && slot.step.is_ready() {
                    // SAFETY: the slot's own block of the buffers, in range.
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
            // SAFETY: the first `count` have been written.
            let batch = unsafe {
                core::slice::from_raw_parts_mut(batch.as_mut_ptr().cast::<&mut Iocb>(), count)
            };
            // SAFETY: each operation has a block of the buffers to itself until
            // its event is taken, and the buffers outlive the context.
            let result = unsafe { self.submitter.submit(batch) };
            let taken = result.unwrap_or(0);
            self.in_flight += taken;
            for &index in &chosen[..taken] {
                let slot = &mut self.slots[index];
                slot.step = slot.step.submitted();
            }
            match result {
                Ok(0) | Err(Errno::AGAIN) => return Ok(()),
                // If not all, the next round begins with the one that was
                // refused and so gets its error.
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => self.settle(chosen[0], Err(errno))?,
            }
        }
    }

    /// Does the reads of a source that AIO cannot read.
    fn read_plainly(&mut self) -> Result<(), Stop> {
        if !self.plain {
            return Ok(());
        }
        for index in 0..self.slots.len() {
            while self.slots[index].step == Step::Read {
                let slot = &self.slots[index];
                let (length, offset) =
                    (slot.wanted - slot.filled, slot.offset + slot.filled as u64);
                // SAFETY: the rest of the slot's own block, which no operation
                // in flight uses.
                let result = unsafe {
                    let buffer = self.buffers.add(index * self.block + slot.filled);
                    os::read_at(self.source, buffer, length, offset)
                };
                self.settle(index, result)?;
            }
        }
        Ok(())
    }

    /// Takes what an operation came to, and decides the slot's next step.
    fn settle(&mut self, index: usize, result: Result<usize, Errno>) -> Result<(), Stop> {
        // The kernel gives back what was submitted, and nothing else.
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
                        // The end. With O_DIRECT, its ragged rest is left to
                        // the page cache.
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
                    // With O_DIRECT, a ragged rest is written once more.
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

    /// The slot has read what there is.
    fn has_read(&mut self, index: usize) {
        let slot = &mut self.slots[index];
        // SAFETY: so many bytes of the slot's own block have been read.
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

    /// A file that let itself be opened with O_DIRECT refuses to be used so:
    /// this block and all after it are left to the page cache.
    fn give_up_direct(&mut self, index: usize, side: Side, errno: Errno) {
        let slot = &mut self.slots[index];
        slot.step = Step::Idle;
        self.end = self.end.min(slot.offset);
        self.refused = Some((side, errno));
    }
}
