//! Linker arguments for static programs without libc.
//!
//! A program that uses `linux_aio::entry!` links nothing but Rust's `core`. A build
//! script that calls [`link_static`] passes the linker the arguments for that:
//!
//! ```toml
//! [build-dependencies]
//! linux-aio-build = "0.1"
//! ```
//!
//! ```ignore
//! // build.rs
//! fn main() {
//!     linux_aio_build::link_static();
//! }
//! ```
//!
//! The program is position-independent where it can relocate itself, so that the kernel
//! maps it at a random address. [`Link::fixed_address`] selects a fixed address instead,
//! for a program that is about a kilobyte smaller, and [`Link::compact`] leaves out what
//! the kernel does not read. A program with debug information, as in cargo's profile `dev`,
//! keeps the tables from which debuggers find the callers of a function.
//!
//! The linker rejects a program that cannot run, and reports the reason: a dependency that
//! needs libc, thread-local storage, or constructors.

#![forbid(unsafe_code)]

mod compact;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use compact::Machine;

/// The commands of a linker script that every program has: what is left out, and what the
/// linker rejects.
const CHECKS: &str = include_str!("checks.ld");

/// The commands for the tables with which debuggers find the callers of a function.
const UNWINDING: &str = include_str!("unwinding.ld");

/// The commands that leave out these tables.
const NO_UNWINDING: &str = include_str!("no_unwinding.ld");

/// The architectures whose programs relocate themselves (`Abi::relative` in `linux-aio`).
const POSITION_INDEPENDENT: &[&str] = &[
    "aarch64",
    "arm",
    "loongarch64",
    "powerpc64",
    "riscv32",
    "riscv64",
    "s390x",
    "x86",
    "x86_64",
];

/// Links all binaries of the package as static programs without libc.
///
/// # Panics
/// As [`Link::emit`].
pub fn link_static() {
    Link::from_cargo().emit();
}

/// The way to link a program without libc.
#[derive(Clone, Debug)]
#[must_use = "only `emit` passes the arguments on"]
pub struct Link {
    bare_linker: bool,
    position_independent: bool,
    compact: bool,
    is_optimised: bool,
    has_debug_information: bool,
    /// The headers of a compact program, or the reason for which there is none.
    machine: Result<Machine, &'static str>,
}

impl Link {
    /// Reads the target, the linker and the compiler's flags from the environment that
    /// cargo gives a build script.
    ///
    /// The program is position-independent if its architecture supports that, unless the
    /// compiler's flags contain `-Crelocation-model=static`.
    pub fn from_cargo() -> Link {
        let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
        let target = Target {
            arch: env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default(),
            pointer_width: env::var("CARGO_CFG_TARGET_POINTER_WIDTH").unwrap_or_default(),
            endian: env::var("CARGO_CFG_TARGET_ENDIAN").unwrap_or_default(),
            env: env::var("CARGO_CFG_TARGET_ENV").unwrap_or_default(),
        };
        let linker = env::var("RUSTC_LINKER").ok();
        let of_rustc = env::var("TARGET").is_ok_and(|triple| triple == SELF_CONTAINED)
            && rustc_minor().is_some_and(|minor| minor >= SELF_CONTAINED_SINCE);
        let mut link = Link::new(&target, &flags, linker.as_deref(), of_rustc);
        link.is_optimised = env::var("OPT_LEVEL").is_ok_and(|level| level != "0");
        link.has_debug_information = env::var("DEBUG").is_ok_and(|debug| debug == "true");
        link
    }

    /// `of_rustc`: rustc uses its own linker unless something else is said.
    fn new(target: &Target, flags: &str, linker: Option<&str>, of_rustc: bool) -> Link {
        let is_static =
            flag(flags, "relocation-model=").is_some_and(|model| !model.starts_with("pi"));
        let machine = if llvm_linker(flags, linker, of_rustc) {
            Machine::of(&target.arch, &target.pointer_width)
                .ok_or("no program was run in this form on this architecture")
        } else {
            Err("it needs the linker of LLVM (rust-lld)")
        };
        Link {
            bare_linker: bare_linker(flags, linker),
            position_independent: target.relocates_itself() && !is_static,
            compact: false,
            is_optimised: true,
            has_debug_information: false,
            machine,
        }
    }

    /// Links the program at a fixed address instead of making it position-independent.
    pub fn fixed_address(self) -> Link {
        Link {
            position_independent: false,
            ..self
        }
    }

