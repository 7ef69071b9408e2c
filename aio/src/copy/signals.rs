//! Signals that end the process, blocked while an incomplete file has a name.
//!
//! The signals are blocked, not handled. The copy loop polls for a pending signal,
//! removes the file, and unblocks the signal, so that the signal ends the process as
//! the sender expects. If no file would be left behind, the signals are not blocked at
//! all.

use linux_aio::SigSet;
use linux_raw_sys::general as k;

use super::pipeline::Stop;
use crate::os::{self, Mask};

/// The signals that do not end a process. (A signal for an error in this program, such
/// as SIGSEGV, ends it although it is blocked.)
const OTHERS: [u32; 9] = [
    k::SIGCHLD,
    k::SIGCONT,
    k::SIGKILL,
    k::SIGSTOP,
    k::SIGTSTP,
    k::SIGTTIN,
    k::SIGTTOU,
    k::SIGURG,
    k::SIGWINCH,
];

/// A set of blocked signals, which are unblocked on drop.
pub(super) struct Signals {
    held: SigSet,
}

impl Signals {
    /// Blocks SIGXFSZ only: a write beyond `ulimit -f` then fails with EFBIG instead of
    /// killing the process.
    pub(super) fn new() -> Signals {
        os::mask_signals(Mask::Block, &SigSet::empty().with(k::SIGXFSZ));
        Signals {
            held: SigSet::empty(),
        }
    }

    /// Blocks all signals that end a process.
    pub(super) fn hold(&mut self) {
        let blocked = os::blocked_signals();
        for signal in 1..=(SigSet::BYTES * 8) as u32 {
            // A signal that is ignored, as under nohup, or blocked by the parent must
            // stay without effect. If it were blocked here, it would count as pending.
            let ends = !OTHERS.contains(&signal) && !blocked.contains(signal);
            if ends && !os::is_ignored(signal) {
                self.held = self.held.with(signal);
            }
        }
        os::mask_signals(Mask::Block, &self.held);
    }

    /// Unblocks the signals.
    pub(super) fn release(&mut self) {
        os::mask_signals(Mask::Unblock, &self.held);
        self.held = SigSet::empty();
    }

    /// While signals are blocked, waits until a descriptor can be read or written. The
    /// read or write itself must not wait: no signal would interrupt it.
    pub(super) fn wait_ready(&self, fd: i32, to_write: bool) -> Result<(), Stop> {
        while self.held != SigSet::empty() && !os::wait_ready(fd, to_write) {
            if self.arrived() {
                return Err(Stop::Signal);
            }
        }
        Ok(())
    }

    /// Returns whether a blocked signal is pending.
    pub(super) fn arrived(&self) -> bool {
        let pending = os::pending_signals();
        let mut signals = 1..=(SigSet::BYTES * 8) as u32;
        signals.any(|signal| self.held.contains(signal) && pending.contains(signal))
    }

    /// Keeps the signals blocked: the copy is complete, and the process is about to
    /// exit with its own status.
    pub(super) fn keep(self) {
        core::mem::forget(self);
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.release();
    }
}
