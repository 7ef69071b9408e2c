//! Diagnosis of why AIO does not work, as far as a program can find out.
//!
//! The error number of io_setup(2) is not enough: a kernel without AIO, a seccomp
//! filter and an emulator all return ENOSYS. Further evidence distinguishes them:
//! `fs.aio-max-nr` exists exactly where the kernel has AIO, another AIO system call that
//! knows its arguments to be wrong proves the same, and the status of the process
//! contains whether a filter is installed.

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

    pub(crate) fn text(self) -> &'static str {
        match self {
            Cause::Kernel => "this kernel is built without AIO (CONFIG_AIO)",
            Cause::Sandbox => "a sandbox forbids AIO",
            Cause::Emulator => {
                "the kernel has AIO, but what runs this program does not pass it on \
                 (an emulator such as QEMU user mode)"
            }
            Cause::Limit => "the system's AIO limit (fs.aio-max-nr) is used up",
            Cause::Memory => "no memory for an AIO context",
            Cause::Unknown => "no AIO: the kernel is built without it or a sandbox hides it",
        }
    }

    /// Writes what an administrator can do.
    pub(crate) fn advise(self, limit: Option<Limit>, f: &mut dyn fmt::Write) -> fmt::Result {
        f.write_str(match self {
            Cause::Kernel => "run a kernel with CONFIG_AIO",
            Cause::Sandbox => "'aio probe --syscalls' prints a profile",
            Cause::Emulator => "run it without the emulator, or in a virtual machine",
            Cause::Limit => {
                f.write_str("'aio who' shows who holds them; ")?;
                return raise(limit, f);
            }
            Cause::Memory => "raise the limits of memory and processes (ulimit, cgroup)",
            Cause::Unknown => "mount /proc, and probe again",
        })
    }
}

/// Returns a larger limit: the value that most installation guides of databases name, or
/// twice the present one.
pub(crate) fn raised(limit: Option<Limit>) -> u64 {
    const USUAL: u64 = 1 << 20;
    match limit {
        Some(limit) if limit.most >= USUAL => limit.most.saturating_mul(2),
        _ => USUAL,
    }
}

/// Writes the command that raises the limit.
pub(crate) fn raise(limit: Option<Limit>, f: &mut dyn fmt::Write) -> fmt::Result {
    write!(
        f,
        "raise it, as root on the host: 'sysctl -w fs.aio-max-nr={}'",
        raised(limit)
    )
}

/// What was observed besides the error number.
#[derive(Clone, Copy, Default)]
pub(crate) struct Evidence {
    pub(crate) limit: Option<Limit>,
    pub(crate) has_sysctls: bool,
    pub(crate) seccomp: Option<u64>,
    /// True if an AIO system call was answered by the kernel.
    pub(crate) has_aio: bool,
    /// The number of events requested.
    pub(crate) requested: u32,
}

impl Evidence {
    /// Returns whether `/proc` does not reveal if the kernel has AIO.
    pub(crate) fn is_hidden(&self) -> bool {
        self.limit.is_none() && !self.has_sysctls && !self.has_aio
    }

    fn has_filter(&self) -> bool {
        self.seccomp.is_some_and(|mode| mode != 0)
    }

    /// Returns the cause of an error of io_setup(2).
    pub(crate) fn of_setup(&self, errno: Errno) -> Cause {
        match errno {
            Errno::NOSYS if self.limit.is_some() || self.has_aio => self.of_other(errno),
            Errno::NOSYS if self.has_sysctls => Cause::Kernel,
            Errno::NOSYS => Cause::Unknown,
            Errno::AGAIN => match self.limit {
                // There is room: the kernel would not have returned this error.
                Some(limit) if self.has_filter() && limit.has_room(self.requested) => {
                    Cause::Sandbox
                }
                _ => Cause::Limit,
            },
            Errno::NOMEM | Errno::NFILE | Errno::MFILE => Cause::Memory,
            _ => self.of_other(errno),
        }
    }

    /// Returns the cause of an error of another system call of a kernel with AIO.
    pub(crate) fn of_other(&self, errno: Errno) -> Cause {
        match errno {
            Errno::PERM | Errno::ACCES => Cause::Sandbox,
            _ if self.has_filter() => Cause::Sandbox,
            Errno::NOSYS if self.seccomp.is_some() => Cause::Emulator,
            Errno::NOSYS => Cause::Sandbox,
            _ => Cause::Unknown,
        }
    }
}

/// The reason why a context could not be created.
pub(crate) struct Diagnosis {
    errno: Errno,
    cause: Cause,
    evidence: Evidence,
}

impl Diagnosis {
    /// Determines why io_setup(2) for `requested` events failed with `errno`.
    pub(crate) fn find(errno: Errno, requested: u32) -> Diagnosis {
        let evidence = Evidence {
            limit: Limit::now(),
            has_sysctls: proc::has_sysctls(),
            seccomp: proc::seccomp(),
            has_aio: false,
            requested,
        };
        Diagnosis {
            errno,
            cause: evidence.of_setup(errno),
            evidence,
        }
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Evidence {
            limit, requested, ..
        } = self.evidence;
        match (self.cause, limit) {
            (Cause::Limit, Some(Limit { used, most })) => {
                write!(
                    f,
                    "the system's AIO limit is used up: fs.aio-nr is {used} of \
                     fs.aio-max-nr {most}, this needs {requested} more; 'aio who' shows who \
                     holds them; "
                )?;
                raise(limit, f)?;
            }
            (Cause::Unknown, _) if !self.evidence.is_hidden() => f.write_str("no AIO context")?,
            (cause, _) => f.write_str(cause.text())?,
        }
        if self.cause == Cause::Sandbox && self.evidence.has_filter() {
            f.write_str(" (a seccomp filter is installed)")?;
        }
        write!(f, ": {}", self.errno)
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Limit { used, most } = self;
        write!(f, "fs.aio-nr is {used} of fs.aio-max-nr {most}")
    }
}
