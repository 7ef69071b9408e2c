//! A log: records that are appended and synced.

use super::Bench;
use super::columns::{Columns, latencies, latency_heads};
use crate::command::Result;
use crate::subject::Case;

const BASELINES: &[&str] = &[
    "hand",
    "context",
    "queue",
    "libaio",
    "capi",
    "uring",
    "uring-tuned",
    "pwrite",
    "pwrite-threads",
    "posix",
    "posix-dup",
];

impl Bench<'_> {
    /// Measures records that are each written and synced.
    pub(crate) fn log(&mut self) -> Result<()> {
        let path = self.built.target.join("bench-log");
        let path = path.to_string_lossy().into_owned();
        let mut columns = Vec::new();
        for (depth, count) in [(1, 250), (8, 800)] {
            let more = [path.as_str()];
            let case = Case {
                group: "log",
                baseline: "",
                size: depth,
                more: &more,
            };
            let mut baselines = BASELINES.to_vec();
            if depth == 1 {
                baselines.retain(|name| !matches!(*name, "pwrite-threads" | "posix-dup"));
            }
            columns.push((depth, self.runs(case, &baselines, count)?));
        }
        let _ = std::fs::remove_file(&path);
        self.page.heading("A log");
        self.page.say(
            "Records of 512 bytes are appended to a file, and an fsync follows each once it is \
             written: with one record at a time, and with 8 in flight, whose fsyncs the file \
             system may combine. `pwrite` and `pwrite-threads` call pwrite(2) and fsync(2), in one \
             thread and in as many as the depth. AIO performs the fsync on a kernel thread, and \
             every fsync uses that of the journal. So the processor time includes that of all \
             kernel threads of the machine (`/proc/PID/schedstat`), which is right only where no \
             other program runs. Ratios to `pwrite`, with medians in parentheses: records per \
             second, and microseconds of processor time for a record.",
        );
        let table = Columns {
            columns: &columns,
            base: "pwrite",
            kernel: true,
        };
        self.page.table(&table.heads(), &table.rows(BASELINES)?);
        self.page.say(
            "Time from the write until the record is synced, in microseconds; medians of p50 / p99 \
             / p99.9:",
        );
        let heads = latency_heads(&columns);
        self.page.table(&heads, &latencies(BASELINES, &columns));
        self.say_notes();
        Ok(())
    }
}
