//! `cargo qemu`: the conformance program on every Linux target of rustc.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{ErrorKind, Write as _, stdout};
use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::thread;

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};

mod boot;
mod cache;
mod command;
mod cross;
mod debian;
mod disk;
mod faults;
mod image;
mod initramfs;
mod kernel_build;
mod kernels;
mod machine;
mod modules;
mod readme;
mod report;
mod run;
mod rust_src;
mod targets;
mod toolchain;
mod trace;
mod verdict;

use cache::Cache;
use image::Image;
use report::{Outcome, Recorded, Results, Status, Verb};
use run::{Job, Manner};
use rust_src::RustSrc;
use targets::{Table, Target};

/// Builds the conformance program for Linux targets and runs it.
///
/// TARGET is a target of rustc, an ABI of `cargo qemu list`, or a pattern of
/// either with `*`. What is needed is fetched from Debian into target/cache,
/// once; DEBIAN_MIRROR replaces the mirror of apt's configuration, and
/// RUST_SRC (toolchain, rustup, debian, debian-web) forces one way to the
/// sources of Rust's library.
#[derive(Parser)]
#[command(name = "cargo qemu", bin_name = "cargo qemu")]
struct Cli {
    #[command(subcommand)]
    command: Verbs,
}

#[derive(Subcommand)]
enum Verbs {
    /// Every ABI: its targets, what runs it here, the last recorded result
    List {
        #[arg(long)]
        json: bool,
        /// The kernels that `cargo qemu kernel` boots
        #[arg(long, conflicts_with = "json")]
        kernels: bool,
    },
    /// Fetch what targets need; `headers`, the kernel's of every architecture;
    /// or `kernels`, and what boots them
    Setup { targets: Vec<String> },
    /// Run under QEMU's user mode, where AIO answers ENOSYS
    User(Run),
    /// Run on this machine's own kernel, where AIO works
    Native(Run),
    /// Boot kernels on emulated machines, with the program as the only process
    ///
    /// Without TARGETs, the first of every ABI that a kernel here runs.
    Kernel(Kernels),
    /// Boot kernels whose disk answers late (slow), with errors (failing), has
    /// no room (full), or loses its power (cut)
    Faults(Faults),
    /// Write the README's table of targets from qemu/results.json
    Readme {
        /// Fail if the table is another
        #[arg(long)]
        check: bool,
    },
    /// Print where a compiler and its library's sources are, for the shell
    Library,
    /// Print the path of Debian's rustc of a version that starts so
    Rustc { suite: String, version: String },
    /// Print the folder of QEMU's emulators
    Emulators,
}

#[derive(Args)]
struct Run {
    targets: Vec<String>,
    /// All targets of each ABI, not the first alone
    #[arg(long)]
    all: bool,
    /// An array with one object a target, and nothing else
    #[arg(long)]
    json: bool,
    /// Put the results into qemu/results.json
    #[arg(long)]
    record: bool,
    /// How many targets at a time
    #[arg(long, short, default_value_t = cores())]
    jobs: usize,
}

#[derive(Args)]
struct Kernels {
    #[command(flatten)]
    run: Run,
    /// On this kernel of `cargo qemu list --kernels` (or pattern with `*`) alone
    #[arg(long, value_name = "KERNEL")]
    on: Vec<String>,
    /// On the kernels that are built here from Debian's sources; minutes each
    #[arg(long)]
    build: bool,
    /// Also where nothing has changed since the last boot that passed
    #[arg(long)]
    again: bool,
    /// Leave the console's log, and tell where
    #[arg(long)]
    keep: bool,
    /// Not by emulation: where this machine's KVM can
    #[arg(long)]
    kvm: bool,
}

