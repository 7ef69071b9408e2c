//! `cargo qemu`: runs the conformance program on every Linux target of rustc, and on
//! every available kernel for it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{ExitCode, Stdio};

use anyhow::{Result, bail};
use clap::{Args, Parser, Subcommand};
use indicatif::ProgressBar;

mod boot;
mod cache;
mod clock;
mod command;
mod conformance;
mod cross;
mod debian;
mod disk;
mod faults;
mod gvisor;
mod host_kernel;
mod image;
mod init;
mod initramfs;
mod jobs;
mod kernel_arch;
mod kernel_build;
mod kernel_log;
mod kernels;
mod list;
mod m68k;
mod machine;
mod modules;
mod numbers_page;
mod picture;
mod readme;
mod report;
mod rust_src;
mod targets;
mod test_report;
mod toolchain;
mod trace;
mod uml;
mod workplace;

use cache::Cache;
use conformance::BootOptions;
use image::Image;
use report::{Results, Verb};
use rust_src::RustSrc;
use targets::{Table, Target};

/// Builds the conformance program for Linux targets and runs it, emulated, on real
/// kernels, or natively.
///
/// TARGET is a target of rustc, an ABI of `cargo qemu list`, or a pattern of either
/// with `*`. Required packages are fetched from Debian into target/cache, once;
/// DEBIAN_MIRROR replaces the mirror of apt's configuration, and RUST_SRC (toolchain,
/// rustup, debian, debian-web) forces one way to obtain the sources of Rust's library, and
/// the use of these where rustup has a built one.
#[derive(Parser)]
#[command(name = "cargo qemu", bin_name = "cargo qemu")]
struct Cli {
    #[command(subcommand)]
    command: Verbs,
}

#[derive(Subcommand)]
enum Verbs {
    /// List every ABI: its targets, how it runs here, and the last recorded result
    List {
        #[arg(long)]
        json: bool,
        /// List the kernels that `cargo qemu kernel` boots
        #[arg(long, conflicts_with = "json")]
        kernels: bool,
    },
    /// Fetch the packages that targets need; for `headers`, the kernel headers of every
    /// architecture; for `kernels`, all kernels and the emulators that boot them
    Setup { targets: Vec<String> },
    /// Run under QEMU's user mode, where AIO returns ENOSYS
    User(User),
    /// Run on this machine's own kernel, where AIO works
    Native(Run),
    /// Run on User-Mode Linux, a kernel that is a process of this machine
    ///
    /// This is the fastest verdict of a real kernel, with a disk; for x86_64 on x86_64.
    Uml(Kept),
    /// Run in gVisor, a replacement of the kernel that has part of AIO
    ///
    /// For x86_64 on x86_64, where user namespaces and ptrace are permitted.
    Gvisor(Kept),
    /// Boot kernels on emulated machines, with the program as the only process
    ///
    /// Without TARGETs, boots with the first target of every ABI that a kernel here
    /// runs.
    Kernel(Kernels),
    /// Boot kernels with a disk that completes late (slow), returns errors (failing),
    /// has no space (full), or loses its power (cut)
    ///
    /// Runs on every listed kernel that has the modules for it, if it runs one of the
    /// TARGETs.
    Faults(Faults),
    /// Boot kernels with the program `init` of examples/static as the first process
    ///
    /// It copies an image to the disk, which is compared afterwards.
    Init(init::Init),
    /// Write the generated parts of README.md and docs/: the table of targets from
    /// qemu/results.json, the system call numbers, and the pictures
    Readme {
        /// Fail if one differs
        #[arg(long)]
        check: bool,
    },
    /// Print the paths of a compiler and its library's sources, for the shell
    Library,
    /// Print a folder for rustc's `--sysroot`, with the library of these targets as rustup
    /// distributes it, and with a `rustc` that uses it
    Sysroot { targets: Vec<String> },
    /// Print the path of Debian's rustc of a version that starts with VERSION
    Rustc { suite: String, version: String },
    /// Print the folder of QEMU's emulators
    Emulators,
    /// Print the folder that Debian's source of a package is unpacked in
    Source { suite: String, package: String },
    /// Print the folder that Debian's packages of an architecture are unpacked in
    Package {
        suite: String,
        arch: String,
        #[arg(required = true)]
        packages: Vec<String>,
    },
    /// Print a folder with this machine's Debian packages of a suite and all that they
    /// depend on, to be entered with chroot
    Root {
        suite: String,
        #[arg(required = true)]
        packages: Vec<String>,
    },
    /// Boot a kernel with a folder as the initial file system, and print its console
    ///
    /// The folder contains programs, `init` among them.
    Boot { kernel: String, folder: PathBuf },
    /// Link as rustc's linker for m68k
    #[command(hide = true)]
    Link(m68k::Link),
}

