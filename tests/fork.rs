//! Tests inherited contexts in a forked child, and in a child that shares the address
//! space.
#![cfg(all(feature = "alloc", any(target_os = "linux", target_os = "android")))]

mod support;

use core::ffi::{c_int, c_void};
use std::os::fd::{AsRawFd, OwnedFd};
use std::panic::catch_unwind;
use std::sync::Barrier;
use std::thread;

use linux_aio::opcode::{Poll, PollMask};
use linux_aio::{AioContext, Context, ContextPool, Errno, Event, IdleContext, WaitOptions};

/// The capacity of every context here, so that all rings have one size.
const CAPACITY: u32 = 8;

/// Submits a poll of a writing end, which completes immediately.
fn submit(context: &Context, writer: &OwnedFd, data: u64) -> Result<usize, Errno> {
    let poll = Poll::new(writer.as_raw_fd(), PollMask::OUT);
    let mut iocb = poll.build().user_data(data);
    // SAFETY: a poll has no buffer.
    unsafe { context.submit(&mut [&mut iocb]) }
}

/// A context with an event in its ring.
struct Inherited {
    context: Context,
    writer: OwnedFd,
    _reader: OwnedFd,
}

impl Inherited {
    fn new() -> Inherited {
        let (reader, writer) = support::pipe();
        let context = Context::new(CAPACITY).unwrap();
        assert_eq!(submit(&context, &writer, 5), Ok(1));
        Inherited {
            context,
            writer,
            _reader: reader,
        }
    }

    fn name(&self) -> AioContext {
        self.context.as_raw()
    }

    /// Returns a copy for a forked child.
    fn copy(&self) -> Context {
        // SAFETY: the original is not used in the child, which ends by _exit.
        unsafe { core::ptr::read(&raw const self.context) }
    }

    /// Verifies that the parent still has its event and its context.
    fn assert_untouched(mut self) {
        let event = self.context.ring().pop().unwrap();
        assert_eq!(event.map(|event| event.user_data()), Some(5));
        assert_eq!(self.context.ring().pop(), Ok(None));
        assert_eq!(self.context.destroy(), Ok(()));
    }
}

const NOT_OURS: Errno = Errno::INVAL;

