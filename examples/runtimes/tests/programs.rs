//! Runs both programs as a user does.

use std::path::Path;
use std::process::{Command, Output};

/// Runs a program with a time limit, so that a lost wake-up does not let it run for ever.
fn run(program: &str, path: &Path) -> Output {
    let mut command = Command::new("timeout");
    command.args(["60", program]).arg(path);
    command.output().unwrap()
}

#[test]
fn both_executors_sum_a_file() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("summed");
    for len in [0, 1, 4096, 1_000_003] {
        let content: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
        std::fs::write(&path, &content).unwrap();
        let sum: u64 = content.iter().map(|byte| u64::from(*byte)).sum();
        for program in [env!("CARGO_BIN_EXE_smol"), env!("CARGO_BIN_EXE_embassy")] {
            let output = run(program, &path);
            let text = String::from_utf8_lossy(&output.stdout);
            assert_eq!(text, format!("{len} bytes, sum {sum}\n"), "{output:?}");
        }
    }
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn mistakes_are_reported() {
    for program in [env!("CARGO_BIN_EXE_smol"), env!("CARGO_BIN_EXE_embassy")] {
        let output = run(program, Path::new("/nonexistent"));
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains("NotFound"), "{text}");
    }
}
