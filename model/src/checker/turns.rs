//! Programs over a reactor that several threads share: threads poll and drop its futures, and
//! turn it as an executor does, while operations complete in the kernel model.
//!
//! loom switches between the threads before and after each critical section, each wake-up and
//! each step of the kernel. Nothing else that threads share is accessed outside the lock, so
//! these are all the orders that matter. Afterwards one thread continues as the executor would,
//! which polls only the tasks that were woken, and turns the reactor only when it was requested
//! to. No task may be left then: it would have lost its wake-up.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context as Task, Poll as Polled, Waker};

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::task::Wake;

use loom::sync::atomic::AtomicUsize;
use loom::thread;

use crate::fake_kernel::{self, BUFFERED, Kernel, POLLED};
use crate::op::{AnyBuffer, Op, Poll, Read};
use crate::opcode::PollMask;
use crate::reactor::{Lock, OpFuture, Reactor};
use crate::{AioContext, Fd};

loom::lazy_static! {
    /// Accessed wherever the threads are to be switched: loom explores the orders of the
    /// accesses to one atomic.
    static ref SWITCH: AtomicUsize = AtomicUsize::new(0);
}

fn switch() {
    SWITCH.fetch_add(1, SeqCst);
}

/// A lock that excludes other threads because loom does not switch while it is held.
pub struct Switching;

// SAFETY: loom runs one thread at a time and switches only at its own operations, none of
// which `f` contains. `f` is called once, and nothing else here panics.
unsafe impl Lock for Switching {
    const NEW: Switching = Switching;

    fn with<R>(&self, f: impl FnOnce() -> R) -> R {
        switch();
        let value = f();
        switch();
        value
    }
}

type Shares = Reactor<'static, Vec<u8>, Switching>;

/// The way in which the executor finds out that it has to turn the reactor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drive {
    /// The reactor has an eventfd.
    Eventfd,
    /// The operations have an eventfd, and the executor asks `needs_turn`.
    NeedsTurn,
}

/// What a task awaits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A poll of this descriptor, which becomes ready.
    Poll(usize),
    /// A read that completes while it is submitted.
    Cached,
    /// An operation that the kernel refuses.
    Refused,
    /// An idle reactor.
    Idle,
}

/// A step of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Polls the task with this number, if it was woken.
    Poll(usize),
    /// Polls it with another waker, as a task does that has moved to another executor.
    PollAnew(usize),
    /// Drops it.
    Drop(usize),
    /// Leaks it, so that it is never polled again.
    Leak(usize),
    /// Turns the reactor, if that was requested.
    Turn,
    /// Makes the descriptor ready, which completes its polls.
    Ready(usize),
}

/// A program.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The number of slots.
    pub slots: u32,
    /// Whether turns submit.
    pub batched: bool,
    /// The executor.
    pub drive: Drive,
    /// What the tasks await.
    pub tasks: &'static [What],
    /// The tasks that are polled once at the start, before the threads run.
    pub begun: usize,
    /// The steps of each thread. A task is named by one thread only.
    pub threads: &'static [&'static [Step]],
}

/// Records that a task was woken.
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        switch();
        self.0.store(true, SeqCst);
    }
}

struct Running {
    /// `None` once it is ready or was dropped.
    future: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    woken: Arc<Flag>,
}

/// Everything that the threads share.
struct World {
    reactor: Arc<Shares>,
    eventfd: Arc<OwnedFd>,
    context: AioContext,
    drive: Drive,
    /// A turn was requested, for [`Drive::NeedsTurn`].
    requested: AtomicBool,
}

