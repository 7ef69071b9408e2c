//! Polls with a context, by a hand-written loop and by the queue.

use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

use linux_aio::op::Poll;
use linux_aio::opcode::PollMask;
use linux_aio::{Context, Event, Iocb, Queue, Slot, opcode, sys};

use super::Watch;

/// Polls that are submitted again, at the next call, after their byte was read.
pub(super) struct ByContext {
    context: Context,
    iocbs: Vec<Iocb>,
    again: Vec<usize>,
    events: Vec<Event>,
}

impl ByContext {
    pub(super) fn new(sockets: &[UnixStream]) -> ByContext {
        let iocb = |(at, socket): (usize, &UnixStream)| {
            let poll = opcode::Poll::new(socket.as_raw_fd(), PollMask::IN);
            poll.build().user_data(at as u64)
        };
        ByContext {
            context: Context::new(sockets.len() as u32).unwrap(),
            iocbs: sockets.iter().enumerate().map(iocb).collect(),
            again: (0..sockets.len()).collect(),
            events: vec![Event::EMPTY; 256],
        }
    }
}

impl Watch for ByContext {
    fn ready(&mut self, each: &mut dyn FnMut(usize)) {
        if self.again.len() == self.iocbs.len() {
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
                // SAFETY: each pointer refers to a valid iocb, and a poll has no
                // buffer.
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

/// The same with the safe layer. The socket's index is the operation's data.
pub(super) struct ByQueue<'s> {
    queue: Queue<'s, Number, usize>,
    sockets: &'s [UnixStream],
    again: Vec<usize>,
}

/// The buffer type of polls, which have no memory.
pub(super) type Number = &'static mut [u8];

impl ByQueue<'_> {
    pub(super) fn new(sockets: &[UnixStream]) -> ByQueue<'_> {
        let slots: Vec<Slot<Number, usize>> = sockets.iter().map(|_| Slot::NEW).collect();
        ByQueue {
            queue: Queue::new(slots.leak()).unwrap(),
            sockets,
            again: (0..sockets.len()).collect(),
        }
    }
}

impl Watch for ByQueue<'_> {
    fn ready(&mut self, each: &mut dyn FnMut(usize)) {
        for at in self.again.drain(..) {
            let poll = Poll::new(&self.sockets[at], PollMask::IN).data(at);
            self.queue.push(poll).unwrap();
        }
        self.queue.submit().unwrap();
        let mut done = self.queue.wait().unwrap();
        while let Some(completion) = done {
            assert!(completion.result.unwrap() > 0);
            self.again.push(completion.data);
            each(completion.data);
            done = self.queue.pop().unwrap();
        }
    }
}
