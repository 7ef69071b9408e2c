//! The kernels of `targets.toml`: the source of each, the machine that it boots on, and
//! the ABIs that it runs.

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use toml::Value;

/// A row: a kernel on a machine.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Kernel {
    pub(crate) name: String,
    /// Debian's name of the architecture.
    pub(crate) arch: String,
    /// The packages of a stock kernel.
    pub(crate) flavour: Option<String>,
    #[serde(default)]
    pub(crate) suites: Vec<String>,
    pub(crate) version: Option<String>,
    /// The configuration `qemu/kernels/BUILD.config` of a kernel that is built here.
    pub(crate) build: Option<String>,
    pub(crate) emulator: String,
    pub(crate) args: String,
    #[serde(default = "one")]
    pub(crate) cpus: u32,
    /// The memory, in megabytes.
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
    /// The additional modules of the fault runs; a kernel without this field has none.
    pub(crate) faults: Option<Vec<String>>,
    /// Whether the kernel has AIO; if not, every call must return ENOSYS.
    #[serde(default = "yes")]
    pub(crate) aio: bool,
    pub(crate) abis: Vec<String>,
}

/// Completes each row that is `like` another with the fields that it lacks.
pub(crate) fn fill_in(rows: &mut [Value]) -> Result<()> {
    let given = rows.to_vec();
    let named = |name: &Value| given.iter().find(|row| row.get("name") == Some(name));
    for row in rows.iter_mut().filter_map(Value::as_table_mut) {
        let Some(like) = row.remove("like") else {
            continue;
        };
        let base = named(&like).and_then(Value::as_table);
        let base = base.with_context(|| format!("no kernel is called {like}"))?;
        ensure!(!base.contains_key("like"), "{like} is like another itself");
        for (key, value) in base {
            row.entry(key).or_insert_with(|| value.clone());
        }
    }
    Ok(())
}

fn yes() -> bool {
    true
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
    /// Returns whether the kernel is built here, which takes minutes.
    pub(crate) fn is_built(&self) -> bool {
        self.build.is_some()
    }

    /// Returns whether the kernel has exactly one source.
    pub(crate) fn has_source(&self) -> bool {
        self.is_built() == (self.flavour.is_none() && self.suites.is_empty())
    }

    pub(crate) fn runs(&self, abi: &str) -> bool {
        self.abis.iter().any(|name| name == abi)
    }
}
