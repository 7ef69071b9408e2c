//! A stress test. Eight threads have one queue each and share one more queue and one
//! reactor. Meanwhile every thread receives a signal each millisecond, and the process
//! forks.
//!
//! Invariants: every operation has a number and completes exactly once, with the right
//! bytes; memory does not grow.
//!
//! ```sh
//! cargo run --release --features std --example stress -- [OPERATIONS [DIRECTORY]]
//! ```
//!
//! The defaults are ten million operations and the directory for temporary files.
//! Progress is written to standard error, and the totals to standard output as one
//! line. The exit status is 1 if an operation was lost or completed twice, or if memory
//! grew.

mod blocks;
mod forks;
mod ledger;
mod os;
mod worker;
mod workload;

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use linux_aio::reactor::{Reactor, ReactorSlot, Shared};
use linux_aio::{AioContext, Context, Errno, IdleContext, Slot};

use ledger::Ledger;
use workload::{Bytes, Data, Workload};

/// The number of threads with their own queue.
const WORKERS: usize = 8;
/// The number of operations in flight in a queue.
const DEPTH: usize = 64;
/// The limit, in KiB, of the growth of peak memory after the first tenth.
const GROWTH: u64 = 1024;
/// The time without a completion after which the test has hung. The kernel completes
/// cancelled polls in kernel threads, which a busy machine delayed for ten seconds
/// and more, for all contexts at once.
const STALLED: Duration = Duration::from_secs(120);

/// The state that all threads share.
struct Common<'a, 's> {
    ledger: &'a Ledger,
    /// The shared queue, behind a lock of the program.
    shared: &'a Mutex<Workload<'s>>,
    /// The shared reactor, which contains its lock.
    reactor: &'a Reactor<'s, Bytes, Shared, Data>,
    /// The IDs of the threads to interrupt; 0 for none.
    threads: &'a [AtomicI32; WORKERS],
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let operations = arguments
        .next()
        .map_or(Some(10_000_000), |n| n.parse().ok());
    let Some(operations) = operations.filter(|&n| n >= 1000) else {
        eprintln!("stress [OPERATIONS [DIRECTORY]], at least 1000");
        std::process::exit(2);
    };
    let directory = arguments
        .next()
        .map_or_else(std::env::temp_dir, PathBuf::from);
    match run(operations, &directory) {
        Ok(true) => {}
        Ok(false) => std::process::exit(1),
        Err(errno) => {
            eprintln!("stress: no context: {errno}");
            std::process::exit(1);
        }
    }
}

/// Runs the test. Returns whether it passed.
fn run(operations: u64, directory: &std::path::Path) -> Result<bool, Errno> {
    let ledger = Ledger::new(operations);
    let mut names = Vec::new();
    let mut slots = [const { Slot::<Bytes, Data>::array::<DEPTH>() }; WORKERS + 1];
    let mut reactor_slots = ReactorSlot::array::<DEPTH>();
    let mut workloads = Vec::new();
    for (number, slots) in slots.iter_mut().enumerate() {
        let context = named(DEPTH as u32, &mut names)?;
        workloads.push(Workload::new(number as u64, context, slots, directory));
    }
    let shared = Mutex::new(workloads.remove(WORKERS));
    let reactor = Reactor::with_context(named(DEPTH as u32, &mut names)?, &mut reactor_slots);
    let threads = [const { AtomicI32::new(0) }; WORKERS];
    let common = Common {
        ledger: &ledger,
        shared: &shared,
        reactor: &reactor,
        threads: &threads,
    };

    os::catch();
    let stop = AtomicBool::new(false);
    let begin = Instant::now();
    let (memory, forks) = thread::scope(|scope| {
        let common = &common;
        let workers: Vec<_> = workloads
            .into_iter()
            .enumerate()
            .map(|(number, workload)| scope.spawn(move || worker::work(number, workload, common)))
            .collect();
        scope.spawn(|| os::interrupt(&threads, &stop));
        let forks = scope.spawn(|| forks::fork_and_fork(&names, directory, &stop));
        let memory = watch(&ledger, || {
            let finished = workers.iter().all(|worker| worker.is_finished());
            // This stops the signals and the forks.
            stop.fetch_or(finished, Relaxed);
            finished && forks.is_finished()
        });
        (memory, forks.join().unwrap_or_default())
    });
    let time = begin.elapsed();
    worker::finish(&common);
    let end = os::memory();

    let grown = end.peak.saturating_sub(memory.peak);
    let good = ledger.good() && grown < GROWTH && forks > 0 && os::signals() > 0;
    println!(
        "{}, {} signals, {} waits interrupted, {forks} forks, {} futures dropped; memory {} KiB at \
         a tenth, {} KiB at the end, peak grown {grown} KiB to {} KiB; {:.1} s, {:.0} operations/s: {}",
        ledger,
        os::signals(),
        worker::INTERRUPTED.load(Relaxed),
        worker::DROPPED.load(Relaxed),
        memory.now,
        end.now,
        end.peak,
        time.as_secs_f64(),
        operations as f64 / time.as_secs_f64(),
        if good { "good" } else { "BAD" },
    );
    Ok(good)
}

/// Creates a context whose identifier is passed to the forked children.
fn named(capacity: u32, names: &mut Vec<AioContext>) -> Result<IdleContext, Errno> {
    let context = Context::new(capacity)?;
    names.push(context.as_raw());
    // SAFETY: the context is new and nothing was submitted to it, so it is idle.
    Ok(unsafe { IdleContext::from_context(context, capacity) })
}

/// Reports the progress until `finished` returns true. Returns the memory usage after a
/// tenth of the operations.
fn watch(ledger: &Ledger, finished: impl Fn() -> bool) -> os::Memory {
    let (mut reported, mut moved) = (Instant::now(), Instant::now());
    let (mut last, mut memory) = (0, None);
    while !finished() {
        thread::sleep(Duration::from_millis(5));
        let completed = ledger.completed();
        if completed != last {
            (last, moved) = (completed, Instant::now());
        } else if moved.elapsed() > STALLED {
            eprint!("{}", os::whereabouts());
            println!("{ledger}: nothing has completed for {STALLED:?}: BAD");
            std::process::exit(1);
        }
        if memory.is_none() && completed >= ledger.total() / 10 {
            memory = Some(os::memory());
        }
        if reported.elapsed() > Duration::from_secs(1) {
            reported = Instant::now();
            let (in_flight, now) = (ledger.missing(), os::memory().now);
            eprintln!(
                "{completed} of {} have completed, {in_flight} in flight, {now} KiB",
                ledger.total()
            );
        }
    }
    memory.unwrap_or_else(os::memory)
}
