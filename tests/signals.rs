//! Tests the effect of signals on a wait. A signal that runs a handler interrupts the
//! wait. A signal that runs no handler does not, if the kernel has the system call for
//! that.
#![cfg(any(target_os = "linux", target_os = "android"))]

mod support;

use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use linux_aio::opcode::{Poll, PollMask};
use linux_aio::{Context, Errno, Event, WaitOptions, nr};

/// The system calls that the kernel restarts.
const RESTARTED: [Option<u32>; 2] = [nr::IO_PGETEVENTS, nr::IO_PGETEVENTS_TIME64];
const LONG: WaitOptions<'_> = WaitOptions::new().timeout(Duration::from_secs(60));

/// A wait of one of the layers, for one event, with space for two.
type Waits = fn(&mut Context, &mut [Event; 2]) -> Result<usize, Errno>;

const WAITS: [(&str, Waits); 4] = [
    ("Context::wait", |context, events| {
        context.wait(1, events).map(|taken| taken.len())
    }),
    ("Context::wait_with", |context, events| {
        context.wait_with(1, events, LONG).map(|taken| taken.len())
    }),
    ("Ring::wait", |context, events| {
        context.ring().wait(1, events).map(|taken| taken.len())
    }),
    ("Ring::wait_with", |context, events| {
        let mut ring = context.ring();
        ring.wait_with(1, events, LONG).map(|taken| taken.len())
    }),
];

/// The exit status of a child that did not start its wait. Event counts and error
/// numbers are smaller.
const NOT_BEGUN: i32 = 200;

fn status(answer: Result<usize, Errno>) -> i32 {
    answer.map_or_else(Errno::raw_os_error, |count| 100 + count as i32)
}

/// A forked child that is about to wait. Its body must not allocate or panic.
struct Waiter {
    pid: i32,
    /// The end that the child polls. A byte written to the other end completes the
    /// poll.
    reader: OwnedFd,
    writer: OwnedFd,
}

impl Waiter {
    /// Creates the child, and waits until it sleeps. The body gets a context with a poll
    /// in flight.
    fn new(body: impl FnOnce(&mut Context) -> i32) -> Waiter {
        let waiter = Waiter::begin(body);
        waiter.is_in('S');
        waiter
    }

    /// Creates the child, and waits until its body is about to run.
    fn begin(body: impl FnOnce(&mut Context) -> i32) -> Waiter {
        let (reader, writer) = support::pipe();
        let (said, says) = support::pipe();
        // SAFETY: the child only makes system calls and ends by _exit.
        let pid = unsafe { libc::fork() };
        assert_ne!(pid, -1, "fork: {}", std::io::Error::last_os_error());
        if pid == 0 {
            let mut status = NOT_BEGUN;
            if let Ok(mut context) = Context::new(4) {
                let mut poll = Poll::new(reader.as_raw_fd(), PollMask::IN).build();
                // SAFETY: a poll has no buffer.
                if unsafe { context.submit(&mut [&mut poll]) } == Ok(1) {
                    // SAFETY: the kernel reads one byte.
                    unsafe { libc::write(says.as_raw_fd(), b".".as_ptr().cast(), 1) };
                    status = body(&mut context);
                }
            }
            // SAFETY: _exit runs no destructor or exit handler of the parent.
            unsafe { libc::_exit(status) };
        }
        drop(says);
        let mut byte = 0_u8;
        // SAFETY: one byte may be written. If the child exits early, the read returns
        // early, and the exit status reports it.
        unsafe { libc::read(said.as_raw_fd(), (&raw mut byte).cast(), 1) };
        Waiter {
            pid,
            reader,
            writer,
        }
    }

