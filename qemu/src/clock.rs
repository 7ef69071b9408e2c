//! Time limits that account for a busy machine.
//!
//! Limits are in seconds of a machine that has a processor for each thread. On a busy
//! machine, a thread waits for a processor most of the time. That time must not count,
//! but time asleep must: a guest that hangs may be idle, and a limit on processor time
//! alone would never end it.
//!
//! The kernel counts both separately, in `/proc/PID/task/TID/schedstat`: the time that
//! a thread ran, and the time that it was runnable and waited. Elapsed time is
//! multiplied by the program's share: the processor time that it got, divided by the
//! processor time that it wanted. The share is 1 for a program that sleeps and for any
//! program on an idle machine. It is a tenth where ten threads compete for each
//! processor.
//!
//! A kernel without these figures (CONFIG_SCHED_INFO) reports zeros or nothing. All
//! time counts there.

use std::collections::HashMap;
use std::fs;
use std::time::{Duration, Instant};

/// The interval between samples.
///
/// A waiting thread is charged when it runs again, so a single sample may contain
/// neither figure. The share is that of about the last twenty samples.
const SAMPLE: Duration = Duration::from_millis(250);
const KEPT: f64 = 0.95;
/// Seconds of processor time in these twenty samples. A program that wants less is
/// idle.
const IDLE: f64 = 0.1;
/// The least share of a second that counts: a limit is at most thirty times as long.
const LEAST: f64 = 1.0 / 30.0;

pub(crate) struct Clock {
    process: u32,
    sampled: Instant,
    threads: HashMap<u32, Times>,
    share: Share,
    counted: Duration,
}

impl Clock {
    /// Starts a clock for a process and all of its descendants.
    pub(crate) fn new(process: u32) -> Clock {
        Clock {
            process,
            sampled: Instant::now(),
            threads: HashMap::new(),
            share: Share::default(),
            counted: Duration::ZERO,
        }
    }

    /// Returns the counted part of the time since the start.
    pub(crate) fn counted(&mut self) -> Duration {
        let passed = self.sampled.elapsed();
        if passed >= SAMPLE {
            let mut threads = HashMap::new();
            collect(self.process, &mut threads);
            for (thread, now) in &threads {
                let before = self.threads.get(thread).copied().unwrap_or_default();
                self.share.add(now.since(before));
            }
            self.threads = threads;
            self.sampled += passed;
            self.counted += passed.mul_f64(self.share.value());
            self.share.fade();
        }
        self.counted
    }
}

/// The nanoseconds that a thread ran, and that it waited for a processor.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Times {
    ran: u64,
    waited: u64,
}

impl Times {
    fn parse(schedstat: &str) -> Option<Times> {
        let mut numbers = schedstat.split_whitespace().map(str::parse);
        let mut next = || numbers.next()?.ok();
        let (ran, waited) = (next()?, next()?);
        Some(Times { ran, waited })
    }

    fn since(self, before: Times) -> Times {
        Times {
            ran: self.ran.saturating_sub(before.ran),
            waited: self.waited.saturating_sub(before.waited),
        }
    }
}

/// Collects the times of every thread of a process and of its descendants. A thread
/// that exits meanwhile is missed.
fn collect(process: u32, threads: &mut HashMap<u32, Times>) {
    let Ok(tasks) = fs::read_dir(format!("/proc/{process}/task")) else {
        return;
    };
    for task in tasks.flatten() {
        let read = |name: &str| fs::read_to_string(task.path().join(name)).unwrap_or_default();
        let thread = task.file_name().to_string_lossy().parse();
        if let (Ok(thread), Some(times)) = (thread, Times::parse(&read("schedstat"))) {
            threads.insert(thread, times);
        }
        let children = read("children");
        for child in children.split_whitespace().flat_map(str::parse) {
            collect(child, threads);
        }
    }
}

/// The processor time that the program got, and waited for, in recent samples, in
/// seconds.
#[derive(Default)]
struct Share {
    ran: f64,
    waited: f64,
}

