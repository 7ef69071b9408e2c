//! [`Reader`]: a file as a stream of bytes.

use std::fmt;
use std::io::{Error, ErrorKind, Result, SeekFrom};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use linux_aio::buffer::AlignedBuf;
use tokio::io::{AsyncBufRead, AsyncRead, AsyncSeek, ReadBuf};

use crate::File;

/// A future that is stored.
pub(crate) type Pending<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The default size of the buffer of a reader and of a writer.
pub(crate) const SIZE: usize = 128 << 10;

/// A buffered reader of a [`File`], with a position: [`File::reader`].
///
/// It reads direct files in aligned blocks, so that the position and the lengths of reads
/// are arbitrary. A reader that is dropped while it reads leaves its buffer to the driver.
///
/// # Examples
/// ```
/// use linux_aio_tokio::File;
/// use tokio::io::AsyncBufReadExt;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let file = File::open("/proc/self/status").await?;
/// let mut lines = file.reader(0).lines();
/// while let Some(line) = lines.next_line().await? {
///     println!("{line}");
/// }
/// # Ok(())
/// # }
/// ```
pub struct Reader {
    file: File,
    /// `None` before the first read, and during each.
    buffer: Option<AlignedBuf>,
    size: usize,
    /// The place in the file of the buffer's first byte.
    base: u64,
    /// The bytes that were read and not consumed: `base + begin` is the position.
    begin: usize,
    end: usize,
    read: Option<Pending<(Result<usize>, AlignedBuf)>>,
    seek: Option<Seek>,
}

/// A seek that needs the file's length.
struct Seek {
    by: i64,
    len: Pending<Result<u64>>,
}

impl Reader {
    pub(crate) fn new(file: File, offset: u64) -> Reader {
        let mut reader = Reader {
            file,
            buffer: None,
            size: SIZE,
            base: 0,
            begin: 0,
            end: 0,
            read: None,
            seek: None,
        };
        reader.set_position(offset);
        reader
    }

