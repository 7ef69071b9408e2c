//! The eventfds that a reactor signals itself.
//!
//! The kernel signals the reactor's eventfd when an operation completes. For other work
//! the reactor signals it, since an executor that turns only when the eventfd is
//! readable would otherwise sleep for ever
//! ([`Inside::asks_for_turn`](super::Inside::asks_for_turn)).
//!
//! An iocb has one eventfd. Where that is the reactor's, the reactor signals the
//! operation's own eventfd when it finds the completion.
//!
//! The caller may have passed any descriptor. Nothing is written to one that is
//! not an anonymous kernel file.

use crate::arch::{ABI, stubs};
use crate::direct_io::{STATX_TYPE, Statx};
use crate::fd::Fd;
use crate::sys::errno::Errno;

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
