//! Ends at SIGINT or SIGTERM, which are blocked except during the waits, so that neither
//! is missed: `cargo run --features std --example signals`

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicI32, Ordering};

use linux_aio::op::Poll;
use linux_aio::opcode::PollMask;
use linux_aio::{Errno, Queue, SigSet, WaitOptions};

static SIGNAL: AtomicI32 = AtomicI32::new(0);

extern "C" fn handler(signal: i32) {
    SIGNAL.store(signal, Ordering::Relaxed);
}

fn main() -> io::Result<()> {
    // A signal that arrived between a check of `SIGNAL` and the wait would not end it.
    block_and_handle(&[libc::SIGINT, libc::SIGTERM])?;
    let unblocked = SigSet::empty();
    let wait = WaitOptions::new().sigmask(&unblocked);

    let (silent, _peer) = UnixStream::pair()?;
    let mut queue = Queue::<()>::with_capacity(1)?;
    queue.push(Poll::new(&silent, PollMask::IN))?;
    println!("waiting in process {}", std::process::id());
    while SIGNAL.load(Ordering::Relaxed) == 0 {
        match queue.wait_with(1, wait) {
            Ok(_) => {
                while let Some(done) = queue.pop()? {
                    println!("result: {:?}", done.result);
                }
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }

    println!("signal {}", SIGNAL.load(Ordering::Relaxed));
    // Cancels the poll, and waits for everything else. A second signal does not end it.
    queue.drain()?;
    while let Some(done) = queue.pop()? {
        println!("result: {:?}", done.result);
    }
    Ok(())
}

/// Blocks the signals in this thread, and sets their handler.
fn block_and_handle(signals: &[i32]) -> io::Result<()> {
    // SAFETY: the sets and the action are local variables, for which zero is a valid value,
    // and the handler calls only an atomic store, which is async-signal-safe.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as extern "C" fn(i32) as usize;
        for &signal in signals {
            libc::sigaddset(&mut set, signal);
            if libc::sigaction(signal, &action, std::ptr::null_mut()) != 0 {
                return Err(io::Error::last_os_error());
            }
        }
        match libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut()) {
            0 => Ok(()),
            error => Err(io::Error::from_raw_os_error(error)),
        }
    }
}
