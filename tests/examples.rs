//! Runs the examples of the package, and checks their output. `cargo test` builds them
//! before; with `--test examples` alone, `cargo build --features std --examples` does.
#![cfg(feature = "std")]

#[path = "support/skip.rs"]
mod skip;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::SystemTime;

/// Returns the command of an example, or skips the test if it was not built.
fn example(name: &str) -> Option<Command> {
    let test = std::env::current_exe().unwrap();
    // The test is in `deps`.
    let folder = test.parent().unwrap().parent().unwrap().join("examples");
    let program = folder.join(name);
    if !program.exists() {
        skip::skip(&format!("cargo has not built {}", program.display()));
        return None;
    }
    let built = modified(&program);
    for source in sources(&program) {
        assert!(
            modified(&source) <= built,
            "{} was built before {} changed",
            program.display(),
            source.display()
        );
    }
    let mut command = Command::new(program);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    Some(command)
}

/// Returns the sources of a program, which cargo lists in a file beside it.
fn sources(program: &Path) -> Vec<PathBuf> {
    let list = fs::read_to_string(program.with_extension("d")).unwrap();
    let (_, list) = list.split_once(": ").unwrap();
    // A space in a name is escaped.
    let list = list.trim_end().replace("\\ ", "\0");
    let names = list.split(' ').map(|name| name.replace('\0', " "));
    names.map(PathBuf::from).collect()
}

