//! The jobs of each subcommand: run several at a time, and added up.

use std::collections::VecDeque;
use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::thread;

use anyhow::{Result, bail};
use indicatif::{ProgressBar, ProgressStyle};

use crate::cache::Cache;
use crate::conformance::{self, BootOptions, Job};
use crate::cross::Effort;
use crate::gvisor::Gvisor;
use crate::host_kernel;
use crate::report::{self, Outcome, Recorded, Results, Status, Verb};
use crate::rust_src::RustSrc;
use crate::targets::{Table, Target};
use crate::uml::Uml;
use crate::{Faults, Kernels, Run, command, faults, machine, toolchain};

pub(crate) fn run_all(
    table: &Table,
    verb: Verb,
    options: &Run,
    boot: BootOptions,
) -> Result<ExitCode> {
    let mut targets = table.named(&options.targets, options.all)?;
    if verb == Verb::Native && options.targets.is_empty() {
        targets.retain(|target| target.abi.is_native());
        if targets.is_empty() {
            bail!("no target is native on {}", std::env::consts::ARCH);
        }
    }
    if let Some(kernel) = verb.host_kernel() {
        targets = host_kernel::targets(kernel, targets, !options.targets.is_empty())?;
    }
    let kernel = None;
    let jobs: Vec<Job<'_>> = targets
        .into_iter()
        .map(|target| Job {
            verb,
            target,
            kernel,
            fault: None,
        })
        .collect();
    let cache = Cache::open()?;
    if verb == Verb::User {
        toolchain::qemu(&cache)?;
    }
    test(&cache, verb, &jobs, options, boot)
}

/// Boots each kernel with every requested target that it runs.
pub(crate) fn boot_all(table: &Table, options: &Kernels) -> Result<ExitCode> {
    let targets = table.named(&options.run.targets, options.run.all)?;
    let kernels = table.kernels_named(&options.on, options.build)?;
    let mut jobs = Vec::new();
    for kernel in &kernels {
        let runs = targets
            .iter()
            .filter(|target| kernel.runs(&target.abi.name));
        jobs.extend(runs.map(|&target| Job {
            verb: Verb::Kernel,
            target,
            kernel: Some(kernel),
            fault: None,
        }));
    }
    if !options.run.targets.is_empty() {
        let without = |target: &&Target<'_>| !kernels.iter().any(|k| k.runs(&target.abi.name));
        jobs.extend(targets.iter().filter(without).map(|&target| Job {
            verb: Verb::Kernel,
            target,
            kernel: None,
            fault: None,
        }));
    }
    let boot = BootOptions {
        // A recorded result is from a boot at that time.
        again: options.again || options.run.record,
        keep: options.keep,
        kvm: options.kvm,
        ..BootOptions::default()
    };
    test(&Cache::open()?, Verb::Kernel, &jobs, &options.run, boot)
}

/// Runs each fault on each kernel that supports it, with every requested target that
/// the kernel runs. Without targets, runs the kernel's first.
pub(crate) fn fail_all(table: &Table, options: &Faults) -> Result<ExitCode> {
    let faults = faults::named(&options.only)?;
    let mut kernels = table.kernels_named(&options.on, false)?;
    kernels.retain(|kernel| kernel.faults.is_some());
    let mut jobs = Vec::new();
    for (kernel, target) in faults::pairs(table, &kernels, &options.targets, options.all)? {
        jobs.extend(faults.iter().map(|fault| Job {
            verb: Verb::Faults,
            target,
            kernel: Some(kernel),
            fault: Some(fault),
        }));
    }
    let run = Run {
        targets: options.targets.clone(),
        all: options.all,
        json: options.json,
        record: false,
        quick: false,
        jobs: options.jobs,
    };
    let boot = BootOptions {
        again: true,
        keep: options.keep,
        kvm: options.kvm,
        ..BootOptions::default()
    };
    test(&Cache::open()?, Verb::Faults, &jobs, &run, boot)
}

