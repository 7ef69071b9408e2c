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
    ///
    /// # Examples
    /// ```
    /// use linux_aio_tokio::OpenOptions;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let mut options = OpenOptions::new();
    /// options.read(true).direct(cfg!(target_os = "linux"));
    /// let file = options.open("/proc/self/exe").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn new() -> OpenOptions {
        OpenOptions {
            options: std::fs::OpenOptions::new(),
            flags: 0,
            direct: false,
        }
    }

    setters! {
        /// Opens the file for reading.
        ///
        /// # Examples
        /// ```
        /// use linux_aio_tokio::OpenOptions;
        ///
        /// # #[tokio::main(flavor = "current_thread")]
        /// # async fn main() -> std::io::Result<()> {
        /// let file = OpenOptions::new().read(true).open("/proc/self/exe").await?;
        /// assert_eq!(file.read_at(vec![0; 4], 0).await.1, b"\x7fELF");
        /// # Ok(())
        /// # }
        /// ```
        read: bool;
        /// Opens the file for writing.
        ///
        /// # Examples
        /// ```
        /// use linux_aio_tokio::OpenOptions;
        ///
        /// # #[tokio::main(flavor = "current_thread")]
        /// # async fn main() -> std::io::Result<()> {
        /// # let name = format!("linux-aio-tokio-options-write-{}", std::process::id());
        /// # let path = std::env::temp_dir().join(name);
        /// # std::fs::write(&path, "old content")?;
        /// // An existing file, of which the rest is kept.
        /// let file = OpenOptions::new().write(true).open(&path).await?;
        /// file.write_all_at(b"new".to_vec(), 0).await.0?;
        /// assert_eq!(std::fs::read(&path)?, b"new content");
        /// # std::fs::remove_file(&path)?;
        /// # Ok(())
        /// # }
        /// ```
        write: bool;
        /// Opens the file for writing at its end. The offset of a write has no effect
        /// then.
        ///
        /// # Examples
        /// ```
        /// use linux_aio_tokio::OpenOptions;
        ///
        /// # #[tokio::main(flavor = "current_thread")]
        /// # async fn main() -> std::io::Result<()> {
        /// # let name = format!("linux-aio-tokio-options-append-{}", std::process::id());
        /// # let path = std::env::temp_dir().join(name);
        /// # std::fs::write(&path, "one\n")?;
        /// let log = OpenOptions::new().append(true).open(&path).await?;
        /// // At the end, whatever the offset is.
        /// log.write_all_at(b"two\n".to_vec(), 0).await.0?;
        /// assert_eq!(std::fs::read(&path)?, b"one\ntwo\n");
        /// # std::fs::remove_file(&path)?;
        /// # Ok(())
        /// # }
        /// ```
        append: bool;
        /// Truncates the file.
        ///
        /// # Examples
        /// ```
        /// use linux_aio_tokio::OpenOptions;
        ///
        /// # #[tokio::main(flavor = "current_thread")]
        /// # async fn main() -> std::io::Result<()> {
        /// # let name = format!("linux-aio-tokio-options-truncate-{}", std::process::id());
        /// # let path = std::env::temp_dir().join(name);
        /// # std::fs::write(&path, "old content")?;
        /// let file = OpenOptions::new().write(true).truncate(true).open(&path).await?;
        /// assert_eq!(file.metadata().await?.len(), 0);
        /// # std::fs::remove_file(&path)?;
        /// # Ok(())
        /// # }
        /// ```
        truncate: bool;
        /// Creates the file if it does not exist.
        ///
        /// # Examples
        /// ```
        /// use linux_aio_tokio::OpenOptions;
        ///
        /// # #[tokio::main(flavor = "current_thread")]
        /// # async fn main() -> std::io::Result<()> {
        /// # let name = format!("linux-aio-tokio-options-create-{}", std::process::id());
        /// # let path = std::env::temp_dir().join(name);
        /// let mut options = OpenOptions::new();
        /// options.read(true).write(true).create(true);
        /// let created = options.open(&path).await?;
        /// // The file exists now.
        /// let opened = options.open(&path).await?;
        /// # std::fs::remove_file(&path)?;
        /// # Ok(())
        /// # }
        /// ```
        create: bool;
        /// Creates the file, and fails if it exists.
        ///
        /// # Examples
        /// ```
        /// use linux_aio_tokio::OpenOptions;
        /// use std::io::ErrorKind;
        ///
        /// # #[tokio::main(flavor = "current_thread")]
        /// # async fn main() -> std::io::Result<()> {
        /// # let name = format!("linux-aio-tokio-options-create-new-{}", std::process::id());
        /// # let path = std::env::temp_dir().join(name);
        /// let mut options = OpenOptions::new();
        /// options.write(true).create_new(true);
        /// let lock = options.open(&path).await?;
        /// assert_eq!(options.open(&path).await.unwrap_err().kind(), ErrorKind::AlreadyExists);
        /// # std::fs::remove_file(&path)?;
        /// # Ok(())
        /// # }
        /// ```
        create_new: bool;
        /// Sets the permissions of a file that is created, before the umask; the default
        /// is 0o666.
        ///
        /// # Examples
        /// ```
        /// use linux_aio_tokio::OpenOptions;
        /// use std::os::unix::fs::PermissionsExt;
        ///
        /// # #[tokio::main(flavor = "current_thread")]
        /// # async fn main() -> std::io::Result<()> {
        /// # let name = format!("linux-aio-tokio-options-mode-{}", std::process::id());
        /// # let path = std::env::temp_dir().join(name);
        /// // Other users cannot read it.
        /// let file = OpenOptions::new().write(true).create(true).mode(0o600).open(&path).await?;
        /// assert_eq!(file.metadata().await?.permissions().mode() & 0o077, 0);
        /// # std::fs::remove_file(&path)?;
        /// # Ok(())
        /// # }
        /// ```
        mode: u32;
    }

    /// Sets further flags of `open(2)`, as `libc` defines them.
    ///
    /// # Examples
    /// ```
    /// use linux_aio_tokio::OpenOptions;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let name = format!("linux-aio-tokio-options-flags-{}", std::process::id());
    /// # let path = std::env::temp_dir().join(name);
    /// // Each write returns when the disk has its data.
    /// let mut options = OpenOptions::new();
    /// options.write(true).create(true).custom_flags(libc::O_DSYNC);
    /// let log = options.open(&path).await?;
    /// log.write_all_at(b"a record\n".to_vec(), 0).await.0?;
    /// # std::fs::remove_file(&path)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn custom_flags(&mut self, flags: i32) -> &mut OpenOptions {
        self.flags = flags;
        self
    }

    /// Opens the file for direct I/O (O_DIRECT): reads and writes are asynchronous in the
    /// kernel and pass by the page cache. Offsets, lengths and addresses must be aligned:
    /// [`File::alignment`], [`File::buffer`].
    ///
    /// # Examples
    /// ```
    /// use linux_aio_tokio::OpenOptions;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let path = std::env::current_exe()?;
    /// let file = OpenOptions::new().read(true).direct(true).open(path).await?;
    /// let (read, block) = file.read_at(file.buffer(4096)?, 0).await;
    /// assert_eq!(read?, 4096);
    /// // Neither the offset nor the memory is aligned.
    /// # let reported = file.alignment()?.is_some();
    /// let (read, _) = file.read_at(vec![0; 100], 1).await;
    /// # if reported {
    /// assert!(read.is_err());
    /// # }
    /// # Ok(())
    /// # }
    /// ```
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
    ///
    /// # Examples
    /// ```
    /// use linux_aio_tokio::OpenOptions;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let opened = OpenOptions::new().read(true).direct(true).open("/proc/self/status").await;
    /// // EINVAL: this file system has no direct I/O.
    /// assert_eq!(opened.unwrap_err().raw_os_error(), Some(libc::EINVAL));
    /// # Ok(())
    /// # }
    /// ```
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
