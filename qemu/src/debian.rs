//! Debian packages without an installation.
//!
//! A private apt, with its own state, uses only the suites that it is configured for.
//! `dpkg-deb` unpacks packages into a folder. The machine's apt is queried for its
//! mirror, and is not changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};

use crate::cache::Cache;
use crate::command::output;

const KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// One or several Debian suites, accessed by a private apt.
pub(crate) struct Suite {
    name: String,
    arch: Option<String>,
    sources: bool,
    state: PathBuf,
}

impl Suite {
    /// Opens a suite, whose index is fetched at most once a day. An older index is used
    /// where there is no network. Of several suites, joined by `+`, the first is
    /// preferred.
    pub(crate) fn open(cache: &Cache, name: &str) -> Result<Suite> {
        Suite::at(name, None, false, cache.path("apt").join(name))
    }

    /// Opens a suite's source packages.
    pub(crate) fn sources(cache: &Cache, name: &str) -> Result<Suite> {
        let state = cache.path("apt").join(format!("{name}:source"));
        Suite::at(name, None, true, state)
    }

    /// Opens a suite for another architecture (Debian's name).
    pub(crate) fn foreign(cache: &Cache, name: &str, arch: &str) -> Result<Suite> {
        let state = cache.path("apt").join(format!("{name}:{arch}"));
        Suite::at(name, Some(arch.to_owned()), false, state)
    }

    fn at(name: &str, arch: Option<String>, sources: bool, state: PathBuf) -> Result<Suite> {
        let name = name.to_owned();
        let suite = Suite {
            name,
            arch,
            sources,
            state,
        };
        suite
            .update()
            .with_context(|| format!("Debian's suite {}", suite.name))?;
        Ok(suite)
    }

    fn update(&self) -> Result<()> {
        let mirror = mirror()?;
        let keys = if Path::new(KEYS).exists() {
            format!("[signed-by={KEYS}] ")
        } else {
            String::new()
        };
        let kind = if self.sources { "deb-src" } else { "deb" };
        let line = |suite: &str| {
            let security = if suite.ends_with("-security") {
                "-security"
            } else {
                ""
            };
            format!("{kind} {keys}{mirror}{security} {suite} main\n")
        };
        let source: String = self.name.split('+').map(line).collect();
        let (list, stamp) = (self.state.join("sources.list"), self.stamp());
        let known = fs::read_to_string(&list).is_ok_and(|old| old == source) && self.has_index();
        let age = fs::metadata(&stamp)
            .and_then(|stamp| stamp.modified())
            .ok()
            .and_then(|time| SystemTime::now().duration_since(time).ok());
        if known && age.is_some_and(|age| age < DAY) {
            return Ok(());
        }
        fs::create_dir_all(self.state.join("lists/partial"))?;
        fs::create_dir_all(self.state.join("cache/archives/partial"))?;
        fs::write(self.state.join("status"), "")?;
        fs::write(&list, source)?;
        let mut apt = self.apt("apt-get");
        apt.args(["update", "-qq", "--error-on=any"]);
        match output(&mut apt) {
            Err(_) if known && age.is_some() => Ok(()),
            Err(error) => Err(error),
            Ok(_) => Ok(fs::write(stamp, "")?),
        }
    }

    /// Returns the path of the stamp, a file as old as the index.
    fn stamp(&self) -> PathBuf {
        self.state.join("updated")
    }

    /// Returns whether the index exists. A broken update leaves a stamp without an
    /// index.
    fn has_index(&self) -> bool {
        let lists = fs::read_dir(self.state.join("lists"));
        lists.is_ok_and(|lists| {
            let names = lists.filter_map(|entry| Some(entry.ok()?.file_name()));
            names
                .filter_map(|name| name.into_string().ok())
                .any(|name| name.contains("_Packages") || name.contains("_Sources"))
        })
    }

    /// Returns an apt command that is limited to this suite. The machine's proxies and
    /// credentials still apply.
    fn apt(&self, program: &str) -> Command {
        let mut apt = Command::new(program);
        let at = |key: &str, path: &str| format!("{key}={}", self.state.join(path).display());
        for option in [
            at("Dir::Etc::SourceList", "sources.list"),
            at("Dir::State::Lists", "lists"),
            at("Dir::State::Status", "status"),
            at("Dir::Cache", "cache"),
            at("Dir::Log", ""),
        ] {
            apt.args(["-o", &option]);
        }
        if let Some(arch) = &self.arch {
            let one = format!("APT::Architecture={arch}");
            let all = format!("APT::Architectures={arch}");
            apt.args(["-o", &one, "-o", &all]);
        }
        if let Some((first, _)) = self.name.split_once('+') {
            apt.args(["-o", &format!("APT::Default-Release={first}")]);
        }
        for option in [
            "Dir::Etc::SourceParts=/dev/null",
            "Dir::Etc::Preferences=/dev/null",
            "Dir::Etc::PreferencesParts=/dev/null",
            "Acquire::Languages=none",
            "Acquire::Retries=3",
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false",
            "APT::Sandbox::User=root",
            "Debug::NoLocking=true",
        ] {
            apt.args(["-o", option]);
        }
        apt.env("LC_ALL", "C");
        apt
    }

    /// Returns the newest version of a package that starts with `prefix`.
    pub(crate) fn version(&self, package: &str, prefix: &str) -> Result<String> {
        let list = output(self.apt("apt-cache").args(["madison", package]))?;
        list.lines()
            .filter_map(|line| line.split('|').nth(1).map(str::trim))
            .find(|version| version.starts_with(prefix))
            .map(str::to_owned)
            .with_context(|| format!("Debian's {} has no {package} {prefix}", self.name))
    }

