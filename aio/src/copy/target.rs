//! The target of a copy. Its name is resolved once, and descriptors hold the result:
//! later changes of names or links have no effect.

use linux_aio::Errno;
use linux_raw_sys::general::{
    S_IFBLK, S_IFDIR, S_IFLNK, S_IFREG, STATX_ATTR_APPEND, STATX_ATTR_COMPRESSED, STATX_ATTR_DAX,
    STATX_ATTR_IMMUTABLE, STATX_ATTR_MOUNT_ROOT, STATX_ATTR_NODUMP,
};

use super::{Failure, Named, Options, What, is_same, kind};
use crate::os::{self, At, CWD, File, Follow, Stat};
use crate::path::Path;

/// The target of a copy.
pub(super) struct Target {
    /// The file that exists there now.
    pub(super) held: Option<Held>,
    /// The name that the copy takes when it is whole. `None` if the existing file is
    /// written in place: a block device, or a file of which a replacement would lose
    /// more than the content.
    pub(super) name: Option<Name>,
}

/// A name in a directory that a descriptor holds, as the directory may be renamed
/// meanwhile.
pub(super) struct Name {
    pub(super) directory: File,
    pub(super) name: Path,
}

/// A file that an O_PATH descriptor holds.
pub(super) struct Held {
    pub(super) file: File,
    pub(super) stat: Stat,
    /// True if it was found through names only, not through a link in `/proc` to an
    /// open file.
    by_name: bool,
    /// The name to open it by, if there is no `/proc`.
    pub(super) name: Option<Name>,
}

impl Target {
    /// Resolves the target's name, and refuses files that must not be written. Changes
    /// nothing.
    pub(super) fn find(options: &Options, source: &Stat) -> Result<Target, Failure<'static>> {
        find(options, source).about(options.target)
    }
}

fn find(options: &Options, source: &Stat) -> Result<Target, What> {
    let path = Path::new(options.target)?;
    if path.as_bytes().is_empty() {
        return Err(What::Errno(Errno::NOENT));
    }
    match hold(CWD, &path)? {
        Some(found) if kind(&found.stat) == S_IFDIR => {
            // The copy goes into the directory, under the last part of the source's
            // name.
            let name = Path::new(last_name(options.source))?;
            let found_in = hold(found.file.at(), &name)?;
            at_name(found.file.at(), &name, found_in, source)
        }
        _ if options.into => Err(What::Errno(Errno::NOTDIR)),
        found => at_name(CWD, &path, found, source),
    }
}

/// Returns the last part of a path, without trailing slashes.
pub(super) fn last_name(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|&byte| byte != b'/');
    let path = &path[..end.map_or(0, |end| end + 1)];
    let begin = path.iter().rposition(|&byte| byte == b'/');
    &path[begin.map_or(0, |slash| slash + 1)..]
}

/// Opens the parent directory of a path, and returns it with the name in it.
fn parent(at: At, path: &Path) -> Result<Name, Errno> {
    let (directory, name) = path.split();
    if name.is_empty() {
        return Err(Errno::NOTDIR);
    }
    let flags = os::O_PATH | os::O_DIRECTORY;
    let directory = os::open(at, Path::new(directory)?.as_c(), flags, 0)?;
    let name = Path::new(name)?;
    Ok(Name { directory, name })
}

