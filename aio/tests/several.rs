//! Tests of `aio copy` with several sources, and with standard input and output.

mod common;

use std::fs;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use common::*;

fn in_directory(at: &Path, arguments: &[&str]) -> Output {
    let mut command = aio(&["copy"]);
    command.args(arguments).current_dir(at);
    command.output().unwrap()
}

#[test]
fn several_go_into_a_directory() {
    let directory = directory();
    let at = |name: &str| directory.path().join(name);
    for name in ["a", "b", "c"] {
        fs::write(at(name), name).unwrap();
    }
    fs::create_dir(at("d")).unwrap();
    for flags in [&[][..], &["--engine=aio"]] {
        let arguments = [flags, &["a", "b", "./c", "d"]].concat();
        quiet(&in_directory(directory.path(), &arguments));
        for name in ["a", "b", "c"] {
            assert_eq!(fs::read_to_string(at("d").join(name)).unwrap(), name);
        }
    }
    assert_eq!(names(&at("d")), ["a", "b", "c"]);
}

#[test]
fn one_that_fails_does_not_stop_the_others() {
    let directory = directory();
    let at = |name: &str| directory.path().join(name);
    fs::write(at("a"), "a").unwrap();
    fs::create_dir(at("d")).unwrap();
    fs::create_dir(at("e")).unwrap();
    fs::write(at("e/a"), "another").unwrap();
    let output = in_directory(directory.path(), &["missing", "a", "e/a", "d"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        stderr(&output),
        "aio: copy: missing: no such file or directory (ENOENT)\n\
         aio: copy: e/a: its name in DST is another's that was copied now\n"
    );
    assert_eq!(fs::read_to_string(at("d/a")).unwrap(), "a");

    // The last name must be that of a directory.
    fs::write(at("b"), "b").unwrap();
    for target in ["b", "new"] {
        let output = in_directory(directory.path(), &["a", "b", target]);
        let line = format!("aio: copy: {target}: not a directory (ENOTDIR)\n");
        assert_eq!(
            (output.status.code(), stderr(&output)),
            (Some(1), line.repeat(2))
        );
    }
    assert_eq!(names(directory.path()), ["a", "b", "d", "e"]);
}

#[test]
fn standard_input_and_output() {
    let directory = directory();
    let at = |name: &str| directory.path().join(name);
    for size in [0, 1, 65_536, 1_000_003] {
        let data = bytes(size);
        fs::write(at("a"), &data).unwrap();
        let run = |source: &str, target: &str| {
            let mut command = aio(&["copy", source, target]);
            command.current_dir(directory.path());
            command.stdin(Stdio::piped()).stdout(Stdio::piped());
            let mut child = command.spawn().unwrap();
            let mut input = child.stdin.take().unwrap();
            let feed = {
                let data = if source == "-" {
                    data.clone()
                } else {
                    Vec::new()
                };
                std::thread::spawn(move || input.write_all(&data).unwrap())
            };
            let output = child.wait_with_output().unwrap();
            feed.join().unwrap();
            assert!(output.status.success(), "{output:?}");
            output.stdout
        };
        assert!(run("a", "-") == data);
        assert!(run("-", "-") == data);
        assert!(run("-", "b").is_empty());
        assert!(fs::read(at("b")).unwrap() == data);
        // The copy has the mode of a file that this process creates.
        fs::write(at("c"), "").unwrap();
        let mode = |name: &str| fs::metadata(at(name)).unwrap().mode();
        assert_eq!(mode("b"), mode("c"));
        fs::remove_file(at("c")).unwrap();
        fs::remove_file(at("b")).unwrap();
    }
    // A file named `-` can be given as `./-`.
    quiet(&in_directory(directory.path(), &["a", "./-"]));
    assert_eq!(names(directory.path()), ["-", "a"]);
}

/// The process at the other end of a stream may have set O_NONBLOCK on it.
#[test]
fn nonblocking_streams() {
    let data = bytes(500_000);
    let (ours, theirs) = UnixStream::pair().unwrap();
    // This sets a flag of the open file description, which the tool shares.
    theirs.set_nonblocking(true).unwrap();
    let both = || Stdio::from(OwnedFd::from(theirs.try_clone().unwrap()));
    let mut child = aio(&["copy", "-", "-"])
        .stdin(both())
        .stdout(both())
        .spawn()
        .unwrap();
    drop(theirs);
    let feed = {
        let (data, mut ours) = (data.clone(), ours.try_clone().unwrap());
        std::thread::spawn(move || {
            for part in data.chunks(70_000) {
                ours.write_all(part).unwrap();
                std::thread::sleep(Duration::from_millis(5));
            }
            ours.shutdown(Shutdown::Write).unwrap();
        })
    };
    let (mut copied, mut ours) = (Vec::new(), ours);
    // Reading begins late, so that the socket buffer is full for a while.
    std::thread::sleep(Duration::from_millis(300));
    ours.read_to_end(&mut copied).unwrap();
    feed.join().unwrap();
    assert!(child.wait().unwrap().success());
    assert!(copied == data);
}

#[test]
fn a_broken_pipe_ends_it_like_other_tools() {
    let directory = directory();
    fs::write(directory.path().join("a"), bytes(1_000_000)).unwrap();
    let output = Command::new("sh")
        .args([
            "-c",
            "{ \"$1\" copy a -; echo $? >&2; } | head -c 10 >/dev/null",
            "sh",
        ])
        .arg(tool())
        .current_dir(directory.path())
        .output()
        .unwrap();
    let said = stderr(&output);
    assert!(
        said == "141\n" || said.ends_with("broken pipe (EPIPE)\n1\n"),
        "{said}"
    );
}
