//! The eventfds that a reactor writes to itself.
//!
//! The kernel signals the reactor's eventfd when an operation that was submitted
//! with it has ended. What the kernel does not tell of, the reactor must, or an
//! executor that turns only when the eventfd is readable would sleep for ever
//! ([`Inside::asks_for_turn`](super::Inside::asks_for_turn)). And an operation
//! has one eventfd in its iocb: where that is the reactor's, the operation's own
//! is signalled by the reactor, when it finds that the operation has ended.
//!
//! Nothing is written to a descriptor that is not an anonymous file of the
//! kernel's: a caller may have passed anything.

use crate::arch::{FACTS, trap};
use crate::direct::{STATX_TYPE, Statx};
use crate::errno::Errno;
use crate::fd::Fd;

/// What is to be signalled, outside the lock.
#[derive(Default)]
pub(super) struct Signals {
    /// The reactor's.
    pub(super) reactor: bool,
    /// An operation's own.
    pub(super) own: Option<i32>,
}

impl Signals {
    /// Signals them; `eventfd` is the reactor's.
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

/// Adds one to an eventfd's counter, or does nothing to what is none.
#[cold]
#[inline(never)]
fn signal(eventfd: i32) {
    if !is_anonymous(eventfd) {
        return;
    }
    let one = 1_u64.to_ne_bytes();
    // An error: it is not open for writing, or no eventfd; or it is, and its
    // counter is at the end, so that it is readable anyway.
    // SAFETY: write(2) reads eight bytes, which are there.
    let _ = Errno::check(unsafe {
        trap::syscall3(
            FACTS.base.write as usize,
            eventfd as usize,
            one.as_ptr().addr(),
            one.len(),
        )
    });
}

/// Whether a descriptor is of a file without type, name and content, as
/// eventfds are: not of a file, pipe, socket or device that a write would
/// change.
pub(super) fn is_anonymous(fd: i32) -> bool {
    Statx::of(fd, STATX_TYPE).is_ok_and(|found| found.is_untyped())
}
