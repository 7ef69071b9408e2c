//! Linux AIO by libaio.

use std::fs::File;

use linux_aio::Event;

use super::aio::Iocbs;
use super::{Baseline, Buffer, Op};
use crate::libaio::LibAio;

/// libaio, which takes as many events as are available.
pub(super) struct ByLibAio {
    libaio: LibAio,
    ctx: usize,
    iocbs: Iocbs,
    events: Box<[Event]>,
}

impl ByLibAio {
    pub(super) fn new(file: &File, buffers: Vec<Buffer>) -> Option<ByLibAio> {
        let (libaio, depth) = (LibAio::open()?, buffers.len());
        Some(ByLibAio {
            ctx: libaio.context(depth),
            libaio,
            iocbs: Iocbs::new(file, buffers),
            events: vec![Event::EMPTY; depth].into(),
        })
    }
}

impl Baseline for ByLibAio {
    fn stage(&mut self, slot: usize, op: Op) {
        self.iocbs.stage(slot, op);
    }

    fn submit(&mut self) {
        let staged = &mut self.iocbs.staged;
        // SAFETY: the buffers are not accessed until their events have been taken.
        let taken =
            unsafe { (self.libaio.submit)(self.ctx, staged.len() as i64, staged.as_mut_ptr()) };
        assert_eq!(taken as usize, staged.len());
        staged.clear();
    }

    fn take(&mut self, each: &mut dyn FnMut(usize)) {
        let (most, events) = (self.events.len() as i64, self.events.as_mut_ptr());
        let forever = std::ptr::null();
        // SAFETY: `events` has space for `most` events.
        let taken = unsafe { (self.libaio.getevents)(self.ctx, 1, most, events, forever) };
        assert!(taken > 0);
        for event in &self.events[..taken as usize] {
            each(self.iocbs.complete(event));
        }
    }
}

/// The same, with a separate submission for every operation.
pub(super) struct ByLibAioEach(ByLibAio);

impl ByLibAioEach {
    pub(super) fn new(file: &File, buffers: Vec<Buffer>) -> Option<ByLibAioEach> {
        ByLibAio::new(file, buffers).map(ByLibAioEach)
    }
}

impl Baseline for ByLibAioEach {
    fn stage(&mut self, slot: usize, op: Op) {
        self.0.stage(slot, op);
        self.0.submit();
    }

    fn submit(&mut self) {}

    fn take(&mut self, each: &mut dyn FnMut(usize)) {
        self.0.take(each);
    }
}