    /// Makes the file as small as possible: it contains what the kernel reads, and nothing
    /// for other programs.
    ///
    /// Code and constants are in one segment, and the variables, if there are any, in a
    /// second one, which is not executable. There are no section headers and no symbols:
    /// `readelf -l` prints the segments, and debuggers disassemble the code, but have no
    /// names, and `strip` and `objcopy` refuse the file. A variable whose initial value is
    /// not zero makes the file larger than a page.
    ///
    /// The program does not relocate itself. If it is position-independent, no constant may
    /// have an address in it, and the linker reports one as an error. Panic messages contain
    /// such constants, and on riscv64 most code reads addresses from a table of them. At a
    /// fixed address, every program can be compact.
    ///
    /// This needs the linker of LLVM, which rustc uses for `x86_64-unknown-linux-gnu` since
    /// 1.90, and wherever `rust-lld` is named, and it is available on x86_64, x86, aarch64,
    /// riscv64 and s390x. Otherwise [`emit`](Link::emit) prints a warning, and this method
    /// has no effect. It has none in an unoptimised build either, which keeps its symbols.
    ///
    /// ```no_run
    /// // build.rs
    /// linux_aio_build::Link::from_cargo().fixed_address().compact().emit();
    /// ```
    pub fn compact(self) -> Link {
        Link {
            compact: true,
            ..self
        }
    }

    /// Returns the headers of a program that is linked in the compact form.
    fn headers(&self) -> Option<Machine> {
        self.machine
            .ok()
            .filter(|_| self.compact && self.is_optimised)
    }

    /// Returns whether the program contains the code that relocates it.
    fn relocates_itself(&self) -> bool {
        self.position_independent && self.headers().is_none()
    }

    /// Returns the linker script.
    fn script(&self) -> String {
        if let Some(machine) = self.headers() {
            let checks = format!("{NO_UNWINDING}\n{CHECKS}");
            return machine.script(self.position_independent, &checks);
        }
        let tables = if self.has_debug_information {
            UNWINDING
        } else {
            NO_UNWINDING
        };
        // Added to the linker's own script, which it does not replace.
        format!("SECTIONS\n{{\n{tables}\n{CHECKS}}}\nINSERT AFTER .text;\n")
    }

    /// Returns the linker arguments, with the linker script at `script`.
    ///
    /// rustc links through a C compiler (natively), or calls a linker directly (`rust-lld`
    /// in cross builds). The words for the linker itself are wrapped for the former.
    #[must_use]
    pub fn args(&self, script: &Path) -> Vec<String> {
        // Arguments for the linker itself.
        let mut inner = vec![
            // `_start` may be that of a C library, whose start files the compiler adds.
            "--entry=__linux_aio_start".to_owned(),
            // Code and constants share pages, which needs less padding.
            "-znoseparate-code".to_owned(),
            "--build-id=none".to_owned(),
            "--no-eh-frame-hdr".to_owned(),
            // Nothing looks up symbols; GNU's linker would add two hash tables.
            "--hash-style=sysv".to_owned(),
            format!("--script={}", script.display()),
        ];
        if self.headers().is_some() {
            // A section that the script does not name would be where no header points.
            inner.push("--orphan-handling=error".to_owned());
            // Of two program headers at the same place, the second one is used.
            inner.push("--no-check-sections".to_owned());
        }
        // rustc requests a position-independent executable first; the last argument
        // counts.
        let mut words = vec!["-nostdlib".to_owned()];
        if self.position_independent {
            // Words that are not in a writable segment cannot be relocated.
            inner.push("-ztext".to_owned());
            if self.relocates_itself() {
                // A linker that does not know it (GNU, other than for x86) ignores it.
                inner.push("-zpack-relative-relocs".to_owned());
                // LLVM's, and others ignore it: the dynamic section is among the constants,
                // so a program without variables and relocations has no writable segment.
                inner.push("-zrodynamic".to_owned());
            }
            if self.bare_linker {
                words.extend(["-static", "-pie", "--no-dynamic-linker"].map(str::to_owned));
            } else {
                words.push("-static-pie".to_owned());
            }
        } else {
            // No relocations are applied at run time, so no data is made read-only after
            // them.
            inner.push("-znorelro".to_owned());
            words.extend(["-static", "-no-pie"].map(str::to_owned));
        }
        if self.bare_linker {
            words.extend(inner);
        } else {
            words.push("-nostartfiles".to_owned());
            words.extend(inner.iter().map(|word| format!("-Wl,{word}")));
        }
        words
    }

