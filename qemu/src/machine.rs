//! QEMU's full-system emulators, unpacked from Debian with the libraries that this
//! machine lacks.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};

use crate::cache::Cache;
use crate::debian::Suite;

/// Returns the Debian package of an emulator; each package has some architectures.
fn package(emulator: &str) -> &'static str {
    match emulator {
        "x86_64" | "i386" => "qemu-system-x86",
        "arm" | "aarch64" => "qemu-system-arm",
        "mips" | "mipsel" | "mips64" | "mips64el" => "qemu-system-mips",
        "ppc" | "ppc64" => "qemu-system-ppc",
        "sparc" | "sparc64" => "qemu-system-sparc",
        "s390x" => "qemu-system-s390x",
        _ => "qemu-system-misc",
    }
}

/// An emulator without the description of a machine.
pub(crate) struct Emulator {
    program: PathBuf,
    root: PathBuf,
}

impl Emulator {
    /// Finds an emulator, with `name` as in `qemu-system-NAME`.
    pub(crate) fn find(cache: &Cache, name: &str) -> Result<Emulator> {
        let package = package(name);
        let root = cache.entry(package, |folder| {
            let mut complaints = String::new();
            for suites in suites()? {
                let unpacked = Suite::open(cache, &suites).and_then(|suites| {
                    let mut packages = suites.with_dependencies(package)?;
                    if packages.iter().all(|one| !one.starts_with(package)) {
                        // The package is already installed on this machine.
                        packages.push(package.to_owned());
                    }
                    suites.unpack(&packages, folder)
                });
                match unpacked {
                    Ok(()) => return Ok(()),
                    Err(error) => complaints += &format!("\n{error:#}"),
                }
            }
            bail!("no suite has it:{complaints}")
        })?;
        let program = root.join("usr/bin").join(format!("qemu-system-{name}"));
        if !program.exists() {
            bail!("{package} has no {}", program.display());
        }
        Ok(Emulator { program, root })
    }

    pub(crate) fn command(&self) -> Command {
        let libraries = format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH);
        let libraries = ["lib".to_owned() + &libraries[7..], libraries];
        let libraries = libraries.map(|path| self.root.join(path).display().to_string());
        let mut command = Command::new(&self.program);
        command.env("LD_LIBRARY_PATH", libraries.join(":"));
        // Firmware from packages that this machine has installed is not in the tree.
        // QEMU searches its own folders first, and then these.
        for folder in ["qemu", "seabios", "opensbi"] {
            let tree = self.root.join("usr/share").join(folder);
            command.arg("-L").arg(tree);
            command.arg("-L").arg(format!("/usr/share/{folder}"));
        }
        command
    }
}

/// Returns the suites of the machine's own release, which the emulators are linked
/// against. The backports come first, as they are newer.
fn suites() -> Result<Vec<String>> {
    let release = fs::read_to_string("/etc/os-release")?;
    let name = release
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    Ok(match name.map(|name| name.trim_matches('"')) {
        Some(name) => vec![
            format!("{name}-backports+{name}+{name}-security"),
            format!("{name}+{name}-security"),
            name.to_owned(),
        ],
        None => bail!("/etc/os-release names no release of Debian"),
    })
}
