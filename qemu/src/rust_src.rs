//! The sources of Rust's library, in exactly the compiler's version, from which `core`
//! is built for targets without a prebuilt one.
//!
//! `RUST_SRC` names one way; otherwise the first that works is used:
//!
//! - `toolchain`: `rust-src` is already installed;
//! - `rustup`: downloads the component; the toolchain itself is not changed;
//! - `debian`: Debian's rust-src, from whichever suite has this version;
//! - `debian-web`: Debian's rustc-web and rust-web-src: another compiler, but always a
//!   matching pair, since one source package builds both.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::cache::{Cache, target_folder};
use crate::command::output;
use crate::debian::Suite;

/// A compiler and the sources of its library.
pub(crate) struct RustSrc {
    pub(crate) compiler: PathBuf,
    pub(crate) library: PathBuf,
}

const WAYS: &str = "toolchain rustup debian debian-web";

impl RustSrc {
    pub(crate) fn find(cache: &Cache) -> Result<RustSrc> {
        let installed = Installed::find()?;
        let ways = std::env::var("RUST_SRC").unwrap_or_else(|_| WAYS.to_owned());
        let mut ways: Vec<&str> = ways.split_whitespace().collect();
        ways.sort_by_key(|way| !installed.is_near(cache, way));
        let mut complaints = String::new();
        for way in ways {
            let found = match way {
                "toolchain" => {
                    installed.with(installed.sysroot.join("lib/rustlib/src/rust/library"))
                }
                "rustup" => installed.rustup(cache),
                "debian" => installed.debian(cache),
                "debian-web" => web(cache),
                _ => bail!("RUST_SRC={way}: the ways are {WAYS}"),
            };
            match found {
                Ok(found) => return Ok(found),
                Err(error) => complaints += &format!("\n{way}: {error:#}"),
            }
        }
        bail!(
            "no sources of the library of {}:{complaints}",
            installed.release
        )
    }

    fn check(self) -> Result<RustSrc> {
        let library = &self.library;
        ensure!(
            library.join("Cargo.lock").is_file() && library.join("core/src/lib.rs").is_file(),
            "{} is not there",
            library.display()
        );
        Ok(self)
    }

    /// Returns the reason why the compiler cannot build for a target at all, if so.
    /// Debian's LLVM lacks csky, and another release has other targets.
    pub(crate) fn lacks(&self, target: &str) -> Option<String> {
        let mut rustc = Command::new(&self.compiler);
        rustc.args(["--print", "cfg", "--target", target]);
        // The compiler must not write a crash report into the work tree.
        let error = output(rustc.env("RUSTC_ICE", "0")).err()?.to_string();
        let is_reason =
            |line: &&str| line.starts_with("error: ") && !line.contains("internal compiler error");
        let why = error.lines().find(is_reason);
        Some(
            why.unwrap_or("error: no such target")
                .replacen("error: ", "this compiler: ", 1),
        )
    }

    /// Returns the path of the linker that rustup's toolchains include.
    pub(crate) fn lld() -> Result<PathBuf> {
        let sysroot = Installed::find()?.sysroot;
        let host = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
        let lld = sysroot.join("lib/rustlib").join(host).join("bin/rust-lld");
        // Otherwise PATH is searched.
        Ok(if lld.exists() { lld } else { "rust-lld".into() })
    }
}

/// The compiler that this machine has.
struct Installed {
    compiler: PathBuf,
    sysroot: PathBuf,
    release: String,
}

impl Installed {
    fn find() -> Result<Installed> {
        let compiler = output(Command::new("rustup").args(["which", "rustc"]))
            .or_else(|_| output(Command::new("sh").args(["-c", "command -v rustc"])))
            .context("no rustc")?;
        let compiler = PathBuf::from(compiler.trim());
        let sysroot = output(Command::new(&compiler).args(["--print", "sysroot"]))?;
        let release = output(Command::new(&compiler).arg("-vV"))?
            .lines()
            .find_map(|line| line.strip_prefix("release: "))
            .context("a rustc without a release")?
            .to_owned();
        Ok(Installed {
            compiler,
            sysroot: sysroot.trim().into(),
            release,
        })
    }

    /// Returns whether a way needs no network. Those come first: a rustup that cannot
    /// download may take long to report this, at every call. The last way keeps its
    /// place, since its compiler is another.
    fn is_near(&self, cache: &Cache, way: &str) -> bool {
        match way {
            "toolchain" => true,
            "rustup" => cache.path(&self.rustup_entry()).is_dir(),
            "debian" => cache.path(&self.debian_entry()).is_dir(),
            _ => false,
        }
    }

    fn rustup_entry(&self) -> String {
        format!("rustup-{}", self.release)
    }

    fn debian_entry(&self) -> String {
        format!("rust-src-{}", self.release)
    }

    fn with(&self, library: PathBuf) -> Result<RustSrc> {
        let compiler = self.compiler.clone();
        RustSrc { compiler, library }.check()
    }

    /// Downloads the sources by rustup.
    fn rustup(&self, cache: &Cache) -> Result<RustSrc> {
        let rustlib = self.add(
            cache,
            &self.rustup_entry(),
            &["component", "add", "rust-src"],
        )?;
        self.with(rustlib.join("src/rust/library"))
    }

