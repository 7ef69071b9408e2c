//! The files of an installation: writing, replacing and removing them.
//!
//! A list of the installed files is itself installed. Only files that it names are
//! replaced or removed: a library of another package in the same place is not.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail};

/// What an installed file contains.
pub(crate) enum Content {
    CopyOf(PathBuf),
    Text(String),
    /// A symbolic link to this name.
    LinkTo(String),
}

/// The files to install, by their paths in the installed system.
pub(crate) struct Tree {
    pub(crate) destdir: PathBuf,
    /// The path of the list of installed files.
    pub(crate) list: PathBuf,
    pub(crate) files: Vec<(PathBuf, Content)>,
}

impl Tree {
    /// Returns where a path of the installed system is now.
    fn at(&self, path: &Path) -> PathBuf {
        self.destdir.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Returns the paths of the files, in order, with that of the list.
    pub(crate) fn paths(&self) -> BTreeSet<PathBuf> {
        let files = self.files.iter().map(|(path, _)| path.clone());
        files.chain([self.list.clone()]).collect()
    }

    /// Reads the list of an earlier installation. It is empty if there is none.
    fn installed(&self) -> Result<BTreeSet<PathBuf>> {
        let list = self.at(&self.list);
        let Ok(text) = fs::read_to_string(&list) else {
            return Ok(BTreeSet::new());
        };
        let paths: BTreeSet<PathBuf> = text.lines().map(PathBuf::from).collect();
        for path in &paths {
            let plain = path
                .components()
                .all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
            if !plain || !path.is_absolute() {
                bail!(
                    "{}: {} is no path of an installed file",
                    list.display(),
                    path.display()
                );
            }
        }
        Ok(paths)
    }

    /// Installs the files, and removes those of an earlier installation that are no
    /// longer part of it. Files that are not this tool's are replaced only if `force`.
    pub(crate) fn install(&self, force: bool) -> Result<()> {
        let (old, new) = (self.installed()?, self.paths());
        if !force {
            let foreign: Vec<String> = new
                .difference(&old)
                .map(|path| self.at(path))
                .filter(|path| path.symlink_metadata().is_ok())
                .map(|path| format!("\n  {}", path.display()))
                .collect();
            if !foreign.is_empty() {
                bail!(
                    "these files exist and are not of an installation by this tool \
                     (--force replaces them):{}",
                    foreign.concat()
                );
            }
        }
        // The list is written first: an installation that is interrupted can be removed.
        let known: Vec<String> = old.union(&new).map(|path| line(path)).collect();
        self.put(&self.list, &Content::Text(known.concat()))?;
        for (path, content) in &self.files {
            self.put(path, content)?;
        }
        for path in old.difference(&new) {
            remove(&self.at(path))?;
        }
        let list: Vec<String> = new.iter().map(|path| line(path)).collect();
        self.put(&self.list, &Content::Text(list.concat()))
    }

    /// Removes the files of an earlier installation. Returns their paths.
    pub(crate) fn uninstall(&self) -> Result<BTreeSet<PathBuf>> {
        let old = self.installed()?;
        if old.is_empty() {
            bail!(
                "nothing is installed: there is no {}",
                self.at(&self.list).display()
            );
        }
        for path in old.iter().filter(|path| **path != self.list) {
            remove(&self.at(path))?;
        }
        remove(&self.at(&self.list))?;
        // Folders that only this tool creates.
        for path in &old {
            let own = |folder: &&Path| {
                let name = folder.file_name().and_then(|name| name.to_str());
                name == Some("linux-aio-capi")
                    || folder.ancestors().any(|above| above.ends_with(".build-id"))
            };
            for folder in path.ancestors().skip(1).take_while(|folder| own(folder)) {
                // It is not removed if other files are in it.
                let _ = fs::remove_dir(self.at(folder));
            }
        }
        Ok(old)
    }

    /// Puts a file in place of the old one. Programs that run with the old one keep it.
    fn put(&self, path: &Path, content: &Content) -> Result<()> {
        let to = self.at(path);
        let mut name = to.file_name().context("a file has a name")?.to_owned();
        name.push(".new");
        let new = to.with_file_name(name);
        let write = || -> std::io::Result<()> {
            if let Some(folder) = to.parent() {
                fs::create_dir_all(folder)?;
            }
            match fs::remove_file(&new) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            match content {
                Content::LinkTo(target) => symlink(target, &new)?,
                Content::Text(text) => fs::write(&new, text)?,
                Content::CopyOf(file) => fs::write(&new, fs::read(file)?)?,
            }
            if !matches!(content, Content::LinkTo(_)) {
                fs::set_permissions(&new, fs::Permissions::from_mode(0o644))?;
            }
            fs::rename(&new, &to)
        };
        write().with_context(|| to.display().to_string())
    }
}

fn line(path: &Path) -> String {
    format!("{}\n", path.display())
}

/// Removes a file, if it is there.
fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| path.display().to_string())
        }
        _ => Ok(()),
    }
}
