//! The operations of a [`File`], each on the way that does not block a worker.

use std::io::{Error, ErrorKind, Result};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use linux_aio::Errno;
use linux_aio::buffer::{IoBuf, IoBufMut};
use tokio::task::coop::consume_budget;

use crate::aio::Aio;
use crate::builder::current;
use crate::driver::{Closed, Driver, Route};
use crate::erased::Erased;
use crate::file::{Access, File};
use crate::pool;
use crate::shares::{Begun, Done, Shares};
use crate::transfer::{self, Waits};

impl File {
    /// Reads into a buffer at `offset` in bytes. Returns the number of bytes read, and the
    /// buffer.
    ///
    /// The number is 0 at the end of the file, and may be less than the buffer holds
    /// before it. A `Vec` is read into up to its length, or up to its capacity if it is
    /// empty.
    ///
    /// # Errors
    /// - EINVAL: direct I/O that is not aligned ([`File::alignment`]), or an offset of
    ///   more than 2⁶³ − 1.
    /// - EBADF: the file is not open for reading.
    /// - EIO and others of `pread(2)`.
    /// - `Other`: the driver or the runtime has been shut down.
    /// - ENOSYS, EPERM: AIO is unavailable, with [`Fallback::Error`](crate::Fallback).
    ///
    /// # Cancellation
    /// A future that is dropped in flight leaves its buffer to the driver until the
    /// kernel has filled it, and the data is lost.
    ///
    /// # Examples
    /// ```
    /// use linux_aio_tokio::File;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let path = std::env::current_exe()?;
    /// let file = File::options().read(true).direct(true).open(path).await?;
    /// let (mut block, mut offset) = (file.buffer(64 << 10)?, 0);
    /// loop {
    ///     let read;
    ///     (read, block) = file.read_at(block, offset).await;
    ///     let count = read?;
    ///     if count == 0 {
    ///         break;
    ///     }
    ///     // The block has `count` bytes of the file.
    ///     offset += count as u64;
    /// #     if count % 4096 != 0 { break }
    /// }
    /// assert_eq!(offset, file.metadata().await?.len());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn read_at<B>(&self, buffer: B, offset: u64) -> (Result<usize>, B)
    where
        B: IoBufMut + Send + 'static,
    {
        let mut buffer = buffer;
        if self.0.access == Access::Buffered && !self.0.waits_to_read.load(Relaxed) {
            // A loop over cached data must return to the runtime now and then.
            consume_budget().await;
            let read = transfer::read(&self.0.file, &mut buffer, offset, Waits::No);
            if let Some(result) = at_once(read, &self.0.waits_to_read) {
                return (result, buffer);
            }
        }
        if self.0.access == Access::Direct {
            let attempt = self.by_aio(buffer, |shares, file, buffer| {
                shares.read(file, Erased::for_read(buffer), offset)
            });
            match attempt.await {
                Tried::Done(result, buffer) => return (result, buffer),
                Tried::Pool(back) => buffer = back,
            }
        }
        let file = Arc::clone(&self.0.file);
        let read = move |buffer: &mut B| transfer::read(&file, buffer, offset, Waits::Yes);
        pool::run(&self.0.driver.pool(), buffer, read).await
    }

