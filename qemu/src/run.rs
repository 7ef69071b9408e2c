//! Runs the conformance program, on an emulator or on this machine's kernel.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::cache::{Cache, target_folder};
use crate::cross;
use crate::report::{Outcome, Verb};
use crate::rust_src::RustSrc;
use crate::targets::Target;
use crate::toolchain;
use crate::trace;
use crate::verdict::Verdict;

/// No run takes a second; a machine may be busy.
const LIMIT: Duration = Duration::from_secs(60);

/// What the program looks for among its arguments.
const ARGUMENTS: [&str; 3] = ["one", "two words", ""];

/// Builds and runs for one target; what goes wrong is the outcome.
pub(crate) fn target(cache: &Cache, rust: &RustSrc, verb: Verb, target: Target<'_>) -> Outcome {
    let begin = Instant::now();
    let mut outcome = attempt(cache, rust, verb, target);
    outcome.seconds = begin.elapsed().as_secs_f64();
    outcome
}

fn attempt(cache: &Cache, rust: &RustSrc, verb: Verb, target: Target<'_>) -> Outcome {
    let outcome = Outcome::new(verb, target);
    if let Some(reason) = rust.lacks(target.triple) {
        return outcome.not_run(&reason);
    }
    let program = match cross::build(cache, rust, target) {
        Ok(program) => program,
        Err(error) => return outcome.failed("it does not build", &format!("{error:#}")),
    };
    let obstacle = match verb {
        Verb::User => target.abi.obstacle(),
        Verb::Native if target.abi.is_native() => None,
        Verb::Native => Some("another machine's program"),
    };
    match (program, obstacle) {
        (Some(program), None) => match run(cache, verb, target, &program) {
            Ok(ran) => ran.into_outcome(outcome),
            Err(error) => outcome.failed(&format!("{error:#}"), ""),
        },
        (_, obstacle) => outcome.built(obstacle.unwrap_or("no linker")),
    }
}

/// A run that took place.
struct Ran {
    verdict: Result<Verdict, String>,
    traced: u32,
    complaints: Vec<String>,
    output: String,
}

fn run(cache: &Cache, verb: Verb, target: Target<'_>, program: &Path) -> Result<Ran> {
    let folder = target_folder()?.join("qemu").join(target.triple);
    let (out, log) = (folder.join("output"), folder.join("strace"));
    let mut command = match (verb, &target.abi.qemu) {
        (Verb::User, Some(qemu)) => {
            let mut command = Command::new(toolchain::qemu(cache)?.join(format!("qemu-{qemu}")));
            command.arg("-strace").arg("-D").arg(&log).arg(program);
            command
        }
        _ => Command::new(program),
    };
    command.args(ARGUMENTS).current_dir(&folder);
    fs::write(&log, "")?;
    let status = crate::command::bounded(&mut command, File::create(&out)?, LIMIT)?;
    let output = fs::read(&out).with_context(|| out.display().to_string())?;
    let output = String::from_utf8_lossy(&output).into_owned();
    let verdict = match status {
        Some(status) => Verdict::read(&output, status),
        None => Err(format!("it was still running after {LIMIT:?}")),
    };
    let (mut traced, mut complaints) = (0, Vec::new());
    if let (Verb::User, Ok(verdict)) = (verb, &verdict) {
        let log = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
        (traced, complaints) = trace::compare(target.abi, &log, &verdict.calls);
        if verdict.calls.is_empty() {
            complaints.push("it announced no call".to_owned());
        }
    }
    Ok(Ran {
        verdict,
        traced,
        complaints,
        output,
    })
}

impl Ran {
    fn into_outcome(self, mut outcome: Outcome) -> Outcome {
        match self.verdict {
            Err(why) => outcome.failed(&why, &self.output),
            Ok(verdict) => {
                outcome.passed = verdict.passed + self.traced;
                outcome.failed = verdict.failed + self.complaints.len() as u32;
                outcome.skipped = verdict.skipped;
                if outcome.failed == 0 {
                    return outcome;
                }
                let failed = self
                    .output
                    .lines()
                    .filter(|line| line.starts_with("FAILED"));
                let told = failed.map(str::to_owned).chain(self.complaints);
                let (count, told) = (outcome.failed, told.collect::<Vec<_>>().join("\n"));
                let mut outcome = outcome.failed("checks failed", &told);
                outcome.failed = count;
                outcome
            }
        }
    }
}
