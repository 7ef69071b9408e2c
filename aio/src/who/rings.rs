//! The rings of one process.

use linux_aio::Errno;

use crate::os::{self, At};
use crate::path::Path;
use crate::proc::hex;

use super::lines::Lines;

/// The mapping of a ring in one process.
#[derive(Clone, Copy)]
pub(super) struct Ring {
    pub(super) process: u64,
    /// The time at which the process was started, in ticks since boot.
    pub(super) started: u64,
    /// The device and the inode of the file. A context has its own.
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) bytes: u64,
    /// The address of the mapping, and the end of its first line.
    address: u64,
    end: u64,
    /// True if the mapping is known to be a ring.
    pub(super) is_real: bool,
    /// What the ring itself says, if it can be read.
    pub(super) header: Option<Header>,
    /// True if the context does not exist any more: only a mapping is left, in a child.
    pub(super) is_dead: bool,
}

/// The header of a ring.
#[derive(Clone, Copy)]
pub(super) struct Header {
    pub(super) slots: u32,
    /// The number of completions in the ring.
    pub(super) ready: u32,
}

/// Calls `found` for each mapping of the process that looks like a ring. Returns the number
/// of gVisor's, which have no file and no contents.
pub(super) fn each(
    proc: At,
    id: &[u8],
    found: &mut dyn FnMut(Ring) -> Result<(), Errno>,
) -> Result<u64, Errno> {
    let mut empty = 0;
    let maps = os::open(proc, path(id, b"maps")?.as_c(), os::O_RDONLY, 0)?;
    let mut lines = Lines::new(&maps);
    // A ring of which a part was protected or locked has several lines.
    let mut last: Option<Ring> = None;
    while let Some(line) = lines.next()? {
        empty += u64::from(is_gvisor(line));
        let Some(ring) = parse(line) else { continue };
        match &mut last {
            Some(last) if last.is_before(&ring) => last.bytes += ring.bytes,
            _ => {
                if let Some(complete) = last.replace(ring) {
                    found(complete)?;
                }
            }
        }
    }
    last.map_or(Ok(()), found)?;
    Ok(empty)
}

/// Returns whether a line describes the page that gVisor maps for a context:
/// `7f30bd038000-7f30bd039000 r--s 00000000 00:00 0   [aio]`. Linux has no such line: there
/// each name of a file begins with a slash.
fn is_gvisor(line: &[u8]) -> bool {
    let mut fields = line
        .split(|&byte| byte == b' ')
        .filter(|field| !field.is_empty());
    fields.nth(4) == Some(b"0") && fields.next() == Some(b"[aio]")
}

/// Returns the path of a file of a process, relative to `/proc`.
pub(super) fn path(id: &[u8], name: &[u8]) -> Result<Path, Errno> {
    let mut path = Path::new(id)?;
    path.join(name)?;
    Ok(path)
}

/// Parses a line that describes a ring:
/// `7f0c5a2e4000-7f0c5a2e5000 rw-s 00000000 00:10 4711   /[aio] (deleted)`.
fn parse(line: &[u8]) -> Option<Ring> {
    let mut fields = line
        .split(|&byte| byte == b' ')
        .filter(|field| !field.is_empty());
    let mut range = fields.next()?.split(|&byte| byte == b'-');
    let (start, end) = (hex(range.next()?)?, hex(range.next()?)?);
    // Permissions and offset precede the device.
    let mut device = fields.nth(2)?.split(|&byte| byte == b':');
    let (major, minor) = (hex(device.next()?)?, hex(device.next()?)?);
    let inode = crate::args::number(fields.next()?)?;
    // Internal file systems of the kernel have the major number 0.
    if fields.next()? != b"/[aio]" || major != 0 {
        return None;
    }
    Some(Ring {
        process: 0,
        started: 0,
        device: minor,
        inode,
        bytes: end.checked_sub(start)?,
        address: start,
        end,
        is_real: false,
        header: None,
        is_dead: false,
    })
}

impl Ring {
    /// Returns whether the other one is the next part of the same mapping.
    fn is_before(&self, next: &Ring) -> bool {
        let same = (self.device, self.inode) == (next.device, next.inode);
        same && self.address + self.bytes == next.address
    }

    /// Checks by the file system of the mapping's file whether it is a ring. `None` if
    /// that cannot be found out: it requires a privilege.
    pub(super) fn check(&self, proc: At, id: &[u8]) -> Option<bool> {
        /// The magic number of AIO's file system.
        const MAGIC: u64 = 0xa10a_10a1;
        let mut name = path(id, b"map_files/").ok()?;
        name.push_hex(self.address).ok()?;
        name.push(b"-").ok()?;
        name.push_hex(self.end).ok()?;
        let file = os::open(proc, name.as_c(), os::O_PATH, 0).ok()?;
        Some(os::file_system(&file).ok()? == MAGIC)
    }

    /// Reads the header of the ring in the memory of the process.
    pub(super) fn read_header(&mut self, proc: At, id: &[u8]) {
        let mut words = [0_u32; 8];
        let file = path(id, b"mem").and_then(|name| os::open(proc, name.as_c(), os::O_RDONLY, 0));
        let Ok(file) = file else { return };
        // SAFETY: the buffer has 32 bytes, and any bytes are valid in it.
        let read = unsafe { os::read_at(file.raw(), words.as_mut_ptr().cast(), 32, self.address) };
        match read {
            Ok(32) => {}
            // The kernel takes the pages from the file when the context is destroyed.
            Err(Errno::IO) => {
                self.is_dead = true;
                return;
            }
            _ => return,
        }
        let [_, slots, head, tail, magic, ..] = words;
        if magic != 0xa10a_10a1 || slots == 0 || head >= slots || tail >= slots {
            return;
        }
        let ready = if tail >= head {
            tail - head
        } else {
            tail + slots - head
        };
        self.header = Some(Header { slots, ready });
    }

    /// Returns the least and the largest number of events for which the kernel makes a
    /// ring of this size.
    ///
    /// io_setup(2) doubles the number, or four times the number of possible processors if
    /// that is more, adds two, and rounds up to pages: `ioctx_alloc` in `fs/aio.c`.
    pub(super) fn events(&self, processors: u64, page: u64) -> (u64, u64) {
        const HEADER: u64 = 32;
        const EVENT: u64 = 32;
        let page = page.max(4096);
        let fit = |bytes: u64| bytes.saturating_sub(HEADER) / EVENT;
        let slots = fit(self.bytes);
        let most = (slots.saturating_sub(2) / 2).max(1);
        let smaller = fit(self.bytes.saturating_sub(page));
        // The least number whose ring does not fit in one page less.
        let least = (smaller + 1).saturating_sub(2).div_ceil(2).max(1);
        let least = if least <= processors * 4 { 1 } else { least };
        (least.min(most), most)
    }
}
