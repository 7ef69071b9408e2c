//! Runs the example as a user does, and where AIO is unavailable.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const COPY: &str = env!("CARGO_BIN_EXE_tokio-reactor");

/// Creates a command with a time limit, so that a lost wake does not let it run for
/// ever.
fn program(name: &str) -> Command {
    let mut command = Command::new("timeout");
    command.args(["60", name]);
    command
}

fn copy() -> Command {
    program(COPY)
}

fn place(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

#[test]
fn both_runtimes_copy_both_ways() {
    let (source, target) = (place("source"), place("target"));
    for bytes in [2_000_003_usize, 0, 1, 4096, 16_384] {
        let content: Vec<u8> = (0..bytes).map(|i| (i / 251 * 7 + i % 251) as u8).collect();
        fs::write(&source, &content).unwrap();
        let output = copy().args([&source, &target]).output().unwrap();
        assert!(output.status.success(), "{bytes} bytes: {output:?}");
        assert!(fs::read(&target).unwrap() == content, "{bytes} bytes");
        let chunks = format!(": the same, {} chunks; ", bytes.div_ceil(16_384));
        let text = String::from_utf8(output.stdout).unwrap();
        let ways: Vec<_> = text
            .lines()
            .map(|line| line.split_once(&chunks).unwrap().0)
            .collect();
        let all = [
            "one thread, buffered",
            "several threads, buffered",
            "one thread, direct",
            "several threads, direct",
        ];
        assert_eq!(ways, all, "{bytes} bytes");
    }
}

#[test]
fn mistakes_are_reported() {
    let output = copy()
        .args(["/nonexistent", "/nonexistent"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        text,
        "tokio-reactor: No such file or directory (os error 2)\n"
    );
}

/// Runs the example under QEMU's user mode, which has no AIO.
#[test]
fn missing_aio_is_reported() {
    let mut emulated = program(concat!(env!("CARGO_MANIFEST_DIR"), "/../../qemu/user-mode"));
    emulated.args([std::env::consts::ARCH, COPY, COPY, "/nonexistent"]);
    let output = emulated.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        text,
        "tokio-reactor: there is no AIO here: call not implemented (ENOSYS)\n"
    );
}
