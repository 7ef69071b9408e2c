//! Baselines: epoll, and io_uring polls.

use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

use io_uring::IoUring;

use super::Watch;
use crate::meter::note;

/// Level-triggered: a socket that was not read is reported again.
pub(super) struct ByEpoll {
    epoll: i32,
    events: Vec<libc::epoll_event>,
}

impl ByEpoll {
    pub(super) fn new(sockets: &[UnixStream]) -> ByEpoll {
        // SAFETY: `epoll_create1` takes no pointers.
        let epoll = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        for (at, socket) in sockets.iter().enumerate() {
            let mut event = libc::epoll_event {
                events: libc::EPOLLIN as u32,
                u64: at as u64,
            };
            let (add, fd) = (libc::EPOLL_CTL_ADD, socket.as_raw_fd());
            // SAFETY: the event is only read.
            let added = unsafe { libc::epoll_ctl(epoll, add, fd, &raw mut event) };
            assert_eq!(added, 0);
        }
        ByEpoll {
            epoll,
            events: vec![libc::epoll_event { events: 0, u64: 0 }; 256],
        }
    }
}

impl Watch for ByEpoll {
    fn ready(&mut self, each: &mut dyn FnMut(usize)) {
        let (events, most) = (self.events.as_mut_ptr(), self.events.len() as i32);
        // SAFETY: `events` has space for `most` events.
        let count = unsafe { libc::epoll_wait(self.epoll, events, most, -1) };
        assert!(count > 0);
        for event in &self.events[..count as usize] {
            each(event.u64 as usize);
        }
    }
}

/// Polls, submitted again with the system call that waits.
pub(super) struct ByUring<'s> {
    ring: IoUring,
    sockets: &'s [UnixStream],
    again: Vec<usize>,
}

impl ByUring<'_> {
    pub(super) fn new(sockets: &[UnixStream]) -> Option<ByUring<'_>> {
        let entries = sockets.len().next_power_of_two();
        let ring = IoUring::new(entries as u32);
        let ring = ring.inspect_err(|error| note(format!("io_uring of {entries}: {error}")));
        Some(ByUring {
            sockets,
            ring: ring.ok()?,
            again: (0..sockets.len()).collect(),
        })
    }
}

impl Watch for ByUring<'_> {
    fn ready(&mut self, each: &mut dyn FnMut(usize)) {
        for at in self.again.drain(..) {
            let fd = io_uring::types::Fd(self.sockets[at].as_raw_fd());
            let poll = io_uring::opcode::PollAdd::new(fd, libc::POLLIN as u32);
            // SAFETY: a poll has no buffer.
            unsafe {
                self.ring
                    .submission()
                    .push(&poll.build().user_data(at as u64))
            }
            .unwrap();
        }
        self.ring.submit_and_wait(1).unwrap();
        for done in self.ring.completion() {
            assert!(done.result() > 0);
            self.again.push(done.user_data() as usize);
            each(done.user_data() as usize);
        }
    }
}