    /// Sets the size of the buffer in bytes; the default is 128 KiB. What it contains is
    /// read again.
    ///
    /// # Examples
    /// ```
    /// use linux_aio_tokio::File;
    /// use tokio::io::AsyncReadExt;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let file = File::open("/proc/self/exe").await?;
    /// // Large reads, for a file that is read from its beginning to its end.
    /// let mut reader = file.reader(0).with_capacity(1 << 20);
    /// let mut content = Vec::new();
    /// reader.read_to_end(&mut content).await?;
    /// assert_eq!(content.len() as u64, file.metadata().await?.len());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn with_capacity(mut self, bytes: usize) -> Reader {
        let position = self.position();
        self.size = bytes.max(1);
        self.buffer = None;
        self.read = None;
        self.end = 0;
        self.set_position(position);
        self
    }

    /// Returns the file.
    ///
    /// # Examples
    /// ```
    /// use linux_aio_tokio::File;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let reader = File::open("/proc/self/exe").await?.reader(0);
    /// let len = reader.file().metadata().await?.len();
    /// assert!(len > 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Returns the offset of the next byte.
    ///
    /// # Examples
    /// ```
    /// use linux_aio_tokio::File;
    /// use std::io::SeekFrom;
    /// use tokio::io::{AsyncReadExt, AsyncSeekExt};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let mut reader = File::open("/proc/self/exe").await?.reader(0);
    /// let magic = reader.read_u32().await?;
    /// assert_eq!((magic, reader.position()), (0x7f45_4c46, 4));
    /// reader.seek(SeekFrom::Start(1)).await?;
    /// assert_eq!(reader.position(), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn position(&self) -> u64 {
        self.base.saturating_add(self.begin as u64)
    }

    fn set_position(&mut self, position: u64) {
        let within = position.checked_sub(self.base);
        if let Some(within) = within.and_then(|within| usize::try_from(within).ok()) {
            if self.read.is_none() && within <= self.end {
                self.begin = within;
                return;
            }
        }
        self.read = None;
        let block = self.file.0.block as u64;
        self.base = position - position % block;
        self.begin = (position % block) as usize;
        self.end = 0;
    }

    /// Reads until there is a byte at the position, or the file ends.
    fn poll_fill(&mut self, task: &mut Context<'_>) -> Poll<Result<()>> {
        while self.begin >= self.end {
            if self.read.is_none() {
                self.set_base();
                let buffer = match self.buffer.take() {
                    Some(buffer) => buffer,
                    None => self.file.buffer(self.size)?,
                };
                let (file, base) = (self.file.clone(), self.base);
                self.read = Some(Box::pin(async move { file.read_at(buffer, base).await }));
            }
            let Some(read) = &mut self.read else {
                continue;
            };
            let (result, buffer) = ready!(read.as_mut().poll(task));
            self.read = None;
            self.buffer = Some(buffer);
            self.end = 0;
            match result {
                // Where the read ends before the position, so does the file.
                Ok(count) if count <= self.begin => break,
                Ok(count) => self.end = count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Moves the buffer in the file, to where the position is.
    fn set_base(&mut self) {
        let position = self.position();
        self.end = 0;
        let block = self.file.0.block as u64;
        self.base = position - position % block;
        self.begin = (position % block) as usize;
    }

    fn filled(&self) -> &[u8] {
        let buffer = self.buffer.as_deref().unwrap_or_default();
        buffer.get(self.begin..self.end).unwrap_or_default()
    }

    fn advance(&mut self, count: usize) {
        self.begin = self
            .begin
            .saturating_add(count)
            .min(self.end.max(self.begin));
    }
}

impl AsyncBufRead for Reader {
    fn poll_fill_buf(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Result<&[u8]>> {
        let this = self.get_mut();
        ready!(this.poll_fill(task))?;
        Poll::Ready(Ok(this.filled()))
    }

    fn consume(self: Pin<&mut Self>, count: usize) {
        self.get_mut().advance(count);
    }
}

impl AsyncRead for Reader {
    fn poll_read(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        let this = self.get_mut();
        if into.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        ready!(this.poll_fill(task))?;
        let filled = this.filled();
        let count = filled.len().min(into.remaining());
        into.put_slice(&filled[..count]);
        this.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncSeek for Reader {
    fn start_seek(self: Pin<&mut Self>, target: SeekFrom) -> Result<()> {
        let this = self.get_mut();
        this.seek = None;
        match target {
            SeekFrom::Start(position) => this.set_position(position),
            SeekFrom::Current(by) => this.set_position(moved(this.position(), by)?),
            SeekFrom::End(by) => {
                let len = file_len(this.file.clone());
                this.seek = Some(Seek { by, len });
            }
        }
        Ok(())
    }

    fn poll_complete(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Result<u64>> {
        let this = self.get_mut();
        if let Some(seek) = &mut this.seek {
            let len = ready!(seek.len.as_mut().poll(task));
            let by = seek.by;
            this.seek = None;
            this.set_position(moved(len?, by)?);
        }
        Poll::Ready(Ok(this.position()))
    }
}

/// Returns the position that is `by` bytes from another.
pub(crate) fn moved(from: u64, by: i64) -> Result<u64> {
    from.checked_add_signed(by).ok_or_else(|| {
        Error::new(
            ErrorKind::InvalidInput,
            "a seek to a negative or too large offset",
        )
    })
}

/// Returns the length of a file, also of a block device.
pub(crate) fn file_len(file: File) -> Pending<Result<u64>> {
    use std::io::Seek;
    Box::pin(async move {
        let len = |mut file: &std::fs::File| {
            let metadata = file.metadata()?;
            if metadata.is_file() {
                return Ok(metadata.len());
            }
            // No operation uses the position of the open file.
            file.seek(SeekFrom::End(0))
        };
        file.on_pool(len).await
    })
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("file", &self.file)
            .field("position", &self.position())
            .finish_non_exhaustive()
    }
}
