//! Tests of `aio copy` as root where another user owns the names: files that this user
//! swaps while the tool runs are neither followed, nor replaced, nor opened. Each
//! attack is tried a thousand times.

mod common;

use std::ffi::CString;
use std::fs;
use std::os::unix::fs::{FileTypeExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::*;

const RUNS: u32 = 1000;
const NOBODY: u32 = 65_534;

/// A function that copies from the first path to the second, and returns whether it
/// succeeded.
type Copy = fn(&Path, &Path) -> bool;

/// The directory of root, which contains the attacked files, and the attacker's
/// directory, both in memory.
struct Scene {
    root: Directory,
    attacker: PathBuf,
}

impl Scene {
    fn new() -> Scene {
        let root = Directory::new_in(Path::new("/dev/shm"));
        let attacker = root.path().join("theirs");
        fs::create_dir(&attacker).unwrap();
        fs::create_dir(root.path().join("ours")).unwrap();
        fs::write(root.path().join("a"), "data").unwrap();
        chown(&attacker, Some(NOBODY), Some(NOBODY)).unwrap();
        Scene { root, attacker }
    }

    fn ours(&self) -> PathBuf {
        self.root.path().join("ours")
    }

    fn their_file(&self, name: &str) -> PathBuf {
        let path = self.attacker.join(name);
        fs::write(&path, "theirs").unwrap();
        chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
        path
    }

    fn their_link(&self, name: &str, to: &Path) -> PathBuf {
        let path = self.attacker.join(name);
        symlink(to, &path).unwrap();
        path
    }
}

/// A process of the attacker that exchanges two names until it is killed.
struct Attacker(libc::pid_t);

impl Attacker {
    fn exchanges(one: &Path, other: &Path) -> Attacker {
        let [one, other] = [one, other].map(|path| CString::new(path.to_str().unwrap()).unwrap());
        // SAFETY: the child only makes system calls, which are async-signal-safe after
        // a fork.
        unsafe {
            let child = libc::fork();
            if child == 0 {
                libc::setgid(NOBODY);
                libc::setuid(NOBODY);
                loop {
                    libc::syscall(
                        libc::SYS_renameat2,
                        libc::AT_FDCWD,
                        one.as_ptr(),
                        libc::AT_FDCWD,
                        other.as_ptr(),
                        libc::RENAME_EXCHANGE,
                    );
                    // The pause makes some runs find the same file twice, and others
                    // not.
                    let pause = libc::timespec {
                        tv_sec: 0,
                        tv_nsec: 1_000,
                    };
                    libc::nanosleep(&pause, std::ptr::null_mut());
                }
            }
            assert!(child > 0);
            Attacker(child)
        }
    }
}

impl Drop for Attacker {
    fn drop(&mut self) {
        // SAFETY: the child of this process has not been waited for, so its process id
        // is valid.
        unsafe {
            libc::kill(self.0, libc::SIGKILL);
            libc::waitpid(self.0, std::ptr::null_mut(), 0);
        }
    }
}

/// Runs the copy, and returns whether it succeeded. Panics if it does not exit.
#[track_caller]
fn ends(source: &Path, target: &Path) -> bool {
    succeeds(copy(&[], source, target))
}

/// Does the same with cp, for comparison.
#[track_caller]
fn ends_by_cp(source: &Path, target: &Path) -> bool {
    let mut command = Command::new("cp");
    command.arg(source).arg(target);
    succeeds(command)
}

#[track_caller]
fn succeeds(mut command: Command) -> bool {
    command.stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let begin = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.success();
        }
        if begin.elapsed() > Duration::from_secs(10) {
            let _ = child.kill();
            panic!("it waits for ever");
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}

fn may_attack() -> bool {
    if !is_root() {
        skip("another user's process needs root");
    }
    is_root()
}

/// Asserts that some runs succeeded and some failed: otherwise the attack had no
/// effect.
#[track_caller]
fn was_one(by: &str, succeeded: u32) {
    println!("{by}: {succeeded} of {RUNS} copied");
    assert!((1..RUNS).contains(&succeeded), "{succeeded} of {RUNS}");
}

#[test]
fn no_file_is_made_in_our_directory() {
    if !may_attack() {
        return;
    }
    let scene = Scene::new();
    let target = scene.their_file("out");
    let link = scene.their_link("link", &scene.ours().join("made"));
    let _attacker = Attacker::exchanges(&target, &link);
    for (by, ends) in [("aio", ends as Copy), ("cp", ends_by_cp)] {
        let mut succeeded = 0;
        for _ in 0..RUNS {
            succeeded += u32::from(ends(&scene.root.path().join("a"), &target));
            assert!(names(&scene.ours()).is_empty(), "by {by}");
        }
        was_one(by, succeeded);
    }
}

#[test]
fn no_device_is_replaced() {
    if !may_attack() {
        return;
    }
    let scene = Scene::new();
    let device = scene.ours().join("null");
    let name = CString::new(device.to_str().unwrap()).unwrap();
    // SAFETY: the name ends in a zero byte.
    if unsafe { libc::mknod(name.as_ptr(), libc::S_IFCHR | 0o666, libc::makedev(1, 3)) } != 0 {
        return skip("no device can be made");
    }
    let target = scene.their_file("out");
    let link = scene.their_link("link", &device);
    let _attacker = Attacker::exchanges(&target, &link);
    for (by, ends) in [("aio", ends as Copy), ("cp", ends_by_cp)] {
        let mut succeeded = 0;
        for _ in 0..RUNS {
            succeeded += u32::from(ends(&scene.root.path().join("a"), &target));
            let kind = fs::symlink_metadata(&device).unwrap().file_type();
            assert!(kind.is_char_device(), "by {by}");
            assert_eq!(names(&scene.ours()), ["null"], "by {by}");
        }
        // cp writes to the device when the link leads to it.
        if by == "aio" {
            was_one(by, succeeded);
        }
    }
}

/// Tests that a file that was exchanged for the target at the end is restored, and that
/// no draft is left.
#[test]
fn a_file_swapped_at_the_end_is_restored() {
    if !may_attack() {
        return;
    }
    let scene = Scene::new();
    let target = scene.their_file("out");
    let other = scene.their_file("other");
    let _attacker = Attacker::exchanges(&target, &other);
    let mut succeeded = 0;
    for _ in 0..RUNS {
        succeeded += u32::from(ends(&scene.root.path().join("a"), &target));
        let mut left = names(&scene.attacker);
        left.retain(|name| name.contains(".aio-"));
        assert!(left.is_empty(), "{left:?}");
    }
    assert!(succeeded > 0);
}

/// Tests that only examined files are opened: opening a device has side effects, and
/// opening a pipe waits.
#[test]
fn only_the_checked_file_is_opened() {
    if !may_attack() {
        return;
    }
    let scene = Scene::new();
    let source = scene.their_file("source");
    let pipe = scene.attacker.join("pipe");
    let name = CString::new(pipe.to_str().unwrap()).unwrap();
    // SAFETY: the name ends in a zero byte.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    // The writer waits until the pipe is opened for reading.
    let watched = scene.root.path().join("watched");
    fs::hard_link(&pipe, &watched).unwrap();
    let writer = std::thread::spawn({
        let watched = watched.clone();
        move || fs::OpenOptions::new().write(true).open(watched).unwrap()
    });
    let _attacker = Attacker::exchanges(&source, &pipe);
    let mut succeeded = 0;
    for _ in 0..RUNS {
        let target = scene.root.path().join("b");
        let ended = ends(&source, &target);
        if ended {
            assert_eq!(fs::read_to_string(&target).unwrap(), "theirs");
        }
        succeeded += u32::from(ended);
        assert!(!writer.is_finished(), "the pipe was opened");
    }
    let _reader = fs::File::open(&watched).unwrap();
    writer.join().unwrap();
    was_one("aio", succeeded);
}

/// Tests that names taken by another user do not prevent creating a draft.
#[test]
fn no_name_of_a_draft_can_be_taken() {
    if !may_attack() {
        return;
    }
    let scene = Scene::new();
    let target = scene.attacker.join("out");
    for number in 0..500 {
        let id = std::process::id() + number;
        for end in ["", "-1", "-2", "-3", "-4", "-5", "-6", "-7", "-8", "-9"] {
            fs::write(scene.attacker.join(format!(".out.aio-{id}{end}")), "").unwrap();
        }
    }
    let before = names(&scene.attacker).len();
    for unnamed in [true, false] {
        let mut command = copy(&[], &scene.root.path().join("a"), &target);
        if !unnamed {
            without_unnamed(&mut command);
        }
        quiet(&command.output().unwrap());
    }
    assert_eq!(names(&scene.attacker).len(), before + 1);
}
