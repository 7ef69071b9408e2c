//! The file or device to measure.

use core::fmt;

use linux_aio::Errno;
use linux_aio::direct_io::Alignment;
use linux_raw_sys::general::{S_IFBLK, S_IFDIR, S_IFMT, S_IFREG};

use super::Options;
use crate::os::{self, CWD, File, Memory};
use crate::path::{Path, Shown};
use crate::print::{Text, complain};

pub(super) struct Target {
    pub(super) file: File,
    pub(super) size: u64,
    /// True if the page cache takes no part.
    pub(super) direct: bool,
    /// The block sizes must be multiples of this.
    pub(super) alignment: u64,
}

/// The reason why a file cannot be measured.
pub(super) enum Unfit {
    Errno(Errno),
    Text(&'static str),
}

impl From<Errno> for Unfit {
    fn from(errno: Errno) -> Unfit {
        Unfit::Errno(errno)
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unfit::Errno(errno) => errno.fmt(f),
            Unfit::Text(text) => Text(text).fmt(f),
        }
    }
}

impl Target {
    pub(super) fn open(options: &Options) -> Result<Target, Unfit> {
        let path = Path::new(options.path)?;
        // Opening a pipe would wait for its writer, and some devices act when they are
        // opened.
        let held = os::open(CWD, path.as_c(), os::O_PATH, 0)?;
        let stat = os::stat_file(&held)?;
        let kind = u32::from(stat.stx_mode) & S_IFMT;
        let (file, size) = match kind {
            S_IFDIR => (own_file(&held, options.size)?, options.size),
            S_IFREG | S_IFBLK if options.write && !options.overwrite => {
                return Err(Unfit::Text(
                    "'--write' destroys its data, which needs '--overwrite'; or name a directory",
                ));
            }
            S_IFREG | S_IFBLK => {
                let mut flags = if options.write {
                    os::O_RDWR
                } else {
                    os::O_RDONLY
                };
                if options.write && kind == S_IFBLK {
                    // A device that is mounted or otherwise in use is refused.
                    flags |= os::O_EXCL;
                }
                let flags = flags | os::O_NOCTTY | os::O_NONBLOCK;
                // The name may lead to another file meanwhile.
                let file = match os::open_held(&held, flags) {
                    // Without /proc, the file is opened by its name again.
                    Err(Errno::NOENT) => os::open(CWD, path.as_c(), flags, 0)?,
                    other => other?,
                };
                let size = match kind {
                    S_IFBLK => os::device_size(&file)?,
                    _ => stat.stx_size,
                };
                if kind == S_IFREG && stat.stx_blocks.saturating_mul(512) < size / 10 * 9 {
                    complain(format_args!(
                        "bench: {}: has holes, whose reads do not reach the disk",
                        Shown(options.path)
                    ));
                }
                (file, size)
            }
            _ => {
                return Err(Unfit::Text(
                    "neither a file, nor a block device, nor a directory",
                ));
            }
        };
        let mut target = Target {
            file,
            size,
            direct: false,
            alignment: 1,
        };
        if !options.buffered {
            target.make_direct(options);
        }
        Ok(target)
    }

    fn make_direct(&mut self, options: &Options) {
        // SAFETY: the descriptor is open until the end of this function.
        let alignment = Alignment::of(unsafe { linux_aio::Fd::borrow_raw(self.file.raw()) });
        let offset = alignment
            .map_or(None, |known| known)
            .map(|known| known.offset());
        match os::set_direct(&self.file, true) {
            Ok(()) if offset != Some(0) => {
                self.direct = true;
                // Where the kernel does not report it, every file system accepts 4096.
                self.alignment = offset.unwrap_or(512) as u64;
            }
            result => {
                let _ = os::set_direct(&self.file, false);
                let errno = result.err().unwrap_or(Errno::INVAL);
                complain(format_args!(
                    "bench: {}: no direct I/O ({errno}); the page cache is measured, where AIO \
                     runs inside io_submit",
                    Shown(options.path)
                ));
            }
        }
    }
}

/// Creates a file in the directory that has no name, or loses it at once, and fills it.
fn own_file(directory: &File, size: u64) -> Result<File, Errno> {
    let flags = os::O_TMPFILE | os::O_RDWR;
    let at = directory.at();
    let file = match os::open(at, c".", flags, 0o600) {
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOENT) => {
            let mut name = Path::new(b".aio-bench-")?;
            name.push_hex(os::random())?;
            let flags = os::O_CREAT | os::O_EXCL | os::O_RDWR;
            let file = os::open(at, name.as_c(), flags, 0o600)?;
            os::unlink(at, name.as_c())?;
            file
        }
        other => other?,
    };
    const BLOCK: usize = 1 << 20;
    let memory = Memory::new(BLOCK)?;
    // SAFETY: the memory is as large, and nothing else uses it.
    unsafe { core::slice::from_raw_parts_mut(memory.address(), BLOCK) }.fill(0xa5);
    let mut at = 0;
    while at < size {
        let length = (size - at).min(BLOCK as u64) as usize;
        // SAFETY: the memory has at least `length` bytes, and nothing writes to them.
        at += unsafe { os::write_at(file.raw(), memory.address(), length, at) }? as u64;
    }
    os::fsync(&file)?;
    Ok(file)
}
