//! [`Workload`]: a queue, the file that it works on, and its operations in flight.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use linux_aio::op::{Fdsync, Op, Poll, Read, Write};
use linux_aio::opcode::PollMask;
use linux_aio::{Errno, IdleContext, Queue, Slot, Ticket, WaitOptions};

use crate::blocks::{Blocks, Random, SIZE};
use crate::ledger::Ledger;
use crate::{DEPTH, os};

pub(crate) type Bytes = Box<[u8]>;

/// The data of an operation: the owner of its descriptor, which keeps it open, and the
/// number of the operation.
pub(crate) type Data = (Arc<File>, u64);

/// The kind of an operation, which determines its expected result.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Read(u32),
    Write(u32),
    Sync,
    /// A poll that only `io_cancel` completes.
    Never,
    /// A poll that an eventfd completes.
    Ready,
}

#[derive(Clone, Copy)]
pub(crate) struct Job {
    id: u64,
    kind: Kind,
}

pub(crate) struct Workload<'s> {
    queue: Queue<'s, Bytes, Data>,
    jobs: HashMap<Ticket, Job>,
    never: Vec<Ticket>,
    ready: usize,
    blocks: Blocks,
    buffers: Vec<Bytes>,
    never_event: Arc<File>,
    ready_event: Arc<File>,
    random: Random,
}

impl<'s> Workload<'s> {
    pub(crate) fn new(
        number: u64,
        context: IdleContext,
        slots: &'s mut [Slot<Bytes, Data>],
        directory: &Path,
    ) -> Workload<'s> {
        Workload {
            queue: Queue::with_context(context, slots),
            jobs: HashMap::with_capacity(4 * DEPTH),
            never: Vec::with_capacity(DEPTH),
            ready: 0,
            blocks: Blocks::new(number, directory),
            buffers: (0..=DEPTH).map(|_| vec![0; SIZE].into()).collect(),
            never_event: Arc::new(os::eventfd()),
            ready_event: Arc::new(os::eventfd()),
            random: Random::new(number),
        }
    }

    /// Chooses an operation and prepares it.
    pub(crate) fn prepare(&mut self, id: u64, polls: bool) -> (Op<'static, Bytes, Data>, Job) {
        let kind = match self.random.below(16384) {
            0 => Kind::Sync,
            1..256 if polls => Kind::Never,
            256..512 if polls => Kind::Ready,
            choice => {
                let block = self.blocks.take(&mut self.random);
                if choice % 2 == 0 {
                    Kind::Read(block)
                } else {
                    Kind::Write(block)
                }
            }
        };
        let op = match kind {
            Kind::Read(block) => {
                let mut bytes = self.buffer();
                bytes.fill(0xaa);
                Read::owned((self.blocks.file.clone(), id), bytes)
                    .offset(self.blocks.offset(block))
                    .into()
            }
            Kind::Write(block) => {
                let mut bytes = self.buffer();
                self.blocks.renew(block, &mut bytes);
                Write::owned((self.blocks.file.clone(), id), bytes)
                    .offset(self.blocks.offset(block))
                    .into()
            }
            Kind::Sync => Fdsync::owned((self.blocks.file.clone(), id)).into(),
            Kind::Never => Poll::owned((self.never_event.clone(), id), PollMask::IN).into(),
            Kind::Ready => Poll::owned((self.ready_event.clone(), id), PollMask::IN).into(),
        };
        (op, Job { id, kind })
    }

    /// Takes a buffer. There is one more than there can be operations.
    fn buffer(&mut self) -> Bytes {
        self.buffers.pop().expect("a buffer was lost")
    }

    /// Stages an operation with this number, after waiting for a free slot.
    pub(crate) fn push(&mut self, id: u64, ledger: &Ledger) {
        while self.jobs.len() == self.queue.capacity() {
            self.submit(ledger);
            self.end_polls();
            if self.reap(ledger) == 0 {
                self.wait();
            }
        }
        let (op, job) = self.prepare(id, true);
        let ticket = self.queue.push(op).expect("a slot is free");
        match job.kind {
            Kind::Never => self.never.push(ticket),
            Kind::Ready => self.ready += 1,
            _ => {}
        }
        if self.jobs.insert(ticket, job).is_some() {
            ledger.double("a ticket");
        }
    }

    pub(crate) fn submit(&mut self, ledger: &Ledger) {
        let submitted = self
            .queue
            .submit()
            .unwrap_or_else(|refused| panic!("{refused:?}"));
        ledger.submitted(submitted);
        if self.ready > 0 {
            os::signal(&self.ready_event);
        }
    }

    /// Cancels the polls that nothing else completes.
    pub(crate) fn end_polls(&mut self) {
        for ticket in self.never.drain(..) {
            assert_eq!(self.queue.cancel(ticket), Ok(()), "a poll in flight");
        }
    }

    /// Takes the available completions. Returns their number.
    pub(crate) fn reap(&mut self, ledger: &Ledger) -> usize {
        let mut count = 0;
        while let Some(done) = self.queue.pop().unwrap() {
            let Some(job) = self.jobs.remove(&done.ticket) else {
                ledger.double(&format!("{:?}", done.ticket));
            };
            if matches!(job.kind, Kind::Ready) {
                self.ready -= 1;
                if self.ready == 0 {
                    os::clear(&self.ready_event);
                }
            }
            self.settle(job, done.result, done.buffer, done.data, ledger);
            count += 1;
        }
        count
    }

    /// Checks the result of an operation.
    pub(crate) fn settle(
        &mut self,
        Job { id, kind }: Job,
        result: Result<usize, Errno>,
        buffer: Option<Bytes>,
        (_, number): Data,
        ledger: &Ledger,
    ) {
        ledger.complete(id);
        assert_eq!(number, id, "another operation's data");
        let expected = match kind {
            Kind::Read(_) | Kind::Write(_) => SIZE,
            Kind::Sync | Kind::Never => 0,
            Kind::Ready => PollMask::IN.bits().into(),
        };
        assert_eq!(result, Ok(expected), "operation {id}");
        let (Kind::Read(block) | Kind::Write(block)) = kind else {
            assert!(buffer.is_none(), "operation {id} has no buffer");
            return;
        };
        let bytes = buffer.expect("the buffer comes back");
        // The buffer of a write is unchanged, and that of a read holds the bytes of the
        // file.
        assert!(
            self.blocks.is_right(block, &bytes),
            "operation {id}: wrong bytes"
        );
        self.blocks.give_back(block);
        self.buffers.push(bytes);
    }

    /// Waits some milliseconds for a completion. Returns whether a signal interrupted
    /// the wait.
    pub(crate) fn wait(&mut self) -> bool {
        match self
            .queue
            .wait_with(1, WaitOptions::new().timeout(os::PAUSE))
        {
            Ok(_) => false,
            Err(Errno::INTR) => true,
            Err(errno) => panic!("a wait: {errno}"),
        }
    }

    pub(crate) fn has_endless_polls(&self) -> bool {
        !self.never.is_empty()
    }

    /// Waits until all operations have completed, and verifies that no buffer was lost.
    pub(crate) fn finish(&mut self, ledger: &Ledger) {
        self.submit(ledger);
        self.end_polls();
        while self.reap(ledger) > 0 || self.queue.in_flight() > 0 {
            self.wait();
        }
        // The ledger reports missing operations, so only the buffers are counted here.
        let buffers = DEPTH + 1 - self.jobs.len();
        assert!(self.buffers.len() >= buffers, "a buffer was lost");
    }
}
