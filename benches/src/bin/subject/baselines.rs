//! [`Baseline`]: reads in flight, by each of the baselines.

use std::mem::MaybeUninit;

use io_uring::IoUring;
use linux_aio::op::Read;
use linux_aio::opcode::Pread;
use linux_aio::{AioContext, Context, Event, Fd, Iocb, Queue, Slot, sys};

use crate::libaio::LibAio;
use crate::reap::HandWritten;

pub(crate) type Buffer = &'static mut [u8];

/// A baseline: staged reads are submitted to the kernel with the next submission.
pub(crate) trait Baseline<'fd> {
    fn stage(&mut self, fd: Fd<'fd>, offset: u64, buffer: Buffer);

    fn submit(&mut self);

    /// Waits for at least one read, and passes on each buffer, which is full.
    fn take(&mut self, each: &mut dyn FnMut(Buffer));
}

/// Slots of operations, for the baselines that have iocbs.
struct Iocbs {
    iocbs: Box<[Iocb]>,
    held: Box<[MaybeUninit<Buffer>]>,
    free: Vec<usize>,
    staged: Vec<*mut Iocb>,
}

impl Iocbs {
    fn new(depth: usize) -> Iocbs {
        Iocbs {
            iocbs: vec![Iocb::EMPTY; depth].into(),
            held: (0..depth).map(|_| MaybeUninit::uninit()).collect(),
            free: (0..depth).collect(),
            staged: Vec::with_capacity(depth),
        }
    }

    fn stage(&mut self, fd: Fd<'_>, offset: u64, buffer: Buffer) {
        let at = self.free.pop().unwrap();
        let read = Pread::new(fd.as_raw(), buffer.as_mut_ptr(), buffer.len());
        self.iocbs[at] = read.offset(offset).build().user_data(at as u64);
        self.staged.push(&raw mut self.iocbs[at]);
        self.held[at].write(buffer);
    }

    fn end(&mut self, event: &Event) -> Buffer {
        let at = event.data as usize;
        // SAFETY: initialized when it was staged, and moved out only once, by its
        // single event.
        let buffer = unsafe { self.held[at].assume_init_read() };
        assert_eq!(event.res, buffer.len() as i64);
        self.free.push(at);
        buffer
    }
}

/// Raw system calls, and a hand-written ring reader.
pub(crate) struct ByLoop {
    ctx: AioContext,
    ring: HandWritten,
    places: Iocbs,
}

impl ByLoop {
    pub(crate) fn new(depth: usize) -> ByLoop {
        let mut ctx = AioContext::NONE;
        // SAFETY: `ctx` is valid for writes.
        unsafe { sys::io_setup(depth as u32, &raw mut ctx) }.unwrap();
        ByLoop {
            ctx,
            // SAFETY: the context exists as long as the reader, and no other code reads
            // its ring.
            ring: unsafe { HandWritten::new(ctx) },
            places: Iocbs::new(depth),
        }
    }
}

impl Baseline<'_> for ByLoop {
    fn stage(&mut self, fd: Fd<'_>, offset: u64, buffer: Buffer) {
        self.places.stage(fd, offset, buffer);
    }

    fn submit(&mut self) {
        let staged = &mut self.places.staged;
        // SAFETY: the buffers are held until their events have been taken.
        let taken = unsafe { sys::io_submit(self.ctx, staged.len() as isize, staged.as_ptr()) };
        assert_eq!(taken, Ok(staged.len()));
        staged.clear();
    }

    fn take(&mut self, each: &mut dyn FnMut(Buffer)) {
        let mut taken = 0;
        while let Some(event) = self.ring.pop() {
            each(self.places.end(&event));
            taken += 1;
        }
        if taken == 0 {
            let mut event = Event::EMPTY;
            let forever = std::ptr::null();
            // SAFETY: there is space for one event.
            let taken = unsafe { sys::io_getevents(self.ctx, 1, 1, &raw mut event, forever) };
            assert_eq!(taken, Ok(1));
            each(self.places.end(&event));
        }
    }
}

/// The typed layer.
pub(crate) struct ByContext {
    context: Context,
    places: Iocbs,
    events: Box<[Event]>,
}

impl ByContext {
    pub(crate) fn new(depth: usize) -> ByContext {
        ByContext {
            context: Context::new(depth as u32).unwrap(),
            places: Iocbs::new(depth),
            events: vec![Event::EMPTY; depth].into(),
        }
    }
}

impl Baseline<'_> for ByContext {
    fn stage(&mut self, fd: Fd<'_>, offset: u64, buffer: Buffer) {
        self.places.stage(fd, offset, buffer);
    }

    fn submit(&mut self) {
        let staged = &mut self.places.staged;
        // SAFETY: `&mut Iocb` has the layout of a pointer, and each refers to a
        // different iocb.
        let iocbs =
            unsafe { &mut *(staged.as_mut_slice() as *mut [*mut Iocb] as *mut [&mut Iocb]) };
        // SAFETY: the buffers are held until their events have been taken.
        unsafe { self.context.submit_all(iocbs) }.unwrap();
        staged.clear();
    }

    fn take(&mut self, each: &mut dyn FnMut(Buffer)) {
        for event in self.context.ring().wait(1, &mut self.events).unwrap() {
            each(self.places.end(event));
        }
    }
}

