//! What both programs share: a reactor, and a task that reads a file with it.
//!
//! An executor needs two things of a program to run the reactor's futures: a turn of the
//! reactor whenever its eventfd is readable, and nothing else. How it waits for the eventfd
//! differs:
//!
//! - smol has a poller for descriptors: a task awaits the eventfd (`src/bin/smol.rs`);
//! - embassy has none: a thread waits for the eventfd (`src/bin/embassy.rs`). Without threads
//!   it would be whatever runs when no task can.

use std::fs::File;
use std::io::{Error, Result};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use linux_aio::buffer::AlignedBuf;
use linux_aio::op::Read;
use linux_aio::reactor::{Reactor, Shared};

/// A reactor whose operations own their file.
pub type Shares = Reactor<'static, AlignedBuf, Shared, Arc<File>>;

/// The number of tasks, and so of reads in flight.
pub const DEPTH: usize = 8;
/// The length of a read.
const BLOCK: usize = 4096;

/// Creates a reactor, and the eventfd that it shares with the executor's driver.
///
/// # Errors
/// Those of `eventfd(2)` and of `io_setup(2)`.
pub fn reactor() -> Result<(Arc<Shares>, Arc<File>)> {
    // SAFETY: the call has no pointers.
    let eventfd = match unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) } {
        -1 => return Err(Error::last_os_error()),
        // SAFETY: the descriptor was just created, so it has no other owner.
        fd => Arc::new(File::from(unsafe { OwnedFd::from_raw_fd(fd) })),
    };
    let reactor = Shares::with_capacity(DEPTH as u32)?;
    Ok((Arc::new(reactor.eventfd_owned(eventfd.clone())), eventfd))
}

/// Opens a file past the page cache, so that its reads are asynchronous.
///
/// # Errors
/// Those of `open(2)`.
pub fn open(path: impl AsRef<Path>) -> Result<Arc<File>> {
    let mut options = File::options();
    options.read(true).custom_flags(libc::O_DIRECT);
    Ok(Arc::new(options.open(path)?))
}

/// Reads every [`DEPTH`]th block of a file, and returns the number of bytes and their sum.
///
/// # Errors
/// Those of the reads.
pub async fn work(reactor: Arc<Shares>, file: Arc<File>, first: usize) -> Result<(u64, u64)> {
    let memory = AlignedBuf::zeroed(BLOCK, BLOCK);
    let mut buffer = memory.ok_or(std::io::ErrorKind::OutOfMemory)?;
    let (mut len, mut sum, mut block) = (0, 0, first);
    loop {
        let read = Read::owned(file.clone(), buffer).offset((block * BLOCK) as u64);
        let done = reactor.push_arc(read).await;
        let count = done.result?;
        if count == 0 {
            return Ok((len, sum));
        }
        buffer = done.buffer;
        len += count as u64;
        sum += buffer[..count]
            .iter()
            .map(|byte| u64::from(*byte))
            .sum::<u64>();
        block += DEPTH;
    }
}

/// Prints the results of all tasks as one line.
pub fn print(results: &[(u64, u64)]) {
    let len: u64 = results.iter().map(|result| result.0).sum();
    let sum: u64 = results.iter().map(|result| result.1).sum();
    println!("{len} bytes, sum {sum}");
}
