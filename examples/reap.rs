//! Measures the cost of taking one completion, from the ring in user space or with
//! `io_getevents`. Run it with `--release` for times. With one round (`reap 1`) under
//! `strace`, the system calls between the two marks are the cost of the ring.

use std::hint::black_box;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use linux_aio::opcode::{Poll, PollMask};
use linux_aio::{Context, Errno, Event, WaitOptions};

/// The number of completions that are available at a time.
const BATCH: usize = 100;

fn main() -> Result<(), Errno> {
    let rounds = std::env::args().nth(1).and_then(|n| n.parse().ok());
    let rounds: u32 = rounds.unwrap_or(1000);
    let mut context = Context::new(BATCH as u32)?;

    let mut ring_time = Duration::ZERO;
    for _ in 0..rounds {
        complete(&context)?;
        let mut ring = context.ring();
        mark(rounds, b"[");
        let start = Instant::now();
        while black_box(ring.pop()?).is_some() {}
        ring_time += start.elapsed();
        mark(rounds, b"]");
    }

    let mut call_time = Duration::ZERO;
    for _ in 0..rounds {
        complete(&context)?;
        let mut event = [Event::EMPTY];
        let start = Instant::now();
        while !black_box(context.wait_with(1, &mut event, WaitOptions::poll())?).is_empty() {}
        call_time += start.elapsed();
    }

    let each = |time: Duration| time.as_nanos() as f64 / f64::from(rounds) / BATCH as f64;
    let (ring, call) = (each(ring_time), each(call_time));
    println!("one completion: ring {ring:.1} ns, io_getevents {call:.1} ns");
    println!("ratio {:.1}", call / ring);
    Ok(())
}

/// Marks, in a run of a single round, where reaping from the ring begins and ends, for
/// a trace of system calls.
fn mark(rounds: u32, mark: &[u8]) {
    if rounds == 1 {
        std::io::stderr().write_all(mark).unwrap();
    }
}

/// Adds [`BATCH`] completions to the ring.
fn complete(context: &Context) -> Result<(), Errno> {
    let always = std::io::stdout().as_raw_fd();
    for _ in 0..BATCH {
        let mut poll = Poll::new(always, PollMask::OUT).build();
        // SAFETY: a poll has no buffer.
        unsafe { context.submit(&mut [&mut poll]) }?;
    }
    Ok(())
}
