//! Runs with a faulty disk: late completions, errors, no space, and a loss of power
//! during a copy.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::slice;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::boot::Machine;
use crate::command::{output, while_stopped};
use crate::disk::{Disk, filled};
use crate::kernels::Kernel;
use crate::targets::{Table, Target};
use crate::test_report::TestReport;

/// A fault, with its name in `/plan`.
pub(crate) struct Fault {
    pub(crate) name: &'static str,
    /// The options of QEMU's disk besides its file.
    options: &'static str,
    /// The further arguments of QEMU.
    words: &'static [&'static str],
}

/// A disk with a limited rate, so that the operations in flight take two seconds.
/// Request merging is off, since QEMU would merge adjacent operations.
const SLOW: Fault = Fault {
    name: "slow",
    options: ",throttling.iops-total=16",
    words: &["-global", "virtio-blk-device.request-merging=off"],
};

/// A disk on which reads fail half a MiB in, and writes at the same offset in the
/// second MiB.
const FAILING: Fault = Fault {
    name: "failing",
    options: "",
    words: &[],
};

const FULL: Fault = Fault {
    name: "full",
    options: "",
    words: &[],
};

const CUT: Fault = Fault {
    name: "cut",
    options: "",
    words: &[],
};

pub(crate) const ALL: [Fault; 4] = [SLOW, FAILING, FULL, CUT];

/// The programs of a run.
pub(crate) struct Programs {
    pub(crate) guest: PathBuf,
    pub(crate) aio: PathBuf,
}

impl Fault {
    /// Runs a fault. Returns the program's verdict and further details.
    pub(crate) fn run(
        &self,
        machine: &Machine<'_>,
        programs: &Programs,
    ) -> Result<Result<TestReport, String>> {
        match self.name {
            "cut" => cut(machine, programs),
            _ => self.boot(machine, programs),
        }
    }

    fn boot(
        &self,
        machine: &Machine<'_>,
        programs: &Programs,
    ) -> Result<Result<TestReport, String>> {
        let device = machine.device().context("it has no disk")?;
        let plan = [format!("{} {device}", self.name)];
        let initramfs = pack(machine, programs, &plan)?;
        let disk = Disk::create(&machine.folder().join("disk"))?;
        let mut qemu = machine.command(&initramfs);
        let backend = match self.name {
            "failing" => failing(&disk.path),
            _ => format!("file={},format=raw{}", disk.path.display(), self.options),
        };
        qemu.args(["-drive", &machine.drive(&backend)]);
        qemu.args(self.words);
        let said = machine.run(qemu)?;
        disk.remove()?;
        Ok(said.and_then(|said| TestReport::read(&said, None)))
    }
}

/// Returns the file's options with QEMU's blkdebug in front of it: one sector cannot be
/// read, and one cannot be written.
fn failing(path: &Path) -> String {
    let rule = |index: u32, kind: &str, offset: u32| {
        let rule = format!(",file.inject-error.{index}");
        format!(
            "{rule}.event=none{rule}.iotype={kind}{rule}.errno=5{rule}.once=off{rule}.sector={}",
            offset / 512
        )
    };
    format!(
        "driver=raw,file.driver=blkdebug,file.image.driver=file,file.image.filename={}{}{}",
        path.display(),
        rule(0, "read", 0x8_0000),
        rule(1, "write", 0x18_0000)
    )
}

fn pack(machine: &Machine<'_>, programs: &Programs, plan: &[String]) -> Result<PathBuf> {
    let on_ext4 = |line: &String| line.starts_with("copy ") || line.starts_with("found ");
    let lists: &[&str] = match plan.iter().any(on_ext4) {
        true => &["order", "faults"],
        false => &["order"],
    };
    let mut files = machine.initramfs(&programs.guest, lists)?;
    files.program("aio", fs::read(&programs.aio)?);
    for line in plan {
        files.add_line(line);
    }
    let path = machine.folder().join("initramfs");
    fs::write(&path, files.pack()?)?;
    Ok(path)
}

/// The size of a block of the file system, as mke2fs chooses it for a disk of this size.
const BLOCK: usize = 1024;

/// The size of the file that is copied when the power is cut.
const COPIED: u64 = 8 << 20;

/// The times of the power cuts, after the copy has begun: at once, in the middle, near
/// the end (it takes about two seconds), and after it has reported completion.
const MOMENTS: [(&str, Option<Duration>); 4] = [
    ("0.1s", Some(Duration::from_millis(100))),
    ("1.2s", Some(Duration::from_millis(1200))),
    ("2.2s", Some(Duration::from_millis(2200))),
    ("done", None),
];

/// The content of the file `name` on a disk that belongs to no moment. Each name has its
/// length.
const NAMELESS: &str = "@@@@";

