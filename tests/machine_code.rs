//! What the compiler makes of the layer, and what the kernel sees of it.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use std::path::{Path, PathBuf};
use std::process::Command;

/// The instructions of one function of tests/fixtures/machine_code.rs, in a
/// release build. The manifest is written here, so that the build leaves
/// nothing among the sources.
fn instructions(function: &str) -> Vec<String> {
    let library = Path::new(env!("CARGO_MANIFEST_DIR"));
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("machine-code");
    let target = home.join("target");
    let _ = std::fs::remove_dir_all(target.join("release"));
    std::fs::create_dir_all(&home).unwrap();
    let manifest = home.join("Cargo.toml");
    let text = format!(
        "[workspace]\n\
         [package]\nname = \"machine-code\"\nedition = \"2024\"\n\
         [lib]\npath = {:?}\n\
         [dependencies]\nlinux-aio = {{ path = {library:?} }}\n",
        library.join("tests/fixtures/machine_code.rs"),
    );
    std::fs::write(&manifest, text).unwrap();
    // With the library's own lock file nothing has to be fetched.
    let _ = std::fs::copy(library.join("Cargo.lock"), home.join("Cargo.lock"));
    let status = Command::new(env!("CARGO"))
        .args(["rustc", "--quiet", "--release", "--manifest-path"])
        .arg(&manifest)
        .arg("--target-dir")
        .arg(&target)
        .args(["--", "--emit=asm", "-Ccodegen-units=1"])
        .status();
    assert!(status.unwrap().success());
    let deps = std::fs::read_dir(target.join("release/deps")).unwrap();
    let asm = deps
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|end| end == "s"))
        .unwrap();
    let asm = std::fs::read_to_string(asm).unwrap();
    let label = format!("{function}:");
    asm.lines()
        .skip_while(|line| *line != label)
        .skip(1)
        .take_while(|line| !line.starts_with(".Lfunc_end"))
        .map(str::trim)
        .filter(|line| !line.starts_with(['.', '#']) && !line.is_empty())
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
}

#[test]
fn io_destroy_is_number_trap_and_result() {
    assert_eq!(
        instructions("result_of_destroy"),
        ["movl $207, %eax", "syscall", "retq"]
    );
}

/// Builds an example of this crate.
fn example(name: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("examples");
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--example", name, "--target-dir"])
        .arg(&target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status();
    assert!(status.unwrap().success());
    target.join("debug/examples").join(name)
}

#[test]
fn reaping_from_the_ring_makes_no_system_call() {
    let log = format!(
        "{}/reap-{}.strace",
        env!("CARGO_TARGET_TMPDIR"),
        std::process::id()
    );
    let output = Command::new("strace")
        .args(["-o", &log])
        .arg(example("reap"))
        .arg("1")
        .output()
        .expect("strace");
    assert!(output.status.success(), "{output:?}");
    let trace = std::fs::read_to_string(&log).unwrap();
    std::fs::remove_file(&log).unwrap();
    let count = |part: &str, call: &str| part.lines().filter(|l| l.starts_with(call)).count();
    let (before, rest) = trace.split_once("write(2, \"[\"").expect("the first mark");
    let (between, after) = rest.split_once("write(2, \"]\"").expect("the second mark");
    assert_eq!(count(before, "io_submit"), 100);
    // The first line is the rest of the first mark; a clock may be read by a
    // call where there is no vDSO for it.
    let calls: Vec<&str> = between.lines().skip(1).collect();
    let calls = calls
        .iter()
        .filter(|line| !line.starts_with("clock_gettime"));
    assert_eq!(calls.copied().collect::<Vec<_>>(), [""; 0]);
    // The other way takes one each, and one to find nothing more.
    let waits = count(after, "io_getevents") + count(after, "io_pgetevents");
    assert_eq!(waits, 101);
}
