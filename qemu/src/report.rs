//! The result of a run: one line per target, JSON, and the results file.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::cache::root;
use crate::targets::Target;

/// The way in which the program was run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verb {
    /// By QEMU's user mode.
    User,
    /// By this machine's own kernel.
    Native,
    /// By a kernel on an emulated machine.
    Kernel,
    /// By a kernel that is a process of this machine.
    Uml,
    /// By gVisor, a replacement of the kernel.
    Gvisor,
    /// By a kernel on an emulated machine, with a faulty disk.
    Faults,
}

impl Verb {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Verb::User => "user",
            Verb::Native => "native",
            Verb::Kernel => "kernel",
            Verb::Uml => "uml",
            Verb::Gvisor => "gvisor",
            Verb::Faults => "faults",
        }
    }

    /// Returns the name of a kernel that is a process of this machine.
    pub(crate) fn host_kernel(self) -> Option<&'static str> {
        match self {
            Verb::Uml => Some("User-Mode Linux"),
            Verb::Gvisor => Some("gVisor"),
            Verb::User | Verb::Native | Verb::Kernel | Verb::Faults => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Status {
    Passed,
    Failed,
    /// Built, but not runnable here.
    Builds,
    /// Not built: this compiler lacks the target.
    NotRun,
}

impl Status {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Status::Passed => "passed",
            Status::Failed => "FAILED",
            Status::Builds => "builds",
            Status::NotRun => "not run",
        }
    }
}

/// The date and the versions of a recorded outcome.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Recorded {
    pub(crate) date: String,
    pub(crate) rustc: String,
    /// The emulator or kernel that ran the program: "QEMU 11.1.3", "Linux 6.18.5".
    pub(crate) by: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) target: String,
    pub(crate) arch: String,
    pub(crate) abi: String,
    pub(crate) run: Verb,
    /// The row of the booted kernel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) machine: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fault: Option<String>,
    /// The release of the kernel, as the kernel reports it.
    pub(crate) kernel: Option<String>,
    pub(crate) result: Status,
    pub(crate) passed: u32,
    pub(crate) failed: u32,
    pub(crate) skipped: u32,
    pub(crate) seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// The recording of an outcome in the results file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) recorded: Option<Recorded>,
    /// Whether the result is from an earlier run, since nothing has changed.
    #[serde(skip)]
    pub(crate) cached: bool,
    /// The path of the console's log, if it is kept.
    #[serde(skip)]
    pub(crate) log: Option<PathBuf>,
    /// The output to print for a failure.
    #[serde(skip)]
    pub(crate) output: String,
}

impl Outcome {
    pub(crate) fn new(run: Verb, target: Target<'_>) -> Outcome {
        Outcome {
            target: target.triple.to_owned(),
            arch: target.abi.arch.clone(),
            abi: target.abi.name.clone(),
            run,
            machine: None,
            fault: None,
            kernel: None,
            result: Status::Passed,
            passed: 0,
            failed: 0,
            skipped: 0,
            seconds: 0.0,
            reason: None,
            recorded: None,
            cached: false,
            log: None,
            output: String::new(),
        }
    }

    fn because(mut self, result: Status, reason: &str) -> Outcome {
        self.result = result;
        self.reason = Some(reason.to_owned());
        self
    }

    pub(crate) fn built(self, reason: &str) -> Outcome {
        self.because(Status::Builds, reason)
    }

    pub(crate) fn not_run(self, reason: &str) -> Outcome {
        self.because(Status::NotRun, reason)
    }

    pub(crate) fn failed(mut self, reason: &str, output: &str) -> Outcome {
        self.failed = 1;
        self.output = output.to_owned();
        self.because(Status::Failed, reason)
    }

