//! Small values from `/proc`.

use core::ffi::CStr;

use linux_aio::Errno;

use crate::os::{self, At, CWD};

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

/// Returns the seccomp mode of the process: 0 none, 1 strict, 2 a filter. `None` if the
/// kernel does not report it.
pub(crate) fn seccomp() -> Option<u64> {
    let mut buffer = [0; 4096];
    let status = read(CWD, c"/proc/self/status", &mut buffer).ok()?;
    status
        .split(|&byte| byte == b'\n')
        .find_map(|line| line.strip_prefix(b"Seccomp:"))
        .and_then(|value| crate::args::number(value.trim_ascii()))
}
