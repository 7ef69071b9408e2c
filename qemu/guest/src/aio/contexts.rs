//! Checks io_setup and io_destroy: their results and their errors.

use linux_aio::sys::getevents::{Timeout, get_events};
use linux_aio::{AioContext, Errno, Event, sys};

use crate::check::Check;
use crate::os::{LAST, NOWHERE};

/// A capacity above every kernel's `aio-max-nr`, and below the value that io_setup
/// refuses with EINVAL.
const TOO_MANY: u32 = 4_000_000;

fn setup(nr_events: u32) -> Result<AioContext, Errno> {
    let mut name = AioContext::NONE;
    // SAFETY: `name` may be written.
    unsafe { sys::io_setup(nr_events, &raw mut name) }?;
    Ok(name)
}

fn destroy(name: AioContext) -> Result<(), Errno> {
    // SAFETY: the context was made here, and no code reads its ring.
    unsafe { sys::io_destroy(name) }
}

/// Returns `Ok` if the kernel has a context of this name.
pub(super) fn known(name: AioContext) -> Result<usize, Errno> {
    let mut event = Event::EMPTY;
    let no_time = Timeout::Old(core::ptr::null());
    // SAFETY: one event may be written. The ring is not read, as the timeout is null. A
    // wait for no event does not block.
    unsafe { get_events(name, 0, 1, &raw mut event, no_time) }
}

pub(crate) fn run(check: &mut Check) {
    refused(check);
    let Some(first) = check.needs("aio io_setup", setup(1)) else {
        return;
    };
    let Some(second) = check.needs("aio io_setup again", setup(100)) else {
        return;
    };
    check.holds("aio io_setup gives a name", first != AioContext::NONE);
    check.holds("aio contexts differ", first != second);
    check.equal("aio context is known", known(first), Ok(0));

    let mut name = first;
    // SAFETY: `name` may be written.
    let taken = unsafe { sys::io_setup(1, &raw mut name) };
    check.equal("aio io_setup over a name", taken, Err(Errno::INVAL));

    check.equal("aio io_destroy", destroy(first), Ok(()));
    check.equal("aio io_destroy twice", destroy(first), Err(Errno::INVAL));
    check.equal(
        "aio submit when destroyed",
        submit_none(first),
        Err(Errno::INVAL),
    );
    check.equal("aio the other context", known(second), Ok(0));
    check.equal("aio submit of nothing", submit_none(second), Ok(0));
    check.equal("aio io_destroy of the other", destroy(second), Ok(()));
}

fn submit_none(name: AioContext) -> Result<usize, Errno> {
    // SAFETY: no operation is submitted.
    unsafe { sys::io_submit(name, 0, core::ptr::null()) }
}

/// Makes a context, and destroys it if the kernel has accepted the number.
fn refused_setup(nr_events: u32) -> Result<(), Errno> {
    destroy(setup(nr_events)?)
}

fn refused(check: &mut Check) {
    let got = refused_setup(0);
    check.equal("aio io_setup of none", got, Err(Errno::INVAL));
    let got = refused_setup(u32::MAX);
    check.equal("aio io_setup of everything", got, Err(Errno::INVAL));
    let got = refused_setup(TOO_MANY);
    check.equal("aio io_setup over the limit", got, Err(Errno::AGAIN));
    // SAFETY: the address is not mapped, so nothing is written.
    let got = unsafe { sys::io_setup(1, core::ptr::without_provenance_mut(NOWHERE)) };
    check.equal("aio io_setup to nowhere", got, Err(Errno::FAULT));
    // SAFETY: the address is not part of the program's memory, so nothing of it is
    // written.
    let got = unsafe { sys::io_setup(0, core::ptr::without_provenance_mut(LAST)) };
    check.equal(
        "aio io_setup of none to the last bytes",
        got,
        Err(Errno::FAULT),
    );

    check.equal(
        "aio io_destroy of none",
        destroy(AioContext::NONE),
        Err(Errno::INVAL),
    );
    let wild = AioContext(usize::MAX);
    check.equal(
        "aio io_destroy of the last byte",
        destroy(wild),
        Err(Errno::INVAL),
    );
    // Memory that can be read, but is no ring.
    let local = [0_u64; 16];
    let local = AioContext(local.as_ptr().expose_provenance());
    check.equal(
        "aio io_destroy of memory",
        destroy(local),
        Err(Errno::INVAL),
    );
}
