//! [`File`]: positional reads and writes.

use std::fs::{Metadata, Permissions};
use std::io::{Error, ErrorKind, Result};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use linux_aio::buffer::AlignedBuf;
use linux_aio::direct_io::Alignment;

use crate::aio::Aio;
use crate::driver::Driver;
use crate::{OpenOptions, Reader, Writer, pool};

/// An open file, whose operations take a buffer and return it with their result.
///
/// Clones share the open file. It has no position: each operation has an offset.
/// [`reader`](File::reader) and [`writer`](File::writer) have one.
///
/// The [crate's page](crate#when-it-is-asynchronous) describes which operations are
/// asynchronous in the kernel, and what dropping a future does.
///
/// # Examples
/// ```
/// use linux_aio_tokio::File;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let file = File::open("/proc/self/exe").await?;
/// let (result, buffer) = file.read_exact_at(vec![0; 4], 0).await;
/// result?;
/// assert_eq!(buffer, b"\x7fELF");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct File(pub(crate) Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    /// The owner of the descriptor, of which each operation has a share.
    pub(crate) file: Arc<std::fs::File>,
    pub(crate) driver: Arc<Driver>,
    pub(crate) access: Access,
    /// A power of two to which offsets, lengths and addresses of direct I/O are aligned; 1
    /// if the file is not direct.
    pub(crate) block: usize,
    /// The file system has refused `RWF_NOWAIT` for reads, or for writes.
    pub(crate) waits_to_read: AtomicBool,
    pub(crate) waits_to_write: AtomicBool,
}

/// How a file is read and written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// By AIO: a regular file or a block device with O_DIRECT.
    Direct,
    /// A regular file or a block device, through the page cache.
    Buffered,
    /// Anything else: a wait may be endless.
    Other,
}

