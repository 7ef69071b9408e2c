//! The ways to read: each begins as many tasks as the depth, and prints what they did.

use std::cell::Cell;
use std::io::{Error, Result, SeekFrom};
use std::os::unix::fs::FileExt;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use linux_aio_tokio::buffer::AlignedBuf;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::runtime::{Builder, Runtime};

use crate::{BLOCK, Clock, cpu, open, random};

/// The ways, in the order of the tables.
pub(crate) const WAYS: [&str; 6] = [
    "linux-aio-tokio",
    "linux-aio-tokio, 2 threads",
    "tokio::fs",
    "spawn_blocking and pread",
    "tokio-uring",
    "compio",
];

/// What is measured: the operations and the times since the end of the warm-up.
#[derive(Default)]
struct Count {
    reads: AtomicU64,
    begun: std::sync::OnceLock<(Instant, Duration, u64)>,
}

impl Count {
    /// Counts a read. Returns whether the measurement goes on.
    fn more(&self, clock: &Clock) -> bool {
        let reads = self.reads.fetch_add(1, Relaxed);
        // The clocks are read seldom enough not to matter.
        if !reads.is_multiple_of(16) {
            return true;
        }
        if clock.warm() {
            self.begun.get_or_init(|| (Instant::now(), cpu(), reads));
        }
        !clock.ended()
    }

    fn print(&self) {
        if let Some((wall, busy, reads)) = self.begun.get() {
            let (wall, busy) = (wall.elapsed(), cpu() - *busy);
            let reads = self.reads.load(Relaxed) - reads;
            println!("{reads} {} {}", wall.as_nanos(), busy.as_nanos());
        }
    }
}

pub(crate) fn run(way: &str, path: &str, depth: u64, direct: bool) -> Result<()> {
    let one = || Builder::new_current_thread().enable_all().build();
    match way {
        "linux-aio-tokio" => aio(one()?, path, depth, direct),
        "linux-aio-tokio, 2 threads" => {
            let mut builder = Builder::new_multi_thread();
            aio(
                builder.worker_threads(2).enable_all().build()?,
                path,
                depth,
                direct,
            )
        }
        "tokio::fs" => tokio_fs(one()?, path, depth, direct),
        "spawn_blocking and pread" => blocking(one()?, path, depth, direct),
        "tokio-uring" => uring(path, depth, direct),
        "compio" => compio(path, depth, direct),
        _ => Err(Error::other("an unknown way")),
    }
}

/// Runs tasks of a runtime of tokio until the measurement ends.
fn tasks<F>(
    runtime: Runtime,
    depth: u64,
    task: impl Fn(u64, Arc<(Clock, Count)>) -> F,
) -> Result<()>
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let shared = Arc::new((Clock::start(), Count::default()));
    runtime.block_on(async {
        let tasks: Vec<_> = (1..=depth)
            .map(|seed| tokio::spawn(task(seed, Arc::clone(&shared))))
            .collect();
        for task in tasks {
            task.await.map_err(Error::other)??;
        }
        Ok::<_, Error>(())
    })?;
    shared.1.print();
    Ok(())
}

fn memory() -> Result<AlignedBuf> {
    AlignedBuf::zeroed(BLOCK, BLOCK).ok_or_else(|| Error::other("no memory"))
}

fn whole(read: usize) -> Result<()> {
    if read == BLOCK {
        Ok(())
    } else {
        Err(Error::other("a short read"))
    }
}

fn aio(runtime: Runtime, path: &str, depth: u64, direct: bool) -> Result<()> {
    let file = {
        let _entered = runtime.enter();
        linux_aio_tokio::File::from_std(open(path, direct)?)?
    };
    tasks(runtime, depth, move |mut state, shared| {
        let file = file.clone();
        async move {
            let mut buffer = memory()?;
            while shared.1.more(&shared.0) {
                let read;
                (read, buffer) = file.read_at(buffer, random(&mut state)).await;
                whole(read?)?;
            }
            Ok(())
        }
    })
}

fn tokio_fs(runtime: Runtime, path: &str, depth: u64, direct: bool) -> Result<()> {
    let path = path.to_owned();
    tasks(runtime, depth, move |mut state, shared| {
        // A file of tokio has one position and one operation at a time.
        let file = open(&path, direct);
        async move {
            let mut file = tokio::fs::File::from_std(file?);
            let mut buffer = memory()?;
            while shared.1.more(&shared.0) {
                file.seek(SeekFrom::Start(random(&mut state))).await?;
                file.read_exact(&mut buffer).await?;
            }
            Ok(())
        }
    })
}

