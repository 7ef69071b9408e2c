//! Runs the example as a user does: against `cksum`, under strace, and where AIO is
//! unavailable.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const EXECUTOR: &str = env!("CARGO_BIN_EXE_executor");

/// Creates a command with a time limit, so that a lost wake does not let it run for
/// ever.
fn program(name: &str) -> Command {
    let mut command = Command::new("timeout");
    command.args(["60", name]);
    command
}

fn executor() -> Command {
    program(EXECUTOR)
}

/// Creates a file for one test.
fn file(name: &str, bytes: usize) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let content: Vec<u8> = (0..bytes).map(|i| (i / 251 * 7 + i % 251) as u8).collect();
    fs::write(&path, content).unwrap();
    path
}

fn run(command: &mut Command) -> (Option<i32>, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn clients_get_what_cksum_reads() {
    // The first size is larger than the socket buffers, so that the servers have to
    // wait. The others are the boundaries of blocks and of chunks.
    for bytes in [1_000_003, 0, 1, 4096, 65_536, 131_072] {
        let path = file("served", bytes);
        let (status, out, errors) = run(executor().arg(&path));
        let (_, sum, _) = run(Command::new("cksum").arg(&path));
        assert_eq!((status, &*errors), (Some(0), ""), "{bytes} bytes");
        let (first, rest) = out.split_once('\n').unwrap();
        assert_eq!(first, sum.trim_end(), "{bytes} bytes");
        assert!(rest.starts_with("served twice, with "), "{rest}");
    }
}

/// Verifies that the example uses no thread, no poll(2), no epoll and no allocation:
/// all it waits for arrives through the ring.
#[test]
fn there_is_no_other_reactor() {
    let path = file("traced", 1_000_003);
    let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join("strace");
    let mut strace = program("strace");
    let (status, ..) = run(strace
        .arg("-f")
        .arg("-o")
        .arg(&log)
        .arg(EXECUTOR)
        .arg(&path));
    assert_eq!(status, Some(0));
    let log = fs::read_to_string(log).unwrap();
    let checks = log.lines().filter(|line| line.contains("fcntl(")).count();
    assert!(checks <= 3, "{log}");
    let mut calls: BTreeSet<&str> = log
        .lines()
        .filter_map(|line| line.split_once('(')?.0.split_whitespace().last())
        .collect();
    for file in [
        "execve",
        "openat",
        "socketpair",
        "read",
        "write",
        "shutdown",
        "close",
    ] {
        assert!(calls.remove(file), "{file} is not in {log}");
    }
    for aio in ["io_setup", "io_submit", "io_destroy"] {
        assert!(calls.remove(aio), "{aio} is not in {log}");
    }
    // The system calls that may but need not occur. The first two block, in the newer
    // or the older form, which a fast disk can make unnecessary. The next ones exclude
    // the ring from forked children and detect such a child. The last ones check the
    // standard descriptors (each once) and make relocated constants read-only, before the
    // program begins, and exit.
    for may in [
        "io_pgetevents",
        "io_getevents",
        "madvise",
        "mmap",
        "fcntl",
        "mprotect",
        "exit_group",
    ] {
        calls.remove(may);
    }
    assert!(calls.is_empty(), "also: {calls:?}");
}

#[test]
fn mistakes_are_reported() {
    let (status, out, errors) = run(&mut executor());
    assert_eq!((status, &*out), (Some(2), ""));
    assert_eq!(errors, "executor: which FILE?\n");
    let (status, out, errors) = run(executor().arg("/nonexistent"));
    assert_eq!((status, &*out), (Some(1), ""));
    assert_eq!(errors, "executor: no such file or directory (ENOENT)\n");
    // The first read of a directory fails, in its event or at submission.
    let (status, out, errors) = run(executor().arg("/"));
    assert_eq!((status, &*out), (Some(1), ""), "{errors}");
    assert_ne!(errors, "");
}

/// Runs the example under QEMU's user mode, which has no AIO.
#[test]
fn missing_aio_is_reported() {
    let mut emulated = program(concat!(env!("CARGO_MANIFEST_DIR"), "/../../qemu/user-mode"));
    emulated.args([std::env::consts::ARCH, EXECUTOR, EXECUTOR]);
    let (status, out, errors) = run(&mut emulated);
    assert_eq!((status, &*out), (Some(1), ""), "{errors}");
    assert_eq!(
        errors,
        "executor: there is no AIO here: call not implemented (ENOSYS)\n"
    );
}