impl File {
    /// Opens a file for reading. [`OpenOptions`] has the other ways.
    ///
    /// # Errors
    /// Those of `open(2)`, and of [`Aio::current`].
    ///
    /// # Examples
    /// ```
    /// use linux_aio_tokio::File;
    /// use std::io::ErrorKind;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let file = File::open("/proc/self/exe").await?;
    /// assert!(file.metadata().await?.len() > 0);
    ///
    /// let missing = File::open("/no/such/file").await;
    /// assert_eq!(missing.unwrap_err().kind(), ErrorKind::NotFound);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn open(path: impl AsRef<Path>) -> Result<File> {
        OpenOptions::new().read(true).open(path).await
    }

    /// Creates a file for writing, or truncates it if it exists.
    ///
    /// # Errors
    /// Those of `open(2)`, and of [`Aio::current`].
    ///
    /// # Examples
    /// ```
    /// use linux_aio_tokio::File;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let name = format!("linux-aio-tokio-create-{}", std::process::id());
    /// # let path = std::env::temp_dir().join(name);
    /// let file = File::create(&path).await?;
    /// let (written, _buffer) = file.write_all_at(b"a line\n".to_vec(), 0).await;
    /// written?;
    /// assert_eq!(std::fs::read(&path)?, b"a line\n");
    /// # std::fs::remove_file(&path)?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn create(path: impl AsRef<Path>) -> Result<File> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        options.open(path).await
    }

    /// Returns options to open a file with.
    ///
    /// # Examples
    /// ```
    /// use linux_aio_tokio::File;
    /// use std::io::ErrorKind;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let name = format!("linux-aio-tokio-options-{}", std::process::id());
    /// # let path = std::env::temp_dir().join(name);
    /// let file = File::options().write(true).create_new(true).open(&path).await?;
    /// let again = File::options().write(true).create_new(true).open(&path).await;
    /// assert_eq!(again.unwrap_err().kind(), ErrorKind::AlreadyExists);
    /// # std::fs::remove_file(&path)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn options() -> OpenOptions {
        OpenOptions::new()
    }

    /// Converts an open file of std. It belongs to the driver of the current runtime.
    ///
    /// Whether it is direct (O_DIRECT) is determined here, once, by `fstat(2)`, `fcntl(2)`
    /// and `statx(2)`, which take long on some network file systems only.
    ///
    /// # Errors
    /// Those of `fstat(2)`, and of [`Aio::current`].
    ///
    /// # Examples
    /// ```
    /// use linux_aio_tokio::File;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let opened = std::fs::File::open("/proc/self/exe")?;
    /// let file = File::from_std(opened)?;
    /// assert_eq!(file.read_at(vec![0; 4], 0).await.1, b"\x7fELF");
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_std(file: std::fs::File) -> Result<File> {
        let access = Access::of(&file)?;
        File::new(file, access)
    }

    pub(crate) fn new(file: std::fs::File, (access, block): (Access, usize)) -> Result<File> {
        let driver = Aio::current()?.0;
        Ok(File(Arc::new(Inner {
            file: Arc::new(file),
            driver,
            access,
            block,
            waits_to_read: AtomicBool::new(false),
            waits_to_write: AtomicBool::new(false),
        })))
    }

    /// Returns the file of std, or this one if it has clones or operations in flight.
    ///
    /// # Errors
    /// Returns `self` while something else shares the open file.
    ///
    /// # Examples
    /// ```
    /// use linux_aio_tokio::File;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let file = File::open("/proc/self/exe").await?;
    /// let clone = file.clone();
    /// // The clone shares the open file.
    /// let file = file.try_into_std().unwrap_err();
    /// drop(clone);
    /// let file: std::fs::File = file.try_into_std().expect("no clone, and nothing in flight");
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_into_std(self) -> std::result::Result<std::fs::File, File> {
        let inner = Arc::try_unwrap(self.0).map_err(File)?;
        let Inner { file, driver, .. } = inner;
        Arc::try_unwrap(file).map_err(|file| {
            File(Arc::new(Inner {
                file,
                driver,
                access: inner.access,
                block: inner.block,
                waits_to_read: inner.waits_to_read,
                waits_to_write: inner.waits_to_write,
            }))
        })
    }

    /// Returns whether reads and writes pass by the page cache (O_DIRECT). They are
    /// asynchronous in the kernel then.
    ///
    /// # Examples
    /// ```
    /// use linux_aio_tokio::File;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let path = std::env::current_exe()?;
    /// let file = File::open(&path).await?;
    /// assert!(!file.is_direct());
    /// let file = File::options().read(true).direct(true).open(&path).await?;
    /// assert!(file.is_direct());
    /// # Ok(())
    /// # }
    /// ```
    pub fn is_direct(&self) -> bool {
        self.0.access == Access::Direct
    }

    /// Returns the driver that performs the operations.
    ///
    /// # Examples
    /// ```
    /// use linux_aio_tokio::File;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let file = File::open("/proc/self/exe").await?;
    /// // The reason why operations do not use AIO.
    /// if let Some(errno) = file.aio().unavailable() {
    ///     eprintln!("files use the blocking pool: {errno}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn aio(&self) -> Aio {
        Aio(Arc::clone(&self.0.driver))
    }

    /// Returns the alignments that direct I/O on this file requires, or `None` where the
    /// kernel does not report them (before Linux 6.1).
    ///
    /// # Errors
    /// Those of `statx(2)`.
    ///
    /// # Examples
    /// ```
    /// use linux_aio_tokio::File;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let path = std::env::current_exe()?;
    /// let file = File::options().read(true).direct(true).open(path).await?;
    /// match file.alignment()? {
    ///     Some(found) => println!("offsets: {}, addresses: {}", found.offset(), found.memory()),
    ///     None => println!("unknown before Linux 6.1: 4096 suits most devices"),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn alignment(&self) -> Result<Option<Alignment>> {
        Ok(Alignment::of(&*self.0.file)?)
    }

    /// Allocates a zeroed buffer of at least `len` bytes whose address and length suit
    /// direct I/O on this file: multiples of what the kernel reports, or of 4096. For a file
    /// that is not direct it has no alignment.
    ///
    /// # Errors
    /// `OutOfMemory`.
    ///
    /// # Examples
    /// ```
    /// use linux_aio_tokio::File;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let path = std::env::current_exe()?;
    /// let file = File::options().read(true).direct(true).open(path).await?;
    /// let block = file.buffer(4096)?;
    /// assert_eq!((block.len() % 4096, block[0]), (0, 0));
    /// // The operation returns the buffer, for the next one.
    /// let (read, block) = file.read_at(block, 0).await;
    /// assert_eq!(read?, block.len());
    /// # Ok(())
    /// # }
    /// ```
    pub fn buffer(&self, len: usize) -> Result<AlignedBuf> {
        AlignedBuf::zeroed(len, self.0.block).ok_or_else(|| ErrorKind::OutOfMemory.into())
    }

    /// Returns a buffered reader of the file that begins at an offset, with `AsyncRead`,
    /// `AsyncBufRead` and `AsyncSeek`.
    ///
    /// # Examples
    /// ```
    /// use linux_aio_tokio::File;
    /// use tokio::io::AsyncReadExt;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let file = File::open("/proc/self/exe").await?;
    /// // From the second byte on.
    /// let mut reader = file.reader(1);
    /// let mut letters = [0; 3];
    /// reader.read_exact(&mut letters).await?;
    /// assert_eq!(&letters, b"ELF");
    /// # Ok(())
    /// # }
    /// ```
    pub fn reader(&self, offset: u64) -> Reader {
        Reader::new(self.clone(), offset)
    }

    /// Returns a buffered writer to the file that begins at an offset, with `AsyncWrite`
    /// and `AsyncSeek`.
    ///
    /// # Examples
    /// ```
    /// use linux_aio_tokio::File;
    /// use tokio::io::AsyncWriteExt;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let name = format!("linux-aio-tokio-file-writer-{}", std::process::id());
    /// # let path = std::env::temp_dir().join(name);
    /// let file = File::create(&path).await?;
    /// let mut writer = file.writer(0);
    /// for number in 0..3 {
    ///     writer.write_all(format!("{number}\n").as_bytes()).await?;
    /// }
    /// // Otherwise the bytes of the buffer are lost.
    /// writer.flush().await?;
    /// assert_eq!(std::fs::read(&path)?, b"0\n1\n2\n");
    /// # std::fs::remove_file(&path)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn writer(&self, offset: u64) -> Writer {
        Writer::new(self.clone(), offset)
    }

    /// Returns the metadata, on the blocking pool.
    ///
    /// # Errors
    /// Those of `fstat(2)`.
    ///
    /// # Examples
    /// ```
    /// use linux_aio_tokio::File;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let file = File::open("/proc/self/exe").await?;
    /// let metadata = file.metadata().await?;
    /// assert!(metadata.is_file() && metadata.len() > 0);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn metadata(&self) -> Result<Metadata> {
        self.on_pool(|file| file.metadata()).await
    }

    /// Truncates or extends the file, on the blocking pool.
    ///
    /// # Errors
    /// Those of `ftruncate(2)`.
    ///
    /// # Examples
    /// ```
    /// use linux_aio_tokio::File;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let name = format!("linux-aio-tokio-set-len-{}", std::process::id());
    /// # let path = std::env::temp_dir().join(name);
    /// let file = File::create(&path).await?;
    /// // Direct writes have whole blocks: the last is cut afterwards.
    /// let (written, _block) = file.write_all_at(vec![b'x'; 4096], 0).await;
    /// written?;
    /// file.set_len(10).await?;
    /// assert_eq!(std::fs::read(&path)?, b"xxxxxxxxxx");
    /// # std::fs::remove_file(&path)?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn set_len(&self, len: u64) -> Result<()> {
        self.on_pool(move |file| file.set_len(len)).await
    }

    /// Changes the permissions, on the blocking pool.
    ///
    /// # Errors
    /// Those of `fchmod(2)`.
    ///
    /// # Examples
    /// ```
    /// use linux_aio_tokio::File;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let name = format!("linux-aio-tokio-set-permissions-{}", std::process::id());
    /// # let path = std::env::temp_dir().join(name);
    /// let file = File::create(&path).await?;
    /// let mut permissions = file.metadata().await?.permissions();
    /// permissions.set_readonly(true);
    /// file.set_permissions(permissions).await?;
    /// assert!(file.metadata().await?.permissions().readonly());
    /// # std::fs::remove_file(&path)?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn set_permissions(&self, permissions: Permissions) -> Result<()> {
        self.on_pool(move |file| file.set_permissions(permissions))
            .await
    }

    pub(crate) async fn on_pool<R: Send + 'static>(
        &self,
        work: impl FnOnce(&std::fs::File) -> Result<R> + Send + 'static,
    ) -> Result<R> {
        let file = Arc::clone(&self.0.file);
        let work = |file: &mut Arc<std::fs::File>| work(file);
        pool::run(&self.0.driver.pool(), file, work).await.0
    }
}