fn test(
    cache: &Cache,
    verb: Verb,
    jobs: &[Job<'_>],
    options: &Run,
    mut boot: BootOptions,
) -> Result<ExitCode> {
    if options.quick || matches!(verb, Verb::Uml | Verb::Gvisor) {
        boot.effort = Effort::Quick;
    }
    let at_once = options.jobs.unwrap_or(match verb {
        Verb::Kernel | Verb::Faults => 2 * cores(),
        // One of them may wait for a download.
        Verb::User => cores() + 1,
        _ => cores(),
    });
    let rust = RustSrc::find(cache)?;
    let outcomes = side_by_side(cache, &rust, jobs, at_once, options.json, boot);
    if options.record {
        record(cache, &rust, verb, &outcomes)?;
    }
    if options.json {
        println!("{}", serde_json::to_string_pretty(&outcomes)?);
    } else {
        let of = |status| outcomes.iter().filter(|o| o.result == status).count();
        println!(
            "targets: {} passed, {} failed, {} built and not run, {} not built",
            of(Status::Passed),
            of(Status::Failed),
            of(Status::Builds),
            of(Status::NotRun)
        );
        println!("{}", report::sum(&outcomes));
    }
    let any = |status| outcomes.iter().any(|outcome| outcome.result == status);
    // A target that was requested by its exact name, and not by a pattern, must run.
    let named = |outcome: &Outcome| {
        let mut names = options.targets.iter();
        names.any(|name| *name == outcome.target || *name == outcome.abi)
    };
    let unproven = outcomes.iter().filter(|outcome| {
        matches!(outcome.result, Status::Builds | Status::NotRun) && named(outcome)
    });
    let unproven = unproven
        .inspect(|outcome| eprintln!("{}: selected by name and not run", outcome.target))
        .count();
    Ok(
        if any(Status::Failed) || !any(Status::Passed) || unproven > 0 {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        },
    )
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Runs several targets at a time. Prints each line when its target has completed.
fn side_by_side(
    cache: &Cache,
    rust: &RustSrc,
    jobs: &[Job<'_>],
    at_once: usize,
    json: bool,
    boot: BootOptions,
) -> Vec<Outcome> {
    let bar = ProgressBar::new(jobs.len() as u64);
    let style = ProgressStyle::with_template("[{elapsed}] {bar:30} {pos}/{len} {msg}");
    bar.set_style(style.unwrap_or(ProgressStyle::default_bar()));
    let queue = Mutex::new(jobs.iter().enumerate().collect::<VecDeque<_>>());
    let done = Mutex::new(Vec::new());
    let next = || queue.lock().ok()?.pop_front();
    let work = || {
        while let Some((index, job)) = next() {
            let kernel = job.kernel.map_or("", |kernel| kernel.name.as_str());
            bar.set_message(format!("{} {kernel}", job.target.triple));
            let outcome = conformance::job(cache, rust, *job, boot);
            bar.inc(1);
            bar.suspend(|| match json {
                true => eprintln!("{}", outcome.show()),
                false => println!("{}", outcome.show()),
            });
            if let Ok(mut done) = done.lock() {
                done.push((index, outcome));
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..at_once.clamp(1, jobs.len().max(1)) {
            scope.spawn(work);
        }
    });
    bar.finish_and_clear();
    let mut outcomes = done.into_inner().unwrap_or_default();
    outcomes.sort_by_key(|&(index, _)| index);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

fn record(cache: &Cache, rust: &RustSrc, verb: Verb, outcomes: &[Outcome]) -> Result<()> {
    let word = |program: &mut Command, index| -> Result<String> {
        let text = command::output(program)?;
        let word = text.split_whitespace().nth(index);
        Ok(word.unwrap_or_default().to_owned())
    };
    let recorded = Recorded {
        date: word(Command::new("date").args(["-u", "+%Y-%m-%d"]), 0)?,
        rustc: word(Command::new(&rust.compiler).arg("-V"), 1)?,
        by: match verb {
            Verb::User => {
                let mut emulator = Command::new(toolchain::qemu(cache)?.join("qemu-s390x"));
                format!("QEMU {}", toolchain::qemu_version(&mut emulator)?)
            }
            Verb::Kernel | Verb::Faults => {
                let mut emulator = machine::Emulator::find(cache, "x86_64")?.command();
                format!("QEMU {}", toolchain::qemu_version(&mut emulator)?)
            }
            Verb::Uml => format!("User-Mode Linux {}", Uml::find(cache)?.version()?),
            Verb::Gvisor => format!("gVisor {}", Gvisor::find(cache)?.version()?),
            Verb::Native => format!("Linux {}", word(Command::new("uname").arg("-r"), 0)?),
        },
    };
    let mut results = Results::load()?;
    results.merge(outcomes, &recorded);
    results.save()
}
