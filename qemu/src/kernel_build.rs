//! Builds kernels that Debian does not package, from Debian's kernel sources and with
//! its cross compilers. Nothing is installed.

use std::collections::BTreeMap;
use std::env::consts::ARCH;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::cache::{Cache, hash, root, target_folder};
use crate::command::{bounded, output};
use crate::debian::Suite;
use crate::kernel_arch::KernelArch;

/// The time limit of a build, which takes one to five minutes.
const LIMIT: Duration = Duration::from_secs(20 * 60);

/// The suites with sources. Security updates come first, as they are the newest.
const SOURCES: [&str; 3] = [
    "bookworm-security+bookworm",
    "trixie-security+trixie",
    "sid",
];

/// The folders that are not unpacked, half of the sources.
const UNUSED: [&str; 8] = [
    "Documentation",
    "drivers/gpu",
    "drivers/media",
    "drivers/net/ethernet",
    "drivers/net/wireless",
    "drivers/staging",
    "sound",
    "tools/testing",
];

/// Builds a bootable image with the configuration `qemu/kernels/NAME.config`, for
/// Debian's architecture `arch`.
pub(crate) fn image(cache: &Cache, name: &str, arch: &str) -> Result<PathBuf> {
    let config = configuration(name)?;
    let entry = format!("linux-{name}-{}", &hash([config.as_bytes()])[..8]);
    let image = cache.path(&entry).join("kernel");
    if image.exists() {
        return Ok(image);
    }
    // One build runs at a time: each uses every processor. The cache is not locked
    // meanwhile.
    let kernels = target_folder()?.join("kernels");
    fs::create_dir_all(&kernels)?;
    let lock = File::create(kernels.join("lock"))?;
    lock.lock()?;
    if image.exists() {
        return Ok(image);
    }
    let build = Build {
        port: KernelArch::of(arch)?,
        folder: kernels.join(name),
    };
    let built = build
        .run(cache, &config)
        .with_context(|| format!("cannot build the kernel {name}"));
    // A failed build keeps its objects, so that the next one continues from there.
    built?;
    fs::remove_dir_all(build.objects())?;
    cache.entry(&entry, |folder| {
        for file in ["kernel", "config"] {
            fs::copy(build.folder.join(file), folder.join(file))?;
        }
        Ok(())
    })?;
    Ok(image)
}

/// Returns a configuration: the common part, the part of the variant's base (`mips` of
/// `mips-time64`), and the kernel's own part.
fn configuration(name: &str) -> Result<String> {
    let folder = root().join("qemu/kernels");
    let file = |name: &str| folder.join(format!("{name}.config"));
    let base = name.split_once('-').map(|(base, _)| file(base));
    let base = base.filter(|base| base.exists());
    let mut text = String::new();
    let files = [Some(file("common")), base, Some(file(name))];
    for path in files.into_iter().flatten() {
        text += &fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    }
    Ok(text)
}

/// Returns the last value of each option; an option that is not set is `n`.
fn options(config: &str) -> BTreeMap<&str, &str> {
    let lines = config.lines().filter(|line| line.starts_with("CONFIG_"));
    lines.filter_map(|line| line.split_once('=')).collect()
}

/// Returns the requested options that are not in the finished configuration. An option
/// may depend on others, or have another name in another release.
fn untaken(wanted: &str, taken: &str) -> Vec<String> {
    let taken = options(taken);
    let is_taken = |name, value| *taken.get(name).unwrap_or(&"n") == value;
    options(wanted)
        .into_iter()
        .filter(|&(name, value)| !is_taken(name, value))
        .map(|(name, value)| format!("{name}={value}"))
        .collect()
}

/// The sources, and the paths of programs that this machine lacks.
struct Paths {
    source: PathBuf,
    compiler: Option<PathBuf>,
    tools: PathBuf,
}

impl Paths {
    fn trees(&self) -> impl Iterator<Item = &PathBuf> {
        self.compiler.iter().chain([&self.tools])
    }
}

/// Returns the compiler's error messages and the end of the log.
fn excerpt(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    let (earlier, last) = lines.split_at(lines.len().saturating_sub(10));
    let complaints = earlier.iter().filter(|line| line.contains("rror: "));
    let output: Vec<&str> = complaints.take(5).chain(last).copied().collect();
    output.join("\n")
}

struct Build {
    port: KernelArch,
    folder: PathBuf,
}

impl Build {
    fn objects(&self) -> PathBuf {
        self.folder.join("objects")
    }

