//! Boots a kernel with the conformance program as its only process.
//!
//! The console carries both the program's verdict and the kernel's messages. Both are
//! read from its log: a boot passes if the program reports success and the kernel
//! reports no fault. A boot that crashes before the program starts is retried (see
//! [`BOOTS`]).

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::cache::{Cache, hash};
use crate::command::watched;
use crate::disk::Disk;
use crate::image::Image;
use crate::initramfs::{Initramfs, late_words};
use crate::kernel_log::{Console, is_warning};
use crate::kernels::Kernel;
use crate::machine::Emulator;
use crate::test_report::{self, TestReport, begun};
use crate::workplace::Workplace;

/// The time limit of a boot, measured by the emulator's [`Clock`](crate::clock::Clock).
///
/// A boot takes 2 to 20 seconds, and its longest silence is the kernel's start. A
/// kernel that hangs reports this itself after 60 seconds (see [`COMPLAINING`]).
const LIMIT: Duration = Duration::from_secs(240);
const SILENCE: Duration = Duration::from_secs(90);
/// The longest permitted silence after a check has failed.
const FAILED_SILENCE: Duration = Duration::from_secs(10);
/// The maximum number of boots until the program starts.
const BOOTS: u32 = 3;

/// The options that make a kernel report a fault and stop there.
///
/// WARN() prints at level 4, and a console prints the levels below its own. Each record
/// begins with its time. The detectors of stalls and lockups count host time, of which
/// a busy host gives the kernel little: they wait three times as long as by default.
const COMPLAINING: &str = "panic=-1 oops=panic panic_on_warn=1 loglevel=5 printk.time=1 \
                           rcupdate.rcu_cpu_stall_timeout=60 watchdog_thresh=30";
/// The option that leaves out a stock kernel's tests of its own cryptography, a tenth of its
/// boot. (The kernels that are built here have few, and on m68k no room for it.)
const UNTESTED: &str = " cryptomgr.notests";
/// The arguments of the conformance program.
const ARGUMENTS: &str = "one \"two words\" \"\"";

/// A machine that is ready to boot.
pub(crate) struct Machine<'a> {
    kernel: &'a Kernel,
    image: Image,
    emulator: Emulator,
    kvm: bool,
    workplace: Workplace,
}

