//! Tests of the system calls that each layer makes, as `docs/sandboxes.md` lists them.
#![cfg(all(
    feature = "std",
    target_os = "linux",
    target_arch = "x86_64",
    target_pointer_width = "64"
))]

mod support;

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::File;
use std::future::Future;
use std::pin::pin;
use std::process::Command;
use std::task::{Context as Task, Waker};
use std::time::Duration;

use linux_aio::direct_io::Alignment;
use linux_aio::op::Read;
use linux_aio::opcode::PollMask;
use linux_aio::reactor::{Reactor, Shared};
use linux_aio::{
    Context, Errno, Event, IdleContext, Queue, ScopeSlot, Slot, WaitOptions, opcode, scope,
};
use support::again;
use support::skip::have;

/// Marks the beginning of a step in the trace.
fn step(name: &str) {
    let path = CString::new(format!("step:{name}")).unwrap();
    // SAFETY: the path is a string that ends with a zero byte.
    unsafe { libc::access(path.as_ptr(), libc::F_OK) };
}

/// Performs all steps. The names are those of the page.
fn perform() {
    let file = File::open("/proc/self/exe").unwrap();
    let (eventfd, (reader, _writer)) = (support::eventfd(), support::pipe());
    let mut buffer = [0; 16];
    let mut events = [Event::EMPTY; 4];
    step("the first context of a process");
    let mut context = Context::new(8).unwrap();
    step("every other context");
    let second = Context::new(8).unwrap();
    step("`Context::new_unmapped`");
    let unmapped = Context::new_unmapped(8).unwrap();
    step("`Context::submit`");
    let mut read = opcode::Pread::new(&file, buffer.as_mut_ptr(), buffer.len()).build();
    // SAFETY: the buffer outlives the wait below, and is not used before.
    unsafe { context.submit(&mut [&mut read]) }.unwrap();
    step("`Context::wait`");
    context.wait(1, &mut events).unwrap();
    step("`Context::wait_with`, `WaitOptions::poll`");
    context
        .wait_with(0, &mut events, WaitOptions::poll())
        .unwrap();
    step("`Ring::pop`");
    assert_eq!(context.ring().pop(), Ok(None));
    step("`Context::destroy`");
    context.destroy().unwrap();
    step("end");
    drop((second, unmapped));

    let mut queue = Queue::<Vec<u8>>::with_capacity(4).unwrap();
    queue.push(Read::new(&file, vec![0; 8])).unwrap();
    step("`Queue::wait`, a completion in the ring");
    assert!(queue.wait().unwrap().is_some());
    step("`Queue::into_idle_context`, nothing in flight");
    let idle = queue.into_idle_context().unwrap();
    step("end");
    drop(idle);

    let reactor = Reactor::<Vec<u8>, Shared>::with_capacity(4).unwrap();
    let reactor = reactor.eventfd(&eventfd);
    let task = &mut Task::from_waker(Waker::noop());
    {
        let mut read = pin!(reactor.read(&file, vec![0; 8], 0));
        step("the first poll of a future");
        assert!(read.as_mut().poll(task).is_ready());
        step("`Reactor::turn`, nothing staged");
        reactor.turn().unwrap();
        step("`Reactor::wait_eventfd`");
        reactor
            .wait_eventfd(WaitOptions::new().timeout(Duration::from_millis(1)))
            .unwrap();
        step("end");
        let mut poll = Box::pin(reactor.poll(&reader, PollMask::IN));
        assert!(poll.as_mut().poll(task).is_pending());
        step("dropping the future of a poll in flight");
        drop(poll);
        step("end");
    }
    drop(reactor);

    step("`scope` with one read");
    scope(&mut ScopeSlot::array::<2>(), |s| {
        let read = s.read(&file, &mut buffer, 0).unwrap();
        assert!(read.wait().result.is_ok());
    })
    .unwrap();
    step("`direct_io::Alignment::of`");
    let _ = Alignment::of(&file);
    step("end");
}

/// Returns the names of the system calls of each step, in order.
fn trace() -> BTreeMap<String, Vec<String>> {
    let path = format!(
        "{}/syscalls-{}",
        env!("CARGO_TARGET_TMPDIR"),
        std::process::id()
    );
    let mut strace = Command::new("strace");
    strace.args(["-f", "-o", &path]).arg(again::program());
    again::passes(&mut strace, "the_page_lists_the_system_calls_of_each_step");
    let trace = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(path).unwrap();
    let (mut steps, mut current) = (BTreeMap::new(), None);
    for line in trace.lines() {
        let call = line.split_once(' ').unwrap().1.trim_start();
        let name = call.split('(').next().unwrap();
        if let Some(begin) = call.find("\"step:") {
            let rest = &call[begin + 6..];
            let step = rest[..rest.find('"').unwrap()].to_owned();
            current = (step != "end").then_some(step);
            if let Some(step) = &current {
                steps.insert(step.clone(), Vec::new());
            }
        } else if let Some(step) = &current {
            // Another thread of the harness waits in futex.
            if name != "futex" && !name.starts_with('<') {
                steps.get_mut(step).unwrap().push(name.to_owned());
            }
        }
    }
    steps
}

/// Returns the rows of the page's table: the step, and its system calls.
fn page() -> BTreeMap<String, Vec<String>> {
    let page = include_str!("../docs/sandboxes.md");
    let (_, table) = page.split_once("| step | system calls |").unwrap();
    let rows = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let (step, calls) = row[2..].split_once(" | ").unwrap();
        let calls = calls.trim_end_matches(" |");
        let calls = calls.split(", ").filter(|&call| call != "none");
        (step.to_owned(), calls.map(str::to_owned).collect())
    })
    .collect()
}

#[test]
fn the_page_lists_the_system_calls_of_each_step() {
    if again::is_here() {
        return perform();
    }
    if have(&["strace"]) {
        assert_eq!(trace(), page());
    }
}

/// A filter that kills for everything else that the library could call.
#[test]
fn an_unmapped_context_needs_aio_system_calls_alone() {
    let file = File::open("/proc/self/exe").unwrap();
    let buffer: &'static mut [u8] = Box::leak(Box::new([0; 8]));
    let mut buffer = Some(buffer);
    let child = || {
        let deadly = [
            libc::SYS_madvise,
            libc::SYS_mmap,
            libc::SYS_ppoll,
            libc::SYS_statx,
        ];
        support::die_of(&deadly.map(|number| u32::try_from(number).ok()));
        let context = IdleContext::new_unmapped(4).unwrap();
        let mut slots = Slot::<&'static mut [u8]>::array::<4>();
        let mut queue = Queue::with_context(context, &mut slots);
        queue
            .push(Read::new(&file, buffer.take().unwrap()))
            .unwrap();
        let done = queue.wait().unwrap().unwrap();
        assert_eq!(done.buffer.unwrap()[..4], *b"\x7fELF");
        let context = queue.into_idle_context().unwrap();
        Context::from(context).destroy().unwrap();
        0
    };
    assert_eq!(support::in_child(child), 0);
}

/// A forked child does not use its parent's.
#[test]
fn an_unmapped_context_is_left_alone_by_a_forked_child() {
    let context = Context::new_unmapped(4).unwrap();
    let mut events = [Event::EMPTY; 1];
    let child = || {
        let waited = context.wait(0, &mut events).map(|events| events.len());
        assert_eq!(waited, Err(Errno::INVAL));
        0
    };
    assert_eq!(support::in_child(child), 0);
    assert!(!Context::new_unmapped(1).unwrap().ring().is_mapped());
    context.destroy().unwrap();
}