    /// Builds the kernel. Leaves `kernel`, `config` and `log` in the folder.
    fn run(&self, cache: &Cache, config: &str) -> Result<()> {
        let paths = Paths {
            source: source(cache)?,
            compiler: self.compiler(cache)?,
            tools: tools(cache)?,
        };
        let wanted = self.folder.join("wanted");
        let resumed = fs::read_to_string(&wanted).is_ok_and(|old| old == config);
        if self.folder.exists() && !resumed {
            fs::remove_dir_all(&self.folder)?;
        }
        fs::create_dir_all(self.objects())?;
        fs::write(&wanted, config)?;
        let mut make = self.make(&paths)?;
        self.step(make.env("KCONFIG_ALLCONFIG", wanted).arg("allnoconfig"))?;
        let taken = fs::read_to_string(self.objects().join(".config"))?;
        let untaken = untaken(config, &taken);
        ensure!(untaken.is_empty(), "not taken: {}", untaken.join(" "));
        let image = Path::new(self.port.image);
        let goal = image.file_name().unwrap_or(image.as_os_str());
        self.step(self.make(&paths)?.arg(goal))?;
        fs::copy(self.objects().join(image), self.folder.join("kernel"))?;
        fs::write(self.folder.join("config"), taken)?;
        Ok(())
    }

    /// Runs a step of the build. Its log contains the reason of a failure.
    fn step(&self, make: &mut Command) -> Result<()> {
        let path = self.folder.join("log");
        let log = File::options().create(true).append(true).open(&path)?;
        let how = match bounded(make, log, LIMIT)? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => status.to_string(),
            None => format!("killed after {LIMIT:?}"),
        };
        let log = fs::read(&path)?;
        let log = String::from_utf8_lossy(&log);
        bail!("make: {how}, see {}\n{}", path.display(), excerpt(&log))
    }

    fn make(&self, paths: &Paths) -> Result<Command> {
        let mut make = Command::new("make");
        make.current_dir(&paths.source);
        make.arg(format!("O={}", self.objects().display()));
        let jobs = std::thread::available_parallelism().map_or(1, usize::from);
        make.arg(format!("-j{jobs}"))
            .arg(format!("ARCH={}", self.port.arch))
            .arg("KCFLAGS=-w");
        if let Some(compiler) = &paths.compiler {
            make.arg(format!("CROSS_COMPILE={}-", self.port.prefix()));
            make.arg(format!("CC={}", self.program(compiler)?));
        }
        let libraries = format!("usr/lib/{ARCH}-linux-gnu");
        let path = std::env::var_os("PATH").unwrap_or_default();
        let programs = paths.trees().map(|tree| tree.join("usr/bin"));
        let programs = programs.chain(std::env::split_paths(&path));
        make.env("PATH", std::env::join_paths(programs)?);
        let library_paths = paths.trees().map(|tree| tree.join(&libraries));
        make.env("LD_LIBRARY_PATH", std::env::join_paths(library_paths)?);
        // These programs do not find files relative to the folder that they are in.
        for (name, path) in [
            ("BISON_PKGDATADIR", "usr/share/bison"),
            ("M4", "usr/bin/m4"),
            ("C_INCLUDE_PATH", "usr/include"),
            ("LIBRARY_PATH", &libraries),
        ] {
            let path = paths.tools.join(path);
            if path.exists() {
                make.env(name, path);
            }
        }
        // The settings of an enclosing make must not apply.
        make.env_remove("MAKEFLAGS").env("LC_ALL", "C");
        Ok(make)
    }

    /// Returns Debian's cross compiler; `None` where this machine's compiler serves.
    fn compiler(&self, cache: &Cache) -> Result<Option<PathBuf>> {
        if self.port.is_native() {
            return Ok(None);
        }
        let package = self.port.package;
        let tree = cache.entry(&format!("gcc-{package}"), |folder| {
            let package = |suite: &Suite| {
                let pattern = format!("^gcc-[0-9]+-{package}$");
                suite.with_dependencies(&suite.newest(&pattern)?)
            };
            from_any(cache, &own_suites()?, folder, package)
        })?;
        Ok(Some(tree))
    }

    /// Returns the name of the compiler in a tree, which contains its version.
    fn program(&self, tree: &Path) -> Result<String> {
        let prefix = format!("{}-gcc-", self.port.prefix());
        let programs = fs::read_dir(tree.join("usr/bin"))?;
        let mut names = programs.filter_map(|file| file.ok()?.file_name().into_string().ok());
        let is_compiler = |name: &String| {
            let version = name.strip_prefix(&prefix);
            version.is_some_and(|version| version.parse::<u32>().is_ok())
        };
        let name = names.find(is_compiler);
        name.with_context(|| format!("no compiler in {}", tree.display()))
    }
}

/// Returns the newest sources of the 6th series, without large parts that are not
/// built.
fn source(cache: &Cache) -> Result<PathBuf> {
    cache.entry("linux-source-6", |folder| {
        let suites = SOURCES.map(str::to_owned);
        let package = folder.join("package");
        from_any(cache, &suites, &package, |suite| {
            Ok(vec![suite.newest("^linux-source-6[.][0-9]+$")?])
        })?;
        let files = fs::read_dir(package.join("usr/src"))?;
        let mut files = files.filter_map(|file| Some(file.ok()?.path()));
        let archive = files.find(|path| path.to_string_lossy().contains(".tar."));
        let archive = archive.context("the package has no archive")?;
        let mut tar = Command::new("tar");
        for part in UNUSED {
            // Their Kconfig files are still read.
            tar.arg(format!("--exclude=*/{part}/*.[chrty]*"));
        }
        tar.arg("-xf").arg(archive).arg("-C").arg(folder);
        output(tar.arg("--strip-components=1"))?;
        mend(folder)?;
        Ok(fs::remove_dir_all(package)?)
    })
}

