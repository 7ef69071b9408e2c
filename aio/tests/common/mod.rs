//! Support for the tests of the tool: a build of the tool with the release profile, and
//! functions that run it under injected faults.
#![allow(dead_code, reason = "no test file needs all of it")]

use std::io::{Error, Result};
use std::os::fd::AsRawFd;
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

/// Returns the path of the tool, which is built once with the release profile, or of
/// the build that the environment variable `AIO` names.
pub(crate) fn tool() -> &'static Path {
    static TOOL: OnceLock<PathBuf> = OnceLock::new();
    TOOL.get_or_init(|| {
        if let Some(other) = std::env::var_os("AIO") {
            return other.into();
        }
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

/// Returns a command that runs the tool.
pub(crate) fn aio(arguments: &[&str]) -> Command {
    let mut command = Command::new(tool());
    command.args(arguments);
    command
}

/// A temporary directory for one test, removed when dropped.
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

/// Creates a directory on a disk, where O_DIRECT has an effect.
pub(crate) fn directory() -> Directory {
    Directory::new_in(Path::new(env!("CARGO_TARGET_TMPDIR")))
}

/// Returns bytes that differ from block to block.
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

/// Returns a command that runs `aio copy` with flags before the names.
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

/// Asserts success without any output.
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

/// Returns the names in a directory, sorted.
pub(crate) fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Waits until `done` returns true, and panics after a time limit.
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

/// Returns whether a file system can be mounted in a private mount namespace.
pub(crate) fn can_mount() -> bool {
    let mount = ["-m", "mount", "-t", "tmpfs", "none", "/mnt"];
    Command::new("unshare")
        .args(mount)
        .output()
        .is_ok_and(|output| output.status.success())
}

/// Returns whether files in [`directory`] support O_DIRECT.
pub(crate) fn direct_works() -> bool {
    let directory = directory();
    let mut options = std::fs::OpenOptions::new();
    options
        .write(true)
        .create(true)
        .custom_flags(libc::O_DIRECT);
    options.open(directory.path().join("a")).is_ok()
}

/// Writes a file to the disk and takes its data out of the page cache.
pub(crate) fn uncache(file: &Path) {
    let file = std::fs::File::open(file).unwrap();
    file.sync_all().unwrap();
    // The kernel keeps pages that a processor is about to put into a list.
    for _ in 0..1000 {
        // SAFETY: no memory is passed.
        let result =
            unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
        assert_eq!(result, 0);
        if cached_pages(&file) == 0 {
            return;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    panic!("its data stays in the page cache");
}

/// Returns whether the tool can find a file's data in the page cache: not under a seccomp
/// filter, which may kill it for cachestat(2), nor before Linux 6.5.
pub(crate) fn cache_is_reported() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let call = linux_raw_sys::general::__NR_cachestat as libc::c_long;
    // SAFETY: the descriptor is invalid, so no memory is accessed.
    let result = unsafe { libc::syscall(call, -1, 0_usize, 0_usize, 0) };
    assert_eq!(result, -1);
    let known = Error::last_os_error().raw_os_error() != Some(libc::ENOSYS);
    known && status.contains("\nSeccomp:\t0\n")
}

fn cached_pages(file: &std::fs::File) -> usize {
    let size = file.metadata().unwrap().len() as usize;
    if size == 0 {
        return 0;
    }
    // SAFETY: a new mapping, which is not accessed; mincore(2) writes a byte for each page.
    unsafe {
        let (read, shared, fd) = (libc::PROT_READ, libc::MAP_SHARED, file.as_raw_fd());
        let map = libc::mmap(std::ptr::null_mut(), size, read, shared, fd, 0);
        assert_ne!(map, libc::MAP_FAILED);
        let mut pages = vec![0_u8; size.div_ceil(libc::sysconf(libc::_SC_PAGESIZE) as usize)];
        assert_eq!(libc::mincore(map, size, pages.as_mut_ptr()), 0);
        libc::munmap(map, size);
        pages.iter().filter(|&&page| page & 1 != 0).count()
    }
}

/// Returns a command that runs another one on a terminal with this many columns. The
/// output of both streams is on its standard output.
pub(crate) fn on_terminal(command: &str, columns: u32) -> Command {
    let script = format!("stty cols {columns} && exec {command}");
    let mut terminal = Command::new("script");
    terminal.args(["-qec", &script, "/dev/null"]);
    terminal.stdin(std::process::Stdio::null());
    terminal
}

/// Returns the metadata of the unnamed draft that the tool writes, if it is open.
pub(crate) fn draft_of(child: u32) -> Option<std::fs::Metadata> {
    let files = std::fs::read_dir(format!("/proc/{child}/fd")).ok()?;
    let paths = files.filter_map(|entry| Some(entry.ok()?.path()));
    let draft = paths.into_iter().find(|path| {
        let link = std::fs::read_link(path).unwrap_or_default();
        let link = link.to_string_lossy().into_owned();
        link.ends_with("(deleted)") || link.contains("/.b.aio-")
    })?;
    std::fs::metadata(draft).ok()
}

/// Makes every AIO system call of the command fail with `errno`, by a seccomp filter.
pub(crate) fn without_aio(command: &mut Command, errno: i32) -> &mut Command {
    // SAFETY: between fork and exec only system calls are made, and nothing
    // is allocated.
    unsafe { command.pre_exec(move || install_filter(errno)) }
}

/// Makes unnamed files (O_TMPFILE) unavailable to the command, as on network file
/// systems.
pub(crate) fn without_unnamed(command: &mut Command) -> &mut Command {
    const OFFSET_OF_FLAGS: u32 = 16 + 2 * 8 + if cfg!(target_endian = "big") { 4 } else { 0 };
    let flag = libc::O_TMPFILE as u32 & !(libc::O_DIRECTORY as u32);
    let program = [
        statement(LOAD, 0, 0, 0),
        statement(EQUAL, 0, 3, libc::SYS_openat as u32),
        statement(LOAD, 0, 0, OFFSET_OF_FLAGS),
        statement(libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K, 0, 1, flag),
        statement(
            RETURN,
            0,
            0,
            libc::SECCOMP_RET_ERRNO | libc::EOPNOTSUPP as u32,
        ),
        statement(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    // SAFETY: between fork and exec only system calls are made, and nothing is
    // allocated: `clone` copies an array.
    unsafe { command.pre_exec(move || install(&mut program.clone())) }
}

/// Kills the command if it creates a thread.
pub(crate) fn without_threads(command: &mut Command) -> &mut Command {
    let program = [
        statement(LOAD, 0, 0, 0),
        statement(EQUAL, 0, 1, libc::SYS_clone as u32),
        statement(RETURN, 0, 0, libc::SECCOMP_RET_KILL_PROCESS),
        statement(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    // SAFETY: between fork and exec only system calls are made, and nothing is
    // allocated: `clone` copies an array.
    unsafe { command.pre_exec(move || install(&mut program.clone())) }
}

const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
const EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
const RETURN: u32 = libc::BPF_RET | libc::BPF_K;

/// Returns a statement of a filter. `jt` and `jf` are the numbers of statements to skip
/// if its condition holds and if it does not.
fn statement(code: u32, jt: usize, jf: usize, k: u32) -> libc::sock_filter {
    libc::sock_filter {
        code: code as u16,
        jt: jt as u8,
        jf: jf as u8,
        k,
    }
}

fn install_filter(errno: i32) -> Result<()> {
    // The numbers come from the library, because libc does not have them all.
    const CALLS: [Option<u32>; 6] = [
        nr::IO_SETUP,
        nr::IO_DESTROY,
        nr::IO_SUBMIT,
        nr::IO_CANCEL,
        nr::IO_GETEVENTS,
        nr::IO_PGETEVENTS,
    ];
    let calls = CALLS.map(|call| call.unwrap_or(u32::MAX));
    forbid(&calls, libc::SECCOMP_RET_ERRNO | errno as u32)
}

/// Installs a filter with one action for these system calls.
fn forbid(calls: &[u32], action: u32) -> Result<()> {
    const MOST: usize = 16;
    let count = calls.len();
    assert!(count <= MOST);
    let allow = statement(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW);
    let mut program = [allow; MOST + 3];
    program[0] = statement(LOAD, 0, 0, 0); // the number
    for (place, &call) in calls.iter().enumerate() {
        // The jump skips the following system calls and the `allow`.
        program[1 + place] = statement(EQUAL, count - place, 0, call);
    }
    program[count + 2] = statement(RETURN, 0, 0, action);
    install(&mut program[..count + 3])
}

/// Runs the command with one action of a seccomp filter for these system calls.
pub(crate) fn forbidding<'a>(
    command: &'a mut Command,
    calls: &[libc::c_long],
    action: u32,
) -> &'a mut Command {
    let calls: Vec<u32> = calls.iter().map(|&call| call as u32).collect();
    // SAFETY: between fork and exec only system calls are made, and nothing is
    // allocated.
    unsafe { command.pre_exec(move || forbid(&calls, action)) }
}

fn install(program: &mut [libc::sock_filter]) -> Result<()> {
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

/// A kernel context of this process, destroyed when dropped.
pub(crate) struct Held(usize);

impl Held {
    /// Creates a context; `None` if the limit does not allow it.
    pub(crate) fn new(events: u32) -> Option<Held> {
        let mut context = 0_usize;
        // SAFETY: the kernel writes one word.
        let result = unsafe { libc::syscall(libc::SYS_io_setup, events, &raw mut context) };
        (result == 0).then_some(Held(context))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // SAFETY: this value owns the context, and no operation is in flight.
        unsafe { libc::syscall(libc::SYS_io_destroy, self.0) };
    }
}
