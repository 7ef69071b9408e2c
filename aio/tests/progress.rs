//! Tests of the progress of `aio copy`.

mod common;

use std::fs;
use std::path::Path;

use common::*;

/// A copy that takes long enough for updates: blocks of 512 bytes, one at a time.
const SLOW: &str = "--engine=aio --depth=1 --block=512";

fn source(directory: &Path) {
    fs::write(directory.join("a"), bytes(48 << 20)).unwrap();
}

/// Returns the texts that the copy drew on a terminal with so many columns.
fn drawn(directory: &Path, flags: &str, columns: u32) -> Vec<String> {
    let at = directory.display();
    let command = format!("{} copy {flags} {at}/a {at}/b", tool().display());
    let output = on_terminal(&command, columns).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let shown = stdout(&output);
    let lines = shown.split("\r\x1b[K").skip(1);
    lines.map(|line| line.trim_end().to_owned()).collect()
}

#[test]
fn progress_has_a_rate_an_estimate_and_the_fsync() {
    if !have(&["script", "stty"]) {
        return;
    }
    let directory = directory();
    source(directory.path());
    let lines = drawn(directory.path(), SLOW, 100);
    println!("{lines:#?}");
    let copying: Vec<&String> = lines
        .iter()
        .filter(|line| line.ends_with(" s left"))
        .collect();
    assert!(!copying.is_empty(), "{lines:?}");
    assert!(
        copying.iter().all(|line| line.contains("/s, ")),
        "{lines:?}"
    );
    let [.., sync, end] = &lines[..] else {
        panic!("{lines:?}")
    };
    assert_eq!(sync, "48.0 MiB of 48.0 MiB, 100 %, syncing");
    assert!(end.starts_with("48.0 MiB of 48.0 MiB, 100 %, "), "{end}");
    assert!(end.ends_with("/s"), "{end}");

    // One line of the terminal, whatever its width.
    for columns in [1, 7, 24] {
        let lines = drawn(directory.path(), SLOW, columns);
        assert!(!lines.is_empty());
        for line in &lines {
            assert!(line.len() < columns as usize, "{columns}: {lines:?}");
        }
    }

    let flags = format!("{SLOW} --no-progress");
    assert!(drawn(directory.path(), &flags, 80).is_empty());
    let flags = format!("{SLOW} --quiet");
    assert!(drawn(directory.path(), &flags, 80).is_empty());
}

#[test]
fn progress_on_request_is_a_line_each() {
    let directory = directory();
    source(directory.path());
    let (from, to) = (directory.path().join("a"), directory.path().join("b"));
    let output = copy(&["--progress"], &from, &to).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let shown = stderr(&output);
    let last = shown.lines().last().unwrap();
    assert!(last.starts_with("48.0 MiB of 48.0 MiB, 100 %, "), "{shown}");
    assert!(!shown.contains(['\r', '\x1b']), "{shown}");

    // A reader that reads nothing does not stop the copy.
    let mut full = full_pipe();
    let mut command = copy(&["--progress"], &from, &to);
    let status = command
        .stderr(full.1.try_clone().unwrap())
        .status()
        .unwrap();
    assert!(status.success());
    drop(command);
    // Notices are suppressed, errors are not.
    let output = copy(&["--quiet"], &directory.path().join("no"), &to)
        .output()
        .unwrap();
    assert!(
        stderr(&output).contains("no such file or directory"),
        "{output:?}"
    );
    use std::io::Read;
    drop(full.1);
    let mut rest = Vec::new();
    full.0.read_to_end(&mut rest).unwrap();
    assert!(rest.iter().all(|&byte| byte == b'.'));
}

/// Returns a pipe that holds as much as it can.
fn full_pipe() -> (fs::File, fs::File) {
    use std::os::fd::FromRawFd;
    let mut ends = [0; 2];
    // SAFETY: the kernel writes two descriptors, which nothing else owns. The bytes live
    // through the calls.
    unsafe {
        assert_eq!(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC), 0);
        let [_, fd] = ends;
        let flags = libc::fcntl(fd, libc::F_GETFL);
        libc::fcntl(fd, libc::F_SETFL, flags | libc::O_NONBLOCK);
        for size in [4096, 1] {
            while libc::write(fd, [b'.'; 4096].as_ptr().cast(), size) > 0 {}
        }
        libc::fcntl(fd, libc::F_SETFL, flags);
        ends.map(|fd| fs::File::from_raw_fd(fd)).into()
    }
}
