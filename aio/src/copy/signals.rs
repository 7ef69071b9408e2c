//! Signals that end the process, held back while a half-written file with a name
//! lies about.
//!
//! They are blocked, not handled: the loop looks whether one has arrived,
//! cleans up, and lets it through, so that the process dies by it as the
//! sender expects. Where nothing would be left behind they are not held at all.

use linux_aio::SigSet;
use linux_raw_sys::general as k;

use super::pipeline::Stop;
use crate::os::{self, Mask};

/// Those that do not end a process. (One that tells of an error in this program
/// ends it although it is blocked.)
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

/// Ending signals are let through when this is dropped.
pub(super) struct Signals {
    held: SigSet,
}

impl Signals {
    /// Holds none but SIGXFSZ: a write beyond `ulimit -f` shall fail with EFBIG
    /// and not kill.
    pub(super) fn new() -> Signals {
        os::mask_signals(Mask::Block, &SigSet::empty().with(k::SIGXFSZ));
        Signals {
            held: SigSet::empty(),
        }
    }

    /// Holds back all that end a process.
    pub(super) fn hold(&mut self) {
        let blocked = os::blocked_signals();
        for signal in 1..=(SigSet::BYTES * 8) as u32 {
            // What is ignored, as under nohup, or blocked by the parent, shall stay
            // without effect; held, it would show up as arrived.
            let ends = !OTHERS.contains(&signal) && !blocked.contains(signal);
            if ends && !os::is_ignored(signal) {
                self.held = self.held.with(signal);
            }
        }
        os::mask_signals(Mask::Block, &self.held);
    }

    /// Lets them through after all.
    pub(super) fn release(&mut self) {
        os::mask_signals(Mask::Unblock, &self.held);
        self.held = SigSet::empty();
    }

    /// While signals are held, waits until a descriptor can be read or written, so
    /// that the call itself does not: nothing would end that.
    pub(super) fn wait_ready(&self, fd: i32, to_write: bool) -> Result<(), Stop> {
        while self.held != SigSet::empty() && !os::wait_ready(fd, to_write) {
            if self.arrived() {
                return Err(Stop::Signal);
            }
        }
        Ok(())
    }

    /// Whether one of those that are held waits to end the process.
    pub(super) fn arrived(&self) -> bool {
        let pending = os::pending_signals();
        let mut signals = 1..=(SigSet::BYTES * 8) as u32;
        signals.any(|signal| self.held.contains(signal) && pending.contains(signal))
    }

    /// Holds them for good: what was to be done is done, and the process is about
    /// to end with its own status.
    pub(super) fn keep(self) {
        core::mem::forget(self);
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.release();
    }
}
