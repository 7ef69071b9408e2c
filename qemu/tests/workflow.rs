//! The workflow of CI runs the steps of tests/run, and nothing of others.

use std::fs;
use std::path::Path;
use std::process::Command;

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn workflow() -> String {
    fs::read_to_string(root().join(".github/workflows/ci.yml")).unwrap()
}

/// Returns the names of all steps.
fn steps() -> Vec<String> {
    let output = Command::new(root().join("tests/run"))
        .args(["--all", "--list"])
        // It has the last times of the steps, and `--list` runs none.
        .env("CARGO_TARGET_DIR", env!("CARGO_TARGET_TMPDIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let lines = String::from_utf8(output.stdout).unwrap();
    let names = lines.lines().map(|line| line.get(..34).unwrap_or(line));
    names.map(|name| name.trim().to_owned()).collect()
}

#[test]
fn every_step_of_the_workflow_is_one_of_the_tests() {
    let (workflow, steps) = (workflow(), steps());
    let lines = workflow.lines().map(str::trim);
    let rows: Vec<&str> = lines
        .filter_map(|line| line.strip_prefix("steps: "))
        .collect();
    assert!(rows.len() >= 5, "{rows:?}");
    for step in rows.iter().flat_map(|row| row.split('|')) {
        assert!(steps.iter().any(|name| name == step), "{step} is no step");
    }
    assert!(workflow.contains("run: .ci/run\n"), "the whole matrix");
}

#[test]
fn no_action_of_others_is_used_and_no_secret() {
    let workflow = workflow();
    assert!(!workflow.contains("uses:") && !workflow.contains("secrets"));
    assert!(workflow.contains("\npermissions:\n  contents: read\n"));
}
