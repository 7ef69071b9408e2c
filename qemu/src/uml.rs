//! User-Mode Linux: a kernel that runs as a process of this machine, with the
//! conformance program as its only process.
//!
//! It boots in a second and emulates no processor, so it gives the fastest verdict of a
//! kernel with AIO. It lacks other architectures, 32-bit programs, a second processor,
//! and null_blk (a disk with late completions).
//!
//! The kernel is Debian's package, with the C library of the same suite: the machine's
//! own may be older. The path of the loader in the program is replaced by a relative
//! one. (A loader that is started under its own name, with the program as its argument,
//! moves the heap: the kernel then treats all addresses up to it as its memory, and
//! panics.) Older kernels (6.1 and 6.12 did) panic where a processor's registers take
//! more than 2696 bytes, as with AMX.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::boot;
use crate::cache::{Cache, target_folder};
use crate::command;
use crate::conformance::Ran;
use crate::debian::Suite;
use crate::disk::Disk;
use crate::initramfs::Initramfs;
use crate::targets::Target;
use crate::test_report::{TestReport, console};
use crate::workplace::Workplace;

const PACKAGE: &str = "user-mode-linux";

/// The suites, of which the first that has the package is used.
const SUITES: [&str; 2] = ["forky", "sid"];

/// The files that are kept of the packages, and their names in the cache.
const FILES: [(&str, &str); 3] = [
    ("usr/bin/linux.uml", "linux"),
    ("usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", LOADER),
    ("usr/lib/x86_64-linux-gnu/libc.so.6", "libc.so.6"),
];

/// The path of the loader that is built into the program, and its replacement: a file
/// in the folder in which the program runs.
const LOADER_PATH: &[u8] = b"/lib64/ld-linux-x86-64.so.2\0";
const LOADER: &str = "ld.so";

/// A script that starts the program whose name and arguments follow, with the libraries
/// of a folder. The shell itself must not load these. A panic leaves no core file.
const START: &str = "ulimit -c 0; export LD_LIBRARY_PATH=\"$0\"; exec \"$@\"";

/// The silence after which the state of the kernel is polled.
///
/// The kernel is killed when it then sleeps for [`SLEEP`], or in any state if a check
/// has failed. If none fails, all checks together take 4 seconds.
const SILENCE: Duration = Duration::from_secs(1);
const SLEEP: Duration = Duration::from_secs(4);

/// The name of the kernel's own folder, for its pid and a control socket.
const NAME: &str = "uml";

/// The kernel, fetched and unpacked.
pub(crate) struct Uml {
    pub(crate) folder: PathBuf,
}

impl Uml {
    pub(crate) fn find(cache: &Cache) -> Result<Uml> {
        let folder = cache.entry(PACKAGE, |folder| {
            let mut complaints = String::new();
            for suite in SUITES {
                match fetch(cache, suite, folder) {
                    Ok(()) => return Ok(()),
                    Err(error) => complaints += &format!("\n{error:#}"),
                }
            }
            bail!("no suite has it:{complaints}")
        })?;
        Ok(Uml { folder })
    }

    /// Returns its release: "7.2.7".
    pub(crate) fn version(&self) -> Result<String> {
        let mut kernel = self.program(&self.folder);
        Ok(command::output(kernel.arg("--version"))?.trim().to_owned())
    }

    /// Returns the command that runs the kernel in a folder that contains the loader.
    fn program(&self, folder: &Path) -> Command {
        let mut shell = Command::new("sh");
        shell.args(["-c", START]).arg(&self.folder);
        shell.arg(self.folder.join("linux"));
        // The memory is an unlinked file in TMPDIR. Other variables of this machine
        // have no effect, and with HOME set the kernel would create a folder `.uml`
        // there.
        shell.env_clear().env("TMPDIR", folder).current_dir(folder);
        shell
    }

