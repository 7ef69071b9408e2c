//! Threads that block in io_submit(2).

use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

fn write_byte(to: &OwnedFd) {
    // SAFETY: write(2) reads one byte, the length of the slice.
    let written = unsafe { libc::write(to.as_raw_fd(), b"x".as_ptr().cast(), 1) };
    assert_eq!(written, 1);
}

/// Waits until a thread of this process sleeps in io_submit(2).
fn wait_for_submission(thread: i32) {
    let call = format!("/proc/self/task/{thread}/syscall");
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(20) {
        let line = std::fs::read_to_string(&call).unwrap_or_default();
        let number = line.split(' ').next().and_then(|word| word.parse().ok());
        if number == Some(libc::SYS_io_submit) {
            return;
        }
        thread::yield_now();
    }
    panic!("the thread does not block in io_submit");
}

fn thread_id() -> i32 {
    // SAFETY: gettid(2) has no arguments and cannot fail.
    unsafe { libc::gettid() }
}

/// Runs `blocks` in a thread, and `meanwhile` while the thread is in io_submit(2). Then
/// writes the byte that the thread waits for.
pub(crate) fn while_blocked<R: Send>(
    blocks: impl FnOnce() -> R + Send,
    writer: &OwnedFd,
    meanwhile: impl FnOnce(),
) -> R {
    thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel();
        let thread = scope.spawn(move || {
            sender.send(thread_id()).unwrap();
            blocks()
        });
        wait_for_submission(receiver.recv().unwrap());
        meanwhile();
        write_byte(writer);
        thread.join().unwrap()
    })
}
