//! Tests of `aio copy` on file systems in user space, which may stop responding and
//! refuse operations that others support. Network file systems do the same.

mod common;

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::thread::sleep;
use std::time::{Duration, Instant};

use common::*;

/// A mounted file system that mirrors another directory.
struct Mount {
    directory: Directory,
    server: Child,
}

impl Mount {
    fn new(flags: &[&str]) -> Option<Mount> {
        if !can_mount() || !have(&["bindfs"]) {
            return None;
        }
        let directory = directory();
        let at = |name: &str| directory.path().join(name);
        fs::create_dir(at("real")).unwrap();
        fs::create_dir(at("mounted")).unwrap();
        fs::write(at("real/probe"), "").unwrap();
        let mut server = Command::new("bindfs");
        server.args(["-f", "--no-allow-other"]).args(flags);
        let server = server.args([at("real"), at("mounted")]).spawn().unwrap();
        wait_until(|| at("mounted/probe").exists());
        fs::remove_file(at("real/probe")).unwrap();
        Some(Mount { directory, server })
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn signal(&self, signal: i32) {
        send(&self.server, signal);
    }

    /// Stops the server. Returns when each of its threads has stopped: until then, a
    /// thread could still respond to a request that it has taken.
    fn stop(&self) {
        self.signal(libc::SIGSTOP);
        let threads = format!("/proc/{}/task", self.server.id());
        wait_until(|| {
            let mut threads = fs::read_dir(&threads).unwrap();
            threads.all(|thread| {
                let stat = fs::read_to_string(thread.unwrap().path().join("stat"));
                stat.is_ok_and(|stat| stat.contains(") T "))
            })
        });
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        self.signal(libc::SIGCONT);
        let _ = Command::new("umount")
            .arg("-l")
            .arg(self.at("mounted"))
            .status();
        self.signal(libc::SIGTERM);
        let _ = self.server.wait();
    }
}

fn send(child: &Child, signal: i32) {
    // SAFETY: the child of this process has not been waited for, so its process id is
    // valid.
    unsafe { libc::kill(child.id() as libc::pid_t, signal) };
}

/// Waits for the exit of the child, for 20 seconds at most, and returns its status.
#[track_caller]
fn ends(child: &mut Child) -> ExitStatus {
    let begin = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if begin.elapsed() > Duration::from_secs(20) {
            send(child, libc::SIGKILL);
            panic!("it is still there");
        }
        sleep(Duration::from_millis(5));
    }
}

/// Returns pairs of source and target. In each pair, one of them does not respond.
fn ways(mount: &Mount) -> [(PathBuf, PathBuf); 2] {
    [
        (mount.at("mounted/a"), mount.at("b")),
        (mount.at("a"), mount.at("mounted/b")),
    ]
}

fn started(engine: &str, source: &Path, target: &Path) -> Child {
    let flags = [engine, "--sparse=never", "--block=4K"];
    copy(&flags, source, target).spawn().unwrap()
}

#[test]
fn a_signal_ends_an_unanswered_call() {
    for engine in ["--engine=aio", "--engine=kernel"] {
        for way in 0..2 {
            let Some(mount) = Mount::new(&[]) else { return };
            fs::write(mount.at("a"), "data").unwrap();
            fs::write(mount.at("real/a"), "data").unwrap();
            let (source, target) = &ways(&mount)[way];
            mount.stop();
            let mut child = started(engine, source, target);
            sleep(Duration::from_millis(100));
            assert!(child.try_wait().unwrap().is_none(), "it had an answer");
            for signal in [libc::SIGINT, libc::SIGTERM] {
                send(&child, signal);
            }
            let status = ends(&mut child);
            let by = [Some(libc::SIGINT), Some(libc::SIGTERM)];
            assert!(by.contains(&status.signal()), "{engine} {way}: {status}");
        }
    }
}

/// Tests a signal in the middle of a copy.
///
/// The exit of any program sends requests to the file system and may wait for the
/// response, so the server is continued at the end.
#[test]
fn a_signal_ends_a_call_that_is_no_longer_answered() {
    let mut ended = 0;
    for engine in ["--engine=aio", "--engine=kernel"] {
        for way in 0..2 {
            let Some(mount) = Mount::new(&[]) else { return };
            for name in ["a", "real/a"] {
                let file = fs::File::create(mount.at(name)).unwrap();
                file.set_len(1 << 30).unwrap();
            }
            let (source, target) = &ways(&mount)[way];
            let mut child = started(engine, source, target);
            sleep(Duration::from_millis(60));
            mount.stop();
            sleep(Duration::from_millis(100));
            send(&child, libc::SIGTERM);
            sleep(Duration::from_millis(100));
            mount.signal(libc::SIGCONT);
            let status = ends(&mut child);
            ended += u32::from(status.signal() == Some(libc::SIGTERM));
            assert!(status.success() || status.signal() == Some(libc::SIGTERM));
            assert_eq!(target.exists(), status.success());
            wait_until(|| {
                let left = names(target.parent().unwrap());
                !left.iter().any(|name| name.contains(".aio-"))
            });
        }
    }
    assert!(ended > 0, "none was in the middle");
}

#[test]
fn a_refused_chmod_is_a_warning() {
    let Some(mount) = Mount::new(&["--chmod-deny"]) else {
        return;
    };
    fs::write(mount.at("a"), "data").unwrap();
    let target = mount.at("mounted/b");
    let output = copy(&["--preserve=mode"], &mount.at("a"), &target)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(stderr(&output).contains("EPERM"), "{output:?}");
    assert_eq!(fs::read_to_string(&target).unwrap(), "data");
    // An existing file is written in place.
    fs::write(mount.at("a"), "other").unwrap();
    quiet(&copy(&[], &mount.at("a"), &target).output().unwrap());
    assert_eq!(fs::read_to_string(&target).unwrap(), "other");
    assert_eq!(names(&mount.at("real")), ["b"]);
}
