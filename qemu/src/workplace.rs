//! A folder that one run uses exclusively.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// A folder that is locked until this is dropped: another process that requests it
/// waits.
pub(crate) struct Workplace {
    pub(crate) folder: PathBuf,
    _lock: File,
}

impl Workplace {
    /// Locks and creates a folder. The lock is a file beside the folder, which may be
    /// removed meanwhile.
    pub(crate) fn enter(folder: &Path) -> Result<Workplace> {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let path = folder.with_file_name(format!("{name}.lock"));
        let enter = || {
            fs::create_dir_all(folder)?;
            let lock = File::create(&path)?;
            lock.lock()?;
            // The previous owner may have removed the folder.
            fs::create_dir_all(folder)?;
            Ok::<File, std::io::Error>(lock)
        };
        Ok(Workplace {
            folder: folder.to_owned(),
            _lock: enter().with_context(|| path.display().to_string())?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
    use std::thread;
    use std::time::Duration;

    #[test]
    fn a_second_process_waits() {
        let folder = std::env::temp_dir().join(format!("workplace-{}", std::process::id()));
        let first = Workplace::enter(&folder).unwrap();
        let is_left = AtomicBool::new(false);
        thread::scope(|threads| {
            let second = threads.spawn(|| {
                let second = Workplace::enter(&folder).unwrap();
                (is_left.load(SeqCst), second.folder.is_dir())
            });
            thread::sleep(Duration::from_millis(50));
            fs::remove_dir_all(&folder).unwrap();
            is_left.store(true, SeqCst);
            drop(first);
            assert_eq!(second.join().unwrap(), (true, true));
        });
        fs::remove_dir_all(&folder).unwrap();
        fs::remove_file(folder.with_extension("lock")).unwrap();
    }
}