impl<'a> Machine<'a> {
    /// Prepares a machine whose files are in `folder`, which it uses exclusively.
    pub(crate) fn new(
        cache: &Cache,
        kernel: &'a Kernel,
        kvm: bool,
        folder: &Path,
    ) -> Result<Machine<'a>> {
        Ok(Machine {
            kernel,
            image: Image::find(cache, kernel)?,
            emulator: Emulator::find(cache, &kernel.emulator)?,
            kvm,
            workplace: Workplace::enter(folder)?,
        })
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.workplace.folder
    }

    pub(crate) fn console(&self) -> PathBuf {
        self.folder().join("console")
    }

    /// Returns the disk's name in the kernel.
    pub(crate) fn device(&self) -> Option<&str> {
        self.kernel.disk.as_deref()
    }

    fn disk(&self) -> PathBuf {
        self.folder().join("disk")
    }

    /// Creates a file system with the program as the first process. The program loads
    /// the kernel's modules and those of the lists.
    pub(crate) fn initramfs(&self, program: &Path, lists: &[&str]) -> Result<Initramfs> {
        let program = fs::read(program).with_context(|| program.display().to_string())?;
        let mut files = Initramfs::new(program);
        for list in lists {
            for (name, module) in self.image.modules(list)? {
                files.module(name, module);
            }
        }
        Ok(files)
    }

    /// Returns the QEMU command with everything but the disk's backend.
    pub(crate) fn command(&self, initramfs: &Path) -> Command {
        let row = self.kernel;
        let mut qemu = self.emulator.command();
        qemu.args(row.args.split_whitespace());
        qemu.args(["-nographic", "-no-reboot", "-nic", "none"]);
        qemu.args(["-m", &row.memory.to_string()]);
        qemu.args(["-smp", &row.cpus.to_string()]);
        qemu.args(["-accel", if self.kvm { "kvm" } else { "tcg" }]);
        qemu.arg("-kernel").arg(&self.image.kernel);
        qemu.arg("-initrd").arg(initramfs);
        if row.dtb.is_some() {
            qemu.arg("-dtb").arg(self.image.file("dtb"));
        }
        qemu.args(["-append", &words(row)]);
        qemu
    }

    /// Returns the option that attaches the machine's disk.
    pub(crate) fn drive(&self, backend: &str) -> String {
        let id = if self.kernel.drive == "none" {
            ",id=disk"
        } else {
            ""
        };
        format!("{backend},if={}{id}", self.kernel.drive)
    }

    /// Attaches one of several disks. The first takes the machine's own device, and each
    /// other one like it.
    pub(crate) fn attach(&self, qemu: &mut Command, index: usize, backend: &str) -> Result<()> {
        if index == 0 {
            qemu.args(["-drive", &self.drive(backend)]);
            return Ok(());
        }
        let suffix = ",drive=disk";
        let mut words = self.kernel.args.split_whitespace();
        let device = words.find_map(|word| word.strip_suffix(suffix));
        let device = device.with_context(|| format!("{} has one disk", self.kernel.name))?;
        qemu.args(["-drive", &format!("{backend},if=none,id=disk{index}")]);
        qemu.args(["-device", &format!("{device}{suffix}{index}")]);
        Ok(())
    }

    /// Boots the machine and waits until it exits. Returns the output of the program.
    pub(crate) fn run(&self, mut qemu: Command) -> Result<Result<String, String>> {
        until_begun(&self.kernel.name, &self.console(), || {
            // After a failed check, the remaining checks do not change the verdict.
            let console = self.console();
            let stuck = |silent| silent > FAILED_SILENCE && has_failed(&console);
            let ended = switched_on(&mut qemu, &console, stuck)?;
            let shown = self.shown()?;
            let printed = match ended {
                Err(killed) => Err(killed),
                Ok(status) if !status.success() => Err(format!("QEMU: {status}")),
                Ok(_) => Ok(test_report::console(&shown.program).to_owned()),
            };
            Ok(match self.complaint(&shown) {
                None => printed,
                Some(complaint) => Err(match printed {
                    Ok(_) => complaint,
                    Err(why) => format!("{why}; {complaint}"),
                }),
            })
        })
    }

    /// Boots the machine and cuts its power when `cut` returns true for the output so
    /// far. The second argument of `cut` is the emulator's process ID.
    ///
    /// Returns an error if the machine exits before that, or if its kernel reports a
    /// fault.
    pub(crate) fn run_until(
        &self,
        mut qemu: Command,
        mut cut: impl FnMut(&str, u32) -> bool,
    ) -> Result<Result<(), String>> {
        until_begun(&self.kernel.name, &self.console(), || {
            let mut late = false;
            let log = File::create(self.console())?;
            let stop = |time, emulator| {
                late = time > LIMIT;
                late || self
                    .shown()
                    .is_ok_and(|shown| cut(&shown.program, emulator))
            };
            let ended = watched(&mut qemu, log, stop)?;
            if let Some(complaint) = self.complaint(&self.shown()?) {
                return Ok(Err(complaint));
            }
            Ok(match ended {
                None if late => Err(format!("killed after {LIMIT:?}")),
                None => Ok(()),
                Some(_) => Err("it ended before its power was cut".to_owned()),
            })
        })
    }

    /// Reads the console's output, with the kernel's records separated.
    pub(crate) fn shown(&self) -> Result<Console> {
        Ok(Console::read(&self.said()?))
    }

    /// Reads the console's output unchanged.
    pub(crate) fn said(&self) -> Result<String> {
        read(&self.console())
    }

    fn complaint(&self, shown: &Console) -> Option<String> {
        let complaint = shown.complaint()?;
        Some(format!("the kernel complains: {complaint}"))
    }
}

/// Returns the kernel's command line.
fn words(row: &Kernel) -> String {
    let more = match (row.is_built(), &row.late) {
        (true, Some(_)) => late_words(),
        (true, None) => String::new(),
        (false, _) => UNTESTED.to_owned(),
    };
    format!(
        "console={} {COMPLAINING} {}{more} -- {ARGUMENTS}",
        row.console, row.append
    )
}

/// Runs a kernel with its console in a file, and waits until it exits.
///
/// The kernel is killed when it takes too long, when it is silent for too long, or when
/// `stuck` returns true. The argument of `stuck` is the duration of the silence.
pub(crate) fn switched_on(
    kernel: &mut Command,
    console: &Path,
    mut stuck: impl FnMut(Duration) -> bool,
) -> Result<Result<ExitStatus, String>> {
    let begin = Instant::now();
    let (mut time, mut heard, mut length) = (Duration::ZERO, Duration::ZERO, 0);
    let log = File::create(console)?;
    let stop = |counted, _| {
        time = counted;
        let now = fs::metadata(console).map_or(0, |log| log.len());
        if now != length {
            (heard, length) = (time, now);
        }
        let silent = time - heard;
        time > LIMIT || silent > SILENCE || stuck(silent)
    };
    let ended = watched(kernel, log, stop)?;
    let killed = || {
        format!(
            "killed after {time:.0?} (in {:.0?} of a busy machine), silent for {:.0?}",
            begin.elapsed(),
            time - heard
        )
    };
    Ok(ended.ok_or_else(killed))
}

/// Returns whether the program has reported a failed check.
pub(crate) fn has_failed(console: &Path) -> bool {
    read(console).is_ok_and(|said| said.contains("\nFAILED "))
}

/// Boots a kernel again if it crashed before it ran the program.
///
/// This was observed once in thirty boots of an x86 kernel, at an instruction that the
/// kernel patches as it starts. The emulated processors may not read such a patch in
/// one piece. A boot in which the program has started is never repeated.
fn until_begun<T>(name: &str, log: &Path, mut boot: impl FnMut() -> Result<T>) -> Result<T> {
    for _ in 1..BOOTS {
        let ran = boot()?;
        let said = read(log)?;
        let shown = Console::read(&said);
        let complaint = shown.complaint();
        // A warning is not a crash.
        if begun(&shown.program) || complaint.is_some_and(is_warning) {
            return Ok(ran);
        }
        let last = said.trim_end().lines().last().unwrap_or_default();
        let last = complaint.unwrap_or(last);
        eprintln!("{name}: the kernel ended before the program began, and is booted again: {last}");
    }
    boot()
}

