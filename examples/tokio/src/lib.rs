//! Integration of the reactor's futures into tokio.
//!
//! A [`Reactor`] signals an eventfd whenever an operation has completed. [`drive`] runs
//! as one task beside the others: it waits for that eventfd as for any descriptor and
//! turns the reactor, which wakes the tasks that await its futures.

use std::convert::Infallible;
use std::fs::File;
use std::io::{Error, Read};
use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::Arc;

use linux_aio::buffer::IoBuf;
use linux_aio::reactor::{Lock, Reactor};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

mod page;

pub use page::{CHUNK, Page};

/// Creates an eventfd, which the reactor ([`Reactor::eventfd_owned`]) and [`drive`]
/// share.
///
/// # Errors
/// The errors of `eventfd(2)`: too many open files.
pub fn eventfd() -> Result<Arc<File>, Error> {
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
pub async fn drive<B: IoBuf, L: Lock, T>(
    reactor: &Reactor<'_, B, L, T>,
    eventfd: Arc<File>,
) -> Result<Infallible, Error> {
    // SAFETY: the `Arc` keeps the file open, and the `AsyncFd` owns the `Arc` until it
    // is dropped.
    let eventfd = unsafe { AsyncFd::register_with_interest(eventfd, Interest::READABLE) }?;
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
