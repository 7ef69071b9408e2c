//! Reads random blocks of a file, some at a time, and prints the rate:
//!
//! ```sh
//! cargo run --release -p linux-aio-tokio --example random_read -- FILE [DEPTH] [READS]
//! ```

use std::io::{Error, ErrorKind, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use linux_aio_tokio::File;
use tokio::task::JoinSet;

const BLOCK: u64 = 4096;

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let usage = || Error::new(ErrorKind::InvalidInput, "random_read FILE [DEPTH] [READS]");
    let path = arguments.next().ok_or_else(usage)?;
    let mut number = |default| match arguments.next() {
        Some(number) => number.parse().map_err(Error::other),
        None => Ok(default),
    };
    let (depth, reads) = (number(32)?, number(10_000)?);

    let file = File::options().read(true).direct(true).open(&path).await?;
    let blocks = file.metadata().await?.len() / BLOCK;
    if blocks == 0 {
        return Err(Error::other("the file has no whole block"));
    }
    let left = Arc::new(AtomicU64::new(reads));
    let begin = Instant::now();
    let mut tasks = JoinSet::new();
    for seed in 1..=depth {
        let (file, left) = (file.clone(), Arc::clone(&left));
        tasks.spawn(async move {
            let mut buffer = file.buffer(BLOCK as usize)?;
            let mut random: u64 = seed;
            // Takes one of the reads that are left.
            while left
                .fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1))
                .is_ok()
            {
                // Xorshift.
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                let read;
                (read, buffer) = file.read_exact_at(buffer, random % blocks * BLOCK).await;
                read?;
            }
            Ok::<_, Error>(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(Error::other)??;
    }
    let took = begin.elapsed();
    let rate = reads as f64 / took.as_secs_f64();
    println!("{reads} reads at depth {depth} in {took:?}: {rate:.0} a second");
    file.aio().shutdown().await;
    Ok(())
}
