//! [`Aio`]: the driver of a runtime.

use std::io::Result;
use std::sync::Arc;

use linux_aio::Errno;

use crate::Builder;
use crate::builder::current;
use crate::driver::{Closed, Driver};
use crate::registry;

/// The AIO driver of a runtime: one AIO context, one task, one eventfd.
///
/// It starts at the first use in the runtime, or by [`Builder::start`], and ends with the
/// runtime. Clones are the same driver.
///
/// # Examples
/// ```
/// use linux_aio_tokio::{Aio, File};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let file = File::open("/proc/self/exe").await?;
/// // The first file has started the driver.
/// let aio = Aio::current()?;
/// match aio.unavailable() {
///     None => println!("AIO, {} operations at a time", aio.capacity()),
///     Some(errno) => println!("the blocking pool: {errno}"),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Aio(pub(crate) Arc<Driver>);

impl Aio {
    /// Returns the options of a driver.
    ///
    /// # Examples
    /// ```
    /// use linux_aio_tokio::{Aio, File};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// // Before the first file of the runtime.
    /// let aio = Aio::builder().capacity(1024).start()?;
    /// let file = File::open("/proc/self/exe").await?;
    /// assert_eq!(file.aio().capacity(), aio.capacity());
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Returns the driver of the current runtime. Starts one with the default options if
    /// it has none.
    ///
    /// # Errors
    /// Those of [`Builder::start`], except `AlreadyExists`.
    ///
    /// # Panics
    /// Panics if the runtime was built without `enable_io`, as tokio's sockets do.
    ///
    /// # Examples
    /// ```
    /// use linux_aio_tokio::Aio;
    /// use std::io::ErrorKind;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// // Not within a runtime.
    /// assert_eq!(Aio::current().unwrap_err().kind(), ErrorKind::Other);
    ///
    /// let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    /// let aio = runtime.block_on(async { Aio::current() })?;
    /// assert_eq!(aio.in_flight(), 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn current() -> Result<Aio> {
        let runtime = current()?;
        if let Some(driver) = registry::get(runtime.id()) {
            return Ok(Aio(driver));
        }
        let (driver, _) = Driver::start(&Builder::default(), runtime)?;
        Ok(Aio(driver))
    }

    /// Returns the error for which operations run on the blocking pool instead, or `None`
    /// if AIO is in use.
    ///
    /// ENOSYS: this kernel has no AIO, or a sandbox says so. EPERM: a sandbox forbids it.
    /// EAGAIN: `fs.aio-max-nr` was used up.
    ///
    /// # Examples
    /// ```
    /// use linux_aio_tokio::{Aio, Errno};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// match Aio::current()?.unavailable() {
    ///     None => println!("AIO is in use"),
    ///     Some(Errno::AGAIN) => eprintln!("fs.aio-max-nr is used up"),
    ///     Some(Errno::PERM) => eprintln!("a sandbox forbids AIO"),
    ///     Some(errno) => eprintln!("this kernel has no AIO: {errno}"),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn unavailable(&self) -> Option<Errno> {
        self.0.absent()
    }

    /// Returns the number of operations that can be in flight at the same time, or 0 where
    /// AIO was unavailable from the start.
    ///
    /// # Examples
    /// ```
    /// use linux_aio_tokio::Aio;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let aio = Aio::builder().capacity(64).start()?;
    /// # if aio.unavailable().is_some() { return Ok(()) }
    /// // Fewer than 64 where `fs.aio-max-nr` left fewer.
    /// assert!((8..=64).contains(&aio.capacity()));
    /// # Ok(())
    /// # }
    /// ```
    pub fn capacity(&self) -> usize {
        self.0.capacity()
    }

    /// Returns the number of operations whose completions have not been found yet. It
    /// includes those whose futures were dropped, and excludes those on the blocking pool.
    ///
    /// # Examples
    /// ```
    /// use linux_aio_tokio::File;
    /// use std::time::Duration;
    /// use tokio::time::{sleep, timeout};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let path = std::env::current_exe()?;
    /// let file = File::options().read(true).direct(true).open(path).await?;
    /// let read = file.read_at(file.buffer(4096)?, 0);
    /// if timeout(Duration::ZERO, read).await.is_err() {
    ///     // The future was dropped, but the kernel may still use the buffer and the file.
    ///     while file.aio().in_flight() > 0 {
    ///         sleep(Duration::from_millis(1)).await;
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn in_flight(&self) -> usize {
        self.0.reactor().map_or(0, |reactor| reactor.in_flight())
    }

    /// Ends the driver, and waits until every operation in flight has completed and the
    /// context has been destroyed.
    ///
    /// From the call on, not from the first poll, no direct read or write and no sync of its
    /// files begins: each fails with `Other`. What the driver does not perform, such as a read
    /// of a file that is not direct, is still possible. Operations that have begun, or that wait for a slot, are
    /// completed; **their futures must be polled or dropped** for this to return. The
    /// runtime starts another driver at the next use.
    ///
    /// Without it a runtime that is dropped ends its driver in the same way, on a thread
    /// of its own.
    ///
    /// # Examples
    /// ```
    /// use linux_aio_tokio::File;
    /// use std::io::ErrorKind;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let path = std::env::current_exe()?;
    /// let file = File::options().read(true).direct(true).open(path).await?;
    /// let (read, block) = file.read_at(file.buffer(4096)?, 0).await;
    /// read?;
    ///
    /// file.aio().shutdown().await;
    /// // The file is open, but its operations fail.
    /// let (read, _block) = file.read_at(block, 0).await;
    /// assert_eq!(read.unwrap_err().kind(), ErrorKind::Other);
    /// # Ok(())
    /// # }
    /// ```
    pub fn shutdown(&self) -> impl Future<Output = ()> + Send + use<> {
        let destroyed = self.0.close(Closed::ShutDown);
        async move {
            // The sender is dropped where there is nothing to wait for.
            let _ = destroyed.await;
        }
    }
}
