//! `sums FILE...`: reads files concurrently by AIO, on one thread, and prints the sum of
//! the bytes of each.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use core::cell::Cell;
use core::fmt::Write;

use linux_aio::Errno;
use linux_aio::reactor::Reactor;
use linux_aio::rt::{Process, Stderr, Stdout};
use rustix::fs::OFlags;
use static_programs::executor;
use static_programs::file::File;

linux_aio::entry!(main);

/// The bytes of one read.
const BLOCK: usize = 64 << 10;

/// The sum and the length of a file, once they are known.
type Outcome = Cell<Result<(u64, u64), Errno>>;

fn main(process: Process) -> i32 {
    match sums(process) {
        Ok(()) => 0,
        Err(errno) => {
            let _ = writeln!(Stderr, "sums: {errno}");
            1
        }
    }
}

fn sums(process: Process) -> Result<(), Errno> {
    // The files are opened before the reactor, which borrows them.
    let files: Vec<(File, Outcome)> = process
        .args()
        .skip(1)
        .map(|path| Ok((File::open(path, OFlags::RDONLY)?, Cell::new(Ok((0, 0))))))
        .collect::<Result<_, Errno>>()?;
    let reactor = Reactor::with_capacity(16)?.batched();
    let tasks = files
        .iter()
        .map(|(file, result)| async { result.set(sum(&reactor, file).await) });
    executor::run(&reactor, tasks)?;
    for ((_, result), path) in files.iter().zip(process.args().skip(1)) {
        let (sum, length) = result.get()?;
        writeln!(Stdout, "{sum:016x} {length} {}", path.to_string_lossy())
            .map_err(|_| Errno::IO)?;
    }
    Ok(())
}

/// Returns the sum of a file's bytes and its length.
async fn sum<'r>(reactor: &Reactor<'r, Vec<u8>>, file: &'r File) -> Result<(u64, u64), Errno> {
    let mut buffer = Vec::with_capacity(BLOCK);
    let (mut sum, mut length) = (0, 0);
    loop {
        let done = reactor.read(file, buffer, length).await;
        buffer = done.buffer;
        if done.result? == 0 {
            return Ok((sum, length));
        }
        length += buffer.len() as u64;
        sum += buffer.iter().map(|&byte| u64::from(byte)).sum::<u64>();
        buffer.clear();
    }
}
