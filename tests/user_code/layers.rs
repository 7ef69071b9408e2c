//! Tests every point at which a queue or a scope calls user code.

use std::cell::{Cell, RefCell};
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::Arc;

use linux_aio::buffer::{IoBuf, IoBufMut};
use linux_aio::op::{Op, Poll, Read};
use linux_aio::opcode::PollMask;
use linux_aio::reactor::Local;
use linux_aio::{Errno, Fd, Full, Queue, Scope, ScopeSlot, ScopedOp, Slot, WaitOptions, scope};

use crate::fixture::{CONTENT, Fixture, SIMPLE, SLOTS};
use crate::hooks::*;
use crate::support::{self, TempFile};

type Jobs<'q> = Queue<'q, Memory, Load>;

/// The user code of a queue runs while the queue is exclusively borrowed. It can
/// therefore only panic, or call other objects.
#[test]
fn a_queue_survives_the_user_code_of_push() {
    let file = Arc::new(OwnedFd::from(
        TempFile::with(&CONTENT).file.try_clone().unwrap(),
    ));
    let read = |name| Read::owned(Load::new(name, file.clone()), Memory::new(name));
    for (call, leaked) in [(Call::IntoOp, 0), (Call::Region, 2)] {
        for action in [Action::Reenter, Action::Panic] {
            let other = Fixture::<Local>::new(SIMPLE, Action::Reenter);
            other.fill();
            let mut slots = Slot::array::<3>();
            let mut queue = Jobs::new(&mut slots).unwrap();
            let _ = queue.push(read("first")).unwrap();
            let reenter = {
                let other = other.clone();
                move || other.reenter()
            };
            let op = Converted("second", read("second").into());
            during(action, ("second", call), reenter, || {
                assert!(queue.push(op).is_ok());
            });
            // The slot is still free.
            while queue.staged() < 3 {
                assert!(queue.push(read("third")).is_ok());
            }
            assert!(queue.push(read("fourth")).is_err());
            for _ in 0..3 {
                let done = queue.wait().unwrap().unwrap();
                assert_eq!(done.result, Ok(LEN));
                assert_eq!(done.buffer.unwrap().bytes[..], CONTENT);
            }
            assert!(matches!(queue.wait(), Ok(None)));
            let _ = queue.into_idle_context().unwrap().into_context().into_raw();
            let leaked = if action == Action::Panic { leaked } else { 0 };
            other.leaked.set(leaked);
            other.end();
        }
    }
}

/// When a queue is dropped, the buffer and data of every operation are dropped,
/// whichever destructor panics.
#[test]
fn a_queue_drops_everything_whichever_destructor_panics() {
    let file = Arc::new(OwnedFd::from(
        TempFile::with(&CONTENT).file.try_clone().unwrap(),
    ));
    let read = |name| Read::owned(Load::new(name, file.clone()), Memory::new(name));
    for name in ["done", "found", "polling", "staged"] {
        for call in [Call::BufferDrop, Call::DataDrop] {
            for (action, drain) in [
                (Action::Reenter, false),
                (Action::Panic, false),
                (Action::Panic, true),
            ] {
                if name == "polling" && call == Call::BufferDrop {
                    continue;
                }
                let other = Fixture::<Local>::new(SIMPLE, Action::Reenter);
                other.fill();
                let mut slots = Slot::array::<4>();
                let mut queue = Jobs::new(&mut slots).unwrap();
                let (reader, _writer) = support::pipe();
                let never = Poll::owned(Load::new("polling", reader), PollMask::IN);
                assert!(queue.push(read("done")).is_ok());
                assert!(queue.push(read("found")).is_ok());
                assert!(queue.push(never).is_ok());
                queue.submit().unwrap();
                // One completion is in the list; the other was only reaped.
                assert_eq!(queue.wait_with(1, WaitOptions::poll()), Ok(2));
                assert!(queue.push(read("staged")).is_ok());
                let reenter = {
                    let other = other.clone();
                    move || other.reenter()
                };
                during(action, (name, call), reenter, || {
                    if drain {
                        drop(queue.into_idle_context());
                    } else {
                        drop(queue);
                    }
                });
                assert_eq!(ALIVE.get(), SLOTS as isize, "{name}'s {call:?}");
                other.end();
            }
        }
    }
}

/// The buffer of an operation of a scope. Its user code is a closure that may use the
/// scope. The bool is true if the buffer is being dropped.
struct Acting<'scope>(Box<dyn FnMut(bool) + 'scope>);

