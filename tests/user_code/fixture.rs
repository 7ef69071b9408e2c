//! [`Fixture`]: a reactor, and an executor that polls only the tasks that were woken.

use std::cell::{Cell, RefCell};
use std::os::fd::{AsRawFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::task::Waker;
use std::time::Instant;

use linux_aio::op::{AnyBuffer, Poll, Read};
use linux_aio::opcode::PollMask;
use linux_aio::reactor::{Lock, OpFuture, Reactor, ReactorSlot};
use linux_aio::{Completion, Fd, IdleContext};

use crate::hooks::{ALIVE, Action, Begun, Call, INSIDE, LEN, Load, Memory, Named, Watched, during};
use crate::support::tasks::{LONG, poll, read_eventfd};
use crate::support::{TempFile, eventfd, pipe};

pub(crate) type Watcher<L> = Reactor<'static, Memory, Watched<L>, Load>;
pub(crate) type Place = ReactorSlot<Memory, Load>;
pub(crate) type Future<L> =
    Pin<Box<OpFuture<&'static Reactor<'static, Memory, Watched<L>, Load>, AnyBuffer>>>;

/// A task of the executor. It awaits one operation.
pub(crate) struct Entry<L: Lock + 'static> {
    pub(crate) name: &'static str,
    /// The future. `None` while it is polled, and when it has completed.
    pub(crate) future: Option<Future<L>>,
    pub(crate) waker: Arc<Named>,
    /// The pipe end whose drop or write makes its poll ready.
    pub(crate) writer: Option<OwnedFd>,
    pub(crate) done: Option<Completion<Option<Memory>, Load>>,
}

pub(crate) const SLOTS: usize = 4;
pub(crate) const CONTENT: [u8; LEN] = *b"contents";

/// The configuration of a reactor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    pub(crate) batched: bool,
    pub(crate) eventfd: bool,
}

/// The simplest configuration.
pub(crate) const SIMPLE: Setup = Setup {
    batched: false,
    eventfd: false,
};

/// A reactor and its tasks.
pub(crate) struct Fixture<L: Lock + 'static> {
    pub(crate) setup: Setup,
    pub(crate) action: Action,
    /// The reactor. It is leaked, and `end` takes it back.
    pub(crate) reactor: &'static Watcher<L>,
    pub(crate) slots: *mut [Place],
    pub(crate) eventfd: Arc<OwnedFd>,
    pub(crate) file: Arc<OwnedFd>,
    pub(crate) tasks: RefCell<Vec<Entry<L>>>,
    /// The number of buffers and data that are leaked on purpose.
    pub(crate) leaked: Cell<isize>,
}