    /// Waits until the child is in this state, or has exited.
    fn is_in(&self, state: char) {
        loop {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap();
            let (_, state_on) = stat.rsplit_once(") ").unwrap();
            if state_on.starts_with([state, 'Z']) {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn send(&self, signal: i32) {
        // SAFETY: the child is not reaped before `end`, so the number still refers to
        // it.
        assert_eq!(unsafe { libc::kill(self.pid, signal) }, 0);
    }

    /// Interrupts the wait without running a handler.
    fn stop_and_continue(&self) {
        self.send(libc::SIGSTOP);
        self.is_in('T');
        self.send(libc::SIGCONT);
        self.is_in('S');
    }

    fn give_event(&self) {
        // SAFETY: the kernel reads one byte.
        let written = unsafe { libc::write(self.writer.as_raw_fd(), b"x".as_ptr().cast(), 1) };
        assert_eq!(written, 1);
    }

    /// Returns the exit status of the child.
    fn end(self) -> i32 {
        let mut status = 0;
        // SAFETY: an integer is written.
        let reaped = unsafe { libc::waitpid(self.pid, &raw mut status, 0) };
        assert_eq!(reaped, self.pid);
        assert!(libc::WIFEXITED(status), "child died: status {status:#x}");
        drop(self.reader);
        libc::WEXITSTATUS(status)
    }
}

#[test]
fn a_stopped_and_continued_wait_goes_on() {
    for (name, wait) in WAITS {
        let waiter = Waiter::new(|context| status(wait(context, &mut [Event::EMPTY; 2])));
        for _ in 0..3 {
            waiter.stop_and_continue();
        }
        waiter.give_event();
        assert_eq!(waiter.end(), status(Ok(1)), "{name}");
    }
}

#[test]
fn a_handler_ends_a_wait_with_and_without_sa_restart() {
    extern "C" fn handler(_: i32) {}
    for (name, wait) in WAITS {
        for flags in [0, libc::SA_RESTART] {
            let waiter = Waiter::new(|context| {
                // SAFETY: the structure is all zero but for the handler, which
                // is valid, and the flags.
                unsafe {
                    let mut action: libc::sigaction = core::mem::zeroed();
                    action.sa_sigaction = handler as extern "C" fn(i32) as libc::sighandler_t;
                    action.sa_flags = flags;
                    libc::sigaction(libc::SIGUSR1, &raw const action, core::ptr::null_mut());
                }
                status(wait(context, &mut [Event::EMPTY; 2]))
            });
            waiter.stop_and_continue();
            waiter.send(libc::SIGUSR1);
            let expected = status(Err(Errno::INTR));
            assert_eq!(waiter.end(), expected, "{name}, flags {flags:#x}");
        }
    }
}

#[test]
fn a_timeout_restarts_after_a_stop() {
    const TIMEOUT: Duration = Duration::from_millis(1000);
    const BEFORE: Duration = Duration::from_millis(300);
    let waiter = Waiter::new(|context| {
        let begin = Instant::now();
        let wait = WaitOptions::new().timeout(TIMEOUT);
        match context.wait_with(1, &mut [Event::EMPTY; 2], wait) {
            Ok([]) if begin.elapsed() >= BEFORE + TIMEOUT => 0,
            Ok([]) => 1,
            _ => 2,
        }
    });
    std::thread::sleep(BEFORE);
    waiter.stop_and_continue();
    assert_eq!(waiter.end(), 0);
}

/// Without the system calls that the kernel restarts, a wait succeeds, but every signal
/// interrupts it.
#[test]
fn without_the_newer_calls_a_stop_interrupts_a_wait() {
    for errno in [libc::ENOSYS, libc::EPERM] {
        for (name, wait) in WAITS {
            let sandboxed = || {
                Waiter::new(|context| {
                    support::forbid(&RESTARTED, errno);
                    status(wait(context, &mut [Event::EMPTY; 2]))
                })
            };
            let waiter = sandboxed();
            waiter.give_event();
            assert_eq!(waiter.end(), status(Ok(1)), "{name}, errno {errno}");
            let waiter = sandboxed();
            waiter.stop_and_continue();
            let interrupted = status(Err(Errno::INTR));
            assert_eq!(waiter.end(), interrupted, "{name}, errno {errno}");
        }
    }
}

#[test]
fn the_error_of_the_newer_call_is_returned_if_both_are_refused() {
    for (newer, older) in [(libc::ENOSYS, libc::EPERM), (libc::EPERM, libc::ENOSYS)] {
        for (name, wait) in WAITS {
            let answer = support::in_child(|| {
                let Ok(mut context) = Context::new(1) else {
                    return NOT_BEGUN;
                };
                support::forbid(&RESTARTED, newer);
                support::forbid(&[nr::IO_GETEVENTS], older);
                status(wait(&mut context, &mut [Event::EMPTY; 2]))
            });
            assert_eq!(answer, newer, "{name}");
        }
    }
}

/// A poll does not sleep, but a signal that arrives during its system call can end it.
/// io_getevents returned EINTR in about half of the rounds on an idle machine, and in few on a
/// busy one.
#[test]
fn a_stop_does_not_end_a_poll() {
    const ROUNDS: usize = 400;
    let waiter = Waiter::begin(|context| {
        let mut events = [Event::EMPTY; 2];
        loop {
            if context.check().is_err() {
                return 1;
            }
            match context.wait_with(0, &mut events, WaitOptions::poll()) {
                Ok([]) => {}
                Ok(_) => return 0,
                Err(errno) => return errno.raw_os_error(),
            }
        }
    });
    for _ in 0..ROUNDS {
        waiter.send(libc::SIGSTOP);
        waiter.is_in('T');
        waiter.send(libc::SIGCONT);
        waiter.is_in('R');
    }
    waiter.give_event();
    assert_eq!(waiter.end(), 0);
}
