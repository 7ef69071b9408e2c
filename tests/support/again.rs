//! Tests in a separate process, which runs the test once more.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::path::PathBuf;
use std::process::Command;

/// The environment variable that marks such a process.
const AGAIN: &str = "LINUX_AIO_TEST_AGAIN";

/// Returns whether this is such a process.
pub(crate) fn is_here() -> bool {
    std::env::var_os(AGAIN).is_some()
}

/// Returns the program that runs the tests.
pub(crate) fn program() -> PathBuf {
    std::env::current_exe().unwrap()
}

/// Runs `body` in a process in which no other test runs. `test` is the path of the test
/// that calls this function.
///
/// Unlike a forked child, the process has no lock that another thread held, such as the
/// unwinder's in a static glibc. A panic in a forked child would wait for that lock for
/// ever.
pub(crate) fn alone(test: &str, body: impl FnOnce()) {
    if is_here() {
        return body();
    }
    passes(&mut Command::new(program()), test);
}

/// Runs the test by a command that ends with [`program`]. The test must pass. Returns
/// its standard error.
#[track_caller]
pub(crate) fn passes(command: &mut Command, test: &str) -> String {
    let output = command
        .args(["--exact", test, "--nocapture"])
        .env(AGAIN, "1")
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{test}: {said}{errors}");
    assert!(said.contains("1 passed"), "{test}: {said}");
    errors
}
