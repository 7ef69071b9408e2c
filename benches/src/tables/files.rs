//! Files: reads and writes in flight.

use std::path::Path;
use std::process::Command;

use super::columns::{ByDepth, Columns, latencies, latency_heads};
use super::{Bench, MORE};
use crate::command::{Result, run};
use crate::stats::{WHOLE_CPU, find};
use crate::subject::Case;
use crate::svg::{Line, lines};

/// A pattern of accesses, and how it is measured.
struct Pattern {
    name: &'static str,
    title: &'static str,
    /// The baseline that ratios refer to, and what it is called in the text.
    base: (&'static str, &'static str),
    /// The numbers of operations in flight, and the number of operations of a run.
    depths: &'static [(usize, u64)],
    writes: bool,
}

const PATTERNS: &[Pattern] = &[
    Pattern {
        name: "cached-4k",
        title: "Random reads of 4 KiB from the page cache",
        base: ("pread", "pread"),
        depths: &[(1, 80_000), (32, 80_000)],
        writes: false,
    },
    Pattern {
        name: "direct-4k",
        title: "Direct random reads of 4 KiB",
        base: ("libaio", "libaio"),
        depths: &[(1, 2_000), (4, 5_000), (32, 8_000), (128, 10_000)],
        writes: false,
    },
    Pattern {
        name: "write-4k",
        title: "Direct random writes of 4 KiB",
        base: ("libaio", "libaio"),
        depths: &[(32, 6_000)],
        writes: true,
    },
    Pattern {
        name: "mixed-4k",
        title: "Direct random reads and writes of 4 KiB, 70% and 30%",
        base: ("libaio", "libaio"),
        depths: &[(32, 6_000)],
        writes: true,
    },
    Pattern {
        name: "sequential-128k",
        title: "Direct sequential reads of 128 KiB",
        base: ("libaio", "libaio"),
        depths: &[(1, 600), (8, 800)],
        writes: false,
    },
    Pattern {
        name: "sequential-1m",
        title: "Direct sequential reads of 1 MiB",
        base: ("libaio", "libaio"),
        depths: &[(1, 120), (8, 150)],
        writes: false,
    },
    Pattern {
        name: "huge-1m",
        title: "Direct sequential reads of 1 MiB into huge pages",
        base: ("libaio", "libaio"),
        depths: &[(1, 120), (8, 150)],
        writes: false,
    },
];

const BASELINES: &[&str] = &[
    "hand",
    "context",
    "queue",
    "libaio",
    "libaio-each",
    "capi",
    "uring",
    "uring-tuned",
    "pread",
    "pread-threads",
    "posix",
    "posix-dup",
];

impl Bench<'_> {
    /// Measures operations in flight on a file.
    pub(crate) fn disk(&mut self) -> Result<()> {
        let file = self.built.target.join("bench-file");
        self.make(&file)?;
        let path = file.to_string_lossy().into_owned();
        self.page.heading("Files");
        self.page.say(WORDS);
        let mut done = PATTERNS
            .iter()
            .try_for_each(|pattern| self.pattern(pattern, &path));
        if done.is_ok() {
            done = self.fio(&path);
        }
        let _ = std::fs::remove_file(&file);
        done
    }

    pub(super) fn make(&self, file: &Path) -> Result<()> {
        let mut dd = Command::new("dd");
        dd.args([
            "if=/dev/urandom",
            "bs=1M",
            "count=256",
            "conv=fsync",
            "status=none",
        ]);
        run(dd.arg(format!("of={}", file.display()))).map(drop)
    }

    fn pattern(&mut self, pattern: &Pattern, path: &str) -> Result<()> {
        let mut columns = Vec::new();
        for &(depth, count) in pattern.depths {
            let more = [pattern.name, path];
            let case = Case {
                group: "disk",
                baseline: "",
                size: depth,
                more: &more,
            };
            let mut baselines = BASELINES.to_vec();
            if depth == 1 {
                // The same as without the addition.
                baselines
                    .retain(|name| !matches!(*name, "libaio-each" | "pread-threads" | "posix-dup"));
            }
            let heading = pattern.name == "direct-4k" && depth == 32;
            let turns = if heading { MORE } else { 1 } * self.turns;
            let all = self.runs_in(turns, case, &baselines, count)?;
            self.disk_goals(pattern.name, depth, &all);
            columns.push((depth, all));
        }
        let (base, base_name) = pattern.base;
        self.page.heading(pattern.title);
        self.page.say(&format!(
            "Ratios to {base_name} in the same round, and medians in parentheses: operations per \
             second, and microseconds of processor time for an operation{}.",
            if pattern.writes {
                ", with that of kernel threads, which is also in a column of its own"
            } else {
                ""
            }
        ));
        let table = Columns {
            columns: &columns,
            base,
            kernel: pattern.writes,
        };
        self.page.table(&table.heads(), &table.rows(BASELINES)?);
        if columns.len() > 2 {
            let title = format!("{}: processor time of one, ns, by depth", pattern.title);
            let alternative = format!("Line chart: {}, processor time by depth", pattern.title);
            let plot = lines(&title, "in flight", &plotted(&columns));
            self.page.plot(pattern.name, &alternative, plot);
        }
        self.page.say(
            "Latency from submission until the completion is taken, in microseconds; medians of p50 \
             / p99 / p99.9:",
        );
        self.page
            .table(&latency_heads(&columns), &latencies(BASELINES, &columns));
        self.say_notes();
        Ok(())
    }
}

/// Returns the lines of the plot: not those that lie upon another.
fn plotted(columns: &ByDepth) -> Vec<Line> {
    let names = [
        "queue",
        "libaio",
        "uring",
        "uring-tuned",
        "pread",
        "pread-threads",
        "posix",
    ];
    let line = |name: &str| {
        let points = columns
            .iter()
            .filter_map(|(depth, all)| Some((*depth as f64, find(all, name)?.median(WHOLE_CPU))));
        (name.to_owned(), points.collect())
    };
    let mut lines: Vec<Line> = names.into_iter().map(line).collect();
    lines.retain(|(_, points)| !points.is_empty());
    lines
}

const WORDS: &str = "\
The file has 256 MiB, none of it in the page cache where access is direct. Every baseline performs \
the same operations. Processor time is that of the \
process with all its threads, in user space and in the kernel; whether interrupts are in it \
depends on the kernel. `hand` is a loop over raw \
system calls. All baselines submit as many operations as there are free buffers with one system \
call, but for these: `libaio-each` calls `io_submit` for every operation; `pread` and \
`pread-threads` call pread(2) or pwrite(2), in one thread whatever the depth, and in as many \
threads as the depth; `posix` is glibc's POSIX AIO (`aio_read`, `aio_suspend`), which performs one \
operation at a time for each descriptor, in a thread, and `posix-dup` has a descriptor for each \
buffer (glibc uses up to 20 threads). `uring` is io_uring as most programs set it up, and \
`uring-tuned` has a registered file, registered buffers, IORING_SETUP_SINGLE_ISSUER and \
IORING_SETUP_DEFER_TASKRUN, and submits and waits with one system call.";
