//! A signal ends a wait: with what has come, or with EINTR. No handler is
//! needed: a stopped and continued process has been interrupted too.
//! (io_pgetevents is started again by the kernel where no handler ran.)

use linux_aio::abi::OldTimespec;
use linux_aio::opcode::{Poll, PollMask};
use linux_aio::{Context, Errno, Event, sys};

use crate::check::Check;
use crate::nr;
use crate::os;

/// How a child ends; from 0 on, the number of events.
const INTERRUPTED: usize = 30;
const LACKING: usize = 31;
const REFUSED: usize = 32;

pub(crate) fn run(check: &mut Check) {
    let Some([reader, writer]) = check.needs("signal pipe", os::pipe(0)) else {
        return;
    };
    for (name, events, want) in [
        ("signal and no event", 0, INTERRUPTED),
        ("signal and one event of two", 1, 1),
    ] {
        let status = interrupted(reader, writer, events);
        if status == Ok(LACKING << 8) {
            check.skip(name, "this kernel or this ABI has no io_getevents");
        } else {
            check.equal(name, status, Ok(want << 8));
        }
    }
    for end in [reader, writer] {
        let _ = os::close(end);
    }
}

/// A child waits for two events, and is stopped and continued meanwhile.
fn interrupted(reader: i32, writer: i32, events: usize) -> os::Result<usize> {
    let child = os::spawn(|| wait(writer, events))?;
    // It says when it is about to wait.
    let ready = os::read(reader, &mut [0]);
    for _ in 0..5 {
        os::sleep(20);
        for signal in [nr::SIGSTOP, nr::SIGCONT] {
            let _ = os::kill(child, signal);
        }
    }
    os::wait(child).and_then(|status| ready.map(|_| status))
}

fn wait(writer: i32, count: usize) -> usize {
    let Ok(context) = Context::new(4) else {
        let _ = os::write(writer, b"!");
        return REFUSED;
    };
    for _ in 0..count {
        let mut poll = Poll::new(writer, PollMask::OUT).build();
        // SAFETY: no buffer.
        let _ = unsafe { context.submit(&mut [&mut poll]) };
    }
    let _ = os::write(writer, b".");
    let mut events = [Event::EMPTY; 2];
    let long = OldTimespec { sec: 3, nsec: 0 };
    let into = events.as_mut_ptr();
    // SAFETY: two events may be written, and the time lives.
    let got = unsafe { sys::io_getevents(context.as_raw(), 2, 2, into, &raw const long) };
    match got {
        Ok(count) => count,
        Err(Errno::INTR) => INTERRUPTED,
        Err(Errno::NOSYS) => LACKING,
        Err(_) => REFUSED,
    }
}
