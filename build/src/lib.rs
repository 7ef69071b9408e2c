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
//! for a program that is some hundred bytes smaller.
//!
//! The linker rejects a program that cannot run, and reports the reason: a dependency that
//! needs libc, thread-local storage, or constructors.

#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::{env, fs};

/// The addition to the linker's own script.
const SCRIPT: &str = include_str!("static.ld");

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
        Link::new(&target, &flags, linker.as_deref())
    }

    fn new(target: &Target, flags: &str, linker: Option<&str>) -> Link {
        let is_static =
            flag(flags, "relocation-model=").is_some_and(|model| !model.starts_with("pi"));
        Link {
            bare_linker: bare_linker(flags, linker),
            position_independent: target.relocates_itself() && !is_static,
        }
    }

    /// Links the program at a fixed address instead of making it position-independent.
    pub fn fixed_address(self) -> Link {
        Link {
            position_independent: false,
            ..self
        }
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
            // A linker that does not know it (GNU, other than for x86) ignores it.
            "-zpack-relative-relocs".to_owned(),
            // Nothing looks up symbols; GNU's linker would add two hash tables.
            "--hash-style=sysv".to_owned(),
            format!("--script={}", script.display()),
        ];
        // rustc requests a position-independent executable first; the last argument
        // counts.
        let mut words = vec!["-nostdlib".to_owned()];
        if self.position_independent {
            // Words that are not in a writable segment cannot be relocated.
            inner.push("-ztext".to_owned());
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
        fs::write(&script, SCRIPT).expect("the linker script cannot be written");
        println!("cargo::rerun-if-changed=build.rs");
        println!("cargo::rerun-if-env-changed=RUSTC_LINKER");
        println!("cargo::rerun-if-env-changed=CARGO_ENCODED_RUSTFLAGS");
        println!("cargo::rustc-check-cfg=cfg(linux_aio_fixed)");
        if !self.position_independent {
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
        let link = |flags| Link::new(&target("x86_64", "64", "little"), flags, None);
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
        let link = |linker| Link::new(&target("x86", "32", "little"), "", linker);
        let script = Path::new("a.ld");
        let compiler = link(None).args(script);
        assert!(compiler.contains(&"-static-pie".to_owned()));
        assert!(compiler.contains(&"-Wl,--script=a.ld".to_owned()));
        let plain = link(Some("rust-lld")).fixed_address().args(script);
        assert!(plain.contains(&"-no-pie".to_owned()));
        assert!(plain.contains(&"--script=a.ld".to_owned()));
        assert!(!plain.contains(&"-nostartfiles".to_owned()));
    }
}
