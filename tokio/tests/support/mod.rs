//! What the tests share: files, runtimes, buffers that are counted.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use linux_aio_tokio::buffer::{AlignedBuf, IoBuf, IoBufMut};
use linux_aio_tokio::{Aio, File, OpenOptions};
use tokio::runtime::{Builder, Runtime};

pub(crate) const BLOCK: usize = 4096;

/// The time limit of a wait.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The path of a file that is removed when this is dropped.
pub(crate) struct Temp(pub(crate) PathBuf);

impl Temp {
    /// Returns a path that no other test uses.
    pub(crate) fn new() -> Temp {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed));
        Temp(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name))
    }

    /// Creates a file with this content.
    pub(crate) fn with(content: &[u8]) -> Temp {
        let temp = Temp::new();
        std::fs::write(&temp.0, content).unwrap();
        temp
    }

    pub(crate) fn content(&self) -> Vec<u8> {
        std::fs::read(&self.0).unwrap()
    }

    /// Opens the file for reading and writing, direct or not.
    pub(crate) async fn open(&self, direct: bool) -> File {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).direct(direct);
        options.open(&self.0).await.unwrap()
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Returns bytes that differ from block to block.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i / 251 * 7 + i % 251) as u8).collect()
}

pub(crate) fn one_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

pub(crate) fn threads(workers: usize) -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(workers).enable_all();
    builder.build().unwrap()
}

/// Runs a test in both of tokio's runtimes.
pub(crate) fn in_both<F: Future<Output = ()>>(test: impl Fn() -> F) {
    one_thread().block_on(test());
    threads(2).block_on(test());
}

/// Waits until no operation is in flight.
pub(crate) async fn idle(aio: &Aio) {
    let begin = Instant::now();
    while aio.in_flight() > 0 {
        assert!(begin.elapsed() < PATIENCE, "{aio:?}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// A buffer for direct I/O that counts how many exist.
pub(crate) struct Counted {
    memory: AlignedBuf,
    count: Arc<()>,
}

impl Counted {
    /// Creates a buffer of some blocks. The count of buffers is that of `count`, less one.
    pub(crate) fn new(count: &Arc<()>, blocks: usize) -> Counted {
        Counted {
            memory: AlignedBuf::zeroed(blocks * BLOCK, BLOCK).unwrap(),
            count: Arc::clone(count),
        }
    }

    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        &mut self.memory
    }
}

// SAFETY: the region is that of the `AlignedBuf`, whose implementation makes the promise.
unsafe impl IoBuf for Counted {
    fn region(&mut self) -> (*mut u8, usize) {
        self.memory.region()
    }
}
// SAFETY: the region is that of the `AlignedBuf`, which may be written to.
unsafe impl IoBufMut for Counted {}