    /// Writes a buffer at `offset` in bytes. Returns the number of bytes written, and the
    /// buffer.
    ///
    /// The number may be less than the length. On a file that was opened to append, the
    /// offset has no effect.
    ///
    /// # Errors
    /// - EINVAL: direct I/O that is not aligned ([`File::alignment`]), or an offset of
    ///   more than 2⁶³ − 1.
    /// - EBADF: the file is not open for writing.
    /// - ENOSPC, EFBIG, EIO and others of `pwrite(2)`.
    /// - `Other`: the driver or the runtime has been shut down.
    /// - ENOSYS, EPERM: AIO is unavailable, with [`Fallback::Error`](crate::Fallback).
    ///
    /// # Cancellation
    /// The write of a future that is dropped in flight continues to its end. A write of
    /// the same place that begins afterwards may reach the disk before it.
    ///
    /// # Examples
    /// ```
    /// use linux_aio_tokio::File;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let name = format!("linux-aio-tokio-write-at-{}", std::process::id());
    /// # let path = std::env::temp_dir().join(name);
    /// let file = File::create(&path).await?;
    /// let (written, buffer) = file.write_at(b"twelve bytes".to_vec(), 0).await;
    /// // A full disk, for example, has the error ENOSPC, or a short write before it.
    /// if written? < buffer.len() {
    ///     eprintln!("a short write");
    /// }
    /// # std::fs::remove_file(&path)?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn write_at<B>(&self, buffer: B, offset: u64) -> (Result<usize>, B)
    where
        B: IoBuf + Send + 'static,
    {
        let mut buffer = buffer;
        if self.0.access == Access::Buffered && !self.0.waits_to_write.load(Relaxed) {
            consume_budget().await;
            let written = transfer::write(&self.0.file, &mut buffer, offset, Waits::No);
            if let Some(result) = at_once(written, &self.0.waits_to_write) {
                return (result, buffer);
            }
        }
        if self.0.access == Access::Direct {
            let attempt = self.by_aio(buffer, |shares, file, buffer| {
                shares.write(file, Erased::for_write(buffer), offset)
            });
            match attempt.await {
                Tried::Done(result, buffer) => return (result, buffer),
                Tried::Pool(back) => buffer = back,
            }
        }
        let file = Arc::clone(&self.0.file);
        let write = move |buffer: &mut B| transfer::write(&file, buffer, offset, Waits::Yes);
        pool::run(&self.0.driver.pool(), buffer, write).await
    }

    /// Writes the file's cached data and metadata to the disk, as `fsync(2)`.
    ///
    /// It covers the writes that have completed before.
    ///
    /// # Errors
    /// EIO, ENOSPC, EDQUOT: data of this file was lost. EINVAL: it cannot be synced. `Other`
    /// as for a read.
    ///
    /// # Examples
    /// ```
    /// use linux_aio_tokio::File;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let name = format!("linux-aio-tokio-sync-all-{}", std::process::id());
    /// # let path = std::env::temp_dir().join(name);
    /// let file = File::create(&path).await?;
    /// let (written, _buffer) = file.write_all_at(b"committed".to_vec(), 0).await;
    /// written?;
    /// // An error means that data may be lost: syncing again does not report it.
    /// file.sync_all().await?;
    /// # std::fs::remove_file(&path)?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn sync_all(&self) -> Result<()> {
        self.sync(false, std::fs::File::sync_all).await
    }

    /// Writes the file's cached data to the disk, as `fdatasync(2)`, and of the metadata
    /// what is needed to read it.
    ///
    /// # Errors
    /// Those of [`sync_all`](File::sync_all).
    ///
    /// # Examples
    /// ```
    /// use linux_aio_tokio::File;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let name = format!("linux-aio-tokio-sync-data-{}", std::process::id());
    /// # let path = std::env::temp_dir().join(name);
    /// let log = File::create(&path).await?;
    /// let record = b"a record\n".to_vec();
    /// let len = record.len() as u64;
    /// log.write_all_at(record, 0).await.0?;
    /// log.write_all_at(b"another\n".to_vec(), len).await.0?;
    /// // One sync for both.
    /// log.sync_data().await?;
    /// # std::fs::remove_file(&path)?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn sync_data(&self) -> Result<()> {
        self.sync(true, std::fs::File::sync_data).await
    }

    async fn sync(&self, data: bool, call: fn(&std::fs::File) -> Result<()>) -> Result<()> {
        if self.0.access != Access::Other {
            if let Some(result) = self.sync_by_aio(data).await {
                return result;
            }
        }
        self.on_pool(call).await
    }

    /// Returns `None` if the pool has to do it.
    async fn sync_by_aio(&self, data: bool) -> Option<Result<()>> {
        let reactor = match route(&self.0.driver) {
            Ok(Way::Reactor(reactor, _)) => reactor,
            Ok(Way::Pool) => return None,
            Err(error) => {
                consume_budget().await;
                return Some(Err(error));
            }
        };
        let file = Arc::clone(&self.0.file);
        let done = {
            let _checked = reactor.checked();
            let sync = pin!(if data {
                reactor.fdsync(file)
            } else {
                reactor.fsync(file)
            });
            reactor.perform(sync).await
        };
        match done.result {
            Ok(_) => Some(Ok(())),
            // Before Linux 4.18, and where a file has no fsync: fsync(2) says which.
            Err(Errno::INVAL) if done.refused => None,
            Err(errno) if done.refused && self.0.driver.refused(errno) => None,
            Err(errno) => Some(Err(errno.into())),
        }
    }

    /// Performs an operation by AIO, if the driver has it.
    async fn by_aio<B: Send + 'static>(
        &self,
        buffer: B,
        begin: impl for<'a> FnOnce(&'a Shares, Arc<std::fs::File>, B) -> Begun<'a>,
    ) -> Tried<B> {
        let (reactor, driver) = match route(&self.0.driver) {
            Ok(Way::Reactor(reactor, driver)) => (reactor, driver),
            Ok(Way::Pool) => return Tried::Pool(buffer),
            Err(error) => {
                // A loop that ignores errors must return to the runtime, too.
                consume_budget().await;
                return Tried::Done(Err(error), buffer);
            }
        };
        let done = {
            let _checked = reactor.checked();
            let operation = pin!(begin(&reactor, Arc::clone(&self.0.file), buffer));
            reactor.perform(operation).await
        };
        let (result, refused) = (done.result, done.refused);
        let buffer = inner(done);
        match result {
            Err(errno) if refused && driver.as_ref().unwrap_or(&self.0.driver).refused(errno) => {
                Tried::Pool(buffer)
            }
            result => Tried::Done(result.map_err(Error::from), buffer),
        }
    }
}

