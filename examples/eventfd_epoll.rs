//! An event loop of epoll, which serves a socket and file operations. An eventfd reports
//! the completions of a queue: `cargo run --features std --example eventfd_epoll -- FILE`

use std::fs::File;
use std::io::{self, Read as _, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::{thread, time::Duration};

use linux_aio::Queue;
use linux_aio::op::Read;

fn main() -> io::Result<()> {
    let name = std::env::args().nth(1).expect("the name of a file");
    let file = File::open(name)?;
    // Non-blocking, so that a read of a counter that is zero does not wait.
    // SAFETY: the call has no pointer.
    let eventfd = File::from(owned(unsafe { libc::eventfd(0, libc::EFD_NONBLOCK) })?);
    let (mut socket, mut peer) = UnixStream::pair()?;
    let events = Epoll::new(&[eventfd.as_fd(), socket.as_fd()])?;
    // The other side requests four blocks of the file.
    thread::spawn(move || {
        for block in [0, 1, 2, 3] {
            thread::sleep(Duration::from_millis(50));
            peer.write_all(&[block])?;
        }
        Ok::<_, io::Error>(())
    });

    // Every operation signals the eventfd when it has completed.
    let mut queue = Queue::<Vec<u8>, u8>::with_capacity(8)?.eventfd(&eventfd);
    let mut open = true;
    while open || queue.staged() + queue.in_flight() > 0 {
        let ready = events.wait()?;
        if ready == socket.as_raw_fd() {
            let mut request = [0];
            open = socket.read(&mut request)? > 0;
            if open {
                let [block] = request;
                let read = Read::new(&file, Vec::with_capacity(16));
                let read = read.offset(16 * u64::from(block)).data(block);
                queue.push(read)?;
            } else {
                events.remove(&socket)?;
            }
        } else {
            // Reset before the completions are taken: a later one signals again.
            let _ = (&eventfd).read(&mut [0; 8]);
        }
        // Twice: operations for which the context had no free entry stay staged, and are
        // submitted when completions were taken. After each `flush`, refused operations
        // have to be taken, because they do not signal the eventfd.
        for _ in 0..2 {
            queue.flush();
            while let Some(done) = queue.pop()? {
                println!("block {}: {} bytes", done.data, done.result?);
            }
        }
    }
    Ok(())
}

/// An epoll instance that waits until descriptors are readable.
struct Epoll(OwnedFd);

impl Epoll {
    fn new(readable: &[std::os::fd::BorrowedFd<'_>]) -> io::Result<Epoll> {
        // SAFETY: the call has no pointer.
        let epoll = Epoll(owned(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?);
        for fd in readable {
            epoll.control(libc::EPOLL_CTL_ADD, fd.as_raw_fd())?;
        }
        Ok(epoll)
    }

    fn remove(&self, fd: &impl AsRawFd) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_DEL, fd.as_raw_fd())
    }

    fn control(&self, what: i32, fd: i32) -> io::Result<()> {
        let mut event = libc::epoll_event {
            events: libc::EPOLLIN as u32,
            u64: fd as u64,
        };
        // SAFETY: the call reads `event`, which lives until it returns.
        check(unsafe { libc::epoll_ctl(self.0.as_raw_fd(), what, fd, &mut event) })?;
        Ok(())
    }

    /// Waits until one of the descriptors is readable, and returns its number.
    fn wait(&self) -> io::Result<i32> {
        let mut event = libc::epoll_event { events: 0, u64: 0 };
        // SAFETY: the call writes one event, to `event`, which lives until it returns.
        check(unsafe { libc::epoll_wait(self.0.as_raw_fd(), &mut event, 1, -1) })?;
        Ok(event.u64 as i32)
    }
}

fn check(result: i32) -> io::Result<i32> {
    match result {
        -1 => Err(io::Error::last_os_error()),
        value => Ok(value),
    }
}

fn owned(descriptor: i32) -> io::Result<OwnedFd> {
    // SAFETY: the kernel has just opened this descriptor for the caller alone.
    Ok(unsafe { OwnedFd::from_raw_fd(check(descriptor)?) })
}