impl World {
    fn new(plan: &Plan) -> World {
        let files = [vec![7; 64], Vec::new()];
        fake_kernel::install(Kernel::new(files, plan.tasks.len(), 2, 5));
        // SAFETY: eventfd(2) accesses no memory. The descriptor is new, or −1, which is
        // caught.
        let eventfd = unsafe {
            let eventfd = libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC);
            assert!(eventfd >= 0);
            Arc::new(OwnedFd::from_raw_fd(eventfd))
        };
        let mut reactor = Shares::with_capacity(plan.slots).expect("a context");
        if plan.batched {
            reactor = reactor.batched();
        }
        if plan.drive == Drive::Eventfd {
            reactor = reactor.eventfd_owned(eventfd.clone());
        }
        let context = fake_kernel::with_next(|kernel| kernel.newest()).flatten();
        World {
            reactor: Arc::new(reactor),
            eventfd,
            context: context.expect("a context"),
            drive: plan.drive,
            requested: AtomicBool::new(false),
        }
    }

    fn spawn(&self, what: What) -> Running {
        let reactor = self.reactor.clone();
        let future: Pin<Box<dyn Future<Output = ()> + Send>> = if what == What::Idle {
            Box::pin(async move { reactor.wait_idle().await })
        } else {
            let operation = self.operation(what);
            Box::pin(async move {
                let done = operation.await;
                assert_eq!(done.result.is_err(), what == What::Refused, "{what:?}");
            })
        };
        Running {
            future: Some(future),
            woken: Arc::new(Flag(AtomicBool::new(true))),
        }
    }

    fn operation(&self, what: What) -> OpFuture<Arc<Shares>, AnyBuffer> {
        let op: Op<'static, Vec<u8>> = match what {
            What::Cached => Read::new(fd(BUFFERED), vec![0; 8]).into(),
            What::Poll(number) => Poll::new(fd(POLLED + number as i32), PollMask::IN).into(),
            What::Refused | What::Idle => Poll::new(fd(-1), PollMask::IN).into(),
        };
        let op = match self.drive {
            Drive::Eventfd => op,
            Drive::NeedsTurn => op.eventfd(fd(self.eventfd.as_raw_fd())),
        };
        self.reactor.push_arc(op)
    }

    /// Requests a turn, if one is needed.
    fn ask(&self) {
        if self.drive == Drive::NeedsTurn && self.reactor.needs_turn() {
            self.requested.store(true, SeqCst);
        }
    }

    /// Polls a task if it was woken, and returns whether it was.
    fn poll(&self, task: &mut Running) -> bool {
        let Some(future) = &mut task.future else {
            return false;
        };
        if !task.woken.0.swap(false, SeqCst) {
            return false;
        }
        let waker = Waker::from(task.woken.clone());
        let polled = future.as_mut().poll(&mut Task::from_waker(&waker));
        if polled == Polled::Ready(()) {
            task.future = None;
        }
        self.ask();
        true
    }

    /// Turns the reactor if that was requested, and returns whether it was.
    fn turn(&self) -> bool {
        switch();
        let requested = self.requested.swap(false, SeqCst);
        let mut count = [0_u8; 8];
        // SAFETY: read(2) writes at most eight bytes.
        let read = unsafe { libc::read(self.eventfd.as_raw_fd(), count.as_mut_ptr().cast(), 8) };
        if read != 8 && !requested {
            return false;
        }
        self.reactor.turn().expect("a turn");
        self.ask();
        true
    }

    fn step(&self, step: Step, tasks: &mut [Option<Running>]) {
        match step {
            Step::Poll(at) => {
                self.poll(own(tasks, at));
            }
            Step::PollAnew(at) => {
                let task = own(tasks, at);
                // The old waker wakes nothing from here on.
                task.woken = Arc::new(Flag(AtomicBool::new(true)));
                self.poll(task);
            }
            Step::Drop(at) => {
                own(tasks, at).future = None;
                self.ask();
            }
            Step::Leak(at) => core::mem::forget(own(tasks, at).future.take()),
            Step::Turn => {
                self.turn();
            }
            Step::Ready(number) => {
                switch();
                self.with_kernel(|kernel| kernel.ready[number] = true);
                self.complete();
            }
        }
    }

    /// Completes the operations that can complete, and returns whether there were any.
    fn complete(&self) -> bool {
        self.with_kernel(|kernel| {
            let ending = kernel.ending(self.context);
            kernel.complete_all(self.context);
            ending > 0
        })
    }

    fn with_kernel<T>(&self, call: impl FnOnce(&mut Kernel) -> T) -> T {
        fake_kernel::with_next(call).expect("a kernel")
    }
}

/// Returns a task of a thread.
fn own(tasks: &mut [Option<Running>], at: usize) -> &mut Running {
    tasks.get_mut(at).and_then(Option::as_mut).expect("its own")
}

/// Borrows a descriptor of the kernel model, an eventfd of the program, or none (−1).
fn fd(number: i32) -> Fd<'static> {
    // SAFETY: the descriptors stay open until the program ends.
    unsafe { Fd::borrow_raw(number) }
}

/// Runs the program, and continues until nothing has been woken and nothing is requested.
/// Every task that was not dropped is ready then, and every slot is free.
pub fn run(plan: &Plan) {
    let world = Arc::new(World::new(plan));
    let mut tasks: Vec<_> = plan
        .tasks
        .iter()
        .map(|&what| Some(world.spawn(what)))
        .collect();
    for task in tasks.iter_mut().take(plan.begun) {
        world.poll(task.as_mut().expect("a task"));
    }
    let mut threads = Vec::new();
    for &steps in plan.threads {
        let mut own: Vec<_> = (0..tasks.len()).map(|_| None).collect();
        for step in steps {
            use Step::{Drop, Leak, Poll, PollAnew};
            if let Poll(at) | PollAnew(at) | Drop(at) | Leak(at) = *step {
                own[at] = own[at].take().or(tasks[at].take());
            }
        }
        let world = world.clone();
        threads.push(thread::spawn(move || {
            for &step in steps {
                world.step(step, &mut own);
            }
            own
        }));
    }
    for thread in threads {
        let own = thread.join().expect("no panic");
        for (task, own) in tasks.iter_mut().zip(own) {
            *task = task.take().or(own);
        }
    }
    world.with_kernel(|kernel| kernel.ready.fill(true));
    let mut tasks: Vec<_> = tasks.into_iter().flatten().collect();
    loop {
        let mut progress = world.complete();
        progress |= world.turn();
        for task in &mut tasks {
            progress |= world.poll(task);
        }
        if !progress {
            break;
        }
    }
    let left = tasks.iter().filter(|task| task.future.is_some()).count();
    assert_eq!(left, 0, "a task has lost its wake-up: {plan:?}");
    assert_eq!(world.reactor.free_slots(), plan.slots as usize, "{plan:?}");
    drop((tasks, world));
    fake_kernel::uninstall();
}
