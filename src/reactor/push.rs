//! How operations become futures of a reactor.

use core::mem::MaybeUninit;

use super::future::OpFuture;
use super::handle::Access;
use super::inner::Payload;
use super::{Lock, Reactor};
use crate::buffer::{IoBuf, IoBufMut};
use crate::completion::Full;
use crate::engine::IocbFields;
use crate::fd::Fd;
use crate::op::{Fdsync, Fsync, Op, Operation, Poll, Read, WithoutBuffer, Write};
use crate::opcode::PollMask;

impl<'r, B: IoBuf + 'static, L: Lock, T> Reactor<'r, B, L, T> {
    /// Converts an operation into a future.
    ///
    /// The operation begins when the future is polled and a slot is free. If every slot is
    /// taken, the future waits for one. If the kernel refuses the operation, the error is
    /// its result ([`Completion::refused`](crate::Completion::refused)).
    ///
    /// # Examples
    /// ```
    /// use linux_aio::op::Write;
    /// use linux_aio::reactor::Reactor;
    /// use linux_aio::{Errno, Fd};
    ///
    /// /// Writes a line, with a number that the completion returns.
    /// async fn log(
    ///     reactor: &Reactor<'_, &'static [u8], linux_aio::reactor::Local, u32>,
    ///     to: Fd<'static>,
    /// ) -> Result<usize, Errno> {
    ///     let done = reactor.push(Write::new(to, &b"hello\n"[..]).data(42)).await;
    ///     assert_eq!(done.data, 42);
    ///     done.result
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
    /// # let file = std::fs::File::create("/dev/null").unwrap();
    /// # // SAFETY: the file is open until the reactor has been dropped.
    /// # let to = unsafe { Fd::borrow_raw(std::os::fd::AsRawFd::as_raw_fd(&file)) };
    /// # let reactor = Reactor::with_capacity(4)?;
    /// # assert_eq!(block_on(&reactor, log(&reactor, to))?, Ok(6));
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub fn push<O: Operation<'r, B, T>>(&self, op: O) -> OpFuture<&Self, O::Kind> {
        let (fields, payload) = prepare(op.into_op());
        // SAFETY: the operation is of its own kind.
        unsafe { OpFuture::new(self, fields, payload) }
    }

    /// Begins an operation at once, if a slot is free, and returns its future.
    ///
    /// [`push`](Reactor::push) begins an operation when its future is first polled. This
    /// function submits it (unless the reactor is [batched](Reactor::batched)) before it
    /// returns. If the future is dropped, polled or not, the buffer stays in the reactor
    /// until the operation has completed.
    ///
    /// # Errors
    /// Returns [`Full`] with the operation if every slot is taken, or if the free ones are
    /// reserved for futures that wait for a slot.
    ///
    /// # Examples
    /// Load shedding, in place of a wait for a slot:
    /// ```
    /// use linux_aio::op::Read;
    /// use linux_aio::reactor::Reactor;
    /// use linux_aio::{Errno, Fd};
    ///
    /// async fn serve(
    ///     reactor: &Reactor<'_, &'static mut [u8]>,
    ///     file: Fd<'static>,
    ///     buffer: &'static mut [u8],
    /// ) -> Result<usize, Errno> {
    ///     match reactor.try_push(Read::new(file, buffer)) {
    ///         Ok(read) => read.await.result,
    ///         Err(_full) => Err(Errno::BUSY),
    ///     }
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
    /// # let file = std::fs::File::open("/dev/null").unwrap();
    /// # // SAFETY: the file is open until the reactor has been dropped.
    /// # let file = unsafe { Fd::borrow_raw(std::os::fd::AsRawFd::as_raw_fd(&file)) };
    /// # let reactor = Reactor::with_capacity(1)?;
    /// # assert_eq!(block_on(&reactor, serve(&reactor, file, &mut []))?, Ok(0));
    /// # let taken = reactor.try_push(Read::new(file, &mut [][..]));
    /// # assert_eq!(block_on(&reactor, serve(&reactor, file, &mut []))?, Err(Errno::BUSY));
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_push<O: Operation<'r, B, T>>(&self, op: O) -> Begun<'r, &Self, O::Kind> {
        let op = op.into_op();
        if self.with(|inner| inner.is_full()) {
            return Err(Full(op));
        }
        // User code runs in `prepare`, so the slot may be taken afterwards.
        let before = *op.iocb();
        let (fields, payload) = prepare(op);
        // SAFETY: the operation is of its own kind.
        let mut future = unsafe { OpFuture::new(self, fields, payload) };
        match future.begin_now() {
            None => Ok(future),
            // SAFETY: the iocb and the payload are those of one operation, whose
            // descriptor outlives `'r`.
            Some(payload) => Err(Full(unsafe { Op::restore(before, payload) })),
        }
    }

    /// Converts an operation into a future that owns a share of the reactor.
    ///
    /// With a `Reactor<'static, …>` the future is `'static`: it can be stored beside the
    /// reactor, and spawned. Otherwise as [`push`](Reactor::push). If the future is the
    /// last owner of the reactor, dropping it drops the reactor, which blocks.
    ///
    /// # Examples
    /// ```
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
    /// # use linux_aio::Errno;
    /// use linux_aio::op::Read;
    /// use linux_aio::reactor::{OpFuture, Reactor, Shared};
    /// use std::fs::File;
    /// use std::sync::Arc;
    ///
    /// # if let Err(Errno::NOSYS) = linux_aio::Context::new(1) { return Ok(()) }
    /// type Shares = Reactor<'static, Vec<u8>, Shared, Arc<File>>;
    ///
    /// /// A file and the read in flight, without a lifetime.
    /// struct Reader {
    ///     file: Arc<File>,
    ///     reactor: Arc<Shares>,
    ///     read: Option<OpFuture<Arc<Shares>>>,
    /// }
    ///
    /// let reactor = Arc::new(Shares::with_capacity(64)?);
    /// let file = Arc::new(File::open("/proc/self/exe").unwrap());
    /// let read = reactor.push_arc(Read::owned(file.clone(), vec![0; 4]));
    /// let reader = Reader { file, reactor, read: Some(read) };
    /// # drop(reader);
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
    pub fn push_arc<O: Operation<'r, B, T>>(
        self: &alloc::sync::Arc<Self>,
        op: O,
    ) -> OpFuture<alloc::sync::Arc<Self>, O::Kind> {
        let (fields, payload) = prepare(op.into_op());
        // SAFETY: the operation is of its own kind.
        unsafe { OpFuture::new(self.clone(), fields, payload) }
    }

    /// Converts an operation into a future that owns a share of the reactor, for one
    /// thread. Otherwise as `push_arc`.
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
    /// use linux_aio::op::Read;
    /// use linux_aio::reactor::{Local, Reactor};
    /// use std::fs::File;
    /// use std::rc::Rc;
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// let file = Rc::new(File::open("/proc/self/exe").unwrap());
    /// let reactor = Rc::new(Reactor::<'static, Vec<u8>, Local, _>::with_capacity(4)?);
    /// // The future is `'static`, so `spawn_local` of an executor accepts it.
    /// let read = reactor.push_rc(Read::owned(file, vec![0; 4]));
    /// # block_on(&reactor, async {
    /// assert_eq!(read.await.buffer, b"\x7fELF");
    /// # })?;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "alloc")]
    pub fn push_rc<O: Operation<'r, B, T>>(
        self: &alloc::rc::Rc<Self>,
        op: O,
    ) -> OpFuture<alloc::rc::Rc<Self>, O::Kind> {
        let (fields, payload) = prepare(op.into_op());
        // SAFETY: the operation is of its own kind.
        unsafe { OpFuture::new(self.clone(), fields, payload) }
    }
}

