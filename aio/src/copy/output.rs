//! The file that is written: a draft, which takes the target's name after success, or
//! the target itself.

use linux_aio::Errno;
use linux_raw_sys::general::{S_IFREG, S_ISVTX, STATX_ATTR_APPEND, STATX_ATTR_IMMUTABLE};

use super::signals::Signals;
use super::target::{Held, Name, Target};
use super::{What, is_same, kind};
use crate::os::{self, File, Rename, Stat};
use crate::path::{Path, Shown};
use crate::print::complain;

/// The permission bits that are copied. Set-user-ID and set-group-ID are never copied.
const PERMISSIONS: u32 = 0o777;
/// The maximal number of bytes of the target's name in the draft's name, which has 19
/// more: some file systems do not accept longer names.
const MOST_SHOWN: usize = 120;

pub(super) struct Output {
    pub(super) file: File,
    draft: Option<Draft>,
}

/// A file that takes the target's name when it is published. If it is dropped before
/// that, it is removed.
struct Draft {
    target: Name,
    /// The file that has the target's name, if the copy replaces it. It is held so that
    /// no other file gets its inode number.
    old: Option<Held>,
    /// The name of the draft in the target's directory. `None` where the file system
    /// supports unnamed files: such a draft vanishes with the process in any case.
    own: Option<Path>,
}

impl Output {
    /// Opens the draft, or the target itself. Signals that end the process are blocked
    /// if the draft has a name.
    pub(super) fn open(
        target: Target,
        source: &Stat,
        signals: &mut Signals,
    ) -> Result<Output, Errno> {
        match (target.name, target.held) {
            (Some(name), None) => {
                let permissions = u32::from(source.stx_mode) & PERMISSIONS;
                create(name, permissions, signals)
            }
            (Some(name), Some(held)) => match replacing(name, &held, signals)? {
                Some(mut output) => {
                    if let Some(draft) = &mut output.draft {
                        draft.old = Some(held);
                    }
                    Ok(output)
                }
                None => {
                    signals.release();
                    in_place(&held)
                }
            },
            (None, Some(held)) => in_place(&held),
            (None, None) => Err(Errno::NOENT),
        }
    }

    /// Returns whether the output is a draft, so that an aborted copy leaves the target
    /// unchanged.
    pub(super) fn is_draft(&self) -> bool {
        self.draft.is_some()
    }

    /// Gives the draft the target's name, and syncs the directory.
    pub(super) fn publish(mut self) -> Result<(), What> {
        let Some(draft) = &mut self.draft else {
            return Ok(());
        };
        match draft.old.take() {
            None => draft.take_free(&self.file)?,
            Some(old) => draft.replace(&self.file, &old)?,
        }
        draft.own = None;
        let flags = os::O_RDONLY | os::O_DIRECTORY;
        // A directory may permit creating files in it but not reading it.
        if let Ok(directory) = os::open(draft.target.directory.at(), c".", flags, 0) {
            match os::fsync(&directory) {
                // Not every file system can sync a directory.
                Err(Errno::INVAL | Errno::NOTTY | Errno::OPNOTSUPP) => {}
                other => return Ok(other?),
            }
        }
        Ok(())
    }
}

fn in_place(held: &Held) -> Result<Output, Errno> {
    let flags = os::O_WRONLY | os::O_NOCTTY;
    let file = match os::open_held(&held.file, flags | os::O_TRUNC) {
        Err(Errno::NOENT) if held.name.is_some() => open_again(held, flags)?,
        other => other?,
    };
    Ok(Output { file, draft: None })
}

/// Opens a file by its name again. If another file has the name by now, that file is
/// not changed.
fn open_again(held: &Held, flags: u32) -> Result<File, Errno> {
    let name = held.name.as_ref().ok_or(Errno::NOENT)?;
    let flags = flags | os::O_NONBLOCK;
    let file = os::open(name.directory.at(), name.name.as_c(), flags, 0)?;
    let stat = os::stat_file(&file)?;
    if !is_same(&stat, &held.stat) {
        return Err(Errno::STALE);
    }
    if kind(&stat) == S_IFREG {
        os::truncate(&file, 0)?;
    }
    Ok(file)
}

/// Creates a draft that has everything of the old file except its content. Returns
/// `None` if that is impossible, or if the draft could not replace the old file.
fn replacing(name: Name, held: &Held, signals: &mut Signals) -> Result<Option<Output>, Errno> {
    let (old, directory) = (&held.stat, os::stat_file(&name.directory)?);
    let fixed = u64::from(STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND);
    if directory.stx_attributes & fixed != 0 {
        return Ok(None);
    }
    let output = match create(name, 0o600, signals) {
        Ok(output) => output,
        Err(Errno::ACCES | Errno::PERM | Errno::ROFS) => return Ok(None),
        Err(errno) => return Err(errno),
    };
    // A directory's access list for new files may grant more than the permissions do.
    if os::has_attributes(&output.file) {
        return Ok(None);
    }
    // A running program cannot be opened for writing, and some files cannot be opened
    // for reading.
    let flags = os::O_NOCTTY | os::O_NONBLOCK;
    let checked = os::open_held(&held.file, os::O_RDONLY | flags)
        .or_else(|_| os::open_held(&held.file, os::O_WRONLY | flags));
    let keeps_more =
        checked.is_ok_and(|file| os::more_attributes(&file) == os::more_attributes(&output.file));
    if !keeps_more {
        return Ok(None);
    }
    let own = os::stat_file(&output.file)?;
    let owners = [0, directory.stx_uid, old.stx_uid];
    if u32::from(directory.stx_mode) & S_ISVTX != 0 && !owners.contains(&own.stx_uid) {
        return Ok(None);
    }
    let other = (own.stx_uid, own.stx_gid) != (old.stx_uid, old.stx_gid);
    if other && os::fchown(&output.file, old.stx_uid, old.stx_gid).is_err() {
        return Ok(None);
    }
    let permissions = u32::from(old.stx_mode) & PERMISSIONS;
    if os::fchmod(&output.file, permissions).is_err() {
        return Ok(None);
    }
    Ok(Some(output))
}

