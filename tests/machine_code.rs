//! Tests the machine code that the compiler generates for the library, and the system
//! calls that a program makes.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

#[path = "support/skip.rs"]
mod skip;

use std::path::{Path, PathBuf};
use std::process::Command;

/// A fixture of `tests/fixtures`, built with the library for one target.
struct Fixture<'a> {
    name: &'a str,
    /// A target other than the host's. Its `core` is built as well where there is none.
    target: Option<&'a str>,
    /// A feature of the library.
    feature: Option<&'a str>,
    flags: &'a [&'a str],
}

impl Fixture<'_> {
    /// Returns the assembly of a release build. Manifest and source are written under
    /// target/: the build leaves nothing among the sources, and the source is always
    /// newer than the previous build.
    fn assembly(&self) -> String {
        let library = Path::new(env!("CARGO_MANIFEST_DIR"));
        let home = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join("machine-code")
            .join(self.target.unwrap_or("host"))
            .join(self.feature.unwrap_or("own"));
        std::fs::create_dir_all(&home).unwrap();
        let (manifest, asm) = (home.join("Cargo.toml"), home.join("asm.s"));
        let features: Vec<&str> = self.feature.into_iter().collect();
        let text = format!(
            "[workspace]\n\
             [package]\nname = {:?}\nedition = \"2024\"\n\
             [lib]\npath = \"lib.rs\"\n\
             [dependencies]\nlinux-aio = {{ path = {library:?}, features = {features:?} }}\n",
            self.name
        );
        std::fs::write(&manifest, text).unwrap();
        let source = format!("tests/fixtures/{}.rs", self.name);
        let source = std::fs::read(library.join(source)).unwrap();
        std::fs::write(home.join("lib.rs"), source).unwrap();
        // The library's own lock file avoids downloads.
        let _ = std::fs::copy(library.join("Cargo.lock"), home.join("Cargo.lock"));
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["rustc", "--quiet", "--release", "--manifest-path"]);
        cargo.arg(&manifest);
        cargo.arg("--target-dir").arg(home.with_file_name("target"));
        if let Some(target) = self.target {
            cargo.args(["--target", target]);
            let core = core_of(target).unwrap();
            if core.is_built {
                cargo.arg("-Zbuild-std=core");
            }
            // A fixture has an unstable feature as well.
            cargo.env("RUSTC_BOOTSTRAP", "1").envs(core.variables);
        }
        cargo.args(["--", "-Ccodegen-units=1"]).args(self.flags);
        cargo.arg(format!("--emit=asm={}", asm.display()));
        assert!(cargo.status().unwrap().success());
        std::fs::read_to_string(asm).unwrap()
    }

    /// Returns the instructions of one of its functions.
    fn instructions(&self, function: &str) -> Vec<String> {
        let label = format!("{function}:");
        self.assembly()
            .lines()
            .skip_while(|line| *line != label)
            .skip(1)
            .take_while(|line| !line.starts_with(".Lfunc_end"))
            .map(str::trim)
            .filter(|line| !line.starts_with(['.', '#', '/']) && !line.is_empty())
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect()
    }
}

/// Cargo's own test hook for the sources of Rust's library. It does not change the
/// toolchain's folder.
const SOURCES: &str = "__CARGO_TESTS_ONLY_SRC_ROOT";

