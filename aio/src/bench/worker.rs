//! One measurement: the processes that run operations, and their results.

use core::ptr::with_exposed_provenance_mut;
use core::sync::atomic::AtomicU32;

use linux_aio::opcode::{Pread, Pwrite};
use linux_aio::{Context, Errno, Event, Iocb, WaitOptions, sys};

use super::histogram::Histogram;
use super::start::{Place, Start};
use crate::os::{self, Clock, File, Memory};
use crate::random::Random;

/// The way in which operations are run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Engine {
    Aio,
    /// pread(2) or pwrite(2) in processes.
    Plain,
}

/// The file, and what is done with it.
#[derive(Clone, Copy)]
pub(super) struct Job<'a> {
    pub(super) file: &'a File,
    pub(super) size: u64,
    pub(super) write: bool,
    pub(super) block: usize,
    pub(super) depth: u32,
    pub(super) engine: Engine,
    pub(super) nanoseconds: u64,
}

/// The result of one process, in memory that it shares with its parent.
#[repr(C)]
struct Shared {
    histogram: Histogram,
    operations: u64,
    processor: u64,
    errno: i32,
    /// True if the error is that of io_setup(2).
    at_setup: bool,
    complete: bool,
}

/// The result of a measurement.
#[derive(Clone, Copy)]
pub(super) struct Result {
    pub(super) block: usize,
    pub(super) depth: u32,
    pub(super) engine: Engine,
    pub(super) operations: u64,
    /// Operations in a second.
    pub(super) iops: u64,
    /// Latencies in nanoseconds.
    pub(super) p50: u64,
    pub(super) p99: u64,
    pub(super) p999: u64,
    /// Nanoseconds of processor time for an operation.
    pub(super) processor: u64,
}

/// The reason why a measurement failed.
pub(super) enum Failure {
    Setup(Errno),
    Operation(Errno),
    /// A process ended without a result, by a signal.
    Ended,
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Failure {
        Failure::Operation(errno)
    }
}

/// Runs a measurement.
pub(super) fn run(job: Job<'_>) -> core::result::Result<Result, Failure> {
    let processes = match job.engine {
        Engine::Aio => 1,
        Engine::Plain => job.depth as usize,
    };
    let memory = Memory::shared(processes * size_of::<Shared>())?;
    let shared = memory.address().cast::<Shared>();
    let start = Memory::shared(size_of::<Start>())?;
    // SAFETY: the memory is as large, shared and mapped until this function ends; zero bytes
    // are valid atomic numbers.
    let start = unsafe { &*start.address().cast::<Start>() };
    let ready = Memory::shared(processes * size_of::<AtomicU32>())?;
    // SAFETY: as above.
    let ready =
        unsafe { core::slice::from_raw_parts(ready.address().cast::<AtomicU32>(), processes) };
    let mut children = Memory::new(processes * size_of::<u32>())?;
    let mut started = 0;
    let mut failed = None;
    let parent = os::process_id();
    for (index, flag) in ready.iter().enumerate() {
        match os::fork() {
            Ok(None) => {
                os::end_with_parent(parent);
                // SAFETY: the shared memory has one structure for each process; zero bytes
                // are valid. The parent reads it when this process has ended.
                let shared = unsafe { &mut *shared.wrapping_add(index) };
                let place = Place::new(start, flag);
                work(job, place, shared);
                linux_aio::rt::exit(0);
            }
            Ok(Some(child)) => {
                ids(&mut children, processes)[index] = child;
                started += 1;
            }
            Err(errno) => {
                failed = Some(errno);
                break;
            }
        }
    }
    if failed.is_none() {
        start.begin(ready);
    }
    for &child in &ids(&mut children, processes)[..started] {
        if failed.is_some() {
            os::kill(child, linux_raw_sys::general::SIGKILL);
        }
        let _ = os::wait_for(child);
    }
    if let Some(errno) = failed {
        return Err(errno.into());
    }
    // SAFETY: all processes that wrote to the shared memory have ended; zero bytes are
    // valid in the structures.
    let all = unsafe { core::slice::from_raw_parts_mut(shared, processes) };
    let (total, others) = all.split_at_mut(1);
    let total = &mut total[0];
    for one in core::iter::once(&*total).chain(&*others) {
        match Errno::from_raw_os_error(one.errno) {
            Some(errno) if one.at_setup => return Err(Failure::Setup(errno)),
            Some(errno) => return Err(errno.into()),
            None if !one.complete => return Err(Failure::Ended),
            None => {}
        }
    }
    for one in others {
        total.histogram.merge(&one.histogram);
        total.operations += one.operations;
        total.processor += one.processor;
    }
    let per_second = u128::from(total.operations) * 1_000_000_000;
    Ok(Result {
        block: job.block,
        depth: job.depth,
        engine: job.engine,
        operations: total.operations,
        iops: (per_second / u128::from(job.nanoseconds.max(1))) as u64,
        p50: total.histogram.quantile(500),
        p99: total.histogram.quantile(990),
        p999: total.histogram.quantile(999),
        processor: total.processor / total.operations.max(1),
    })
}

