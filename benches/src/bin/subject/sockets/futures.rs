//! The reactor, with a future for each socket.

use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use linux_aio::WaitOptions;
use linux_aio::op::WithoutBuffer;
use linux_aio::opcode::PollMask;
use linux_aio::reactor::{OpFuture, Reactor, ReactorSlot};

use super::Watch;
use super::aio::Number;

type Polling<'s> = Pin<Box<OpFuture<&'s Reactor<'s, Number>, WithoutBuffer>>>;

/// A minimal executor that polls only woken tasks.
pub(super) struct ByReactor<'s> {
    reactor: &'s Reactor<'s, Number>,
    tasks: Vec<Polling<'s>>,
    sockets: &'s [UnixStream],
    wakers: Vec<Waker>,
    woken: Arc<Mutex<Vec<usize>>>,
    turn: Vec<usize>,
}

/// The waker of a task.
struct Task {
    at: usize,
    woken: Arc<Mutex<Vec<usize>>>,
}

impl Wake for Task {
    fn wake(self: Arc<Task>) {
        self.woken.lock().unwrap().push(self.at);
    }
}

impl<'s> ByReactor<'s> {
    pub(super) fn new(sockets: &'s [UnixStream]) -> ByReactor<'s> {
        let slots: Vec<ReactorSlot<Number>> = sockets.iter().map(|_| ReactorSlot::NEW).collect();
        let reactor: &'s Reactor<'s, _> =
            Box::leak(Box::new(Reactor::new(slots.leak()).unwrap().batched()));
        let woken = Arc::new(Mutex::new((0..sockets.len()).collect()));
        let task = |at| {
            let woken = Arc::clone(&woken);
            Waker::from(Arc::new(Task { at, woken }))
        };
        let begin = |socket| Box::pin(reactor.poll(socket, PollMask::IN));
        ByReactor {
            reactor,
            sockets,
            tasks: sockets.iter().map(begin).collect(),
            wakers: (0..sockets.len()).map(task).collect(),
            woken,
            turn: Vec::new(),
        }
    }
}

impl Watch for ByReactor<'_> {
    fn ready(&mut self, each: &mut dyn FnMut(usize)) {
        let mut any = false;
        while !any {
            std::mem::swap(&mut self.turn, &mut self.woken.lock().unwrap());
            for at in self.turn.drain(..) {
                let mut context = Context::from_waker(&self.wakers[at]);
                let Poll::Ready(done) = self.tasks[at].as_mut().poll(&mut context) else {
                    continue;
                };
                assert!(done.result.unwrap() > 0);
                any = true;
                // The next poll begins after the byte was read, at the next call.
                let next = self.reactor.poll(&self.sockets[at], PollMask::IN);
                self.tasks[at].as_mut().set(next);
                self.woken.lock().unwrap().push(at);
                each(at);
            }
            if !any {
                self.reactor.wait(WaitOptions::new()).unwrap();
            }
        }
    }
}
