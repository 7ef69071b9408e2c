//! Cancels a poll after a timeout, and tries to cancel a sync:
//! `cargo run --features std --example cancel`

use std::fs::File;
use std::io;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use linux_aio::op::{Fsync, Poll};
use linux_aio::opcode::PollMask;
use linux_aio::{Queue, WaitOptions};

fn main() -> io::Result<()> {
    let (silent, _peer) = UnixStream::pair()?;
    let directory = File::open(".")?;
    let mut queue = Queue::<()>::with_capacity(2)?;

    let poll = queue.push(Poll::new(&silent, PollMask::IN))?;
    let wait = WaitOptions::new().timeout(Duration::from_millis(100));
    println!("completed within 100 ms: {}", queue.wait_with(1, wait)?);
    // Fails with EINVAL if the poll is just completing. Its completion comes either way.
    println!("cancel the poll: {:?}", queue.cancel(poll));
    if let Some(done) = queue.wait()? {
        println!("the poll's result: {:?}", done.result);
    }

    // The kernel cancels no other operation that is in flight.
    let sync = queue.push(Fsync::new(&directory))?;
    queue.flush();
    println!("cancel the sync: {:?}", queue.cancel(sync));
    if let Some(done) = queue.wait()? {
        println!("the sync's result: {:?}", done.result);
    }

    // One that was not submitted yet is only removed.
    let sync = queue.push(Fsync::new(&directory))?;
    println!("cancel a staged sync: {:?}", queue.cancel(sync));
    if let Some(done) = queue.wait()? {
        println!("its result: {:?}, refused: {}", done.result, done.refused);
    }
    Ok(())
}