fn blocking(runtime: Runtime, path: &str, depth: u64, direct: bool) -> Result<()> {
    let file = Arc::new(open(path, direct)?);
    tasks(runtime, depth, move |mut state, shared| {
        let file = Arc::clone(&file);
        async move {
            let mut buffer = memory()?;
            while shared.1.more(&shared.0) {
                let (file, at) = (Arc::clone(&file), random(&mut state));
                let pread = tokio::task::spawn_blocking(move || {
                    let read = file.read_at(&mut buffer, at);
                    (read, buffer)
                });
                let read;
                (read, buffer) = pread.await.map_err(Error::other)?;
                whole(read?)?;
            }
            Ok(())
        }
    })
}

/// Memory that is aligned for direct I/O, for the other crates' traits.
struct Memory(AlignedBuf);

// SAFETY: the memory is on the heap and does not move with the value; all of it is
// initialised.
unsafe impl tokio_uring::buf::IoBuf for Memory {
    fn stable_ptr(&self) -> *const u8 {
        self.0.as_ptr()
    }

    fn bytes_init(&self) -> usize {
        self.0.len()
    }

    fn bytes_total(&self) -> usize {
        self.0.len()
    }
}

// SAFETY: the memory is owned and writable, and all of it is initialised already.
unsafe impl tokio_uring::buf::IoBufMut for Memory {
    fn stable_mut_ptr(&mut self) -> *mut u8 {
        self.0.as_mut_ptr()
    }

    unsafe fn set_init(&mut self, _: usize) {}
}

fn uring(path: &str, depth: u64, direct: bool) -> Result<()> {
    tokio_uring::start(async {
        let file = Rc::new(tokio_uring::fs::File::from_std(open(path, direct)?));
        let shared = Rc::new((Clock::start(), Count::default()));
        let failed = Rc::new(Cell::new(None));
        let tasks: Vec<_> = (1..=depth)
            .map(|mut state| {
                let (file, shared, failed) = (file.clone(), shared.clone(), failed.clone());
                tokio_uring::spawn(async move {
                    let Ok(memory) = memory() else { return };
                    let mut buffer = Memory(memory);
                    while shared.1.more(&shared.0) {
                        let read;
                        (read, buffer) = file.read_at(buffer, random(&mut state)).await;
                        if let Err(error) = read.and_then(whole) {
                            failed.set(Some(error));
                            return;
                        }
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.map_err(Error::other)?;
        }
        shared.1.print();
        failed.take().map_or(Ok(()), Err)
    })
}

impl compio::buf::IoBuf for Memory {
    fn as_init(&self) -> &[u8] {
        &self.0
    }
}

impl compio::buf::SetLen for Memory {
    unsafe fn set_len(&mut self, _: usize) {}
}

impl compio::buf::IoBufMut for Memory {
    fn as_uninit(&mut self) -> &mut [std::mem::MaybeUninit<u8>] {
        let len = self.0.len();
        // SAFETY: the bytes are borrowed as long as `self`, and the caller writes initialised ones.
        unsafe { std::slice::from_raw_parts_mut(self.0.as_mut_ptr().cast(), len) }
    }
}

fn compio(path: &str, depth: u64, direct: bool) -> Result<()> {
    use compio::io::AsyncReadAt;
    compio::runtime::Runtime::new()?.block_on(async {
        let flags = if direct { libc::O_DIRECT } else { 0 };
        let mut options = compio::fs::OpenOptions::new();
        let file = options.read(true).custom_flags(flags).open(path).await?;
        let shared = Rc::new((Clock::start(), Count::default()));
        let tasks: Vec<_> = (1..=depth)
            .map(|mut state| {
                let (file, shared) = (file.clone(), shared.clone());
                compio::runtime::spawn(async move {
                    let mut buffer = Memory(memory()?);
                    while shared.1.more(&shared.0) {
                        let done = file.read_at(buffer, random(&mut state)).await;
                        buffer = done.1;
                        whole(done.0?)?;
                    }
                    Ok::<_, Error>(())
                })
            })
            .collect();
        for task in tasks {
            task.await.map_err(|_| Error::other("a task panicked"))??;
        }
        shared.1.print();
        Ok(())
    })
}
