//! Tests of wakers that panic, without the feature `std`: the turn ends, and the next one
//! continues. (`user_code` has the tests with it.)
#![cfg(all(not(feature = "std"), any(target_os = "linux", target_os = "android")))]

use std::future::Future;
use std::io::Write;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Wake, Waker};

use linux_aio::Fd;
use linux_aio::opcode::PollMask;
use linux_aio::reactor::{Reactor, ReactorSlot};

fn eventfd() -> OwnedFd {
    // SAFETY: eventfd(2) accesses no memory. The descriptor is new, or −1, which is caught.
    unsafe {
        let eventfd = libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC);
        assert!(eventfd >= 0);
        OwnedFd::from_raw_fd(eventfd)
    }
}

/// Counts its wake-ups, and panics in the first one if it is a bomb.
struct Counter(AtomicUsize, bool);

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        assert!(self.0.fetch_add(1, SeqCst) > 0 || !self.1, "a bomb");
    }
}

/// Three operations have completed, and the waker of one panics. The others are notified by
/// the next turn, which an executor learns from `needs_turn` or from the eventfd.
#[test]
fn a_turn_that_a_panic_ends_requests_another() {
    for (bomb, with_eventfd) in [0, 1, 2]
        .into_iter()
        .flat_map(|at| [(at, false), (at, true)])
    {
        let sockets: [_; 3] = core::array::from_fn(|_| UnixStream::pair().unwrap());
        let own = eventfd();
        // SAFETY: the descriptors are open until the reactor has been dropped.
        let fd = |of: &dyn AsRawFd| unsafe { Fd::borrow_raw(of.as_raw_fd()) };
        let mut slots = ReactorSlot::array::<3>();
        let mut reactor = Reactor::<()>::new(&mut slots).unwrap();
        if with_eventfd {
            reactor = reactor.eventfd(fd(&own));
        }
        let (mut counters, mut futures) = (Vec::new(), Vec::new());
        for (at, (socket, _)) in sockets.iter().enumerate() {
            let counter = Arc::new(Counter(AtomicUsize::new(0), at == bomb));
            let mut future = Box::pin(reactor.poll(fd(socket), PollMask::IN));
            let waker = Waker::from(counter.clone());
            let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
            assert!(polled.is_pending());
            futures.push(future);
            counters.push(counter);
        }
        for (_, peer) in &sockets {
            (&mut &*peer).write_all(&[1]).unwrap();
        }
        let counts = || core::array::from_fn(|at| counters[at].0.load(SeqCst));
        let was_signalled = || {
            let mut count = [0_u8; 8];
            // SAFETY: read(2) writes at most eight bytes.
            unsafe { libc::read(own.as_raw_fd(), count.as_mut_ptr().cast(), 8) == 8 }
        };
        assert_eq!(was_signalled(), with_eventfd);
        assert!(catch_unwind(AssertUnwindSafe(|| reactor.turn())).is_err());
        assert_eq!(counts(), [1, usize::from(bomb > 0), usize::from(bomb > 1)]);
        assert_eq!(reactor.needs_turn(), bomb < 2);
        assert_eq!(was_signalled(), with_eventfd && bomb < 2);
        assert_eq!(reactor.turn(), Ok(2 - bomb));
        assert_eq!(counts(), [1; 3]);
        assert!(!reactor.needs_turn());
    }
}
