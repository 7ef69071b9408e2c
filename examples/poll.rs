//! Waits until any of several sockets is readable, and reads it without blocking:
//! `cargo run --features std --example poll`

use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use linux_aio::Queue;
use linux_aio::op::{Poll, Read};
use linux_aio::opcode::PollMask;

fn main() -> io::Result<()> {
    let pairs = [
        UnixStream::pair()?,
        UnixStream::pair()?,
        UnixStream::pair()?,
    ];
    let (sockets, peers): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
    // The other side writes to the last socket first.
    thread::spawn(move || {
        for (number, mut peer) in peers.into_iter().enumerate().rev() {
            thread::sleep(Duration::from_millis(100));
            peer.write_all(format!("socket {number}").as_bytes())?;
        }
        Ok::<_, io::Error>(())
    });

    let mut queue = Queue::<Vec<u8>, usize>::with_capacity(8)?;
    for (number, socket) in sockets.iter().enumerate() {
        queue.push(Poll::new(socket, PollMask::IN).data(number))?;
    }
    while let Some(done) = queue.wait()? {
        let (result, number) = (done.result?, done.data);
        if let Some(text) = done.buffer {
            println!("{}", text.escape_ascii());
        } else if PollMask::from_result(result).contains(PollMask::IN) {
            // The kernel reads a socket inside `io_submit`, which does not block now.
            let buffer = Vec::with_capacity(64);
            queue.push(Read::new(&sockets[number], buffer).data(number))?;
        }
    }
    Ok(())
}
