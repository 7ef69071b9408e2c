//! Tests a forked child that uses the queues, scopes and reactors that it inherits, in
//! every state. The child has its own context at the same address, and no use may
//! complete or cancel the operations of that context.
#![cfg(all(feature = "std", any(target_os = "linux", target_os = "android")))]

mod support;

use std::cell::Cell;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::pin::{Pin, pin};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context as Task, Poll as Ready, Waker};

use linux_aio::op::{AnyBuffer, Op, Poll, Read};
use linux_aio::opcode::PollMask;
use linux_aio::reactor::{Local, OpFuture, Reactor, ReactorSlot};
use linux_aio::{
    AioContext, Context, Errno, IdleContext, Queue, ScopeSlot, Slot, WaitOptions,
    scope_with_context,
};
use support::TempFile;

type Bytes = Box<[u8]>;

const SLOTS: u32 = 8;

fn zeroed(len: usize) -> Bytes {
    vec![0; len].into()
}

/// The number of completed operations that were not taken, whether one operation is
/// staged, and whether one is in flight.
#[derive(Clone, Copy, Debug)]
struct State {
    done: usize,
    staged: bool,
    in_flight: bool,
}

fn states() -> impl Iterator<Item = State> {
    (0..16).map(|number| State {
        done: number % 4,
        staged: number & 4 != 0,
        in_flight: number & 8 != 0,
    })
}

fn context() -> (IdleContext, AioContext) {
    let context = Context::new(SLOTS).unwrap();
    let name = context.as_raw();
    // SAFETY: the context was just created, and no operation was submitted to it.
    (unsafe { IdleContext::from_context(context, SLOTS) }, name)
}

/// Lets one test run at a time, as the rings of other tests would also leave gaps in
/// the address space.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `exit` in a child that has already created a context at the address of
/// `inherited`. That context must still work afterwards.
fn in_child(state: State, what: &str, inherited: AioContext, file: &File, exit: impl FnOnce()) {
    let status = support::in_child(|| {
        let (own, name) = context();
        assert_eq!(name, inherited, "the child's ring is in the same place");
        let mut slots = Slot::<Bytes>::array::<2>();
        let mut own = Queue::with_context(own, &mut slots);
        own.push(Read::new(file, zeroed(1))).unwrap();
        own.submit().unwrap();
        exit();
        let read = own.wait().unwrap().unwrap();
        assert_eq!((read.result, &read.buffer.unwrap()[..]), (Ok(1), &b"x"[..]));
        own.push(Read::new(file, zeroed(1))).unwrap();
        assert_eq!(own.wait().unwrap().unwrap().result, Ok(1));
        own.into_idle_context().unwrap();
        7
    });
    assert_eq!(status, 7, "{what}, {state:?}");
}

/// Returns a bitwise copy for a forked child.
fn copy<T>(of: &T) -> T {
    // SAFETY: the original is not used in the child, which ends by _exit.
    unsafe { core::ptr::read(of) }
}

fn queue<'q>(
    idle: IdleContext,
    slots: &'q mut [Slot<Bytes>],
    state: State,
    file: &'q File,
    reader: &'q OwnedFd,
) -> Queue<'q, Bytes> {
    let mut queue = Queue::with_context(idle, slots);
    for _ in 0..state.done {
        queue.push(Read::new(file, zeroed(1))).unwrap();
    }
    if state.in_flight {
        queue.push(Poll::new(reader, PollMask::IN)).unwrap();
    }
    queue.submit().unwrap();
    if state.staged {
        queue.push(Read::new(file, zeroed(1))).unwrap();
    }
    queue
}

