//! Blocking system calls, in one thread or several.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::log::RECORD;
use super::{Buffer, Op, Pattern, buffers};
use crate::meter::Meter;

/// Performs the operations of the pattern. Each thread has one in flight.
pub(super) fn access(threads: usize, file: &File, pattern: Pattern, meter: &mut Meter) {
    let blocks = pattern.blocks(file);
    let memory = |threads| buffers(threads, pattern.len, pattern.huge);
    run(threads, memory, meter, |number, buffer| {
        let done = match pattern.op(number, blocks) {
            Op::Read(offset) => file.read_at(buffer, offset),
            Op::Write(offset) => file.write_at(buffer, offset),
            Op::Fsync => file.sync_all().map(|()| buffer.len()),
        };
        assert_eq!(done.unwrap(), buffer.len());
    });
}

/// Appends records, and syncs the file after each.
pub(super) fn append(threads: usize, file: &File, meter: &mut Meter) {
    let memory = |threads| buffers(threads, RECORD, false);
    run(threads, memory, meter, |number, buffer| {
        file.write_all_at(buffer, number * RECORD as u64).unwrap();
        file.sync_all().unwrap();
    });
}

fn run(
    threads: usize,
    memory: impl FnOnce(usize) -> Vec<Buffer>,
    meter: &mut Meter,
    perform: impl Fn(u64, &mut [u8]) + Sync,
) {
    let (next, count) = (AtomicU64::new(0), meter.count);
    let work = |buffer: Buffer| -> Vec<Duration> {
        let mut times = Vec::with_capacity(count as usize / threads);
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                return times;
            }
            let begun = Instant::now();
            perform(number, buffer);
            times.push(begun.elapsed());
        }
    };
    let mut buffers = memory(threads);
    let times = if threads == 1 {
        let buffer = buffers.remove(0);
        vec![meter.time(|| work(buffer))]
    } else {
        // The threads exist before the clock starts, as those of a pool do.
        let barrier = Barrier::new(threads + 1);
        std::thread::scope(|scope| {
            let begin = |buffer| {
                let (work, barrier) = (&work, &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    work(buffer)
                })
            };
            let running: Vec<_> = buffers.into_iter().map(begin).collect();
            meter.time(|| {
                barrier.wait();
                let ended = running.into_iter().map(|thread| thread.join().unwrap());
                ended.collect()
            })
        })
    };
    times
        .into_iter()
        .flatten()
        .for_each(|time| meter.latency(time));
}