    /// Boots the kernel with a program as its first process, and a disk.
    pub(crate) fn run(&self, target: Target<'_>, program: &Path, keep: bool) -> Result<Ran> {
        let folder = target_folder()?.join("qemu/uml").join(target.triple);
        let _here = Workplace::enter(&folder)?;
        clean(&folder)?;
        fs::create_dir_all(&folder)?;
        symlink(self.folder.join(LOADER), folder.join(LOADER))?;
        let program = fs::read(program).with_context(|| program.display().to_string())?;
        let mut files = Initramfs::new(program);
        files.add_line("disk /dev/ubda");
        fs::write(folder.join("initramfs"), files.pack()?)?;
        let disk = Disk::create(&folder.join("disk"))?;

        let log = folder.join("console");
        let mut kernel = self.program(&folder);
        kernel.args(words());
        let mut silence = Silence::default();
        let pid = folder.join(NAME).join("pid");
        // After a failed check, the remaining checks do not change the verdict.
        let failed = || boot::has_failed(&log);
        let stuck = |silent| {
            silence.is_sleep(silent, || tasks(&pid)) || silent > SILENCE + SLEEP && failed()
        };
        let ended = boot::switched_on(&mut kernel, &log, stuck)?;
        let output = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
        let mut verdict = match (complaint(&output), ended) {
            (Some(line), _) => Err(format!("the kernel complains: {line}")),
            (None, Err(killed)) => Err(killed),
            (None, Ok(status)) if !status.success() => Err(format!("User-Mode Linux: {status}")),
            (None, Ok(_)) => TestReport::read(console(&output), None),
        };
        if let Ok(whole) = &verdict
            && whole.failed == 0
        {
            // The host verifies independently what was written.
            if !whole.aio {
                verdict = Err("AIO is absent".to_owned());
            } else if let Err(error) = disk.check() {
                verdict = Err(format!("{error:#}"));
            }
        }
        if let Ok(whole) = &mut verdict {
            whole.note = Some("no disk that answers late".to_owned());
        }
        let passed = verdict.as_ref().is_ok_and(|verdict| verdict.failed == 0);
        let log = if passed && !keep {
            clean(&folder)?;
            None
        } else {
            disk.remove()?;
            Some(log)
        };
        Ok(Ran::of_kernel(verdict, output, log))
    }
}

/// The activity of a silent kernel's threads.
#[derive(Default)]
struct Silence {
    polls: u32,
    busy: u32,
    since: Option<Instant>,
}

impl Silence {
    /// Returns whether the kernel has been asleep for longer than any check of the
    /// program, so that an event that it waits for does not occur.
    ///
    /// Threads that run, are runnable, or wait for a disk are not asleep. A timer may
    /// wake them occasionally.
    fn is_sleep(&mut self, silent: Duration, states: impl FnOnce() -> Option<String>) -> bool {
        if silent < SILENCE {
            *self = Silence::default();
            return false;
        }
        let Some(states) = states() else {
            return false;
        };
        self.polls += 1;
        self.busy += u32::from(states.contains(['R', 'D']));
        if self.since.get_or_insert_with(Instant::now).elapsed() < SLEEP {
            return false;
        }
        let asleep = self.busy * 4 < self.polls;
        *self = Silence::default();
        asleep
    }
}

/// Returns the states of a process's threads and of their children, in which the kernel
/// runs its processes. The process's id is in a file.
///
/// Each state is a letter, as in proc(5). Returns `None` where one of them cannot be
/// read.
fn tasks(pid: &Path) -> Option<String> {
    let pid = fs::read_to_string(pid).ok()?;
    let state = |task: &Path| {
        let stat = fs::read_to_string(task.join("stat")).ok()?;
        // The name before the state may contain any character.
        stat.rsplit_once(") ")?.1.chars().next()
    };
    let mut states = String::new();
    for task in fs::read_dir(format!("/proc/{}/task", pid.trim())).ok()? {
        let task = task.ok()?.path();
        states.push(state(&task)?);
        for child in fs::read_to_string(task.join("children"))
            .ok()?
            .split_whitespace()
        {
            states.push(state(&Path::new("/proc").join(child))?);
        }
    }
    Some(states)
}

/// Removes the files of an earlier run.
fn clean(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| folder.display().to_string())
        }
        _ => Ok(()),
    }
}

/// Extracts the kernel and its C library from a suite's packages.
fn fetch(cache: &Cache, suite: &str, folder: &Path) -> Result<()> {
    let packages = [PACKAGE, "libc6"].map(str::to_owned);
    let tree = folder.join("tree");
    Suite::open(cache, suite)?.unpack(&packages, &tree)?;
    for (file, name) in FILES {
        let file = tree.join(file);
        fs::rename(&file, folder.join(name)).with_context(|| file.display().to_string())?;
    }
    fs::remove_dir_all(&tree)?;
    let kernel = folder.join("linux");
    let mut program = fs::read(&kernel)?;
    set_loader(&mut program)?;
    Ok(fs::write(kernel, program)?)
}

/// Makes a program load the loader in the folder in which it runs.
fn set_loader(program: &mut [u8]) -> Result<()> {
    let windows = program.windows(LOADER_PATH.len());
    let found: Vec<usize> = windows
        .enumerate()
        .filter_map(|(at, bytes)| (bytes == LOADER_PATH).then_some(at))
        .collect();
    ensure!(
        found.len() == 1,
        "the loader's path is there {} times",
        found.len()
    );
    let place = &mut program[found[0]..][..LOADER_PATH.len()];
    place.fill(0);
    place[..LOADER.len()].copy_from_slice(LOADER.as_bytes());
    Ok(())
}

