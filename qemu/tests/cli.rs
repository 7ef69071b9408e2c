//! Tests of the commands that need no emulator, run as by a user.

use std::process::{Command, Output};

fn qemu(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_qemu"))
        .args(arguments)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn list_prints_every_target() {
    let output = qemu(&["list"]);
    assert!(output.status.success());
    let lines = text(&output.stdout).lines().count();
    let output = qemu(&["list", "--json"]);
    assert!(output.status.success());
    let rows: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = rows.as_array().unwrap();
    assert_eq!(rows.len(), lines);
    for row in rows {
        assert!(row["target"].is_string() && row["arch"].is_string());
        // The emulator or machine that runs it, or the reason why none does.
        assert!(
            row["qemu"].is_string() != row["reason"].is_string(),
            "{row}"
        );
    }
}

#[test]
fn an_unknown_name_is_reported() {
    for verb in [
        "user", "native", "uml", "gvisor", "setup", "kernel", "faults",
    ] {
        let output = qemu(&[verb, "riscv46"]);
        assert_eq!(output.status.code(), Some(1));
        let complaint = text(&output.stderr);
        assert!(complaint.contains("riscv46"), "{complaint}");
        assert!(complaint.contains("is it riscv64?"), "{complaint}");
    }
}

#[test]
fn user_mode_linux_and_gvisor_run_one_architecture() {
    for (verb, kernel) in [("uml", "User-Mode Linux"), ("gvisor", "gVisor")] {
        for name in ["s390x", "i686-unknown-linux-gnu"] {
            let output = qemu(&[verb, name]);
            assert_eq!(output.status.code(), Some(1));
            let complaint = text(&output.stderr);
            let output = complaint.contains(name) && complaint.contains(kernel);
            assert!(output, "{complaint}");
        }
    }
}

#[test]
fn a_closed_output_pipe_is_no_failure() {
    let tool = env!("CARGO_BIN_EXE_qemu");
    let script = format!("set -o pipefail; \"{tool}\" list | head -n 1");
    let output = Command::new("bash").args(["-c", &script]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn kernels_are_listed_and_named() {
    let output = qemu(&["list", "--kernels"]);
    assert!(output.status.success());
    let list = text(&output.stdout);
    let stock = list.lines().filter(|line| line.contains(" Debian's "));
    assert!(stock.count() > 20, "{list}");
    // Each Debian architecture that has a kernel and a target.
    for name in ["amd64", "i386", "arm64", "armhf", "armel", "riscv64"] {
        assert!(
            list.lines()
                .any(|line| line.starts_with(&format!("{name} "))),
            "{name}"
        );
    }
    for arguments in [
        ["kernel", "--on", "minix"],
        ["faults", "--on", "minix"],
        ["faults", "--only", "earthquake"],
    ] {
        let output = qemu(&arguments);
        assert_eq!(output.status.code(), Some(1));
        let complaint = text(&output.stderr);
        assert!(complaint.contains(" is called "), "{complaint}");
    }
}