/// Creates a draft, whose permissions are subject to the umask as for every new file.
fn create(target: Name, permissions: u32, signals: &mut Signals) -> Result<Output, Errno> {
    let old = None;
    let at = target.directory.at();
    match os::open(at, c".", os::O_TMPFILE | os::O_RDWR, permissions) {
        // Before Linux 6.10 an unprivileged user needs /proc to give it a name.
        Ok(file) if os::is_in_proc(&file) => {
            let own = None;
            return Ok(Output {
                file,
                draft: Some(Draft { target, old, own }),
            });
        }
        Ok(_) => {}
        Err(Errno::OPNOTSUPP | Errno::INVAL | Errno::ISDIR | Errno::NOENT) => {}
        Err(errno) => return Err(errno),
    }
    signals.hold();
    loop {
        let own = draft_name(&target.name)?;
        let flags = os::O_RDWR | os::O_CREAT | os::O_EXCL;
        match os::open(at, own.as_c(), flags, permissions) {
            Ok(file) => {
                let own = Some(own);
                return Ok(Output {
                    file,
                    draft: Some(Draft { target, old, own }),
                });
            }
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// Returns an unpredictable name in the target's directory.
fn draft_name(target: &Path) -> Result<Path, Errno> {
    let target = target.as_bytes();
    let mut length = target.len().min(MOST_SHOWN);
    // Some file systems refuse a name that ends within a UTF-8 character.
    while length > 0 && length < target.len() && target[length] & 0xc0 == 0x80 {
        length -= 1;
    }
    let mut name = Path::new(b".")?;
    name.push(&target[..length])?;
    name.push(b".aio-")?;
    let mut random = os::random();
    for _ in 0..13 {
        name.push(&[b"abcdefghijklmnopqrstuvwxyz234567"[(random & 31) as usize]])?;
        random >>= 5;
    }
    Ok(name)
}

impl Draft {
    /// Gives the draft a name that was free; EEXIST if it no longer is.
    fn take_free(&self, file: &File) -> Result<(), Errno> {
        let (at, name) = (self.target.directory.at(), self.target.name.as_c());
        let Some(own) = &self.own else {
            return os::link(file, at, name);
        };
        match os::rename(at, own.as_c(), name, Rename::Refuse) {
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {}
            // gVisor refuses the name of a file that was removed from its overlay.
            Err(Errno::EXIST) if os::stat_name(at, name).err() == Some(Errno::NOENT) => {}
            other => return other,
        }
        match os::link_name(at, own.as_c(), name) {
            Ok(()) => os::unlink(at, own.as_c()),
            Err(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS) => match os::stat_name(at, name) {
                Err(Errno::NOENT) => os::rename(at, own.as_c(), name, Rename::Replace),
                Ok(_) => Err(Errno::EXIST),
                Err(errno) => Err(errno),
            },
            Err(errno) => Err(errno),
        }
    }

    /// Gives the draft the name of the old file, if the old file still has it.
    fn replace(&mut self, file: &File, old: &Held) -> Result<(), What> {
        const CHANGED: What = What::Text("became another file while it was copied to");
        let (at, name) = (self.target.directory.at(), self.target.name.as_c());
        let own = match self.own.take() {
            Some(own) => own,
            None => loop {
                let own = draft_name(&self.target.name)?;
                match os::link(file, at, own.as_c()) {
                    Ok(()) => break own,
                    Err(Errno::EXIST) => {}
                    Err(errno) => return Err(errno.into()),
                }
            },
        };
        let own = self.own.insert(own).as_c();
        let is_old = |name| os::stat_name(at, name).is_ok_and(|stat| is_same(&stat, &old.stat));
        // The old file may have got another name meanwhile, which would no longer share
        // its content.
        if os::stat_file(&old.file)?.stx_nlink > 1 {
            return Err(CHANGED);
        }
        match os::rename(at, own, name, Rename::Exchange) {
            Ok(()) if is_old(own) => {
                // The copy has succeeded; the leftover is reported.
                if let Err(errno) = os::unlink(at, own) {
                    let own = Shown(own.to_bytes());
                    complain(format_args!(
                        "copy: {own}: the old file stays here: {errno}"
                    ));
                }
                Ok(())
            }
            Ok(()) => {
                let back = os::rename(at, own, name, Rename::Exchange);
                if back.is_err() {
                    // The file that has the draft's name now is a foreign file, which
                    // must not be removed.
                    self.own = None;
                }
                Err(CHANGED)
            }
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) if is_old(name) => {
                Ok(os::rename(at, own, name, Rename::Replace)?)
            }
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::NOENT) => Err(CHANGED),
            Err(errno) => Err(errno.into()),
        }
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if let Some(own) = &self.own {
            let _ = os::unlink(self.target.directory.at(), own.as_c());
        }
    }
}
