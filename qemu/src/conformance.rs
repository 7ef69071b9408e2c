//! Runs the conformance program: in an emulator, on this machine's kernel, or on a
//! kernel that is booted for it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::boot::{self, Machine};
use crate::cache::{Cache, target_folder};
use crate::cross::{self, Effort};
use crate::faults::{Fault, Programs};
use crate::gvisor::Gvisor;
use crate::kernels::Kernel;
use crate::report::{Outcome, Verb};
use crate::rust_src::RustSrc;
use crate::targets::Target;
use crate::test_report::TestReport;
use crate::toolchain;
use crate::trace;
use crate::uml::Uml;
use crate::workplace::Workplace;

/// The time limit of a run, measured by the program's [`Clock`](crate::clock::Clock).
/// No run takes a second.
const LIMIT: Duration = Duration::from_secs(60);

/// The arguments that the program checks for.
pub(crate) const ARGUMENTS: [&str; 3] = ["one", "two words", ""];

/// A job: the program for a target, and the kernel to boot.
#[derive(Clone, Copy)]
pub(crate) struct Job<'a> {
    pub(crate) verb: Verb,
    pub(crate) target: Target<'a>,
    pub(crate) kernel: Option<&'a Kernel>,
    pub(crate) fault: Option<&'a Fault>,
}

/// The options for building programs and booting kernels.
#[derive(Clone, Copy, Default)]
pub(crate) struct BootOptions {
    pub(crate) effort: Effort,
    /// Boots even if nothing has changed.
    pub(crate) again: bool,
    /// Keeps the console's log.
    pub(crate) keep: bool,
    pub(crate) kvm: bool,
}

/// Builds and runs a job. An error becomes its outcome.
pub(crate) fn job(cache: &Cache, rust: &RustSrc, job: Job<'_>, options: BootOptions) -> Outcome {
    let begin = Instant::now();
    let mut outcome = attempt(cache, rust, job, options);
    outcome.seconds = begin.elapsed().as_secs_f64();
    outcome
}

fn attempt(cache: &Cache, rust: &RustSrc, job: Job<'_>, options: BootOptions) -> Outcome {
    let target = job.target;
    let mut outcome = Outcome::new(job.verb, target);
    outcome.machine = job.kernel.map(|kernel| kernel.name.clone());
    outcome.fault = job.fault.map(|fault| fault.name.to_owned());
    if let Some(reason) = rust.lacks(target.triple) {
        return outcome.not_run(&reason);
    }
    let obstacle = match (job.verb, job.kernel) {
        (Verb::User, _) => target.abi.obstacle(),
        (Verb::Native, _) if target.abi.is_native() => None,
        (Verb::Native, _) => Some("another machine's program"),
        (Verb::Kernel | Verb::Faults, Some(_)) | (Verb::Uml | Verb::Gvisor, _) => None,
        (Verb::Kernel | Verb::Faults, None) => Some("no stock kernel runs it; --build may"),
    };
    // A program that only the user mode runs is not built with the checks for a kernel.
    let kernel = job.verb != Verb::User || obstacle.is_some() || target.abi.has_kernel;
    let program = match cross::build(cache, rust, target, kernel, options.effort) {
        Ok(program) => program,
        Err(error) => return outcome.failed("it does not build", &format!("{error:#}")),
    };
    let (Some(program), None) = (program, obstacle) else {
        return outcome.built(obstacle.unwrap_or("no linker"));
    };
    let ran = match (job.kernel, job.fault) {
        (Some(kernel), Some(fault)) => cross::build_aio(cache, rust, target).and_then(|aio| {
            let programs = Programs {
                guest: program,
                aio,
            };
            fail(cache, target, kernel, fault, &programs, options)
        }),
        (Some(kernel), None) => boot(cache, target, kernel, &program, options),
        _ if job.verb == Verb::Uml => {
            Uml::find(cache).and_then(|uml| uml.run(target, &program, options.keep))
        }
        _ if job.verb == Verb::Gvisor => {
            Gvisor::find(cache).and_then(|gvisor| gvisor.run(target, &program, options.keep))
        }
        _ => run(cache, job.verb, target, &program),
    };
    match ran {
        Ok(ran) => ran.into_outcome(outcome),
        Err(error) => outcome.failed(&format!("{error:#}"), ""),
    }
}

