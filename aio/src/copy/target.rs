//! The target's name, and the draft that takes it when all is well.

use linux_aio::Errno;
use linux_raw_sys::general::{S_IFDIR, S_IFREG};

use super::{About, Failure, Options, What, kind, mode_for};
use crate::args::Bytes;
use crate::os::{self, CWD, File, Stat};
use crate::path::Path;

/// The longest file name that file systems take.
const MOST_NAME: usize = 255;
/// What a draft's name needs beyond the target's: `.`, `.aio-`, the process id
/// and a digit.
const MARKS: usize = 1 + 5 + 10 + 2;

/// Where the copy shall be.
pub(super) struct Target {
    /// The directory, held open: it may be renamed meanwhile.
    directory: File,
    /// Whether it could be opened for more than finding names in it.
    syncable: bool,
    /// The name in it.
    name: Path,
}

impl Target {
    /// Finds the name, and refuses what must not be replaced. Nothing is
    /// changed.
    pub(super) fn find(options: &Options, source: &Stat) -> Result<Target, Failure<'static>> {
        find(options, source).about(options.target)
    }

    /// Creates the draft beside the target. It belongs to the user alone until
    /// it is whole.
    pub(super) fn draft(self, shown: Bytes) -> Result<Draft, Failure<'static>> {
        self.create().about(shown)
    }

    fn create(self) -> Result<Draft, Errno> {
        for attempt in 0_u8..10 {
            let target = self.name.as_bytes();
            let mut name = Path::new(b".")?;
            name.push(&target[..target.len().min(MOST_NAME - MARKS)])?;
            name.push(b".aio-")?;
            name.push_number(os::process_id())?;
            if attempt > 0 {
                name.push(&[b'-', b'0' + attempt])?;
            }

            let flags = os::O_RDWR | os::O_CREAT | os::O_EXCL;
            match os::open(self.directory.at(), name.as_c(), flags, 0o600) {
                Ok(file) => {
                    return Ok(Draft {
                        file,
                        name,
                        target: self,
                        published: false,
                    });
                }
                // Left by a process of the same id that was killed.
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno),
            }
        }
        Err(Errno::EXIST)
    }
}

fn find(options: &Options, source: &Stat) -> Result<Target, What> {
    let mut path = Path::new(options.target)?;
    if path.as_bytes().is_empty() {
        return Err(What::Errno(Errno::NOENT));
    }
    let mut found = look(&path)?;
    if found.as_ref().is_some_and(|stat| kind(stat) == S_IFDIR) {
        path.join(Path::new(options.source)?.split().1)?;
        found = look(&path)?;
    }
    if let Some(stat) = &found {
        if is_same(stat, source) {
            return Err(What::Text("the same file as SRC"));
        }
        match kind(stat) {
            S_IFREG => {}
            S_IFDIR => return Err(What::Errno(Errno::ISDIR)),
            _ => {
                return Err(What::Text(
                    "not a regular file, and a copy would replace it",
                ));
            }
        }
        // A rename does not ask; the user who made it read-only did mean it.
        os::may_write(CWD, path.as_c())?;
    }
    let path = follow(path)?;
    let (directory, name) = path.split();
    if name.is_empty() {
        return Err(What::Errno(Errno::NOTDIR));
    }
    let name = Path::new(name)?;
    let directory = Path::new(directory)?;
    let open = |access| os::open(CWD, directory.as_c(), access | os::O_DIRECTORY, 0);
    let (directory, syncable) = match open(os::O_RDONLY) {
        Ok(directory) => (directory, true),
        // Files may be made in a directory whose names may not be read.
        Err(Errno::ACCES) => (open(os::O_PATH)?, false),
        Err(errno) => return Err(What::Errno(errno)),
    };
    Ok(Target {
        directory,
        syncable,
        name,
    })
}

fn look(path: &Path) -> Result<Option<Stat>, Errno> {
    match os::stat(CWD, path.as_c()) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

fn is_same(a: &Stat, b: &Stat) -> bool {
    let identity = |stat: &Stat| (stat.stx_dev_major, stat.stx_dev_minor, stat.stx_ino);
    identity(a) == identity(b)
}

/// Follows symbolic links to the name that the file itself has or shall have:
/// a rename would replace the link instead.
fn follow(mut path: Path) -> Result<Path, Errno> {
    const MOST_LINKS: u32 = 40; // the kernel's own bound
    for _ in 0..MOST_LINKS {
        let mut buffer = [0; 4096];
        let link = match os::read_link(CWD, path.as_c(), &mut buffer) {
            Ok(link) => link,
            // No link, or nothing there.
            Err(Errno::INVAL | Errno::NOENT) => return Ok(path),
            Err(errno) => return Err(errno),
        };
        path = if link.starts_with(b"/") {
            Path::new(link)?
        } else {
            let mut next = Path::new(path.split().0)?;
            next.join(link)?;
            next
        };
    }
    Err(Errno::LOOP)
}

/// The file beside the target. Dropped before it is published, it goes away.
pub(super) struct Draft {
    pub(super) file: File,
    name: Path,
    target: Target,
    published: bool,
}

impl Draft {
    /// The mode bits that the copy gets from its source.
    pub(super) fn mode(&self, source: &Stat) -> u32 {
        match os::stat_file(&self.file) {
            Ok(copy) => mode_for(source, &copy),
            Err(_) => u32::from(source.stx_mode) & 0o777,
        }
    }

    /// Gives the draft the target's name, and makes the name last.
    pub(super) fn publish(mut self) -> Result<(), Errno> {
        let directory = &self.target.directory;
        os::rename(directory.at(), self.name.as_c(), self.target.name.as_c())?;
        self.published = true;
        if self.target.syncable {
            match os::fsync(&self.target.directory) {
                // Not every file system can.
                Err(Errno::INVAL | Errno::NOTTY | Errno::OPNOTSUPP) => {}
                other => return other,
            }
        }
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.published {
            let _ = os::unlink(self.target.directory.at(), self.name.as_c());
        }
    }
}
