//! The reactor's futures inside tokio: all that it takes.
//!
//! A [`Reactor`] signals an eventfd whenever an operation has ended. [`drive`],
//! one task beside the others, waits for that eventfd as for any descriptor,
//! and turns the reactor, which wakes the tasks that its futures are in.

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

/// Creates an eventfd. The reactor ([`Reactor::eventfd_owned`]) and [`drive`] share
/// it.
///
/// # Errors
/// As `eventfd(2)`: too many open files.
pub fn eventfd() -> Result<Arc<File>, Error> {
    // SAFETY: the descriptor is fresh, and nobody else's.
    unsafe {
        match libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) {
            -1 => Err(Error::last_os_error()),
            fd => Ok(Arc::new(OwnedFd::from_raw_fd(fd).into())),
        }
    }
}

/// Turns the reactor whenever its eventfd says so, for as long as it is polled.
///
/// It is called inside of a runtime whose `enable_io` is set.
///
/// # Errors
/// Those of the eventfd's registration, and of [`Reactor::turn`].
pub async fn drive<B: IoBuf, L: Lock, T>(
    reactor: &Reactor<'_, B, L, T>,
    eventfd: Arc<File>,
) -> Result<Infallible, Error> {
    // SAFETY: the `Arc` keeps one open file, which is the `AsyncFd`'s until it is
    // dropped.
    let eventfd = unsafe { AsyncFd::register_with_interest(eventfd, Interest::READABLE) }?;
    loop {
        let mut ready = eventfd.readable().await?;
        // Reading clears it. First that and then the turn: what ends in
        // between signals it again.
        let cleared = ready.try_io(|eventfd| eventfd.get_ref().as_ref().read(&mut [0; 8]));
        if let Ok(cleared) = cleared {
            cleared?;
            reactor.turn()?;
        }
    }
}
