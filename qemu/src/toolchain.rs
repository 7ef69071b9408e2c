//! The programs that a target needs besides the compiler: an emulator, and for some a
//! GNU linker. All come from Debian, and are unpacked in the cache.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::cache::Cache;
use crate::command::{output, write_script};
use crate::debian::Suite;
use crate::m68k;
use crate::rust_src::RustSrc;
use crate::targets::{Abi, Linker};

/// The suites with user-mode emulators, the newest first. The emulators are statically
/// linked since QEMU 10, and so run on any machine.
const QEMU_SUITES: [&str; 3] = ["trixie-backports", "bookworm-backports", "sid"];

/// Returns the folder of `qemu-ARCH`.
pub(crate) fn qemu(cache: &Cache) -> Result<PathBuf> {
    let entry = cache.entry("qemu-user", |folder| {
        let mut complaints = String::new();
        for suite in QEMU_SUITES {
            let unpacked = Suite::open(cache, suite)
                .and_then(|suite| suite.unpack(&["qemu-user".to_owned()], folder));
            match unpacked {
                Ok(()) => return Ok(()),
                Err(error) => complaints += &format!("\n{error:#}"),
            }
        }
        bail!("no suite has it:{complaints}")
    })?;
    Ok(entry.join("usr/bin"))
}

/// Returns the version that an emulator reports: "11.1.3".
pub(crate) fn qemu_version(emulator: &mut Command) -> Result<String> {
    let output = output(emulator.arg("--version"))?;
    let version = output.split_once(" version ").map_or("", |(_, rest)| rest);
    let version = version.split_whitespace().next();
    Ok(version.context("QEMU reports no version")?.to_owned())
}

/// Returns the kernel headers of every architecture.
pub(crate) fn headers(cache: &Cache) -> Result<PathBuf> {
    cache.entry("linux-libc-dev", |folder| {
        Suite::open(cache, "trixie")?.unpack(&["linux-libc-dev".to_owned()], folder)
    })
}

/// Returns the source of a package, with Debian's patches.
pub(crate) fn source(cache: &Cache, suite: &str, package: &str) -> Result<PathBuf> {
    let entry = cache.entry(&format!("{package}-source-{suite}"), |folder| {
        Suite::sources(cache, suite)?.source(package, folder)
    })?;
    let mut inside = fs::read_dir(&entry)?.filter_map(|inside| Some(inside.ok()?.path()));
    let unpacked = inside.find(|path| path.is_dir());
    unpacked.with_context(|| format!("nothing is unpacked in {}", entry.display()))
}

/// Returns the folder with packages of an architecture, unpacked. An entry is named after
/// its first package.
pub(crate) fn packages(
    cache: &Cache,
    suite: &str,
    arch: &str,
    packages: &[String],
) -> Result<PathBuf> {
    let first = packages.first().context("no package is named")?;
    cache.entry(&format!("{first}-{suite}-{arch}"), |folder| {
        Suite::foreign(cache, suite, arch)?.unpack(packages, folder)
    })
}

/// Returns a folder with packages and all that they depend on, unpacked but not
/// configured.
pub(crate) fn root(cache: &Cache, suite: &str, packages: &[String]) -> Result<PathBuf> {
    cache.entry(&format!("root-{suite}-{}", packages.join("-")), |folder| {
        let suite = Suite::open(cache, suite)?;
        let mut all = BTreeSet::new();
        for package in packages {
            all.extend(suite.with_everything(package)?);
        }
        suite.unpack(&Vec::from_iter(all), folder)
    })
}

/// A linker, as it is passed to rustc.
pub(crate) struct Link {
    pub(crate) program: PathBuf,
    pub(crate) flavor: &'static str,
}

/// Returns the linker of an ABI, where it has one.
pub(crate) fn linker(cache: &Cache, abi: &Abi) -> Result<Option<Link>> {
    match &abi.linker {
        Linker::None => Ok(None),
        Linker::Lld => Ok(Some(Link {
            program: RustSrc::lld()?,
            flavor: "ld.lld",
        })),
        Linker::Gnu(prefix) => {
            let ld = gnu(cache, prefix)?;
            let program = if abi.newer_llvm {
                m68k::linker(cache, &ld)?
            } else {
                ld
            };
            Ok(Some(Link {
                program,
                flavor: "ld",
            }))
        }
    }
}

/// Returns a GNU ld, behind a script that sets the path of its libraries.
///
/// The script also leaves out rustc's `symbols.o`, an object without code. For 32-bit
/// sparc its header is inconsistent, and ld rejects it.
fn gnu(cache: &Cache, prefix: &str) -> Result<PathBuf> {
    let folder = cache.entry(&format!("binutils-{prefix}"), |folder| {
        Suite::open(cache, "bookworm")?.unpack(&[format!("binutils-{prefix}")], folder)
    })?;
    let ld = folder.join("usr/bin").join(format!("{prefix}-ld"));
    let libraries = folder
        .join("usr/lib")
        .join(format!("{}-linux-gnu", std::env::consts::ARCH));
    let script = format!(
        "#!/bin/sh\n\
         for word; do\n\
         shift\n\
         case $word in */symbols.o) ;; *) set -- \"$@\" \"$word\" ;; esac\n\
         done\n\
         LD_LIBRARY_PATH=\"{}\" exec \"{}\" \"$@\"\n",
        libraries.display(),
        ld.display()
    );
    let wrapper = folder.join("ld");
    write_script(&wrapper, &script).with_context(|| wrapper.display().to_string())?;
    Ok(wrapper)
}
