//! What is fetched once and kept, under `target/cache`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

pub(crate) struct Cache {
    folder: PathBuf,
    /// Held while this process lives: two may run at once, one fetches.
    lock: File,
}

impl Cache {
    pub(crate) fn open() -> Result<Cache> {
        let folder = target_folder().join("cache");
        let open = || -> std::io::Result<File> {
            fs::create_dir_all(&folder)?;
            File::create(folder.join("lock"))
        };
        let lock = open().with_context(|| format!("the cache {}", folder.display()))?;
        Ok(Cache { folder, lock })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The folder `name`, made by `fill` if it is not there yet. It appears
    /// whole or not at all, also if this process is killed.
    pub(crate) fn entry(
        &self,
        name: &str,
        fill: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<PathBuf> {
        let entry = self.path(name);
        if entry.is_dir() {
            return Ok(entry);
        }
        self.lock.lock()?;
        let made = self.make(&entry, name, fill);
        self.lock.unlock()?;
        made.map(|()| entry)
    }

    fn make(&self, entry: &Path, name: &str, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        if entry.is_dir() {
            return Ok(());
        }
        let part = self.path(&format!("{name}.part"));
        if part.exists() {
            fs::remove_dir_all(&part)?;
        }
        fs::create_dir_all(&part)?;
        fill(&part).with_context(|| format!("cannot fetch {name}"))?;
        Ok(fs::rename(part, entry)?)
    }
}

/// Where cargo puts what it builds.
pub(crate) fn target_folder() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The project's folder: the one this program was built in, unless told that
/// a changed copy is to be tested.
pub(crate) fn root() -> PathBuf {
    std::env::var_os("LINUX_AIO_COPY").map_or_else(
        || {
            let package = Path::new(env!("CARGO_MANIFEST_DIR"));
            package.parent().unwrap_or(package).to_owned()
        },
        PathBuf::from,
    )
}
