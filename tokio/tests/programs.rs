//! Runs the examples as a user does, and where AIO is unavailable.

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use support::{Temp, pattern};

/// Returns the path of an example, which cargo builds beside the tests.
fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().unwrap().parent().unwrap();
    let program = profile.join("examples").join(name);
    assert!(
        program.exists(),
        "`cargo test` builds the examples unless it is given --test"
    );
    program
}

/// Runs a program with a time limit, so that a lost wake-up does not let it run for ever.
fn run(program: &Path, arguments: &[&Path]) -> Output {
    let mut command = Command::new("timeout");
    command.arg("60").arg(program).args(arguments);
    command.output().unwrap()
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn copies_are_equal() {
    let copy = example("copy");
    for bytes in [2_000_003, 0, 1, 4096, 131_072] {
        let content = pattern(bytes);
        let (source, target) = (Temp::with(&content), Temp::with(b"old"));
        let text = text(&run(&copy, &[&source.0, &target.0]));
        assert!(target.content() == content, "{bytes} bytes");
        assert!(text.starts_with(&format!("{bytes} bytes; ")), "{text}");
        assert!(text.ends_with(" ticks of a timer\n"), "{text}");
    }
}

#[test]
fn the_other_examples_end() {
    let temp = Temp::with(&pattern(100 * 4096));
    let read = text(&run(&example("random_read"), &[&temp.0]));
    assert!(read.starts_with("10000 reads at depth 32 in "), "{read}");
    let log = Temp::new();
    let written = text(&run(&example("log"), &[&log.0]));
    assert!(written.starts_with("400 records by "), "{written}");
    let lines = String::from_utf8(log.content()).unwrap();
    assert_eq!(lines.lines().count(), 400);
    for task in 0..8 {
        let own = lines
            .lines()
            .filter(|line| line.starts_with(&format!("task {task},")));
        let right = (0..50).map(|number| format!("task {task}, record {number}"));
        assert!(own.eq(right), "the records of a task are in order");
    }
}

#[test]
fn mistakes_are_reported() {
    let nothing = Path::new("/nonexistent");
    let output = run(&example("copy"), &[nothing, nothing]);
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(error, "copy: No such file or directory (os error 2)\n");
}

/// QEMU's user mode has no AIO.
#[test]
fn a_copy_without_aio_is_equal() {
    let emulator = concat!(env!("CARGO_MANIFEST_DIR"), "/../qemu/user-mode");
    let content = pattern(300_001);
    let (source, target) = (Temp::with(&content), Temp::new());
    let (arch, copy) = (Path::new(std::env::consts::ARCH), example("copy"));
    let arguments = [arch, &copy, &source.0, &target.0];
    let text = text(&run(Path::new(emulator), &arguments));
    assert!(target.content() == content);
    let why = "; without AIO: call not implemented (ENOSYS)\n";
    assert!(text.ends_with(why), "{text}");
}
