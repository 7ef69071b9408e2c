//! What the tests of the tool share: the tool itself, built as users build it,
//! and ways to run it in trouble.
#![allow(dead_code, reason = "no test file needs all of it")]

use std::io::{Error, Result};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use linux_aio::nr;

#[path = "../../../tests/support/skip.rs"]
mod skip;

#[allow(unused_imports, reason = "no test file needs all of it")]
pub(crate) use skip::{have, skip};

/// The tool, built with the profile that is released, once.
pub(crate) fn tool() -> &'static Path {
    static TOOL: OnceLock<PathBuf> = OnceLock::new();
    TOOL.get_or_init(|| {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tool");
        let status = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--profile", "aio", "--package", "aio"])
            .args(["--bin", "aio", "--target-dir"])
            .arg(&directory)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status()
            .unwrap();
        assert!(status.success(), "the tool does not build");
        directory.join("aio/aio")
    })
}

/// A command that runs the tool.
pub(crate) fn aio(arguments: &[&str]) -> Command {
    let mut command = Command::new(tool());
    command.args(arguments);
    command
}

/// A directory of a test's own, removed when dropped.
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new_in(place: &Path) -> Directory {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = place.join(format!("aio-test-{}-{number}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Directory(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A directory on a disk, where O_DIRECT means something.
pub(crate) fn directory() -> Directory {
    Directory::new_in(Path::new(env!("CARGO_TARGET_TMPDIR")))
}

/// Bytes that differ from block to block.
pub(crate) fn bytes(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ length as u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// `aio copy` with more arguments before the names.
pub(crate) fn copy(flags: &[&str], source: &Path, target: &Path) -> Command {
    let mut command = aio(&["copy"]);
    command.args(flags).arg(source).arg(target);
    command
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Asserts success without a word.
#[track_caller]
pub(crate) fn quiet(output: &Output) {
    assert!(output.status.success(), "{output:?}");
    assert_eq!(stderr(output), "");
    assert_eq!(stdout(output), "");
}

/// Asserts exit status 1 and exactly this one line.
#[track_caller]
pub(crate) fn fails(output: &Output, line: &str) {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(stderr(output), format!("{line}\n"));
    assert_eq!(stdout(output), "");
}

/// The names in a directory, sorted.
pub(crate) fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Waits until `done`, but not for ever.
#[track_caller]
pub(crate) fn wait_until(mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(20), "waited in vain");
        std::thread::sleep(Duration::from_millis(1));
    }
}

pub(crate) fn is_root() -> bool {
    // SAFETY: no memory is passed.
    unsafe { libc::geteuid() == 0 }
}

/// Whether a file system can be mounted, where nobody else sees it.
pub(crate) fn can_mount() -> bool {
    let mount = ["-m", "mount", "-t", "tmpfs", "none", "/mnt"];
    Command::new("unshare")
        .args(mount)
        .output()
        .is_ok_and(|output| output.status.success())
}

/// Whether files in [`directory`] let the page cache be gone around.
pub(crate) fn direct_works() -> bool {
    let directory = directory();
    let mut options = std::fs::OpenOptions::new();
    options
        .write(true)
        .create(true)
        .custom_flags(libc::O_DIRECT);
    options.open(directory.path().join("a")).is_ok()
}

/// Lets every AIO call of the command answer `errno`, by a seccomp filter.
pub(crate) fn without_aio(command: &mut Command, errno: i32) -> &mut Command {
    // SAFETY: between fork and exec only system calls are made, and nothing
    // is allocated.
    unsafe { command.pre_exec(move || install_filter(errno)) }
}

fn install_filter(errno: i32) -> Result<()> {
    // By the library's numbers: libc does not have them all.
    const CALLS: [Option<u32>; 6] = [
        nr::IO_SETUP,
        nr::IO_DESTROY,
        nr::IO_SUBMIT,
        nr::IO_CANCEL,
        nr::IO_GETEVENTS,
        nr::IO_PGETEVENTS,
    ];
    let statement = |code: u32, jt: usize, k: u32| libc::sock_filter {
        code: code as u16,
        jt: jt as u8,
        jf: 0,
        k,
    };
    let allow = libc::SECCOMP_RET_ALLOW;
    let refuse = libc::SECCOMP_RET_ERRNO | errno as u32;
    let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    let compare = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    let answer = libc::BPF_RET | libc::BPF_K;
    let mut program = [statement(answer, 0, allow); CALLS.len() + 3];
    program[0] = statement(load, 0, 0); // the number
    for (place, call) in CALLS.into_iter().enumerate() {
        // Over the calls that follow and the `allow`.
        program[1 + place] = statement(compare, CALLS.len() - place, call.unwrap_or(u32::MAX));
    }
    program[CALLS.len() + 2] = statement(answer, 0, refuse);
    let program = libc::sock_fprog {
        len: program.len() as u16,
        filter: program.as_mut_ptr(),
    };
    // SAFETY: the program lives through the call.
    unsafe {
        if libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
            || libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program) != 0
        {
            return Err(Error::last_os_error());
        }
    }
    Ok(())
}

/// A kernel context of this process, given back when dropped.
pub(crate) struct Held(usize);

impl Held {
    /// `None` if the limit does not allow it.
    pub(crate) fn new(events: u32) -> Option<Held> {
        let mut context = 0_usize;
        // SAFETY: the kernel writes one word.
        let result = unsafe { libc::syscall(libc::SYS_io_setup, events, &raw mut context) };
        (result == 0).then_some(Held(context))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // SAFETY: the context is this value's own, and nothing is in flight.
        unsafe { libc::syscall(libc::SYS_io_destroy, self.0) };
    }
}