#[derive(Args)]
struct Run {
    targets: Vec<String>,
    /// Run all targets of each ABI instead of only the first
    #[arg(long)]
    all: bool,
    /// Print only an array with one object per target
    #[arg(long)]
    json: bool,
    /// Write the results into qemu/results.json
    #[arg(long, conflicts_with = "quick")]
    record: bool,
    /// Build without optimisation, in a quarter of the time
    #[arg(long)]
    quick: bool,
    /// The number of parallel runs (default: one for each processor, and one more
    /// under user mode, as one may download; or two emulated machines for each, which
    /// often wait)
    #[arg(long, short)]
    jobs: Option<usize>,
}

#[derive(Args)]
struct User {
    #[command(flatten)]
    run: Run,
    /// Run the ABIs that are marked as `short` in qemu/targets.toml, as if named
    #[arg(long, conflicts_with = "targets")]
    short: bool,
}

#[derive(Args)]
struct Kept {
    #[command(flatten)]
    run: Run,
    /// Keep the output, and print its path
    #[arg(long)]
    keep: bool,
}

#[derive(Args)]
struct Kernels {
    #[command(flatten)]
    run: Run,
    /// Run only on this kernel of `cargo qemu list --kernels` (or pattern with `*`)
    #[arg(long, value_name = "KERNEL")]
    on: Vec<String>,
    /// Run on the kernels that are built here from Debian's sources; each takes minutes
    #[arg(long)]
    build: bool,
    /// Run even if nothing has changed since the last boot that passed
    #[arg(long)]
    again: bool,
    /// Keep the console's log, and print its path
    #[arg(long)]
    keep: bool,
    /// Use this machine's KVM where possible, instead of emulation
    #[arg(long)]
    kvm: bool,
}

