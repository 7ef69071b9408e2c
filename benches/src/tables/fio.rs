//! fio's engines on the same file.

use std::process::Command;

use serde::Deserialize;

use super::{Bench, times};
use crate::command::{Result, run};
use crate::stats::median;
use crate::svg::brief;

/// A name in the table, and the arguments of fio.
const ENGINES: &[(&str, &[&str])] = &[
    ("libaio", &["--ioengine=libaio", "--iodepth=32"]),
    ("io_uring", &["--ioengine=io_uring", "--iodepth=32"]),
    (
        "io_uring, tuned",
        &[
            "--ioengine=io_uring",
            "--iodepth=32",
            "--fixedbufs",
            "--registerfiles",
        ],
    ),
    ("psync", &["--ioengine=psync"]),
    (
        "psync, 32 threads",
        &["--ioengine=psync", "--thread", "--numjobs=32"],
    ),
];

/// The part of fio's output that is used.
#[derive(Deserialize)]
struct Output {
    jobs: Vec<Job>,
}

#[derive(Deserialize)]
struct Job {
    /// Milliseconds of all jobs of the group together.
    job_runtime: f64,
    /// Percent of the time in `job_runtime`.
    usr_cpu: f64,
    sys_cpu: f64,
    read: Reads,
}

#[derive(Deserialize)]
struct Reads {
    iops: f64,
    total_ios: f64,
}

impl Bench<'_> {
    /// Measures fio, where it is installed.
    pub(super) fn fio(&mut self, path: &str) -> Result<()> {
        let version = match run(Command::new("fio").arg("--version")) {
            Ok(version) => version,
            Err(error) => {
                self.notes.push(error);
                self.say_notes();
                return Ok(());
            }
        };
        let mut all = vec![Vec::new(); ENGINES.len()];
        let runtime = if self.less > 1 { "200ms" } else { "1s" };
        for _ in 0..self.turns {
            for (runs, (_, arguments)) in all.iter_mut().zip(ENGINES) {
                let mut fio = Command::new("fio");
                fio.args(["--name=read", "--rw=randread", "--bs=4k", "--direct=1"]);
                fio.args(["--group_reporting", "--time_based", "--output-format=json"]);
                fio.arg(format!("--filename={path}"));
                fio.arg(format!("--runtime={runtime}"));
                let text = run(fio.args(*arguments))?;
                let output: Output =
                    serde_json::from_str(json(&text)?).map_err(|error| format!("fio: {error}"))?;
                let job = output.jobs.first().ok_or("fio: no job")?;
                let busy = (job.usr_cpu + job.sys_cpu) / 100.0 * job.job_runtime;
                runs.push((job.read.iops, busy * 1000.0 / job.read.total_ios));
            }
        }
        self.page.heading("fio");
        self.page.say(&format!(
            "Direct random reads of 4 KiB from the same file by the engines of {}, 32 in flight, by \
             `psync` one in each thread: reads per second, and microseconds of processor time for a \
             read, as ratios to `libaio` in the same round, with medians in parentheses. The tuned \
             io_uring has `--fixedbufs --registerfiles`.",
            version.trim()
        ));
        let base = all.first().cloned().unwrap_or_default();
        let rows: Vec<Vec<String>> = ENGINES
            .iter()
            .zip(&all)
            .map(|((name, _), runs)| {
                let cell = |figure: fn(&(f64, f64)) -> f64| {
                    let ratios = runs.iter().zip(&base);
                    let ratios = ratios.map(|(own, base)| figure(own) / figure(base));
                    let own = median(runs.iter().map(figure).collect());
                    format!("{} ({})", times(median(ratios.collect())), brief(own))
                };
                vec![(*name).to_owned(), cell(|run| run.0), cell(|run| run.1)]
            })
            .collect();
        self.page.table(&["", "reads/s", "CPU"], &rows);
        Ok(())
    }
}

/// Returns the output without the warnings that fio may print before it.
fn json(text: &str) -> Result<&str> {
    let start = text.find('{').ok_or("fio: no output")?;
    text.get(start..).ok_or_else(|| "fio: no output".to_owned())
}
