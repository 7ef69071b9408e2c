//! What is written: a draft, which takes the target's name when all is well; or
//! the target itself.

use linux_aio::Errno;
use linux_raw_sys::general::{S_IFREG, S_ISVTX, STATX_ATTR_APPEND, STATX_ATTR_IMMUTABLE};

use super::signals::Signals;
use super::target::{Held, Name, Target};
use super::{What, is_same, kind};
use crate::os::{self, File, Rename, Stat};
use crate::path::{Path, Shown};
use crate::print::complain;

/// The permissions of a file. Those to run as its owner or group are not copied,
/// wherever they come from.
const PERMISSIONS: u32 = 0o777;
/// So many bytes of the target's name are in the draft's, which has 19 more: some
/// file systems take no longer names.
const MOST_SHOWN: usize = 120;

pub(super) struct Output {
    pub(super) file: File,
    draft: Option<Draft>,
}

/// A file that shall take a name. Dropped before it is published, it goes away.
struct Draft {
    target: Name,
    /// What has that name, if the copy is to replace it. Held, so that no other
    /// file gets its number.
    old: Option<Held>,
    /// The draft's own name in the target's directory. Where the file system can,
    /// it has none, and vanishes with the process however that ends.
    own: Option<Path>,
}

impl Output {
    /// Opens the draft, or the target itself. Signals that end the process are held
    /// back if the draft has a name.
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

    /// Whether an end in the middle leaves the target as it was.
    pub(super) fn is_draft(&self) -> bool {
        self.draft.is_some()
    }

    /// Gives the draft the target's name, and makes the name last.
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
        // Files may be made in a directory that may not be read.
        if let Ok(directory) = os::open(draft.target.directory.at(), c".", flags, 0) {
            match os::fsync(&directory) {
                // Not every file system can.
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

/// Opens a file by its name once more; what has the name by now stays as it is if it
/// is another.
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

/// A draft that has all that the old file had but its content; `None` where it
/// cannot have it, or cannot take the old one's place.
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
    // A directory's access list for new files is wider than the permissions are.
    if os::has_attributes(&output.file) {
        return Ok(None);
    }
    // A running program cannot be opened for writing, nor every file for reading.
    let flags = os::O_NOCTTY | os::O_NONBLOCK;
    let looked_at = os::open_held(&held.file, os::O_RDONLY | flags)
        .or_else(|_| os::open_held(&held.file, os::O_WRONLY | flags));
    let keeps_more =
        looked_at.is_ok_and(|file| os::more_attributes(&file) == os::more_attributes(&output.file));
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

/// Creates a draft, with permissions as every new file gets them.
fn create(target: Name, permissions: u32, signals: &mut Signals) -> Result<Output, Errno> {
    let old = None;
    let at = target.directory.at();
    match os::open(at, c".", os::O_TMPFILE | os::O_RDWR, permissions) {
        // Before Linux 6.10 a user needs /proc to give it a name.
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
    /// Takes a name that was free; EEXIST if it no longer is.
    fn take_free(&self, file: &File) -> Result<(), Errno> {
        let (at, name) = (self.target.directory.at(), self.target.name.as_c());
        let Some(own) = &self.own else {
            return os::link(file, at, name);
        };
        match os::rename(at, own.as_c(), name, Rename::Refuse) {
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {}
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

    /// Takes the old file's name, if that is the old file's still.
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
        // It may have got another name meanwhile, which would be another file then.
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
                    // What has that name now is not ours to remove.
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
