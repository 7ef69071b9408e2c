//! Checks of a scope whose waits are interrupted repeatedly, with operations in flight.
//!
//! The scope runs in a child process. Stopping and continuing a process interrupts a
//! wait without a signal handler, unless the kernel restarts the wait. The first
//! process of a kernel cannot be stopped.

use linux_aio::{Errno, IdleContext, ScopeSlot, WaitOptions, scope_with_context};

use super::fly::{Ended, Flight, OPERATIONS, RIGHT, fly};
use super::{Drive, layers};
use crate::aio::signals;
use crate::check::Check;
use crate::nr;
use crate::os;

/// The exit status of a child that could not begin. Otherwise the status is the result
/// of `fly::Report::wrong`.
const NOT_BEGUN: usize = 40;

pub(super) fn run(check: &mut Check, drive: &Drive<'_>) {
    let Some([reader, writer]) = check.needs("interrupted scope: pipe", os::pipe(0)) else {
        return;
    };
    let child = os::spawn(|| {
        signals::end_waits();
        let end = |flight: &mut Flight<'_>, idle| scope_interrupted(flight, idle, writer);
        fly(drive, &end).map_or(NOT_BEGUN, |report| report.wrong(drive.kind))
    });
    if let Some(child) = check.needs("interrupted scope: child", child) {
        // The child writes a byte when it is about to wait.
        let _ = os::read(reader, &mut [0]);
        // These rounds take at least as long as the device does.
        for _ in 0..80 {
            os::sleep(20);
            for signal in [nr::SIGSTOP, nr::SIGCONT] {
                let _ = os::kill(child, signal);
            }
        }
        check.equal(
            "interrupted scope: waits for all, every byte",
            os::wait(child),
            Ok(RIGHT << 8),
        );
    }
    for end in [reader, writer] {
        let _ = os::close(end);
    }
}

/// Runs a scope whose own wait reports the interruption, and leaves it. The end of the
/// scope is interrupted as well, and resumes waiting.
fn scope_interrupted(flight: &mut Flight<'_>, mut idle: IdleContext, ready: i32) -> Ended {
    let mut slots = ScopeSlot::array::<OPERATIONS>();
    let (into, from) = (flight.into.bytes_mut(), flight.from.bytes());
    scope_with_context(&mut idle, &mut slots, |s| {
        let begun = layers::begin(s, flight.drive, into, from, &flight.watch);
        let _ = os::write(ready, b".");
        begun?;
        match s.wait_with(OPERATIONS, WaitOptions::new()) {
            Err(Errno::INTR) => Ok(()),
            // The wait returned the operations completed until the interruption.
            Ok(done) if done < OPERATIONS => Ok(()),
            Ok(_) => Err(Errno::ALREADY),
            Err(errno) => Err(errno),
        }
    })?;
    Ok(Some(idle))
}