#[test]
fn an_inherited_queue_leaves_the_childs_context_alone() {
    let _alone = alone();
    let file = TempFile::with(b"x");
    let file = &file.file;
    let (reader, _writer) = support::pipe();
    for state in states() {
        let busy = state.done > 0 || state.in_flight;
        let refused = Err(Errno::INVAL);
        let mut slots = Slot::array::<8>();
        let (idle, name) = context();
        let queue = queue(idle, &mut slots, state, file, &reader);
        let child = |what: &str, exit: &dyn Fn(Queue<'_, Bytes>)| {
            in_child(state, what, name, file, || exit(copy(&queue)));
        };
        child("drop", &|queue| drop(queue));
        child("forget", &|queue| core::mem::forget(queue));
        child("into_idle_context", &|queue| {
            assert_eq!(queue.into_idle_context().err(), Some(Errno::INVAL));
        });
        child("drain", &|mut queue| {
            assert_eq!(queue.drain().is_err(), busy);
        });
        child("pop", &|mut queue| {
            let popped = queue.pop().map(drop);
            assert_eq!(popped, if busy { refused } else { Ok(()) });
        });
        child("submit", &|mut queue| {
            let submitted = queue.submit().map_err(|error| error.errno);
            assert_eq!(
                submitted.map(drop),
                if state.staged { refused } else { Ok(()) }
            );
        });
        child("wait", &|mut queue| match queue.wait() {
            // A staged operation is refused; a submitted one belongs to the parent.
            Ok(Some(done)) => assert_eq!(done.result, Err(Errno::INVAL)),
            Ok(None) => assert!(!busy && !state.staged),
            Err(errno) => assert!((busy || state.staged) && errno == Errno::INVAL),
        });
        // The parent still has all its operations.
        let mut queue = queue;
        let mut left = state.done + usize::from(state.staged);
        while left > 0 {
            assert_eq!(queue.wait().unwrap().unwrap().result, Ok(1), "{state:?}");
            left -= 1;
        }
        assert_eq!(queue.in_flight(), usize::from(state.in_flight));
        queue.into_idle_context().unwrap();
    }
}

#[test]
fn an_inherited_scope_is_left_at_once() {
    let _alone = alone();
    let file = TempFile::with(b"x");
    let (reader, _writer) = support::pipe();
    for state in states() {
        let parent = std::process::id();
        let mut memory = [[0]; 4];
        let (mut idle, name) = context();
        let mut own = None;
        let mut status = 0;
        scope_with_context(&mut idle, &mut ScopeSlot::array::<8>(), |s| {
            let (bytes, staged) = memory.split_at_mut(3);
            let reads: Vec<_> = bytes
                .iter_mut()
                .take(state.done)
                .map(|byte| s.read(&file.file, byte, 0).unwrap())
                .collect();
            if state.in_flight {
                drop(s.poll(&reader, PollMask::IN).unwrap());
            }
            s.submit();
            if state.staged {
                drop(s.read(&file.file, &mut staged[0], 0).unwrap());
            }
            // SAFETY: the child leaves the scope and ends below; if it hangs, the alarm
            // ends it.
            unsafe {
                match libc::fork() {
                    0 => {
                        libc::alarm(20);
                        own = Some(context());
                    }
                    child => {
                        assert!(child > 0);
                        assert_eq!(libc::waitpid(child, &raw mut status, 0), child);
                    }
                }
            }
            drop(reads);
        });
        if std::process::id() != parent {
            let Some((own, own_name)) = own else {
                // SAFETY: the child ends here and runs no code of the parent.
                unsafe { libc::_exit(1) };
            };
            let mut slots = Slot::<Bytes>::array::<2>();
            let mut queue = Queue::with_context(own, &mut slots);
            let read = queue.push(Read::new(&file.file, zeroed(1))).is_ok()
                && queue.wait().is_ok_and(|done| done.unwrap().result == Ok(1));
            let code = if read && own_name == name { 7 } else { 8 };
            // SAFETY: the child ends here and runs no code of the parent.
            unsafe { libc::_exit(code) };
        }
        assert!(libc::WIFEXITED(status), "{state:?}: {status:#x}");
        assert_eq!(libc::WEXITSTATUS(status), 7, "{state:?}");
    }
}

type Future<'a, 'r> = Pin<Box<OpFuture<&'a Reactor<'r, Bytes>, AnyBuffer>>>;

fn poll(future: &mut Future<'_, '_>) -> Option<Result<usize, Errno>> {
    let task = &mut Task::from_waker(Waker::noop());
    match future.as_mut().poll(task) {
        Ready::Ready(done) => Some(done.result),
        Ready::Pending => None,
    }
}

