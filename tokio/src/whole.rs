//! Reads and writes that continue until everything is transferred.

use std::any::Any;
use std::io::{Error, ErrorKind, Result};

use linux_aio::buffer::{Append, IoBuf, IoBufMut};

use crate::File;

impl File {
    /// Reads at `offset` until the buffer is full.
    ///
    /// An empty `Vec` (`BytesMut`) is filled up to its capacity, and an
    /// [`Append`] up to its spare capacity.
    ///
    /// # Errors
    /// `UnexpectedEof` if the file ends before; the buffer has what was there. Otherwise
    /// those of [`read_at`](File::read_at). On a direct file each read must be aligned,
    /// also the one that follows a short one.
    ///
    /// # Examples
    /// ```
    /// use linux_aio_tokio::File;
    /// use std::io::ErrorKind;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let file = File::open("/proc/self/exe").await?;
    /// let (read, magic) = file.read_exact_at(vec![0; 4], 0).await;
    /// read?;
    /// assert_eq!(magic, b"\x7fELF");
    ///
    /// let len = file.metadata().await?.len();
    /// let (read, _rest) = file.read_exact_at(vec![0; 16], len - 4).await;
    /// assert_eq!(read.unwrap_err().kind(), ErrorKind::UnexpectedEof);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn read_exact_at<B>(&self, buffer: B, offset: u64) -> (Result<()>, B)
    where
        B: IoBufMut + Send + 'static,
    {
        let mut buffer = buffer;
        let total = readable(&mut buffer);
        let spare = B::GROWS && buffer.region().1 == 0;
        let (mut done, mut resized) = (0, false);
        while done < total {
            let at = offset.saturating_add(done as u64);
            let result;
            // The first read, and each of a buffer that it appends to, needs no slice.
            if done == 0 || appends(&buffer) {
                (result, buffer) = self.read_at(buffer, at).await;
            } else {
                if spare && !resized {
                    if !resize(&mut buffer, total) {
                        return (Err(cannot_continue()), buffer);
                    }
                    resized = true;
                }
                let slice = buffer.slice(done..);
                let (read, slice) = self.read_at(slice, at).await;
                (result, buffer) = (read, slice.into_inner());
            }
            let error = match result {
                Ok(0) => ErrorKind::UnexpectedEof.into(),
                Ok(count) => {
                    done = done.saturating_add(count);
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => error,
            };
            if resized {
                resize(&mut buffer, done);
            }
            return (Err(error), buffer);
        }
        (Ok(()), buffer)
    }

    /// Writes all of the buffer at `offset`.
    ///
    /// # Errors
    /// `WriteZero` if a write transfers nothing. Otherwise those of
    /// [`write_at`](File::write_at). What was written before stays.
    ///
    /// # Examples
    /// ```
    /// use linux_aio_tokio::File;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let name = format!("linux-aio-tokio-write-all-at-{}", std::process::id());
    /// # let path = std::env::temp_dir().join(name);
    /// let file = File::create(&path).await?;
    /// let (written, buffer) = file.write_all_at(vec![7; 100_000], 0).await;
    /// written?;
    /// // The buffer is returned, to be used again.
    /// let (written, _buffer) = file.write_all_at(buffer, 100_000).await;
    /// written?;
    /// assert_eq!(file.metadata().await?.len(), 200_000);
    /// # std::fs::remove_file(&path)?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn write_all_at<B>(&self, buffer: B, offset: u64) -> (Result<()>, B)
    where
        B: IoBuf + Send + 'static,
    {
        let mut slice = buffer.slice(..);
        let mut at = offset;
        while slice.remaining() > 0 {
            let (result, back) = self.write_at(slice, at).await;
            slice = back;
            match result {
                Ok(0) => return (Err(ErrorKind::WriteZero.into()), slice.into_inner()),
                Ok(count) => {
                    at = at.saturating_add(count as u64);
                    slice.advance(count);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return (Err(error), slice.into_inner()),
            }
        }
        (Ok(()), slice.into_inner())
    }

    /// Appends the file's content from `offset` to its end. Returns the number of bytes
    /// read, and the vector.
    ///
    /// It reads into the spare capacity, and doubles the capacity when that is used up. The
    /// memory of a vector is not aligned for direct I/O (EINVAL).
    ///
    /// # Errors
    /// `OutOfMemory`, and those of [`read_at`](File::read_at). What was read before is in
    /// the vector.
    ///
    /// # Examples
    /// ```
    /// use linux_aio_tokio::File;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let file = File::open("/proc/self/status").await?;
    /// let (read, text) = file.read_to_end_at(Vec::new(), 0).await;
    /// assert_eq!(read?, text.len());
    /// assert!(text.starts_with(b"Name:"));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn read_to_end_at(&self, buffer: Vec<u8>, offset: u64) -> (Result<usize>, Vec<u8>) {
        const LEAST: usize = 4096;
        let mut buffer = Append::from(buffer);
        let mut total = 0;
        loop {
            if buffer.capacity() == buffer.len() {
                let more = buffer.len().max(LEAST);
                if buffer.try_reserve(more).is_err() {
                    let error = ErrorKind::OutOfMemory.into();
                    return (Err(error), buffer.into_inner());
                }
            }
            let at = offset.saturating_add(total as u64);
            let (result, back) = self.read_at(buffer, at).await;
            buffer = back;
            match result {
                Ok(0) => return (Ok(total), buffer.into_inner()),
                Ok(count) => total += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return (Err(error), buffer.into_inner()),
            }
        }
    }
}

/// Returns the number of bytes that a read fills.
fn readable<B: IoBufMut>(buffer: &mut B) -> usize {
    if B::GROWS {
        buffer.region_mut().1
    } else {
        buffer.region().1
    }
}

fn appends<B: 'static>(buffer: &B) -> bool {
    (buffer as &dyn Any).is::<Append>()
}

/// Sets the length of a buffer that an earlier read has filled in part. Returns `false` for
/// other types.
fn resize<B: 'static>(buffer: &mut B, len: usize) -> bool {
    let buffer = buffer as &mut dyn Any;
    #[cfg(feature = "bytes")]
    if let Some(bytes) = buffer.downcast_mut::<bytes::BytesMut>() {
        bytes.resize(len, 0);
        return true;
    }
    match buffer.downcast_mut::<Vec<u8>>() {
        Some(vector) => {
            vector.resize(len, 0);
            true
        }
        None => false,
    }
}

#[cold]
fn cannot_continue() -> Error {
    Error::other("a short read, and the type of the buffer has no way to continue it")
}
