//! The kernels of `targets.toml`: where each comes from, the machine that it
//! boots on, and the ABIs that it runs.

use serde::Deserialize;

use crate::targets::Abi;

/// A row: a kernel on a machine.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Kernel {
    pub(crate) name: String,
    /// Debian's name of the architecture.
    pub(crate) arch: String,
    #[serde(flatten)]
    pub(crate) source: Source,
    pub(crate) emulator: String,
    pub(crate) args: String,
    #[serde(default = "one")]
    pub(crate) cpus: u32,
    /// Megabytes.
    #[serde(default = "half_a_gigabyte")]
    pub(crate) memory: u32,
    pub(crate) console: String,
    #[serde(default)]
    pub(crate) append: String,
    pub(crate) dtb: Option<String>,
    #[serde(default = "by_id")]
    pub(crate) drive: String,
    pub(crate) disk: Option<String>,
    #[serde(default)]
    pub(crate) modules: Vec<String>,
    pub(crate) abis: Vec<String>,
}

fn one() -> u32 {
    1
}

fn half_a_gigabyte() -> u32 {
    512
}

fn by_id() -> String {
    "none".to_owned()
}

/// Where a kernel comes from.
#[derive(Debug, Deserialize)]
#[serde(untagged, rename_all = "kebab-case")]
pub(crate) enum Source {
    /// A package of Debian's.
    Stock {
        flavour: String,
        suites: Vec<String>,
        version: Option<String>,
    },
    /// Built here, with the configuration `qemu/kernels/BUILD.config`.
    Built { build: String },
}

impl Kernel {
    /// Whether it is built here, which takes minutes.
    pub(crate) fn is_built(&self) -> bool {
        matches!(self.source, Source::Built { .. })
    }

    pub(crate) fn runs(&self, abi: &Abi) -> bool {
        self.abis.contains(&abi.name)
    }
}
