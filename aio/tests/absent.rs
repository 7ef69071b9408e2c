//! Tests where AIO is blocked by a seccomp filter, or used up by other processes: every
//! command reports it, and none crashes.

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
        assert_eq!(json["call"], "io_setup");
        assert_eq!(json["errno"], name);
        assert_eq!(json["seccomp"], 2);
        let line = format!(
            "AIO       does not work: a sandbox forbids io_setup (a seccomp filter is \
             installed): {text}\n"
        );
        assert!(shown.contains(&line), "{shown}");
        let why = format!("a sandbox forbids AIO (a seccomp filter is installed): {text}");
        assert_eq!(refused_copy(errno), format!("aio: copy: {why}\n"));
        // `aio who` does not need a context itself.
        let output = without_aio(&mut aio(&["who"]), errno).output().unwrap();
        assert!(stdout(&output).contains("fs.aio-nr is "), "{output:?}");
    }
}

/// Leaves room for 20 events, and then for none, and checks the output of the commands.
///
/// The limit is system-wide: tests that make contexts fail meanwhile, so `tests/run` runs this
/// one when no other test runs.
#[test]
fn the_limit_is_used_up() {
    let most = limit("aio-max-nr");
    // Another program may create contexts meanwhile, so several attempts take what is
    // left.
    let take = |room: u32| -> Vec<Held> {
        (0..5)
            .map_while(|_| Held::new(most.saturating_sub(limit("aio-nr") + room)))
            .collect()
    };
    let nearly = take(20);
    let used = limit("aio-nr");
    let output = aio(&["probe", "--json"]).output().unwrap();
    let given_back = || {
        // The kernel takes what the probe had back after its end.
        let begin = std::time::Instant::now();
        while limit("aio-nr") > used && begin.elapsed().as_millis() < 500 {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        limit("aio-nr") == used
    };
    if given_back() {
        let json: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(output.status.success(), "{json}");
        assert_eq!(json["works"], true, "{json}");
        assert_eq!(json["ring"]["requested"], 16, "{json}");
        let shown = stdout(&aio(&["probe"]).output().unwrap());
        if given_back() {
            let line = "\nnext      'aio who' shows who holds events: only 20 are free, and a \
                        larger request gets EAGAIN\n";
            assert!(shown.contains(line), "{shown}");
        }
    }

    let held = take(0);
    if limit("aio-nr") < most {
        return skip("another program gives contexts back");
    }
    let output = aio(&["probe", "--json"]).output().unwrap();
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let shown = stdout(&aio(&["probe"]).output().unwrap());
    let holders = stdout(&aio(&["who"]).output().unwrap());
    let directory = directory();
    let (source, target) = (directory.path().join("a"), directory.path().join("b"));
    fs::write(&source, "data").unwrap();
    let copied = copy(&["--engine=aio"], &source, &target).output().unwrap();
    drop((held, nearly));

    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(json["cause"], "limit");
    assert_eq!(json["errno"], "EAGAIN");
    assert_eq!(json["aio_nr"], most);
    assert_eq!(json["aio_max_nr"], most);
    let more = if most < 1 << 20 { 1 << 20 } else { 2 * most };
    let raise = format!("raise it, as root on the host: 'sysctl -w fs.aio-max-nr={more}'");
    let next = format!("\nnext      'aio who' shows who holds them; {raise}\n");
    assert!(shown.contains(&next), "{shown}");
    let free = "\n0 events are free; a larger request gets EAGAIN\nraise it";
    assert!(holders.contains(free), "{holders}");
    assert!(holders.contains(&raise), "{holders}");
    let line = format!("'fs.aio-max-nr = {more}' in a file in /etc/sysctl.d");
    assert!(holders.contains(&line), "{holders}");
    assert!(
        holders.contains(&std::process::id().to_string()),
        "{holders}"
    );
    fails(
        &copied,
        &format!(
            "aio: copy: the system's AIO limit is used up: fs.aio-nr is {most} of fs.aio-max-nr \
             {most}, this needs 1 more; 'aio who' shows who holds them; {raise}: resource \
             temporarily unavailable (EAGAIN)"
        ),
    );
    assert_eq!(names(directory.path()), ["a"]);
}
