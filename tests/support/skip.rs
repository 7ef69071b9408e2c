//! The requirements of tests that a machine may lack: headers, tools, root. Shared by
//! the library's integration and unit tests and by the tool's tests.
#![allow(dead_code, reason = "each test binary uses a part")]

extern crate std;

use std::io::Write;
use std::process::{Command, Stdio};

/// The environment variable that makes a test that cannot run fail.
pub(crate) const NO_SKIP: &str = "NO_SKIP";

/// Skips a test that cannot run here. Reports the name of the test past the harness's
/// output capture. With `NO_SKIP` in the environment, as `tests/run` sets it, the test
/// fails.
#[track_caller]
pub(crate) fn skip(why: &str) {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("a test");
    assert!(
        std::env::var_os(NO_SKIP).is_none(),
        "{name} cannot run here: {why}"
    );
    // The line is written at once, as other tests write at the same time.
    let line = std::format!("skipped {name}: {why}\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// Returns whether all of these programs can be run. If one cannot, the test is
/// skipped.
#[track_caller]
#[must_use]
pub(crate) fn have(programs: &[&str]) -> bool {
    let lacks = |program: &&&str| {
        let mut command = Command::new(program);
        command.arg("--version");
        command.stdin(Stdio::null());
        command.output().is_err()
    };
    match programs.iter().find(lacks) {
        Some(program) => {
            skip(&std::format!("no {program}"));
            false
        }
        None => true,
    }
}
