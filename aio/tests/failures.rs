//! Tests of failing copies: `aio copy` prints one line that names the file, exits with
//! status 1, and leaves DST unchanged and no other file behind.

mod common;

use std::fs;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, ExitStatus};

use common::*;

#[test]
fn names_that_cannot_be_copied() {
    let directory = directory();
    let at = |name: &str| directory.path().join(name);
    fs::write(at("a"), "data").unwrap();
    fs::create_dir(at("d")).unwrap();
    fs::create_dir_all(at("e/a")).unwrap();
    let fifo = std::ffi::CString::new(at("fifo").to_str().unwrap()).unwrap();
    // SAFETY: the name ends in a zero byte.
    assert_eq!(unsafe { libc::mkfifo(fifo.as_ptr(), 0o600) }, 0);
    let before = names(directory.path());

    let no_offsets = "not a regular file or block device: it has no offsets to copy by";
    let replaced = "neither a regular file nor a block device";
    let long = "n".repeat(256);
    for (source, target, about, why) in [
        (
            "missing",
            "b",
            "missing",
            "no such file or directory (ENOENT)",
        ),
        ("d", "b", "d", "a directory, and only files are copied"),
        ("a", "no/b", "no/b", "no such file or directory (ENOENT)"),
        ("a", "a/b", "a/b", "not a directory (ENOTDIR)"),
        ("a/", "b", "a/", "not a directory (ENOTDIR)"),
        ("a", "b/", "b/", "not a directory (ENOTDIR)"),
        ("a", "e", "e", "is a directory (EISDIR)"),
        ("a", "", "", "no such file or directory (ENOENT)"),
        ("a", &long, &long, "file name too long (ENAMETOOLONG)"),
        ("fifo", "b", "fifo", no_offsets),
        ("/dev/zero", "b", "/dev/zero", no_offsets),
        ("a", "fifo", "fifo", replaced),
        ("a", "/dev/null", "/dev/null", replaced),
        (
            "/proc/self/mem",
            "b",
            "/proc/self/mem",
            "input/output error (EIO)",
        ),
    ] {
        let output = aio(&["copy", source, target])
            .current_dir(directory.path())
            .output()
            .unwrap();
        fails(&output, &format!("aio: copy: {about}: {why}"));
        assert_eq!(names(directory.path()), before, "{source} {target}");
    }
    assert_eq!(fs::read_to_string(at("a")).unwrap(), "data");
    assert!(names(&at("d")).is_empty());
}

#[test]
fn the_same_file_is_left_alone() {
    let directory = directory();
    let at = |name: &str| directory.path().join(name);
    let data = bytes(70_000);
    fs::write(at("a"), &data).unwrap();
    fs::hard_link(at("a"), at("hard")).unwrap();
    symlink("a", at("soft")).unwrap();
    for (source, target) in [
        ("a", "a"),
        ("a", "./a"),
        ("a", "hard"),
        ("hard", "a"),
        ("a", "soft"),
        ("soft", "a"),
        ("a", "."),
    ] {
        let output = aio(&["copy", source, target])
            .current_dir(directory.path())
            .output()
            .unwrap();
        fails(
            &output,
            &format!("aio: copy: {target}: the same file as SRC"),
        );
        assert!(fs::read(at("a")).unwrap() == data, "{source} {target}");
    }
    assert_eq!(names(directory.path()), ["a", "hard", "soft"]);
}

#[test]
fn control_characters_of_names_stay_off_the_terminal() {
    let output = aio(&["copy", "no\nsuch\x1b[31mfile", "b"])
        .output()
        .unwrap();
    fails(
        &output,
        "aio: copy: no?such?[31mfile: no such file or directory (ENOENT)",
    );
    // The control characters beyond ASCII, DEL, and those that change the direction of
    // writing.
    let output = aio(&["copy", "a\u{9b}b\u{7f}c\u{202e}d\u{2066}e", "b"])
        .output()
        .unwrap();
    fails(
        &output,
        "aio: copy: a?b?c?d?e: no such file or directory (ENOENT)",
    );
}

/// Runs a script with a small file system mounted at `$2/mount`, in a new mount
/// namespace.
fn on_a_small_disk(directory: &Path, script: &str) -> std::process::Output {
    fs::create_dir(directory.join("mount")).unwrap();
    Command::new("unshare")
        .args(["-m", "sh", "-c"])
        .arg(format!(
            "mount -t tmpfs -o size=1m none \"$2/mount\" || exit 99\ncd \"$2\"\n{script}"
        ))
        .arg("sh")
        .arg(tool())
        .arg(directory)
        .output()
        .unwrap()
}

