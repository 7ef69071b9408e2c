//! [`Operation`] and [`BufferKind`]: whether an operation has a buffer, known by its type.

use super::{Fdsync, Fsync, Op, Poll, Read, Write};
use crate::buffer::{IoBuf, IoBufMut};

/// An operation that a scope or a reactor accepts: one of the types of this
/// [module](super), with buffers of type `B` and user data of type `T`.
///
/// No other type implements this trait. It is used as a bound:
/// ```
/// use linux_aio::op::Operation;
/// use linux_aio::reactor::Reactor;
///
/// /// Runs an operation of any kind that has no buffer or one of this type.
/// async fn run<O>(reactor: &Reactor<'static, &'static [u8]>, op: O) -> bool
/// where
///     O: Operation<'static, &'static [u8], ()>,
/// {
///     reactor.push(op).await.result.is_ok()
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
/// # let reactor = Reactor::with_capacity(4)?;
/// # let file: &'static std::fs::File =
/// #     Box::leak(Box::new(std::fs::File::create("/dev/null").unwrap()));
/// # let write = linux_aio::op::Write::new(file, &b"hello"[..]);
/// # assert!(block_on(&reactor, run(&reactor, write))?);
/// # Ok(())
/// # }
/// ```
pub trait Operation<'fd, B, T>: Sealed<'fd, B, T> {
    /// The kind of the operation, which determines the type of a completion's `buffer`.
    type Kind: BufferKind;
}

/// An [`Operation`] with the type of its own buffer, `()` if it has none. It is the bound of
/// [`Scope::push`](crate::Scope::push), as a scope accepts buffers of any type.
///
/// Only the types of this [module](super) implement it.
///
/// # Examples
/// ```
/// # #[cfg(not(feature = "std"))] fn main() {}
/// # #[cfg(feature = "std")] fn main() -> Result<(), linux_aio::Errno> {
/// use linux_aio::op::{AnyOperation, Fsync, Read};
/// use linux_aio::{Errno, Scope};
/// use std::fs::File;
///
/// /// Begins an operation of any kind, with a buffer of any type, and waits for it.
/// fn run<'scope, O>(s: &'scope Scope<'scope, '_>, op: O) -> Result<usize, Errno>
/// where
///     O: AnyOperation<'scope, Buffer: 'scope, Data: 'scope>,
/// {
///     let begun = s.push(op).map_err(|_full| Errno::BUSY)?;
///     begun.wait().result
/// }
///
/// fn read_and_sync<'scope>(
///     s: &'scope Scope<'scope, '_>,
///     file: &'scope File,
///     buffer: &'scope mut [u8],
/// ) -> Result<usize, Errno> {
///     run(s, Read::new(file, buffer))?;
///     run(s, Fsync::new(file))
/// }
/// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
/// # if !linux_aio::Probe::new()?.supports(linux_aio::abi::IOCB_CMD_FSYNC) { return Ok(()) }
/// # let file = File::open("/proc/self/exe").unwrap();
/// # let mut buffer = [0; 4];
/// # linux_aio::scope(&mut linux_aio::ScopeSlot::array::<1>(), |s| {
/// #     read_and_sync(s, &file, &mut buffer)
/// # })??;
/// # assert_eq!(&buffer, b"\x7fELF");
/// # Ok(())
/// # }
/// ```
pub trait AnyOperation<'fd>: Operation<'fd, Self::Buffer, Self::Data> {
    /// The type of the buffer.
    type Buffer: IoBuf;
    /// The type of the user data.
    type Data;
}

/// The conversion that [`Operation`] relies on. The module is private, so that no other
/// crate implements it: an operation [with a buffer](WithBuffer) has one.
#[allow(
    unreachable_pub,
    reason = "a supertrait of a public trait, which no other crate can name"
)]
pub trait Sealed<'fd, B, T> {
    /// Converts it into an operation of any kind.
    fn into_op(self) -> Op<'fd, B, T>;
}

/// The kind of an operation, which determines how a completion returns the buffer:
/// [`WithBuffer`] (as `B`), [`WithoutBuffer`] (as `()`) or [`AnyBuffer`] (as `Option<B>`).
///
/// No other type implements this trait.
///
/// # Examples
/// ```
/// use linux_aio::op::{AnyBuffer, BufferKind, WithBuffer, WithoutBuffer};
///
/// /// The buffer in the completion of an operation of the kind `K`.
/// type Returned<K, B> = <K as BufferKind>::Buffer<B>;
///
/// let read: Returned<WithBuffer, &str> = "hello";
/// let sync: Returned<WithoutBuffer, &str> = ();
/// let any: Returned<AnyBuffer, &str> = Some("hello");
/// ```
pub trait BufferKind: Private {
    /// The type of a completion's `buffer`, for buffers of type `B`.
    type Buffer<B>;

    /// Converts the buffer of an operation.
    ///
    /// # Safety
    /// An operation of this kind had this buffer.
    #[doc(hidden)]
    unsafe fn convert<B>(buffer: Option<B>) -> Self::Buffer<B>;
}

/// A supertrait in a private module.
#[allow(
    unreachable_pub,
    reason = "a supertrait of a public trait, which no other crate can name"
)]
pub trait Private {}

