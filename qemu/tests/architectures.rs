//! Verifies that a new architecture is one file in `arch/`, its row in `arch/mod.rs`
//! and its rows in `qemu/targets.toml`: no other code names an architecture, except
//! where it depends on a property of that architecture.
//!
//! Prose (comments, pages) and generated files may name any. So may unit tests, which
//! take a few architectures as examples.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

// Reasons of several rows.
const EXAMPLES: &str = "tests of the host and of targets that are taken as examples";
const NARROW: &str = "registers of 64 bits and pointers of 32";
const EVEN: &str = "64 bits in two registers, the first of which has an even number";
const VECTORS: &str = "vector registers of any length";
const SEEK: &str = "another name of llseek(2)";

/// Files that name architectures: the reason, the architectures, and the files. Each
/// file names all of them. A file in several rows may name the architectures of all.
const EXCEPTIONS: &[(&str, &[&str], &[&str])] = &[
    (
        "the `asm!` is not stable (`tests/nightly.rs` compares the lists)",
        &[
            "csky", "hexagon", "m68k", "mips", "mips32r6", "mips64", "mips64r6", "sparc", "sparc64",
        ],
        &["src/lib.rs", "qemu/guest/src/main.rs"],
    ),
    (
        "release 6 of MIPS is another architecture for rustc",
        &["mips", "mips32r6", "mips64", "mips64r6"],
        &["qemu/tests/nightly.rs"],
    ),
    (
        "the crate `sc` builds",
        &["aarch64", "riscv64", "x86_64"],
        &[
            "Cargo.toml",
            "qemu/guest/Cargo.toml",
            "qemu/guest/src/numbers.rs",
        ],
    ),
    (
        "`linux-raw-sys` does not compile",
        &["csky", "hexagon"],
        &[
            "qemu/guest/Cargo.toml",
            "qemu/guest/src/nr.rs",
            "qemu/guest/src/numbers.rs",
        ],
    ),
    (
        SEEK,
        &["csky", "hexagon", "riscv32"],
        &["aio/src/os/data.rs"],
    ),
    (SEEK, &["riscv32"], &["qemu/guest/src/nr.rs"]),
    (
        NARROW,
        &["x86_64"],
        &[
            "aio/src/os.rs",
            "aio/src/os/attributes.rs",
            "aio/src/os/data.rs",
            "tokio/src/transfer.rs",
        ],
    ),
    (NARROW, &["aarch64", "x86_64"], &["qemu/guest/src/nr.rs"]),
    (
        EVEN,
        &["arm", "mips", "mips32r6", "powerpc"],
        &["aio/src/os/data.rs", "qemu/guest/src/os/files.rs"],
    ),
    (EVEN, &["hexagon"], &["qemu/guest/src/os/files.rs"]),
    (
        "another order of arguments: sync_file_range2(2)",
        &["powerpc64"],
        &["aio/src/os/data.rs"],
    ),
    (
        "another order of arguments, or arguments in memory: clone(2), mmap(2)",
        &["s390x"],
        &[
            "aio/src/os.rs",
            "qemu/guest/src/os/memory.rs",
            "qemu/guest/src/os/process.rs",
            "src/pages.rs",
        ],
    ),
    (
        "another layout of siginfo, and aliases in the data cache",
        &["mips", "mips32r6", "mips64", "mips64r6"],
        &[
            "qemu/guest/src/aio/mapped.rs",
            "qemu/guest/src/os/process.rs",
        ],
    ),
    (
        "QEMU's user mode drops an argument's high half",
        &["sparc"],
        &["qemu/guest/src/stubs.rs"],
    ),
    (
        "symbols of unwinding that other architectures do not have",
        &["arm"],
        &["src/rt/mod.rs"],
    ),
    (
        "atomic operations that are functions, and reference `getauxval`",
        &["aarch64"],
        &["src/rt/mod.rs"],
    ),
    (
        "ELF headers of programs that were run (`build` does not depend on the library)",
        &["aarch64", "riscv64", "s390x", "x86", "x86_64"],
        &["build/src/compact.rs"],
    ),
    (
        "programs that relocate themselves: `Abi::relative` (`build` does not depend on the library)",
        &[
            "aarch64",
            "arm",
            "loongarch64",
            "powerpc64",
            "riscv32",
            "riscv64",
            "s390x",
            "x86",
            "x86_64",
        ],
        &["build/src/lib.rs"],
    ),
    (
        "no atomic addition, and errors of LLVM",
        &["m68k"],
        &[
            "qemu/src/m68k/mod.rs",
            "qemu/src/main.rs",
            "qemu/src/toolchain.rs",
            "src/engine/ticket.rs",
        ],
    ),
    (
        VECTORS,
        &["aarch64", "riscv32", "riscv64"],
        &["qemu/guest/src/main.rs", "qemu/guest/src/scalable.rs"],
    ),
    (
        VECTORS,
        &["aarch64", "riscv64"],
        &["tests/fixtures/vectors.rs"],
    ),
    (
        "the number of registers, and vector types in `core`",
        &["aarch64", "m68k", "s390x", "x86", "x86_64"],
        &["qemu/guest/src/registers.rs"],
    ),
    (
        "a thread of the tool `aio`, which others do without",
        &["aarch64", "riscv64", "x86_64"],
        &["aio/src/os/thread.rs"],
    ),
    (
        "the arguments and the result of clone(2) in the tool `aio`",
        &[
            "mips", "mips32r6", "mips64", "mips64r6", "s390x", "sparc", "sparc64",
        ],
        &["aio/src/os/child.rs"],
    ),
    (
        "a structure of the tool `aio` with 64-bit time",
        &["riscv32"],
        &["aio/src/os/process.rs"],
    ),
    (
        EXAMPLES,
        &["x86_64"],
        &["aio/tests/sandboxes.rs", "aio/tests/who.rs", "aio/text.rs"],
    ),
    (
        "Debian's packages and names of emulators and compilers",
        &[
            "aarch64", "arm", "mips", "mips64", "s390x", "sparc", "sparc64", "x86", "x86_64",
        ],
        &["qemu/src/machine.rs"],
    ),
    (
        "kernels that are built here",
        &[
            "aarch64",
            "m68k",
            "mips",
            "mips64",
            "powerpc",
            "powerpc64",
            "riscv32",
            "riscv64",
            "sparc64",
            "x86",
            "x86_64",
        ],
        &["qemu/src/kernel_arch.rs"],
    ),
    (
        "User-Mode Linux and Debian's gVisor exist for this machine alone",
        &["x86", "x86_64"],
        &["qemu/src/host_kernel.rs", "qemu/src/uml.rs"],
    ),
    (
        "an emulator of a package that has all of them, for its version",
        &["s390x", "x86_64"],
        &["qemu/src/jobs.rs"],
    ),
    (
        EXAMPLES,
        &["arm", "s390x"],
        &[".cargo/config.toml", "capi/tests/header.sh"],
    ),
    (
        EXAMPLES,
        &["arm", "riscv64", "s390x", "x86_64"],
        &["tests/ci/tools.sh"],
    ),
    (
        EXAMPLES,
        &["aarch64", "arm", "riscv64", "s390x", "x86_64"],
        &["tests/run"],
    ),
    (
        "the architectures of Debian",
        &[
            "aarch64",
            "arm",
            "loongarch64",
            "riscv64",
            "s390x",
            "x86",
            "x86_64",
        ],
        &["capi/tests/architectures.sh"],
    ),
    (
        EXAMPLES,
        &["aarch64", "arm", "riscv64", "s390x"],
        &["capi/tests/kernels"],
    ),
    (EXAMPLES, &["riscv64"], &["capi/tests/run"]),
    (EXAMPLES, &["x86_64"], &["capi/tests/clients"]),
    (
        "readelf's name of a note",
        &["x86"],
        &["capi/tests/symbols.sh"],
    ),
    (
        EXAMPLES,
        &["aarch64", "riscv64", "s390x"],
        &[
            "examples/hello-static/.cargo/config.toml",
            "examples/static/.cargo/config.toml",
        ],
    ),
    (
        EXAMPLES,
        &["aarch64", "riscv64", "s390x", "x86_64"],
        &["tests/ci/static.sh"],
    ),
    (EXAMPLES, &["riscv64", "s390x"], &["qemu/tests/cli.rs"]),
    (EXAMPLES, &["x86", "x86_64"], &["capi/tests/lib.sh"]),
    (
        "an option of LLVM for landing pads",
        &["x86"],
        &["capi/install/src/link.rs"],
    ),
    (
        EXAMPLES,
        &["x86_64"],
        &[
            "benches/src/bin/subject/trap.rs",
            "qemu/user-mode",
            "tests/fork.rs",
            "tests/mutants.d/layers.list",
            "tests/syscalls.rs",
        ],
    ),
    (
        EXAMPLES,
        &["x86", "x86_64"],
        &["tests/fixtures/rt/main.rs", "tests/fixtures/rt/open.rs"],
    ),
    (EXAMPLES, &["aarch64", "x86_64"], &["tests/machine_code.rs"]),
    (
        EXAMPLES,
        &["aarch64", "riscv64", "x86", "x86_64"],
        &["tests/rt.rs"],
    ),
];