/// Returns an operation as its future keeps it. This runs user code (`IoBuf::region`).
#[inline]
fn prepare<B: IoBuf, T>(op: Op<'_, B, T>) -> Prepared<B, T> {
    let (iocb, payload) = op.prepare();
    (IocbFields::of(&iocb), payload)
}

/// A future that has begun, or an operation that found no free slot.
type Begun<'r, R, K> =
    Result<OpFuture<R, K>, Full<Op<'r, <R as Access>::Buffer, <R as Access>::Data>>>;

/// An operation that is ready to be staged: its own eventfd, the fields of its iocb, and its
/// payload.
type Prepared<B, T> = (IocbFields, MaybeUninit<Payload<B, T>>);

impl<'r, B: IoBuf + 'static, L: Lock> Reactor<'r, B, L> {
    /// Reads into `buffer`, from the byte at `offset` in the file.
    ///
    /// The result may be fewer bytes than the buffer holds:
    /// [`read_exact_at`](Reactor::read_exact_at) continues. For flags, priorities, data and
    /// owned descriptors, use [`push`](Reactor::push) with a [`Read`].
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
    /// let done = reactor.read(&file, vec![0; 3], 1).await;
    /// assert_eq!((done.result, &done.buffer[..]), (Ok(3), &b"ELF"[..]));
    /// # })?;
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub fn read(&self, fd: impl Into<Fd<'r>>, buffer: B, offset: u64) -> OpFuture<&Self>
    where
        B: IoBufMut,
    {
        self.push(Read::new(fd, buffer).offset(offset))
    }

    /// Writes `buffer` to the file, from the byte at `offset`.
    ///
    /// The result may be fewer bytes than the buffer holds:
    /// [`write_all_at`](Reactor::write_all_at) continues. For flags, priorities, data and
    /// owned descriptors, use [`push`](Reactor::push) with a [`Write`].
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
    /// let done = reactor.write(&file, b"hello".to_vec(), 0).await;
    /// assert_eq!(done.result, Ok(5));
    /// # })?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn write(&self, fd: impl Into<Fd<'r>>, buffer: B, offset: u64) -> OpFuture<&Self> {
        self.push(Write::new(fd, buffer).offset(offset))
    }

    /// Writes a file's cached data and metadata to the disk (Linux 4.18; the result is
    /// EINVAL before). It covers the writes that have completed before, not those in
    /// flight at the same time.
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
    /// # if !linux_aio::Probe::new()?.supports(linux_aio::abi::IOCB_CMD_FSYNC) { return Ok(()) }
    /// let file = File::open("/proc/self/exe").unwrap();
    /// let reactor = Reactor::<Vec<u8>>::with_capacity(4)?;
    /// # block_on(&reactor, async {
    /// assert_eq!(reactor.fsync(&file).await.result, Ok(0));
    /// # })?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn fsync(&self, fd: impl Into<Fd<'r>>) -> OpFuture<&Self, WithoutBuffer> {
        self.push(Fsync::new(fd))
    }

    /// Writes a file's cached data to the disk, without metadata that is not needed to read
    /// it. Otherwise as [`fsync`](Reactor::fsync).
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
    /// # if !linux_aio::Probe::new()?.supports(linux_aio::abi::IOCB_CMD_FSYNC) { return Ok(()) }
    /// let file = File::open("/proc/self/exe").unwrap();
    /// let reactor = Reactor::<Vec<u8>>::with_capacity(4)?;
    /// # block_on(&reactor, async {
    /// assert_eq!(reactor.fdsync(&file).await.result, Ok(0));
    /// # })?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn fdsync(&self, fd: impl Into<Fd<'r>>) -> OpFuture<&Self, WithoutBuffer> {
        self.push(Fdsync::new(fd))
    }

    /// Waits until a descriptor is ready for one of the events in `mask` (Linux 4.19; the
    /// result is EINVAL before). [`PollMask::from_result`] converts the result into the set
    /// of the events that occurred. Dropping the future cancels the poll.
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
    /// use linux_aio::opcode::PollMask;
    /// use linux_aio::reactor::Reactor;
    /// use std::io::Write;
    /// use std::os::unix::net::UnixStream;
    ///
    /// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
    /// # if !linux_aio::Probe::new()?.supports(linux_aio::abi::IOCB_CMD_POLL) { return Ok(()) }
    /// let (mut from, to) = UnixStream::pair().unwrap();
    /// let reactor = Reactor::<Vec<u8>>::with_capacity(4)?;
    /// from.write_all(b"hello").unwrap();
    /// # block_on(&reactor, async {
    /// let ready = reactor.poll(&to, PollMask::IN).await.result.unwrap();
    /// assert!(PollMask::from_result(ready).contains(PollMask::IN));
    /// # })?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn poll(&self, fd: impl Into<Fd<'r>>, mask: PollMask) -> OpFuture<&Self, WithoutBuffer> {
        self.push(Poll::new(fd, mask))
    }
}
