//! Small values from `/proc`.

use core::ffi::CStr;

use linux_aio::Errno;

use crate::os::{self, At, CWD};
use crate::path::Path;

/// Reads a file into the buffer. A file that does not fit is truncated.
pub(crate) fn read<'a>(at: At, path: &CStr, buffer: &'a mut [u8]) -> Result<&'a [u8], Errno> {
    let file = os::open(at, path, os::O_RDONLY | os::O_NOCTTY, 0)?;
    let mut filled = 0;
    while filled < buffer.len() {
        match os::read(&file, &mut buffer[filled..])? {
            0 => break,
            more => filled += more,
        }
    }
    Ok(&buffer[..filled])
}

/// The system-wide AIO limit: the number of events that all contexts have requested,
/// and the maximum.
#[derive(Clone, Copy)]
pub(crate) struct Limit {
    pub(crate) used: u64,
    pub(crate) most: u64,
}

impl Limit {
    /// Returns whether a context for this many events can be created.
    pub(crate) fn has_room(self, requested: u32) -> bool {
        self.used.saturating_add(requested.into()) <= self.most
    }

    /// Returns how many events can still be requested.
    pub(crate) fn free(self) -> u64 {
        self.most.saturating_sub(self.used)
    }

    /// Returns whether half of the limit or more is used.
    pub(crate) fn is_scarce(self) -> bool {
        self.used >= self.most.div_ceil(2)
    }

    /// Returns the current limit; `None` if the kernel has no AIO or `/proc` is hidden.
    pub(crate) fn now() -> Option<Limit> {
        let number = |path| {
            let mut buffer = [0; 32];
            let text = read(CWD, path, &mut buffer).ok()?;
            crate::args::number(text.trim_ascii())
        };
        Some(Limit {
            used: number(c"/proc/sys/fs/aio-nr")?,
            most: number(c"/proc/sys/fs/aio-max-nr")?,
        })
    }
}

/// Returns whether the kernel's parameters of files can be read. A restricted `/proc`
/// (`subset=pid`) does not have them, although the kernel has AIO.
pub(crate) fn has_sysctls() -> bool {
    os::open(CWD, c"/proc/sys/fs/file-max", os::O_RDONLY, 0).is_ok()
}

/// Returns the value of a line `name:` in the text of a `status` file.
pub(crate) fn field<'a>(status: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    status
        .split(|&byte| byte == b'\n')
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(b":"))
        .map(<[u8]>::trim_ascii)
}

/// Returns the seccomp mode of the process: 0 none, 1 strict, 2 a filter. `None` if the
/// kernel does not report it.
pub(crate) fn seccomp() -> Option<u64> {
    let mut buffer = [0; 4096];
    let status = read(CWD, c"/proc/self/status", &mut buffer).ok()?;
    crate::args::number(field(status, b"Seccomp")?)
}

/// Parses hexadecimal digits.
pub(crate) fn hex(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |value, &digit| {
        let digit = char::from(digit).to_digit(16)?;
        value.checked_mul(16)?.checked_add(digit.into())
    })
}

/// Returns whether a process that this one leaves behind may end as a child of pid 1.
///
/// A pid 1 that does not wait for its children keeps each as a zombie, as many programs
/// in containers do. One that ignores SIGCHLD or reads it from a descriptor has no
/// zombies, nor has a program with one thread that handles the signal. Of any other, no
/// more than a few zombies may exist: so many are left at most.
pub(crate) fn orphans_may_be_left() -> bool {
    const MOST: usize = 16;
    let mut buffer = [0; 4096];
    let Ok(status) = read(CWD, c"/proc/1/status", &mut buffer) else {
        return false;
    };
    let has = |name: &[u8]| {
        let set = field(status, name).and_then(hex).unwrap_or(0);
        set >> (linux_raw_sys::general::SIGCHLD - 1) & 1 != 0
    };
    let one_thread = field(status, b"Threads") == Some(b"1");
    if has(b"SigIgn") || has(b"SigBlk") || (one_thread && has(b"SigCgt")) {
        return true;
    }
    let mut buffer = [0; 4096];
    let Ok(children) = read(CWD, c"/proc/1/task/1/children", &mut buffer) else {
        return false;
    };
    // A list that does not fit is too long to examine.
    let whole = children.len() < 4096;
    let zombies = children
        .split(|&byte| byte == b' ')
        .filter(|id| !id.is_empty() && is_zombie(id));
    whole && zombies.take(MOST).count() < MOST
}

fn is_zombie(id: &[u8]) -> bool {
    let mut buffer = [0; 512];
    let status = Path::new(b"/proc/").and_then(|mut path| {
        path.push(id)?;
        path.push(b"/status")?;
        read(CWD, path.as_c(), &mut buffer)
    });
    status.is_ok_and(|status| field(status, b"State").is_some_and(|state| state.starts_with(b"Z")))
}