    /// Formats an outcome as a line for a reader, with details of a failure.
    pub(crate) fn show(&self) -> String {
        let Outcome {
            target,
            result,
            passed,
            failed,
            skipped,
            seconds,
            ..
        } = self;
        let mut text = format!("{:7} {target:38} ", result.name());
        if let Some(machine) = &self.machine {
            let _ = write!(text, "{machine:16} ");
        }
        if let Some(fault) = &self.fault {
            let _ = write!(text, "{fault:8} ");
        }
        if passed + failed > 0 {
            let _ = write!(text, "{passed:4} passed");
            if *failed > 0 {
                let _ = write!(text, ", {failed} failed");
            }
            if *skipped > 0 {
                let _ = write!(text, ", {skipped} skipped");
            }
        }
        if let Some(reason) = &self.reason {
            let _ = write!(text, " ({reason})");
        }
        let _ = write!(text, " {seconds:.1} s");
        if let (Verb::Kernel | Verb::Faults | Verb::Uml, Some(kernel)) = (self.run, &self.kernel) {
            let _ = write!(text, ", Linux {kernel}");
        }
        if self.cached {
            text += ", as before";
        }
        if let Some(log) = &self.log {
            let _ = write!(text, "\n    console: {}", log.display());
        }
        if *result == Status::Failed {
            let lines: Vec<_> = self.output.lines().collect();
            let (from, repeat) = (lines.len().saturating_sub(30), self.run.name());
            for line in &lines[from..] {
                let _ = write!(text, "\n    {line}");
            }
            let _ = write!(text, "\n    repeat with: cargo qemu {repeat} {target}");
            if let Some(fault) = &self.fault {
                let _ = write!(text, " --only {fault}");
            }
            if let Some(machine) = &self.machine {
                let _ = write!(text, " --on {machine}");
            }
            if matches!(
                self.run,
                Verb::Kernel | Verb::Faults | Verb::Uml | Verb::Gvisor
            ) {
                text += " --keep";
            }
        }
        text
    }
}

/// Returns the last line: the checks that passed, and the checks, builds and runs that
/// failed.
pub(crate) fn sum(outcomes: &[Outcome]) -> String {
    let of = |count: fn(&Outcome) -> u32| outcomes.iter().map(count).sum::<u32>();
    format!(
        "{} passed, {} failed",
        of(|outcome| outcome.passed),
        of(|outcome| outcome.failed)
    )
}

/// `qemu/results.json`: the last recorded result of each target and way of running it.
/// Each has its own date and versions, since a recording may cover one target.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Results {
    pub(crate) targets: Vec<Outcome>,
}

impl Results {
    fn path() -> PathBuf {
        root().join("qemu/results.json")
    }

    pub(crate) fn load() -> Result<Results> {
        let path = Results::path();
        if !path.exists() {
            return Ok(Results::default());
        }
        let text = fs::read_to_string(&path)?;
        let results: Results =
            serde_json::from_str(&text).with_context(|| path.display().to_string())?;
        for outcome in &results.targets {
            let target = &outcome.target;
            ensure!(outcome.recorded.is_some(), "{target}: recorded by what?");
        }
        Ok(results)
    }

    /// Replaces the old outcomes of the same targets with new ones.
    pub(crate) fn merge(&mut self, outcomes: &[Outcome], recorded: &Recorded) {
        for outcome in outcomes {
            let mut outcome = outcome.clone();
            outcome.recorded = Some(recorded.clone());
            outcome.seconds = (outcome.seconds * 10.0).round() / 10.0;
            let key = |one: &Outcome| (one.target.clone(), one.run, one.machine.clone());
            self.targets.retain(|old| key(old) != key(&outcome));
            self.targets.push(outcome);
        }
        let key = |one: &Outcome| (one.target.clone(), one.run.name(), one.machine.clone());
        self.targets.sort_by_key(key);
    }

    pub(crate) fn save(&self) -> Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        Ok(fs::write(Results::path(), text)?)
    }

    /// Returns the boots of a target, one for each kernel.
    pub(crate) fn boots(&self, target: &str) -> impl Iterator<Item = &Outcome> {
        let all = self.targets.iter();
        all.filter(move |one| one.target == target && one.run == Verb::Kernel)
    }

    pub(crate) fn of(&self, target: &str, run: Verb) -> Option<&Outcome> {
        self.targets
            .iter()
            .find(|outcome| outcome.target == target && outcome.run == run)
    }
}