    /// Writes the linker script into cargo's output folder, and passes the arguments to
    /// the linker of every binary of the package.
    ///
    /// # Panics
    /// Outside of a build script, or if the script cannot be written.
    pub fn emit(self) {
        let folder = PathBuf::from(env::var_os("OUT_DIR").expect("no build script"));
        let script = folder.join("static.ld");
        fs::write(&script, self.script()).expect("the linker script cannot be written");
        println!("cargo::rerun-if-changed=build.rs");
        println!("cargo::rerun-if-env-changed=RUSTC_LINKER");
        println!("cargo::rerun-if-env-changed=CARGO_ENCODED_RUSTFLAGS");
        println!("cargo::rustc-check-cfg=cfg(linux_aio_fixed)");
        if let (true, Err(reason)) = (self.compact && self.is_optimised, self.machine) {
            println!("cargo::warning=the program is not linked in the compact form: {reason}");
        }
        if !self.relocates_itself() {
            // The process entry leaves out the code that relocates the program.
            println!("cargo::rustc-cfg=linux_aio_fixed");
        }
        for word in self.args(&script) {
            println!("cargo::rustc-link-arg-bins={word}");
        }
    }
}

/// A target, by the values of cargo's variables.
struct Target {
    arch: String,
    pointer_width: String,
    endian: String,
    env: String,
}

impl Target {
    /// Returns whether a program for the target can relocate itself.
    fn relocates_itself(&self) -> bool {
        // x32 and ILP32 have 32-bit pointers on a 64-bit architecture.
        let is_narrow = self.pointer_width == "32" && self.arch.contains("64");
        // The first ABI of powerpc64, in which the entry is a relocated descriptor.
        let has_descriptors = self.arch == "powerpc64" && self.endian == "big" && self.env == "gnu";
        POSITION_INDEPENDENT.contains(&self.arch.as_str()) && !is_narrow && !has_descriptors
    }
}

/// The target for which rustc uses its own linker, and the version since which it does.
const SELF_CONTAINED: &str = "x86_64-unknown-linux-gnu";
const SELF_CONTAINED_SINCE: u32 = 90;

/// Returns the second number of the compiler's version.
fn rustc_minor() -> Option<u32> {
    let rustc = env::var_os("RUSTC")?;
    let output = Command::new(rustc).arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let version = text.split(' ').nth(1)?;
    version.split('.').nth(1)?.parse().ok()
}

/// Returns the value of the last flag `-C name`, with `name` up to its `=`.
fn flag<'a>(flags: &'a str, name: &str) -> Option<&'a str> {
    let mut words = flags.split('\x1f').peekable();
    let mut value = None;
    while let Some(word) = words.next() {
        let option = match word {
            "-C" | "--codegen" => words.peek().copied().unwrap_or_default(),
            _ => word
                .strip_prefix("-C")
                .or_else(|| word.strip_prefix("--codegen="))
                .unwrap_or_default(),
        };
        value = option.trim().strip_prefix(name).or(value);
    }
    value
}

/// Returns whether the linker is a plain one, such as `rust-lld`, and not a C compiler.
///
/// Cargo's configuration or a flag of the compiler can name it. rustc distinguishes the
/// two by the file name, and so does this function.
fn bare_linker(flags: &str, linker: Option<&str>) -> bool {
    if let Some(flavour) = flag(flags, "linker-flavor=") {
        return !flavour.contains("cc") && flavour != "em";
    }
    let Some(linker) = flag(flags, "linker=").or(linker) else {
        return false;
    };
    let stem = Path::new(linker)
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    stem == "ld" || stem.ends_with("-ld") || stem.ends_with("lld") || stem.starts_with("ld.")
}