/// Cuts the power during `aio copy` on an ext4 disk. One boot serves all moments: at each,
/// the emulator is stopped, and what its disk has then is kept, as it would be if the
/// emulator were killed. A last boot then checks the content of all these disks.
fn cut(machine: &Machine<'_>, programs: &Programs) -> Result<Result<TestReport, String>> {
    let device = machine.device().context("it has no disk")?;
    let copied_to = machine.folder().join("disk-copied");
    file_system(&copied_to, NAMELESS)?;
    let initramfs = pack(machine, programs, &[format!("copy {device}")])?;
    let mut qemu = machine.command(&initramfs);
    let slowly = format!("{},throttling.bps-total={COPIED}", file(&copied_to));
    qemu.args(["-drive", &machine.drive(&slowly)]);
    let mut begun = None;
    let mut left = MOMENTS.to_vec();
    let mut kept = Ok(Vec::new());
    let was_cut = machine.run_until(qemu, |said, emulator| {
        let done = said.contains("\ncopied");
        if begun.is_none() && said.contains("\ncopying") {
            begun = Some(Instant::now());
        }
        left.retain(|&(name, moment)| {
            let has_come = match moment {
                None => done,
                Some(after) => begun.is_some_and(|begun| begun.elapsed() > after),
            };
            if let (true, Ok(disks)) = (has_come, &mut kept) {
                let disk = machine.folder().join(format!("disk-{name}"));
                let copy = while_stopped(emulator, || keep(&copied_to, &disk));
                match copy.and_then(|()| rename(&disk, name)) {
                    Ok(()) => disks.push((name, disk, done)),
                    Err(error) => kept = Err(error),
                }
            }
            !has_come
        });
        left.is_empty() || kept.is_err()
    })?;
    let disks = kept?;
    if let Err(why) = was_cut {
        return Ok(Err(why));
    }
    fs::remove_file(copied_to)?;

    let devices = devices(device, disks.len());
    let plan: Vec<String> = devices.map(|device| format!("found {device}")).collect();
    let initramfs = pack(machine, programs, &plan)?;
    let mut qemu = machine.command(&initramfs);
    for (index, (_, disk, _)) in disks.iter().enumerate() {
        machine.attach(&mut qemu, index, &file(disk))?;
    }
    let found = match machine.run(qemu)? {
        Ok(found) => found,
        Err(why) => return Ok(Err(format!("the last boot: {why}"))),
    };
    let mut verdict = match TestReport::read(&found, None) {
        Ok(verdict) => verdict,
        Err(why) => return Ok(Err(format!("the last boot: {why}"))),
    };
    let mut said = String::new();
    for (name, disk, done) in disks {
        // Each disk has its moment in a file, as drivers may find them in any order.
        let line = format!("found {name} ");
        let what = found.lines().find_map(|found| found.strip_prefix(&line));
        let Some(what) = what else {
            return Ok(Err(format!("{name}: the last boot reports no such disk")));
        };
        // A copy that was reported as complete must exist.
        if done && what != "whole" {
            return Ok(Err(format!(
                "{name}: it was copied, and after the cut there is {what}"
            )));
        }
        write!(said, " {name}: {what};")?;
        fs::remove_file(disk)?;
    }
    verdict.note = Some(said.trim_matches([' ', ';']).to_owned());
    Ok(Ok(verdict))
}

/// Returns the options of a disk in a file.
fn file(disk: &Path) -> String {
    format!("file={},format=raw", disk.display())
}

/// Copies a disk of a stopped emulator.
fn keep(disk: &Path, to: &Path) -> Result<()> {
    let mut cp = Command::new("cp");
    output(cp.arg("--sparse=always").arg(disk).arg(to)).map(drop)
}

/// Changes the content of the file `name` on a disk from [`NAMELESS`].
fn rename(disk: &Path, name: &str) -> Result<()> {
    let image = fs::read(disk)?;
    // The file's block has nothing else.
    let mut found = (0..image.len()).step_by(BLOCK).filter(|&at| {
        image[at..].starts_with(NAMELESS.as_bytes())
            && image[at + NAMELESS.len()..at + BLOCK]
                .iter()
                .all(|&byte| byte == 0)
    });
    let (Some(at), None) = (found.next(), found.next()) else {
        bail!("{}: it has not one nameless file", disk.display());
    };
    let file = fs::OpenOptions::new().write(true).open(disk)?;
    Ok(file.write_all_at(name.as_bytes(), at as u64)?)
}

/// Returns the names in the kernel of disks from the first on: `/dev/vda`, `/dev/vdb`.
fn devices(first: &str, count: usize) -> impl Iterator<Item = String> {
    let stem = first.strip_suffix('a').unwrap_or(first).to_owned();
    ('a'..='z')
        .take(count)
        .map(move |letter| format!("{stem}{letter}"))
}