// SAFETY: the buffer has no memory.
unsafe impl IoBuf for Acting<'_> {
    fn region(&mut self) -> (*mut u8, usize) {
        (self.0)(false);
        (std::ptr::dangling_mut(), 0)
    }
}
// SAFETY: the buffer has no memory.
unsafe impl IoBufMut for Acting<'_> {}

impl Drop for Acting<'_> {
    fn drop(&mut self) {
        (self.0)(true);
    }
}

/// Submits a read that has completed when it is submitted.
fn nothing<'scope>(
    s: &'scope Scope<'scope, '_>,
    file: Fd<'scope>,
) -> Result<Empty<'scope>, Full<Op<'scope, &'scope mut [u8]>>> {
    s.read(file, &mut [], 0)
}

type Empty<'scope> = ScopedOp<'scope, &'scope mut [u8]>;

/// Calls a scope in every possible way. The operations that it starts are pushed to
/// `begun`, or are detached.
fn reenter_scope<'scope>(
    s: &'scope Scope<'scope, '_>,
    file: Fd<'scope>,
    begun: &RefCell<Vec<Empty<'scope>>>,
) {
    assert!(format!("{s:?}").contains("in_flight"));
    s.submit();
    s.wait_with(0, WaitOptions::poll()).unwrap();
    let (mut first, mut second) = (nothing(s, file), nothing(s, file));
    if let Ok(one) = &mut first {
        assert!(format!("{one:?}").contains("ticket"));
        one.is_finished();
    }
    if let Ok(one) = second {
        drop(one);
        second = nothing(s, file);
    }
    begun.borrow_mut().extend(first.into_iter().chain(second));
    s.in_flight();
}

#[test]
fn a_scope_may_be_called_by_the_region_of_a_buffer() {
    let file = TempFile::with(&CONTENT);
    for action in [Action::Reenter, Action::Panic] {
        // With two slots the call in `region` takes the last one.
        for slots in [2, 5] {
            scope(&mut ScopeSlot::array::<5>()[..slots], |s| {
                let begun = Rc::new(RefCell::new(Vec::new()));
                let (fd, kept) = (file.fd(), begun.clone());
                let buffer = Acting(Box::new(move |dropped| match action {
                    _ if dropped => {}
                    Action::Reenter => reenter_scope(s, fd, &kept),
                    Action::Panic => resume_unwind(Box::new(OnPurpose)),
                }));
                let start = || s.push(Read::new(fd, buffer));
                let started = catch_unwind(AssertUnwindSafe(start));
                assert_eq!(started.is_err(), action == Action::Panic);
                if let Ok(started) = started {
                    let done = started.unwrap().wait();
                    let right = if slots == 2 { Err(Errno::AGAIN) } else { Ok(0) };
                    assert_eq!(done.result, right);
                }
                for one in begun.take() {
                    assert_eq!(one.wait().result, Ok(0));
                }
                let all: Vec<_> = (0..slots).map(|_| nothing(s, fd).unwrap()).collect();
                assert!(nothing(s, fd).is_err());
                for one in all {
                    assert_eq!(one.wait().result, Ok(0));
                }
            })
            .unwrap();
        }
    }
}

#[test]
fn a_scope_may_be_called_by_the_destructor_of_a_buffer() {
    let file = TempFile::with(&CONTENT);
    for action in [Action::Reenter, Action::Panic] {
        for slots in [2, 5] {
            scope(&mut ScopeSlot::array::<5>()[..slots], |s| {
                let begun = Rc::new(RefCell::new(Vec::new()));
                let (fd, kept) = (file.fd(), begun.clone());
                let drops = Rc::new(Cell::new(0));
                let count = drops.clone();
                let buffer = Acting(Box::new(move |dropped| {
                    if !dropped {
                        return;
                    }
                    count.set(count.get() + 1);
                    match action {
                        Action::Reenter => reenter_scope(s, fd, &kept),
                        Action::Panic => resume_unwind(Box::new(OnPurpose)),
                    }
                }));
                let other = nothing(s, fd).unwrap();
                let started = s.push(Read::new(fd, buffer)).unwrap();
                assert_eq!(s.wait_with(2, WaitOptions::new()), Ok(2));
                let dropped = catch_unwind(AssertUnwindSafe(|| drop(started)));
                assert_eq!(dropped.is_err(), action == Action::Panic);
                assert_eq!(drops.get(), 1);
                for one in begun.take().into_iter().chain([other]) {
                    assert_eq!(one.wait().result, Ok(0));
                }
                let all: Vec<_> = (0..slots).map(|_| nothing(s, fd).unwrap()).collect();
                assert!(nothing(s, fd).is_err());
                drop(all);
            })
            .unwrap();
        }
    }
}