/// Returns whether the linker is LLVM's, as far as this is known.
fn llvm_linker(flags: &str, linker: Option<&str>, of_rustc: bool) -> bool {
    let words = || flags.split('\x1f');
    if let Some(name) = words().rev().find_map(|word| word.split_once("-fuse-ld=")) {
        return name.1.contains("lld");
    }
    if let Some(linker) = flag(flags, "linker=").or(linker) {
        return linker.contains("lld");
    }
    let is_off = |name| {
        flag(flags, name).is_some_and(|value| {
            value.contains("-l") || matches!(value, "n" | "no" | "off" | "false")
        })
    };
    let is_bare = bare_linker(flags, None);
    of_rustc && !is_bare && !is_off("linker-features=") && !is_off("link-self-contained=")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(arch: &str, pointer_width: &str, endian: &str) -> Target {
        Target {
            arch: arch.to_owned(),
            pointer_width: pointer_width.to_owned(),
            endian: endian.to_owned(),
            env: "gnu".to_owned(),
        }
    }

    #[test]
    fn a_linker_is_plain_by_its_name_or_flavour() {
        assert!(!bare_linker("", None));
        for plain in [
            "rust-lld",
            "/usr/bin/ld",
            "s390x-linux-gnu-ld",
            "ld.lld",
            "lld",
        ] {
            assert!(bare_linker("", Some(plain)), "{plain}");
        }
        for compiler in ["cc", "clang", "aarch64-linux-gnu-gcc", "/opt/ldcc"] {
            assert!(!bare_linker("", Some(compiler)), "{compiler}");
        }
        // Flags have precedence, and the last one counts.
        assert!(bare_linker("-Clinker=rust-lld", Some("cc")));
        assert!(bare_linker("-C\x1flinker=cc\x1f-C\x1flinker=ld", None));
        assert!(!bare_linker("-Clinker-flavor=gnu-cc", Some("ld")));
        assert!(bare_linker("--codegen=linker-flavor=gnu-lld", Some("cc")));
    }

    #[test]
    fn the_last_relocation_model_counts() {
        let link = |flags| Link::new(&target("x86_64", "64", "little"), flags, None, false);
        assert!(link("").position_independent);
        assert!(!link("-Crelocation-model=static").position_independent);
        assert!(
            link("-Crelocation-model=static\x1f-C\x1frelocation-model=pie").position_independent
        );
    }

    #[test]
    fn only_some_targets_relocate_themselves() {
        assert!(target("s390x", "64", "big").relocates_itself());
        assert!(target("powerpc64", "64", "little").relocates_itself());
        assert!(!target("powerpc64", "64", "big").relocates_itself());
        assert!(!target("x86_64", "32", "little").relocates_itself());
        assert!(!target("mips", "32", "big").relocates_itself());
    }

    #[test]
    fn a_compiler_gets_the_linkers_words_wrapped() {
        let link = |linker| Link::new(&target("x86", "32", "little"), "", linker, false);
        let script = Path::new("a.ld");
        let compiler = link(None).args(script);
        assert!(compiler.contains(&"-static-pie".to_owned()));
        assert!(compiler.contains(&"-Wl,--script=a.ld".to_owned()));
        let plain = link(Some("rust-lld")).fixed_address().args(script);
        assert!(plain.contains(&"-no-pie".to_owned()));
        assert!(plain.contains(&"--script=a.ld".to_owned()));
        assert!(!plain.contains(&"-nostartfiles".to_owned()));
    }

    #[test]
    fn the_linker_of_llvm_is_known() {
        // rustc's own, unless something else is said.
        assert!(llvm_linker("", None, true));
        assert!(!llvm_linker("", None, false));
        for flags in [
            "-Clinker-features=-lld",
            "-Clink-self-contained=-linker",
            "-Clink-self-contained=no",
            "-Clink-arg=-fuse-ld=bfd",
            "-Clinker=clang",
            "-Clinker-flavor=ld",
        ] {
            assert!(!llvm_linker(flags, None, true), "{flags}");
        }
        assert!(!llvm_linker("", Some("ld"), true));
        assert!(llvm_linker("", Some("rust-lld"), false));
        assert!(llvm_linker("-Clink-arg=-fuse-ld=lld", Some("clang"), false));
    }

    #[test]
    fn debuggers_find_callers_if_there_is_debug_information() {
        let without = Link::new(&target("x86_64", "64", "little"), "", None, false);
        let with = Link {
            has_debug_information: true,
            ..without.clone()
        };
        assert!(without.script().contains(".eh_frame)"));
        assert!(!with.script().contains(".eh_frame)"));
        // A compact program has no names to print.
        let compact = Link {
            machine: Machine::of("x86_64", "64").ok_or(""),
            ..with.compact()
        };
        assert!(compact.script().contains(".eh_frame)"));
    }

    #[test]
    fn a_compact_program_has_its_headers_in_the_script() {
        let link = |arch, width, linker| {
            Link::new(&target(arch, width, "little"), "", linker, false).compact()
        };
        let compact = link("aarch64", "64", Some("rust-lld"));
        assert!(compact.position_independent && !compact.relocates_itself());
        assert!(compact.script().contains("OUTPUT_FORMAT(binary)"));
        // The type of a position-independent file, and of one at a fixed address.
        assert!(compact.script().contains("SHORT(3) SHORT(183)"));
        let fixed = compact.fixed_address();
        assert!(fixed.script().contains("SHORT(2) SHORT(183)"));
        assert!(
            fixed
                .script()
                .contains("ADDR(.text) + SIZEOF(.text) - 2097152")
        );
        // Another linker, another architecture, or an unoptimised build: as without it.
        let unoptimised = Link {
            is_optimised: false,
            ..fixed
        };
        for other in [
            link("x86_64", "64", None),
            link("m68k", "32", Some("rust-lld")),
            unoptimised,
        ] {
            assert!(other.script().ends_with("INSERT AFTER .text;\n"));
            assert!(
                !other
                    .args(Path::new("a"))
                    .contains(&"--orphan-handling=error".to_owned())
            );
        }
    }
}