    /// Adds a component by rustup. Returns the folder `lib/rustlib` that holds it.
    ///
    /// rustup adds components to a toolchain in place. It is given a copy of this
    /// toolchain's manifests alone, so that they are written to the cache.
    fn add(&self, cache: &Cache, entry: &str, words: &[&str]) -> Result<PathBuf> {
        let name = self
            .sysroot
            .file_name()
            .context("a toolchain without a name")?;
        let manifests = self.sysroot.join("lib/rustlib");
        let rustlib = Path::new("toolchains").join(name).join("lib/rustlib");
        let entry = cache.entry(entry, |folder| {
            let shadow = folder.join(&rustlib);
            fs::create_dir_all(&shadow)?;
            for file in fs::read_dir(&manifests)? {
                let file = file?;
                if file.file_type()?.is_file() {
                    fs::copy(file.path(), shadow.join(file.file_name()))?;
                }
            }
            let mut rustup = Command::new("timeout");
            rustup.args(["90", "rustup"]).args(words).arg("--toolchain");
            output(rustup.arg(name).env("RUSTUP_HOME", folder)).map(drop)
        })?;
        Ok(entry.join(rustlib))
    }

    fn debian(&self, cache: &Cache) -> Result<RustSrc> {
        ensure!(
            !self.release.contains('-'),
            "{} is in no suite of Debian",
            self.release
        );
        let entry = cache.entry(&self.debian_entry(), |folder| {
            let mut complaints = String::new();
            for suite in ["trixie-backports", "sid", "forky", "experimental", "trixie"] {
                let unpacked = Suite::open(cache, suite).and_then(|suite| {
                    let version = suite.version("rust-src", &format!("{}+", self.release))?;
                    suite.unpack(&[format!("rust-src={version}")], folder)
                });
                match unpacked {
                    Ok(()) => return Ok(()),
                    Err(error) => complaints += &format!("\n{error:#}"),
                }
            }
            bail!("no suite has it:{complaints}")
        })?;
        let sources = entry.join("usr/src");
        let folder = fs::read_dir(&sources)?
            .filter_map(Result::ok)
            .map(|entry| entry.path().join("library"))
            .find(|library| library.is_dir())
            .context("a package without sources")?;
        self.with(folder)
    }
}

/// Returns a folder for rustc's `--sysroot`: this machine's toolchain, with the library of
/// further targets as rustup distributes it.
pub(crate) fn sysroot(cache: &Cache, targets: &[String]) -> Result<PathBuf> {
    let installed = Installed::find()?;
    let folder = target_folder()?.join("sysroot");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    let (lib, rustlib) = (Path::new("lib"), Path::new("lib/rustlib"));
    for part in [Path::new(""), lib, rustlib] {
        fs::create_dir_all(folder.join(part))?;
        for file in fs::read_dir(installed.sysroot.join(part))? {
            let file = file?.path();
            let name = file.file_name().context("a file without a name")?;
            // The two folders of the next rounds, and no other library than the host's.
            if ![lib, rustlib].contains(&part.join(name).as_path()) {
                symlink(&file, folder.join(part).join(name))?;
            }
        }
    }
    for target in targets {
        let link = folder.join(rustlib).join(target);
        if link.exists() {
            continue;
        }
        let entry = format!("rust-std-{}-{target}", installed.release);
        let added = installed.add(cache, &entry, &["target", "add", target])?;
        symlink(added.join(target), link)?;
    }
    Ok(folder)
}

fn web(cache: &Cache) -> Result<RustSrc> {
    let (compiler, root) = web_compiler(cache, "bookworm-security", "", &["rust-web-src"])?;
    let library = root.join("usr/lib/rustlib/src/rust/library");
    RustSrc { compiler, library }.check()
}

/// Unpacks Debian's rustc-web of a version that starts with `prefix`, its dependencies,
/// and `more` packages of the same version. Returns the command that runs it, and the
/// folder.
pub(crate) fn web_compiler(
    cache: &Cache,
    suite: &str,
    prefix: &str,
    more: &[&str],
) -> Result<(PathBuf, PathBuf)> {
    // The entry is named by suite, since the exact version is known only from the
    // network.
    let name = format!("rustc-web-{suite}{prefix}");
    let folder = cache.entry(&name, |folder| {
        let suite = Suite::open(cache, suite)?;
        let version = suite.version("rustc-web", prefix)?;
        let mut packages = suite.with_dependencies(&format!("rustc-web={version}"))?;
        packages.extend(more.iter().map(|package| format!("{package}={version}")));
        suite.unpack(&packages, folder)
    })?;
    let libraries = folder
        .join("usr/lib")
        .join(format!("{}-linux-gnu", std::env::consts::ARCH));
    let compiler = folder.join("rustc");
    let script = format!(
        "#!/bin/sh\nLD_LIBRARY_PATH=\"{}\" exec \"{}/usr/bin/rustc\" \"$@\"\n",
        libraries.display(),
        folder.display()
    );
    if !fs::read_to_string(&compiler).is_ok_and(|old| old == script) {
        fs::write(&compiler, script)?;
        fs::set_permissions(&compiler, fs::Permissions::from_mode(0o755))?;
    }
    output(Command::new(&compiler).arg("-vV"))?;
    Ok((compiler, folder))
}