/// A name, and a function that uses a context.
type Use = (&'static str, fn(Context));

/// The uses of an inherited context. Each of them must leave it unchanged.
const USES: &[Use] = &[
    ("drop", drop),
    ("into_raw", |context| {
        let name = context.as_raw();
        assert_eq!(context.into_raw(), name);
    }),
    ("submit", |context| {
        let (_reader, writer) = support::pipe();
        assert_eq!(submit(&context, &writer, 6), Err(NOT_OURS));
    }),
    ("submit_all", |context| {
        let (_reader, writer) = support::pipe();
        let mut iocb = Poll::new(writer.as_raw_fd(), PollMask::OUT).build();
        // SAFETY: a poll has no buffer.
        let submitted = unsafe { context.submit_all(&mut [&mut iocb]) };
        let refused = submitted.unwrap_err();
        assert_eq!((refused.submitted, refused.errno), (0, NOT_OURS));
    }),
    ("wait", |context| {
        assert_eq!(context.wait(1, &mut [Event::EMPTY; 2]), Err(NOT_OURS));
    }),
    ("wait_with", |context| {
        let mut events = [Event::EMPTY; 2];
        let waited = context.wait_with(0, &mut events, WaitOptions::poll());
        assert_eq!(waited, Err(NOT_OURS));
    }),
    ("cancel", |context| {
        let iocb = Poll::new(0, PollMask::IN).build();
        assert_eq!(context.cancel(&raw const iocb), Err(NOT_OURS));
    }),
    ("check", |context| {
        assert_eq!(context.check(), Err(NOT_OURS));
    }),
    ("destroy", |context| {
        assert_eq!(context.destroy(), Err(NOT_OURS));
    }),
    ("ring pop", |mut context| {
        assert_eq!(context.ring().pop(), Err(NOT_OURS));
    }),
    ("ring reap", |mut context| {
        let mut events = [Event::EMPTY; 2];
        assert_eq!(context.ring().reap(&mut events), Err(NOT_OURS));
    }),
    ("ring wait", |mut context| {
        let mut events = [Event::EMPTY; 2];
        assert_eq!(context.ring().wait(1, &mut events), Err(NOT_OURS));
        let polled = context
            .ring()
            .wait_with(0, &mut events, WaitOptions::poll());
        assert_eq!(polled, Err(NOT_OURS));
    }),
    ("submitter", |mut context| {
        let (submitter, ring) = context.split();
        let mut iocb = Poll::new(0, PollMask::IN).build();
        // SAFETY: a poll has no buffer.
        let submitted = unsafe { submitter.submit(&mut [&mut iocb]) };
        assert_eq!(submitted, Err(NOT_OURS));
        assert_eq!(submitter.cancel(&raw const iocb), Err(NOT_OURS));
        // The ring keeps the state from before the fork: it is not read again.
        assert!(ring.slots().is_some() == ring.is_mapped());
    }),
    ("debug", |mut context| {
        let text = format!("{context:?}") + &format!("{:?}", context.split());
        assert!(text.contains("name"));
    }),
    ("drain", |context| {
        // SAFETY: the events belong to another process; nothing is waited for.
        let error = unsafe { context.drain(0, CAPACITY) }.unwrap_err();
        assert_eq!((error.errno, error.missing), (NOT_OURS, 0));
        // SAFETY: the events belong to another process; nothing is waited for.
        let error = unsafe { error.context.drain(1, CAPACITY) }.unwrap_err();
        assert_eq!((error.errno, error.missing), (NOT_OURS, 1));
    }),
    ("from_context", |context| {
        // SAFETY: this process does not use the context.
        let idle = unsafe { IdleContext::from_context(context, CAPACITY) };
        assert_eq!(idle.into_context().check(), Err(NOT_OURS));
    }),
    ("pool put", |context| {
        let mut pool = ContextPool::<2>::new();
        // SAFETY: this process does not use the context.
        let idle = unsafe { IdleContext::from_context(context, CAPACITY) };
        assert!(pool.put(idle).is_none());
        assert!(pool.is_empty() && pool.drain().next().is_none());
    }),
    #[cfg(feature = "std")]
    ("destroy_all", |context| {
        assert_eq!(linux_aio::destroy_all([context]), [Err(NOT_OURS)]);
    }),
];

/// Verifies each use without AIO system calls: the filter makes each of them return
/// EXDEV.
fn uses_are_refused() {
    for (what, leave) in USES {
        let inherited = Inherited::new();
        let status = support::in_child(|| {
            support::forbid(&support::ALL, libc::EXDEV);
            leave(inherited.copy());
            7
        });
        assert_eq!(status, 7, "{what}");
        inherited.assert_untouched();
    }
}

/// Creates a context that gets the address of the inherited one.
fn own_at(name: AioContext) -> Context {
    let own = Context::new(CAPACITY).unwrap();
    assert_eq!(own.as_raw(), name, "the child's own has another address");
    own
}

/// Runs a test in a process that has no other thread, so that the same mappings get the
/// same addresses.
fn alone(test: impl FnOnce()) {
    let status = support::in_child(|| {
        test();
        7
    });
    assert_eq!(status, 7);
}

/// Verifies each use where the child has created a context at the same address, with an
/// operation in flight.
fn own_contexts_survive() {
    for (what, leave) in USES {
        let inherited = Inherited::new();
        let status = support::in_child(|| {
            let own = own_at(inherited.name());
            let (reader, writer) = support::pipe();
            let poll = Poll::new(reader.as_raw_fd(), PollMask::IN);
            let mut iocb = poll.build().user_data(9);
            // SAFETY: a poll has no buffer.
            assert_eq!(unsafe { own.submit(&mut [&mut iocb]) }, Ok(1));
            leave(inherited.copy());
            assert_eq!(own.check(), Ok(()));
            // This completes the poll.
            drop(writer);
            let mut events = [Event::EMPTY; 2];
            let done = own.wait(1, &mut events).unwrap();
            assert_eq!((done.len(), done[0].user_data()), (1, 9));
            assert_eq!(own.destroy(), Ok(()));
            7
        });
        assert_eq!(status, 7, "{what}");
        inherited.assert_untouched();
    }
}

#[test]
fn an_inherited_context_is_left_alone() {
    uses_are_refused();
}

#[test]
fn a_childs_own_context_at_the_same_address_survives() {
    alone(own_contexts_survive);
}

/// Tests a ring, an idle context and a pool that exist at the fork.
#[test]
fn objects_made_from_a_context_before_the_fork_are_left_alone() {
    alone(made_before_the_fork);
}

fn made_before_the_fork() {
    let mut inherited = Inherited::new();
    let name = inherited.name();
    let (submitter, mut ring) = inherited.context.split();
    let status = support::in_child(|| {
        let mut events = [Event::EMPTY; 2];
        let mut own = None;
        for round in 0..2 {
            assert_eq!(ring.pop(), Err(NOT_OURS));
            assert_eq!(ring.reap(&mut events), Err(NOT_OURS));
            assert_eq!(ring.wait(1, &mut events), Err(NOT_OURS));
            // SAFETY: nothing is submitted.
            assert_eq!(unsafe { submitter.submit(&mut []) }, Err(NOT_OURS));
            if round == 0 {
                // The use is repeated while the child has a context at that address.
                own = Some(own_at(name));
            }
        }
        assert_eq!(own.map(Context::destroy), Some(Ok(())));
        7
    });
    assert_eq!(status, 7);
    inherited.assert_untouched();
}

#[test]
fn an_inherited_pool_is_empty() {
    let (_reader, writer) = support::pipe();
    let mut pool = ContextPool::<2>::new();
    for _ in 0..2 {
        assert!(pool.put(IdleContext::new(CAPACITY).unwrap()).is_none());
    }
    for own_first in [false, true] {
        let status = support::in_child(|| {
            let own = own_first.then(|| Context::new(CAPACITY).unwrap());
            assert_eq!(pool.len(), 0);
            let taken = pool.take(CAPACITY).unwrap().into_context();
            assert_eq!(taken.check(), Ok(()));
            for context in own.iter().chain([&taken]) {
                assert_eq!(submit(context, &writer, 4), Ok(1));
                let mut events = [Event::EMPTY; 2];
                assert_eq!(context.wait(1, &mut events).unwrap().len(), 1);
            }
            // SAFETY: all submitted operations have completed and their events were
            // taken.
            let idle = unsafe { IdleContext::from_context(taken, CAPACITY) };
            assert!(pool.put(idle).is_none());
            assert_eq!(pool.len(), 1);
            assert_eq!(pool.drain().count(), 1);
            7
        });
        assert_eq!(status, 7, "own context first: {own_first}");
    }
    assert_eq!(pool.len(), 2);
    for idle in pool.drain() {
        assert_eq!(idle.into_context().check(), Ok(()));
    }
}

#[test]
fn each_process_has_its_own_context() {
    alone(three_generations);
}

fn three_generations() {
    let inherited = Inherited::new();
    let status = support::in_child(|| {
        let child = Inherited {
            context: own_at(inherited.name()),
            ..Inherited::new()
        };
        assert_eq!(submit(&child.context, &child.writer, 5), Ok(1));
        let status = support::in_child(|| {
            let own = own_at(inherited.name());
            for context in [&inherited.context, &child.context] {
                assert_eq!(submit(context, &child.writer, 1), Err(NOT_OURS));
            }
            drop((inherited.copy(), child.copy()));
            assert_eq!(submit(&own, &child.writer, 2), Ok(1));
            let mut events = [Event::EMPTY; 2];
            assert_eq!(own.wait(1, &mut events).unwrap()[0].user_data(), 2);
            7
        });
        child.assert_untouched();
        status
    });
    assert_eq!(status, 7);
    inherited.assert_untouched();
}

#[test]
fn threads_make_their_first_contexts_at_once() {
    const THREADS: usize = 8;
    let status = support::in_child(|| {
        let barrier = Barrier::new(THREADS);
        let made = thread::scope(|scope| {
            let threads = [(); THREADS].map(|()| {
                scope.spawn(|| {
                    barrier.wait();
                    Context::new(CAPACITY).unwrap()
                })
            });
            threads.map(|thread| thread.join().unwrap())
        });
        for context in &made {
            assert_eq!(context.check(), Ok(()));
        }
        let status = support::in_child(|| {
            for context in &made {
                assert_eq!(context.check(), Err(NOT_OURS));
            }
            7
        });
        core::mem::forget(made);
        status
    });
    assert_eq!(status, 7);
}

/// Runs `body` in a child that shares the address space, as a child of vfork(2) does,
/// while the caller is stopped.
fn in_the_same_address_space(body: &mut dyn FnMut()) {
    extern "C" fn run(body: *mut c_void) -> c_int {
        // SAFETY: this is the pointer passed to clone below; its owner is stopped.
        let body = unsafe { &mut *body.cast::<&mut dyn FnMut()>() };
        body();
        7
    }
    let mut body = body;
    let mut stack = vec![0_u128; 16 << 10];
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    let mut status = 0;
    // SAFETY: only the child uses the stack. It grows down from its end, which is
    // aligned. With CLONE_VFORK everything here outlives the child.
    unsafe {
        let end = stack.as_mut_ptr_range().end.cast();
        let body = (&raw mut body).cast();
        let child = libc::clone(run, end, flags, body);
        assert!(child > 0, "{}", std::io::Error::last_os_error());
        assert_eq!(libc::waitpid(child, &raw mut status, 0), child);
    }
    assert!(libc::WIFEXITED(status), "the child died: {status:#x}");
    assert_eq!(libc::WEXITSTATUS(status), 7);
}

/// Returns the results of submitting, waiting and reading the ring in such a child.
fn used_in_the_same_address_space() -> [Result<usize, Errno>; 4] {
    let mut inherited = Inherited::new();
    let Inherited {
        context, writer, ..
    } = &mut inherited;
    let mut done = [Ok(0); 4];
    in_the_same_address_space(&mut || {
        let mut events = [Event::EMPTY; 4];
        done = [
            submit(context, writer, 8),
            context.wait(1, &mut events[..1]).map(|got| got.len()),
            context.ring().reap(&mut events).map(|got| got.len()),
            context.check().map(|()| 0),
        ];
    });
    // The parent can use the context after the child.
    assert_eq!(submit(&inherited.context, &inherited.writer, 9), Ok(1));
    let rest = inherited
        .context
        .ring()
        .reap(&mut [Event::EMPTY; 4])
        .map(|got| got.len());
    let taken = done[1].unwrap_or(0) + done[2].unwrap_or(0);
    assert_eq!(rest, Ok(2 + done[0].unwrap_or(0) - taken));
    done
}

#[test]
fn a_child_that_shares_the_address_space_shares_the_context() {
    assert_eq!(
        used_in_the_same_address_space(),
        [Ok(1), Ok(1), Ok(1), Ok(0)]
    );
}

/// The system calls that create the mark that fork wipes.
const MAPPING: [&[libc::c_long]; 2] = [MMAP, &[libc::SYS_madvise]];
#[cfg(target_pointer_width = "64")]
const MMAP: &[libc::c_long] = &[libc::SYS_mmap];
#[cfg(not(target_pointer_width = "64"))]
const MMAP: &[libc::c_long] = &[libc::SYS_mmap2];

/// Without mmap(2) or madvise(2) the process id is compared instead.
#[test]
fn without_a_mark_the_process_id_decides() {
    for calls in MAPPING {
        let status = support::in_child(|| {
            let numbers: Vec<_> = calls.iter().map(|&call| Some(call as u32)).collect();
            support::forbid(&numbers, libc::EPERM);
            uses_are_refused();
            // If madvise(2) is refused, the ring is not read. It stays mapped in the
            // child, where no other mapping gets its address.
            let is_mapped = Context::new(CAPACITY).unwrap().ring().is_mapped();
            assert_eq!(is_mapped, calls == MMAP);
            if is_mapped {
                own_contexts_survive();
            }
            // This child has another process id.
            assert_eq!(used_in_the_same_address_space(), [Err(NOT_OURS); 4]);
            7
        });
        assert_eq!(status, 7, "without the calls {calls:?}");
    }
}

/// Runs under valgrind, whose wrapper of io_destroy reads the ring.
#[cfg(target_arch = "x86_64")]
#[test]
fn valgrind_survives_a_child_that_drops_an_inherited_context() {
    if !support::skip::have(&["valgrind"]) {
        return;
    }
    let itself = std::env::current_exe().unwrap();
    let output = std::process::Command::new("valgrind")
        .args(["-q", "--error-exitcode=9"])
        .arg(itself)
        .args(["--test-threads=1", "--exact"])
        .args([
            "an_inherited_context_is_left_alone",
            "an_inherited_pool_is_empty",
        ])
        .arg("a_childs_own_context_at_the_same_address_survives")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{errors}");
    assert!(text.contains("3 passed"), "{text}\n{errors}");
}

/// Tests the test support: a panic in a child must fail the test.
#[test]
fn a_panic_in_a_child_is_detected() {
    assert_eq!(support::in_child(|| 7), 7);
    let panicked = catch_unwind(|| support::in_child(|| panic!("on purpose")));
    let message = panicked.unwrap_err();
    let message = message.downcast_ref::<String>().unwrap();
    assert!(message.contains("the child panicked"), "{message}");
}
