//! Linux AIO: hand-written, and by this library.

use std::fs::File;
use std::os::fd::AsRawFd;

use linux_aio::op::{Fsync, Read, Write};
use linux_aio::{AioContext, Context, Event, Iocb, Queue, Slot, opcode, sys};

use super::{Baseline, Buffer, Op};
use crate::reap::HandWritten;

/// An iocb and a buffer for each slot.
pub(super) struct Iocbs {
    fd: i32,
    iocbs: Box<[Iocb]>,
    buffers: Vec<Buffer>,
    /// The expected result of each slot's operation.
    wanted: Vec<i64>,
    pub(super) staged: Vec<*mut Iocb>,
}

impl Iocbs {
    pub(super) fn new(file: &File, buffers: Vec<Buffer>) -> Iocbs {
        let depth = buffers.len();
        Iocbs {
            fd: file.as_raw_fd(),
            iocbs: vec![Iocb::EMPTY; depth].into(),
            buffers,
            wanted: vec![0; depth],
            staged: Vec::with_capacity(depth),
        }
    }

    pub(super) fn stage(&mut self, slot: usize, op: Op) {
        let buffer = &mut self.buffers[slot];
        let (start, len) = (buffer.as_mut_ptr(), buffer.len());
        self.wanted[slot] = len as i64;
        let iocb = match op {
            Op::Read(offset) => {
                let read = opcode::Pread::new(self.fd, start, len);
                read.offset(offset).build()
            }
            Op::Write(offset) => {
                let write = opcode::Pwrite::new(self.fd, start, len);
                write.offset(offset).build()
            }
            Op::Fsync => {
                self.wanted[slot] = 0;
                opcode::Fsync::new(self.fd).build()
            }
        };
        self.iocbs[slot] = iocb.user_data(slot as u64);
        self.staged.push(&raw mut self.iocbs[slot]);
    }

    pub(super) fn complete(&self, event: &Event) -> usize {
        let slot = event.data as usize;
        assert_eq!(event.res, self.wanted[slot]);
        slot
    }
}

/// Raw system calls, and a hand-written ring reader.
pub(super) struct ByHand {
    ctx: AioContext,
    ring: HandWritten,
    iocbs: Iocbs,
}

impl ByHand {
    pub(super) fn new(file: &File, buffers: Vec<Buffer>) -> ByHand {
        let mut ctx = AioContext::NONE;
        // SAFETY: `ctx` is valid for writes.
        unsafe { sys::io_setup(buffers.len() as u32, &raw mut ctx) }.unwrap();
        ByHand {
            ctx,
            // SAFETY: the context exists as long as the reader, and no other code reads
            // its ring.
            ring: unsafe { HandWritten::new(ctx) },
            iocbs: Iocbs::new(file, buffers),
        }
    }
}

impl Baseline for ByHand {
    fn stage(&mut self, slot: usize, op: Op) {
        self.iocbs.stage(slot, op);
    }

    fn submit(&mut self) {
        let staged = &mut self.iocbs.staged;
        // SAFETY: the buffers are not accessed until their events have been taken.
        let taken = unsafe { sys::io_submit(self.ctx, staged.len() as isize, staged.as_ptr()) };
        assert_eq!(taken, Ok(staged.len()));
        staged.clear();
    }

    fn take(&mut self, each: &mut dyn FnMut(usize)) {
        let mut taken = 0;
        while let Some(event) = self.ring.pop() {
            each(self.iocbs.complete(&event));
            taken += 1;
        }
        if taken == 0 {
            let mut event = Event::EMPTY;
            let forever = std::ptr::null();
            // SAFETY: there is space for one event.
            let taken = unsafe { sys::io_getevents(self.ctx, 1, 1, &raw mut event, forever) };
            assert_eq!(taken, Ok(1));
            each(self.iocbs.complete(&event));
        }
    }
}

/// The typed layer.
pub(super) struct ByContext {
    context: Context,
    iocbs: Iocbs,
    events: Box<[Event]>,
}

impl ByContext {
    pub(super) fn new(file: &File, buffers: Vec<Buffer>) -> ByContext {
        let depth = buffers.len();
        ByContext {
            context: Context::new(depth as u32).unwrap(),
            iocbs: Iocbs::new(file, buffers),
            events: vec![Event::EMPTY; depth].into(),
        }
    }
}

impl Baseline for ByContext {
    fn stage(&mut self, slot: usize, op: Op) {
        self.iocbs.stage(slot, op);
    }

    fn submit(&mut self) {
        let staged = &mut self.iocbs.staged;
        // SAFETY: `&mut Iocb` has the layout of a pointer, and each refers to a
        // different iocb.
        let iocbs =
            unsafe { &mut *(staged.as_mut_slice() as *mut [*mut Iocb] as *mut [&mut Iocb]) };
        // SAFETY: the buffers are not accessed until their events have been taken.
        unsafe { self.context.submit_all(iocbs) }.unwrap();
        staged.clear();
    }

    fn take(&mut self, each: &mut dyn FnMut(usize)) {
        for event in self.context.ring().wait(1, &mut self.events).unwrap() {
            each(self.iocbs.complete(event));
        }
    }
}

/// The safe layer that owns its buffers. The data of an operation is its slot.
pub(super) struct ByQueue {
    queue: Queue<'static, Buffer, usize>,
    file: &'static File,
    /// The buffers that the queue does not have.
    buffers: Vec<Option<Buffer>>,
}

impl ByQueue {
    pub(super) fn new(file: &'static File, buffers: Vec<Buffer>) -> ByQueue {
        let slots: Vec<Slot<Buffer, usize>> = buffers.iter().map(|_| Slot::NEW).collect();
        ByQueue {
            queue: Queue::new(slots.leak()).unwrap(),
            file,
            buffers: buffers.into_iter().map(Some).collect(),
        }
    }
}

impl Baseline for ByQueue {
    fn stage(&mut self, slot: usize, op: Op) {
        let mut buffer = || self.buffers[slot].take().unwrap();
        let staged = match op {
            Op::Read(offset) => {
                let read = Read::new(self.file, buffer()).offset(offset).data(slot);
                self.queue.push(read).is_ok()
            }
            Op::Write(offset) => {
                let write = Write::new(self.file, buffer()).offset(offset).data(slot);
                self.queue.push(write).is_ok()
            }
            Op::Fsync => self.queue.push(Fsync::new(self.file).data(slot)).is_ok(),
        };
        assert!(staged);
    }

    fn submit(&mut self) {
        self.queue.submit().unwrap();
    }

    fn take(&mut self, each: &mut dyn FnMut(usize)) {
        let mut done = self.queue.wait().unwrap();
        while let Some(completion) = done {
            let len = completion.buffer.as_ref().map_or(0, |buffer| buffer.len());
            assert_eq!(completion.result, Ok(len));
            if let Some(buffer) = completion.buffer {
                self.buffers[completion.data] = Some(buffer);
            }
            each(completion.data);
            done = self.queue.pop().unwrap();
        }
    }
}
