//! Signals that ask the process to end, held back while a half-written file
//! lies about.
//!
//! They are blocked, not handled: the loop looks whether one has arrived,
//! cleans up, and lets it through, so that the process dies by it as the
//! sender expects.

use linux_aio::SigSet;
use linux_raw_sys::general::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGXFSZ};

use crate::os::{self, Mask};

const ENDING: [u32; 4] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM];

/// Ending signals are held back while this lives.
pub(super) struct Signals {
    held: SigSet,
}

impl Signals {
    pub(super) fn hold() -> Signals {
        let mut held = SigSet::empty();
        for signal in ENDING {
            // Under nohup it shall stay without effect; blocked, it would
            // show up as arrived.
            if !os::is_ignored(signal) {
                held = held.with(signal);
            }
        }
        // A write beyond `ulimit -f` shall fail with EFBIG and not kill; this
        // one is never let through.
        os::mask_signals(Mask::Block, &held.with(SIGXFSZ));
        Signals { held }
    }

    /// Whether one waits to end the process.
    pub(super) fn arrived(&self) -> bool {
        let pending = os::pending_signals();
        ENDING
            .into_iter()
            .any(|signal| self.held.contains(signal) && pending.contains(signal))
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        os::mask_signals(Mask::Unblock, &self.held);
    }
}
