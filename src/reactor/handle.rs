//! [`Handle`]: how a future holds its reactor.

use super::inner::Inner;
use super::{Lock, Reactor, UNBATCHED};
use crate::buffer::IoBuf;
use crate::fd::Fd;

/// The reference to a reactor that a future contains: `&Reactor`, or `Rc<Reactor>` and
/// `Arc<Reactor>` (feature `alloc`). No other type implements this trait.
///
/// It is used as a bound, for code that accepts the futures of any reactor:
/// ```
/// use linux_aio::reactor::{Handle, OpFuture};
///
/// async fn bytes<R: Handle>(read: OpFuture<R>) -> usize {
///     read.await.result.unwrap_or(0)
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
/// # use linux_aio::reactor::Reactor;
/// # let file = std::fs::File::open("/proc/self/exe").unwrap();
/// # let reactor = Reactor::<Vec<u8>>::with_capacity(4)?;
/// # assert_eq!(block_on(&reactor, bytes(reactor.read(&file, vec![0; 16], 0)))?, 16);
/// # Ok(())
/// # }
/// ```
pub trait Handle: Access {}

/// The permission to call the methods of [`Access`], which only this module's parent can
/// make: the methods of a supertrait are callable wherever the trait is.
#[allow(unreachable_pub, reason = "in a method of `Access`")]
pub struct Token(pub(super) ());

/// The methods of a [`Handle`]. The module is private, so that no other crate implements
/// it: each call must reach the same reactor. No other crate calls it either, because it
/// cannot make a [`Token`].
#[allow(
    unreachable_pub,
    reason = "a supertrait of a public trait, which no other crate can name"
)]
pub trait Access {
    /// The buffers of the reactor's operations.
    type Buffer: IoBuf + 'static;
    /// The data of the reactor's operations.
    type Data;

    /// Runs `f` under the reactor's lock. `f` runs no user code and does not nest calls.
    fn with<O>(
        &self,
        token: Token,
        f: impl FnOnce(&mut Inner<'_, Self::Buffer, Self::Data>) -> O,
    ) -> O;

    /// Returns the reactor's eventfd.
    fn eventfd(&self) -> Option<Fd<'_>>;

    /// Returns whether turns submit the operations, and not the polls that begin them.
    fn is_batched(&self) -> bool;

    /// Returns whether the reactor is batched and has no eventfd.
    fn is_plain(&self) -> bool;
}

macro_rules! handles {
    ($($(#[$cfg:meta])* $handle:ty;)+) => {$(
        $(#[$cfg])*
        impl<'r, B: IoBuf + 'static, L: Lock, T> Handle for $handle {}

        $(#[$cfg])*
        impl<'r, B: IoBuf + 'static, L: Lock, T> Access for $handle {
            type Buffer = B;
            type Data = T;

            #[inline(always)]
            fn with<O>(&self, _: Token, f: impl FnOnce(&mut Inner<'_, B, T>) -> O) -> O {
                Reactor::with(self, |inner| f(inner))
            }

            #[inline(always)]
            fn eventfd(&self) -> Option<Fd<'_>> {
                self.eventfd.get()
            }

            #[inline(always)]
            fn is_batched(&self) -> bool {
                self.mode & UNBATCHED == 0
            }

            #[inline(always)]
            fn is_plain(&self) -> bool {
                self.mode == 0
            }
        }
    )+};
}

handles! {
    &Reactor<'r, B, L, T>;
    #[cfg(feature = "alloc")]
    alloc::rc::Rc<Reactor<'r, B, L, T>>;
    #[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
    alloc::sync::Arc<Reactor<'r, B, L, T>>;
}
