//! System calls that fail on purpose: by strace, which makes the n-th one fail.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::process::Command;

/// Runs `body` in a process of its own for each injection, under strace. `test`
/// is the path of the test that calls this: the process runs it again.
///
/// An injection is the end of `-e inject=…`: `io_submit:error=EAGAIN:when=2`. The
/// calls of the test's thread are counted from 1.
pub(crate) fn with_each(test: &str, injections: &[&str], body: impl FnOnce()) {
    const INJECTED: &str = "LINUX_AIO_TEST_INJECTED";
    if std::env::var_os(INJECTED).is_some() {
        return body();
    }
    for injection in injections {
        let call = injection.split_once(':').unwrap().0;
        let output = Command::new("strace")
            .args(["-f", "-qq", "-e", &format!("trace={call}")])
            .args(["-e", &format!("inject={injection}")])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(INJECTED, injection)
            .output()
            .expect("strace");
        let trace = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{injection}: {trace}");
        assert!(trace.contains("(INJECTED)"), "{injection}: {trace}");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("1 passed"), "{test}: {said}");
    }
}