#[derive(Args)]
struct Faults {
    /// The targets (default: the first of each kernel)
    targets: Vec<String>,
    /// Run all targets of each ABI instead of only the first
    #[arg(long)]
    all: bool,
    /// Run only this fault: slow, failing, full or cut
    #[arg(long, value_name = "FAULT")]
    only: Vec<String>,
    /// Run only on this kernel (or pattern with `*`)
    #[arg(long, value_name = "KERNEL")]
    on: Vec<String>,
    /// Print only an array with one object per run
    #[arg(long)]
    json: bool,
    /// The number of parallel runs (default: two for each processor, as they often
    /// wait)
    #[arg(long, short)]
    jobs: Option<usize>,
    /// Keep the console's log, and print its path
    #[arg(long)]
    keep: bool,
    /// Use this machine's KVM where possible, instead of emulation
    #[arg(long)]
    kvm: bool,
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
        Verbs::List { json, kernels } => list::list(&table, json, kernels)?,
        Verbs::Setup { targets } => setup(&table, &targets)?,
        Verbs::User(User { mut run, short }) => {
            if short {
                run.targets = table.short();
            }
            return jobs::run_all(&table, Verb::User, &run, BootOptions::default());
        }
        Verbs::Native(options) => {
            return jobs::run_all(&table, Verb::Native, &options, BootOptions::default());
        }
        Verbs::Uml(options) => return keeping(&table, Verb::Uml, &options),
        Verbs::Gvisor(options) => return keeping(&table, Verb::Gvisor, &options),
        Verbs::Kernel(options) => return jobs::boot_all(&table, &options),
        Verbs::Faults(options) => return jobs::fail_all(&table, &options),
        Verbs::Init(options) => return init::boot_all(&table, &options),
        Verbs::Readme { check } => readme::update(&table, &Results::load()?, check)?,
        Verbs::Library => {
            let RustSrc {
                compiler, library, ..
            } = RustSrc::find(&Cache::open()?)?;
            println!(
                "library='{}' compiler='{}'",
                library.display(),
                compiler.display()
            );
        }
        Verbs::Sysroot { targets } => {
            println!(
                "{}",
                rust_src::sysroot(&Cache::open()?, &targets)?.display()
            );
        }
        Verbs::Rustc { suite, version } => {
            let (compiler, _) = rust_src::web_compiler(&Cache::open()?, &suite, &version, &[])?;
            println!("{}", compiler.display());
        }
        Verbs::Link(link) => m68k::link(&link)?,
        Verbs::Source { suite, package } => {
            let source = toolchain::source(&Cache::open()?, &suite, &package)?;
            println!("{}", source.display());
        }
        Verbs::Package {
            suite,
            arch,
            packages,
        } => {
            let folder = toolchain::packages(&Cache::open()?, &suite, &arch, &packages)?;
            println!("{}", folder.display());
        }
        Verbs::Root { suite, packages } => {
            let folder = toolchain::root(&Cache::open()?, &suite, &packages)?;
            println!("{}", folder.display());
        }
        Verbs::Boot {
            kernel,
            folder: tree,
        } => {
            let kernels = table.kernels_named(&[kernel], false)?;
            let [kernel] = kernels[..] else {
                bail!("one kernel is booted at a time");
            };
            let cache = Cache::open()?;
            let folder = cache::target_folder()?.join("qemu-boot").join(&kernel.name);
            let machine = boot::Machine::new(&cache, kernel, false, &folder)?;
            let initramfs = machine.folder().join("initramfs");
            std::fs::write(&initramfs, initramfs::packed(&tree)?)?;
            let mut qemu = machine.command(&initramfs);
            if machine.device().is_some() {
                let disk = machine.folder().join("empty");
                std::fs::File::create(&disk)?.set_len(64 << 20)?;
                let backend = format!("file={},format=raw", disk.display());
                qemu.arg("-drive").arg(machine.drive(&backend));
            }
            let status = qemu.stdin(Stdio::null()).status()?;
            if !status.success() {
                bail!("the emulator: {status}");
            }
        }
        Verbs::Emulators => println!("{}", toolchain::qemu(&Cache::open()?)?.display()),
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs with the option to keep the output.
fn keeping(table: &Table, verb: Verb, options: &Kept) -> Result<ExitCode> {
    let boot = BootOptions {
        keep: options.keep,
        ..BootOptions::default()
    };
    jobs::run_all(table, verb, &options.run, boot)
}

fn setup(table: &Table, names: &[String]) -> Result<()> {
    let cache = Cache::open()?;
    let (words, names): (Vec<String>, Vec<String>) = names
        .iter()
        .cloned()
        .partition(|name| name == "headers" || name == "kernels");
    let selects = |word: &str| words.iter().any(|name| name == word);
    let targets = table.named(&names, true)?;
    let bar = ProgressBar::new_spinner();
    let fetch = |what: &str, path: Result<std::path::PathBuf>| -> Result<()> {
        let path = path?;
        bar.suspend(|| println!("{what}: {}", path.display()));
        Ok(())
    };
    bar.enable_steady_tick(std::time::Duration::from_millis(100));
    if selects("headers") {
        bar.set_message("the kernel's headers");
        fetch("headers", toolchain::headers(&cache))?;
    }
    if selects("kernels") {
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
    let emulators: BTreeSet<&str> = table
        .kernels()
        .iter()
        .map(|kernel| kernel.emulator.as_str())
        .collect();
    for name in emulators {
        fetch(
            name,
            machine::Emulator::find(&cache, name).map(|e| e.command().get_program().into()),
        )?;
    }
    for verb in [Verb::Uml, Verb::Gvisor] {
        let kernel = verb.host_kernel().unwrap_or_default();
        let runs = |target: &Target<'_>| host_kernel::obstacle(kernel, target.abi).is_none();
        if !targets.iter().any(runs) {
            continue;
        }
        bar.set_message(kernel);
        let found = match verb {
            Verb::Uml => uml::Uml::find(&cache).map(|uml| uml.folder),
            _ => gvisor::Gvisor::find(&cache).map(|it| it.program),
        };
        fetch(verb.name(), found)?;
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