#[test]
fn a_full_disk() {
    if !can_mount() {
        return skip("nothing can be mounted");
    }
    for flags in [
        "",
        "--direct",
        "--block 4K --depth 64",
        "--block 512 --depth 1",
    ] {
        let directory = directory();
        fs::write(directory.path().join("a"), bytes(3 << 20)).unwrap();
        let script = format!(
            "echo old >mount/b\n\"$1\" copy {flags} a mount/b\necho $?\ncat mount/b\nls -A mount"
        );
        let output = on_a_small_disk(directory.path(), &script);
        assert_eq!(stdout(&output), "1\nold\nb\n", "{output:?}");
        assert_eq!(
            stderr(&output),
            "aio: copy: mount/b: no space left on device (ENOSPC)\n"
        );
    }
}

#[test]
fn files_that_are_not_ours() {
    if !is_root() {
        return skip("changing the user needs root");
    }
    // The directory is not below the build directory, which the other user may not
    // enter.
    let directory = Directory::new_in(&std::env::temp_dir());
    let at = |name: &str| directory.path().join(name);
    let tool_of_all = at("aio");
    fs::copy(tool(), &tool_of_all).unwrap();
    fs::write(at("secret"), "s").unwrap();
    fs::set_permissions(at("secret"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(at("open"), "o").unwrap();
    fs::create_dir(at("theirs")).unwrap();
    fs::set_permissions(at("theirs"), fs::Permissions::from_mode(0o777)).unwrap();
    fs::write(at("theirs/kept"), "k").unwrap();
    fs::set_permissions(at("theirs/kept"), fs::Permissions::from_mode(0o444)).unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();

    let denied = "permission denied (EACCES)";
    for (source, target, about) in [
        ("secret", "theirs/b", "secret"),
        ("open", "b", "b"),
        // The directory permits replacing the file, but its mode forbids writing.
        ("open", "theirs/kept", "theirs/kept"),
    ] {
        let output = Command::new(&tool_of_all)
            .args(["copy", source, target])
            .current_dir(directory.path())
            .uid(65_534)
            .gid(65_534)
            .output()
            .unwrap();
        fails(&output, &format!("aio: copy: {about}: {denied}"));
    }
    assert_eq!(names(&at("theirs")), ["kept"]);
    assert_eq!(fs::read_to_string(at("theirs/kept")).unwrap(), "k");

    // A file can be created in a directory whose names may not be read.
    fs::set_permissions(at("theirs"), fs::Permissions::from_mode(0o733)).unwrap();
    let output = Command::new(&tool_of_all)
        .args(["copy", "open", "theirs/new"])
        .current_dir(directory.path())
        .uid(65_534)
        .gid(65_534)
        .output()
        .unwrap();
    quiet(&output);
    assert_eq!(fs::read_to_string(at("theirs/new")).unwrap(), "o");
}

/// The signals that end a copy.
const ENDING: [i32; 10] = [
    libc::SIGINT,
    libc::SIGTERM,
    libc::SIGHUP,
    libc::SIGQUIT,
    libc::SIGPIPE,
    libc::SIGXCPU,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGALRM,
    libc::SIGVTALRM,
];

/// Starts a copy that takes long enough to be interrupted, and waits until it writes.
fn start_slowly(directory: &Path, unnamed: bool) -> Running {
    let file = fs::File::create(directory.join("a")).unwrap();
    file.set_len(1 << 40).unwrap();
    fs::write(directory.join("b"), "old").unwrap();
    let flags = ["--sparse=never", "--block=512", "--depth=1"];
    let mut command = copy(&flags, &directory.join("a"), &directory.join("b"));
    if !unnamed {
        without_unnamed(&mut command);
    }
    command.stderr(std::process::Stdio::piped());
    // SAFETY: system calls between fork and exec, and no allocation.
    unsafe {
        command.pre_exec(|| {
            // The tests themselves may run under nohup.
            for signal in ENDING {
                libc::signal(signal, libc::SIG_DFL);
            }
            Ok(())
        });
    }
    let child = Running(command.spawn().unwrap());
    wait_until(|| draft_of(child.id()).is_some_and(|draft| draft.len() > 0));
    child
}

/// A copy that would run for hours. It is killed with its test.
struct Running(std::process::Child);

impl Running {
    fn id(&self) -> u32 {
        self.0.id()
    }

    /// Waits for the exit, and returns the status and the output on standard error.
    fn end(mut self) -> (ExitStatus, String) {
        wait_until(|| self.0.try_wait().unwrap().is_some());
        let mut said = String::new();
        let mut pipe = self.0.stderr.take().unwrap();
        pipe.read_to_string(&mut said).unwrap();
        (self.0.wait().unwrap(), said)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_signal_leaves_nothing_behind() {
    for (signal, unnamed) in ENDING.into_iter().flat_map(|s| [(s, true), (s, false)]) {
        ends_by(signal, unnamed);
    }
    // Where the file system supports unnamed files, not even SIGKILL leaves a file
    // behind.
    ends_by(libc::SIGKILL, true);
}

fn ends_by(signal: i32, unnamed: bool) {
    let directory = directory();
    let child = start_slowly(directory.path(), unnamed);
    let drafts = names(directory.path()).len() - 2;
    assert_eq!(drafts, usize::from(!unnamed));
    // SAFETY: the child has not been waited for, so its process id is valid.
    assert_eq!(unsafe { libc::kill(child.id() as i32, signal) }, 0);
    let (status, said) = child.end();
    assert_eq!(status.signal(), Some(signal), "{status:?}");
    assert_eq!(said, "");
    assert_eq!(names(directory.path()), ["a", "b"]);
    let target = directory.path().join("b");
    assert_eq!(fs::read_to_string(target).unwrap(), "old");
}

/// Tests that a signal after the rename does not change the result: the copy has
/// succeeded.
#[test]
fn a_late_signal_changes_nothing() {
    for unnamed in [true, false] {
        for _ in 0..100 {
            let directory = directory();
            let (source, target) = (directory.path().join("a"), directory.path().join("b"));
            fs::write(&source, "data").unwrap();
            let mut command = copy(&[], &source, &target);
            if !unnamed {
                without_unnamed(&mut command);
            }
            let mut child = command.spawn().unwrap();
            while fs::metadata(&target).is_err() && child.try_wait().unwrap().is_none() {
                std::hint::spin_loop();
            }
            // SAFETY: `libc::kill` accesses no memory of this process. The process id
            // is that of the child, which either has not been waited for or has exited.
            unsafe { libc::kill(child.id() as i32, libc::SIGTERM) };
            assert_eq!(child.wait().unwrap().code(), Some(0));
            assert_eq!(fs::read_to_string(&target).unwrap(), "data");
        }
    }
}

/// Tests that a copy waits for a source without data, and that a signal ends the wait.
#[test]
fn a_source_that_waits_can_be_interrupted() {
    // Reads of this file wait for the next kernel message.
    let source = Path::new("/proc/kmsg");
    if !is_root() || fs::File::open(source).is_err() {
        return skip("the kernel's log may not be read");
    }
    for flags in [&[][..], &["--engine=aio"]] {
        let directory = directory();
        let mut command = copy(flags, source, &directory.path().join("b"));
        command.stderr(std::process::Stdio::piped());
        let child = Running(command.spawn().unwrap());
        std::thread::sleep(std::time::Duration::from_millis(300));
        let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
        let ticks = stat
            .split(' ')
            .skip(13)
            .take(2)
            .map(|ticks| ticks.parse::<u32>().unwrap());
        assert!(ticks.sum::<u32>() < 10, "{stat}");
        // SAFETY: the child has not been waited for, so its process id is valid.
        unsafe { libc::kill(child.id() as i32, libc::SIGTERM) };
        assert_eq!(child.end().0.signal(), Some(libc::SIGTERM));
        assert!(names(directory.path()).is_empty());
    }
}

/// Tests a signal while the tool waits to write a message to a full pipe.
#[test]
fn a_full_pipe_does_not_keep_signals_off() {
    if !can_mount() {
        return skip("nothing can be mounted");
    }
    let directory = directory();
    fs::write(directory.path().join("a"), bytes(1000)).unwrap();
    fs::create_dir(directory.path().join("m")).unwrap();
    // ramfs refuses O_DIRECT, which the tool reports.
    let script = r#"mount -t ramfs none "$2/m"; cd "$2"; exec "$1" copy --direct a m/b"#;
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-ec", script, "sh"]);
    command.arg(tool()).arg(directory.path());
    let (reader, writer) = std::io::pipe().unwrap();
    // SAFETY: the descriptor is open; no memory is passed.
    let capacity = unsafe { libc::fcntl(writer.as_raw_fd(), libc::F_GETPIPE_SZ) };
    (&writer).write_all(&vec![0; capacity as usize]).unwrap();
    command.stderr(writer);
    let mut child = command.spawn().unwrap();
    let comm = format!("/proc/{}/comm", child.id());
    wait_until(|| fs::read_to_string(&comm).is_ok_and(|name| name == "aio\n"));
    std::thread::sleep(std::time::Duration::from_millis(200));
    assert!(child.try_wait().unwrap().is_none());
    // SAFETY: the child has not been waited for, so its process id is valid.
    unsafe { libc::kill(child.id() as i32, libc::SIGTERM) };
    wait_until(|| child.try_wait().unwrap().is_some());
    assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGTERM));
    drop(reader);
}

#[test]
fn an_ignored_signal_is_ignored() {
    let directory = directory();
    let (source, target) = (directory.path().join("a"), directory.path().join("b"));
    fs::write(&source, bytes(8 << 20)).unwrap();
    let mut command = copy(&["--block", "512", "--depth", "1"], &source, &target);
    // SAFETY: a system call between fork and exec, and no allocation.
    unsafe {
        command.pre_exec(|| {
            libc::signal(libc::SIGHUP, libc::SIG_IGN);
            Ok(())
        });
    }
    let child = command.spawn().unwrap();
    wait_until(|| draft_of(child.id()).is_some());
    // SAFETY: the child has not been waited for, so its process id is valid.
    unsafe { libc::kill(child.id() as i32, libc::SIGHUP) };
    assert!(child.wait_with_output().unwrap().status.success());
    assert!(fs::read(&source).unwrap() == fs::read(&target).unwrap());
}

#[test]
fn a_source_that_shrinks_is_no_success() {
    let directory = directory();
    let child = start_slowly(directory.path(), true);
    let source = directory.path().join("a");
    let file = fs::OpenOptions::new().write(true).open(&source).unwrap();
    file.set_len(0).unwrap();
    let (status, said) = child.end();
    assert_eq!(status.code(), Some(1));
    assert_eq!(
        said,
        format!(
            "aio: copy: {}: became shorter while it was copied\n",
            source.display()
        )
    );
    assert_eq!(names(directory.path()), ["a", "b"]);
    assert_eq!(
        fs::read_to_string(directory.path().join("b")).unwrap(),
        "old"
    );
}

#[test]
fn a_limit_on_file_sizes() {
    let directory = directory();
    let (source, target) = (directory.path().join("a"), directory.path().join("b"));
    fs::write(&source, bytes(200_000)).unwrap();
    // The limit lies inside a block, so a short write precedes the error.
    for block in ["64K", "512", "1M"] {
        let mut command = copy(&["--block", block], &source, &target);
        // SAFETY: a system call between fork and exec, and no allocation.
        unsafe {
            command.pre_exec(|| {
                let limit = libc::rlimit {
                    rlim_cur: 100_000,
                    rlim_max: 100_000,
                };
                libc::setrlimit(libc::RLIMIT_FSIZE, &limit);
                Ok(())
            });
        }
        fails(
            &command.output().unwrap(),
            &format!("aio: copy: {}: file too large (EFBIG)", target.display()),
        );
        assert_eq!(names(directory.path()), ["a"]);
    }
}

#[test]
fn buffers_that_do_not_fit_into_memory() {
    let directory = directory();
    let (source, target) = (directory.path().join("a"), directory.path().join("b"));
    fs::File::create(&source).unwrap().set_len(1 << 40).unwrap();
    let mut command = copy(&["--depth", "64", "--block", "1G"], &source, &target);
    // SAFETY: a system call between fork and exec, and no allocation.
    unsafe {
        command.pre_exec(|| {
            let limit = libc::rlimit {
                rlim_cur: 1 << 30,
                rlim_max: 1 << 30,
            };
            libc::setrlimit(libc::RLIMIT_AS, &limit);
            Ok(())
        });
    }
    fails(
        &command.output().unwrap(),
        "aio: copy: buffers: out of memory (ENOMEM)",
    );
    assert_eq!(names(directory.path()), ["a"]);
}
