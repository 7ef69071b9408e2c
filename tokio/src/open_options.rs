//! [`OpenOptions`]: the ways to open a file.

use std::io::Result;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::builder::current;
use crate::file::Access;
use crate::{File, pool};

/// Options to open a [`File`] with, as those of std and tokio, and
/// [`direct`](OpenOptions::direct).
///
/// # Examples
/// ```no_run
/// use linux_aio_tokio::OpenOptions;
///
/// # async fn open() -> std::io::Result<()> {
/// let file = OpenOptions::new().read(true).direct(true).open("database").await?;
/// let (result, block) = file.read_exact_at(file.buffer(4096)?, 8192).await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct OpenOptions {
    options: std::fs::OpenOptions,
    flags: i32,
    direct: bool,
}

impl Default for OpenOptions {
    fn default() -> OpenOptions {
        OpenOptions::new()
    }
}

/// Defines the setters that only pass a value on.
macro_rules! setters {
    ($($(#[$doc:meta])* $name:ident: $type:ty;)+) => {$(
        $(#[$doc])*
        pub fn $name(&mut self, value: $type) -> &mut OpenOptions {
            self.options.$name(value);
            self
        }
    )+};
}

impl OpenOptions {
    /// Creates options with nothing set: neither `read` nor `write`.
    pub fn new() -> OpenOptions {
        OpenOptions {
            options: std::fs::OpenOptions::new(),
            flags: 0,
            direct: false,
        }
    }

    setters! {
        /// Opens the file for reading.
        read: bool;
        /// Opens the file for writing.
        write: bool;
        /// Opens the file for writing at its end. The offset of a write has no effect
        /// then.
        append: bool;
        /// Truncates the file.
        truncate: bool;
        /// Creates the file if it does not exist.
        create: bool;
        /// Creates the file, and fails if it exists.
        create_new: bool;
        /// Sets the permissions of a file that is created, before the umask; the default
        /// is 0o666.
        mode: u32;
    }

    /// Sets further flags of `open(2)`, as `libc` defines them.
    pub fn custom_flags(&mut self, flags: i32) -> &mut OpenOptions {
        self.flags = flags;
        self
    }

    /// Opens the file for direct I/O (O_DIRECT): reads and writes are asynchronous in the
    /// kernel and pass by the page cache. Offsets, lengths and addresses must be aligned:
    /// [`File::alignment`], [`File::buffer`].
    pub fn direct(&mut self, direct: bool) -> &mut OpenOptions {
        self.direct = direct;
        self
    }

    /// Opens the file, on the blocking pool.
    ///
    /// If the future is dropped, the file may still be opened (and created), and is closed.
    ///
    /// # Errors
    /// Those of `open(2)`: EINVAL where the file system has no direct I/O. Those of
    /// [`Aio::current`](crate::Aio::current).
    pub async fn open(&self, path: impl AsRef<Path>) -> Result<File> {
        let direct = if self.direct { libc::O_DIRECT } else { 0 };
        let mut options = self.options.clone();
        options.custom_flags(self.flags | direct);
        let path = path.as_ref().to_owned();
        let open = move |(): &mut ()| {
            let file = options.open(path)?;
            let access = Access::of(&file)?;
            Ok((file, access))
        };
        let (opened, ()) = pool::run(&current()?, (), open).await;
        let (file, access) = opened?;
        File::new(file, access)
    }
}