#[test]
fn an_inherited_reactor_leaves_the_childs_context_alone() {
    let _alone = alone();
    let file = TempFile::with(b"x");
    let file = &file.file;
    let (reader, _writer) = support::pipe();
    for state in states() {
        let mut slots = ReactorSlot::<Bytes>::array::<8>();
        let (idle, name) = context();
        let reactor = Reactor::<Bytes>::with_context(idle, &mut slots).batched();
        let mut futures: Vec<Future<'_, '_>> = Vec::new();
        for _ in 0..state.done {
            futures.push(Box::pin(reactor.push(Op::from(Read::new(file, zeroed(1))))));
        }
        if state.in_flight {
            futures.push(Box::pin(
                reactor.push(Op::from(Poll::new(&reader, PollMask::IN))),
            ));
        }
        for future in &mut futures {
            assert_eq!(poll(future), None);
        }
        reactor.turn().unwrap();
        if state.staged {
            futures.push(Box::pin(reactor.push(Op::from(Read::new(file, zeroed(1))))));
            assert_eq!(poll(futures.last_mut().unwrap()), None);
        }
        let futures = core::cell::RefCell::new(futures);
        let child = |what: &str, exit: &dyn Fn()| in_child(state, what, name, file, exit);
        child("drop", &|| {
            drop(futures.take());
            drop(copy(&reactor));
        });
        child("leak the futures", &|| {
            core::mem::forget(futures.take());
            drop(copy(&reactor));
        });
        child("turn", &|| {
            let _ = reactor.turn();
            let _ = reactor.wait(WaitOptions::new().timeout(std::time::Duration::from_millis(1)));
            let mut futures = futures.take();
            let results: Vec<_> = futures.iter_mut().map(poll).collect();
            let staged = state.staged.then(|| results.len() - 1);
            for (number, result) in results.iter().enumerate() {
                let right = match number {
                    // It is not submitted to the child's context.
                    _ if Some(number) == staged => [Err(Errno::INVAL); 2],
                    // The parent's turn took it from the ring.
                    _ if number < state.done => [Ok(1), Err(Errno::OUTCOME_UNKNOWN)],
                    _ => [Err(Errno::INVAL), Err(Errno::OUTCOME_UNKNOWN)],
                };
                assert!(result.is_some_and(|r| right.contains(&r)), "{results:?}");
            }
        });
        child("into_idle_context", &|| {
            drop(futures.take());
            let _ = copy(&reactor).into_idle_context();
        });
        // The parent can still use the reactor.
        reactor.turn().unwrap();
        let mut futures = futures.into_inner();
        for (number, future) in futures.iter_mut().enumerate() {
            let polls = state.in_flight && number == state.done;
            let right = if polls { None } else { Some(Ok(1)) };
            assert_eq!(poll(future), right, "{state:?}");
        }
        drop(futures);
        reactor.into_idle_context().unwrap();
    }
}

/// Counts that it was dropped.
struct Dropped<'a>(&'a Cell<usize>);

impl Drop for Dropped<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

/// Operations in flight whose futures were dropped, before the fork or in the child, do not keep
/// the child from waiting until the reactor is idle. Their slots are free then, and their data
/// is leaked. An operation whose future exists stays in flight until it is polled.
#[test]
fn a_child_waits_until_an_inherited_reactor_is_idle() {
    let _alone = alone();
    let (reader, _writer) = support::pipe();
    let drops = Cell::new(0);
    let mut slots = ReactorSlot::array::<4>();
    let reactor = Reactor::<Bytes, Local, Dropped<'_>>::new(&mut slots).unwrap();
    let begin = || {
        let poll = Poll::new(&reader, PollMask::IN).data(Dropped(&drops));
        Box::pin(reactor.try_push(poll).unwrap())
    };
    drop(begin());
    let (second, mut third) = (begin(), begin());
    let task = &mut Task::from_waker(Waker::noop());
    let status = support::in_child(|| {
        let mut idle = pin!(reactor.wait_idle());
        assert!(idle.as_mut().poll(task).is_pending());
        assert_eq!((reactor.in_flight(), reactor.free_slots()), (3, 1));
        assert_eq!(reactor.turn(), Err(Errno::INVAL));
        assert_eq!((reactor.in_flight(), reactor.free_slots()), (2, 2));
        drop(copy(&second));
        assert_eq!(reactor.turn(), Err(Errno::INVAL));
        assert_eq!((reactor.in_flight(), reactor.free_slots()), (1, 3));
        assert!(idle.as_mut().poll(task).is_pending());
        let Ready::Ready(done) = third.as_mut().poll(task) else {
            panic!("no event can come");
        };
        assert_eq!(done.result, Err(Errno::OUTCOME_UNKNOWN));
        assert!(idle.as_mut().poll(task).is_ready());
        assert_eq!(reactor.turn(), Ok(0));
        assert_eq!(reactor.free_slots(), 4);
        assert_eq!(drops.get(), 0, "the data of two is leaked");
        7
    });
    assert_eq!(status, 7);
    // Nothing has changed in the parent.
    assert_eq!((reactor.in_flight(), drops.get()), (3, 0));
    drop((second, third));
    while reactor.in_flight() > 0 {
        reactor.wait(WaitOptions::new()).unwrap();
    }
    assert_eq!((reactor.free_slots(), drops.get()), (4, 3));
}