impl<L: Lock + 'static> Fixture<L> {
    pub(crate) fn new(setup: Setup, action: Action) -> Rc<Fixture<L>> {
        let slots = Box::leak(Box::new(ReactorSlot::array::<SLOTS>()));
        Fixture::within(slots, setup, action)
    }

    pub(crate) fn within(
        slots: &'static mut [Place],
        setup: Setup,
        action: Action,
    ) -> Rc<Fixture<L>> {
        let eventfd = Arc::new(eventfd());
        let file = TempFile::with(&CONTENT);
        let all: *mut [Place] = slots;
        // SAFETY: this is the only exclusive reference to a leaked array. The pointer
        // is used only after this reactor was dropped or leaked.
        let slots = unsafe { &mut *all };
        let idle = IdleContext::new(SLOTS as u32).unwrap();
        let mut reactor = Watcher::<L>::with_context(idle, slots);
        if setup.batched {
            reactor = reactor.batched();
        }
        if setup.eventfd {
            // SAFETY: the eventfd stays open until this value is dropped, after the
            // reactor.
            reactor = reactor.eventfd(unsafe { Fd::borrow_raw(eventfd.as_raw_fd()) });
        }
        Rc::new(Fixture {
            setup,
            action,
            reactor: Box::leak(Box::new(reactor)),
            slots: all,
            eventfd,
            file: Arc::new(file.file.try_clone().unwrap().into()),
            tasks: RefCell::default(),
            leaked: Cell::new(0),
        })
    }

    /// Adds a task, which is not polled yet.
    pub(crate) fn add(&self, name: &'static str, op: impl Into<Begun>, writer: Option<OwnedFd>) {
        let future = Box::pin(self.reactor.push::<Begun>(op.into()));
        self.tasks.borrow_mut().push(Entry {
            name,
            future: Some(future),
            waker: Named::new(name),
            writer,
            done: None,
        });
    }

    /// Adds a task that awaits a poll, which `release` makes ready.
    pub(crate) fn add_poll(&self, name: &'static str) {
        let (reader, writer) = pipe();
        let op = Poll::owned(Load::new(name, reader), PollMask::IN);
        self.add(name, op, Some(writer));
    }

    pub(crate) fn read_op(&self, name: &'static str) -> Read<'static, Memory, Load> {
        Read::owned(Load::new(name, self.file.clone()), Memory::new(name))
    }

    pub(crate) fn add_read(&self, name: &'static str) {
        self.add(name, self.read_op(name), None);
    }

    /// Fills all slots with polls, which are in flight.
    pub(crate) fn fill(&self) {
        for name in ["a", "b", "c", "d"] {
            self.add_poll(name);
            assert!(!self.poll(name));
        }
        self.reactor.turn().unwrap();
        assert_eq!(self.reactor.in_flight(), SLOTS);
    }

    /// Adds a task that waits for a slot.
    pub(crate) fn add_waiter(&self, name: &'static str) {
        self.add_read(name);
        assert!(!self.poll(name));
    }

    /// Makes a poll ready.
    pub(crate) fn release(&self, name: &'static str) {
        for task in self.tasks.borrow().iter().filter(|task| task.name == name) {
            if let Some(writer) = &task.writer {
                // SAFETY: the kernel reads one byte.
                let written = unsafe { libc::write(writer.as_raw_fd(), b"x".as_ptr().cast(), 1) };
                assert_eq!(written, 1);
            }
        }
    }

    /// Returns whether the task was woken and not polled since.
    pub(crate) fn is_woken(&self, name: &'static str) -> bool {
        let tasks = self.tasks.borrow();
        let mut named = tasks.iter().filter(|task| task.name == name);
        named.any(|task| task.waker.woken() > 0)
    }

    /// Makes a poll ready, and turns the reactor until its task is woken.
    pub(crate) fn finish(&self, name: &'static str) {
        self.release(name);
        self.turn_until(|| self.is_woken(name));
    }

    /// Makes a poll ready, and polls another task until it has completed. No task is woken.
    pub(crate) fn complete(&self, name: &'static str) {
        self.release(name);
        let deadline = Instant::now() + LONG;
        while self.reactor.in_flight() == SLOTS {
            self.poll("b");
            assert!(Instant::now() < deadline);
        }
    }

    /// Moves a task to another waker of this name.
    pub(crate) fn change_waker(&self, name: &'static str) {
        let mut tasks = self.tasks.borrow_mut();
        for task in tasks.iter_mut().filter(|task| task.name == name) {
            task.waker = Named::new(name);
        }
    }

    pub(crate) fn turn_until(&self, completed: impl Fn() -> bool) {
        let deadline = Instant::now() + LONG;
        while !completed() {
            self.reactor.turn().unwrap();
            assert!(Instant::now() < deadline, "{:?}", self.reactor);
        }
    }

    /// Polls a task unless it is already being polled. Returns whether it has
    /// completed.
    pub(crate) fn poll(&self, name: &'static str) -> bool {
        let taken = {
            let mut tasks = self.tasks.borrow_mut();
            let mut waiting = tasks.iter_mut().filter(|task| task.name == name);
            let task = waiting.next().expect(name);
            task.future.take().map(|future| {
                task.waker.woken.store(0, SeqCst);
                (future, task.waker.clone())
            })
        };
        let Some((mut future, waker)) = taken else {
            return false;
        };
        let polled = catch_unwind(AssertUnwindSafe(|| poll(future.as_mut(), &waker.lend())));
        let mut tasks = self.tasks.borrow_mut();
        let task = tasks.iter_mut().find(|task| task.name == name);
        let task = task.expect(name);
        match polled {
            Ok(Some(done)) => task.done = Some(done),
            Ok(None) => task.future = Some(future),
            Err(payload) => {
                // An executor that catches the panic would poll the task again.
                task.future = Some(future);
                waker.woken.fetch_add(1, SeqCst);
                drop(tasks);
                resume_unwind(payload);
            }
        }
        task.done.is_some()
    }

    /// Removes a task from the executor.
    pub(crate) fn take(&self, name: &'static str) -> Option<Entry<L>> {
        let mut tasks = self.tasks.borrow_mut();
        let is_there = |task: &Entry<L>| task.name == name && task.future.is_some();
        let at = tasks.iter().position(is_there)?;
        Some(tasks.remove(at))
    }

    /// Drops a task, including its future.
    pub(crate) fn discard(&self, name: &'static str) {
        drop(self.take(name));
    }

    /// Calls the reactor in every possible way.
    pub(crate) fn reenter(&self) {
        assert!(format!("{:?}", self.reactor).contains("in_flight"));
        self.reactor.in_flight();
        self.reactor.turn().unwrap();
        let names: Vec<_> = self.tasks.borrow().iter().map(|task| task.name).collect();
        for name in names {
            self.poll(name);
        }
        // Three nested operations: one that may complete immediately, one that is
        // dropped in flight or while it waits, and one that is never polled.
        let mut read = Box::pin(self.reactor.push(self.read_op("nested")));
        let _ = poll(read.as_mut(), Waker::noop());
        let (reader, _writer) = pipe();
        let never = Poll::owned(Load::new("nested", reader), PollMask::IN);
        let mut never = Box::pin(self.reactor.push(never));
        let _ = poll(never.as_mut(), Waker::noop());
        let unpolled = self.reactor.push(self.read_op("nested"));
        assert!(format!("{unpolled:?}").contains("ready"));
        drop(never);
        self.reactor.turn().unwrap();
        drop((read, unpolled));
        self.discard("victim");
    }

    /// Runs `trigger`, during which the call occurs.
    pub(crate) fn during(self: &Rc<Self>, name: &'static str, call: Call, trigger: impl FnOnce()) {
        let fixture = self.clone();
        during(
            self.action,
            (name, call),
            move || fixture.reenter(),
            trigger,
        );
    }

    /// Completes all tasks, polling only those that were woken, and verifies the end
    /// state.
    pub(crate) fn end(self: Rc<Self>) {
        for name in ["a", "b", "c", "d", "bystander"] {
            self.release(name);
        }
        let deadline = Instant::now() + LONG;
        loop {
            let (mut woken, mut waiting) = (Vec::new(), Vec::new());
            for task in self.tasks.borrow().iter() {
                if task.done.is_none() {
                    waiting.push(task.name);
                    if task.waker.woken() > 0 {
                        woken.push(task.name);
                    }
                }
            }
            if waiting.is_empty() {
                break;
            }
            assert!(Instant::now() < deadline, "not woken: {waiting:?}");
            for name in woken {
                self.poll(name);
            }
            self.reactor.turn().unwrap();
        }
        for task in self.tasks.take() {
            let done = task.done.unwrap();
            match done.buffer {
                Some(memory) => {
                    assert_eq!(done.result, Ok(LEN), "{}", task.name);
                    assert_eq!(memory.bytes[..], CONTENT, "{}", task.name);
                }
                None => {
                    let found = PollMask::from_result(done.result.unwrap());
                    assert!(found.contains(PollMask::IN), "{}", task.name);
                }
            }
            drop(done.data);
            assert_eq!(Arc::strong_count(&task.waker), 1, "{}'s waker", task.name);
        }
        self.turn_until(|| self.reactor.in_flight() == 0);
        // Completed operations are dropped once, by the next turn at the latest.
        self.reactor.turn().unwrap();
        assert_eq!(ALIVE.get(), self.leaked.get());
        self.use_every_slot();
        if self.setup.eventfd {
            read_eventfd(&self.eventfd);
        }
        // SAFETY: no future is left, and the reference is not used again.
        let reactor = unsafe { Box::from_raw((&raw const *self.reactor).cast_mut()) };
        let mut context = reactor.into_idle_context().unwrap().into_context();
        assert_eq!(context.ring().pop(), Ok(None));
        // The context is destroyed when the process exits, which saves tens of
        // milliseconds for each.
        let _ = context.into_raw();
        assert_eq!(ALIVE.replace(0), self.leaked.get());
        assert_eq!(INSIDE.replace(0), 0, "user code ran under the lock");
    }

    /// Verifies that all slots can be in flight at once, while one more operation
    /// waits.
    pub(crate) fn use_every_slot(&self) {
        let (reader, _writer) = pipe();
        let reader = Arc::new(reader);
        let mut polls: Vec<_> = (0..=SLOTS)
            .map(|_| {
                let op = Poll::owned(Load::new("again", reader.clone()), PollMask::IN);
                Box::pin(self.reactor.push(op))
            })
            .collect();
        for one in &mut polls {
            assert!(poll(one.as_mut(), Waker::noop()).is_none());
        }
        assert_eq!(self.reactor.in_flight(), SLOTS, "slots are lost");
        drop(polls);
        self.turn_until(|| self.reactor.in_flight() == 0);
        self.reactor.turn().unwrap();
    }
}
