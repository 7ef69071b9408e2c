//! Signals, eventfds, and the memory usage of the process.

use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

const SIGNAL: i32 = libc::SIGUSR1;
/// The interval between two signals to the same thread.
const PERIOD: Duration = Duration::from_millis(1);
/// The timeout of a wait.
pub(crate) const PAUSE: Duration = Duration::from_millis(5);

static SIGNALS: AtomicU64 = AtomicU64::new(0);

/// Installs the handler, without SA_RESTART so that the signal interrupts system calls.
pub(crate) fn catch() {
    extern "C" fn handler(_: i32) {
        SIGNALS.fetch_add(1, Relaxed);
    }
    // SAFETY: all fields except the handler are zero, which is valid. The handler only
    // adds to an atomic, so it is async-signal-safe.
    unsafe {
        let mut action: libc::sigaction = core::mem::zeroed();
        action.sa_sigaction = handler as extern "C" fn(i32) as libc::sighandler_t;
        assert_eq!(
            libc::sigaction(SIGNAL, &raw const action, core::ptr::null_mut()),
            0
        );
    }
}

/// Returns the number of signals handled.
pub(crate) fn signals() -> u64 {
    SIGNALS.load(Relaxed)
}

/// Sends each thread a signal every millisecond.
pub(crate) fn interrupt(threads: &[AtomicI32], stop: &AtomicBool) {
    let mut next = Instant::now();
    while !stop.load(Relaxed) {
        for thread in threads {
            let thread = thread.load(Relaxed);
            if thread != 0 {
                // SAFETY: no memory is passed. The error for a thread that has just
                // ended is ignored.
                unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, SIGNAL) };
            }
        }
        next += PERIOD;
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
}

pub(crate) fn thread_id() -> i32 {
    // SAFETY: no memory is passed.
    unsafe { libc::gettid() }
}

pub(crate) fn eventfd() -> File {
    // SAFETY: the descriptor was just created and has no other owner. The assertion
    // excludes −1.
    unsafe {
        let fd = libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC);
        assert!(fd >= 0, "eventfd: {}", std::io::Error::last_os_error());
        File::from_raw_fd(fd)
    }
}

pub(crate) fn signal(eventfd: &File) {
    let one = 1_u64.to_ne_bytes();
    // SAFETY: the kernel reads eight bytes, the length of `one`.
    let written = unsafe { libc::write(eventfd.as_raw_fd(), one.as_ptr().cast(), 8) };
    assert_eq!(written, 8);
}

pub(crate) fn clear(eventfd: &File) {
    let mut count = [0_u8; 8];
    // SAFETY: the kernel writes eight bytes, the length of `count`.
    let read = unsafe { libc::read(eventfd.as_raw_fd(), count.as_mut_ptr().cast(), 8) };
    assert_eq!(read, 8);
}

/// Returns a line for each thread with its current system call and kernel function.
pub(crate) fn whereabouts() -> String {
    let mut lines = String::new();
    for task in std::fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .flatten()
    {
        let read = |name: &str| std::fs::read_to_string(task.path().join(name));
        let (call, place) = (read("syscall"), read("wchan"));
        let (call, place) = (call.unwrap_or_default(), place.unwrap_or_default());
        let call = call.split_whitespace().next().unwrap_or("?");
        lines += &format!("thread {:?}: call {call}, at {place}\n", task.file_name());
    }
    lines
}

/// Memory usage in KiB.
#[derive(Clone, Copy)]
pub(crate) struct Memory {
    /// VmRSS: the resident memory.
    pub(crate) now: u64,
    /// VmHWM: the largest resident memory so far.
    pub(crate) peak: u64,
}

/// Reads the memory usage from `/proc/self/status`.
pub(crate) fn memory() -> Memory {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let of = |name: &str| {
        let mut lines = status.lines().filter_map(|line| line.strip_prefix(name));
        let words = lines.next().and_then(|line| line.split_whitespace().next());
        words.and_then(|number| number.parse().ok()).unwrap()
    };
    Memory {
        now: of("VmRSS:"),
        peak: of("VmHWM:"),
    }
}