fn boot(
    cache: &Cache,
    target: Target<'_>,
    kernel: &Kernel,
    program: &Path,
    options: BootOptions,
) -> Result<Ran> {
    let folder = target_folder()?.join("qemu/boot").join(&kernel.name);
    let machine = Machine::new(cache, kernel, options.kvm, &folder.join(target.triple))?;
    let booted = boot::conformance(&machine, program, options.again)?;
    let passed = booted.verdict.as_ref().is_ok_and(|v| v.failed == 0);
    Ok(Ran {
        verdict: booted.verdict,
        traced: 0,
        complaints: Vec::new(),
        output: booted.output,
        cached: booted.cached,
        log: log(machine.console(), passed && !options.keep)?,
    })
}

/// Returns the console's log, or removes it after a success.
fn log(path: PathBuf, remove: bool) -> Result<Option<PathBuf>> {
    if remove && path.exists() {
        fs::remove_file(&path)?;
    }
    Ok(path.exists().then_some(path))
}

/// Boots with a faulty disk.
fn fail(
    cache: &Cache,
    target: Target<'_>,
    kernel: &Kernel,
    fault: &Fault,
    programs: &Programs,
    options: BootOptions,
) -> Result<Ran> {
    let folder = target_folder()?.join("qemu/faults").join(&kernel.name);
    let folder = folder.join(target.triple).join(fault.name);
    let machine = Machine::new(cache, kernel, options.kvm, &folder)?;
    let verdict = fault.run(&machine, programs)?;
    let output = match &verdict {
        Ok(_) => machine.shown()?.program,
        Err(_) => machine.said()?,
    };
    let passed = verdict.as_ref().is_ok_and(|v| v.failed == 0);
    let log = log(machine.console(), passed && !options.keep)?;
    Ok(Ran::of_kernel(verdict, output, log))
}

/// A completed run.
pub(crate) struct Ran {
    verdict: Result<TestReport, String>,
    traced: u32,
    complaints: Vec<String>,
    output: String,
    cached: bool,
    log: Option<PathBuf>,
}

fn run(cache: &Cache, verb: Verb, target: Target<'_>, program: &Path) -> Result<Ran> {
    let here = Workplace::enter(&target_folder()?.join("qemu").join(target.triple))?;
    let folder = &here.folder;
    let (out, log) = (folder.join("output"), folder.join("strace"));
    let mut command = match (verb, &target.abi.qemu) {
        (Verb::User, Some(qemu)) => {
            let mut command = Command::new(toolchain::qemu(cache)?.join(format!("qemu-{qemu}")));
            if let Some(cpu) = &target.abi.cpu {
                command.args(["-cpu", cpu]);
            }
            command.arg("-strace").arg("-D").arg(&log).arg(program);
            command
        }
        _ => Command::new(program),
    };
    command.args(ARGUMENTS).current_dir(folder);
    fs::write(&log, "")?;
    let status = crate::command::bounded(&mut command, File::create(&out)?, LIMIT)?;
    let output = fs::read(&out).with_context(|| out.display().to_string())?;
    let output = String::from_utf8_lossy(&output).into_owned();
    let verdict = match status {
        Some(status) => TestReport::read(&output, Some(status)),
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
        cached: false,
        log: None,
    })
}

impl Ran {
    /// Returns the result of a boot, in which no system calls are traced.
    pub(crate) fn of_kernel(
        verdict: Result<TestReport, String>,
        output: String,
        log: Option<PathBuf>,
    ) -> Ran {
        Ran {
            verdict,
            traced: 0,
            complaints: Vec::new(),
            output,
            cached: false,
            log,
        }
    }

    fn into_outcome(mut self, mut outcome: Outcome) -> Outcome {
        outcome.log = self.log.take();
        let failed = self
            .output
            .lines()
            .filter(|line| line.starts_with("FAILED"));
        let failed = failed.map(str::to_owned);
        match self.verdict {
            Err(why) => {
                // For a failure, the end of the output is printed.
                let failed: Vec<String> = failed.collect();
                let output = match failed.len() {
                    0 => self.output,
                    _ => format!(
                        "{}\nchecks failed before:\n{}",
                        self.output.trim_end(),
                        failed.join("\n")
                    ),
                };
                outcome.failed(&why, &output)
            }
            Ok(verdict) => {
                outcome.kernel = verdict.kernel;
                outcome.reason = verdict.note;
                outcome.cached = self.cached;
                outcome.passed = verdict.passed + self.traced;
                outcome.failed = verdict.failed + self.complaints.len() as u32;
                outcome.skipped = verdict.skipped;
                if outcome.failed == 0 {
                    return outcome;
                }
                let output = failed.chain(self.complaints);
                let (count, output) = (outcome.failed, output.collect::<Vec<_>>().join("\n"));
                let mut outcome = outcome.failed("checks failed", &output);
                outcome.failed = count;
                outcome
            }
        }
    }
}