fn ids(memory: &mut Memory, count: usize) -> &mut [u32] {
    // SAFETY: the memory has room for so many numbers, is zeroed, and is borrowed.
    unsafe { core::slice::from_raw_parts_mut(memory.address().cast::<u32>(), count) }
}

fn work(job: Job<'_>, place: Place<'_>, shared: &mut Shared) {
    let result = match job.engine {
        Engine::Aio => by_aio(job, place, shared),
        Engine::Plain => plain(job, place, shared),
    };
    match result {
        Ok(()) => shared.complete = true,
        Err(errno) => shared.errno = errno.raw_os_error(),
    }
}

impl Job<'_> {
    fn offset(&self, random: &mut Random) -> u64 {
        random.below(self.size / self.block as u64) * self.block as u64
    }

    /// Checks the number of bytes of an operation.
    fn check(&self, done: usize) -> core::result::Result<(), Errno> {
        // All blocks are inside the file: it became shorter.
        if done == self.block {
            Ok(())
        } else {
            Err(Errno::IO)
        }
    }

    /// Returns memory for blocks, with bytes that are no zeros.
    fn buffers(&self, count: usize) -> core::result::Result<*mut u8, Errno> {
        let bytes = self.block * count;
        let memory = Memory::new(bytes)?.leak();
        // SAFETY: the memory is as large, and stays mapped until the process ends.
        unsafe { core::slice::from_raw_parts_mut(memory, bytes) }.fill(0xa5);
        Ok(memory)
    }
}

fn plain(job: Job<'_>, place: Place<'_>, shared: &mut Shared) -> core::result::Result<(), Errno> {
    let buffer = job.buffers(1)?;
    let mut random = Random::new();
    let begin = place.wait();
    let end = begin + job.nanoseconds;
    let processor = os::nanoseconds(Clock::Processor);
    let mut now = begin;
    while now < end {
        let offset = job.offset(&mut random);
        // SAFETY: the buffer has the size of a block, and only this process uses it.
        let done = unsafe {
            if job.write {
                os::write_at(job.file.raw(), buffer, job.block, offset)
            } else {
                os::read_at(job.file.raw(), buffer, job.block, offset)
            }
        };
        job.check(done?)?;
        let done_at = os::nanoseconds(Clock::Monotonic);
        if done_at < end {
            shared.histogram.add(done_at - now);
            shared.operations += 1;
        }
        now = done_at;
    }
    shared.processor = os::nanoseconds(Clock::Processor) - processor;
    Ok(())
}

/// What one operation of AIO needs; the memory never moves.
struct Slot {
    iocb: Iocb,
    started: u64,
}

