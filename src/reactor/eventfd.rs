//! The eventfds that a reactor signals itself.
//!
//! The kernel signals the reactor's eventfd when an operation completes. For other work
//! the reactor signals it, since an executor that turns only when the eventfd is
//! readable would otherwise sleep for ever
//! ([`Inner::signals_turn`](super::Inner::signals_turn)).
//!
//! An iocb has one eventfd. Where that is the reactor's, the reactor signals the
//! operation's own eventfd when it finds the completion.
//!
//! The caller may have passed any descriptor. Nothing is written to or read from one that
//! is not an anonymous kernel file.

#[cfg(feature = "std")]
use core::ptr::{null, null_mut};
#[cfg(feature = "std")]
use core::time::Duration;

use crate::arch::{ABI, stubs};
#[cfg(feature = "std")]
use crate::context::{Limit, WaitOptions};
use crate::direct_io::{STATX_TYPE, Statx};
use crate::fd::Fd;
#[cfg(feature = "std")]
use crate::sys::abi::SigSet;
use crate::sys::errno::Errno;
#[cfg(feature = "std")]
use crate::sys::getevents::old_timespec;

/// An operation's own eventfd, if the reactor signals it.
#[derive(Clone, Copy)]
pub(super) struct OwnEventfd(i32);

impl OwnEventfd {
    /// No eventfd, as no descriptor is negative.
    pub(super) const NONE: OwnEventfd = OwnEventfd(-1);

    /// Creates one from an open descriptor.
    #[inline]
    pub(super) fn new(eventfd: Option<i32>) -> OwnEventfd {
        eventfd.map_or(OwnEventfd::NONE, OwnEventfd)
    }

    #[inline(always)]
    pub(super) fn is_some(self) -> bool {
        self.0 >= 0
    }

    /// Returns the descriptor and leaves none.
    #[inline]
    pub(super) fn take(&mut self) -> Option<i32> {
        let OwnEventfd(eventfd) = core::mem::replace(self, OwnEventfd::NONE);
        (eventfd >= 0).then_some(eventfd)
    }
}

/// The eventfds to be signalled, outside the lock.
#[derive(Default)]
pub(super) struct Signals {
    /// The reactor's eventfd.
    pub(super) reactor: bool,
    /// An operation's own eventfd.
    pub(super) own: Option<i32>,
}

impl Signals {
    /// Signals the selected eventfds; `eventfd` is the reactor's.
    #[inline]
    pub(super) fn send(self, eventfd: Option<Fd<'_>>) {
        if let (true, Some(eventfd)) = (self.reactor, eventfd) {
            signal(eventfd.as_raw());
        }
        if let Some(own) = self.own {
            signal(own);
        }
    }
}

/// Adds 1 to an eventfd's counter. Does nothing with any other descriptor.
#[cold]
#[inline(never)]
fn signal(eventfd: i32) {
    if !is_anonymous(eventfd) {
        return;
    }
    let one = 1_u64.to_ne_bytes();
    // An error is ignored: the descriptor is not writable or not an eventfd, or
    // the counter is at its maximum and the eventfd is readable already.
    // SAFETY: write(2) reads eight bytes, the length of `one`, which lives until the
    // call returns.
    let _ = Errno::check(unsafe {
        stubs::syscall3(
            ABI.base.write as usize,
            eventfd as usize,
            one.as_ptr().expose_provenance(),
            one.len(),
        )
    });
}

/// Returns whether a descriptor refers to an anonymous kernel file, as an eventfd does.
///
/// Such a file has no type, unlike regular files, pipes, sockets and devices, which a
/// write would change.
pub(super) fn is_anonymous(fd: i32) -> bool {
    Statx::of(fd, STATX_TYPE).is_ok_and(|found| found.is_untyped())
}

/// Waits with ppoll(2) until the eventfd is readable, or as long as `wait` allows.
///
/// # Errors
/// Those of ppoll: EINTR. ENOSYS on riscv32, and where the kernel has no 32-bit time.
/// EBADF if the descriptor is not open.
#[cfg(feature = "std")]
pub(super) fn wait_readable(eventfd: Fd<'_>, wait: WaitOptions<'_>) -> Result<bool, Errno> {
    /// The kernel's `struct pollfd`.
    #[repr(C)]
    struct PollFd {
        fd: i32,
        events: u16,
        revents: u16,
    }
    const POLLIN: u16 = 1;
    const POLLNVAL: u16 = 0x20;

    let ppoll = ABI.base.ppoll.ok_or(Errno::NOSYS)?;
    let mut time = match wait.limit {
        Limit::Never => None,
        Limit::Now => Some(Duration::ZERO),
        Limit::After(time) => Some(time),
    }
    .map(old_timespec);
    let mut polled = PollFd {
        fd: eventfd.as_raw(),
        events: POLLIN,
        revents: 0,
    };
    // SAFETY: one `pollfd`, a local variable, is read and written. The time, to which the
    // kernel writes, is a local variable or null; the mask is borrowed by `wait` or null.
    Errno::check(unsafe {
        stubs::syscall5(
            ppoll as usize,
            (&raw mut polled).expose_provenance(),
            1,
            time.as_mut()
                .map_or(null_mut(), core::ptr::from_mut)
                .expose_provenance(),
            wait.sigmask
                .map_or(null(), core::ptr::from_ref)
                .expose_provenance(),
            SigSet::BYTES,
        )
    })?;
    match polled.revents {
        0 => Ok(false),
        POLLNVAL => Err(Errno::BADF),
        _ => Ok(true),
    }
}

/// Resets an eventfd's counter if it is not zero. If something else resets it between the
/// check and the read, the read blocks until the next signal, unless the eventfd is
/// non-blocking.
#[cfg(all(feature = "std", unix))]
pub(super) fn reset(eventfd: Fd<'_>) {
    use std::io::Read;
    use std::os::fd::FromRawFd;

    if is_anonymous(eventfd.as_raw()) && wait_readable(eventfd, WaitOptions::poll()) == Ok(true) {
        // SAFETY: the descriptor is open, as `eventfd` borrows it. The file is never
        // dropped, so it does not close it.
        let file = unsafe { std::fs::File::from_raw_fd(eventfd.as_raw()) };
        // An error is ignored: what is not readable need not be reset.
        let _ = core::mem::ManuallyDrop::new(file).read(&mut [0; 8]);
    }
}

/// Does nothing: no context exists here, so nothing has been signalled.
#[cfg(all(feature = "std", not(unix)))]
pub(super) fn reset(_: Fd<'_>) {}
