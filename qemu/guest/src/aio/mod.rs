//! The checks of AIO. A first system call determines whether the kernel has AIO. The
//! raw system calls are checked in both cases; then either every layer must report that
//! AIO is absent, or all its functions are checked.

use linux_aio::rt::Process;
use linux_aio::{Context, Errno, Event, Iocb};

use crate::check::Check;
use crate::line::Line;
use crate::os;

mod absent;
mod arguments;
mod contexts;
pub(crate) mod disk;
mod faults;
mod freed;
mod gvisor;
mod layers;
mod limits;
mod load;
mod mapped;
mod masks;
mod owned;
mod polls;
mod privileges;
mod probe;
mod processes;
mod raw;
mod refusals;
mod rings;
mod sandbox;
mod signals;
mod sizes;
mod tally;
mod together;
mod trace;
mod transfers;
mod waits;

pub(crate) use arguments::obeyed;

pub(crate) fn run(check: &mut Check, process: Process) {
    match raw::probe() {
        None | Some(Err(Errno::NOSYS)) => {
            Line::new().with("mode enosys").print();
            raw::run(check, true);
            absent::run(check);
            layers::absent(check);
            probe::absent(check);
        }
        Some(_) if !cfg!(feature = "kernel") => {
            check.holds("aio is absent, or built with the feature kernel", false);
        }
        Some(_) if os::is_gvisor() => {
            Line::new().with("mode gvisor").print();
            gvisor::run(check);
        }
        Some(_) => {
            Line::new().with("mode kernel").print();
            raw::run(check, false);
            present(check, process);
        }
    }
}

fn present(check: &mut Check, process: Process) {
    contexts::run(check);
    let Some(context) = check.needs("aio Context::new", Context::new(16)) else {
        return;
    };
    if let Some(file) = check.needs("aio file", os::memfd(c"aio")) {
        transfers::run(check, &context, file);
        refusals::run(check, &context, file);
        faults::run(check, &context, file);
        let _ = os::close(file);
    }
    mapped::run(check, &context);
    sizes::run(check, &context);
    polls::run(check, &context);
    waits::run(check, &context);
    freed::run(check, &context);
    check.equal("aio Context::destroy", context.destroy(), Ok(()));
    rings::run(check);
    masks::run(check);
    load::run(check);
    together::run(check);
    processes::run(check, process);
    layers::run(check);
    probe::run(check);
    limits::run(check);
    privileges::run(check);
    signals::run(check);
    sandbox::run(check);
}

/// Submits one operation and waits for its event.
///
/// # Safety
/// The operation's buffers live, and no other code uses them, until this returns.
unsafe fn complete(context: &Context, iocb: &mut Iocb) -> Result<Event, Errno> {
    // SAFETY: the caller promises that the buffers live and are not used until this
    // returns. The wait below returns after the operation has completed.
    unsafe { context.submit(&mut [iocb]) }?;
    next(context)
}

/// Waits for one event.
fn next(context: &Context) -> Result<Event, Errno> {
    let mut event = [Event::EMPTY];
    match context.wait(1, &mut event)? {
        [event] => Ok(*event),
        // Not known to happen: the wait has no timeout, and there are no signals.
        _ => Err(Errno::AGAIN),
    }
}

/// Submits one operation, waits for it, and returns its result.
///
/// # Safety
/// The operation's buffers live, and no other code uses them, until this returns (as
/// for [`complete`]).
pub(crate) unsafe fn complete_one(context: &Context, iocb: &mut Iocb) -> Result<usize, Errno> {
    // SAFETY: the caller promises that the buffers live and are not used until this
    // returns, which is what `complete` requires.
    result(unsafe { complete(context, iocb) })
}

/// Returns the result of the operation in an event.
fn result(event: Result<Event, Errno>) -> Result<usize, Errno> {
    event.and_then(|event| event.result())
}