/// The kind of operations that have a buffer: [`Read`] and [`Write`].
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
/// use linux_aio::op::WithBuffer;
/// use linux_aio::reactor::{OpFuture, Reactor};
///
/// type Files = Reactor<'static, Vec<u8>>;
///
/// /// The future of a read or a write returns its buffer.
/// async fn buffer(transfer: OpFuture<&Files, WithBuffer>) -> Vec<u8> {
///     transfer.await.buffer
/// }
/// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
/// # let file: &'static std::fs::File =
/// #     Box::leak(Box::new(std::fs::File::open("/proc/self/exe").unwrap()));
/// # let reactor = Files::with_capacity(4)?;
/// # assert_eq!(block_on(&reactor, buffer(reactor.read(file, vec![0; 16], 0)))?.len(), 16);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub enum WithBuffer {}

/// The kind of operations without a buffer: [`Fsync`], [`Fdsync`] and [`Poll`].
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
/// use linux_aio::op::WithoutBuffer;
/// use linux_aio::reactor::{OpFuture, Reactor};
///
/// type Files = Reactor<'static, Vec<u8>>;
///
/// /// The future of a sync or a poll has no buffer to return.
/// async fn is_synced(sync: OpFuture<&Files, WithoutBuffer>) -> bool {
///     let () = sync.await.buffer;
///     true
/// }
/// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
/// # let file: &'static std::fs::File =
/// #     Box::leak(Box::new(std::fs::File::open("/proc/self/exe").unwrap()));
/// # let reactor = Files::with_capacity(4)?;
/// # assert_eq!(block_on(&reactor, is_synced(reactor.fsync(file)))?, true);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub enum WithoutBuffer {}

/// The kind of operations that may have a buffer: [`Op`].
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
/// use linux_aio::op::AnyBuffer;
/// use linux_aio::reactor::{OpFuture, Reactor};
///
/// type Files = Reactor<'static, Vec<u8>>;
///
/// /// The future of an `Op` returns the buffer if there is one.
/// async fn buffer(operation: OpFuture<&Files, AnyBuffer>) -> Option<Vec<u8>> {
///     operation.await.buffer
/// }
/// # if let Err(linux_aio::Errno::NOSYS) = linux_aio::Context::new(0) { return Ok(()) }
/// # let file: &'static std::fs::File =
/// #     Box::leak(Box::new(std::fs::File::open("/proc/self/exe").unwrap()));
/// # let reactor = Files::with_capacity(4)?;
/// # assert_eq!(block_on(&reactor, buffer(reactor.push(linux_aio::op::Op::from(linux_aio::op::Fsync::new(file)))))?, None);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub enum AnyBuffer {}

impl Private for WithBuffer {}
impl Private for WithoutBuffer {}
impl Private for AnyBuffer {}

impl BufferKind for WithBuffer {
    type Buffer<B> = B;

    #[inline(always)]
    unsafe fn convert<B>(buffer: Option<B>) -> B {
        // SAFETY: the caller promises that an operation with a buffer had it.
        unsafe { buffer.unwrap_unchecked() }
    }
}

impl BufferKind for WithoutBuffer {
    type Buffer<B> = ();

    #[inline(always)]
    unsafe fn convert<B>(_buffer: Option<B>) {}
}

impl BufferKind for AnyBuffer {
    type Buffer<B> = Option<B>;

    #[inline(always)]
    unsafe fn convert<B>(buffer: Option<B>) -> Option<B> {
        buffer
    }
}

/// Implements [`Operation`] by the conversion into an [`Op`].
macro_rules! operations {
    ($($operation:ty: $kind:ident $(where $buffer:ident)?;)+) => {$(
        impl<'fd, B $(: $buffer)?, T> Sealed<'fd, B, T> for $operation {
            #[inline]
            fn into_op(self) -> Op<'fd, B, T> {
                self.into()
            }
        }

        impl<'fd, B $(: $buffer)?, T> Operation<'fd, B, T> for $operation {
            type Kind = $kind;
        }
    )+};
}

operations! {
    Read<'fd, B, T>: WithBuffer where IoBufMut;
    Write<'fd, B, T>: WithBuffer where IoBuf;
    Fsync<'fd, T>: WithoutBuffer;
    Fdsync<'fd, T>: WithoutBuffer;
    Poll<'fd, T>: WithoutBuffer;
    Op<'fd, B, T>: AnyBuffer;
}

/// Implements [`AnyOperation`]: for types with a buffer, and for those without.
macro_rules! own_buffers {
    ($($operation:ident: $buffer:ident;)+ - $($without:ident)+) => {
        $(
            impl<'fd, B: $buffer, T> AnyOperation<'fd> for $operation<'fd, B, T> {
                type Buffer = B;
                type Data = T;
            }
        )+

        $(
            impl<'fd, T> AnyOperation<'fd> for $without<'fd, T> {
                type Buffer = ();
                type Data = T;
            }
        )+
    };
}

own_buffers! {
    Read: IoBufMut;
    Write: IoBuf;
    Op: IoBuf;
    - Fsync Fdsync Poll
}
