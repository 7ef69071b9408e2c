//! The first process of a system (PID 1): mounts what it needs, copies an image to a disk
//! by AIO, verifies the copy, and switches the machine off.
//!
//! The file `/plan` lists the steps, one a line:
//!
//! ```text
//! module /virtio_blk.ko
//! copy /image /dev/vda
//! ```
#![no_std]
#![no_main]

extern crate alloc;

use alloc::boxed::Box;
use alloc::ffi::CString;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::Cell;
use core::fmt::Write;

use linux_aio::Errno;
use linux_aio::buffer::{AlignedBox, Slice};
use linux_aio::reactor::Reactor;
use linux_aio::rt::{Process, Stdout};
use rustix::fs::{Mode, OFlags, mkdir};
use rustix::mount::{MountFlags, mount};
use rustix::system::{RebootCommand, finit_module, reboot};
use static_programs::executor;
use static_programs::file::{File, errno};

linux_aio::entry!(main);

/// The bytes of one operation, and the number of blocks in flight.
const BLOCK: usize = 64 << 10;
const BLOCKS: u64 = 8;

/// Direct operations need aligned memory.
type Block = AlignedBox<4096>;
type Disk<'r> = Reactor<'r, Slice<Block>>;

fn main(_process: Process) -> i32 {
    // A process other than the first has no right to the steps below.
    if rustix::process::getpid() != rustix::process::Pid::INIT {
        let _ = writeln!(Stdout, "init is the first process of a system");
        return 2;
    }
    if let Err(error) = begin() {
        let _ = writeln!(Stdout, "no console: {error}");
    }
    // Firmware may have left the console in the middle of a line.
    let _ = writeln!(Stdout, "\ninit");
    match follow() {
        Ok(()) => _ = writeln!(Stdout, "done"),
        Err(error) => _ = writeln!(Stdout, "failed: {error}"),
    }
    rustix::fs::sync();
    // The kernel panics if its first process returns.
    let _ = reboot(RebootCommand::PowerOff);
    let _ = reboot(RebootCommand::Restart);
    1
}

/// Mounts the devices, and opens the console as the standard descriptors. The kernel has
/// no console for the first process of an initramfs without `/dev/console`.
fn begin() -> Result<(), Errno> {
    for (kind, place) in [("devtmpfs", "/dev"), ("proc", "/proc")] {
        // The folder may exist.
        let _ = mkdir(place, Mode::from_raw_mode(0o755));
        match mount(kind, place, kind, MountFlags::empty(), None) {
            Ok(()) | Err(rustix::io::Errno::BUSY) => {}
            Err(error) => return Err(errno(error)),
        }
    }
    let console = File::open("/dev/console", OFlags::RDWR)?;
    rustix::stdio::dup2_stdin(&console).map_err(errno)?;
    rustix::stdio::dup2_stdout(&console).map_err(errno)?;
    rustix::stdio::dup2_stderr(&console).map_err(errno)
}

/// Follows the plan.
fn follow() -> Result<(), String> {
    let plan = read_all("/plan").map_err(|error| format!("/plan: {error}"))?;
    let plan = String::from_utf8(plan).map_err(|_| "/plan: no text")?;
    for line in plan.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let step = match *words {
            [] => continue,
            ["module", path, ref parameters @ ..] => load(path, &parameters.join(" ")),
            ["copy", source, target] => copy(source, target),
            _ => Err(Errno::INVAL),
        };
        step.map_err(|error| format!("{line}: {error}"))?;
    }
    Ok(())
}

/// Reads a small file.
fn read_all(path: &str) -> Result<Vec<u8>, Errno> {
    let file = File::open(path, OFlags::RDONLY)?;
    let reactor = Reactor::with_capacity(1)?;
    let result = Cell::new(Ok(0));
    let content = Cell::new(Vec::new());
    executor::run(
        &reactor,
        [async {
            let (read, buffer) = reactor.read_to_end_at(&file, Vec::new().into(), 0).await;
            result.set(read);
            content.set(buffer.into_inner());
        }],
    )?;
    result.get()?;
    Ok(content.take())
}

/// Loads a module of the kernel.
fn load(path: &str, parameters: &str) -> Result<(), Errno> {
    let module = File::open(path, OFlags::RDONLY)?;
    let parameters = CString::new(parameters).map_err(|_| Errno::INVAL)?;
    finit_module(&module, &parameters, 0).map_err(errno)
}

/// Copies a file to a disk, and verifies the disk's content. The blocks are in flight at
/// the same time.
fn copy(source: &str, target: &str) -> Result<(), Errno> {
    let from = File::open(source, OFlags::RDONLY)?;
    let to = File::open(target, OFlags::RDWR | OFlags::DIRECT)?;
    let length = rustix::fs::fstat(&from).map_err(errno)?.st_size as u64;
    let reactor = Reactor::with_capacity(2 * BLOCKS as u32)?;

    let written = each_block(&reactor, length, async |offset, block| {
        let block = read(&reactor, &from, block, offset).await?;
        // A direct write is of whole sectors; the block's end is zero.
        let (result, block) = reactor.write_all_at(&to, block, offset).await;
        result.map(|_| block)
    })?;
    let synced = Cell::new(Ok(0));
    executor::run(
        &reactor,
        [async {
            synced.set(reactor.fsync(&to).await.result);
        }],
    )?;
    synced.get()?;
    let _ = writeln!(Stdout, "copied {written} bytes");

    let different = Cell::new(0);
    let verified = each_block(&reactor, length, async |offset, block| {
        let there = read(&reactor, &to, block, offset).await?;
        let here = read(&reactor, &from, new_block()?, offset).await?;
        let size = usize::try_from(length - offset).map_or(BLOCK, |rest| rest.min(BLOCK));
        if here.get(..size) != there.get(..size) {
            different.set(different.get() + 1);
        }
        Ok(there)
    })?;
    if different.get() != 0 {
        let _ = writeln!(Stdout, "{} blocks differ", different.get());
        return Err(Errno::IO);
    }
    let _ = writeln!(Stdout, "verified {verified} bytes");
    Ok(())
}

fn new_block() -> Result<Block, Errno> {
    AlignedBox::zeroed(BLOCK).ok_or(Errno::NOMEM)
}

/// Reads a block, which stays zero behind the end of the file.
async fn read<'r>(
    disk: &Disk<'r>,
    file: &'r File,
    mut block: Block,
    offset: u64,
) -> Result<Block, Errno> {
    block.fill(0);
    let (result, block) = disk.read_exact_at(file, block, offset).await;
    result.map(|_| block)
}

/// Calls a function for each block, by tasks that each take every eighth. Returns the
/// number of bytes.
fn each_block(
    reactor: &Disk<'_>,
    length: u64,
    work: impl AsyncFn(u64, Block) -> Result<Block, Errno>,
) -> Result<u64, Errno> {
    let (work, first_error) = (&work, &Cell::new(None));
    let tasks = (0..BLOCKS).map(|task| async move {
        let lane = async || {
            let mut block = new_block()?;
            for index in (task..length.div_ceil(BLOCK as u64)).step_by(BLOCKS as usize) {
                block = work(index * BLOCK as u64, block).await?;
            }
            Ok(())
        };
        if let Err(error) = lane().await {
            first_error.set(Some(error));
        }
    });
    executor::run(reactor, tasks.collect::<Box<[_]>>())?;
    first_error.get().map_or(Ok(length), Err)
}