    /// Returns the packages whose names match an extended regular expression.
    pub(crate) fn search(&self, pattern: &str) -> Result<Vec<String>> {
        let mut apt = self.apt("apt-cache");
        let list = output(apt.args(["search", "--names-only", pattern]))?;
        let names = list.lines().filter_map(|line| line.split(' ').next());
        Ok(names.map(str::to_owned).collect())
    }

    /// Unpacks a source package, with Debian's patches, into a subfolder of `folder`.
    pub(crate) fn source(&self, package: &str, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder)?;
        let mut apt = self.apt("apt-get");
        apt.args(["source", "-qq", package]).current_dir(folder);
        output(&mut apt).map(drop)
    }

    /// Downloads the archives of packages, each `NAME` or `NAME=VERSION`, into
    /// `folder`.
    pub(crate) fn download(&self, packages: &[String], folder: &Path) -> Result<Vec<PathBuf>> {
        fs::create_dir_all(folder)?;
        let mut apt = self.apt("apt-get");
        apt.current_dir(folder)
            .args(["download", "-qq"])
            .args(packages);
        if let Err(error) = output(&mut apt) {
            // The mirror may have changed since: the next attempt fetches the index
            // again.
            let _ = fs::remove_file(self.stamp());
            return Err(error);
        }
        let debs = fs::read_dir(folder)?.map(|deb| Ok(deb?.path()));
        debs.collect()
    }

    /// Unpacks packages, each `NAME` or `NAME=VERSION`, into `folder`.
    pub(crate) fn unpack(&self, packages: &[String], folder: &Path) -> Result<()> {
        let debs = folder.join("debs");
        for deb in self.download(packages, &debs)? {
            output(Command::new("dpkg-deb").arg("-x").arg(deb).arg(folder))?;
        }
        Ok(fs::remove_dir_all(debs)?)
    }

    /// Returns the package with the highest number, of those that differ in one.
    pub(crate) fn newest(&self, pattern: &str) -> Result<String> {
        let numbers = |name: &String| -> Vec<u32> {
            let words = name.split(|c: char| !c.is_ascii_digit());
            words.filter_map(|word| word.parse().ok()).collect()
        };
        let names = self.search(pattern)?;
        let newest = names.into_iter().max_by_key(numbers);
        newest.with_context(|| format!("no package {pattern}"))
    }

    /// Returns a package and those of its dependencies that this machine lacks, from a
    /// simulated installation over its real package state.
    pub(crate) fn with_dependencies(&self, package: &str) -> Result<Vec<String>> {
        self.installs(package, Path::new("/var/lib/dpkg/status"))
    }

    /// Returns a package and all of its dependencies, down to the C library: the set
    /// that a program of another release runs with.
    pub(crate) fn with_everything(&self, package: &str) -> Result<Vec<String>> {
        self.installs(package, &self.state.join("status"))
    }

    /// Returns the packages that an installation over a package state would add.
    fn installs(&self, package: &str, status: &Path) -> Result<Vec<String>> {
        let mut apt = self.apt("apt-get");
        apt.args(["install", "-qq", "--simulate", "--no-install-recommends"]);
        let status = format!("Dir::State::Status={}", status.display());
        let list = output(apt.args(["-o", &status, package]))?;
        let installs = list.lines().filter_map(|line| line.strip_prefix("Inst "));
        let package = |line: &str| {
            let (name, rest) = line.split_once(' ')?;
            let version = rest.split_once('(')?.1.split(' ').next()?;
            Some(format!("{name}={version}"))
        };
        Ok(installs.filter_map(package).collect())
    }
}

/// Returns the mirror that the machine is configured for, in whichever format its
/// sources are.
///
/// apt is queried, first for sources that it identifies as Debian's. Before any
/// `apt-get update` it identifies none, and the suite's name decides.
fn mirror() -> Result<String> {
    if let Ok(mirror) = std::env::var("DEBIAN_MIRROR") {
        return Ok(mirror.trim_end_matches('/').to_owned());
    }
    let mut apt = Command::new("apt-get");
    apt.args(["indextargets", "--format"])
        .arg("$(ORIGIN) $(COMPONENT) $(RELEASE) $(REPO_URI)")
        .arg("Created-By: Packages");
    let targets = output(&mut apt)?;
    let indexed = targets.lines().find_map(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["Debian", "main", release, uri]
                if !release.contains("-security") && !release.contains('/') =>
            {
                Some(uri)
            }
            _ => None,
        }
    });
    if let Some(uri) = indexed {
        return Ok(uri.trim_end_matches('/').to_owned());
    }
    let mut apt = Command::new("apt-get");
    apt.args(["update", "--print-uris", "-o", "Debug::NoLocking=true"]);
    let uris = output(&mut apt)?;
    let suites = [
        "stable",
        "oldstable",
        "testing",
        "unstable",
        "sid",
        "bookworm",
        "trixie",
        "forky",
    ];
    let found = uris.lines().find_map(|line| {
        let (mirror, rest) = line.strip_prefix('\'')?.split_once("/dists/")?;
        let suite = rest.split_once("/InRelease'")?.0;
        suites.contains(&suite).then_some(mirror)
    });
    match found {
        Some(mirror) => Ok(mirror.to_owned()),
        None => bail!("no Debian mirror in this machine's apt sources: set DEBIAN_MIRROR"),
    }
}
