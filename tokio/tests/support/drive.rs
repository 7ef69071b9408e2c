//! A reactor of the library under tokio, without this crate's driver: an `AsyncFd` on its
//! eventfd, and a task that turns it.

use std::convert::Infallible;
use std::fs::File;
use std::io::{Error, Read};
use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::Arc;

use linux_aio::buffer::IoBuf;
use linux_aio::reactor::{Lock, Reactor};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Creates an eventfd, which the reactor ([`Reactor::eventfd_owned`]) and [`drive`]
/// share.
///
/// # Errors
/// The errors of `eventfd(2)`: too many open files.
pub(crate) fn eventfd() -> Result<Arc<File>, Error> {
    // SAFETY: the descriptor was just created, so it has no other owner.
    unsafe {
        match libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) {
            -1 => Err(Error::last_os_error()),
            fd => Ok(Arc::new(OwnedFd::from_raw_fd(fd).into())),
        }
    }
}

/// Turns the reactor whenever its eventfd is signalled, for as long as the future is
/// polled.
///
/// It must be called inside a runtime whose `enable_io` is set.
///
/// # Errors
/// The errors of the eventfd's registration, and of [`Reactor::turn`].
pub(crate) async fn drive<B: IoBuf, L: Lock, T>(
    reactor: &Reactor<'_, B, L, T>,
    eventfd: Arc<File>,
) -> Result<Infallible, Error> {
    #[allow(deprecated, reason = "its replacement came with tokio 1.54")]
    let eventfd = AsyncFd::with_interest(eventfd, Interest::READABLE)?;
    loop {
        let mut ready = eventfd.readable().await?;
        // Reading clears the eventfd, and the turn follows: an operation that completes
        // in between signals it again.
        let cleared = ready.try_io(|eventfd| eventfd.get_ref().as_ref().read(&mut [0; 8]));
        if let Ok(cleared) = cleared {
            cleared?;
            reactor.turn()?;
        }
    }
}