#[derive(Args)]
struct Faults {
    #[arg(value_name = "FAULT")]
    faults: Vec<String>,
    /// On this kernel (or pattern with `*`) alone
    #[arg(long, value_name = "KERNEL")]
    on: Vec<String>,
    /// An array with one object a run, and nothing else
    #[arg(long)]
    json: bool,
    /// How many at a time
    #[arg(long, short, default_value_t = cores())]
    jobs: usize,
    /// Leave the console's log, and tell where
    #[arg(long)]
    keep: bool,
    /// Not by emulation: where this machine's KVM can
    #[arg(long)]
    kvm: bool,
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("cargo qemu: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Verbs) -> Result<ExitCode> {
    let table = Table::load()?;
    command::end_together()?;
    match command {
        Verbs::List { json, kernels } => list(&table, json, kernels)?,
        Verbs::Setup { targets } => setup(&table, &targets)?,
        Verbs::User(options) => return run_all(&table, Verb::User, &options),
        Verbs::Native(options) => return run_all(&table, Verb::Native, &options),
        Verbs::Kernel(options) => return boot_all(&table, &options),
        Verbs::Faults(options) => return fail_all(&table, &options),
        Verbs::Readme { check } => readme::update(&table, &Results::load()?, check)?,
        Verbs::Library => {
            let RustSrc { compiler, library } = RustSrc::find(&Cache::open()?)?;
            println!(
                "library='{}' compiler='{}'",
                library.display(),
                compiler.display()
            );
        }
        Verbs::Rustc { suite, version } => {
            let (compiler, _) = rust_src::web_compiler(&Cache::open()?, &suite, &version, &[])?;
            println!("{}", compiler.display());
        }
        Verbs::Emulators => println!("{}", toolchain::qemu(&Cache::open()?)?.display()),
    }
    Ok(ExitCode::SUCCESS)
}

fn list(table: &Table, json: bool, kernels: bool) -> Result<()> {
    let results = Results::load()?;
    let text = if kernels {
        list_kernels(table, &results)?
    } else if json {
        list_json(table, &results)?
    } else {
        list_text(table, &results)?
    };
    match stdout().write_all(text.as_bytes()) {
        // Whoever reads has seen enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

fn list_kernels(table: &Table, results: &Results) -> Result<String> {
    let mut text = String::new();
    for kernel in table.kernels() {
        let of = |outcome: &&Outcome| outcome.machine.as_ref() == Some(&kernel.name);
        let ran: Vec<&Outcome> = results.targets.iter().filter(of).collect();
        let last = match ran.iter().find_map(|outcome| outcome.kernel.as_deref()) {
            Some(release) => format!("Linux {release}"),
            None => "never recorded".to_owned(),
        };
        let from = if kernel.is_built() {
            "built here"
        } else {
            "Debian's"
        };
        let (name, abis) = (&kernel.name, kernel.abis.join(" "));
        writeln!(text, "{name:15} {from:11} {last:38} {abis}")?;
    }
    Ok(text)
}

fn list_json(table: &Table, results: &Results) -> Result<String> {
    let row = |target: Target<'_>| {
        serde_json::json!({
            "target": target.triple,
            "arch": target.abi.arch,
            "abi": target.abi.name,
            "bits": target.abi.bits,
            "endian": target.abi.endian,
            "qemu": target.abi.qemu,
            "nightly": target.abi.nightly,
            "reason": target.abi.obstacle(),
            "user": results.of(target.triple, Verb::User),
            "native": results.of(target.triple, Verb::Native),
            "kernels": results.boots(target.triple).collect::<Vec<_>>(),
        })
    };
    let rows: Vec<_> = table.targets(true).into_iter().map(row).collect();
    Ok(serde_json::to_string_pretty(&rows)? + "\n")
}

fn list_text(table: &Table, results: &Results) -> Result<String> {
    let mut text = String::new();
    for target in table.targets(true) {
        // What proves most comes first.
        let mut last = [Verb::Kernel, Verb::Native, Verb::User]
            .iter()
            .filter_map(|&verb| results.of(target.triple, verb));
        let last = last.next().map_or("never recorded".to_owned(), |outcome| {
            match (outcome.result, outcome.run) {
                (Status::Passed, Verb::Native) => format!("{} natively", outcome.passed),
                (Status::Passed, Verb::Kernel) => {
                    let kernels = results.boots(target.triple).count();
                    format!("{} on {kernels}", outcome.passed)
                }
                (Status::Passed, _) => format!("{} passed", outcome.passed),
                (result, _) => result.name().to_owned(),
            }
        });
        let how = match (target.abi.obstacle(), &target.abi.qemu) {
            (None, Some(qemu)) => format!("qemu-{qemu}"),
            (obstacle, _) => obstacle.unwrap_or_default().to_owned(),
        };
        let (abi, triple) = (&target.abi.name, target.triple);
        writeln!(text, "{abi:17} {triple:38} {last:15} {how}")?;
    }
    let list = command::output(Command::new("rustc").args(["--print", "target-list"]))?;
    let (missing, unknown) = table.differences(&list);
    for target in missing {
        writeln!(text, "{target}: this rustc has it, and no row does")?;
    }
    for target in unknown {
        writeln!(text, "{target}: this rustc does not have it")?;
    }
    Ok(text)
}

fn setup(table: &Table, names: &[String]) -> Result<()> {
    let cache = Cache::open()?;
    let (words, names): (Vec<String>, Vec<String>) = names
        .iter()
        .cloned()
        .partition(|name| name == "headers" || name == "kernels");
    let asked = |word: &str| words.iter().any(|name| name == word);
    let targets = table.named(&names, true)?;
    let bar = ProgressBar::new_spinner();
    let fetch = |what: &str, path: Result<std::path::PathBuf>| -> Result<()> {
        let path = path?;
        bar.suspend(|| println!("{what}: {}", path.display()));
        Ok(())
    };
    bar.enable_steady_tick(std::time::Duration::from_millis(100));
    if asked("headers") {
        bar.set_message("the kernel's headers");
        fetch("headers", toolchain::headers(&cache))?;
    }
    if asked("kernels") {
        for kernel in table.kernels_named(&[], false)? {
            bar.set_message(kernel.name.clone());
            machine::Emulator::find(&cache, &kernel.emulator)?;
            fetch(&kernel.name, Image::find(&cache, kernel).map(|i| i.kernel))?;
        }
    }
    if !words.is_empty() && names.is_empty() {
        return Ok(());
    }
    bar.set_message("the sources of Rust's library");
    fetch("library", RustSrc::find(&cache).map(|rust| rust.library))?;
    bar.set_message("QEMU");
    fetch("emulators", toolchain::qemu(&cache))?;
    for name in [
        "x86_64", "aarch64", "riscv64", "ppc64", "s390x", "mips64el", "sparc64",
    ] {
        fetch(
            name,
            machine::Emulator::find(&cache, name).map(|e| e.command().get_program().into()),
        )?;
    }
    for target in targets {
        bar.set_message(target.triple.to_owned());
        if let targets::Linker::Gnu(prefix) = &target.abi.linker {
            let linker = toolchain::linker(&cache, target.abi)?;
            fetch(
                prefix,
                Ok(linker.map(|link| link.program).unwrap_or_default()),
            )?;
        }
    }
    bar.finish_and_clear();
    Ok(())
}

fn run_all(table: &Table, verb: Verb, options: &Run) -> Result<ExitCode> {
    let mut targets = table.named(&options.targets, options.all)?;
    if verb == Verb::Native && options.targets.is_empty() {
        targets.retain(|target| target.abi.is_native());
        if targets.is_empty() {
            bail!("no target is native on {}", std::env::consts::ARCH);
        }
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
    test(&cache, verb, &jobs, options, Manner::default())
}

/// Each kernel with every target that is meant and that it runs.
fn boot_all(table: &Table, options: &Kernels) -> Result<ExitCode> {
    let targets = table.named(&options.run.targets, options.run.all)?;
    let kernels = table.kernels_named(&options.on, options.build)?;
    let mut jobs = Vec::new();
    for kernel in &kernels {
        let runs = targets.iter().filter(|target| kernel.runs(target.abi));
        jobs.extend(runs.map(|&target| Job {
            verb: Verb::Kernel,
            target,
            kernel: Some(kernel),
            fault: None,
        }));
    }
    if !options.run.targets.is_empty() {
        let without = |target: &&Target<'_>| !kernels.iter().any(|k| k.runs(target.abi));
        jobs.extend(targets.iter().filter(without).map(|&target| Job {
            verb: Verb::Kernel,
            target,
            kernel: None,
            fault: None,
        }));
    }
    let manner = Manner {
        again: options.again,
        keep: options.keep,
        kvm: options.kvm,
    };
    test(&Cache::open()?, Verb::Kernel, &jobs, &options.run, manner)
}

/// Each fault on each kernel that they are tried on, with its first ABI.
fn fail_all(table: &Table, options: &Faults) -> Result<ExitCode> {
    let faults = faults::named(&options.faults)?;
    let kernels = table.kernels_named(&options.on, false)?;
    let targets = table.targets(false);
    let mut jobs = Vec::new();
    for kernel in kernels.into_iter().filter(|row| row.faults.is_some()) {
        let target = targets.iter().find(|target| kernel.runs(target.abi));
        let target = *target.with_context(|| format!("{} runs nothing", kernel.name))?;
        jobs.extend(faults.iter().map(|fault| Job {
            verb: Verb::Faults,
            target,
            kernel: Some(kernel),
            fault: Some(fault),
        }));
    }
    let run = Run {
        targets: Vec::new(),
        all: false,
        json: options.json,
        record: false,
        jobs: options.jobs,
    };
    let manner = Manner {
        again: true,
        keep: options.keep,
        kvm: options.kvm,
    };
    test(&Cache::open()?, Verb::Faults, &jobs, &run, manner)
}

fn test(
    cache: &Cache,
    verb: Verb,
    jobs: &[Job<'_>],
    options: &Run,
    manner: Manner,
) -> Result<ExitCode> {
    let rust = RustSrc::find(cache)?;
    let outcomes = side_by_side(cache, &rust, jobs, options, manner);
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
    // What was asked for by its name, and not by a pattern, has to run.
    let named = |outcome: &Outcome| {
        let mut names = options.targets.iter();
        names.any(|name| *name == outcome.target || *name == outcome.abi)
    };
    let unproven = outcomes.iter().filter(|outcome| {
        matches!(outcome.result, Status::Builds | Status::NotRun) && named(outcome)
    });
    let unproven = unproven
        .inspect(|outcome| eprintln!("{}: asked for by name and not run", outcome.target))
        .count();
    Ok(
        if any(Status::Failed) || !any(Status::Passed) || unproven > 0 {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        },
    )
}

/// Several targets at a time; each line is printed when its target is done.
fn side_by_side(
    cache: &Cache,
    rust: &RustSrc,
    jobs: &[Job<'_>],
    options: &Run,
    manner: Manner,
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
            let outcome = run::job(cache, rust, *job, manner);
            bar.inc(1);
            bar.suspend(|| match options.json {
                true => eprintln!("{}", outcome.show()),
                false => println!("{}", outcome.show()),
            });
            if let Ok(mut done) = done.lock() {
                done.push((index, outcome));
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..options.jobs.clamp(1, jobs.len().max(1)) {
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
            Verb::Native => format!("Linux {}", word(Command::new("uname").arg("-r"), 0)?),
        },
    };
    let mut results = Results::load()?;
    results.merge(outcomes, &recorded);
    results.save()
}
