//! gVisor: a replacement of the kernel in user space, as containers use it, with the
//! conformance program as its only process.
//!
//! It has part of AIO: no polls, no cancellation, and no ring that can be read. The
//! program checks what there is, and that the library works with it.
//!
//! It is Debian's package `runsc`, one static program. It runs without privileges, where
//! user namespaces and `ptrace(2)` are permitted. The file system in it is that of this
//! machine; what is written stays in memory.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::cache::{Cache, target_folder};
use crate::command;
use crate::conformance::{ARGUMENTS, Ran};
use crate::targets::Target;
use crate::test_report::TestReport;
use crate::toolchain;
use crate::workplace::Workplace;

/// The suite and the name of the package.
const SUITE: &str = "bookworm";
const PACKAGE: &str = "runsc";

/// The time limit of a run, which takes two seconds.
const LIMIT: Duration = Duration::from_secs(60);

/// The program `runsc`, fetched and unpacked.
pub(crate) struct Gvisor {
    pub(crate) program: PathBuf,
}

impl Gvisor {
    pub(crate) fn find(cache: &Cache) -> Result<Gvisor> {
        let folder = toolchain::packages(cache, SUITE, "amd64", &[PACKAGE.to_owned()])?;
        Ok(Gvisor {
            program: folder.join("usr/bin/runsc"),
        })
    }

    /// Returns its version: "0.0~20221219.0".
    pub(crate) fn version(&self) -> Result<String> {
        let text = command::output(Command::new(&self.program).arg("--version"))?;
        let words = text.lines().next().unwrap_or_default().split_whitespace();
        Ok(words.last().context("runsc reports no version")?.to_owned())
    }

    /// Runs a program in a new sandbox.
    pub(crate) fn run(&self, target: Target<'_>, program: &Path, keep: bool) -> Result<Ran> {
        let folder = target_folder()?.join("qemu/gvisor").join(target.triple);
        let here = Workplace::enter(&folder)?;
        let log = here.folder.join("output");
        let mut runsc = Command::new(&self.program);
        // Its state is below TMPDIR.
        runsc
            .args(["--rootless", "--network=none", "--platform=ptrace", "do"])
            .arg(program)
            .args(ARGUMENTS)
            .env("TMPDIR", &here.folder)
            .current_dir(&here.folder);
        File::create(&log)?;
        // The sandbox counts its own offset in a file, so it must append.
        let out = OpenOptions::new().append(true).open(&log)?;
        let status = command::bounded(&mut runsc, out, LIMIT)?;
        let output = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
        let verdict = match status {
            None => Err(format!("it was still running after {LIMIT:?}")),
            Some(status) if !output.contains("\nmode ") => Err(format!(
                "gVisor did not run the program ({status}); it needs user namespaces and ptrace"
            )),
            Some(status) => TestReport::read(&output, Some(status)),
        };
        let verdict = match verdict {
            Ok(report) if !report.gvisor => Err("that kernel is not gVisor".to_owned()),
            Ok(report) => Ok(TestReport {
                note: Some(format!("gVisor {}", self.version()?)),
                ..report
            }),
            Err(why) => Err(why),
        };
        let passed = verdict.as_ref().is_ok_and(|report| report.failed == 0);
        let log = if passed && !keep {
            fs::remove_dir_all(&here.folder)?;
            None
        } else {
            Some(log)
        };
        Ok(Ran::of_kernel(verdict, output, log))
    }
}