fn by_aio(job: Job<'_>, place: Place<'_>, shared: &mut Shared) -> core::result::Result<(), Errno> {
    let depth = job.depth as usize;
    let buffers = job.buffers(depth)?;
    let slots = Memory::new(depth * size_of::<Slot>())?
        .leak()
        .cast::<Slot>();
    let list = Memory::new(depth * size_of::<*mut Iocb>())?
        .leak()
        .cast::<*mut Iocb>();
    let events = Memory::new(depth * size_of::<Event>())?
        .leak()
        .cast::<Event>();
    // SAFETY: the memory is as large, zeroed, and never unmapped. Zero bytes are valid
    // events and null pointers.
    let (list, events) = unsafe {
        (
            core::slice::from_raw_parts_mut(list, depth),
            core::slice::from_raw_parts_mut(events, depth),
        )
    };
    let mut context = match Context::new(job.depth) {
        // The end of the process destroys it.
        Ok(context) => core::mem::ManuallyDrop::new(context),
        Err(errno) => {
            shared.at_setup = true;
            return Err(errno);
        }
    };
    let mut random = Random::new();
    let prepare = |index: usize, now: u64, random: &mut Random| {
        let buffer = buffers.wrapping_add(index * job.block);
        let (fd, offset) = (job.file.raw(), job.offset(random));
        let iocb = if job.write {
            Pwrite::new(fd, buffer, job.block).offset(offset).build()
        } else {
            Pread::new(fd, buffer, job.block).offset(offset).build()
        };
        let slot = slots.wrapping_add(index);
        // SAFETY: the index is below the depth, so the slot is inside the memory, and no
        // operation of the slot is in flight: the kernel does not write to its iocb.
        unsafe {
            slot.write(Slot {
                iocb: Iocb {
                    data: slot.expose_provenance() as u64,
                    ..iocb
                },
                started: now,
            });
            &raw mut (*slot).iocb
        }
    };
    let mut staged = depth;
    let begin = place.wait();
    let end = begin + job.nanoseconds;
    let processor = os::nanoseconds(Clock::Processor);
    for (index, pointer) in list.iter_mut().enumerate() {
        *pointer = prepare(index, begin, &mut random);
    }
    let mut in_flight = 0;
    let mut now = begin;
    loop {
        let mut first = 0;
        while first < staged {
            // SAFETY: each pointer is that of a slot, whose buffer is not accessed while
            // the operation is in flight; nothing is unmapped.
            let accepted = unsafe {
                sys::io_submit(
                    context.as_raw(),
                    (staged - first) as _,
                    list[first..].as_ptr().cast(),
                )
            };
            let accepted = accepted? as usize;
            first += accepted;
            in_flight += accepted;
        }
        if now >= end && in_flight == 0 {
            break;
        }
        let mut ring = context.ring();
        let taken = match ring.wait_with(1, events, WaitOptions::new()) {
            Err(Errno::INTR) => continue_with(&mut staged),
            other => other?,
        };
        now = os::nanoseconds(Clock::Monotonic);
        staged = 0;
        for event in taken {
            in_flight -= 1;
            job.check(event.result()?)?;
            let slot = with_exposed_provenance_mut::<Slot>(event.data as usize);
            // SAFETY: the data of an event is the address of the slot that `prepare` set,
            // whose memory is never unmapped. Its operation has completed.
            let started = unsafe { (*slot).started };
            if now < end {
                shared.histogram.add(now - started);
                shared.operations += 1;
                let index =
                    (slot.expose_provenance() - slots.expose_provenance()) / size_of::<Slot>();
                list[staged] = prepare(index, now, &mut random);
                staged += 1;
            }
        }
    }
    shared.processor = os::nanoseconds(Clock::Processor) - processor;
    Ok(())
}

/// After an interrupted wait, nothing is staged and no event taken.
fn continue_with<'a>(staged: &mut usize) -> &'a mut [Event] {
    *staged = 0;
    &mut []
}
