//! A table of sandboxes in which `aio probe` names the cause: seccomp filters that return
//! an error, trap or kill for each system call, a hidden `/proc`, an emulator, and gVisor.
#![cfg(all(target_arch = "x86_64", target_pointer_width = "64"))]

mod common;

use std::process::{Command, Output};

use common::*;
use libc::c_long;
use serde_json::Value;

const ACTIONS: [(&str, u32); 5] = [
    ("EPERM", libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
    ("ENOSYS", libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32),
    // The default action of SIGSYS ends the process.
    ("SIGSYS", libc::SECCOMP_RET_TRAP),
    ("SIGSYS", libc::SECCOMP_RET_KILL_PROCESS),
    ("SIGSYS", libc::SECCOMP_RET_KILL_THREAD),
];

/// What is expected where a system call is forbidden.
struct Row {
    call: &'static str,
    number: c_long,
    /// The state if it returns an error, and if it kills.
    errors: &'static str,
    kills: &'static str,
}

const fn row(call: &'static str, number: c_long, errors: &'static str, kills: &'static str) -> Row {
    Row {
        call,
        number,
        errors,
        kills,
    }
}

const ROWS: [Row; 11] = [
    row("io_setup", libc::SYS_io_setup, "no", "no"),
    row("io_submit", libc::SYS_io_submit, "no", "no"),
    row("io_destroy", libc::SYS_io_destroy, "partly", "partly"),
    // The library takes the other system call for waiting.
    row("io_getevents", libc::SYS_io_getevents, "works", "partly"),
    row("io_pgetevents", 333, "works", "partly"),
    row("io_cancel", libc::SYS_io_cancel, "works", "partly"),
    // Without it, the ring is not read in user space.
    row("madvise", libc::SYS_madvise, "works", "partly"),
    row("mmap", libc::SYS_mmap, "no", "no"),
    row("statx", libc::SYS_statx, "works", "works"),
    row("openat", libc::SYS_openat, "works", "works"),
    // Process entry calls it for the standard descriptors: a filter that kills for it
    // ends every program with the feature `rt` there.
    row("ppoll", libc::SYS_ppoll, "works", ""),
];

fn parse(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

#[test]
fn the_cause_is_named_for_each_forbidden_system_call() {
    let mut tried = 0;
    for row in &ROWS {
        for (errno, action) in ACTIONS {
            if errno == "SIGSYS" && row.kills.is_empty() {
                continue;
            }
            let calls = [row.number];
            let output = forbidding(&mut aio(&["probe", "--json"]), &calls, action)
                .output()
                .unwrap();
            let about = format!("{} {errno} {action:#x}", row.call);
            assert!(!output.stdout.is_empty(), "{about}: {output:?}");
            let report = parse(&output);
            let state = if errno == "SIGSYS" {
                row.kills
            } else {
                row.errors
            };
            assert_eq!(report["state"], state, "{about}: {report}");
            assert_eq!(report["works"], state == "works", "{about}: {report}");
            let status = i32::from(state != "works");
            assert_eq!(output.status.code(), Some(status), "{about}: {report}");
            if state == "works" {
                assert_eq!(report["cause"], Value::Null, "{about}: {report}");
            } else {
                assert_eq!(report["cause"], "sandbox", "{about}: {report}");
                assert_eq!(report["call"], row.call, "{about}: {report}");
                assert_eq!(report["errno"], errno, "{about}: {report}");
            }
            if row.call != "mmap" {
                let right: Value = if errno == "SIGSYS" || row.call != "madvise" {
                    errno.into()
                } else {
                    report["calls"]["madvise"].clone()
                };
                assert_eq!(report["calls"][row.call], right, "{about}: {report}");
                // Nothing else is blamed.
                for other in ROWS.iter().filter(|other| other.call != row.call) {
                    let result = &report["calls"][other.call];
                    let fine = [Value::Null, "works".into(), "untried".into()];
                    assert!(fine.contains(result), "{about} {}: {report}", other.call);
                }
            }
            let output = forbidding(&mut aio(&["probe"]), &calls, action)
                .output()
                .unwrap();
            let shown = stdout(&output);
            assert!(shown.contains("AIO       "), "{about}: {output:?}");
            assert!(shown.contains(row.call), "{about}: {output:?}");
            tried += 1;
        }
    }
    assert_eq!(tried, 52);
}

/// Several system calls at once: all of AIO, and both that wait.
#[test]
fn the_cause_is_named_for_forbidden_groups() {
    let waits = [libc::SYS_io_getevents, 333];
    let aio_calls = [
        libc::SYS_io_setup,
        libc::SYS_io_submit,
        libc::SYS_io_destroy,
        libc::SYS_io_cancel,
        libc::SYS_io_getevents,
        333,
    ];
    for (errno, action) in ACTIONS {
        for (calls, state, call) in [
            (&waits[..], "partly", &["io_getevents", "io_pgetevents"][..]),
            (&aio_calls, "no", &["io_setup"]),
        ] {
            let output = forbidding(&mut aio(&["probe", "--json"]), calls, action)
                .output()
                .unwrap();
            let report = parse(&output);
            assert_eq!(report["state"], state, "{errno}: {report}");
            assert_eq!(report["cause"], "sandbox", "{errno}: {report}");
            assert!(call.contains(&report["call"].as_str().unwrap()), "{report}");
            assert_eq!(report["errno"], errno, "{report}");
            assert_eq!(output.status.code(), Some(1));
        }
    }
}

/// Runs the tool with another file system in place of /proc.
fn with_proc(mount: &str, arguments: &str) -> Command {
    let mut command = Command::new("unshare");
    let tool = tool().to_str().unwrap();
    let script = format!("{mount} && exec {tool} probe --json {arguments}");
    command.args(["-m", "sh", "-c", &script]);
    command
}

#[test]
fn the_cause_is_named_without_proc() {
    if !can_mount() {
        return skip("no mount namespaces");
    }
    let hidden = "mount -t tmpfs none /proc";
    let pids_only = "mount -t proc -o subset=pid none /proc";
    let submit = [libc::SYS_io_submit];
    let setup = [libc::SYS_io_setup];
    for mount in [hidden, pids_only] {
        let output = with_proc(mount, "").output().unwrap();
        let report = parse(&output);
        assert!(output.status.success(), "{mount}: {report}");
        assert_eq!(report["works"], true);
        assert_eq!(report["aio_max_nr"], Value::Null);
        for (errno, action) in ACTIONS {
            for (calls, call) in [(submit, "io_submit"), (setup, "io_setup")] {
                let mut command = with_proc(mount, "");
                let output = forbidding(&mut command, &calls, action).output().unwrap();
                let report = parse(&output);
                assert_eq!(
                    report["cause"], "sandbox",
                    "{mount} {call} {errno}: {report}"
                );
                assert_eq!(report["call"], call, "{mount} {errno}: {report}");
                assert_eq!(report["errno"], errno, "{mount} {call}: {report}");
            }
        }
    }
}

/// The end of a child is noticed although the parent ignores SIGCHLD, and its child too.
#[test]
fn the_cause_is_named_where_children_are_ignored() {
    let calls = [libc::SYS_io_submit];
    let tool = tool().to_str().unwrap();
    let script = format!("trap '' CHLD; exec {tool} probe --json");
    let mut command = Command::new("bash");
    command.args(["-c", &script]);
    let output = forbidding(&mut command, &calls, libc::SECCOMP_RET_KILL_PROCESS)
        .output()
        .unwrap();
    let report = parse(&output);
    assert_eq!(report["cause"], "sandbox", "{report}");
    assert_eq!(report["call"], "io_submit", "{report}");
    assert_eq!(report["errno"], "SIGSYS", "{report}");
}

/// QEMU's user mode has no AIO, whatever the kernel below it has.
#[test]
fn the_cause_is_named_in_an_emulator() {
    let emulators = std::env::var_os("QEMU_USER").map(std::path::PathBuf::from);
    let Some(emulator) = emulators.map(|folder| folder.join("qemu-x86_64")) else {
        return skip("no emulator: QEMU_USER is not set");
    };
    let output = Command::new(emulator)
        .arg(tool())
        .args(["probe", "--json"])
        .output()
        .unwrap();
    let report = parse(&output);
    assert_eq!(report["state"], "no", "{report}");
    assert_eq!(report["cause"], "emulator", "{report}");
    assert_eq!(report["errno"], "ENOSYS", "{report}");
    assert_eq!(output.status.code(), Some(1));
}

/// Runs a shell script in gVisor, with the tool as `$0`. What it writes stays in there.
fn in_gvisor(script: &str) -> Option<Output> {
    let Some(runsc) = std::env::var_os("RUNSC") else {
        skip("no gVisor: RUNSC is not set");
        return None;
    };
    let place = directory();
    let output = Command::new("timeout")
        .args(["-k", "1", "120"])
        .arg(runsc)
        .args(["--rootless", "--network=none", "--platform=ptrace", "do"])
        .args(["sh", "-c", script])
        .arg(tool())
        .env("TMPDIR", place.path())
        .current_dir(place.path())
        .output();
    Some(output.unwrap())
}

/// gVisor has part of AIO, and no `/proc/sys/fs`.
#[test]
fn the_parts_of_gvisor_are_named() {
    let Some(output) = in_gvisor("exec \"$0\" probe --json") else {
        return;
    };
    let report = parse(&output);
    assert_eq!(report["state"], "works", "{report}");
    assert_eq!(report["cause"], Value::Null, "{report}");
    assert_eq!(report["aio_max_nr"], Value::Null, "{report}");
    assert_eq!(report["ring"]["slots"], Value::Null, "{report}");
    assert_eq!(report["ring"]["user_space_reaping"], false, "{report}");
    assert_eq!(report["rw_flags"], serde_json::json!([]), "{report}");
    for (call, answer) in [
        ("io_setup", "works"),
        ("io_submit", "works"),
        ("io_getevents", "works"),
        ("io_destroy", "works"),
        ("io_pgetevents", "ENOSYS"),
        ("io_cancel", "ENOSYS"),
    ] {
        assert_eq!(report["calls"][call], answer, "{call}: {report}");
    }
    for (opcode, has) in [
        ("PREAD", true),
        ("PWRITEV", true),
        ("FSYNC", true),
        ("POLL", false),
    ] {
        assert_eq!(report["opcodes"][opcode], has, "{opcode}: {report}");
    }
    assert_eq!(output.status.code(), Some(0));

    let output = in_gvisor("exec \"$0\" probe").unwrap();
    let shown = stdout(&output);
    for line in [
        "AIO       works",
        "limit     unknown: /proc/sys/fs cannot be read",
        "reaping   by system call: the ring cannot be read in user space",
        "refused   io_pgetevents: call not implemented (ENOSYS)",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line}: {shown}");
    }
}

/// Each way of copying copies each byte in gVisor, to a new name, over an old file, and to
/// the name of a file that was removed.
#[test]
fn copies_in_gvisor_are_right() {
    let script = "
        head -c 3000001 /dev/urandom > source || exit 10
        for way in --quiet --direct --engine=aio '--direct --engine=aio' --preserve=all; do
            for time in new old removed; do
                \"$0\" copy $way source copy || exit 11
                cmp source copy || exit 12
                [ $time = new ] || rm copy || exit 13
            done
            \"$0\" copy $way source copy || exit 14
            cmp source copy || exit 15
            head -c 3000001 /dev/urandom > source
        done
        \"$0\" copy --engine=aio - copy < source && cmp source copy || exit 16
        \"$0\" copy --engine=aio source - | cmp - source || exit 17
        echo right";
    let Some(output) = in_gvisor(script) else {
        return;
    };
    assert_eq!(stdout(&output), "right\n", "{output:?}");
}

/// A measurement succeeds, and its contexts are noticed, although nothing is known of them.
#[test]
fn contexts_in_gvisor_are_noticed() {
    let script = "
        head -c 1000000 /dev/urandom > file
        \"$0\" bench --seconds 4 --block 4K --depth 4 --json file > bench &
        for try in $(seq 100); do
            \"$0\" who 2> who && exit 10
            grep -q 'incomplete: 1 context of gVisor' who && break
            sleep 0.1
        done
        grep -q 'incomplete: 1 context of gVisor' who || exit 11
        wait $! || exit 12
        \"$0\" who 2> who
        grep -q 'of gVisor' who && exit 13
        cat bench";
    let Some(output) = in_gvisor(script) else {
        return;
    };
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let json = stdout(&output);
    let json = json.lines().last().unwrap_or_default();
    let report: Value = serde_json::from_str(json).unwrap();
    let results = report["results"].as_array().unwrap();
    assert!(results.len() >= 2, "{report}");
    for result in results {
        assert!(result["operations"].as_u64().unwrap() > 0, "{report}");
    }
}

/// Every system call of the table is in the profiles, and the JSON is what the text has.
#[test]
fn the_profiles_allow_what_the_table_has() {
    let text = stdout(&aio(&["probe", "--syscalls"]).output().unwrap());
    let output = aio(&["probe", "--syscalls", "--json"]).output().unwrap();
    let profile = parse(&output);
    assert!(text.ends_with(&stdout(&output)));
    assert_eq!(profile["action"], "SCMP_ACT_ALLOW");
    let names: Vec<&str> = profile["names"]
        .as_array()
        .unwrap()
        .iter()
        .map(|name| name.as_str().unwrap())
        .collect();
    let units: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("SystemCallFilter="))
        .flat_map(str::split_whitespace)
        .collect();
    let mut rows = 0;
    for row in text.lines().filter_map(|line| line.strip_prefix("      ")) {
        rows += 1;
        for call in row.split(", ").filter(|&call| call != "none") {
            assert!(names.contains(&call), "{call}");
            assert!(units.contains(&call), "{call}");
        }
    }
    assert!(rows > 10, "{text}");
    assert_eq!(names.len(), units.len());
}
