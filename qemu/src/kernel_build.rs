//! Kernels of architectures that Debian has no kernel for.

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::cache::Cache;

pub(crate) fn image(_cache: &Cache, name: &str, _arch: &str) -> Result<PathBuf> {
    bail!("{name}: not yet")
}
