//! Checks signal actions and the signal mask of `rt`: layouts and constants of each
//! architecture, and the return from a handler.

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use linux_aio::rt::signal::{self, Action};
use linux_aio::{Errno, SigSet};

use crate::check::Check;
use crate::{nr, os};

/// The number of times that the handler has run.
static RUNS: AtomicU32 = AtomicU32::new(0);
/// The argument of its last run, and whether that run had the requested mask.
static SIGNAL: AtomicU32 = AtomicU32::new(0);
static MASKED: AtomicU32 = AtomicU32::new(0);

extern "C" fn handler(signal: i32) {
    SIGNAL.store(signal as u32, Relaxed);
    // Reading the mask sets another one, which ends with the handler.
    if let Ok(mask) = signal::set_mask(SigSet::full()) {
        let masked =
            mask.contains(nr::SIGUSR1) && mask.contains(HIGH) && !mask.contains(nr::SIGCHLD);
        MASKED.store(u32::from(masked), Relaxed);
    }
    // The MC68000 cannot add to memory atomically. Only one thread runs the handler.
    RUNS.store(RUNS.load(Relaxed) + 1, Relaxed);
}

/// A signal of the second word where words have 32 bits. QEMU keeps the last ones itself.
const HIGH: u32 = 40;

fn raise() -> Result<usize, Errno> {
    os::kill(os::getpid()?, nr::SIGUSR1)
}

pub(crate) fn run(check: &mut Check) {
    let action = Action::handler(handler).mask(SigSet::empty().with(HIGH));
    // SAFETY: the handler uses atomic variables and a system call.
    let old = unsafe { signal::set_action(nr::SIGUSR1, action.restart()) };
    check.holds(
        "signals the first action is the default",
        old.is_ok_and(|old| old.is_default()),
    );
    let mut raised = 0;
    for _ in 0..3 {
        raised += u32::from(raise().is_ok());
    }
    check.equal(
        "signals a handler runs and returns",
        RUNS.load(Relaxed),
        raised,
    );
    check.equal(
        "signals the handler's argument",
        SIGNAL.load(Relaxed),
        nr::SIGUSR1,
    );
    check.equal("signals the handler's mask", MASKED.load(Relaxed), 1);

    // SAFETY: an ignored signal runs no code.
    let old = unsafe { signal::set_action(nr::SIGUSR1, Action::IGNORE) };
    check.holds(
        "signals the action is returned",
        old.is_ok_and(|old| !old.is_default() && !old.is_ignored()),
    );
    let _ = raise();
    check.equal("signals an ignored signal", RUNS.load(Relaxed), raised);

    let blocked = signal::set_mask(SigSet::empty().with(nr::SIGUSR1));
    check.holds(
        "signals the mask after a handler",
        blocked.is_ok_and(|mask| mask == SigSet::empty()),
    );
    if let Ok(old) = blocked {
        // SAFETY: as for the first action.
        let _ = unsafe { signal::set_action(nr::SIGUSR1, action) };
        let _ = raise();
        check.equal("signals a blocked signal waits", RUNS.load(Relaxed), raised);
        let _ = signal::set_mask(old);
        check.equal(
            "signals an unblocked signal",
            RUNS.load(Relaxed),
            raised + 1,
        );
    }
    // SAFETY: the default action runs no code of the program.
    let old = unsafe { signal::set_action(nr::SIGUSR1, Action::DEFAULT) };
    check.holds("signals the default action", old.is_ok());
    // SAFETY: as above; the kernel refuses the signal's number.
    let refused = unsafe { signal::set_action(0, Action::DEFAULT) };
    check.holds(
        "signals no such signal",
        refused.is_err_and(|errno| errno == Errno::INVAL),
    );
}