/// Decides whether a file that was found under a name is replaced or written in place,
/// and refuses invalid targets.
fn at_name(at: At, path: &Path, found: Option<Held>, source: &Stat) -> Result<Target, What> {
    let Some(mut held) = found else {
        return Ok(Target {
            held: None,
            name: Some(parent(at, path)?),
        });
    };
    if !os::is_in_proc(&held.file) {
        held.name = Some(parent(at, path)?);
    }
    let in_place = |held| Target {
        held: Some(held),
        name: None,
    };
    let stat = &held.stat;
    if is_same(stat, source) {
        return Err(What::Text("the same file as SRC"));
    }
    match kind(stat) {
        S_IFREG => {}
        S_IFBLK => return Ok(in_place(held)),
        S_IFDIR => return Err(What::Errno(Errno::ISDIR)),
        _ => return Err(What::Text("neither a regular file nor a block device")),
    }
    // A rename does not check the permissions of the old file, but a read-only file
    // must not be replaced.
    os::may_write(&held.file)?;
    let attribute = |bit: u32| stat.stx_attributes & u64::from(bit) != 0;
    if attribute(STATX_ATTR_IMMUTABLE) || attribute(STATX_ATTR_APPEND) {
        return Err(What::Errno(Errno::PERM));
    }
    // Other names of the file, a mount on it, access lists and similar attributes are
    // kept.
    let alone = held.by_name && stat.stx_nlink == 1;
    let marked = [
        STATX_ATTR_MOUNT_ROOT,
        STATX_ATTR_COMPRESSED,
        STATX_ATTR_NODUMP,
        STATX_ATTR_DAX,
    ];
    if !alone || marked.into_iter().any(attribute) || os::has_attributes(&held.file) {
        return Ok(in_place(held));
    }
    let name = name_of(at, path, &held)?;
    Ok(Target {
        held: Some(held),
        name,
    })
}

/// Holds the file under a name, following links.
fn hold(at: At, path: &Path) -> Result<Option<Held>, What> {
    let held = |file: File, by_name| {
        let stat = os::stat_file(&file)?;
        Ok(Some(Held {
            file,
            stat,
            by_name,
            name: None,
        }))
    };
    match os::hold(at, path.as_c(), Follow::Named) {
        Ok(file) => held(file, true),
        Err(Errno::NOENT) => absent(at, path),
        Err(Errno::LOOP) => {
            // The last part may be an ordinary name in a directory that was reached
            // through /proc.
            let inner = parent(at, path)?;
            match os::hold(inner.directory.at(), inner.name.as_c(), Follow::Named) {
                Ok(file) => held(file, true),
                Err(Errno::NOENT) => absent(inner.directory.at(), &inner.name),
                Err(Errno::LOOP) => held(os::open(at, path.as_c(), os::O_PATH, 0)?, false),
                Err(errno) => Err(errno.into()),
            }
        }
        // Some sandboxes return EPERM for unknown system calls.
        Err(Errno::NOSYS | Errno::PERM) => match os::open(at, path.as_c(), os::O_PATH, 0) {
            Ok(file) => {
                // Without openat2(2), links in /proc on the way cannot be detected. A
                // file that the name itself denotes was not reached through a link.
                let own = os::stat_name(at, path.as_c())?;
                let stat = os::stat_file(&file)?;
                held(file, is_same(&own, &stat))
            }
            Err(Errno::NOENT) => absent(at, path),
            Err(errno) => Err(errno.into()),
        },
        Err(errno) => Err(errno.into()),
    }
}

/// Distinguishes an absent file from a dangling link, which is refused: its owner would
/// choose where the copy goes.
fn absent(at: At, path: &Path) -> Result<Option<Held>, What> {
    match os::stat_name(at, path.as_c()) {
        Err(Errno::NOENT) => Ok(None),
        Ok(link) if kind(&link) == S_IFLNK => Err(What::Text(
            "a symbolic link to nothing: not written through",
        )),
        Ok(_) => Err(What::Errno(Errno::EXIST)),
        Err(errno) => Err(errno.into()),
    }
}

/// Returns the name of the held file itself; `None` if it has none that can be trusted.
fn name_of(at: At, path: &Path, held: &Held) -> Result<Option<Name>, Errno> {
    let is_it = |at: At, name: &Path| {
        os::stat_name(at, name.as_c()).is_ok_and(|stat| is_same(&stat, &held.stat))
    };
    let name = if is_it(at, path) {
        parent(at, path)?
    } else {
        // The path led through links. The name from the kernel is free of them.
        let mut buffer = [0; 4096];
        let Ok(full) = os::read_link(CWD, os::proc_name(&held.file)?.as_c(), &mut buffer) else {
            return Ok(None);
        };
        let full = Path::new(full)?;
        let (directory, name) = full.split();
        let (directory, name) = (Path::new(directory)?, Path::new(name)?);
        match os::hold(CWD, directory.as_c(), Follow::None) {
            Ok(directory) => Name { directory, name },
            Err(_) => return Ok(None),
        }
    };
    let still = is_it(name.directory.at(), &name.name);
    Ok(still.then_some(name))
}
