//! Copies a file with 16 reads and writes in flight, beside a timer:
//!
//! ```sh
//! cargo run -p linux-aio-tokio --example copy -- SOURCE TARGET
//! ```
//!
//! It copies past the page cache where the file systems have direct I/O. The target is
//! synced before the program ends.

use std::io::{Error, ErrorKind, Result};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use linux_aio_tokio::buffer::IoBuf;
use linux_aio_tokio::{File, OpenOptions};
use tokio::task::JoinSet;
use tokio::time::interval;

/// The number of tasks that copy.
const TASKS: usize = 16;
/// The number of bytes that a task copies at a time.
const CHUNK: usize = 128 << 10;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let [source, target] = &arguments[..] else {
        eprintln!("copy SOURCE TARGET");
        return ExitCode::from(2);
    };
    match copy(source.as_ref(), target.as_ref()).await {
        Ok(copied) => {
            println!("{copied}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("copy: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Opens a file for direct I/O, or through the page cache where there is none (EINVAL).
async fn open(options: &mut OpenOptions, path: &Path) -> Result<File> {
    match options.direct(true).open(path).await {
        Err(error) if error.kind() == ErrorKind::InvalidInput => {
            options.direct(false).open(path).await
        }
        opened => opened,
    }
}

async fn copy(source: &Path, target: &Path) -> Result<String> {
    let source = open(File::options().read(true), source).await?;
    let mut options = File::options();
    let target = open(options.write(true).create(true).truncate(true), target).await?;
    let len = source.metadata().await?.len();

    let ticks = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&ticks);
    let timer = tokio::spawn(async move {
        let mut interval = interval(Duration::from_millis(1));
        loop {
            interval.tick().await;
            counted.fetch_add(1, Relaxed);
        }
    });

    let next = Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        let (source, target, next) = (source.clone(), target.clone(), Arc::clone(&next));
        tasks.spawn(async move { work(&source, &target, &next, len).await });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(Error::other)??;
    }
    // The last block of a direct write is whole.
    target.set_len(len).await?;
    target.sync_all().await?;
    timer.abort();
    let unavailable = match target.aio().unavailable() {
        Some(errno) => format!("; without AIO: {errno}"),
        None => String::new(),
    };
    let ticks = ticks.load(Relaxed);
    Ok(format!(
        "{len} bytes; {ticks} ticks of a timer{unavailable}"
    ))
}

/// Copies chunk after chunk, until another task has taken the last.
async fn work(source: &File, target: &File, next: &AtomicU64, len: u64) -> Result<()> {
    let mut buffer = source.buffer(CHUNK)?;
    loop {
        let at = next.fetch_add(CHUNK as u64, Relaxed);
        if at >= len {
            return Ok(());
        }
        let (read, back) = source.read_at(buffer, at).await;
        let count = read?;
        if count as u64 != (len - at).min(CHUNK as u64) {
            return Err(Error::other("the source has changed"));
        }
        let whole = if target.is_direct() {
            count.next_multiple_of(4096)
        } else {
            count
        };
        let (written, back) = target.write_all_at(back.slice(..whole), at).await;
        written?;
        buffer = back.into_inner();
    }
}
