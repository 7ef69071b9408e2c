//! `targets.toml`, the only list of targets and kernels.

use std::collections::HashSet;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::kernels::{self, Kernel};

/// A row: an ABI and the rustc targets that have it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Abi {
    pub(crate) name: String,
    pub(crate) arch: String,
    pub(crate) bits: u32,
    pub(crate) endian: String,
    pub(crate) qemu: Option<String>,
    pub(crate) cpu: Option<String>,
    /// The machine (as `uname -m` prints it) whose kernel runs the ABI natively.
    pub(crate) native: Option<String>,
    #[serde(default)]
    pub(crate) linker: Linker,
    #[serde(default)]
    pub(crate) link_args: Vec<String>,
    #[serde(default)]
    pub(crate) rustflags: Vec<String>,
    #[serde(default = "guest")]
    pub(crate) profile: String,
    /// Whether Debian's newest LLVM compiles the program, at link time, instead of
    /// rustc's.
    #[serde(default)]
    pub(crate) newer_llvm: bool,
    #[serde(default = "six")]
    pub(crate) traced: usize,
    /// Whether its programs relocate themselves, and are built so.
    #[serde(default)]
    pub(crate) pie: bool,
    /// Whether the short run includes the ABI.
    #[serde(default)]
    pub(crate) short: bool,
    #[serde(default)]
    pub(crate) nightly: bool,
    /// Whether a stock kernel runs it.
    #[serde(skip)]
    pub(crate) has_kernel: bool,
    pub(crate) reason: Option<String>,
    pub(crate) targets: Vec<String>,
}

fn guest() -> String {
    "guest".to_owned()
}

fn six() -> usize {
    6
}

/// The linker of the program.
#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(from = "String")]
pub(crate) enum Linker {
    #[default]
    Lld,
    /// A GNU ld with this prefix.
    Gnu(String),
    /// No linker: only the library can be built.
    None,
}

impl From<String> for Linker {
    fn from(name: String) -> Linker {
        match name.as_str() {
            "lld" => Linker::Lld,
            "none" => Linker::None,
            _ => Linker::Gnu(name),
        }
    }
}

impl Abi {
    /// Returns the reason why the program cannot run in user mode, if it cannot.
    pub(crate) fn obstacle(&self) -> Option<&str> {
        match (&self.reason, &self.qemu) {
            (Some(reason), _) => Some(reason),
            (None, None) => Some("no emulator"),
            (None, Some(_)) => None,
        }
    }

    /// Returns whether this machine's own kernel runs the ABI.
    pub(crate) fn is_native(&self) -> bool {
        self.native.as_deref() == Some(std::env::consts::ARCH)
    }
}

/// One target and its row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target<'a> {
    pub(crate) triple: &'a str,
    pub(crate) abi: &'a Abi,
}

pub(crate) struct Table {
    abis: Vec<Abi>,
    kernels: Vec<Kernel>,
}

impl Table {
    pub(crate) fn load() -> Result<Table> {
        Table::parse(include_str!("../targets.toml")).context("qemu/targets.toml")
    }