/// Returns the command line. File names are relative to the folder in which the kernel
/// runs.
///
/// The kernel appends `root=` and `console=` where they are missing, and these would
/// become arguments of the program. It does not quote its arguments. With times, no
/// kernel line polls like a line of the program.
fn words() -> Vec<String> {
    let files = ["initrd=initramfs", "ubd0=disk", "uml_dir=./"];
    let name = format!("umid={NAME}");
    let kernel = [
        "mem=256M",
        "root=98:0",
        "con=null",
        "con0=null,fd:1",
        "console=tty0",
        "printk.time=1",
        "panic=-1",
        "panic_on_warn=1",
        "oops=panic",
    ];
    let arguments = ["--", "one", "\"two words\"", "\"\""];
    let all = files.into_iter().chain([name.as_str()]).chain(kernel);
    all.chain(arguments).map(str::to_owned).collect()
}

/// Returns the first line of a kernel's log that reports a fault of the kernel.
fn complaint(console: &str) -> Option<&str> {
    const SIGNS: [&str; 7] = [
        "WARNING:",
        "BUG:",
        "Oops",
        "Kernel panic",
        "blocked for more than",
        "detected stall",
        "lockup",
    ];
    console
        .lines()
        .filter(|line| line.starts_with('['))
        .find(|line| SIGNS.iter().any(|sign| line.contains(sign)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_leaves_the_kernel_nothing_to_append() {
        let words = words();
        let arguments = words.iter().position(|word| word == "--").unwrap();
        // The kernel joins the words with spaces, and splits them at its quotes.
        let program = words[arguments + 1..].join(" ");
        assert_eq!(program, "one \"two words\" \"\"");
        for start in [
            "root=",
            "console=",
            "panic_on_warn=1",
            "oops=panic",
            "printk.time=1",
        ] {
            let found = words[..arguments]
                .iter()
                .any(|word| word.starts_with(start));
            assert!(found, "{start}");
        }
        // All files are in the folder in which the kernel runs.
        assert!(words.iter().all(|word| !word.contains("=/")), "{words:?}");
    }

    #[test]
    fn reports_of_the_kernel_are_found() {
        let boot = "Warning: tempdir . is not on tmpfs\n\
                    [    0.000000] Linux version 7.2.7\r\n\
                    \r\ninit\r\nok a WARNING: b\r\n";
        assert_eq!(complaint(boot), None, "lines that are not the kernel's");
        for line in [
            "[    1.200000] WARNING: fs/aio.c:600 at kill_ioctx+0x1/0x2, CPU#0: init/1",
            "[    1.200000] BUG: sleeping function called from invalid context",
            "[    1.200000] Kernel panic - not syncing: Attempted to kill init!",
            "[   61.200000] INFO: task init:1 blocked for more than 30 seconds.",
            "[   61.200000] rcu: INFO: rcu_sched detected stalls on CPUs/tasks",
        ] {
            let console = format!("{boot}{line}\r\nok c\r\n2 passed, 0 failed\r\n");
            assert_eq!(complaint(&console), Some(line));
        }
    }

    #[test]
    fn only_a_kernel_that_sleeps_is_stuck() {
        // Returns the decision at the end of a silence with these polled states.
        let decided = |polls: &[&str], last: Duration| {
            let mut silence = Silence::default();
            for states in polls {
                assert!(!silence.is_sleep(SILENCE, || Some((*states).to_owned())));
            }
            silence.since = Instant::now().checked_sub(SLEEP);
            silence.is_sleep(last, || Some("SS".to_owned()))
        };
        assert!(decided(&["SS", "St", "SS", "SS"], SILENCE));
        assert!(decided(&["SS", "SR", "SS", "SS"], SILENCE), "a timer");
        assert!(!decided(&["SR", "SS", "SR"], SILENCE), "it works");
        assert!(
            !decided(&["DS", "DS", "SS"], SILENCE),
            "it waits for a disk"
        );
        assert!(
            !decided(&["SS", "SS"], Duration::ZERO),
            "it has said something"
        );
        assert!(
            !Silence::default().is_sleep(SILENCE, || None),
            "not there yet"
        );
    }

    #[test]
    fn threads_and_children_have_states() {
        let name = format!("linux-aio-tasks-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        assert_eq!(tasks(&path), None);
        fs::write(&path, format!("{}\n", std::process::id())).unwrap();
        // This thread runs, and its child is a zombie.
        let mut child = Command::new("true").spawn().unwrap();
        let begin = Instant::now();
        let seen = || {
            let states = tasks(&path).unwrap_or_default();
            states.contains('R') && states.contains('Z')
        };
        while !seen() && begin.elapsed() < Duration::from_secs(20) {
            std::thread::yield_now();
        }
        assert!(seen());
        child.wait().unwrap();
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_program_finds_its_loader_in_its_folder() {
        let build = |times| {
            let mut program = b"ELF".to_vec();
            for _ in 0..times {
                program.extend_from_slice(LOADER_PATH);
                program.extend_from_slice(b"rest");
            }
            program
        };
        let mut program = build(1);
        set_loader(&mut program).unwrap();
        assert_eq!(program.len(), build(1).len());
        assert!(program.starts_with(b"ELFld.so\0\0") && program.ends_with(b"\0rest"));
        for times in [0, 2] {
            assert!(set_loader(&mut build(times)).is_err(), "{times}");
        }
    }
}
