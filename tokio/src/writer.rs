//! [`Writer`]: a stream of bytes to a file.

use std::fmt;
use std::io::{Result, SeekFrom};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use linux_aio::buffer::{AlignedBuf, IoBuf};
use tokio::io::{AsyncSeek, AsyncWrite};

use crate::reader::{Pending, SIZE, file_len, moved};
use crate::{File, pool};

/// A buffered writer to a [`File`], with a position: [`File::writer`].
///
/// Bytes reach the file when the buffer is full, and by `flush` and `shutdown`: call one of
/// them before the writer is dropped, and then [`File::sync_data`] if the disk must have
/// them. After an error the bytes are still in the buffer, and the next call writes them
/// again.
///
/// It writes to direct files in aligned blocks. What a flush finds in front of the first
/// block and behind the last is written through the page cache, on the blocking pool, by a
/// second descriptor that is opened for it through `/proc`. While it is written, nothing else
/// may use direct I/O on the same pages (EIO). Do not open a direct file to append for a
/// writer: the place of these bytes would be the position, and not the end.
///
/// # Examples
/// ```
/// use linux_aio_tokio::File;
/// use tokio::io::AsyncWriteExt;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// # let path = std::env::temp_dir().join(format!("linux-aio-tokio-{}", std::process::id()));
/// let file = File::create(&path).await?;
/// let mut writer = file.writer(0);
/// writer.write_all(b"a line\n").await?;
/// writer.flush().await?;
/// file.sync_data().await?;
/// # std::fs::remove_file(&path)
/// # }
/// ```
pub struct Writer {
    file: File,
    /// The same file without O_DIRECT, once it was needed.
    cached: Option<Arc<std::fs::File>>,
    /// `None` before the first write, and while it is written out.
    buffer: Option<AlignedBuf>,
    size: usize,
    /// The place in the file of the buffer's first byte.
    base: u64,
    /// The bytes to be written out: `base + end` is the position.
    begin: usize,
    end: usize,
    out: Option<Pending<Written>>,
    seek: Option<Seek>,
}

/// What a write-out returns: its result, the buffer, and the file without O_DIRECT.
type Written = (Result<()>, AlignedBuf, Option<Arc<std::fs::File>>);

enum Seek {
    /// The bytes are written out first.
    Flush(SeekFrom),
    Len(i64, Pending<Result<u64>>),
}

impl Writer {
    pub(crate) fn new(file: File, offset: u64) -> Writer {
        let mut writer = Writer {
            file,
            cached: None,
            buffer: None,
            size: SIZE,
            base: 0,
            begin: 0,
            end: 0,
            out: None,
            seek: None,
        };
        writer.set_position(offset);
        writer
    }

    /// Sets the size of the buffer in bytes; the default is 128 KiB. It has no effect once
    /// something was written.
    ///
    /// # Examples
    /// ```
    /// use linux_aio_tokio::File;
    /// use tokio::io::AsyncWriteExt;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let name = format!("linux-aio-tokio-writer-capacity-{}", std::process::id());
    /// # let path = std::env::temp_dir().join(name);
    /// let file = File::create(&path).await?;
    /// let mut writer = file.writer(0).with_capacity(1 << 20);
    /// writer.write_all(&vec![7; 3 << 20]).await?;
    /// writer.flush().await?;
    /// assert_eq!(file.metadata().await?.len(), 3 << 20);
    /// # std::fs::remove_file(&path)?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn with_capacity(mut self, bytes: usize) -> Writer {
        self.size = bytes.max(1);
        self
    }

    /// Returns the file.
    ///
    /// # Examples
    /// ```
    /// use linux_aio_tokio::File;
    /// use tokio::io::AsyncWriteExt;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let name = format!("linux-aio-tokio-writer-file-{}", std::process::id());
    /// # let path = std::env::temp_dir().join(name);
    /// let mut writer = File::create(&path).await?.writer(0);
    /// writer.write_all(b"committed").await?;
    /// writer.flush().await?;
    /// writer.file().sync_data().await?;
    /// # std::fs::remove_file(&path)?;
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
    /// use tokio::io::AsyncWriteExt;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let name = format!("linux-aio-tokio-writer-position-{}", std::process::id());
    /// # let path = std::env::temp_dir().join(name);
    /// let mut writer = File::create(&path).await?.writer(0);
    /// writer.write_all(b"header").await?;
    /// // Where the body begins; the header is still in the buffer.
    /// assert_eq!(writer.position(), 6);
    /// writer.flush().await?;
    /// # std::fs::remove_file(&path)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn position(&self) -> u64 {
        self.base.saturating_add(self.end as u64)
    }

    /// Sets the position of an empty buffer.
    fn set_position(&mut self, position: u64) {
        let block = self.file.0.block as u64;
        self.base = position - position % block;
        self.begin = (position % block) as usize;
        self.end = self.begin;
    }

    /// Writes out the bytes of the buffer.
    fn poll_out(&mut self, task: &mut Context<'_>) -> Poll<Result<()>> {
        if self.out.is_none() {
            let buffer = match self.buffer.take() {
                Some(buffer) if self.begin < self.end => buffer,
                buffer => {
                    self.buffer = buffer;
                    return Poll::Ready(Ok(()));
                }
            };
            self.out = Some(Box::pin(write_out(
                self.file.clone(),
                self.cached.clone(),
                buffer,
                self.base,
                (self.begin, self.end),
            )));
        }
        let Some(out) = &mut self.out else {
            return Poll::Ready(Ok(()));
        };
        let (result, buffer, cached) = ready!(out.as_mut().poll(task));
        self.out = None;
        self.buffer = Some(buffer);
        self.cached = cached;
        if result.is_ok() {
            self.set_position(self.position());
        }
        Poll::Ready(result)
    }
}