fn modified(file: &Path) -> SystemTime {
    let metadata = fs::metadata(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    metadata.modified().unwrap()
}

/// Runs a program with this standard input, and returns its output. It has to succeed.
fn output(command: &mut Command, input: &str) -> String {
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    finish(child, String::new())
}

fn finish(mut child: Child, mut text: String) -> String {
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_to_string(&mut text).unwrap();
    let status = child.wait().unwrap();
    assert!(status.success(), "{status}: {text}");
    text
}

/// A file for one test, which is removed at its end.
struct File(PathBuf);

impl File {
    fn new(name: &str) -> File {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        let path = folder.join(format!("examples-{name}-{}", std::process::id()));
        let _ = fs::remove_file(&path);
        File(path)
    }

    /// A file of this length, whose bytes differ from one block to the next.
    fn filled(name: &str, len: u64) -> File {
        let file = File::new(name);
        let bytes = (0..len).map(|at| (at.wrapping_mul(0x9e37_79b9) >> 13) as u8);
        fs::write(&file.0, bytes.collect::<Vec<_>>()).unwrap();
        file
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn read_prints_two_parts_of_a_file() {
    let Some(mut read) = example("read") else {
        return;
    };
    let file = File::new("read");
    fs::write(&file.0, "sixteen letters, then more").unwrap();
    assert_eq!(
        output(read.arg(&file.0), ""),
        "16 bytes: sixteen letters,\n10 bytes:  then more\n"
    );
}

#[test]
fn copy_copies_every_byte() {
    // None, part of a block, and more blocks than are in flight at a time.
    for len in [0, 1, 256 * 1024, 17 * 256 * 1024 + 4097] {
        let Some(mut copy) = example("copy") else {
            return;
        };
        let (from, to) = (File::filled("copy-from", len), File::new("copy-to"));
        let text = output(copy.args([&from.0, &to.0]), "");
        assert_eq!(text, format!("{len} bytes copied\n"));
        assert!(fs::read(&from.0).unwrap() == fs::read(&to.0).unwrap());
    }
}

#[test]
fn direct_sums_every_byte() {
    for len in [1, 4096, 100 * 4096 + 1] {
        let Some(mut direct) = example("direct") else {
            return;
        };
        let file = File::filled("direct", len);
        let bytes = fs::read(&file.0).unwrap();
        let sum: u64 = bytes.iter().map(|&byte| u64::from(byte)).sum();
        let text = output(direct.arg(&file.0), "");
        assert_eq!(text, format!("{len} bytes, sum {sum}\n"));
    }
}

#[test]
fn asynchronous_measures_buffered_operations_as_synchronous() {
    let Some(mut asynchronous) = example("asynchronous") else {
        return;
    };
    let folder = File::new("asynchronous");
    fs::create_dir(&folder.0).unwrap();
    let text = output(asynchronous.arg(&folder.0), "");
    // Its file is removed.
    fs::remove_dir(&folder.0).unwrap();
    assert_eq!(text.lines().count(), 12, "{text}");
    for row in text.lines().skip(1) {
        let (name, measured) = row.split_at(34);
        let is_buffered = name.starts_with("read") || name.starts_with("write");
        let is_direct = name.starts_with("direct");
        // Where the folder's file system has no O_DIRECT, an error is in its place.
        assert!(is_direct || measured.contains(" of 32 "), "{row}");
        assert!(
            !is_buffered || measured.starts_with("      0 of 32 "),
            "{row}"
        );
    }
}

#[test]
fn poll_reads_the_sockets_in_the_order_in_which_they_are_readable() {
    if let Some(mut poll) = example("poll") {
        assert_eq!(output(&mut poll, ""), "socket 2\nsocket 1\nsocket 0\n");
    }
}

#[test]
fn eventfd_epoll_reads_the_requested_blocks() {
    let Some(mut epoll) = example("eventfd_epoll") else {
        return;
    };
    let file = File::filled("epoll", 16 * 3 + 5);
    assert_eq!(
        output(epoll.arg(&file.0), ""),
        "block 0: 16 bytes\nblock 1: 16 bytes\nblock 2: 16 bytes\nblock 3: 5 bytes\n"
    );
}

#[test]
fn cancel_cancels_the_poll_alone() {
    let Some(mut cancel) = example("cancel") else {
        return;
    };
    assert_eq!(
        output(&mut cancel, ""),
        "completed within 100 ms: 0\n\
         cancel the poll: Ok(())\n\
         the poll's result: Ok(0)\n\
         cancel the sync: Err(EINVAL)\n\
         the sync's result: Ok(0)\n\
         cancel a staged sync: Ok(())\n\
         its result: Err(ECANCELED), refused: true\n"
    );
}

#[test]
fn signals_ends_at_each_of_its_signals() {
    for signal in [libc::SIGINT, libc::SIGTERM] {
        let Some(mut signals) = example("signals") else {
            return;
        };
        let mut child = signals.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        // From here on, the signals are blocked except in the wait.
        stdout.read_line(&mut line).unwrap();
        assert_eq!(line, format!("waiting in process {}\n", child.id()));
        // SAFETY: the call has no pointer. The child was not waited for, so it exists.
        assert_eq!(unsafe { libc::kill(child.id() as i32, signal) }, 0);
        let mut text = String::new();
        stdout.read_to_string(&mut text).unwrap();
        assert_eq!(text, format!("signal {signal}\nresult: Ok(0)\n"));
        let status = child.wait().unwrap();
        assert_eq!((status.code(), status.signal()), (Some(0), None));
    }
}

#[test]
fn log_keeps_the_changes_that_it_has_confirmed() {
    let file = File::new("log");
    let run = |input: &str| Some(output(example("log")?.arg(&file.0), input));
    let Some(first) = run("set a 1\nset b two words\nset a 3\nget a\n") else {
        return;
    };
    assert!(first.starts_with("0 keys\n"), "{first}");
    assert!(first.contains("a: Some(\"3\")\n"), "{first}");
    // The lines may have come in several groups.
    let confirmed = first.lines().filter_map(|line| line.split_once(" changes"));
    let confirmed: u32 = confirmed
        .map(|(count, _)| count.parse::<u32>().unwrap())
        .sum();
    assert_eq!(confirmed, 3, "{first}");

    // A record of which a crash has left a part.
    let whole = fs::read(&file.0).unwrap();
    let cut = [&whole[..], &whole[..13]].concat();
    fs::write(&file.0, cut).unwrap();
    let second = run("get a\nget b\nget c\n").unwrap();
    assert_eq!(
        second,
        "2 keys\na: Some(\"3\")\nb: Some(\"two words\")\nc: None\n"
    );
    assert_eq!(fs::read(&file.0).unwrap(), whole);

    // A log that was killed while it waited has lost nothing that it has confirmed.
    let mut child = example("log").unwrap().arg(&file.0).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"set c 4\n").unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    while lines.next().unwrap().unwrap() != "1 changes are on the disk" {}
    child.kill().unwrap();
    child.wait().unwrap();
    let third = run("get c\n").unwrap();
    assert_eq!(third, "3 keys\nc: Some(\"4\")\n");
}
