//! [`Meter`]: the number of operations of a case, and their measured times.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::kernel_threads::KernelThreads;

/// The counts and times of one case.
pub(crate) struct Meter {
    /// The number of operations to perform.
    pub(crate) count: u64,
    wall: Duration,
    cpu: Duration,
    /// The processor time of kernel threads, if it is counted.
    kernel: Option<Duration>,
    latencies: Vec<u32>,
}

/// What is not measured as the name of the baseline says, and why.
static NOTES: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Records a reason why a baseline is not available, or is not used as its name says.
pub(crate) fn note(text: String) {
    NOTES.lock().unwrap().push(text);
}

impl Meter {
    pub(crate) fn new(count: u64) -> Meter {
        Meter {
            count,
            wall: Duration::ZERO,
            cpu: Duration::ZERO,
            kernel: None,
            latencies: Vec::new(),
        }
    }

    /// Sets whether the processor time of the machine's kernel threads is counted beside
    /// that of the process. It is the work of this process only on an idle machine.
    pub(crate) fn count_kernel_threads(&mut self, count: bool) {
        self.kernel = count.then_some(Duration::ZERO);
    }

    /// Performs a part of the work, measured by both clocks and by callgrind.
    pub(crate) fn time<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let threads = self.kernel.and_then(|_| KernelThreads::now());
        let (cpu, wall) = (cpu_time(), Instant::now());
        let value = measured(work);
        self.wall += wall.elapsed();
        self.cpu += cpu_time() - cpu;
        let passed = threads.and_then(|before| before.elapsed());
        self.kernel = self.kernel.zip(passed).map(|(sum, passed)| sum + passed);
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
        let line = serde_json::json!({
            "count": self.count,
            "wall": self.wall.as_nanos() as u64,
            "cpu": self.cpu.as_nanos() as u64,
            "kernel": self.kernel.map(|time| time.as_nanos() as u64),
            "p50": at(0.5),
            "p99": at(0.99),
            "p999": at(0.999),
            "notes": take_notes(),
        });
        println!("{line}");
    }
}

/// Returns the recorded reasons.
pub(crate) fn take_notes() -> Vec<String> {
    std::mem::take(&mut *NOTES.lock().unwrap())
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
