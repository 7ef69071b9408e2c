//! Small facts from `/proc`.

use core::ffi::CStr;

use linux_aio::Errno;

use crate::os::{self, At, CWD};

/// Reads a file that fits into the buffer; cut off if it does not.
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

/// The system's bound on AIO: how many events all contexts have asked for, and
/// how many they may.
#[derive(Clone, Copy)]
pub(crate) struct Limit {
    pub(crate) used: u64,
    pub(crate) most: u64,
}

impl Limit {
    /// `None` where the kernel has no AIO, or `/proc` is hidden.
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

/// The process's seccomp mode: 0 none, 1 strict, 2 a filter. `None` if the
/// kernel does not tell.
pub(crate) fn seccomp() -> Option<u64> {
    let mut buffer = [0; 4096];
    let status = read(CWD, c"/proc/self/status", &mut buffer).ok()?;
    status
        .split(|&byte| byte == b'\n')
        .find_map(|line| line.strip_prefix(b"Seccomp:"))
        .and_then(|value| crate::args::number(value.trim_ascii()))
}
