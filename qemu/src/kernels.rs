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
    /// Of a stock kernel: its packages.
    pub(crate) flavour: Option<String>,
    #[serde(default)]
    pub(crate) suites: Vec<String>,
    pub(crate) version: Option<String>,
    /// Built here, with the configuration `qemu/kernels/BUILD.config`.
    pub(crate) build: Option<String>,
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
    pub(crate) late: Option<String>,
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

impl Kernel {
    /// Whether it is built here, which takes minutes.
    pub(crate) fn is_built(&self) -> bool {
        self.build.is_some()
    }

    /// Whether it comes from one place.
    pub(crate) fn has_source(&self) -> bool {
        self.is_built() == (self.flavour.is_none() && self.suites.is_empty())
    }

    pub(crate) fn runs(&self, abi: &Abi) -> bool {
        self.abis.contains(&abi.name)
    }
}