/// The outcome of an attempt by AIO.
enum Tried<B> {
    Done(Result<usize>, B),
    /// The pool has to do it: nothing has happened.
    Pool(B),
}

/// How an operation is performed.
enum Way {
    /// By this reactor, and by this driver unless it is that of the file.
    Reactor(Arc<Shares>, Option<Arc<Driver>>),
    Pool,
}

/// Returns how an operation of this driver's files is performed. Once its runtime has
/// ended, that is by the driver of the current one.
fn route(driver: &Driver) -> Result<Way> {
    match driver.route() {
        Route::Reactor(reactor) => Ok(Way::Reactor(reactor, None)),
        Route::Pool => Ok(Way::Pool),
        Route::Closed(Closed::ShutDown) => Err(shut_down()),
        Route::Closed(Closed::RuntimeEnded) => other_runtime(driver),
    }
}

#[cold]
fn other_runtime(driver: &Driver) -> Result<Way> {
    // The other tasks of the runtime may still run while it ends.
    if current()?.id() == driver.runtime.id() {
        return Err(pool::shut_down());
    }
    let driver = Aio::current()?.0;
    match driver.route() {
        Route::Reactor(reactor) => Ok(Way::Reactor(reactor, Some(driver))),
        Route::Pool => Ok(Way::Pool),
        Route::Closed(_) => Err(shut_down()),
    }
}

fn shut_down() -> Error {
    Error::other("the AIO driver was shut down")
}

/// Returns the buffer of a completed operation.
fn inner<B: 'static>(done: Done) -> B {
    match done.buffer.into_inner() {
        Some(buffer) => buffer,
        None => unreachable!("an operation returns the buffer that it was given"),
    }
}

/// Returns the result of a transfer that does not wait, or `None` if it has to wait.
/// Records that the file system has none.
fn at_once(result: Result<usize>, waits: &AtomicBool) -> Option<Result<usize>> {
    let Err(error) = &result else {
        return Some(result);
    };
    match error.kind() {
        ErrorKind::WouldBlock => None,
        // The other way has the same error.
        _ if error.raw_os_error() == Some(libc::EOPNOTSUPP) => {
            waits.store(true, Relaxed);
            None
        }
        // Before Linux 4.14 the flag is unknown (EINVAL), and before 4.6 the system call
        // (ENOSYS). A sandbox may forbid it.
        _ => {
            if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) {
                waits.store(true, Relaxed);
            }
            None
        }
    }
}
