//! [`KernelThreads`]: the processor time of the machine's kernel threads.

use std::collections::HashMap;
use std::time::Duration;

/// The nanoseconds that each kernel thread has run so far, by its number. (The scheduler
/// counts them for `/proc/PID/schedstat`. `/proc/PID/stat` has hundredths of a second.)
pub(crate) struct KernelThreads(HashMap<u32, u64>);

impl KernelThreads {
    /// Returns `None` if the kernel does not report the times.
    pub(crate) fn now() -> Option<KernelThreads> {
        let mut times = HashMap::new();
        for entry in std::fs::read_dir("/proc").ok()?.flatten() {
            let name = entry.file_name();
            let Some(id) = name.to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            // A thread that has ended meanwhile has no files.
            let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else {
                continue;
            };
            if !is_kernel_thread(&stat) {
                continue;
            }
            if let Ok(text) = std::fs::read_to_string(entry.path().join("schedstat")) {
                times.insert(id, text.split(' ').next()?.parse().ok()?);
            }
        }
        (!times.is_empty()).then_some(KernelThreads(times))
    }

    /// Returns the processor time since. The last part of a thread that has ended is
    /// missing.
    pub(crate) fn elapsed(&self) -> Option<Duration> {
        let after = KernelThreads::now()?;
        let passed = after.0.iter().map(|(id, time)| {
            let before = self.0.get(id).copied().unwrap_or(0);
            time.saturating_sub(before)
        });
        Some(Duration::from_nanos(passed.sum()))
    }
}

/// Returns whether this is the `stat` of a child of `kthreadd`, which is process 2. The
/// name, in parentheses, may contain spaces.
fn is_kernel_thread(stat: &str) -> bool {
    let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
    after.split_ascii_whitespace().nth(1) == Some("2")
}
