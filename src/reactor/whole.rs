//! Reads and writes that continue until everything is transferred.

use core::future::Future;

use super::{Lock, Reactor};
#[cfg(feature = "alloc")]
use crate::buffer::Append;
use crate::buffer::{IoBuf, IoBufMut, Slice};
use crate::completion::Completion;
use crate::fd::Fd;
use crate::sys::errno::Errno;

/// Reads and writes of a whole buffer, with a reactor whose buffers are slices.
///
/// # Examples
/// ```
/// use linux_aio::buffer::Slice;
/// use linux_aio::reactor::Reactor;
/// use std::fs::File;
///
/// # #[cfg(feature = "std")]
/// async fn header(reactor: &Reactor<'static, Slice<Vec<u8>>>, file: &'static File) -> Vec<u8> {
///     let (read, buffer) = reactor.read_exact_at(file, vec![0; 512], 0).await;
///     assert_eq!(read, Ok(512));
///     buffer
/// }
/// ```
impl<'r, B: IoBuf + 'static, L: Lock> Reactor<'r, Slice<B>, L> {
    /// Writes all of `buffer`, with as many operations as it takes.
    ///
    /// Returns the number of bytes written and the buffer. The number is less than the
    /// length only if a write has transferred nothing.
    ///
    /// # Errors
    /// The error of the first write that fails. What earlier ones have written stays.
    pub async fn write_all_at(
        &self,
        fd: impl Into<Fd<'r>>,
        buffer: B,
        offset: u64,
    ) -> (Result<usize, Errno>, B) {
        let fd = fd.into();
        let mut slice = buffer.slice(..);
        if slice.remaining() == 0 {
            return (Ok(0), slice.into_inner());
        }
        let write = |slice, done| self.write(fd, slice, offset.saturating_add(done));
        until_whole(slice, write).await
    }
}

impl<'r, B: IoBufMut + 'static, L: Lock> Reactor<'r, Slice<B>, L> {
    /// Reads until `buffer` is full or the file ends.
    ///
    /// Returns the number of bytes read and the buffer. The number is less than the length
    /// only at the end of the file.
    ///
    /// An empty vector is filled by a single read up to its capacity, or less where the
    /// read is short.
    ///
    /// # Errors
    /// The error of the first read that fails.
    pub async fn read_exact_at(
        &self,
        fd: impl Into<Fd<'r>>,
        buffer: B,
        offset: u64,
    ) -> (Result<usize, Errno>, B) {
        let fd = fd.into();
        let read = |slice, done| self.read(fd, slice, offset.saturating_add(done));
        until_whole(buffer.slice(..), read).await
    }
}

/// Begins operations until nothing is left of the slice, or one transfers nothing or fails.
/// `begin` gets the rest of the slice and the number of bytes that were transferred.
async fn until_whole<B: IoBuf, F: Future<Output = Completion<Slice<B>>>>(
    mut slice: Slice<B>,
    begin: impl Fn(Slice<B>, u64) -> F,
) -> (Result<usize, Errno>, B) {
    let mut total = 0;
    loop {
        let done = begin(slice, total as u64).await;
        slice = done.buffer;
        match done.result {
            Ok(count) => {
                total += count;
                slice.advance(count);
                if count == 0 || slice.remaining() == 0 {
                    return (Ok(total), slice.into_inner());
                }
            }
            Err(errno) => return (Err(errno), slice.into_inner()),
        }
    }
}

/// Reads of a whole file, with a reactor whose buffers are appended to.
#[cfg(feature = "alloc")]
impl<'r, L: Lock> Reactor<'r, Append, L> {
    /// Appends the file's content from `offset` to its end.
    ///
    /// Returns the number of bytes read and the buffer. It reads into the spare capacity,
    /// and doubles the capacity when that is used up: at least 4096 bytes at a time. The
    /// memory of a vector is not aligned for direct I/O (EINVAL).
    ///
    /// # Errors
    /// ENOMEM, and the error of the first read that fails. The bytes that were read before
    /// are in the buffer.
    pub async fn read_to_end_at(
        &self,
        fd: impl Into<Fd<'r>>,
        mut buffer: Append,
        offset: u64,
    ) -> (Result<usize, Errno>, Append) {
        const LEAST: usize = 4096;
        let fd = fd.into();
        let mut total = 0;
        loop {
            if buffer.capacity() == buffer.len() {
                let more = buffer.len().max(LEAST);
                if buffer.try_reserve(more).is_err() {
                    return (Err(Errno::NOMEM), buffer);
                }
            }
            let read = self.read(fd, buffer, offset.saturating_add(total as u64));
            let done = read.await;
            buffer = done.buffer;
            match done.result {
                Ok(0) => return (Ok(total), buffer),
                Ok(count) => total += count,
                Err(errno) => return (Err(errno), buffer),
            }
        }
    }
}
