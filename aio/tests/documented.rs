//! The outputs of the tool in README.md and docs/tool.md are those of the program, apart
//! from the figures.

mod common;

use std::fs;
use std::path::Path;

use common::*;

/// One command of a page, and the lines that follow it there.
struct Sample {
    command: String,
    lines: Vec<String>,
}

fn samples(page: &str) -> Vec<Sample> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(page);
    let text = fs::read_to_string(path).unwrap();
    let mut samples: Vec<Sample> = Vec::new();
    for block in text.split("\n```text\n").skip(1) {
        let (block, _) = block.split_once("\n```").unwrap();
        if !block.starts_with("$ aio ") {
            continue;
        }
        for line in block.lines() {
            match line.strip_prefix("$ aio ") {
                Some(command) => samples.push(Sample {
                    command: command.to_owned(),
                    lines: Vec::new(),
                }),
                None => samples.last_mut().unwrap().lines.push(line.to_owned()),
            }
        }
    }
    samples
}

/// Returns a line without what differs from run to run: figures with their units, the
/// kernel's release, the verdict on reads, which a busy machine changes, and in the list
/// of processes all but the fact that there is one.
fn shape(line: &str) -> String {
    for first in ["kernel ", "direct ", "buffered "] {
        if line.starts_with(first) {
            return first.to_owned();
        }
    }
    let mut shape = Vec::new();
    for word in line.split_whitespace() {
        let figure = word
            .trim_start_matches('(')
            .starts_with(|c: char| c.is_ascii_digit());
        match word {
            "us" | "ms" | "s" | "KiB" | "MiB" | "GiB" | "KiB/s" | "MiB/s" | "GiB/s" => {}
            "context" | "contexts" => shape.push("contexts"),
            "process," | "processes," => shape.push("processes,"),
            _ if figure => shape.push("#"),
            _ => shape.push(word),
        }
    }
    // A process of the list: its user, unit and command are those of this machine.
    if line.starts_with(' ')
        && shape[0] == "#"
        && !line.contains(" AIO ")
        && !line.contains(" pread ")
    {
        shape.truncate(1);
    }
    shape.join(" ")
}

/// Fails unless the lines of a page are those of the output, in order; `…` stands for any
/// number of lines.
#[track_caller]
fn compare(sample: &Sample, output: &str) {
    let mut rest = output.lines();
    let mut any = false;
    for line in &sample.lines {
        if line == "…" {
            any = true;
            continue;
        }
        let wanted = shape(line);
        let found = if any {
            rest.any(|line| shape(line) == wanted)
        } else {
            rest.next().is_some_and(|line| shape(line) == wanted)
        };
        assert!(
            found,
            "aio {}: {line:?} is not in\n{output}",
            sample.command
        );
        any = false;
    }
    assert!(
        any || rest.next().is_none(),
        "aio {}: more:\n{output}",
        sample.command
    );
}

fn page_is_current(page: &str, count: usize) {
    let place = directory();
    let data = bytes(8 << 20);
    fs::write(place.path().join("disk.img"), data).unwrap();
    // A direct read of data that are not on the disk yet is not asynchronous.
    fs::File::open(place.path().join("disk.img"))
        .unwrap()
        .sync_all()
        .unwrap();
    // For `aio who`.
    let context = linux_aio::Context::new(64).unwrap();
    let samples = samples(page);
    assert_eq!(samples.len(), count, "{page}");
    for sample in samples {
        let words: Vec<&str> = sample.command.split(' ').collect();
        let output = aio(&words).current_dir(place.path()).output().unwrap();
        assert!(output.status.success() || words == ["who"], "{output:?}");
        let mut all = stdout(&output);
        // Without privileges, processes of other users are reported there.
        if words != ["who"] {
            all += &stderr(&output);
        }
        compare(&sample, &all);
    }
    context.destroy().unwrap();
}

#[test]
fn outputs_in_the_readme_are_those_of_the_program() {
    page_is_current("README.md", 2);
}

#[test]
fn outputs_in_the_page_of_the_tool_are_those_of_the_program() {
    page_is_current("docs/tool.md", 5);
}

#[test]
fn another_output_is_noticed() {
    let sample = |lines: &[&str]| Sample {
        command: String::new(),
        lines: lines.iter().map(|line| (*line).to_owned()).collect(),
    };
    let differs = |lines: &[&str], output: &str| {
        let sample = sample(lines);
        std::panic::catch_unwind(|| compare(&sample, output)).is_err()
    };
    assert!(!differs(&["a 12.5 us", "…", "c"], "a 7 ms\nb\nc\n"));
    assert!(differs(&["a 12.5 us"], "b 12.5 us\n"));
    assert!(differs(&["a"], "a\nb\n"));
    assert!(differs(&["…", "c"], "a\nb\n"));
    assert!(differs(&["a", "c"], "a\nb\nc\n"));
}
