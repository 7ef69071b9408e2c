//! The sources of Rust's library, in exactly the compiler's version, from which `core`
//! is built for targets without a prebuilt one, and the prebuilt ones of rustup.
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
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::cache::{Cache, hash, target_folder};
use crate::command::{output, write_script};
use crate::debian::Suite;

/// A compiler and the sources of its library.
pub(crate) struct RustSrc {
    pub(crate) compiler: PathBuf,
    pub(crate) library: PathBuf,
    /// The toolchain of rustup's whose compiler this is, for its prebuilt libraries.
    rustup: Option<Rustup>,
}

/// How a target's `core` is made.
pub(crate) enum Core {
    /// From source, with the program.
    Source,
    /// As the compiler has it.
    Installed,
    /// As rustup distributes it, in a folder for rustc's `--sysroot`.
    Fetched(PathBuf),
}

/// A download that fails later than this has got no answer.
const SILENCE: Duration = Duration::from_secs(60);

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
                Ok(mut found) => {
                    // Who names a way wants these sources compiled.
                    if std::env::var_os("RUST_SRC").is_none()
                        && found.compiler == installed.compiler
                    {
                        found.rustup = Rustup::of(installed);
                    }
                    return Ok(found);
                }
                Err(error) => complaints += &format!("\n{way}: {error:#}"),
            }
        }
        bail!(
            "no sources of the library of {}:{complaints}",
            installed.release
        )
    }

    fn new(compiler: PathBuf, library: PathBuf) -> Result<RustSrc> {
        ensure!(
            library.join("Cargo.lock").is_file() && library.join("core/src/lib.rs").is_file(),
            "{} is not there",
            library.display()
        );
        Ok(RustSrc {
            compiler,
            library,
            rustup: None,
        })
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

    /// Returns how a target's `core` is made. A prebuilt one takes a fifth of the time of
    /// one from source. A mirror may lack some; one that gives no answer is asked once.
    pub(crate) fn core(&self, cache: &Cache, target: &str) -> Result<Core> {
        let Some(rustup) = &self.rustup else {
            return Ok(Core::Source);
        };
        let library = Path::new("lib/rustlib").join(target).join("lib");
        if rustup.installed.sysroot.join(library).is_dir() {
            return Ok(Core::Installed);
        }
        if !rustup.targets.iter().any(|name| name == target) || rustup.is_silent.load(Relaxed) {
            return Ok(Core::Source);
        }
        let begin = Instant::now();
        match rustup.installed.target(cache, target) {
            Ok(_) => {
                let folder = rustup.installed.sysroot_with(cache, &[target.to_owned()])?;
                Ok(Core::Fetched(folder))
            }
            Err(error) => {
                if begin.elapsed() > SILENCE {
                    rustup.is_silent.store(true, Relaxed);
                }
                eprintln!("{target}: {error}: core is built from source");
                Ok(Core::Source)
            }
        }
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

/// A toolchain of rustup's.
struct Rustup {
    installed: Installed,
    /// The targets whose library can be downloaded.
    targets: Vec<String>,
    /// Whether a download got no answer.
    is_silent: AtomicBool,
}

impl Rustup {
    fn of(installed: Installed) -> Option<Rustup> {
        let name = installed.sysroot.file_name()?;
        let mut rustup = Command::new("rustup");
        let list = output(rustup.args(["target", "list", "--toolchain"]).arg(name)).ok()?;
        let first = |line: &str| line.split_whitespace().next().map(str::to_owned);
        Some(Rustup {
            installed,
            targets: list.lines().filter_map(first).collect(),
            is_silent: AtomicBool::new(false),
        })
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
        RustSrc::new(self.compiler.clone(), library)
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
            output(rustup.arg(name).env("RUSTUP_HOME", folder))?;
            prune(folder, &folder.join(&rustlib))
        })?;
        Ok(entry.join(rustlib))
    }

    /// Downloads the library of a target. Returns the folder that holds it.
    fn target(&self, cache: &Cache, target: &str) -> Result<PathBuf> {
        let entry = format!("rust-std-{}-{target}", self.release);
        let added = self.add(cache, &entry, &["target", "add", target])?;
        Ok(added.join(target))
    }

    /// Returns a folder of links to the toolchain, and to the library of further targets.
    /// Its `rustc` is the compiler with this folder as its sysroot.
    fn sysroot_with(&self, cache: &Cache, targets: &[String]) -> Result<PathBuf> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let toolchain = self.sysroot.as_os_str().as_encoded_bytes();
        let names = targets.iter().map(String::as_bytes);
        let key = hash(
            [toolchain, self.release.as_bytes()]
                .into_iter()
                .chain(names),
        );
        let folder = target_folder()?.join("sysroot").join(&key[..16]);
        if folder.is_dir() {
            return Ok(folder);
        }
        // Others may make the same folder meanwhile.
        let number = NEXT.fetch_add(1, Relaxed);
        let part = folder.with_extension(format!("{}.{number}", std::process::id()));
        let (lib, rustlib) = (Path::new("lib"), Path::new("lib/rustlib"));
        for inside in [Path::new(""), lib, rustlib] {
            fs::create_dir_all(part.join(inside))?;
            for file in fs::read_dir(self.sysroot.join(inside))? {
                let file = file?.path();
                let name = file.file_name().context("a file without a name")?;
                // The two folders of the next rounds are not linked themselves.
                if ![lib, rustlib].contains(&inside.join(name).as_path()) {
                    symlink(&file, part.join(inside).join(name))?;
                }
            }
        }
        for target in targets {
            let link = part.join(rustlib).join(target);
            if !link.exists() {
                symlink(self.target(cache, target)?, link)?;
            }
        }
        let script = format!(
            "#!/bin/sh\nexec '{}' '--sysroot={}' \"$@\"\n",
            self.compiler.display(),
            folder.display()
        );
        write_script(&part.join("rustc"), &script)?;
        if let Err(error) = fs::rename(&part, &folder) {
            fs::remove_dir_all(&part)?;
            ensure!(folder.is_dir(), "{}: {error}", folder.display());
        }
        Ok(folder)
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
    Installed::find()?.sysroot_with(cache, targets)
}

/// Removes what rustup leaves of a download, and the runtime libraries of sanitizers, which
/// are half of a target's library.
fn prune(home: &Path, rustlib: &Path) -> Result<()> {
    for folder in ["downloads", "tmp"] {
        let folder = home.join(folder);
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
    }
    for target in fs::read_dir(rustlib)? {
        let Ok(files) = fs::read_dir(target?.path().join("lib")) else {
            continue;
        };
        for file in files {
            let file = file?;
            if file.file_name().to_string_lossy().starts_with("librustc-") {
                fs::remove_file(file.path())?;
            }
        }
    }
    Ok(())
}

fn web(cache: &Cache) -> Result<RustSrc> {
    let (compiler, root) = web_compiler(cache, "bookworm-security", "", &["rust-web-src"])?;
    let library = root.join("usr/lib/rustlib/src/rust/library");
    RustSrc::new(compiler, library)
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