impl Share {
    fn add(&mut self, times: Times) {
        self.ran += Duration::from_nanos(times.ran).as_secs_f64();
        self.waited += Duration::from_nanos(times.waited).as_secs_f64();
    }

    fn fade(&mut self) {
        self.ran *= KEPT;
        self.waited *= KEPT;
    }

    fn value(&self) -> f64 {
        let got = self.ran + IDLE;
        (got / (got + self.waited)).max(LEAST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::watched;
    use std::fs::File;
    use std::process::{Child, Command};

    /// Returns the share after many samples in each of which a thread ran and waited
    /// for the given numbers of milliseconds.
    fn share(ran: u64, waited: u64) -> f64 {
        let mut share = Share::default();
        for _ in 0..100 {
            share.fade();
            let (ran, waited) = (ran * 1_000_000, waited * 1_000_000);
            share.add(Times { ran, waited });
        }
        share.value()
    }

    #[test]
    fn time_counts_by_the_share_of_the_processor() {
        let near = |share: f64, value: f64| (share - value).abs() < 0.05;
        assert!(near(share(250, 0), 1.0), "alone");
        assert!(near(share(0, 0), 1.0), "asleep");
        assert!(near(share(1, 2), 0.75), "asleep, with a timer's ticks");
        assert!(near(share(25, 225), 0.1), "one of ten");
        assert!(near(share(50, 450), 0.1), "two threads of such");
        assert_eq!(share(0, 1000), LEAST, "not at all");
    }

    #[test]
    fn a_share_covers_the_last_seconds() {
        let mut share = Share::default();
        let mut sample = |ran, waited| {
            share.fade();
            share.add(Times { ran, waited });
            share.value()
        };
        for _ in 0..100 {
            sample(10_000_000, 240_000_000);
        }
        let busy = sample(0, 0);
        assert!(busy < 0.1, "one sample without any says nothing");
        let later = (0..60).map(|_| sample(250_000_000, 0)).last();
        assert!(later.is_some_and(|share| share > 0.9));
    }

    #[test]
    fn schedstat_is_read() {
        let (ran, waited) = (12, 34);
        assert_eq!(Times::parse("12 34 5\n"), Some(Times { ran, waited }));
        assert_eq!(Times::parse(""), None);
    }

    /// Busy programs, killed when this is dropped.
    struct Busy(Vec<Child>);

    impl Busy {
        fn begin(count: usize) -> Busy {
            let mut shell = Command::new("sh");
            shell.args(["-c", "while :; do :; done"]);
            Busy((0..count).map(|_| shell.spawn().unwrap()).collect())
        }
    }

    impl Drop for Busy {
        fn drop(&mut self) {
            for child in &mut self.0 {
                child.kill().unwrap();
                child.wait().unwrap();
            }
        }
    }

    /// Runs a program until the counted time reaches `seconds`. Returns the seconds
    /// that passed and the seconds that counted.
    fn run(program: &str, seconds: f64) -> (f64, f64) {
        let begin = Instant::now();
        let mut counted = 0.0;
        let out = File::create("/dev/null").unwrap();
        let mut shell = Command::new("sh");
        let ended = watched(shell.args(["-c", program]), out, |time, _| {
            counted = time.as_secs_f64();
            counted > seconds
        });
        assert_eq!(ended.unwrap(), None, "killed");
        (begin.elapsed().as_secs_f64(), counted)
    }

    #[test]
    fn a_program_has_more_time_on_a_busy_machine() {
        let cores = std::thread::available_parallelism().unwrap().get();
        let _busy = Busy::begin(6 * cores);
        // The busy loop runs in a child process, as a build's compilers do.
        let (passed, counted) = run("sh -c 'while :; do :; done' & wait", 0.5);
        assert!(passed > 2.5 * counted, "{counted} of {passed}");
        let (passed, counted) = run("sleep 60", 0.5);
        assert!(passed < 2.0 * counted + 2.0, "{counted} of {passed}");
    }
}