/// Creates an ext4 disk with the file to copy, and its own name in another.
fn file_system(disk: &Path, name: &str) -> Result<()> {
    let folder = disk.with_file_name("content");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("name"), name)?;
    fs::write(folder.join("source"), filled(COPIED))?;
    if disk.exists() {
        fs::remove_file(disk)?;
    }
    // The program is part of e2fsprogs, which every Debian system has. It is not in
    // every user's path.
    let program = ["/usr/sbin/mke2fs", "/sbin/mke2fs", "mke2fs"]
        .into_iter()
        .find(|path| !path.starts_with('/') || Path::new(path).exists());
    let mut mke2fs = Command::new(program.unwrap_or("mke2fs"));
    mke2fs.args(["-q", "-F", "-t", "ext4", "-b", &BLOCK.to_string(), "-d"]);
    output(mke2fs.arg(&folder).arg(disk).arg("64M"))?;
    fs::remove_dir_all(folder)?;
    Ok(())
}

/// Returns the faults with these names; all without any.
pub(crate) fn named(names: &[String]) -> Result<Vec<Fault>> {
    for name in names {
        let known = ALL.map(|fault| fault.name);
        let is_known = known.contains(&name.as_str());
        ensure!(
            is_known,
            "no fault is called {name}, but {}",
            known.join(", ")
        );
    }
    let meant = |fault: &Fault| names.is_empty() || names.iter().any(|name| name == fault.name);
    Ok(ALL.into_iter().filter(meant).collect())
}

/// Returns each kernel with the targets that the names match and that it runs. Without
/// names, returns its first target alone, or with `all` every one.
pub(crate) fn pairs<'a>(
    table: &'a Table,
    kernels: &[&'a Kernel],
    names: &[String],
    all: bool,
) -> Result<Vec<(&'a Kernel, Target<'a>)>> {
    let run_by = |kernel: &Kernel, targets: &[Target<'a>]| -> Vec<Target<'a>> {
        let all = targets.iter().copied();
        all.filter(|target| kernel.runs(&target.abi.name)).collect()
    };
    let tried: Vec<&str> = table
        .kernels()
        .iter()
        .filter(|kernel| kernel.faults.is_some())
        .map(|kernel| kernel.name.as_str())
        .collect();
    let tried = format!("faults are tried on {} alone", tried.join(", "));
    ensure!(!kernels.is_empty(), "{tried}");
    for name in names {
        if ALL.iter().any(|fault| fault.name == name) {
            bail!("{name} is a fault, not a target: --only {name}");
        }
        let targets = table.named(slice::from_ref(name), all)?;
        let is_run = kernels
            .iter()
            .any(|kernel| !run_by(kernel, &targets).is_empty());
        ensure!(is_run, "{tried}: none that is meant runs {name}");
    }
    let targets = table.named(names, all)?;
    let mut pairs = Vec::new();
    for kernel in kernels {
        let mut targets = run_by(kernel, &targets);
        if names.is_empty() && !all {
            targets.truncate(1);
        }
        pairs.extend(targets.into_iter().map(|target| (*kernel, target)));
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs_of(on: &[&str], names: &[&str], all: bool) -> Result<Vec<String>> {
        let own = |names: &[&str]| {
            names
                .iter()
                .map(|&name| name.to_owned())
                .collect::<Vec<_>>()
        };
        let table = Table::load()?;
        let mut kernels = table.kernels_named(&own(on), false)?;
        kernels.retain(|kernel| kernel.faults.is_some());
        let pairs = pairs(&table, &kernels, &own(names), all)?;
        let name =
            |(kernel, target): &(&Kernel, Target<'_>)| format!("{} {}", kernel.name, target.triple);
        Ok(pairs.iter().map(name).collect())
    }

    #[test]
    fn targets_are_selected_by_the_usual_names() {
        let every = pairs_of(&[], &[], false).unwrap();
        assert!(every.contains(&"amd64 x86_64-unknown-linux-gnu".to_owned()));
        assert!(every.contains(&"s390x s390x-unknown-linux-gnu".to_owned()));
        assert!(!every.iter().any(|pair| pair.contains("x32")), "the first");
        assert_eq!(
            pairs_of(&[], &["x32", "armhf"], false).unwrap(),
            [
                "amd64 x86_64-unknown-linux-gnux32",
                "arm64 armv7-unknown-linux-gnueabihf"
            ]
        );
        assert_eq!(pairs_of(&["s390x"], &[], true).unwrap().len(), 2);
        assert_eq!(pairs_of(&["amd64"], &["x86"], true).unwrap().len(), 5);
    }

    #[test]
    fn an_impossible_selection_is_an_error() {
        let error =
            |on: &[&str], names: &[&str]| pairs_of(on, names, false).unwrap_err().to_string();
        assert!(error(&[], &["slow"]).contains("--only slow"));
        assert!(error(&[], &["s390"]).contains("is it s390x?"));
        assert!(error(&[], &["x32", "m68k"]).contains("runs m68k"));
        assert!(error(&["s390x"], &["x86_64"]).contains("runs x86_64"));
        assert!(error(&["mipsel"], &[]).contains("amd64, arm64, s390x alone"));
        let error = named(&["earthquake".to_owned()]).err().unwrap().to_string();
        assert!(error.contains("slow, failing, full, cut"), "{error}");
    }
}
