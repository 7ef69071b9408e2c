//! Tests where AIO is blocked by a seccomp filter, or used up by other processes: every
//! command reports it, and none crashes.
//!
//! The tests run one after the other, because the limit is system-wide.

mod common;

use std::fs;

use common::*;
use serde_json::Value;

fn limit(name: &str) -> u32 {
    let text = fs::read_to_string(format!("/proc/sys/fs/{name}")).unwrap();
    text.trim().parse().unwrap()
}

fn probe(errno: i32) -> (Value, String) {
    let output = without_aio(&mut aio(&["probe", "--json"]), errno)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let json = serde_json::from_slice(&output.stdout).unwrap();
    let output = without_aio(&mut aio(&["probe"]), errno).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    (json, stdout(&output))
}

fn refused_copy(errno: i32) -> String {
    let directory = directory();
    let (source, target) = (directory.path().join("a"), directory.path().join("b"));
    fs::write(&source, "data").unwrap();
    let output = without_aio(&mut copy(&["--engine=aio"], &source, &target), errno)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(names(directory.path()), ["a"]);
    stderr(&output)
}

#[test]
fn a_sandbox_is_reported_as_enosys_or_eperm() {
    for (errno, name, text) in [
        (libc::ENOSYS, "ENOSYS", "call not implemented (ENOSYS)"),
        (libc::EPERM, "EPERM", "operation not permitted (EPERM)"),
    ] {
        let (json, shown) = probe(errno);
        assert_eq!(json["works"], false);
        assert_eq!(json["cause"], "sandbox");
        assert_eq!(json["errno"], name);
        assert_eq!(json["seccomp"], 2);
        let why = format!("a sandbox forbids AIO (a seccomp filter is installed): {text}");
        assert!(
            shown.contains(&format!("AIO       does not work: {why}\n")),
            "{shown}"
        );
        assert_eq!(refused_copy(errno), format!("aio: copy: {why}\n"));
        // `aio who` does not need a context itself.
        let output = without_aio(&mut aio(&["who"]), errno).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    used_up();
}

/// Uses up the rest of the limit, and checks the output of the commands.
fn used_up() {
    let most = limit("aio-max-nr");
    // Another program may create contexts meanwhile, so several attempts take what is
    // left.
    let held: Vec<Held> = (0..5)
        .map_while(|_| Held::new(most.saturating_sub(limit("aio-nr"))))
        .collect();
    if limit("aio-nr") < most {
        return skip("another program gives contexts back");
    }
    let output = aio(&["probe", "--json"]).output().unwrap();
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let directory = directory();
    let (source, target) = (directory.path().join("a"), directory.path().join("b"));
    fs::write(&source, "data").unwrap();
    let copied = copy(&["--engine=aio"], &source, &target).output().unwrap();
    drop(held);

    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(json["cause"], "limit");
    assert_eq!(json["errno"], "EAGAIN");
    assert_eq!(json["aio_nr"], most);
    assert_eq!(json["aio_max_nr"], most);
    fails(
        &copied,
        &format!(
            "aio: copy: the system's AIO limit is used up: fs.aio-nr is {most} of fs.aio-max-nr \
             {most}, this needs 1 more; 'aio who' shows who holds them: resource temporarily \
             unavailable (EAGAIN)"
        ),
    );
    assert_eq!(names(directory.path()), ["a"]);
}
