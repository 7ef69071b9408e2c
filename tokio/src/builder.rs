//! [`Builder`]: the options of a runtime's driver.

use std::io::{Error, ErrorKind, Result};

use tokio::runtime::Handle;

use crate::Aio;
use crate::driver::Driver;

/// What the operations of a runtime do where AIO is unavailable: a kernel without it, a
/// sandbox, QEMU's user mode, an exhausted `fs.aio-max-nr`.
///
/// # Examples
/// ```
/// use linux_aio_tokio::{Aio, Fallback};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// // A program that shall not use threads for its files.
/// match Aio::builder().fallback(Fallback::Error).start() {
///     Ok(aio) => assert_eq!(aio.unavailable(), None),
///     Err(error) => eprintln!("AIO is unavailable: {error}"),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fallback {
    /// They run on the runtime's blocking pool, as those of `tokio::fs` do.
    #[default]
    BlockingPool,
    /// They fail with the kernel's error: ENOSYS, EPERM, or EAGAIN (`fs.aio-max-nr`).
    Error,
}

/// The options of the [driver](Aio) of a runtime.
///
/// # Examples
/// ```
/// use linux_aio_tokio::{Aio, Fallback};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let aio = Aio::builder()
///     .capacity(64)
///     .fallback(Fallback::BlockingPool)
///     .start()?;
/// assert!(aio.capacity() <= 64);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    pub(crate) capacity: u32,
    pub(crate) fallback: Fallback,
    pub(crate) logs: bool,
}

impl Default for Builder {
    fn default() -> Builder {
        Builder {
            capacity: 256,
            fallback: Fallback::default(),
            logs: true,
        }
    }
}

impl Builder {
    /// Sets the number of operations in flight at the same time; the default is 256.
    /// Further operations wait for a free slot, first in, first out.
    ///
    /// As many count against `fs.aio-max-nr`. If that leaves fewer, the number is halved
    /// until it fits, but not below 8.
    ///
    /// # Examples
    /// ```
    /// use linux_aio_tokio::Aio;
    /// use std::io::ErrorKind;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let probe = linux_aio::Context::new(1);
    /// # if probe.is_err() { return Ok(()) }
    /// let none = Aio::builder().capacity(0).start();
    /// assert_eq!(none.unwrap_err().kind(), ErrorKind::InvalidInput);
    /// let aio = Aio::builder().capacity(1024).start()?;
    /// assert!(aio.capacity() <= 1024);
    /// # Ok(())
    /// # }
    /// ```
    pub fn capacity(mut self, operations: u32) -> Builder {
        self.capacity = operations;
        self
    }

    /// Sets what operations do where AIO is unavailable.
    ///
    /// # Examples
    /// ```
    /// use linux_aio_tokio::{Aio, Fallback};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let aio = match Aio::builder().fallback(Fallback::Error).start() {
    ///     Ok(aio) => aio,
    ///     Err(error) => {
    ///         eprintln!("slower, by threads: {error}");
    ///         Aio::builder().fallback(Fallback::BlockingPool).start()?
    ///     }
    /// };
    /// # Ok(())
    /// # }
    /// ```
    pub fn fallback(mut self, fallback: Fallback) -> Builder {
        self.fallback = fallback;
        self
    }

    /// Sets whether the first fall-back of the process is logged, as a warning of the
    /// `log` crate (feature `log`). The default is `true`.
    ///
    /// # Examples
    /// ```
    /// use linux_aio_tokio::Aio;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let aio = Aio::builder().log_fallback(false).start()?;
    /// if let Some(errno) = aio.unavailable() {
    ///     // A message of the program, in place of the warning.
    ///     println!("direct I/O uses threads here ({errno})");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn log_fallback(mut self, logs: bool) -> Builder {
        self.logs = logs;
        self
    }

    /// Starts the driver of the current runtime.
    ///
    /// # Errors
    /// - `AlreadyExists`: the runtime has a driver. It starts at the first use, so this
    ///   comes before anything else.
    /// - `Other`: not within a tokio runtime.
    /// - EINVAL: a capacity of 0, or of millions.
    /// - ENOSYS, EPERM, EAGAIN: AIO is unavailable, with [`Fallback::Error`].
    /// - ENOMEM; EMFILE or ENFILE: too many open files.
    ///
    /// # Panics
    /// Panics if the runtime was built without `enable_io`, as tokio's sockets do.
    ///
    /// # Examples
    /// ```
    /// use linux_aio_tokio::Aio;
    /// use std::io::ErrorKind;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let aio = Aio::builder().capacity(128).start()?;
    /// // A runtime has one driver.
    /// let second = Aio::builder().start();
    /// assert_eq!(second.unwrap_err().kind(), ErrorKind::AlreadyExists);
    /// # Ok(())
    /// # }
    /// ```
    pub fn start(&self) -> Result<Aio> {
        match Driver::start(self, current()?)? {
            (driver, true) => Ok(Aio(driver)),
            (_, false) => Err(Error::new(
                ErrorKind::AlreadyExists,
                "the runtime has an AIO driver",
            )),
        }
    }
}

/// Returns the current runtime.
pub(crate) fn current() -> Result<Handle> {
    Handle::try_current().map_err(Error::other)
}
