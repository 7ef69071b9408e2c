//! Reads and writes that continue until everything is transferred.

use core::future::Future;

use super::{Lock, Reactor};
#[cfg(feature = "alloc")]
use crate::buffer::Append;
use crate::buffer::{IoBuf, IoBufMut, Slice};
use crate::completion::Completion;
use crate::fd::Fd;
use crate::sys::errno::Errno;

/// Reads and writes that continue after a short transfer, with a reactor whose buffers are
/// of the type [`Slice`].
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
/// # #[cfg(not(feature = "std"))] fn main() {}
/// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
/// # fn block_on<B: linux_aio::buffer::IoBuf, T, F: Future>(
/// #     reactor: &Reactor<'_, B, linux_aio::reactor::Local, T>,
/// #     task: F,
/// # ) -> Result<F::Output, linux_aio::Errno> {
/// #     use std::task::{Context, Poll, Waker};
/// #     let mut task = std::pin::pin!(task);
/// #     loop {
/// #         let polled = task.as_mut().poll(&mut Context::from_waker(Waker::noop()));
/// #         if let Poll::Ready(output) = polled { return Ok(output) }
/// #         reactor.wait(linux_aio::WaitOptions::new())?;
/// #     }
/// # }
/// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
/// # let file: &'static File = Box::leak(Box::new(File::open("/proc/self/exe").unwrap()));
/// # let reactor = Reactor::with_capacity(4)?;
/// # assert_eq!(block_on(&reactor, header(&reactor, file))?[..4], *b"\x7fELF");
/// # Ok(())
/// # }
/// ```
impl<'r, B: IoBuf + 'static, L: Lock> Reactor<'r, Slice<B>, L> {
    /// Writes all of `buffer` to the file, from the byte at `offset`, with as many
    /// operations as are needed.
    ///
    /// Returns the number of bytes written and the buffer. The number is less than the
    /// length only if a write has transferred nothing, which is not an error here. If the
    /// future is dropped, the reactor drops the buffer when the write in flight has
    /// completed.
    ///
    /// # Errors
    /// Returns the error of the first write that fails, and the buffer. The bytes of
    /// earlier writes have been written; their number is not returned.
    ///
    /// # Examples
    /// ```
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
    /// # fn block_on<B: linux_aio::buffer::IoBuf, T, F: Future>(
    /// #     reactor: &Reactor<'_, B, linux_aio::reactor::Local, T>,
    /// #     task: F,
    /// # ) -> Result<F::Output, linux_aio::Errno> {
    /// #     use std::task::{Context, Poll, Waker};
    /// #     let mut task = std::pin::pin!(task);
    /// #     loop {
    /// #         let polled = task.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    /// #         if let Poll::Ready(output) = polled { return Ok(output) }
    /// #         reactor.wait(linux_aio::WaitOptions::new())?;
    /// #     }
    /// # }
    /// use linux_aio::reactor::Reactor;
    /// use std::fs::File;
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let file = File::create("/dev/null").unwrap();
    /// let reactor = Reactor::with_capacity(4)?;
    /// # block_on(&reactor, async {
    /// let (written, buffer) = reactor.write_all_at(&file, b"hello".to_vec(), 0).await;
    /// assert_eq!((written, buffer.len()), (Ok(5), 5));
    /// # })?;
    /// # Ok(())
    /// # }
    /// ```
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
    /// Reads until `buffer` is full or the file ends, from the byte at `offset`, with as
    /// many operations as are needed.
    ///
    /// Returns the number of bytes read and the buffer. The number is less than the length
    /// only at the end of the file, which is not an error (unlike in `read_exact_at` of
    /// `std`). If the future is dropped, the reactor drops the buffer when the read in
    /// flight has completed.
    ///
    /// Into an empty `Vec` there is a single read, up to its capacity. It may be short.
    ///
    /// # Errors
    /// Returns the error of the first read that fails, and the buffer. The number of bytes
    /// that earlier reads have read is not returned.
    ///
    /// # Examples
    /// ```
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
    /// # fn block_on<B: linux_aio::buffer::IoBuf, T, F: Future>(
    /// #     reactor: &Reactor<'_, B, linux_aio::reactor::Local, T>,
    /// #     task: F,
    /// # ) -> Result<F::Output, linux_aio::Errno> {
    /// #     use std::task::{Context, Poll, Waker};
    /// #     let mut task = std::pin::pin!(task);
    /// #     loop {
    /// #         let polled = task.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    /// #         if let Poll::Ready(output) = polled { return Ok(output) }
    /// #         reactor.wait(linux_aio::WaitOptions::new())?;
    /// #     }
    /// # }
    /// use linux_aio::reactor::Reactor;
    /// use std::fs::File;
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let file = File::open("/proc/self/exe").unwrap();
    /// let reactor = Reactor::with_capacity(4)?;
    /// # block_on(&reactor, async {
    /// let (read, buffer) = reactor.read_exact_at(&file, vec![0; 4], 0).await;
    /// assert_eq!(read, Ok(4));
    /// assert_eq!(buffer, b"\x7fELF");
    /// # })?;
    /// # Ok(())
    /// # }
    /// ```
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
    /// Reads the file from the byte at `offset` to its end, and appends the bytes to
    /// `buffer`.
    ///
    /// Returns the number of bytes read and the buffer. Each read fills the spare capacity.
    /// When none is left, the buffer grows by its length, and by at least 4096 bytes.
    ///
    /// The memory of a `Vec` is in general not aligned for direct I/O: a file that is open
    /// with `O_DIRECT` returns EINVAL.
    ///
    /// # Errors
    /// Returns ENOMEM if the buffer cannot grow, or the error of the first read that fails,
    /// and the buffer. The bytes that were read before are in it.
    ///
    /// # Examples
    /// ```
    /// use linux_aio::Errno;
    /// use linux_aio::buffer::Append;
    /// use linux_aio::reactor::Reactor;
    /// use std::fs::File;
    ///
    /// # #[cfg(feature = "std")]
    /// async fn contents(
    ///     reactor: &Reactor<'static, Append>,
    ///     file: &'static File,
    /// ) -> Result<Vec<u8>, Errno> {
    ///     let (read, buffer) = reactor.read_to_end_at(file, Append::default(), 0).await;
    ///     read?;
    ///     Ok(buffer.into_inner())
    /// }
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
    /// # fn block_on<B: linux_aio::buffer::IoBuf, T, F: Future>(
    /// #     reactor: &Reactor<'_, B, linux_aio::reactor::Local, T>,
    /// #     task: F,
    /// # ) -> Result<F::Output, linux_aio::Errno> {
    /// #     use std::task::{Context, Poll, Waker};
    /// #     let mut task = std::pin::pin!(task);
    /// #     loop {
    /// #         let polled = task.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    /// #         if let Poll::Ready(output) = polled { return Ok(output) }
    /// #         reactor.wait(linux_aio::WaitOptions::new())?;
    /// #     }
    /// # }
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// # let file: &'static File = Box::leak(Box::new(File::open("/proc/self/exe").unwrap()));
    /// # let reactor = Reactor::with_capacity(4)?;
    /// # let contents = block_on(&reactor, contents(&reactor, file))??;
    /// # assert!(contents == std::fs::read("/proc/self/exe").unwrap());
    /// # Ok(())
    /// # }
    /// ```
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