/// The safe layer that owns its buffers.
pub(crate) struct ByQueue<'fd> {
    queue: Queue<'fd, Buffer>,
}

impl ByQueue<'_> {
    pub(crate) fn new(depth: usize) -> Self {
        let slots: Vec<Slot<Buffer>> = (0..depth).map(|_| Slot::NEW).collect();
        ByQueue {
            queue: Queue::new(slots.leak()).unwrap(),
        }
    }
}

impl<'fd> Baseline<'fd> for ByQueue<'fd> {
    fn stage(&mut self, fd: Fd<'fd>, offset: u64, buffer: Buffer) {
        self.queue
            .push(Read::new(fd, buffer).offset(offset))
            .unwrap();
    }

    fn submit(&mut self) {
        self.queue.submit().unwrap();
    }

    fn take(&mut self, each: &mut dyn FnMut(Buffer)) {
        let mut done = self.queue.wait().unwrap();
        while let Some(completion) = done {
            let buffer = completion.buffer.unwrap();
            assert_eq!(completion.result, Ok(buffer.len()));
            each(buffer);
            done = self.queue.pop().unwrap();
        }
    }
}

/// libaio, which takes as many events as are available.
pub(crate) struct ByLibAio {
    libaio: LibAio,
    ctx: usize,
    places: Iocbs,
    events: Box<[Event]>,
}

impl ByLibAio {
    pub(crate) fn new(depth: usize) -> Option<ByLibAio> {
        let libaio = LibAio::open()?;
        Some(ByLibAio {
            ctx: libaio.context(depth),
            libaio,
            places: Iocbs::new(depth),
            events: vec![Event::EMPTY; depth].into(),
        })
    }
}

impl Baseline<'_> for ByLibAio {
    fn stage(&mut self, fd: Fd<'_>, offset: u64, buffer: Buffer) {
        self.places.stage(fd, offset, buffer);
    }

    fn submit(&mut self) {
        let staged = &mut self.places.staged;
        // SAFETY: the buffers are held until their events have been taken.
        let taken =
            unsafe { (self.libaio.submit)(self.ctx, staged.len() as i64, staged.as_mut_ptr()) };
        assert_eq!(taken as usize, staged.len());
        staged.clear();
    }

    fn take(&mut self, each: &mut dyn FnMut(Buffer)) {
        let (most, events) = (self.events.len() as i64, self.events.as_mut_ptr());
        let forever = std::ptr::null();
        // SAFETY: `events` has space for `most` events.
        let taken = unsafe { (self.libaio.getevents)(self.ctx, 1, most, events, forever) };
        assert!(taken > 0);
        for event in &self.events[..taken as usize] {
            each(self.places.end(event));
        }
    }
}

/// The same, with a separate submission for every operation, as soon as there is a
/// buffer for it.
pub(crate) struct ByLibAioEach(ByLibAio);

impl ByLibAioEach {
    pub(crate) fn new(depth: usize) -> Option<ByLibAioEach> {
        ByLibAio::new(depth).map(ByLibAioEach)
    }
}

impl Baseline<'_> for ByLibAioEach {
    fn stage(&mut self, fd: Fd<'_>, offset: u64, buffer: Buffer) {
        self.0.stage(fd, offset, buffer);
        self.0.submit();
    }

    fn submit(&mut self) {}

    fn take(&mut self, each: &mut dyn FnMut(Buffer)) {
        self.0.take(each);
    }
}

/// io_uring, with the crate of that name.
pub(crate) struct ByUring {
    ring: IoUring,
    held: Box<[MaybeUninit<Buffer>]>,
    free: Vec<usize>,
}

impl ByUring {
    pub(crate) fn new(depth: usize) -> Option<ByUring> {
        Some(ByUring {
            ring: IoUring::new(depth as u32).ok()?,
            held: (0..depth).map(|_| MaybeUninit::uninit()).collect(),
            free: (0..depth).collect(),
        })
    }
}

impl Baseline<'_> for ByUring {
    fn stage(&mut self, fd: Fd<'_>, offset: u64, buffer: Buffer) {
        let at = self.free.pop().unwrap();
        let fd = io_uring::types::Fd(fd.as_raw());
        let read = io_uring::opcode::Read::new(fd, buffer.as_mut_ptr(), buffer.len() as u32);
        let read = read.offset(offset).build().user_data(at as u64);
        // SAFETY: the buffers are held until their completions have been taken.
        unsafe { self.ring.submission().push(&read) }.unwrap();
        self.held[at].write(buffer);
    }

    fn submit(&mut self) {
        self.ring.submit().unwrap();
    }

    fn take(&mut self, each: &mut dyn FnMut(Buffer)) {
        let mut taken = 0;
        while taken == 0 {
            for done in self.ring.completion() {
                let at = done.user_data() as usize;
                // SAFETY: initialized when it was staged, and moved out only once, by
                // its single completion.
                let buffer = unsafe { self.held[at].assume_init_read() };
                assert_eq!(done.result(), buffer.len() as i32);
                self.free.push(at);
                each(buffer);
                taken += 1;
            }
            if taken == 0 {
                self.ring.submit_and_wait(1).unwrap();
            }
        }
    }
}
