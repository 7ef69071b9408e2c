//! Measures which operations on files of a folder are asynchronous, that is, how many of
//! them have not completed yet when `io_submit` returns:
//! `cargo run --release --features std --example asynchronous -- FOLDER`
//!
//! It creates the file `FOLDER/asynchronous.tmp` of 1 MiB, and removes it.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use linux_aio::Queue;
use linux_aio::buffer::AlignedBuf;
use linux_aio::direct_io::Alignment;
use linux_aio::op::{Fdsync, Fsync, Op, Read, Write};

/// The number of operations in each measurement.
const TIMES: usize = 32;
/// Each operation is in a part of the file of its own.
const STRIDE: u64 = 32 * 1024;

type Operation = fn(&File, AlignedBuf, u64) -> Op<'_, AlignedBuf>;

fn read(file: &File, buffer: AlignedBuf, at: u64) -> Op<'_, AlignedBuf> {
    Read::new(file, buffer).offset(at).into()
}

fn write(file: &File, buffer: AlignedBuf, at: u64) -> Op<'_, AlignedBuf> {
    Write::new(file, buffer).offset(at).into()
}

fn fsync(file: &File, _: AlignedBuf, _: u64) -> Op<'_, AlignedBuf> {
    Fsync::new(file).into()
}

fn fdsync(file: &File, _: AlignedBuf, _: u64) -> Op<'_, AlignedBuf> {
    Fdsync::new(file).into()
}

fn main() -> io::Result<()> {
    let folder = std::env::args().nth(1).expect("the name of a folder");
    let path = Path::new(&folder).join("asynchronous.tmp");
    println!("{:34} not completed   in io_submit     in all", "");
    let measured = measure_all(&path);
    fs::remove_file(&path)?;
    measured
}

fn measure_all(path: &Path) -> io::Result<()> {
    let (block, memory) = match Alignment::of(&create(path, 0)?)? {
        Some(alignment) => (alignment.offset().max(4096), alignment.memory().max(512)),
        None => (4096, 4096),
    };
    let direct = || create(path, libc::O_DIRECT);
    let cached = || create(path, 0);
    let measure = |name, file: io::Result<File>, stride, op| match file {
        Ok(file) => measure(name, &file, (block, memory), stride, op),
        // For example, the file system has no O_DIRECT.
        Err(error) => {
            println!("{name:34} {error}");
            Ok(())
        }
    };
    measure("direct read", direct().and_then(fill), STRIDE, read)?;
    measure(
        "direct read of a hole",
        direct().and_then(hole),
        STRIDE,
        read,
    )?;
    measure("direct write", direct().and_then(fill), STRIDE, write)?;
    measure(
        "direct write, preallocated",
        direct().and_then(allocate),
        STRIDE,
        write,
    )?;
    measure(
        "direct write into a hole",
        direct().and_then(hole),
        STRIDE,
        write,
    )?;
    measure("direct write at the end", direct(), block as u64, write)?;
    measure("read, cached", cached().and_then(fill), STRIDE, read)?;
    measure("read, not cached", cached().and_then(evict), STRIDE, read)?;
    measure("write", cached().and_then(fill), STRIDE, write)?;
    measure("fsync", cached(), 0, fsync)?;
    measure("fdsync", cached(), 0, fdsync)
}

/// Runs operations one by one, and prints how many had completed after the submission.
fn measure(
    name: &str,
    file: &File,
    (block, memory): (usize, usize),
    stride: u64,
    op: Operation,
) -> io::Result<()> {
    let (mut in_submit, mut total, mut pending) = (Duration::ZERO, Duration::ZERO, 0);
    let mut queue = Queue::<AlignedBuf>::with_capacity(1)?;
    for number in 0..TIMES as u64 {
        let buffer = AlignedBuf::zeroed(block, memory).ok_or(io::ErrorKind::OutOfMemory)?;
        if stride == 0 {
            file.write_all_at(b"to be synced", number)?;
        }
        queue.push(op(file, buffer, number * stride))?;
        let start = Instant::now();
        // One io_submit.
        queue.flush();
        in_submit += start.elapsed();
        let done = match queue.pop()? {
            Some(done) => done,
            None => {
                pending += 1;
                queue.wait()?.expect("the operation in flight")
            }
        };
        total += start.elapsed();
        done.result?;
    }
    let micros = |time: Duration| time.as_micros() as f64 / TIMES as f64;
    let (in_submit, total) = (micros(in_submit), micros(total));
    println!("{name:34} {pending:6} of {TIMES} {in_submit:11.1} µs {total:7.1} µs");
    Ok(())
}

/// Creates an empty file.
fn create(path: &Path, flags: i32) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).create(true).truncate(true);
    options.custom_flags(flags).open(path)
}

/// Fills the file with data, and writes them to the disk.
fn fill(file: File) -> io::Result<File> {
    let len = TIMES * STRIDE as usize;
    let mut data = AlignedBuf::zeroed(len, 4096).ok_or(io::ErrorKind::OutOfMemory)?;
    data.fill(1);
    file.write_all_at(&data, 0)?;
    file.sync_all()?;
    Ok(file)
}

/// Gives the file its length, and no data.
fn hole(file: File) -> io::Result<File> {
    file.set_len(TIMES as u64 * STRIDE)?;
    file.sync_all()?;
    Ok(file)
}

fn allocate(file: File) -> io::Result<File> {
    let len = TIMES as libc::off_t * STRIDE as libc::off_t;
    // SAFETY: the call has no pointer.
    match unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, len) } {
        0 => file.sync_all().map(|()| file),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// Fills the file, and removes its data from the page cache.
fn evict(file: File) -> io::Result<File> {
    let file = fill(file)?;
    for advice in [libc::POSIX_FADV_DONTNEED, libc::POSIX_FADV_RANDOM] {
        // SAFETY: the call has no pointer.
        let error = unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, advice) };
        if error != 0 {
            return Err(io::Error::from_raw_os_error(error));
        }
    }
    Ok(file)
}
