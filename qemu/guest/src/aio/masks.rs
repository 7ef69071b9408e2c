//! Checks the mask of io_pgetevents without a signal handler. A child blocks a signal,
//! sends it to itself, and waits with a mask that unblocks it. The signal must kill the
//! child during the wait. If the mask did not reach the kernel, the child survives. A
//! further check verifies that a child has no access to its parent's contexts.

use core::time::Duration;

use linux_aio::{Context, Errno, Event, SigSet, WaitOptions};

use crate::check::Check;
use crate::{nr, os};

/// The exit statuses of a child that is not killed.
const SURVIVED: usize = 3;
const LACKING: usize = 4;
const REFUSED: usize = 5;

pub(crate) fn run(check: &mut Check) {
    let Some(context) = check.needs("child Context::new", Context::new(1)) else {
        return;
    };
    let killed = os::in_child(|| wait_with(&SigSet::empty()));
    let ignored = os::in_child(|| wait_with(&SigSet::full()));
    // The low seven bits of a status are the signal, the next byte is the exit status.
    if killed == Ok(LACKING << 8) {
        check.skip(
            "child killed in its wait",
            "io_pgetevents is lacking or hidden",
        );
    } else {
        check.equal("child killed in its wait", killed, Ok(nr::SIGUSR1 as usize));
        check.equal("child waits it out", ignored, Ok(SURVIVED << 8));
    }

    let foreign = os::in_child(|| match context.check() {
        Err(Errno::INVAL) => REFUSED,
        _ => SURVIVED,
    });
    check.equal("child has no context", foreign, Ok(REFUSED << 8));
    check.equal(
        "child has not destroyed the context",
        context.check(),
        Ok(()),
    );
    check.equal("child Context::destroy", context.destroy(), Ok(()));
}

/// Waits with a signal pending that is blocked outside the wait.
fn wait_with(mask: &SigSet) -> usize {
    let blocked = SigSet::empty().with(nr::SIGUSR1);
    let sent = os::signal_mask(&blocked)
        .and_then(|_| os::getpid())
        .and_then(|pid| os::kill(pid, nr::SIGUSR1));
    let Ok(context) = sent.and_then(|_| Context::new(1)) else {
        return REFUSED;
    };
    let mut events = [Event::EMPTY];
    let wait = WaitOptions::new()
        .timeout(Duration::from_millis(50))
        .sigmask(mask);
    match context.wait_with(1, &mut events, wait) {
        Ok([]) => SURVIVED,
        Err(Errno::NOSYS | Errno::PERM) => LACKING,
        _ => REFUSED,
    }
}
