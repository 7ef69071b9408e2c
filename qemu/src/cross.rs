//! Builds programs without libc for a target, with `core` from source.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::cache::{Cache, root, target_folder};
use crate::command::bounded;
use crate::rust_src::RustSrc;
use crate::targets::Target;
use crate::toolchain;

/// A build takes a fifth of a minute; LLVM has been seen not to end at all.
const LIMIT: Duration = Duration::from_secs(300);

/// The conformance program for a target; `None` where nothing can link it, and
/// the library alone was built.
pub(crate) fn build(
    cache: &Cache,
    rust: &RustSrc,
    target: Target<'_>,
    effort: Effort,
) -> Result<Option<PathBuf>> {
    let profile = &target.abi.profile;
    package(cache, rust, target, "guest", profile, effort)
}

/// The tool `aio` for a target that has a linker.
pub(crate) fn build_aio(cache: &Cache, rust: &RustSrc, target: Target<'_>) -> Result<PathBuf> {
    let built = package(cache, rust, target, "aio", "aio", Effort::Whole)?;
    built.with_context(|| format!("{} has no linker", target.triple))
}

/// How much is done to make a program fast.
#[derive(Clone, Copy, Default, PartialEq)]
pub(crate) enum Effort {
    /// What its profile says.
    #[default]
    Whole,
    /// After a change, a quarter of the time: compiled without optimisation, and
    /// only where something changed, with the `core` of the whole builds. Where
    /// values live in registers across a trap is seen in those.
    Quick,
}

fn package(
    cache: &Cache,
    rust: &RustSrc,
    target: Target<'_>,
    package: &str,
    profile: &str,
    effort: Effort,
) -> Result<Option<PathBuf>> {
    let link = toolchain::linker(cache, target.abi)?;
    // A folder a target: cargo locks the one it builds in, and these are
    // built side by side.
    let folder = target_folder()?.join("qemu").join(target.triple);
    let mut cargo = Command::new("cargo");
    cargo
        .current_dir(root())
        .args(["build", "--locked", "--quiet", "--profile", profile])
        .args(["--target", target.triple, "-Zbuild-std=core"])
        .env("CARGO_TARGET_DIR", &folder)
        .env("CARGO_TERM_COLOR", "never")
        .env("RUSTC", &rust.compiler)
        // The first is cargo's own test hook: it names the sources without a
        // change in the toolchain's folder. By this name they are outside of
        // every workspace; within one, cargo would not take the `core` that was
        // built for another (see `tests/mutants.d/run-group`).
        .env(
            "__CARGO_TESTS_ONLY_SRC_ROOT",
            format!("/proc/self/root{}", rust.library.display()),
        )
        .env("RUSTC_BOOTSTRAP", "1");
    if effort == Effort::Quick {
        cargo.env("CARGO_INCREMENTAL", "1");
        for name in ["linux-aio", package] {
            let level = format!("profile.{profile}.package.{name}.opt-level=0");
            cargo.args(["--config", &level]);
        }
    }
    let mut flags = vec!["-Crelocation-model=static".to_owned()];
    if let Some(link) = &link {
        // Not by cargo's own setting: that is the build scripts' too.
        flags.push(format!("-Clinker={}", link.program.display()));
        flags.push(format!("-Clinker-flavor={}", link.flavor));
        if target.triple.contains("-linux-musl") && !target.triple.contains("-unikraft-") {
            // Else rustc brings a C library's start files.
            flags.push("-Clink-self-contained=no".to_owned());
        }
        let words = target.abi.link_args.iter();
        flags.extend(words.map(|word| format!("-Clink-arg={word}")));
        cargo.args(["-p", package]);
    } else {
        cargo.args(["-p", "linux-aio", "--lib", "--features", "rt"]);
    }
    if target.abi.newer_llvm {
        // What the linker compiles anew.
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
