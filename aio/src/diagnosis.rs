//! Diagnosis of why AIO does not work, as far as a program can find out.
//!
//! The error number of io_setup(2) is not enough: a kernel without AIO, a seccomp
//! filter and an emulator all return ENOSYS. `/proc` distinguishes them:
//! `fs.aio-max-nr` exists exactly where the kernel has AIO, and the status of the
//! process contains whether a filter is installed.

use core::fmt;

use linux_aio::Errno;

use crate::proc::{self, Limit};

/// The cause of a failed io_setup(2).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// This kernel was built without AIO.
    Kernel,
    /// A seccomp filter or another sandbox.
    Sandbox,
    /// A replacement for the kernel, such as QEMU user mode or gVisor.
    Emulator,
    /// `fs.aio-max-nr` is used up.
    Limit,
    /// Not enough memory.
    Memory,
    /// The cause cannot be determined.
    Unknown,
}

impl Cause {
    /// Returns the word for the cause in JSON.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Cause::Kernel => "kernel",
            Cause::Sandbox => "sandbox",
            Cause::Emulator => "emulator",
            Cause::Limit => "limit",
            Cause::Memory => "memory",
            Cause::Unknown => "unknown",
        }
    }
}

/// The reason why a context could not be created.
pub(crate) struct Diagnosis {
    pub(crate) errno: Errno,
    pub(crate) cause: Cause,
    /// The number of events requested.
    requested: u32,
    limit: Option<Limit>,
    seccomp: Option<u64>,
}

impl Diagnosis {
    /// Determines why io_setup(2) for `requested` events failed with `errno`.
    pub(crate) fn find(errno: Errno, requested: u32) -> Diagnosis {
        let limit = Limit::now();
        let seccomp = proc::seccomp();
        let cause = match errno {
            Errno::NOSYS => match (limit.is_some(), seccomp) {
                (true, Some(0)) => Cause::Emulator,
                (true, Some(_)) => Cause::Sandbox,
                (false, Some(0)) => Cause::Kernel,
                _ => Cause::Unknown,
            },
            Errno::PERM | Errno::ACCES => Cause::Sandbox,
            Errno::AGAIN => Cause::Limit,
            Errno::NOMEM => Cause::Memory,
            _ => Cause::Unknown,
        };
        Diagnosis {
            errno,
            cause,
            requested,
            limit,
            seccomp,
        }
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cause {
            Cause::Kernel => f.write_str("this kernel is built without AIO (CONFIG_AIO)")?,
            Cause::Sandbox if self.seccomp.is_some_and(|mode| mode != 0) => {
                f.write_str("a sandbox forbids AIO (a seccomp filter is installed)")?;
            }
            Cause::Sandbox => f.write_str("a sandbox forbids AIO")?,
            Cause::Emulator => f.write_str(
                "the kernel has AIO, but what runs this program does not pass it on \
                 (an emulator such as QEMU user mode)",
            )?,
            Cause::Limit => match self.limit {
                Some(Limit { used, most }) => write!(
                    f,
                    "the system's AIO limit is used up: fs.aio-nr is {used} of \
                     fs.aio-max-nr {most}, this needs {} more; 'aio who' shows who holds them",
                    self.requested
                )?,
                None => f.write_str("the system's AIO limit (fs.aio-max-nr) is used up")?,
            },
            Cause::Memory => f.write_str("no memory for an AIO context")?,
            Cause::Unknown if self.errno == Errno::NOSYS => {
                f.write_str("no AIO: the kernel is built without it or a sandbox hides it")?
            }
            Cause::Unknown => f.write_str("no AIO context")?,
        }
        write!(f, ": {}", self.errno)
    }
}
