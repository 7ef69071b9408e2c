//! System calls that only the first process of a kernel makes.

use core::ffi::CStr;

use linux_aio::Errno;
use linux_aio::syscall::{syscall1, syscall2, syscall3, syscall4, syscall5};

use super::{Result, number};
use crate::nr;

/// The structure that uname(2) fills.
#[repr(C)]
pub(crate) struct Names {
    system: [u8; 65],
    node: [u8; 65],
    release: [u8; 65],
    version: [u8; 65],
    machine: [u8; 65],
    domain: [u8; 65],
}

impl Names {
    pub(crate) fn release(&self) -> &[u8] {
        text(&self.release)
    }

    pub(crate) fn version(&self) -> &[u8] {
        text(&self.version)
    }

    pub(crate) fn machine(&self) -> &[u8] {
        text(&self.machine)
    }
}

fn text(bytes: &[u8]) -> &[u8] {
    let text = bytes.split(|&byte| byte == 0).next();
    text.unwrap_or_default()
}

pub(crate) fn uname() -> Result<Names> {
    const EMPTY: [u8; 65] = [0; 65];
    let mut names = Names {
        system: EMPTY,
        node: EMPTY,
        release: EMPTY,
        version: EMPTY,
        machine: EMPTY,
        domain: EMPTY,
    };
    // SAFETY: `names` has the size that the kernel writes.
    Errno::check(unsafe {
        syscall1(
            nr::__NR_uname as usize,
            (&raw mut names).expose_provenance(),
        )
    })?;
    Ok(names)
}

/// Returns whether the kernel is gVisor, which always reports the same version.
pub(crate) fn is_gvisor() -> bool {
    const VERSION: &[u8] = b"#1 SMP Sun Jan 10 15:06:54 PST 2016";
    uname().is_ok_and(|names| names.release() == b"4.4.0" && names.version() == VERSION)
}

pub(crate) fn mkdir(path: &CStr) -> Result<usize> {
    // SAFETY: the path ends with a zero byte.
    Errno::check(unsafe {
        syscall3(
            nr::__NR_mkdirat as usize,
            number(nr::AT_FDCWD),
            path.as_ptr().expose_provenance(),
            0o755,
        )
    })
}

pub(crate) fn mount(what: &CStr, on: &CStr, kind: &CStr, options: &CStr) -> Result<usize> {
    // SAFETY: all four strings end with a zero byte. The process is the only one on the
    // machine, so the mount hides no files that another one uses.
    Errno::check(unsafe {
        syscall5(
            nr::__NR_mount as usize,
            what.as_ptr().expose_provenance(),
            on.as_ptr().expose_provenance(),
            kind.as_ptr().expose_provenance(),
            0,
            options.as_ptr().expose_provenance(),
        )
    })
}

pub(crate) fn umount(path: &CStr) -> Result<usize> {
    // SAFETY: the path ends with a zero byte.
    Errno::check(unsafe {
        syscall2(
            nr::__NR_umount2 as usize,
            path.as_ptr().expose_provenance(),
            0,
        )
    })
}

/// Loads a module from an open file.
pub(crate) fn load_module(fd: i32, parameters: &CStr) -> Result<usize> {
    // SAFETY: the parameters end with a zero byte; the module belongs to the running
    // kernel.
    Errno::check(unsafe {
        syscall3(
            nr::__NR_finit_module as usize,
            number(fd),
            parameters.as_ptr().expose_provenance(),
            0,
        )
    })
}

/// Switches the machine off. A machine that cannot be switched off is restarted; the
/// emulator is configured to exit instead.
pub(crate) fn power_off() -> ! {
    const MAGIC: [usize; 2] = [0xfee1_dead, 0x2812_1969];
    const POWER_OFF: usize = 0x4321_fedc;
    const RESTART: usize = 0x0123_4567;
    for command in [POWER_OFF, RESTART] {
        // SAFETY: all output has been written.
        let _ = unsafe { syscall4(nr::__NR_reboot as usize, MAGIC[0], MAGIC[1], command, 0) };
    }
    // The exit of its first process makes the kernel panic, which ends the machine too.
    linux_aio::rt::exit(1)
}
