//! [`Subject`]: the program that performs a single case, measured by the clock or by
//! callgrind.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde::Deserialize;

use crate::command::Result;

/// One case: the group, the baseline, the batch size, and further arguments.
#[derive(Clone, Copy)]
pub(crate) struct Case<'a> {
    pub(crate) group: &'a str,
    pub(crate) baseline: &'a str,
    pub(crate) size: usize,
    pub(crate) more: &'a [&'a str],
}

impl Case<'_> {
    /// Returns the name of the case in the ceilings file.
    pub(crate) fn name(&self) -> String {
        let size = match self.size {
            0 => String::new(),
            size => format!(" {size}"),
        };
        format!("{} {}{size}", self.group, self.baseline)
    }
}

/// The times of a run, in nanoseconds.
#[derive(Deserialize)]
pub(crate) struct Sample {
    pub(crate) count: f64,
    pub(crate) wall: f64,
    pub(crate) cpu: f64,
    /// The processor time of the machine's kernel threads meanwhile, if it was counted.
    pub(crate) kernel: Option<f64>,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    /// What was not done as the baseline's name says, and why.
    pub(crate) notes: Vec<String>,
}

/// The result of a run.
pub(crate) enum Timed {
    Sample(Sample),
    /// The baseline is not available here, for the given reason.
    Unavailable(String),
}

/// The exit status of the program if a case is not available.
const UNAVAILABLE: i32 = 3;

pub(crate) struct Subject {
    program: PathBuf,
    capi: Option<String>,
}

impl Subject {
    pub(crate) fn new(program: PathBuf, capi: Option<String>) -> Subject {
        Subject { program, capi }
    }

    /// Returns whether the drop-in library is available for measurement.
    pub(crate) fn has_capi(&self) -> bool {
        self.capi.is_some()
    }

    fn arguments(&self, command: &mut Command, case: Case<'_>, count: u64) {
        let baseline = match (case.baseline, &self.capi) {
            ("capi", Some(path)) => {
                command.env("LIBAIO", path);
                "libaio"
            }
            (baseline, _) => baseline,
        };
        command.args([case.group, baseline]).arg(count.to_string());
        command.arg(case.size.to_string()).args(case.more);
    }

    /// Measures the case by the clock.
    pub(crate) fn time(&self, case: Case<'_>, count: u64) -> Result<Timed> {
        let name = case.name();
        let mut command = Command::new(&self.program);
        self.arguments(&mut command, case, count);
        let mut unavailable = None;
        let line = patiently(|| {
            let output = command
                .output()
                .map_err(|error| format!("{name}: {error}"))?;
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            match output.status.code() {
                Some(0) => return Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
                Some(UNAVAILABLE) => unavailable = Some(said.trim().replace('\n', ": ")),
                _ => return Err(format!("{name}: {}\n{said}", output.status)),
            }
            Ok(String::new())
        })?;
        if let Some(reason) = unavailable {
            return Ok(Timed::Unavailable(reason));
        }
        let sample = serde_json::from_str(&line).map_err(|error| format!("{name}: {error}"))?;
        Ok(Timed::Sample(sample))
    }

    /// Returns the instructions in user space for each of `count` operations, in tenths: what
    /// is done once for all of them is less than that.
    pub(crate) fn instructions(&self, case: Case<'_>, count: u64) -> Result<f64> {
        let tenths = self.collected(case, count)? / count as f64 * 10.0;
        Ok(tenths.round() / 10.0)
    }

    fn collected(&self, case: Case<'_>, count: u64) -> Result<f64> {
        let mut command = Command::new("valgrind");
        command.args([
            "--tool=callgrind",
            "--callgrind-out-file=/dev/null",
            "--toggle-collect=*measured*",
        ]);
        command.arg(&self.program);
        self.arguments(&mut command, case, count);
        let said = patiently(|| collect(&mut command))?;
        let collected = said
            .lines()
            .find_map(|line| line.split_once("Collected : "));
        let collected = collected.and_then(|(_, number)| number.trim().parse().ok());
        collected.ok_or_else(|| format!("{}: no count\n{said}", case.name()))
    }
}

/// Returns the output of callgrind, which it prints on standard error.
fn collect(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .map_err(|error| format!("valgrind: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() {
        return Err(format!("{command:?}: {}\n{said}", output.status));
    }
    Ok(said)
}

/// Retries for a minute, while other processes have used up `fs.aio-max-nr`, which is a
/// limit of the whole machine.
fn patiently(mut attempt: impl FnMut() -> Result<String>) -> Result<String> {
    for _ in 0..60 {
        match attempt() {
            Err(said) if said.contains("EAGAIN") => std::thread::sleep(Duration::from_secs(1)),
            answer => return answer,
        }
    }
    attempt()
}