/// Files that name any architecture.
const ANY: &[(&str, &str)] = &[
    ("qemu/targets.toml", "the table of targets"),
    ("qemu/tests/architectures.rs", "this table"),
    (
        "tests/mutants.d/architecture.list",
        "mutants of the files in `arch/`",
    ),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Returns the names of the rows in `arch/mod.rs`, and rustc's names in their `cfg`.
fn architectures() -> BTreeSet<String> {
    let source = fs::read_to_string(root().join("arch/mod.rs")).unwrap();
    let (_, rows) = source.split_once("\narchitectures! {\n").unwrap();
    let (rows, _) = rows.split_once("\n}").unwrap();
    let mut names = BTreeSet::new();
    for row in rows.lines() {
        let (file, cfg) = row.trim().split_once(" if ").unwrap();
        names.insert(file.to_owned());
        let quoted = cfg.split('"').skip(1).step_by(2);
        names.extend(quoted.map(str::to_owned));
    }
    names
}

/// Collects the files below a folder that contain code, by their path in the project.
fn sources(folder: &Path, found: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(root().join(folder)).unwrap() {
        let entry = entry.unwrap();
        let path = folder.join(entry.file_name());
        let name = path.to_str().unwrap();
        if entry.file_type().unwrap().is_dir() {
            let is_other = path.ends_with("target") || path.ends_with(".git");
            if path != Path::new("arch") && !is_other {
                sources(&path, found);
            }
            continue;
        }
        let extension = path.extension().map_or("", |name| name.to_str().unwrap());
        if ["rs", "toml", "sh", "c", "h", "list", ""].contains(&extension)
            && let Ok(text) = fs::read_to_string(entry.path())
        {
            found.insert(name.to_owned(), text);
        }
    }
}

/// Returns the code of a file: its lines without comments, up to its unit tests.
fn code(path: &str, text: &str) -> String {
    let comment = match path.rsplit('.').next() {
        Some("rs" | "c" | "h") => ["//", "/*", "* "].as_slice(),
        _ => &["#"],
    };
    let lines = text.lines().take_while(|line| *line != "mod tests {");
    let lines = lines.filter(|line| {
        let line = line.trim_start();
        !comment.iter().any(|start| line.starts_with(start))
    });
    lines
        .map(|line| line.split(" // ").next().unwrap_or_default())
        .flat_map(|line| [line, "\n"])
        .collect()
}

fn words(code: &str) -> BTreeSet<&str> {
    code.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .collect()
}

#[test]
fn no_other_file_names_an_architecture() {
    let names = architectures();
    assert!(names.len() > 15 && names.contains("mips64r6"), "{names:?}");
    let mut found = BTreeMap::new();
    sources(Path::new(""), &mut found);
    assert!(found.contains_key("src/lib.rs") && found.contains_key("tests/run"));

    let mut allowed = BTreeSet::new();
    for (_, archs, files) in EXCEPTIONS {
        for file in *files {
            allowed.extend(archs.iter().map(|arch| (*file, *arch)));
        }
    }
    let texts: Vec<_> = found
        .iter()
        .filter(|(file, _)| !ANY.iter().any(|any| any.0 == **file))
        .map(|(file, text)| (file.as_str(), code(file, text)))
        .collect();
    let mut named = BTreeSet::new();
    for (file, code) in &texts {
        let words = words(code).into_iter();
        named.extend(
            words
                .filter(|word| names.contains(*word))
                .map(|word| (*file, word)),
        );
    }
    let surplus: Vec<_> = named.difference(&allowed).collect();
    assert!(
        surplus.is_empty(),
        "architectures named outside of arch/: {surplus:#?}"
    );
    let stale: Vec<_> = allowed.difference(&named).collect();
    assert!(stale.is_empty(), "exceptions without a use: {stale:#?}");
}
