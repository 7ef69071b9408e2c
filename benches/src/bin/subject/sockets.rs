//! One ring that watches a thousand sockets, of which some become readable.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

use io_uring::IoUring;
use linux_aio::op::Poll;
use linux_aio::opcode::PollMask;
use linux_aio::{Context, Event, Iocb, Queue, Slot, Ticket, opcode, sys};

use crate::meter::Meter;

const SOCKETS: usize = 1000;

/// Tells which sockets are readable, at least one of them, and goes on
/// watching those.
trait Watch {
    fn ready(&mut self, sockets: &[UnixStream], each: &mut dyn FnMut(usize));
}

/// `meter.count` bytes, of which `at_once` come between two looks.
pub(crate) fn sockets(rival: &str, at_once: usize, meter: &mut Meter) -> Option<()> {
    let limit = libc::rlimit {
        rlim_cur: 4096,
        rlim_max: 4096,
    };
    // SAFETY: `limit` is only read. Where it is refused, a socket will be.
    unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    let pairs: Result<Vec<_>, _> = (0..SOCKETS).map(|_| UnixStream::pair()).collect();
    let (ours, theirs): (Vec<_>, Vec<_>) = pairs.ok()?.into_iter().unzip();
    match rival {
        "context" => run(ByContext::new(&ours), at_once, ours, theirs, meter),
        "queue" => run(ByQueue::new(&ours), at_once, ours, theirs, meter),
        "epoll" => run(ByEpoll::new(&ours), at_once, ours, theirs, meter),
        "uring" => run(ByUring::new(&ours)?, at_once, ours, theirs, meter),
        _ => return None,
    }
    Some(())
}

fn run(
    mut watch: impl Watch,
    at_once: usize,
    mut ours: Vec<UnixStream>,
    mut theirs: Vec<UnixStream>,
    meter: &mut Meter,
) {
    let (rounds, mut at) = (meter.count / at_once as u64, 0);
    let mut readable = Vec::new();
    // All of it: who wakes a watcher pays for a part of the watching.
    meter.time(|| {
        for _ in 0..rounds {
            for _ in 0..at_once {
                theirs[at].write_all(&[1]).unwrap();
                // Prime to a thousand: each in its turn, and no two neighbours.
                at = (at + 387) % SOCKETS;
            }
            let mut left = at_once;
            while left > 0 {
                // The bytes are read before they are watched for again.
                watch.ready(&ours, &mut |socket| readable.push(socket));
                for socket in readable.drain(..) {
                    let mut byte = [0; 8];
                    assert_eq!(ours[socket].read(&mut byte).unwrap(), 1);
                    left -= 1;
                }
            }
        }
    });
}

/// Polls that are submitted again, at the next look, when their byte was read.
struct ByContext {
    context: Context,
    iocbs: Vec<Iocb>,
    again: Vec<usize>,
    events: Vec<Event>,
}

impl ByContext {
    fn new(sockets: &[UnixStream]) -> ByContext {
        let iocb = |(at, socket): (usize, &UnixStream)| {
            let poll = opcode::Poll::new(socket.as_raw_fd(), PollMask::IN);
            poll.build().user_data(at as u64)
        };
        ByContext {
            context: Context::new(SOCKETS as u32).unwrap(),
            iocbs: sockets.iter().enumerate().map(iocb).collect(),
            again: (0..SOCKETS).collect(),
            events: vec![Event::EMPTY; 256],
        }
    }
}

impl Watch for ByContext {
    fn ready(&mut self, _: &[UnixStream], each: &mut dyn FnMut(usize)) {
        if self.again.len() == SOCKETS {
            let mut all: Vec<&mut Iocb> = self.iocbs.iter_mut().collect();
            // SAFETY: a poll has no buffer.
            unsafe { self.context.submit_all(&mut all) }.unwrap();
            self.again.clear();
        }
        let mut pointers = [const { std::ptr::null_mut::<Iocb>() }; 64];
        for some in self.again.chunks(pointers.len()) {
            for (pointer, &at) in pointers.iter_mut().zip(some) {
                *pointer = &raw mut self.iocbs[at];
            }
            let mut pointers = &pointers[..some.len()];
            while !pointers.is_empty() {
                let (ctx, nr) = (self.context.as_raw(), pointers.len() as isize);
                // SAFETY: a poll has no buffer.
                let taken = unsafe { sys::io_submit(ctx, nr, pointers.as_ptr()) };
                pointers = &pointers[taken.unwrap()..];
            }
        }
        self.again.clear();
        for event in self.context.ring().wait(1, &mut self.events).unwrap() {
            assert!(event.res > 0);
            self.again.push(event.data as usize);
            each(event.data as usize);
        }
    }
}

/// The same by the safe layer: which socket it was, the ticket tells.
struct ByQueue {
    queue: Queue<'static, Number>,
    tickets: HashMap<Ticket, usize>,
    again: Vec<usize>,
}

/// No memory, as polls have none.
type Number = &'static mut [u8];

impl ByQueue {
    fn new(_: &[UnixStream]) -> ByQueue {
        let slots: Vec<Slot<Number>> = (0..SOCKETS).map(|_| Slot::NEW).collect();
        ByQueue {
            queue: Queue::new(slots.leak()).unwrap(),
            tickets: HashMap::new(),
            again: (0..SOCKETS).collect(),
        }
    }
}

impl Watch for ByQueue {
    fn ready(&mut self, sockets: &[UnixStream], each: &mut dyn FnMut(usize)) {
        for at in self.again.drain(..) {
            let poll = Poll::new(sockets[at].as_raw_fd(), PollMask::IN);
            self.tickets.insert(self.queue.push(poll).unwrap(), at);
        }
        self.queue.submit().unwrap();
        let mut done = self.queue.wait().unwrap();
        while let Some(completion) = done {
            let at = self.tickets.remove(&completion.ticket).unwrap();
            assert!(completion.result.unwrap() > 0);
            self.again.push(at);
            each(at);
            done = self.queue.pop().unwrap();
        }
    }
}

/// Level-triggered: what is not read is told again.
struct ByEpoll {
    epoll: i32,
    events: Vec<libc::epoll_event>,
}

impl ByEpoll {
    fn new(sockets: &[UnixStream]) -> ByEpoll {
        // SAFETY: a descriptor of our own.
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
    fn ready(&mut self, _: &[UnixStream], each: &mut dyn FnMut(usize)) {
        let (events, room) = (self.events.as_mut_ptr(), self.events.len() as i32);
        // SAFETY: there is room for so many events.
        let count = unsafe { libc::epoll_wait(self.epoll, events, room, -1) };
        assert!(count > 0);
        for event in &self.events[..count as usize] {
            each(event.u64 as usize);
        }
    }
}

/// Polls, submitted again with the same call that waits.
struct ByUring {
    ring: IoUring,
    again: Vec<usize>,
}

impl ByUring {
    fn new(_: &[UnixStream]) -> Option<ByUring> {
        Some(ByUring {
            ring: IoUring::new(1024).ok()?,
            again: (0..SOCKETS).collect(),
        })
    }
}

impl Watch for ByUring {
    fn ready(&mut self, sockets: &[UnixStream], each: &mut dyn FnMut(usize)) {
        for at in self.again.drain(..) {
            let fd = io_uring::types::Fd(sockets[at].as_raw_fd());
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
