//! [`Meter`]: the number of operations of a case, and their measured times.

use std::time::{Duration, Instant};

/// The counts and times of one case.
pub(crate) struct Meter {
    /// The number of operations to perform.
    pub(crate) count: u64,
    wall: Duration,
    cpu: Duration,
    latencies: Vec<u32>,
}

impl Meter {
    pub(crate) fn new(count: u64) -> Meter {
        Meter {
            count,
            wall: Duration::ZERO,
            cpu: Duration::ZERO,
            latencies: Vec::new(),
        }
    }

    /// Performs a part of the work, measured by both clocks and by callgrind.
    pub(crate) fn time<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let (cpu, wall) = (cpu_time(), Instant::now());
        let value = measured(work);
        self.wall += wall.elapsed();
        self.cpu += cpu_time() - cpu;
        value
    }

    /// Measures the whole loop of a call, which returns whether it had the expected
    /// result: every caller has to check it.
    pub(crate) fn repeat(&mut self, mut call: impl FnMut() -> bool) {
        let count = self.count;
        let right = self.time(|| (0..count).all(|_| call()));
        assert!(right);
    }

    /// Records the time of one operation, from its submission to its completion.
    pub(crate) fn latency(&mut self, time: Duration) {
        self.latencies
            .push(time.as_nanos().try_into().unwrap_or(u32::MAX));
    }

    /// Prints one line of JSON, with times in nanoseconds.
    pub(crate) fn print(mut self) {
        self.latencies.sort_unstable();
        let last = self.latencies.len().saturating_sub(1);
        let at = |part: f64| {
            let place = (last as f64 * part).round() as usize;
            self.latencies.get(place).copied().unwrap_or(0)
        };
        println!(
            r#"{{"count":{},"wall":{},"cpu":{},"p50":{},"p99":{},"p999":{}}}"#,
            self.count,
            self.wall.as_nanos(),
            self.cpu.as_nanos(),
            at(0.5),
            at(0.99),
            at(0.999),
        );
    }
}

/// The function that callgrind is configured, by this name, to measure.
#[inline(never)]
fn measured<T>(work: impl FnOnce() -> T) -> T {
    work()
}

/// Returns the processor time of the process and its threads, in user space and in the
/// kernel.
fn cpu_time() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is valid for writes.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