    fn parse(text: &str) -> Result<Table> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct File {
            abi: Vec<Abi>,
            #[serde(default)]
            kernel: Vec<Kernel>,
        }
        let mut table: toml::Table = toml::from_str(text)?;
        if let Some(toml::Value::Array(rows)) = table.get_mut("kernel") {
            kernels::fill_in(rows)?;
        }
        let File {
            abi: mut abis,
            kernel: kernels,
        } = table.try_into()?;
        let known: HashSet<&str> = numbers::nr::every().map(|row| row.abi).collect();
        let mut seen = HashSet::new();
        for abi in &abis {
            ensure!(seen.insert(&abi.name), "two rows are called {}", abi.name);
            ensure!(!abi.targets.is_empty(), "{} has no target", abi.name);
            for target in &abi.targets {
                ensure!(seen.insert(target), "{target} is there twice");
            }
            ensure!(
                known.contains(abi.arch.as_str()) || abi.arch == "unsupported",
                "{}: the library has no numbers for {}",
                abi.name,
                abi.arch
            );
            ensure!([32, 64].contains(&abi.bits), "{}: bits", abi.name);
            if let (true, Some(obstacle)) = (abi.short, abi.obstacle()) {
                bail!("{} is in the short run: {obstacle}", abi.name);
            }
            ensure!(
                ["little", "big"].contains(&abi.endian.as_str()),
                "{}: endian",
                abi.name
            );
        }
        let mut names = HashSet::new();
        for kernel in &kernels {
            let name = &kernel.name;
            ensure!(names.insert(name), "two kernels are called {name}");
            ensure!(!kernel.abis.is_empty(), "{name} runs nothing");
            ensure!(kernel.has_source(), "{name}: where does it come from?");
            for abi in &kernel.abis {
                let known = abis.iter().any(|row| row.name == *abi);
                ensure!(known, "{name}: no ABI is called {abi}");
            }
        }
        for abi in &mut abis {
            let mut stock = kernels.iter().filter(|kernel| !kernel.is_built());
            abi.has_kernel = stock.any(|kernel| kernel.runs(&abi.name));
        }
        Ok(Table { abis, kernels })
    }

    pub(crate) fn kernels(&self) -> &[Kernel] {
        &self.kernels
    }

    /// Returns the kernels that match the names or patterns. Without any, returns all
    /// kernels that need not be built here, or with `built` those that must.
    pub(crate) fn kernels_named(&self, names: &[String], built: bool) -> Result<Vec<&Kernel>> {
        for name in names {
            let known = self.kernels.iter().any(|row| matches(name, &row.name));
            ensure!(known, "no kernel is called {name}");
        }
        let meant = |row: &&Kernel| match names {
            [] => row.is_built() == built,
            names => names.iter().any(|name| matches(name, &row.name)),
        };
        Ok(self.kernels.iter().filter(meant).collect())
    }

    pub(crate) fn abis(&self) -> &[Abi] {
        &self.abis
    }

    /// Returns the names of the ABIs in the short run.
    pub(crate) fn short(&self) -> Vec<String> {
        let short = self.abis.iter().filter(|abi| abi.short);
        short.map(|abi| abi.name.clone()).collect()
    }

    /// Returns every target, or the first of each ABI.
    pub(crate) fn targets(&self, all: bool) -> Vec<Target<'_>> {
        let mut found = Vec::new();
        for abi in &self.abis {
            let count = if all { abi.targets.len() } else { 1 };
            let targets = abi.targets.iter().take(count);
            found.extend(targets.map(|triple| Target { triple, abi }));
        }
        found
    }

    /// Returns the targets that match names of targets or ABIs, or patterns of names
    /// with `*`. A name that matches nothing is an error.
    pub(crate) fn named(&self, names: &[String], all: bool) -> Result<Vec<Target<'_>>> {
        if names.is_empty() {
            return Ok(self.targets(all));
        }
        let every = self.targets(true);
        let first = self.targets(all);
        let mut found = Vec::new();
        for name in names {
            let by_abi: Vec<_> = first
                .iter()
                .filter(|target| matches(name, &target.abi.name))
                .collect();
            let by_name: Vec<_> = every
                .iter()
                .filter(|target| matches(name, target.triple))
                .collect();
            if by_abi.is_empty() && by_name.is_empty() {
                bail!("no target or ABI is called {name}{}", self.guess(name));
            }
            for target in by_abi.into_iter().chain(by_name) {
                if found
                    .iter()
                    .all(|other: &Target<'_>| other.triple != target.triple)
                {
                    found.push(*target);
                }
            }
        }
        Ok(found)
    }

    fn guess(&self, name: &str) -> String {
        let targets = self.abis.iter().flat_map(|abi| &abi.targets);
        let names = self.abis.iter().map(|abi| &abi.name).chain(targets);
        let near = |other: &&String| strsim::jaro_winkler(name, other);
        names
            .max_by(|a, b| near(a).total_cmp(&near(b)))
            .filter(|other| near(other) > 0.7)
            .map(|other| format!("; is it {other}?"))
            .unwrap_or_default()
    }

    /// Returns rustc's Linux targets that are in no row, and the rows that rustc lacks.
    pub(crate) fn differences<'a>(&'a self, rustc: &'a str) -> (Vec<&'a str>, Vec<&'a str>) {
        let theirs: Vec<&str> = rustc
            .lines()
            .filter(|line| line.split('-').any(|part| part == "linux"))
            .collect();
        let ours: Vec<&str> = self.targets(true).iter().map(|t| t.triple).collect();
        let without = |a: &[&'a str], b: &[&'a str]| {
            let mut rest = a.to_vec();
            rest.retain(|name| !b.contains(name));
            rest
        };
        (without(&theirs, &ours), without(&ours, &theirs))
    }
}

