//! System calls that fail on purpose: strace makes the n-th one fail, or other
//! submitters have filled the context.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::os::fd::AsRawFd;
use std::process::Command;

use super::again;
use super::skip::have;
use linux_aio::opcode::{self, PollMask};
use linux_aio::{AioContext, Context, Errno, IdleContext, sys};

/// Runs `body` under strace, in a separate process for each injection. `test` is the
/// path of the test that calls this function: the process runs it again.
///
/// An injection is the end of `-e inject=…`: `io_submit:error=EAGAIN:when=2`. The
/// system calls of the test's thread are counted from 1. Skips the test if strace is
/// missing.
pub(crate) fn with_each(test: &str, injections: &[&str], body: impl FnOnce()) {
    if again::is_here() {
        return body();
    }
    if !have(&["strace"]) {
        return;
    }
    for injection in injections {
        let call = injection.split_once(':').unwrap().0;
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-e", &format!("trace={call}")]);
        strace.args(["-e", &format!("inject={injection}")]);
        let trace = again::passes(strace.arg(again::program()), test);
        assert!(trace.contains("(INJECTED)"), "{injection}: {trace}");
    }
}

/// Returns a context, and its name, by which foreign operations are submitted to it.
pub(crate) fn shared_context(capacity: u32) -> (IdleContext, AioContext) {
    let context = Context::new(capacity).unwrap();
    let name = context.as_raw();
    // SAFETY: the context was just created. Only polls are submitted to it by name.
    // They have no memory, and their events belong to no operation of the library.
    (
        unsafe { IdleContext::from_context(context, capacity) },
        name,
    )
}

/// Submits polls to a context until it is full, and returns their number.
pub(crate) fn fill(name: AioContext, fd: &impl AsRawFd) -> usize {
    let mut count = 0;
    loop {
        let poll = opcode::Poll::new(fd.as_raw_fd(), PollMask::IN);
        let mut iocb = poll.build().user_data(u64::MAX);
        let mut pointer = &raw mut iocb;
        // SAFETY: a poll has no memory.
        match unsafe { sys::io_submit(name, 1, &raw mut pointer) } {
            Ok(taken) => count += taken,
            Err(errno) => {
                assert_eq!(errno, Errno::AGAIN);
                return count;
            }
        }
    }
}