/// How cargo gets `core` for another target.
struct Core {
    /// Cargo builds it from source.
    is_built: bool,
    /// The environment of cargo.
    variables: Vec<(&'static str, String)>,
}

impl Core {
    fn built(variables: Vec<(&'static str, String)>) -> Core {
        Core {
            is_built: true,
            variables,
        }
    }

    fn ready(variables: Vec<(&'static str, String)>) -> Core {
        Core {
            is_built: false,
            variables,
        }
    }
}

/// Returns the way to `core` for another target: the compiler has it, or `cargo qemu`
/// downloads it as rustup distributes it, in a fifth of the time of a build, or it is
/// built from the sources of the environment, of the toolchain, or of `cargo qemu`.
/// Returns an error if nothing is there and nothing may be downloaded.
fn core_of(target: &str) -> Result<Core, &'static str> {
    if std::env::var_os(SOURCES).is_some() {
        return Ok(Core::built(Vec::new()));
    }
    let folder = rustc(&["--print", "target-libdir", "--target", target]);
    if Path::new(&folder).exists() {
        return Ok(Core::ready(Vec::new()));
    }
    let may_download = std::env::var_os(skip::NO_SKIP).is_some();
    // The variable forces a build from source.
    if may_download && std::env::var_os("RUST_SRC").is_none() {
        if let Ok(folder) = cargo_qemu(&["sysroot", target]) {
            let compiler = format!("{folder}/rustc");
            return Ok(Core::ready(vec![("RUSTC", compiler)]));
        }
    }
    if toolchain_has_sources() {
        return Ok(Core::built(Vec::new()));
    }
    if !may_download {
        return Err("no core for this target, and no sources: rustup has both");
    }
    let found = cargo_qemu(&["library"]).unwrap();
    let values: Vec<&str> = found.split('\'').collect();
    let [_, library, _, compiler, _] = values[..] else {
        panic!("{found}");
    };
    Ok(Core::built(vec![
        (SOURCES, library.to_owned()),
        ("RUSTC", compiler.to_owned()),
    ]))
}

/// Returns the output of a subcommand of `cargo qemu`, or its complaint.
fn cargo_qemu(arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(env!("CARGO"))
        .arg("qemu")
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().trim_end().to_owned();
    match output.status.success() {
        true => Ok(text(output.stdout)),
        false => Err(text(output.stderr)),
    }
}

/// Returns the output of this environment's compiler.
fn rustc(arguments: &[&str]) -> String {
    let rustc = std::env::var_os("RUSTC").unwrap_or("rustc".into());
    let output = Command::new(rustc).args(arguments).output().unwrap();
    String::from_utf8(output.stdout)
        .unwrap()
        .trim_end()
        .to_owned()
}

fn toolchain_has_sources() -> bool {
    let sysroot = rustc(&["--print", "sysroot"]);
    let library = Path::new(&sysroot).join("lib/rustlib/src/rust/library");
    library.join("core/Cargo.toml").exists()
}

#[test]
fn io_destroy_is_number_trap_and_result() {
    let fixture = Fixture {
        name: "machine_code",
        target: None,
        feature: None,
        flags: &[],
    };
    assert_eq!(
        fixture.instructions("result_of_destroy"),
        ["movl $207, %eax", "syscall", "retq"]
    );
}

/// The vector registers that an instruction reads and writes. The names of the parts of
/// a register denote the whole register.
struct Vectors {
    read: Vec<String>,
    written: Vec<String>,
}

impl Vectors {
    fn of(instruction: &str, is_aarch64: bool) -> Vectors {
        let (mnemonic, operands) = instruction.split_once(' ').unwrap_or((instruction, ""));
        let kinds = if is_aarch64 { "bhsdqvzp" } else { "v" };
        let register = |word: &str| -> Option<String> {
            let number = word.strip_prefix(|kind| kinds.contains(kind))?;
            number.parse::<u8>().ok()?;
            let kind = if word.starts_with('p') { 'p' } else { 'v' };
            Some(format!("{kind}{number}"))
        };
        let words = || operands.split(|c: char| !c.is_alphanumeric());
        let first = words().find(|word| !word.is_empty());
        let all: Vec<String> = words().filter_map(register).collect();
        let stores = if is_aarch64 {
            mnemonic.starts_with("st")
        } else {
            // This matches `vse64.v` and `vs2r.v`, but not `vsrl.vi`.
            let width = mnemonic.trim_start_matches("vse").trim_start_matches("vs");
            width.starts_with(|c: char| c.is_ascii_digit())
        };
        let written = match mnemonic {
            _ if stores || first.and_then(register).is_none() => 0,
            "ldp" => 2,
            _ => 1,
        };
        let (written, read) = all.split_at(written);
        let mut read = read.to_vec();
        // A merging mask keeps the rest of the destination.
        if operands.contains("/m") {
            read.extend_from_slice(written);
        }
        Vectors {
            read,
            written: written.to_vec(),
        }
    }
}

/// Returns the vector registers whose values are kept across the system call
/// instruction, or across the call of the function that contains it, in a function
/// without branches. These are the registers that are read after it before they are
/// written.
fn kept_in_vectors(instructions: &[String], is_aarch64: bool) -> Vec<String> {
    let traps = ["svc", "ecall", "bl", "call"];
    let is_trap = |line: &&String| traps.contains(&line.split(' ').next().unwrap());
    assert_eq!(instructions.iter().filter(is_trap).count(), 1);
    let after = instructions
        .iter()
        .skip_while(|line| !is_trap(line))
        .skip(1);
    let (mut kept, mut written) = (Vec::new(), Vec::new());
    for line in after {
        let vectors = Vectors::of(line, is_aarch64);
        let old = vectors
            .read
            .into_iter()
            .filter(|one| !written.contains(one));
        kept.extend(old);
        written.extend(vectors.written);
    }
    assert!(!written.is_empty(), "no vectors: {instructions:?}");
    kept.sort();
    kept.dedup();
    kept
}

/// Verifies that no vector register is kept across a system call. The function enables
/// vectors only for itself and inlines the stubs, which the library compiled without
/// vectors. The stubs must therefore name all registers that a system call clobbers.
/// The stubs of the crate `sc` do not name them, and are called as functions.
fn no_vector_is_kept(target: &str, flags: &[&str]) {
    if let Err(why) = core_of(target) {
        return skip::skip(why);
    }
    for feature in [None, Some("sc")] {
        let fixture = Fixture {
            name: "vectors",
            target: Some(target),
            feature,
            flags,
        };
        let instructions = fixture.instructions("across_a_call");
        let kept = kept_in_vectors(&instructions, target.starts_with("aarch64"));
        assert!(
            kept.is_empty(),
            "feature {feature:?}: {kept:?} are kept in\n{instructions:#?}"
        );
    }
}

#[test]
fn no_sve_register_is_kept_across_a_call() {
    // With this flag the compiler vectorises arrays of a fixed size with SVE.
    let flags = ["-Cllvm-args=-aarch64-sve-vector-bits-min=256"];
    no_vector_is_kept("aarch64-unknown-linux-gnu", &flags);
}

#[test]
fn no_riscv_vector_is_kept_across_a_call() {
    no_vector_is_kept("riscv64gc-unknown-linux-gnu", &[]);
}

/// Builds an example of this crate and returns its path.
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
    if !skip::have(&["strace"]) {
        return;
    }
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
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let trace = std::fs::read_to_string(&log).unwrap();
    std::fs::remove_file(&log).unwrap();
    let count = |part: &str, call: &str| part.lines().filter(|l| l.starts_with(call)).count();
    let (before, rest) = trace.split_once("write(2, \"[\"").expect("the first mark");
    let (between, after) = rest.split_once("write(2, \"]\"").expect("the second mark");
    assert_eq!(count(before, "io_submit"), 100);
    // The first line is the rest of the first mark. Without a vDSO, reading a clock
    // takes a system call.
    let calls: Vec<&str> = between.lines().skip(1).collect();
    let calls = calls
        .iter()
        .filter(|line| !line.starts_with("clock_gettime"));
    assert_eq!(calls.copied().collect::<Vec<_>>(), [""; 0]);
    // Waiting by system call takes one for each event, and one that finds none.
    let waits = count(after, "io_getevents") + count(after, "io_pgetevents");
    assert_eq!(waits, 101);
}
