//! Builds programs without libc for a target, with rustup's `core`, or one from source.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::cache::{Cache, root, target_folder};
use crate::command::bounded;
use crate::rust_src::{Core, RustSrc};
use crate::targets::Target;
use crate::toolchain;

/// The time limit of a build. A build takes about 12 seconds; LLVM was observed not to
/// terminate at all.
const LIMIT: Duration = Duration::from_secs(300);

/// Builds the conformance program for a target, with the checks that need a kernel or
/// without. Returns `None` where no linker exists, after a build of the library alone.
pub(crate) fn build(
    cache: &Cache,
    rust: &RustSrc,
    target: Target<'_>,
    kernel: bool,
    effort: Effort,
) -> Result<Option<PathBuf>> {
    let profile = &target.abi.profile;
    let options: &[&str] = if kernel {
        &[]
    } else {
        &["--no-default-features"]
    };
    package(cache, rust, target, ("guest", options), profile, effort)
}

/// Builds the tool `aio` for a target that has a linker.
pub(crate) fn build_aio(cache: &Cache, rust: &RustSrc, target: Target<'_>) -> Result<PathBuf> {
    let built = package(cache, rust, target, ("aio", &[]), "aio", Effort::Whole)?;
    built.with_context(|| format!("{} has no linker", target.triple))
}

/// The amount of optimisation in a build.
#[derive(Clone, Copy, Default, PartialEq)]
pub(crate) enum Effort {
    /// As in the target's profile.
    #[default]
    Whole,
    /// Without optimisation, in a quarter of the time, for use after a change.
    ///
    /// Only changed crates are compiled, with the `core` of the whole builds. Only the
    /// whole builds verify where values live in registers across a system call.
    Quick,
}

fn package(
    cache: &Cache,
    rust: &RustSrc,
    target: Target<'_>,
    (package, options): (&str, &[&str]),
    profile: &str,
    effort: Effort,
) -> Result<Option<PathBuf>> {
    let link = toolchain::linker(cache, target.abi)?;
    // Each target has its own folder: cargo locks its build folder, and targets are
    // built in parallel.
    let folder = target_folder()?.join("qemu").join(target.triple);
    let mut cargo = Command::new("cargo");
    cargo
        .current_dir(root())
        .args(["build", "--locked", "--quiet", "--profile", profile])
        .args(["--target", target.triple])
        .env("CARGO_TARGET_DIR", &folder)
        .env("CARGO_TERM_COLOR", "never")
        .env("RUSTC", &rust.compiler)
        // The first variable is cargo's test hook: it names the sources without a
        // change in the toolchain's folder. This path is outside of every workspace.
        // Within one, cargo would not reuse the `core` that was built for another (see
        // `tests/mutants.d/judge-group`).
        .env(
            "__CARGO_TESTS_ONLY_SRC_ROOT",
            format!("/proc/self/root{}", rust.library.display()),
        )
        .env("RUSTC_BOOTSTRAP", "1");
    let mut flags = Vec::new();
    match rust.core(cache, target.triple)? {
        Core::Installed => {}
        Core::Fetched(folder) => flags.push(format!("--sysroot={}", folder.display())),
        Core::Source => {
            cargo.arg("-Zbuild-std=core");
        }
    }
    if effort == Effort::Quick {
        cargo.env("CARGO_INCREMENTAL", "1");
        for name in ["linux-aio", package] {
            let level = format!("profile.{profile}.package.{name}.opt-level=0");
            cargo.args(["--config", &level]);
        }
    }
    let model = if target.abi.pie { "pic" } else { "static" };
    flags.push(format!("-Crelocation-model={model}"));
    if let Some(link) = &link {
        // Cargo's own setting would also apply to build scripts.
        flags.push(format!("-Clinker={}", link.program.display()));
        flags.push(format!("-Clinker-flavor={}", link.flavor));
        if target.triple.contains("-linux-musl") && !target.triple.contains("-unikraft-") {
            // Otherwise rustc adds a C library's start files.
            flags.push("-Clink-self-contained=no".to_owned());
        }
        let words = target.abi.link_args.iter();
        flags.extend(words.map(|word| format!("-Clink-arg={word}")));
        cargo.args(["-p", package]).args(options);
    } else {
        cargo.args(["-p", "linux-aio", "--lib", "--features", "rt"]);
    }
    if target.abi.newer_llvm {
        // The linker compiles this bitcode again.
        flags.push("--emit=llvm-bc".to_owned());
    }
    flags.extend_from_slice(&target.abi.rustflags);
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
    fs::create_dir_all(&folder)?;
    let log = folder.join("build");
    let ended = bounded(&mut cargo, File::create(&log)?, LIMIT)?;
    if !ended.is_some_and(|status| status.success()) {
        let how = ended.map_or(format!("killed after {LIMIT:?}"), |status| {
            status.to_string()
        });
        let log = fs::read(&log)?;
        bail!("cargo: {how}\n{}", String::from_utf8_lossy(&log).trim_end());
    }
    let built = folder.join(target.triple).join(profile);
    Ok(link.map(|_| built.join(package)))
}
