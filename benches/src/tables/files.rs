//! Files: operations in flight.

use std::path::Path;
use std::process::Command;

use super::{Bench, MORE, times};
use crate::command::{Result, run};
use crate::stats::{CPU, Figure, RATE, Runs, find};
use crate::subject::{Case, Sample};
use crate::svg::{brief, lines};

impl Bench<'_> {
    /// Measures operations in flight on a file.
    pub(crate) fn disk(&mut self) -> Result<()> {
        let file = self.built.target.join("bench-file");
        self.make(&file)?;
        let path = file.to_string_lossy().into_owned();
        let done = [
            ("buffered-512", "Buffered random reads of 512 B", 60_000),
            ("direct-4k", "Direct random reads of 4 KiB", 16_000),
            (
                "sequential-128k",
                "Direct sequential reads of 128 KiB",
                1_500,
            ),
        ]
        .into_iter()
        .try_for_each(|(pattern, title, count)| self.pattern(pattern, title, count, &path));
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

    fn pattern(&mut self, pattern: &str, title: &str, count: u64, path: &str) -> Result<()> {
        let baselines = [
            "hand",
            "context",
            "queue",
            "libaio",
            "libaio-each",
            "capi",
            "uring",
        ];
        self.page.heading(title);
        let mut table = Vec::new();
        let mut late = Vec::new();
        let mut details = Vec::new();
        let mut cpu: Vec<_> = baselines
            .iter()
            .map(|&baseline| (baseline.to_owned(), Vec::new()))
            .collect();
        for depth in [1, 4, 16, 64, 256, 32] {
            let more = [pattern, path];
            let case = Case {
                group: "disk",
                baseline: "",
                size: depth,
                more: &more,
            };
            let count = if depth == 1 { count / 4 } else { count };
            let turns = if depth == 32 { MORE } else { 1 } * self.turns;
            let all = self.runs_in(turns, case, &baselines, count)?;
            let libaio = find(&all, "libaio").ok_or("no libaio")?;
            let ratios = |figure: Figure| {
                all.iter()
                    .map(move |runs| times(runs.ratio(libaio, figure)))
            };
            if depth == 32 {
                if pattern == "direct-4k" {
                    self.disk_goals(&all, libaio);
                }
                details = all.iter().map(detail).collect();
                continue;
            }
            table.push(
                [
                    vec![depth.to_string()],
                    ratios(RATE).collect(),
                    ratios(CPU).collect(),
                ]
                .concat(),
            );
            let latencies = all.iter().map(|runs| latency(runs).join(" / "));
            late.push([depth.to_string()].into_iter().chain(latencies).collect());
            for runs in &all {
                if let Some(line) = cpu.iter_mut().find(|line| line.0 == runs.baseline) {
                    line.1.push((depth as f64, runs.median(CPU)));
                }
            }
        }
        cpu.retain(|line| !line.1.is_empty());
        let names = cpu.iter().map(|line| line.0.clone());
        let baselines: Vec<&str> = cpu.iter().map(|line| line.0.as_str()).collect();
        let heads: Vec<String> = ["depth".to_owned()]
            .into_iter()
            .chain(names.clone().map(|name| format!("{name}, ops/s")))
            .chain(names.map(|name| format!("{name}, CPU")))
            .collect();
        let heads: Vec<&str> = heads.iter().map(String::as_str).collect();
        self.page.say(
            "Operations per second and processor time for each operation, as ratios to libaio in \
             the same round. A higher rate is better; a lower time is better. All baselines except \
             `libaio-each` submit as many reads as there are free buffers with one system call. \
             `libaio-each` calls `io_submit` for every read as soon as a buffer is free: the disk \
             starts earlier, and there are more system calls.",
        );
        self.page.table(&heads, &table);
        let words = format!("{title}: processor time of one read, ns, by depth");
        let alternative = format!("Line chart: {title}, processor time for each read by depth");
        let plot = lines(&words, "in flight", &cpu);
        self.page.plot(pattern, &alternative, plot);
        self.page.say(
            "Latency from submission until the completion is taken, in microseconds; medians of p50 \
             / p99 / p99.9:",
        );
        self.page
            .table(&[&["depth"], &baselines[..]].concat(), &late);
        self.page
            .say("Medians at depth 32, with the same latencies:");
        let heads = ["", "ops/s", "CPU, µs", "p50, µs", "p99, µs", "p99.9, µs"];
        self.page.table(&heads, &details);
        Ok(())
    }

    fn disk_goals(&mut self, all: &[Runs], libaio: &Runs) {
        let Some(queue) = find(all, "queue") else {
            return;
        };
        let Some(context) = find(all, "context") else {
            return;
        };
        let rate = [queue, context].map(|runs| runs.sure_ratio(libaio, RATE));
        self.goal(
            "direct reads, depth 32: not below libaio in operations per second, within the 95% \
             interval",
            format!("queue {}, context {} of libaio's", rate[0], rate[1]),
            rate.iter().all(|rate| rate.most >= 1.0),
        );
        let cpu = [queue, context].map(|runs| runs.sure_ratio(libaio, CPU));
        let ratios = all
            .iter()
            .map(|runs| (runs.ratio(libaio, CPU), &runs.baseline));
        let least = ratios.min_by(|one, other| one.0.total_cmp(&other.0));
        let least = least.map_or(String::new(), |(ratio, baseline)| {
            format!("; the lowest of all baselines is {ratio:.2} ({baseline})")
        });
        self.goal(
            "direct reads, depth 32: at most 0.9 of libaio's processor time",
            format!("queue {}, context {} of libaio's{least}", cpu[0], cpu[1]),
            cpu.iter().all(|cpu| cpu.median <= 0.9),
        );
        if let Some(each) = find(all, "libaio-each") {
            let cpu = [queue, context].map(|runs| runs.sure_ratio(each, CPU));
            let rate = [queue, context].map(|runs| runs.ratio(each, RATE));
            self.goal(
                "the same, where libaio calls `io_submit` for every read",
                format!(
                    "queue {}, context {} of libaio's; operations per second {:.2}, {:.2}",
                    cpu[0], cpu[1], rate[0], rate[1]
                ),
                cpu.iter().all(|cpu| cpu.median <= 0.9),
            );
        }
        if let Some(uring) = find(all, "uring") {
            let result = format!(
                "queue {:.2} of io_uring's operations per second, {:.2} of its processor time",
                queue.ratio(uring, RATE),
                queue.ratio(uring, CPU)
            );
            self.goal(
                "direct reads, depth 32: compared with io_uring",
                result,
                true,
            );
        }
    }
}

fn detail(runs: &Runs) -> Vec<String> {
    let throughput = vec![
        runs.baseline.clone(),
        brief(runs.median(RATE)),
        format!("{:.2}", runs.median(CPU) / 1000.0),
    ];
    [throughput, latency(runs).into()].concat()
}

/// Returns three percentiles, in microseconds.
fn latency(runs: &Runs) -> [String; 3] {
    let figures: [Figure; 3] = [
        |sample: &Sample| sample.p50,
        |sample: &Sample| sample.p99,
        |sample: &Sample| sample.p999,
    ];
    figures.map(|figure| format!("{:.1}", runs.median(figure) / 1000.0))
}