fn read(log: &Path) -> Result<String> {
    Ok(String::from_utf8_lossy(&fs::read(log)?).into_owned())
}

/// The result of a boot, or of an earlier boot with exactly the same parts.
pub(crate) struct Booted {
    pub(crate) verdict: Result<TestReport, String>,
    /// The program's output; without a verdict, the whole console output.
    pub(crate) output: String,
    pub(crate) cached: bool,
}

/// Runs all checks of the program on one kernel.
pub(crate) fn conformance(machine: &Machine<'_>, program: &Path, again: bool) -> Result<Booted> {
    let mut files = machine.initramfs(program, &["order"])?;
    if let Some(disk) = &machine.kernel.disk {
        files.add_line(&format!("disk {disk}"));
    }
    if let Some(late) = &machine.kernel.late {
        files.add_line(&format!("late {late}"));
    }
    let archive = files.pack()?;
    let initramfs = machine.folder().join("initramfs");
    let mut qemu = machine.command(&initramfs);
    if machine.kernel.disk.is_some() {
        let file = format!("file={},format=raw", machine.disk().display());
        qemu.args(["-drive", &machine.drive(&file)]);
    }
    let command = format!("{qemu:?}");
    let emulator = fs::read(qemu.get_program())?;
    let kernel = fs::read(&machine.image.kernel)?;
    let key = hash([&archive, &kernel, &emulator, command.as_bytes()]);
    let passed = machine.folder().join("passed");
    if !again && let Some(output) = recall(&passed, &key) {
        return Ok(Booted {
            verdict: TestReport::read(&output, None),
            output,
            cached: true,
        });
    }
    fs::write(&initramfs, archive)?;
    let disk = Disk::create(&machine.disk())?;
    let mut verdict = machine
        .run(qemu)?
        .and_then(|output| TestReport::read(&output, None));
    // A kernel that lacks AIO by mistake would only verify that calls return ENOSYS.
    if let Ok(TestReport { aio, .. }) = verdict
        && aio != machine.kernel.aio
    {
        verdict = Err(format!("AIO is {}", if aio { "there" } else { "absent" }));
    }
    if let Ok(whole) = &verdict
        && whole.failed == 0
    {
        // The host verifies independently what was written.
        match disk.check() {
            Ok(()) => {}
            Err(_) if machine.kernel.disk.is_none() => {}
            Err(error) => verdict = Err(format!("{error:#}")),
        }
    }
    disk.remove()?;
    let output = match &verdict {
        Ok(_) => test_report::console(&machine.shown()?.program).to_owned(),
        Err(_) => machine.said()?,
    };
    if verdict.as_ref().is_ok_and(|verdict| verdict.failed == 0) {
        fs::write(&passed, format!("{key}\n{output}"))?;
    } else {
        let _ = fs::remove_file(&passed);
    }
    Ok(Booted {
        verdict,
        output,
        cached: false,
    })
}

fn recall(passed: &Path, key: &str) -> Option<String> {
    let text = fs::read_to_string(passed).ok()?;
    let (known, output) = text.split_once('\n')?;
    (known == key).then(|| output.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the number of boots of a machine whose consoles print these texts, one
    /// after the other.
    fn boots(consoles: &[&str]) -> usize {
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let name = format!("linux-aio-console-{}-{number}", std::process::id());
        let log = std::env::temp_dir().join(name);
        let mut boots = 0;
        until_begun("test", &log, || {
            fs::write(&log, consoles[boots])?;
            boots += 1;
            Ok(())
        })
        .unwrap();
        fs::remove_file(log).unwrap();
        boots
    }

    /// The limit is 256 bytes on m68k (its `COMMAND_LINE_SIZE`), the smallest of all.
    #[test]
    fn no_command_line_is_cut_off() {
        let table = crate::targets::Table::load().unwrap();
        for row in table.kernels() {
            let words = words(row);
            assert!(words.len() < 256, "{}: {}", row.name, words.len());
        }
    }

    #[test]
    fn only_a_kernel_that_ran_nothing_is_booted_again() {
        let (ran, died) = ("BIOS\r\ninit\r\nok a\r\npanic\r\n", "BIOS\r\npanic\r\n");
        assert_eq!(boots(&[ran]), 1, "a failure of the program's stays one");
        assert_eq!(boots(&[died, ran]), 2);
        let warned = "[ 1.000000] WARNING: CPU: 0 PID: 1 at a.c:1\r\n[ 1.000000] Kernel panic\r\n";
        assert_eq!(boots(&[warned, ran]), 1, "a warning stays one");
        assert_eq!(boots(&[died, died, died]), 3, "and not for ever");
    }
}
