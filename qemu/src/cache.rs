//! A cache of fetched and built files, under `target/cache`.
//!
//! An entry is a folder that is filled once. It appears complete or not at all: a lock
//! excludes other threads and processes while it is filled.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

pub(crate) struct Cache {
    folder: PathBuf,
    /// The lock held while an entry is filled. The file lock excludes other processes.
    /// It does not exclude other threads of this process, which share the open file:
    /// the mutex does.
    lock: Mutex<File>,
}

impl Cache {
    pub(crate) fn open() -> Result<Cache> {
        Cache::at(target_folder()?.join("cache"))
    }

    fn at(folder: PathBuf) -> Result<Cache> {
        let open = || -> std::io::Result<(PathBuf, File)> {
            fs::create_dir_all(&folder)?;
            // Cargo's build output contains these paths. A canonical path keeps them
            // the same, whichever link leads to the cache.
            let folder = folder.canonicalize()?;
            let lock = File::create(folder.join("lock"))?;
            Ok((folder, lock))
        };
        let (folder, lock) = open().with_context(|| format!("the cache {}", folder.display()))?;
        Ok(Cache {
            folder,
            lock: Mutex::new(lock),
        })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Returns the folder `name`, which `fill` creates if it does not exist.
    ///
    /// The folder appears complete or not at all, even if this process is killed.
    pub(crate) fn entry(
        &self,
        name: &str,
        fill: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<PathBuf> {
        let entry = self.path(name);
        if entry.is_dir() {
            return Ok(entry);
        }
        // A thread that panicked left an incomplete folder, which is created again.
        let lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        lock.lock()?;
        let made = self.make(&entry, name, fill);
        lock.unlock()?;
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

/// Returns a hash of the parts, for use in a name or for comparison.
pub(crate) fn hash<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let bytes = hasher.finalize();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns cargo's target folder. The path is absolute, since it is passed to programs
/// that run in other folders.
pub(crate) fn target_folder() -> Result<PathBuf> {
    let folder = std::env::var_os("CARGO_TARGET_DIR");
    let folder = folder.map_or_else(|| root().join("target"), PathBuf::from);
    Ok(std::path::absolute(folder)?)
}

/// Returns the project's folder: the one in which this program was built, unless
/// `LINUX_AIO_COPY` names a changed copy to test.
pub(crate) fn root() -> PathBuf {
    std::env::var_os("LINUX_AIO_COPY").map_or_else(
        || {
            let package = Path::new(env!("CARGO_MANIFEST_DIR"));
            package.parent().unwrap_or(package).to_owned()
        },
        PathBuf::from,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::thread;
    use std::time::Duration;

    fn cache(name: &str) -> Cache {
        let name = format!("linux-aio-cache-{name}-{}", std::process::id());
        Cache::at(std::env::temp_dir().join(name)).unwrap()
    }

    #[test]
    fn two_threads_fetch_once() {
        let (cache, begin, fetched) = (cache("threads"), Barrier::new(2), AtomicU32::new(0));
        let fetch = || {
            begin.wait();
            cache.entry("entry", |folder| {
                fetched.fetch_add(1, Ordering::Relaxed);
                thread::sleep(Duration::from_millis(50));
                Ok(fs::write(folder.join("file"), "")?)
            })
        };
        let paths = thread::scope(|scope| {
            [scope.spawn(fetch), scope.spawn(fetch)].map(|thread| thread.join().unwrap())
        });
        for path in paths {
            assert!(path.unwrap().join("file").exists());
        }
        assert_eq!(fetched.into_inner(), 1);
        fs::remove_dir_all(cache.folder).unwrap();
    }

    #[test]
    fn a_failed_entry_does_not_exist() {
        let cache = cache("failed");
        let half = cache.entry("entry", |folder| {
            fs::write(folder.join("half"), "")?;
            anyhow::bail!("no network")
        });
        assert!(half.is_err());
        assert!(!cache.path("entry").exists());
        let whole = cache.entry("entry", |_| Ok(())).unwrap();
        assert!(!whole.join("half").exists());
        fs::remove_dir_all(cache.folder).unwrap();
    }
}
