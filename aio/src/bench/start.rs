//! The common beginning of the processes of a measurement, when all of them are ready.

use core::sync::atomic::{AtomicU32, Ordering};

use crate::os::{self, Clock};

/// The common beginning of the processes, in shared memory.
#[repr(C)]
pub(super) struct Start {
    /// The halves of the time, the lower first. Zero until it is set.
    begin: [AtomicU32; 2],
    set: AtomicU32,
}

impl Start {
    /// Waits until all processes are ready, and lets them begin. One that ended before is
    /// not waited for longer than two seconds.
    pub(super) fn begin(&self, ready: &[AtomicU32]) {
        let deadline = os::nanoseconds(Clock::Monotonic) + 2_000_000_000;
        while ready.iter().any(|flag| flag.load(Ordering::Relaxed) == 0)
            && os::nanoseconds(Clock::Monotonic) < deadline
        {
            os::sleep(1);
        }
        let begin = os::nanoseconds(Clock::Monotonic) + 2_000_000;
        self.begin[0].store(begin as u32, Ordering::Relaxed);
        self.begin[1].store((begin >> 32) as u32, Ordering::Relaxed);
        self.set.store(1, Ordering::Release);
    }

    /// Waits for the common beginning, and returns its time.
    fn wait(&self, ready: &AtomicU32) -> u64 {
        ready.store(1, Ordering::Relaxed);
        while self.set.load(Ordering::Acquire) == 0 {
            os::sleep(1);
        }
        let [low, high] = [0, 1].map(|half| u64::from(self.begin[half].load(Ordering::Relaxed)));
        let begin = high << 32 | low;
        let now = os::nanoseconds(Clock::Monotonic);
        os::sleep((begin.saturating_sub(now) / 1_000_000) as u32);
        while os::nanoseconds(Clock::Monotonic) < begin {}
        begin
    }
}

/// The place of a process in the common beginning.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    start: &'a Start,
    ready: &'a AtomicU32,
}

impl<'a> Place<'a> {
    pub(super) fn new(start: &'a Start, ready: &'a AtomicU32) -> Place<'a> {
        Place { start, ready }
    }

    /// Waits for the common beginning, and returns its time.
    pub(super) fn wait(&self) -> u64 {
        self.start.wait(self.ready)
    }
}