/// Returns the programs that a build needs besides compilers, where this machine lacks
/// them.
fn tools(cache: &Cache) -> Result<PathBuf> {
    cache.entry("kernel-build-tools", |folder| {
        from_any(cache, &own_suites()?, folder, |suite| {
            let mut packages = Vec::new();
            for tool in ["make", "flex", "bison", "bc", "libelf-dev"] {
                packages.extend(suite.with_dependencies(tool)?);
            }
            // libelf-dev's library is a link to the file of this package, in the same folder.
            let library = suite.newest("^libelf1(t64)?$")?;
            if packages.iter().all(|one| !one.starts_with(&library)) {
                packages.push(library);
            }
            packages.sort();
            packages.dedup();
            Ok(packages)
        })
    })
}

/// Returns the suites of the machine's own release, which the programs are linked
/// against.
fn own_suites() -> Result<Vec<String>> {
    let release = fs::read_to_string("/etc/os-release")?;
    let name = release
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    let name = name.context("/etc/os-release names no release of Debian")?;
    let name = name.trim_matches('"');
    Ok(vec![format!("{name}+{name}-security"), name.to_owned()])
}

/// Returns the packages, unpacked, from the first suite that has them.
fn from_any(
    cache: &Cache,
    suites: &[String],
    folder: &Path,
    packages: impl Fn(&Suite) -> Result<Vec<String>>,
) -> Result<()> {
    let mut complaints = String::new();
    for suite in suites {
        let unpacked = Suite::open(cache, suite).and_then(|suite| {
            let packages = packages(&suite)?;
            suite.unpack(&packages, folder)
        });
        match unpacked {
            Ok(()) => return Ok(()),
            Err(error) => complaints += &format!("\n{error:#}"),
        }
    }
    bail!("no suite has it:{complaints}")
}

/// Removes a compile-time check that fails on sparc64.
///
/// fs/fcntl.c counts the flags of open(2) at compile time. In the updates of 6.12,
/// FMODE_NONOTIFY is the same bit as O_TMPFILE on sparc64, where the file then does not
/// compile. The count is removed; open(2) ignores that flag there.
fn mend(source: &Path) -> Result<()> {
    let path = source.join("fs/fcntl.c");
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    Ok(fs::write(&path, without_count(&text))?)
}

fn without_count(text: &str) -> String {
    let cut = || {
        let (before, _) = text.split_once("HWEIGHT32(")?;
        let begin = before.rfind("BUILD_BUG_ON(")?;
        let end = begin + text[begin..].find(";\n")? + 1;
        Some(format!("{}{}", &text[..begin], &text[end..]))
    };
    cut().unwrap_or_else(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the name and text of every configuration but the common part.
    fn every() -> Vec<(String, String)> {
        let files = fs::read_dir(root().join("qemu/kernels")).unwrap();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        let names = names.filter_map(|name| Some(name.strip_suffix(".config")?.to_owned()));
        let names = names.filter(|name| name != "common");
        names
            .map(|name| (name.clone(), configuration(&name).unwrap()))
            .collect()
    }

    #[test]
    fn one_kernel_has_64_bit_times_alone_and_one_has_no_aio() {
        let without = |option: &str| -> Vec<String> {
            let lacks = |config: &str| options(config).get(option) == Some(&"n");
            let every = every().into_iter().filter(|(_, config)| lacks(config));
            every.map(|(name, _)| name).collect()
        };
        assert_eq!(without("CONFIG_COMPAT_32BIT_TIME"), ["mips-time64"]);
        assert_eq!(without("CONFIG_AIO"), ["x86_64-no-aio"]);
    }

    #[test]
    fn options_that_were_not_taken_are_reported() {
        let wanted = "CONFIG_A=y\nCONFIG_B=y\nCONFIG_C=n\n# CONFIG_D=y\nCONFIG_B=n\n";
        let taken = "CONFIG_B=y\n# CONFIG_C is not set\n";
        assert_eq!(untaken(wanted, taken), ["CONFIG_A=y", "CONFIG_B=n"]);
        assert!(untaken(wanted, "CONFIG_A=y\n").is_empty());
    }

    #[test]
    fn an_early_error_is_reported() {
        let log = format!("a.c: error: no\n{}", "CC b.o\n".repeat(40));
        let output = excerpt(&log);
        assert!(output.starts_with("a.c: error: no\n"));
        assert_eq!(output.lines().count(), 11);
    }

    #[test]
    fn only_the_count_of_flags_is_removed() {
        let text = "BUILD_BUG_ON(1);\nBUILD_BUG_ON(21 !=\n\tHWEIGHT32(FLAGS));\n\nb;\n";
        assert_eq!(without_count(text), "BUILD_BUG_ON(1);\n\n\nb;\n");
        assert_eq!(without_count("BUILD_BUG_ON(1);\n"), "BUILD_BUG_ON(1);\n");
    }
}