impl AsyncWrite for Writer {
    fn poll_write(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize>> {
        let this = self.get_mut();
        if this.out.is_some() {
            ready!(this.poll_out(task))?;
        }
        loop {
            let buffer = match &mut this.buffer {
                Some(buffer) => buffer,
                // The position is within the first block.
                none => none.insert(this.file.buffer(this.size.max(this.file.0.block))?),
            };
            let spare = buffer.get_mut(this.end..).unwrap_or_default();
            if spare.is_empty() && !bytes.is_empty() {
                ready!(this.poll_out(task))?;
                continue;
            }
            let count = spare.len().min(bytes.len());
            spare[..count].copy_from_slice(&bytes[..count]);
            this.end += count;
            return Poll::Ready(Ok(count));
        }
    }

    fn poll_flush(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Result<()>> {
        self.get_mut().poll_out(task)
    }

    fn poll_shutdown(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Result<()>> {
        self.get_mut().poll_out(task)
    }
}

impl AsyncSeek for Writer {
    fn start_seek(self: Pin<&mut Self>, target: SeekFrom) -> Result<()> {
        let this = self.get_mut();
        if let SeekFrom::Current(by) = target {
            moved(this.position(), by)?;
        }
        this.seek = Some(Seek::Flush(target));
        Ok(())
    }

    fn poll_complete(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Result<u64>> {
        let this = self.get_mut();
        loop {
            match &mut this.seek {
                None => return Poll::Ready(Ok(this.position())),
                Some(Seek::Flush(target)) => {
                    let target = *target;
                    ready!(this.poll_out(task))?;
                    this.seek = None;
                    match target {
                        SeekFrom::Start(position) => this.set_position(position),
                        SeekFrom::Current(by) => this.set_position(moved(this.position(), by)?),
                        SeekFrom::End(by) => {
                            this.seek = Some(Seek::Len(by, file_len(this.file.clone())));
                        }
                    }
                }
                Some(Seek::Len(by, len)) => {
                    let by = *by;
                    let len = ready!(len.as_mut().poll(task));
                    this.seek = None;
                    this.set_position(moved(len?, by)?);
                }
            }
        }
    }
}

/// Writes a range of a buffer, whose first byte belongs at `base`.
async fn write_out(
    file: File,
    mut cached: Option<Arc<std::fs::File>>,
    mut buffer: AlignedBuf,
    base: u64,
    (begin, end): (usize, usize),
) -> Written {
    let block = file.0.block;
    // The whole blocks: the kernel takes these alone from a direct file.
    let first = begin.next_multiple_of(block).min(end);
    let last = (end - end % block).max(first);
    let mut result;
    for (from, to, whole) in [
        (begin, first, false),
        (first, last, true),
        (last, end, false),
    ] {
        if from == to {
            continue;
        }
        let at = base.saturating_add(from as u64);
        if whole {
            let (written, back) = file.write_all_at(buffer.slice(from..to), at).await;
            (result, buffer) = (written, back.into_inner());
        } else {
            (result, buffer) = write_cached(&file, &mut cached, buffer, at, (from, to)).await;
        }
        if result.is_err() {
            return (result, buffer, cached);
        }
    }
    (Ok(()), buffer, cached)
}

/// Writes a part of a block through the page cache.
async fn write_cached(
    file: &File,
    cached: &mut Option<Arc<std::fs::File>>,
    buffer: AlignedBuf,
    at: u64,
    (from, to): (usize, usize),
) -> (Result<()>, AlignedBuf) {
    let (file, opened) = (file.clone(), cached.take());
    let runtime = file.0.driver.pool();
    let state = (buffer, opened);
    let write = move |(buffer, opened): &mut (AlignedBuf, Option<Arc<std::fs::File>>)| {
        if opened.is_none() {
            let path = format!("/proc/self/fd/{}", file.as_raw_fd());
            let file = std::fs::OpenOptions::new().write(true).open(path)?;
            *opened = Some(Arc::new(file));
        }
        let Some(opened) = opened else { return Ok(()) };
        opened.write_all_at(&buffer[from..to], at)
    };
    let (result, (buffer, opened)) = pool::run(&runtime, state, write).await;
    *cached = opened;
    (result, buffer)
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("file", &self.file)
            .field("position", &self.position())
            .finish_non_exhaustive()
    }
}
