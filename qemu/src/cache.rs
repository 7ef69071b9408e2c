//! What is fetched once and kept, under `target/cache`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

pub(crate) struct Cache {
    folder: PathBuf,
    /// Who fetches. The file's lock keeps other processes out, but not this
    /// one's other threads, which have the same open file: the mutex does.
    lock: Mutex<File>,
}

impl Cache {
    pub(crate) fn open() -> Result<Cache> {
        Cache::at(target_folder()?.join("cache"))
    }

    fn at(folder: PathBuf) -> Result<Cache> {
        let open = || -> std::io::Result<(PathBuf, File)> {
            fs::create_dir_all(&folder)?;
            // Its paths are in what cargo builds, which so is the same wherever
            // a link to one cache is.
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
        // A thread that panicked left a part, which is made anew.
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

/// What stands for the parts of something, in a name or to know it again.
pub(crate) fn hash<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let bytes = hasher.finalize();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Where cargo puts what it builds; absolute, since the programs that are told
/// of it run in other folders.
pub(crate) fn target_folder() -> Result<PathBuf> {
    let folder = std::env::var_os("CARGO_TARGET_DIR");
    let folder = folder.map_or_else(|| root().join("target"), PathBuf::from);
    Ok(std::path::absolute(folder)?)
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
    fn what_failed_is_not_there() {
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
