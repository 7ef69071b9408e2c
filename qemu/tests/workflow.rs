//! The workflow of CI runs the steps of tests/run, and nothing of others. The commands in
//! the documents exist.

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

/// The documents, with their names.
fn documents() -> Vec<(String, String)> {
    let mut paths: Vec<_> = [
        "README.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "capi/README.md",
    ]
    .map(|name| root().join(name))
    .into();
    let pages = fs::read_dir(root().join("docs")).unwrap();
    paths.extend(pages.map(|page| page.unwrap().path()));
    paths.retain(|path| path.extension().is_some_and(|end| end == "md"));
    let read = |path: std::path::PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        (path.display().to_string(), text)
    };
    paths.into_iter().map(read).collect()
}

/// Returns the words that follow a command on its line, up to the end of the code or a
/// comment. A word in quotes may have spaces.
fn words_after(line: &str) -> Vec<String> {
    let end = line.find(['`', '#', '(', ';']).unwrap_or(line.len());
    let mut words = Vec::new();
    let mut rest = line[..end].trim_start();
    while !rest.is_empty() {
        let quoted = rest.strip_prefix(['\'', '"']);
        let (word, after) = match quoted {
            Some(inner) => inner.split_once(['\'', '"']).unwrap_or((inner, "")),
            None => rest.split_once(' ').unwrap_or((rest, "")),
        };
        words.push(word.to_owned());
        rest = after.trim_start();
    }
    words
}

/// Returns the arguments of each call of `command` in the documents.
fn calls(command: &str) -> Vec<(String, Vec<String>)> {
    let mut calls = Vec::new();
    for (name, text) in documents() {
        for line in text.lines() {
            let parts = line.split(command).skip(1);
            let parts = parts.filter_map(|part| part.strip_prefix(' '));
            calls.extend(parts.map(|part| (name.clone(), words_after(part))));
        }
    }
    calls
}

#[test]
fn steps_in_the_documents_exist() {
    let steps = steps();
    let mut seen = 0;
    for (page, words) in calls("tests/run") {
        // capi/tests/run has parts of its own.
        let own = page.ends_with("capi/README.md");
        let known = |word: &String| match word.split_once('*') {
            Some((start, _)) => steps.iter().any(|step| step.starts_with(start)),
            None => steps.contains(word),
        };
        for word in words.iter().filter(|word| !own && !word.starts_with("--")) {
            assert!(known(word) || word == "STEP", "{page}: tests/run {word}");
            seen += 1;
        }
    }
    assert!(seen >= 5, "{seen}");
}

#[test]
fn verbs_in_the_documents_exist() {
    let help = Command::new(env!("CARGO_BIN_EXE_qemu"))
        .arg("--help")
        .output();
    let help = String::from_utf8(help.unwrap().stdout).unwrap();
    let (_, list) = help.split_once("Commands:\n").unwrap();
    let verbs: Vec<&str> = list
        .lines()
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
        .collect();
    let mut seen = 0;
    for (page, words) in calls("cargo qemu") {
        let Some(verb) = words.first().filter(|word| !word.starts_with("--")) else {
            continue;
        };
        assert!(verbs.contains(&verb.as_str()), "{page}: cargo qemu {verb}");
        seen += 1;
    }
    assert!(seen >= 20, "{seen}");
}