/// Returns whether a name matches a pattern in which `*` is any text.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((start, rest)) => name.strip_prefix(start).is_some_and(|name| {
            (0..=name.len())
                .filter(|&at| name.is_char_boundary(at))
                .any(|at| matches(rest, &name[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn rustc(arguments: &[&str]) -> String {
        let rustc = std::env::var_os("RUSTC").unwrap_or("rustc".into());
        let output = Command::new(rustc).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn every_linux_target_of_rustc_is_in_a_row() {
        let table = Table::load().unwrap();
        let list = rustc(&["--print", "target-list"]);
        let (missing, unknown) = table.differences(&list);
        assert_eq!(missing, [""; 0], "rustc has them");
        assert_eq!(unknown, [""; 0], "rustc does not have them");
    }

    #[test]
    fn widths_and_byte_orders_are_rustcs() {
        let table = Table::load().unwrap();
        for Target { triple, abi } in table.targets(true) {
            let cfg = rustc(&["--print", "cfg", "--target", triple]);
            let (bits, endian) = (abi.bits, &abi.endian);
            assert!(
                cfg.contains(&format!("target_pointer_width=\"{bits}\"")),
                "{triple}"
            );
            assert!(
                cfg.contains(&format!("target_endian=\"{endian}\"")),
                "{triple}"
            );
        }
    }

    #[test]
    fn every_architecture_of_the_library_has_a_row() {
        let table = Table::load().unwrap();
        for row in numbers::nr::every() {
            // rustc has no target with this ABI.
            if row.abi != "mips-n32" {
                assert!(
                    table.abis().iter().any(|abi| abi.arch == row.abi),
                    "{}",
                    row.abi
                );
            }
        }
    }

    #[test]
    fn targets_are_found_by_names_and_patterns() {
        let table = Table::load().unwrap();
        let named = |names: &[&str], all| {
            let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
            let found = table.named(&names, all);
            found.map(|found| {
                found
                    .iter()
                    .map(|t| t.triple.to_owned())
                    .collect::<Vec<_>>()
            })
        };
        assert_eq!(
            named(&["s390x"], false).unwrap(),
            ["s390x-unknown-linux-gnu"]
        );
        assert_eq!(named(&["s390x"], true).unwrap().len(), 2);
        assert_eq!(named(&["s390x-*"], false).unwrap().len(), 2);
        assert_eq!(
            named(&["x86_64-unknown-linux-musl", "x86_64*musl"], false)
                .unwrap()
                .len(),
            2
        );
        let error = named(&["s390"], false).unwrap_err().to_string();
        assert!(error.contains("s390x"), "{error}");
        assert!(named(&[], true).unwrap().len() > 80);
    }

    #[test]
    fn the_short_run_has_one_abi_of_an_architecture() {
        let table = Table::load().unwrap();
        let names = table.short();
        let short = table.named(&names, false).unwrap();
        assert_eq!(short.len(), names.len());
        let archs: HashSet<_> = short.iter().map(|target| &target.abi.arch).collect();
        assert_eq!(archs.len(), short.len());
        assert!(short.len() >= 10, "{names:?}");
    }

    #[test]
    fn a_bad_table_is_refused() {
        let row = |more: &str| {
            let row = "[[abi]]\nname=\"a\"\narch=\"x86\"\nbits=32\nendian=\"big\"\n";
            Table::parse(&format!("{row}{more}"))
                .map(|_| ())
                .unwrap_err()
        };
        assert!(row("targets=[]").to_string().contains("no target"));
        assert!(row("targets=[\"t\",\"t\"]").to_string().contains("twice"));
        let short = row("targets=[\"t\"]\nshort=true").to_string();
        assert!(short.contains("no emulator"), "{short}");
        assert!(
            row("targets=[\"t\"]\nqmeu=\"x\"")
                .to_string()
                .contains("qmeu")
        );
    }
}
