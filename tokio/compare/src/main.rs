//! Measures random reads of 4 KiB by linux-aio-tokio beside tokio::fs, tokio-uring and
//! compio, at several depths, past the page cache and within it.
//!
//! ```sh
//! cargo run --release -- FILE                # the page docs/tokio-performance.md
//! cargo run --release -- FILE WAY+WAY DEPTH MODE ROUNDS # the rows of these ways
//! cargo run --release -- FILE WAY DEPTH MODE # one measurement: operations, ns, ns of CPU
//! ```
//!
//! FILE is created with 256 MiB if it does not exist. A direct measurement takes it out of the
//! page cache, and the page puts it there before the cached ones. Each measurement is a process
//! of its own, a round has all ways in random order, and the tables have the medians of the
//! rounds. Every way reads into memory that it reuses, from one runtime on one thread (except
//! where it says more).

mod table;
mod ways;

use std::fs::OpenOptions;
use std::io::{Result, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};

/// The length of a read.
const BLOCK: usize = 4096;
const BLOCKS: u64 = 64 << 10;
/// The time that is measured, after a tenth of it to warm up.
const TIME: Duration = Duration::from_millis(400);

/// The clock of a measurement, which all its tasks share.
struct Clock {
    begin: Instant,
}

impl Clock {
    fn start() -> Clock {
        Clock {
            begin: Instant::now(),
        }
    }

    fn warm(&self) -> bool {
        self.begin.elapsed() >= TIME / 10
    }

    fn ended(&self) -> bool {
        self.begin.elapsed() >= TIME / 10 + TIME
    }
}

/// Returns the processor time of this process with all its threads.
fn cpu() -> Duration {
    // SAFETY: zero is a valid value of every field.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: `usage` is valid for writes.
    unsafe { libc::getrusage(libc::RUSAGE_SELF, &raw mut usage) };
    let time = |time: libc::timeval| {
        Duration::new(time.tv_sec as u64, 0) + Duration::from_micros(time.tv_usec as u64)
    };
    time(usage.ru_utime) + time(usage.ru_stime)
}

/// Returns the offset of a random block.
fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state % BLOCKS * BLOCK as u64
}

/// Creates the file, unless it exists.
fn create(path: &str) -> Result<()> {
    let content = vec![7_u8; 1 << 20];
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)?;
    if file.metadata()?.len() < BLOCKS * BLOCK as u64 {
        for _ in 0..(BLOCKS * BLOCK as u64) >> 20 {
            file.write_all(&content)?;
        }
        file.sync_all()?;
    }
    Ok(())
}

/// Puts the file into the page cache.
fn cache(path: &str) -> Result<()> {
    std::io::copy(&mut std::fs::File::open(path)?, &mut std::io::sink())?;
    Ok(())
}

fn open(path: &str, direct: bool) -> Result<std::fs::File> {
    let flags = if direct { libc::O_DIRECT } else { 0 };
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)?;
    if direct {
        // Data of a direct file is seldom in the page cache, where each read looks for it.
        // SAFETY: no pointers are passed.
        let result =
            unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
        if result != 0 {
            return Err(std::io::Error::from_raw_os_error(result));
        }
    }
    Ok(file)
}

fn main() -> Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        [path] => {
            create(path)?;
            table::print(path)
        }
        [path, way, depth, mode] => {
            let depth = depth.parse().map_err(std::io::Error::other)?;
            ways::run(way, path, depth, mode == "direct")
        }
        [path, ways, depth, mode, rounds] => {
            create(path)?;
            let depth = depth.parse().map_err(std::io::Error::other)?;
            let rounds = rounds.parse().map_err(std::io::Error::other)?;
            table::some(path, ways, depth, mode, rounds)
        }
        _ => Err(std::io::Error::other(
            "compare FILE [WAY DEPTH MODE | WAY+WAY DEPTH MODE ROUNDS]",
        )),
    }
}
