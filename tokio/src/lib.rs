//! Linux native AIO for tokio: a [`File`] whose direct reads and writes, and whose fsync,
//! are performed by the kernel and not by a thread pool.
//!
//! AIO is there where io_uring is switched off: in containers, on phones, on hardened
//! hosts. Where AIO is switched off too, the same program runs on tokio's blocking pool.
//! No worker of the runtime waits for a disk.
//!
//! ```
//! use linux_aio_tokio::File;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! # let path = std::env::current_exe()?;
//! let file = File::options().read(true).direct(true).open(path).await?;
//! // Memory that is aligned for direct I/O. It is returned with the result.
//! let (result, block) = file.read_at(file.buffer(4096)?, 0).await;
//! assert_eq!(result?, 4096);
//! assert_eq!(block[..4], *b"\x7fELF");
//! # Ok(())
//! # }
//! ```
//!
//! - [`File`]: positional reads and writes. An operation takes its buffer and returns it,
//!   because the kernel uses the memory after a future was dropped. [`buffer`] has the types:
//!   `Vec<u8>`, aligned memory, ranges of a buffer, several as one, and with the feature
//!   `bytes` those of that crate.
//! - [`Reader`] and [`Writer`]: a file as `AsyncRead`, `AsyncBufRead`, `AsyncWrite` and
//!   `AsyncSeek`, also without alignment on direct files.
//! - [`Aio`]: the driver of a runtime, its options, and its shutdown.
//!
//! The programs in `examples/` are a copy, random reads at a depth, and a log with group
//! commit.
//!
//! # When it is asynchronous
//!
//! | operation | performed by |
//! |---|---|
//! | read or write of a direct file (O_DIRECT) | AIO: the kernel, without a thread |
//! | `sync_all`, `sync_data` | AIO: a worker thread of the kernel |
//! | read of a file that is not direct, in the page cache | the calling thread, without waiting (`RWF_NOWAIT`) |
//! | the same, not in the page cache, or a file system without `RWF_NOWAIT` | the blocking pool |
//! | write to a file that is not direct | the calling thread where the file system can without waiting, otherwise the blocking pool |
//! | anything on a pipe, a terminal, a character device | the blocking pool |
//! | `open`, `metadata`, `set_len` | the blocking pool |
//!
//! The submission of a direct operation can block for a while in the kernel: where the file
//! system allocates blocks or reads metadata first (a write that extends a file, a first
//! write to a hole), where the device's queue is full, and on file systems that perform
//! direct I/O through the page cache. It is shortest for files that have their length and
//! their blocks: written once before.
//!
//! An operation that completes while it is submitted wakes its task at once. Each operation
//! takes one unit of tokio's cooperative budget, so that a loop of such operations returns to
//! the runtime.
//!
//! # Depth
//! A device is fast with many operations in flight: begin them in several tasks, or several
//! futures of one task. [`Builder::capacity`] limits the number for the runtime (256).
//! Further operations wait for a slot in order of arrival. Operations that several tasks
//! begin in the same pass of the scheduler are submitted together; one that is alone (no
//! other has a slot) is submitted at once. The repository's page `docs/tokio-performance.md`
//! compares depths.
//!
//! A future that has begun keeps its slot until it is polled after completion, or dropped. A
//! task that begins operations and then waits for something else keeps their slots
//! meanwhile: do not wait for one operation while holding all slots by others.
//!
//! # Alignment
//! Direct I/O requires multiples of a power of two for the offset, the length and the address
//! of the memory: [`File::alignment`] reports them, [`File::buffer`] allocates such memory.
//! The error is EINVAL. A read across the end of the file is short, and its buffer must be
//! aligned nevertheless; a write has whole blocks, and [`File::set_len`] cuts the file
//! afterwards. [`Reader`] and [`Writer`] need none of this.
//!
//! # Cancellation
//! A future that is dropped before its first poll has no effect. A future that is dropped
//! later:
//! - **the operation continues.** AIO has no way to stop reads and writes, and a thread of
//!   the pool cannot be stopped either. A write in flight happens as a whole, at any time
//!   until it is complete. Only an operation that still waits for its slot does not happen.
//! - **the buffer** belongs to the driver until the operation has completed, and is dropped
//!   then. A read's data is lost.
//! - **the file** is open until then.
//! - **the order** of it and of later operations on the same bytes is undefined. Before such a
//!   write is repeated, wait for [`Aio::in_flight`] to be 0, or use another place.
//!
//! So do not put a write into `select!` or a timeout whose other branch writes the same
//! place; spawn it as a task and await its handle.
//!
//! # Shutdown
//! The driver ends with its runtime. Operations in flight are completed on a thread that
//! then destroys the context, which takes tens of milliseconds (an RCU grace period): no
//! worker waits for it, and neither does the drop of the runtime. Tasks of *other* runtimes
//! that wait for such operations get their results. A file whose runtime has ended can be
//! used in another, by that one's driver.
//!
//! Where a limit forbids that thread (EAGAIN), the thread that ends the driver waits until the
//! operations in flight have completed. The tasks that wait for a slot then wait for their
//! operations on their own threads, and the last future destroys the context.
//!
//! [`Aio::shutdown`] ends the driver of a runtime that goes on, and waits until the context
//! is destroyed. None of this syncs: await [`File::sync_data`] before.
//!
//! # Where AIO is unavailable
//! The kernel may be built without AIO, a sandbox may forbid it (ENOSYS or EPERM; also one
//! that begins after the driver), QEMU's user mode has none, and `fs.aio-max-nr` may be used
//! up (EAGAIN; before that, the driver takes fewer slots). Then the operations run on the
//! blocking pool with the same results, and the first of a process is logged as a warning
//! (feature `log`). [`Aio::unavailable`] returns the reason. With [`Fallback::Error`] there
//! is an error instead. A sandbox that *kills* for an AIO system call cannot be detected.
//!
//! A profile needs the system calls that the library's page `docs/sandboxes.md` lists, and
//! `eventfd2`, `preadv2`, `pwritev2`, `fcntl` and those of tokio besides.
//!
//! # Fork
//! tokio's runtimes do not survive `fork(2)`. A child with a runtime of its own has a driver
//! of its own, and its operations on inherited files run on the blocking pool. Nothing in a
//! child affects the parent's operations.
//!
//! # Migration
//!
//! | `tokio::fs` | here |
//! |---|---|
//! | `File::open(path)`, `create`, `OpenOptions` | the same; [`OpenOptions::direct`] |
//! | `file.read(&mut buffer)` with a position | `file.reader(0)` and `AsyncReadExt` |
//! | `file.seek(…)`, `file.read_exact(…)` | [`File::read_exact_at`] with an offset |
//! | `file.write_all(&buffer)`, `flush` | `file.writer(0)` and `AsyncWriteExt`; [`File::write_all_at`] |
//! | `file.sync_all()`, `sync_data`, `set_len`, `metadata` | the same |
//! | `tokio::fs::read(path)` | [`File::read_to_end_at`] |
//! | `file.into_std().await` | [`File::try_into_std`] |
//!
//! | `tokio_uring` | here |
//! |---|---|
//! | `tokio_uring::start(…)` | any runtime of tokio, also with several threads |
//! | `file.read_at(buffer, at).await` → `(result, buffer)` | the same: [`File::read_at`] |
//! | `file.write_at(buffer, at).submit().await` | [`File::write_at`] |
//! | `read_exact_at`, `write_all_at`, `sync_all`, `sync_data` | the same |
//! | `readv_at(buffers, at)`, `writev_at` | [`File::read_at`] with [`buffer::Vectored`] |
//! | `buffer.slice(1..)`, `IoBuf`, `IoBufMut` | the same in [`buffer`] |
//! | `file.close().await` | drop of the file |
//! | futures that are `!Send` | futures that are `Send` |
//!
//! | the crate of this name of 2019, up to 0.4 | here |
//! |---|---|
//! | `aio_context(n, use_semaphore)` → context and handle | `Aio::builder().capacity(n).start()`, or nothing: the first file starts it |
//! | `local_aio_context` and its background future | a runtime of one thread |
//! | `options.aio_open(path, false)` | [`OpenOptions`]`.direct(true).open(path)` |
//! | `options.aio_open(path, true)`, which was O_SYNC and not direct | `.direct(true).custom_flags(libc::O_SYNC)` |
//! | `file.read_at(&handle, offset, &mut buffer, len, flags)` | [`File::read_at`]`(buffer.slice(..len), offset)`: no handle, and the buffer is returned |
//! | `file.write_at(&handle, offset, &buffer, len, flags)` | [`File::write_at`]`(buffer.slice(..len), offset)` |
//! | `WriteFlags::APPEND`, `DSYNC`, `SYNC` | `append(true)`, `custom_flags(libc::O_DSYNC)`, `libc::O_SYNC` at open |
//! | `LockedBuf::with_size(n)` | [`File::buffer`]`(n)`; no memory is locked |
//! | `file.sync_all(&handle)`, `sync_data` | [`File::sync_all`], [`File::sync_data`] |
//! | `AioCommandError` | `std::io::Error`, with the kernel's error number |
//! | `context.close().await` | [`Aio::shutdown`] |
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg(any(target_os = "linux", target_os = "android"))]

mod aio;
mod builder;
mod driver;
mod erased;
mod eventfd;
mod file;
mod fork;
mod linger;
mod open_options;
mod operation;
mod pool;
mod reader;
mod registry;
mod shares;
mod transfer;
mod whole;
mod writer;

pub use aio::Aio;
pub use builder::{Builder, Fallback};
pub use file::File;
pub use linux_aio::{Errno, buffer, direct_io};
pub use open_options::OpenOptions;
pub use reader::Reader;
pub use writer::Writer;