impl Access {
    /// Returns how a file is accessed, and the alignment of direct I/O.
    pub(crate) fn of(file: &std::fs::File) -> Result<(Access, usize)> {
        let kind = file.metadata()?.file_type();
        if !kind.is_file() && !kind.is_block_device() {
            return Ok((Access::Other, 1));
        }
        // SAFETY: F_GETFL has no pointer.
        let flags = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETFL) };
        match flags {
            -1 => Err(Error::last_os_error()),
            flags if flags & libc::O_DIRECT != 0 => Ok((Access::Direct, block(file))),
            _ => Ok((Access::Buffered, 1)),
        }
    }
}

/// Returns the alignment of direct I/O, as the kernel reports it (Linux 6.1), or 4096.
fn block(file: &std::fs::File) -> usize {
    const USUAL: usize = 4096;
    let found = Alignment::of(file).ok().flatten();
    match found.map_or(0, |found| found.memory().max(found.offset())) {
        0 => USUAL,
        block => block.checked_next_power_of_two().unwrap_or(USUAL),
    }
}

impl AsFd for File {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.file.as_fd()
    }
}

impl AsRawFd for File {
    fn as_raw_fd(&self) -> RawFd {
        self.0.file.as_raw_fd()
    }
}

/// See [`File::from_std`].
impl TryFrom<std::fs::File> for File {
    type Error = Error;

    fn try_from(file: std::fs::File) -> Result<File> {
        File::from_std(file)
    }
}

/// See [`File::from_std`].
impl TryFrom<OwnedFd> for File {
    type Error = Error;

    fn try_from(file: OwnedFd) -> Result<File> {
        File::from_std(file.into())
    }
}
