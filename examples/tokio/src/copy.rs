//! Copies a file in chunks, several at a time, by the tasks of a runtime.

use std::fs::{File, OpenOptions};
use std::io::Error;
use std::ops::Deref;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use linux_aio::op::{Fsync, Read, Write};
use linux_aio::reactor::{Lock, Reactor, ReactorSlot};
use tokio_reactor::{CHUNK, Page, drive, eventfd};

/// The number of operations in flight.
const DEPTH: usize = 16;
/// The number of tasks. There are more than slots, so that some have to wait for one.
pub(crate) const WORKERS: usize = 24;
/// Direct I/O requires lengths that are a multiple of this.
const BLOCK: usize = 4096;

/// A copy, shared by all its tasks.
pub(crate) struct Job<L: Lock + 'static> {
    /// The reactor. Each operation keeps its file open, because the tasks borrow
    /// nothing.
    reactor: Reactor<'static, Page, L, Arc<File>>,
    eventfd: Arc<File>,
    source: Arc<File>,
    target: Arc<File>,
    direct: bool,
    len: u64,
    next: AtomicU64,
}

impl<L: Lock> Job<L> {
    pub(crate) fn new(source: &Path, target: &Path, direct: bool) -> Result<Job<L>, Error> {
        let flags = if direct { libc::O_DIRECT } else { 0 };
        let mut options = OpenOptions::new();
        let source = options.read(true).custom_flags(flags).open(source)?;
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        let target = options.custom_flags(flags).open(target)?;
        // Spawned tasks must be `'static`, so the slots are leaked, once per reactor.
        let slots = Box::leak(Box::new(ReactorSlot::array::<DEPTH>()));
        let eventfd = eventfd()?;
        Ok(Job {
            reactor: Reactor::new(slots)?.eventfd_owned(Arc::clone(&eventfd)),
            eventfd,
            direct,
            len: source.metadata()?.len(),
            source: Arc::new(source),
            target: Arc::new(target),
            next: AtomicU64::new(0),
        })
    }

    /// Turns the reactor for all other tasks. Returns only on an error.
    pub(crate) async fn drive(job: impl Deref<Target = Job<L>>) -> Result<usize, Error> {
        match drive(&job.reactor, Arc::clone(&job.eventfd)).await? {}
    }

    /// Copies chunk after chunk, until another task has taken the last. Returns the
    /// number of chunks copied.
    pub(crate) async fn work(job: impl Deref<Target = Job<L>>) -> Result<usize, Error> {
        let (mut page, mut count) = (Page::new(), 0);
        loop {
            let offset = job.next.fetch_add(CHUNK as u64, Relaxed);
            if offset >= job.len {
                return Ok(count);
            }
            let read = Read::owned(Arc::clone(&job.source), page.used(CHUNK));
            let read = job.reactor.push(read.offset(offset)).await;
            let bytes = read.result?;
            let padded = if job.direct { BLOCK } else { 1 };
            let padded = bytes.next_multiple_of(padded);
            page = read.buffer.used(padded);
            let write = Write::owned(Arc::clone(&job.target), page);
            let written = job.reactor.push(write.offset(offset)).await;
            page = written.buffer;
            let whole = (job.len - offset).min(CHUNK as u64);
            if written.result? != padded || bytes as u64 != whole {
                return Err(Error::other("a short read or write"));
            }
            count += 1;
        }
    }

    /// Sets the length of the target to that of the source, and syncs it to the disk.
    pub(crate) async fn finish(job: impl Deref<Target = Job<L>>) -> Result<usize, Error> {
        job.target.set_len(job.len)?;
        let sync = Fsync::owned(Arc::clone(&job.target));
        Ok(job.reactor.push(sync).await.result?)
    }

    /// Verifies that all operations have completed and that the context could be
    /// reused.
    pub(crate) fn end(self) -> Result<(), Error> {
        assert_eq!(self.reactor.in_flight(), 0);
        drop(self.reactor.into_idle_context()?);
        Ok(())
    }
}
